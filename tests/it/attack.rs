//! What an attacker tries: each attempt has the one status and code that it must get.

mod injections;
mod key_set;
mod logout_token;
mod paths;
mod privilege;
mod tokens;

use std::sync::LazyLock;

use crate::support::*;
use serde_json::json;
use sessions::http::problem::Code;

const LIST: &str = "/sessions/user/74";
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// The outcome of an attempt: `None` is a success, `Some` the code of the refusal.
type Outcome = Option<&'static str>;

const MALFORMED: Outcome = Some("token_malformed");
const INVALID: Outcome = Some("token_invalid");
const EXPIRED: Outcome = Some("token_expired");
const NO_USER: Outcome = Some("token_names_no_user");

/// The status of a code.
fn status(code: &str) -> u64 {
    let code = Code::ALL.iter().find(|each| each.as_str() == code).unwrap();
    code.status().as_u16().into()
}

/// The texts between the `|` characters of a list.
fn listed(list: &str) -> impl Iterator<Item = &str> {
    list.split('|').map(str::trim)
}

/// How the detail of a refusal begins: clients look for some of these sentences.
fn sentence(code: &str) -> &'static str {
    match code {
        "admin_only" => "Only admins can ",
        "bad_session_id" => "session_id must be",
        "bad_user_id" => "user_id must be",
        "own_sessions" => "Use /my-sessions endpoint for your own sessions",
        "session_ended" => "Session has ended",
        "session_not_found" => "Session not found",
        "token_missing" => "The bearer token is missing",
        _ => "",
    }
}

/// Asserts the outcome of an attempt; a success is an empty list.
fn came_to(reply: &Reply, outcome: Outcome, attempt: &str) {
    let expected = (outcome.map_or(200, status), outcome);
    assert_eq!((reply.status, reply.body["code"].as_str()), expected, "{attempt}: {}", reply.text);
    match outcome {
        None => assert_eq!(reply.text, "[]", "{attempt}"),
        Some(code) => {
            let detail = reply.body["detail"].as_str().unwrap();
            assert!(detail.starts_with(sentence(code)), "{attempt}: {detail}");
        }
    }
}

/// Claims of the admin as JSON, with `more` members after the good ones.
fn claims(more: &str) -> String {
    format!(r#"{{"sub":"1","role":"admin","exp":{}{more}}}"#, START + 60)
}

fn signed(header: &str, claims: &str) -> String {
    token::sign_text(header, claims, token::SECRET)
}

/// The routes that are only for admins, about user 74.
static ADMIN_ROUTES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let is_for_admins = |sample: &&Sample| sample.is_for(Role::Admin) && sample.route.contains("{user_id}");
    SAMPLES.iter().filter(is_for_admins).map(|sample| sample.route).collect()
});

#[tokio::test]
async fn events_that_are_not_requests_are_refused() {
    let service = Service::start().await;
    let broken = json!({"requestContext": 1});
    for event in [json!({}), json!(null), json!([]), json!(""), json!(7), broken, json!({"version": "1.0"})] {
        service.event(&event).await.problem(400, "bad_event");
    }
    let claims = json!({"jwt": {"claims": {"id": 74}, "scopes": null}});
    for call in [
        Call::new("GET", LIST).with("/rawQueryString", json!("a".repeat(70_000))),
        Call::new("GET", LIST).with("/requestContext/authorizer", claims),
    ] {
        call.token(&admin_token()).send(&service).await.problem(400, "bad_event");
    }
}
