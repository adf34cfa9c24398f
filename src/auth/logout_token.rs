//! What an identity provider says when a user has signed out there (OpenID Connect Back-Channel Logout 1.0).

use serde_json::Value;

use super::Authenticator;
use super::claims::Claims;
use super::error::AuthError;
use super::keys::{Verified, is_logout_token};
use super::token::Token;
use crate::session::{ProviderSession, Timestamp, UserId};

/// The member of `events` that makes a token a logout token (section 2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// How long ago a logout token may have been made, in seconds: an old one would end sessions that were opened since.
const AGE_MAX: i64 = 5 * 60;

/// A user has signed out at the identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logout {
    /// The user.
    pub user_id: UserId,
    /// The provider's session that is over; without it all of the user's are.
    pub provider_session: Option<ProviderSession>,
    /// When the token was issued, in whole seconds since 1970, rounded down.
    pub issued_at: i64,
}

impl Authenticator {
    /// Verifies a logout token at `now` (section 2.6).
    ///
    /// # Errors
    /// [`AuthError::KeysUnavailable`] when nothing is known about the token; any other [`AuthError`] when it proves
    /// nothing, or when the settings do not say that logout tokens are taken.
    pub async fn logout_token(&self, token: &str, now: Timestamp) -> Result<Logout, AuthError> {
        let audience = self.settings.logout_audience.as_ref().ok_or(AuthError::Invalid(None))?;
        let token = Token::parse(token)?;
        let Verified { header, claims } = self.keys.verify(token.as_str(), now).await?;
        let claims = Claims(claims);
        self.count_future(&claims, now);
        claims.check_time(now)?;
        claims.check_issuer(self.settings.issuer.as_deref())?;
        let is_for_us = audience.iter().any(|wanted| claims.includes("aud", wanted));
        let has_type = header.typ.is_none() || is_logout_token(&header) || is_jwt(&header);
        if !is_for_us || !has_type || !claims.is_logout() {
            return Err(AuthError::Invalid(None));
        }
        let issued_at = claims.issued_at(now).filter(|issued| now.timestamp() - issued <= AGE_MAX);
        let user_id = claims.user_id("sub").ok_or_else(|| AuthError::NoUser("sub".into()))?;
        Ok(Logout {
            issued_at: issued_at.ok_or(AuthError::Invalid(None))?,
            provider_session: claims
                .provider_session("sid", &user_id)
                .map_err(|_| AuthError::Invalid(None))?
                .filter(|_| self.links_provider_sessions()),
            user_id,
        })
    }
}

impl Authenticator {
    /// Whether the tokens of users carry the id that logout tokens call `sid`. Where another claim serves, or none, a logout
    /// is of all that the user has.
    fn links_provider_sessions(&self) -> bool {
        self.settings.provider_session_claim.as_deref().is_some_and(|claim| claim != "auth_time")
    }
}

fn is_jwt(header: &jsonwebtoken::Header) -> bool {
    header.typ.as_deref().is_some_and(|typ| typ.eq_ignore_ascii_case("JWT"))
}

impl Claims {
    /// A token with a `nonce` is an ID token (section 2.4).
    fn is_logout(&self) -> bool {
        let event = self.0.get("events").and_then(|events| events.get(EVENT));
        event.is_some_and(Value::is_object) && !self.0.contains_key("nonce")
    }
}
