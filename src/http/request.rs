//! An authenticated request, and its parts in typed form.

use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

use lambda_http::http::{Method, header};
use lambda_http::{Request, RequestExt};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::endpoint::PathIds;
use super::lambda::gateway_context;
use super::problem::{Code, Problem};
use super::query::Query;
use crate::auth::{Caller, TokenRole};
use crate::device::ClientHints;
use crate::session::{Clock, Digest, EndReason, Note, SessionId, Termination, Timestamp, Token, UserId};

/// The header in which a client names its own session.
const SESSION_HEADER: &str = "x-session-id";

/// The header that identifies a repeat of a service's sign-in.
const IDEMPOTENCY_HEADER: &str = "idempotency-key";

/// The longest body, in bytes. A sign-in has a few hundred.
const BODY_MAX: usize = 16 * 1024;

/// How long it takes at most to write an answer and hand it over, when the work is done.
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// A request whose caller is authenticated: who asks, from which device, for what, and when.
#[derive(Debug)]
pub(super) struct RequestContext<'r> {
    pub caller: Caller,
    /// When the request arrived.
    pub now: Timestamp,
    pub clock: Clock,
    request: &'r Request,
    ids: PathIds<'r>,
}

/// The `X-Session-Id` header.
#[derive(Clone, Copy, Debug)]
pub(super) enum SessionHeader {
    /// The header is absent.
    Absent,
    /// It names this session, which may be anyone's.
    Session(SessionId),
    /// It is not the id of a session.
    Invalid,
}

impl<'r> RequestContext<'r> {
    pub(super) fn new(request: &'r Request, ids: PathIds<'r>, caller: Caller, clock: Clock) -> Self {
        Self { caller, now: clock.arrived_at(), clock, request, ids }
    }

    /// What the caller's token says about its session.
    pub(super) fn token(&self) -> Token {
        self.caller.token()
    }

    /// Whether a back end asks.
    pub(super) fn is_service(&self) -> bool {
        self.caller.role == TokenRole::Service
    }

    /// The last moment at which a round of calls may start, when a round takes `round` at most: later ones might not end
    /// before Lambda ends the invocation. It is `None` when the runtime sends no deadline, as some local runtimes do.
    pub(super) fn last_start(&self, round: Duration) -> Option<Instant> {
        let deadline = i64::try_from(self.request.lambda_context_ref()?.deadline).ok()?;
        if deadline <= self.now.timestamp_millis() {
            return None;
        }
        let left = u64::try_from(deadline - self.clock.now().timestamp_millis()).unwrap_or_default();
        Some(Instant::now() + Duration::from_millis(left).saturating_sub(round + ANSWER_TIME))
    }

    /// The user who asks.
    pub(super) fn user(&self) -> &UserId {
        &self.caller.user_id
    }

    /// The termination of a session that an admin or a service ends.
    pub(super) fn revocation(&self, note: Option<Note>) -> Termination {
        let by_service = self.is_service();
        let reason = if by_service { EndReason::RevokedByService } else { EndReason::RevokedByAdmin };
        self.termination(reason, note)
    }

    /// The termination of a session that this caller ends.
    pub(super) fn termination(&self, reason: EndReason, note: Option<Note>) -> Termination {
        Termination { at: self.now, by: Some(self.user().clone()), reason, note }
    }

    /// The user id in the path.
    pub(super) fn path_user(&self) -> Result<UserId, Problem> {
        let bad = |expected: &dyn Display| Problem::bad_field(Code::BadUserId, "user_id", expected);
        let text = self.decode(self.ids.user).ok_or_else(|| bad(&NOT_UTF8))?;
        UserId::parse(&text).map_err(|error| bad(&error))
    }

    /// The session id in the path.
    pub(super) fn path_session(&self) -> Result<SessionId, Problem> {
        let bad = |expected: &dyn Display| Problem::bad_field(Code::BadSessionId, "session_id", expected);
        let text = self.decode(self.ids.session).ok_or_else(|| bad(&NOT_UTF8))?;
        SessionId::parse(&text).map_err(|error| bad(&error))
    }

    /// Percent-decodes an id once. API Gateway decodes the path of a route that has parameters, and delivers every
    /// other path as it was sent.
    fn decode(&self, id: Option<&'r str>) -> Option<Cow<'r, str>> {
        let is_decoded = self.request.path_parameters_ref().is_some_and(|parameters| !parameters.is_empty());
        let id = id.unwrap_or_default();
        if is_decoded { Some(id.into()) } else { percent_decode_str(id).decode_utf8().ok() }
    }

    /// The query parameters.
    pub(super) fn query(&self) -> Query<'r> {
        Query::of(self.request)
    }

    /// The reason for ending a session, on a request that takes no other parameter.
    pub(super) fn reason_only(&self) -> Result<Option<Note>, Problem> {
        self.query().only(&["reason"])?.reason()
    }

    /// What the caller wants to do with the sessions of others, as a refusal says it.
    pub(super) fn action(&self) -> &'static str {
        if *self.request.method() == Method::GET { "view" } else { "end" }
    }

    /// The headers that describe the client's device.
    pub(super) fn client_hints(&self) -> ClientHints<'r> {
        client_hints(|name| self.header(name))
    }

    /// The digest of the client's user agent.
    pub(super) fn user_agent_digest(&self) -> Option<Digest> {
        self.header("user-agent").map(|agent| user_agent_digest(self.user(), agent))
    }

    /// The `Idempotency-Key` header; `None` when it is absent or empty.
    pub(super) fn idempotency_key(&self) -> Option<&'r [u8]> {
        let key = self.request.headers().get(IDEMPOTENCY_HEADER)?.as_bytes().trim_ascii();
        Some(key).filter(|key| !key.is_empty())
    }

    /// The IP address from which API Gateway received the request. A header that a client can set never counts.
    pub(super) fn ip_address(&self) -> &'r str {
        gateway_context(self.request)
            .and_then(|context| context.http.source_ip.as_deref())
            .unwrap_or("unknown")
    }

    /// The session that the client names as its own.
    pub(super) fn session_header(&self) -> SessionHeader {
        if !self.request.headers().contains_key(SESSION_HEADER) {
            return SessionHeader::Absent;
        }
        let id = self.header(SESSION_HEADER).and_then(|text| SessionId::parse(text.trim()).ok());
        id.map_or(SessionHeader::Invalid, SessionHeader::Session)
    }

    fn header(&self, name: &str) -> Option<&'r str> {
        self.request.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The JSON object in the body. A request without a body has an empty one.
    pub(super) fn json_body(&self) -> Result<Map<String, Value>, Problem> {
        self.json_body_up_to(BODY_MAX)
    }

    /// The JSON object in a body of at most `max` bytes.
    pub(super) fn json_body_up_to(&self, max: usize) -> Result<Map<String, Value>, Problem> {
        match self.json_text(max)? {
            [] => Ok(Map::new()),
            text => serde_json::from_slice(text)
                .map_err(|_| Problem::new(Code::BadBody, "The body must be a JSON object")),
        }
    }

    /// A body that has exactly the form of `T`. `expected` says what that is.
    pub(super) fn strict_body<T: DeserializeOwned>(
        &self,
        max: usize,
        expected: &'static str,
    ) -> Result<T, Problem> {
        let text = self.json_text(max)?;
        // The error of the parser may quote the body.
        serde_json::from_slice(text).map_err(|_| Problem::new(Code::BadBody, expected))
    }

    fn json_text(&self, max: usize) -> Result<&'r [u8], Problem> {
        let body: &[u8] = self.request.body();
        if body.len() > max {
            let detail = format!("The body must be at most {} KB", max / 1024);
            return Err(Problem::new(Code::BodyTooLarge, detail));
        }
        if !body.is_empty() && !self.says_json() {
            let detail = "The body must be JSON, and Content-Type must say so";
            return Err(Problem::new(Code::BodyNotJson, detail));
        }
        Ok(body)
    }

    /// Whether the body is declared as JSON. A body without a type counts as JSON, because clients send nothing else
    /// here.
    fn says_json(&self) -> bool {
        let Some(value) = self.request.headers().get(header::CONTENT_TYPE) else { return true };
        let value = value.to_str().unwrap_or_default();
        let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
    }

    /// Refuses a body where the request must not have one.
    pub(super) fn no_body(&self) -> Result<(), Problem> {
        match self.request.body().is_empty() {
            true => Ok(()),
            false => Err(Problem::new(Code::UnexpectedBody, "This request takes no body")),
        }
    }
}

/// The headers that describe a client's device.
pub(super) fn client_hints<'a>(header: impl Fn(&str) -> Option<&'a str>) -> ClientHints<'a> {
    ClientHints {
        user_agent: header("user-agent"),
        brands: header("sec-ch-ua"),
        platform: header("sec-ch-ua-platform"),
        platform_version: header("sec-ch-ua-platform-version"),
        mobile: header("sec-ch-ua-mobile"),
    }
}

/// The digest of a user's user agent.
pub(super) fn user_agent_digest(user: &UserId, agent: &str) -> Digest {
    Digest::of(user, "user_agent", agent.as_bytes())
}

const NOT_UTF8: &str = "must be UTF-8 when percent-decoded";
