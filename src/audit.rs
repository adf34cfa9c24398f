//! The audit log: one structured line an ending. The request's id comes from the span around it.
//! No address, no user agent, no note and no token: they are in the table, for those who may read it.

use crate::session::{Ending, SessionId, UserId};

/// Writes down that a session of `user` has ended.
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
