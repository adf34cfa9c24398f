//! The handlers of the endpoints, and what they share: admission, the caller's own record, and lists.

mod admin;
mod me;

use super::App;
use super::problem::Problem;
use super::query::{Cursor, LIMIT_DEFAULT, ListQuery};
use super::request::{RequestContext, SessionHeader};
use super::response::{Answer, SessionView};
use crate::auth::Sid;
use crate::session::{Policy, Session, SessionId, UserId};
use crate::store::{Page, UserSessions};

/// The caller's own sessions, read once for a request.
#[derive(Debug)]
struct CurrentUser {
    /// The caller's profile and open sessions.
    sessions: UserSessions,
    /// The live session that the request comes from, if it is known.
    current: Option<Session>,
}

impl CurrentUser {
    fn is_current(&self, id: SessionId) -> bool {
        self.current.as_ref().is_some_and(|current| current.id == id)
    }
}

impl App {
    /// Reads the caller's sessions and finds the one that the request comes from.
    async fn current_user(&self, request: &RequestContext<'_>) -> Result<CurrentUser, Problem> {
        let sessions = self.own_sessions(request).await?;
        let current = current_session(&sessions, request, self.store.policy()).cloned();
        Ok(CurrentUser { sessions, current })
    }

    /// Reads the caller's sessions. Refuses the request when the session that the token names is over.
    async fn own_sessions(&self, request: &RequestContext<'_>) -> Result<UserSessions, Problem> {
        if request.caller.sid == Sid::Foreign {
            return Err(Problem::session_ended());
        }
        let sessions = self.store.user_sessions(request.user()).await?;
        let is_live = |id| sessions.live(request.now, self.store.policy()).any(|session| session.id == id);
        match request.caller.sid {
            Sid::Session(id) if !is_live(id) => Err(Problem::session_ended()),
            _ => Ok(sessions),
        }
    }

    /// The session as it is at the time of the request.
    fn view<'s>(&self, session: &'s Session, request: &RequestContext<'_>) -> SessionView<'s> {
        SessionView::new(session, request.now, self.store.policy())
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

/// The live session that a request comes from. The first of these that is present decides, and a wrong one is not
/// replaced by the next: the token's `sid`, the `X-Session-Id` header, the token that opened the session, the only live
/// session with the same user agent. It is never just the latest session.
fn current_session<'s>(
    sessions: &'s UserSessions,
    request: &RequestContext<'_>,
    policy: &Policy,
) -> Option<&'s Session> {
    let live = || sessions.live(request.now, policy);
    let named = |id| live().find(|session| session.id == id);
    match (request.caller.sid, request.session_header()) {
        (Sid::Session(id), _) | (Sid::Absent, SessionHeader::Session(id)) => named(id),
        (Sid::Foreign, _) | (Sid::Absent, SessionHeader::Invalid) => None,
        (Sid::Absent, SessionHeader::Absent) => {
            let token = request.caller.token;
            let opened_with = |session: &&Session| token.is_some() && session.identity.token == token;
            live().find(opened_with).or_else(|| {
                let agent = request.user_agent_digest();
                let same_agent = |session: &&Session| agent.is_some() && session.identity.user_agent == agent;
                only(live().filter(same_agent))
            })
        }
    }
}

/// The item of an iterator that has exactly one.
fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    items.next().filter(|_| items.next().is_none())
}
