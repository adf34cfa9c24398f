//! Waiting before a write that lost a race is tried again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::StoreError;

/// The first and the longest of the bounds that a wait is drawn under, in milliseconds.
const FIRST_BOUND: u64 = 8;
const LONGEST_BOUND: u64 = 256;

/// Exponential backoff with full jitter until a deadline, not a number of tries: with 16 parallel sign-ins of one
/// user a sign-in was seen to need 23 (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
pub(super) struct Backoff {
    deadline: Instant,
    bound: u64,
}

impl Backoff {
    /// Starts a chain of calls that goes on this long before its last round.
    pub(super) fn start(chain: Duration) -> Self {
        Self { deadline: Instant::now() + chain, bound: FIRST_BOUND }
    }

    /// Says when the time is up.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if Instant::now() < self.deadline { Ok(()) } else { Err(StoreError::Contended) }
    }

    /// Waits before the next round.
    pub(super) async fn wait(&mut self) {
        sleep(Duration::from_millis(fastrand::u64(0..=self.bound))).await;
        self.bound = (2 * self.bound).min(LONGEST_BOUND);
    }
}
