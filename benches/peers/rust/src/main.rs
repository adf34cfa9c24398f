//! The admin's list of live sessions in Rust, as `cargo lambda new` and the SDK's examples put it.

use std::collections::HashMap;
use std::env;

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, SecondsFormat, Utc};
use jsonwebtoken::{DecodingKey, Validation, decode};
use lambda_http::{Body, Error, Request, RequestExt, Response, run, service_fn};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let (client, table, secret) = (Client::new(&config), env::var("TABLE_NAME")?, env::var("JWT_SECRET")?);
    run(service_fn(|event| handle(&client, &table, &secret, event))).await
}

async fn handle(client: &Client, table: &str, secret: &str, event: Request) -> Result<Response<Body>, Error> {
    let header = event.headers().get("authorization").and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let key = DecodingKey::from_secret(secret.as_bytes());
    let Ok(token) = decode::<Value>(token, &key, &Validation::default()) else {
        return respond(401, &json!({"detail": "The token is not valid"}));
    };
    if token.claims["role"] != "admin" {
        return respond(403, &json!({"detail": "Only admins can view other users' sessions"}));
    }
    match event.path_parameters().first("user_id") {
        Some(user) => respond(200, &live_sessions(client, table, user).await?),
        None => respond(404, &json!({"detail": "There is no such route"})),
    }
}

fn respond(status: u16, body: &Value) -> Result<Response<Body>, Error> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    Ok(response.body(body.to_string().into())?)
}

async fn live_sessions(client: &Client, table: &str, user: &str) -> Result<Value, Error> {
    let query = client.query().table_name(table).index_name("live").consistent_read(true);
    let query = query.key_condition_expression("user_id = :user").scan_index_forward(false);
    let page = query.expression_attribute_values(":user", AttributeValue::S(user.into())).send().await?;
    let now = Utc::now().timestamp_millis();
    let live = |item: &&HashMap<_, _>| text(item, "sk") != "profile" && now < number(item, "expires_at");
    Ok(page.items().iter().filter(live).map(session).collect())
}

fn session(item: &HashMap<String, AttributeValue>) -> Value {
    json!({
        "id": text(item, "sk").trim_start_matches("session#"),
        "user_id": text(item, "user_id").parse::<i64>().ok(),
        "device_name": text(item, "device_name"),
        "device_type": text(item, "device_type"),
        "browser": text(item, "browser"),
        "os": text(item, "os"),
        "ip_address": text(item, "ip_address"),
        "signed_in_ip": text(item, "signed_in_ip"),
        "created_at": rfc3339(number(item, "created_at")),
        "last_activity": rfc3339(number(item, "last_activity")),
        "expires_at": rfc3339(number(item, "expires_at")),
        "is_active": true,
    })
}

fn text<'i>(item: &'i HashMap<String, AttributeValue>, name: &str) -> &'i str {
    item.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// The table keeps times as milliseconds since 1970.
fn number(item: &HashMap<String, AttributeValue>, name: &str) -> i64 {
    item.get(name).and_then(|value| value.as_n().ok()?.parse().ok()).unwrap_or_default()
}

fn rfc3339(millis: i64) -> String {
    DateTime::from_timestamp_millis(millis).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}
