//! Users who try to be admins, admins whose session has ended, and the sessions of others.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sessions::session::SessionId;

use super::*;

#[tokio::test]
async fn admin_routes_are_for_admins_and_for_sessions_of_other_users() {
    let mut service = Service::start().await;
    let session = service.sign_in("74", "phone").await.id.to_string();
    let of_74 = token::token("74", Some("admin"), Some(&session), START + 100_000);
    let callers = [
        (user_token("75"), "admin_only"),
        // A user's own sessions are no exception.
        (user_token("74"), "admin_only"),
        (token::token("74", None, Some(&session), START + 100_000), "admin_only"),
        (token::token("74", Some("admin"), None, START + 100_000), "own_sessions"),
        (of_74, "own_sessions"),
    ];
    for route in ADMIN_ROUTES.iter() {
        assert!(route.contains("/user/{user_id}"));
        for (token, code) in &callers {
            for query in ["", "?dry_run=true", "?include_inactive=true", "?role=admin", "?user_id=1"] {
                let reply = Call::of(&format!("{route}{query}")).token(token).send(&service).await;
                // A caller who may not use the route learns nothing about its parameters.
                let code = if *code == "admin_only" || takes(route, query) { *code } else { "bad_parameter" };
                came_to(&reply, Some(code), &format!("{route}{query}"));
                let act = if route.starts_with("GET") { "view" } else { "end" };
                let sentence = format!("Only admins can {act} other users' sessions");
                assert!(code != "admin_only" || reply.body["detail"] == sentence, "{}", reply.text);
            }
        }
    }
    assert_eq!(service.get(LIST, &admin_token()).await.ids(), [session]);
}

/// Whether the request takes these parameters: a GET ignores unknown ones, a DELETE refuses them.
fn takes(route: &str, query: &str) -> bool {
    let is_end_all = route == "DELETE /sessions/user/{user_id}";
    route.starts_with("GET") || query.is_empty() || (is_end_all && query == "?dry_run=true")
}

#[tokio::test]
async fn a_token_whose_session_is_not_live_is_refused_on_every_route() {
    let mut service = Service::start().await;
    let live = service.sign_in("1", "live").await.id;
    let ended = service.sign_in("1", "ended").await.id;
    let of_other = service.sign_in("74", "other").await.id;
    service.store().end(&user("1"), ended, &ended_by("2", service.now)).await.unwrap();
    let id = |id: SessionId| json!(id.to_string());
    let sids = [
        id(ended),
        id(of_other),
        json!(NEVER),
        json!(format!(" {live}")),
        json!(format!("{live}\u{0}")),
        json!(format!("{{{live}}}")),
        json!(format!("session#{live}")),
        json!([live.to_string()]),
        json!({"id": live.to_string()}),
        json!("profile"),
        json!(""),
        json!(0),
        json!(false),
    ];
    for sid in sids {
        let token = signed(HEADER, &claims(&format!(r#","sid":{sid}"#)));
        for route in ROUTES.iter().copied().filter(|route| !Sample::of(route).is_for_services()) {
            // The header cannot make up for it.
            for call in [Call::good(route), Call::good(route).header("x-session-id", &live.to_string())] {
                came_to(
                    &call.token(&token).send(&service).await,
                    Some("session_ended"),
                    &format!("{route} {sid}"),
                );
            }
        }
    }
    for sid in [id(live), json!(live.to_string().to_uppercase()), json!(null)] {
        let token = signed(HEADER, &claims(&format!(r#","sid":{sid}"#)));
        assert_eq!(service.get(LIST, &token).await.ids(), [of_other.to_string()]);
    }
}

#[tokio::test]
async fn only_the_exact_role_makes_an_admin() {
    let service = Service::start().await;
    let no_admin = Some("admin_only");
    let admins = r#""admin" | ["admin"] | ["user","admin"] | [1,null,{},"admin"]"#;
    let others = r#""Admin" | "ADMIN" | "admin " | " admin" | "admin\u0000" | "admin,user" | "user admin" | "[admin]"
        | "\"admin\"" | "аdmin" | "ａｄｍｉｎ" | "admin\u200b" | "administrator" | "" | [["admin"]]
        | [{"role":"admin"}] | ["admin "] | [] | {"admin":true} | {"role":"admin"} | 1 | true | null"#;
    for (outcome, roles) in [(None, admins), (no_admin, others)] {
        for role in listed(roles) {
            let claims = format!(r#"{{"sub":"1","exp":{},"role":{role}}}"#, START + 60);
            came_to(&service.get(LIST, &signed(HEADER, &claims)).await, outcome, role);
        }
    }
    let elsewhere = r#","role":"user","roles":["admin"],"Role":"admin","admin":true,"scope":"admin""#;
    came_to(&service.get(LIST, &signed(HEADER, &claims(elsewhere))).await, no_admin, elsewhere);
}

#[tokio::test]
async fn claims_that_nobody_verified_are_ignored() {
    let admin = json!({"sub": "1", "role": "admin", "exp": "9999999999"});
    let text = admin.to_string();
    let base64 = URL_SAFE_NO_PAD.encode(&text);
    let spoofed = || {
        let context =
            |authorizer: Value| Call::new("GET", LIST).with("/requestContext/authorizer", authorizer);
        let headers = [
            "x-amzn-oidc-data",
            "x-amzn-oidc-identity",
            "x-apigateway-event",
            "x-amzn-request-context",
            "x-forwarded-user",
            "x-user-id",
            "x-jwt-payload",
            "authorizer",
        ];
        let mut calls = vec![
            Call::new("GET", &format!("{LIST}?sub=1&role=admin&claims={base64}")),
            Call::new("GET", LIST).with("/stageVariables", admin.clone()),
            Call::new("GET", LIST).with("/authorizer", json!({"jwt": {"claims": admin}})),
            Call::new("GET", LIST).with("/claims", admin.clone()),
            Call::new("GET", LIST).with("/pathParameters", admin.clone()),
            Call::new("GET", LIST).with("/queryStringParameters", admin.clone()),
            Call::new("GET", LIST).with("/requestContext/jwt", json!({"claims": admin})),
            Call::new("GET", LIST).with("/requestContext/claims", admin.clone()),
            context(json!({"lambda": admin})),
            context(json!({"lambda": {"jwt": {"claims": admin}}})),
            context(json!({"claims": admin})),
            context(admin.clone()),
            context(json!({"principalId": "1"})),
        ];
        calls.extend(headers.map(|name| Call::new("GET", LIST).header(name, &text)));
        calls.extend(headers.map(|name| Call::new("GET", LIST).header(name, &base64)));
        calls
    };
    let service = Service::start().await;
    for (i, call) in spoofed().into_iter().enumerate() {
        came_to(&call.send(&service).await, Some("token_missing"), &format!("attempt {i}"));
    }
    let body = Call::new("GET", LIST).body(&text);
    came_to(&body.send(&service).await, Some("token_missing"), "a body");
    // They also add nothing to what was verified.
    for (i, call) in spoofed().into_iter().enumerate() {
        let reply = call.token(&user_token("75")).send(&service).await;
        came_to(&reply, Some("admin_only"), &format!("attempt {i}, with a token"));
    }
    // What an authorizer of API Gateway hands over counts for nothing.
    let cases = [
        (Call::new("GET", LIST).verified(admin.clone()), Some("token_missing")),
        (Call::new("GET", LIST).verified(admin).token(&user_token("75")), Some("admin_only")),
        (Call::new("GET", LIST).verified(json!({"sub": "75"})).token(&admin_token()), None),
    ];
    for (i, (call, outcome)) in cases.into_iter().enumerate() {
        came_to(&call.send(&service).await, outcome, &format!("case {i}"));
    }
}

#[tokio::test]
async fn the_session_of_another_user_is_never_the_current_one() {
    let mut service = Service::start().await;
    let other = service.sign_in("75", "phone").await.id.to_string();
    // The same browser has a session, which would stand in if the request had no such header.
    let own = service.post("/sessions/create", &device_token("74"), json!({})).await;
    let own = own.id();
    let cases = [
        ("GET /sessions/current", 401, "no_current_session"),
        ("POST /sessions/update-activity", 401, "no_current_session"),
        ("DELETE /sessions/logout", 404, "nothing_to_log_out"),
        ("DELETE /sessions/logout-all?exclude_current=true", 409, "current_session_unknown"),
    ];
    for (route, status, code) in cases {
        for named in [other.as_str(), NEVER, "profile", "", " ", "é", &format!("{own},{own}")] {
            let call = Call::of(route).token(&user_token("74")).header("x-session-id", named);
            call.send(&service).await.problem(status, code);
        }
    }
    assert_eq!(service.get("/sessions/user/75", &admin_token()).await.ids(), [other]);
    assert_eq!(service.get(LIST, &admin_token()).await.ids(), [own]);
}
