//! The cold start: what is read ahead, and that a start does not hang on it.

use std::time::Duration;

use crate::support::fault::{Engine, Fault};
use crate::support::lambda::Runtime;
use crate::support::proxy::{Proxy, Trouble};
use crate::support::*;
use serde_json::Value;

async fn start(database: &Table) -> Runtime {
    let environment = [
        ("TABLE_NAME", database.table.as_str()),
        ("AWS_REGION", &database.region),
        ("AWS_ENDPOINT_URL_DYNAMODB", &database.endpoint),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("JWT_SECRET", token::SECRET),
    ];
    Runtime::start(env!("CARGO_BIN_EXE_sessions"), &environment).await
}

#[tokio::test]
async fn a_start_reads_once_and_the_first_list_over_the_same_connection() {
    let proxy = Proxy::before(&database().await).await;
    let mut function = start(&proxy.database).await;
    function.ready().await.unwrap();
    let calls = proxy.take();
    assert_eq!(calls.iter().map(|call| call.operation.as_str()).collect::<Vec<_>>(), ["Query"]);
    assert_eq!(calls[0].body["IndexName"], "live", "what a list reads, so that all of it is warm");
    let answer = function.invoke(&Call::of(ROUTES[0]).token(&admin_token()).event()).await.unwrap();
    assert_eq!((&answer.body["statusCode"], &answer.body["body"]), (&Value::from(200), &Value::from("[]")));
    assert_eq!(proxy.take_calls(), ["Query"]);
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn a_start_that_can_read_nothing_starts_all_the_same() {
    let mut function = start(&nowhere()).await;
    function.ready().await.unwrap();
    let answer = function.invoke(&Call::of(ROUTES[0]).event()).await.unwrap();
    assert_eq!(answer.body["statusCode"], 401);
}

#[tokio::test]
async fn a_start_waits_for_what_it_reads_no_longer_than_it_may() {
    let proxy = Proxy::before(&database().await).await;
    proxy.trouble(Trouble { fault: Fault::Stalled(Engine::Unasked), after: 0, lasts: true });
    let mut database = proxy.database.clone();
    database.timeouts.warm_up = Duration::from_millis(50);
    // Every other wait of a test is a minute long: that this comes back is what is to be seen.
    Service::on(database, &[]).app.warm_up().await;
    assert_eq!(proxy.take_calls(), ["Query"]);
}
