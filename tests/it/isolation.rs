//! Nobody learns whether another user's session exists, and nobody changes it. A request that names one gets the same
//! answer, and makes the same reads, as a request with an id that never existed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::support::proxy::{Call as Sent, Proxy};
use crate::support::*;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use serde_json::{Value, json};
use sessions::session::{EndReason, SessionId, Termination};

/// The user who must stay hidden.
const OTHER: &str = "75";

/// Both settings of what a list of an unknown user answers.
const UNKNOWN_USERS: [&str; 2] = ["empty", "not_found"];

/// A service whose calls are seen, on a table with sessions of two users in every state.
struct Scene {
    service: Service,
    proxy: Proxy,
    /// The sessions of the other user, of which nothing may be learned.
    others: Vec<String>,
}

impl Scene {
    async fn set(unknown_users: &str) -> Self {
        let proxy = Proxy::before(&database().await).await;
        let service = Service::on(proxy.database.clone(), &[("UNKNOWN_USERS", unknown_users)]);
        let mut scene = Self { service, proxy, others: Vec::new() };
        scene.fill().await;
        scene
    }

    /// One session for each way to end, then live ones, up to the cap; user 74 has two live ones.
    async fn fill(&mut self) {
        use EndReason::*;
        for reason in [RevokedByAdmin, RevokedByService, RevokedByUser, Logout, LogoutAll] {
            let id = self.sign_in(OTHER, reason.as_str()).await;
            let ending = Termination { at: self.service.now, by: Some(user("1")), reason, note: None };
            self.service.store().end(&user(OTHER), id, &ending).await.unwrap().unwrap();
        }
        self.sign_in(OTHER, "expired, written down").await;
        self.service.pass(TimeDelta::hours(720));
        self.sign_in(OTHER, "evicted").await;
        let aged = self.sign_in(OTHER, "expired, not written down").await;
        self.sign_in(OTHER, "a").await;
        self.sign_in(OTHER, "b").await;
        self.age(OTHER, aged).await;
        for device in ["c", "d"] {
            self.service.sign_in("74", device).await;
        }
        self.service.sign_in("1", "panel").await;
    }

    async fn sign_in(&mut self, user: &str, device: &str) -> SessionId {
        let id = self.service.sign_in(user, device).await.id;
        self.others.push(id.to_string());
        id
    }

    /// Lets the lifetime of one session be over.
    async fn age(&self, user: &str, id: SessionId) {
        let now = self.service.now.timestamp_millis().to_string();
        let update = self.service.client().update_item().table_name(&self.service.database.table);
        let update = update.key("user_id", text(user)).key("sk", text(&format!("session#{id}")));
        let update = update.update_expression("SET expires_at = :now");
        update.expression_attribute_values(":now", AttributeValue::N(now)).send().await.unwrap();
    }

    /// Every item of a user, as it is in the table.
    async fn items(&self, user: &str) -> Vec<String> {
        let query = self.service.client().query().table_name(&self.service.database.table);
        let query = query.key_condition_expression("user_id = :user");
        let items = query.expression_attribute_values(":user", text(user)).send().await.unwrap();
        let text =
            |item: &HashMap<String, AttributeValue>| format!("{:?}", item.iter().collect::<BTreeMap<_, _>>());
        items.items().iter().map(text).collect()
    }

    /// The reasons in the other user's records. An empty text means an open session.
    async fn reasons(&self) -> BTreeSet<String> {
        let page = self.service.store().history(&user(OTHER), None, 100).await.unwrap();
        let reason =
            |ended: Option<Termination>| ended.map_or("", |ending| ending.reason.as_str()).to_owned();
        page.sessions.into_iter().map(|session| reason(session.terminated)).collect()
    }

    /// Everything that a caller can observe of a call, with `name` taken out.
    async fn seen(&self, call: Call, name: &str) -> Seen {
        self.proxy.take();
        let reply = call.send(&self.service).await;
        let mut calls: Vec<_> = self.proxy.take().iter().map(shape).collect();
        // Two that are under way at a time come in any order.
        calls.sort();
        Seen { status: reply.status, answer: reply.all().replace(name, "NAME"), calls }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: u64,
    answer: String,
    calls: Vec<String>,
}

/// A call of DynamoDB without the values in it: its kind, index, consistency, keys' users and expressions.
fn shape(call: &Sent) -> String {
    let mut body = call.body.clone();
    without_values(&mut body);
    let users = call.body.to_string().matches(&format!(r#"{{"S":"{OTHER}"}}"#)).count();
    assert_eq!(users, 0, "the other user is asked for: {}", call.body);
    format!("{} {body}", call.operation)
}

fn without_values(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| {
                !["ExpressionAttributeValues", "Key", "Item", "ClientRequestToken"].contains(&name.as_str())
            });
            fields.values_mut().for_each(without_values);
        }
        Value::Array(items) => items.iter_mut().for_each(without_values),
        _ => (),
    }
}

/// A valid id of a session that never existed.
const NEVER: &str = "0dc1f000-0000-7000-8000-00000000dead";

/// Every way to name a session: in the path, by user 74 for themself and by the admin for user 74 and for one
/// without a record; in the header; and in the token.
fn attempts(id: &str) -> Vec<(String, Call)> {
    let by = |user: &str, role: Option<&str>, sid: Option<&str>| {
        token::token(user, role, sid, START + 9_000_000_000)
    };
    let (user, admin) = (by("74", None, None), by("1", Some("admin"), None));
    let mut attempts = Vec::new();
    let mut add = |how: &str, route: &str, call: Call| attempts.push((format!("{route}, {how}"), call));
    for route in ROUTES.iter().copied() {
        let named = route.replace("{session_id}", id);
        add("by sid", route, Call::of(&named).token(&by("74", None, Some(id))));
        add("by sid of an admin", route, Call::of(&named).token(&by("1", Some("admin"), Some(id))));
        if route.contains("{session_id}") {
            add("by path", route, Call::of(&named).token(&user));
            add("by path of an admin", route, Call::of(&named).token(&admin));
            add("by path of a service", route, Call::of(&named).token(&service_token()));
            let unknown = named.replace("{user_id}", "99");
            add("by path of an admin, for nobody", route, Call::of(&unknown).token(&admin));
        }
        // A sign-in takes no session from the header, and signing out everywhere is not about one session.
        let named = named.replace("logout-all", "logout-all?exclude_current=true");
        if !route.contains("{user_id}") && !route.contains("create") {
            add("by header", route, Call::of(&named).token(&user).header("x-session-id", id));
        }
    }
    attempts
}

#[tokio::test]
async fn a_session_of_another_user_looks_like_one_that_does_not_exist() {
    for unknown_users in UNKNOWN_USERS {
        let scene = Scene::set(unknown_users).await;
        let reasons = [
            "",
            "evicted",
            "expired",
            "logout",
            "logout_all",
            "revoked_by_admin",
            "revoked_by_service",
            "revoked_by_user",
        ];
        assert_eq!(scene.reasons().await, reasons.map(str::to_owned).into());
        assert_eq!(scene.others.len(), 10);
        let before = (scene.items(OTHER).await, scene.items("74").await, scene.items("1").await);
        let mut of_nobody = Vec::new();
        for (_, call) in attempts(NEVER) {
            of_nobody.push(scene.seen(call, NEVER).await);
        }
        for id in &scene.others {
            for ((what, call), of_nobody) in attempts(id).into_iter().zip(&of_nobody) {
                assert_eq!(scene.seen(call, id).await, *of_nobody, "{unknown_users}: {what}");
            }
        }
        assert_eq!((scene.items(OTHER).await, scene.items("74").await, scene.items("1").await), before);
    }
}

#[tokio::test]
async fn a_cursor_of_another_user_looks_like_one_that_was_made_up() {
    for unknown_users in UNKNOWN_USERS {
        let scene = Scene::set(unknown_users).await;
        let admin = admin_token();
        let page = scene.service.get("/sessions/user/75?include_inactive=true&limit=1", &admin).await;
        let cursor = page.headers["link"].split_once("cursor=").unwrap().1.split('>').next().unwrap();
        let made_up = URL_SAFE_NO_PAD.encode([7; 24]);
        for list in ["my-sessions", "user/74", "user/99"] {
            for inactive in [true, false] {
                let token = if list == "my-sessions" { user_token("74") } else { admin.clone() };
                let target =
                    |cursor: &str| format!("/sessions/{list}?include_inactive={inactive}&cursor={cursor}");
                let call = |cursor: &str| Call::new("GET", &target(cursor)).token(&token);
                let reference = scene.seen(call(&made_up), &made_up).await;
                assert_eq!(scene.seen(call(cursor), cursor).await, reference, "{list} {inactive}");
            }
        }
    }
}

#[tokio::test]
async fn a_device_of_another_user_looks_like_a_new_one() {
    let scene = Scene::set("empty").await;
    let create = |user: &str, device: &str| {
        let body = json!({"device_fingerprint": format!("fingerprint of {device}")}).to_string();
        Call::of("POST /sessions/create").token(&device_token(user)).header("user-agent", device).body(&body)
    };
    create(OTHER, "a device").send(&scene.service).await;
    let mut seen = Vec::new();
    for (user, device) in [("76", "a device"), ("77", "no device")] {
        let current = Call::of("GET /sessions/current").token(&user_token(user)).header("user-agent", device);
        current.send(&scene.service).await.problem(401, "no_current_session");
        scene.proxy.take();
        let mut reply = create(user, device).send(&scene.service).await;
        for own in ["id", "user_id"] {
            assert!(reply.body.as_object_mut().unwrap().remove(own).is_some());
        }
        let mut calls: Vec<_> = scene.proxy.take().iter().map(shape).collect();
        // The first two are under way at the same time.
        calls[..2].sort();
        // The device is called what its user agent says.
        seen.push((reply.status, reply.headers, reply.body.to_string().replace(device, "NAME"), calls));
    }
    assert_eq!(seen[0].0, 201);
    assert_eq!(seen[0], seen[1]);
}
