//! The files under events/: each answers as its name says, over the demo data of the local stack.

#[path = "../../examples/local/demo.rs"]
mod demo;

use std::fs;

use crate::support::{SAMPLES, Service, admin_token, engine, token};
use chrono::Utc;
use lambda_runtime::LambdaEvent;
use serde_json::Value;
use sessions::http::Event;

/// The events that are refused, with status and code. All others succeed.
const REFUSED: [(&str, u64, &str); 8] = [
    ("refused-not-a-service", 403, "service_only"),
    ("refused-session-ended", 401, "session_ended"),
    ("refused-bad-body", 400, "bad_body"),
    // The local stack shares a secret with its issuer, so no provider signs anything for it.
    ("refused-logout-at-provider", 400, "bad_logout_token"),
    ("refused-no-token", 401, "token_missing"),
    ("refused-not-an-admin", 403, "admin_only"),
    ("refused-unknown-session", 404, "session_not_found"),
    ("refused-wrong-method", 405, "method_not_allowed"),
];

/// The events of another API's authorizer, and whether the request may go on there.
const AUTHORIZER: [(&str, bool); 2] = [("authorizer-allows", true), ("authorizer-denies", false)];

fn read(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(format!("events/{name}.json")).unwrap()).unwrap()
}

/// A stack with the demo data, at the present: the tokens in the files are good until 2100.
async fn demo_stack() -> Service {
    let mut service = Service::start().await;
    service.now = Utc::now();
    demo::fill(&service.client(), &service.database.table, service.store(), service.now).await.unwrap();
    service
}

#[tokio::test]
async fn each_event_gets_the_answer_that_its_name_says() {
    let files = fs::read_dir("events").unwrap().map(|entry| entry.unwrap().path());
    let names: Vec<_> = files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    for name in names.iter().filter(|name| !name.starts_with("authorizer-")) {
        let reply = demo_stack().await.event(&read(name)).await;
        match REFUSED.iter().find(|(refused, ..)| refused == name) {
            Some((_, status, code)) => drop(reply.problem(*status, code)),
            None => assert!(!name.starts_with("refused-") && reply.status < 300, "{name}: {}", reply.text),
        }
    }
    assert!(names.len() >= SAMPLES.len() + REFUSED.len() + AUTHORIZER.len(), "each endpoint has an event");
}

#[tokio::test]
async fn each_event_of_an_authorizer_gets_the_answer_that_its_name_says() {
    let service = demo_stack().await;
    for (name, is_authorized) in AUTHORIZER {
        let event: Event = serde_json::from_value(read(name)).unwrap();
        let answer = service.app.answer(LambdaEvent::new(event, service.invocation()), service.now).await;
        let answer = serde_json::to_value(answer.unwrap()).unwrap();
        assert_eq!(answer["isAuthorized"], is_authorized, "{name}: {answer}");
    }
}

#[tokio::test]
async fn an_admin_sees_the_devices_of_the_demo_user_and_ends_one() {
    let service = demo_stack().await;
    let devices = async || {
        let list = service.event(&read("admin-lists-sessions")).await;
        let devices = list.ok().as_array().unwrap().iter();
        devices
            .map(|device| format!("{} {}", device["device_name"], device["device_type"]))
            .collect::<Vec<_>>()
    };
    let expected =
        [r#""Firefox on Linux" "web""#, r#""Safari on iPhone" "mobile""#, r#""Chrome on Windows 10" "web""#];
    assert_eq!(devices().await, expected);
    let ended = service.event(&read("admin-ends-session")).await;
    assert_eq!(ended.ok()["session"]["device_name"], "Chrome on Windows 10");
    assert_eq!(ended.body["session"]["end_note"], "Left the office");
    assert_eq!(devices().await, expected[..2]);
    let history = service.get("/sessions/user/74?include_inactive=true", &admin_token()).await;
    assert_eq!(history.ids().len(), 4);
    assert_eq!(history.body[3]["end_note"], "Laptop reported lost");
    assert_eq!(service.event(&read("admin-ends-all")).await.ok()["revoked"], 2);
    assert_eq!(service.get("/sessions/user/75", &admin_token()).await.text, "[]");
}
