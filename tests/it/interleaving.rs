//! What comes between the read and the write of an operation, call by call; and how many calls there are.

use crate::support::proxy::Proxy;
use crate::support::*;
use chrono::TimeDelta;
use serde_json::json;
use sessions::session::{EndReason, Note, SessionId, Termination};

fn ending(by: &str) -> Termination {
    Termination {
        at: at(50),
        by: Some(user(by)),
        reason: EndReason::RevokedByAdmin,
        note: Note::parse(by).unwrap(),
    }
}

/// A service that reaches its engine through a proxy, and one that acts behind its back.
async fn two_services(extra: &[(&str, &str)]) -> (Service, Proxy, Service) {
    let database = database().await;
    let proxy = Proxy::before(&database).await;
    (Service::on(proxy.database.clone(), extra), proxy, Service::on(database, extra))
}

/// Runs `operation` and, before its first call of this name goes through, `meanwhile`.
async fn with_meanwhile<T>(
    proxy: &Proxy,
    call: &str,
    operation: impl Future<Output = T>,
    meanwhile: impl AsyncFnOnce(),
) -> T {
    let mut held = proxy.hold();
    let act = async {
        loop {
            let next = held.recv().await.unwrap();
            if next.operation == call {
                meanwhile().await;
                proxy.let_go();
                return next.release();
            }
            next.release();
        }
    };
    tokio::join!(operation, act).0
}

async fn live(service: &Service) -> Vec<SessionId> {
    let open = service.store().user_sessions(&user("74")).await.unwrap();
    open.live(service.now, service.store().policy()).map(|session| session.id).collect()
}

#[tokio::test]
async fn end_all_does_not_write_over_a_receipt_that_came_meanwhile() {
    let (service, proxy, mut other) = two_services(&[]).await;
    let (a, b) = (other.sign_in("74", "a").await, other.sign_in("74", "b").await);
    let admin = ending("2");
    let end_all = service.store().end_all(&a.user_id, None, None, &admin);
    let ended = with_meanwhile(&proxy, "TransactWriteItems", end_all, async || {
        other.store().end(&a.user_id, a.id, &ending("1")).await.unwrap();
    })
    .await;
    assert_eq!(ended.unwrap().iter().map(|session| session.id).collect::<Vec<_>>(), [b.id]);
    let kept = other.store().session(&a.user_id, a.id).await.unwrap().unwrap();
    assert_eq!(kept.terminated, Some(ending("1")));
    assert!(live(&other).await.is_empty());
}

#[tokio::test]
async fn end_all_ends_a_sign_in_that_came_meanwhile() {
    let (service, proxy, mut other) = two_services(&[]).await;
    let a = other.sign_in("74", "a").await;
    let admin = ending("1");
    let end_all = service.store().end_all(&a.user_id, None, None, &admin);
    let ended = with_meanwhile(&proxy, "TransactWriteItems", end_all, async || {
        other.sign_in("74", "b").await;
    })
    .await;
    assert_eq!(ended.unwrap().len(), 2);
    assert!(live(&other).await.is_empty());
}

#[tokio::test]
async fn a_refresh_does_not_revive_a_session_that_ended_meanwhile() {
    let (service, proxy, mut other) = two_services(&[]).await;
    let a = other.sign_in("74", "a").await;
    let again = new_session("74", "a", at(40));
    let sign_in = service.store().sign_in(&again, None, at(40));
    let signed_in = with_meanwhile(&proxy, "TransactWriteItems", sign_in, async || {
        other.store().end(&a.user_id, a.id, &ending("1")).await.unwrap();
    })
    .await
    .unwrap();
    assert!(!signed_in.refreshed, "the device gets a new session instead");
    assert_eq!(live(&other).await, [again.id]);
    let kept = other.store().session(&a.user_id, a.id).await.unwrap().unwrap();
    assert_eq!(kept.terminated, Some(ending("1")));
}

#[tokio::test]
async fn a_refresh_does_not_undo_activity_that_came_meanwhile() {
    let (service, proxy, mut other) = two_services(&[]).await;
    let a = other.sign_in("74", "a").await;
    let again = new_session("74", "a", at(40));
    let sign_in = service.store().sign_in(&again, None, at(40));
    let signed_in = with_meanwhile(&proxy, "TransactWriteItems", sign_in, async || {
        other.store().record_activity(&a, at(1000)).await.unwrap().unwrap();
    })
    .await
    .unwrap();
    assert_eq!((signed_in.refreshed, signed_in.session.last_activity), (true, at(1000)));
}

#[tokio::test]
async fn a_sign_in_that_came_meanwhile_counts_for_the_cap() {
    let (service, proxy, mut other) = two_services(&[("MAX_SESSIONS", "1")]).await;
    let new = new_session("74", "b", at(40));
    let sign_in = service.store().sign_in(&new, None, at(40));
    let signed_in = with_meanwhile(&proxy, "TransactWriteItems", sign_in, async || {
        other.sign_in("74", "a").await;
    })
    .await;
    assert_eq!(signed_in.unwrap().evicted.len(), 1);
    assert_eq!(live(&other).await, [new.id]);
}

#[tokio::test]
async fn an_eviction_does_not_write_over_a_receipt_that_came_meanwhile() {
    let (service, proxy, mut other) = two_services(&[("MAX_SESSIONS", "1")]).await;
    let a = other.sign_in("74", "a").await;
    let new = new_session("74", "b", at(40));
    let sign_in = service.store().sign_in(&new, None, at(40));
    let signed_in = with_meanwhile(&proxy, "TransactWriteItems", sign_in, async || {
        other.store().end(&a.user_id, a.id, &ending("1")).await.unwrap();
    })
    .await;
    assert!(signed_in.unwrap().evicted.is_empty());
    let kept = other.store().session(&a.user_id, a.id).await.unwrap().unwrap();
    assert_eq!(kept.terminated, Some(ending("1")));
}

#[tokio::test]
async fn what_looked_expired_is_not_ended_when_activity_came_meanwhile() {
    let (service, proxy, mut other) = two_services(&[("IDLE_TIMEOUT_HOURS", "1")]).await;
    let a = other.sign_in("74", "a").await;
    // By this function's clock the session is over; by the other's it was used in time.
    let new = new_session("74", "b", at(3700));
    let sign_in = service.store().sign_in(&new, None, at(3700));
    with_meanwhile(&proxy, "TransactWriteItems", sign_in, async || {
        other.store().record_activity(&a, at(3500)).await.unwrap().unwrap();
    })
    .await
    .unwrap();
    other.now = at(3700);
    assert_eq!(live(&other).await, [new.id, a.id]);
}

#[tokio::test]
async fn activity_does_not_revive_what_ended_meanwhile() {
    let (mut service, proxy, mut other) = two_services(&[]).await;
    let a = other.sign_in("74", "a").await;
    service.now = at(1000);
    let token = token::token("74", None, Some(&a.id.to_string()), START + 100_000);
    let touch = Call::new("POST", "/sessions/update-activity").token(&token);
    let reply = with_meanwhile(&proxy, "UpdateItem", touch.send(&service), async || {
        other.store().end(&a.user_id, a.id, &ending("1")).await.unwrap();
    })
    .await;
    assert_eq!(reply.problem(401, "session_ended"), "Session has ended");
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

#[tokio::test]
async fn each_route_makes_the_calls_it_needs_and_no_more() {
    let (mut service, proxy, _) = two_services(&[]).await;
    service.now = at(0);
    let create = async |service: &Service, device: &str| {
        let body = json!({"device_fingerprint": device});
        service.post("/sessions/create", &user_token("74"), body).await.body["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let id = create(&service, "a").await;
    assert_eq!(take_actions(&proxy), ["Query", "Update", "Put"]);
    for _ in 0..20 {
        service.pass(TimeDelta::seconds(1));
        create(&service, "b").await;
    }
    proxy.take_calls();
    let admin = admin_token();
    let sid = token::token("74", None, Some(&id), START + 100_000);
    let admin_sid = token::token("74", Some("admin"), Some(&id), START + 100_000);
    let one = format!("/sessions/user/74/session/{id}");
    let own = format!("/sessions/session/{id}");
    let cases: [(&str, &str, &str, &[&str]); 17] = [
        ("GET", "/sessions/user/74", &admin, &["Query"]),
        ("GET", "/sessions/user/74?include_inactive=true", &admin, &["Query"]),
        ("GET", "/sessions/user/75", &admin_sid, &["Query", "Query"]),
        ("GET", "/sessions/current", &sid, &["Query"]),
        ("GET", "/sessions/my-sessions", &sid, &["Query"]),
        ("GET", "/sessions/active-devices-count", &sid, &["Query"]),
        ("POST", "/sessions/update-activity", &sid, &["Query"]),
        ("GET", &own, &sid, &["GetItem", "Query"]),
        ("POST", "/sessions/create", &sid, &["Query", "TransactWriteItems"]),
        ("DELETE", "/sessions/logout-all?exclude_current=true", &sid, &["Query", "TransactWriteItems"]),
        ("DELETE", "/sessions/logout-all?exclude_current=true", &sid, &["Query"]),
        ("POST", "/sessions/create", &user_token("74"), &["Query", "TransactWriteItems"]),
        ("DELETE", "/sessions/user/74?dry_run=true", &admin, &["Query"]),
        ("DELETE", &one, &admin, &["UpdateItem"]),
        ("DELETE", "/sessions/user/74", &admin, &["Query", "TransactWriteItems"]),
        ("DELETE", "/sessions/user/74", &admin, &["Query"]),
        ("DELETE", "/sessions/logout", &user_token("74"), &["Query"]),
    ];
    for (method, target, token, expected) in cases {
        Call::new(method, target).token(token).send(&service).await;
        let mut calls = proxy.take_calls();
        calls.sort();
        assert_eq!(calls, expected, "{method} {target}");
    }
}

#[tokio::test]
async fn ending_all_reads_once_where_users_must_be_known_too() {
    let (service, proxy, mut other) = two_services(&[("UNKNOWN_USERS", "not_found")]).await;
    other.sign_in("74", "a").await;
    service.delete("/sessions/user/74", &admin_token()).await.ok();
    assert_eq!(proxy.take_calls(), ["Query", "TransactWriteItems"]);
    service.delete("/sessions/user/75", &admin_token()).await.problem(404, "user_not_found");
    assert_eq!(proxy.take_calls(), ["Query"]);
}

#[tokio::test]
async fn the_two_reads_before_an_admin_acts_on_a_user_are_side_by_side() {
    let (service, proxy, mut other) = two_services(&[]).await;
    let sid = other.sign_in("1", "admin's").await.id.to_string();
    let token = token::token("1", Some("admin"), Some(&sid), START + 100_000);
    for method in ["GET", "DELETE"] {
        let mut held = proxy.hold();
        let both = async {
            let (one, two) = (held.recv().await.unwrap(), held.recv().await.unwrap());
            proxy.let_go();
            one.release();
            two.release();
        };
        let send = Call::new(method, "/sessions/user/74").token(&token).send(&service);
        // One after the other, the second would wait for the first to be let go, until the call's time is up.
        let (reply, ()) = tokio::join!(send, both);
        reply.ok();
        assert_eq!(proxy.take_calls(), ["Query", "Query"]);
    }
}

#[tokio::test]
async fn nothing_is_read_for_whom_the_token_refuses() {
    let (service, proxy, _) = two_services(&[("UNKNOWN_USERS", "not_found")]).await;
    for target in ["/sessions/user/75", "/sessions/user/75?include_inactive=true"] {
        service.get(target, &user_token("74")).await.problem(403, "admin_only");
        service.delete(target, &user_token("74")).await.problem(403, "admin_only");
        service.get(target, "no token").await.problem(401, "token_malformed");
    }
    assert_eq!(proxy.take_calls(), [""; 0]);
}

#[tokio::test]
async fn whom_the_table_refuses_does_not_learn_whether_a_user_is_known() {
    let settings = [("UNKNOWN_USERS", "not_found"), ("ROLE_SOURCE", "table")];
    let (service, _, mut other) = two_services(&settings).await;
    other.sign_in("75", "phone").await;
    let known = service.get("/sessions/user/75", &user_token("74")).await;
    let unknown = service.get("/sessions/user/76", &user_token("74")).await;
    known.problem(403, "admin_only");
    assert_eq!(known.text, unknown.text);
}

/// Sends `call` and has its first `refusals` writes of this name refused in the engine's place.
async fn with_refusals(
    proxy: &Proxy,
    service: &Service,
    call: Call,
    (operation, exception): (&str, &str),
    extra: serde_json::Value,
    refusals: usize,
) -> Reply {
    let mut held = proxy.hold();
    let refuse = async {
        let mut left = refusals;
        while let Some(next) = held.recv().await {
            if next.operation == operation && left > 0 {
                left -= 1;
                next.refuse(exception, extra.clone());
            } else {
                next.release();
            }
        }
    };
    let send = async {
        let reply = call.send(service).await;
        proxy.let_go();
        reply
    };
    tokio::select! {
        reply = send => reply,
        () = refuse => unreachable!("the proxy holds until the answer is there"),
    }
}

#[tokio::test]
async fn a_session_in_the_hands_of_a_transaction_is_waited_for() {
    let (mut service, proxy, mut other) = two_services(&[]).await;
    let id = other.sign_in("74", "a").await.id;
    service.now = other.now;
    let call = Call::new("DELETE", &format!("/sessions/user/74/session/{id}")).token(&admin_token());
    let conflict = ("UpdateItem", "TransactionConflictException");
    let reply = with_refusals(&proxy, &service, call, conflict, json!({}), 3).await;
    assert_eq!(reply.ok()["session"]["end_reason"], "revoked_by_admin");
    assert_eq!(proxy.take_calls(), ["UpdateItem"; 4]);
}

#[tokio::test]
async fn a_transaction_that_loses_to_another_is_read_and_tried_again() {
    let (service, proxy, mut other) = two_services(&[]).await;
    other.sign_in("74", "a").await;
    for reasons in [
        ["TransactionConflict", "None"],
        ["None", "ConditionalCheckFailed"],
        ["ConditionalCheckFailed", "TransactionConflict"],
        ["ThrottlingError", "None"],
    ] {
        let device = json!({"device_fingerprint": reasons.concat()}).to_string();
        let call = Call::new("POST", "/sessions/create").token(&user_token("74")).body(&device);
        let cancelled = ("TransactWriteItems", "TransactionCanceledException");
        let reasons: Vec<_> = reasons.iter().map(|code| json!({"Code": code})).collect();
        let extra = json!({"CancellationReasons": reasons});
        let reply = with_refusals(&proxy, &service, call, cancelled, extra, 2).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
    }
}

#[tokio::test]
async fn a_transaction_that_can_never_be_is_not_tried_again() {
    let (service, proxy, _) = two_services(&[]).await;
    for reasons in [["None", "ValidationError"], ["None", "None"]] {
        let call = Call::new("POST", "/sessions/create").token(&user_token("74")).body("{}");
        let cancelled = ("TransactWriteItems", "TransactionCanceledException");
        let reasons: Vec<_> = reasons.iter().map(|code| json!({"Code": code})).collect();
        let extra = json!({"CancellationReasons": reasons});
        let reply = with_refusals(&proxy, &service, call, cancelled, extra, usize::MAX).await;
        reply.problem(500, "internal_error");
        assert_eq!(proxy.take_calls(), ["Query", "TransactWriteItems"]);
    }
}
