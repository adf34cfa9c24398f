//! What a request says of the device that it comes from.

use lambda_http::Request;

use super::gateway_context;
use crate::device::Hints;
use crate::session::{Digest, SessionId, UserId};

/// The header by which a client names its own session.
const SESSION_HEADER: &str = "x-session-id";

/// The device side of a request.
#[derive(Debug)]
pub(super) struct Client<'r> {
    /// What the headers tell of browser and system.
    pub hints: Hints<'r>,
    /// Where the gateway saw the request come from; a client's own word is never taken for it.
    pub ip_address: &'r str,
    /// The session that the client says is its own.
    pub named: Named,
}

/// The `X-Session-Id` header.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named {
    /// Not there.
    No,
    /// Names this session, which may be anyone's.
    Session(SessionId),
    /// Names what is no session.
    Unknown,
}

impl<'r> Client<'r> {
    pub(super) fn of(request: &'r Request) -> Self {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let ip_address = gateway_context(request).and_then(|context| context.http.source_ip.as_deref());
        Self {
            hints: Hints {
                user_agent: header("user-agent"),
                brands: header("sec-ch-ua"),
                platform: header("sec-ch-ua-platform"),
                platform_version: header("sec-ch-ua-platform-version"),
                mobile: header("sec-ch-ua-mobile"),
            },
            ip_address: ip_address.unwrap_or("unknown"),
            named: match request.headers().get(SESSION_HEADER) {
                None => Named::No,
                Some(_) => header(SESSION_HEADER)
                    .and_then(|text| SessionId::parse(text.trim()).ok())
                    .map_or(Named::Unknown, Named::Session),
            },
        }
    }

    pub(super) fn user_agent_digest(&self, user: &UserId) -> Option<Digest> {
        self.hints.user_agent.map(|agent| Digest::of(user, "user_agent", agent.as_bytes()))
    }
}
