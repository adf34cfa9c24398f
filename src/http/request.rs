//! An authenticated request, and its parts in typed form.

use std::borrow::Cow;
use std::fmt::Display;

use lambda_http::http::{Method, header};
use lambda_http::{Request, RequestExt};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::endpoint::PathIds;
use super::lambda::gateway_context;
use super::problem::{Code, Problem};
use super::query::Query;
use crate::auth::Caller;
use crate::device::ClientHints;
use crate::session::{Clock, Digest, EndReason, Note, SessionId, Termination, Timestamp, Token, UserId};

/// The header in which a client names its own session.
const SESSION_HEADER: &str = "x-session-id";

/// The longest body, in bytes. A sign-in has a few hundred.
const BODY_MAX: usize = 16 * 1024;

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
        let Caller { sid, token, issued_at, expires_at, .. } = self.caller;
        Token { sid, digest: token, issued_at, expires_at }
    }

    /// The user who asks.
    pub(super) fn user(&self) -> &UserId {
        &self.caller.user_id
    }

    /// The termination of what this caller ends.
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
        ClientHints {
            user_agent: self.header("user-agent"),
            brands: self.header("sec-ch-ua"),
            platform: self.header("sec-ch-ua-platform"),
            platform_version: self.header("sec-ch-ua-platform-version"),
            mobile: self.header("sec-ch-ua-mobile"),
        }
    }

    /// The digest of the client's user agent.
    pub(super) fn user_agent_digest(&self) -> Option<Digest> {
        self.header("user-agent").map(|agent| Digest::of(self.user(), "user_agent", agent.as_bytes()))
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
        let body: &[u8] = self.request.body();
        if body.is_empty() {
            return Ok(Map::new());
        }
        if body.len() > BODY_MAX {
            return Err(Problem::new(Code::BodyTooLarge, "The body must be at most 16 KB"));
        }
        if !self.says_json() {
            let detail = "The body must be JSON, and Content-Type must say so";
            return Err(Problem::new(Code::BodyNotJson, detail));
        }
        serde_json::from_slice(body)
            .map_err(|_| Problem::new(Code::BadBody, "The body must be a JSON object"))
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

const NOT_UTF8: &str = "must be UTF-8 when percent-decoded";
