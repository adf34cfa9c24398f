//! What admins do with other users' sessions. Services may do some of it too.

use std::slice;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::App;
use super::super::problem::Problem;
use super::super::query::ListQuery;
use super::super::request::RequestContext;
use super::super::response::{Answer, EndedAllView, EndedView};
use crate::config::UnknownUsers;
use crate::session::UserId;
use crate::store::{EndAll, Page, UserSessions};
use crate::telemetry::log;

/// The characters that a path segment may contain as they are (RFC 3986 section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl App {
    /// Handles `GET /sessions/user/{user_id}`.
    pub(in super::super) async fn list_user_sessions(
        &self,
        request: &RequestContext<'_>,
    ) -> Result<Answer, Problem> {
        let user = request.path_user()?;
        let list = request.query().list(&user)?;
        let page = self.user_page(&user, &list, request);
        let page = self.read_as_staff(request, slice::from_ref(&user), page).await?;
        log::audit_viewed(request.user(), &user);
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

    /// Handles `GET /sessions/user/{user_id}/session/{session_id}`.
    pub(in super::super) async fn user_session(
        &self,
        request: &RequestContext<'_>,
    ) -> Result<Answer, Problem> {
        let (user, id) = (request.path_user()?, request.path_session()?);
        let session = async { Ok(self.store.session(&user, id).await?) };
        match self.read_as_staff(request, slice::from_ref(&user), session).await? {
            Some(session) => {
                log::audit_viewed(request.user(), &user);
                Answer::ok(&self.view(&session, request))
            }
            None => Err(self.no_such_session(&user).await?),
        }
    }

    /// Handles `DELETE /sessions/user/{user_id}/session/{session_id}`.
    pub(in super::super) async fn end_user_session(
        &self,
        request: &RequestContext<'_>,
    ) -> Result<Answer, Problem> {
        let (user, id, note) = (request.path_user()?, request.path_session()?, request.reason_only()?);
        self.read_as_staff(request, slice::from_ref(&user), async { Ok(()) }).await?;
        match self.store.end(&user, id, &request.revocation(note)).await? {
            Some(ended) => Answer::ok(&EndedView::new(&ended, self.view(&ended.session, request))),
            None => Err(self.no_such_session(&user).await?),
        }
    }

    /// Handles `DELETE /sessions/user/{user_id}`.
    pub(in super::super) async fn end_user_sessions(
        &self,
        request: &RequestContext<'_>,
    ) -> Result<Answer, Problem> {
        let (user, query) = (request.path_user()?, request.query().only(&["dry_run", "reason"])?);
        let (dry_run, note) = (query.flag("dry_run")?, query.reason()?);
        let sessions = async { self.known_user(self.store.user_sessions(&user).await?) };
        let sessions = self.read_as_staff(request, slice::from_ref(&user), sessions).await?;
        if dry_run {
            return self.dry_run_answer(request, &user, &sessions);
        }
        let what = EndAll { termination: request.revocation(note), keep: None };
        let ended = self.store.end_all(&user, Some(sessions), &what, request.clock).await?;
        Answer::ok(&EndedAllView::ended(ended.iter().map(|session| self.view(session, request)).collect()))
    }

    fn dry_run_answer(
        &self,
        request: &RequestContext<'_>,
        user: &UserId,
        sessions: &UserSessions,
    ) -> Result<Answer, Problem> {
        let live: Vec<_> = sessions.live(request.now, self.store.policy()).collect();
        let ids: Vec<_> = live.iter().map(|session| session.id).collect();
        log::audit_dry_run(request.user(), user, &ids);
        let views = live.into_iter().map(|session| self.view(session, request)).collect();
        Answer::ok(&EndedAllView::would_end(views))
    }

    /// The sessions of a user. An unknown user is an error where every user is registered.
    fn known_user(&self, sessions: UserSessions) -> Result<UserSessions, Problem> {
        match sessions.is_known() || self.unknown_users == UnknownUsers::Empty {
            true => Ok(sessions),
            false => Err(Problem::unknown_user()),
        }
    }

    /// Why no session was found: the user is unknown (if the settings ask for that), or the session is unknown.
    pub(super) async fn no_such_session(&self, user: &UserId) -> Result<Problem, Problem> {
        let counts = self.unknown_users == UnknownUsers::NotFound;
        let unknown = counts && self.store.profile(user).await?.is_none();
        Ok(if unknown { Problem::unknown_user() } else { Problem::unknown_session() })
    }
}
