//! The files under events/: each answers as its name says, over the demo data of the local stack.

#[path = "../../examples/local/demo.rs"]
mod demo;

use std::collections::BTreeSet;
use std::fs;

use crate::support::{Service, admin_token, engine, token};
use chrono::Utc;
use serde_json::Value;

/// File, status, and the code of a refusal.
const EXPECTED: &[(&str, u64, Option<&str>)] = &[
    ("admin-lists-sessions", 200, None),
    ("admin-ends-session", 200, None),
    ("admin-ends-all", 200, None),
    ("user-signs-in", 201, None),
    ("user-checks-current", 200, None),
    ("user-lists-own", 200, None),
    ("user-sees-own-session", 200, None),
    ("user-ends-own-session", 200, None),
    ("user-logs-out", 200, None),
    ("user-logs-out-elsewhere", 200, None),
    ("user-counts-devices", 200, None),
    ("user-is-active", 200, None),
    ("refused-session-ended", 401, Some("session_ended")),
    ("refused-bad-body", 400, Some("bad_body")),
    ("refused-no-token", 401, Some("token_missing")),
    ("refused-not-an-admin", 403, Some("admin_only")),
    ("refused-unknown-session", 404, Some("session_not_found")),
    ("refused-wrong-method", 405, Some("method_not_allowed")),
];

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
    assert_eq!(files, EXPECTED.iter().map(|(name, ..)| name.to_string()).collect());
    for (name, status, code) in EXPECTED {
        let reply = demo_stack().await.event(&read(name)).await;
        assert_eq!((reply.status, reply.body["code"].as_str()), (*status, *code), "{name}: {}", reply.text);
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
