//! Authentication: turns a bearer token, or the claims that API Gateway's authorizer verified, into a [`Caller`].

mod claims;
mod keys;

use std::collections::HashMap;

use crate::config::{Auth, AuthMode};
use crate::session::{Digest, SessionId, Timestamp, UserId};
use claims::Claims;
use keys::Hs256;

/// The longest token that is read, in bytes. API Gateway accepts 10,240 bytes of headers in all.
const TOKEN_MAX: usize = 8 * 1024;

/// A caller whose token was verified.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user.
    pub user_id: UserId,
    /// Whether the token says that the user is an admin.
    pub admin_by_token: bool,
    /// The session that the token names.
    pub sid: Sid,
    /// The digest of the token.
    pub token: Option<Digest>,
}

/// The claim that names a session, `sid` unless configured otherwise (OpenID Connect Front-Channel Logout 1.0,
/// section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sid {
    /// The token names no session.
    Absent,
    /// The token names this session.
    Session(SessionId),
    /// The token names something that was never one of our sessions.
    Foreign,
}

/// The request does not prove who the caller is. The messages contain no cryptographic detail; `source()` does.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// There is no token.
    #[error("The bearer token is missing")]
    Missing,
    /// The header is not a bearer token, or no issuer makes such a token.
    #[error("The bearer token is malformed")]
    Malformed(#[source] Option<jsonwebtoken::errors::Error>),
    /// The token's time is over.
    #[error("The token has expired")]
    Expired,
    /// The token's time has not come yet.
    #[error("The token is not valid yet")]
    NotYetValid,
    /// Our issuer did not sign the token, or it was made for another service.
    #[error("The token is not valid")]
    Invalid(#[source] Option<jsonwebtoken::errors::Error>),
    /// The token does not say who its user is.
    #[error("The token names no user in its \"{0}\" claim")]
    NoUser(String),
}

/// The parts of a request that prove who the caller is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// The claims that API Gateway's JWT authorizer put into the request context.
    pub gateway_claims: Option<&'a HashMap<String, String>>,
}

/// Authenticates callers as the settings say.
#[derive(Clone, Debug)]
pub struct Authenticator {
    settings: Auth,
    hs256: Option<Hs256>,
}

impl Authenticator {
    /// An authenticator with these settings.
    pub fn new(settings: Auth) -> Self {
        let hs256 = match &settings.mode {
            AuthMode::Hs256 { secret, previous } => Some(Hs256::new(secret, previous.as_ref())),
            AuthMode::Gateway => None,
        };
        Self { settings, hs256 }
    }

    /// Authenticates the caller of a request at `now`.
    ///
    /// # Errors
    /// [`AuthError`] when the credentials do not prove who the caller is.
    pub fn authenticate(&self, credentials: Credentials<'_>, now: Timestamp) -> Result<Caller, AuthError> {
        let claims = match &self.hs256 {
            Some(hs256) => {
                let claims = Claims(hs256.verify(bearer_token(credentials.authorization)?)?);
                claims.check_time(now)?;
                claims
            }
            None => Claims::from_gateway(credentials.gateway_claims.ok_or(AuthError::Missing)?),
        };
        self.caller(&claims, credentials.authorization)
    }

    fn caller(&self, claims: &Claims, authorization: Option<&str>) -> Result<Caller, AuthError> {
        let settings = &self.settings;
        claims.check_includes("iss", settings.issuer.as_deref())?;
        claims.check_includes("aud", settings.audience.as_deref())?;
        let user_id = claims
            .user_id(&settings.user_id_claim)
            .ok_or_else(|| AuthError::NoUser(settings.user_id_claim.clone()))?;
        let token = bearer_token(authorization).ok();
        Ok(Caller {
            admin_by_token: claims.includes(&settings.role_claim, &settings.admin_role),
            sid: claims.sid(&settings.session_id_claim),
            token: token.map(|token| Digest::of(&user_id, "token", token.as_bytes())),
            user_id,
        })
    }
}

/// The token of a bearer header (RFC 6750 section 2.1). The scheme may be in any case (RFC 9110 section 11.1).
fn bearer_token(authorization: Option<&str>) -> Result<&str, AuthError> {
    let header =
        authorization.map(str::trim).filter(|header| !header.is_empty()).ok_or(AuthError::Missing)?;
    let (scheme, token) = header.split_once(' ').ok_or(AuthError::Malformed(None))?;
    let token = token.trim_start();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.len() > TOKEN_MAX {
        return Err(AuthError::Malformed(None));
    }
    Ok(token)
}
