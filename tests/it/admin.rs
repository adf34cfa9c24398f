//! What an admin does with another user's sessions: the contract, over whole events.

use crate::support::*;
use aws_sdk_dynamodb::types::AttributeValue::{L, N, Ss};
use chrono::TimeDelta;
use serde_json::{Value, json};

const LIST: &str = "/sessions/user/74";

fn end(id: &str) -> String {
    format!("/sessions/user/74/session/{id}")
}

#[tokio::test]
async fn a_list_is_a_bare_array_of_live_sessions_newest_first() {
    let mut service = Service::start().await;
    let older = service.sign_in("74", "older").await;
    let newer = service.sign_in("74", "newer").await;
    service.sign_in("75", "someone else's").await;

    let reply = service.get(LIST, &admin_token()).await;

    assert_eq!(reply.ids(), [newer.id.to_string(), older.id.to_string()]);
    assert_eq!(
        reply.body[1],
        json!({
            "id": older.id.to_string(),
            "user_id": 74,
            "device_name": "older",
            "device_type": "web",
            "browser": "Firefox",
            "os": "Linux",
            "ip_address": "198.51.100.1",
            "location": null,
            "signed_in_ip": "198.51.100.1",
            "created_at": "2040-01-01T00:00:01.000Z",
            "last_activity": "2040-01-01T00:00:01.000Z",
            "expires_at": "2040-01-31T00:00:01.000Z",
            "is_active": true,
        })
    );
}

#[tokio::test]
async fn unknown_users_are_not_found_when_the_setting_says_so() {
    let mut service = Service::with(&[("UNKNOWN_USERS", "not_found")]).await;
    let gone = service.sign_in("74", "phone").await;
    let targets = ["/sessions/user/75", "/sessions/user/75?include_inactive=true"];
    for target in targets {
        assert_eq!(
            service.get(target, &admin_token()).await.problem(404, "user_not_found"),
            "User not found"
        );
    }
    let targets = [
        "/sessions/user/75",
        "/sessions/user/75?dry_run=true",
        &end(&gone.id.to_string()).replace("74", "75"),
    ];
    for target in targets {
        assert_eq!(
            service.delete(target, &admin_token()).await.problem(404, "user_not_found"),
            "User not found"
        );
    }
    // Known, though without a live session.
    service.delete(LIST, &admin_token()).await.ok();
    assert_eq!(service.get(LIST, &admin_token()).await.text, "[]");
    assert_eq!(service.get("/sessions/user/74?include_inactive=true", &admin_token()).await.ids().len(), 1);
}

#[tokio::test]
async fn a_user_id_is_a_number_only_when_the_number_is_the_id() {
    let mut service = Service::start().await;
    let max = (1_u64 << 53).to_string();
    let ids = [
        ("0", json!(0)),
        (max.as_str(), json!(1_u64 << 53)),
        ("9007199254740993", json!("9007199254740993")),
        ("074", json!("074")),
        ("-1", json!("-1")),
        ("auth0|ab.c", json!("auth0|ab.c")),
    ];
    for (id, shown) in ids {
        service.sign_in(id, "phone").await;
        let reply = service.get(&format!("/sessions/user/{}", id.replace('|', "%7C")), &admin_token()).await;
        assert_eq!(reply.ok()[0]["user_id"], shown);
    }
}

#[tokio::test]
async fn an_ended_session_is_not_in_the_next_list() {
    let mut service = Service::start().await;
    let (kept, ended) = (service.sign_in("74", "kept").await, service.sign_in("74", "ended").await);
    service.pass(TimeDelta::seconds(5));

    let reply =
        service.delete(&format!("{}?reason=lost+phone", end(&ended.id.to_string())), &admin_token()).await;

    let body = reply.ok();
    assert_eq!(body["success"], true);
    assert!(body["message"].is_string());
    let session = &body["session"];
    assert_eq!(session["id"], ended.id.to_string());
    assert_eq!(session["is_active"], false);
    assert_eq!(session["ended_at"], "2040-01-01T00:00:07.000Z");
    assert_eq!(session["ended_by"], 1);
    assert_eq!(session["end_reason"], "revoked_by_admin");
    assert_eq!(session["end_note"], "lost phone");
    assert_eq!(service.get(LIST, &admin_token()).await.ids(), [kept.id.to_string()]);
}

#[tokio::test]
async fn a_repeated_ending_succeeds_and_returns_the_first_receipt() {
    let mut service = Service::start().await;
    let target = end(&service.sign_in("74", "phone").await.id.to_string());
    let first =
        service.delete(&format!("{target}?reason=first"), &admin_token()).await.ok()["session"].clone();
    service.pass(TimeDelta::hours(1));
    let other_admin = token::token("2", Some("admin"), None, START + 100_000);

    let repeat = service.delete(&format!("{target}?reason=second"), &other_admin).await;

    assert_eq!(repeat.ok()["success"], true);
    assert_eq!(repeat.body["session"], first);
}

#[tokio::test]
async fn an_expired_session_is_not_live_and_keeps_the_reason_expired() {
    let mut service = Service::start().await;
    let session = service.sign_in("74", "phone").await;
    service.pass(TimeDelta::hours(720));

    assert_eq!(service.get(LIST, &admin_token()).await.text, "[]");
    let history = service.get("/sessions/user/74?include_inactive=true", &admin_token()).await;
    assert_eq!(history.ok()[0]["end_reason"], "expired");
    assert_eq!(history.body[0]["ended_at"], "2040-01-31T00:00:01.000Z");
    assert_eq!(history.body[0]["ended_by"], Value::Null);
    let reply = service.delete(&end(&session.id.to_string()), &admin_token()).await;
    assert_eq!(reply.ok()["session"], history.body[0]);
    assert_eq!(service.delete(LIST, &admin_token()).await.ok()["revoked"], 0);
}

#[tokio::test]
async fn an_idle_session_expires_at_its_idle_deadline() {
    let mut service = Service::with(&[("IDLE_TIMEOUT_HOURS", "2")]).await;
    let session = service.sign_in("74", "phone").await;
    service.pass(TimeDelta::seconds(2 * 3600 - 1));
    assert_eq!(service.get(LIST, &admin_token()).await.ok()[0]["expires_at"], "2040-01-01T02:00:01.000Z");
    service.pass(TimeDelta::seconds(1));
    assert_eq!(service.get(LIST, &admin_token()).await.text, "[]");
    let reply = service.delete(&end(&session.id.to_string()), &admin_token()).await;
    assert_eq!(reply.ok()["session"]["end_reason"], "expired");
    assert_eq!(reply.body["session"]["ended_at"], "2040-01-01T02:00:01.000Z");
}

#[tokio::test]
async fn end_all_returns_a_receipt_for_each_session() {
    let mut service = Service::start().await;
    let a = service.sign_in("74", "a").await;
    let b = service.sign_in("74", "b").await;
    service.sign_in("75", "not this one").await;

    let reply = service.delete("/sessions/user/74?reason=leaked", &admin_token()).await;

    assert_eq!(reply.ok()["revoked"], 2);
    assert_eq!(reply.body["success"], true);
    let sessions = reply.body["sessions"].as_array().unwrap();
    let ids: Vec<_> = sessions.iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, [b.id.to_string(), a.id.to_string()]);
    for session in sessions {
        assert_eq!(
            (&session["end_note"], &session["end_reason"]),
            (&json!("leaked"), &json!("revoked_by_admin"))
        );
    }
    assert_eq!(service.get(LIST, &admin_token()).await.text, "[]");
    assert_eq!(service.get("/sessions/user/75", &admin_token()).await.ids().len(), 1);
    for nothing_is_left in [LIST, "/sessions/user/never-seen"] {
        let repeat = service.delete(nothing_is_left, &admin_token()).await;
        assert_eq!((&repeat.ok()["success"], &repeat.body["revoked"]), (&json!(true), &json!(0)));
    }
}

#[tokio::test]
async fn a_dry_run_shows_what_would_end_and_ends_nothing() {
    let mut service = Service::start().await;
    let session = service.sign_in("74", "phone").await;
    let reply = service.delete("/sessions/user/74?dry_run=true", &admin_token()).await;
    assert_eq!(reply.ok()["revoked"], 0);
    assert_eq!(reply.body["message"], "1 session would end");
    assert_eq!(reply.body["sessions"][0]["id"], session.id.to_string());
    assert_eq!(reply.body["sessions"][0]["is_active"], true);
    assert_eq!(service.get(LIST, &admin_token()).await.ids(), [session.id.to_string()]);
}

#[tokio::test]
async fn history_pages_without_gaps_or_repeats_while_sessions_come_and_go() {
    let mut service = Service::with(&[("MAX_SESSIONS", "2")]).await;
    let mut expected = Vec::new();
    for device in 0..7 {
        expected.insert(0, service.sign_in("74", &format!("device {device}")).await.id.to_string());
    }
    let mut seen = Vec::new();
    let mut target = "/sessions/user/74?include_inactive=true&limit=3".to_owned();
    loop {
        let reply = service.get(&target, &admin_token()).await;
        assert!(reply.ids().len() <= 3);
        seen.extend(reply.ids().into_iter().map(str::to_owned));
        let Some(link) = reply.headers.get("link") else {
            break;
        };
        target = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
        service.sign_in("74", &format!("meanwhile {}", seen.len())).await;
        service.delete(&end(&seen[0]), &admin_token()).await.ok();
    }
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_full_last_page_has_no_next() {
    let mut service = Service::start().await;
    service.sign_in("74", "a").await;
    service.sign_in("74", "b").await;
    for (limit, next) in [(1, true), (2, false), (3, false)] {
        for inactive in [true, false] {
            let target = format!("/sessions/user/74?include_inactive={inactive}&limit={limit}");
            let reply = service.get(&target, &admin_token()).await;
            assert_eq!(reply.headers.contains_key("link"), next, "{target}");
        }
    }
}

#[tokio::test]
async fn roles_may_be_in_the_table_instead_of_the_token() {
    let service = Service::with(&[("ROLE_SOURCE", "table")]).await;
    let client = service.client();
    let put = |id: &str, role| {
        client
            .put_item()
            .table_name(&service.database.table)
            .item("user_id", text(id))
            .item("sk", text("profile"))
            .item("live_sk", text("profile"))
            .item("role", role)
    };
    put("2", text("admin")).send().await.unwrap();
    put("3", L(vec![text("user"), text("admin")])).send().await.unwrap();
    put("4", Ss(vec!["admin".into()])).send().await.unwrap();
    put("5", text("administrator")).send().await.unwrap();
    put("6", N("1".into())).send().await.unwrap();
    for admin in ["2", "3", "4"] {
        assert_eq!(service.get(LIST, &user_token(admin)).await.text, "[]");
    }
    // Nobody is an admin by their token then, nor by having no profile.
    for other in ["5", "6", "7"] {
        let token = token::token(other, Some("admin"), None, START + 100_000);
        service.get(LIST, &token).await.problem(403, "admin_only");
    }
}

#[tokio::test]
async fn invalid_parameters_are_refused() {
    let mut service = Service::start().await;
    let id = service.sign_in("74", "phone").await.id;
    let note = "n".repeat(257);
    let cases = [
        ("GET", "include_inactive=yes".to_owned(), "bad_boolean"),
        ("GET", "include_inactive=".into(), "bad_boolean"),
        ("GET", "include_inactive=TRUE".into(), "bad_boolean"),
        ("GET", "limit=0".into(), "bad_limit"),
        ("GET", "limit=101".into(), "bad_limit"),
        ("GET", "limit=-1".into(), "bad_limit"),
        ("GET", "limit=1.5".into(), "bad_limit"),
        ("GET", "limit=99999999999999999999".into(), "bad_limit"),
        ("GET", "limit=".into(), "bad_limit"),
        ("GET", "limit=1&limit=2".into(), "bad_parameter"),
        ("DELETE", "dry_run=1".into(), "bad_boolean"),
        ("DELETE", format!("reason={note}"), "bad_reason"),
        ("DELETE", "reason=a%0D%0Ab".into(), "bad_reason"),
        ("DELETE", "reason=%00".into(), "bad_reason"),
        // A misspelt dry run must not end anything.
        ("DELETE", "dryrun=true".into(), "bad_parameter"),
        ("DELETE", "dry-run=true".into(), "bad_parameter"),
        ("DELETE", "Dry_Run=true".into(), "bad_parameter"),
        ("DELETE", "excludeCurrent=true".into(), "bad_parameter"),
        ("DELETE", "include_inactive=true".into(), "bad_parameter"),
    ];
    for (method, query, code) in cases {
        let reply = Call::new(method, &format!("{LIST}?{query}")).token(&admin_token()).send(&service).await;
        let name = query.split('=').next().unwrap();
        assert!(reply.problem(400, code).starts_with(name), "{query}: {}", reply.text);
    }
    assert_eq!(service.get(LIST, &admin_token()).await.ids(), [id.to_string()], "nothing has ended");
    // A read ignores names that it does not know. The longest note is counted in characters.
    service.get(&format!("{LIST}?unknown=1"), &admin_token()).await.ok();
    let fits = format!("{LIST}?reason={}", "%C3%A9".repeat(256));
    service.delete(&fits, &admin_token()).await.ok();
}

#[tokio::test]
async fn nothing_ends_by_a_misspelt_parameter() {
    let mut service = Service::start().await;
    let id = service.sign_in("74", "phone").await.id.to_string();
    let mut cases = 0;
    for route in ROUTES.iter().filter(|route| route.starts_with("DELETE")) {
        let path = route.strip_prefix("DELETE ").unwrap();
        let path = path.replace("{user_id}", "74").replace("{session_id}", &id);
        let token = if route.contains("{user_id}") { admin_token() } else { session_token("74", &id) };
        for name in ["dryrun", "dry-run", "Dry_Run", "dry_run", "excludeCurrent", "exclude_current", "Reason"]
        {
            let known = [("/sessions/user/74", "dry_run"), ("/sessions/logout-all", "exclude_current")];
            if known.contains(&(path.as_str(), name)) {
                continue;
            }
            let reply = service.delete(&format!("{path}?reason=x&{name}=true"), &token).await;
            let detail = reply.problem(400, "bad_parameter");
            assert!(detail.starts_with(&format!("{name} ")), "{route}: {detail}");
            cases += 1;
        }
    }
    assert_eq!(cases, 5 * 7 - 2);
    assert_eq!(service.get(LIST, &admin_token()).await.ids(), [id]);
}

#[tokio::test]
async fn errors_in_a_request_are_reported_only_after_authentication() {
    let service = Service::start().await;
    for target in ["/sessions/user/%00", "/sessions/user/74?limit=0"] {
        Call::new("GET", target).send(&service).await.problem(401, "token_missing");
    }
}

#[tokio::test]
async fn fractions_of_a_millisecond_make_no_difference() {
    let mut service = Service::start().await;
    service.pass(TimeDelta::nanoseconds(123_456_789));
    let body = json!({"device_fingerprint": "fingerprint of f"});
    let created = service.post("/sessions/create", &user_token("74"), body).await.body;
    assert_eq!(created["created_at"], "2040-01-01T00:00:00.123Z");
    let shown = service.get(LIST, &admin_token()).await.ok()[0].clone();
    assert_eq!(
        (&shown["created_at"], &shown["expires_at"]),
        (&created["created_at"], &created["expires_at"])
    );
    let target = end(created["id"].as_str().unwrap());
    let first = service.delete(&target, &admin_token()).await.ok().clone();
    // The very same ending again, as the SDK sends it when an answer is lost, finds its own receipt.
    assert_eq!(*service.delete(&target, &admin_token()).await.ok(), first);
}
