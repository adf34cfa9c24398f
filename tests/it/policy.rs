//! Least privilege: the function makes exactly the calls that its role allows.

use std::collections::BTreeSet;

use crate::support::proxy::{Call as Sent, Proxy};
use crate::support::*;
use chrono::TimeDelta;
use serde_json::{Value, json};
use serde_norway::Value as Yaml;

/// An action and its resource: `table`, `index/live` or `index/everyone`.
type Right = (String, String);

fn right(action: &str, resource: &str) -> Right {
    (format!("dynamodb:{action}"), resource.to_owned())
}

/// The rights that a call needs. Those of a transaction are those of its actions:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html>
fn needed(call: &Sent) -> Vec<Right> {
    match (call.operation.as_str(), &call.body["IndexName"]) {
        ("TransactWriteItems" | "TransactGetItems", _) => {
            let actions = call.body["TransactItems"].as_array().unwrap().iter();
            let kinds = actions.flat_map(|action| action.as_object().unwrap().keys());
            kinds.map(|kind| right(action_of(kind), "table")).collect()
        }
        (operation, Value::String(index)) => vec![right(operation, &format!("index/{index}"))],
        (operation, _) => vec![right(operation, "table")],
    }
}

fn action_of(kind: &str) -> &'static str {
    match kind {
        "ConditionCheck" => "ConditionCheckItem",
        "Get" => "GetItem",
        "Put" => "PutItem",
        "Update" => "UpdateItem",
        "Delete" => "DeleteItem",
        other => panic!("{other}"),
    }
}

/// The rights that the template gives.
fn given() -> BTreeSet<Right> {
    let template: Yaml = serde_norway::from_str(include_str!("../../template.yaml")).unwrap();
    let role = &template["Resources"]["FunctionRole"]["Properties"]["Policies"][0]["PolicyDocument"];
    let statements = role["Statement"].as_sequence().unwrap();
    statements.iter().flat_map(rights_of).collect()
}

fn rights_of(statement: &Yaml) -> Vec<Right> {
    let actions: Vec<&str> = match &statement["Action"] {
        Yaml::String(action) => vec![action],
        actions => {
            actions.as_sequence().into_iter().flatten().map(|action| action.as_str().unwrap()).collect()
        }
    };
    assert!(actions.iter().all(|action| !action.contains('*')), "{actions:?}");
    let resources = match &statement["Resource"] {
        Yaml::Sequence(resources) => resources.iter().collect(),
        resource => vec![resource],
    };
    let resources = resources.into_iter().filter_map(|resource| resource_of(resource, &actions));
    resources
        .flat_map(|resource| actions.iter().map(move |action| (action.to_string(), resource.into())))
        .collect()
}

fn resource_of(resource: &Yaml, actions: &[&str]) -> Option<&'static str> {
    let Yaml::Tagged(tagged) = resource else {
        let traced = actions.iter().all(|action| action.starts_with("xray:"));
        assert!(traced, "{resource:?} for {actions:?}");
        return None;
    };
    match tagged.value.as_str()? {
        "SessionTable.Arn" => Some("table"),
        "${SessionTable.Arn}/index/live" => Some("index/live"),
        "${SessionTable.Arn}/index/everyone" => Some("index/everyone"),
        _ => None,
    }
}

#[tokio::test]
async fn the_role_allows_exactly_the_calls_that_are_made() {
    let database = database().await;
    let proxy = Proxy::before(&database).await;
    // Every route, where it has something to do and where it has not, under every setting that adds a call.
    let settings =
        [vec![], vec![("UNKNOWN_USERS", "not_found")], vec![("ROLE_SOURCE", "table"), ("MAX_SESSIONS", "1")]];
    for settings in settings {
        let mut service = Service::on(proxy.database.clone(), &settings);
        for (sample, role) in
            SAMPLES.iter().flat_map(|sample| sample.roles.iter().map(move |role| (sample, role)))
        {
            service.sign_in("74", "first").await;
            let id = service.sign_in("74", sample.route).await.id.to_string();
            service.pass(TimeDelta::hours(1));
            let token = if *role == Role::User { session_token("74", &id) } else { sample::token_of(*role) };
            for session in [&*id, NEVER] {
                let call = sample
                    .call(session)
                    .token(&token)
                    .header("idempotency-key", &format!("key of {settings:?}"));
                call.send(&service).await;
                service.store().unlock(&user("74"), &user("1"), service.now).await.unwrap();
            }
        }
        // The newest session ends alone, so that the next end-all checks that it has.
        let newest = service.sign_in("74", "newest").await.id.to_string();
        service.delete(&format!("/sessions/user/74/session/{newest}"), &admin_token()).await;
        for target in ["/sessions/user/74?dry_run=true", "/sessions/user/74"] {
            service.delete(target, &admin_token()).await;
        }
        let lists = ["/sessions/user/74?include_inactive=true", "/sessions/user/75"];
        for target in lists {
            service.get(target, &admin_token()).await;
        }
        let token = device_token("74");
        let kept = service.post("/sessions/create", &token, json!({})).await.id();
        service.get("/sessions/my-sessions?include_inactive=true", &token).await;
        service.delete("/sessions/logout-all?exclude_current=true", &session_token("74", &kept)).await;
        Call::of("DELETE /sessions/logout")
            .token(&device_token("74"))
            .header("x-session-id", &kept)
            .send(&service)
            .await;
    }
    let needed: BTreeSet<_> = proxy.take().iter().flat_map(needed).collect();
    assert_eq!(needed, given());
}
