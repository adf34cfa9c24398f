//! Waiting before a write that lost a race is tried again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::StoreError;

/// How long a chain of writes may go on before its last round. With the calls before it and those of that round,
/// 5 seconds each at the most, it stays under the function's timeout of 25.
const DEADLINE: Duration = Duration::from_secs(6);

/// The first and the longest of the bounds that a wait is drawn under, in milliseconds.
const FIRST_BOUND: u64 = 8;
const LONGEST_BOUND: u64 = 256;

/// Exponential backoff with full jitter until a deadline, not a number of tries: with 16 parallel sign-ins of one
/// user a sign-in was seen to need 23 (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
pub(super) struct Backoff {
    start: Instant,
    bound: u64,
}

impl Backoff {
    pub(super) fn start() -> Self {
        Self { start: Instant::now(), bound: FIRST_BOUND }
    }

    /// Says when the time is up.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.start.elapsed() < DEADLINE { Ok(()) } else { Err(StoreError::Contended) }
    }

    /// Waits before the next round.
    pub(super) async fn wait(&mut self) {
        sleep(Duration::from_millis(fastrand::u64(0..=self.bound))).await;
        self.bound = (2 * self.bound).min(LONGEST_BOUND);
    }
}
