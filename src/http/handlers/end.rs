//! The end of many sessions at once: all sessions of some users, or single sessions of any users.

use std::collections::HashSet;
use std::fmt::Display;
use std::hash::Hash;
use std::time::Duration;
use std::{slice, vec};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Number;
use tokio::time::Instant;

use super::summary::{read_each, sessions_of};
use crate::config::UnknownUsers;
use crate::http::access::{check_staff, read_as_staff};
use crate::http::answer::Answer;
use crate::http::app::App;
use crate::http::problem::{Code, PartlyEnded, Problem};
use crate::http::request::RequestContext;
use crate::http::views::{EndedUser, NamedSession, SessionOutcome, count};
use crate::session::{Note, ProviderSession, Session, SessionId, Termination, UserId};
use crate::store::{EndAll, StoreError, UserSessions};
use crate::telemetry::log;

/// The most users, or sessions, that one request ends.
const END_MAX: usize = 100;

/// The longest body, in bytes. 100 ids may have 255 characters each.
const BODY_MAX: usize = 64 * 1024;

/// How long an admin who ends many sessions may go on until the admin's own session is looked at again.
const CALLER_CHECK: Duration = Duration::from_secs(1);

/// What the body must be.
const BODY: &str = "The body must be a JSON object with one of: user_ids (a list of 1 to 100 ids); sessions (a list of 1 \
                    to 100 objects with user_id and session_id); user_id and provider_session (the id of a session of \
                    the identity provider). It may have reason (a string) and dry_run (true or false), each once, and \
                    nothing else";

/// The body. A field that is unknown or given twice is an error, because a misspelled `dry_run` must not end anything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default, deserialize_with = "not_null")]
    user_ids: Option<Vec<Id>>,
    #[serde(default, deserialize_with = "not_null")]
    sessions: Option<Vec<Named>>,
    #[serde(default, deserialize_with = "not_null")]
    user_id: Option<Id>,
    #[serde(default, deserialize_with = "not_null")]
    provider_session: Option<Id>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// A session of a user, as clients name it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    user_id: Id,
    session_id: String,
}

/// The largest id that clients may send as a number: JavaScript rounds larger ones (RFC 8259 section 6), and the rounded
/// number may be another user's id.
const NUMBER_MAX: u64 = 1 << 53;

/// What a number among the ids must be.
const NUMBER: &str = "that is a number must be a whole one from 0 to 2^53; a larger id must be a string";

/// An id, as clients send it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(Number),
}

/// What ends, and why.
#[derive(Debug)]
struct EndRequest {
    targets: Targets,
    note: Option<Note>,
    dry_run: bool,
}

#[derive(Debug)]
enum Targets {
    Users(Vec<UserId>),
    Sessions(Vec<NamedSession>),
    ProviderSession(UserId, ProviderSession),
}

/// The outcome of ending many sessions.
#[derive(Debug, Serialize)]
struct EndedView {
    success: bool,
    message: String,
    revoked: usize,
    #[serde(flatten)]
    each: Outcomes,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcomes {
    Users(Vec<EndedUser>),
    Sessions(Vec<SessionOutcome>),
}

impl Id {
    /// `field` is where the id is in the body.
    fn parse(&self, field: &str) -> Result<UserId, Problem> {
        let text = match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => {
                whole(number).ok_or_else(|| Problem::bad_field(Code::BadUserId, field, NUMBER))?.to_string()
            }
        };
        UserId::parse(&text).map_err(|error| Problem::bad_field(Code::BadUserId, field, error))
    }

    /// As tokens name it: a text, or a whole number.
    fn parse_provider_session(&self, user: &UserId) -> Result<ProviderSession, Problem> {
        let bad = |expected: &dyn Display| Problem::bad_field(Code::BadBody, "provider_session", expected);
        let text = match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => whole(number).ok_or_else(|| bad(&NUMBER))?.to_string(),
        };
        ProviderSession::new(user, &text).map_err(|error| bad(&error))
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

impl Named {
    fn parse(&self) -> Result<NamedSession, Problem> {
        let bad = |error| Problem::bad_field(Code::BadSessionId, "sessions: each session_id", error);
        Ok(NamedSession {
            user_id: self.user_id.parse("sessions: each user_id")?,
            session_id: SessionId::parse(&self.session_id).map_err(bad)?,
        })
    }
}

impl EndRequest {
    fn parse(request: &RequestContext<'_>) -> Result<Self, Problem> {
        request.query().only(&[])?;
        let body: Body = request.strict_body(BODY_MAX, BODY)?;
        let targets = match (body.user_ids, body.sessions, body.user_id, body.provider_session) {
            (Some(ids), None, None, None) => {
                Targets::Users(parse_each(&ids, |id| id.parse("user_ids: each"))?)
            }
            (None, Some(named), None, None) => Targets::Sessions(parse_each(&named, Named::parse)?),
            (None, None, Some(user), Some(session)) => {
                let user = user.parse("user_id")?;
                let session = session.parse_provider_session(&user)?;
                Targets::ProviderSession(user, session)
            }
            _ => return Err(Problem::new(Code::BadBody, BODY)),
        };
        let note = Note::parse(&body.reason.unwrap_or_default());
        let note = note.map_err(|error| Problem::bad_field(Code::BadReason, "reason", error))?;
        Ok(Self { targets, note, dry_run: body.dry_run })
    }
}

/// The members of a list. What is named twice counts once.
fn parse_each<T, P: Clone + Eq + Hash>(
    list: &[T],
    parse: impl Fn(&T) -> Result<P, Problem>,
) -> Result<Vec<P>, Problem> {
    if !(1..=END_MAX).contains(&list.len()) {
        return Err(Problem::new(Code::BadBody, BODY));
    }
    let mut members = list.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let mut named = HashSet::new();
    members.retain(|member| named.insert(member.clone()));
    Ok(members)
}

impl EndedView {
    fn ended(revoked: usize, each: Outcomes) -> Self {
        Self { success: true, message: format!("{} ended", count(revoked)), revoked, each }
    }

    fn would_end(sessions: usize, each: Outcomes) -> Self {
        Self { success: true, message: format!("{} would end", count(sessions)), revoked: 0, each }
    }
}

/// Handles `POST /sessions/end`.
pub async fn end_many(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    let EndRequest { targets, note, dry_run } = EndRequest::parse(request)?;
    match targets {
        Targets::Users(users) if dry_run => dry_run_of_users(app, request, users).await,
        Targets::Users(users) => end_users(app, request, users, note).await,
        Targets::Sessions(sessions) if dry_run => dry_run_of_sessions(app, request, sessions).await,
        Targets::Sessions(sessions) => end_sessions(app, request, sessions, note).await,
        Targets::ProviderSession(user, session) => {
            end_provider_session(app, request, user, &session, note, dry_run).await
        }
    }
}

async fn dry_run_of_users(
    app: &App,
    request: &RequestContext<'_>,
    users: Vec<UserId>,
) -> Result<Answer, Problem> {
    let sessions = read_as_staff(app, request, &users, sessions_of(app, &users)).await?;
    let would_end = users.into_iter().zip(&sessions).map(|(user_id, sessions): (_, &UserSessions)| {
        let live = sessions.live(request.now, app.policy());
        let ids: Vec<_> = live.map(|session| session.id).collect();
        log::audit_dry_run(request.user(), &user_id, &ids);
        EndedUser { user_id, revoked: ids.len() }
    });
    let users: Vec<_> = would_end.collect();
    Answer::ok(&EndedView::would_end(revoked(&users), Outcomes::Users(users)))
}

async fn end_users(
    app: &App,
    request: &RequestContext<'_>,
    users: Vec<UserId>,
    note: Option<Note>,
) -> Result<Answer, Problem> {
    check_staff(app, request, &users).await?;
    let order = EndAll { termination: request.revocation(note), keep: None, until: None };
    // A round of calls is a query and a transaction.
    let latest_start = request.latest_start(2 * app.store.timeouts().call);
    let mut progress = Progress::of(users);
    while let Some(user) = progress.next(app, request).await {
        let revoked = end_user(app, chain_deadline(app, latest_start), &user, &order, request).await;
        let ended = revoked.map(|revoked| EndedUser { user_id: user.clone(), revoked });
        progress.add(user, ended);
    }
    let users = progress.all(|ended, remaining| PartlyEnded::Users { ended, remaining })?;
    Answer::ok(&EndedView::ended(revoked(&users), Outcomes::Users(users)))
}

fn revoked(users: &[EndedUser]) -> usize {
    users.iter().map(|user| user.revoked).sum()
}

/// Ends the sessions of one user. Where every user is registered, an unknown one gets no record by this.
async fn end_user(
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

async fn dry_run_of_sessions(
    app: &App,
    request: &RequestContext<'_>,
    named: Vec<NamedSession>,
) -> Result<Answer, Problem> {
    let reads: Vec<_> = named.iter().map(|each| app.store.session(&each.user_id, each.session_id)).collect();
    let sessions = read_as_staff(app, request, &users_of(&named), read_each(app, reads)).await?;
    let outcome = |(named, session): (NamedSession, Option<Session>)| {
        let Some(session) = session else { return SessionOutcome::not_found(named) };
        match session.termination(request.now, app.policy()) {
            Some(receipt) => SessionOutcome::already_ended(named, receipt),
            None => {
                log::audit_dry_run(request.user(), &named.user_id, &[named.session_id]);
                SessionOutcome::would_end(named)
            }
        }
    };
    let outcomes: Vec<_> = named.into_iter().zip(sessions).map(outcome).collect();
    let would_end = outcomes.iter().filter(|outcome| outcome.is_of_this_request()).count();
    Answer::ok(&EndedView::would_end(would_end, Outcomes::Sessions(outcomes)))
}

async fn end_sessions(
    app: &App,
    request: &RequestContext<'_>,
    named: Vec<NamedSession>,
    note: Option<Note>,
) -> Result<Answer, Problem> {
    check_staff(app, request, &users_of(&named)).await?;
    let termination = request.revocation(note);
    let latest_start = request.latest_start(app.store.timeouts().call);
    let mut progress = Progress::of(named);
    while let Some(named) = progress.next(app, request).await {
        let ended = end_session(app, chain_deadline(app, latest_start), &named, &termination).await;
        progress.add(named, ended);
    }
    let outcomes = progress.all(|ended, remaining| PartlyEnded::Sessions { ended, remaining })?;
    let revoked = outcomes.iter().filter(|outcome| outcome.is_of_this_request()).count();
    Answer::ok(&EndedView::ended(revoked, Outcomes::Sessions(outcomes)))
}

fn users_of(named: &[NamedSession]) -> Vec<UserId> {
    named.iter().map(|each| each.user_id.clone()).collect()
}

async fn end_session(
    app: &App,
    deadline: Instant,
    named: &NamedSession,
    termination: &Termination,
) -> Result<SessionOutcome, StoreError> {
    let ended = app.store.end_until(deadline, &named.user_id, named.session_id, termination).await?;
    let Some(ended) = ended else { return Ok(SessionOutcome::not_found(named.clone())) };
    let outcome = if ended.first { SessionOutcome::ended } else { SessionOutcome::already_ended };
    let receipt = ended.session.terminated.unwrap_or_else(|| termination.clone());
    Ok(outcome(named.clone(), receipt))
}

/// What a webhook of a provider without back-channel logout calls. Tokens of that session which were never seen here are out
/// too, until the person authenticates again.
async fn end_provider_session(
    app: &App,
    request: &RequestContext<'_>,
    user_id: UserId,
    session: &ProviderSession,
    note: Option<Note>,
    dry_run: bool,
) -> Result<Answer, Problem> {
    check_staff(app, request, slice::from_ref(&user_id)).await?;
    if dry_run {
        let live = app.store.live_provider_session(&user_id, session, request.now).await?;
        log::audit_dry_run(request.user(), &user_id, live.as_slice());
        let revoked = live.iter().count();
        let users = vec![EndedUser { user_id, revoked }];
        return Answer::ok(&EndedView::would_end(revoked, Outcomes::Users(users)));
    }
    let (at, termination) = (request.now.timestamp(), request.revocation(note));
    let ended = app.store.end_provider_session(&user_id, session, at, &termination, request.clock).await?;
    let revoked = usize::from(ended.is_some_and(|ended| ended.first));
    Answer::ok(&EndedView::ended(revoked, Outcomes::Users(vec![EndedUser { user_id, revoked }])))
}

/// Targets that end one after the other, and what came of them. One that cannot be ended does not keep the others from
/// being ended.
struct Progress<T, E> {
    waiting: vec::IntoIter<T>,
    ended: Vec<E>,
    remaining: Vec<T>,
    cause: Option<StoreError>,
    /// Why the caller may not go on.
    refusal: Option<Problem>,
    checked: Instant,
}

impl<T, E> Progress<T, E> {
    fn of(targets: Vec<T>) -> Self {
        Self {
            waiting: targets.into_iter(),
            ended: Vec::new(),
            remaining: Vec::new(),
            cause: None,
            refusal: None,
            checked: Instant::now(),
        }
    }

    /// The next target, unless the caller may no longer do this.
    async fn next(&mut self, app: &App, request: &RequestContext<'_>) -> Option<T> {
        let target = self.waiting.next()?;
        if self.checked.elapsed() < CALLER_CHECK {
            return Some(target);
        }
        self.checked = Instant::now();
        match check_staff(app, request, &[]).await {
            Ok(()) => Some(target),
            Err(problem) => {
                self.refusal = Some(problem);
                self.remaining.push(target);
                None
            }
        }
    }

    fn add(&mut self, target: T, outcome: Result<E, StoreError>) {
        match outcome {
            Ok(ended) => self.ended.push(ended),
            Err(error) => {
                self.cause.get_or_insert(error);
                self.remaining.push(target);
            }
        }
    }

    /// The outcomes, if all targets have ended.
    fn all(mut self, partly: impl FnOnce(Vec<E>, Vec<T>) -> PartlyEnded) -> Result<Vec<E>, Problem> {
        self.remaining.extend(self.waiting);
        match (self.refusal, self.cause) {
            (None, None) => Ok(self.ended),
            (None, Some(cause)) if self.ended.is_empty() && !cause.is_transient() => Err(cause.into()),
            (Some(problem), _) => Err(problem.after(partly(self.ended, self.remaining))),
            (None, Some(cause)) => {
                Err(Problem::store_unavailable(cause).after(partly(self.ended, self.remaining)))
            }
        }
    }
}

/// The time until which the calls for one target may start. It has passed when the time left might not be enough.
fn chain_deadline(app: &App, latest_start: Option<Instant>) -> Instant {
    let chain: Duration = app.store.timeouts().chain;
    let own = Instant::now() + chain;
    latest_start.map_or(own, |latest_start| latest_start.min(own))
}
