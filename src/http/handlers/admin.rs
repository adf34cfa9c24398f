//! What admins do with other users' sessions.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::App;
use super::super::problem::Problem;
use super::super::query::ListQuery;
use super::super::request::RequestContext;
use super::super::response::{Answer, EndedAllView, EndedView};
use crate::auth::Sid;
use crate::config::{RoleSource, UnknownUsers};
use crate::session::{EndReason, UserId};
use crate::store::{Page, UserSessions};

/// The characters that a path segment may contain as they are (RFC 3986 section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What an admin wants to do, as the refusal says it.
#[derive(Clone, Copy)]
enum Action {
    View,
    End,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::End => "end",
        }
    }
}

impl App {
    /// Handles `GET /sessions/user/{user_id}`.
    pub(in super::super) async fn list_user_sessions(
        &self,
        request: &RequestContext<'_>,
    ) -> Result<Answer, Problem> {
        let user = request.path_user()?;
        let list = request.query().list(&user)?;
        let page = self.user_page(&user, &list, request);
        let page = self.read_as_admin(request, &user, Action::View, page).await?;
        let path = format!("/sessions/user/{}", utf8_percent_encode(user.as_str(), SEGMENT));
        self.list_answer(&page, &path, &user, &list, |session| self.view(session, request))
    }

    async fn user_page(
        &self,
        user: &UserId,
        list: &ListQuery,
        request: &RequestContext<'_>,
    ) -> Result<Page, Problem> {
        if !list.include_inactive {
            let sessions = self.known_user(self.store.user_sessions(user).await?)?;
            return Ok(self.live_page(&sessions, list, request));
        }
        if self.unknown_users == UnknownUsers::Empty {
            return self.history_page(user, list).await;
        }
        let (page, profile) = tokio::join!(self.history_page(user, list), self.store.profile(user));
        match (page?, profile?) {
            (page, None) if page.sessions.is_empty() => Err(Problem::unknown_user()),
            (page, _) => Ok(page),
        }
    }

    /// Handles `DELETE /sessions/user/{user_id}/session/{session_id}`.
    pub(in super::super) async fn end_user_session(
        &self,
        request: &RequestContext<'_>,
    ) -> Result<Answer, Problem> {
        let (user, id, note) = (request.path_user()?, request.path_session()?, request.query().reason()?);
        self.read_as_admin(request, &user, Action::End, async { Ok(()) }).await?;
        let termination = request.termination(EndReason::RevokedByAdmin, note);
        match self.store.end(&user, id, &termination).await? {
            Some(ended) => Answer::ok(&EndedView::new(&ended, self.view(&ended.session, request))),
            None => Err(self.nothing_to_end(&user).await?),
        }
    }

    /// Handles `DELETE /sessions/user/{user_id}`.
    pub(in super::super) async fn end_user_sessions(
        &self,
        request: &RequestContext<'_>,
    ) -> Result<Answer, Problem> {
        let (user, query) = (request.path_user()?, request.query());
        let (dry_run, note) = (query.flag("dry_run")?, query.reason()?);
        let sessions = async { self.known_user(self.store.user_sessions(&user).await?) };
        let sessions = self.read_as_admin(request, &user, Action::End, sessions).await?;
        if dry_run {
            let live = sessions.live(request.now, self.store.policy());
            let views = live.map(|session| self.view(session, request)).collect();
            return Answer::ok(&EndedAllView::would_end(views));
        }
        let termination = request.termination(EndReason::RevokedByAdmin, note);
        let ended = self.store.end_all(&user, Some(sessions), None, &termination).await?;
        Answer::ok(&EndedAllView::ended(ended.iter().map(|session| self.view(session, request)).collect()))
    }

    /// Admits the caller as an admin for the sessions of `user`, and runs `read`. A caller whom the token's claims refuse
    /// causes no read at all. Otherwise the caller's own record and the target are read at the same time, so that the
    /// request stays one round trip deep. With roles in the table, the caller's record is read first. The caller never
    /// sees the outcome of `read` without being admitted.
    async fn read_as_admin<T>(
        &self,
        request: &RequestContext<'_>,
        user: &UserId,
        action: Action,
        read: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        if self.role_source == RoleSource::Table {
            let roles = self.own_sessions(request).await?.profile.map(|profile| profile.roles);
            let is_admin = roles.is_some_and(|roles| roles.contains(&self.admin_role));
            admit(is_admin, request, user, action)?;
            return read.await;
        }
        admit(request.caller.admin_by_token, request, user, action)?;
        let (admitted, outcome) = tokio::join!(self.check_own_session(request), read);
        admitted.and(outcome)
    }

    /// Refuses the request when the session that the token names is over.
    async fn check_own_session(&self, request: &RequestContext<'_>) -> Result<(), Problem> {
        match request.caller.sid {
            Sid::Absent => Ok(()),
            _ => self.own_sessions(request).await.map(drop),
        }
    }

    /// The sessions of a user. An unknown user is an error where every user is registered.
    fn known_user(&self, sessions: UserSessions) -> Result<UserSessions, Problem> {
        match sessions.is_known() || self.unknown_users == UnknownUsers::Empty {
            true => Ok(sessions),
            false => Err(Problem::unknown_user()),
        }
    }

    /// Why there was no session to end: there is no such user, where that counts, or no such session.
    async fn nothing_to_end(&self, user: &UserId) -> Result<Problem, Problem> {
        let counts = self.unknown_users == UnknownUsers::NotFound;
        let unknown = counts && self.store.profile(user).await?.is_none();
        Ok(if unknown { Problem::unknown_user() } else { Problem::unknown_session() })
    }
}

fn admit(is_admin: bool, request: &RequestContext<'_>, user: &UserId, action: Action) -> Result<(), Problem> {
    match is_admin {
        false => Err(Problem::admin_only(action.as_str())),
        true if request.user() == user => Err(Problem::own_sessions()),
        true => Ok(()),
    }
}
