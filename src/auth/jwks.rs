//! The public keys of an issuer, as a JWK Set (RFC 7517).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::key::Key;

/// The shortest RSA modulus, in bits. RFC 7518 section 3.3 asks for it.
const RSA_BITS_MIN: usize = 2048;

/// The longest RSA modulus that ring verifies with, in bits.
const RSA_BITS_MAX: usize = 8192;

/// The largest public exponent that ring verifies with.
const RSA_EXPONENT_MAX: u64 = (1 << 33) - 1;

/// The members that only private keys have (RFC 7518 section 6). Newer kinds of keys call theirs `priv`.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"];

/// The public keys that tokens are verified with.
#[derive(Clone, Debug, Default)]
pub struct PublicKeys(pub(super) Vec<Key>);

/// A JWK Set that cannot be used. The messages contain no part of a key.
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
    /// The set has no key, or all its keys were ignored.
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
    /// Reads the JWK Set of the settings. Keys that are for something else are ignored with a warning.
    ///
    /// # Errors
    /// [`JwksError`] when it is not a set, when a key is private, symmetric, too short or broken, or when no key is left.
    pub fn parse(text: &str) -> Result<Self, JwksError> {
        Self::read(text.as_bytes(), |name, unused| match unused {
            Unused::Refused(why) => Err(JwksError::Key { name, why }),
            Unused::Ignored(why) => {
                tracing::warn!("JWKS: {name} is ignored, because it {why}");
                Ok(())
            }
        })
    }

    /// Reads the JWK Set of an issuer. One bad key there must not lock everybody out, so it is ignored, with an error line
    /// because somebody must look at it. Keys for something else are ignored without a word, since a set is read each hour.
    ///
    /// # Errors
    /// [`JwksError`] when it is not a set, or when no key is left.
    pub(super) fn fetched(text: &[u8]) -> Result<Self, JwksError> {
        Self::read(text, |name, unused| {
            if let Unused::Refused(why) = unused {
                tracing::error!("JWKS_URL: {name} is ignored, because it {why}");
            }
            Ok(())
        })
    }

    fn read(
        text: &[u8],
        on_unused: impl Fn(String, Unused) -> Result<(), JwksError>,
    ) -> Result<Self, JwksError> {
        let set: Value = serde_json::from_slice(text).map_err(|_| JwksError::NotASet)?;
        let members = set.get("keys").and_then(Value::as_array).ok_or(JwksError::NotASet)?;
        let mut keys = Vec::new();
        for (index, member) in members.iter().enumerate() {
            match read_key(member) {
                Ok(key) => keys.push(key),
                Err(unused) => on_unused(name(index, member), unused)?,
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
    if PRIVATE_MEMBERS.iter().any(|name| jwk.contains_key(*name)) {
        return Err(Unused::Refused("is a private key, and only public keys may be here"));
    }
    Ok(())
}

/// Checks that the key, if it says what it is for, is for verifying signatures.
fn check_purpose(jwk: &Map<String, Value>) -> Result<(), Unused> {
    if jwk.contains_key("use") && text(jwk, "use") != Some("sig") {
        return Err(Unused::Ignored("is not for signatures (use)"));
    }
    let verifies = |operations: &Value| {
        operations.as_array().is_some_and(|operations| operations.iter().any(|each| each == "verify"))
    };
    if !jwk.get("key_ops").is_none_or(verifies) {
        return Err(Unused::Ignored("is not for verifying (key_ops)"));
    }
    Ok(())
}

/// The algorithm that a key is for. Its kind decides, and its `alg` must not say otherwise.
fn algorithm(jwk: &Map<String, Value>) -> Result<Algorithm, Unused> {
    let (name, algorithm) = match (text(jwk, "kty"), text(jwk, "crv")) {
        (Some("RSA"), _) => ("RS256", Algorithm::RS256),
        (Some("EC"), Some("P-256")) => ("ES256", Algorithm::ES256),
        (Some("OKP"), Some("Ed25519")) => ("EdDSA", Algorithm::EdDSA),
        _ => return Err(Unused::Ignored("is of another kind (kty and crv) than RSA, P-256 and Ed25519")),
    };
    if jwk.contains_key("alg") && text(jwk, "alg") != Some(name) {
        return Err(Unused::Ignored("is for another algorithm (alg) than RS256, ES256 and EdDSA"));
    }
    Ok(algorithm)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn encoded(bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// A public key of this kind. The values of its numbers do not matter here.
    fn jwk(kind: &str, more: Value) -> Value {
        let number = encoded(&[0xab; 32]);
        let mut jwk = match kind {
            "RSA" => json!({"kty": "RSA", "n": encoded(&[0xff; 256]), "e": "AQAB"}),
            "EC" => json!({"kty": "EC", "crv": "P-256", "x": number, "y": number}),
            _ => json!({"kty": "OKP", "crv": "Ed25519", "x": number}),
        };
        jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        jwk
    }

    fn parse(keys: &[Value]) -> Result<PublicKeys, JwksError> {
        PublicKeys::parse(&json!({ "keys": keys }).to_string())
    }

    #[test]
    fn a_key_of_each_kind_is_used_with_and_without_what_it_says_of_itself() {
        for (kind, alg) in [("RSA", "RS256"), ("EC", "ES256"), ("OKP", "EdDSA")] {
            let says =
                json!({"alg": alg, "use": "sig", "key_ops": ["verify"], "kid": "a", "x5t": "b", "c": 1});
            assert_eq!(parse(&[jwk(kind, json!({})), jwk(kind, says)]).unwrap().0.len(), 2, "{kind}");
        }
        let (zero_before, three) = (encoded(&[&[0][..], &[0xff; 256]].concat()), encoded(&[0, 3]));
        let longest = encoded(&[0xff; 1024]);
        for (n, e) in [(&zero_before, &three), (&longest, &encoded(&[1, 255, 255, 255, 255]))] {
            assert!(parse(&[jwk("RSA", json!({"n": n, "e": e}))]).is_ok());
        }
    }

    #[test]
    fn what_is_not_a_set_is_refused() {
        let one_key = jwk("EC", json!({})).to_string();
        let texts =
            ["", "{", "null", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":null}"#, "-----BEGIN", &one_key];
        for text in texts {
            assert_eq!(PublicKeys::parse(text).unwrap_err(), JwksError::NotASet, "{text}");
        }
        assert_eq!(PublicKeys::parse(r#"{"keys":[]}"#).unwrap_err(), JwksError::NoKey);
    }

    #[test]
    fn a_key_that_must_not_be_there_is_named_and_not_shown() {
        let secret = encoded(&[0xcd; 32]);
        let of_bits = |bits: usize| {
            let mut n = vec![0xff; bits.div_ceil(8)];
            n[0] >>= 8 * n.len() - bits;
            encoded(&n)
        };
        let (symmetric, private) = ("is a symmetric key", "is a private key");
        let (no_point, no_x) = ("has no x and y of 32 bytes", "has no x of 32 bytes");
        let (no_n, no_e) = ("has no modulus (n)", "has no exponent (e)");
        let (short, long) = ("is an RSA key of fewer than 2048 bits", "is an RSA key of more than 8192 bits");
        let not_rsa = "is not an RSA key";
        let cases = [
            (json!({"kty": "oct", "k": secret}), symmetric),
            (json!({"kty": "oct"}), symmetric),
            (json!({"kty": "oct", "k": secret, "use": "enc"}), symmetric),
            (json!({"kty": "later", "k": secret}), symmetric),
            (jwk("OKP", json!({"k": secret})), symmetric),
            (jwk("RSA", json!({"d": secret})), private),
            (jwk("RSA", json!({"p": secret})), private),
            (jwk("EC", json!({"d": secret})), private),
            (jwk("EC", json!({"d": null})), private),
            (jwk("OKP", json!({"d": secret})), private),
            (jwk("EC", json!({"d": secret, "use": "enc"})), private),
            (jwk("EC", json!({"d": secret, "crv": "P-521"})), private),
            (json!({"kty": "AKP", "pub": "a", "priv": secret}), private),
            (jwk("RSA", json!({"n": of_bits(1024)})), short),
            (jwk("RSA", json!({"n": of_bits(2047)})), short),
            (jwk("RSA", json!({"n": encoded(&[&[0; 200][..], &[0xff; 200]].concat())})), short),
            (jwk("RSA", json!({"n": ""})), short),
            (jwk("RSA", json!({"n": of_bits(8193)})), long),
            (jwk("RSA", json!({"n": null})), no_n),
            (jwk("RSA", json!({"n": "not/base64url+"})), no_n),
            (jwk("RSA", json!({"e": 65537})), no_e),
            (jwk("RSA", json!({"e": "AQAB="})), no_e),
            (jwk("RSA", json!({"e": ""})), not_rsa),
            (jwk("RSA", json!({"e": encoded(&[1])})), not_rsa),
            (jwk("RSA", json!({"e": encoded(&[4])})), not_rsa),
            (jwk("RSA", json!({"e": encoded(&[2, 0, 0, 0, 1])})), not_rsa),
            (jwk("RSA", json!({"e": encoded(&[1, 0, 0, 0, 0, 0, 0, 0, 3])})), not_rsa),
            (jwk("RSA", json!({"n": encoded(&[0xfe; 256])})), not_rsa),
            (jwk("EC", json!({"x": encoded(&[0xab; 31])})), no_point),
            (jwk("EC", json!({"y": encoded(&[0xab; 48])})), no_point),
            (jwk("EC", json!({"y": null})), no_point),
            (jwk("OKP", json!({"x": encoded(&[0xab; 33])})), no_x),
            (jwk("OKP", json!({"x": 7})), no_x),
            (jwk("EC", json!({"kid": 7})), "has a kid that is not text"),
            (json!("a key"), "is not a JSON object"),
        ];
        for (key, why) in cases {
            let error = parse(&[jwk("EC", json!({})), key.clone()]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("JWKS: key 2 {why}")), "{key}: {error}");
            assert!(!error.contains(&secret), "{error}");
        }
        let named = jwk("EC", json!({"kid": "panel \"1\"", "d": secret}));
        let error = parse(&[named]).unwrap_err().to_string();
        assert_eq!(
            error,
            r#"JWKS: key 1 (kid "panel \"1\"") is a private key, and only public keys may be here"#
        );
    }

    #[test]
    fn a_key_for_something_else_is_ignored() {
        let cases = [
            jwk("RSA", json!({"use": "enc"})),
            jwk("EC", json!({"use": null})),
            // A key that is too short is ignored here too.
            jwk("RSA", json!({"use": "enc", "n": "AQAB"})),
            jwk("EC", json!({"key_ops": ["deriveKey"]})),
            jwk("EC", json!({"key_ops": []})),
            jwk("EC", json!({"key_ops": "verify"})),
            jwk("RSA", json!({"alg": "RS512"})),
            jwk("RSA", json!({"alg": "PS256"})),
            jwk("RSA", json!({"alg": "RSA-OAEP-256"})),
            jwk("RSA", json!({"alg": "HS256"})),
            jwk("EC", json!({"alg": "ES384"})),
            jwk("EC", json!({"alg": 7})),
            jwk("EC", json!({"crv": "P-384"})),
            jwk("EC", json!({"crv": "secp256k1"})),
            jwk("EC", json!({"crv": "Ed25519"})),
            jwk("OKP", json!({"crv": "X25519"})),
            jwk("OKP", json!({"crv": "Ed448"})),
            jwk("OKP", json!({"crv": null})),
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "a"}),
            json!({"kty": "rsa"}),
            json!({}),
        ];
        for key in cases {
            assert_eq!(parse(std::slice::from_ref(&key)).unwrap_err(), JwksError::NoKey, "{key}");
            assert_eq!(parse(&[key, jwk("OKP", json!({}))]).unwrap().0.len(), 1);
        }
    }
}
