//! What an admin does with another user's sessions: the contract, over whole events.

use crate::support::*;
use jiff::SignedDuration;
use serde_json::{Value, json};
use sessions::session::SessionId;

const LIST: &str = "/sessions/user/74";

fn end(id: &str) -> String {
    format!("/sessions/user/74/session/{id}")
}

#[tokio::test]
async fn lists_live_sessions_newest_first_as_a_bare_array() {
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
            "created_at": "2040-01-01T00:00:01.000Z",
            "last_activity": "2040-01-01T00:00:01.000Z",
            "expires_at": "2040-01-31T00:00:01.000Z",
            "is_active": true,
        })
    );
    assert_eq!(reply.headers["cache-control"], "no-store");
    assert_eq!(reply.headers["x-content-type-options"], "nosniff");
    assert!(!reply.headers.contains_key("link"));
}

#[tokio::test]
async fn lists_nothing_for_a_user_without_a_record() {
    let service = Service::start().await;
    let reply = service.get(LIST, &admin_token()).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, "[]"));
}

#[tokio::test]
async fn unknown_users_are_not_found_where_every_user_is_registered() {
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
async fn user_ids_are_numbers_only_where_the_number_is_the_id() {
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
async fn ends_one_session_and_the_next_list_does_not_show_it() {
    let mut service = Service::start().await;
    let (kept, ended) = (service.sign_in("74", "kept").await, service.sign_in("74", "ended").await);
    service.pass(SignedDuration::from_secs(5));

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
async fn a_repeat_succeeds_and_hands_back_the_first_receipt() {
    let mut service = Service::start().await;
    let target = end(&service.sign_in("74", "phone").await.id.to_string());
    let first =
        service.delete(&format!("{target}?reason=first"), &admin_token()).await.ok()["session"].clone();
    service.pass(SignedDuration::from_hours(1));
    let other_admin = token::token("2", Some("admin"), None, START + 100_000);

    let repeat = service.delete(&format!("{target}?reason=second"), &other_admin).await;

    assert_eq!(repeat.ok()["success"], true);
    assert_eq!(repeat.body["session"], first);
}

#[tokio::test]
async fn an_expired_session_is_not_live_and_keeps_its_own_ending() {
    let mut service = Service::start().await;
    let session = service.sign_in("74", "phone").await;
    service.pass(SignedDuration::from_hours(720));

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
async fn an_idle_session_is_over_at_its_idle_deadline() {
    let mut service = Service::with(&[("IDLE_TIMEOUT_HOURS", "2")]).await;
    let session = service.sign_in("74", "phone").await;
    service.pass(SignedDuration::new(2 * 3600 - 1, 0));
    assert_eq!(service.get(LIST, &admin_token()).await.ok()[0]["expires_at"], "2040-01-01T02:00:01.000Z");
    service.pass(SignedDuration::from_secs(1));
    assert_eq!(service.get(LIST, &admin_token()).await.text, "[]");
    let reply = service.delete(&end(&session.id.to_string()), &admin_token()).await;
    assert_eq!(reply.ok()["session"]["end_reason"], "expired");
    assert_eq!(reply.body["session"]["ended_at"], "2040-01-01T02:00:01.000Z");
}

#[tokio::test]
async fn ends_all_sessions_with_a_receipt_each() {
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
    let repeat = service.delete(LIST, &admin_token()).await;
    assert_eq!((&repeat.ok()["success"], &repeat.body["revoked"]), (&json!(true), &json!(0)));
}

#[tokio::test]
async fn ends_all_of_a_user_without_a_record() {
    let service = Service::start().await;
    assert_eq!(service.delete(LIST, &admin_token()).await.ok()["revoked"], 0);
}

#[tokio::test]
async fn ends_more_sessions_than_fit_a_transaction() {
    let mut service = Service::with(&[("MAX_SESSIONS", "1000")]).await;
    for device in 0..250 {
        service.sign_in("74", &format!("device {device}")).await;
    }
    let reply = service.delete(LIST, &admin_token()).await;
    assert_eq!(reply.ok()["revoked"], 250);
    let ids: Vec<_> =
        reply.body["sessions"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted_by(|a, b| a > b), "newest first, none twice");
    assert_eq!(service.get(LIST, &admin_token()).await.text, "[]");
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
async fn another_users_session_is_as_unknown_as_one_that_never_was() {
    let mut service = Service::start().await;
    let others = service.sign_in("75", "phone").await.id.to_string();
    let never = SessionId::new(at(0), [7; 10]).to_string();
    let (a, b) = (
        service.delete(&end(&others), &admin_token()).await,
        service.delete(&end(&never), &admin_token()).await,
    );
    assert_eq!(a.problem(404, "session_not_found"), "Session not found");
    assert_eq!((a.text, a.headers), (b.text, b.headers));
    assert_eq!(service.get("/sessions/user/75", &admin_token()).await.ids(), [others]);
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
async fn a_cursor_is_of_no_use_for_another_user() {
    let mut service = Service::start().await;
    for owner in ["74", "75"] {
        service.sign_in(owner, "a").await;
        service.sign_in(owner, "b").await;
    }
    let page = service.get("/sessions/user/74?include_inactive=true&limit=1", &admin_token()).await;
    let link = page.headers["link"].clone();
    let cursor = link.split("cursor=").nth(1).unwrap().split('>').next().unwrap();
    assert!(cursor.len() <= 40, "{cursor}");
    let mut edited = cursor.to_owned();
    edited.replace_range(0..1, if cursor.starts_with('A') { "B" } else { "A" });
    let own = service
        .get(&format!("/sessions/user/74?include_inactive=true&cursor={cursor}"), &admin_token())
        .await;
    assert_eq!(own.ids().len(), 1);
    for (user, cursor) in [("75", cursor), ("74", &edited), ("74", ""), ("74", "x"), ("74", "eyJhIjoxfQ")] {
        let target = format!("/sessions/user/{user}?include_inactive=true&cursor={cursor}");
        service.get(&target, &admin_token()).await.problem(400, "bad_cursor");
    }
}

#[tokio::test]
async fn a_caller_who_is_no_admin_is_refused_with_403() {
    let mut service = Service::start().await;
    let session = service.sign_in("74", "phone").await.id.to_string();
    let user = user_token("75");
    let reply = service.get(LIST, &user).await;
    assert_eq!(reply.problem(403, "admin_only"), "Only admins can view other users' sessions");
    for target in [LIST.to_owned(), end(&session), format!("{LIST}?dry_run=true")] {
        let reply = service.delete(&target, &user).await;
        assert_eq!(reply.problem(403, "admin_only"), "Only admins can end other users' sessions");
    }
    assert_eq!(service.get(LIST, &admin_token()).await.ids(), [session]);
}

#[tokio::test]
async fn an_admin_asking_for_themself_is_sent_to_their_own_sessions() {
    let mut service = Service::start().await;
    let own = service.sign_in("1", "panel").await.id.to_string();
    let sentence = "Use /my-sessions endpoint for your own sessions";
    assert_eq!(service.get("/sessions/user/1", &admin_token()).await.problem(400, "own_sessions"), sentence);
    for target in ["/sessions/user/1".to_owned(), format!("/sessions/user/1/session/{own}")] {
        assert_eq!(service.delete(&target, &admin_token()).await.problem(400, "own_sessions"), sentence);
    }
}

#[tokio::test]
async fn an_admin_whose_own_session_has_ended_is_out_at_once() {
    let mut service = Service::start().await;
    let own = service.sign_in("1", "panel").await;
    let target = service.sign_in("74", "phone").await.id.to_string();
    let token = |sid: &str| token::token("1", Some("admin"), Some(sid), START + 100_000);
    let mine = token(&own.id.to_string());
    assert_eq!(service.get(LIST, &mine).await.ids().len(), 1);
    service.store().end_all(&user("1"), None, None, &ending("2", service.now)).await.unwrap();
    for token in [mine, token("not-one-of-ours"), token(&target)] {
        assert_eq!(service.get(LIST, &token).await.problem(401, "session_ended"), "Session has ended");
        assert_eq!(service.delete(LIST, &token).await.problem(401, "session_ended"), "Session has ended");
        assert_eq!(
            service.delete(&end(&target), &token).await.problem(401, "session_ended"),
            "Session has ended"
        );
    }
    assert_eq!(service.get(LIST, &admin_token()).await.ids(), [target]);
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
    use aws_sdk_dynamodb::types::AttributeValue::{L, N, Ss};
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
async fn ids_that_are_none_are_refused() {
    let service = Service::start().await;
    let long = "a".repeat(256);
    let users = [
        "",
        "%00",
        "..",
        ".",
        "a%2Fb",
        "a%5Cb",
        "%20",
        "a%20b",
        "%0A",
        "%C3%A9",
        "%FF",
        "%2537%2534",
        "%",
        "%3F",
        &long,
    ];
    for id in users {
        let detail = service.get(&format!("/sessions/user/{id}"), &admin_token()).await;
        assert!(detail.problem(400, "bad_user_id").starts_with("user_id must be"), "{id}");
        let target = format!("/sessions/user/{id}/session/01900000-0000-7000-8000-000000000000");
        service.delete(&target, &admin_token()).await.problem(400, "bad_user_id");
    }
    let sessions = [
        "",
        "..",
        "%00",
        "1",
        "01900000-0000-7000-8000-00000000000g",
        "{01900000-0000-7000-8000-000000000000}",
        "01900000000070008000000000000000",
        "urn:uuid:01900000-0000-7000-8000-000000000000",
        "profile",
        "%FF",
        &long,
    ];
    for id in sessions {
        let detail = service.delete(&end(id), &admin_token()).await;
        assert!(detail.problem(400, "bad_session_id").starts_with("session_id must be"), "{id}");
    }
    // The longest id there may be, and one that needs decoding, once.
    assert_eq!(service.get(&format!("/sessions/user/{}", "a".repeat(255)), &admin_token()).await.text, "[]");
    assert_eq!(service.get("/sessions/user/%37%34", &admin_token()).await.text, "[]");
}

#[tokio::test]
async fn what_the_gateway_has_decoded_is_not_decoded_again() {
    let service = Service::start().await;
    let call = Call::new("GET", "/sessions/user/%37").with("/pathParameters", json!({"user_id": "%37"}));
    call.token(&admin_token()).send(&service).await.problem(400, "bad_user_id");
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_refused() {
    let service = Service::start().await;
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
    ];
    for (method, query, code) in cases {
        let reply = Call::new(method, &format!("{LIST}?{query}")).token(&admin_token()).send(&service).await;
        let name = query.split('=').next().unwrap();
        assert!(reply.problem(400, code).starts_with(name), "{query}: {}", reply.text);
    }
    // The longest note there may be, counted in characters; and names nobody knows.
    let fits = format!("{LIST}?reason={}&unknown=1", "%C3%A9".repeat(256));
    service.delete(&fits, &admin_token()).await.ok();
}

#[tokio::test]
async fn a_body_where_none_belongs_is_refused() {
    let service = Service::start().await;
    for method in ["GET", "DELETE"] {
        let call = Call::new(method, LIST).token(&admin_token()).body("{}");
        assert_eq!(call.send(&service).await.problem(400, "unexpected_body"), "This request takes no body");
    }
}

#[tokio::test]
async fn paths_and_methods_that_are_none_are_refused() {
    let service = Service::start().await;
    for path in [
        "/",
        "",
        "/sessions",
        "/sessions/users/74",
        "/sessions/user/74/",
        "/sessions/user/74/75",
        "/sessions/user/74/session",
        "/sessions/user/74/../75",
        "//sessions/user/74",
        "/sessions/user/74/session/a/b",
    ] {
        service.get(path, &admin_token()).await.problem(404, "route_not_found");
    }
    let id = "01900000-0000-7000-8000-000000000000";
    for (method, path, allow) in [
        ("POST", LIST.to_owned(), "GET, DELETE"),
        ("HEAD", LIST.to_owned(), "GET, DELETE"),
        ("GET", end(id), "DELETE"),
    ] {
        let reply = Call::new(method, &path).token(&admin_token()).send(&service).await;
        reply.problem(405, "method_not_allowed");
        assert_eq!(reply.headers["allow"], allow);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_only_to_those_who_say_who_they_are() {
    let service = Service::start().await;
    for target in ["/sessions/user/%00", "/sessions/user/74?limit=0"] {
        Call::new("GET", target).send(&service).await.problem(401, "token_missing");
    }
}

#[tokio::test]
async fn an_item_that_cannot_be_read_fails_the_list_instead_of_leaving_it_out() {
    let mut service = Service::start().await;
    service.sign_in("74", "phone").await;
    let put = service.client().put_item().table_name(&service.database.table);
    let key = text("session#01900000-0000-7000-8000-000000000000");
    put.item("user_id", text("74")).item("sk", key.clone()).item("live_sk", key).send().await.unwrap();
    service.get(LIST, &admin_token()).await.problem(500, "internal_error");
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_503_and_never_an_empty_list() {
    let service = Service::on(nowhere(), &[]);
    let id = "01900000-0000-7000-8000-000000000000";
    let (admin, end) = (admin_token(), end(id));
    let replies = tokio::join!(
        service.get(LIST, &admin),
        service.get("/sessions/user/74?include_inactive=true", &admin),
        service.delete(LIST, &admin),
        service.delete(&end, &admin),
    );
    for reply in [replies.0, replies.1, replies.2, replies.3] {
        reply.problem(503, "store_unavailable");
        assert_eq!(reply.headers["retry-after"], "1");
    }
}

#[tokio::test]
async fn events_that_lambda_http_cannot_take_are_answered_with_400() {
    let service = Service::start().await;
    let long = "a".repeat(70_000);
    let calls = [
        Call::new("GET", LIST).with("/rawQueryString", json!("a b")),
        Call::new("GET", LIST).with("/rawQueryString", json!(long)),
        Call::new("GET", LIST).with("/headers/host", json!("a b")),
        Call::new("GET", LIST)
            .with("/requestContext/authorizer", json!({"jwt": {"claims": {"id": 74}, "scopes": null}})),
    ];
    for call in calls {
        call.token(&admin_token()).send(&service).await.problem(400, "bad_event");
    }
    for event in [json!({}), json!(null), json!("text"), json!([1])] {
        service.event(&event).await.problem(400, "bad_event");
    }
    // And the process lives on.
    assert_eq!(service.get(LIST, &admin_token()).await.text, "[]");
}

fn text(value: &str) -> aws_sdk_dynamodb::types::AttributeValue {
    aws_sdk_dynamodb::types::AttributeValue::S(value.into())
}

fn ending(by: &str, at: jiff::Timestamp) -> sessions::session::Ending {
    let reason = sessions::session::EndReason::RevokedByAdmin;
    sessions::session::Ending { at, by: Some(user(by)), reason, note: None }
}

#[tokio::test]
async fn times_finer_than_the_table_keeps_make_no_difference() {
    let mut service = Service::start().await;
    service.pass(SignedDuration::from_nanos(123_456_789));
    let body = json!({"device_fingerprint": "f"});
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
