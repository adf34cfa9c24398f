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
    let admin = admin_token();
    // Every route, where it has something to do and where it has not, under every setting that adds a call.
    for settings in
        [vec![], vec![("UNKNOWN_USERS", "not_found")], vec![("ROLE_SOURCE", "table"), ("MAX_SESSIONS", "1")]]
    {
        let mut service = Service::on(proxy.database.clone(), &settings);
        service.post("/sessions/create", &device_token("74"), json!({"device_fingerprint": "a"})).await;
        service.pass(TimeDelta::hours(1));
        let created =
            service.post("/sessions/create", &device_token("74"), json!({"device_fingerprint": "b"})).await;
        let own = created.id();
        let user = token::token("74", None, Some(&own), START + 100_000);
        service.pass(TimeDelta::hours(1));
        service.post("/sessions/update-activity", &user, json!({})).await;
        for target in ["current", "my-sessions", "my-sessions?include_inactive=true", "active-devices-count"]
        {
            service.get(&format!("/sessions/{target}"), &user).await;
        }
        service.get(&format!("/sessions/session/{own}"), &user).await;
        for query in ["", "?include_inactive=true"] {
            service.get(&format!("/sessions/user/74{query}"), &admin).await;
        }
        for target in [
            "/sessions/user/74?dry_run=true",
            "/sessions/user/75/session/01900000-0000-7000-8000-000000000000",
        ] {
            service.delete(target, &admin).await;
        }
        let back_end = service_token();
        let signed_in = Call::of("POST /sessions/user/{user_id}")
            .token(&back_end)
            .header("idempotency-key", &format!("{settings:?}"));
        let opened = signed_in.body("{}").send(&service).await.id();
        service.pass(TimeDelta::hours(1));
        service.post(&format!("/sessions/user/74/session/{opened}/activity"), &back_end, json!({})).await;
        service.get(&format!("/sessions/user/74/session/{opened}"), &admin).await;
        service.get("/sessions/summary?user_id=74&user_id=75", &admin).await;
        service.get("/sessions?browser=firefox", &admin).await.ok();
        service.post("/sessions/end", &admin, json!({"user_ids": [75]})).await;
        // The newest session ends alone, so that the next end-all checks that it has.
        service.delete(&format!("/sessions/user/74/session/{opened}"), &admin).await;
        service.delete("/sessions/logout-all?exclude_current=true", &user).await;
        service.delete(&format!("/sessions/session/{own}"), &user).await;
        service.delete("/sessions/logout", &user).await;
        service.delete(&format!("/sessions/user/74/session/{own}"), &admin).await;
        service.delete("/sessions/user/74", &admin).await;
    }
    let needed: BTreeSet<_> = proxy.take().iter().flat_map(needed).collect();
    assert_eq!(needed, given());
}
