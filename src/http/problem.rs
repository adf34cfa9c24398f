//! Errors as clients see them (RFC 9457), and the one place that maps causes to them.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use lambda_http::http::StatusCode;
use lambda_http::http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use lambda_http::{Body, Response};
use serde::Serialize;

use super::edge::AroundEdge;
use super::response::respond;
use super::views::{EndedUser, rfc3339};
use crate::auth::AuthError;
use crate::session::{Lock, UserId};
use crate::store::StoreError;
use crate::telemetry::log::Causes;

type Cause = Box<dyn Error + Send + Sync>;

/// Defines [`Code`] as one list, so that a code cannot lack its text or its status.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:ident;)*) => {
        /// What went wrong, as clients read it in `code`. Each code has one status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code as clients read it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// The status of every answer with this code.
            pub fn status(self) -> StatusCode {
                match self {
                    $(Self::$name => StatusCode::$status,)*
                }
            }
        }
    };
}

codes! {
    /// The request could not be read.
    BadEvent = "bad_event", BAD_REQUEST;
    /// A user id does not have the form of one.
    BadUserId = "bad_user_id", BAD_REQUEST;
    /// The session id does not have the form of one.
    BadSessionId = "bad_session_id", BAD_REQUEST;
    /// A query parameter is given twice, or is unknown on a request that ends sessions.
    BadParameter = "bad_parameter", BAD_REQUEST;
    /// A parameter is neither `true` nor `false`.
    BadBoolean = "bad_boolean", BAD_REQUEST;
    /// The reason is too long or contains control characters.
    BadReason = "bad_reason", BAD_REQUEST;
    /// The limit is not a number in range.
    BadLimit = "bad_limit", BAD_REQUEST;
    /// The cursor is not one that this list returned.
    BadCursor = "bad_cursor", BAD_REQUEST;
    /// The body, or a field of it, does not have the right form.
    BadBody = "bad_body", BAD_REQUEST;
    /// The request has a body and must not.
    UnexpectedBody = "unexpected_body", BAD_REQUEST;
    /// An admin asked for their own sessions on a route for other users.
    OwnSessions = "own_sessions", BAD_REQUEST;
    /// There is no token.
    TokenMissing = "token_missing", UNAUTHORIZED;
    /// The header does not hold a token.
    TokenMalformed = "token_malformed", UNAUTHORIZED;
    /// The token has expired.
    TokenExpired = "token_expired", UNAUTHORIZED;
    /// The token's key is not among the keys of its issuer that are known now.
    KeyUnknown = "key_unknown", UNAUTHORIZED;
    /// The token's time has not come yet.
    TokenNotYetValid = "token_not_yet_valid", UNAUTHORIZED;
    /// The token is not from our issuer, or not for us.
    TokenInvalid = "token_invalid", UNAUTHORIZED;
    /// The token does not say who its user is.
    TokenNamesNoUser = "token_names_no_user", UNAUTHORIZED;
    /// The session of the token has ended.
    SessionEnded = "session_ended", UNAUTHORIZED;
    /// The user of the token is kept out.
    UserLocked = "user_locked", UNAUTHORIZED;
    /// The token names no session, of ours or of the identity provider, and the service requires it.
    SidRequired = "sid_required", UNAUTHORIZED;
    /// The request does not come from a live session that is known.
    NoCurrentSession = "no_current_session", UNAUTHORIZED;
    /// Only admins may do this.
    AdminOnly = "admin_only", FORBIDDEN;
    /// Only services may do this.
    ServiceOnly = "service_only", FORBIDDEN;
    /// The request came around the edge.
    EdgeOnly = "edge_only", FORBIDDEN;
    /// There is no such route.
    RouteNotFound = "route_not_found", NOT_FOUND;
    /// There is no such user.
    UserNotFound = "user_not_found", NOT_FOUND;
    /// The user has no such session.
    SessionNotFound = "session_not_found", NOT_FOUND;
    /// The request does not come from a live session, so there is nothing to log out.
    NothingToLogOut = "nothing_to_log_out", NOT_FOUND;
    /// The path takes other methods.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED;
    /// The session that a service asked about is over.
    SessionAlreadyEnded = "session_already_ended", CONFLICT;
    /// The user whom a service signs in or asks about is kept out.
    TargetLocked = "target_locked", CONFLICT;
    /// It is not known which session is the current one.
    CurrentSessionUnknown = "current_session_unknown", CONFLICT;
    /// The body is too large.
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE;
    /// The body is not JSON.
    BodyNotJson = "body_not_json", UNSUPPORTED_MEDIA_TYPE;
    /// The service has a fault.
    InternalError = "internal_error", INTERNAL_SERVER_ERROR;
    /// The keys of the tokens' issuer cannot be fetched.
    KeysUnavailable = "keys_unavailable", SERVICE_UNAVAILABLE;
    /// DynamoDB cannot be reached, throttles, or is too slow.
    StoreUnavailable = "store_unavailable", SERVICE_UNAVAILABLE;
}

impl Code {
    /// Whether a caller is refused as nobody is while all is well. The operator counts these.
    pub(super) fn is_rejection(self) -> bool {
        let happens_every_day =
            [Self::SessionEnded, Self::UserLocked, Self::TokenExpired, Self::NoCurrentSession];
        let is_refusal = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&self.status());
        is_refusal && !happens_every_day.contains(&self)
    }
}

/// A refusal or a failure. The cause is only for the log.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Cause>,
    more: Option<Box<More>>,
}

/// What a problem says beside the members of every problem.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum More {
    PartlyEnded(PartlyEnded),
    /// When the lock is over; `null` if somebody has to lift it.
    Locked {
        until: Option<String>,
    },
}

/// What a request for many users did before it failed.
#[derive(Debug, Serialize)]
pub struct PartlyEnded {
    /// The users whose sessions have ended.
    pub ended: Vec<EndedUser>,
    /// The users whose sessions may still be live.
    pub remaining: Vec<UserId>,
}

impl Problem {
    pub(super) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut headers = Vec::new();
        if code.status() == StatusCode::UNAUTHORIZED {
            headers.push((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        }
        Self { code, detail: detail.into(), headers, cause: None, more: None }
    }

    /// A field with a wrong value. `expected` says what the field takes.
    pub(super) fn bad_field(code: Code, field: &str, expected: impl fmt::Display) -> Self {
        Self::new(code, format!("{field} {expected}"))
    }

    pub(super) fn session_ended() -> Self {
        Self::new(Code::SessionEnded, "Session has ended")
    }

    /// Who locked the user, and why, is not for the user.
    pub(super) fn user_locked(lock: &Lock) -> Self {
        Self::new(Code::UserLocked, "This user is locked").until(lock)
    }

    pub(super) fn target_locked(lock: &Lock) -> Self {
        Self::new(Code::TargetLocked, "The user is locked").until(lock)
    }

    fn until(self, lock: &Lock) -> Self {
        Self { more: Some(More::Locked { until: lock.until.map(rfc3339) }.into()), ..self }
    }

    pub(super) fn sid_required() -> Self {
        Self::new(Code::SidRequired, "The token names no session; sign in and use a token with a session id")
    }

    pub(super) fn no_current_session() -> Self {
        Self::new(Code::NoCurrentSession, "No active session found")
    }

    pub(super) fn nothing_to_log_out() -> Self {
        Self::new(Code::NothingToLogOut, "No active session found")
    }

    pub(super) fn current_session_unknown() -> Self {
        let detail = "The token belongs to no session, so it is not known which one is the current one, and nothing was \
                      ended; sign in with POST /sessions/create first, or use a token with a session id";
        Self::new(Code::CurrentSessionUnknown, detail)
    }

    /// `action` is what the caller wanted to do, such as "view".
    pub(super) fn admin_only(action: &str) -> Self {
        Self::new(Code::AdminOnly, format!("Only admins can {action} other users' sessions"))
    }

    pub(super) fn service_only() -> Self {
        Self::new(Code::ServiceOnly, "Only services can do this")
    }

    pub(super) fn session_already_ended() -> Self {
        Self::new(Code::SessionAlreadyEnded, "The session had already ended")
    }

    pub(super) fn own_sessions() -> Self {
        Self::new(Code::OwnSessions, "Use /my-sessions endpoint for your own sessions")
    }

    pub(super) fn unknown_user() -> Self {
        Self::new(Code::UserNotFound, "User not found")
    }

    pub(super) fn unknown_session() -> Self {
        Self::new(Code::SessionNotFound, "Session not found")
    }

    pub(super) fn unknown_route() -> Self {
        Self::new(Code::RouteNotFound, "There is no such route")
    }

    /// `allowed` lists the methods that the path takes.
    pub(super) fn wrong_method(allowed: &str) -> Self {
        let headers = HeaderValue::from_str(allowed).ok().map(|value| (ALLOW, value)).into_iter().collect();
        let problem = Self::new(Code::MethodNotAllowed, format!("This path takes {allowed}"));
        Self { headers, ..problem }
    }

    pub(super) fn internal(cause: impl Into<Cause>) -> Self {
        let detail = "The service failed; its log says why under this request_id";
        Self { cause: Some(cause.into()), ..Self::new(Code::InternalError, detail) }
    }

    /// The same problem, which came when some of the work was done.
    pub(super) fn after(self, partly_ended: PartlyEnded) -> Self {
        Self { more: Some(More::PartlyEnded(partly_ended).into()), ..self }
    }

    pub(super) fn store_unavailable(cause: StoreError) -> Self {
        let detail = "The sessions cannot be reached right now, and nothing is confirmed; try again";
        Self { cause: Some(cause.into()), ..Self::new(Code::StoreUnavailable, detail) }.with_retry_after(1)
    }

    /// Says in how many seconds the request may succeed.
    fn with_retry_after(mut self, seconds: u64) -> Self {
        self.headers.push((RETRY_AFTER, seconds.into()));
        self
    }

    pub(super) fn code(&self) -> Code {
        self.code
    }

    /// Writes the problem to the log. Only the last step of a request calls this, so each problem is logged once.
    pub(super) fn log(&self) {
        let (code, status) = (self.code.as_str(), self.code.status().as_u16());
        match &self.cause {
            Some(cause) => tracing::error!(code, status, cause = %Causes(cause.as_ref()), "failed"),
            None => tracing::info!(code, status, "refused"),
        }
    }

    pub(super) fn into_response(self, request_id: &str) -> Response<Body> {
        let status = self.code.status();
        let document = Document {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: &self.detail,
            code: self.code.as_str(),
            request_id,
            more: self.more.as_deref(),
        };
        let body = serde_json::to_string(&document).unwrap_or_default();
        let mut response = respond(status, "application/problem+json", body);
        response.headers_mut().extend(self.headers);
        response
    }
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    request_id: &'a str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    more: Option<&'a More>,
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let code = match &error {
            AuthError::Missing => Code::TokenMissing,
            AuthError::Malformed(_) => Code::TokenMalformed,
            AuthError::Expired => Code::TokenExpired,
            AuthError::NotYetValid => Code::TokenNotYetValid,
            AuthError::Invalid(_) => Code::TokenInvalid,
            AuthError::KeyUnknown { .. } => Code::KeyUnknown,
            AuthError::KeysUnavailable { .. } => Code::KeysUnavailable,
            AuthError::NoSession => Code::SidRequired,
            AuthError::NoUser(_) => Code::TokenNamesNoUser,
        };
        let problem = Self::new(code, error.to_string());
        match error {
            AuthError::KeyUnknown { retry_after } => problem.with_retry_after(retry_after),
            AuthError::KeysUnavailable { retry_after } => {
                Self { cause: Some(error.into()), ..problem }.with_retry_after(retry_after)
            }
            // The cause may quote the token, so it is not logged.
            _ => problem,
        }
    }
}

impl From<AroundEdge> for Problem {
    fn from(_: AroundEdge) -> Self {
        Self::new(Code::EdgeOnly, "This address is not for clients; use the service's public address")
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_transient() { Self::store_unavailable(error) } else { Self::internal(error) }
    }
}
