//! Tokens as the panel's backend would sign them (RFC 7519, HS256). Shared with the tests; made without the code
//! under test.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

/// The secret of the local stack and of the tests. Known to everyone: never deploy it.
pub const SECRET: &str = "local-development-secret-do-not-deploy-0000";

/// Signs any header and claims.
pub fn sign(header: &Value, claims: &Value, secret: &str) -> String {
    sign_text(&header.to_string(), &claims.to_string(), secret)
}

/// Signs any two texts in the place of header and claims.
pub fn sign_text(header: &str, claims: &str, secret: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    sign_parts(&part(header), &part(claims), secret)
}

/// Signs two parts as they are.
pub fn sign_parts(header: &str, claims: &str, secret: &str) -> String {
    let signed = format!("{header}.{claims}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// A token for a user, good until `expires` (seconds since 1970), that does not say when it was issued.
#[allow(dead_code, reason = "the tests use it")]
pub fn token(user: &str, role: Option<&str>, sid: Option<&str>, expires: i64) -> String {
    with_claims(json!({"sub": user, "exp": expires}), role, sid)
}

/// A token for a user, issued at `now` (seconds since 1970) and good for `lifetime` seconds.
pub fn issue(user: &str, role: Option<&str>, sid: Option<&str>, now: i64, lifetime: i64) -> String {
    with_claims(json!({"sub": user, "iat": now, "exp": now.saturating_add(lifetime)}), role, sid)
}

fn with_claims(mut claims: Value, role: Option<&str>, sid: Option<&str>) -> String {
    for (name, value) in [("role", role), ("sid", sid)] {
        if let Some(value) = value {
            claims[name] = value.into();
        }
    }
    sign(&json!({"alg": "HS256", "typ": "JWT"}), &claims, SECRET)
}
