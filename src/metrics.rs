//! What happened, counted: one line of CloudWatch's embedded metric format a request.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The namespace of all metrics.
const NAMESPACE: &str = "Sessions";

/// Counts since the last line. A function serves one request at a time, so a line is a request's.
#[derive(Debug)]
pub struct Meter(Mutex<BTreeMap<Cow<'static, str>, f64>>);

impl Default for Meter {
    /// A meter of a process that has just started.
    fn default() -> Self {
        Self(Mutex::new(BTreeMap::from([("ColdStarts".into(), 1.0)])))
    }
}

impl Meter {
    /// Counts `amount` more of `name`.
    pub fn add(&self, name: impl Into<Cow<'static, str>>, amount: f64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name.into()).or_default() += amount;
    }

    /// The line for what was counted since the last one; `None` when there was nothing.
    pub fn take_line(&self, function: &str, now: Timestamp) -> Option<String> {
        let counts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if counts.is_empty() {
            return None;
        }
        let metrics: Vec<Value> = counts.keys().map(|name| json!({"Name": name, "Unit": "Count"})).collect();
        let directive = json!({"Namespace": NAMESPACE, "Dimensions": [["Function"]], "Metrics": metrics});
        let mut line = Map::new();
        line.insert(
            "_aws".into(),
            json!({"Timestamp": now.as_millisecond(), "CloudWatchMetrics": [directive]}),
        );
        line.insert("Function".into(), function.into());
        line.extend(counts.into_iter().map(|(name, count)| (name.into_owned(), count.into())));
        Some(Value::Object(line).to_string())
    }
}
