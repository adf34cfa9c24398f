//! The log: one audit line for each sign-in, ending, view of an admin and refused attempt. It says who did
//! what to which session and why, and holds nothing secret.

use crate::support::log::Log;
use crate::support::*;
use chrono::TimeDelta;
use serde_json::{Value, json};

fn line(actor: Option<&str>, session: &str, reason: &str) -> Value {
    let mut line = json!({
        "level": "INFO",
        "message": "session ended",
        "event": "session_ended",
        "user_id": "74",
        "session_id": session,
        "reason": reason,
        "span": {"name": "request", "request_id": "request-1"},
    });
    if let Some(actor) = actor {
        line["actor"] = actor.into();
    }
    line
}

/// A line of another event, in its request.
fn event(event: &str, message: &str, fields: Value) -> Value {
    let mut line = json!({
        "level": "INFO",
        "message": message,
        "event": event,
        "span": {"name": "request", "request_id": "request-1"},
    });
    line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    line
}

fn signed_in(what: &str, session: &str) -> Value {
    event(what, "signed in", json!({"actor": "74", "user_id": "74", "session_id": session}))
}

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

/// Signs user 74 in on a device, with a token of its own: the session and the token.
async fn sign_in(service: &mut Service, device: &str) -> (String, String) {
    service.pass(TimeDelta::seconds(1));
    let token = device_token("74");
    let body =
        json!({"device_fingerprint": fingerprint_of(device), "device_name": "secret-name"}).to_string();
    let call = Call::new("POST", "/sessions/create").token(&token).header("user-agent", AGENT);
    (call.body(&body).send(service).await.id(), token)
}

#[tokio::test]
async fn every_ending_writes_one_line() {
    let (log, _guard) = Log::start();
    let mut service = Service::with(&[("MAX_SESSIONS", "2")]).await;

    let (a, b) = (sign_in(&mut service, "a").await.0, sign_in(&mut service, "b").await.0);
    assert_eq!(log.take_events("session_ended"), [json!(null); 0]);
    let (c, of_c) = sign_in(&mut service, "c").await;
    assert_eq!(log.take_events("session_ended"), [line(Some("74"), &a, "evicted")]);

    let target = format!("/sessions/user/74/session/{b}?reason=secret-note");
    service.delete(&target, &admin_token()).await.ok();
    assert_eq!(log.take_events("session_ended"), [line(Some("1"), &b, "revoked_by_admin")]);
    service.pass(TimeDelta::seconds(1));
    service.delete(&target, &admin_token()).await.ok();
    assert_eq!(log.take_events("session_ended"), [json!(null); 0], "a repeat ends nothing");

    service.delete(&format!("/sessions/session/{c}"), &of_c).await.ok();
    assert_eq!(log.take_events("session_ended"), [line(Some("74"), &c, "revoked_by_user")]);

    let ((d, _), (e, of_e)) = (sign_in(&mut service, "d").await, sign_in(&mut service, "e").await);
    service.delete("/sessions/user/74?dry_run=true", &admin_token()).await.ok();
    assert_eq!(log.take_events("session_ended"), [json!(null); 0], "a dry run ends nothing");
    service.delete("/sessions/logout-all", &of_e).await.ok();
    let mut endings = log.take_events("session_ended");
    endings.sort_by_key(|line| line["session_id"].to_string());
    assert_eq!(endings, [line(Some("74"), &d, "logout_all"), line(Some("74"), &e, "logout_all")]);

    let (f, _) = sign_in(&mut service, "f").await;
    service.delete("/sessions/logout", &session_token("74", &f)).await.ok();
    assert_eq!(log.take_events("session_ended"), [line(Some("74"), &f, "logout")]);

    let (g, _) = sign_in(&mut service, "g").await;
    service.pass(TimeDelta::hours(720));
    sign_in(&mut service, "h").await;
    assert_eq!(log.take_events("session_ended"), [line(None, &g, "expired")]);
}

#[tokio::test]
async fn every_sign_in_writes_one_line_and_a_repeat_with_its_token_none() {
    let (log, _guard) = Log::start();
    let mut service = Service::start().await;
    let (id, token) = sign_in(&mut service, "a").await;
    assert_eq!(log.take_audit(), [signed_in("session_opened", &id)]);
    let (again, _) = sign_in(&mut service, "a").await;
    assert_eq!(again, id);
    assert_eq!(log.take_audit(), [signed_in("session_refreshed", &id)]);
    service.pass(TimeDelta::hours(1));
    service.post("/sessions/create", &token, json!({})).await.ok();
    assert_eq!(log.take_audit(), [json!(null); 0], "it is activity, and no sign-in");
}

#[tokio::test]
async fn every_look_of_an_admin_writes_one_line() {
    let (log, _guard) = Log::start();
    let mut service = Service::with(&[("UNKNOWN_USERS", "not_found")]).await;
    let ((a, of_a), (b, _)) = (sign_in(&mut service, "a").await, sign_in(&mut service, "b").await);
    log.take();
    let viewed = event("sessions_viewed", "sessions viewed", json!({"actor": "1", "user_id": "74"}));
    for query in ["", "?include_inactive=true"] {
        service.get(&format!("/sessions/user/74{query}"), &admin_token()).await.ok();
        assert_eq!(log.take_audit(), std::slice::from_ref(&viewed));
    }
    service.delete("/sessions/user/74?dry_run=true&reason=secret-note", &admin_token()).await.ok();
    let ids = json!({"actor": "1", "user_id": "74", "session_ids": format!("{b} {a}")});
    assert_eq!(log.take_audit(), [event("sessions_end_previewed", "dry run", ids)]);
    service.get("/sessions/user/75", &admin_token()).await.problem(404, "user_not_found");
    service.get("/sessions/my-sessions", &of_a).await.ok();
    assert_eq!(log.take_audit(), [json!(null); 0], "there was nothing to see, or it was the user's own");
}

#[tokio::test]
async fn an_end_all_without_live_sessions_writes_one_line_too() {
    let (log, _guard) = Log::start();
    let service = Service::start().await;
    service.delete("/sessions/user/74?reason=secret-note", &admin_token()).await.ok();
    let fields = json!({"actor": "1", "user_id": "74", "reason": "revoked_by_admin"});
    assert_eq!(log.take_audit(), [event("tokens_cut_off", "tokens cut off", fields)]);
}

#[tokio::test]
async fn every_refused_attempt_at_a_route_of_admins_or_services_writes_one_line() {
    for settings in [[("ROLE_SOURCE", "token")], [("ROLE_SOURCE", "table")]] {
        let (log, _guard) = Log::start();
        let service = Service::with(&settings).await;
        for route in ROUTES.iter().filter(|route| route.contains("{user_id}")) {
            let reply = Call::of(route).token(&user_token("75")).send(&service).await;
            let code = Sample::of(route).refusal();
            reply.problem(403, code);
            let fields = json!({"level": "WARN", "actor": "75", "user_id": "74", "reason": code});
            assert_eq!(log.take_audit(), [event("access_refused", "access refused", fields)], "{route}");
        }
        let ended = token::token("1", Some("admin"), Some(NEVER), START + 1_000);
        service.get("/sessions/user/74", &ended).await.problem(401, "session_ended");
        let fields = json!({"level": "WARN", "actor": "1", "user_id": "74", "reason": "session_ended"});
        assert_eq!(log.take_audit(), [event("access_refused", "access refused", fields)]);
    }
}

#[tokio::test]
async fn the_line_that_closes_a_request_names_the_caller() {
    let (log, _guard) = Log::start();
    let service = Service::start().await;
    let callers = [
        (user_token("74"), json!("74")),
        (admin_token(), json!("1")),
        (service_token(), json!("backend")),
        (token_with("74", json!({"exp": START - 61})), json!(null)),
        ("no token".into(), json!(null)),
    ];
    for (token, caller) in callers {
        for target in ["/sessions/my-sessions", "/sessions/user/75", "/sessions/session/none"] {
            service.get(target, &token).await;
            let lines = log.take();
            let closing: Vec<_> = lines.iter().filter(|line| line["message"] == "answered").collect();
            assert_eq!((closing.len(), &closing[0]["caller"]), (1, &caller), "{target}: {lines:?}");
        }
    }
}

#[tokio::test]
async fn a_failure_is_logged_with_its_cause() {
    let (log, _guard) = Log::start();
    let away = Service::on(nowhere(), &[]);
    away.get("/sessions/user/74", &admin_token()).await.problem(503, "store_unavailable");
    let service = Service::start().await;
    service.add_broken_session().await;
    service.get("/sessions/user/74", &admin_token()).await.problem(500, "internal_error");

    let mut lines = log.take();
    lines.retain(|line| line["message"] == "failed");
    let cause = |line: &Value| line["cause"].as_str().unwrap().to_owned();
    assert!(cause(&lines[0]).starts_with("DynamoDB Query is unavailable: "), "{}", lines[0]);
    assert!(cause(&lines[1]).contains("has no usable"), "{}", lines[1]);
    assert_eq!(lines.len(), 2);
}
