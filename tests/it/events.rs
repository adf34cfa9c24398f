//! The files under events/: each answers as its name says, over the demo data of the local stack.

#[path = "../../examples/local/demo.rs"]
mod demo;

use std::collections::BTreeSet;
use std::fs;

use crate::support::{Service, admin_token, engine, token};
use chrono::Utc;
use lambda_runtime::LambdaEvent;
use serde_json::Value;
use sessions::http::Event;

/// File, status, and the code of a refusal.
const EXPECTED: &[(&str, u64, Option<&str>)] = &[
    ("admin-lists-sessions", 200, None),
    ("admin-ends-session", 200, None),
    ("admin-ends-all", 200, None),
    ("admin-reads-session", 200, None),
    ("admin-counts-sessions", 200, None),
    ("admin-ends-many", 200, None),
    ("admin-searches", 200, None),
    ("service-signs-in-user", 201, None),
    ("service-records-activity", 200, None),
    ("service-ends-all", 200, None),
    ("user-signs-in", 201, None),
    ("user-checks-current", 200, None),
    ("user-lists-own", 200, None),
    ("user-sees-own-session", 200, None),
    ("user-ends-own-session", 200, None),
    ("user-logs-out", 200, None),
    ("user-logs-out-elsewhere", 200, None),
    ("user-counts-devices", 200, None),
    ("user-is-active", 200, None),
    ("refused-not-a-service", 403, Some("service_only")),
    ("refused-session-ended", 401, Some("session_ended")),
    ("refused-bad-body", 400, Some("bad_body")),
    ("refused-no-token", 401, Some("token_missing")),
    ("refused-not-an-admin", 403, Some("admin_only")),
    ("refused-unknown-session", 404, Some("session_not_found")),
    ("refused-wrong-method", 405, Some("method_not_allowed")),
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
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()
    };
    let files: BTreeSet<_> = fs::read_dir("events").unwrap().map(name).collect();
    let answered = EXPECTED.iter().map(|(name, ..)| *name).chain(AUTHORIZER.map(|(name, _)| name));
    assert_eq!(files, answered.map(str::to_owned).collect());
    for (name, status, code) in EXPECTED {
        let reply = demo_stack().await.event(&read(name)).await;
        assert_eq!((reply.status, reply.body["code"].as_str()), (*status, *code), "{name}: {}", reply.text);
    }
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
