//! Authentication: verifies a bearer token and turns it into a [`Caller`].

mod claims;
mod error;
mod jwks;
mod jwks_url;
mod key;
mod key_set;
mod keys;
mod logout_token;
mod role;
mod settings;
mod token;

use crate::session::{self, Digest, ProviderSession, Sid, Timestamp, UserId};
use crate::telemetry::metrics::Metrics;
use claims::Claims;
pub use error::AuthError;
pub use jwks::{JwksError, PublicKeys};
pub use jwks_url::{InvalidJwksUrl, JwksUrl};
use keys::{Keys, Verified, is_logout_token};
pub use logout_token::Logout;
pub use role::RoleClaim;
pub use settings::{AuthMode, AuthSettings, RoleSource, SECRET_MIN, Secret};
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
    /// The identity provider's session that the token names.
    pub provider_session: Option<ProviderSession>,
    /// When the token was issued (`iat`), in whole seconds, rounded down. `None` when the token does not say it, or says
    /// a time that is over a minute ahead, which proves nothing.
    pub issued_at: Option<i64>,
    /// When the user signed in at the provider (`auth_time`), likewise. It is never later than `issued_at`.
    pub auth_time: Option<i64>,
    /// When the token expires (`exp`), in whole seconds, rounded up.
    pub expires_at: i64,
}

impl Caller {
    /// What the token says about its session.
    pub fn token(&self) -> session::Token {
        let Self { sid, provider_session, token, issued_at, auth_time, expires_at, .. } = *self;
        let authenticated_at = auth_time.or(issued_at);
        session::Token { sid, provider_session, digest: token, auth_time, authenticated_at, expires_at }
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

/// Authenticates callers as the settings say.
#[derive(Clone, Debug)]
pub struct Authenticator {
    settings: AuthSettings,
    keys: Keys,
    metrics: Metrics,
}

impl Authenticator {
    /// An authenticator with these settings.
    pub fn new(settings: AuthSettings, metrics: Metrics) -> Self {
        let keys = Keys::new(&settings.mode, metrics.clone());
        Self { settings, keys, metrics }
    }

    /// Fetches the issuer's keys, if the settings say where they are. Requests that come meanwhile wait for them if they
    /// need them.
    pub async fn fetch_keys(&self, now: Timestamp) {
        self.keys.fetch(now).await;
    }

    /// Authenticates the caller of a request with this `Authorization` header at `now`.
    ///
    /// # Errors
    /// [`AuthError`] when the header does not prove who the caller is.
    pub async fn authenticate(
        &self,
        authorization: Option<&str>,
        now: Timestamp,
    ) -> Result<Caller, AuthError> {
        let token = Token::from_bearer(authorization)?;
        let Verified { header, claims } = self.keys.verify(token.as_str(), now).await?;
        let claims = Claims(claims);
        self.count_future(&claims, now);
        if is_logout_token(&header) {
            return Err(AuthError::Invalid(None));
        }
        self.caller(token, &claims, now)
    }

    /// Counts a token of the future, so that the operator sees that the issuer's clock is ahead.
    fn count_future(&self, claims: &Claims, now: Timestamp) {
        if claims.is_of_the_future(now) {
            self.metrics.add("FutureTokens", 1.0);
        }
    }

    fn caller(&self, token: Token<'_>, claims: &Claims, now: Timestamp) -> Result<Caller, AuthError> {
        let settings = &self.settings;
        let expires_at = claims.check_time(now)?;
        claims.check_issuer(settings.issuer.as_deref())?;
        claims.check_audience(&settings.audience)?;
        claims.check_no_event()?;
        let user_id = claims
            .user_id(&settings.user_id_claim)
            .ok_or_else(|| AuthError::NoUser(settings.user_id_claim.clone()))?;
        let role = self.role(claims);
        let (sid, provider_session) = self.sessions(claims, &user_id);
        let names_one = sid != Sid::Absent || provider_session.is_some();
        if settings.provider_session_claim.is_some() && role != TokenRole::Service && !names_one {
            return Err(AuthError::NoSession);
        }
        Ok(Caller {
            role,
            sid,
            provider_session,
            token: Digest::of(&user_id, "token", token.signing_input().as_bytes()),
            issued_at: claims.issued_at(now),
            auth_time: claims.auth_time(now),
            expires_at,
            user_id,
        })
    }

    /// The session of ours and that of the identity provider which the token names. No session was ever opened for a claim
    /// that no provider writes.
    fn sessions(&self, claims: &Claims, user: &UserId) -> (Sid, Option<ProviderSession>) {
        let settings = &self.settings;
        let sid = settings.session_id_claim.as_ref().map_or(Sid::Absent, |name| claims.sid(name));
        let Some(name) = &settings.provider_session_claim else { return (sid, None) };
        match claims.provider_session(name, user) {
            Ok(provider_session) => (sid, provider_session),
            Err(_) => (Sid::Foreign, None),
        }
    }

    fn role(&self, claims: &Claims) -> TokenRole {
        let settings = &self.settings;
        if settings.role_claim.has(&claims.0, &settings.admin_role) {
            return TokenRole::Admin;
        }
        let has_service_role =
            |role: &String| settings.service_role_claim.has(&claims.0, role) && !self.is_of_a_person(claims);
        if settings.service_role.as_ref().is_some_and(has_service_role) {
            TokenRole::Service
        } else {
            TokenRole::User
        }
    }

    /// A person signed in for the token, whatever else it says: a user may get a scope that a machine has too, and a
    /// service's token would outlive that person's session.
    fn is_of_a_person(&self, claims: &Claims) -> bool {
        let AuthSettings { session_id_claim, provider_session_claim, .. } = &self.settings;
        let names = [session_id_claim, provider_session_claim].into_iter().flatten().map(String::as_str);
        names.chain(["auth_time"]).any(|name| claims.has(name))
    }
}
