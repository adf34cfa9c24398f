//! A token belongs to at most one session, and dies with it: on every route, and in every interleaving.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::proxy::{Moment, Proxy};
use crate::support::*;

/// What every browser of one existing client sends: the start of a PNG data URL in base64.
const FINGERPRINT: &str = "5b0ff3c4a4d1e86f";

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 \
                      (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1";

/// A new token of user 74, which differs from every other one.
fn new_token(claims: Value) -> String {
    let mut all = json!({"sub": "74", "exp": START + 10_000_000, "jti": fastrand::u64(..).to_string()});
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    token::sign(&json!({"alg": "HS256"}), &all, token::SECRET)
}

fn unbound() -> String {
    new_token(json!({}))
}

async fn create(service: &Service, token: &str) -> Reply {
    create_on(service, token, FIREFOX, FINGERPRINT).await
}

async fn create_on(service: &Service, token: &str, user_agent: &str, fingerprint: &str) -> Reply {
    let body = json!({"device_fingerprint": fingerprint}).to_string();
    let call = Call::new("POST", "/sessions/create").token(token).header("user-agent", user_agent);
    call.body(&body).send(service).await
}

/// Opens a session with an unbound token; returns the token and the session's id.
async fn open(service: &Service, user_agent: &str) -> (String, String) {
    let token = unbound();
    let reply = create_on(service, &token, user_agent, FINGERPRINT).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    (token, reply.body["id"].as_str().unwrap().to_owned())
}

async fn status(service: &Service, method: &str, target: &str, token: &str) -> (u64, Option<String>) {
    let reply = Call::new(method, target).token(token).header("user-agent", FIREFOX).send(service).await;
    (reply.status, reply.body["code"].as_str().map(str::to_owned))
}

/// Asserts that a token of user 74 gets in nowhere. Routes of admins refuse users before they look at the session.
async fn is_out(service: &Service, token: &str) {
    for sample in SAMPLES.iter().filter(|sample| sample.is_for(Role::User)) {
        let call = sample.call(NEVER).token(token).header("user-agent", FIREFOX);
        call.send(service).await.problem(401, "session_ended");
    }
}

async fn live(service: &Service) -> usize {
    service.get("/sessions/user/74", &admin_token()).await.ids().len()
}

/// Every way to end the session `id` of user 74, whose token is `token`.
fn endings(id: &str) -> [(&'static str, String, bool); 5] {
    [
        ("DELETE", format!("/sessions/user/74/session/{id}"), true),
        ("DELETE", "/sessions/user/74".into(), true),
        ("DELETE", format!("/sessions/session/{id}"), false),
        ("DELETE", "/sessions/logout".into(), false),
        ("DELETE", "/sessions/logout-all".into(), false),
    ]
}

#[tokio::test]
async fn a_token_dies_with_the_session_that_it_opened() {
    for number in 0..5 {
        let service = Service::start().await;
        let (token, id) = open(&service, FIREFOX).await;
        let (method, target, by_admin) = endings(&id)[number].clone();
        let ender = if by_admin { admin_token() } else { token.clone() };
        assert_eq!(status(&service, method, &target, &ender).await.0, 200, "{target}");
        is_out(&service, &token).await;
        assert_eq!(live(&service).await, 0, "{target}");
    }
}

#[tokio::test]
async fn a_token_dies_with_an_evicted_and_with_an_expired_session() {
    let mut service = Service::with(&[("MAX_SESSIONS", "1")]).await;
    let (evicted, _) = open(&service, FIREFOX).await;
    let (expired, _) = open(&service, IPHONE).await;
    is_out(&service, &evicted).await;
    service.pass(TimeDelta::hours(720));
    is_out(&service, &expired).await;
}

#[tokio::test]
async fn a_token_with_a_sid_dies_with_the_session_that_it_names() {
    let mut service = Service::start().await;
    let id = service.sign_in("74", "phone").await.id.to_string();
    let token = new_token(json!({"sid": id}));
    assert_eq!(status(&service, "GET", "/sessions/current", &token).await.0, 200);
    service.delete(&format!("/sessions/user/74/session/{id}"), &admin_token()).await.ok();
    is_out(&service, &token).await;
    is_out(&service, &new_token(json!({"sid": "not one of ours"}))).await;
}

#[tokio::test]
async fn an_admin_whose_session_ended_is_out_of_the_admin_routes() {
    let service = Service::start().await;
    let admin = token::sign(
        &json!({"alg": "HS256"}),
        &json!({"sub": "1", "role": "admin", "exp": START + 10_000}),
        token::SECRET,
    );
    create(&service, &admin).await;
    assert_eq!(service.get("/sessions/user/74", &admin).await.text, "[]");
    let other = token::token("2", Some("admin"), None, START + 10_000);
    service.delete("/sessions/user/1", &other).await.ok();
    for (method, target) in [("GET", "/sessions/user/74"), ("DELETE", "/sessions/user/74")] {
        assert_eq!(status(&service, method, target, &admin).await, (401, Some("session_ended".into())));
    }
}

#[tokio::test]
async fn an_ended_token_takes_nothing_over_by_user_agent_header_or_fingerprint() {
    let service = Service::start().await;
    let (ended, id) = open(&service, FIREFOX).await;
    service.delete(&format!("/sessions/user/74/session/{id}"), &admin_token()).await.ok();
    let (_, other) = open(&service, FIREFOX).await;
    let call = |method: &str, target: &str| {
        let call = Call::new(method, target).token(&ended).header("user-agent", FIREFOX);
        call.header("x-session-id", &other)
    };
    for (method, target) in
        [("GET", "/sessions/current"), ("DELETE", "/sessions/logout"), ("POST", "/sessions/create")]
    {
        call(method, target).send(&service).await.problem(401, "session_ended");
    }
    assert_eq!(live(&service).await, 1, "the other session is untouched");
}

#[tokio::test]
async fn after_an_end_all_an_unbound_token_counts_only_if_it_was_issued_later() {
    let mut service = Service::start().await;
    service.pass(TimeDelta::seconds(1_000));
    service.delete("/sessions/user/74", &admin_token()).await.ok();
    let issued = |seconds: i64| new_token(json!({"iat": START + seconds}));
    for seconds in [0, 999, 1_000] {
        is_out(&service, &issued(seconds)).await;
    }
    // A minute covers what this test itself takes until the end-all is written.
    service.pass(TimeDelta::seconds(60));
    assert_eq!(create(&service, &issued(1_060)).await.status, 201);
    assert_eq!(create(&service, &unbound()).await.status, 200, "a token without iat cannot be judged");
}

#[tokio::test]
async fn a_dry_run_and_the_end_of_one_session_cut_no_unbound_token_off() {
    let mut service = Service::start().await;
    let (_, id) = open(&service, FIREFOX).await;
    let token = new_token(json!({"iat": START}));
    service.pass(TimeDelta::seconds(10));
    service.delete("/sessions/user/74?dry_run=true", &admin_token()).await.ok();
    service.delete(&format!("/sessions/user/74/session/{id}"), &admin_token()).await.ok();
    assert_eq!(create(&service, &token).await.status, 201);
}

/// A stolen token may name the victim's session, and a lost phone may have the same user agent.
#[tokio::test]
async fn what_a_client_says_of_itself_keeps_no_session_in() {
    let mut service = Service::start().await;
    let (_, victims) = open(&service, FIREFOX).await;
    let stolen = new_token(json!({"iat": START}));
    service.pass(TimeDelta::seconds(10));
    for header in [None, Some(victims.as_str())] {
        let call = Call::new("DELETE", "/sessions/logout-all?exclude_current=true").token(&stolen);
        let call = call.header("user-agent", FIREFOX);
        let call = match header {
            Some(id) => call.header("x-session-id", id),
            None => call,
        };
        call.send(&service).await.problem(409, "current_session_unknown");
        assert_eq!(live(&service).await, 1, "nothing has ended");
        service.get("/sessions/current", &stolen).await.problem(401, "no_current_session");
    }
}

/// Whoever logs out is out, also with a token that had opened nothing.
#[tokio::test]
async fn a_token_that_logs_out_is_out_with_the_session_that_it_ended() {
    for admin in [false, true] {
        let service = Service::start().await;
        let (opened_with, id) = open(&service, FIREFOX).await;
        let role = if admin { json!({"role": "admin", "iat": START}) } else { json!({"iat": START}) };
        let token = new_token(role);
        let call = Call::new("DELETE", "/sessions/logout").token(&token).header("user-agent", FIREFOX);
        assert_eq!(call.send(&service).await.ok()["session"]["id"], id);
        for token in [&token, &opened_with] {
            is_out(&service, token).await;
        }
        if admin {
            service.get("/sessions/user/75", &token).await.problem(401, "session_ended");
        }
    }
}

#[tokio::test]
async fn two_tabs_that_sign_in_with_one_token_get_one_session() {
    for _ in 0..20 {
        let service = Service::start().await;
        let token = unbound();
        let one = create_on(&service, &token, FIREFOX, "fingerprint of one");
        let (one, two) = tokio::join!(one, create_on(&service, &token, IPHONE, "fingerprint of another"));
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!((statuses, &one.body["id"]), ([200, 201], &two.body["id"]));
        assert_eq!(live(&service).await, 1);
    }
}

/// The list of sessions and the binding of a token are read by two calls, so a sign-in can come between them.
#[tokio::test]
async fn a_sign_in_of_another_tab_between_two_reads_is_found() {
    for turn in [0, 1, 1, 1, 1, 2] {
        let database = database().await;
        let proxy = Proxy::before(&database).await;
        let (service, other) = (Service::on(proxy.database.clone(), &[]), Service::on(database, &[]));
        let token = unbound();
        let mut opened = None;
        let reply = proxy.interleave(Moment::Call(turn), create(&service, &token), async || {
            opened = Some(create(&other, &token).await);
        });
        let reply = reply.await.unwrap();
        assert_eq!(reply.status, 200, "{turn}: {}", reply.text);
        assert_eq!(reply.body["id"], opened.unwrap().body["id"], "{turn}");
        assert_eq!(live(&service).await, 1, "{turn}");
    }
}

#[tokio::test]
async fn a_cut_off_never_moves_back() {
    let mut service = Service::start().await;
    service.pass(TimeDelta::hours(2));
    service.delete("/sessions/user/74", &admin_token()).await.ok();
    let before = new_token(json!({"iat": START + 3_600}));
    // The clock of another process may be behind.
    service.now = at(60);
    service.delete("/sessions/user/74", &admin_token()).await.ok();
    service.pass(TimeDelta::hours(2));
    is_out(&service, &before).await;
}

/// An activity that arrives in time might be written when its session has expired, and others have been told so.
#[tokio::test]
async fn an_activity_that_might_land_after_the_deadline_is_not_written() {
    for (method, target) in [("POST", "/sessions/update-activity"), ("POST", "/sessions/create")] {
        let database = database().await;
        let proxy = Proxy::before(&database).await;
        let settings = [("IDLE_TIMEOUT_HOURS", "1"), ("ACTIVITY_INTERVAL_SECONDS", "1")];
        let mut service = Service::on(proxy.database.clone(), &settings);
        let (token, _) = open(&service, FIREFOX).await;
        proxy.take();
        service.pass(TimeDelta::hours(1) - TimeDelta::from_std(PATIENT.call).unwrap());
        let call = Call::new(method, target).token(&token).header("user-agent", FIREFOX);
        let call = call.body(&json!({"device_fingerprint": FINGERPRINT}).to_string());
        call.send(&service).await.ok();
        assert_eq!(proxy.take_calls().len(), 2, "two reads, and no write");
        service.pass(TimeDelta::from_std(PATIENT.call).unwrap());
        is_out(&service, &token).await;
    }
}

/// A device that signs in again in the last moments of its session gets a new one.
#[tokio::test]
async fn a_refresh_that_might_land_after_the_deadline_opens_a_session() {
    let mut service = Service::with(&[("IDLE_TIMEOUT_HOURS", "1")]).await;
    let (_, id) = open(&service, FIREFOX).await;
    service.pass(TimeDelta::hours(1) - TimeDelta::from_std(PATIENT.call).unwrap());
    let reply = create(&service, &unbound()).await;
    assert_eq!(reply.status, 201);
    assert_ne!(reply.id(), id);
}

#[tokio::test]
async fn a_client_that_is_always_active_cannot_starve_an_end_all() {
    let database = database().await;
    let proxy = Proxy::before(&database).await;
    let service = Service::on(proxy.database.clone(), &[]);
    let mut other = Service::on(database, &[("ACTIVITY_INTERVAL_SECONDS", "0")]);
    let (token, _) = open(&other, FIREFOX).await;
    let admin = admin_token();
    let end_all = service.delete("/sessions/user/74", &admin);
    let reply = proxy.interleave(Moment::Call(3), end_all, async || {
        other.pass(TimeDelta::seconds(1));
        other.post("/sessions/update-activity", &token, json!({})).await.ok();
    });
    assert_eq!(reply.await.unwrap().ok()["revoked"], 1);
    assert_eq!(proxy.take_calls().iter().filter(|call| *call == "TransactWriteItems").count(), 1);
    is_out(&other, &token).await;
}

#[tokio::test]
async fn tokens_without_a_sid_open_a_session_and_nothing_else_where_a_sid_is_required() {
    let service = Service::with(&[("REQUIRE_SID", "true")]).await;
    let token = unbound();
    let id = create(&service, &token).await.body["id"].as_str().unwrap().to_owned();
    let refused = (401, Some("sid_required".to_owned()));
    assert_eq!(status(&service, "GET", "/sessions/current", &token).await, refused);
    assert_eq!(status(&service, "GET", "/sessions/user/75", &admin_token()).await, refused);
    assert_eq!(create(&service, &token).await.status, 200);
    let named = new_token(json!({"sid": id}));
    assert_eq!(status(&service, "GET", "/sessions/current", &named).await.0, 200);
}

#[tokio::test]
async fn the_address_follows_the_device_and_the_address_of_the_sign_in_stays() {
    let mut service = Service::start().await;
    let (token, _) = open(&service, FIREFOX).await;
    service.pass(TimeDelta::hours(1));
    let call = Call::new("POST", "/sessions/update-activity").token(&token);
    let moved = call.with("/requestContext/http/sourceIp", "203.0.113.9".into()).send(&service).await;
    let addresses = (&moved.ok()["ip_address"], &moved.body["signed_in_ip"]);
    assert_eq!(addresses, (&json!("203.0.113.9"), &json!("198.51.100.7")));
}

/// The kinds of tokens that a device may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Holder {
    Sid,
    Bound,
    Unbound,
}

/// A device with a session, and the token that it holds.
async fn device(service: &Service, holder: Holder) -> (String, String) {
    let (opener, id) = open(service, FIREFOX).await;
    let token = match holder {
        Holder::Sid => new_token(json!({"sid": id})),
        Holder::Bound => opener,
        Holder::Unbound => new_token(json!({"iat": START})),
    };
    (token, id)
}

#[tokio::test]
async fn an_ending_wins_at_every_call_of_every_request_of_the_device() {
    let requests: BTreeMap<&str, &str> = [
        ("/sessions/create", "POST"),
        ("/sessions/update-activity", "POST"),
        ("/sessions/logout-all", "DELETE"),
    ]
    .into();
    let mut cases = 0;
    for holder in [Holder::Sid, Holder::Bound, Holder::Unbound] {
        for (target, method) in &requests {
            for ending in [0, 1, 4] {
                for turn in 0.. {
                    let database = database().await;
                    let proxy = Proxy::before(&database).await;
                    let mut service =
                        Service::on(proxy.database.clone(), &[("ACTIVITY_INTERVAL_SECONDS", "0")]);
                    let other = Service::on(database, &[]);
                    let (token, id) = device(&other, holder).await;
                    let (_, end, by_admin) = endings(&id)[ending].clone();
                    let ender = if by_admin { admin_token() } else { new_token(json!({"sid": id})) };
                    service.pass(TimeDelta::seconds(1));
                    let body = json!({"device_fingerprint": FINGERPRINT}).to_string();
                    let mut call = Call::new(method, target).token(&token).header("user-agent", FIREFOX);
                    if *method == "POST" {
                        call = call.body(&body);
                    }
                    let reply = proxy.interleave(Moment::Call(turn), call.send(&service), async || {
                        other.delete(&end, &ender).await.ok();
                    });
                    if reply.await.is_none() {
                        break;
                    }
                    let case = format!("{holder:?} {method} {target} {end} {turn}");
                    check_out(&other, holder, ending, &token, &id, &case).await;
                    cases += 1;
                }
            }
        }
    }
    assert!(cases > 60, "{cases}");
}

/// Asserts that the session is over, and that its tokens are out. An unbound token is cut off by an end-all only.
async fn check_out(service: &Service, holder: Holder, ending: usize, token: &str, id: &str, case: &str) {
    let list = service.get("/sessions/user/74", &admin_token()).await;
    assert!(!list.ids().contains(&id), "{case}");
    let (code, _) = status(service, "GET", "/sessions/current", &new_token(json!({"sid": id}))).await;
    assert_eq!(code, 401, "{case}");
    if holder != Holder::Unbound || ending != 0 {
        assert_eq!(status(service, "GET", "/sessions/current", token).await.0, 401, "{case}");
        assert_eq!(status(service, "POST", "/sessions/create", token).await.0, 401, "{case}");
        assert_eq!(live(service).await, 0, "{case}");
    }
}

#[tokio::test]
async fn an_end_all_ends_whoever_signs_in_at_any_of_its_calls() {
    for turn in 0..8 {
        let database = database().await;
        let proxy = Proxy::before(&database).await;
        let service = Service::on(proxy.database.clone(), &[]);
        let other = Service::on(database, &[]);
        open(&other, FIREFOX).await;
        let racing = new_token(json!({"iat": START}));
        let admin = admin_token();
        let end_all = service.delete("/sessions/user/74", &admin);
        let reply = proxy.interleave(Moment::Call(turn), end_all, async || {
            assert_eq!(create_on(&other, &racing, IPHONE, FINGERPRINT).await.status, 201);
        });
        let Some(reply) = reply.await else {
            assert!(turn >= 3, "the caller's record and binding and the target are read, then it is written");
            return;
        };
        reply.ok();
        is_out(&other, &racing).await;
        assert_eq!(live(&other).await, 0, "{turn}");
    }
}

/// The engines of the tests always read consistently, so the requests themselves must ask for it.
#[tokio::test]
async fn every_read_is_strongly_consistent() {
    let database = database().await;
    let proxy = Proxy::before(&database).await;
    let service = Service::on(proxy.database.clone(), &[("UNKNOWN_USERS", "not_found")]);
    let (token, id) = open(&service, FIREFOX).await;
    service.get("/sessions/current", &token).await.ok();
    service.get(&format!("/sessions/session/{id}"), &token).await.ok();
    service.get("/sessions/user/74?include_inactive=true", &admin_token()).await.ok();
    let calls = proxy.take();
    let reads: Vec<_> =
        calls.iter().filter(|call| ["Query", "GetItem"].contains(&&*call.operation)).collect();
    assert!(reads.len() > 8, "{}", reads.len());
    for call in reads {
        assert_eq!(call.body["ConsistentRead"], true, "{} {}", call.operation, call.body);
    }
}
