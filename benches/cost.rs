//! What each operation costs, by how much is live and how long the history is: requests to DynamoDB, and its own count
//! of read and write units. `cargo bench --bench cost`; `TEST_DYNAMODB_ENDPOINT` names another engine than the
//! embedded one.

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::time::Instant;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use chrono::TimeDelta;
use serde_json::{Value, json};
use sessions::session::SessionId;
use support::proxy::Proxy;
use support::*;

/// Ended sessions of a user.
const HISTORIES: [usize; 4] = [0, 100, 1_000, 10_000];

/// Live sessions of a user.
const LIVE: [usize; 4] = [1, 3, 10, 100];

/// The most users of a summary, and of an end of many users' sessions.
const SUMMARY_MAX: usize = 50;
const END_MAX: usize = 100;

/// The most items in a BatchWriteItem:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>
const BATCH: usize = 25;

type Item = HashMap<String, AttributeValue>;

#[tokio::main]
async fn main() {
    let bench = Bench::start().await;
    bench.many_users().await;
    println!("Requests / read units / write units.\n");
    println!("| ended | live | list | history page | activity | sign-in | end one | end all |");
    println!("|---|---|---|---|---|---|---|---|");
    for history in HISTORIES {
        for live in LIVE {
            bench.user(history, live).await;
        }
    }
}

/// The service before an engine, with a count of what goes between them.
struct Bench {
    service: Service,
    proxy: Proxy,
    /// A session that has ended, as the service wrote it.
    ended: Item,
}

impl Bench {
    async fn start() -> Self {
        let database = database().await;
        let proxy = Proxy::before(&database).await;
        // Nothing is evicted, and activity is always written.
        let settings = [("MAX_SESSIONS", "1000"), ("ACTIVITY_INTERVAL_SECONDS", "0")];
        let mut service = Service::on(proxy.database.clone(), &settings);
        let id = service.sign_in("template", "a phone with a name of a usual length").await.id;
        service.delete(&format!("/sessions/user/template/session/{id}"), &admin_token()).await.ok();
        let ended = item(&service.client(), &service.database.table, "template", id).await;
        Self { service, proxy, ended }
    }

    /// Makes a user, performs each operation once, and prints a row.
    async fn user(&self, history: usize, live: usize) {
        let user = format!("{history}-{live}");
        self.write_history(&user, history).await;
        let mut service = Service::on(self.service.database.clone(), &[("MAX_SESSIONS", "1000")]);
        let mut last = None;
        for device in 0..live {
            last = Some(service.sign_in(&user, &format!("device {device}")).await.id);
        }
        service.pass(TimeDelta::hours(1));
        let token = |sid| token::token(&user, None, sid, START + 100_000);
        let (own, new) = (token(last.map(|id| id.to_string()).as_deref()), token(None));
        let (list, one) = (format!("/sessions/user/{user}"), last.unwrap());
        let admin = admin_token();
        let calls = [
            ("GET", list.clone(), &admin),
            ("GET", format!("{list}?include_inactive=true&limit=50"), &admin),
            ("POST", "/sessions/update-activity".into(), &own),
            ("POST", "/sessions/create".into(), &new),
            ("DELETE", format!("{list}/session/{one}"), &admin),
            ("DELETE", list, &admin),
        ];
        let mut row = format!("| {history} | {live} |");
        for (method, target, token) in calls {
            row += &format!(" {} |", self.cost(&service, Call::new(method, &target).token(token)).await);
        }
        println!("{row}");
    }

    /// Makes many users with three sessions each, and prints what it costs to count and to end their sessions at once.
    async fn many_users(&self) {
        let mut service = Service::on(self.service.database.clone(), &[]);
        let users: Vec<_> = (0..END_MAX).map(|number| format!("one-of-many-{number}")).collect();
        for user in &users {
            for device in 0..3 {
                service.sign_in(user, &format!("device {device}")).await;
            }
        }
        let query: Vec<_> = users.iter().take(SUMMARY_MAX).map(|user| format!("user_id={user}")).collect();
        let list = Call::new("GET", &format!("/sessions/user/{}", users[0]));
        let summary = Call::new("GET", &format!("/sessions/summary?{}", query.join("&")));
        let end = Call::new("POST", "/sessions/end").body(&json!({"user_ids": users}).to_string());
        println!(
            "Many users with 3 live sessions each: requests / read units / write units, and the time.\n"
        );
        for (what, call) in [
            ("the list of one user".to_owned(), list),
            (format!("a summary of {SUMMARY_MAX} users"), summary),
            (format!("the end of {END_MAX} users"), end),
        ] {
            let call = call.token(&admin_token());
            let start = Instant::now();
            let cost = self.cost(&service, call).await;
            println!("- {what}: {cost}, {:?}", start.elapsed());
        }
        println!();
    }

    async fn cost(&self, service: &Service, call: Call) -> String {
        service.flush_metrics();
        self.proxy.take();
        let reply = call.send(service).await;
        assert!(reply.status < 300, "{}", reply.text);
        let counts: Value = serde_json::from_str(&service.flush_metrics().unwrap()).unwrap();
        let units = |name: &str| counts[name].as_f64().unwrap_or_default();
        format!("{} / {} / {}", self.proxy.take().len(), units("ReadUnits"), units("WriteUnits"))
    }

    /// Copies of the ended session, each a second older than the one before.
    async fn write_history(&self, user: &str, count: usize) {
        let client = self.service.client();
        let copies: Vec<_> = (0..count).map(|number| self.copy(user, number)).collect();
        for batch in copies.chunks(BATCH) {
            let request =
                client.batch_write_item().request_items(&self.service.database.table, batch.to_vec());
            let left = request.send().await.unwrap().unprocessed_items.unwrap_or_default();
            assert!(left.is_empty());
        }
    }

    fn copy(&self, user: &str, number: usize) -> WriteRequest {
        let id = SessionId::new(at(-1 - number as i64), std::array::from_fn(|_| fastrand::u8(..)));
        let mut item = self.ended.clone();
        item.insert("user_id".into(), AttributeValue::S(user.into()));
        item.insert("sk".into(), AttributeValue::S(format!("session#{id}")));
        let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
        WriteRequest::builder().put_request(put).build()
    }
}

async fn item(client: &Client, table: &str, user: &str, id: SessionId) -> Item {
    let get = client.get_item().table_name(table).key("user_id", AttributeValue::S(user.into()));
    let get = get.key("sk", AttributeValue::S(format!("session#{id}")));
    get.send().await.unwrap().item.unwrap()
}
