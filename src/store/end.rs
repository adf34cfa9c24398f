//! Ending sessions: one of them, or all of a user's.

use std::cmp::Reverse;

use super::backoff::Backoff;
use super::item::{key, session_sk, time, ttl};
use super::transaction::{ConditionalUpdate, Outcome, TRANSACTION_MAX};
use super::{SessionStore, StoreError, UserSessions};
use crate::session::{Session, SessionId, Termination, Timestamp, UserId};
use crate::telemetry::log;

/// The outcome of ending one session.
#[derive(Clone, Debug)]
pub struct EndedSession {
    /// The session with the receipt of its first termination.
    pub session: Session,
    /// Whether this call was the first to end it.
    pub first: bool,
}

impl SessionStore {
    /// Ends one session with one conditional write, which no other write can starve. A repeat changes nothing and
    /// returns the first receipt. A session whose time is over keeps the reason `expired`. Returns `None` when the user
    /// has no session with this id.
    ///
    /// # Errors
    /// [`StoreError`]; the write may have happened if it is [`StoreError::Unavailable`].
    pub async fn end(
        &self,
        user: &UserId,
        id: SessionId,
        termination: &Termination,
    ) -> Result<Option<EndedSession>, StoreError> {
        let mut termination = termination.clone();
        let mut outcome = self.end_if_live(user, id, &termination).await?;
        if let Outcome::Refused(session) = &outcome
            && session.is_live_at(termination.at, &self.policy)
            && session.created_at > termination.at
        {
            termination = termination.not_before_start_of(session);
            outcome = self.end_if_live(user, id, &termination).await?;
        }
        let (session, written) = match outcome {
            Outcome::Written(session) => (session, true),
            Outcome::Refused(session) => (session, false),
            Outcome::Absent => return Ok(None),
        };
        // When an answer is lost, the SDK writes again and finds its own receipt. That was the first termination too.
        let first = written || session.terminated.as_ref() == Some(&termination);
        if first {
            self.audit_ended(user, id, &termination);
        }
        let receipt = session.termination(termination.at, &self.policy);
        Ok(Some(EndedSession { session: Session { terminated: receipt, ..session }, first }))
    }

    async fn end_if_live(
        &self,
        user: &UserId,
        id: SessionId,
        termination: &Termination,
    ) -> Result<Outcome, StoreError> {
        let outcome = self.update(key(user, session_sk(id)), self.live_session_update(termination)).await;
        outcome.inspect_err(|error| self.audit_unconfirmed(user, id, termination, error))
    }

    fn live_session_update(&self, termination: &Termination) -> ConditionalUpdate {
        // The clocks of two processes may differ, and no receipt may lie before its session began.
        let update = ConditionalUpdate::end_session(termination, ttl(termination.at, &self.policy))
            .only_if("attribute_exists(#live_sk) AND #expires_at > :now AND #created_at <= :now")
            .name("expires_at")
            .name("created_at")
            .value(":now", time(termination.at));
        let Some(idle) = self.policy.idle_timeout else { return update };
        let oldest = termination.at.checked_sub_signed(idle).unwrap_or(Timestamp::MIN_UTC);
        update.only_if("#last_activity > :oldest").name("last_activity").value(":oldest", time(oldest))
    }

    /// Ends every session that is live at the instant of the last transaction, except `keep`. Returns the ended ones,
    /// newest first. It takes one query, unless `seen` was just read, and one transaction for every 99 sessions. A
    /// racing sign-in raises the version, so it is wholly before that instant, and ended, or wholly after it.
    ///
    /// # Errors
    /// [`StoreError`]. Of more than 99 sessions, some may have ended by then, each with its receipt and audit line. A
    /// repeat ends the rest.
    pub async fn end_all(
        &self,
        user: &UserId,
        seen: Option<UserSessions>,
        keep: Option<SessionId>,
        termination: &Termination,
    ) -> Result<Vec<Session>, StoreError> {
        let mut backoff = Backoff::start(self.timeouts.chain);
        let mut seen = self.seen_or_read(seen, user).await?;
        let mut ended = Vec::new();
        loop {
            let (chunk, is_last) = self.next_chunk(&seen, keep, termination);
            if chunk.is_empty() {
                break;
            }
            if self.commit(user, &seen, None, &chunk).await? {
                ended.extend(self.newly_ended(chunk, termination.at));
                if is_last {
                    break;
                }
            } else {
                backoff.wait().await;
            }
            backoff.check()?;
            seen = self.user_sessions(user).await?;
        }
        ended.sort_by_key(|session: &Session| Reverse(session.id));
        Ok(ended)
    }

    /// What the next transaction ends, and whether it is the last one. It is empty when no session is live. The oldest
    /// sessions go first, so that the newest, which a racing sign-in may still change, go with the last transaction.
    fn next_chunk<'s>(
        &self,
        seen: &'s UserSessions,
        keep: Option<SessionId>,
        termination: &Termination,
    ) -> (Vec<(&'s Session, Termination)>, bool) {
        let receipt = |session: &'s Session| {
            let expired = session.termination(termination.at, &self.policy);
            (session, expired.unwrap_or_else(|| termination.not_before_start_of(session)))
        };
        let others = seen.open.iter().filter(|session| Some(session.id) != keep);
        let mut endings: Vec<_> = others.map(receipt).collect();
        if !endings.iter().any(|(session, _)| session.is_live_at(termination.at, &self.policy)) {
            return (Vec::new(), true);
        }
        let is_last = endings.len() < TRANSACTION_MAX;
        (endings.split_off(endings.len().saturating_sub(TRANSACTION_MAX - 1)), is_last)
    }

    /// The sessions that a transaction ended, without those that had expired before.
    fn newly_ended(
        &self,
        chunk: Vec<(&Session, Termination)>,
        now: Timestamp,
    ) -> impl Iterator<Item = Session> {
        let live = chunk.into_iter().filter(move |(session, _)| session.is_live_at(now, &self.policy));
        live.map(|(session, receipt)| Session { terminated: Some(receipt), ..session.clone() })
    }

    pub(super) async fn seen_or_read(
        &self,
        seen: Option<UserSessions>,
        user: &UserId,
    ) -> Result<UserSessions, StoreError> {
        match seen {
            Some(seen) => Ok(seen),
            None => self.user_sessions(user).await,
        }
    }

    /// Logs and counts a termination that was written. No other place does this.
    pub(super) fn audit_ended(&self, user: &UserId, id: SessionId, termination: &Termination) {
        log::audit_session_ended(user, id, termination);
        self.metrics.add(format!("Ended.{}", termination.reason.as_str()), 1.0);
    }

    /// Logs a termination that was not confirmed. It may have been written all the same, unless DynamoDB refused it.
    pub(super) fn audit_unconfirmed(
        &self,
        user: &UserId,
        id: SessionId,
        termination: &Termination,
        error: &StoreError,
    ) {
        if error.is_transient() {
            log::audit_session_end_unconfirmed(user, id, termination);
        }
    }
}
