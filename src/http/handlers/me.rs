//! What users do with their own sessions.

use lambda_http::http::StatusCode;
use serde::Serialize;

use super::list::{history_page, list_answer, live_page};
use super::sign_in::{SignInBody, SignedInView, new_session};
use crate::http::access::{CurrentUser, current_user};
use crate::http::answer::Answer;
use crate::http::app::App;
use crate::http::problem::Problem;
use crate::http::request::RequestContext;
use crate::http::views::{EndedAllView, EndedView, SessionView};
use crate::session::{EndReason, Note, SessionId, SignInKey};
use crate::store::{EndAll, EndedSession, NotSignedIn};

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

/// Handles `POST /sessions/create`.
pub async fn sign_in(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    let body = SignInBody::parse(&mut request.json_body()?)?;
    let (origin, key) = (request.origin(), SignInKey::Token(request.token()));
    let new = new_session(request, request.user(), origin, key, &request.client_hints(), &body)?;
    let signed_in = app.store.sign_in(&new, request.clock).await?;
    let signed_in = signed_in.map_err(|refusal| match refusal {
        NotSignedIn::SessionOver => Problem::session_ended(),
        NotSignedIn::Locked(lock) => Problem::user_locked(&lock),
    })?;
    let status = if signed_in.refreshed { StatusCode::OK } else { StatusCode::CREATED };
    let id = Some(signed_in.session.id);
    let session = SessionView::for_owner(&signed_in.session, id, request.now, app.policy());
    Answer::json(status, &SignedInView { session, evicted: &signed_in.evicted })
}

/// Handles `GET /sessions/current`.
pub async fn current_session(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    // Others rely on this answer, so a client's header or user agent never counts here.
    let me = current_user(app, request).await?;
    let session = me.session(me.token_session).ok_or_else(Problem::no_current_session)?;
    Answer::ok(&SessionView::for_owner(session, me.token_session, request.now, app.policy()))
}

/// Handles `GET /sessions/my-sessions`.
pub async fn my_sessions(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    let user = request.user();
    let list = request.query().list(user)?;
    let (me, page) = if list.include_inactive {
        let (me, page) = tokio::join!(current_user(app, request), history_page(app, user, &list));
        (me?, page?)
    } else {
        let me = current_user(app, request).await?;
        let page = live_page(app, &me.sessions, &list, request);
        (me, page)
    };
    let view = |session| SessionView::for_owner(session, me.current, request.now, app.policy());
    list_answer(app, &page, &request.client_path("/sessions/my-sessions"), user, &list, view)
}

/// Handles `GET /sessions/session/{session_id}`.
pub async fn my_session(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    let id = request.path_session()?;
    let (me, session) = tokio::join!(current_user(app, request), app.store.session(request.user(), id));
    let (me, session) = (me?, session?.ok_or_else(Problem::unknown_session)?);
    Answer::ok(&SessionView::for_owner(&session, me.current, request.now, app.policy()))
}

/// Handles `DELETE /sessions/session/{session_id}`.
pub async fn end_my_session(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    let (id, note) = (request.path_session()?, request.reason_only()?);
    let me = current_user(app, request).await?;
    end_own(app, request, &me, id, EndReason::RevokedByUser, note).await
}

/// Handles `DELETE /sessions/logout`.
pub async fn logout(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    let note = request.reason_only()?;
    let me = current_user(app, request).await?;
    if let Some(id) = me.token_session {
        return end_own(app, request, &me, id, EndReason::Logout, note).await;
    }
    let id = me.inferred(request, app.policy()).ok_or_else(Problem::nothing_to_log_out)?;
    let (user, termination) = (request.user(), request.termination(EndReason::Logout, note));
    let ended = app.store.end_and_bind(user, id, &request.token(), &termination, request.clock).await?;
    ended_answer(app, request, &ended.ok_or_else(Problem::session_ended)?, Some(id))
}

async fn end_own(
    app: &App,
    request: &RequestContext<'_>,
    me: &CurrentUser,
    id: SessionId,
    reason: EndReason,
    note: Option<Note>,
) -> Result<Answer, Problem> {
    let ended = app.store.end(request.user(), id, &request.termination(reason, note)).await?;
    ended_answer(app, request, &ended.ok_or_else(Problem::unknown_session)?, me.current)
}

fn ended_answer(
    app: &App,
    request: &RequestContext<'_>,
    ended: &EndedSession,
    current: Option<SessionId>,
) -> Result<Answer, Problem> {
    let view = SessionView::for_owner(&ended.session, current, request.now, app.policy());
    Answer::ok(&EndedView::new(ended, view))
}

/// Handles `DELETE /sessions/logout-all`.
pub async fn logout_all(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    let query = request.query().only(&["exclude_current", "reason"])?;
    let (exclude_current, note) = (query.flag("exclude_current")?, query.reason()?);
    let me = current_user(app, request).await?;
    // What a client says of itself never keeps a session in: it may be the one that somebody wants to get rid of.
    let keep = me.token_session.filter(|_| exclude_current);
    if exclude_current && keep.is_none() {
        return Err(Problem::current_session_unknown());
    }
    let order = EndAll { termination: request.termination(EndReason::LogoutAll, note), keep, lock: None };
    let ended = app.store.end_all(request.user(), Some(me.sessions), &order, request.clock).await?;
    let view = |session| SessionView::for_owner(session, me.current, request.now, app.policy());
    let all = EndedAllView::ended(ended.iter().map(view).collect());
    Answer::ok(&LoggedOutView { all, logged_out_count: ended.len() })
}

/// Handles `GET /sessions/active-devices-count`.
pub async fn count_devices(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    let me = current_user(app, request).await?;
    let live = me.sessions.live(request.now, app.policy()).count();
    Answer::ok(&DeviceCount { active_devices: live, count: live })
}

/// Handles `POST /sessions/update-activity`.
pub async fn record_activity(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    // Some clients send an empty object, or the body of their sign-in. Neither says anything here.
    request.json_body()?;
    let me = current_user(app, request).await?;
    let current = me.inferred(request, app.policy());
    let seen = me.session(current).ok_or_else(Problem::no_current_session)?;
    let session = app.store.record_activity(seen, &request.origin(), request.clock).await?;
    // A termination between the read and the write wins.
    let session = session.filter(|session| session.is_live_at(request.now, app.policy()));
    let session = session.ok_or_else(Problem::session_ended)?;
    Answer::ok(&SessionView::for_owner(&session, current, request.now, app.policy()))
}
