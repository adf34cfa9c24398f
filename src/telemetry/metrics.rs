//! Counters, written as lines of CloudWatch's embedded metric format.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};

use crate::session::Timestamp;

/// The CloudWatch namespace of all metrics.
const NAMESPACE: &str = "Sessions";

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
    /// when nothing was counted. `function` becomes the metrics' dimension.
    pub fn flush(&self, function: &str, now: Timestamp) -> Option<String> {
        let counts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        (!counts.is_empty()).then(|| line(counts, function, now))
    }
}

fn line(counts: Counts, function: &str, now: Timestamp) -> String {
    let metrics: Vec<Value> = counts.keys().map(|name| json!({"Name": name, "Unit": "Count"})).collect();
    let directive = json!({"Namespace": NAMESPACE, "Dimensions": [["Function"]], "Metrics": metrics});
    let mut line = Map::new();
    line.insert(
        "_aws".into(),
        json!({"Timestamp": now.timestamp_millis(), "CloudWatchMetrics": [directive]}),
    );
    line.insert("Function".into(), function.into());
    line.extend(counts.into_iter().map(|(name, count)| (name.into_owned(), count.into())));
    Value::Object(line).to_string()
}
