//! What the service tells its operator: log lines, audit lines and metrics.

pub mod log;
pub mod metrics;
