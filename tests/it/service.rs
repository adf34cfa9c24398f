//! What a back end does with a token of its own: it signs users in, asks before it refreshes a token, and ends sessions.

use crate::support::fault::{Engine, Fault};
use crate::support::log::Log;
use crate::support::proxy::{Proxy, Trouble};
use crate::support::*;
use chrono::TimeDelta;
use serde_json::{Value, json};

const SIGN_IN: &str = "/sessions/user/74";
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const UNKNOWN: &str = "/sessions/user/74/session/01900000-0000-7000-8000-000000000000";

/// The token of another back end.
fn other_service() -> String {
    token::token("other-backend", Some("service"), None, START + 10_000_000_000)
}

async fn sign_in(service: &Service, body: Value) -> Reply {
    service.post(SIGN_IN, &service_token(), body).await
}

async fn sign_in_with_key(service: &Service, token: &str, user: &str, key: &str) -> Reply {
    let call = Call::new("POST", &format!("/sessions/user/{user}")).token(token);
    call.header("idempotency-key", key).body("{}").send(service).await
}

async fn activity(service: &Service, id: &str, body: Value) -> Reply {
    service.post(&format!("{SIGN_IN}/session/{id}/activity"), &service_token(), body).await
}

#[tokio::test]
async fn a_back_end_opens_the_session_that_the_users_token_names() {
    let (log, _guard) = Log::start();
    let service = Service::start().await;
    let headers = json!({"User-Agent": AGENT, "cookie": "secret=1", "x-number": 5, "x-null": null});
    let body =
        json!({"headers": headers, "ip_address": " 2001:DB8::1 ", "device_fingerprint": "fingerprint of a"});
    let opened = sign_in(&service, body).await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    let expected = json!({
        "user_id": 74, "device_name": "Firefox on Linux", "device_type": "web", "browser": "Firefox", "os": "Linux",
        "ip_address": "2001:db8::1", "signed_in_ip": "2001:db8::1", "is_active": true, "evicted": [],
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(opened.body[name], *value, "{name}");
    }
    assert_eq!(opened.body.get("is_current"), None);
    let line = &log.take_events("session_opened")[0];
    assert_eq!((&line["actor"], &line["user_id"]), (&json!("backend"), &json!("74")));

    let token = token::token("74", None, Some(&opened.id()), START + 1000);
    let current = service.get("/sessions/current", &token).await;
    assert_eq!(current.ok()["id"], *opened.id());
}

#[tokio::test]
async fn the_headers_are_read_however_a_framework_spells_them() {
    let service = Service::start().await;
    let spellings = [
        json!({"user-agent": AGENT}),
        json!({"USER-AGENT": AGENT}),
        json!({"User-Agent": [AGENT, "another"]}),
        json!({"user-agent": AGENT, "sec-ch-ua": {"a": 1}, "sec-ch-ua-platform": [], "sec-ch-ua-mobile": [1]}),
    ];
    for headers in spellings {
        let opened = sign_in(&service, json!({ "headers": headers })).await;
        assert_eq!(
            (opened.status, &opened.body["device_name"]),
            (201, &json!("Firefox on Linux")),
            "{headers}"
        );
    }
    for headers in
        [json!({}), json!(null), json!({"user-agent": 1}), json!({"user-agent": "Firefox\u{202e}"})]
    {
        let opened = sign_in(&service, json!({ "headers": headers })).await;
        assert_eq!(
            (opened.status, &opened.body["device_name"]),
            (201, &json!("Unknown device")),
            "{headers}"
        );
    }
}

#[tokio::test]
async fn the_address_is_the_users_or_unknown_and_never_the_back_ends() {
    let service = Service::start().await;
    let addresses = [json!(null), json!("unknown"), json!("203.0.113.9, 10.0.0.1"), json!("")];
    for address in addresses {
        let opened = sign_in(&service, json!({ "ip_address": address })).await;
        assert_eq!((opened.status, &opened.body["ip_address"]), (201, &json!("unknown")), "{address}");
    }
    assert_eq!(sign_in(&service, json!({})).await.body["signed_in_ip"], "unknown");
}

#[tokio::test]
async fn a_device_that_is_known_is_refreshed_and_the_oldest_makes_room() {
    let mut service = Service::with(&[("MAX_SESSIONS", "2")]).await;
    let body = |device: &str| json!({"device_fingerprint": fingerprint_of(device)});
    let first = sign_in(&service, body("a")).await;
    service.pass(TimeDelta::seconds(1));
    let again = sign_in(&service, body("a")).await;
    assert_eq!((again.status, again.id()), (200, first.id()));
    assert_eq!(again.body["evicted"], json!([]));
    for device in ["b", "c"] {
        service.pass(TimeDelta::seconds(1));
        let opened = sign_in(&service, body(device)).await;
        let evicted = if device == "c" { json!([first.id()]) } else { json!([]) };
        assert_eq!((opened.status, &opened.body["evicted"]), (201, &evicted));
    }
    let ended = service.get(&format!("{SIGN_IN}/session/{}", first.id()), &service_token()).await;
    assert_eq!((&ended.ok()["end_reason"], &ended.body["ended_by"]), (&json!("evicted"), &json!("backend")));
}

#[tokio::test]
async fn a_repeat_with_the_same_key_opens_no_second_session() {
    let mut service = Service::with(&[("MAX_SESSIONS", "10")]).await;
    let (token, other) = (service_token(), other_service());
    let first = sign_in_with_key(&service, &token, "74", "k").await;
    assert_eq!(first.status, 201);
    let again = sign_in_with_key(&service, &token, "74", "k").await;
    assert_eq!((again.status, again.id(), &again.body["evicted"]), (200, first.id(), &json!([])));
    // A key is one service's, for one user. Without a key a repeat is another sign-in.
    let others = [(&token, "74", "l"), (&token, "75", "k"), (&other, "74", "k"), (&token, "74", " ")];
    for (token, user, key) in others {
        let opened = sign_in_with_key(&service, token, user, key).await;
        assert_eq!(opened.status, 201, "{user} {key}");
        assert_ne!(opened.id(), first.id(), "{user} {key}");
    }
    service.delete(&format!("{SIGN_IN}/session/{}", first.id()), &admin_token()).await.ok();
    sign_in_with_key(&service, &token, "74", "k").await.problem(409, "session_already_ended");
    service.pass(TimeDelta::hours(24));
    assert_eq!(sign_in_with_key(&service, &token, "74", "k").await.status, 201, "a key is kept for a day");
}

#[tokio::test]
async fn a_sign_in_whose_answer_is_lost_is_found_again_by_its_key() {
    // The SDK repeats a write by itself when the connection breaks, and the answer is the first one's.
    for (fault, status) in [(Fault::Empty(Engine::Done), 503), (Fault::Cut(Engine::Done), 201)] {
        let proxy = Proxy::before(&database().await).await;
        let service = Service::on(proxy.database.clone(), &[]);
        proxy.trouble(Trouble { fault, after: 0, lasts: false });
        let lost = sign_in_with_key(&service, &service_token(), "74", "k").await;
        assert_eq!(lost.status, status, "{}", lost.text);
        proxy.heal();
        let found = sign_in_with_key(&service, &service_token(), "74", "k").await;
        assert_eq!((found.status, &found.body["evicted"]), (200, &json!([])), "{}", found.text);
        assert_eq!(service.get(SIGN_IN, &admin_token()).await.ids(), [found.id()]);
        // When an admin was faster than the repeat, the device stays out.
        service.delete(SIGN_IN, &admin_token()).await.ok();
        let ended = sign_in_with_key(&service, &service_token(), "74", "k").await;
        ended.problem(409, "session_already_ended");
    }
}

#[tokio::test]
async fn activity_is_recorded_while_the_session_is_live() {
    let mut service = Service::start().await;
    let id = sign_in(&service, json!({"ip_address": "198.51.100.21"})).await.id();
    service.pass(TimeDelta::hours(1));
    let moved = activity(&service, &id, json!({"ip_address": "203.0.113.9"})).await;
    assert_eq!(moved.ok()["ip_address"], "203.0.113.9");
    assert_eq!(moved.body["signed_in_ip"], "198.51.100.21");
    assert_eq!(moved.body["last_activity"], "2040-01-01T01:00:00.000Z");
    service.pass(TimeDelta::hours(1));
    let call = Call::new("POST", &format!("{SIGN_IN}/session/{id}/activity")).token(&service_token());
    let kept = call.send(&service).await;
    assert_eq!((&kept.ok()["ip_address"], kept.body.get("is_current")), (&json!("203.0.113.9"), None));

    service.delete(&format!("{SIGN_IN}/session/{id}"), &admin_token()).await.ok();
    activity(&service, &id, json!({})).await.problem(409, "session_already_ended");
    let id = sign_in(&service, json!({})).await.id();
    service.pass(TimeDelta::hours(720));
    activity(&service, &id, json!({})).await.problem(409, "session_already_ended");
    let never = format!("{UNKNOWN}/activity");
    service.post(&never, &service_token(), json!({})).await.problem(404, "session_not_found");
    let strict = Service::with(&[("UNKNOWN_USERS", "not_found")]).await;
    strict.post(&never, &service_token(), json!({})).await.problem(404, "user_not_found");
}

#[tokio::test]
async fn admins_and_services_read_a_session_and_its_receipt() {
    let service = Service::start().await;
    let id = sign_in(&service, json!({})).await.id();
    let target = format!("{SIGN_IN}/session/{id}");
    for token in [admin_token(), service_token()] {
        assert_eq!(service.get(&target, &token).await.ok()["is_active"], true);
    }
    let ended = service.delete(&format!("{target}?reason=stolen"), &service_token()).await;
    let receipt = &ended.ok()["session"];
    assert_eq!(
        (&receipt["end_reason"], &receipt["ended_by"], &receipt["end_note"]),
        (&json!("revoked_by_service"), &json!("backend"), &json!("stolen"))
    );
    for token in [admin_token(), service_token()] {
        assert_eq!(service.get(&target, &token).await.ok(), receipt);
        service.get(UNKNOWN, &token).await.problem(404, "session_not_found");
    }
    // The user learns when and why, and not who.
    let own = service.get(&format!("/sessions/session/{id}"), &user_token("74")).await;
    assert_eq!(
        (&own.ok()["end_reason"], &own.body["ended_by"], &own.body["end_note"]),
        (&json!("revoked_by_service"), &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn a_service_ends_all_sessions_of_a_user() {
    let service = Service::start().await;
    for _ in 0..2 {
        sign_in(&service, json!({})).await;
    }
    let preview = service.delete(&format!("{SIGN_IN}?dry_run=true"), &service_token()).await;
    assert_eq!(
        (&preview.ok()["revoked"], preview.body["sessions"].as_array().unwrap().len()),
        (&json!(0), 2)
    );
    let ended = service.delete(&format!("{SIGN_IN}?reason=password+changed"), &service_token()).await;
    assert_eq!(ended.ok()["revoked"], 2);
    for session in ended.body["sessions"].as_array().unwrap() {
        assert_eq!(session["end_reason"], "revoked_by_service");
    }
    assert_eq!(service.get(SIGN_IN, &admin_token()).await.text, "[]");
}

#[tokio::test]
async fn only_a_service_uses_the_routes_of_services() {
    let routes =
        ["POST /sessions/user/{user_id}", "POST /sessions/user/{user_id}/session/{session_id}/activity"];
    for settings in [vec![], vec![("ROLE_SOURCE", "table")], vec![("REQUIRE_SID", "true")]] {
        let (log, _guard) = Log::start();
        let service = Service::with(&settings).await;
        for (route, token) in
            routes.iter().flat_map(|route| [(route, admin_token()), (route, user_token("75"))])
        {
            let refused = Call::of(route).token(&token).body("no JSON").send(&service).await;
            assert_eq!(refused.problem(403, "service_only"), "Only services can do this");
            let lines = log.take_events("access_refused");
            assert_eq!(
                (lines.len(), &lines[0]["reason"], &lines[0]["user_id"]),
                (1, &json!("service_only"), &json!("74"))
            );
        }
    }
}

#[tokio::test]
async fn a_service_is_no_admin() {
    for settings in [vec![], vec![("ROLE_SOURCE", "table")]] {
        let service = Service::with(&settings).await;
        service.get(SIGN_IN, &service_token()).await.problem(403, "admin_only");
    }
}

#[tokio::test]
async fn a_token_with_both_roles_is_an_admins_and_dies_with_its_session() {
    let mut service = Service::start().await;
    let id = service.sign_in("5", "a").await.id;
    let token = token_with("5", json!({"role": ["service", "admin"], "sid": id.to_string()}));
    service.get(SIGN_IN, &token).await.ok();
    service.post(SIGN_IN, &token, json!({})).await.problem(403, "service_only");
    service.delete(&format!("/sessions/user/5/session/{id}"), &admin_token()).await.ok();
    service.delete(SIGN_IN, &token).await.problem(401, "session_ended");
}

#[tokio::test]
async fn a_service_without_the_setting_is_a_user() {
    let service = Service::with(&[("SERVICE_ROLE", "")]).await;
    service.post(SIGN_IN, &service_token(), json!({})).await.problem(403, "service_only");
    service.delete(SIGN_IN, &service_token()).await.problem(403, "admin_only");
}

#[tokio::test]
async fn the_token_of_a_service_is_never_held_against_sessions_and_no_record_of_the_service_is_read() {
    let settings = [
        vec![],
        vec![("REQUIRE_SID", "true")],
        vec![("ROLE_SOURCE", "table")],
        vec![("UNKNOWN_USERS", "not_found")],
    ];
    for settings in settings {
        let proxy = Proxy::before(&database().await).await;
        let mut service = Service::on(proxy.database.clone(), &settings);
        // Everything of the service's own user has ended, and the token names a session that never was.
        service.sign_in("backend", "a").await;
        service.pass(TimeDelta::seconds(1));
        service.delete("/sessions/user/backend", &other_service()).await.ok();
        let sid = Some(NEVER);
        let claims =
            json!({"sub": "backend", "role": "service", "sid": sid, "iat": START, "exp": START + 9_000});
        let token = token::sign(&json!({"alg": "HS256"}), &claims, token::SECRET);
        proxy.take();
        let id = service.post(SIGN_IN, &token, json!({})).await.id();
        service.post(&format!("{SIGN_IN}/session/{id}/activity"), &token, json!({})).await.ok();
        service.get(&format!("{SIGN_IN}/session/{id}"), &token).await.ok();
        service.get("/sessions/summary?user_id=74", &token).await.ok();
        service.delete(&format!("{SIGN_IN}/session/{id}"), &token).await.ok();
        service.delete(SIGN_IN, &token).await.ok();
        service.post("/sessions/end", &token, json!({"user_ids": [74]})).await.ok();
        let own =
            proxy.take().into_iter().filter(|call| call.body.to_string().contains(r#"{"S":"backend"}"#));
        // The service's id is written into receipts only.
        let reads: Vec<_> =
            own.filter(|call| ["Query", "GetItem"].contains(&call.operation.as_str())).collect();
        assert!(reads.is_empty(), "{settings:?}: {} reads", reads.len());
    }
}

#[tokio::test]
async fn bodies_of_services_are_refused_for_what_they_are() {
    let service = Service::start().await;
    let post = |target: &str, body: &str| Call::new("POST", target).token(&service_token()).body(body);
    let large = |length: usize| json!({"headers": {"cookie": "x".repeat(length)}}).to_string();
    let active = format!("{UNKNOWN}/activity");
    let wrong = [
        "[",
        "[]",
        r#"{"headers": "x"}"#,
        r#"{"headers": []}"#,
        r#"{"ip_address": 1}"#,
        r#"{"device_name": {}}"#,
        r#"{"device_fingerprint": 1}"#,
        r#"{"device_type": true}"#,
        r#"{"browser": []}"#,
    ];
    for body in wrong {
        post(SIGN_IN, body).send(&service).await.problem(400, "bad_body");
    }
    post(&active, r#"{"ip_address": []}"#).send(&service).await.problem(400, "bad_body");
    assert_eq!(post(SIGN_IN, &large(60 * 1024)).send(&service).await.status, 201);
    let refused = post(SIGN_IN, &large(64 * 1024)).send(&service).await;
    assert_eq!(refused.problem(413, "body_too_large"), "The body must be at most 64 KB");
    let refused = post(&active, &large(16 * 1024)).send(&service).await;
    assert_eq!(refused.problem(413, "body_too_large"), "The body must be at most 16 KB");
    for target in [SIGN_IN, &active] {
        let text = post(target, "{}").header("content-type", "text/plain");
        text.send(&service).await.problem(415, "body_not_json");
    }
    post("/sessions/user/%00", "{}").send(&service).await.problem(400, "bad_user_id");
    post(&format!("{SIGN_IN}/session/x/activity"), "{}").send(&service).await.problem(400, "bad_session_id");
    assert_eq!(service.get(SIGN_IN, &admin_token()).await.ids().len(), 1);
}
