//! Signing in.

use super::backoff::Backoff;
use super::binding::BindingKey;
use super::token::{CallerSessions, TokenSession};
use super::transaction::{Changes, TRANSACTION_MAX};
use super::{SessionStore, StoreError, UserSessions};
use crate::session::{
    Clock, Device, DeviceIdentity, Origin, Session, SessionId, SignInKey, SignInPlan, Timestamp, UserId,
    later,
};
use crate::telemetry::log;

/// The most sessions that a sign-in ends in its transaction. The version, the check of the newest session, the session and
/// the binding take an action each.
const ENDINGS_MAX: usize = TRANSACTION_MAX - 4;

/// What is known of a sign-in.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The id of the session, unless the device already has one.
    pub id: SessionId,
    /// The user who signs in.
    pub user_id: UserId,
    /// Who signs the user in: the user, or a service.
    pub actor: UserId,
    /// The device that signs in.
    pub device: Device,
    /// Where the sign-in comes from.
    pub origin: Origin,
    /// What identifies the device at its next sign-in.
    pub identity: DeviceIdentity,
    /// What the sign-in is made with. A repeat finds its session by it.
    pub key: SignInKey,
}

/// The outcome of a sign-in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The session, new or refreshed.
    pub session: Session,
    /// Whether there was a session already.
    pub refreshed: bool,
    /// The sessions that ended because of the cap.
    pub evicted: Vec<SessionId>,
}

impl SessionStore {
    /// Signs in. A token (or an idempotency key) that already belongs to a live session gets that session, with one
    /// conditional write of its activity at most. Otherwise one transaction raises the version, refreshes the live
    /// session of the same device or opens a new one, binds the token to it, and ends the oldest sessions over the cap
    /// and those that have expired. All of this is decided again after every read and by the clock of that moment, so
    /// a termination that races with the sign-in wins. Returns `None`, and has written nothing, when the session of the
    /// token or key is over.
    ///
    /// # Errors
    /// [`StoreError`]. Evictions may have happened by then. The sign-in has not, unless its answer was lost.
    pub async fn sign_in(&self, new: &NewSession, clock: Clock) -> Result<Option<SignedIn>, StoreError> {
        let mut backoff = Backoff::start(self.timeouts.chain);
        let mut evicted = Vec::new();
        loop {
            let seen = self.sessions_by_key(&new.user_id, &new.key, clock.now()).await?;
            let signed_in = match seen.token {
                TokenSession::Ended => return Ok(None),
                TokenSession::Live(id) => {
                    let session = self.use_again(&seen.sessions, id, new, clock).await?;
                    return Ok(session.map(|session| SignedIn { session, refreshed: true, evicted }));
                }
                TokenSession::Unbound => self.open_or_refresh(new, &seen, &mut evicted, clock).await?,
            };
            if let Some((session, refreshed)) = signed_in {
                return Ok(Some(SignedIn { session, refreshed, evicted }));
            }
            backoff.wait().await;
            backoff.check()?;
        }
    }

    /// Gives a token the session that it already has. The session's lifetime does not start again, and the version is
    /// not raised, so a client that repeats its sign-in in a loop cannot starve an end-all.
    async fn use_again(
        &self,
        sessions: &UserSessions,
        id: SessionId,
        new: &NewSession,
        clock: Clock,
    ) -> Result<Option<Session>, StoreError> {
        let Some(session) = sessions.session(id) else { return Ok(None) };
        let session = self.record_activity(session, &new.origin, clock).await?;
        // A termination between the read and the write wins.
        Ok(session.filter(|session| session.is_live_at(clock.now(), &self.policy)))
    }

    /// Makes the transaction of a sign-in with a token that belongs to no session yet. Returns the session, and whether
    /// the device already had it. Returns `None` when something has changed since the read, or when more sessions have to
    /// end than fit: those end first, and the sign-in follows in a later round.
    async fn open_or_refresh(
        &self,
        new: &NewSession,
        caller: &CallerSessions,
        evicted: &mut Vec<SessionId>,
        clock: Clock,
    ) -> Result<Option<(Session, bool)>, StoreError> {
        let (now, lands_by) = (clock.arrived_at(), self.lands_by(clock));
        let seen = &caller.sessions;
        let mut plan = SignInPlan::new(&new.actor, &new.identity, &seen.open, now, lands_by, &self.policy);
        let fits = plan.endings.len() <= ENDINGS_MAX;
        plan.endings.truncate(ENDINGS_MAX);
        let session = self.session_of(new, plan.refresh, now);
        let mut changes = Changes { endings: &plan.endings, ..Changes::default() };
        if fits {
            changes.session = Some(self.put_session(&session, plan.refresh)?);
            let binding = BindingKey::of_sign_in(&new.key, now)
                .map(|key| self.put_binding(&new.user_id, &key, session.id, &caller.seen, now));
            changes.binding = binding.transpose()?;
        }
        let written = self.commit(&new.user_id, seen, changes).await;
        let written = written.inspect_err(|error| {
            if fits && error.is_transient() {
                log::audit_sign_in_unconfirmed(&new.actor, &new.user_id, session.id);
            }
        })?;
        if !written {
            return Ok(None);
        }
        evicted.extend(plan.evicted());
        if !fits {
            return Ok(None);
        }
        let refreshed = plan.refresh.is_some();
        self.metrics.add("SignIns", 1.0);
        log::audit_signed_in(&new.actor, &new.user_id, session.id, refreshed);
        Ok(Some((session, refreshed)))
    }

    /// The session that a sign-in writes. `known` is the one that the device already has.
    fn session_of(&self, new: &NewSession, known: Option<&Session>, now: Timestamp) -> Session {
        Session {
            id: known.map_or(new.id, |session| session.id),
            user_id: new.user_id.clone(),
            device: new.device.clone(),
            ip_address: new.origin.ip_address.clone(),
            location: known
                .map_or(new.origin.location.as_ref(), |session| session.location_at(&new.origin))
                .cloned(),
            signed_in_ip: known.map_or(&new.origin.ip_address, |session| &session.signed_in_ip).clone(),
            created_at: known.map_or(now, |session| session.created_at),
            last_activity: known.map_or(now, |session| session.last_activity.max(now)),
            expires_at: later(now, self.policy.lifetime),
            terminated: None,
            identity: new.identity.clone(),
        }
    }
}
