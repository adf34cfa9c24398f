//! What admins and services do with the sessions of many users at once.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use tokio::time::{Instant, timeout};

use crate::config::UnknownUsers;
use crate::http::access::{check_staff, read_as_staff};
use crate::http::answer::Answer;
use crate::http::app::App;
use crate::http::problem::{Code, PartlyEnded, Problem};
use crate::http::request::RequestContext;
use crate::http::views::{EndedUser, count, rfc3339};
use crate::session::{Note, UserId};
use crate::store::client::IDLE_CONNECTIONS;
use crate::store::{EndAll, StoreError, UserSessions};
use crate::telemetry::log;

/// The most users of a summary.
const SUMMARY_MAX: usize = 50;

/// The most users whose sessions end with one request.
const END_MAX: usize = 100;

/// The longest body of `POST /sessions/end`, in bytes. 100 ids may have 255 characters each.
const END_BODY_MAX: usize = 64 * 1024;

/// How many users are read at the same time: as many as connections stay open, so that a request opens none in vain.
const READS_AT_ONCE: usize = IDLE_CONNECTIONS;

/// The live sessions of a user, in numbers.
#[derive(Debug, Serialize)]
struct SummaryView {
    user_id: UserId,
    /// Whether anything is stored of this user. A mistyped id has no sessions either.
    known: bool,
    active: usize,
    /// The latest activity of a live session; `None` without one.
    last_activity: Option<String>,
    /// Whether the user is kept out.
    locked: bool,
    /// Until when; `None` if somebody has to lift the lock.
    locked_until: Option<String>,
}

/// What the body of `POST /sessions/end` must be.
const END_BODY: &str = "The body must be a JSON object with user_ids (a list of 1 to 100 ids), and it may have reason \
                        (a string) and dry_run (true or false), each once, and nothing else";

/// The body of `POST /sessions/end`. A field that is unknown or given twice is an error, because a misspelled `dry_run`
/// must not end anything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndBody {
    user_ids: Vec<Id>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

/// How long an admin who ends the sessions of many users may go on until the admin's own session is looked at again.
const CALLER_CHECK: Duration = Duration::from_secs(1);

/// The largest id that clients may send as a number: JavaScript rounds larger ones (RFC 8259 section 6), and the rounded
/// number may be another user's id.
const NUMBER_MAX: u64 = 1 << 53;

/// What the numbers among the ids must be.
const NUMBERS: &str = "a number must be a whole one from 0 to 2^53; a larger id must be a string";

/// A user's id, as clients send it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(Number),
}

/// Whose sessions end, and why.
#[derive(Debug)]
struct EndRequest {
    users: Vec<UserId>,
    note: Option<Note>,
    dry_run: bool,
}

/// The outcome of ending the sessions of many users.
#[derive(Debug, Serialize)]
struct EndedUsersView {
    success: bool,
    message: String,
    revoked: usize,
    users: Vec<EndedUser>,
}

impl Id {
    fn parse(&self) -> Result<UserId, Problem> {
        let text = match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => whole(number)
                .ok_or_else(|| Problem::bad_field(Code::BadUserId, "user_ids:", NUMBERS))?
                .to_string(),
        };
        UserId::parse(&text).map_err(|error| Problem::bad_field(Code::BadUserId, "user_ids: each", error))
    }
}

/// The number as a whole one that every client holds exactly. JSON may write 74 as 74.0.
fn whole(number: &Number) -> Option<u64> {
    let whole = number.as_u64().or_else(|| {
        let number = number.as_f64().filter(|number| number.fract() == 0.0 && *number >= 0.0);
        number.map(|number| number as u64)
    });
    whole.filter(|number| *number <= NUMBER_MAX)
}

impl EndRequest {
    fn parse(request: &RequestContext<'_>) -> Result<Self, Problem> {
        request.query().only(&[])?;
        let body: EndBody = request.strict_body(END_BODY_MAX, END_BODY)?;
        let mut users = body.user_ids.iter().map(Id::parse).collect::<Result<Vec<_>, _>>()?;
        // A user who is named twice counts once.
        let mut named = HashSet::new();
        users.retain(|user| named.insert(user.clone()));
        if !(1..=END_MAX).contains(&users.len()) {
            return Err(Problem::new(Code::BadBody, END_BODY));
        }
        let note = Note::parse(&body.reason.unwrap_or_default());
        let note = note.map_err(|error| Problem::bad_field(Code::BadReason, "reason", error))?;
        Ok(Self { users, note, dry_run: body.dry_run })
    }
}

impl EndedUsersView {
    fn ended(users: Vec<EndedUser>) -> Self {
        let revoked = users.iter().map(|user| user.revoked).sum();
        Self { success: true, message: format!("{} ended", count(revoked)), revoked, users }
    }

    fn would_end(users: Vec<EndedUser>) -> Self {
        let message = format!("{} would end", count(users.iter().map(|user| user.revoked).sum()));
        Self { success: true, message, revoked: 0, users }
    }
}

/// Handles `GET /sessions/summary`.
pub async fn summary(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    let users = request.query().users(SUMMARY_MAX)?;
    let sessions = read_as_staff(app, request, &[], sessions_of(app, &users)).await?;
    log::audit_summary_viewed(request.user(), &users);
    let summaries = users.into_iter().zip(&sessions).map(|(user_id, sessions)| {
        let live = || sessions.live(request.now, app.policy());
        let last_activity = live().map(|session| session.last_activity).max().map(rfc3339);
        let lock = sessions.lock(request.now);
        SummaryView {
            user_id,
            known: sessions.is_known(),
            active: live().count(),
            last_activity,
            locked: lock.is_some(),
            locked_until: lock.and_then(|lock| lock.until).map(rfc3339),
        }
    });
    Answer::ok(&summaries.collect::<Vec<_>>())
}

/// Reads the sessions of many users, in their order, a few at the same time.
async fn sessions_of(app: &App, users: &[UserId]) -> Result<Vec<UserSessions>, Problem> {
    let reads: Vec<_> = users.iter().map(|user| app.store.user_sessions(user)).collect();
    let reads = stream::iter(reads).buffered(READS_AT_ONCE).try_collect();
    // Each read has its time. Together they must end before Lambda ends the invocation.
    let longest = app.store.timeouts().chain + app.store.timeouts().call;
    Ok(timeout(longest, reads).await.unwrap_or(Err(StoreError::Contended))?)
}

/// Handles `POST /sessions/end`.
pub async fn end_sessions_of_users(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    let EndRequest { users, note, dry_run } = EndRequest::parse(request)?;
    if dry_run {
        let sessions = read_as_staff(app, request, &users, sessions_of(app, &users)).await?;
        return dry_run_of_users(app, request, users, &sessions);
    }
    check_staff(app, request, &users).await?;
    let order = EndAll { termination: request.revocation(note), keep: None, lock: None };
    Answer::ok(&EndedUsersView::ended(end_each(app, request, users, &order).await?))
}

fn dry_run_of_users(
    app: &App,
    request: &RequestContext<'_>,
    users: Vec<UserId>,
    sessions: &[UserSessions],
) -> Result<Answer, Problem> {
    let would_end = users.into_iter().zip(sessions).map(|(user_id, sessions)| {
        let live = sessions.live(request.now, app.policy());
        let ids: Vec<_> = live.map(|session| session.id).collect();
        log::audit_dry_run(request.user(), &user_id, &ids);
        EndedUser { user_id, revoked: ids.len() }
    });
    Answer::ok(&EndedUsersView::would_end(would_end.collect()))
}

/// Ends the sessions of one user after the other. A user whose sessions cannot be ended does not keep the others from
/// being ended. No user is started when the time left might not be enough, or when the caller may no longer do this.
async fn end_each(
    app: &App,
    request: &RequestContext<'_>,
    users: Vec<UserId>,
    order: &EndAll,
) -> Result<Vec<EndedUser>, Problem> {
    // A round of calls is a query and a transaction.
    let latest_start = request.latest_start(2 * app.store.timeouts().call);
    let (mut ended, mut remaining, mut cause) = (Vec::new(), Vec::new(), None);
    let mut checked = Instant::now();
    let mut users = users.into_iter();
    while let Some(user) = users.next() {
        if checked.elapsed() >= CALLER_CHECK {
            if let Err(problem) = check_staff(app, request, &[]).await {
                remaining.push(user);
                remaining.extend(users);
                return Err(problem.after(PartlyEnded { ended, remaining }));
            }
            checked = Instant::now();
        }
        let deadline = chain_deadline(app, latest_start);
        match end_one(app, deadline, &user, order, request).await {
            Ok(revoked) => ended.push(EndedUser { user_id: user, revoked }),
            Err(error) => {
                cause.get_or_insert(error);
                remaining.push(user);
            }
        }
    }
    match cause {
        None => Ok(ended),
        Some(cause) if ended.is_empty() && !cause.is_transient() => Err(cause.into()),
        Some(cause) => Err(Problem::store_unavailable(cause).after(PartlyEnded { ended, remaining })),
    }
}

/// Ends the sessions of one user. Where every user is registered, an unknown one gets no record by this.
async fn end_one(
    app: &App,
    deadline: Instant,
    user: &UserId,
    order: &EndAll,
    request: &RequestContext<'_>,
) -> Result<usize, StoreError> {
    let mut seen = None;
    if app.unknown_users == UnknownUsers::NotFound && Instant::now() < deadline {
        let sessions = app.store.user_sessions(user).await?;
        if !sessions.is_known() {
            return Ok(0);
        }
        seen = Some(sessions);
    }
    Ok(app.store.end_all_until(deadline, user, seen, order, request.clock).await?.len())
}

fn chain_deadline(app: &App, latest_start: Option<Instant>) -> Instant {
    let chain: Duration = app.store.timeouts().chain;
    let own = Instant::now() + chain;
    latest_start.map_or(own, |latest_start| latest_start.min(own))
}
