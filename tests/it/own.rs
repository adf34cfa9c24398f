//! What users do with their own sessions: the contract, over whole events.

use crate::support::*;
use chrono::{SecondsFormat, TimeDelta};
use serde_json::{Value, json};
use sessions::session::{SessionId, Timestamp};

const WINDOWS: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 Safari/537.36";
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 \
                      (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1";
const LINUX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

/// A browser with a token of its own.
struct Browser {
    agent: &'static str,
    token: String,
}

impl Browser {
    /// User 74 with this browser; `salt` makes the token differ from any other.
    fn new(agent: &'static str, salt: i64) -> Self {
        Self { agent, token: token::token("74", None, None, START + 9_000_000_000 + salt) }
    }

    fn call(&self, method: &str, target: &str) -> Call {
        Call::new(method, target).token(&self.token).header("user-agent", self.agent)
    }

    async fn sign_in(&self, service: &mut Service) -> Reply {
        service.pass(TimeDelta::seconds(1));
        self.call("POST", "/sessions/create").body("{}").send(service).await
    }

    /// Signs in and switches to a token that carries the session, as a backend that issues tokens would.
    async fn sign_in_with_sid(&mut self, service: &mut Service) -> String {
        let id = self.sign_in(service).await.id();
        self.token = token::token("74", None, Some(&id), START + 9_000_000_000);
        id
    }

    async fn get(&self, service: &Service, target: &str) -> Reply {
        self.call("GET", target).send(service).await
    }

    async fn delete(&self, service: &Service, target: &str) -> Reply {
        self.call("DELETE", target).send(service).await
    }

    async fn is_signed_in(&self, service: &Service) -> bool {
        match self.get(service, "/sessions/current").await.status {
            200 => true,
            401 => false,
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_sign_in_names_the_device_from_the_headers_and_the_address_from_the_gateway() {
    let service = Service::start().await;
    let body = json!({
        "device_fingerprint": "fingerprint of f",
        "device_name": WINDOWS.chars().take(100).collect::<String>(),
        "device_type": "web",
        "browser": "Netscape",
        "ip_address": "unknown",
        "unknown_field": {"is": "ignored"},
    });
    let call = Call::new("POST", "/sessions/create").token(&user_token("74")).header("user-agent", IPHONE);
    let reply = call.header("x-forwarded-for", "203.0.113.1").body(&body.to_string()).send(&service).await;

    assert_eq!(reply.status, 201, "{}", reply.text);
    let id = reply.id();
    assert_eq!(
        reply.body,
        json!({
            "id": id,
            "user_id": 74,
            "device_name": "Safari on iPhone",
            "device_type": "mobile",
            "browser": "Safari",
            "os": "iOS",
            "ip_address": "198.51.100.7",
            "location": null,
            "signed_in_ip": "198.51.100.7",
            "created_at": "2040-01-01T00:00:00.000Z",
            "last_activity": "2040-01-01T00:00:00.000Z",
            "expires_at": "2040-01-31T00:00:00.000Z",
            "is_active": true,
            "is_current": true,
            "evicted": [],
        })
    );
    assert_eq!(service.get("/sessions/user/74", &admin_token()).await.ids(), [id]);
}

#[tokio::test]
async fn every_field_of_a_sign_in_may_be_missing() {
    let service = Service::start().await;
    for (user, body) in
        [("74", ""), ("75", "{}"), ("76", r#"{"device_name": null, "device_fingerprint": ""}"#)]
    {
        let call = Call::new("POST", "/sessions/create").token(&user_token(user)).body(body);
        let reply = call.send(&service).await;
        assert_eq!((reply.status, &reply.body["device_name"]), (201, &json!("Unknown device")), "{body}");
        assert_eq!(reply.body["device_type"], "web");
    }
}

#[tokio::test]
async fn the_same_fingerprint_refreshes_only_the_sessions_of_the_same_user() {
    let mut service = Service::start().await;
    let body = json!({"device_fingerprint": "the same"});
    let first = service.post("/sessions/create", &device_token("74"), body.clone()).await;
    service.pass(TimeDelta::hours(1));
    let again = service.post("/sessions/create", &device_token("74"), body.clone()).await;
    let other = service.post("/sessions/create", &device_token("75"), body).await;
    assert_eq!((first.status, again.status, other.status), (201, 200, 201));
    assert_eq!(first.id(), again.id());
    assert_eq!(again.body["last_activity"], "2040-01-01T01:00:00.000Z");
    assert_eq!(again.body["expires_at"], "2040-01-31T01:00:00.000Z");
    assert_ne!(first.id(), other.id());
}

#[tokio::test]
async fn one_fingerprint_on_two_kinds_of_browser_is_two_devices() {
    let mut service = Service::start().await;
    let body = json!({"device_fingerprint": "the same"}).to_string();
    let mut statuses = Vec::new();
    for agent in [WINDOWS, IPHONE, LINUX, WINDOWS] {
        service.pass(TimeDelta::seconds(1));
        let call = Call::new("POST", "/sessions/create").token(&device_token("74"));
        statuses.push(call.header("user-agent", agent).body(&body).send(&service).await.status);
    }
    assert_eq!(statuses, [201, 201, 201, 200]);
}

#[tokio::test]
async fn two_phones_whose_fingerprint_says_nothing_are_two_devices() {
    for nothing in
        ["ZGF0YTppbWFnZS9wbmc7YmFzZTY0LGlW", "data:image/png;base64,iVBO", "undefined", "0000000000"]
    {
        let mut service = Service::start().await;
        let (mut mine, mut thief) = (Browser::new(IPHONE, 1), Browser::new(IPHONE, 2));
        for browser in [&mut mine, &mut thief] {
            service.pass(TimeDelta::seconds(1));
            let call = browser.call("POST", "/sessions/create");
            let reply = call.body(&json!({"device_fingerprint": nothing}).to_string()).send(&service).await;
            assert_eq!(reply.status, 201, "{nothing}");
            browser.token = session_token("74", &reply.id());
        }
        assert_eq!(mine.get(&service, "/sessions/my-sessions").await.ids().len(), 2, "{nothing}");
        mine.delete(&service, "/sessions/logout-all?exclude_current=true").await.ok();
        let in_after = (mine.is_signed_in(&service).await, thief.is_signed_in(&service).await);
        assert_eq!(in_after, (true, false), "{nothing}");
    }
}

#[tokio::test]
async fn a_token_finds_its_session_whatever_else_the_sign_in_says() {
    let mut service = Service::start().await;
    let (windows, iphone) = (Browser::new(WINDOWS, 1), Browser::new(IPHONE, 1));
    let first = windows.sign_in(&mut service).await;
    let repeat = windows.sign_in(&mut service).await;
    let other_browser = iphone.sign_in(&mut service).await;
    let fingerprint = json!({"device_fingerprint": "another fingerprint"});
    let other_fingerprint = service.post("/sessions/create", &windows.token, fingerprint).await;
    for again in [repeat, other_browser, other_fingerprint] {
        assert_eq!((again.status, again.id()), (200, first.id()));
        assert_eq!(again.body["device_name"], "Chrome on Windows 10", "the device stays as it was");
    }
    let other_token = Browser::new(WINDOWS, 2).sign_in(&mut service).await;
    assert_eq!(other_token.status, 201, "without a fingerprint only the token finds the session");
}

#[tokio::test]
async fn a_repeat_with_the_same_token_moves_the_activity_and_starts_no_new_lifetime() {
    let mut service = Service::start().await;
    let (token, body) = (device_token("74"), json!({"device_fingerprint": "fingerprint of f"}));
    let first = service.post("/sessions/create", &token, body.clone()).await.body;
    let version =
        async |service: &Service| service.store().profile(&user("74")).await.unwrap().unwrap().version;
    let before = version(&service).await;
    service.pass(TimeDelta::hours(1));
    let call = Call::new("POST", "/sessions/create").token(&token).body(&body.to_string());
    let call = call.with("/requestContext/http/sourceIp", json!("203.0.113.9"));
    let again = call.send(&service).await;
    assert_eq!(again.ok()["last_activity"], "2040-01-01T01:00:00.000Z");
    assert_eq!(again.body["expires_at"], first["expires_at"]);
    let addresses = (&again.body["ip_address"], &again.body["signed_in_ip"]);
    assert_eq!(addresses, (&json!("203.0.113.9"), &json!("198.51.100.7")));
    assert_eq!(version(&service).await, before);
}

#[tokio::test]
async fn a_sign_in_over_the_cap_evicts_the_oldest_session_and_names_it() {
    let mut service = Service::with(&[("MAX_SESSIONS", "2")]).await;
    let browsers = [Browser::new(WINDOWS, 1), Browser::new(IPHONE, 2), Browser::new(LINUX, 3)];
    let mut ids = Vec::new();
    for browser in &browsers {
        let reply = browser.sign_in(&mut service).await;
        ids.push(reply.id());
        let evicted = if ids.len() == 3 { json!([ids[0]]) } else { json!([]) };
        assert_eq!((reply.status, &reply.body["evicted"]), (201, &evicted));
    }
    assert!(!browsers[0].is_signed_in(&service).await);
    assert!(browsers[1].is_signed_in(&service).await && browsers[2].is_signed_in(&service).await);
    let history = browsers[2].get(&service, "/sessions/my-sessions?include_inactive=true").await;
    assert_eq!(history.body[2]["end_reason"], "evicted");
    assert_eq!(history.body[2]["ended_by"], 74);
}

#[tokio::test]
async fn invalid_bodies_are_refused() {
    let service = Service::start().await;
    let nested = format!("{}{}", r#"{"x":"#.repeat(500), "}".repeat(500));
    let send = async |body: &str| {
        Call::new("POST", "/sessions/create").token(&user_token("74")).body(body).send(&service).await
    };
    for body in ["{", "[]", "null", "\"text\"", "{} {}", &nested] {
        send(body).await.problem(400, "bad_body");
    }
    let fields = [
        ("device_name", "5"),
        ("device_fingerprint", r#"["a"]"#),
        ("device_type", "{}"),
        ("browser", "true"),
    ];
    for (field, value) in fields {
        let reply = send(&format!(r#"{{"{field}": {value}}}"#)).await;
        assert!(reply.problem(400, "bad_body").starts_with(field), "{}", reply.text);
    }
    let large = json!({"device_name": "x".repeat(200_000)}).to_string();
    send(&large).await.problem(413, "body_too_large");
    let form = Call::new("POST", "/sessions/create").token(&user_token("74")).body("a=b");
    let form = form.header("content-type", "application/x-www-form-urlencoded").send(&service).await;
    form.problem(415, "body_not_json");
    assert_eq!(service.get("/sessions/user/74", &admin_token()).await.text, "[]");
}

#[tokio::test]
async fn base64_bodies_are_read_and_broken_ones_refused() {
    use base64::Engine;
    let service = Service::start().await;
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let send = |body: String| {
        let call = Call::new("POST", "/sessions/create").token(&user_token("74"));
        call.body(&body).with("/isBase64Encoded", json!(true))
    };
    let reply = send(base64(br#"{"device_name": "Kiosk"}"#)).send(&service).await;
    assert_eq!((reply.status, &reply.body["device_name"]), (201, &json!("Kiosk")));
    send(base64(b"{\"device_name\": \"\xff\xfe\"}")).send(&service).await.problem(400, "bad_body");
    let broken = send("*** not base64 ***".into()).send(&service).await;
    broken.problem(400, "bad_event");
}

#[tokio::test]
async fn names_that_clients_choose_are_cleaned_and_cut() {
    let service = Service::start().await;
    let name = format!("a\u{0}b\r\nc\u{1b}[31m {}", "é".repeat(10_000));
    let body = json!({"device_name": name.chars().take(5_000).collect::<String>(), "browser": "x\ny"});
    let reply = service.post("/sessions/create", &user_token("74"), body).await;
    let kept = reply.body["device_name"].as_str().unwrap();
    assert!(kept.starts_with("a b c [31m éé") && kept.chars().count() == 100, "{kept}");
    assert_eq!(reply.body["browser"], "x y");
}

#[tokio::test]
async fn my_sessions_marks_the_current_one() {
    let mut service = Service::start().await;
    let (windows, iphone) = (Browser::new(WINDOWS, 1), Browser::new(IPHONE, 2));
    let (a, b) = (windows.sign_in(&mut service).await.id(), iphone.sign_in(&mut service).await.id());
    let marks = |reply: &Reply| -> Vec<(String, bool)> {
        let mark = |s: &Value| (s["id"].as_str().unwrap().to_owned(), s["is_current"].as_bool().unwrap());
        reply.ok().as_array().unwrap().iter().map(mark).collect()
    };
    for target in ["/sessions/my-sessions", "/sessions/my-sessions?include_inactive=true"] {
        assert_eq!(marks(&windows.get(&service, target).await), [(b.clone(), false), (a.clone(), true)]);
        assert_eq!(marks(&iphone.get(&service, target).await), [(b.clone(), true), (a.clone(), false)]);
    }
    let page = windows.get(&service, "/sessions/my-sessions?limit=1").await;
    assert!(
        page.headers["link"].starts_with("</sessions/my-sessions?include_inactive=false&limit=1&cursor=")
    );
    let cursor = page.headers["link"].split("cursor=").nth(1).unwrap().split('>').next().unwrap();
    let next = windows.get(&service, &format!("/sessions/my-sessions?cursor={cursor}")).await;
    assert_eq!(next.ids(), [a]);
    let others = service.get(&format!("/sessions/my-sessions?cursor={cursor}"), &user_token("75")).await;
    others.problem(400, "bad_cursor");
}

/// The session that a list marks as the current one.
async fn marked(service: &Service, token: &str, agent: &str, header: Option<&str>) -> Option<String> {
    let call = Call::new("GET", "/sessions/my-sessions").token(token).header("user-agent", agent);
    let call = match header {
        Some(named) => call.header("x-session-id", named),
        None => call,
    };
    let reply = call.send(service).await;
    let mut marked = reply.ok().as_array().unwrap().iter().filter(|session| session["is_current"] == true);
    let id = marked.next().map(|session| session["id"].as_str().unwrap().to_owned());
    assert!(marked.next().is_none(), "{}", reply.text);
    id
}

#[tokio::test]
async fn the_current_session_follows_sid_token_and_header_in_that_order() {
    let mut service = Service::start().await;
    let (windows, iphone) = (Browser::new(WINDOWS, 1), Browser::new(IPHONE, 2));
    let (a, b) = (windows.sign_in(&mut service).await.id(), iphone.sign_in(&mut service).await.id());
    let (sid_a, renewed) = (session_token("74", &a), device_token("74"));
    let unknown = SessionId::new(at(0), [3; 10]).to_string();
    let (a, b) = (Some(a), Some(b));
    let marked = async |token: &str, agent: &str, header| marked(&service, token, agent, header).await;
    // The sid and the token that opened the session win over the header and the agent.
    for token in [&sid_a, &windows.token] {
        for header in [None, b.as_deref(), Some(&unknown), Some("nonsense")] {
            assert_eq!(marked(token, IPHONE, header).await, a);
        }
    }
    // With a renewed token the header counts.
    assert_eq!(marked(&renewed, WINDOWS, b.as_deref()).await, b);
    assert_eq!(marked(&renewed, WINDOWS, Some("nonsense")).await, None);
    assert_eq!(marked(&renewed, WINDOWS, Some(&unknown)).await, None);
    // "This device" on somebody else's phone of the same model would be wrong, so the agent never counts here.
    assert_eq!(marked(&renewed, IPHONE, None).await, None);
}

#[tokio::test]
async fn only_the_token_decides_the_current_session() {
    let mut service = Service::start().await;
    let (windows, iphone) = (Browser::new(WINDOWS, 1), Browser::new(IPHONE, 2));
    let (a, b) = (windows.sign_in(&mut service).await.id(), iphone.sign_in(&mut service).await.id());
    let current =
        |token: &str| Call::new("GET", "/sessions/current").token(token).header("user-agent", IPHONE);
    for token in [session_token("74", &a), windows.token] {
        let reply = current(&token).header("x-session-id", &b).send(&service).await;
        assert_eq!((reply.ok()["id"].as_str(), &reply.body["is_current"]), (Some(&*a), &json!(true)));
    }
    let renewed = device_token("74");
    for call in [current(&renewed), current(&renewed).header("x-session-id", &b)] {
        call.send(&service).await.problem(401, "no_current_session");
    }
}

#[tokio::test]
async fn a_device_is_out_when_its_session_has_ended_or_was_not_used_in_time() {
    let mut service = Service::with(&[("IDLE_TIMEOUT_HOURS", "1")]).await;
    let mut browser = Browser::new(WINDOWS, 1);
    let id = browser.sign_in_with_sid(&mut service).await;
    assert!(browser.is_signed_in(&service).await);
    service.delete(&format!("/sessions/user/74/session/{id}"), &admin_token()).await.ok();
    let reply = browser.get(&service, "/sessions/current").await;
    assert_eq!(reply.problem(401, "session_ended"), "Session has ended");

    let mut browser = Browser::new(WINDOWS, 2);
    browser.sign_in_with_sid(&mut service).await;
    // An activity in the last moments, which are a call long, comes too late: it might be written after the deadline.
    let last_call = PATIENT.call.as_secs() as i64;
    for (seconds, counts) in [(3_600 - last_call - 5, true), (3_600 - last_call, false)] {
        service.pass(TimeDelta::seconds(seconds));
        let reply = browser.call("POST", "/sessions/update-activity").send(&service).await;
        assert_eq!(reply.ok()["last_activity"] == at_text(service.now), counts, "{}", reply.text);
    }
    service.pass(TimeDelta::seconds(last_call - 1));
    assert!(browser.is_signed_in(&service).await);
    service.pass(TimeDelta::seconds(1));
    assert!(!browser.is_signed_in(&service).await);
}

fn at_text(time: Timestamp) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[tokio::test]
async fn nobody_is_signed_in_without_a_session() {
    let service = Service::start().await;
    let browser = Browser::new(WINDOWS, 1);
    let reply = browser.get(&service, "/sessions/current").await;
    assert_eq!(reply.problem(401, "no_current_session"), "No active session found");
    let reply = browser.delete(&service, "/sessions/logout").await;
    assert_eq!(reply.problem(404, "nothing_to_log_out"), "No active session found");
    browser.call("POST", "/sessions/update-activity").send(&service).await.problem(401, "no_current_session");
}

#[tokio::test]
async fn owners_see_and_end_their_sessions() {
    let mut service = Service::start().await;
    let browser = Browser::new(WINDOWS, 1);
    let own = browser.sign_in(&mut service).await.id();
    let shown = browser.get(&service, &format!("/sessions/session/{own}")).await;
    assert_eq!((&shown.ok()["id"], &shown.body["is_current"]), (&json!(own), &json!(true)));
    let ended = browser.delete(&service, &format!("/sessions/session/{own}?reason=old+laptop")).await;
    assert_eq!(ended.ok()["success"], true);
    let session = &ended.body["session"];
    assert_eq!(
        (&session["end_reason"], &session["end_note"]),
        (&json!("revoked_by_user"), &json!("old laptop"))
    );
    assert_eq!(session["ended_by"], 74);
    let repeat = format!("/sessions/session/{own}?reason=again");
    browser.delete(&service, &repeat).await.problem(401, "session_ended");
    // Another device of the user gets the first receipt.
    let other = Browser::new(IPHONE, 2);
    assert_eq!(other.delete(&service, &repeat).await.ok()["session"]["end_note"], "old laptop");
    let shown = other.get(&service, &format!("/sessions/session/{own}")).await;
    assert_eq!((&shown.ok()["is_active"], &shown.body["end_note"]), (&json!(false), &json!("old laptop")));
}

#[tokio::test]
async fn owners_do_not_see_which_admin_ended_their_session_and_what_the_admin_wrote() {
    let mut service = Service::start().await;
    let id = Browser::new(WINDOWS, 1).sign_in(&mut service).await.id();
    let target = format!("/sessions/user/74/session/{id}");
    let ended = service.delete(&format!("{target}?reason=stolen"), &admin_token()).await;
    let receipt = |session: &Value| ["ended_by", "end_note", "end_reason"].map(|name| session[name].clone());
    assert_eq!(receipt(&ended.ok()["session"]), [json!(1), json!("stolen"), json!("revoked_by_admin")]);
    let hidden = [json!(null), json!(null), json!("revoked_by_admin")];
    let other = Browser::new(IPHONE, 2);
    let one = format!("/sessions/session/{id}");
    assert_eq!(receipt(other.get(&service, &one).await.ok()), hidden);
    assert_eq!(receipt(&other.delete(&service, &one).await.ok()["session"]), hidden);
    let list = other.get(&service, "/sessions/my-sessions?include_inactive=true").await;
    assert_eq!(receipt(&list.ok()[0]), hidden);
}

#[tokio::test]
async fn logging_out_ends_only_the_current_session() {
    let mut service = Service::start().await;
    let (windows, iphone) = (Browser::new(WINDOWS, 1), Browser::new(IPHONE, 2));
    let gone = windows.sign_in(&mut service).await.id();
    iphone.sign_in(&mut service).await;
    let reply = windows.delete(&service, "/sessions/logout").await;
    assert_eq!(
        (&reply.ok()["session"]["id"], &reply.body["session"]["end_reason"]),
        (&json!(gone), &json!("logout"))
    );
    assert!(!windows.is_signed_in(&service).await && iphone.is_signed_in(&service).await);
    windows.delete(&service, "/sessions/logout").await.problem(401, "session_ended");
}

#[tokio::test]
async fn logging_out_everywhere_can_keep_the_current_session() {
    let mut service = Service::start().await;
    let (windows, iphone, linux) =
        (Browser::new(WINDOWS, 1), Browser::new(IPHONE, 2), Browser::new(LINUX, 3));
    for browser in [&windows, &iphone, &linux] {
        browser.sign_in(&mut service).await;
    }
    let reply = iphone.delete(&service, "/sessions/logout-all?exclude_current=true").await;
    assert_eq!((&reply.ok()["revoked"], &reply.body["logged_out_count"]), (&json!(2), &json!(2)));
    assert_eq!(reply.body["sessions"][0]["end_reason"], "logout_all");
    assert!(iphone.is_signed_in(&service).await && !windows.is_signed_in(&service).await);
    let reply = iphone.delete(&service, "/sessions/logout-all").await;
    assert_eq!((&reply.ok()["revoked"], &reply.body["sessions"][0]["is_current"]), (&json!(1), &json!(true)));
    assert!(!iphone.is_signed_in(&service).await);
}

#[tokio::test]
async fn nothing_ends_when_the_session_to_keep_is_unknown() {
    let mut service = Service::start().await;
    let (windows, unknown) = (Browser::new(WINDOWS, 1), Browser::new(LINUX, 2));
    windows.sign_in(&mut service).await;
    let call = || unknown.call("DELETE", "/sessions/logout-all?exclude_current=true");
    let wrong = SessionId::new(at(0), [1; 10]).to_string();
    for call in [call(), call().header("x-session-id", "nonsense"), call().header("x-session-id", &wrong)] {
        let reply = call.send(&service).await;
        let detail = reply.problem(409, "current_session_unknown");
        assert!(detail.contains("belongs to no session"), "{detail}");
    }
    assert!(windows.is_signed_in(&service).await);
}

#[tokio::test]
async fn the_device_count_has_both_names() {
    let mut service = Service::start().await;
    // This one opens no session, so that it outlives the sessions of the others.
    let browser = Browser::new(LINUX, 3);
    let count =
        async |service: &Service| browser.get(service, "/sessions/active-devices-count").await.ok().clone();
    assert_eq!(count(&service).await, json!({"active_devices": 0, "count": 0}));
    Browser::new(WINDOWS, 1).sign_in(&mut service).await;
    Browser::new(IPHONE, 2).sign_in(&mut service).await;
    assert_eq!(count(&service).await, json!({"active_devices": 2, "count": 2}));
    service.pass(TimeDelta::hours(720));
    assert_eq!(count(&service).await, json!({"active_devices": 0, "count": 0}));
}

#[tokio::test]
async fn activity_is_recorded_once_an_interval_until_the_session_ends() {
    let mut service = Service::start().await;
    let browser = Browser::new(WINDOWS, 1);
    let id = browser.sign_in(&mut service).await.id();
    let touch = async |service: &Service, body: &str| {
        browser.call("POST", "/sessions/update-activity").body(body).send(service).await
    };
    service.pass(TimeDelta::seconds(299));
    assert_eq!(touch(&service, "").await.ok()["last_activity"], "2040-01-01T00:00:01.000Z");
    service.pass(TimeDelta::seconds(1));
    let moved = touch(&service, "{}").await;
    assert_eq!(
        (&moved.ok()["last_activity"], &moved.body["is_current"]),
        (&json!("2040-01-01T00:05:01.000Z"), &json!(true))
    );
    touch(&service, "[").await.problem(400, "bad_body");
    service.delete(&format!("/sessions/user/74/session/{id}"), &admin_token()).await.ok();
    service.pass(TimeDelta::hours(1));
    assert_eq!(touch(&service, "").await.status, 401);
}
