//! What comes between the read and the write of an operation, call by call; and how many calls there are.

use crate::support::proxy::{Held, Moment, Proxy};
use crate::support::*;
use chrono::TimeDelta;
use serde_json::json;
use sessions::session::{Clock, SessionId, Termination, Timestamp};
use sessions::store::SignedIn;

/// A service behind a proxy, and a second one on the same table without it.
async fn two_services(extra: &[(&str, &str)]) -> (Service, Proxy, Service) {
    let database = database().await;
    let proxy = Proxy::before(&database).await;
    (Service::on(proxy.database.clone(), extra), proxy, Service::on(database, extra))
}

/// Signs user 74 in and has `meanwhile` happen between the read and the write.
async fn sign_in_while(
    (service, proxy): (&Service, &Proxy),
    device: &str,
    now: Timestamp,
    meanwhile: impl AsyncFnOnce(),
) -> SignedIn {
    let new = new_session("74", device, now);
    let sign_in = service.store().sign_in(&new, Clock::start(now));
    let signed_in = proxy.interleave(Moment::First("TransactWriteItems"), sign_in, meanwhile).await;
    signed_in.unwrap().unwrap().unwrap()
}

/// Ends all sessions of user 74 and has `meanwhile` happen between the read and the write.
async fn end_all_while(service: &Service, proxy: &Proxy, meanwhile: impl AsyncFnOnce()) -> Vec<SessionId> {
    let (user, ending) = (user("74"), ended_by("2", at(50)));
    let end_all = end_all(service.store(), &user, None, &ending);
    let ended = proxy.interleave(Moment::First("TransactWriteItems"), end_all, meanwhile).await;
    ended.unwrap().iter().map(|session| session.id).collect()
}

async fn end(service: &Service, id: SessionId) {
    service.store().end(&user("74"), id, &ended_by("1", at(50))).await.unwrap();
}

async fn receipt(service: &Service, id: SessionId) -> Option<Termination> {
    service.store().session(&user("74"), id).await.unwrap().unwrap().terminated
}

async fn live(service: &Service) -> Vec<SessionId> {
    let open = service.store().user_sessions(&user("74")).await.unwrap();
    open.live(service.now, service.store().policy()).map(|session| session.id).collect()
}

#[tokio::test]
async fn end_all_does_not_overwrite_a_receipt_that_was_written_meanwhile() {
    let (service, proxy, mut other) = two_services(&[]).await;
    let (a, b) = (other.sign_in("74", "a").await.id, other.sign_in("74", "b").await.id);
    assert_eq!(end_all_while(&service, &proxy, async || end(&other, a).await).await, [b]);
    assert_eq!(receipt(&other, a).await, Some(ended_by("1", at(50))));
    assert!(live(&other).await.is_empty());
}

#[tokio::test]
async fn end_all_also_ends_a_session_that_was_opened_meanwhile() {
    let (service, proxy, mut other) = two_services(&[]).await;
    other.sign_in("74", "a").await;
    let ended = end_all_while(&service, &proxy, async || drop(other.sign_in("74", "b").await)).await;
    assert_eq!(ended.len(), 2);
    assert!(live(&other).await.is_empty());
}

#[tokio::test]
async fn a_refresh_does_not_revive_a_session_that_ended_meanwhile() {
    let (service, proxy, mut other) = two_services(&[]).await;
    let a = other.sign_in("74", "a").await.id;
    let signed_in = sign_in_while((&service, &proxy), "a", at(40), async || end(&other, a).await).await;
    assert!(!signed_in.refreshed, "the device gets a new session instead");
    assert_eq!(live(&other).await, [signed_in.session.id]);
    assert_eq!(receipt(&other, a).await, Some(ended_by("1", at(50))));
}

#[tokio::test]
async fn a_refresh_does_not_undo_activity_that_was_recorded_meanwhile() {
    let (service, proxy, mut other) = two_services(&[]).await;
    let a = other.sign_in("74", "a").await;
    let signed_in = sign_in_while((&service, &proxy), "a", at(40), async || {
        other
            .store()
            .record_activity(&a, &origin("198.51.100.2"), Clock::start(at(1000)))
            .await
            .unwrap()
            .unwrap();
    })
    .await;
    assert_eq!((signed_in.refreshed, signed_in.session.last_activity), (true, at(1000)));
}

#[tokio::test]
async fn a_session_that_was_opened_meanwhile_counts_for_the_cap() {
    let (service, proxy, mut other) = two_services(&[("MAX_SESSIONS", "1")]).await;
    let signed_in = sign_in_while((&service, &proxy), "b", at(40), async || {
        other.sign_in("74", "a").await;
    })
    .await;
    assert_eq!(signed_in.evicted.len(), 1);
    assert_eq!(live(&other).await, [signed_in.session.id]);
}

#[tokio::test]
async fn an_eviction_does_not_overwrite_a_receipt_that_was_written_meanwhile() {
    let (service, proxy, mut other) = two_services(&[("MAX_SESSIONS", "1")]).await;
    let a = other.sign_in("74", "a").await.id;
    let signed_in = sign_in_while((&service, &proxy), "b", at(40), async || end(&other, a).await).await;
    assert!(signed_in.evicted.is_empty());
    assert_eq!(receipt(&other, a).await, Some(ended_by("1", at(50))));
}

#[tokio::test]
async fn a_session_that_looked_expired_stays_when_activity_was_recorded_meanwhile() {
    let (service, proxy, mut other) = two_services(&[("IDLE_TIMEOUT_HOURS", "1")]).await;
    let a = other.sign_in("74", "a").await;
    // By this function's clock the session has expired; by the other's it was used in time.
    let signed_in = sign_in_while((&service, &proxy), "b", at(3700), async || {
        other
            .store()
            .record_activity(&a, &origin("198.51.100.2"), Clock::start(at(3500)))
            .await
            .unwrap()
            .unwrap();
    })
    .await;
    other.now = at(3700);
    assert_eq!(live(&other).await, [signed_in.session.id, a.id]);
}

#[tokio::test]
async fn activity_does_not_revive_a_session_that_ended_meanwhile() {
    let (mut service, proxy, mut other) = two_services(&[]).await;
    let a = other.sign_in("74", "a").await;
    service.now = at(1000);
    let token = token::token("74", None, Some(&a.id.to_string()), START + 100_000);
    let touch = Call::new("POST", "/sessions/update-activity").token(&token);
    let reply = proxy.interleave(Moment::First("UpdateItem"), touch.send(&service), async || {
        end(&other, a.id).await;
    });
    assert_eq!(reply.await.unwrap().problem(401, "session_ended"), "Session has ended");
    assert!(live(&other).await.is_empty());
}

/// The calls, with the actions of a transaction in its place.
fn take_actions(proxy: &Proxy) -> Vec<String> {
    let actions = |call: crate::support::proxy::Call| match call.body["TransactItems"].as_array() {
        Some(items) => items.iter().flat_map(|item| item.as_object().unwrap().keys().cloned()).collect(),
        None => vec![call.operation],
    };
    proxy.take().into_iter().flat_map(actions).collect()
}

/// The calls since the last time. Some are made at the same time, and come in any order.
fn sorted_calls(proxy: &Proxy) -> Vec<String> {
    let mut calls = proxy.take_calls();
    calls.sort();
    calls
}

#[tokio::test]
async fn each_route_makes_the_calls_it_needs_and_no_more() {
    let (mut service, proxy, _) = two_services(&[]).await;
    service.now = at(0);
    let create = async |service: &Service, device: &str| {
        let body = json!({"device_fingerprint": fingerprint_of(device)});
        service.post("/sessions/create", &device_token("74"), body).await.id()
    };
    let id = create(&service, "a").await;
    let mut actions = take_actions(&proxy);
    // The first two are made at the same time.
    actions[..2].sort();
    assert_eq!(actions, ["GetItem", "Query", "Update", "Put", "Put"]);
    for _ in 0..20 {
        service.pass(TimeDelta::seconds(1));
        create(&service, "b").await;
    }
    proxy.take_calls();
    let (admin, unbound) = (admin_token(), user_token("74"));
    let sid = session_token("74", &id);
    let admins = service.sign_in("1", "admin's").await.id.to_string();
    let admin_sid = token_with("1", json!({"role": "admin", "sid": admins}));
    proxy.take_calls();
    let one = format!("/sessions/user/74/session/{id}");
    let own = format!("/sessions/session/{id}");
    // A token with a sid costs one query for every caller. A token without costs one more read, of its binding. One that has
    // opened nothing is asked about once more.
    let cases: [(&str, &str, &str, &[&str]); 24] = [
        ("GET", "/sessions/user/74", &admin, &["GetItem", "Query", "Query", "TransactGetItems"]),
        (
            "GET",
            "/sessions/user/74?include_inactive=true",
            &admin,
            &["GetItem", "Query", "Query", "TransactGetItems"],
        ),
        ("GET", "/sessions/user/74", &admin_sid, &["Query", "Query"]),
        ("GET", "/sessions/current", &sid, &["Query"]),
        ("GET", "/sessions/my-sessions", &sid, &["Query"]),
        ("GET", "/sessions/active-devices-count", &sid, &["Query"]),
        ("POST", "/sessions/update-activity", &sid, &["Query"]),
        ("GET", &own, &sid, &["GetItem", "Query"]),
        ("GET", "/sessions/current", &unbound, &["GetItem", "Query", "TransactGetItems"]),
        ("GET", "/sessions/my-sessions", &unbound, &["GetItem", "Query", "TransactGetItems"]),
        ("GET", &own, &unbound, &["GetItem", "GetItem", "Query", "TransactGetItems"]),
        // The session that the token names was active just now, so that nothing is written.
        ("POST", "/sessions/create", &sid, &["Query"]),
        ("DELETE", "/sessions/logout-all?exclude_current=true", &sid, &["Query", "TransactWriteItems"]),
        // There is nothing left to end, but tokens may be out that have opened nothing yet.
        ("DELETE", "/sessions/logout-all?exclude_current=true", &sid, &["Query", "TransactWriteItems"]),
        ("POST", "/sessions/create", &unbound, &["GetItem", "Query", "TransactWriteItems"]),
        ("POST", "/sessions/create", &unbound, &["GetItem", "Query"]),
        (
            "DELETE",
            "/sessions/user/74?dry_run=true",
            &admin,
            &["GetItem", "Query", "Query", "TransactGetItems"],
        ),
        ("DELETE", &one, &admin, &["GetItem", "Query", "TransactGetItems", "UpdateItem"]),
        ("DELETE", &one, &admin_sid, &["Query", "UpdateItem"]),
        (
            "DELETE",
            "/sessions/user/74",
            &admin,
            &["GetItem", "Query", "Query", "TransactGetItems", "TransactWriteItems"],
        ),
        ("DELETE", "/sessions/user/74", &admin_sid, &["Query", "Query", "TransactWriteItems"]),
        // The session that the binding names is not among the live ones any more, so that it is read itself.
        ("DELETE", "/sessions/logout", &unbound, &["GetItem", "Query", "TransactGetItems"]),
        ("DELETE", "/sessions/logout", &sid, &["Query"]),
        ("DELETE", "/sessions/logout", &device_token("74"), &["GetItem", "Query", "TransactGetItems"]),
    ];
    for (method, target, token, expected) in cases {
        Call::new(method, target).token(token).send(&service).await;
        assert_eq!(sorted_calls(&proxy), expected, "{method} {target}");
    }
}

#[tokio::test]
async fn end_all_reads_once_when_unknown_users_are_not_found() {
    let (service, proxy, mut other) = two_services(&[("UNKNOWN_USERS", "not_found")]).await;
    other.sign_in("74", "a").await;
    service.delete("/sessions/user/74", &admin_token()).await.ok();
    assert_eq!(sorted_calls(&proxy), ["GetItem", "Query", "Query", "TransactGetItems", "TransactWriteItems"]);
    service.delete("/sessions/user/75", &admin_token()).await.problem(404, "user_not_found");
    assert_eq!(sorted_calls(&proxy), ["GetItem", "Query", "Query", "TransactGetItems"]);
}

#[tokio::test]
async fn the_caller_and_the_target_are_read_at_the_same_time() {
    let (service, proxy, mut other) = two_services(&[]).await;
    let sid = other.sign_in("1", "admin's").await.id.to_string();
    let with_sid = token_with("1", json!({"role": "admin", "sid": sid}));
    // A token without a sid that has opened nothing is asked about once more.
    let tokens: [(&str, &[&str], usize); 2] =
        [(&with_sid, &["Query", "Query"], 0), (&admin_token(), &["GetItem", "Query", "Query"], 1)];
    for (token, reads, again) in tokens {
        for (method, writes) in [("GET", 0), ("DELETE", 1)] {
            // One after the other, the second read would wait for the first to be let go, until the call's time is up.
            let send = Call::new(method, "/sessions/user/74").token(token).send(&service);
            let reply = proxy.together(reads.len(), send).await;
            reply.ok();
            let mut calls = proxy.take_calls();
            assert_eq!(calls.split_off(reads.len()).len(), again + writes);
            calls.sort();
            assert_eq!(calls, reads);
        }
    }
}

#[tokio::test]
async fn nothing_is_read_when_the_token_refuses_the_caller() {
    let (service, proxy, _) = two_services(&[("UNKNOWN_USERS", "not_found")]).await;
    for target in ["/sessions/user/75", "/sessions/user/75?include_inactive=true"] {
        service.get(target, &user_token("74")).await.problem(403, "admin_only");
        service.delete(target, &user_token("74")).await.problem(403, "admin_only");
        service.get(target, "no token").await.problem(401, "token_malformed");
    }
    assert_eq!(proxy.take_calls(), [""; 0]);
}

#[tokio::test]
async fn a_refused_caller_does_not_learn_whether_a_user_is_known() {
    let settings = [("UNKNOWN_USERS", "not_found"), ("ROLE_SOURCE", "table")];
    let (service, _, mut other) = two_services(&settings).await;
    other.sign_in("75", "phone").await;
    let known = service.get("/sessions/user/75", &user_token("74")).await;
    let unknown = service.get("/sessions/user/76", &user_token("74")).await;
    known.problem(403, "admin_only");
    assert_eq!(known.text, unknown.text);
}

#[tokio::test]
async fn an_ending_waits_while_a_transaction_holds_the_session() {
    let (mut service, proxy, mut other) = two_services(&[]).await;
    let id = other.sign_in("74", "a").await.id;
    service.now = other.now;
    let call = Call::new("DELETE", &format!("/sessions/user/74/session/{id}")).token(&admin_token());
    let mut refused = 0;
    let answer = async |held: Held| match held.operation.as_str() {
        "UpdateItem" if refused < 3 => {
            refused += 1;
            held.refuse("TransactionConflictException", json!({}));
        }
        _ => held.release(),
    };
    let reply = proxy.answering(call.send(&service), answer).await;
    assert_eq!(reply.ok()["session"]["end_reason"], "revoked_by_admin");
    let calls = proxy.take_calls();
    assert_eq!(calls.iter().filter(|call| *call == "UpdateItem").count(), 4);
}
