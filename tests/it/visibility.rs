//! Transactions become visible item by item, and the promises hold at every moment.

mod orders;
mod requests;

use std::pin::pin;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, ConditionCheck, Get, ReturnValuesOnConditionCheckFailure, TransactGetItem,
    TransactWriteItem, Update,
};
use chrono::TimeDelta;
use serde_json::json;

use crate::support::visibility::HalfVisible;
use crate::support::*;

/// The cap.
const CAP: usize = 3;

/// The cap where a user has many sessions.
const MANY: usize = 200;

/// What an item is: `profile`, `session` or `token`.
fn kinds(items: &[String]) -> Vec<&str> {
    items.iter().map(|sk| sk.split('#').next().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_hidden_item_is_shown_as_it_was_and_writes_of_it_wait() {
    let engine = HalfVisible::new().await;
    let mut service = engine.service(&[]);
    let old = service.sign_in("74", "a").await.id.to_string();
    service.pass(TimeDelta::seconds(1));
    let (token, admin) = (device_token("74"), admin_token());
    let mut sign_in =
        pin!(service.post("/sessions/create", &token, json!({"device_fingerprint": "b-device"})));
    engine.hold(0);
    assert!(engine.run_until_held(sign_in.as_mut()).await.is_none());
    assert_eq!(kinds(&engine.held()), ["profile", "session", "token"]);
    let id = engine.held()[1].strip_prefix("session#").unwrap().to_owned();
    let one = format!("/sessions/user/74/session/{id}");

    assert_eq!(service.get("/sessions/user/74", &admin).await.ids(), [old.as_str()]);
    service.get(&one, &admin).await.problem(404, "session_not_found");
    let mut end = pin!(service.delete(&one, &admin));
    assert!(engine.run_until_it_waits(end.as_mut()).await.is_none());
    engine.show(1);
    assert_eq!(service.get("/sessions/user/74", &admin).await.ids(), [id.as_str(), &old]);
    assert_eq!(end.await.ok()["session"]["id"], id);
    let mut end_all = pin!(service.delete("/sessions/user/74", &admin));
    assert!(engine.run_until_it_waits(end_all.as_mut()).await.is_none(), "the profile is hidden");
    engine.release();
    assert_eq!(sign_in.await.status, 201);
    assert_eq!(end_all.await.ok()["revoked"], 1, "what was visible before stays as it was written since");
    assert_eq!(service.get("/sessions/user/74", &admin).await.text, "[]");
}

/// A transaction that writes one item and checks that another is not live.
async fn write_and_check(client: &Client, checked: &str) -> Result<(), Vec<CancellationReason>> {
    let key = |sk: &str| Some([("user_id".to_owned(), text("74")), ("sk".to_owned(), text(sk))].into());
    let update = Update::builder().table_name(engine::TABLE).set_key(key("other"));
    let update = update.update_expression("SET a = :a").expression_attribute_values(":a", text("a"));
    let check = ConditionCheck::builder().table_name(engine::TABLE).set_key(key(checked));
    let check = check.condition_expression("attribute_not_exists(live_sk)");
    let check = check.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    let transaction = client
        .transact_write_items()
        .transact_items(TransactWriteItem::builder().update(update.build().unwrap()).build())
        .transact_items(TransactWriteItem::builder().condition_check(check.build().unwrap()).build());
    match transaction.send().await.map_err(SdkError::into_service_error) {
        Ok(_) => Ok(()),
        Err(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            Err(cancelled.cancellation_reasons.unwrap())
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// A transaction that reads one item: whether it is there, or the code of the refusal.
async fn read(client: &Client, sk: &str) -> Result<bool, String> {
    let get = Get::builder().table_name(engine::TABLE).key("user_id", text("74")).key("sk", text(sk));
    let get = TransactGetItem::builder().get(get.build().unwrap()).build();
    match client.transact_get_items().transact_items(get).send().await {
        Ok(answer) => Ok(answer.responses()[0].item.is_some()),
        Err(error) => Err(error.code().unwrap().to_owned()),
    }
}

fn codes(reasons: &[CancellationReason]) -> Vec<&str> {
    reasons.iter().map(|reason| reason.code().unwrap()).collect()
}

/// The SDK reads the simulated refusals as those of DynamoDB.
#[tokio::test(start_paused = true)]
async fn transactions_that_touch_a_hidden_item_are_cancelled() {
    let engine = HalfVisible::new().await;
    let (mut service, client) = (engine.service(&[]), engine.client());
    let old = format!("session#{}", service.sign_in("74", "a").await.id);
    engine.hold(0);
    let failed = write_and_check(&client, &old).await.unwrap_err();
    assert_eq!(codes(&failed), ["None", "ConditionalCheckFailed"]);
    assert_eq!(failed[1].item().unwrap()["live_sk"], text(&old));
    assert_eq!(engine.held(), [""; 0], "a transaction that fails is never visible");

    let token = device_token("74");
    let mut sign_in =
        pin!(service.post("/sessions/create", &token, json!({"device_fingerprint": "b-device"})));
    assert!(engine.run_until_held(sign_in.as_mut()).await.is_none());
    let new = engine.held()[1].clone();
    let cancelled = write_and_check(&client, &new).await.unwrap_err();
    assert_eq!(codes(&cancelled), ["None", "TransactionConflict"]);
    assert_eq!(read(&client, &new).await, Err("TransactionCanceledException".into()));
    assert_eq!((read(&client, &old).await, read(&client, "absent").await), (Ok(true), Ok(false)));
    assert!(write_and_check(&client, "absent").await.is_ok());
    engine.show(1);
    let failed = write_and_check(&client, &new).await.unwrap_err();
    assert_eq!(codes(&failed), ["None", "ConditionalCheckFailed"]);
    assert_eq!(read(&client, &new).await, Ok(true));
    engine.release();
    assert_eq!(sign_in.await.status, 201);
}
