//! All keys that tokens are verified with, and which of them may have signed a token.

use std::sync::Arc;

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde_json::{Map, Value};

use super::error::AuthError;
use super::jwks::PublicKeys;
use super::key::Key;
use super::key_set::KeySet;
use super::settings::{AuthMode, Secret};
use crate::session::Timestamp;
use crate::telemetry::metrics::Metrics;

/// All keys that tokens are verified with.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    /// The secret, and the previous secret during a rotation. A token's `kid` means nothing.
    Hs256(Vec<Key>),
    /// The keys of a JWK Set. A token's `kid` names one of them.
    Jwks(Vec<Key>),
    /// The same, as the issuer publishes it.
    Fetched(Arc<KeySet>),
}

/// A token that one of the keys signed.
pub(super) struct Verified {
    pub header: Header,
    pub claims: Map<String, Value>,
}

/// Whether the token says that it is a logout token (OpenID Connect Back-Channel Logout 1.0 section 2.4). A type may also
/// be written in any case, and in full (RFC 7515 section 4.1.9).
pub(super) fn is_logout_token(header: &Header) -> bool {
    let types = ["logout+jwt", "application/logout+jwt"];
    header.typ.as_deref().is_some_and(|typ| types.iter().any(|each| typ.eq_ignore_ascii_case(each)))
}

impl Keys {
    /// The keys that the settings name.
    pub fn new(mode: &AuthMode, metrics: Metrics) -> Self {
        match mode {
            AuthMode::Hs256 { secret, previous } => Self::hs256(secret, previous.as_ref()),
            AuthMode::Jwks { keys: PublicKeys(keys) } => Self::Jwks(keys.clone()),
            AuthMode::JwksUrl { url, until_then, patience } => {
                Self::Fetched(KeySet::new(url.clone(), until_then.clone(), *patience, metrics).into())
            }
        }
    }

    /// Fetches the keys, if they are to be fetched.
    pub async fn fetch(&self, now: Timestamp) {
        if let Self::Fetched(set) = self {
            set.refresh(None, now).await;
        }
    }

    fn hs256(secret: &Secret, previous: Option<&Secret>) -> Self {
        let key =
            |secret: &Secret| Key::new(Algorithm::HS256, DecodingKey::from_secret(secret.as_bytes()), None);
        Self::Hs256([Some(secret), previous].into_iter().flatten().map(key).collect())
    }

    /// Reads a token that one of the keys signed.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] when no key signed it, [`AuthError::Malformed`] when it is not a token,
    /// [`AuthError::KeyUnknown`] and [`AuthError::KeysUnavailable`] when its key is not known.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, AuthError> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| AuthError::Malformed(Some(error)))?;
        if header.crit.is_some() {
            return Err(AuthError::Invalid(None));
        }
        let claims = match self {
            Self::Hs256(keys) => signed_by(keys, token),
            Self::Jwks(keys) => signed_by(named(keys, header.kid.as_deref()), token),
            Self::Fetched(set) => {
                let kid = header.kid.as_deref();
                signed_by(named(&set.keys(kid, now).await?, kid), token)
            }
        }?;
        Ok(Verified { header, claims })
    }
}

/// The keys that may have signed a token with this `kid`. Without a `kid`, any key may have signed it.
fn named<'k>(keys: &'k [Key], kid: Option<&str>) -> impl Iterator<Item = &'k Key> {
    keys.iter().filter(move |key| kid.is_none() || key.kid.as_deref() == kid)
}

fn signed_by<'k>(
    keys: impl IntoIterator<Item = &'k Key>,
    token: &str,
) -> Result<Map<String, Value>, AuthError> {
    let mut refusal = None;
    for key in keys {
        match key.verify(token) {
            Ok(claims) => return Ok(claims),
            Err(error) if is_of_another_key(&error) => refusal = Some(error),
            Err(error) => return Err(AuthError::Malformed(Some(error))),
        }
    }
    Err(AuthError::Invalid(refusal))
}

fn is_of_another_key(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm)
}
