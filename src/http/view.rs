//! What leaves the service: lists of allowed fields. A stored item never serialises straight to a client.

use jiff::Timestamp;
use serde::Serialize;

use crate::session::{DeviceType, EndReason, Note, Policy, Session, SessionId, UserId};
use crate::store::End;

/// A session in an answer.
#[derive(Debug, Serialize)]
pub(super) struct SessionView<'a> {
    id: SessionId,
    user_id: &'a UserId,
    device_name: &'a str,
    device_type: DeviceType,
    browser: &'a str,
    os: &'a str,
    ip_address: &'a str,
    created_at: String,
    last_activity: String,
    expires_at: String,
    is_active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_current: Option<bool>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    receipt: Option<Receipt>,
}

/// How a session ended; what is not known is `null`.
#[derive(Debug, Serialize)]
struct Receipt {
    ended_at: String,
    ended_by: Option<UserId>,
    end_reason: EndReason,
    end_note: Option<Note>,
}

impl<'a> SessionView<'a> {
    /// The session as it is at `now`.
    pub(super) fn new(session: &'a Session, now: Timestamp, policy: &Policy) -> Self {
        let ending = session.ending(now, policy);
        Self {
            id: session.id,
            user_id: &session.user_id,
            device_name: &session.device.name,
            device_type: session.device.kind,
            browser: &session.device.browser,
            os: &session.device.os,
            ip_address: &session.ip_address,
            created_at: rfc3339(session.created_at),
            last_activity: rfc3339(session.last_activity),
            expires_at: rfc3339(session.deadline(policy)),
            is_active: ending.is_none(),
            is_current: None,
            receipt: ending.map(|ending| Receipt {
                ended_at: rfc3339(ending.at),
                ended_by: ending.by,
                end_reason: ending.reason,
                end_note: ending.note,
            }),
        }
    }
}

impl SessionView<'_> {
    /// The same, saying whether the request comes from it.
    pub(super) fn current(self, is_current: bool) -> Self {
        Self { is_current: Some(is_current), ..self }
    }
}

/// RFC 3339 in UTC with milliseconds, which is what the table keeps.
fn rfc3339(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// The outcome of a sign-in.
#[derive(Debug, Serialize)]
pub(super) struct SignedInView<'a> {
    #[serde(flatten)]
    pub session: SessionView<'a>,
    pub evicted: &'a [SessionId],
}

/// The outcome of ending one session.
#[derive(Debug, Serialize)]
pub(super) struct Ended<'a> {
    success: bool,
    message: &'a str,
    session: SessionView<'a>,
}

impl<'a> Ended<'a> {
    pub(super) fn new(end: &End, session: SessionView<'a>) -> Self {
        let message = if end.first { "The session has been ended" } else { "The session had already ended" };
        Self { success: true, message, session }
    }
}

/// The outcome of ending many.
#[derive(Debug, Serialize)]
pub(super) struct EndedAll<'a> {
    success: bool,
    message: String,
    revoked: usize,
    sessions: Vec<SessionView<'a>>,
}

impl<'a> EndedAll<'a> {
    /// These have ended.
    pub(super) fn ended(sessions: Vec<SessionView<'a>>) -> Self {
        let message = format!("{} ended", count(sessions.len()));
        Self { success: true, message, revoked: sessions.len(), sessions }
    }

    /// These would end; none has.
    pub(super) fn would_end(sessions: Vec<SessionView<'a>>) -> Self {
        let message = format!("{} would end", count(sessions.len()));
        Self { success: true, message, revoked: 0, sessions }
    }
}

/// The outcome of signing out everywhere: the same, with the name that existing clients look for.
#[derive(Debug, Serialize)]
pub(super) struct LoggedOut<'a> {
    #[serde(flatten)]
    pub all: EndedAll<'a>,
    pub logged_out_count: usize,
}

/// How many devices are signed in, by both names that clients use.
#[derive(Debug, Serialize)]
pub(super) struct DeviceCount {
    pub active_devices: usize,
    pub count: usize,
}

/// "1 session", "2 sessions"
fn count(sessions: usize) -> String {
    if sessions == 1 { "1 session".into() } else { format!("{sessions} sessions") }
}
