//! An authenticated request, and its parts in typed form.

use std::fmt::Display;
use std::time::Duration;

use lambda_http::http::{Method, header};
use lambda_http::{Request, RequestExt};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::edge::Viewer;
use super::gateway;
use super::path::{PathId, PathIds};
use super::problem::{Code, Problem};
use super::query::Query;
use crate::auth::{Caller, TokenRole};
use crate::device::ClientHints;
use crate::session::{
    Clock, Digest, EndReason, Note, Origin, SessionId, Termination, Timestamp, Token, UserId,
};

/// The header in which a client names its own session.
const SESSION_HEADER: &str = "x-session-id";

/// The header that identifies a repeat of a service's sign-in.
const IDEMPOTENCY_HEADER: &str = "idempotency-key";

/// The address of a device whose address nobody knows.
pub const UNKNOWN_ADDRESS: &str = "unknown";

/// The longest body, in bytes. A sign-in has a few hundred.
pub const BODY_MAX: usize = 16 * 1024;

/// How long it takes at most to write an answer and hand it over, when the work is done.
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// A request whose caller is authenticated: who asks, from which device, for what, and when.
#[derive(Debug)]
pub struct RequestContext<'r> {
    pub caller: Caller,
    /// When the request arrived.
    pub now: Timestamp,
    pub clock: Clock,
    request: &'r Request,
    /// Whether the edge's headers count.
    is_through_edge: bool,
    ids: PathIds<'r>,
    prefix: &'r str,
}

/// The `X-Session-Id` header.
#[derive(Clone, Copy, Debug)]
pub enum SessionHeader {
    /// The header is absent.
    Absent,
    /// It names this session, which may be anyone's.
    Session(SessionId),
    /// It is not the id of a session.
    Invalid,
}

impl<'r> RequestContext<'r> {
    /// `prefix` is what the client's path has before the endpoint's.
    pub fn new(
        request: &'r Request,
        is_through_edge: bool,
        ids: PathIds<'r>,
        prefix: &'r str,
        caller: Caller,
        clock: Clock,
    ) -> Self {
        Self { caller, now: clock.arrived_at(), clock, request, is_through_edge, ids, prefix }
    }

    /// The path of an endpoint as this client has to write it.
    pub fn client_path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// What the caller's token says about its session.
    pub fn token(&self) -> Token {
        self.caller.token()
    }

    /// Whether a back end asks.
    pub fn is_service(&self) -> bool {
        self.caller.role == TokenRole::Service
    }

    /// The latest start for another round of calls, which takes `round` at most, that still meets Lambda's deadline. It is
    /// `None` when the runtime sends no deadline, as some local runtimes do.
    pub fn latest_start(&self, round: Duration) -> Option<Instant> {
        let deadline = i64::try_from(self.request.lambda_context_ref()?.deadline).ok()?;
        if deadline <= self.now.timestamp_millis() {
            return None;
        }
        let left = u64::try_from(deadline - self.clock.now().timestamp_millis()).unwrap_or_default();
        Some(Instant::now() + Duration::from_millis(left).saturating_sub(round + ANSWER_TIME))
    }

    /// The user who asks.
    pub fn user(&self) -> &UserId {
        &self.caller.user_id
    }

    /// The termination of a session that an admin or a service ends.
    pub fn revocation(&self, note: Option<Note>) -> Termination {
        let by_service = self.is_service();
        let reason = if by_service { EndReason::RevokedByService } else { EndReason::RevokedByAdmin };
        self.termination(reason, note)
    }

    /// The termination of a session that this caller ends.
    pub fn termination(&self, reason: EndReason, note: Option<Note>) -> Termination {
        Termination { at: self.now, by: Some(self.user().clone()), reason, note }
    }

    /// The user id in the path.
    pub fn path_user(&self) -> Result<UserId, Problem> {
        let bad = |expected: &dyn Display| Problem::bad_field(Code::BadUserId, "user_id", expected);
        let text = self.ids.user.and_then(PathId::decode).ok_or_else(|| bad(&NOT_UTF8))?;
        UserId::parse(&text).map_err(|error| bad(&error))
    }

    /// The session id in the path.
    pub fn path_session(&self) -> Result<SessionId, Problem> {
        let bad = |expected: &dyn Display| Problem::bad_field(Code::BadSessionId, "session_id", expected);
        let text = self.ids.session.and_then(PathId::decode).ok_or_else(|| bad(&NOT_UTF8))?;
        SessionId::parse(&text).map_err(|error| bad(&error))
    }

    /// The query parameters.
    pub fn query(&self) -> Query<'r> {
        Query::of(self.request)
    }

    /// The reason for ending a session, on a request that takes no other parameter.
    pub fn reason_only(&self) -> Result<Option<Note>, Problem> {
        self.query().only(&["reason"])?.reason()
    }

    /// What the caller wants to do with the sessions of others, as a refusal says it.
    pub fn action(&self) -> &'static str {
        if *self.request.method() == Method::GET { "view" } else { "end" }
    }

    /// The headers that describe the client's device.
    pub fn client_hints(&self) -> ClientHints<'r> {
        client_hints(|name| self.header(name))
    }

    /// The digest of the client's user agent.
    pub fn user_agent_digest(&self) -> Option<Digest> {
        self.header("user-agent").map(|agent| user_agent_digest(self.user(), agent))
    }

    /// The `Idempotency-Key` header; `None` when it is absent or empty.
    pub fn idempotency_key(&self) -> Option<&'r [u8]> {
        let key = self.request.headers().get(IDEMPOTENCY_HEADER)?.as_bytes().trim_ascii();
        Some(key).filter(|key| !key.is_empty())
    }

    /// Where the client is: what the edge says, or else the IP address from which API Gateway received the request. A
    /// header that a client can set never counts.
    pub fn origin(&self) -> Origin {
        let viewer =
            if self.is_through_edge { Viewer::of(self.request.headers()) } else { Viewer::default() };
        let sender = || gateway::source_ip(self.request).unwrap_or(UNKNOWN_ADDRESS).to_owned();
        let ip_address = viewer.address.map_or_else(sender, |address| address.to_string());
        Origin { ip_address, location: viewer.location }
    }

    /// The session that the client names as its own.
    pub fn session_header(&self) -> SessionHeader {
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
    pub fn json_body(&self) -> Result<Map<String, Value>, Problem> {
        self.json_body_up_to(BODY_MAX)
    }

    /// The JSON object in a body of at most `max` bytes.
    pub fn json_body_up_to(&self, max: usize) -> Result<Map<String, Value>, Problem> {
        match self.json_text(max)? {
            [] => Ok(Map::new()),
            text => serde_json::from_slice(text)
                .map_err(|_| Problem::new(Code::BadBody, "The body must be a JSON object")),
        }
    }

    /// A body that has exactly the form of `T`. `expected` says what that is. No body is an empty object.
    pub fn strict_body<T: DeserializeOwned>(&self, max: usize, expected: &'static str) -> Result<T, Problem> {
        let text = match self.json_text(max)? {
            [] => b"{}",
            text => text,
        };
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
    pub fn no_body(&self) -> Result<(), Problem> {
        if !self.request.body().is_empty() {
            return Err(Problem::new(Code::UnexpectedBody, "This request takes no body"));
        }
        Ok(())
    }
}

/// The headers that describe a client's device.
pub fn client_hints<'a>(header: impl Fn(&str) -> Option<&'a str>) -> ClientHints<'a> {
    ClientHints {
        user_agent: header("user-agent"),
        brands: header("sec-ch-ua"),
        platform: header("sec-ch-ua-platform"),
        platform_version: header("sec-ch-ua-platform-version"),
        mobile: header("sec-ch-ua-mobile"),
    }
}

/// The digest of a user's user agent.
pub fn user_agent_digest(user: &UserId, agent: &str) -> Digest {
    Digest::of(user, "user_agent", agent.as_bytes())
}

const NOT_UTF8: &str = "must be UTF-8 when percent-decoded";
