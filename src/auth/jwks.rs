//! The public keys of an issuer, as a JWK Set (RFC 7517).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::keys::Key;

/// The shortest RSA modulus, in bits. RFC 7518 section 3.3 asks for it.
const RSA_BITS_MIN: usize = 2048;

/// The longest RSA modulus that ring verifies with, in bits.
const RSA_BITS_MAX: usize = 8192;

/// The largest public exponent that ring verifies with.
const RSA_EXPONENT_MAX: u64 = (1 << 33) - 1;

/// The members that only private keys have (RFC 7518 section 6). Keys of kinds to come call theirs `priv`.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"];

/// The public keys that tokens are verified with.
#[derive(Clone, Debug)]
pub struct PublicKeys(pub(super) Vec<Key>);

/// A JWK Set that must not be started with. The messages contain no part of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// The text is not a JWK Set.
    #[error("JWKS must be a JSON object with an array \"keys\" (RFC 7517 section 5)")]
    NotASet,
    /// One of the keys must not be there.
    #[error("JWKS: {name} {why}")]
    Key {
        /// Which key it is.
        name: String,
        /// Why it must not be there.
        why: &'static str,
    },
    /// There is no key, or each was ignored.
    #[error("JWKS has no key that verifies ES256, RS256 or EdDSA (Ed25519) signatures")]
    NoKey,
}

/// Why a key of a set is not used.
#[derive(Debug, PartialEq, Eq)]
enum Unused {
    /// It is for something else. RFC 7517 section 5 lets such keys be there.
    Ignored(&'static str),
    /// The operator must look at it.
    Refused(&'static str),
}

impl PublicKeys {
    /// Reads a JWK Set. Keys that are for something else are ignored with a warning.
    ///
    /// # Errors
    /// [`JwksError`] when it is not a set, when a key is private, symmetric, too short or broken, or when no key is left.
    pub fn parse(text: &str) -> Result<Self, JwksError> {
        let set: Value = serde_json::from_str(text).map_err(|_| JwksError::NotASet)?;
        let members = set.get("keys").and_then(Value::as_array).ok_or(JwksError::NotASet)?;
        let mut keys = Vec::new();
        for (index, member) in members.iter().enumerate() {
            let name = name(index, member);
            match read_key(member) {
                Ok(key) => keys.push(key),
                Err(Unused::Refused(why)) => return Err(JwksError::Key { name, why }),
                Err(Unused::Ignored(why)) => tracing::warn!("JWKS: {name} is ignored, because it {why}"),
            }
        }
        if keys.is_empty() { Err(JwksError::NoKey) } else { Ok(Self(keys)) }
    }
}

/// How a message names a key: by its place, and by its `kid` if it has one.
fn name(index: usize, member: &Value) -> String {
    let place = index + 1;
    match member.get("kid").and_then(Value::as_str) {
        Some(kid) => format!("key {place} (kid {kid:?})"),
        None => format!("key {place}"),
    }
}

fn read_key(member: &Value) -> Result<Key, Unused> {
    let jwk = member.as_object().ok_or(Unused::Refused("is not a JSON object"))?;
    check_public(jwk)?;
    check_purpose(jwk)?;
    let algorithm = algorithm(jwk)?;
    let kid = match jwk.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.clone()),
        Some(_) => return Err(Unused::Refused("has a kid that is not text")),
    };
    let key = match algorithm {
        Algorithm::RS256 => rsa_key(jwk)?,
        Algorithm::ES256 => ec_key(jwk)?,
        _ => ed_key(jwk)?,
    };
    Ok(Key::new(algorithm, key, kid))
}

/// Refuses a key that can sign: this service only verifies, and its settings are no place for such a key.
fn check_public(jwk: &Map<String, Value>) -> Result<(), Unused> {
    if text(jwk, "kty") == Some("oct") || jwk.contains_key("k") {
        return Err(Unused::Refused("is a symmetric key, and only public keys may be here"));
    }
    match PRIVATE_MEMBERS.iter().any(|name| jwk.contains_key(*name)) {
        true => Err(Unused::Refused("is a private key, and only public keys may be here")),
        false => Ok(()),
    }
}

/// Checks that the key, if it says what it is for, is for verifying signatures.
fn check_purpose(jwk: &Map<String, Value>) -> Result<(), Unused> {
    if jwk.contains_key("use") && text(jwk, "use") != Some("sig") {
        return Err(Unused::Ignored("is not for signatures (use)"));
    }
    let verifies = |operations: &Value| {
        operations.as_array().is_some_and(|operations| operations.iter().any(|each| each == "verify"))
    };
    match jwk.get("key_ops").is_none_or(verifies) {
        true => Ok(()),
        false => Err(Unused::Ignored("is not for verifying (key_ops)")),
    }
}

/// The algorithm that a key is for. Its kind decides, and its `alg` must not say otherwise.
fn algorithm(jwk: &Map<String, Value>) -> Result<Algorithm, Unused> {
    let (name, algorithm) = match (text(jwk, "kty"), text(jwk, "crv")) {
        (Some("RSA"), _) => ("RS256", Algorithm::RS256),
        (Some("EC"), Some("P-256")) => ("ES256", Algorithm::ES256),
        (Some("OKP"), Some("Ed25519")) => ("EdDSA", Algorithm::EdDSA),
        _ => return Err(Unused::Ignored("is of another kind (kty and crv) than RSA, P-256 and Ed25519")),
    };
    match jwk.contains_key("alg") && text(jwk, "alg") != Some(name) {
        true => Err(Unused::Ignored("is for another algorithm (alg) than RS256, ES256 and EdDSA")),
        false => Ok(algorithm),
    }
}

fn rsa_key(jwk: &Map<String, Value>) -> Result<DecodingKey, Unused> {
    let n = bytes(jwk, "n").ok_or(Unused::Refused("has no modulus (n) in base64url"))?;
    let e = bytes(jwk, "e").ok_or(Unused::Refused("has no exponent (e) in base64url"))?;
    // Some libraries write a zero before the number (RFC 7518 section 6.3.1.1), which ring does not take.
    let (n, e) = (without_leading_zeros(&n), without_leading_zeros(&e));
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    if bits < RSA_BITS_MIN {
        return Err(Unused::Refused("is an RSA key of fewer than 2048 bits"));
    }
    if bits > RSA_BITS_MAX {
        return Err(Unused::Refused("is an RSA key of more than 8192 bits"));
    }
    let exponent = e.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    if !(3..=RSA_EXPONENT_MAX).contains(&exponent) || !is_odd(e) || !is_odd(n) {
        return Err(Unused::Refused("is not an RSA key that signatures can be verified with"));
    }
    Ok(DecodingKey::from_rsa_raw_components(n, e))
}

/// An uncompressed point (SEC 1 section 2.3.3), which is what ring takes.
fn ec_key(jwk: &Map<String, Value>) -> Result<DecodingKey, Unused> {
    let coordinate = |name| bytes(jwk, name).filter(|bytes| bytes.len() == 32);
    match (coordinate("x"), coordinate("y")) {
        (Some(x), Some(y)) => Ok(DecodingKey::from_ec_der(&[&[4], &*x, &*y].concat())),
        _ => Err(Unused::Refused("has no x and y of 32 bytes in base64url")),
    }
}

fn ed_key(jwk: &Map<String, Value>) -> Result<DecodingKey, Unused> {
    let x = bytes(jwk, "x").filter(|bytes| bytes.len() == 32);
    x.map(|x| DecodingKey::from_ed_der(&x)).ok_or(Unused::Refused("has no x of 32 bytes in base64url"))
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    jwk.get(name).and_then(Value::as_str)
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text(jwk, name)?).ok()
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
