//! A few users with their sessions, copied into a table for each of many cases; and what is in such a table afterwards.

use std::collections::{BTreeMap, HashMap};

use super::Table;
use chrono::TimeDelta;
use serde_json::{Value, json};
use sessions::session::{Clock, SignInKey, Timestamp};
use sessions::store::NewSession;

use super::proxy::{self, Proxy};
use super::{Service, admin_token, database, engine, new_session, token_named};

/// What is there before every request: made once, and copied into a table for each case.
pub struct World {
    /// The request that makes a table.
    table: Value,
    pub items: Vec<Value>,
    ids: HashMap<String, String>,
}

impl World {
    /// User 74 has an ended session and three live ones, or 101; user 1 has one, and the role in the table too.
    /// All of it happened at `start` or later.
    pub async fn new(start: Timestamp, many: bool) -> Self {
        let engine = database().await;
        let proxy = Proxy::before(&engine).await;
        let database = Table { table: "world".into(), ..proxy.database.clone() };
        engine::create_table(&database.client(), &database.table).await.unwrap();
        let table = proxy.take().remove(0).body;
        let mut service = Service::on(database, &[("MAX_SESSIONS", "200")]);
        service.now = start;
        let mut ids = HashMap::from([("none".into(), "01900000-0000-7000-8000-000000000000".into())]);
        let devices = ["ended", "a", "b", "c"].map(str::to_owned).into_iter();
        for device in devices.chain((0..if many { 98 } else { 0 }).map(|n| format!("more-{n}"))) {
            let id = sign_in(&mut service, &device).await;
            if device == "ended" {
                service.delete(&format!("/sessions/user/74/session/{id}"), &admin_token()).await.ok();
            }
            ids.insert(device, id);
        }
        ids.insert("admin's".into(), service.sign_in("1", "admin's").await.id.to_string());
        let mut items = scan(&service.database).await;
        for item in items.iter_mut().filter(|item| item["user_id"]["S"] == "1") {
            item["role"] = json!({"S": "admin"});
        }
        Self { table, items, ids }
    }

    pub fn id(&self, device: &str) -> &str {
        &self.ids[device]
    }

    /// A table of this name with all of it.
    pub async fn copy(&self, database: &Table, name: &str) -> Table {
        // A region of its own too, since the SDK counts retries by region.
        let database = Table { table: name.into(), region: name.into(), ..database.clone() };
        let mut table = self.table.clone();
        table["TableName"] = name.into();
        proxy::call(&database, "CreateTable", &table).await;
        for items in self.items.chunks(25) {
            let writes: Vec<_> = items.iter().map(|item| json!({"PutRequest": {"Item": item}})).collect();
            proxy::call(&database, "BatchWriteItem", &json!({"RequestItems": {name: writes}})).await;
        }
        database
    }
}

/// Signs user 74 in on this device with the token of its name. The device is the same as that of a request without
/// headers whose fingerprint is the name.
async fn sign_in(service: &mut Service, device: &str) -> String {
    service.pass(TimeDelta::seconds(1));
    let key = SignInKey::Token(token_named("74", device, None));
    let new = NewSession { key, ..new_session("74", device, service.now) };
    service.store().sign_in(&new, Clock::start(service.now)).await.unwrap().unwrap().session.id.to_string()
}

pub async fn scan(database: &Table) -> Vec<Value> {
    let mut answer = proxy::call(database, "Scan", &json!({"TableName": database.table})).await;
    serde_json::from_value(answer["Items"].take()).unwrap()
}

fn text<'i>(item: &'i Value, name: &str) -> &'i str {
    item[name]["S"].as_str().unwrap_or_default()
}

fn number(item: &Value, name: &str) -> i64 {
    item[name]["N"].as_str().map_or(0, |number| number.parse().unwrap())
}

/// What is in the table about user 74.
#[derive(Debug)]
pub struct State(BTreeMap<String, Value>);

impl State {
    pub async fn of(database: &Table) -> Self {
        Self::new(&scan(database).await)
    }

    pub fn new(items: &[Value]) -> Self {
        let mine = items.iter().filter(|item| text(item, "user_id") == "74");
        Self(mine.map(|item| (text(item, "sk").to_owned(), item.clone())).collect())
    }

    pub fn sessions(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().filter_map(|(sk, item)| Some((sk.strip_prefix("session#")?, item)))
    }

    pub fn version(&self) -> i64 {
        number(&self.0["profile"], "version")
    }

    /// Unbound tokens from this second or before are refused.
    fn cut_off(&self) -> i64 {
        self.0.get("profile").map_or(0, |profile| number(profile, "not_before"))
    }

    pub fn has_ended(&self, id: &str) -> bool {
        self.0.get(&format!("session#{id}")).is_some_and(|item| item["ended_at"].is_object())
    }

    pub fn live(&self) -> usize {
        self.sessions().filter(|(_, item)| item["live_sk"].is_object()).count()
    }

    /// The bindings of tokens, and the session that each names.
    fn bindings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(sk, item)| Some((sk.strip_prefix("token#")?, text(item, "session"))))
    }

    /// Every attribute of every item; a session that was not there `before` has no name. The cut-off for tokens is taken
    /// from the clock, so that only its presence counts.
    pub fn whole(&self, before: &Self) -> String {
        let mut items: Vec<_> = self.0.values().cloned().collect();
        for cut_off in items.iter_mut().filter_map(|item| item.get_mut("not_before")) {
            *cut_off = Value::Null;
        }
        let items: Vec<_> = items.iter().map(Value::to_string).collect();
        unnamed(&items.join("\n"), before, self)
    }

    /// Who is live, who ended and how, who was active since `before`, but not exactly when; and which token belongs to
    /// which session.
    pub fn shape(&self, before: &Self) -> String {
        let sessions = self.sessions().map(|(id, item)| {
            let receipt = ["live_sk", "ended_by", "end_reason", "end_note"].map(|name| text(item, name));
            let was_active = before
                .0
                .get(text(item, "sk"))
                .is_none_or(|was| item["last_activity"] != was["last_activity"]);
            format!("{id} {receipt:?} {was_active}")
        });
        let bindings = self.bindings().map(|(token, session)| format!("{token} {session}"));
        let cut_off = format!("cut off: {}", self.cut_off() > 0);
        unnamed(&sessions.chain(bindings).chain([cut_off]).collect::<Vec<_>>().join("\n"), before, self)
    }

    /// What holds at every instant, whatever happened since `before`.
    pub fn check(&self, before: &Self, cap: usize) {
        for (id, item) in self.sessions() {
            let ended = item["ended_at"].is_object();
            assert_ne!(ended, item["live_sk"].is_object(), "{id} is live or ended");
            assert_eq!(
                item["shard"].is_object(),
                item["live_sk"].is_object(),
                "{id} is in both indexes or none"
            );
            assert_eq!(ended, item["end_reason"].is_object(), "{id} has a whole receipt");
        }
        for (token, id) in self.bindings() {
            assert!(self.0.contains_key(&format!("session#{id}")), "the session of {token} is there");
        }
        for (token, id) in before.bindings() {
            assert!(self.bindings().any(|binding| binding == (token, id)), "{token} stays with its session");
        }
        assert!(self.cut_off() >= before.cut_off(), "the cut-off never moves back");
        for (sk, item) in before.0.iter().filter(|(sk, _)| sk.starts_with("provider#")) {
            let now = &self.0[sk];
            assert!(number(now, "not_before") >= number(item, "not_before"), "{sk} never moves back");
        }
        for (id, item) in before.sessions() {
            let now = self.0.get(&format!("session#{id}")).expect("no session is lost");
            if before.has_ended(id) {
                assert_eq!(now, item, "the first receipt of {id} stays");
            }
        }
        assert!(self.live() <= cap.max(before.live()), "{} live", self.live());
    }
}

/// `text` with "new" for the name of each session that was not there `before`.
pub fn unnamed(text: &str, before: &State, now: &State) -> String {
    let new =
        now.0.keys().filter(|sk| !before.0.contains_key(*sk)).filter_map(|sk| sk.strip_prefix("session#"));
    new.fold(text.to_owned(), |text, id| text.replace(id, "new"))
}
