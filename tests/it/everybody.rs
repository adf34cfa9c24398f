//! Everybody is signed out: sessions that began before a time, and unbound tokens up to it, are over.

use crate::support::*;
use chrono::TimeDelta;
use serde_json::{Value, json};
use sessions::telemetry::metrics::Metrics;

/// The service on the same table, deployed again with the time `at(seconds)`.
fn deployed_again(service: &Service, seconds: i64) -> Service {
    let (mut config, metrics) = (settings(&service.database, &[]), Metrics::default());
    config.policy.not_before = Some(at(seconds));
    let app = app(&service.database, config, metrics.clone());
    Service { app, metrics, database: service.database.clone(), now: at(seconds + 60), time_limit: None }
}

#[tokio::test]
async fn nobody_is_signed_in_on_any_route_until_they_sign_in_again() {
    let mut service = Service::start().await;
    let (bound, early) = (device_token("74"), token_with("74", json!({"iat": START + 100})));
    let id = service.post("/sessions/create", &bound, json!({})).await.id();
    let service_key = |service: &Service| {
        let call = Call::new("POST", "/sessions/user/74").token(&service_token());
        (call.header("idempotency-key", "k").body("{}"), service.now)
    };
    assert_eq!(service_key(&service).0.send(&service).await.status, 201);
    service.pass(TimeDelta::seconds(1));
    let admins = service.sign_in("1", "admin's").await.id.to_string();
    let after = deployed_again(&service, 100);
    for token in [&bound, &session_token("74", &id), &early] {
        for sample in SAMPLES.iter().filter(|sample| sample.is_for(Role::User)) {
            sample.call(&id).token(token).send(&after).await.problem(401, "session_ended");
        }
    }
    let admin = token_with("1", json!({"role": "admin", "sid": admins}));
    for sample in SAMPLES.iter().filter(|sample| sample.is_for(Role::Admin)) {
        sample.call(&id).token(&admin).send(&after).await.problem(401, "session_ended");
    }
    let activity = format!("/sessions/user/74/session/{id}/activity");
    after.post(&activity, &service_token(), json!({})).await.problem(409, "session_already_ended");
    service_key(&after).0.send(&after).await.problem(409, "session_already_ended");
    for list in ["/sessions/user/74", "/sessions"] {
        assert_eq!(after.get(list, &admin_token()).await.text, "[]", "{list}");
    }
    let new = token_with("74", json!({"iat": START + 101}));
    let opened = after.post("/sessions/create", &new, json!({})).await;
    assert_eq!((opened.status, &opened.body["evicted"]), (201, &json!([])));
    assert_eq!(after.get("/sessions/current", &new).await.ok()["id"], *opened.id());
}

#[tokio::test]
async fn the_receipt_says_so_however_the_session_is_ended() {
    let mut service = Service::start().await;
    let mut ids = Vec::new();
    for device in ["a", "b", "c"] {
        ids.push(service.sign_in("74", device).await.id.to_string());
    }
    let after = deployed_again(&service, 100);
    let one = |id: &str| format!("/sessions/user/74/session/{id}");
    let is_receipt = |session: &Value| {
        assert_eq!(session["end_reason"], "ended_for_everybody", "{session}");
        assert_eq!(
            (&session["ended_at"], &session["ended_by"]),
            (&json!("2040-01-01T00:01:40.000Z"), &json!(null))
        );
    };
    // As it is read, and as it is written: by an ending, by an end-all, and by the next sign-in of the same device.
    is_receipt(after.get(&one(&ids[0]), &admin_token()).await.ok());
    let ended = after.delete(&one(&ids[0]), &admin_token()).await;
    assert_eq!(ended.ok()["message"], "The session had already ended");
    is_receipt(&ended.body["session"]);
    let body = json!({"device_fingerprint": fingerprint_of("b")});
    assert_eq!(after.post("/sessions/create", &device_token("74"), body).await.status, 201);
    let list = "/sessions/user/74?include_inactive=true";
    for session in &after.get(list, &admin_token()).await.ok().as_array().unwrap()[1..] {
        is_receipt(session);
    }
    // What is written stays, whatever the setting is.
    for id in &ids {
        is_receipt(service.get(&one(id), &admin_token()).await.ok());
    }
}
