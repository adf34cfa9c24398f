//! Paths, ids and cursors that lead elsewhere.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::*;

/// A path as it is sent, and as the gateway hands it over once it has decoded it.
struct Path {
    sent: &'static str,
    outcome: Outcome,
    decoded: &'static str,
    outcome_decoded: Outcome,
}

const BAD_USER: Outcome = Some("bad_user_id");
const BAD_SESSION: Outcome = Some("bad_session_id");
const NO_ROUTE: Outcome = Some("route_not_found");
const NOT_FOUND: Outcome = Some("session_not_found");

/// The same outcome, decoded or not.
const fn both(sent: &'static str, decoded: &'static str, outcome: Outcome) -> Path {
    Path { sent, outcome, decoded, outcome_decoded: outcome }
}

/// One where what the gateway makes of it is another path.
const fn apart(
    sent: &'static str,
    outcome: Outcome,
    decoded: &'static str,
    outcome_decoded: Outcome,
) -> Path {
    Path { sent, outcome, decoded, outcome_decoded }
}

/// Sends a path both ways; `before` and `after` stand around the id.
async fn try_path(service: &Service, method: &str, path: &Path, before: &str, after: &str) {
    let call = |id: &str| Call::new(method, &format!("{before}{id}{after}")).token(&admin_token());
    let attempt = format!("{method} {before}{}{after}", path.sent);
    came_to(&call(path.sent).send(service).await, path.outcome, &attempt);
    // A target with a question mark in it is not what Call takes apart.
    let raw = format!("{before}{}{after}", path.decoded);
    let decoded = call("x").with("/rawPath", json!(raw)).with("/pathParameters", json!({"id": path.decoded}));
    came_to(&decoded.send(service).await, path.outcome_decoded, &format!("{attempt}, decoded"));
}

#[tokio::test]
async fn ids_of_users_are_decoded_once_and_held_to_their_form() {
    let service = Service::start().await;
    let paths = [
        both("74", "74", None),
        both("%37%34", "74", None),
        both("74;id=75", "74;id=75", None),
        both("74,75", "74,75", None),
        both("profile", "profile", None),
        both("*", "*", None),
        both("$%7Bjndi:x%7D", "${jndi:x}", None),
        both("", "", BAD_USER),
        both(".", ".", BAD_USER),
        both("..", "..", BAD_USER),
        both("%2e%2e", "..", BAD_USER),
        both("%2E", ".", BAD_USER),
        apart("%2F", BAD_USER, "/", NO_ROUTE),
        apart("74%2F", BAD_USER, "74/", NO_ROUTE),
        apart("..%2Fcreate", BAD_USER, "../create", NO_ROUTE),
        apart("74%2F..%2F75", BAD_USER, "74/../75", NO_ROUTE),
        both("%252F", "%2F", BAD_USER),
        both("%2537%2534", "%37%34", BAD_USER),
        both("%5C..%5C", "\\..\\", BAD_USER),
        both(
            "session%2301900000-0000-7000-8000-000000000000",
            "session#01900000-0000-7000-8000-000000000000",
            BAD_USER,
        ),
        both("74%3Fcursor=", "74?cursor=", BAD_USER),
        both("74%23", "74#", BAD_USER),
        both("%00", "\0", BAD_USER),
        both("74%00", "74\0", BAD_USER),
        both("74%0D%0ASet-Cookie:%20a=b", "74\r\nSet-Cookie: a=b", BAD_USER),
        both("74%09", "74\t", BAD_USER),
        both("74%20", "74 ", BAD_USER),
        both("+74%7F", "+74\u{7f}", BAD_USER),
        both("%27%20OR%201=1", "' OR 1=1", BAD_USER),
        both("%EF%BC%97%EF%BC%94", "７４", BAD_USER),
        both("%D9%A7%D9%A4", "٧٤", BAD_USER),
        both("7%D0%A74", "7Ч4", BAD_USER),
        both("%E2%80%8F74", "\u{200f}74", BAD_USER),
        both("74%E2%80%AE", "74\u{202e}", BAD_USER),
        both("74%E2%80%8B", "74\u{200b}", BAD_USER),
        both("%EF%BB%BF74", "\u{feff}74", BAD_USER),
        // What is no UTF-8 is replaced by the gateway.
        both("%C0%AF", "\u{fffd}\u{fffd}", BAD_USER),
        both("%C0%AE%C0%AE", "\u{fffd}\u{fffd}", BAD_USER),
        both("%E0%80%AF", "\u{fffd}", BAD_USER),
        both("%F0%80%80%AF", "\u{fffd}", BAD_USER),
        both("%ED%A0%80", "\u{fffd}", BAD_USER),
        both("%F4%90%80%80", "\u{fffd}", BAD_USER),
        both("%FF", "\u{fffd}", BAD_USER),
        both("%37%3", "7%3", BAD_USER),
        both("%", "%", BAD_USER),
        both("%u0037", "%u0037", BAD_USER),
    ];
    for path in &paths {
        try_path(&service, "GET", path, "/sessions/user/", "").await;
        // No user has a session of this name, so that a good id is seen by what it does not find.
        let ending = |outcome: Outcome| outcome.or(NOT_FOUND);
        let path =
            Path { outcome: ending(path.outcome), outcome_decoded: ending(path.outcome_decoded), ..*path };
        try_path(&service, "DELETE", &path, "/sessions/user/", &format!("/session/{NEVER}")).await;
    }
    let no_text = service.get("/sessions/user/%FF", &admin_token()).await;
    assert_eq!(no_text.problem(400, "bad_user_id"), "user_id must be UTF-8 when percent-decoded");
    for (length, outcome) in [(255, None), (256, BAD_USER), (5_000, BAD_USER)] {
        let target = format!("/sessions/user/{}", "7".repeat(length));
        came_to(&service.get(&target, &admin_token()).await, outcome, "a long id");
    }
    let encoded = format!("/sessions/user/{}", "%37".repeat(255));
    came_to(&service.get(&encoded, &admin_token()).await, None, "a long id, encoded");
}

#[tokio::test]
async fn ids_of_sessions_are_uuids_alone() {
    let mut service = Service::start().await;
    let own = service.sign_in("1", "panel").await.id.to_string();
    let paths = [
        both(NEVER, NEVER, NOT_FOUND),
        both("%301900000-0000-7000-8000-000000000000", NEVER, NOT_FOUND),
        both("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000", NOT_FOUND),
        both("ffffffff-ffff-ffff-ffff-ffffffffffff", "ffffffff-ffff-ffff-ffff-ffffffffffff", NOT_FOUND),
        both("1", "1", BAD_SESSION),
        both("profile", "profile", BAD_SESSION),
        both("session", "session", BAD_SESSION),
        both(
            "session%2301900000-0000-7000-8000-000000000000",
            "session#01900000-0000-7000-8000-000000000000",
            BAD_SESSION,
        ),
        both("%2301900000-0000-7000-8000-00000000000", "#01900000-0000-7000-8000-00000000000", BAD_SESSION),
        both("", "", BAD_SESSION),
        both("..", "..", BAD_SESSION),
        both("%2e%2e", "..", BAD_SESSION),
        apart("..%2Flogout", BAD_SESSION, "../logout", NO_ROUTE),
        both("%252e%252e", "%2e%2e", BAD_SESSION),
        both(
            "01900000-0000-7000-8000-000000000000%00",
            "01900000-0000-7000-8000-000000000000\0",
            BAD_SESSION,
        ),
        both("01900000-0000-7000-8000-00000000000%00", "01900000-0000-7000-8000-00000000000\0", BAD_SESSION),
        both("01900000-0000-7000-8000-000000000000%20", "01900000-0000-7000-8000-000000000000 ", BAD_SESSION),
        both("01900000-0000-7000-8000-000000000000;", "01900000-0000-7000-8000-000000000000;", BAD_SESSION),
        both("01900000-0000-7000-8000-0000000000000", "01900000-0000-7000-8000-0000000000000", BAD_SESSION),
        both("0190000-00000-7000-8000-000000000000", "0190000-00000-7000-8000-000000000000", BAD_SESSION),
        both("01900000000070008000000000000000", "01900000000070008000000000000000", BAD_SESSION),
        both("%7B01900000-0000-7000-8000-0000000000%7D", "{01900000-0000-7000-8000-0000000000}", BAD_SESSION),
        both(
            "01900000-0000-7000-8000-0000000000%EF%BC%90",
            "01900000-0000-7000-8000-0000000000０",
            BAD_SESSION,
        ),
        both(
            "01900000%E2%80%90000-7000-8000-000000000000",
            "01900000‐000-7000-8000-000000000000",
            BAD_SESSION,
        ),
        both(
            "01900000-0000-7000-8000-00000000%C0%B0",
            "01900000-0000-7000-8000-00000000\u{fffd}",
            BAD_SESSION,
        ),
        both(
            "01900000-0000-7000-8000-00000000000%FF",
            "01900000-0000-7000-8000-000000000\u{fffd}",
            BAD_SESSION,
        ),
    ];
    for path in &paths {
        try_path(&service, "DELETE", path, "/sessions/user/74/session/", "").await;
        for method in ["GET", "DELETE"] {
            try_path(&service, method, path, "/sessions/session/", "").await;
        }
    }
    for length in [1_000, 5_000] {
        let target = format!("/sessions/session/{}", "0".repeat(length));
        came_to(&service.get(&target, &admin_token()).await, BAD_SESSION, "a long id");
    }
    // The letters of a UUID are read in either case (RFC 9562 section 4): it names the same session.
    let shown = service.get(&format!("/sessions/session/{}", own.to_uppercase()), &admin_token()).await;
    assert_eq!(shown.ok()["id"], own.as_str());
}

#[tokio::test]
async fn a_path_has_one_spelling() {
    let service = Service::start().await;
    let paths = [
        "",
        "/",
        "/sessions",
        "/sessions/users/74",
        "/sessions/user/74/75",
        "/sessions/user/74/session/a/b",
        "//sessions/user/74",
        "/sessions//user/74",
        "/sessions/user//74",
        "/sessions/user/74/",
        "/sessions/user/74//",
        "/sessions/./user/74",
        "/./sessions/user/74",
        "/x/../sessions/user/74",
        "/sessions/user/75/../74",
        "/sessions%2Fuser%2F74",
        "/sessions/user%2F74",
        "/sessions/%75ser/74",
        "/%73essions/user/74",
        "/Sessions/user/74",
        "/sessions/User/74",
        "/sessions;/user/74",
        "/sessions/user;a=b/74",
        "/sessions/my-sessions/",
        "/sessions/my-sessions;",
        "/sessions/my-sessions%00",
        "/sessions/my%2Dsessions",
        "/sessions/current/..",
        "\\sessions\\user\\74",
        "/dev/sessions/user/74",
        "/sessions/user/74/session",
        "/sessions/user/74/sessions/01900000-0000-7000-8000-000000000000",
        "https://api.example.com/sessions/user/74",
        "sessions/user/74",
    ];
    for path in paths {
        came_to(&service.get(path, &admin_token()).await, NO_ROUTE, path);
        let decoded = Call::new("GET", path).with("/pathParameters", json!({"user_id": "74"}));
        came_to(&decoded.token(&admin_token()).send(&service).await, NO_ROUTE, path);
    }
    // The path decides, not what the gateway took for its parameters, nor where else a path may stand.
    let misled = Call::new("GET", "/sessions/user/1").with("/pathParameters", json!({"user_id": "74"}));
    came_to(&misled.token(&admin_token()).send(&service).await, Some("own_sessions"), "parameters");
    for header in ["x-original-url", "x-rewrite-url", "x-forwarded-prefix", "x-http-method-override"] {
        let call = Call::new("GET", LIST).token(&admin_token()).header(header, "/sessions/user/1");
        came_to(&call.send(&service).await, None, header);
    }
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_and_unchanged_alone() {
    let mut service = Service::start().await;
    for owner in ["74", "75", "1"] {
        for device in ["a", "b", "c"] {
            service.sign_in(owner, device).await;
        }
    }
    let admin = admin_token();
    let cursor = async |target: &str, token: &str| {
        let page = service.get(target, token).await;
        let link = page.headers["link"].split_once("cursor=").unwrap().1.to_owned();
        link.strip_suffix(">; rel=\"next\"").unwrap().to_owned()
    };
    let of_74 = cursor("/sessions/user/74?limit=1", &admin).await;
    let mut attempts = vec![
        cursor("/sessions/user/75?limit=1", &admin).await,
        cursor("/sessions/my-sessions?limit=1", &admin).await,
        format!("{of_74}="),
        format!("{of_74}A"),
        format!("{of_74}AAAA"),
        of_74[..31].to_owned(),
        of_74[..28].to_owned(),
        of_74.to_lowercase(),
        format!("%20{of_74}"),
        format!("{of_74}%00"),
        "%FF".into(),
        "null".into(),
        "-1".into(),
        "profile".into(),
        NEVER.into(),
        String::new(),
        "x".into(),
        "A".repeat(32),
        "A".repeat(50_000),
        URL_SAFE_NO_PAD.encode(r#"{"user_id":"74","sk":"profile"}"#),
    ];
    let bytes = URL_SAFE_NO_PAD.decode(&of_74).unwrap();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut edited = bytes.clone();
            edited[at] ^= flip;
            attempts.push(URL_SAFE_NO_PAD.encode(edited));
        }
    }
    for inactive in [true, false] {
        let list = format!("/sessions/user/74?include_inactive={inactive}&cursor=");
        assert_eq!(service.get(&format!("{list}{of_74}"), &admin).await.ids().len(), 2);
        for attempt in &attempts {
            came_to(&service.get(&format!("{list}{attempt}"), &admin).await, Some("bad_cursor"), attempt);
        }
        let twice = format!("{list}{of_74}&cursor={of_74}");
        came_to(&service.get(&twice, &admin).await, Some("bad_parameter"), "two cursors");
        let own = format!("/sessions/my-sessions?include_inactive={inactive}&cursor={of_74}");
        came_to(&service.get(&own, &user_token("75")).await, Some("bad_cursor"), "another user's cursor");
    }
}
