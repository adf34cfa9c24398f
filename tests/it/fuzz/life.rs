//! Some users and their sessions: it gives the events their names, and checks every answer against the invariants.

use std::collections::BTreeMap;
use std::sync::Mutex;

use lambda_runtime::LambdaEvent;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};
use sessions::http::Event;
use sessions::session::{EndReason, SessionId, Termination};

use super::plan::{AGENTS, Cut, Delivery, Pick, Plan, Proof};
use crate::support::{
    self, Call, NEVER, ROUTES, Reply, SAMPLES, START, Service, admin_token, fingerprint_of, token,
};

/// The default of `MAX_SESSIONS`.
const CAP: usize = 3;

/// Where something panicked, and how often; caught panics are among them.
pub static PANICS: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

/// The error says which invariant is broken.
pub type Check = Result<(), String>;

/// Sends an event. After a panic the only allowed answer is `bad_event`.
pub async fn send(service: &Service, event: &str) -> Result<Reply, String> {
    let panics = || PANICS.lock().unwrap().values().sum::<usize>();
    let before = panics();
    if let Ok(event @ Event::Authorizer(_)) = serde_json::from_str(event) {
        // It has an answer of its own, or fails, and nothing becomes of the request that it asks about.
        let answer = service.app.answer(LambdaEvent::new(event, service.invocation()), service.now).await;
        let body = answer.map_or(json!({}), |answer| serde_json::to_value(answer).unwrap());
        return Ok(Reply { status: 200, headers: BTreeMap::new(), text: body.to_string(), body });
    }
    let reply = service.deliver(event).await;
    if let Some(line) = service.flush_metrics() {
        serde_json::from_str::<IgnoredAny>(&line).map_err(|error| format!("{error}: {line}"))?;
    }
    if !matches!(reply.status, 200 | 201 | 400..=499) {
        return Err(format!("{} {}", reply.status, reply.text));
    }
    if panics() > before && reply.body["code"] != "bad_event" {
        return Err(format!("a panic without `bad_event`: {}", reply.text));
    }
    Ok(reply)
}

impl Delivery {
    /// The route, when nothing was changed about the request.
    pub fn whole_route(&self) -> Option<&'static str> {
        match self {
            Self::Request(plan) if plan.edits.is_empty() && plan.cut.is_none() => Some(ROUTES[plan.route]),
            _ => None,
        }
    }
}

/// Users, the first of them an admin, and what became of their sessions as the answers told it.
pub struct Life {
    users: [String; 4],
    live: Vec<Known>,
    ended: Vec<Known>,
    cursor: String,
}

/// A session of one of them.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Known {
    user: usize,
    id: SessionId,
}

impl Life {
    pub fn new(number: usize) -> Self {
        let id = |last: usize| (10 * number + last).to_string();
        let users = [id(1), id(2), id(3), format!("user-{number}@example.com")];
        Self { users, live: Vec::new(), ended: Vec::new(), cursor: String::new() }
    }

    /// The text that Lambda delivers.
    pub async fn compose(&mut self, delivery: &Delivery, service: &mut Service) -> String {
        match delivery {
            Delivery::Request(plan) => {
                let mut event = self.request(plan, service).await;
                for edit in &plan.edits {
                    put(&mut event, &edit.at, edit.value.clone());
                }
                cut(event.to_string(), plan.cut.as_ref())
            }
            Delivery::Alien(value) => value.to_string(),
            Delivery::Deep { depth, objects, place } => nest(*depth, *objects, place.as_deref()),
        }
    }

    async fn request(&mut self, plan: &Plan, service: &mut Service) -> Value {
        let (method, route) = ROUTES[plan.route].split_once(' ').unwrap();
        // The routes of admins and services are asked by those as a rule, about others as a rule.
        let sample = &SAMPLES[plan.route];
        let of_admin = sample.is_for_staff();
        let caller = if of_admin && plan.caller < 3 { 0 } else { plan.caller };
        let target = if of_admin { plan.target } else { caller };
        let user = self.users[target].clone();
        let session = self.session(target, &plan.session, service).await;
        let path = route.replace("{user_id}", &user).replace("{session_id}", &session);
        let query = plan.query.replace("{cursor}", &self.cursor);
        let mut call = Call::new(method, &format!("{path}?{query}"));
        if plan.matched && path != route {
            call = call.with("/pathParameters", json!({"user_id": user, "session_id": session}));
        }
        let agent = AGENTS.split('|').nth(plan.device).unwrap();
        if plan.device.is_multiple_of(2) {
            call = call.header("user-agent", agent);
        }
        let device =
            json!({"device_fingerprint": fingerprint_of(&plan.device.to_string()), "device_name": agent});
        call = match ROUTES[plan.route] {
            "POST /sessions/create" => call.body(&device.to_string()),
            "POST /sessions/user/{user_id}" => {
                call.header("idempotency-key", &plan.query).body(&device.to_string())
            }
            "POST /sessions/end" => {
                let body = json!({"user_ids": [user], "dry_run": plan.matched});
                call.body(&body.to_string()).with("/rawQueryString", json!(""))
            }
            _ => {
                let about = |text: &str| text.replace("74", &user);
                let call = match sample.query {
                    "" => call,
                    own => call.with("/rawQueryString", json!(format!("{}&{query}", about(own)))),
                };
                match sample.body {
                    Some(body) => call.body(&about(body)),
                    None => call,
                }
            }
        };
        if let Some(pick) = &plan.named {
            call = call.header("x-session-id", &self.session(caller, pick, service).await);
        }
        let role = if sample.is_for_services() { "service" } else { "admin" };
        self.prove(call, caller, role, plan, service).await.event()
    }

    /// Adds what proves who is calling.
    async fn prove(
        &mut self,
        call: Call,
        caller: usize,
        role: &str,
        plan: &Plan,
        service: &mut Service,
    ) -> Call {
        let mut claims = Map::new();
        claims.insert("sub".into(), self.users[caller].as_str().into());
        claims.insert("exp".into(), (START + 10_000_000_000).into());
        if caller == 0 {
            claims.insert("role".into(), role.into());
        }
        match &plan.proof {
            Proof::Missing => return call,
            Proof::Token { sid: None } | Proof::Bent { .. } => {}
            Proof::Token { sid: Some(pick) } => {
                claims.insert("sid".into(), self.session(caller, pick, service).await.into());
            }
            Proof::Claims(extra) => claims.extend(extra.iter().cloned()),
        }
        let header = json!({"alg": "HS256", "typ": "JWT"});
        let mut token: Vec<char> =
            token::sign(&header, &Value::Object(claims.clone()), token::SECRET).chars().collect();
        if let Proof::Bent { at, with } = plan.proof {
            let at = at % token.len();
            token[at] = with;
        }
        call.token(&String::from_iter(token))
    }

    /// The id of such a session of this user.
    async fn session(&mut self, user: usize, pick: &Pick, service: &mut Service) -> String {
        match pick {
            Pick::Live(n) => self.live(user, *n, service).await.to_string(),
            Pick::Ended(n) => self.ended(user, *n, service).await.to_string(),
            Pick::OfAnother(n) => self.live((user + 1) % self.users.len(), *n, service).await.to_string(),
            Pick::Never => NEVER.into(),
            Pick::Junk(text) => text.clone(),
        }
    }

    async fn live(&mut self, user: usize, n: usize, service: &mut Service) -> SessionId {
        if let Some(id) = choose(&self.live, user, n) {
            return id;
        }
        let id = service.sign_in(&self.users[user], "a device").await.id;
        self.live.push(Known { user, id });
        id
    }

    async fn ended(&mut self, user: usize, n: usize, service: &mut Service) -> SessionId {
        if let Some(id) = choose(&self.ended, user, n) {
            return id;
        }
        let id = self.live(user, n, service).await;
        let ending = Termination { at: service.now, by: None, reason: EndReason::Logout, note: None };
        service.store().end(&support::user(&self.users[user]), id, &ending).await.unwrap();
        self.live.retain(|known| known.id != id);
        self.ended.push(Known { user, id });
        id
    }

    /// Takes from an answer what became of whose session, and holds it against what was known.
    pub fn learn(&mut self, reply: &Reply) -> Check {
        let shown = sessions(&reply.body);
        let live = shown.iter().filter(|session| session["is_active"] == true).count();
        if live > CAP {
            return Err(format!("{live} live sessions of one user"));
        }
        for session in shown {
            let user = session["user_id"].to_string();
            // A changed token may name a user outside this test.
            if let Some(user) = self.users.iter().position(|known| *known == user.trim_matches('"')) {
                self.note(Known { user, id: id(&session["id"])? }, session["is_active"] == true)?;
            }
        }
        for evicted in reply.body["evicted"].as_array().into_iter().flatten() {
            let id = id(evicted)?;
            if let Some(known) = self.live.iter().find(|known| known.id == id).copied() {
                self.note(known, false)?;
            }
        }
        let all_ended = reply.body["message"].as_str().is_some_and(|message| message.ends_with(" ended"));
        for ended in reply.body["users"].as_array().into_iter().flatten().filter(|_| all_ended) {
            let name = ended["user_id"].to_string();
            let user = self.users.iter().position(|known| *known == name.trim_matches('"'));
            let of_user = |known: &Known| Some(known.user) == user;
            let (ended, live) = self.live.drain(..).partition(of_user);
            self.live = live;
            self.ended.extend::<Vec<_>>(ended);
        }
        let link = reply.headers.get("link").and_then(|link| link.split_once("cursor="));
        self.cursor = link.and_then(|(_, rest)| rest.split('>').next()).unwrap_or_default().into();
        Ok(())
    }

    fn note(&mut self, session: Known, is_live: bool) -> Check {
        let ended = self.ended.contains(&session);
        if ended && is_live {
            return Err(format!("{session:?} had ended and is live again"));
        }
        if !ended {
            self.live.retain(|known| *known != session);
            if is_live { &mut self.live } else { &mut self.ended }.push(session);
        }
        Ok(())
    }

    /// What the table says of all of them.
    pub async fn check(&self, service: &Service) -> Check {
        let (store, now) = (service.store(), service.now);
        for user in &self.users {
            let open = store.user_sessions(&support::user(user)).await.map_err(|error| error.to_string())?;
            let live: Vec<_> = open.live(now, store.policy()).map(|session| session.id).collect();
            if live.len() > CAP {
                return Err(format!("{user} has {} live sessions", live.len()));
            }
            if let Some(known) = self.ended.iter().find(|known| live.contains(&known.id)) {
                return Err(format!("{known:?} had ended and is live"));
            }
        }
        Ok(())
    }
}

fn choose(sessions: &[Known], user: usize, n: usize) -> Option<SessionId> {
    let own: Vec<_> = sessions.iter().filter(|known| known.user == user).collect();
    own.get(n % own.len().max(1)).map(|known| known.id)
}

fn id(value: &Value) -> Result<SessionId, String> {
    SessionId::parse(value.as_str().unwrap_or_default()).map_err(|error| format!("{value} {error}"))
}

/// The sessions in an answer, wherever they are.
fn sessions(body: &Value) -> Vec<&Value> {
    let lists = [body, &body["sessions"]].into_iter().filter_map(Value::as_array).flatten();
    lists.chain([body, &body["session"]]).filter(|value| value["is_active"].is_boolean()).collect()
}

/// Sets or takes away a part of a document; what is in the way becomes an object.
fn put(document: &mut Value, at: &[String], value: Option<Value>) {
    let Some((name, rest)) = at.split_first() else {
        *document = value.unwrap_or_default();
        return;
    };
    if !document.is_object() {
        *document = json!({});
    }
    let fields = document.as_object_mut().unwrap();
    match (rest, value) {
        ([], None) => drop(fields.remove(name)),
        (rest, value) => put(fields.entry(name).or_insert(Value::Null), rest, value),
    }
}

/// Lambda delivers only JSON, so a cut is skipped if the rest is not JSON.
fn cut(event: String, cut: Option<&Cut>) -> String {
    let Some(Cut { at, length, scrap }) = cut else { return event };
    let mut characters: Vec<char> = event.chars().collect();
    let start = at % characters.len();
    let end = (start + length).min(characters.len());
    characters.splice(start..end, scrap.chars());
    let edited = String::from_iter(characters);
    if serde_json::from_str::<IgnoredAny>(&edited).is_ok() { edited } else { event }
}

fn nest(depth: usize, objects: bool, place: Option<&str>) -> String {
    let (open, close) = if objects { ("{\"a\":", "}") } else { ("[", "]") };
    let nest = format!("{}1{}", open.repeat(depth), close.repeat(depth));
    let Some(place) = place else { return nest };
    let mut event = Call::of(ROUTES[0]).token(&admin_token()).event();
    let at: Vec<_> = place.split('/').map(str::to_owned).collect();
    put(&mut event, &at, Some("the nest".into()));
    event.to_string().replace("\"the nest\"", &nest)
}
