//! Who may do what: the one place that decides it, for the handlers and for the authorizer.
//!
//! [`check_claims`] judges by the token alone, before anything is read. [`caller_sessions`] refuses a token whose session
//! is over or whose user is locked. [`check_staff`] and [`read_as_staff`] judge those who act on other users' sessions.

use super::app::App;
use super::problem::Problem;
use super::request::{RequestContext, SessionHeader};
use crate::auth::{Caller, RoleSource, TokenRole};
use crate::session::{Policy, Session, SessionId, Sid, Timestamp, UserId};
use crate::store::{TokenSession, UserSessions};

/// The callers that may use an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Every authenticated user, about their own sessions. `REQUIRE_SID` asks for a token with a session.
    User,
    /// Every authenticated user, who may have no session yet.
    NewUser,
    /// Admins, about other users' sessions.
    Admin,
    /// Admins, and the back ends that have the service role.
    AdminOrService,
    /// The back ends that have the service role.
    Service,
}

impl Access {
    /// Whether it is about the caller's own sessions only.
    pub fn is_own(self) -> bool {
        matches!(self, Self::User | Self::NewUser)
    }
}

/// The sessions of a caller whose token is still good.
#[derive(Debug)]
pub struct CallerSessions {
    /// The caller's profile and open sessions.
    pub sessions: UserSessions,
    /// The live session of the caller's token; `None` while the token belongs to no session.
    pub token_session: Option<SessionId>,
}

/// The caller's own sessions, read once for a request.
#[derive(Debug)]
pub struct CurrentUser {
    /// The caller's profile and open sessions.
    pub sessions: UserSessions,
    /// The live session of the caller's token; `None` while the token belongs to no session.
    pub token_session: Option<SessionId>,
    /// The token's session, or else the live one that the `X-Session-Id` header names. It marks "this device" in a list;
    /// whatever others rely on asks for `token_session`.
    pub current: Option<SessionId>,
}

impl CurrentUser {
    /// The open session with this id.
    pub fn session(&self, id: Option<SessionId>) -> Option<&Session> {
        self.sessions.session(id?)
    }

    /// The current session, or else the one that the request seems to come from: without a header, the only live session
    /// with the same user agent. It is never just the latest session.
    pub fn inferred(&self, request: &RequestContext<'_>, policy: &Policy) -> Option<SessionId> {
        let same_agent = || {
            let agent = request.user_agent_digest()?;
            let live = self.sessions.live(request.now, policy);
            exactly_one(live.filter(|session| session.identity.user_agent == Some(agent)))
        };
        match request.session_header() {
            SessionHeader::Absent => self.current.or_else(|| same_agent().map(|session| session.id)),
            SessionHeader::Session(_) | SessionHeader::Invalid => self.current,
        }
    }
}

/// Refuses what the token's claims alone do not allow. This needs no read. `action` is what the caller wants to do.
pub fn check_claims(app: &App, access: Access, caller: &Caller, action: &str) -> Result<(), Problem> {
    let is_service = caller.role == TokenRole::Service;
    if access == Access::Service && !is_service {
        return Err(Problem::service_only());
    }
    let needs_session = app.require_sid && !is_service && access != Access::NewUser;
    if needs_session && caller.sid == Sid::Absent && caller.provider_session.is_none() {
        return Err(Problem::sid_required());
    }
    // With roles in the table, only a read can say who is an admin. The role of a service always comes from the token,
    // and no service is an admin.
    let may_be_admin = match app.role_source {
        RoleSource::Token => caller.role == TokenRole::Admin,
        RoleSource::Table => !is_service,
    };
    let is_allowed = match access {
        Access::User | Access::NewUser => true,
        Access::Admin => may_be_admin,
        Access::AdminOrService => may_be_admin || is_service,
        Access::Service => is_service,
    };
    if is_allowed { Ok(()) } else { Err(Problem::admin_only(action)) }
}

/// Reads the caller's sessions, and refuses a token whose user is locked or whose session is over. Every route of users and admins comes through
/// here, and so does the authorizer.
pub async fn caller_sessions(app: &App, caller: &Caller, now: Timestamp) -> Result<CallerSessions, Problem> {
    let found = app.store.caller_sessions(&caller.user_id, &caller.token(), now).await?;
    if let Some(lock) = found.sessions.lock(now) {
        return Err(Problem::user_locked(lock));
    }
    let token_session = match found.token {
        TokenSession::Ended => return Err(Problem::session_ended()),
        TokenSession::Live(id) => Some(id),
        TokenSession::Unbound => None,
    };
    Ok(CallerSessions { sessions: found.sessions, token_session })
}

/// Whether the caller is an admin.
pub fn is_admin(app: &App, caller: &Caller, sessions: &UserSessions) -> bool {
    match app.role_source {
        RoleSource::Token => caller.role == TokenRole::Admin,
        RoleSource::Table => sessions.has_role(&app.admin_role),
    }
}

/// The caller's sessions, with the current one as far as the token or the client says it.
pub async fn current_user(app: &App, request: &RequestContext<'_>) -> Result<CurrentUser, Problem> {
    let CallerSessions { sessions, token_session } =
        caller_sessions(app, &request.caller, request.now).await?;
    let current = token_session.or_else(|| match request.session_header() {
        SessionHeader::Session(id) => {
            sessions.live(request.now, app.policy()).find(|each| each.id == id).map(|each| each.id)
        }
        SessionHeader::Invalid | SessionHeader::Absent => None,
    });
    Ok(CurrentUser { sessions, token_session, current })
}

/// Refuses everybody but a service, whose token belongs to no session, and an admin who is not one of the `targets` and
/// whose session is live.
pub async fn check_staff(app: &App, request: &RequestContext<'_>, targets: &[UserId]) -> Result<(), Problem> {
    if request.is_service() {
        return Ok(());
    }
    if app.role_source == RoleSource::Token {
        check_other_users(request, targets)?;
        return current_user(app, request).await.map(drop);
    }
    let me = current_user(app, request).await?;
    if !is_admin(app, &request.caller, &me.sessions) {
        return Err(Problem::admin_only(request.action()));
    }
    check_other_users(request, targets)
}

/// Runs `read` for a caller whom [`check_staff`] lets through; nobody else sees its outcome. An admin's own sessions and
/// the target are read at the same time, so that the request stays one round trip deep. With roles in the table, the
/// admin's profile is read first.
pub async fn read_as_staff<T>(
    app: &App,
    request: &RequestContext<'_>,
    targets: &[UserId],
    read: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    if app.role_source == RoleSource::Table {
        check_staff(app, request, targets).await?;
        return read.await;
    }
    if !request.is_service() {
        check_other_users(request, targets)?;
        if request.caller.sid == Sid::Foreign {
            return Err(Problem::session_ended());
        }
    }
    let (allowed, outcome) = tokio::join!(check_staff(app, request, targets), read);
    allowed.and(outcome)
}

/// Refuses admins who ask for their own sessions: other routes are for those.
fn check_other_users(request: &RequestContext<'_>, targets: &[UserId]) -> Result<(), Problem> {
    if targets.contains(request.user()) { Err(Problem::own_sessions()) } else { Ok(()) }
}

/// The item of an iterator that has exactly one.
fn exactly_one<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    items.next().filter(|_| items.next().is_none())
}
