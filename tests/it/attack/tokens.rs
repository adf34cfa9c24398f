//! Tokens that are forged, bent or in the wrong place.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::json;

use super::*;

#[tokio::test]
async fn the_header_of_a_token_points_to_no_other_key_or_algorithm() {
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
        (r#""HS256""#, MALFORMED),
        (r#"{"typ":"JWT"}"#, MALFORMED),
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
async fn claims_count_in_their_own_form_alone() {
    let service = Service::start().await;
    let max = sessions::session::LATEST_SECOND;
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
async fn issuer_and_audience_must_be_the_texts_that_are_set() {
    let service = Service::with(&[("JWT_ISSUER", "panel"), ("JWT_AUDIENCE", "7")]).await;
    for claims in [claims(""), claims(r#","iss":"panel""#), claims(r#","aud":"7""#)] {
        came_to(&service.get(LIST, &signed(HEADER, &claims)).await, INVALID, &claims);
    }
    let cases: &[(&str, &str, Outcome)] = &[
        (r#""panel""#, r#""7""#, None),
        (r#""panel""#, r#"["6","7"]"#, None),
        (r#""panel""#, "7", INVALID),
        (r#""panel""#, "[7]", INVALID),
        (r#""panel""#, r#"[["7"]]"#, INVALID),
        (r#""panel""#, r#"{"7":true}"#, INVALID),
        (r#""panel""#, "null", INVALID),
        (r#""panel""#, "[]", INVALID),
        (r#""panel""#, r#""6""#, INVALID),
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
async fn a_token_has_one_encoding() {
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
        ("no part, four times", "...".into(), MALFORMED),
        ("one letter", "a".into(), MALFORMED),
        ("three letters", "a.b.c".into(), MALFORMED),
        ("a part too many, first", format!(".{good}"), MALFORMED),
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
async fn a_signature_has_one_alphabet() {
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
async fn a_token_counts_in_one_place_alone() {
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
        (format!("Bearer {good} {good}"), MALFORMED),
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
        Call::new("GET", LIST),
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
