//! The log: one audit line an ending, with who, whose, which and why, and nothing that must not be there.

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

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

async fn sign_in(service: &mut Service, fingerprint: &str) -> String {
    service.pass(TimeDelta::seconds(1));
    let body = json!({"device_fingerprint": fingerprint, "device_name": "secret-name"}).to_string();
    let call = Call::new("POST", "/sessions/create").token(&user_token("74")).header("user-agent", AGENT);
    call.body(&body).send(service).await.id()
}

#[tokio::test]
async fn every_ending_writes_one_line() {
    let (log, _guard) = Log::start();
    let mut service = Service::with(&[("MAX_SESSIONS", "2")]).await;

    let (a, b) = (sign_in(&mut service, "a").await, sign_in(&mut service, "b").await);
    assert_eq!(log.take_events("session_ended"), [json!(null); 0]);
    let c = sign_in(&mut service, "c").await;
    assert_eq!(log.take_events("session_ended"), [line(Some("74"), &a, "evicted")]);

    let target = format!("/sessions/user/74/session/{b}?reason=secret-note");
    service.delete(&target, &admin_token()).await.ok();
    assert_eq!(log.take_events("session_ended"), [line(Some("1"), &b, "revoked_by_admin")]);
    service.pass(TimeDelta::seconds(1));
    service.delete(&target, &admin_token()).await.ok();
    assert_eq!(log.take_events("session_ended"), [json!(null); 0], "a repeat ends nothing");

    service.delete(&format!("/sessions/session/{c}"), &user_token("74")).await.ok();
    assert_eq!(log.take_events("session_ended"), [line(Some("74"), &c, "revoked_by_user")]);

    let (d, e) = (sign_in(&mut service, "d").await, sign_in(&mut service, "e").await);
    service.delete("/sessions/user/74?dry_run=true", &admin_token()).await.ok();
    assert_eq!(log.take_events("session_ended"), [json!(null); 0], "a dry run ends nothing");
    service.delete("/sessions/logout-all", &user_token("74")).await.ok();
    let mut endings = log.take_events("session_ended");
    endings.sort_by_key(|line| line["session_id"].to_string());
    assert_eq!(endings, [line(Some("74"), &d, "logout_all"), line(Some("74"), &e, "logout_all")]);

    let f = sign_in(&mut service, "f").await;
    let own = token::token("74", None, Some(&f), START + 9_000_000_000);
    service.delete("/sessions/logout", &own).await.ok();
    assert_eq!(log.take_events("session_ended"), [line(Some("74"), &f, "logout")]);

    let g = sign_in(&mut service, "g").await;
    service.pass(TimeDelta::hours(720));
    sign_in(&mut service, "h").await;
    assert_eq!(log.take_events("session_ended"), [line(None, &g, "expired")]);
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
