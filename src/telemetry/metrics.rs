//! Counters, written as lines of CloudWatch's embedded metric format.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::session::Timestamp;

/// The CloudWatch namespace of all metrics.
const NAMESPACE: &str = "Sessions";

/// The counter of answers with a status of 500 or above.
pub const SERVER_ERRORS: &str = "ServerErrors";

/// The counter of callers who were refused as nobody is while all is well.
pub const REJECTED: &str = "Rejected";

/// What is counted by version, so that a fault of a new version is seen while the old one still serves most requests; and
/// whether it is counted by function too, as everything else is.
const BY_VERSION: [(&str, bool); 2] = [(SERVER_ERRORS, false), (REJECTED, true)];

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
        (!counts.is_empty()).then(|| line(&counts, function, version, now))
    }
}

fn line(counts: &Counts, function: &str, version: &str, now: Timestamp) -> String {
    let of_version = |name: &str| BY_VERSION.iter().find(|(each, _)| *each == name);
    let by_version = counts.keys().filter(|name| of_version(name).is_some()).collect();
    let by_function = counts.keys().filter(|name| of_version(name).is_none_or(|(_, both)| *both)).collect();
    let directives = [directive(&["Function"], by_function), directive(&["Function", "Version"], by_version)];
    let aws = Aws {
        timestamp: now.timestamp_millis(),
        cloud_watch_metrics: directives.into_iter().flatten().collect(),
    };
    // Numbers and strings always have a form in JSON.
    serde_json::to_string(&Line { aws, function, version, counts }).unwrap_or_default()
}

/// Describes the metrics with these dimensions to CloudWatch; `None` when there are no such metrics.
fn directive<'a>(
    dimensions: &'static [&'static str],
    names: Vec<&'a Cow<'static, str>>,
) -> Option<Directive<'a>> {
    let metrics: Vec<_> = names.into_iter().map(|name| Metric { name, unit: "Count" }).collect();
    let directive = Directive { namespace: NAMESPACE, dimensions: [dimensions], metrics };
    (!directive.metrics.is_empty()).then_some(directive)
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "_aws")]
    aws: Aws<'a>,
    #[serde(rename = "Function")]
    function: &'a str,
    #[serde(rename = "Version")]
    version: &'a str,
    #[serde(flatten)]
    counts: &'a Counts,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Aws<'a> {
    timestamp: i64,
    cloud_watch_metrics: Vec<Directive<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive<'a> {
    namespace: &'static str,
    dimensions: [&'static [&'static str]; 1],
    metrics: Vec<Metric<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric<'a> {
    name: &'a str,
    unit: &'static str,
}
