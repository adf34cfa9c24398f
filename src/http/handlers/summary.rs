//! How many sessions some users have.

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio::time::timeout;

use crate::http::access::read_as_staff;
use crate::http::answer::Answer;
use crate::http::app::App;
use crate::http::problem::Problem;
use crate::http::request::RequestContext;
use crate::http::views::rfc3339;
use crate::session::UserId;
use crate::store::client::IDLE_CONNECTIONS;
use crate::store::{StoreError, UserSessions};
use crate::telemetry::log;

/// The most users of a summary.
const SUMMARY_MAX: usize = 50;

/// The live sessions of a user, in numbers.
#[derive(Debug, Serialize)]
struct SummaryView {
    user_id: UserId,
    /// Whether anything is stored of this user. A mistyped id has no sessions either.
    known: bool,
    active: usize,
    /// The latest activity of a live session; `None` without one.
    last_activity: Option<String>,
}

/// Handles `GET /sessions/summary`.
pub async fn summary(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    let users = request.query().users(SUMMARY_MAX)?;
    let sessions = read_as_staff(app, request, &[], sessions_of(app, &users)).await?;
    log::audit_summary_viewed(request.user(), &users);
    let summaries = users.into_iter().zip(&sessions).map(|(user_id, sessions)| {
        let live = || sessions.live(request.now, app.policy());
        let last_activity = live().map(|session| session.last_activity).max().map(rfc3339);
        SummaryView { user_id, known: sessions.is_known(), active: live().count(), last_activity }
    });
    Answer::ok(&summaries.collect::<Vec<_>>())
}

/// Reads the sessions of many users, in their order.
pub async fn sessions_of(app: &App, users: &[UserId]) -> Result<Vec<UserSessions>, Problem> {
    read_each(app, users.iter().map(|user| app.store.user_sessions(user)).collect()).await
}

/// Makes many reads, in their order, as many at the same time as connections stay open, so that a request opens none in
/// vain.
pub async fn read_each<T>(
    app: &App,
    reads: Vec<impl Future<Output = Result<T, StoreError>>>,
) -> Result<Vec<T>, Problem> {
    let reads = stream::iter(reads).buffered(IDLE_CONNECTIONS).try_collect();
    // Each read has its time. Together they must end before Lambda ends the invocation.
    let longest = app.store.timeouts().chain + app.store.timeouts().call;
    Ok(timeout(longest, reads).await.unwrap_or(Err(StoreError::Contended))?)
}
