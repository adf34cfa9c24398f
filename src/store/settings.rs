//! The settings of the store.

use std::time::Duration;

/// The table that holds the sessions. Region, credentials and endpoint are the AWS SDK's own settings.
#[derive(Clone, Debug)]
pub struct Database {
    /// `TABLE_NAME`
    pub table: String,
    /// How long to wait for DynamoDB.
    pub timeouts: Timeouts,
}

/// The longest waits for DynamoDB. They are constants and not settings, because they fit together and into the
/// function's timeout of 25 seconds.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For one attempt of one call, with its connection.
    pub attempt: Duration,
    /// For one call with its retries.
    pub call: Duration,
    /// For a chain of calls, before its last round starts. Together with the calls before the chain and the calls of
    /// that round, it stays under the function's timeout.
    pub chain: Duration,
    /// For a search among all users, before its last round of queries starts.
    pub search: Duration,
    /// The upper bound of the wait before the first retry of a call. It doubles with every retry.
    pub backoff: Duration,
    /// For the calls that a start makes before the first request.
    pub warm_up: Duration,
}

impl Default for Timeouts {
    /// A healthy DynamoDB answers within 10 milliseconds and never needs this long. One in trouble may need it.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            attempt: Duration::from_secs(1),
            // A request makes up to six calls one after the other, and must be answered before the function times out.
            call: Duration::from_millis(2_500),
            chain: Duration::from_secs(6),
            // With its last round a search takes less than the two seconds from which an alarm counts an answer as slow.
            search: Duration::from_secs(1),
            // The base that the SDKs use for DynamoDB. The Rust SDK's default of a second suits slower services:
            // https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
            backoff: Duration::from_millis(50),
            // A connection takes about 10 milliseconds, and Lambda gives a start ten seconds.
            warm_up: Duration::from_secs(1),
        }
    }
}
