//! The files under events/: each answers as its name says, over the demo data of the local stack.

#[path = "../../examples/local/demo.rs"]
mod demo;

use std::collections::BTreeSet;
use std::fs;

use crate::support::{Service, admin_token, engine};
use jiff::Timestamp;
use serde_json::Value;

/// File, status, and the code of a refusal.
const EXPECTED: &[(&str, u64, Option<&str>)] = &[
    ("admin-lists-sessions", 200, None),
    ("admin-lists-history", 200, None),
    ("admin-ends-session", 200, None),
    ("admin-previews-ending-all", 200, None),
    ("admin-ends-all", 200, None),
    ("user-signs-in", 201, None),
    ("user-signs-in-base64", 201, None),
    ("user-checks-current", 200, None),
    ("user-lists-own", 200, None),
    ("user-sees-own-session", 200, None),
    ("user-ends-own-session", 200, None),
    ("user-logs-out", 200, None),
    ("user-logs-out-elsewhere", 200, None),
    ("user-counts-devices", 200, None),
    ("user-is-active", 200, None),
    ("refused-session-ended", 401, Some("session_ended")),
    ("refused-nothing-to-log-out", 404, Some("no_current_session")),
    ("refused-current-unknown", 409, Some("current_session_unknown")),
    ("refused-bad-body", 400, Some("bad_body")),
    ("refused-body-type", 415, Some("body_not_json")),
    ("refused-no-token", 401, Some("token_missing")),
    ("refused-not-an-admin", 403, Some("admin_only")),
    ("refused-own-sessions", 400, Some("own_sessions")),
    ("refused-unknown-session", 404, Some("session_not_found")),
    ("refused-bad-user-id", 400, Some("bad_user_id")),
    ("refused-bad-limit", 400, Some("bad_limit")),
    ("refused-body", 400, Some("unexpected_body")),
    ("refused-unknown-route", 404, Some("route_not_found")),
    ("refused-wrong-method", 405, Some("method_not_allowed")),
];

fn read(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(format!("events/{name}.json")).unwrap()).unwrap()
}

/// A stack with the demo data, at the present: the tokens in the files are good until 2100.
async fn demo_stack() -> Service {
    let mut service = Service::start().await;
    service.now = Timestamp::now();
    demo::fill(&service.client(), &service.database.table, service.store(), service.now).await.unwrap();
    service
}

#[tokio::test]
async fn each_event_answers_as_its_name_says() {
    for (name, status, code) in EXPECTED {
        let reply = demo_stack().await.event(&read(name)).await;
        assert_eq!((reply.status, reply.body["code"].as_str()), (*status, *code), "{name}: {}", reply.text);
    }
}

#[test]
fn each_file_is_used() {
    let stem = |entry: std::io::Result<fs::DirEntry>| {
        entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()
    };
    let files: BTreeSet<_> = fs::read_dir("events").unwrap().map(stem).collect();
    assert_eq!(files, EXPECTED.iter().map(|(name, ..)| name.to_string()).collect());
}

#[tokio::test]
async fn an_admin_sees_the_devices_of_the_demo_user_and_ends_one() {
    let service = demo_stack().await;
    let names = |list: &Value| -> Vec<(String, String)> {
        let field = |session: &Value, name: &str| session[name].as_str().unwrap().to_owned();
        list.as_array().unwrap().iter().map(|s| (field(s, "device_name"), field(s, "device_type"))).collect()
    };
    let pair = |name: &str, kind: &str| (name.to_owned(), kind.to_owned());
    let devices = [
        pair("Firefox on Linux", "web"),
        pair("Safari on iPhone", "mobile"),
        pair("Chrome on Windows 10", "web"),
    ];
    assert_eq!(names(service.event(&read("admin-lists-sessions")).await.ok()), devices);
    let ended = service.event(&read("admin-ends-session")).await;
    assert_eq!(ended.ok()["session"]["device_name"], "Chrome on Windows 10");
    assert_eq!(ended.body["session"]["end_note"], "Left the office");
    assert_eq!(names(service.event(&read("admin-lists-sessions")).await.ok()), devices[..2]);
    let history = service.get("/sessions/user/74?include_inactive=true", &admin_token()).await;
    assert_eq!(history.ids().len(), 4);
    assert_eq!(history.body[3]["end_note"], "Laptop reported lost");
    assert_eq!(service.event(&read("admin-ends-all")).await.ok()["revoked"], 2);
    assert_eq!(service.get("/sessions/user/75", &admin_token()).await.text, "[]");
}
