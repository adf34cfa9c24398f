//! Who is calling: from a bearer token, or from the claims that API Gateway's authorizer verified, to a [`Caller`].

mod hs256;

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::config::{Auth, AuthMode};
use crate::session::{Digest, SessionId, UserId};
use hs256::Hs256;

/// The longest token looked at, in bytes; API Gateway takes 10,240 bytes of headers in all.
const TOKEN_MAX: usize = 8 * 1024;

/// How far the issuer's clock may run ahead of ours before `nbf` refuses a token, in seconds.
const NOT_BEFORE_LEEWAY: f64 = 60.0;

/// A verified caller.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who it is.
    pub user_id: UserId,
    /// Whether the token says admin.
    pub admin_by_token: bool,
    /// The session that the token belongs to, as it says.
    pub sid: Sid,
    /// Tells the same token again.
    pub token: Option<Digest>,
}

/// The claim that names a session, `sid` unless set otherwise (OpenID Connect Front-Channel Logout 1.0, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sid {
    /// The token names no session.
    Absent,
    /// It names this one.
    Session(SessionId),
    /// It names something that was never one of our sessions.
    Foreign,
}

/// The request does not prove who is calling. Displays without cryptographic detail; that is in `source()`.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// No token.
    #[error("The bearer token is missing")]
    Missing,
    /// Not a bearer token at all, or one that no issuer would make.
    #[error("The bearer token is malformed")]
    Malformed(#[source] Option<jsonwebtoken::errors::Error>),
    /// Its time is over.
    #[error("The token has expired")]
    Expired,
    /// Its time is still to come.
    #[error("The token is not valid yet")]
    NotYetValid,
    /// Not signed by our issuer, or made for someone else.
    #[error("The token is not valid")]
    Invalid(#[source] Option<jsonwebtoken::errors::Error>),
    /// It does not say whose it is.
    #[error("The token names no user in its \"{0}\" claim")]
    NoUser(String),
}

/// What a request brings to prove who is calling.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// The claims that API Gateway's JWT authorizer put into the request context.
    pub gateway_claims: Option<&'a HashMap<String, String>>,
}

/// Verifies callers as the settings say.
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

    /// Tells who is calling at `now`.
    ///
    /// # Errors
    /// [`AuthError`] when the credentials do not prove it.
    pub fn authenticate(&self, credentials: Credentials<'_>, now: Timestamp) -> Result<Caller, AuthError> {
        let claims = match &self.hs256 {
            Some(hs256) => {
                let claims = Claims(hs256.verify(bearer(credentials.authorization)?)?);
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
        let token = bearer(authorization).ok();
        Ok(Caller {
            admin_by_token: claims.includes(&settings.role_claim, &settings.admin_role),
            sid: claims.sid(&settings.session_id_claim),
            token: token.map(|token| Digest::of(&user_id, "token", token.as_bytes())),
            user_id,
        })
    }
}

/// The token of a bearer header (RFC 6750 section 2.1); the scheme's case does not matter (RFC 9110 section 11.1).
fn bearer(authorization: Option<&str>) -> Result<&str, AuthError> {
    let header =
        authorization.map(str::trim).filter(|header| !header.is_empty()).ok_or(AuthError::Missing)?;
    let (scheme, token) = header.split_once(' ').ok_or(AuthError::Malformed(None))?;
    let token = token.trim_start();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.len() > TOKEN_MAX {
        return Err(AuthError::Malformed(None));
    }
    Ok(token)
}

/// The claims of a token whose signature was verified.
struct Claims(Map<String, Value>);

impl Claims {
    /// API Gateway hands every claim over as text, a list as `[a b]`.
    fn from_gateway(claims: &HashMap<String, String>) -> Self {
        let value = |text: &String| match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(list) => Value::from_iter(list.split([' ', ',']).filter(|item| !item.is_empty())),
            None => Value::from(text.as_str()),
        };
        Self(claims.iter().map(|(name, text)| (name.clone(), value(text))).collect())
    }

    /// `exp` must be there and to come, `nbf` past if it is there: both NumericDates (RFC 7519 section 2).
    fn check_time(&self, now: Timestamp) -> Result<(), AuthError> {
        let now = now.as_second() as f64;
        let expires = self.numeric_date("exp")?.ok_or(AuthError::Malformed(None))?;
        if expires <= now {
            return Err(AuthError::Expired);
        }
        match self.numeric_date("nbf")? {
            Some(not_before) if not_before > now + NOT_BEFORE_LEEWAY => Err(AuthError::NotYetValid),
            _ => Ok(()),
        }
    }

    fn numeric_date(&self, name: &str) -> Result<Option<f64>, AuthError> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let latest = Timestamp::MAX.as_second() as f64;
        let seconds = value.as_f64().filter(|seconds| (0.0..=latest).contains(seconds));
        seconds.map(Some).ok_or(AuthError::Malformed(None))
    }

    fn check_includes(&self, name: &str, wanted: Option<&str>) -> Result<(), AuthError> {
        match wanted {
            Some(wanted) if !self.includes(name, wanted) => Err(AuthError::Invalid(None)),
            _ => Ok(()),
        }
    }

    /// Whether a claim is this text, or a list that holds it.
    fn includes(&self, name: &str, wanted: &str) -> bool {
        match self.0.get(name) {
            Some(Value::String(text)) => text == wanted,
            Some(Value::Array(items)) => items.iter().any(|item| item.as_str() == Some(wanted)),
            _ => false,
        }
    }

    /// The user, who may be a number: the first panel's tokens carry `"id": 74`.
    fn user_id(&self, name: &str) -> Option<UserId> {
        match self.0.get(name)? {
            Value::String(text) => UserId::parse(text).ok(),
            Value::Number(number) if !number.is_f64() => UserId::parse(&number.to_string()).ok(),
            _ => None,
        }
    }

    fn sid(&self, name: &str) -> Sid {
        match self.0.get(name) {
            None | Some(Value::Null) => Sid::Absent,
            Some(Value::String(text)) => SessionId::parse(text).map_or(Sid::Foreign, Sid::Session),
            Some(_) => Sid::Foreign,
        }
    }
}
