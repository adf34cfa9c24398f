//! The settings of authentication. What a token may look like is in `attack::tokens`, what makes an admin in
//! `attack::privilege`.

use crate::support::keys::{self, Signer};
use crate::support::*;
use futures_util::FutureExt;
use serde_json::{Value, json};
use sessions::auth::{Authenticator, Caller, TokenRole};
use sessions::session::{Digest, ProviderSession, SessionId, Sid};
use sessions::telemetry::metrics::Metrics;

const LIST: &str = "/sessions/user/74";
const OTHER_SECRET: &str = "another-secret-that-is-long-enough-000000";

fn claims() -> Value {
    json!({"sub": "1", "role": "admin", "exp": START + 60})
}

fn with(extra: Value) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    claims
}

fn sign_with(secret: &str, claims: &Value) -> String {
    token::sign(&json!({"alg": "HS256", "typ": "JWT"}), claims, secret)
}

fn sign(claims: &Value) -> String {
    sign_with(token::SECRET, claims)
}

#[tokio::test]
async fn a_token_may_be_8_kb_long_and_no_longer() {
    let service = Service::start().await;
    let of_length = |length: usize| {
        let mut tokens = (5_900..).map(|pad| sign(&with(json!({"pad": "x".repeat(pad)}))));
        tokens.find(|token| token.len() >= length).filter(|token| token.len() == length).unwrap()
    };
    service.get(LIST, &of_length(8 * 1024)).await.ok();
    service.get(LIST, &of_length(8 * 1024 + 1)).await.problem(401, "token_malformed");
}

#[tokio::test]
async fn the_previous_secret_is_accepted_during_a_rotation() {
    let (old, new) = (sign_with(OTHER_SECRET, &claims()), sign(&claims()));
    let rotating = Service::with(&[("JWT_SECRET_PREVIOUS", OTHER_SECRET)]).await;
    rotating.get(LIST, &old).await.ok();
    rotating.get(LIST, &new).await.ok();
    let forged = sign_with(&"x".repeat(32), &claims());
    rotating.get(LIST, &forged).await.problem(401, "token_invalid");
    Service::start().await.get(LIST, &old).await.problem(401, "token_invalid");
}

#[tokio::test]
async fn the_claims_of_the_user_and_the_role_can_be_renamed() {
    let settings = [("USER_ID_CLAIM", "id"), ("ROLE_CLAIM", "roles"), ("ADMIN_ROLE", "root")];
    let service = Service::with(&settings).await;
    let token = |id: Value, roles: Value| {
        sign(&json!({"id": id, "roles": roles, "role": "admin", "sub": "x", "exp": START + 60}))
    };
    for roles in [json!("root"), json!(["user", "root"])] {
        service.get(LIST, &token(json!(1), roles)).await.ok();
    }
    for roles in [json!("admin"), json!(["user"]), json!("ROOT"), json!(null)] {
        service.get(LIST, &token(json!(1), roles)).await.problem(403, "admin_only");
    }
    // The number in the token is the same user as the text in the path.
    service.get(LIST, &token(json!(74), json!("root"))).await.problem(400, "own_sessions");
    for id in [json!(""), json!(74.5), json!(1e30), json!(null), json!([74]), json!("a/b"), json!(true)] {
        let reply = service.get(LIST, &token(id, json!("root"))).await;
        assert_eq!(reply.problem(401, "token_names_no_user"), "The token names no user in its \"id\" claim");
    }
}

#[tokio::test]
async fn the_claim_of_the_session_can_be_renamed() {
    let mut service = Service::with(&[("SESSION_ID_CLAIM", "session")]).await;
    let own = service.sign_in("1", "panel").await.id.to_string();
    // The issuer's own sid means nothing to the service then.
    service.get(LIST, &sign(&with(json!({"sid": "of-the-issuer", "session": own})))).await.ok();
    for other in [NEVER, "not one of ours"] {
        let token = sign(&with(json!({ "session": other })));
        service.get(LIST, &token).await.problem(401, "session_ended");
    }
}

/// Who the caller with this token is, under these settings.
fn caller(extra: &[(&str, &str)], token: &str) -> Caller {
    let header = format!("Bearer {token}");
    let authenticator = Authenticator::new(settings(&nowhere(), extra).auth, Metrics::default());
    authenticator.authenticate(Some(&header), at(0)).now_or_never().unwrap().unwrap()
}

#[test]
fn the_role_of_back_ends_comes_from_the_settings_and_the_admins_comes_first() {
    let role =
        |role: Value, settings: &[(&str, &str)]| caller(settings, &sign(&with(json!({"role": role})))).role;
    let backend = [("SERVICE_ROLE", "back end")];
    for (text, with_setting, without) in [
        (json!("back end"), TokenRole::Service, TokenRole::User),
        (json!(["user", "back end"]), TokenRole::Service, TokenRole::User),
        (json!(["back end", "admin"]), TokenRole::Admin, TokenRole::Admin),
        (json!(["back", "end"]), TokenRole::User, TokenRole::User),
        (json!("Back end"), TokenRole::User, TokenRole::User),
        (json!("service"), TokenRole::User, TokenRole::User),
        (json!("admin"), TokenRole::Admin, TokenRole::Admin),
        (json!(null), TokenRole::User, TokenRole::User),
    ] {
        assert_eq!(
            (role(text.clone(), &backend), role(text.clone(), &[("SERVICE_ROLE", "")])),
            (with_setting, without),
            "{text}"
        );
    }
}

#[test]
fn the_token_of_a_person_is_never_a_services() {
    let settings = [
        ("SERVICE_ROLE", "sessions:write"),
        ("SERVICE_ROLE_CLAIM", "scope"),
        ("ADMIN_ROLE", "sessions:write"),
    ];
    let role = |more: Value| caller(&settings, &sign(&with(more))).role;
    let scope = "openid sessions:write";
    for (claims, expected) in [
        (json!({"scope": scope, "role": null}), TokenRole::Service),
        (json!({"scope": scope, "sid": null, "auth_time": null}), TokenRole::Service),
        (json!({"scope": scope, "auth_time": START}), TokenRole::User),
        (json!({"scope": scope, "auth_time": "yesterday"}), TokenRole::User),
        (json!({"scope": scope, "sid": "01900000-0000-7000-8000-000000000000"}), TokenRole::User),
        (json!({"scope": scope, "sid": "not one of ours"}), TokenRole::User),
        // The same word in the other claim is the other role.
        (json!({"role": scope}), TokenRole::User),
        (json!({"role": "sessions:write"}), TokenRole::Admin),
        (json!({"role": "sessions:write", "scope": scope, "auth_time": START}), TokenRole::Admin),
    ] {
        assert_eq!(role(claims.clone()), expected, "{claims}");
    }
}

#[tokio::test]
async fn roles_are_found_where_identity_providers_put_them() {
    let cases = [
        ("realm_access.roles", "admin", json!({"realm_access": {"roles": ["offline_access", "admin"]}})),
        ("resource_access.panel.roles", "admin", json!({"resource_access": {"panel": {"roles": ["admin"]}}})),
        ("cognito:groups", "admins", json!({"cognito:groups": ["admins"]})),
        ("app_metadata.role", "admin", json!({"app_metadata": {"role": "admin"}})),
        ("https://panel.example/roles", "admin", json!({"https://panel.example/roles": ["admin"]})),
        ("is_staff", "true", json!({"is_staff": true})),
        ("scp", "Sessions.Admin", json!({"scp": "openid Sessions.Admin"})),
    ];
    for (claim, role, claims) in cases {
        let service = Service::with(&[("ROLE_CLAIM", claim), ("ADMIN_ROLE", role)]).await;
        let mut all = with(claims);
        service.get(LIST, &sign(&all)).await.ok();
        all.as_object_mut().unwrap().remove(claim.split('.').next().unwrap());
        all.as_object_mut().unwrap().remove(claim);
        service.get(LIST, &sign(&all)).await.problem(403, "admin_only");
    }
}

#[test]
fn the_session_of_the_provider_is_a_digest_of_user_and_claim() {
    let provider = |name: &str, claims: Value| {
        let settings = [("PROVIDER_SESSION_CLAIM", name), ("SESSION_ID_CLAIM", "own")];
        let caller = caller(&settings, &sign(&with(claims)));
        assert_eq!((caller.sid, caller.role), (Sid::Absent, TokenRole::Admin));
        caller.provider_session
    };
    let of = |id: &str| Some(ProviderSession::new(&user("1"), id).unwrap());
    assert_eq!(provider("sid", json!({"sid": "f81d4fae"})), of("f81d4fae"));
    assert_eq!(provider("auth_time", json!({"auth_time": START})), of(&START.to_string()));
    assert_eq!(provider("sid", json!({"sid": -7})), of("-7"));
    assert_ne!(provider("sid", json!({"sid": "f81d4fae", "sub": "74"})), of("f81d4fae"), "of another user");
}

#[test]
fn the_providers_session_leaves_sid_to_the_provider() {
    let settings = [("PROVIDER_SESSION_CLAIM", "sid")];
    let found = caller(&settings, &sign(&with(json!({"sid": "01900000-0000-7000-8000-000000000000"}))));
    assert_eq!((found.sid, found.provider_session.is_some()), (Sid::Absent, true));
    let own = "01900000-0000-7000-8000-000000000000";
    let both = [("PROVIDER_SESSION_CLAIM", "sid"), ("SESSION_ID_CLAIM", "own")];
    let found = caller(&both, &sign(&with(json!({"sid": "p", "own": own}))));
    assert_eq!(
        (found.sid, found.provider_session.is_some()),
        (Sid::Session(SessionId::parse(own).unwrap()), true)
    );
}

#[tokio::test]
async fn a_users_token_without_the_providers_session_is_refused_on_every_route() {
    let service = Service::with(&[("PROVIDER_SESSION_CLAIM", "sid"), ("SESSION_ID_CLAIM", "own")]).await;
    for route in ROUTES.iter().copied() {
        let call = |token: &str| Call::good(route).token(token);
        for token in [user_token("74"), admin_token(), token_with("74", json!({"sid": null}))] {
            call(&token).send(&service).await.problem(401, "sid_required");
        }
    }
    for sample in SAMPLES.iter().filter(|sample| sample.is_for(Role::Service)) {
        let status = sample.good().token(&service_token()).send(&service).await.status;
        assert_ne!(status, 401, "{}: a service has no session", sample.route);
    }
}

#[tokio::test]
async fn a_session_of_the_provider_is_one_where_a_session_is_required() {
    let settings = [("PROVIDER_SESSION_CLAIM", "psid"), ("SESSION_ID_CLAIM", "own"), ("REQUIRE_SID", "true")];
    let service = Service::with(&settings).await;
    let token = token_with("1", json!({"role": "admin", "psid": "session-of-the-provider"}));
    service.get(LIST, &token).await.problem(401, "sid_required");
    assert_eq!(service.post("/sessions/create", &token, json!({})).await.status, 201);
    service.get(LIST, &token).await.ok();
    let without = token_with("1", json!({"role": "admin"}));
    service.get(LIST, &without).await.problem(401, "sid_required");
}

#[test]
fn a_caller_has_the_times_of_the_token_in_whole_seconds() {
    let token = sign(&json!({"sub": "1", "iat": START as f64 - 0.5, "exp": START as f64 + 0.5}));
    let known = caller(&[], &token);
    assert_eq!((known.issued_at, known.expires_at), (Some(START - 1), START + 1));
    assert_eq!(caller(&[], &sign(&claims())).issued_at, None);
}

#[test]
fn what_counts_against_a_cut_off_is_the_earlier_of_sign_in_and_issue() {
    for (claims, auth_time, authenticated_at) in [
        (json!({"auth_time": START - 9, "iat": START}), Some(START - 9), Some(START - 9)),
        (json!({"auth_time": START, "iat": START - 9}), Some(START - 9), Some(START - 9)),
        (json!({"iat": START - 9}), None, Some(START - 9)),
        (json!({"auth_time": START - 9}), Some(START - 9), Some(START - 9)),
        (json!({"auth_time": START + 1000, "iat": START}), None, Some(START)),
        (json!({"auth_time": START, "iat": START + 1000}), Some(START), Some(START)),
        (json!({"auth_time": "x", "iat": null}), None, None),
        (json!({}), None, None),
    ] {
        let token = caller(&[], &sign(&with(claims.clone()))).token();
        assert_eq!((token.auth_time, token.authenticated_at), (auth_time, authenticated_at), "{claims}");
    }
}

#[test]
fn a_token_is_known_by_what_its_signature_covers() {
    let signer = Signer::p256();
    let jwks = keys::set(&[signer.jwk(json!({}))]);
    let claims = with(json!({"iss": keys::ISSUER, "aud": keys::AUDIENCE})).to_string();
    // Each ECDSA signature is different.
    let (one, two) = (signer.token(None, &claims), signer.token(None, &claims));
    assert_ne!(one, two);
    let digest = |token: &str| caller(&keys::settings(&jwks), token).token;
    assert_eq!(digest(&one), digest(&two));
    let (signed, _) = one.rsplit_once('.').unwrap();
    assert_eq!(digest(&one), Digest::of(&user("1"), "token", signed.as_bytes()));
    assert_ne!(digest(&one), digest(&signer.token(None, &format!("{claims} "))));
}
