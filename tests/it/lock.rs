//! Users who are kept out.

use crate::support::log::Log;
use crate::support::proxy::{Moment, Proxy};
use crate::support::*;
use chrono::TimeDelta;
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use sessions::http::Event;
use sessions::store::NotSignedIn;

const LOCK: &str = "/sessions/user/74/lock";

async fn lock(service: &Service, body: Value) -> Reply {
    service.post(LOCK, &admin_token(), body).await
}

async fn is_authorized(service: &Service, token: &str) -> bool {
    let authorization = format!("Bearer {token}");
    let event = json!({
        "version": "2.0", "type": "REQUEST", "identitySource": [authorization],
        "headers": {"authorization": authorization}, "requestContext": {"requestId": "request-1"},
    });
    let event: Event = serde_json::from_str(&event.to_string()).unwrap();
    let answer =
        service.app.answer(LambdaEvent::new(event, service.invocation()), service.now).await.unwrap();
    serde_json::to_value(answer).unwrap()["isAuthorized"] == true
}

/// Asserts that user 74 is kept out: with these tokens on every route of users, and by services.
async fn assert_out(service: &Service, tokens: &[&str], session: &str, until: Value) {
    for token in tokens {
        for sample in SAMPLES.iter().filter(|sample| sample.is_for(Role::User)) {
            let reply = sample.call(session).token(token).send(service).await;
            reply.problem(401, "user_locked");
            assert_eq!(reply.body["until"], until, "{}", sample.route);
            assert!(!reply.text.contains("a reason") && !reply.text.contains("ended_by"), "{}", reply.text);
        }
        assert!(!is_authorized(service, token).await);
    }
    for target in ["/sessions/user/74", &format!("/sessions/user/74/session/{session}/activity")] {
        let reply = service.post(target, &service_token(), json!({})).await;
        reply.problem(409, "target_locked");
        assert_eq!(reply.body["until"], until, "{target}");
    }
}

#[tokio::test]
async fn a_locked_user_is_out_on_every_route_until_the_lock_is_over() {
    let mut service = Service::start().await;
    let (bound, unbound) = (device_token("74"), device_token("74"));
    let id = service.post("/sessions/create", &bound, json!({})).await.id();
    let with_sid = session_token("74", &id);
    assert!(is_authorized(&service, &with_sid).await);
    let until = "2040-01-01T02:00:00+01:00";
    let locked = lock(&service, json!({"until": until, "reason": "a reason"})).await;
    assert_eq!(
        (&locked.ok()["message"], &locked.body["success"], &locked.body["revoked"]),
        (&json!("1 session ended"), &json!(true), &json!(1))
    );
    let ended = &locked.body["sessions"][0];
    assert_eq!((&ended["id"], &ended["end_note"]), (&json!(id), &json!("a reason")));
    assert_eq!(ended["end_reason"], "revoked_by_admin");

    let tokens = [bound.as_str(), &unbound, &with_sid, &token_with("74", json!({"iat": START + 100}))];
    assert_out(&service, &tokens, &id, json!("2040-01-01T01:00:00.000Z")).await;
    let summary = service.get("/sessions/summary?user_id=74&user_id=75", &service_token()).await;
    let of = |user: usize, field: &str| summary.ok()[user][field].clone();
    assert_eq!((of(0, "locked"), of(0, "locked_until")), (json!(true), json!("2040-01-01T01:00:00.000Z")));
    assert_eq!((of(1, "locked"), of(1, "locked_until")), (json!(false), json!(null)));

    service.pass(TimeDelta::minutes(50));
    assert_out(&service, &tokens[..1], &id, json!("2040-01-01T01:00:00.000Z")).await;
    service.pass(TimeDelta::minutes(10));
    for over in [&bound, &with_sid] {
        service.get("/sessions/current", over).await.problem(401, "session_ended");
    }
    assert_eq!(service.post("/sessions/create", &device_token("74"), json!({})).await.status, 201);
    assert_eq!(service.post("/sessions/user/74", &service_token(), json!({})).await.status, 201);
    let summary = service.get("/sessions/summary?user_id=74", &service_token()).await;
    assert_eq!(summary.ok()[0]["locked"], false);
}

#[tokio::test]
async fn a_lock_without_an_end_stays_until_an_admin_lifts_it() {
    let mut service = Service::start().await;
    let unlock = async |service: &Service, token: &str| service.delete(LOCK, token).await;
    let token = device_token("74");
    // A service can lock a user, and an empty body is enough.
    Call::new("POST", LOCK).token(&service_token()).send(&service).await.ok();
    service.pass(TimeDelta::days(3650));
    let admin = token::token("1", Some("admin"), None, START + 10_000_000_000);
    assert_out(&service, &[&token], NEVER, json!(null)).await;
    unlock(&service, &service_token()).await.problem(403, "admin_only");
    unlock(&service, &user_token("74")).await.problem(403, "admin_only");
    assert_out(&service, &[&token], NEVER, json!(null)).await;
    let lifted = json!({"success": true, "message": "The user can sign in again"});
    assert_eq!(*unlock(&service, &admin).await.ok(), lifted);
    assert_eq!(service.post("/sessions/create", &token, json!({})).await.status, 201);
    for user in ["74", "75"] {
        let again = service.delete(&format!("/sessions/user/{user}/lock"), &admin).await;
        assert_eq!(again.ok()["message"], "The user was not locked");
    }
}

#[tokio::test]
async fn a_user_who_never_signed_in_can_be_locked() {
    let service = Service::with(&[("UNKNOWN_USERS", "not_found")]).await;
    assert_eq!(lock(&service, json!({})).await.ok()["revoked"], 0);
    assert_out(&service, &[&device_token("74")], NEVER, json!(null)).await;
    assert_eq!(service.get("/sessions/user/74", &admin_token()).await.text, "[]", "the user is known now");
}

#[tokio::test]
async fn a_lock_never_shortens_one_that_is_there() {
    let service = Service::start().await;
    let token = device_token("74");
    for (until, holds) in [(Some("02"), "02"), (Some("01"), "02"), (Some("03"), "03")] {
        let until = until.map(|hour| format!("2040-01-01T{hour}:00:00Z"));
        service.post(LOCK, &service_token(), json!({ "until": until })).await.ok();
        let reply = service.get("/sessions/current", &token).await;
        assert_eq!(reply.body["until"], format!("2040-01-01T{holds}:00:00.000Z"));
    }
    for body in [json!({}), json!({"until": "2040-01-01T04:00:00Z"})] {
        lock(&service, body).await.ok();
        assert_eq!(service.get("/sessions/current", &token).await.body["until"], json!(null));
    }
    let profile = service.store().profile(&user("74")).await.unwrap().unwrap();
    assert_eq!(profile.lock.unwrap().by, user("1"));
}

#[tokio::test]
async fn nobody_locks_themselves() {
    let service = Service::start().await;
    let own = "/sessions/user/1/lock";
    service.post(own, &admin_token(), json!({})).await.problem(400, "own_sessions");
    service.delete(own, &admin_token()).await.problem(400, "own_sessions");
    let own = "/sessions/user/backend/lock";
    service.post(own, &service_token(), json!({})).await.problem(400, "own_sessions");
    service.get("/sessions/my-sessions", &admin_token()).await.ok();
}

#[tokio::test]
async fn an_admin_who_is_locked_is_out_too() {
    let service = Service::start().await;
    let other = token::token("2", Some("admin"), None, START + 1000);
    service.post("/sessions/user/1/lock", &other, json!({})).await.ok();
    for sample in SAMPLES.iter().filter(|sample| sample.is_for(Role::Admin)) {
        sample.call(NEVER).token(&admin_token()).send(&service).await.problem(401, "user_locked");
    }
    service.get("/sessions/current", &device_token("74")).await.problem(401, "no_current_session");
}

#[tokio::test]
async fn a_wrong_lock_is_refused_before_anything_ends() {
    let mut service = Service::start().await;
    let id = service.sign_in("74", "a").await.id.to_string();
    let long = json!({"reason": "x".repeat(257)}).to_string();
    let cases = [
        (r#"{"until": "2040-01-01T00:00:00Z"}"#, "bad_body"),
        (r#"{"until": "2040-01-01T00:00:01Z"}"#, "bad_body"),
        (r#"{"until": "tomorrow"}"#, "bad_body"),
        (r#"{"until": 5000000000}"#, "bad_body"),
        (r#"{"untill": "2041-01-01T00:00:00Z"}"#, "bad_body"),
        (r#"{"until": "2041-01-01T00:00:00Z", "until": "2042-01-01T00:00:00Z"}"#, "bad_body"),
        (r#"{"dry_run": true}"#, "bad_body"),
        ("[]", "bad_body"),
        (long.as_str(), "bad_reason"),
        (r#"{"reason": "a\u0007"}"#, "bad_reason"),
    ];
    for (body, code) in cases {
        Call::new("POST", LOCK).token(&admin_token()).body(body).send(&service).await.problem(400, code);
    }
    for call in
        [Call::new("POST", &format!("{LOCK}?dry_run=true")), Call::new("DELETE", &format!("{LOCK}?reason=x"))]
    {
        call.token(&admin_token()).send(&service).await.problem(400, "bad_parameter");
    }
    assert_eq!(service.get("/sessions/user/74", &admin_token()).await.ids(), [id]);
}

#[tokio::test]
async fn locks_and_their_lifting_are_audited_and_counted() {
    let (log, _guard) = Log::start();
    let mut service = Service::start().await;
    service.sign_in("74", "a").await;
    log.take_events("user_locked");
    lock(&service, json!({"until": "2040-01-02T00:00:00Z", "reason": "secret words"})).await.ok();
    let line = &log.take_events("user_locked")[0];
    assert_eq!((&line["actor"], &line["user_id"]), (&json!("1"), &json!("74")));
    assert_eq!(line["until"], "2040-01-02 00:00:00 UTC");
    assert!(service.flush_metrics().unwrap().contains(r#""UsersLocked":1.0"#));
    service.delete(LOCK, &admin_token()).await.ok();
    let line = &log.take_events("user_unlocked")[0];
    assert_eq!((&line["actor"], &line["user_id"]), (&json!("1"), &json!("74")));
    service.delete(LOCK, &admin_token()).await.ok();
    assert_eq!(log.take_events("user_unlocked"), [json!(null); 0]);
}

/// A service behind a proxy, and a second one on the same table without it.
async fn two_services(extra: &[(&str, &str)]) -> (Service, Proxy, Service) {
    let database = database().await;
    let proxy = Proxy::before(&database).await;
    (Service::on(proxy.database.clone(), extra), proxy, Service::on(database, extra))
}

#[tokio::test]
async fn a_sign_in_that_read_before_the_lock_is_refused() {
    let (service, proxy, other) = two_services(&[]).await;
    for (user, target, token, status, code) in [
        ("74", "/sessions/create", device_token("74"), 401, "user_locked"),
        ("75", "/sessions/user/75", service_token(), 409, "target_locked"),
    ] {
        let sign_in = service.post(target, &token, json!({}));
        let meanwhile = proxy.interleave(Moment::First("TransactWriteItems"), sign_in, async || {
            let lock = format!("/sessions/user/{user}/lock");
            other.post(&lock, &admin_token(), json!({})).await.ok();
        });
        meanwhile.await.unwrap().problem(status, code);
        assert_eq!(other.get(&format!("/sessions/user/{user}"), &admin_token()).await.text, "[]");
    }
}

#[tokio::test]
async fn a_lock_also_ends_a_session_that_was_opened_meanwhile() {
    let (service, proxy, other) = two_services(&[]).await;
    let token = device_token("74");
    let lock = lock(&service, json!({}));
    let locked = proxy.interleave(Moment::First("TransactWriteItems"), lock, async || {
        assert_eq!(other.post("/sessions/create", &token, json!({})).await.status, 201);
    });
    assert_eq!(locked.await.unwrap().ok()["revoked"], 1);
    assert_out(&other, &[&token], NEVER, json!(null)).await;
}

#[tokio::test]
async fn an_activity_that_read_before_the_lock_comes_too_late() {
    let (mut service, proxy, mut other) = two_services(&[]).await;
    let id = other.sign_in("74", "a").await.id;
    service.now = at(1000);
    let target = format!("/sessions/user/74/session/{id}/activity");
    let token = service_token();
    let activity = service.post(&target, &token, json!({}));
    let reply = proxy.interleave(Moment::First("UpdateItem"), activity, async || {
        drop(lock(&other, json!({})).await);
    });
    reply.await.unwrap().problem(409, "session_already_ended");
    assert_out(&other, &[&session_token("74", &id.to_string())], &id.to_string(), json!(null)).await;
}

#[tokio::test]
async fn the_first_of_many_transactions_locks() {
    let (service, proxy, mut other) = two_services(&[("MAX_SESSIONS", "200")]).await;
    let mut newest = String::new();
    for device in 0..120 {
        newest = other.sign_in("74", &device.to_string()).await.id.to_string();
    }
    let token = session_token("74", &newest);
    // The newest session ends with the last transaction, and is out with the first.
    let mut transactions = 0;
    let lock = lock(&service, json!({}));
    let locked = proxy.answering(lock, async |held| {
        transactions += usize::from(held.operation == "TransactWriteItems");
        if transactions == 2 && held.operation == "TransactWriteItems" {
            assert_out(&other, &[&token], &newest, json!(null)).await;
            let open = other.store().user_sessions(&user("74")).await.unwrap().open;
            assert_eq!(open.len(), 120 - 99);
        }
        held.release();
    });
    assert_eq!(locked.await.ok()["revoked"], 120);
    assert_out(&other, &[&token], &newest, json!(null)).await;
    let new = new_session("74", "new", other.now);
    let refused = other.store().sign_in(&new, sessions::session::Clock::start(other.now)).await.unwrap();
    assert!(matches!(refused, Err(NotSignedIn::Locked(_))));
}
