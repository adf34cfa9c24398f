//! Which route an event is for: API Gateway's route decides where it is one of ours, and else the path within the stage.

use serde_json::{Value, json};

use crate::support::{Call, Service, admin_token, user_token};

/// The event of a list of this user: the key of the matched route, the stage and the path as API Gateway delivers them.
fn list(route_key: &str, stage: &str, raw_path: &str, parameters: Value) -> Call {
    Call::new("GET", raw_path)
        .with("/routeKey", json!(route_key))
        .with("/requestContext/routeKey", json!(route_key))
        .with("/requestContext/stage", json!(stage))
        .with("/pathParameters", parameters)
}

const LIST: &str = "GET /sessions/user/{user_id}";

#[tokio::test]
async fn a_request_finds_its_route_behind_every_stage_and_base_path() {
    let mut service = Service::start().await;
    for user in ["74", "prod", "a+b"] {
        service.sign_in(user, "phone").await;
    }
    let id = |user: &str| json!({ "user_id": user });
    let cases = [
        ("74", list(LIST, "$default", "/sessions/user/74", id("74"))),
        ("74", list(LIST, "prod", "/prod/sessions/user/74", id("74"))),
        ("74", list(LIST, "$default", "/auth/sessions/user/74", id("74"))),
        ("74", list(LIST, "prod", "/v1/auth/sessions/user/74", id("74"))),
        ("74", list(LIST, "sessions", "/sessions/sessions/user/74", id("74"))),
        ("prod", list(LIST, "prod", "/prod/sessions/user/prod", id("prod"))),
        ("a+b", list(LIST, "prod", "/prod/sessions/user/a+b", id("a+b"))),
        ("74", list("$default", "$default", "/sessions/user/74", json!({}))),
        ("74", list("$default", "prod", "/prod/sessions/user/74", json!({}))),
        ("prod", list("$default", "prod", "/prod/sessions/user/prod", json!({}))),
        ("74", list("$default", "sessions", "/sessions/sessions/user/74", json!({}))),
        ("a+b", list("$default", "prod", "/prod/sessions/user/a%2Bb", json!({}))),
        ("a+b", list("$default", "$default", "/sessions/user/a%2Bb", json!({}))),
        // A path without the stage, which is not ours to guess at, is the path.
        ("74", list("$default", "sessions", "/sessions/user/74", json!({}))),
        // A greedy route of the API: its parameters are not ours, and its path is decoded.
        (
            "a+b",
            list("ANY /{proxy+}", "$default", "/sessions/user/a+b", json!({"proxy": "sessions/user/a+b"})),
        ),
        ("74", list("GET /sessions/user/{id}", "prod", "/prod/sessions/user/74", json!({"id": "74"}))),
        // A route that is ours, without its parameter, decides nothing.
        ("74", list(LIST, "$default", "/sessions/user/74", json!({}))),
    ];
    for (user, call) in cases {
        let event = call.event();
        let reply = service.event(&with_token(&event, &admin_token())).await;
        let owner = &reply.ok()[0]["user_id"];
        assert_eq!(owner.as_str().map_or(owner.to_string(), str::to_owned), user, "{event}");
    }
}

fn with_token(event: &Value, token: &str) -> Value {
    let mut event = event.clone();
    event["headers"]["authorization"] = format!("Bearer {token}").into();
    event
}

#[tokio::test]
async fn a_path_outside_the_stage_has_no_route() {
    let service = Service::start().await;
    for (stage, path) in [
        ("prod", "/dev/sessions/user/74"),
        ("prod", "/production/sessions/user/74"),
        ("prod", "/prod/prod/sessions/user/74"),
        ("$default", "/prod/sessions/user/74"),
        ("$default", "/$default/sessions/user/74"),
    ] {
        let call = list("$default", stage, path, json!({})).token(&admin_token());
        call.send(&service).await.problem(404, "route_not_found");
    }
    let call = list("$default", "prod", "/prod/sessions/logout", json!({})).token(&user_token("74"));
    call.send(&service).await.problem(405, "method_not_allowed");
}

#[tokio::test]
async fn the_route_decides_and_not_the_path() {
    let mut service = Service::start().await;
    service.sign_in("74", "phone").await;
    // API Gateway would not deliver such an event. What counts is what its own authorization rules were applied to.
    let call = list(LIST, "$default", "/sessions/user/75", json!({"user_id": "74"})).token(&admin_token());
    assert_eq!(call.send(&service).await.ok()[0]["user_id"], 74);
}

#[tokio::test]
async fn the_link_to_the_next_page_keeps_the_clients_prefix() {
    let mut service = Service::start().await;
    for device in ["phone", "tablet"] {
        service.sign_in("74", device).await;
    }
    let own = "GET /sessions/my-sessions";
    for (route_key, stage, path, prefix) in [
        (LIST, "$default", "/sessions/user/74", ""),
        (LIST, "prod", "/prod/sessions/user/74", "/prod"),
        (LIST, "$default", "/v1/auth/sessions/user/74", "/v1/auth"),
        (LIST, "sessions", "/sessions/sessions/user/74", "/sessions"),
        ("$default", "prod", "/prod/sessions/user/74", "/prod"),
        (own, "prod", "/prod/sessions/my-sessions", "/prod"),
        (own, "$default", "/auth/sessions/my-sessions", "/auth"),
    ] {
        let token = if route_key == own { user_token("74") } else { admin_token() };
        let call =
            list(route_key, stage, path, json!({"user_id": "74"})).with("/rawQueryString", json!("limit=1"));
        let reply = call.token(&token).send(&service).await;
        reply.ok();
        let rest = path.strip_prefix(prefix).unwrap();
        let expected = format!("<{prefix}{rest}?include_inactive=false&limit=1&cursor=");
        assert!(reply.headers["link"].starts_with(&expected), "{} {expected}", reply.headers["link"]);
    }
}

#[tokio::test]
async fn an_event_of_a_rest_api_learns_which_integration_is_needed() {
    let service = Service::start().await;
    let event = json!({
        "version": "1.0", "resource": "/sessions/logout", "path": "/sessions/logout", "httpMethod": "DELETE",
        "headers": {"authorization": format!("Bearer {}", user_token("74"))},
        "requestContext": {"httpMethod": "DELETE", "path": "/prod/sessions/logout", "stage": "prod", "requestId": "1"},
        "body": null, "isBase64Encoded": false,
    });
    let mut without_version = event.clone();
    without_version.as_object_mut().unwrap().remove("version");
    for event in [event, without_version] {
        let reply = service.event(&event).await;
        let detail = reply.problem(400, "bad_event");
        assert!(detail.contains("HTTP API") && detail.contains("format 2.0"), "{detail}");
    }
}

#[tokio::test]
async fn cargo_lambda_watch_names_the_method_twice() {
    let service = Service::start().await;
    let call = list("$default", "$default", "/sessions/user/74", json!({})).with("/httpMethod", json!("GET"));
    call.token(&admin_token()).send(&service).await.ok();
}
