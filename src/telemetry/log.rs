//! The log: one JSON object a line, with the fields of the request that the line belongs to.
//!
//! The log never holds an IP address, a user agent, a note, a fingerprint or a token. Those are in the table, for the
//! people who may read it.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::panic::PanicHookInfo;

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;

use crate::session::{Lock, SessionId, Termination, UserId};

/// A subscriber that writes lines of JSON from level INFO up, with the fields of the request's span under `span`.
pub fn json_lines<W>(writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_span_list(false)
        .with_writer(writer)
        .finish()
}

/// An error and its causes, each in its display form. The debug form of an SDK error would show the whole answer that
/// could not be read, with addresses and notes in it.
#[derive(Debug)]
pub struct Causes<'e>(pub &'e (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match self.0.source() {
            Some(source) => write!(f, ": {}", Causes(source)),
            None => Ok(()),
        }
    }
}

/// Writes the audit line of a sign-in: who signed which user in, and the session that was opened or refreshed.
pub fn audit_signed_in(actor: &UserId, user: &UserId, session: SessionId, refreshed: bool) {
    tracing::info!(
        event = if refreshed { "session_refreshed" } else { "session_opened" },
        actor = actor.as_str(),
        user_id = user.as_str(),
        session_id = %session,
        "signed in"
    );
}

/// Writes the audit line of a sign-in whose answer was lost. It may have been written, and then no other line tells of
/// it.
pub fn audit_sign_in_unconfirmed(actor: &UserId, user: &UserId, session: SessionId) {
    tracing::warn!(
        event = "sign_in_unconfirmed",
        actor = actor.as_str(),
        user_id = user.as_str(),
        session_id = %session,
        "the user may be signed in"
    );
}

/// Writes the audit line of somebody who looked at a user's sessions.
pub fn audit_viewed(actor: &UserId, user: &UserId) {
    tracing::info!(
        event = "sessions_viewed",
        actor = actor.as_str(),
        user_id = user.as_str(),
        "sessions viewed"
    );
}

/// Writes the audit line of somebody who looked at how many sessions some users have.
pub fn audit_summary_viewed(actor: &UserId, users: &[UserId]) {
    let user_ids = users.iter().map(UserId::as_str).collect::<Vec<_>>().join(" ");
    tracing::info!(event = "summary_viewed", actor = actor.as_str(), user_ids, "summary viewed");
}

/// Writes the audit line of somebody who searched the sessions of all users: by which filters, and whose sessions the page
/// showed.
pub fn audit_searched(actor: &UserId, filters: &[&str], users: &BTreeSet<&UserId>) {
    let user_ids = users.iter().map(|user| user.as_str()).collect::<Vec<_>>().join(" ");
    tracing::info!(
        event = "sessions_searched",
        actor = actor.as_str(),
        filters = filters.join(" "),
        user_ids,
        "sessions searched"
    );
}

/// Writes the audit line of a dry run: what would have ended.
pub fn audit_dry_run(actor: &UserId, user: &UserId, sessions: &[SessionId]) {
    let session_ids = sessions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    tracing::info!(
        event = "sessions_end_previewed",
        actor = actor.as_str(),
        user_id = user.as_str(),
        session_ids,
        "dry run"
    );
}

/// Writes the audit line of a caller who may not use an endpoint. `reason` is the code of the refusal, and `target` is
/// the user in the path as it was sent.
pub fn audit_refused(actor: &UserId, target: Option<&UserId>, reason: &str) {
    tracing::warn!(
        event = "access_refused",
        actor = actor.as_str(),
        user_id = target.map(UserId::as_str),
        reason,
        "access refused"
    );
}

/// Writes the audit line of an ended session: who ended which session of which user, why, and in which request.
pub fn audit_session_ended(user: &UserId, session: SessionId, termination: &Termination) {
    tracing::info!(
        event = "session_ended",
        actor = termination.by.as_ref().map(UserId::as_str),
        user_id = user.as_str(),
        session_id = %session,
        reason = termination.reason.as_str(),
        "session ended"
    );
}

/// Writes the audit line of an end-all that found no live session. It refuses unbound tokens from now on all the same.
pub fn audit_tokens_cut_off(user: &UserId, termination: &Termination) {
    tracing::info!(
        event = "tokens_cut_off",
        actor = termination.by.as_ref().map(UserId::as_str),
        user_id = user.as_str(),
        reason = termination.reason.as_str(),
        "tokens cut off"
    );
}

/// Writes the audit line of a termination whose answer was lost. It may have been written, and then no other line
/// tells of it.
pub fn audit_session_end_unconfirmed(user: &UserId, session: SessionId, termination: &Termination) {
    tracing::warn!(
        event = "session_end_unconfirmed",
        actor = termination.by.as_ref().map(UserId::as_str),
        user_id = user.as_str(),
        session_id = %session,
        reason = termination.reason.as_str(),
        "session may have ended"
    );
}

/// Writes the audit line of a locked user: who locked which user, and until when.
pub fn audit_locked(user: &UserId, lock: &Lock) {
    tracing::info!(
        event = "user_locked",
        actor = lock.by.as_str(),
        user_id = user.as_str(),
        until = lock.until.map(tracing::field::display),
        "user locked"
    );
}

/// Writes the audit line of a lock whose answer was lost. It may have been written all the same.
pub fn audit_lock_unconfirmed(user: &UserId, lock: &Lock) {
    tracing::warn!(
        event = "user_lock_unconfirmed",
        actor = lock.by.as_str(),
        user_id = user.as_str(),
        until = lock.until.map(tracing::field::display),
        "the user may be locked"
    );
}

/// Writes the audit line of a lock that was lifted.
pub fn audit_unlocked(actor: &UserId, user: &UserId) {
    tracing::info!(event = "user_unlocked", actor = actor.as_str(), user_id = user.as_str(), "user unlocked");
}

/// Writes the audit line of a lock whose lifting was not confirmed. It may have been lifted all the same.
pub fn audit_unlock_unconfirmed(actor: &UserId, user: &UserId) {
    tracing::warn!(
        event = "user_unlock_unconfirmed",
        actor = actor.as_str(),
        user_id = user.as_str(),
        "the user may be unlocked"
    );
}

/// Writes the line of a panic. It says where the panic was, and not its message, which may quote the request.
pub fn log_panic(panic: &PanicHookInfo<'_>) {
    tracing::error!(location = panic.location().map(tracing::field::display), "panicked");
}
