//! Authentication: turns a token, which this service or API Gateway's authorizer verified, into a [`Caller`].

mod claims;
mod jwks;
mod keys;
mod token;

use std::collections::HashMap;

use crate::config::{Auth, AuthMode};
use crate::session::{self, Digest, Sid, Timestamp, UserId};
use claims::Claims;
pub use jwks::{JwksError, PublicKeys};
use keys::Keys;
use token::Token;

/// A caller whose token was verified.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user.
    pub user_id: UserId,
    /// What the token's role claim says.
    pub role: TokenRole,
    /// The session that the token names.
    pub sid: Sid,
    /// The digest of what the token's signature covers.
    pub token: Digest,
    /// When the token was issued (`iat`), in whole seconds, rounded down. `None` when the token does not say it, or says
    /// a time that is over a minute ahead, which proves nothing.
    pub issued_at: Option<i64>,
    /// When the token expires (`exp`), in whole seconds, rounded up.
    pub expires_at: i64,
}

impl Caller {
    /// What the token says about its session.
    pub fn token(&self) -> session::Token {
        let Self { sid, token, issued_at, expires_at, .. } = *self;
        session::Token { sid, digest: token, issued_at, expires_at }
    }
}

/// The role of a caller, as far as the token says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRole {
    /// Any other role, or none.
    User,
    /// `ADMIN_ROLE`
    Admin,
    /// `SERVICE_ROLE`: the token of a back end. A token that has both roles is an admin's, because an admin's token dies
    /// with its session.
    Service,
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
    /// `None` when API Gateway verifies tokens.
    keys: Option<Keys>,
}

impl Authenticator {
    /// An authenticator with these settings.
    pub fn new(settings: Auth) -> Self {
        let keys = match &settings.mode {
            AuthMode::Hs256 { secret, previous } => Some(Keys::hs256(secret, previous.as_ref())),
            AuthMode::Jwks { keys } => Some(Keys::jwks(keys)),
            AuthMode::Gateway => None,
        };
        Self { settings, keys }
    }

    /// Whether tokens are verified here, and not in API Gateway.
    pub fn verifies_tokens(&self) -> bool {
        self.keys.is_some()
    }

    /// Authenticates the caller of a request at `now`.
    ///
    /// # Errors
    /// [`AuthError`] when the credentials do not prove who the caller is.
    pub fn authenticate(&self, credentials: Credentials<'_>, now: Timestamp) -> Result<Caller, AuthError> {
        let (token, claims) = match &self.keys {
            Some(keys) => {
                let token = Token::from_bearer(credentials.authorization)?;
                (token, Claims(keys.verify(token.as_str())?))
            }
            None => self.verified_by_gateway(credentials)?,
        };
        self.caller(token, &claims, now)
    }

    /// The token that API Gateway's authorizer verified. The authorizer hands its claims over as text, in which a list
    /// and a text that looks like one are the same. So the claims are read from the token itself, and what was handed
    /// over must say that it was this token.
    fn verified_by_gateway<'a>(
        &self,
        credentials: Credentials<'a>,
    ) -> Result<(Token<'a>, Claims), AuthError> {
        let verified = credentials.gateway_claims.ok_or(AuthError::Missing)?;
        let token = Token::from_gateway(credentials.authorization)?;
        let claims = token.unverified_claims()?;
        claims.check_same(&self.settings.user_id_claim, verified)?;
        claims.check_same("exp", verified)?;
        Ok((token, claims))
    }

    fn caller(&self, token: Token<'_>, claims: &Claims, now: Timestamp) -> Result<Caller, AuthError> {
        let settings = &self.settings;
        let expires_at = claims.check_time(now)?;
        claims.check_includes("iss", settings.issuer.as_deref())?;
        claims.check_includes("aud", settings.audience.as_deref())?;
        let user_id = claims
            .user_id(&settings.user_id_claim)
            .ok_or_else(|| AuthError::NoUser(settings.user_id_claim.clone()))?;
        Ok(Caller {
            role: self.role(claims),
            sid: claims.sid(&settings.session_id_claim),
            token: Digest::of(&user_id, "token", token.signing_input().as_bytes()),
            issued_at: claims.issued_at(now),
            expires_at,
            user_id,
        })
    }

    fn role(&self, claims: &Claims) -> TokenRole {
        let has = |role: &str| claims.includes(&self.settings.role_claim, role);
        match &self.settings.service_role {
            _ if has(&self.settings.admin_role) => TokenRole::Admin,
            Some(service) if has(service) => TokenRole::Service,
            _ => TokenRole::User,
        }
    }
}
