//! Errors as clients see them (RFC 9457), and the one place that maps causes to them.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use lambda_http::http::StatusCode;
use lambda_http::http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use lambda_http::{Body, Response};
use serde::Serialize;

use super::respond;
use crate::auth::AuthError;
use crate::store::StoreError;

type Cause = Box<dyn Error + Send + Sync>;

/// A refusal or a failure. The cause is for the log alone.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    header: Option<(HeaderName, &'static str)>,
    cause: Option<Cause>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, detail: detail.into(), header: None, cause: None }
    }

    fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// Whether no route is there for the request, as opposed to a route that refuses it.
    pub(super) fn is_of_routing(&self) -> bool {
        matches!(self.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)
    }

    pub(super) fn bad_request(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// A field that is not what it must be; `takes` says what that is.
    pub(super) fn bad_field(code: &'static str, field: &str, takes: impl std::fmt::Display) -> Self {
        Self::bad_request(code, format!("{field} {takes}"))
    }

    pub(super) fn session_ended() -> Self {
        Self::unauthorized("session_ended", "Session has ended")
    }

    /// The session that a request comes from is over, or cannot be told.
    pub(super) fn not_signed_in() -> Self {
        Self::unauthorized("no_current_session", "No active session found")
    }

    pub(super) fn nothing_to_log_out() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_current_session", "No active session found")
    }

    pub(super) fn current_session_unknown() -> Self {
        let detail = "Which session is the current one is not known, and nothing was ended; name it in the token's \
                      sid claim or in the X-Session-Id header";
        Self::new(StatusCode::CONFLICT, "current_session_unknown", detail)
    }

    /// A body that is too large or of another type.
    pub(super) fn body(status: StatusCode, code: &'static str, detail: &'static str) -> Self {
        Self::new(status, code, detail)
    }

    fn unauthorized(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail).with_header(WWW_AUTHENTICATE, "Bearer")
    }

    /// `deed` is "view" or "end".
    pub(super) fn not_an_admin(deed: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "admin_only",
            format!("Only admins can {deed} other users' sessions"),
        )
    }

    pub(super) fn own_sessions() -> Self {
        Self::bad_request("own_sessions", "Use /my-sessions endpoint for your own sessions")
    }

    pub(super) fn unknown_user() -> Self {
        Self::new(StatusCode::NOT_FOUND, "user_not_found", "User not found")
    }

    pub(super) fn unknown_session() -> Self {
        Self::new(StatusCode::NOT_FOUND, "session_not_found", "Session not found")
    }

    pub(super) fn unknown_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "route_not_found", "There is no such route")
    }

    /// `allow` lists the methods that the path takes.
    pub(super) fn wrong_method(allow: &'static str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", format!("This path takes {allow}"))
            .with_header(ALLOW, allow)
    }

    pub(super) fn internal(cause: impl Into<Cause>) -> Self {
        let detail = "The service failed; its log says why under this request_id";
        let problem = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail);
        Self { cause: Some(cause.into()), ..problem }
    }

    /// Writes it down, once, at the boundary.
    pub(super) fn log(self) -> Self {
        let (code, status) = (self.code, self.status.as_u16());
        match &self.cause {
            Some(cause) if self.status.is_server_error() => {
                tracing::error!(code, status, cause = %Chain(cause.as_ref()), "failed");
            }
            _ => tracing::info!(code, status, "refused"),
        }
        self
    }

    pub(super) fn into_response(self, request_id: &str) -> Response<Body> {
        let document = Document {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            request_id,
        };
        let body = serde_json::to_string(&document).unwrap_or_default();
        let mut response = respond(self.status, "application/problem+json", body);
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// An error and what it came from, each in its own words. Never in the form for debugging: the SDK's holds the whole
/// answer that it could not read, with addresses and notes in it.
struct Chain<'e>(&'e (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match self.0.source() {
            Some(source) => write!(f, ": {}", Chain(source)),
            None => Ok(()),
        }
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
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let code = match &error {
            AuthError::Missing => "token_missing",
            AuthError::Malformed(_) => "token_malformed",
            AuthError::Expired => "token_expired",
            AuthError::NotYetValid => "token_not_yet_valid",
            AuthError::Invalid(_) => "token_invalid",
            AuthError::NoUser(_) => "token_names_no_user",
        };
        // The cause may quote the token, so it is not logged.
        Self::unauthorized(code, error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if !error.is_transient() {
            return Self::internal(error);
        }
        let detail = "The sessions cannot be reached right now, and nothing is confirmed; try again";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", detail);
        Self { cause: Some(error.into()), ..problem }.with_header(RETRY_AFTER, "1")
    }
}
