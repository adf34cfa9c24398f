//! The settings of authentication.

use std::fmt;
use std::time::Duration;

use super::jwks::PublicKeys;
use super::jwks_url::JwksUrl;
use super::role::RoleClaim;

/// The shortest JWT secret, in bytes. RFC 7518 section 3.2 asks for the size of the hash output.
pub const SECRET_MIN: usize = 32;

/// How callers are authenticated, and how admins are recognised.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// `AUTH_MODE`
    pub mode: AuthMode,
    /// `USER_ID_CLAIM`
    pub user_id_claim: String,
    /// `ROLE_CLAIM`
    pub role_claim: RoleClaim,
    /// `SERVICE_ROLE_CLAIM`
    pub service_role_claim: RoleClaim,
    /// `SESSION_ID_CLAIM`: the claim that names a session of ours
    pub session_id_claim: Option<String>,
    /// `PROVIDER_SESSION_CLAIM`: the claim that names the identity provider's session; with it, each token of a user must
    /// name one
    pub provider_session_claim: Option<String>,
    /// `ADMIN_ROLE`
    pub admin_role: String,
    /// `SERVICE_ROLE`: the role of a back end's own token; without it there are no such tokens
    pub service_role: Option<String>,
    /// `ROLE_SOURCE`
    pub role_source: RoleSource,
    /// `REQUIRE_SID`: whether tokens without a session id are refused everywhere but at sign-in
    pub require_sid: bool,
    /// `JWT_ISSUER`: the `iss` that every token must have
    pub issuer: Option<String>,
    /// `JWT_AUDIENCE`: every token must be for one of these; without any, the audience does not matter
    pub audience: Vec<String>,
    /// `LOGOUT_AUDIENCE`: logout tokens must be for one of these; `None` where none are taken
    pub logout_audience: Option<Vec<String>>,
}

/// How tokens are verified.
#[derive(Clone, Debug)]
pub enum AuthMode {
    /// With a secret that the issuer knows too.
    Hs256 {
        /// `JWT_SECRET`
        secret: Secret,
        /// `JWT_SECRET_PREVIOUS`, which is accepted too during a rotation
        previous: Option<Secret>,
    },
    /// With the public keys of the issuer.
    Jwks {
        /// `JWKS`
        keys: PublicKeys,
    },
    /// With the public keys that the issuer publishes.
    JwksUrl {
        /// `JWKS_URL`
        url: JwksUrl,
        /// `JWKS`: the keys that serve until the set was fetched for the first time; there may be none
        until_then: PublicKeys,
        /// How long a request waits for the set.
        patience: Duration,
    },
}

/// A secret key. Its debug form does not show it.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A secret with these bytes; `None` when it is shorter than [`SECRET_MIN`].
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        Some(bytes.into()).filter(|bytes| bytes.len() >= SECRET_MIN).map(Self)
    }

    /// The key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Where a caller's role is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleSource {
    /// In the token.
    Token,
    /// In the caller's profile item, for issuers whose tokens carry no role.
    Table,
}
