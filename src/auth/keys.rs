//! The keys that verify tokens. HS256 (RFC 7518 section 3.2): jsonwebtoken reads the token, ring computes the HMAC.

use std::fmt;

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result as JwtResult};
use jsonwebtoken::signature::{Error as SignatureError, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use ring::hmac;
use serde_json::{Map, Value};

use super::AuthError;
use crate::config::Secret;

/// Verifies tokens with the secret, and with the previous secret during a rotation.
#[derive(Clone)]
pub(super) struct Hs256 {
    keys: Vec<DecodingKey>,
    validation: Validation,
}

impl fmt::Debug for Hs256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hs256(..)")
    }
}

impl Hs256 {
    pub(super) fn new(secret: &Secret, previous: Option<&Secret>) -> Self {
        install_provider();
        let keys = [Some(secret), previous].into_iter().flatten();
        Self {
            keys: keys.map(|secret| DecodingKey::from_secret(secret.as_bytes())).collect(),
            validation: signature_only(),
        }
    }

    /// The claims of a token that one of the keys signed.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] when no key signed it, [`AuthError::Malformed`] when it is not a token.
    pub(super) fn verify(&self, token: &str) -> Result<Map<String, Value>, AuthError> {
        let mut refusal = AuthError::Invalid(None);
        for key in &self.keys {
            match jsonwebtoken::decode::<Map<String, Value>>(token, key, &self.validation) {
                Ok(data) if data.header.crit.is_some() => return Err(AuthError::Invalid(None)),
                Ok(data) => return Ok(data.claims),
                Err(error) => refusal = refuse(error),
            }
        }
        Err(refusal)
    }
}

/// The claims are checked by the caller: with the time that it is given, and in the same way in every mode.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

fn refuse(error: jsonwebtoken::errors::Error) -> AuthError {
    match error.kind() {
        ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => AuthError::Invalid(Some(error)),
        _ => AuthError::Malformed(Some(error)),
    }
}

/// Gives jsonwebtoken its cryptography. A second call in the same process changes nothing.
fn install_provider() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        // This service reads tokens and never signs one.
        signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
        verifier_factory: |algorithm, key: &DecodingKey| {
            Ok(Box::new(Hmac::new(*algorithm, key.try_get_as_bytes()?)?) as Box<dyn JwtVerifier>)
        },
        key_utils: KeyUtils::new_unimplemented(),
    };
    let _already_installed = PROVIDER.install_default();
}

struct Hmac(hmac::Key);

impl Hmac {
    fn new(algorithm: Algorithm, secret: &[u8]) -> JwtResult<Self> {
        match algorithm {
            Algorithm::HS256 => Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret))),
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        }
    }
}

impl Verifier<Vec<u8>> for Hmac {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        hmac::verify(&self.0, message, signature).map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for Hmac {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}
