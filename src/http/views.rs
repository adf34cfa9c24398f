//! What answers show of a session. Views list the allowed fields; a stored item is never sent to a client as it is.

use chrono::SecondsFormat;
use serde::Serialize;

use crate::session::{
    DeviceType, EndReason, Location, Note, Policy, Session, SessionId, Termination, Timestamp, UserId,
};
use crate::store::EndedSession;

/// A session in an answer.
#[derive(Debug, Serialize)]
pub struct SessionView<'a> {
    id: SessionId,
    user_id: &'a UserId,
    device_name: &'a str,
    device_type: DeviceType,
    browser: &'a str,
    os: &'a str,
    ip_address: &'a str,
    location: Option<&'a str>,
    signed_in_ip: &'a str,
    created_at: String,
    last_activity: String,
    expires_at: String,
    is_active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_current: Option<bool>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    receipt: Option<Receipt>,
}

/// The people who see a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    /// The user who owns the session. What an admin or a service wrote about its end, and who they are, is hidden.
    Owner,
    /// Admins and services.
    Staff,
}

/// How a session ended. A field that is not known, or not shown, is `null`.
#[derive(Debug, Serialize)]
struct Receipt {
    ended_at: String,
    ended_by: Option<UserId>,
    end_reason: EndReason,
    end_note: Option<Note>,
}

impl<'a> SessionView<'a> {
    /// The session at `now`, as admins and services see it.
    pub fn for_staff(session: &'a Session, now: Timestamp, policy: &Policy) -> Self {
        Self::new(session, now, policy, Audience::Staff)
    }

    /// The session at `now`, as its owner sees it. `current` is the session that the request comes from.
    pub fn for_owner(
        session: &'a Session,
        current: Option<SessionId>,
        now: Timestamp,
        policy: &Policy,
    ) -> Self {
        let view = Self::new(session, now, policy, Audience::Owner);
        Self { is_current: Some(current == Some(session.id)), ..view }
    }

    fn new(session: &'a Session, now: Timestamp, policy: &Policy, audience: Audience) -> Self {
        let termination = session.termination(now, policy);
        Self {
            id: session.id,
            user_id: &session.user_id,
            device_name: &session.device.name,
            device_type: session.device.kind,
            browser: &session.device.browser,
            os: &session.device.os,
            ip_address: &session.ip_address,
            location: session.location.as_ref().map(Location::as_str),
            signed_in_ip: &session.signed_in_ip,
            created_at: rfc3339(session.created_at),
            last_activity: rfc3339(session.last_activity),
            expires_at: rfc3339(session.deadline(policy)),
            is_active: termination.is_none(),
            is_current: None,
            receipt: termination.map(|termination| Receipt::new(termination, &session.user_id, audience)),
        }
    }
}

impl Receipt {
    fn new(termination: Termination, owner: &UserId, audience: Audience) -> Self {
        let is_shown = audience == Audience::Staff || termination.by.as_ref() == Some(owner);
        Self {
            ended_at: rfc3339(termination.at),
            ended_by: termination.by.filter(|_| is_shown),
            end_reason: termination.reason,
            end_note: termination.note.filter(|_| is_shown),
        }
    }
}

/// RFC 3339 in UTC, with the milliseconds that the table keeps.
pub fn rfc3339(time: Timestamp) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The outcome of ending one session.
#[derive(Debug, Serialize)]
pub struct EndedView<'a> {
    success: bool,
    message: &'a str,
    session: SessionView<'a>,
}

impl<'a> EndedView<'a> {
    pub fn new(ended: &EndedSession, session: SessionView<'a>) -> Self {
        let message =
            if ended.first { "The session has been ended" } else { "The session had already ended" };
        Self { success: true, message, session }
    }
}

/// The outcome of ending all sessions of a user.
#[derive(Debug, Serialize)]
pub struct EndedAllView<'a> {
    success: bool,
    message: String,
    revoked: usize,
    sessions: Vec<SessionView<'a>>,
}

impl<'a> EndedAllView<'a> {
    /// These sessions have ended.
    pub fn ended(sessions: Vec<SessionView<'a>>) -> Self {
        let message = format!("{} ended", count(sessions.len()));
        Self { success: true, message, revoked: sessions.len(), sessions }
    }

    /// These sessions would end, and have not.
    pub fn would_end(sessions: Vec<SessionView<'a>>) -> Self {
        let message = format!("{} would end", count(sessions.len()));
        Self { success: true, message, revoked: 0, sessions }
    }
}

/// How many sessions of a user ended. In a dry run, how many would end.
#[derive(Clone, Debug, Serialize)]
pub struct EndedUser {
    pub user_id: UserId,
    pub revoked: usize,
}

/// A session of a user.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct NamedSession {
    pub user_id: UserId,
    pub session_id: SessionId,
}

/// What a request to end many sessions did, or would do, to one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Fate {
    Ended,
    WouldEnd,
    AlreadyEnded,
    NotFound,
}

/// What came of one of many sessions, with its receipt if it is over.
#[derive(Debug, Serialize)]
pub struct SessionOutcome {
    #[serde(flatten)]
    session: NamedSession,
    outcome: Fate,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    receipt: Option<Receipt>,
}

impl SessionOutcome {
    pub fn ended(session: NamedSession, receipt: Termination) -> Self {
        Self { outcome: Fate::Ended, ..Self::already_ended(session, receipt) }
    }

    /// It was over before, and keeps its first receipt.
    pub fn already_ended(session: NamedSession, receipt: Termination) -> Self {
        let receipt = Receipt::new(receipt, &session.user_id, Audience::Staff);
        Self { session, outcome: Fate::AlreadyEnded, receipt: Some(receipt) }
    }

    pub fn would_end(session: NamedSession) -> Self {
        Self { session, outcome: Fate::WouldEnd, receipt: None }
    }

    /// The user has no session with this id.
    pub fn not_found(session: NamedSession) -> Self {
        Self { session, outcome: Fate::NotFound, receipt: None }
    }

    /// Whether this request ended it, or would end it.
    pub fn is_of_this_request(&self) -> bool {
        matches!(self.outcome, Fate::Ended | Fate::WouldEnd)
    }
}

/// "1 session", "2 sessions"
pub fn count(sessions: usize) -> String {
    if sessions == 1 { "1 session".into() } else { format!("{sessions} sessions") }
}
