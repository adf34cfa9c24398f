//! The keys that verify tokens: jsonwebtoken reads the token, ring verifies the signature.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::signature::{Error as SignatureError, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, Header, Validation};
use ring::error::Unspecified;
use ring::hmac;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::{Map, Value};

use super::AuthError;
use super::jwks::PublicKeys;
use crate::config::Secret;

/// A key and the one algorithm that it is for. The header of a token chooses neither.
#[derive(Clone, Debug)]
pub(super) struct Key {
    kid: Option<String>,
    key: DecodingKey,
    validation: Validation,
}

impl Key {
    pub fn new(algorithm: Algorithm, key: DecodingKey, kid: Option<String>) -> Self {
        Self { kid, key, validation: signature_only(algorithm) }
    }
}

/// All keys that tokens are verified with.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    /// The secret, and the previous secret during a rotation. A token's `kid` means nothing.
    Hs256(Vec<Key>),
    /// The keys of a JWK Set. A token's `kid` names one of them.
    Jwks(Vec<Key>),
}

impl Keys {
    pub fn hs256(secret: &Secret, previous: Option<&Secret>) -> Self {
        install_provider();
        let key =
            |secret: &Secret| Key::new(Algorithm::HS256, DecodingKey::from_secret(secret.as_bytes()), None);
        Self::Hs256([Some(secret), previous].into_iter().flatten().map(key).collect())
    }

    pub fn jwks(keys: &PublicKeys) -> Self {
        install_provider();
        Self::Jwks(keys.0.clone())
    }

    /// The claims of a token that one of the keys signed.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] when no key signed it, [`AuthError::Malformed`] when it is not a token.
    pub fn verify(&self, token: &str) -> Result<Map<String, Value>, AuthError> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| AuthError::Malformed(Some(error)))?;
        if header.crit.is_some() {
            return Err(AuthError::Invalid(None));
        }
        let mut refusal = None;
        for key in self.for_token(&header) {
            match jsonwebtoken::decode(token, &key.key, &key.validation) {
                Ok(data) => return Ok(data.claims),
                Err(error) if is_of_another_key(&error) => refusal = Some(error),
                Err(error) => return Err(AuthError::Malformed(Some(error))),
            }
        }
        Err(AuthError::Invalid(refusal))
    }

    /// The keys that may have signed the token. Without a `kid`, any key may have signed it.
    fn for_token(&self, header: &Header) -> impl Iterator<Item = &Key> {
        let (keys, kid) = match self {
            Self::Hs256(keys) => (keys, None),
            Self::Jwks(keys) => (keys, header.kid.clone()),
        };
        keys.iter().filter(move |key| kid.is_none() || key.kid == kid)
    }
}

fn is_of_another_key(error: &jsonwebtoken::errors::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm)
}

/// The claims are checked by the caller: with the time that it is given, and in the same way in every mode.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

/// Gives jsonwebtoken its cryptography. A second call in the same process changes nothing.
fn install_provider() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        // This service reads tokens and never signs one.
        signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
        verifier_factory: |algorithm, key| {
            Ok(Box::new(RingVerifier { algorithm: *algorithm, key: key.clone() }))
        },
        key_utils: KeyUtils::new_unimplemented(),
    };
    let _already_installed = PROVIDER.install_default();
}

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl RingVerifier {
    /// A key of one family never serves an algorithm of another.
    fn check(&self, message: &[u8], signature: &[u8]) -> Result<(), Unspecified> {
        use DecodingKeyKind::{RsaModulusExponent, SecretOrDer};
        match (self.algorithm, self.key.family(), self.key.kind()) {
            (Algorithm::HS256, AlgorithmFamily::Hmac, SecretOrDer(secret)) => {
                hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), message, signature)
            }
            (Algorithm::ES256, AlgorithmFamily::Ec, SecretOrDer(point)) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            (Algorithm::EdDSA, AlgorithmFamily::Ed, SecretOrDer(point)) => {
                UnparsedPublicKey::new(&signature::ED25519, point).verify(message, signature)
            }
            (Algorithm::RS256, AlgorithmFamily::Rsa, RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(
                    &signature::RSA_PKCS1_2048_8192_SHA256,
                    message,
                    signature,
                )
            }
            _ => Err(Unspecified),
        }
    }
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        self.check(message, signature).map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
