//! Waiting before a write that lost a race is tried again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::StoreError;

/// The upper bound of the first wait, in milliseconds. It doubles with every round.
const FIRST_BOUND: u64 = 8;

/// The highest upper bound of a wait, in milliseconds.
const LONGEST_BOUND: u64 = 256;

/// Exponential backoff with full jitter, until a deadline. A fixed number of tries is not enough: with 16 parallel
/// sign-ins of one user, one sign-in needed 23 (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
pub(super) struct Backoff {
    deadline: Instant,
    bound: u64,
}

impl Backoff {
    /// Starts a chain of rounds. No round starts later than `chain` from now.
    pub(super) fn start(chain: Duration) -> Self {
        Self::until(Instant::now() + chain)
    }

    /// Starts a chain of rounds. No round starts after `deadline`.
    pub(super) fn until(deadline: Instant) -> Self {
        Self { deadline, bound: FIRST_BOUND }
    }

    /// Fails when the deadline has passed.
    ///
    /// # Errors
    /// [`StoreError::Contended`] after the deadline.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if Instant::now() < self.deadline { Ok(()) } else { Err(StoreError::Contended) }
    }

    /// Waits before the next round.
    pub(super) async fn wait(&mut self) {
        sleep(Duration::from_millis(fastrand::u64(0..=self.bound))).await;
        self.bound = (2 * self.bound).min(LONGEST_BOUND);
    }
}
