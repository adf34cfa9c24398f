//! The identity provider of `--provider`: its keys and its tokens, with claims like Keycloak's.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use super::args::Token;
use super::engine::Result;

/// The private key. Known to everyone: never deploy it.
const SEED: &[u8; 32] = b"local-provider-key-do-not-deploy";
const KEY_ID: &str = "local-1";

/// Where the key set is, on the panel's port.
pub const KEY_SET_PATH: &str = "/jwks.json";

/// The provider's name for itself, its client, and the API that its access tokens are for.
const ISSUER: &str = "https://provider.example";
const CLIENT: &str = "panel";
const AUDIENCE: &str = "sessions";

/// Signs tokens.
pub struct Provider(Ed25519KeyPair);

impl Provider {
    /// The provider with its key, which is the same at every start.
    pub fn new() -> Result<Self> {
        let key = Ed25519KeyPair::from_seed_unchecked(SEED);
        key.map(Self).map_err(|error| format!("the provider's key is refused: {error}").into())
    }

    /// The token that is asked for, issued at `now` (seconds since 1970).
    pub fn token(&self, wanted: &Token, now: i64) -> String {
        match wanted.logout {
            true => self.logout_token(wanted, now),
            false => self.access_token(wanted, now),
        }
    }

    /// The public key (RFC 7517, RFC 8037).
    pub fn key_set(&self) -> String {
        let public = URL_SAFE_NO_PAD.encode(self.0.public_key());
        let key = json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "x": public,
            "kid": KEY_ID,
            "alg": "EdDSA",
            "use": "sig",
        });
        json!({ "keys": [key] }).to_string()
    }

    /// A token without `sid` is a machine's, so nobody has authenticated for it.
    fn access_token(&self, wanted: &Token, now: i64) -> String {
        let mut claims = json!({
            "iss": ISSUER,
            "aud": [AUDIENCE, "account"],
            "azp": CLIENT,
            "sub": wanted.user,
            "typ": "Bearer",
            "realm_access": {"roles": wanted.role.as_slice()},
            "iat": now,
            "exp": now.saturating_add(wanted.expires_in),
        });
        if let Some(sid) = &wanted.sid {
            claims["sid"] = sid.as_str().into();
            claims["auth_time"] = now.saturating_sub(wanted.auth_age).into();
        }
        self.sign("JWT", &claims)
    }

    /// What the provider posts when the user signs out there; without `sid`, of all their sessions.
    fn logout_token(&self, wanted: &Token, now: i64) -> String {
        let mut claims = json!({
            "iss": ISSUER,
            "aud": CLIENT,
            "sub": wanted.user,
            "jti": format!("logout-{now}"),
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
            "iat": now,
            "exp": now + 120,
        });
        if let Some(sid) = &wanted.sid {
            claims["sid"] = sid.as_str().into();
        }
        self.sign("logout+jwt", &claims)
    }

    fn sign(&self, typ: &str, claims: &Value) -> String {
        let header = json!({"alg": "EdDSA", "typ": typ, "kid": KEY_ID});
        let message = [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

/// The settings of a service that takes these tokens and finds the key set on `panel`.
pub fn settings(panel: &str) -> [(&'static str, String); 8] {
    [
        ("AUTH_MODE", "jwks".into()),
        ("JWKS_URL", format!("{panel}{KEY_SET_PATH}")),
        ("JWT_ISSUER", ISSUER.into()),
        ("JWT_AUDIENCE", AUDIENCE.into()),
        ("LOGOUT_AUDIENCE", CLIENT.into()),
        ("SESSION_ID_CLAIM", "our_sid".into()),
        ("PROVIDER_SESSION_CLAIM", "sid".into()),
        ("ROLE_CLAIM", "realm_access.roles".into()),
    ]
}
