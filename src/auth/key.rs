//! One key that verifies tokens: jsonwebtoken reads the token, ring verifies the signature.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{Error as SignatureError, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, Validation};
use ring::error::Unspecified;
use ring::hmac;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::{Map, Value};

/// A key and the one algorithm that it is for. The header of a token chooses neither.
#[derive(Clone, Debug)]
pub struct Key {
    /// The `kid` of a key in a JWK Set.
    pub kid: Option<String>,
    key: DecodingKey,
    validation: Validation,
}

impl Key {
    /// A key that verifies signatures of `algorithm`.
    pub fn new(algorithm: Algorithm, key: DecodingKey, kid: Option<String>) -> Self {
        install_provider();
        Self { kid, key, validation: signature_only(algorithm) }
    }

    /// The claims of a token that this key signed.
    pub fn verify(&self, token: &str) -> Result<Map<String, Value>, Error> {
        Ok(jsonwebtoken::decode(token, &self.key, &self.validation)?.claims)
    }
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
