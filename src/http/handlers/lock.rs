//! Keeping a user out, and letting the user in again.

use std::slice;

use serde::{Deserialize, Serialize};

use crate::http::access::check_staff;
use crate::http::answer::Answer;
use crate::http::app::App;
use crate::http::problem::{Code, Problem};
use crate::http::query::{TIME, time};
use crate::http::request::{BODY_MAX, RequestContext};
use crate::http::views::{EndedAllView, SessionView};
use crate::session::{Lock, Note, Timestamp};
use crate::store::EndAll;

/// What the body of a lock must be.
const LOCK_BODY: &str = "The body must be a JSON object that may have until (a time in RFC 3339) and reason (a string), \
                         each once, and nothing else";

/// The body of `POST /sessions/user/{user_id}/lock`. A misspelled field is an error, because a lock without `until` stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockBody {
    until: Option<String>,
    reason: Option<String>,
}

/// The outcome of lifting a lock.
#[derive(Debug, Serialize)]
struct UnlockedView {
    success: bool,
    message: &'static str,
}

/// Until when, and why.
fn parse(request: &RequestContext<'_>) -> Result<(Option<Timestamp>, Option<Note>), Problem> {
    request.query().only(&[])?;
    let body: LockBody = request.strict_body(BODY_MAX, LOCK_BODY)?;
    let bad = |expected| Problem::bad_field(Code::BadBody, "until", expected);
    let until = body.until.map(|text| time(&text).ok_or_else(|| bad(TIME))).transpose()?;
    if until.is_some_and(|until| until <= request.now) {
        return Err(bad("must be in the future"));
    }
    let note = Note::parse(&body.reason.unwrap_or_default());
    let note = note.map_err(|error| Problem::bad_field(Code::BadReason, "reason", error))?;
    Ok((until, note))
}

/// Handles `POST /sessions/user/{user_id}/lock`.
pub async fn lock_user(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    let (user, (until, note)) = (request.path_user()?, parse(request)?);
    if request.is_service() && user == *request.user() {
        return Err(Problem::own_sessions());
    }
    check_staff(app, request, slice::from_ref(&user)).await?;
    let termination = request.revocation(note.clone());
    let lock = Lock { by: request.user().clone(), at: request.now, until, note };
    let order = EndAll { termination, keep: None, lock: Some(lock) };
    let ended = app.store.end_all(&user, None, &order, request.clock).await?;
    let view = |session| SessionView::for_staff(session, request.now, app.policy());
    Answer::ok(&EndedAllView::ended(ended.iter().map(view).collect()))
}

/// Handles `DELETE /sessions/user/{user_id}/lock`.
pub async fn unlock_user(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    let user = request.path_user()?;
    request.query().only(&[])?;
    check_staff(app, request, slice::from_ref(&user)).await?;
    let was_locked = app.store.unlock(&user, request.user(), request.now).await?;
    let message = if was_locked { "The user can sign in again" } else { "The user was not locked" };
    Answer::ok(&UnlockedView { success: true, message })
}
