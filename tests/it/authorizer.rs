//! The function as the Lambda authorizer of another API: events of the documented formats, and the answers to them.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html>

use crate::support::log::Log;
use crate::support::*;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use sessions::http::{AuthorizerError, Event};

/// The event of a REQUEST authorizer with payload format 2.0, about a request that would end a session here.
fn question(authorization: &str) -> Value {
    json!({
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": "arn:aws:execute-api:eu-central-1:123456789012:abcde12345/$default/DELETE/sessions/logout",
        "identitySource": [authorization],
        "routeKey": "DELETE /sessions/logout",
        "rawPath": "/sessions/logout",
        "rawQueryString": "",
        "headers": {"authorization": authorization, "host": "orders.example.com"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abcde12345",
            "http": {"method": "DELETE", "path": "/sessions/logout", "protocol": "HTTP/1.1", "sourceIp": "198.51.100.7"},
            "requestId": "request-1",
            "routeKey": "DELETE /sessions/logout",
            "stage": "$default",
            "timeEpoch": 0,
        },
    })
}

async fn ask(service: &Service, event: &Value) -> Result<Value, AuthorizerError> {
    let event: Event = serde_json::from_str(&event.to_string()).unwrap();
    let answer = service.app.answer(LambdaEvent::new(event, service.invocation()), service.now).await?;
    Ok(serde_json::to_value(answer).unwrap())
}

async fn ask_about(service: &Service, token: &str) -> Value {
    ask(service, &question(&format!("Bearer {token}"))).await.unwrap()
}

fn denied() -> Value {
    json!({"isAuthorized": false})
}

async fn open(service: &Service, user: &str) -> String {
    service.post(&format!("/sessions/user/{user}"), &service_token(), json!({})).await.id()
}

fn token_of(user: &str, role: Option<&str>, sid: &str) -> String {
    token::token(user, role, Some(sid), START + 1000)
}

#[tokio::test]
async fn the_token_of_a_live_session_is_allowed_until_the_session_ends() {
    let (log, _guard) = Log::start();
    let service = Service::start().await;
    let id = open(&service, "74").await;
    let token = token_of("74", None, &id);
    log.take();
    let context =
        json!({"user_id": "74", "session_id": id, "role": "user", "expires_at": "2040-01-01T00:16:40.000Z"});
    assert_eq!(ask_about(&service, &token).await, json!({"isAuthorized": true, "context": context}));
    let line = log.take().pop().unwrap();
    assert_eq!(
        (&line["caller"], &line["is_authorized"], &line["span"]["request_id"]),
        (&json!("74"), &json!(true), &json!("request-1"))
    );
    // The event says DELETE /sessions/logout, and the session is still there.
    assert_eq!(service.get("/sessions/user/74", &admin_token()).await.ids(), [id.as_str()]);
    service.delete(&format!("/sessions/user/74/session/{id}"), &admin_token()).await.ok();
    assert_eq!(ask_about(&service, &token).await, denied());
}

#[tokio::test]
async fn the_token_that_opened_a_session_is_allowed_and_an_unbound_one_is_not() {
    let mut service = Service::start().await;
    let token = user_token("74");
    assert_eq!(ask_about(&service, &token).await, denied());
    let id = service.post("/sessions/create", &token, json!({})).await.id();
    let allowed = ask_about(&service, &token).await;
    assert_eq!((&allowed["isAuthorized"], &allowed["context"]["session_id"]), (&json!(true), &json!(id)));
    // The session ends before the token does.
    assert_eq!(allowed["context"]["expires_at"], "2040-01-31T00:00:00.000Z");
    // A header or a user agent never stands in for the session of a token.
    let mut event = question(&format!("Bearer {}", token::token("74", None, None, START + 2000)));
    event["headers"]["x-session-id"] = id.into();
    assert_eq!(ask(&service, &event).await.unwrap(), denied());
    service.pass(TimeDelta::hours(720));
    assert_eq!(ask_about(&service, &token).await, denied());
}

#[tokio::test]
async fn the_role_follows_the_setting_role_source() {
    for (source, in_table, in_token, role) in [
        ("token", None, Some("admin"), "admin"),
        ("token", Some("admin"), None, "user"),
        ("table", None, Some("admin"), "user"),
        ("table", Some("admin"), None, "admin"),
    ] {
        let service = Service::with(&[("ROLE_SOURCE", source)]).await;
        let id = open(&service, "74").await;
        if let Some(role) = in_table {
            let update = service.client().update_item().table_name(&service.database.table);
            let update = update.key("user_id", text("74")).key("sk", text("profile"));
            let update =
                update.update_expression("SET #role = :role").expression_attribute_names("#role", "role");
            update.expression_attribute_values(":role", AttributeValue::S(role.into())).send().await.unwrap();
        }
        let allowed = ask_about(&service, &token_of("74", in_token, &id)).await;
        assert_eq!(allowed["context"]["role"], role, "{source} {in_table:?} {in_token:?}");
    }
}

#[tokio::test]
async fn a_service_is_allowed_without_a_session() {
    for settings in [vec![], vec![("ROLE_SOURCE", "table")], vec![("REQUIRE_SID", "true")]] {
        let service = Service::with(&settings).await;
        let token = token::token("backend", Some("service"), None, START + 60);
        let context = json!({
            "user_id": "backend", "session_id": "", "role": "service", "expires_at": "2040-01-01T00:01:00.000Z",
        });
        assert_eq!(ask_about(&service, &token).await, json!({"isAuthorized": true, "context": context}));
    }
}

#[tokio::test]
async fn an_invalid_token_is_denied() {
    let service = Service::start().await;
    let id = open(&service, "74").await;
    let good = token_of("74", None, &id);
    let headers = [
        String::new(),
        "Bearer".into(),
        format!("Basic {good}"),
        good.clone(),
        format!("Bearer {good}x"),
        format!("Bearer {good},Bearer {good}"),
        format!("Bearer {}", token::token("74", None, Some(&id), START)),
        format!("Bearer {}", token_of("75", None, &id)),
    ];
    for header in headers {
        assert_eq!(ask(&service, &question(&header)).await.unwrap(), denied(), "{header}");
    }
    let mut without = question("x");
    without["headers"] = json!({});
    without["identitySource"] = Value::Null;
    assert_eq!(ask(&service, &without).await.unwrap(), denied());
}

#[tokio::test]
async fn a_token_without_sid_is_denied_where_sid_is_required() {
    let service = Service::with(&[("REQUIRE_SID", "true")]).await;
    let token = user_token("74");
    let id = service.post("/sessions/create", &token, json!({})).await.id();
    assert_eq!(ask_about(&service, &token).await, denied());
    assert_eq!(ask_about(&service, &token_of("74", None, &id)).await["isAuthorized"], true);
}

#[tokio::test]
async fn the_only_identity_source_is_the_authorization_header() {
    let service = Service::start().await;
    let id = open(&service, "74").await;
    let header = format!("Bearer {}", token_of("74", None, &id));
    let with = |source: Value| {
        let mut event = question(&header);
        event["identitySource"] = source;
        event
    };
    let mut absent = question(&header);
    absent.as_object_mut().unwrap().remove("identitySource");
    for event in [with(Value::Null), absent] {
        assert_eq!(ask(&service, &event).await.unwrap()["isAuthorized"], true);
    }
    for source in
        [json!([]), json!(["198.51.100.7"]), json!([header, "198.51.100.7"]), json!([header, header])]
    {
        let failed = ask(&service, &with(source.clone())).await;
        assert_eq!(failed, Err(AuthorizerError::OtherIdentitySource), "{source}");
    }
}

#[tokio::test]
async fn events_of_other_authorizers_fail() {
    let service = Service::start().await;
    let id = open(&service, "74").await;
    let header = format!("Bearer {}", token_of("74", None, &id));
    let with = |name: &str, value: Value| {
        let mut event = question(&header);
        event[name] = value;
        event
    };
    let arn = "arn:aws:execute-api:eu-central-1:123456789012:abcde12345/test/GET/request";
    let events = [
        json!({"type": "TOKEN", "authorizationToken": header, "methodArn": arn}),
        json!({"version": "1.0", "type": "REQUEST", "methodArn": arn, "identitySource": header,
            "authorizationToken": header, "headers": {"authorization": header}}),
        json!({"methodArn": arn}),
        with("version", "1.0".into()),
        with("version", Value::Null),
        with("type", "TOKEN".into()),
        with("type", 1.into()),
        with("type", Value::Null),
        with("headers", json!([])),
        with("identitySource", json!(header)),
    ];
    for event in events {
        assert_eq!(ask(&service, &event).await, Err(AuthorizerError::OtherFormat), "{event}");
    }
    assert_eq!(service.get("/sessions/user/74", &admin_token()).await.ids(), [id.as_str()]);
}

#[tokio::test]
async fn what_cannot_be_looked_up_fails_and_is_not_denied() {
    let (log, _guard) = Log::start();
    let down = Service::on(nowhere(), &[]);
    let sid = NEVER;
    let event = question(&format!("Bearer {}", token_of("74", None, sid)));
    assert_eq!(ask(&down, &event).await, Err(AuthorizerError::Failed));
    let line = log.take().into_iter().find(|line| line["level"] == "ERROR").unwrap();
    assert_eq!(line["code"], "store_unavailable");
    let broken = Service::start().await;
    broken.add_broken_session().await;
    assert_eq!(ask(&broken, &event).await, Err(AuthorizerError::Failed));
}
