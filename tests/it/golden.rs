//! The items of the table as this version writes them. A later version must still read them.

use std::collections::BTreeMap;

use crate::support::world::scan;
use crate::support::*;
use chrono::TimeDelta;
use serde_json::{Value, json};
use sessions::session::{Clock, DeviceIdentity, Digest, SessionId, SignInKey};
use sessions::store::NewSession;

const ITEMS: &str = include_str!("golden/items.json");

/// The id of the session of this number.
fn id(number: u8) -> SessionId {
    SessionId::new(at(number.into()), [number; 10])
}

fn one(number: u8) -> String {
    format!("/sessions/user/74/session/{}", id(number))
}

/// Users 74 and 75, with an item of every kind. Nothing about them is left to chance.
async fn story() -> Service {
    let mut service = Service::start().await;
    let identity = |name: &str| DeviceIdentity {
        browser: Some("Firefox".into()),
        platform: Some("Linux".into()),
        user_agent: Some(Digest::of(&user("74"), "user_agent", name.as_bytes())),
        ..fingerprint(&user("74"), name.as_bytes())
    };
    let keys = [
        ("74", 1, SignInKey::Token(token_named("74", "ended", None))),
        ("74", 2, SignInKey::Token(token_named("74", "live", None))),
        ("74", 3, SignInKey::Idempotency(Digest::of(&user("74"), "idempotency", b"a key"))),
        ("75", 4, SignInKey::Nothing),
    ];
    for (user, number, key) in keys {
        let new = new_session(user, &format!("device {number}"), at(number.into()));
        let new = NewSession { id: id(number), key, identity: identity(&new.device.name), ..new };
        service.store().sign_in(&new, Clock::start(at(number.into()))).await.unwrap().unwrap();
    }
    service.now = at(10);
    service.delete(&format!("{}?reason=lost+phone", one(1)), &admin_token()).await.ok();
    service.delete("/sessions/user/75", &service_token()).await.ok();
    service
}

/// The items, each on a line of its own.
fn lines(items: &[Value]) -> String {
    let mut lines: Vec<_> = items.iter().map(Value::to_string).collect();
    lines.sort();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

#[tokio::test]
async fn the_items_are_written_as_in_the_file() {
    let written = lines(&scan(&story().await.database).await);
    assert_eq!(written, ITEMS, "\n{written}");
}

#[tokio::test]
async fn the_items_of_the_file_are_read() {
    let mut service = Service::start().await;
    let items: Vec<Value> = serde_json::from_str(ITEMS).unwrap();
    let puts: Vec<_> = items.iter().map(|item| json!({"PutRequest": {"Item": item}})).collect();
    let table = BTreeMap::from([(&service.database.table, puts)]);
    proxy::call(&service.database, "BatchWriteItem", &json!({"RequestItems": table})).await;
    service.pass(TimeDelta::seconds(20));

    let live = service.get("/sessions/user/74", &admin_token()).await;
    assert_eq!(live.ids(), [id(3).to_string(), id(2).to_string()]);
    let written = story().await;
    for target in ["/sessions/user/74?include_inactive=true", "/sessions/user/75?include_inactive=true"] {
        let (read, written) =
            (service.get(target, &admin_token()).await, written.get(target, &admin_token()).await);
        assert_eq!(read.ok(), written.ok());
    }
    assert_eq!(service.get("/sessions/current", &named_token("74", "live")).await.id(), id(2).to_string());
    let ended = service.get("/sessions/current", &named_token("74", "ended")).await;
    ended.problem(401, "session_ended");
    let cut_off = token_with("75", json!({"iat": START + 10}));
    service.get("/sessions/my-sessions", &cut_off).await.problem(401, "session_ended");
}
