//! Signing in.

use super::backoff::Backoff;
use super::transaction::TRANSACTION_MAX;
use super::{SessionStore, StoreError, UserSessions};
use crate::session::{Device, DeviceIdentity, Session, SessionId, SignInPlan, Timestamp, UserId, later};

/// The most sessions that a sign-in ends in its transaction: the version and the session itself take an action each.
const ENDINGS_MAX: usize = TRANSACTION_MAX - 2;

/// What is known of a sign-in.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The id of the session, unless the device already has one.
    pub id: SessionId,
    /// The user who signs in.
    pub user_id: UserId,
    /// The device that signs in.
    pub device: Device,
    /// The IP address of the sign-in.
    pub ip_address: String,
    /// What identifies the device at its next sign-in.
    pub identity: DeviceIdentity,
}

/// The outcome of a sign-in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The session, new or refreshed.
    pub session: Session,
    /// Whether the device already had this session.
    pub refreshed: bool,
    /// The sessions that ended because of the cap.
    pub evicted: Vec<SessionId>,
}

impl SessionStore {
    /// Signs in with one query, unless `seen` was just read, and one transaction. The transaction raises the version,
    /// writes the session, and ends the oldest sessions over the cap and those that have expired. A device that has a
    /// live session keeps it.
    ///
    /// # Errors
    /// [`StoreError`]. Evictions may have happened by then. The sign-in has not, unless its answer was lost.
    pub async fn sign_in(
        &self,
        new: &NewSession,
        seen: Option<UserSessions>,
        now: Timestamp,
    ) -> Result<SignedIn, StoreError> {
        let mut backoff = Backoff::start(self.timeouts.chain);
        let mut seen = self.seen_or_read(seen, &new.user_id).await?;
        let mut evicted = Vec::new();
        loop {
            let mut plan = SignInPlan::new(&new.user_id, &new.identity, &seen.open, now, &self.policy);
            // A cap that was lowered far can make more endings than fit. Those go first, and the sign-in follows in a
            // later round.
            let fits = plan.endings.len() <= ENDINGS_MAX;
            plan.endings.truncate(ENDINGS_MAX);
            let session = self.session_of(new, plan.refresh, now);
            let put = fits.then(|| self.put(&session, plan.refresh)).transpose()?;
            if self.commit(&new.user_id, &seen, put, &plan.endings).await? {
                evicted.extend(plan.evicted());
                if fits {
                    self.metrics.add("SignIns", 1.0);
                    return Ok(SignedIn { session, refreshed: plan.refresh.is_some(), evicted });
                }
            } else {
                backoff.wait().await;
            }
            backoff.check()?;
            seen = self.user_sessions(&new.user_id).await?;
        }
    }

    /// The session that a sign-in writes. `known` is the one that the device already has.
    fn session_of(&self, new: &NewSession, known: Option<&Session>, now: Timestamp) -> Session {
        Session {
            id: known.map_or(new.id, |session| session.id),
            user_id: new.user_id.clone(),
            device: new.device.clone(),
            ip_address: new.ip_address.clone(),
            created_at: known.map_or(now, |session| session.created_at),
            last_activity: known.map_or(now, |session| session.last_activity.max(now)),
            expires_at: later(now, self.policy.lifetime),
            terminated: None,
            identity: new.identity,
        }
    }
}
