//! What the tests share: the whole service over a real engine, its own database for each test.
#![allow(dead_code, reason = "the benchmarks use a part of it")]

#[path = "../../examples/local/engine.rs"]
pub mod engine;
pub mod fault;
pub mod key_server;
pub mod keys;
pub mod lambda;
pub mod log;
pub mod proxy;
pub mod sample;
pub mod secrets;
pub mod tls;
pub mod visibility;
pub mod world;

pub use engine::Table;
pub use sample::{Role, SAMPLES, Sample};

#[path = "../../examples/local/token.rs"]
pub mod token;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;
use std::{env, fs};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta};
use dynoxide::Database;
use lambda_http::Context;
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use sessions::auth::AuthMode;
use sessions::config::Config;
use sessions::http::{App, Event};
use sessions::session::{
    Clock, Device, DeviceIdentity, DeviceType, Digest, EndReason, Note, Origin, Session, SessionId, Sid,
    SignInKey, Termination, Timestamp, Token, UserId, later,
};
use sessions::store::{EndAll, NewSession, SessionStore, Timeouts};
use sessions::telemetry::metrics::Metrics;
use tokio::net::TcpListener;

/// Names the engine of all tests when it is not the embedded one, such as `http://127.0.0.1:8100`.
const ENDPOINT: &str = "TEST_DYNAMODB_ENDPOINT";

/// When every test begins: 2040-01-01T00:00:00Z. This is in the future, because an engine that uses the real clock
/// would otherwise delete records.
pub const START: i64 = 2_208_988_800;

/// Every route of the service, such as `GET /sessions/current`.
pub static ROUTES: LazyLock<Vec<&str>> =
    LazyLock::new(|| SAMPLES.iter().map(|sample| sample.route).collect());

/// A valid id of a session that never existed.
pub const NEVER: &str = "01900000-0000-7000-8000-000000000000";

/// An empty folder, which is removed with this.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        let folder = env::temp_dir().join(format!("sessions-{:016x}", fastrand::u64(..)));
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

pub fn at(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(START + seconds, 0).unwrap()
}

pub fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

/// An attribute that is a string.
pub fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// The receipt of a session that this admin ended, with the admin's id as the note.
pub fn ended_by(admin: &str, at: Timestamp) -> Termination {
    Termination {
        at,
        by: Some(user(admin)),
        reason: EndReason::RevokedByAdmin,
        note: Note::parse(admin).unwrap(),
    }
}

/// Credentials unlike any other text. The engines accept any.
fn with_keys(engine: Table) -> Table {
    Table {
        access_key_id: "AKIAPLANTEDKEYID0000".into(),
        secret_access_key: "planted/secret+access/key000000000000000".into(),
        session_token: Some("planted/session+token//0000000000000000".into()),
        ..engine
    }
}

/// The address of an engine that does not exist.
pub fn nowhere() -> Table {
    with_keys(Table::at("http://127.0.0.1:9".into()))
}

/// Timeouts that are long enough for a busy machine: the outcome of a race must not depend on its speed.
pub const PATIENT: Timeouts = Timeouts {
    connect: Duration::from_secs(30),
    attempt: Duration::from_secs(60),
    call: Duration::from_secs(60),
    chain: Duration::from_secs(60),
    search: Duration::from_secs(60),
    backoff: Duration::from_millis(50),
    warm_up: Duration::from_secs(60),
};

/// A table of its own and how to reach it.
pub async fn database() -> Table {
    let database = match env::var(ENDPOINT) {
        Ok(endpoint) => Table { table: format!("test-{:016x}", fastrand::u64(..)), ..Table::at(endpoint) },
        Err(_) => {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            engine::serve(listener, Database::memory().unwrap()).unwrap()
        }
    };
    let mut database = with_keys(database);
    database.timeouts = PATIENT;
    // The SDK counts the retries of a whole process by region: one test must not use up those of another.
    database.region = format!("test-{:016x}", fastrand::u64(..));
    assert!(engine::create_table(&database.client(), &database.table).await.unwrap());
    database
}

/// The settings of the local stack, with these on top.
pub fn settings(database: &Table, extra: &[(&str, &str)]) -> Config {
    let mut config = Config::from_vars(&|name| match extra.iter().find(|(known, _)| *known == name) {
        Some((_, value)) => Some(value.to_string()),
        None => match name {
            "JWT_SECRET" => Some(token::SECRET.into()),
            "TABLE_NAME" => Some("local".into()),
            "SERVICE_ROLE" => Some("service".into()),
            _ => None,
        },
    })
    .unwrap();
    if let AuthMode::JwksUrl { patience, .. } = &mut config.auth.mode {
        *patience = PATIENT.call;
    }
    config.database = database.database();
    log::watch();
    secrets::plant(|secrets| {
        secrets.add_keys(database);
        for (_, secret) in extra.iter().filter(|(name, _)| name.starts_with("EDGE_SECRET")) {
            secrets.add_secret("edge secret", secret);
        }
        if let AuthMode::Hs256 { secret, previous } = &config.auth.mode {
            for secret in [Some(secret), previous.as_ref()].into_iter().flatten() {
                secrets.add_secret("JWT secret", std::str::from_utf8(secret.as_bytes()).unwrap());
            }
        }
    });
    config
}

/// The service with these settings on a table.
pub fn app(database: &Table, config: Config, metrics: Metrics) -> App {
    let store = database.counting_store(config.policy.clone(), metrics.clone());
    App::new(config, store, metrics)
}

/// The service and its clock.
pub struct Service {
    pub app: App,
    pub metrics: Metrics,
    pub database: Table,
    pub now: Timestamp,
    /// How long Lambda waits for an answer, if the runtime says so.
    pub time_limit: Option<TimeDelta>,
}

impl Service {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    pub async fn with(extra: &[(&str, &str)]) -> Self {
        Self::on(database().await, extra)
    }

    /// A service on a table that is there already.
    pub fn on(database: Table, extra: &[(&str, &str)]) -> Self {
        let metrics = Metrics::default();
        let app = app(&database, settings(&database, extra), metrics.clone());
        Self { app, metrics, database, now: at(0), time_limit: None }
    }

    pub fn store(&self) -> &SessionStore {
        self.app.store()
    }

    pub fn client(&self) -> Client {
        self.database.client()
    }

    /// The line of metrics since the last call.
    pub fn flush_metrics(&self) -> Option<String> {
        self.metrics.flush("local", "$LATEST", self.now)
    }

    pub fn pass(&mut self, time: TimeDelta) {
        self.now = later(self.now, time);
    }

    /// Signs a user in on a device of this name, one second later than whatever was before.
    pub async fn sign_in(&mut self, user_id: &str, device: &str) -> Session {
        self.pass(TimeDelta::seconds(1));
        self.store()
            .sign_in(&new_session(user_id, device, self.now), Clock::start(self.now))
            .await
            .unwrap()
            .unwrap()
            .session
    }

    /// Writes a session of user 74 that cannot be read.
    pub async fn add_broken_session(&self) {
        let key = text(&format!("session#{NEVER}"));
        let put = self.client().put_item().table_name(&self.database.table).item("user_id", text("74"));
        let put = put.item("sk", key.clone()).item("live_sk", key);
        let put = put.item("shard", AttributeValue::N("0".into()));
        put.item("expires_at", AttributeValue::N("4000000000000".into())).send().await.unwrap();
    }

    /// What Lambda says about an invocation that begins now.
    pub fn invocation(&self) -> Context {
        let deadline = self.time_limit.map(|limit| (self.now + limit).timestamp_millis());
        let mut context = Context::default();
        context.deadline = deadline.unwrap_or_default().try_into().unwrap();
        context
    }

    /// Sends an event as it is. What comes back has the form of every answer and shows no secret.
    pub async fn event(&self, event: &Value) -> Reply {
        secrets::plant(|secrets| secrets.add_event(event));
        self.deliver(&event.to_string()).await
    }

    /// Sends any JSON text, as Lambda delivers it.
    pub async fn deliver(&self, event: &str) -> Reply {
        let event: Event = serde_json::from_str(event).unwrap();
        let answer = self.app.answer(LambdaEvent::new(event, self.invocation()), self.now).await;
        let reply = Reply::of(&serde_json::to_value(answer.unwrap()).unwrap());
        reply.check_form();
        secrets::check_answer(&reply.all());
        reply
    }

    pub async fn get(&self, target: &str, token: &str) -> Reply {
        Call::new("GET", target).token(token).send(self).await
    }

    pub async fn delete(&self, target: &str, token: &str) -> Reply {
        Call::new("DELETE", target).token(token).send(self).await
    }

    pub async fn post(&self, target: &str, token: &str, body: Value) -> Reply {
        Call::new("POST", target).token(token).body(&body.to_string()).send(self).await
    }
}

/// What proves that a request came through the edge.
pub const EDGE_SECRET: &str = "edge-secret-that-is-long-enough-00000001";

/// Ends all sessions of a user, except `keep`.
pub async fn end_all(
    store: &SessionStore,
    user: &UserId,
    keep: Option<SessionId>,
    termination: &Termination,
) -> Vec<Session> {
    let order = EndAll { termination: termination.clone(), keep, lock: None };
    store.end_all(user, None, &order, Clock::start(termination.at)).await.unwrap()
}

/// A sign-in whose device is recognised again by its name.
pub fn new_session(user_id: &str, device: &str, now: Timestamp) -> NewSession {
    let user_id = user(user_id);
    NewSession {
        actor: user_id.clone(),
        key: SignInKey::Nothing,
        id: SessionId::new(now, std::array::from_fn(|_| fastrand::u8(..))),
        device: Device {
            name: device.into(),
            kind: DeviceType::Web,
            browser: "Firefox".into(),
            os: "Linux".into(),
        },
        origin: origin("198.51.100.1"),
        identity: fingerprint(&user_id, fingerprint_of(device).as_bytes()),
        user_id,
    }
}

/// A device with this address, whose place is not known.
pub fn origin(ip_address: &str) -> Origin {
    Origin { ip_address: ip_address.into(), location: None }
}

/// What the store knows of [`named_token`], which names no session.
pub fn token_named(user_id: &str, name: &str, authenticated_at: Option<i64>) -> Token {
    let token = named_token(user_id, name);
    let (signed, _) = token.rsplit_once('.').unwrap();
    let digest = Digest::of(&user(user_id), "token", signed.as_bytes());
    Token {
        sid: Sid::Absent,
        provider_session: None,
        digest,
        auth_time: None,
        authenticated_at,
        expires_at: START + 10_000_000_000,
    }
}

/// The fingerprint of a device with this name.
pub fn fingerprint_of(device: &str) -> String {
    format!("fingerprint of {device}")
}

/// The marks of a device that has only this fingerprint.
pub fn fingerprint(user: &UserId, of: &[u8]) -> DeviceIdentity {
    DeviceIdentity {
        fingerprint: Some(Digest::of(user, "fingerprint", of)),
        browser: None,
        platform: None,
        kind: DeviceType::Web,
        user_agent: None,
    }
}

/// A token for `user` that outlives every test. It is always the same, so it is the token of at most one device.
pub fn user_token(user: &str) -> String {
    token::token(user, None, None, START + 10_000_000_000)
}

/// A token for `user` that is different from every other: what a back end issues when a device signs in.
pub fn device_token(user: &str) -> String {
    token_with(user, json!({}))
}

/// The same, with these claims too.
pub fn token_with(user: &str, claims: Value) -> String {
    let id = format!("{:032x}", fastrand::u128(..));
    let mut all = json!({"sub": user, "exp": START + 10_000_000_000_i64, "jti": id});
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    token::sign(&json!({"alg": "HS256", "typ": "JWT"}), &all, token::SECRET)
}

/// A token for `user` that is always the same for one `name`.
pub fn named_token(user: &str, name: &str) -> String {
    token_with(user, json!({"jti": name}))
}

/// A token of a session.
pub fn session_token(user: &str, session: &str) -> String {
    token_with(user, json!({"sid": session}))
}

/// A token for the admin, user 1.
pub fn admin_token() -> String {
    token::token("1", Some("admin"), None, START + 10_000_000_000)
}

/// A token for a back end with the service role.
pub fn service_token() -> String {
    token::token("backend", Some("service"), None, START + 10_000_000_000)
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u64,
    pub headers: BTreeMap<String, String>,
    pub body: Value,
    pub text: String,
}

impl Reply {
    fn of(answer: &Value) -> Self {
        let text = answer["body"].as_str().unwrap().to_owned();
        Self {
            status: answer["statusCode"].as_u64().unwrap(),
            headers: serde_json::from_value(answer["headers"].clone()).unwrap(),
            body: serde_json::from_str(&text).unwrap(),
            text,
        }
    }

    /// What holds for every answer: its headers, and the form of a problem (RFC 9457).
    fn check_form(&self) {
        let content_type = if self.status < 300 { "application/json" } else { "application/problem+json" };
        let mut headers = BTreeMap::from([
            ("content-type", content_type),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ]);
        match self.status {
            401 => headers.extend([("www-authenticate", "Bearer")]),
            405 => headers.extend([("allow", self.allow())]),
            503 if self.body["code"] == "store_unavailable" => headers.extend([("retry-after", "1")]),
            200 => headers.extend(self.headers.get("link").map(|link| ("link", link.as_str()))),
            _ => (),
        }
        if let Some("key_unknown" | "keys_unavailable") = self.body["code"].as_str() {
            headers.extend([("retry-after", self.retry_after())]);
        }
        let own: BTreeMap<_, _> = self.headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(own, headers, "{} {}", self.status, self.text);
        if self.status >= 300 {
            assert_eq!(self.body["status"], self.status, "{}", self.text);
            for field in ["type", "title", "detail", "code", "request_id"] {
                assert!(self.body[field].is_string(), "{field} in {}", self.text);
            }
        }
    }

    /// The seconds until the issuer of tokens may be asked again.
    fn retry_after(&self) -> &str {
        let seconds = self.headers.get("retry-after").map(String::as_str).unwrap_or_default();
        if seconds.parse().is_ok_and(|seconds| (1..=10).contains(&seconds)) {
            seconds
        } else {
            "1 to 10 seconds"
        }
    }

    /// The methods in the `Allow` header.
    fn allow(&self) -> &str {
        let allow = self.headers.get("allow").map(String::as_str).unwrap_or_default();
        let takes = ["GET", "POST", "DELETE", "GET, DELETE", "POST, DELETE", "GET, POST, DELETE"];
        takes.into_iter().find(|takes| *takes == allow).unwrap_or("the methods that the path takes")
    }

    /// Headers and body.
    pub fn all(&self) -> String {
        format!("{:?}\n{}", self.headers, self.text)
    }

    /// Asserts that it is a problem with this status and code; returns its detail.
    pub fn problem(&self, status: u64, code: &str) -> &str {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{}", self.text);
        self.body["detail"].as_str().unwrap()
    }

    pub fn ok(&self) -> &Value {
        assert_eq!(self.status, 200, "{}", self.text);
        &self.body
    }

    /// The id of a session.
    pub fn id(&self) -> String {
        self.body["id"].as_str().unwrap().to_owned()
    }

    /// The ids of a list of sessions.
    pub fn ids(&self) -> Vec<&str> {
        self.ok().as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap()).collect()
    }
}

/// A request, as an event of an HTTP API.
#[derive(Clone)]
pub struct Call(Value);

impl Call {
    /// `target` is a path as it goes over the wire, with or without a query.
    pub fn new(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self(json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": query,
            "headers": {"host": "api.example.com"},
            "requestContext": {
                "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "198.51.100.7"},
                "requestId": "request-1",
                "stage": "$default",
                "timeEpoch": 0,
            },
            "isBase64Encoded": false,
        }))
    }

    /// A call of a route in [`ROUTES`], about user 74.
    pub fn of(route: &str) -> Self {
        let target = route.replace("{user_id}", "74");
        let target = target.replace("{session_id}", NEVER);
        let (method, path) = target.split_once(' ').unwrap();
        Self::new(method, path)
    }

    /// A call that succeeds: with a token that may use the route, and with all that the route needs.
    pub fn good(route: &str) -> Self {
        Sample::of(route).good()
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.0["headers"][name] = value.into();
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// What API Gateway's JWT authorizer hands over of the token that it verified.
    pub fn verified(self, claims: Value) -> Self {
        self.with("/requestContext/authorizer", json!({"jwt": {"claims": claims, "scopes": null}}))
    }

    pub fn body(mut self, body: &str) -> Self {
        self.0["body"] = body.into();
        self.header("content-type", "application/json")
    }

    /// Any other part of the event, by JSON pointer.
    pub fn with(mut self, pointer: &str, value: Value) -> Self {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        self.0.pointer_mut(parent).unwrap()[name] = value;
        self
    }

    /// The same call as API Gateway sends it. The others are like those that somebody sends to the function directly.
    pub fn through_api(self) -> Self {
        self.with("/requestContext/apiId", "abcde12345".into())
    }

    /// The same call, through API Gateway and CloudFront before it.
    pub fn through_edge(self, secret: &str) -> Self {
        self.through_api().header("x-origin-verify", secret)
    }

    /// The event that it is.
    pub fn event(self) -> Value {
        self.0
    }

    pub async fn send(self, service: &Service) -> Reply {
        service.event(&self.0).await
    }
}
