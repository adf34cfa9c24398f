//! Ending sessions: one of them, or all of a user's.

use std::cmp::Reverse;

use tokio::time::Instant;

use super::backoff::Backoff;
use super::expression::Expression;
use super::item::attribute::{CREATED_AT, EXPIRES_AT, LAST_ACTIVITY};
use super::item::{key, session_sk, time, ttl};
use super::transaction::{Changes, Outcome, TRANSACTION_MAX, end_session};
use super::{SessionStore, StoreError, UserSessions};
use crate::session::{Clock, Lock, Session, SessionId, Termination, Timestamp, UserId};
use crate::telemetry::log;

/// The outcome of ending one session.
#[derive(Clone, Debug)]
pub struct EndedSession {
    /// The session with the receipt of its first termination.
    pub session: Session,
    /// Whether this call was the first to end it.
    pub first: bool,
}

/// What an end-all ends.
#[derive(Clone, Debug)]
pub struct EndAll {
    /// The termination of every session that ends.
    pub termination: Termination,
    /// The session that stays.
    pub keep: Option<SessionId>,
    /// Keeps the user out from then on. It never shortens a lock that is there.
    pub lock: Option<Lock>,
}

impl SessionStore {
    /// Ends one session with one conditional write, which no other write can starve while the session is live. A repeat
    /// changes nothing and returns the first receipt. A session whose time is over gets the reason `expired`, with a
    /// second write. Returns `None` when the user has no session with this id.
    ///
    /// # Errors
    /// [`StoreError`]; the write may have happened if it is [`StoreError::Unavailable`].
    pub async fn end(
        &self,
        user: &UserId,
        id: SessionId,
        termination: &Termination,
    ) -> Result<Option<EndedSession>, StoreError> {
        let mut backoff = Backoff::start(self.timeouts.chain);
        let mut receipt = termination.clone();
        let mut outcome = self.write_receipt(user, id, &receipt, self.live_session_update(&receipt)).await?;
        // A session that has expired by the clock gets the receipt `expired`. It is written too, because an activity that
        // is being written could make the session live again.
        while let Outcome::Refused(open) = &outcome
            && open.terminated.is_none()
        {
            backoff.check()?;
            receipt = self.receipt_of(open, termination);
            let update = self.unchanged_session_update(open, &receipt);
            outcome = self.write_receipt(user, id, &receipt, update).await?;
            if matches!(outcome, Outcome::Refused(_)) {
                backoff.wait().await;
            }
        }
        let (session, written) = match outcome {
            Outcome::Written(session) => (session, true),
            Outcome::Refused(session) => (session, false),
            Outcome::Absent => return Ok(None),
        };
        // When an answer is lost, the SDK writes again and finds its own receipt. That was the first termination too.
        let written = written || session.terminated.as_ref() == Some(&receipt);
        if written {
            self.audit_ended(user, id, &receipt);
        }
        Ok(Some(EndedSession { first: written && receipt.reason == termination.reason, session }))
    }

    async fn write_receipt(
        &self,
        user: &UserId,
        id: SessionId,
        receipt: &Termination,
        update: Expression,
    ) -> Result<Outcome, StoreError> {
        let outcome = self.update(key(user, session_sk(id)), update).await;
        outcome.inspect_err(|error| self.audit_unconfirmed(user, id, receipt, error))
    }

    /// How `session` ends: as it expired, if its time is over, or else by `termination`.
    pub(super) fn receipt_of(&self, session: &Session, termination: &Termination) -> Termination {
        let expired = session.termination(termination.at, &self.policy);
        expired.unwrap_or_else(|| termination.not_before(session.created_at))
    }

    fn live_session_update(&self, termination: &Termination) -> Expression {
        let now = termination.at;
        // The clocks of two processes may differ, and no receipt may lie before its session began.
        let update = end_session(termination, ttl(now, &self.policy))
            .if_compares(EXPIRES_AT, ">", time(now))
            .if_compares(CREATED_AT, "<=", time(now));
        let update = match self.policy.not_before {
            Some(not_before) => update.if_compares(CREATED_AT, ">=", time(not_before)),
            None => update,
        };
        let Some(idle) = self.policy.idle_timeout else { return update };
        let oldest = now.checked_sub_signed(idle).unwrap_or(Timestamp::MIN_UTC);
        update.if_compares(LAST_ACTIVITY, ">", time(oldest))
    }

    /// Ends a session that nobody has changed since it was `seen`.
    fn unchanged_session_update(&self, seen: &Session, receipt: &Termination) -> Expression {
        end_session(receipt, ttl(receipt.at, &self.policy))
            .if_compares(EXPIRES_AT, "=", time(seen.expires_at))
            .if_compares(LAST_ACTIVITY, "=", time(seen.last_activity))
    }

    /// Ends every session that is live at the instant of the last transaction, except `keep`, and refuses every unbound
    /// token that was issued until then. Returns the ended sessions, newest first. It takes one query, unless `seen` was
    /// just read, and one transaction for every 99 sessions. A racing sign-in raises the version, so it is wholly before
    /// that instant, and ended, or wholly after it.
    ///
    /// # Errors
    /// [`StoreError`]. Of more than 99 sessions, some may have ended by then, each with its receipt and audit line. A
    /// repeat ends the rest.
    pub async fn end_all(
        &self,
        user: &UserId,
        seen: Option<UserSessions>,
        order: &EndAll,
        clock: Clock,
    ) -> Result<Vec<Session>, StoreError> {
        self.end_all_until(Instant::now() + self.timeouts.chain, user, seen, order, clock).await
    }

    /// The same, but no round of calls starts after `deadline`, the first one included. A round is a query and a
    /// transaction.
    ///
    /// # Errors
    /// [`StoreError`], as above.
    pub async fn end_all_until(
        &self,
        deadline: Instant,
        user: &UserId,
        seen: Option<UserSessions>,
        order: &EndAll,
        clock: Clock,
    ) -> Result<Vec<Session>, StoreError> {
        let mut backoff = Backoff::until(deadline);
        backoff.check()?;
        let (mut ended, mut lock) = (Vec::new(), order.lock.as_ref());
        let mut seen = match seen {
            Some(seen) => seen,
            None => self.user_sessions(user).await?,
        };
        loop {
            let (chunk, is_last) = self.next_chunk(&seen, order);
            // The clock is read for every transaction: a token that was issued while others failed must not escape.
            let not_before = Some(clock.now().timestamp());
            let known = seen.profile.as_ref().and_then(|profile| profile.lock.as_ref());
            let longer = lock.filter(|lock| known.is_none_or(|known| lock.outlasts(known)));
            let changes = Changes { not_before, lock: longer, endings: &chunk, ..Changes::default() };
            let written = self.commit(user, &seen, changes).await;
            let written = written.inspect_err(|error| self.audit_lock_unconfirmed(user, lock, error))?;
            if written {
                // Only the first transaction locks: somebody may lift the lock before the last.
                self.audit_locked(user, lock.take());
                ended.extend(self.newly_ended(chunk, order.termination.at));
            }
            if written && is_last {
                break;
            }
            if !written {
                backoff.wait().await;
            }
            backoff.check()?;
            seen = self.user_sessions(user).await?;
        }
        if ended.is_empty() {
            // No session has an audit line then, but unbound tokens were cut off.
            log::audit_tokens_cut_off(user, &order.termination);
        }
        ended.sort_by_key(|session: &Session| Reverse(session.id));
        Ok(ended)
    }

    fn audit_locked(&self, user: &UserId, lock: Option<&Lock>) {
        if let Some(lock) = lock {
            log::audit_locked(user, lock);
            self.metrics.add("UsersLocked", 1.0);
        }
    }

    fn audit_lock_unconfirmed(&self, user: &UserId, lock: Option<&Lock>, error: &StoreError) {
        if let Some(lock) = lock.filter(|_| error.is_transient()) {
            log::audit_lock_unconfirmed(user, lock);
        }
    }

    /// What the next transaction ends, and whether it is the last one. The oldest sessions go first, so that the newest,
    /// which a racing sign-in may still change, go with the last transaction.
    fn next_chunk<'s>(
        &self,
        seen: &'s UserSessions,
        order: &EndAll,
    ) -> (Vec<(&'s Session, Termination)>, bool) {
        let receipt = |session: &'s Session| (session, self.receipt_of(session, &order.termination));
        let others = seen.open.iter().filter(|session| order.keep != Some(session.id));
        let mut endings: Vec<_> = others.map(receipt).collect();
        // The version takes an action, and so does the check of the newest session.
        let room = TRANSACTION_MAX - 1 - usize::from(seen.unseen_newest().is_some());
        let is_last = endings.len() <= room;
        (endings.split_off(endings.len().saturating_sub(room)), is_last)
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
