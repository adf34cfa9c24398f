//! What admins do with the sessions of another user. Services may do some of it too.

use std::slice;

use percent_encoding::utf8_percent_encode;

use super::list::{history_page, list_answer, live_page};
use crate::config::UnknownUsers;
use crate::http::access::{check_staff, read_as_staff};
use crate::http::answer::Answer;
use crate::http::app::App;
use crate::http::path::SEGMENT;
use crate::http::problem::Problem;
use crate::http::query::ListQuery;
use crate::http::request::RequestContext;
use crate::http::views::{EndedAllView, EndedView, SessionView};
use crate::session::UserId;
use crate::store::{EndAll, Page, StoreError, UserSessions};
use crate::telemetry::log;

/// Handles `GET /sessions/user/{user_id}`.
pub async fn list_user_sessions(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    let user = request.path_user()?;
    let list = request.query().list(&user)?;
    let page = user_page(app, &user, &list, request);
    let page = read_as_staff(app, request, slice::from_ref(&user), page).await?;
    log::audit_viewed(request.user(), &user);
    let path = format!("/sessions/user/{}", utf8_percent_encode(user.as_str(), SEGMENT));
    let view = |session| SessionView::for_staff(session, request.now, app.policy());
    list_answer(app, &page, &request.client_path(&path), &user, &list, view)
}

async fn user_page(
    app: &App,
    user: &UserId,
    list: &ListQuery,
    request: &RequestContext<'_>,
) -> Result<Page, Problem> {
    if !list.include_inactive {
        let sessions = known_user(app, app.store.user_sessions(user).await?)?;
        return Ok(live_page(app, &sessions, list, request));
    }
    if app.unknown_users == UnknownUsers::Empty {
        return history_page(app, user, list).await;
    }
    let (page, profile) = tokio::join!(history_page(app, user, list), app.store.profile(user));
    match (page?, profile?) {
        (page, None) if page.sessions.is_empty() => Err(Problem::unknown_user()),
        (page, _) => Ok(page),
    }
}

/// Handles `GET /sessions/user/{user_id}/session/{session_id}`.
pub async fn user_session(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    let (user, id) = (request.path_user()?, request.path_session()?);
    let session = async { Ok(app.store.session(&user, id).await?) };
    let Some(session) = read_as_staff(app, request, slice::from_ref(&user), session).await? else {
        return Err(no_such_session(app, &user).await);
    };
    log::audit_viewed(request.user(), &user);
    Answer::ok(&SessionView::for_staff(&session, request.now, app.policy()))
}

/// Handles `DELETE /sessions/user/{user_id}/session/{session_id}`.
pub async fn end_user_session(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    let (user, id, note) = (request.path_user()?, request.path_session()?, request.reason_only()?);
    check_staff(app, request, slice::from_ref(&user)).await?;
    let Some(ended) = app.store.end(&user, id, &request.revocation(note)).await? else {
        return Err(no_such_session(app, &user).await);
    };
    let view = SessionView::for_staff(&ended.session, request.now, app.policy());
    Answer::ok(&EndedView::new(&ended, view))
}

/// Handles `DELETE /sessions/user/{user_id}`.
pub async fn end_user_sessions(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    let (user, query) = (request.path_user()?, request.query().only(&["dry_run", "reason"])?);
    let (dry_run, note) = (query.flag("dry_run")?, query.reason()?);
    let sessions = async { known_user(app, app.store.user_sessions(&user).await?) };
    let sessions = read_as_staff(app, request, slice::from_ref(&user), sessions).await?;
    if dry_run {
        return dry_run_answer(app, request, &user, &sessions);
    }
    let order = EndAll { termination: request.revocation(note), keep: None, lock: None };
    let ended = app.store.end_all(&user, Some(sessions), &order, request.clock).await?;
    let view = |session| SessionView::for_staff(session, request.now, app.policy());
    Answer::ok(&EndedAllView::ended(ended.iter().map(view).collect()))
}

fn dry_run_answer(
    app: &App,
    request: &RequestContext<'_>,
    user: &UserId,
    sessions: &UserSessions,
) -> Result<Answer, Problem> {
    let live: Vec<_> = sessions.live(request.now, app.policy()).collect();
    let ids: Vec<_> = live.iter().map(|session| session.id).collect();
    log::audit_dry_run(request.user(), user, &ids);
    let view = |session| SessionView::for_staff(session, request.now, app.policy());
    Answer::ok(&EndedAllView::would_end(live.into_iter().map(view).collect()))
}

/// The sessions of a user. An unknown user is an error where every user is registered.
fn known_user(app: &App, sessions: UserSessions) -> Result<UserSessions, Problem> {
    if sessions.is_known() || app.unknown_users == UnknownUsers::Empty {
        return Ok(sessions);
    }
    Err(Problem::unknown_user())
}

/// Why no session was found: the user is unknown (if the settings ask for that), or the session is.
pub async fn no_such_session(app: &App, user: &UserId) -> Problem {
    match is_unknown(app, user).await {
        Ok(true) => Problem::unknown_user(),
        Ok(false) => Problem::unknown_session(),
        Err(error) => error.into(),
    }
}

async fn is_unknown(app: &App, user: &UserId) -> Result<bool, StoreError> {
    Ok(app.unknown_users == UnknownUsers::NotFound && app.store.profile(user).await?.is_none())
}
