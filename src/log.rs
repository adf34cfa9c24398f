//! What is written to the log, and how: one JSON object a line, inside the span of its request.
//!
//! No address, no user agent, no note, no fingerprint and no token is ever logged: they are in the table, for those
//! who may read it.

use std::panic::PanicHookInfo;

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;

use crate::session::{Ending, SessionId, UserId};

/// Writes lines of JSON, from level INFO up, with the fields of the request's span under `span`.
pub fn lines<W>(writer: W) -> impl Subscriber + Send + Sync
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

/// The audit line of an ending: who ended which session of whom, why, and in which request.
pub fn session_ended(user: &UserId, session: SessionId, ending: &Ending) {
    tracing::info!(
        event = "session_ended",
        actor = ending.by.as_ref().map(UserId::as_str),
        user_id = user.as_str(),
        session_id = %session,
        reason = ending.reason.as_str(),
        "session ended"
    );
}

/// The audit line of an ending whose answer was lost: it may have been written, and if so, no other line tells of it.
pub fn session_end_unconfirmed(user: &UserId, session: SessionId, ending: &Ending) {
    tracing::warn!(
        event = "session_end_unconfirmed",
        actor = ending.by.as_ref().map(UserId::as_str),
        user_id = user.as_str(),
        session_id = %session,
        reason = ending.reason.as_str(),
        "session may have ended"
    );
}

/// The line of a panic: where, and not what it says, which may quote the request.
pub fn panicked(panic: &PanicHookInfo<'_>) {
    tracing::error!(location = panic.location().map(tracing::field::display), "panicked");
}
