//! The handlers of the endpoints, and what they share: access, the caller's own record, and lists.

mod admin;
mod authorizer;
mod bulk;
mod me;
mod service;
mod sign_in;

use super::App;
use super::endpoint::{Access, Endpoint, Name};
use super::problem::Problem;
use super::query::{Cursor, LIMIT_DEFAULT, ListQuery};
use super::request::{RequestContext, SessionHeader};
use super::response::{Answer, Audience, SessionView};
use crate::auth::TokenRole;
use crate::config::RoleSource;
use crate::session::{Policy, Session, SessionId, Sid, UserId};
use crate::store::{Page, TokenSession, UserSessions};
pub use authorizer::{AuthorizerAnswer, AuthorizerError};

/// The caller's own sessions, read once for a request.
#[derive(Debug)]
struct CurrentUser {
    /// The caller's profile and open sessions.
    sessions: UserSessions,
    /// The live session of the caller's token; `None` while the token belongs to no session.
    token_session: Option<SessionId>,
    /// The token's session, or else the one that the client's header or user agent points to. It only helps the user
    /// along; whatever others rely on asks for `token_session`.
    current: Option<SessionId>,
}

impl CurrentUser {
    fn session(&self, id: Option<SessionId>) -> Option<&Session> {
        self.sessions.session(id?)
    }
}

impl App {
    /// Refuses what the token's claims alone do not allow. This needs no read.
    pub(super) fn check_claims(
        &self,
        endpoint: &Endpoint,
        request: &RequestContext<'_>,
    ) -> Result<(), Problem> {
        let role = request.caller.role;
        if endpoint.access == Access::Service && role != TokenRole::Service {
            return Err(Problem::service_only());
        }
        let needs_sid = self.require_sid && role != TokenRole::Service && endpoint.name != Name::SignIn;
        if needs_sid && request.caller.sid == Sid::Absent {
            return Err(Problem::sid_required());
        }
        if self.may_use(endpoint.access, role) { Ok(()) } else { Err(Problem::admin_only(request.action())) }
    }

    /// Whether a token with this role may use an endpoint with this access. With roles in the table, only a read can say
    /// who is an admin. The role of a service always comes from the token, and no service is an admin.
    fn may_use(&self, access: Access, role: TokenRole) -> bool {
        let may_be_admin = match self.role_source {
            RoleSource::Token => role == TokenRole::Admin,
            RoleSource::Table => role != TokenRole::Service,
        };
        match access {
            Access::User => true,
            Access::Admin => may_be_admin,
            Access::AdminOrService => may_be_admin || role == TokenRole::Service,
            Access::Service => role == TokenRole::Service,
        }
    }

    /// Runs `read` for an admin or a service. An admin's own record and the target are read at the same time, so that
    /// the request stays one round trip deep; with roles in the table, the admin's record is read first. An admin whose
    /// session is over never sees the outcome of `read`. The token of a service belongs to no session, so no record of
    /// the service is read. No admin may be one of the `targets`.
    async fn read_as_staff<T>(
        &self,
        request: &RequestContext<'_>,
        targets: &[UserId],
        read: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        if request.is_service() {
            return read.await;
        }
        if self.role_source == RoleSource::Table {
            if !self.current_user(request).await?.sessions.has_role(&self.admin_role) {
                return Err(Problem::admin_only(request.action()));
            }
            check_other_users(request, targets)?;
            return read.await;
        }
        check_other_users(request, targets)?;
        if request.caller.sid == Sid::Foreign {
            return Err(Problem::session_ended());
        }
        let (caller, outcome) = tokio::join!(self.current_user(request), read);
        caller.and(outcome)
    }

    /// Reads the caller's sessions, and refuses the request when the session of the caller's token is over. Every route
    /// of users and admins comes through here.
    async fn current_user(&self, request: &RequestContext<'_>) -> Result<CurrentUser, Problem> {
        let caller = self.store.caller_sessions(request.user(), &request.token(), request.now).await?;
        let (token_session, current) = match caller.token {
            TokenSession::Ended => return Err(Problem::session_ended()),
            TokenSession::Live(id) => (Some(id), Some(id)),
            TokenSession::Unbound => (None, stand_in(&caller.sessions, request, self.store.policy())),
        };
        Ok(CurrentUser { sessions: caller.sessions, token_session, current })
    }

    /// The session as admins see it at the time of the request.
    fn view<'s>(&self, session: &'s Session, request: &RequestContext<'_>) -> SessionView<'s> {
        SessionView::new(session, request.now, self.store.policy(), Audience::Staff)
    }

    /// Reads a page of live and ended sessions.
    async fn history_page(&self, user: &UserId, list: &ListQuery) -> Result<Page, Problem> {
        Ok(self.store.history(user, list.after, list.limit.unwrap_or(LIMIT_DEFAULT)).await?)
    }

    /// A page of the live sessions.
    fn live_page(&self, sessions: &UserSessions, list: &ListQuery, request: &RequestContext<'_>) -> Page {
        let older = |session: &&Session| list.after.is_none_or(|after| session.id < after);
        let live = sessions.live(request.now, self.store.policy()).filter(older).cloned();
        Page::of(live.collect(), list.limit.unwrap_or(usize::MAX))
    }

    /// Answers with a page of the list of `user` at `path`.
    fn list_answer<'p>(
        &self,
        page: &'p Page,
        path: &str,
        user: &UserId,
        list: &ListQuery,
        view: impl Fn(&'p Session) -> SessionView<'p>,
    ) -> Result<Answer, Problem> {
        let views: Vec<_> = page.sessions.iter().map(view).collect();
        self.metrics.add("SessionsListed", views.len() as f64);
        let next = page.next.map(|after| {
            let (inactive, limit) = (list.include_inactive, list.limit.unwrap_or(LIMIT_DEFAULT));
            let cursor = Cursor::new(user, after);
            format!("{path}?include_inactive={inactive}&limit={limit}&cursor={cursor}")
        });
        Ok(Answer::ok(&views)?.with_next_page(next))
    }
}

/// Refuses admins who ask for their own sessions: other routes are for those.
fn check_other_users(request: &RequestContext<'_>, targets: &[UserId]) -> Result<(), Problem> {
    if targets.contains(request.user()) { Err(Problem::own_sessions()) } else { Ok(()) }
}

/// The live session that stands in for the session of an unbound token: the one that the `X-Session-Id` header names,
/// or without that header the only live session with the same user agent. It is never just the latest session.
fn stand_in(sessions: &UserSessions, request: &RequestContext<'_>, policy: &Policy) -> Option<SessionId> {
    let mut live = sessions.live(request.now, policy);
    match request.session_header() {
        SessionHeader::Session(id) => live.find(|session| session.id == id).map(|session| session.id),
        SessionHeader::Invalid => None,
        SessionHeader::Absent => {
            let agent = request.user_agent_digest()?;
            only(live.filter(|session| session.identity.user_agent == Some(agent))).map(|session| session.id)
        }
    }
}

/// The item of an iterator that has exactly one.
fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    items.next().filter(|_| items.next().is_none())
}
