//! Counters, written as lines of CloudWatch's embedded metric format.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};

use crate::session::Timestamp;

/// The CloudWatch namespace of all metrics.
const NAMESPACE: &str = "Sessions";

/// The counter of answers with a status of 500 or above. It is counted by version, so that a new version which fails is
/// seen while the old one still serves most requests.
pub const SERVER_ERRORS: &str = "ServerErrors";

type Counts = BTreeMap<Cow<'static, str>, f64>;

/// The counters of one process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<Counts>>);

impl Metrics {
    /// Adds `amount` to the counter `name`.
    pub fn add(&self, name: impl Into<Cow<'static, str>>, amount: f64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name.into()).or_default() += amount;
    }

    /// Returns the line for everything that was counted since the last call, and starts again at zero. Returns `None`
    /// when nothing was counted. `function` and `version` become the metrics' dimensions.
    pub fn flush(&self, function: &str, version: &str, now: Timestamp) -> Option<String> {
        let counts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        (!counts.is_empty()).then(|| line(counts, function, version, now))
    }
}

fn line(counts: Counts, function: &str, version: &str, now: Timestamp) -> String {
    let (by_version, by_function) = counts.keys().partition(|name| *name == SERVER_ERRORS);
    let directives = [directive(&["Function"], by_function), directive(&["Function", "Version"], by_version)];
    let directives: Vec<_> = directives.into_iter().flatten().collect();
    let mut line = Map::new();
    line.insert("_aws".into(), json!({"Timestamp": now.timestamp_millis(), "CloudWatchMetrics": directives}));
    line.insert("Function".into(), function.into());
    line.insert("Version".into(), version.into());
    line.extend(counts.into_iter().map(|(name, count)| (name.into_owned(), count.into())));
    Value::Object(line).to_string()
}

/// What tells CloudWatch the metrics with these dimensions; `None` when there are no such metrics.
fn directive(dimensions: &[&str], names: Vec<&Cow<'static, str>>) -> Option<Value> {
    let metrics: Vec<Value> = names.iter().map(|name| json!({"Name": name, "Unit": "Count"})).collect();
    let directive = json!({"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": metrics});
    (!names.is_empty()).then_some(directive)
}
