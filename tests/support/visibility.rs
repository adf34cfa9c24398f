//! An engine that shows the items of a transaction one by one, in the order that a test chooses.
//!
//! DynamoDB isolates a Query from a TransactWriteItems only as read-committed, also a strongly consistent one
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-isolation>).
//! So a transaction that has been decided may be visible in part. Of an item that is still hidden, Query and GetItem show
//! the last committed state, an UpdateItem is refused as a conflict, and a transaction that touches it is cancelled. The
//! caller of the first transaction has no answer yet.
//!
//! The SDK reaches this engine without a network, so with tokio's paused clock nothing waits but the service itself.

use std::collections::HashMap;
use std::fmt::{self, Debug, Formatter};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpRequest;
use aws_sdk_dynamodb::config::{Credentials, HttpClient, RuntimeComponents, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde_json::{Value, json};
use sessions::http::App;
use sessions::store::{SessionStore, client};
use sessions::telemetry::metrics::Metrics;
use tokio::select;
use tokio::sync::{oneshot, watch};

use super::fault::refusal;
use super::{Service, at, engine, nowhere, settings};

/// The engine; clones are the same one.
#[derive(Clone)]
pub struct HalfVisible(Arc<Shared>);

struct Shared {
    database: Database,
    state: Mutex<State>,
    /// How many calls were refused because an item was hidden.
    conflicts: watch::Sender<usize>,
    /// Whether a transaction is held.
    is_held: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    /// The calls since the last time, with their bodies.
    calls: Vec<(String, Value)>,
    /// How many transactions go through before one is held; `None` when none is to be held.
    hold_after: Option<usize>,
    held: Vec<HeldItem>,
    release: Option<oneshot::Sender<()>>,
}

/// A table beside a transaction that is held.
pub struct Snapshot {
    items: Vec<Value>,
    held: Vec<HeldItem>,
}

/// An item of the transaction that is held.
#[derive(Clone)]
struct HeldItem {
    key: Value,
    /// The item as the transaction leaves it.
    after: Option<Value>,
    is_hidden: bool,
}

/// Status and body of an answer.
type Answer = (u16, String);

impl HalfVisible {
    /// An engine with the empty table.
    pub async fn new() -> Self {
        let engine = Self(Arc::new(Shared {
            database: Database::memory().unwrap(),
            state: Mutex::default(),
            conflicts: watch::Sender::new(0),
            is_held: watch::Sender::new(false),
        }));
        assert!(engine::create_table(&engine.client(), engine::TABLE).await.unwrap());
        engine.take_calls();
        engine
    }

    pub fn client(&self) -> Client {
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("half-visible"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
            .endpoint_url("http://half-visible")
            .http_client(self.clone());
        client::from_sdk_config(&sdk.build(), &super::PATIENT)
    }

    /// A service on this engine.
    pub fn service(&self, extra: &[(&str, &str)]) -> Service {
        let database = engine::Table { table: engine::TABLE.into(), timeouts: super::PATIENT, ..nowhere() };
        let (config, metrics) = (settings(&database, extra), Metrics::default());
        let policy = config.policy.clone();
        let store = SessionStore::new(self.client(), &database.database(), policy, metrics.clone());
        Service {
            app: App::new(config, store, metrics.clone()),
            metrics,
            database,
            now: at(0),
            time_limit: None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    /// The calls since the last time, with their bodies.
    pub fn take_calls(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.state().calls)
    }

    /// Every item of the table.
    pub fn items(&self) -> Vec<Value> {
        let mut answer = self.0.ask("Scan", &json!({"TableName": engine::TABLE}));
        serde_json::from_value(answer["Items"].take()).unwrap()
    }

    /// Makes these the only items of the table. No transaction is held then.
    pub fn set_items(&self, items: &[Value]) {
        *self.state() = State::default();
        let mut present: HashMap<_, _> = self.items().into_iter().map(|item| (key_of(&item), item)).collect();
        for item in items {
            let key = key_of(item);
            if present.remove(&key).as_ref() != Some(item) {
                self.0.write(&key, Some(item));
            }
        }
        for key in present.keys() {
            self.0.write(key, None);
        }
    }

    /// The table as it is, and the transaction that is held.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { items: self.items(), held: self.state().held.clone() }
    }

    /// Makes the table what it was then. Nobody waits for the answer to the transaction.
    pub fn restore(&self, snapshot: &Snapshot) {
        self.set_items(&snapshot.items);
        self.state().held = snapshot.held.clone();
    }

    /// Holds a transaction that succeeds: the first one, or the one `after` so many others. All its items are hidden
    /// until [`Self::show`] or [`Self::release`].
    pub fn hold(&self, after: usize) {
        self.0.is_held.send_replace(false);
        self.state().hold_after = Some(after);
    }

    /// The sort keys of the items of the transaction that is held, in its order.
    pub fn held(&self) -> Vec<String> {
        let state = self.state();
        state.held.iter().map(|item| item.key["sk"]["S"].as_str().unwrap().to_owned()).collect()
    }

    /// Makes one more item of the held transaction visible.
    pub fn show(&self, index: usize) {
        let mut state = self.state();
        let item = &mut state.held[index];
        // What is visible already may have been written since.
        if std::mem::take(&mut item.is_hidden) {
            self.0.write(&item.key, item.after.as_ref());
        }
    }

    /// Makes the whole transaction visible. Its caller gets the answer.
    pub fn release(&self) {
        let items = 0..self.state().held.len();
        items.for_each(|index| self.show(index));
        let mut state = self.state();
        state.held.clear();
        if let Some(release) = state.release.take() {
            release.send(()).unwrap();
        }
    }

    /// Runs an operation up to the transaction that is to be held; returns the answer if it never makes it.
    pub async fn run_until_held<T>(
        &self,
        operation: Pin<&mut (impl Future<Output = T> + ?Sized)>,
    ) -> Option<T> {
        let mut is_held = self.0.is_held.subscribe();
        select! {
            biased;
            answer = operation => Some(answer),
            _ = is_held.wait_for(|is_held| *is_held) => None,
        }
    }

    /// Runs an operation to its answer, or until it waits because an item is hidden: it would meet the same conflict again.
    pub async fn run_until_it_waits<T>(
        &self,
        operation: Pin<&mut (impl Future<Output = T> + ?Sized)>,
    ) -> Option<T> {
        let mut conflicts = self.0.conflicts.subscribe();
        select! {
            biased;
            answer = operation => Some(answer),
            _ = conflicts.changed() => None,
        }
    }

    /// Answers a call; with a transaction that is held comes what its caller has to wait for.
    fn take(&self, operation: &str, body: &str) -> (Answer, Option<oneshot::Receiver<()>>) {
        let mut state = self.state();
        let request: Value = serde_json::from_str(body).unwrap();
        let keys = keys(operation, &request);
        state.calls.push((operation.to_owned(), request));
        if let Some(conflict) = state.conflict(operation, &keys) {
            self.0.conflicts.send_modify(|conflicts| *conflicts += 1);
            return (conflict, None);
        }
        if operation != "TransactWriteItems" || state.hold_after.is_none() {
            return (self.0.answer(operation, body), None);
        }
        let before: Vec<_> = keys.iter().map(|key| self.0.read(key)).collect();
        let answer = self.0.answer(operation, body);
        if answer.0 != 200 {
            return (answer, None);
        }
        state.hold_after = state.hold_after.and_then(|after| after.checked_sub(1));
        if state.hold_after.is_some() {
            return (answer, None);
        }
        for (key, before) in keys.into_iter().zip(before) {
            let after = self.0.read(&key);
            self.0.write(&key, before.as_ref());
            state.held.push(HeldItem { key, after, is_hidden: true });
        }
        let (release, released) = oneshot::channel();
        state.release = Some(release);
        self.0.is_held.send_replace(true);
        (answer, Some(released))
    }
}

impl State {
    /// How DynamoDB refuses a call that touches a hidden item; `None` when it does not refuse it.
    fn conflict(&self, operation: &str, keys: &[Value]) -> Option<Answer> {
        let is_hidden = |key: &Value| self.held.iter().any(|item| item.is_hidden && item.key == *key);
        let touched: Vec<_> = keys.iter().map(is_hidden).collect();
        if !touched.contains(&true) {
            return None;
        }
        let reason = |touched| json!({"Code": if touched { "TransactionConflict" } else { "None" }});
        let (exception, extra) = match operation {
            "TransactWriteItems" | "TransactGetItems" => {
                let reasons: Vec<_> = touched.into_iter().map(reason).collect();
                ("TransactionCanceledException", json!({"CancellationReasons": reasons}))
            }
            _ => ("TransactionConflictException", json!({})),
        };
        Some((400, refusal(exception, extra).to_string()))
    }
}

/// The keys of the items that a call would conflict about: those that it writes, or reads in a transaction.
fn keys(operation: &str, request: &Value) -> Vec<Value> {
    match operation {
        "UpdateItem" | "DeleteItem" => vec![request["Key"].clone()],
        "PutItem" => vec![key_of(&request["Item"])],
        "TransactWriteItems" | "TransactGetItems" => {
            let actions = request["TransactItems"].as_array().unwrap().iter();
            actions.flat_map(|action| action.as_object().unwrap().values()).map(key_of_action).collect()
        }
        _ => Vec::new(),
    }
}

fn key_of_action(action: &Value) -> Value {
    if action["Item"].is_object() { key_of(&action["Item"]) } else { action["Key"].clone() }
}

fn key_of(item: &Value) -> Value {
    json!({"user_id": item["user_id"], "sk": item["sk"]})
}

impl Shared {
    /// What the embedded engine answers.
    fn answer(&self, operation: &str, body: &str) -> Answer {
        let database = &self.database;
        match operation {
            "CreateTable" => answer(database.create_table(parse(body))),
            "UpdateTimeToLive" => answer(database.update_time_to_live(parse(body))),
            "GetItem" => answer(database.get_item(parse(body))),
            "PutItem" => answer(database.put_item(parse(body))),
            "DeleteItem" => answer(database.delete_item(parse(body))),
            "UpdateItem" => answer(database.update_item(parse(body))),
            "Query" => answer(database.query(parse(body))),
            "Scan" => answer(database.scan(parse(body))),
            "TransactGetItems" => answer(database.transact_get_items(parse(body))),
            "TransactWriteItems" => answer(database.transact_write_items(parse(body))),
            _ => panic!("the service makes no call of {operation}"),
        }
    }

    /// A call of the test itself.
    fn ask(&self, operation: &str, request: &Value) -> Value {
        let (status, body) = self.answer(operation, &request.to_string());
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    fn read(&self, key: &Value) -> Option<Value> {
        let mut answer = self.ask("GetItem", &json!({"TableName": engine::TABLE, "Key": key}));
        Some(answer["Item"].take()).filter(Value::is_object)
    }

    /// Makes an item what it was or will be.
    fn write(&self, key: &Value, item: Option<&Value>) {
        match item {
            Some(item) => self.ask("PutItem", &json!({"TableName": engine::TABLE, "Item": item})),
            None => self.ask("DeleteItem", &json!({"TableName": engine::TABLE, "Key": key})),
        };
    }
}

fn parse<T: serde::de::DeserializeOwned>(body: &str) -> T {
    serde_json::from_str(body).unwrap()
}

fn answer<T: Serialize>(outcome: Result<T, DynoxideError>) -> Answer {
    match outcome {
        Ok(answer) => (200, serde_json::to_string(&answer).unwrap()),
        Err(error) => (error.status_code(), error.to_json()),
    }
}

impl Debug for HalfVisible {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("HalfVisible")
    }
}

impl HttpClient for HalfVisible {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for HalfVisible {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let engine = self.clone();
        HttpConnectorFuture::new(async move {
            let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
            let operation = target.rsplit('.').next().unwrap_or_default();
            let body = request.body().bytes().unwrap_or_default();
            let ((status, body), released) = engine.take(operation, str::from_utf8(body).unwrap());
            if let Some(released) = released {
                // It fails when the test forgets the transaction. Then nobody waits for the answer.
                let _forgotten = released.await;
            }
            let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
            response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
            Ok(response)
        })
    }
}
