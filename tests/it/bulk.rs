//! Many users at once: how many sessions they have, the end of all of them, and of single ones.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::{Duration, Instant};

use crate::openapi::Document;
use crate::support::fault::{Engine, Fault};
use crate::support::log::Log;
use crate::support::proxy::{Proxy, Trouble};
use crate::support::visibility::HalfVisible;
use crate::support::*;
use chrono::TimeDelta;
use serde_json::{Value, json};
use sessions::store::Timeouts;
use tokio::time::advance;

/// A session that nobody has.
const GONE: &str = "01900000-0000-7000-8000-000000000000";

async fn end(service: &Service, token: &str, body: Value) -> Reply {
    service.post("/sessions/end", token, body).await
}

/// How many sessions of each user are live.
async fn live(service: &Service, users: &[&str]) -> Vec<usize> {
    let mut counts = Vec::new();
    for each in users {
        let sessions = service.store().user_sessions(&user(each)).await.unwrap();
        counts.push(sessions.live(service.now, service.store().policy()).count());
    }
    counts
}

/// A service where users 74 and 75 have two sessions and one.
async fn scene() -> Service {
    let mut service = Service::start().await;
    for (user, device) in [("74", "a"), ("74", "b"), ("75", "a")] {
        service.sign_in(user, device).await;
    }
    service
}

#[tokio::test]
async fn a_summary_has_the_numbers_of_each_user_in_the_order_asked() {
    let (log, _guard) = Log::start();
    let service = scene().await;
    let target = "/sessions/summary?user_id=76&user_id=75&user_id=1&user_id=74&user_id=auth0%7Cab&user_id=75";
    for token in [admin_token(), service_token()] {
        let none = |id: Value| json!({"user_id": id, "known": false, "active": 0, "last_activity": null});
        let of_75 =
            json!({"user_id": 75, "known": true, "active": 1, "last_activity": "2040-01-01T00:00:03.000Z"});
        let of_74 =
            json!({"user_id": 74, "known": true, "active": 2, "last_activity": "2040-01-01T00:00:02.000Z"});
        let expected = json!([none(76.into()), of_75, none(1.into()), of_74, none("auth0|ab".into()), of_75]);
        assert_eq!(*service.get(target, &token).await.ok(), expected);
    }
    let lines = log.take_events("summary_viewed");
    assert_eq!((&lines[0]["actor"], &lines[0]["user_ids"]), (&json!("1"), &json!("76 75 1 74 auth0|ab 75")));
}

#[tokio::test]
async fn a_summary_takes_the_list_that_axios_writes() {
    let service = scene().await;
    let plain = service.get("/sessions/summary?user_id=74&user_id=75", &admin_token()).await;
    for target in
        ["/sessions/summary?user_id[]=74&user_id[]=75", "/sessions/summary?user_id%5B%5D=74&user_id%5B%5D=75"]
    {
        assert_eq!(service.get(target, &admin_token()).await.ok(), plain.ok());
    }
}

#[tokio::test]
async fn a_summary_counts_no_session_that_is_over() {
    let mut service = scene().await;
    service.pass(TimeDelta::hours(720));
    let summary = service.get("/sessions/summary?user_id=74", &admin_token()).await;
    assert_eq!(*summary.ok(), json!([{"user_id": 74, "known": true, "active": 0, "last_activity": null}]));
    let strict = Service::with(&[("UNKNOWN_USERS", "not_found")]).await;
    assert_eq!(strict.get("/sessions/summary?user_id=74", &admin_token()).await.ok()[0]["active"], 0);
}

#[tokio::test]
async fn a_summary_reads_each_user_once_and_a_few_at_the_same_time() {
    let proxy = Proxy::before(&database().await).await;
    let service = Service::on(proxy.database.clone(), &[]);
    let query: Vec<_> = (100..150).map(|id| format!("user_id={id}")).collect();
    let target = format!("/sessions/summary?{}", query.join("&"));
    proxy.take();
    service.flush_metrics();
    service.get(&target, &service_token()).await.ok();
    assert_eq!(proxy.take_calls(), ["Query"; 50]);
    assert!(proxy.connections() <= 9, "{} connections", proxy.connections());
    for query in ["".to_owned(), "?".into(), "?user=74".into(), format!("?{}&user_id=1", query.join("&"))] {
        let refused = service.get(&format!("/sessions/summary{query}"), &admin_token()).await;
        assert_eq!(refused.problem(400, "bad_parameter"), "user_id must be given 1 to 50 times");
    }
    service.get("/sessions/summary?user_id=a%2Fb", &admin_token()).await.problem(400, "bad_user_id");
    service.get("/sessions/summary?user_id=", &admin_token()).await.problem(400, "bad_user_id");
    service.get("/sessions/summary?user_id=74", &user_token("74")).await.problem(403, "admin_only");
}

#[tokio::test]
async fn the_sessions_of_many_users_end_with_one_reason() {
    for (token, reason, by) in [
        (admin_token(), "revoked_by_admin", json!(1)),
        (service_token(), "revoked_by_service", json!("backend")),
    ] {
        let (log, _guard) = Log::start();
        let service = scene().await;
        let body =
            json!({"user_ids": ["74", 75, 74, "auth0|ab"], "reason": " laptops lost ", "dry_run": false});
        let ended = end(&service, &token, body.clone()).await;
        let users = json!([
            {"user_id": 74, "revoked": 2}, {"user_id": 75, "revoked": 1}, {"user_id": "auth0|ab", "revoked": 0},
        ]);
        let expected = json!({"success": true, "message": "3 sessions ended", "revoked": 3, "users": users});
        assert_eq!(*ended.ok(), expected);
        assert_eq!(log.take_events("session_ended").len(), 3);
        let history = service.get("/sessions/user/74?include_inactive=true", &admin_token()).await;
        for session in history.ok().as_array().unwrap() {
            assert_eq!(
                (&session["end_reason"], &session["ended_by"], &session["end_note"]),
                (&json!(reason), &by, &json!("laptops lost"))
            );
        }
        // Tokens that have opened nothing yet are refused too, also those of a user without sessions.
        let issued = |user: &str| {
            let claims = json!({"sub": user, "iat": service.now.timestamp(), "exp": START + 9_000});
            token::sign(&json!({"alg": "HS256"}), &claims, token::SECRET)
        };
        for user in ["74", "auth0|ab"] {
            service.get("/sessions/my-sessions", &issued(user)).await.problem(401, "session_ended");
        }
        assert_eq!(end(&service, &token, body).await.ok()["revoked"], 0, "a repeat succeeds");
    }
}

#[tokio::test]
async fn a_dry_run_ends_nothing() {
    let (log, _guard) = Log::start();
    let service = scene().await;
    let preview = end(&service, &admin_token(), json!({"user_ids": [75, 74], "dry_run": true})).await;
    let users = json!([{"user_id": 75, "revoked": 1}, {"user_id": 74, "revoked": 2}]);
    let expected = json!({"success": true, "message": "3 sessions would end", "revoked": 0, "users": users});
    assert_eq!(*preview.ok(), expected);
    assert_eq!(live(&service, &["74", "75"]).await, [2, 1]);
    let lines = log.take_events("sessions_end_previewed");
    assert_eq!((lines.len(), &lines[0]["user_id"], &lines[0]["actor"]), (2, &json!("75"), &json!("1")));
}

#[tokio::test]
async fn a_wrong_request_ends_nothing() {
    let service = scene().await;
    let ids = |count: usize| (100..100 + count).collect::<Vec<_>>();
    let bad_bodies = [
        json!({}),
        json!([]),
        json!({"user_ids": []}),
        json!({"user_ids": null}),
        json!({"user_ids": 74}),
        json!({"user_ids": "74"}),
        json!({"user_ids": [74, null]}),
        json!({"user_ids": [74, true]}),
        json!({"user_ids": [74, [75]]}),
        json!({"user_ids": ids(101)}),
        json!({"user_ids": [74], "dryRun": true}),
        json!({"user_ids": [74], "dry-run": true}),
        json!({"user_ids": [74], "dry_run": "true"}),
        json!({"user_ids": [74], "dry_run": 1}),
        json!({"user_ids": [74], "dry_run": null}),
        json!({"user_ids": [74], "reason": 1}),
        json!({"user_ids": [74], "Reason": "x"}),
        json!({"userIds": [74]}),
        json!({"user_ids": [74], "sessions": null}),
        json!({"user_ids": null, "sessions": [{"user_id": 75, "session_id": GONE}]}),
        json!({"user_ids": [74], "sessions": [{"user_id": 75, "session_id": GONE}]}),
        json!({"sessions": []}),
        json!({"sessions": {"user_id": 74, "session_id": GONE}}),
        json!({"sessions": [{"user_id": 74}]}),
        json!({"sessions": [{"session_id": GONE}]}),
        json!({"sessions": [{"user_id": 74, "session_id": 1}]}),
        json!({"sessions": [{"user_id": 74, "session_id": GONE, "x": 1}]}),
        json!({"sessions": [{"user_id": 74, "session_id": GONE}], "dryRun": true}),
        json!({"sessions": ids(101).iter().map(|id| json!({"user_id": id, "session_id": GONE})).collect::<Vec<_>>()}),
    ];
    let first = &service.store().user_sessions(&user("74")).await.unwrap().open[0].id.to_string();
    let own = json!({"sessions": [{"user_id": 74, "session_id": first}, {"user_id": 1, "session_id": GONE}]});
    let own = own.to_string();
    let bodies = bad_bodies.iter().map(|body| (body.to_string(), "bad_body"));
    let texts = [
        ("", "bad_body"),
        ("{", "bad_body"),
        (r#"{"user_ids": [74], "dry_run": true, "dry_run": false}"#, "bad_body"),
        (r#"{"user_ids": [74], "reason": "a\u0000b"}"#, "bad_reason"),
        (r#"{"user_ids": [74, "a/b"]}"#, "bad_user_id"),
        (r#"{"user_ids": [74, ""]}"#, "bad_user_id"),
        (r#"{"user_ids": [74, "undefined"]}"#, "bad_user_id"),
        (r#"{"user_ids": [74, -1]}"#, "bad_user_id"),
        (r#"{"user_ids": [74, 7.5]}"#, "bad_user_id"),
        (r#"{"user_ids": [74, 9007199254740993]}"#, "bad_user_id"),
        (r#"{"user_ids": [74, 1]}"#, "own_sessions"),
        (r#"{"user_ids": [74, "1"]}"#, "own_sessions"),
        (&format!(r#"{{"sessions": [{{"user_id": "a/b", "session_id": "{GONE}"}}]}}"#), "bad_user_id"),
        (r#"{"sessions": [{"user_id": 74, "session_id": "profile"}]}"#, "bad_session_id"),
        (&own, "own_sessions"),
    ];
    for (body, code) in bodies.chain(texts.map(|(body, code)| (body.to_owned(), code))) {
        let call = Call::new("POST", "/sessions/end").token(&admin_token()).body(&body);
        let refused = call.send(&service).await;
        assert_eq!((refused.status, &refused.body["code"]), (400, &json!(code)), "{body}: {}", refused.text);
    }
    for query in ["dry_run=true", "dryrun=true", "x="] {
        let target = format!("/sessions/end?{query}");
        service.post(&target, &admin_token(), json!({"user_ids": [74]})).await.problem(400, "bad_parameter");
    }
    end(&service, &user_token("75"), json!({"user_ids": [74]})).await.problem(403, "admin_only");
    let gone = token::token("1", Some("admin"), Some(NEVER), START + 1000);
    end(&service, &gone, json!({"user_ids": [74]})).await.problem(401, "session_ended");
    assert_eq!(live(&service, &["74", "75"]).await, [2, 1]);
    let of_a_service = end(&service, &service_token(), json!({"user_ids": ["backend", 1]})).await;
    assert_eq!(of_a_service.ok()["revoked"], 0, "a service may name itself, and has no sessions");
    let hundred = ids(100).into_iter().chain(ids(100)).collect::<Vec<_>>();
    assert_eq!(end(&service, &admin_token(), json!({"user_ids": hundred})).await.ok()["revoked"], 0);
}

#[tokio::test]
async fn one_user_who_cannot_be_ended_does_not_keep_the_others_in() {
    let mut service = Service::start().await;
    for user in ["73", "75"] {
        service.sign_in(user, "a").await;
    }
    service.add_broken_session().await;
    let body = json!({"user_ids": [73, 74, 75]});
    let partly = end(&service, &admin_token(), body.clone()).await;
    partly.problem(503, "store_unavailable");
    let ended = json!([{"user_id": 73, "revoked": 1}, {"user_id": 75, "revoked": 1}]);
    assert_eq!((&partly.body["ended"], &partly.body["remaining"]), (&ended, &json!([74])));
    assert_eq!(live(&service, &["73", "75"]).await, [0, 0]);
    end(&service, &admin_token(), json!({"user_ids": [74]})).await.problem(500, "internal_error");
}

#[tokio::test]
async fn where_every_user_is_registered_an_unknown_one_gets_no_record() {
    let service = Service::with(&[("UNKNOWN_USERS", "not_found")]).await;
    let reply = end(&service, &admin_token(), json!({"user_ids": [7400]})).await;
    assert_eq!(reply.ok()["users"], json!([{"user_id": 7400, "revoked": 0}]));
    service.get("/sessions/user/7400", &admin_token()).await.problem(404, "user_not_found");
}

#[tokio::test]
async fn a_whole_number_may_have_a_fraction_of_zero() {
    let service = scene().await;
    let call = Call::new("POST", "/sessions/end").token(&admin_token());
    let reply = call.body(r#"{"user_ids": [74.0], "dry_run": true}"#).send(&service).await;
    assert_eq!(reply.ok()["users"], json!([{"user_id": 74, "revoked": 2}]));
}

#[tokio::test]
async fn a_body_can_hold_the_longest_ids_of_100_users() {
    let service = Service::start().await;
    let ids: Vec<String> = (0..100).map(|number| format!("{number:0255}")).collect();
    let body = json!({"user_ids": ids, "dry_run": true});
    assert_eq!(end(&service, &admin_token(), body).await.ok()["revoked"], 0);
}

#[tokio::test]
async fn no_user_is_started_when_the_time_left_may_not_be_enough() {
    let mut service = scene().await;
    let patient = service.database.clone();
    let real = Table { timeouts: Timeouts::default(), ..patient };
    service = Service { now: service.now, ..Service::on(real, &[]) };
    // A query and a transaction may take all their time, and the answer takes a second.
    let round = 2 * Timeouts::default().call + Duration::from_secs(1);
    service.time_limit = Some(TimeDelta::from_std(round).unwrap());
    let body = json!({"user_ids": [74, 75]});
    let refused = end(&service, &admin_token(), body.clone()).await;
    refused.problem(503, "store_unavailable");
    assert_eq!((&refused.body["ended"], &refused.body["remaining"]), (&json!([]), &json!([74, 75])));
    assert_eq!(live(&service, &["74", "75"]).await, [2, 1]);
    service.time_limit = Some(TimeDelta::seconds(25));
    assert_eq!(end(&service, &admin_token(), body).await.ok()["revoked"], 3);
}

/// Faults that never end: the answer comes before the deadline and says who is left, and the next request ends them.
#[tokio::test]
async fn a_store_that_fails_or_is_slow_never_runs_the_request_into_its_deadline() {
    let faults = [
        Fault::Stalled(Engine::Unasked),
        Fault::Stalled(Engine::Done),
        Fault::Refused("ThrottlingException"),
        Fault::Failing(500, "InternalServerError"),
        Fault::Cancelled(&["ConditionalCheckFailed", "None"]),
    ];
    let short = Timeouts {
        attempt: Duration::from_millis(300),
        call: Duration::from_millis(300),
        chain: Duration::from_millis(300),
        backoff: Duration::from_millis(1),
        ..Timeouts::default()
    };
    for (fault, after) in faults.into_iter().flat_map(|fault| [(fault, 0), (fault, 2)]) {
        let database = database().await;
        let mut patient = Service::on(database.clone(), &[]);
        for user in 100..120 {
            patient.sign_in(&user.to_string(), "a").await;
        }
        let proxy = Proxy::before(&database).await;
        let mut service = Service::on(Table { timeouts: short, ..proxy.database.clone() }, &[]);
        service.now = patient.now;
        service.time_limit = Some(TimeDelta::seconds(4));
        let body = json!({"user_ids": (100..120).collect::<Vec<_>>()});
        proxy.trouble(Trouble { fault, after, lasts: true });
        let begin = Instant::now();
        let reply = end(&service, &service_token(), body.clone()).await;
        let took = begin.elapsed();
        reply.problem(503, "store_unavailable");
        assert!(took < Duration::from_secs(4), "{fault:?}: {took:?}");
        proxy.heal();
        proxy.settle().await;
        let all = [&reply.body["ended"], &reply.body["remaining"]];
        assert_eq!(all.iter().map(|list| list.as_array().unwrap().len()).sum::<usize>(), 20, "{fault:?}");
        for ended in reply.body["ended"].as_array().unwrap() {
            assert_eq!(live(&patient, &[&ended["user_id"].to_string()]).await, [0], "{fault:?}");
        }
        let remaining = json!({"user_ids": reply.body["remaining"]});
        end(&patient, &service_token(), remaining).await.ok();
        let counts: BTreeMap<_, _> = (100..120).map(|user| (user, 0)).collect();
        for user in counts.keys() {
            assert_eq!(live(&patient, &[&user.to_string()]).await, [0], "{fault:?} {user}");
        }
    }
}

/// The caller is looked at again once a second: whoever is out ends nobody's sessions any more.
#[tokio::test(start_paused = true)]
async fn an_admin_who_is_out_meanwhile_stops() {
    let engine = HalfVisible::new().await;
    let mut service = engine.service(&[]);
    for user in ["74", "75", "76"] {
        service.sign_in(user, "a").await;
    }
    let own = service.sign_in("1", "the admin's").await.id.to_string();
    let token = token::token("1", Some("admin"), Some(&own), START + 100_000);
    for (waits, outcome) in [(Duration::from_millis(999), 200), (Duration::from_secs(1), 401)] {
        engine.hold(1);
        let mut request = pin!(end(&service, &token, json!({"user_ids": [74, 75, 76]})));
        assert!(engine.run_until_held(request.as_mut()).await.is_none());
        if outcome == 401 {
            service.delete(&format!("/sessions/user/1/session/{own}"), &service_token()).await.ok();
        }
        advance(waits).await;
        engine.release();
        let reply = request.await;
        assert_eq!(reply.status, outcome, "{}", reply.text);
        if outcome == 401 {
            reply.problem(401, "session_ended");
            let schema = "/paths/~1sessions~1end/post/responses/401/content/application~1problem+json/schema";
            assert_eq!(Document::read().faults(schema, &reply.body), [""; 0]);
            let ended: Vec<_> =
                reply.body["ended"].as_array().unwrap().iter().map(|user| &user["user_id"]).collect();
            assert_eq!((ended, &reply.body["remaining"]), (vec![&json!(74), &json!(75)], &json!([76])));
        }
    }
}

/// The sessions of users 74 and 75, newest first, as a body names them.
async fn named(service: &Service) -> Vec<Value> {
    let mut named = Vec::new();
    for each in ["74", "75"] {
        for session in service.store().user_sessions(&user(each)).await.unwrap().open {
            named.push(json!({"user_id": each, "session_id": session.id}));
        }
    }
    named
}

fn outcomes(reply: &Reply) -> Vec<&str> {
    let sessions = reply.body["sessions"].as_array().unwrap();
    sessions.iter().map(|session| session["outcome"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn single_sessions_of_any_users_end_with_one_receipt_each() {
    for (token, reason, by) in [
        (admin_token(), "revoked_by_admin", json!(1)),
        (service_token(), "revoked_by_service", json!("backend")),
    ] {
        let (log, _guard) = Log::start();
        let service = scene().await;
        let sessions = named(&service).await;
        let (kept, ended) = (&sessions[0], &sessions[1..]);
        let unknown = json!({"user_id": 75, "session_id": kept["session_id"]});
        let body = json!({"sessions": [ended[0], ended[1], ended[0], unknown], "reason": "leaked address"});
        let reply = end(&service, &token, body.clone()).await;
        assert_eq!(reply.ok()["message"], "2 sessions ended");
        assert_eq!(
            (&reply.body["revoked"], outcomes(&reply)),
            (&json!(2), vec!["ended", "ended", "not_found"])
        );
        let receipt = json!({
            "user_id": 74, "session_id": ended[0]["session_id"], "outcome": "ended", "ended_by": by,
            "ended_at": "2040-01-01T00:00:03.000Z", "end_reason": reason, "end_note": "leaked address",
        });
        assert_eq!(reply.body["sessions"][0], receipt);
        assert_eq!(log.take_events("session_ended").len(), 2);
        assert_eq!(live(&service, &["74", "75"]).await, [1, 0]);

        let again =
            end(&service, &service_token(), json!({"sessions": body["sessions"], "reason": "again"})).await;
        assert_eq!(
            (&again.body["revoked"], outcomes(&again)),
            (&json!(0), vec!["already_ended", "already_ended", "not_found"])
        );
        assert_eq!(
            (&again.body["sessions"][0]["end_note"], &again.body["sessions"][0]["ended_by"]),
            (&json!("leaked address"), &by)
        );
        assert_eq!(log.take_events("session_ended").len(), 0);
    }
}

#[tokio::test]
async fn a_session_that_has_expired_is_reported_with_that_receipt() {
    let mut service = scene().await;
    let sessions = named(&service).await;
    service.pass(TimeDelta::hours(720));
    for dry_run in [true, false] {
        let reply = end(&service, &admin_token(), json!({"sessions": sessions, "dry_run": dry_run})).await;
        assert_eq!((&reply.ok()["revoked"], outcomes(&reply)), (&json!(0), vec!["already_ended"; 3]));
        assert_eq!(reply.body["sessions"][0]["end_reason"], "expired");
    }
}

#[tokio::test]
async fn a_dry_run_of_single_sessions_ends_none() {
    let (log, _guard) = Log::start();
    let service = scene().await;
    let sessions = named(&service).await;
    end(&service, &admin_token(), json!({"sessions": [sessions[0]]})).await.ok();
    let gone = json!({"user_id": 74, "session_id": GONE});
    let all = json!([sessions[0], sessions[1], sessions[2], gone]);
    let preview = end(&service, &admin_token(), json!({"sessions": all, "dry_run": true})).await;
    assert_eq!(preview.ok()["message"], "2 sessions would end");
    assert_eq!(outcomes(&preview), ["already_ended", "would_end", "would_end", "not_found"]);
    assert_eq!(preview.body["revoked"], 0);
    assert_eq!(live(&service, &["74", "75"]).await, [1, 1]);
    assert_eq!(log.take_events("sessions_end_previewed").len(), 2);
}

#[tokio::test]
async fn a_request_for_single_sessions_says_what_is_left_when_its_time_runs_out() {
    let patient = scene().await;
    let sessions = named(&patient).await;
    let short = Timeouts {
        call: Duration::from_millis(300),
        attempt: Duration::from_millis(300),
        ..Timeouts::default()
    };
    let proxy = Proxy::before(&patient.database).await;
    let mut service = Service::on(Table { timeouts: short, ..proxy.database.clone() }, &[]);
    service.now = patient.now;
    // Not enough for one call and the answer.
    service.time_limit = Some(TimeDelta::milliseconds(1_300));
    let refused = end(&service, &service_token(), json!({"sessions": sessions})).await;
    refused.problem(503, "store_unavailable");
    assert_eq!(
        (&refused.body["ended"], refused.body["remaining"].as_array().unwrap().len()),
        (&json!([]), 3)
    );
    assert_eq!(proxy.take_calls(), [""; 0]);

    // The second call finds a store that fails from then on.
    service.time_limit = Some(TimeDelta::seconds(4));
    proxy.trouble(Trouble { fault: Fault::Stalled(Engine::Unasked), after: 1, lasts: true });
    let begin = Instant::now();
    let partly = end(&service, &service_token(), json!({"sessions": sessions})).await;
    assert!(begin.elapsed() < Duration::from_secs(4));
    partly.problem(503, "store_unavailable");
    assert_eq!(partly.body["ended"][0]["outcome"], "ended");
    let text = |each: &Value| (each["user_id"].to_string().replace('"', ""), each["session_id"].clone());
    let remaining = partly.body["remaining"].as_array().unwrap();
    assert_eq!(
        remaining.iter().map(text).collect::<Vec<_>>(),
        sessions[1..].iter().map(text).collect::<Vec<_>>()
    );
    proxy.heal();
    proxy.settle().await;
    let rest = end(&patient, &service_token(), json!({"sessions": remaining})).await;
    assert_eq!(outcomes(&rest), ["ended"; 2]);
    assert_eq!(live(&patient, &["74", "75"]).await, [0, 0]);
}

#[tokio::test]
async fn one_session_that_cannot_be_ended_does_not_keep_the_others_in() {
    let service = scene().await;
    let mut sessions = named(&service).await;
    service.add_broken_session().await;
    sessions.insert(1, json!({"user_id": 74, "session_id": GONE}));
    let partly = end(&service, &admin_token(), json!({"sessions": sessions})).await;
    partly.problem(503, "store_unavailable");
    assert_eq!(partly.body["remaining"], json!([{"user_id": 74, "session_id": GONE}]));
    assert_eq!(partly.body["ended"].as_array().unwrap().len(), 3);
    end(&service, &admin_token(), json!({"sessions": [sessions[1]]})).await.problem(500, "internal_error");
}
