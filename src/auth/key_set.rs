//! The key set of an issuer that changes its keys: kept while it is good, and fetched again when it may be outdated.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::{Instant, timeout_at};

use super::error::AuthError;
use super::jwks::PublicKeys;
use super::jwks_url::{FetchError, Fetcher, JwksUrl};
use super::key::Key;
use crate::session::Timestamp;
use crate::telemetry::log::Causes;
use crate::telemetry::metrics::Metrics;

/// A set that is older than this is fetched again, so that a key that the issuer has removed stops counting.
const FRESH: TimeDelta = TimeDelta::hours(1);

/// How long a set serves while it cannot be fetched again.
const USABLE: TimeDelta = TimeDelta::hours(24);

/// The shortest time between two fetches: anyone can send a token with an unknown `kid`.
const PAUSE: TimeDelta = TimeDelta::seconds(10);

/// The key set of an issuer.
#[derive(Debug)]
pub(super) struct KeySet {
    fetcher: Fetcher,
    /// How long a request waits for a fetch. Lambda freezes the process when no request waits.
    patience: Duration,
    state: Mutex<State>,
    /// Held by the one who fetches.
    fetching: tokio::sync::Mutex<()>,
    metrics: Metrics,
}

#[derive(Debug)]
struct State {
    /// The last good set, or the keys of the settings until there is one.
    keys: Arc<[Key]>,
    /// When the last good set was fetched.
    fetched_at: Option<Timestamp>,
    /// When the issuer was last asked.
    asked_at: Option<Timestamp>,
}

impl KeySet {
    /// The key set at this address. `PublicKeys` serve until it was fetched for the first time.
    pub fn new(url: JwksUrl, until_then: PublicKeys, patience: Duration, metrics: Metrics) -> Self {
        let state = State { keys: until_then.0.into(), fetched_at: None, asked_at: None };
        Self { fetcher: Fetcher::new(url), patience, state: state.into(), fetching: ().into(), metrics }
    }

    /// The keys, among which the key of a token with this `kid` is.
    ///
    /// # Errors
    /// [`AuthError::KeyUnknown`] when it is not among them, [`AuthError::KeysUnavailable`] when there are none.
    pub async fn keys(&self, kid: Option<&str>, now: Timestamp) -> Result<Arc<[Key]>, AuthError> {
        if self.state().wants_fetch(kid, now) {
            self.refresh(kid, now).await;
        }
        self.state().keys(kid, now)
    }

    /// Fetches the set when it is time to, or waits for the one who does.
    pub async fn refresh(&self, kid: Option<&str>, now: Timestamp) {
        let deadline = Instant::now() + self.patience;
        let Ok(_one_at_a_time) = timeout_at(deadline, self.fetching.lock()).await else { return };
        if !self.state().begins_fetch(kid, now) {
            return;
        }
        match timeout_at(deadline, self.fetcher.fetch()).await.unwrap_or(Err(FetchError::TooSlow)) {
            Ok(keys) => {
                self.metrics.add("KeysFetched", 1.0);
                self.state().replace(keys, now);
            }
            Err(error) => {
                self.metrics.add("KeysFetchFailed", 1.0);
                tracing::error!(cause = %Causes(&error), "the issuer's keys cannot be fetched");
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wants_fetch(&self, kid: Option<&str>, now: Timestamp) -> bool {
        // Who lacks a key also waits for a fetch that has begun.
        self.keys(kid, now).is_err() || self.is_outdated(now) && self.may_ask(now)
    }

    /// Whether it is time for a fetch. Then the next is not until the pause is over.
    fn begins_fetch(&mut self, kid: Option<&str>, now: Timestamp) -> bool {
        let begins = self.wants_fetch(kid, now) && self.may_ask(now);
        if begins {
            self.asked_at = Some(now);
        }
        begins
    }

    fn replace(&mut self, keys: PublicKeys, now: Timestamp) {
        self.keys = keys.0.into();
        self.fetched_at = Some(now);
    }

    fn keys(&self, kid: Option<&str>, now: Timestamp) -> Result<Arc<[Key]>, AuthError> {
        if self.keys.is_empty() || self.fetched_at.is_some_and(|at| distance(at, now) >= USABLE) {
            return Err(AuthError::KeysUnavailable { retry_after: self.pause_left(now) });
        }
        if kid.is_some_and(|kid| !self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))) {
            return Err(AuthError::KeyUnknown { retry_after: self.pause_left(now) });
        }
        Ok(self.keys.clone())
    }

    fn is_outdated(&self, now: Timestamp) -> bool {
        self.fetched_at.is_none_or(|at| distance(at, now) >= FRESH)
    }

    fn may_ask(&self, now: Timestamp) -> bool {
        self.asked_at.is_none_or(|at| distance(at, now) >= PAUSE)
    }

    /// The seconds until the issuer may be asked again; at least 1.
    fn pause_left(&self, now: Timestamp) -> u64 {
        let passed = self.asked_at.map_or(PAUSE, |at| distance(at, now));
        (PAUSE - passed).num_seconds().unsigned_abs().max(1)
    }
}

/// Also for a clock that was set back.
fn distance(one: Timestamp, other: Timestamp) -> TimeDelta {
    (other - one).abs()
}
