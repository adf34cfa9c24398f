//! Paths, ids and cursors that lead elsewhere.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::*;

const BAD_USER: Outcome = Some("bad_user_id");
const BAD_SESSION: Outcome = Some("bad_session_id");
const NO_ROUTE: Outcome = Some("route_not_found");
const NOT_FOUND: Outcome = Some("session_not_found");

const GOOD_USERS: &str = "74|%37%34|74;id=75|74,75|profile|*|$%7Bjndi:x%7D";

/// Dots, slashes, other paths, control characters, other scripts, invisible characters and broken UTF-8.
const BAD_USERS: &str = "|.|..|%2e%2e|%2E|%2F|74%2F|..%2Fcreate|74%2F..%2F75|%252F|%2537%2534|%5C..%5C\
    |session%2301900000-0000-7000-8000-000000000000|74%3Fcursor=|74%23|%00|74%00|74%0D%0ASet-Cookie:%20a=b\
    |74%09|74%20|+74%7F|%27%20OR%201=1|%EF%BC%97%EF%BC%94|%D9%A7%D9%A4|7%D0%A74|%E2%80%8F74|74%E2%80%AE\
    |74%E2%80%8B|%EF%BB%BF74|%C0%AF|%C0%AE%C0%AE|%E0%80%AF|%F0%80%80%AF|%ED%A0%80|%F4%90%80%80|%FF|%37%3|%|%u0037";

const UNKNOWN_SESSIONS: &str = "01900000-0000-7000-8000-000000000000|%301900000-0000-7000-8000-000000000000\
    |00000000-0000-0000-0000-000000000000|ffffffff-ffff-ffff-ffff-ffffffffffff";

const BAD_SESSIONS: &str = "|1|profile|session|session%2301900000-0000-7000-8000-000000000000\
    |%2301900000-0000-7000-8000-00000000000|..|%2e%2e|..%2Flogout|%252e%252e|01900000-0000-7000-8000-000000000000%00\
    |01900000-0000-7000-8000-00000000000%00|01900000-0000-7000-8000-000000000000%20\
    |01900000-0000-7000-8000-000000000000;|01900000-0000-7000-8000-0000000000000\
    |0190000-00000-7000-8000-000000000000|01900000000070008000000000000000\
    |%7B01900000-0000-7000-8000-0000000000%7D|01900000-0000-7000-8000-0000000000%EF%BC%90\
    |01900000%E2%80%90000-7000-8000-000000000000|01900000-0000-7000-8000-00000000%C0%B0\
    |01900000-0000-7000-8000-00000000000%FF";

/// Sends each id between the bars of a list, as it is and as the gateway hands it over once it has decoded it.
/// A slash that the gateway has decoded makes another path.
async fn try_ids(service: &Service, method: &str, path: &str, ids: &str, outcome: Outcome) {
    for id in ids.split('|') {
        let call = |id: &str| Call::new(method, &path.replace("{id}", id)).token(&admin_token());
        let attempt = format!("{method} {path} with {id}");
        came_to(&call(id).send(service).await, outcome, &attempt);
        let decoded = percent_decode_str(id).decode_utf8_lossy().into_owned();
        let outcome = if decoded.contains('/') { NO_ROUTE } else { outcome };
        // `Call` would split the path at a question mark.
        let call = call("x").with("/rawPath", json!(path.replace("{id}", &decoded)));
        let call = call.with("/pathParameters", json!({"id": decoded}));
        came_to(&call.send(service).await, outcome, &format!("{attempt}, decoded"));
    }
}

#[tokio::test]
async fn user_ids_are_decoded_once_and_validated() {
    let service = Service::start().await;
    try_ids(&service, "GET", "/sessions/user/{id}", GOOD_USERS, None).await;
    try_ids(&service, "GET", "/sessions/user/{id}", BAD_USERS, BAD_USER).await;
    // No user has a session with this id, so a good user id gets 404 `session_not_found`.
    let end = format!("/sessions/user/{{id}}/session/{NEVER}");
    try_ids(&service, "DELETE", &end, GOOD_USERS, NOT_FOUND).await;
    try_ids(&service, "DELETE", &end, BAD_USERS, BAD_USER).await;
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
async fn session_ids_are_uuids() {
    let mut service = Service::start().await;
    let own = service.sign_in("1", "panel").await.id.to_string();
    let own_routes = ["GET", "DELETE"].map(|method| (method, "/sessions/session/{id}"));
    for (method, path) in [("DELETE", "/sessions/user/74/session/{id}")].into_iter().chain(own_routes) {
        try_ids(&service, method, path, UNKNOWN_SESSIONS, NOT_FOUND).await;
        try_ids(&service, method, path, BAD_SESSIONS, BAD_SESSION).await;
    }
    for length in [1_000, 5_000] {
        let target = format!("/sessions/session/{}", "0".repeat(length));
        came_to(&service.get(&target, &admin_token()).await, BAD_SESSION, "a long id");
    }
    // The letters of a UUID are read in either case (RFC 9562 section 4): it names the same session.
    let shown = service.get(&format!("/sessions/session/{}", own.to_uppercase()), &admin_token()).await;
    assert_eq!(shown.ok()["id"], own.as_str());
}

const WRONG_PATHS: &str = "|/|/sessions/|/sessions/users/74|/sessions/user/74/75\
    |/sessions/user/74/session/a/b|//sessions/user/74|/sessions//user/74|/sessions/user//74\
    |/sessions/user/74/|/sessions/user/74//|/sessions/./user/74|/./sessions/user/74|/x/../sessions/user/74\
    |/sessions/user/75/../74|/sessions%2Fuser%2F74|/sessions/user%2F74|/sessions/%75ser/74\
    |/%73essions/user/74|/Sessions/user/74|/sessions/User/74|/sessions;/user/74|/sessions/user;a=b/74\
    |/sessions/my-sessions/|/sessions/my-sessions;|/sessions/my-sessions%00|/sessions/my%2Dsessions\
    |/sessions/current/..|\\sessions\\user\\74|/dev/sessions/user/74|/sessions/user/74/session\
    |/sessions/user/74/sessions/01900000-0000-7000-8000-000000000000\
    |https://api.example.com/sessions/user/74|sessions/user/74";

#[tokio::test]
async fn a_path_has_one_spelling() {
    let service = Service::start().await;
    for path in WRONG_PATHS.split('|') {
        came_to(&service.get(path, &admin_token()).await, NO_ROUTE, path);
        let decoded = Call::new("GET", path).with("/pathParameters", json!({"user_id": "74"}));
        came_to(&decoded.token(&admin_token()).send(&service).await, NO_ROUTE, path);
    }
    // Only the path counts. The parameters of the gateway and paths in headers have no effect.
    let misled = Call::new("GET", "/sessions/user/1").with("/pathParameters", json!({"user_id": "74"}));
    came_to(&misled.token(&admin_token()).send(&service).await, Some("own_sessions"), "parameters");
    for header in ["x-original-url", "x-rewrite-url", "x-forwarded-prefix", "x-http-method-override"] {
        let call = Call::new("GET", LIST).token(&admin_token()).header(header, "/sessions/user/1");
        came_to(&call.send(&service).await, None, header);
    }
}

#[tokio::test]
async fn a_cursor_is_valid_only_unchanged_and_for_its_own_list() {
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
