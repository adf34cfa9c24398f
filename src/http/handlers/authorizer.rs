//! The function as the Lambda authorizer of other HTTP APIs: may this token be used there?
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html>

use std::collections::HashMap;

use chrono::DateTime;
use lambda_http::http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tracing::Instrument;

use crate::auth::{Caller, TokenRole};
use crate::http::access::{Access, CallerSessions, caller_sessions, check_claims, is_admin};
use crate::http::app::App;
use crate::http::problem::Problem;
use crate::http::views::rfc3339;
use crate::session::{Clock, Session, Timestamp, UserId, to_millisecond};

/// The event of a REQUEST authorizer with payload format 2.0, as far as it matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizerEvent {
    version: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    identity_source: Option<Vec<String>>,
    #[serde(default)]
    headers: HashMap<String, String>,
    request_context: Option<EventContext>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventContext {
    request_id: Option<String>,
}

/// The answer of an authorizer, in the simple format.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizerAnswer {
    is_authorized: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<AuthorizedCaller>,
}

/// What the API behind the authorizer learns about the caller.
#[derive(Debug, Serialize)]
struct AuthorizedCaller {
    user_id: String,
    /// Empty for a service, whose token belongs to no session.
    session_id: String,
    role: &'static str,
    /// When the token or its session ends, whichever comes first.
    expires_at: String,
}

/// An authorizer event that gets no answer. API Gateway then answers 500, and caches nothing; it would cache a deny.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizerError {
    /// Another kind of authorizer sent the event.
    #[error("the authorizer must be of type REQUEST with payload format 2.0 and simple responses")]
    OtherFormat,
    /// API Gateway would cache the answer for other requests than those with this token.
    #[error("the only identity source of the authorizer must be $request.header.Authorization")]
    OtherIdentitySource,
    /// The session could not be looked up.
    #[error("the session of the token cannot be looked up right now")]
    Failed,
}

impl AuthorizerEvent {
    fn parse(event: &RawValue) -> Result<Self, AuthorizerError> {
        let event: Self = serde_json::from_str(event.get()).map_err(|_| AuthorizerError::OtherFormat)?;
        match (event.version.as_deref(), event.kind.as_deref()) {
            (Some("2.0"), Some("REQUEST")) => Ok(event),
            _ => Err(AuthorizerError::OtherFormat),
        }
    }

    fn authorization(&self) -> Option<&str> {
        let name = header::AUTHORIZATION.as_str();
        let (_, value) = self.headers.iter().find(|(each, _)| each.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// Identity sources are the key of API Gateway's cache of answers. With any other key than the token, one caller
    /// would get the answer for another.
    fn check_identity_source(&self) -> Result<(), AuthorizerError> {
        let fits = match self.identity_source.as_deref() {
            None => true,
            Some([value]) => self.authorization() == Some(value),
            Some(_) => false,
        };
        if fits { Ok(()) } else { Err(AuthorizerError::OtherIdentitySource) }
    }

    fn request_id(&self) -> Option<&str> {
        self.request_context.as_ref()?.request_id.as_deref()
    }
}

/// Answers the event of an authorizer that arrived at `now`.
pub async fn authorize(
    app: &App,
    event: &RawValue,
    invocation: &str,
    now: Timestamp,
) -> Result<AuthorizerAnswer, AuthorizerError> {
    let event =
        parse_event(event).inspect_err(|error| tracing::error!(%error, "the authorizer is set up wrong"))?;
    let span = tracing::info_span!("authorizer", request_id = event.request_id().unwrap_or(invocation));
    async {
        let (caller, outcome) = judge(app, &event, Clock::start(now)).await;
        let answer = authorizer_answer(app, outcome);
        tracing::info!(
            is_authorized = answer.as_ref().ok().map(|answer| answer.is_authorized),
            caller = caller.as_ref().map(UserId::as_str),
            "authorizer answered"
        );
        answer
    }
    .instrument(span)
    .await
}

fn parse_event(event: &RawValue) -> Result<AuthorizerEvent, AuthorizerError> {
    let event = AuthorizerEvent::parse(event)?;
    event.check_identity_source()?;
    Ok(event)
}

fn authorizer_answer(
    app: &App,
    outcome: Result<AuthorizedCaller, Problem>,
) -> Result<AuthorizerAnswer, AuthorizerError> {
    let problem = match outcome {
        Ok(caller) => return Ok(AuthorizerAnswer { is_authorized: true, context: Some(caller) }),
        Err(problem) => problem,
    };
    app.count_refusal(&problem);
    problem.log();
    match problem.code().status() {
        StatusCode::UNAUTHORIZED => Ok(AuthorizerAnswer { is_authorized: false, context: None }),
        _ => Err(AuthorizerError::Failed),
    }
}

/// Authenticates the caller and looks at the session. Returns the caller too, if there is one, for the log.
async fn judge(
    app: &App,
    event: &AuthorizerEvent,
    clock: Clock,
) -> (Option<UserId>, Result<AuthorizedCaller, Problem>) {
    let now = clock.arrived_at();
    match app.authenticator.authenticate(event.authorization(), now).await {
        Ok(caller) => {
            let outcome = authorized_caller(app, &caller, now).await;
            (Some(caller.user_id), outcome)
        }
        Err(error) => (None, Err(error.into())),
    }
}

/// The caller, if the token is a service's or belongs to a live session.
async fn authorized_caller(app: &App, caller: &Caller, now: Timestamp) -> Result<AuthorizedCaller, Problem> {
    check_claims(app, Access::User, caller, "use")?;
    if caller.role == TokenRole::Service {
        return Ok(authorized(app, caller, "service", None));
    }
    let CallerSessions { sessions, token_session } = caller_sessions(app, caller, now).await?;
    // Only a session that the token itself belongs to counts, as with `GET /sessions/current`.
    let id = token_session.ok_or_else(Problem::no_current_session)?;
    let role = if is_admin(app, caller, &sessions) { "admin" } else { "user" };
    Ok(authorized(app, caller, role, sessions.session(id)))
}

fn authorized(app: &App, caller: &Caller, role: &'static str, session: Option<&Session>) -> AuthorizedCaller {
    let token_ends = DateTime::from_timestamp(caller.expires_at, 0).unwrap_or(Timestamp::MAX_UTC);
    let session_ends = session.map_or(token_ends, |session| session.deadline(app.policy()));
    AuthorizedCaller {
        user_id: caller.user_id.to_string(),
        session_id: session.map(|session| session.id.to_string()).unwrap_or_default(),
        role,
        expires_at: rfc3339(to_millisecond(token_ends.min(session_ends))),
    }
}
