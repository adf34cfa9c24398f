//! No answer, log line or line of metrics shows what it must not: the support code looks in every test; here are
//! all routes, refusals and failures in one story, and the proof that a leak would be found.

use std::collections::BTreeSet;
use std::panic::catch_unwind;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::openapi::Document;
use crate::support::key_server::KeyServer;
use crate::support::keys::Signer;
use crate::support::log::Log;
use crate::support::proxy::{Held, Proxy};
use crate::support::secrets::{Secrets, check_answer, check_line, plant};
use crate::support::*;
use chrono::TimeDelta;
use serde_json::{Value, json};
use sessions::session::Digest;

const PREVIOUS: &str = "previous-secret-that-is-long-enough-00000";

/// A caller with a device that differs from every other device.
struct Actor {
    id: &'static str,
    role: Option<&'static str>,
    agent: &'static str,
    address: &'static str,
    /// What the body of a sign-in calls the device that no header names.
    device: &'static str,
    fingerprint: &'static str,
    note: &'static str,
}

const ADMIN: Actor = Actor {
    id: "1",
    role: Some("admin"),
    agent: "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0 agent-of-the-admin",
    address: "203.0.113.1",
    device: "device of the admin",
    fingerprint: "fingerprint of the admin",
    note: "note of the admin",
};

const USER: Actor = Actor {
    id: "74",
    role: None,
    agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/148.0.0.0 agent-of-74",
    address: "203.0.113.74",
    device: "device of user 74",
    fingerprint: "fingerprint of user 74",
    note: "note of user 74",
};

const OTHER: Actor = Actor {
    id: "75",
    role: None,
    agent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/26.1 Safari/605.1.15 agent-of-75",
    address: "203.0.113.75",
    device: "device of user 75",
    fingerprint: "fingerprint of user 75",
    note: "note of user 75",
};

const BACK_END: Actor = Actor {
    id: "backend",
    role: Some("service"),
    agent: "python-httpx/0.28.1 agent-of-the-back-end",
    address: "203.0.113.200",
    device: "device of the back end",
    fingerprint: "fingerprint of the back end",
    note: "note of the back end",
};

impl Actor {
    /// Another token at each call.
    fn token(&self, sid: Option<&str>) -> String {
        token_with(self.id, json!({"role": self.role, "sid": sid}))
    }

    fn call(&self, route: &str) -> Call {
        let address = json!(self.address);
        let call = Call::of(route).with("/requestContext/http/sourceIp", address);
        call.header("user-agent", self.agent).header("x-forwarded-for", self.address).token(&self.token(None))
    }

    /// The same, with what the route cannot do without.
    fn good(&self, route: &str) -> Call {
        match route {
            "GET /sessions/summary" => self.call(&format!("{route}?user_id=74")),
            "POST /sessions/end" => {
                self.call(route).body(&json!({"user_ids": [74], "reason": self.note}).to_string())
            }
            _ => self.call(route),
        }
    }

    /// A back end signs this user in.
    fn signed_in_by_back_end(&self) -> Call {
        let body = json!({
            "headers": {"user-agent": self.agent}, "ip_address": self.address,
            "device_fingerprint": format!("third {}", self.fingerprint), "device_name": self.device,
        });
        let route = format!("POST /sessions/user/{}", self.id);
        BACK_END.call(&route).header("idempotency-key", "a key that nobody may see").body(&body.to_string())
    }

    fn sign_in(&self) -> Call {
        let body = json!({"device_fingerprint": self.fingerprint, "device_name": self.device});
        self.call("POST /sessions/create").body(&body.to_string())
    }

    /// A device that says nothing in its headers, so that its name is the one in the body.
    fn sign_in_by_name(&self) -> Call {
        let body =
            json!({"device_fingerprint": format!("second {}", self.fingerprint), "device_name": self.device});
        self.sign_in().header("user-agent", "").body(&body.to_string())
    }

    /// A call with the actor's note on it.
    fn end(&self, route: &str) -> Call {
        self.call(&format!("{route}?reason={}", self.note.replace(' ', "%20")))
    }

    /// Texts that belong to this actor, and that those who may see the sessions see.
    fn own(&self) -> [&'static str; 3] {
        [self.address, self.device, self.note]
    }
}

/// Who asked, and the whole answer.
struct Told {
    id: &'static str,
    answer: String,
}

/// What came out while the story was told.
#[derive(Default)]
struct Story {
    told: Vec<Told>,
    metrics: Vec<String>,
    codes: BTreeSet<String>,
}

impl Story {
    async fn goes_on(&mut self, service: &Service, actor: &Actor, call: Call) -> Value {
        let reply = call.send(service).await;
        self.tell(service, actor, reply)
    }

    fn tell(&mut self, service: &Service, actor: &Actor, reply: Reply) -> Value {
        self.told.push(Told { id: actor.id, answer: reply.all() });
        self.metrics.extend(service.flush_metrics());
        self.codes.extend(reply.body["code"].as_str().map(str::to_owned));
        reply.body
    }

    /// The same, while every call of the engine comes to this.
    async fn fails(
        &mut self,
        (service, proxy): (&Service, &Proxy),
        actor: &Actor,
        call: Call,
        fail: impl Fn(Held),
    ) {
        let reply = proxy.answering(call.send(service), async |held| fail(held)).await;
        assert!(reply.status >= 500, "{}", reply.text);
        self.tell(service, actor, reply);
    }
}

/// Calls every route with success.
async fn successes(story: &mut Story, service: &Service) {
    for actor in [&ADMIN, &OTHER, &USER] {
        story.goes_on(service, actor, actor.sign_in()).await;
        story.goes_on(service, actor, actor.sign_in()).await;
        story.goes_on(service, actor, actor.sign_in_by_name()).await;
    }
    for actor in [&OTHER, &USER] {
        for route in ROUTES.iter().filter(|route| route.starts_with("GET") && !route.contains('{')) {
            story.goes_on(service, actor, actor.call(route)).await;
        }
        story.goes_on(service, actor, actor.call("POST /sessions/update-activity")).await;
        let page = actor.call("GET /sessions/my-sessions?include_inactive=true&limit=1");
        let id = story.goes_on(service, actor, page).await[0]["id"].as_str().unwrap().to_owned();
        for list in
            ["GET /sessions/user/{user_id}", "GET /sessions/user/{user_id}?include_inactive=true&limit=1"]
        {
            story.goes_on(service, &ADMIN, ADMIN.call(&list.replace("{user_id}", actor.id))).await;
        }
        let one = format!("/sessions/session/{id}");
        story.goes_on(service, actor, actor.call(&format!("GET {one}"))).await;
        story.goes_on(service, actor, actor.end(&format!("DELETE {one}"))).await;
        story.goes_on(service, actor, actor.end(&format!("DELETE {one}"))).await;
        story.goes_on(service, actor, actor.end("DELETE /sessions/logout")).await;
        story.goes_on(service, actor, actor.sign_in()).await;
        let gone = story.goes_on(service, actor, actor.sign_in_by_name()).await["id"].clone();
        let gone = format!("DELETE /sessions/user/{}/session/{}", actor.id, gone.as_str().unwrap());
        story.goes_on(service, &ADMIN, ADMIN.end(&gone)).await;
        story.goes_on(service, &ADMIN, ADMIN.end(&format!("DELETE /sessions/user/{}", actor.id))).await;
        let opened = story.goes_on(service, &BACK_END, actor.signed_in_by_back_end()).await["id"].clone();
        let opened = format!("/sessions/user/{}/session/{}", actor.id, opened.as_str().unwrap());
        story.goes_on(service, &BACK_END, BACK_END.call(&format!("POST {opened}/activity"))).await;
        story.goes_on(service, &ADMIN, ADMIN.call(&format!("GET {opened}"))).await;
        story.goes_on(service, &BACK_END, BACK_END.end(&format!("DELETE {opened}"))).await;
        story.goes_on(service, &BACK_END, actor.signed_in_by_back_end()).await;
        story.goes_on(service, &ADMIN, ADMIN.good("GET /sessions/summary")).await;
        let search = format!("GET /sessions?ip_address={}&limit=1", actor.address);
        story.goes_on(service, &ADMIN, ADMIN.call(&search)).await;
        story.goes_on(service, &ADMIN, ADMIN.good("POST /sessions/end")).await;
        story.goes_on(service, actor, actor.sign_in()).await;
        story.goes_on(service, actor, actor.end("DELETE /sessions/logout-all")).await;
        story.goes_on(service, actor, actor.call("GET /sessions/my-sessions?include_inactive=true")).await;
        let history = format!("GET /sessions/user/{}?include_inactive=true", actor.id);
        story.goes_on(service, &ADMIN, ADMIN.call(&history)).await;
    }
}

/// Everything that is refused, to a user who sends every kind of value.
async fn refusals(story: &mut Story, service: &Service) {
    let claims = |more: Value| {
        let mut claims = json!({"sub": "74", "exp": START + 9_000_000_000});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        token::sign(&json!({"alg": "HS256"}), &claims, token::SECRET)
    };
    let list = "GET /sessions/my-sessions";
    let tokens = [
        claims(json!({"exp": START})),
        claims(json!({"nbf": START + 8_000_000_000})),
        claims(json!({"sub": "user 74 of no such form"})),
        claims(json!({"sid": NEVER})),
        format!("{}x", USER.token(None)),
        format!("{}.AAAA", USER.token(None)),
        USER.token(None).replace('.', "-"),
    ];
    for token in &tokens {
        story.goes_on(service, &USER, USER.call(list).token(token)).await;
    }
    let anonymous = USER.call(list).header("authorization", "");
    story.goes_on(service, &USER, anonymous).await;
    for route in ROUTES.iter().copied() {
        story.goes_on(service, &USER, USER.call(route)).await;
        story
            .goes_on(service, &USER, USER.sign_in().with("/rawPath", json!(route.split_once(' ').unwrap().1)))
            .await;
        story.goes_on(service, &ADMIN, ADMIN.call(&route.replace("{user_id}", "1"))).await;
        story.goes_on(service, &ADMIN, ADMIN.call(&route.replace("{user_id}", "none"))).await;
    }
    for query in ["limit=0", "include_inactive=x", "cursor=x", "limit=1&limit=1"] {
        story.goes_on(service, &USER, USER.call(&format!("{list}?{query}"))).await;
    }
    let long = format!("DELETE /sessions/logout?reason={}", USER.note.repeat(50).replace(' ', "+"));
    let others = [
        USER.call(&long),
        USER.call("DELETE /sessions/logout-all?exclude_current=true"),
        USER.call("GET /sessions/session/profile"),
        USER.call("GET /sessions/nothing"),
        USER.call("GET /sessions/current").body("{}"),
        USER.call("GET /sessions/current").header("x-session-id", USER.fingerprint),
        USER.sign_in().header("content-type", "text/plain"),
        USER.sign_in().body(&format!("{{\"device_name\": \"{}\"", USER.device)),
        USER.sign_in().body(&USER.fingerprint.repeat(1_000)),
        USER.call(list).with("/rawQueryString", json!(format!("reason={}", USER.note))),
        USER.call("POST /sessions/backchannel-logout").body(&format!("logout_token={}", USER.token(None))),
    ];
    for call in others {
        story.goes_on(service, &USER, call).await;
    }
    // A path is not logged either.
    story.goes_on(service, &ADMIN, ADMIN.call(&format!("GET /sessions/user/{}%00", USER.address))).await;
}

/// Everything that fails: DynamoDB refuses for good and for now, answers with half an item, and is not there.
async fn failures(story: &mut Story, service: &Service, proxy: &Proxy) {
    let item = json!({"Items": [{"ip_address": {"S": USER.address}, "device_name": {"S": USER.device},
        "end_note": {"S": USER.note}, "user_id": {"S": USER.id}}]});
    let half = item.to_string().replace("}}]", "");
    for route in ROUTES.iter().copied() {
        let actor = match Sample::of(route).roles[0] {
            Role::User => &USER,
            Role::Admin => &ADMIN,
            Role::Service => &BACK_END,
        };
        let calls = || actor.good(route);
        let refuse = |held: Held| held.refuse("ValidationException", json!({}));
        story.fails((service, proxy), actor, calls(), refuse).await;
        story.fails((service, proxy), actor, calls(), |held| held.break_off(&half)).await;
    }
    let busy = |held: Held| held.refuse("ProvisionedThroughputExceededException", json!({}));
    story.fails((service, proxy), &USER, USER.call("GET /sessions/current"), busy).await;
    let strict = Service::on(service.database.clone(), &[("REQUIRE_SID", "true")]);
    story.goes_on(&strict, &USER, USER.call("GET /sessions/current")).await;
    let edge = Service::on(nowhere(), &[("EDGE_SECRET", EDGE_SECRET), ("EDGE_ONLY", "true")]);
    story.goes_on(&edge, &USER, USER.sign_in().through_edge("a wrong secret of the edge")).await;
    no_keys(story, service).await;
    let down = Service::on(nowhere(), &[]);
    let routes = ["GET /sessions/user/{user_id}", "DELETE /sessions/user/{user_id}", "POST /sessions/create"];
    for (actor, route) in [&ADMIN, &ADMIN, &USER].into_iter().zip(routes) {
        story.goes_on(&down, actor, actor.call(route)).await;
    }
}

/// The issuer's keys do not have the token's, or there are none.
async fn no_keys(story: &mut Story, service: &Service) {
    let issuer = Signer::p256();
    let token = issuer.token(Some("b"), &json!({"sub": USER.id}).to_string());
    for keys in [vec![issuer.jwk(json!({"kid": "a"}))], vec![]] {
        let server = KeyServer::start(&keys).await;
        let service = Service::on(service.database.clone(), &server.settings());
        story.goes_on(&service, &USER, USER.call("GET /sessions/current").token(&token)).await;
    }
}

#[tokio::test]
async fn no_answer_log_line_or_metric_shows_a_secret() {
    let (log, _guard) = Log::start();
    let proxy = Proxy::before(&database().await).await;
    let settings = [("JWT_SECRET_PREVIOUS", PREVIOUS), ("MAX_SESSIONS", "2"), ("UNKNOWN_USERS", "not_found")];
    let mut service = Service::on(proxy.database.clone(), &settings);
    let mut story = Story::default();
    successes(&mut story, &service).await;
    service.pass(TimeDelta::hours(720));
    story.goes_on(&service, &OTHER, OTHER.sign_in()).await;
    refusals(&mut story, &service).await;
    failures(&mut story, &service, &proxy).await;
    assert_eq!(story.codes, Document::read().codes());

    // The answers and the log were looked at when they were written.
    let (log, metrics) = (log.text(), story.metrics.join("\n"));
    check_line(&metrics);
    for text in story.told.iter().map(|told| &told.answer).chain([&log, &metrics]) {
        assert!(!text.contains("agent-of-"), "a part of a user agent in {text}");
    }
    for (id, other) in [("74", &OTHER), ("75", &USER)] {
        for told in story.told.iter().filter(|told| told.id == id) {
            for own in other.own() {
                assert!(!told.answer.contains(own), "{own} is told to {id}: {}", told.answer);
            }
        }
    }
    // The owner and the admin do see these values, so the check above means something.
    for own in USER.own() {
        assert!(story.told.iter().any(|told| told.id == "74" && told.answer.contains(own)), "{own}");
        assert!(story.told.iter().any(|told| told.id == "1" && told.answer.contains(own)), "{own}");
    }
    assert!(log.contains("session_ended") && metrics.contains("Refused.token_expired"));
}

/// Each thing that must not be shown, with its name and a text that shows it.
fn shown(token: &str) -> Vec<(&'static str, String)> {
    let digest = |purpose: &str, value: &str| Digest::of(&user("74"), purpose, value.as_bytes());
    let plain = ring::digest::digest(&ring::digest::SHA256, USER.agent.as_bytes());
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let database = nowhere();
    vec![
        ("JWT secret", token::SECRET.into()),
        ("JWT secret", STANDARD.encode(token::SECRET)),
        ("JWT secret", URL_SAFE_NO_PAD.encode(token::SECRET)),
        ("AWS access key id", database.access_key_id),
        ("AWS secret access key", database.secret_access_key),
        ("AWS session token", database.session_token.unwrap()),
        ("token", token.into()),
        ("signature of a token", signature.into()),
        ("fingerprint", USER.fingerprint.into()),
        ("digest", hex(digest("fingerprint", USER.fingerprint).as_bytes())),
        ("digest", STANDARD.encode(digest("token", signed).as_bytes())),
        ("digest", URL_SAFE_NO_PAD.encode(digest("user_agent", USER.agent).as_bytes())),
        ("digest", hex(plain.as_ref())),
    ]
}

/// What a log line must not show, and an answer may.
fn shown_to_some() -> [(&'static str, &'static str); 5] {
    [
        ("user agent", USER.agent),
        ("user agent", "Planted \"Brand\""),
        ("IP address", USER.address),
        ("device name", USER.device),
        ("note", USER.note),
    ]
}

/// What is found when user 74 has sent all there is to send.
fn sent(token: &str) -> Secrets {
    let mut secrets = Secrets::default();
    secrets.add_keys(&nowhere());
    secrets.add_secret("JWT secret", token::SECRET);
    let body = json!({"device_fingerprint": USER.fingerprint, "device_name": USER.device}).to_string();
    let call = USER.end("POST /sessions/create").header("sec-ch-ua", "Planted \"Brand\"").token(token);
    secrets.add_event(&call.body(&body).event());
    secrets
}

#[test]
fn the_check_finds_every_kind_of_secret() {
    let token = USER.token(None);
    let secrets = sent(&token);
    let as_json = |text: &str| json!({"field": [{"detail": format!("it says {text} here")}]}).to_string();
    for (what, text) in shown(&token) {
        for shown in [text.clone(), format!("before{text}after"), as_json(&text)] {
            assert_eq!(secrets.in_answer(&shown), Some(what), "{shown}");
            assert_eq!(secrets.in_line(&shown), Some(what), "{shown}");
        }
    }
    for (what, text) in shown_to_some() {
        assert_eq!(secrets.in_line(&as_json(text)), Some(what), "{text}");
        assert_eq!(secrets.in_answer(&as_json(text)), None, "{text}");
    }
    let harmless = as_json(&format!("user 74 has ended {NEVER}"));
    assert_eq!((secrets.in_answer(&harmless), secrets.in_line(&harmless)), (None, None));
}

/// The message of a panic.
fn complaint(deed: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let panic = catch_unwind(deed).expect_err("nothing was found");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn a_leak_fails_the_test_in_which_it_happens() {
    crate::support::log::watch();
    plant(|secrets| secrets.add_secret("planted secret", "5ecret-of-this-test"));
    let line = complaint(|| tracing::info!(field = "5ecret-of-this-test", "logged"));
    assert!(line.starts_with("planted secret, shown in a log line"), "{line}");
    let answer = complaint(|| check_answer("5ecret-of-this-test"));
    assert!(answer.starts_with("planted secret, shown in an answer"), "{answer}");
}

#[tokio::test]
#[should_panic(expected = "JWT secret, shown in an answer")]
async fn the_check_notices_a_secret_in_an_answer() {
    let service = Service::with(&[("USER_ID_CLAIM", token::SECRET)]).await;
    service.get("/sessions/current", &USER.token(None)).await;
}

#[tokio::test]
#[should_panic(expected = "user agent, shown in a log line")]
async fn the_check_notices_a_user_agent_in_the_log() {
    let service = Service::start().await;
    USER.call("GET /sessions/my-sessions")
        .with("/requestContext/requestId", json!(USER.agent))
        .send(&service)
        .await;
}
