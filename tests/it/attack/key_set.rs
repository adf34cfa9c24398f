//! Key sets that an issuer, or somebody in its place, publishes; and tokens that make the service ask for them.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sessions::auth::{AuthError, AuthMode, Authenticator};
use sessions::telemetry::metrics::Metrics;

use super::*;
use crate::support::key_server::KeyServer;
use crate::support::keys::{self, Signer};
use crate::support::log::Log;

const UNKNOWN: Outcome = Some("key_unknown");
const UNAVAILABLE: Outcome = Some("keys_unavailable");

/// A token of the admin that outlives the test.
fn token_of(signer: &Signer, kid: Option<&str>) -> String {
    let claims = json!({
        "sub": "1", "role": "admin", "iss": keys::ISSUER, "aud": keys::AUDIENCE, "exp": START + 1_000_000,
    });
    signer.token(kid, &claims.to_string())
}

/// How often keys were fetched and could not be fetched, since the last call.
fn fetches(service: &Service) -> (u64, u64) {
    let line = service.flush_metrics().unwrap_or_default();
    let line: Value = serde_json::from_str(&line).unwrap_or_default();
    let count = |name: &str| line[name].as_f64().unwrap_or_default() as u64;
    (count("KeysFetched"), count("KeysFetchFailed"))
}

/// What an issuer may answer that is no key set, with a key of the attacker where there is room for one.
fn unusable_answers(attacker: &Signer) -> Vec<(&'static str, Vec<u8>)> {
    let http = |status: u16, more: &str, body: &str| {
        format!("HTTP/1.1 {status} Status\r\ncontent-length: {}{more}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let jwk = attacker.jwk(json!({"kid": "attacker"}));
    let set = keys::set(std::slice::from_ref(&jwk));
    let mut private = jwk.clone();
    private["d"] = "AAAA".into();
    let large = json!({"keys": [jwk], "pad": "x".repeat(70_000)}).to_string();
    let chunked = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n0\r\n\r\n{{}}",
        large.len()
    );
    vec![
        ("500", http(500, "", &set)),
        ("404", http(404, "", &set)),
        ("204", http(204, "", "")),
        ("206", http(206, "", &set)),
        ("301", http(301, "\r\nlocation: /keys", &set)),
        ("302", http(302, "\r\nlocation: https://attacker.example/keys", &set)),
        ("307", http(307, "\r\nlocation: /keys", &set)),
        ("70 KB", http(200, "", &large)),
        ("70 KB in chunks", chunked.into_bytes()),
        ("nothing", http(200, "", "")),
        ("not JSON", http(200, "", "<html></html>")),
        ("half of it", http(200, "", &set)[..80].to_vec()),
        ("two sets", http(200, "", &format!("{set}{set}"))),
        ("one key", http(200, "", &attacker.jwk(json!({})).to_string())),
        ("no key", http(200, "", r#"{"keys":[]}"#)),
        ("a private key", http(200, "", &keys::set(&[private]))),
        ("a secret", http(200, "", r#"{"keys":[{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}]}"#)),
        ("a key for another use", http(200, "", &keys::set(&[attacker.jwk(json!({"use": "enc"}))]))),
        ("no HTTP", b"keys}".to_vec()),
        ("an error page", http(503, "", "{}")),
    ]
}

#[tokio::test]
async fn an_answer_that_is_no_key_set_lets_nobody_in_and_locks_nobody_out() {
    let [issuer, attacker, before] = [Signer::p256(), Signer::p256(), Signer::ed25519()];
    let (good, bad) = (token_of(&issuer, Some("a")), token_of(&attacker, Some("attacker")));
    let nameless = token_of(&attacker, None);
    let database = database().await;
    for (name, answer) in unusable_answers(&attacker) {
        // From the start: no token can be judged, or only those of the keys in the settings.
        let server = KeyServer::silent().await;
        server.answer_bytes(answer.clone());
        let service = Service::on(database.clone(), &server.settings());
        came_to(&service.get(LIST, &good).await, UNAVAILABLE, name);
        assert_eq!((server.requests(), fetches(&service)), (1, (0, 1)), "{name}");
        let set = keys::set(&[before.jwk(json!({"kid": "b"}))]);
        let with_keys = [&server.settings()[..], &[("JWKS", &*set)]].concat();
        let service = Service::on(database.clone(), &with_keys);
        came_to(&service.get(LIST, &token_of(&before, Some("b"))).await, None, name);
        came_to(&service.get(LIST, &good).await, UNKNOWN, name);
        for token in [&bad, &nameless] {
            assert_eq!(service.get(LIST, token).await.status, 401, "{name}");
        }
        // Later: the last good set serves for a day.
        server.publish(&[issuer.jwk(json!({"kid": "a"}))]);
        let mut service = Service::on(database.clone(), &server.settings());
        came_to(&service.get(LIST, &good).await, None, name);
        server.answer_bytes(answer);
        for hours in [1, 22] {
            service.pass(TimeDelta::hours(hours));
            came_to(&service.get(LIST, &good).await, None, name);
            came_to(&service.get(LIST, &bad).await, UNKNOWN, name);
            came_to(&service.get(LIST, &nameless).await, INVALID, name);
        }
        service.pass(TimeDelta::hours(1));
        came_to(&service.get(LIST, &good).await, UNAVAILABLE, name);
        server.publish(&[issuer.jwk(json!({"kid": "a"}))]);
        service.pass(TimeDelta::seconds(10));
        came_to(&service.get(LIST, &good).await, None, name);
        assert_eq!(fetches(&service), (2, 3), "{name}");
    }
}

#[tokio::test]
async fn a_flood_of_unknown_keys_asks_the_issuer_once_in_ten_seconds() {
    let [issuer, attacker] = [Signer::p256(), Signer::ed25519()];
    let server = KeyServer::start(&[issuer.jwk(json!({"kid": "a"}))]).await;
    let mut service = Service::with(&server.settings()).await;
    let good = token_of(&issuer, Some("a"));
    came_to(&service.get(LIST, &good).await, None, "the first");
    for round in 0..3 {
        let unknown: Vec<_> = (0..50).map(|n| token_of(&attacker, Some(&format!("{round}-{n}")))).collect();
        let flood = unknown.iter().map(|token| service.get(LIST, token));
        for reply in join_all(flood).await {
            came_to(&reply, UNKNOWN, "unknown");
        }
        came_to(&service.get(LIST, &good).await, None, "meanwhile");
        assert_eq!(
            server.requests(),
            1 + round,
            "the set was fetched at the start, and once in each round after that"
        );
        service.pass(TimeDelta::seconds(9));
        let reply = service.get(LIST, &unknown[0]).await;
        came_to(&reply, UNKNOWN, "just before");
        assert_eq!((server.requests(), &*reply.headers["retry-after"]), (1 + round, "1"));
        service.pass(TimeDelta::seconds(1));
    }
}

#[tokio::test]
async fn a_new_key_counts_at_once_and_a_removed_one_within_the_hour() {
    let [old, new, of_settings] = [Signer::p256(), Signer::rsa(), Signer::ed25519()];
    let server = KeyServer::start(&[old.jwk(json!({"kid": "old"}))]).await;
    let set = keys::set(&[of_settings.jwk(json!({"kid": "settings"}))]);
    let mut service = Service::with(&[&server.settings()[..], &[("JWKS", &*set)]].concat()).await;
    let token_old = token_of(&old, Some("old"));
    came_to(&service.get(LIST, &token_old).await, None, "old");
    let from_settings = token_of(&of_settings, Some("settings"));
    came_to(
        &service.get(LIST, &from_settings).await,
        UNKNOWN,
        "the keys of the settings have had their time",
    );

    server.publish(&[old.jwk(json!({"kid": "old"})), new.jwk(json!({"kid": "new"}))]);
    let token_new = token_of(&new, Some("new"));
    came_to(&service.get(LIST, &token_new).await, UNKNOWN, "the issuer was asked just now");
    service.pass(TimeDelta::seconds(10));
    came_to(&service.get(LIST, &token_new).await, None, "new");
    came_to(&service.get(LIST, &token_of(&new, None)).await, None, "without a name");

    server.publish(&[new.jwk(json!({"kid": "new"}))]);
    service.pass(TimeDelta::minutes(59));
    came_to(&service.get(LIST, &token_old).await, None, "not known yet");
    service.pass(TimeDelta::minutes(1));
    came_to(&service.get(LIST, &token_old).await, UNKNOWN, "removed");
    came_to(&service.get(LIST, &token_new).await, None, "new");
    assert_eq!(server.requests(), 3);

    // Under the name of another key.
    came_to(&service.get(LIST, &token_of(&old, Some("new"))).await, INVALID, "another key");
    came_to(&service.get(LIST, &token_of(&old, None)).await, INVALID, "without a name");
}

#[tokio::test]
async fn a_key_set_may_have_one_bad_key_among_good_ones() {
    let [good, private, weak] = [Signer::p256(), Signer::p256(), Signer::ed25519()];
    let server = KeyServer::start(&[
        private.jwk(json!({"kid": "private", "d": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"})),
        json!({"kty": "oct", "kid": "secret", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}),
        json!({"kty": "RSA", "kid": "short", "n": "AQAB", "e": "AQAB"}),
        weak.jwk(json!({"kid": "encryption", "use": "enc"})),
        json!("a key"),
        good.jwk(json!({"kid": "good"})),
    ])
    .await;
    let service = Service::with(&server.settings()).await;
    let (log, guard) = Log::start();
    came_to(&service.get(LIST, &token_of(&good, Some("good"))).await, None, "good");
    let mut lines = log.take();
    drop(guard);
    lines.retain(|line| line["level"] == "ERROR");
    let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    let expected = [
        "JWKS_URL: key 1 (kid \"private\") is ignored, because it is a private key, and only public keys may be here",
        "JWKS_URL: key 2 (kid \"secret\") is ignored, because it is a symmetric key, and only public keys may be here",
        "JWKS_URL: key 3 (kid \"short\") is ignored, because it is an RSA key of fewer than 2048 bits",
        "JWKS_URL: key 5 is ignored, because it is not a JSON object",
    ];
    assert_eq!(messages, expected);
    for (signer, kid) in [(&private, "private"), (&weak, "encryption")] {
        came_to(&service.get(LIST, &token_of(signer, Some(kid))).await, UNKNOWN, kid);
        came_to(&service.get(LIST, &token_of(signer, None)).await, INVALID, kid);
    }
}

#[tokio::test]
async fn the_log_says_why_there_are_no_keys() {
    let server = KeyServer::start(&[]).await;
    let token = token_of(&Signer::p256(), Some("a"));
    let cause = async |settings: &[(&str, &str)]| {
        let service = Service::with(settings).await;
        let (log, guard) = Log::start();
        came_to(&service.get(LIST, &token).await, UNAVAILABLE, "no keys");
        let mut lines = log.take();
        drop(guard);
        lines.retain(|line| line["message"] == "the issuer's keys cannot be fetched");
        assert_eq!((lines.len(), &lines[0]["level"]), (1, &json!("ERROR")));
        lines[0]["cause"].as_str().unwrap().to_owned()
    };
    let no_key = "the answer is no usable key set: JWKS has no key that verifies ES256, RS256 or EdDSA (Ed25519) signatures";
    assert_eq!(cause(&server.settings()).await, no_key);
    server.answer(500, "{}");
    assert_eq!(cause(&server.settings()).await, "the issuer answered 500 and not 200");
    let nobody_there = [&[("JWKS_URL", "http://127.0.0.1:9/keys")], &server.settings()[..]].concat();
    let unreachable = cause(&nobody_there).await;
    assert!(unreachable.starts_with("the issuer cannot be reached: "), "{unreachable}");
    assert!(!unreachable.contains("/keys"), "{unreachable}");
}

/// An authenticator whose requests wait as long for the keys.
fn authenticator(server: &KeyServer, patience: Duration) -> Authenticator {
    let mut auth = settings(&nowhere(), &server.settings()).auth;
    let AuthMode::JwksUrl { patience: limit, .. } = &mut auth.mode else { panic!("no keys to fetch") };
    *limit = patience;
    Authenticator::new(auth, Metrics::default())
}

#[tokio::test]
async fn nobody_waits_long_for_an_issuer_that_does_not_answer() {
    let issuer = Signer::p256();
    let server = KeyServer::silent().await;
    let authenticator = authenticator(&server, Duration::from_secs(2));
    let header = format!("Bearer {}", token_of(&issuer, Some("a")));
    let unavailable = |outcome| matches!(outcome, Err(AuthError::KeysUnavailable { .. }));
    let requests = (0..20).map(|_| authenticator.authenticate(Some(&header), at(0)));
    assert!(join_all(requests).await.into_iter().all(unavailable));
    assert_eq!(server.requests(), 1, "one request at a time, and not a second one so soon");
    assert!(unavailable(authenticator.authenticate(Some(&header), at(9)).await));
    server.publish(&[issuer.jwk(json!({"kid": "a"}))]);
    assert!(unavailable(authenticator.authenticate(Some(&header), at(9)).await));
    authenticator.authenticate(Some(&header), at(10)).await.unwrap();
    // The set is an hour old and cannot be fetched: it serves on.
    server.fall_silent();
    authenticator.authenticate(Some(&header), at(3_610)).await.unwrap();
    authenticator.authenticate(Some(&header), at(3_611)).await.unwrap();
    assert_eq!(server.requests(), 3);
}

#[tokio::test]
async fn requests_wait_for_a_fetch_that_is_on_its_way_only_if_they_need_it() {
    let issuer = Signer::p256();
    let server = KeyServer::silent().await;
    let authenticator = authenticator(&server, Duration::from_secs(60));
    let fetching = authenticator.clone();
    let start = tokio::spawn(async move { fetching.fetch_keys(at(0)).await });
    server.asked(1).await;
    assert!(matches!(authenticator.authenticate(None, at(0)).await, Err(AuthError::Missing)));
    let hs256 = format!("Bearer {}", signed(r#"{"alg":"none"}"#, &claims("")));
    assert!(matches!(authenticator.authenticate(Some(&hs256), at(0)).await, Err(AuthError::Malformed(_))));
    let header = format!("Bearer {}", token_of(&issuer, Some("a")));
    let waiting = join_all((0..3).map(|_| authenticator.authenticate(Some(&header), at(0))));
    let answer = async { server.publish(&[issuer.jwk(json!({"kid": "a"}))]) };
    let (outcomes, ()) = tokio::join!(waiting, answer);
    assert!(outcomes.into_iter().all(|outcome| outcome.is_ok()));
    start.await.unwrap();
    assert_eq!(server.requests(), 1);
}
