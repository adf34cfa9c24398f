//! The metrics: what is counted for a request, in the format that CloudWatch reads from the log.

use crate::support::*;
use chrono::TimeDelta;
use serde_json::{Value, json};

/// The counts of the line since the last call, after a look at its form.
fn counts(service: &Service) -> Value {
    let line: Value = serde_json::from_str(&service.flush_metrics().unwrap()).unwrap();
    let mut counts = line.as_object().unwrap().clone();
    let meta = counts.remove("_aws").unwrap();
    assert_eq!(counts.remove("Function"), Some(json!("local")));
    assert_eq!(counts.remove("Version"), Some(json!("$LATEST")));
    assert_eq!(meta["Timestamp"], service.now.timestamp_millis());
    let directive = &meta["CloudWatchMetrics"][0];
    assert_eq!(
        (&directive["Namespace"], &directive["Dimensions"]),
        (&json!("Sessions"), &json!([["Function"]]))
    );
    let names: Vec<_> =
        directive["Metrics"].as_array().unwrap().iter().map(|m| m["Name"].as_str().unwrap()).collect();
    assert_eq!(names, counts.keys().collect::<Vec<_>>());
    counts.into()
}

#[tokio::test]
async fn each_request_writes_one_line_of_counts() {
    let mut service = Service::with(&[("MAX_SESSIONS", "1")]).await;
    let user = user_token("74");
    service.post("/sessions/create", &user, json!({"device_fingerprint": "a"})).await;
    let first = counts(&service);
    assert_eq!(first["SignIns"], 1.0);
    assert!(first["ReadUnits"].as_f64() > Some(0.0) && first["WriteUnits"].as_f64() > Some(0.0), "{first}");

    service.pass(TimeDelta::seconds(1));
    service.post("/sessions/create", &user, json!({"device_fingerprint": "b"})).await;
    let second = counts(&service);
    assert_eq!(second["Ended.evicted"], 1.0);

    service.get("/sessions/user/74?include_inactive=true", &admin_token()).await;
    let list = counts(&service);
    assert_eq!((&list["SessionsListed"], &list["WriteUnits"]), (&json!(2.0), &json!(null)));

    service.delete("/sessions/user/74", &admin_token()).await;
    assert_eq!(counts(&service)["Ended.revoked_by_admin"], 1.0);

    service.get("/sessions/user/74", &user_token("75")).await;
    assert_eq!(counts(&service), json!({"Refused.admin_only": 1.0}));
    service.event(&json!({})).await;
    assert_eq!(counts(&service), json!({"Refused.bad_event": 1.0}));
    assert_eq!(service.flush_metrics(), None);
}

#[tokio::test]
async fn the_read_units_of_a_list_follow_the_live_sessions() {
    let mut service = Service::with(&[("MAX_SESSIONS", "3")]).await;
    let list_units = async |service: &Service| {
        service.flush_metrics();
        service.get("/sessions/user/74", &admin_token()).await.ok();
        counts(service)["ReadUnits"].as_f64().unwrap()
    };
    for device in 0..3 {
        service.sign_in("74", &format!("{device}")).await;
    }
    let before = list_units(&service).await;
    for device in 3..60 {
        service.sign_in("74", &format!("{device}")).await;
    }
    assert_eq!(list_units(&service).await, before);
    assert_eq!(before, 1.0, "3 sessions and a profile are under 4 KB");
    service.flush_metrics();
    service.delete("/sessions/user/74/session/01900000-0000-7000-8000-000000000000", &admin_token()).await;
    let id = service.sign_in("74", "last").await.id;
    service.flush_metrics();
    service.delete(&format!("/sessions/user/74/session/{id}"), &admin_token()).await.ok();
    let end = counts(&service);
    assert_eq!(
        (&end["WriteUnits"], &end["ReadUnits"]),
        (&json!(2.0), &json!(null)),
        "table and index, one each"
    );
}

/// Prints the units of each kind of request, for the arithmetic in README: `cargo test --test it metrics -- --nocapture`.
/// Engines differ in what they charge a transaction for an index, so those are not asserted.
#[tokio::test]
async fn each_kind_of_request_has_a_fixed_cost() {
    let mut service = Service::start().await;
    let user = user_token("74");
    let create = json!({"device_fingerprint": "a"});
    let id = service.post("/sessions/create", &user, create.clone()).await.id();
    let sid = token::token("74", None, Some(&id), START + 9_000_000_000);
    let mut price = async |name: &str, method: &str, target: &str, token: &str, body: &str| {
        service.pass(TimeDelta::hours(1));
        service.flush_metrics();
        let call = Call::new(method, target).token(token).body(body);
        assert!(call.send(&service).await.status < 300, "{name}");
        let counts = counts(&service);
        let units = |name: &str| counts[name].as_f64().unwrap_or_default();
        println!("{name}: {} read, {} write units", units("ReadUnits"), units("WriteUnits"));
        (units("ReadUnits"), units("WriteUnits"))
    };
    let admin = admin_token();
    let one = format!("/sessions/user/74/session/{id}");
    let check = price("check of the current session", "GET", "/sessions/current", &sid, "").await;
    let activity = price("activity, written", "POST", "/sessions/update-activity", &sid, "").await;
    let list = price("an admin's list", "GET", "/sessions/user/74", &admin, "").await;
    price("sign-in, refreshed", "POST", "/sessions/create", &user, &create.to_string()).await;
    price("sign-in, new", "POST", "/sessions/create", &user, "{}").await;
    let end = price("ending one", "DELETE", &one, &admin, "").await;
    price("ending all, one left", "DELETE", "/sessions/user/74", &admin, "").await;
    assert_eq!((check, activity, list, end), ((1.0, 0.0), (1.0, 2.0), (1.0, 0.0), (0.0, 2.0)));
}
