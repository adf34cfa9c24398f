//! Who is let in: tokens of every kind, both modes, all the claim settings.

use crate::support::*;
use serde_json::{Value, json};

const LIST: &str = "/sessions/user/74";
const NOW: i64 = START;
const OTHER_SECRET: &str = "another-secret-that-is-long-enough-000000";

fn header() -> Value {
    json!({"alg": "HS256", "typ": "JWT"})
}

fn claims() -> Value {
    json!({"sub": "1", "role": "admin", "exp": NOW + 60})
}

fn with(extra: Value) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    claims
}

fn sign(claims: &Value) -> String {
    token::sign(&header(), claims, token::SECRET)
}

async fn refused(service: &Service, token: &str, code: &str) {
    let reply = service.get(LIST, token).await;
    reply.problem(401, code);
    assert_eq!(reply.headers["www-authenticate"], "Bearer");
    assert!(token.len() < 9 || !reply.text.contains(token), "an answer never repeats a token");
}

#[tokio::test]
async fn a_valid_token_is_let_in() {
    let service = Service::start().await;
    for claims in [
        claims(),
        with(json!({"nbf": NOW, "iat": NOW})),
        with(json!({"exp": NOW as f64 + 0.5})),
        with(json!({"nbf": NOW + 60})),
    ] {
        assert_eq!(service.get(LIST, &sign(&claims)).await.text, "[]", "{claims}");
    }
    let scheme = Call::new("GET", LIST).header("authorization", &format!("  bEARER   {}  ", sign(&claims())));
    assert_eq!(scheme.send(&service).await.text, "[]");
}

#[tokio::test]
async fn a_missing_token_is_refused() {
    let service = Service::start().await;
    for call in [Call::new("GET", LIST), Call::new("GET", LIST).header("authorization", "  ")] {
        let reply = call.send(&service).await;
        assert_eq!(reply.problem(401, "token_missing"), "The bearer token is missing");
    }
}

#[tokio::test]
async fn what_is_no_bearer_token_is_refused() {
    let service = Service::start().await;
    let good = sign(&claims());
    let headers = [
        "Bearer".to_owned(),
        "Bearer ".into(),
        good.clone(),
        format!("Basic {good}"),
        format!("Bearer: {good}"),
        format!("Bearer {good},Bearer {good}"),
        format!("Bearer {good} {good}"),
        format!("Bearer\t{good}"),
    ];
    for value in headers {
        let reply = Call::new("GET", LIST).header("authorization", &value).send(&service).await;
        assert_eq!(reply.status, 401, "{value}");
        assert!(
            ["token_malformed", "token_invalid"].contains(&reply.body["code"].as_str().unwrap()),
            "{}",
            reply.text
        );
    }
}

#[tokio::test]
async fn malformed_tokens_are_refused() {
    let service = Service::start().await;
    let good = sign(&claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (head, payload) = signed.split_once('.').unwrap();
    let none = token::sign(&json!({"alg": "none"}), &claims(), token::SECRET);
    let tokens = [
        "...".to_owned(),
        "a.b.c".into(),
        "a".into(),
        signed.into(),
        format!("{good}."),
        format!(".{good}"),
        format!("{head}.{payload}.{signature}.{signature}"),
        "x".repeat(10 * 1024),
        none.clone(),
        format!("{}.", none.rsplit_once('.').unwrap().0),
        token::sign(&json!({"alg": "None"}), &claims(), token::SECRET),
        token::sign(&json!({"typ": "JWT"}), &claims(), token::SECRET),
        token::sign(&json!("HS256"), &claims(), token::SECRET),
        token::sign(&header(), &json!([1]), token::SECRET),
        sign(&with(json!({"pad": "x".repeat(10 * 1024)}))),
        "é.é.é".into(),
    ];
    for token in tokens {
        refused(&service, &token, "token_malformed").await;
    }
}

#[tokio::test]
async fn a_token_may_be_8_kb_long_and_no_longer() {
    let service = Service::start().await;
    let of_length = |length: usize| {
        let mut tokens = (5_900..).map(|pad| sign(&with(json!({"pad": "x".repeat(pad)}))));
        tokens.find(|token| token.len() >= length).filter(|token| token.len() == length).unwrap()
    };
    service.get(LIST, &of_length(8 * 1024)).await.ok();
    refused(&service, &of_length(8 * 1024 + 1), "token_malformed").await;
}

#[tokio::test]
async fn tokens_without_a_usable_expiry_are_refused() {
    let service = Service::start().await;
    let mut without = claims();
    without.as_object_mut().unwrap().remove("exp");
    refused(&service, &sign(&without), "token_malformed").await;
    for exp in [
        json!("1"),
        json!((NOW + 60).to_string()),
        json!(1e30),
        json!(-1),
        json!(null),
        json!(true),
        json!([NOW + 60]),
    ] {
        refused(&service, &sign(&with(json!({ "exp": exp }))), "token_malformed").await;
    }
    for nbf in [json!("1"), json!(1e30), json!(-1)] {
        refused(&service, &sign(&with(json!({ "nbf": nbf }))), "token_malformed").await;
    }
}

#[tokio::test]
async fn tokens_out_of_their_time_are_refused() {
    let mut service = Service::start().await;
    for exp in [json!(NOW), json!(NOW - 1), json!(0), json!(NOW as f64 - 0.5)] {
        refused(&service, &sign(&with(json!({ "exp": exp }))), "token_expired").await;
    }
    refused(&service, &sign(&with(json!({"nbf": NOW + 61}))), "token_not_yet_valid").await;
    let token = sign(&claims());
    service.get(LIST, &token).await.ok();
    service.pass(jiff::SignedDuration::from_secs(60));
    refused(&service, &token, "token_expired").await;
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let service = Service::start().await;
    let good = sign(&claims());
    let mut edited = good.clone();
    let at = good.find('.').unwrap() + 5;
    edited.replace_range(at..at + 1, if &good[at..at + 1] == "A" { "B" } else { "A" });
    refused(&service, &token::sign(&header(), &claims(), OTHER_SECRET), "token_invalid").await;
    refused(&service, &edited, "token_invalid").await;
    for alg in ["HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA"] {
        refused(&service, &token::sign(&json!({"alg": alg}), &claims(), token::SECRET), "token_invalid")
            .await;
    }
    let critical = json!({"alg": "HS256", "crit": ["exp"]});
    refused(&service, &token::sign(&critical, &claims(), token::SECRET), "token_invalid").await;
}

#[tokio::test]
async fn the_previous_secret_is_taken_while_a_rotation_lasts() {
    let old = token::sign(&header(), &claims(), OTHER_SECRET);
    let new = sign(&claims());
    let rotating = Service::with(&[("JWT_SECRET_PREVIOUS", OTHER_SECRET)]).await;
    rotating.get(LIST, &old).await.ok();
    rotating.get(LIST, &new).await.ok();
    refused(&rotating, &token::sign(&header(), &claims(), &"x".repeat(32)), "token_invalid").await;
    let rotated = Service::start().await;
    refused(&rotated, &old, "token_invalid").await;
}

#[tokio::test]
async fn the_claims_of_the_user_and_the_role_can_be_named() {
    let settings = [("USER_ID_CLAIM", "id"), ("ROLE_CLAIM", "roles"), ("ADMIN_ROLE", "root")];
    let service = Service::with(&settings).await;
    let token = |id: Value, roles: Value| {
        sign(&json!({"id": id, "roles": roles, "role": "admin", "sub": "x", "exp": NOW + 60}))
    };
    for roles in [json!("root"), json!(["root"]), json!(["user", "root"])] {
        service.get(LIST, &token(json!(1), roles)).await.ok();
    }
    for roles in [
        json!("admin"),
        json!(["user"]),
        json!([]),
        json!({"root": true}),
        json!(1),
        json!(null),
        json!("user root"),
        json!("ROOT"),
    ] {
        service.get(LIST, &token(json!(1), roles)).await.problem(403, "admin_only");
    }
    // The number in the token is the text in the path.
    service.get(LIST, &token(json!(74), json!("root"))).await.problem(400, "own_sessions");
    for id in [json!(""), json!(74.5), json!(1e30), json!(null), json!([74]), json!("a/b"), json!(true)] {
        let reply = service.get(LIST, &token(id, json!("root"))).await;
        assert_eq!(reply.problem(401, "token_names_no_user"), "The token names no user in its \"id\" claim");
    }
}

#[tokio::test]
async fn issuer_and_audience_must_be_there_when_they_are_set() {
    let service = Service::with(&[("JWT_ISSUER", "panel"), ("JWT_AUDIENCE", "sessions")]).await;
    for aud in [json!("sessions"), json!(["other", "sessions"])] {
        service.get(LIST, &sign(&with(json!({"iss": "panel", "aud": aud})))).await.ok();
    }
    let wrong = [
        json!({}),
        json!({"iss": "panel"}),
        json!({"aud": "sessions"}),
        json!({"iss": "other", "aud": "sessions"}),
        json!({"iss": 1, "aud": "sessions"}),
        json!({"iss": "panel", "aud": "other"}),
        json!({"iss": "panel", "aud": {"sessions": 1}}),
        json!({"iss": "panel", "aud": []}),
    ];
    for extra in wrong {
        refused(&service, &sign(&with(extra)), "token_invalid").await;
    }
    // Where none is set, tokens may carry any.
    Service::start().await.get(LIST, &sign(&with(json!({"iss": "x", "aud": "y"})))).await.ok();
}

fn from_gateway(claims: Value) -> Call {
    Call::new("GET", LIST)
        .with("/requestContext/authorizer", json!({"jwt": {"claims": claims, "scopes": null}}))
}

#[tokio::test]
async fn behind_the_gateways_authorizer_its_claims_alone_are_believed() {
    let service = Service::with(&[("AUTH_MODE", "gateway")]).await;
    for role in ["admin", "[admin]", "[user admin]", "[user,admin]"] {
        let reply = from_gateway(json!({"sub": "1", "role": role})).send(&service).await;
        assert_eq!(reply.text, "[]", "{role}");
    }
    for role in ["user", "[user]", "[]", "[administrator user]", "user admin"] {
        from_gateway(json!({"sub": "1", "role": role})).send(&service).await.problem(403, "admin_only");
    }
    from_gateway(json!({"role": "admin"})).send(&service).await.problem(401, "token_names_no_user");
    // A token, be it ever so good, says nothing here; nor do claims in a header or a body.
    service.get(LIST, &sign(&claims())).await.problem(401, "token_missing");
    let spoofed = Call::new("GET", LIST)
        .header("x-amzn-oidc-data", "admin")
        .with("/claims", json!({"sub": "1", "role": "admin"}));
    spoofed.send(&service).await.problem(401, "token_missing");
}

#[tokio::test]
async fn without_the_gateways_authorizer_its_claims_are_not_believed() {
    let service = Service::start().await;
    from_gateway(json!({"sub": "1", "role": "admin"})).send(&service).await.problem(401, "token_missing");
}

#[tokio::test]
async fn the_session_of_a_gateway_token_must_be_live_too() {
    let mut service = Service::with(&[("AUTH_MODE", "gateway")]).await;
    let own = service.sign_in("1", "panel").await.id.to_string();
    let list = || from_gateway(json!({"sub": "1", "role": "admin", "sid": own}));
    list().send(&service).await.ok();
    service.pass(jiff::SignedDuration::from_hours(720));
    assert_eq!(list().send(&service).await.problem(401, "session_ended"), "Session has ended");
}

#[tokio::test]
async fn the_claim_of_the_session_can_be_named() {
    let mut service = Service::with(&[("SESSION_ID_CLAIM", "session")]).await;
    let own = service.sign_in("1", "panel").await.id.to_string();
    // The issuer's own sid means nothing to us then.
    let token = sign(&with(json!({"sid": "of-the-issuer", "session": own})));
    service.get(LIST, &token).await.ok();
    service.pass(jiff::SignedDuration::from_secs(1));
    let other = sign(&with(json!({"session": "01900000-0000-7000-8000-000000000000"})));
    refused(&service, &other, "session_ended").await;
    refused(&service, &sign(&with(json!({"session": "not one of ours"}))), "session_ended").await;
}
