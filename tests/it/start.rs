//! The cold start: what the function reads before its first request. It also starts when that fails.

use std::time::Duration;

use crate::crash::start;
use crate::support::fault::{Engine, Fault};
use crate::support::key_server::KeyServer;
use crate::support::keys::{self, Signer};
use crate::support::proxy::{Call as Sent, Proxy, Trouble};
use crate::support::tls::Front;
use crate::support::*;
use serde_json::{Value, json};

#[tokio::test]
async fn the_first_list_uses_the_connections_of_the_cold_start() {
    let database = database().await;
    let session = Service::on(database.clone(), &[]).sign_in("1", "pc").await;
    let proxy = Proxy::before(&database).await;
    let mut function = start(&proxy.database, &[]).await;
    function.ready().await.unwrap();
    assert_eq!(proxy.connections(), 2, "the calls of a list are made at the same time");
    assert_eq!(shapes(&proxy), WARM_UP);
    let admin = token_with("1", json!({"role": "admin", "sid": session.id.to_string()}));
    for _ in 0..5 {
        let answer = function.invoke(&Call::of(LIST).token(&admin).event()).await.unwrap();
        let (status, body) = (&answer.body["statusCode"], &answer.body["body"]);
        assert_eq!((status, body), (&Value::from(200), &Value::from("[]")));
        assert_eq!(shapes(&proxy), WARM_UP, "what a list reads, so that all of it is warm");
    }
    assert_eq!(proxy.connections(), 2);
}

const LIST: &str = "GET /sessions/user/{user_id}";

/// The calls of an admin's list, and the index that each reads.
const WARM_UP: [&str; 2] = ["Query \"live\"", "Query \"live\""];

fn shapes(proxy: &Proxy) -> Vec<String> {
    let shape = |call: Sent| format!("{} {}", call.operation, call.body["IndexName"]);
    let mut shapes: Vec<_> = proxy.take().into_iter().map(shape).collect();
    shapes.sort();
    shapes
}

#[tokio::test]
async fn the_function_starts_without_a_database() {
    let mut function = start(&nowhere(), &[]).await;
    function.ready().await.unwrap();
    let answer = function.invoke(&Call::of(LIST).event()).await.unwrap();
    assert_eq!(answer.body["statusCode"], 401);
}

#[tokio::test]
async fn only_a_request_that_needs_the_issuers_keys_waits_for_them() {
    let (database, folder, issuer) = (database().await, Folder::new(), Signer::p256());
    let server = KeyServer::silent().await;
    let (front, trust) = Front::new(server.address.clone(), folder.path()).unwrap();
    let url = format!("https://localhost:{}/keys", front.serve(Duration::ZERO).await.unwrap());
    let roots = trust.all_roots.to_str().unwrap();
    let settings = [&server.settings()[..], &[("JWKS_URL", &*url), ("SSL_CERT_FILE", roots)]].concat();
    let mut function = start(&database, &settings).await;
    server.asked(1).await;
    function.ready().await.unwrap();
    let without = function.invoke(&Call::of(LIST).event()).await.unwrap();
    assert_eq!(without.body["statusCode"], 401, "the issuer has not answered yet");
    server.publish(&[issuer.jwk(json!({"kid": "a"}))]);
    let claims = json!({
        "sub": "1", "role": "admin", "iss": keys::ISSUER, "aud": keys::AUDIENCE, "exp": START,
    });
    let call = Call::of(LIST).token(&issuer.token(Some("a"), &claims.to_string())).event();
    // On a very busy machine the first fetch may have been given up.
    let mut status = json!(503);
    while status == 503 {
        status = function.invoke(&call).await.unwrap().body["statusCode"].clone();
    }
    assert_eq!(status, 200);
}

#[tokio::test]
async fn the_warm_up_ends_at_its_time_limit() {
    let proxy = Proxy::before(&database().await).await;
    proxy.trouble(Trouble { fault: Fault::Stalled(Engine::Unasked), after: 0, lasts: true });
    let mut database = proxy.database.clone();
    database.timeouts.warm_up = Duration::from_millis(50);
    // All other limits of a test are a minute long, so only the limit above can end this.
    Service::on(database, &[]).app.warm_up().await;
}
