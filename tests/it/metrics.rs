//! The metrics: what is counted for a request, in the format that CloudWatch reads from the log.

use std::collections::BTreeSet;
use std::fs;

use crate::support::key_server::KeyServer;
use crate::support::keys::Signer;
use crate::support::*;
use chrono::TimeDelta;
use serde_json::{Value, json};
use serde_norway::Value as Yaml;
use sessions::http::problem::Code;
use sessions::session::{Clock, SignInKey};
use sessions::store::NewSession;

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
    service
        .post("/sessions/create", &device_token("74"), json!({"device_fingerprint": "fingerprint of a"}))
        .await;
    let first = counts(&service);
    assert_eq!(first["SignIns"], 1.0);
    assert!(first["ReadUnits"].as_f64() > Some(0.0) && first["WriteUnits"].as_f64() > Some(0.0), "{first}");

    service.pass(TimeDelta::seconds(1));
    service
        .post("/sessions/create", &device_token("74"), json!({"device_fingerprint": "fingerprint of b"}))
        .await;
    let second = counts(&service);
    assert_eq!(second["Ended.evicted"], 1.0);

    service.get("/sessions/user/74?include_inactive=true", &admin_token()).await;
    let list = counts(&service);
    assert_eq!((&list["SessionsListed"], &list["WriteUnits"]), (&json!(2.0), &json!(null)));

    service.delete("/sessions/user/74", &admin_token()).await;
    assert_eq!(counts(&service)["Ended.revoked_by_admin"], 1.0);

    service.get("/sessions/user/74", &user_token("75")).await;
    assert_eq!(counts(&service), json!({"Refused.admin_only": 1.0, "Rejected": 1.0}));
    service.event(&json!({})).await;
    assert_eq!(counts(&service), json!({"Refused.bad_event": 1.0}));
    assert_eq!(service.flush_metrics(), None);
}

/// The names of the metrics with these dimensions in the line since the last call.
fn names(service: &Service, dimensions: &[&str]) -> Vec<String> {
    let line: Value = serde_json::from_str(&service.flush_metrics().unwrap()).unwrap();
    let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap().clone();
    let mut found = directives.into_iter().filter(|each| each["Dimensions"][0] == json!(dimensions));
    let metrics = found.next().map(|mut each| each["Metrics"].take());
    let name = |metric: &Value| metric["Name"].as_str().unwrap().to_owned();
    metrics.iter().flat_map(|metrics| metrics.as_array().unwrap()).map(name).collect()
}

#[tokio::test]
async fn refusals_that_nobody_gets_while_all_is_well_are_counted_by_function_and_by_version() {
    let mut service = Service::with(&[("REQUIRE_SID", "true")]).await;
    let ended = service.sign_in("74", "phone").await.id.to_string();
    service.delete(&format!("/sessions/user/74/session/{ended}"), &service_token()).await.ok();
    let expired = token::token("74", None, None, START);
    let invalid = token::sign(&json!({"alg": "HS256"}), &json!({"sub": "74"}), &"x".repeat(32));
    let (current, list) = ("/sessions/current", "/sessions/user/74");
    for (target, token, code, is_counted) in [
        (current, session_token("74", &ended), "session_ended", false),
        (current, expired, "token_expired", false),
        (current, "x".into(), "token_malformed", true),
        (current, invalid, "token_invalid", true),
        (current, user_token("74"), "sid_required", true),
        (list, service_token(), "admin_only", true),
        ("/sessions/nowhere", user_token("74"), "route_not_found", false),
    ] {
        for dimensions in [&["Function"][..], &["Function", "Version"]] {
            service.flush_metrics();
            let reply = service.get(target, &token).await;
            assert_eq!(reply.body["code"], code);
            let names = names(&service, dimensions);
            assert_eq!(names.contains(&"Rejected".into()), is_counted, "{code}: {names:?}");
        }
    }
    let broken = Service::start().await;
    broken.add_broken_session().await;
    broken.flush_metrics();
    broken.get(list, &admin_token()).await.problem(500, "internal_error");
    assert_eq!(names(&broken, &["Function", "Version"]), ["ServerErrors"]);
}

#[tokio::test]
async fn tokens_of_the_future_are_counted_whether_they_are_refused_or_not() {
    let service = Service::start().await;
    let future = async |claims: Value, secret: &str| {
        service.flush_metrics();
        let all = json!({"sub": "1", "role": "admin", "exp": START + 10_000});
        let mut all = all.as_object().unwrap().clone();
        all.extend(claims.as_object().unwrap().clone());
        let token = token::sign(&json!({"alg": "HS256"}), &Value::from(all), secret);
        service.get("/sessions/user/74", &token).await;
        let line: Value = serde_json::from_str(&service.flush_metrics().unwrap()).unwrap();
        line["FutureTokens"].as_f64().unwrap_or_default() as u64
    };
    for (claims, count) in [
        (json!({"iat": START + 61}), 1),
        (json!({"nbf": START + 61}), 1),
        (json!({"iat": START + 61, "nbf": START + 61}), 1),
        (json!({"iat": START + 61, "exp": START - 1}), 1),
        (json!({"iat": START + 60, "nbf": START + 60}), 0),
        (json!({"iat": "tomorrow"}), 0),
        (json!({}), 0),
    ] {
        assert_eq!(future(claims.clone(), token::SECRET).await, count, "{claims}");
    }
    assert_eq!(future(json!({"iat": START + 61}), &"x".repeat(32)).await, 0, "anyone can write that");
}

#[tokio::test]
async fn the_read_units_of_a_list_follow_the_live_sessions() {
    let mut service = Service::with(&[("MAX_SESSIONS", "3")]).await;
    let admins = service.sign_in("1", "admin's").await.id.to_string();
    let admin = token_with("1", json!({"role": "admin", "sid": admins}));
    let list_units = async |service: &Service| {
        service.flush_metrics();
        service.get("/sessions/user/74", &admin).await.ok();
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
    assert_eq!(before, 2.0, "3 sessions and a profile are under 4 KB, and so are the admin's items");
    let id = service.sign_in("74", "last").await.id;
    service.flush_metrics();
    service.delete(&format!("/sessions/user/74/session/{id}"), &admin).await.ok();
    let end = counts(&service);
    assert_eq!(
        (&end["WriteUnits"], &end["ReadUnits"]),
        (&json!(3.0), &json!(1.0)),
        "one unit each for the table and its two indexes, and one for the admin's own sessions"
    );
}

/// Engines differ in what they charge a transaction for an index, so transactions are not among these.
#[tokio::test]
async fn each_kind_of_request_has_a_fixed_cost() {
    let mut service = Service::start().await;
    let user = device_token("74");
    let create = json!({"device_fingerprint": "fingerprint of a"}).to_string();
    let body = serde_json::from_str(&create).unwrap();
    let id = service.post("/sessions/create", &user, body).await.id();
    let sid = session_token("74", &id);
    let admin = admin_token();
    let admins = service.sign_in("1", "admin's").await.id.to_string();
    let admin_sid = token_with("1", json!({"role": "admin", "sid": admins}));
    let mut price = async |name: &str, method: &str, target: &str, token: &str, body: &str| {
        service.pass(TimeDelta::hours(1));
        service.flush_metrics();
        let call = Call::new(method, target).token(token).body(body);
        assert!(call.send(&service).await.status < 300, "{name}");
        let counts = counts(&service);
        let units = |name: &str| counts[name].as_f64().unwrap_or_default();
        (units("ReadUnits"), units("WriteUnits"))
    };
    let (one, list) = (format!("/sessions/user/74/session/{id}"), "/sessions/user/74");
    let check = price("check of the current session", "GET", "/sessions/current", &sid, "").await;
    let bound = price("the same without a sid", "GET", "/sessions/current", &user, "").await;
    let activity = price("activity, written", "POST", "/sessions/update-activity", &sid, "").await;
    let again = price("sign-in, again with its token", "POST", "/sessions/create", &user, &create).await;
    let list = (
        price("an admin's list", "GET", list, &admin_sid, "").await,
        price("the same without a sid", "GET", list, &admin, "").await,
    );
    let end = price("ending one", "DELETE", &one, &admin_sid, "").await;
    assert_eq!((check, activity, end), ((1.0, 0.0), (1.0, 3.0), (1.0, 3.0)));
    // Without a sid there is one read more, the token's binding, and two units more while the token has opened nothing.
    assert_eq!((bound, again, list), ((2.0, 0.0), (2.0, 3.0), ((2.0, 0.0), (5.0, 0.0))));
}

/// By AWS's rule a write in a transaction costs two units for each started kilobyte of the item.
#[tokio::test]
async fn the_binding_of_a_token_costs_two_write_units() {
    let mut service = Service::start().await;
    let mut price = async |key: SignInKey| {
        let device = format!("{key:?}");
        service.pass(TimeDelta::seconds(1));
        let new = NewSession { key, ..new_session("74", &device, service.now) };
        service.store().sign_in(&new, Clock::start(service.now)).await.unwrap().unwrap();
        counts(&service)["WriteUnits"].as_f64().unwrap()
    };
    // The first writes the profile, which the others find.
    price(SignInKey::Nothing).await;
    let without = price(SignInKey::Nothing).await;
    let with = price(SignInKey::Token(token_named("74", "a token", None))).await;
    assert_eq!(with - without, 2.0, "{with} and {without}");
}

/// A metric of ours: its name and the names of its dimensions.
type Named = (String, Vec<String>);

fn named(name: &str, dimensions: &[&str]) -> Named {
    (name.to_owned(), dimensions.iter().map(ToString::to_string).collect())
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The metrics that a line of the log describes to CloudWatch.
fn described(line: &str) -> Vec<Named> {
    let line: Value = serde_json::from_str(line).unwrap();
    let directives = line["_aws"]["CloudWatchMetrics"].as_array().cloned().unwrap_or_default();
    let each = directives.into_iter().flat_map(|directive| {
        let dimensions = directive["Dimensions"].clone();
        let metrics = directive["Metrics"].as_array().cloned().unwrap_or_default();
        let names = metrics.into_iter().map(|metric| metric["Name"].as_str().unwrap().to_owned());
        let each = |name: String| {
            dimensions.as_array().unwrap().iter().map(|set| named(&name, &texts(set))).collect::<Vec<_>>()
        };
        names.flat_map(each).collect::<Vec<_>>()
    });
    each.collect()
}

/// The metrics that a process of the function writes when it starts, and when it answers 500.
async fn written_by_the_function() -> BTreeSet<Named> {
    let (service, folder) = (Service::start().await, Folder::new());
    service.add_broken_session().await;
    let log = folder.path().join("log");
    let mut function = crate::crash::start_with_log(&service.database, &log).await;
    let list = Call::of(ROUTES[0]).token(&admin_token()).event();
    assert_eq!(function.invoke(&list).await.unwrap().body["statusCode"], 500);
    // The next request is taken when the line of the last one is written.
    function.invoke(&list).await.unwrap();
    let log = fs::read_to_string(log).unwrap();
    log.lines().flat_map(described).collect()
}

/// The metrics of every sample call, and of every refusal and reason.
async fn written_by_the_routes() -> BTreeSet<Named> {
    let mut service = Service::start().await;
    let mut written = BTreeSet::new();
    for sample in SAMPLES {
        for role in sample.roles {
            let id = service.sign_in("74", sample.route).await.id.to_string();
            let token = if *role == Role::User { session_token("74", &id) } else { sample::token_of(*role) };
            sample.call(&id).token(&token).send(&service).await;
        }
        written.extend(service.flush_metrics().iter().flat_map(|line| described(line)));
    }
    let of_the_future = token_with("74", json!({"iat": service.now.timestamp() + 3_600}));
    service.get("/sessions/my-sessions", &of_the_future).await;
    service.get("/sessions/user/74", &user_token("75")).await.problem(403, "admin_only");
    service.pass(TimeDelta::hours(720));
    service.sign_in("74", "after all others have expired").await;
    written.extend(service.flush_metrics().iter().flat_map(|line| described(line)));
    written.extend(written_about_the_issuer().await);
    written.extend(Code::ALL.iter().map(|code| named(&format!("Refused.{}", code.as_str()), &["Function"])));
    written
}

/// The metrics of tokens whose issuer is ahead of its time, or does not publish its keys.
async fn written_about_the_issuer() -> BTreeSet<Named> {
    let server = KeyServer::start(&[]).await;
    let (ahead, without_keys) = (Service::start().await, Service::with(&server.settings()).await);
    ahead.get("/sessions/current", &token_with("74", json!({"iat": START + 3_600}))).await;
    without_keys.get("/sessions/current", &Signer::p256().token(None, "{}")).await;
    let lines = [ahead.flush_metrics(), without_keys.flush_metrics()];
    lines.iter().flatten().flat_map(|line| described(line)).collect()
}

/// The metrics of ours that alarms ask for.
fn asked_by_alarms(part: &Yaml, asked: &mut BTreeSet<Named>) {
    match part {
        Yaml::Mapping(fields) => {
            if let (Some("Sessions"), Some(name)) = (part["Namespace"].as_str(), part["MetricName"].as_str())
            {
                let dimensions = part["Dimensions"].as_sequence().into_iter().flatten();
                let names: Vec<_> = dimensions.map(|each| each["Name"].as_str().unwrap()).collect();
                asked.insert(named(name, &names));
            }
            fields.values().for_each(|part| asked_by_alarms(part, asked));
        }
        Yaml::Sequence(parts) => parts.iter().for_each(|part| asked_by_alarms(part, asked)),
        _ => {}
    }
}

/// The metrics of ours that the dashboard shows. A dot stands for what the metric before it has in this place.
fn shown_on_the_dashboard(template: &Yaml) -> BTreeSet<Named> {
    let Yaml::Tagged(body) = &template["Resources"]["Dashboard"]["Properties"]["DashboardBody"] else {
        panic!("the dashboard is a !Sub")
    };
    let dashboard: Value = serde_json::from_str(body.value.as_str().unwrap()).unwrap();
    let mut shown = BTreeSet::new();
    for widget in dashboard["widgets"].as_array().unwrap() {
        let mut before: Vec<String> = Vec::new();
        for metric in widget["properties"]["metrics"].as_array().unwrap() {
            let full =
                |(place, text): (usize, &str)| if text == "." { before[place].clone() } else { text.into() };
            let full: Vec<_> = texts(metric).into_iter().enumerate().map(full).collect();
            if full.first().is_some_and(|namespace| namespace == "Sessions") {
                let dimensions: Vec<_> = full[2..].iter().step_by(2).map(String::as_str).collect();
                shown.insert(named(&full[1], &dimensions));
            }
            let search = metric[0]["expression"].as_str().unwrap_or_default();
            let names = search.split('"').filter(|text| text.contains('.') || *text == "SignIns");
            shown.extend(names.map(|name| named(name, &["Function"])));
            before = full;
        }
    }
    shown
}

/// An alarm on a metric that nobody writes would never go off.
#[tokio::test]
async fn alarms_and_dashboard_ask_for_metrics_that_are_written() {
    let mut written = written_by_the_function().await;
    let of_function = [named("ColdStarts", &["Function"]), named("ServerErrors", &["Function", "Version"])];
    assert!(of_function.iter().all(|metric| written.contains(metric)), "{written:?}");
    written.extend(written_by_the_routes().await);
    let template: Yaml = serde_norway::from_str(include_str!("../../template.yaml")).unwrap();
    let mut asked = shown_on_the_dashboard(&template);
    asked_by_alarms(&template, &mut asked);
    assert!(asked.contains(&named("SignIns", &["Function"])), "{asked:?}");
    // The others are written by API Gateway's log and by the check of a deployment.
    asked.retain(|(_, dimensions)| dimensions.first().is_some_and(|first| first == "Function"));
    let never: Vec<_> = asked.difference(&written).collect();
    assert!(never.is_empty(), "nobody writes {never:?}");
}
