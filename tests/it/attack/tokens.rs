//! Tokens that are forged, bent or in the wrong place.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::json;

use super::*;

#[tokio::test]
async fn the_header_of_a_token_cannot_choose_a_key_or_an_algorithm() {
    let service = Service::start().await;
    let cases = [
        // Where a key might be fetched from, or which it might be, is never looked at.
        (
            None,
            r#"{"alg":"HS256","typ":"JWT"} | {"alg":"HS256","kid":"../../../../dev/null"}
            | {"alg":"HS256","kid":"' UNION SELECT 'key"} | {"alg":"HS256","kid":"https://attacker.example/key"}
            | {"alg":"HS256","jku":"https://attacker.example/jwks"} | {"alg":"HS256","b64":false}
            | {"alg":"HS256","x5u":"https://attacker.example/cert"}
            | {"alg":"HS256","jwk":{"kty":"oct","k":"YXR0YWNrZXI"}}"#,
        ),
        // The last of these are extensions that must be understood and are not (RFC 7515 section 4.1.11).
        (
            INVALID,
            r#"{"alg":"HS384"} | {"alg":"HS512"} | {"alg":"RS256"} | {"alg":"ES256"} | {"alg":"PS256"}
            | {"alg":"EdDSA"} | {"alg":"HS256","crit":[]} | {"alg":"HS256","crit":["exp"]}
            | {"alg":"HS256","crit":["b64"],"b64":false}"#,
        ),
        (
            MALFORMED,
            r#"{"alg":"none"} | {"alg":"None"} | {"alg":"nOnE"} | {"alg":"NONE"} | {"alg":""} | {"alg":null}
            | {"alg":["HS256"]} | {"alg":"hs256"} | {"alg":"HS256 "} | {"alg":"HS256","kid":1}
            | {"alg":"HS256","crit":"exp"} | {"alg":"HS256" | {"alg":"HS256"} {} | ["HS256"] | "HS256"
            | {"typ":"JWT"} | | "#,
        ),
        // Two members with the same name are refused (RFC 7515 section 4).
        (
            MALFORMED,
            r#"{"alg":"none","alg":"HS256"} | {"alg":"HS256","alg":"none"} | {"alg":"HS256","alg":"HS256"}
            | {"alg":"HS256","crit":["exp"],"crit":null}"#,
        ),
    ];
    let each =
        |(outcome, headers): (Outcome, &'static str)| listed(headers).map(move |header| (header, outcome));
    let byte_order_mark = ("\u{feff}{\"alg\":\"HS256\"}", MALFORMED);
    for (header, outcome) in cases.into_iter().flat_map(each).chain([byte_order_mark]) {
        let good = signed(header, &claims(""));
        came_to(&service.get(LIST, &good).await, outcome, header);
        let unsigned = format!("{}.", good.rsplit_once('.').unwrap().0);
        let forged = token::sign_text(header, &claims(""), "YXR0YWNrZXI-of-more-than-32-bytes-000");
        for token in [unsigned, forged] {
            came_to(&service.get(LIST, &token).await, outcome.or(INVALID), header);
        }
    }
}

#[tokio::test]
async fn claims_of_the_wrong_type_are_refused() {
    let service = Service::start().await;
    let max = sessions::session::LATEST_SECOND;
    let claims_with = |exp: &str, more: &str| format!(r#"{{"sub":"1","role":"admin","exp":{exp}{more}}}"#);
    let soon = (START + 60).to_string();
    let exp = |text: &str, outcome| (claims_with(text, ""), outcome);
    let more = |text: &str, outcome| (claims_with(&soon, text), outcome);
    let whole = |text: &str, outcome| (text.to_owned(), outcome);
    let mut cases: Vec<(String, Outcome)> = vec![
        exp(&soon, None),
        exp(&format!("{START}.5"), None),
        exp(&format!("{START}.0"), EXPIRED),
        exp(&format!("{}e-1", (START + 60) * 10), None),
        exp(&max.to_string(), None),
        exp(&(max + 1).to_string(), MALFORMED),
        exp(&format!("[{soon}]"), MALFORMED),
        exp(&format!("\"{soon}\""), MALFORMED),
        exp("-0.0", EXPIRED),
        exp("0", EXPIRED),
        more(&format!(r#","nbf":{}"#, START + 60), None),
        more(&format!(r#","nbf":{}"#, START + 61), Some("token_not_yet_valid")),
        more(&format!(r#","nbf":{}.5"#, START + 60), Some("token_not_yet_valid")),
        more(&format!(r#","nbf":"{START}""#), MALFORMED),
        // When a token was issued decides nothing, whatever it says.
        more(&format!(r#","iat":{}"#, START + 1_000_000), None),
        // Two members with the same name are refused where the name is one of the RFC's own, else the last one
        // counts (RFC 7519 section 4 allows both).
        more(&format!(r#","exp":{}"#, START + 90), MALFORMED),
        more(&format!(r#","nbf":{START},"nbf":{START}"#), MALFORMED),
        more(r#","role":"user""#, Some("admin_only")),
        more(r#","role":null"#, Some("admin_only")),
        more(&format!(r#","sid":null,"sid":"{NEVER}""#), Some("session_ended")),
        more(&format!(r#","sid":"{NEVER}","sid":null"#), None),
        whole(&format!("{} {{}}", claims("")), MALFORMED),
        whole(&format!("\u{feff}{}", claims("")), MALFORMED),
        whole(&format!("{}1{}", r#"{"a":"#.repeat(200), "}".repeat(200)), MALFORMED),
        // A token in a token (RFC 7519 section 5.2) is not accepted.
        whole(&signed(HEADER, &claims("")), MALFORMED),
        whole(&format!("\"{}\"", signed(HEADER, &claims(""))), MALFORMED),
    ];
    let expiries =
        "9223372036854775807 | 18446744073709551616 | 1e400 | -1 | null | [] | {} | true | NaN | Infinity";
    cases.extend(listed(expiries).map(|text| exp(text, MALFORMED)));
    let malformed = r#","nbf":-1 | ,"nbf":1e30 | ,"nbf":null | ,"nbf":[] | ,"sub":"1" | ,"sub":"74"
        | ,"\u0073ub":"74" | ,"iss":"a","iss":"b" | ,"aud":"a","aud":"b""#;
    cases.extend(listed(malformed).map(|text| more(text, MALFORMED)));
    // Where the settings ask for no issuer and no audience, any is accepted.
    let accepted = r#","iat":"yesterday" | ,"iat":-1.5 | ,"iat":null | ,"iat":[] | ,"iss":7,"aud":{} | ,"Sub":"74"
        | ,"role":"user","role":"admin""#;
    cases.extend(listed(accepted).map(|text| more(text, None)));
    let sub = |text: &str, outcome| (format!(r#"{{"sub":{text},"role":"admin","exp":{soon}}}"#), outcome);
    let no_user = r#"1.0 | 1e0 | "1 " | " 1" | "1\u0000" | "１" | "1\u200f" | "1/../74" | ".." | "" | true"#;
    cases.extend(listed(no_user).map(|text| sub(text, NO_USER)));
    cases.extend([sub("1", None), sub(r#"["1"]"#, MALFORMED), sub(r#"{"id":1}"#, MALFORMED)]);
    let objects = r#"{"sub":"1","role":"admin"} | [] | null | 1 | | {"#;
    cases.extend(listed(objects).map(|text| whole(text, MALFORMED)));
    for (claims, outcome) in cases {
        came_to(&service.get(LIST, &signed(HEADER, &claims)).await, outcome, &claims);
    }
}

#[tokio::test]
async fn the_issuer_and_the_audience_must_be_the_configured_ones() {
    let service = Service::with(&[("JWT_ISSUER", "panel"), ("JWT_AUDIENCE", "7")]).await;
    let accepted = r#""iss":"panel","aud":"7" | "iss":"panel","aud":["6","7"]"#;
    let refused = r#""iss":"panel","aud":7 | "iss":"panel","aud":[7] | "iss":"panel","aud":[["7"]]
        | "iss":"panel","aud":{"7":true} | "iss":"panel","aud":null | "iss":"panel","aud":[]
        | "iss":"panel","aud":"6" | "iss":"panel","aud":"7 " | "iss":"panel","aud":"6 7" | "iss":"panel"
        | "iss":"Panel","aud":"7" | "iss":{"panel":1},"aud":"7" | "iss":null,"aud":"7" | "iss":true,"aud":"7"
        | "iss":"","aud":"7" | "aud":"7" | "jti":"1""#;
    for (outcome, list) in [(None, accepted), (INVALID, refused)] {
        for members in listed(list) {
            let token = signed(HEADER, &claims(&format!(",{members}")));
            came_to(&service.get(LIST, &token).await, outcome, members);
        }
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
async fn a_token_counts_only_in_the_authorization_header() {
    let service = Service::start().await;
    let (good, bad) = (signed(HEADER, &claims("")), user_token("74"));
    let basic = STANDARD.encode("admin:admin");
    // The gateway joins two headers of a name with a comma, in the order in which they came.
    let cases = [
        (None, "Bearer GOOD|bearer GOOD|BEARER GOOD| \t Bearer GOOD \t |Bearer   GOOD|Bearer \tGOOD"),
        (Some("token_missing"), "| \t "),
        (
            MALFORMED,
            "Bearer\tGOOD|Bearer\u{a0}GOOD|BearerGOOD|Bearer: GOOD|Bearer=GOOD|Bearer \"GOOD\"|Bearer token=GOOD\
            |Bearer Bearer GOOD|Bearer GOOD GOOD|Token GOOD|DPoP GOOD|GOOD|Bearer|Bearer |Bearer GOOD,Bearer GOOD\
            |Bearer GOOD,Bearer BAD|Bearer BAD,Bearer GOOD|Bearer GOOD, Basic PAIR|Basic PAIR, Bearer GOOD\
            |Basic PAIR,Bearer GOOD|,Bearer GOOD|Bearer GOOD,",
        ),
    ];
    for (outcome, headers) in cases {
        for attempt in headers.split('|') {
            let header = attempt.replace("GOOD", &good).replace("BAD", &bad).replace("PAIR", &basic);
            let reply = Call::new("GET", LIST).header("authorization", &header).send(&service).await;
            came_to(&reply, outcome, attempt);
        }
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
