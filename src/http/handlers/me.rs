//! What users do with their own sessions.

use lambda_http::http::StatusCode;
use serde::Serialize;

use super::super::App;
use super::super::problem::Problem;
use super::super::request::RequestContext;
use super::super::response::{Answer, Audience, EndedAllView, EndedView, SessionView};
use super::CurrentUser;
use super::sign_in::{SignInBody, SignedInView, new_session};
use crate::session::{EndReason, Note, Session, SessionId, SignInKey};
use crate::store::{EndAll, Kept, NewSession};

/// The outcome of signing out everywhere. Existing clients read `logged_out_count`.
#[derive(Debug, Serialize)]
struct LoggedOutView<'a> {
    #[serde(flatten)]
    all: EndedAllView<'a>,
    logged_out_count: usize,
}

/// The number of live sessions, under both names that clients use.
#[derive(Debug, Serialize)]
struct DeviceCount {
    active_devices: usize,
    count: usize,
}

impl App {
    /// Handles `POST /sessions/create`.
    pub(in super::super) async fn sign_in(&self, request: &RequestContext<'_>) -> Result<Answer, Problem> {
        let body = SignInBody::parse(&mut request.json_body()?)?;
        let user = request.user();
        let new = NewSession {
            ip_address: request.ip_address().into(),
            key: SignInKey::Token(request.token()),
            ..new_session(request, user, &request.client_hints(), &body)?
        };
        let signed_in = self.store.sign_in(&new, request.now).await?;
        let signed_in = signed_in.ok_or_else(Problem::session_ended)?;
        let status = if signed_in.refreshed { StatusCode::OK } else { StatusCode::CREATED };
        let session = self.own_view(&signed_in.session, Some(signed_in.session.id), request);
        Answer::json(status, &SignedInView { session, evicted: &signed_in.evicted })
    }

    /// Handles `GET /sessions/current`.
    pub(in super::super) async fn current_session(
        &self,
        request: &RequestContext<'_>,
    ) -> Result<Answer, Problem> {
        // Others rely on this answer, so a client's header or user agent never counts here.
        let me = self.current_user(request).await?;
        let session = me.session(me.token_session).ok_or_else(Problem::no_current_session)?;
        Answer::ok(&self.own_view(session, me.token_session, request))
    }

    /// Handles `GET /sessions/my-sessions`.
    pub(in super::super) async fn my_sessions(
        &self,
        request: &RequestContext<'_>,
    ) -> Result<Answer, Problem> {
        let user = request.user();
        let list = request.query().list(user)?;
        let (me, page) = match list.include_inactive {
            true => {
                let (me, page) = tokio::join!(self.current_user(request), self.history_page(user, &list));
                (me?, page?)
            }
            false => {
                let me = self.current_user(request).await?;
                let page = self.live_page(&me.sessions, &list, request);
                (me, page)
            }
        };
        let view = |session| self.own_view(session, me.current, request);
        self.list_answer(&page, "/sessions/my-sessions", user, &list, view)
    }

    /// Handles `GET /sessions/session/{session_id}`.
    pub(in super::super) async fn my_session(&self, request: &RequestContext<'_>) -> Result<Answer, Problem> {
        let id = request.path_session()?;
        let (me, session) = tokio::join!(self.current_user(request), self.store.session(request.user(), id));
        let (me, session) = (me?, session?.ok_or_else(Problem::unknown_session)?);
        Answer::ok(&self.own_view(&session, me.current, request))
    }

    /// Handles `DELETE /sessions/session/{session_id}`.
    pub(in super::super) async fn end_my_session(
        &self,
        request: &RequestContext<'_>,
    ) -> Result<Answer, Problem> {
        let (id, note) = (request.path_session()?, request.reason_only()?);
        let me = self.current_user(request).await?;
        self.end_own(request, &me, id, EndReason::RevokedByUser, note).await
    }

    /// Handles `DELETE /sessions/logout`.
    pub(in super::super) async fn logout(&self, request: &RequestContext<'_>) -> Result<Answer, Problem> {
        let note = request.reason_only()?;
        let me = self.current_user(request).await?;
        let id = me.current.ok_or_else(Problem::nothing_to_log_out)?;
        self.end_own(request, &me, id, EndReason::Logout, note).await
    }

    async fn end_own(
        &self,
        request: &RequestContext<'_>,
        me: &CurrentUser,
        id: SessionId,
        reason: EndReason,
        note: Option<Note>,
    ) -> Result<Answer, Problem> {
        let ended = self.store.end(request.user(), id, &request.termination(reason, note)).await?;
        let ended = ended.ok_or_else(Problem::unknown_session)?;
        Answer::ok(&EndedView::new(&ended, self.own_view(&ended.session, me.current, request)))
    }

    /// Handles `DELETE /sessions/logout-all`.
    pub(in super::super) async fn logout_all(&self, request: &RequestContext<'_>) -> Result<Answer, Problem> {
        let query = request.query().only(&["exclude_current", "reason"])?;
        let (exclude_current, note) = (query.flag("exclude_current")?, query.reason()?);
        let me = self.current_user(request).await?;
        let keep = match (exclude_current, me.current) {
            (false, _) => None,
            // An unbound token is bound to the session that stays. Otherwise it would be refused from now on.
            (true, Some(session)) => {
                Some(Kept { session, bind: me.token_session.is_none().then(|| request.token()) })
            }
            (true, None) => return Err(Problem::current_session_unknown()),
        };
        let what = EndAll { termination: request.termination(EndReason::LogoutAll, note), keep };
        let ended = self.store.end_all(request.user(), Some(me.sessions), &what, request.clock).await?;
        let views = ended.iter().map(|session| self.own_view(session, me.current, request)).collect();
        let all = EndedAllView::ended(views);
        Answer::ok(&LoggedOutView { all, logged_out_count: ended.len() })
    }

    /// Handles `GET /sessions/active-devices-count`.
    pub(in super::super) async fn count_devices(
        &self,
        request: &RequestContext<'_>,
    ) -> Result<Answer, Problem> {
        let me = self.current_user(request).await?;
        let live = me.sessions.live(request.now, self.store.policy()).count();
        Answer::ok(&DeviceCount { active_devices: live, count: live })
    }

    /// Handles `POST /sessions/update-activity`.
    pub(in super::super) async fn record_activity(
        &self,
        request: &RequestContext<'_>,
    ) -> Result<Answer, Problem> {
        // Some clients send an empty object, or the body of their sign-in. Neither says anything here.
        request.json_body()?;
        let me = self.current_user(request).await?;
        let current = me.session(me.current).ok_or_else(Problem::no_current_session)?;
        let session = self.store.record_activity(current, request.ip_address(), request.now).await?;
        // A termination between the read and the write wins.
        let session = session.filter(|session| session.is_live_at(request.now, self.store.policy()));
        let session = session.ok_or_else(Problem::session_ended)?;
        Answer::ok(&self.own_view(&session, me.current, request))
    }

    /// The session as its owner sees it. `current` is the session that the request comes from.
    fn own_view<'s>(
        &self,
        session: &'s Session,
        current: Option<SessionId>,
        request: &RequestContext<'_>,
    ) -> SessionView<'s> {
        let view = SessionView::new(session, request.now, self.store.policy(), Audience::Owner);
        view.current(Some(session.id) == current)
    }
}
