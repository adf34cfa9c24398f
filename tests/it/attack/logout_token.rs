//! Logout tokens that no provider sent, and other tokens in their place.

use futures_util::FutureExt;
use serde_json::{Value, json};
use sessions::auth::{AuthError, Authenticator, Logout};
use sessions::session::ProviderSession;
use sessions::telemetry::metrics::Metrics;

use super::*;
use crate::support::keys::{self, Signer};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const CLIENT: &str = "panel-client";

/// The claims of a logout token as providers send them, with these changes; null takes a claim away.
fn logout_claims(changes: Value) -> String {
    let mut claims = json!({
        "iss": keys::ISSUER, "sub": "74", "aud": CLIENT, "iat": START, "exp": START + 120, "jti": "1",
        "events": {EVENT: {}}, "sid": "f81d4fae",
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims.to_string()
}

struct Receiver {
    signer: Signer,
    authenticator: Authenticator,
}

impl Receiver {
    fn with(extra: &[(&str, &str)]) -> Self {
        let signer = Signer::p256();
        let jwks = keys::set(&[signer.jwk(json!({"kid": "a"}))]);
        let own =
            [("LOGOUT_AUDIENCE", CLIENT), ("PROVIDER_SESSION_CLAIM", "sid"), ("SESSION_ID_CLAIM", "own")];
        let all = [extra, &own, &keys::settings(&jwks)].concat();
        let auth = settings(&nowhere(), &all).auth;
        Self { signer, authenticator: Authenticator::new(auth, Metrics::default()) }
    }

    fn judge(&self, token: &str) -> Result<Logout, AuthError> {
        self.authenticator.logout_token(token, at(0)).now_or_never().unwrap()
    }

    fn judge_claims(&self, changes: Value) -> Result<Logout, AuthError> {
        self.judge(&self.signer.token(Some("a"), &logout_claims(changes)))
    }

    fn judge_type(&self, typ: &str) -> Result<Logout, AuthError> {
        let header = format!(r#"{{"alg":"ES256","kid":"a"{typ}}}"#);
        self.judge(&self.signer.sign(&header, &logout_claims(json!({}))))
    }
}

#[test]
fn a_logout_token_says_who_signed_out_of_which_session_and_when() {
    let receiver = Receiver::with(&[]);
    let of = |id: &str| Some(ProviderSession::new(&user("74"), id).unwrap());
    let logout = |provider_session, issued_at| Logout { user_id: user("74"), provider_session, issued_at };
    for (changes, expected) in [
        (json!({}), logout(of("f81d4fae"), START)),
        (json!({"sid": null}), logout(None, START)),
        (json!({"sid": 7}), logout(of("7"), START)),
        (json!({"sub": 74}), logout(of("f81d4fae"), START)),
        (json!({"aud": ["shop", CLIENT]}), logout(of("f81d4fae"), START)),
        (json!({"iat": START - 300}), logout(of("f81d4fae"), START - 300)),
        (json!({"iat": START as f64 - 0.5}), logout(of("f81d4fae"), START - 1)),
        (json!({"iat": START + 60}), logout(of("f81d4fae"), START + 60)),
        (json!({"events": {EVENT: {}, "another": {}}}), logout(of("f81d4fae"), START)),
        (json!({"jti": null}), logout(of("f81d4fae"), START)),
    ] {
        assert_eq!(receiver.judge_claims(changes.clone()).unwrap(), expected, "{changes}");
    }
    // Where the tokens of users do not carry the `sid`, a logout is of all sessions.
    for claim in ["", "auth_time"] {
        let receiver = Receiver::with(&[("PROVIDER_SESSION_CLAIM", claim)]);
        assert_eq!(receiver.judge_claims(json!({})).unwrap(), logout(None, START), "{claim}");
    }
    for typ in [
        "",
        r#","typ":"logout+jwt""#,
        r#","typ":"JWT""#,
        r#","typ":"jwt""#,
        r#","typ":"application/logout+jwt""#,
    ] {
        assert!(receiver.judge_type(typ).is_ok(), "{typ}");
    }
}

#[test]
fn a_token_that_does_not_say_that_somebody_signed_out_is_refused() {
    let receiver = Receiver::with(&[]);
    for changes in [
        json!({"nonce": "n"}),
        json!({"nonce": ""}),
        json!({"events": null}),
        json!({"events": {}}),
        json!({"events": []}),
        json!({"events": EVENT}),
        json!({"events": [EVENT]}),
        json!({"events": {EVENT: true}}),
        json!({"events": {EVENT: []}}),
        json!({"events": {"http://schemas.openid.net/event/backchannel-logout/": {}}}),
        json!({"aud": null}),
        json!({"aud": null, "client_id": CLIENT}),
        json!({"aud": "panel"}),
        json!({"aud": "panel-client2"}),
        json!({"aud": keys::AUDIENCE}),
        json!({"aud": []}),
        json!({"iss": "https://attacker.example"}),
        json!({"iss": null}),
        json!({"iat": null}),
        json!({"iat": START - 301}),
        json!({"iat": START + 61}),
        json!({"iat": START.to_string()}),
        json!({"sid": ""}),
        json!({"sid": ["f81d4fae"]}),
        json!({"sid": 1.5}),
        json!({"sid": "a\u{0}"}),
        json!({"sid": "x".repeat(256)}),
    ] {
        let outcome = receiver.judge_claims(changes.clone());
        assert!(matches!(outcome, Err(AuthError::Invalid(_))), "{changes}: {outcome:?}");
    }
    for exp in [START, START - 1] {
        assert!(matches!(receiver.judge_claims(json!({"exp": exp})), Err(AuthError::Expired)), "{exp}");
    }
    assert!(matches!(receiver.judge_claims(json!({"exp": null})), Err(AuthError::Malformed(_))));
    assert!(matches!(receiver.judge_claims(json!({"nbf": START + 61})), Err(AuthError::NotYetValid)));
    for sub in [json!(null), json!(""), json!("a/b")] {
        assert!(matches!(receiver.judge_claims(json!({"sub": sub})), Err(AuthError::NoUser(_))), "{sub}");
    }
    for typ in [r#","typ":"at+jwt""#, r#","typ":"JOSE""#, r#","typ":"""#, r#","typ":"secevent+jwt""#] {
        assert!(matches!(receiver.judge_type(typ), Err(AuthError::Invalid(_))), "{typ}");
    }
}

#[test]
fn another_token_in_the_place_of_a_logout_token_is_refused() {
    let receiver = Receiver::with(&[]);
    let signer = &receiver.signer;
    let access = json!({
        "iss": keys::ISSUER, "sub": "74", "aud": [CLIENT, keys::AUDIENCE], "iat": START, "exp": START + 120, "sid": "s",
    });
    let by_another_key = Signer::p256().token(Some("a"), &logout_claims(json!({})));
    let good = signer.token(Some("a"), &logout_claims(json!({})));
    let unsigned = format!("{}.", good.rsplit_once('.').unwrap().0);
    let hs256 = signed(HEADER, &logout_claims(json!({})));
    let unknown = signer.token(Some("b"), &logout_claims(json!({})));
    for token in [signer.token(Some("a"), &access.to_string()), by_another_key, unsigned, hs256, unknown] {
        assert!(matches!(receiver.judge(&token), Err(AuthError::Invalid(_))), "{token}");
    }
    for token in ["", "x", "a.b.c", &format!("Bearer {good}"), &format!("{good} "), &format!("{good}.x")] {
        assert!(matches!(receiver.judge(token), Err(AuthError::Malformed(_))), "{token}");
    }
}

#[test]
fn logout_tokens_are_taken_only_where_sub_names_the_user_and_keys_are_public() {
    let receiver = Receiver::with(&[("USER_ID_CLAIM", "oid"), ("LOGOUT_AUDIENCE", "")]);
    assert!(matches!(receiver.judge_claims(json!({})), Err(AuthError::Invalid(_))));
    let by_default = Receiver::with(&[("LOGOUT_AUDIENCE", "")]);
    assert!(by_default.judge_claims(json!({"aud": keys::AUDIENCE})).is_ok());
    assert!(by_default.judge_claims(json!({})).is_err());
    let secret = Authenticator::new(settings(&nowhere(), &[]).auth, Metrics::default());
    let token = signed(HEADER, &logout_claims(json!({"iss": null, "aud": null})));
    let outcome = secret.logout_token(&token, at(0)).now_or_never().unwrap();
    assert!(matches!(outcome, Err(AuthError::Invalid(_))));
}
