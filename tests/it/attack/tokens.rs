//! Tokens that are forged, changed or in the wrong place.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Value, json};

use super::*;
use crate::support::keys::{self, Signer};
use crate::support::log::Log;

#[tokio::test]
async fn the_header_of_a_token_cannot_choose_a_key_or_an_algorithm() {
    let service = Service::start().await;
    let cases = [
        // The service ignores members that name a key or its address.
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
        // When a token was issued decides nothing until its user is signed out everywhere.
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

#[tokio::test]
async fn a_token_is_for_one_of_the_audiences_or_by_its_client_where_it_names_none() {
    let service = Service::with(&[("JWT_AUDIENCE", "panel, https://api.example/sessions,7client")]).await;
    let accepted = r#""aud":"panel" | "aud":"https://api.example/sessions" | "aud":["shop","7client"]
        | "client_id":"7client" | "client_id":"panel" | "aud":"panel","client_id":"shop""#;
    let refused = r#""aud":"pan" | "aud":"panel2" | "aud":"https://api.example" | "aud":"panel,7client"
        | "aud":"panel, https://api.example/sessions,7client" | "aud":"https://api.example/sessions/" | "aud":""
        | "aud":" panel" | "aud":"," | "aud":"PANEL" | "jti":"1" | "client_id":"7" | "client_id":"7client2"
        | "client_id":["7client"] | "client_id":{"7client":1} | "client_id":7 | "client_id":"" | "azp":"7client"
        | "aud":"shop","client_id":"7client" | "aud":["shop"],"client_id":"panel" | "aud":[],"client_id":"panel"
        | "aud":null,"client_id":"panel" | "aud":"","client_id":"panel" | "aud":false,"client_id":"panel"
        | "aud":{},"client_id":"panel" | "cid":"7client" | "Client_id":"7client""#;
    for (outcome, list) in [(None, accepted), (INVALID, refused)] {
        for members in listed(list) {
            let token = signed(HEADER, &claims(&format!(",{members}")));
            came_to(&service.get(LIST, &token).await, outcome, members);
        }
    }
}

#[tokio::test]
async fn a_logout_token_or_another_event_is_no_bearer_token() {
    let service = Service::start().await;
    let event = r#","events":{"http://schemas.openid.net/event/backchannel-logout":{}}"#;
    for more in [event, r#","events":null"#, r#","events":{}"#, r#","events":[]"#] {
        came_to(&service.get(LIST, &signed(HEADER, &claims(more))).await, INVALID, more);
    }
    for typ in ["logout+jwt", "LOGOUT+JWT", "application/logout+jwt", "Application/Logout+Jwt"] {
        let header = json!({"alg": "HS256", "typ": typ}).to_string();
        came_to(&service.get(LIST, &signed(&header, &claims(""))).await, INVALID, typ);
    }
    for typ in ["JWT", "jwt", "at+jwt", "application/at+jwt"] {
        let header = json!({"alg": "HS256", "typ": typ}).to_string();
        came_to(&service.get(LIST, &signed(&header, &claims(""))).await, None, typ);
    }
}

#[tokio::test]
async fn no_token_names_a_session_of_the_provider_that_no_provider_makes() {
    let settings = [("PROVIDER_SESSION_CLAIM", "psid"), ("SESSION_ID_CLAIM", "own")];
    let mut service = Service::with(&settings).await;
    // The id of a session of ours means nothing there: it is text like any other.
    let own = service.sign_in("1", "panel").await.id.to_string();
    let other = service.sign_in("75", "phone").await.id.to_string();
    let (longest, long) = (format!(r#""{}""#, "x".repeat(255)), format!(r#""{}""#, "x".repeat(256)));
    let (kilobytes, beyond) = (format!(r#""{}""#, "x".repeat(5_000)), format!(r#""{}""#, "x".repeat(10_240)));
    let mut cases: Vec<(String, Outcome)> =
        [&longest, &format!("\"{own}\""), &format!("\"{other}\"")].map(|id| (id.to_owned(), None)).into();
    cases.extend([long, kilobytes].map(|id| (id, Some("session_ended"))));
    cases.push((beyond, MALFORMED));
    let made = r#""a" | " " | 7 | -7 | 0 | 18446744073709551615 | "{}" | "provider#a" | "null""#;
    cases.extend(listed(made).map(|id| (id.to_owned(), None)));
    let impossible = r#""" | "a\u0000" | "\u0000" | "a\nb" | "\u007f" | "\u009f" | 1.5 | 1.0 | 1e3 | true | false | []
        | ["a"] | {} | {"id":"a"} | 18446744073709551616"#;
    cases.extend(listed(impossible).map(|id| (id.to_owned(), Some("session_ended"))));
    cases.push(("null".into(), Some("sid_required")));
    for (id, outcome) in cases {
        let token = signed(HEADER, &claims(&format!(r#","psid":{id}"#)));
        came_to(&service.get(LIST, &token).await, outcome, &id);
        if let Some(code) = outcome {
            service.post("/sessions/create", &token, json!({})).await.problem(401, code);
        }
    }
    let both = signed(HEADER, &claims(&format!(r#","psid":["a"],"own":"{own}""#)));
    came_to(&service.get(LIST, &both).await, Some("session_ended"), "beside a session of ours");
    let both = signed(HEADER, &claims(&format!(r#","psid":"a","own":"{other}""#)));
    came_to(&service.get(LIST, &both).await, Some("session_ended"), "beside another user's session");
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

/// Claims of the admin as the issuer with public keys writes them, with `more` members after the good ones.
fn issued(more: &str) -> String {
    claims(&format!(r#","iss":"{}","aud":"{}"{more}"#, keys::ISSUER, keys::AUDIENCE))
}

async fn service_with_keys(jwks: &[Value]) -> Service {
    Service::with(&keys::settings(&keys::set(jwks))).await
}

async fn tokens_come_to(service: &Service, cases: Vec<(String, String, Outcome)>) {
    for (attempt, token, outcome) in cases {
        came_to(&service.get(LIST, &token).await, outcome, &attempt);
    }
}

#[tokio::test]
async fn a_public_key_verifies_its_own_algorithm_and_no_other() {
    for signer in Signer::each() {
        let service = service_with_keys(&[signer.jwk(json!({"kid": "a"}))]).await;
        let with_alg = |alg: &str| signer.sign(&format!(r#"{{"alg":"{alg}","kid":"a"}}"#), &issued(""));
        let algorithms = [
            "HS256", "HS384", "HS512", "ES256", "ES384", "RS256", "RS384", "RS512", "PS256", "PS384",
            "PS512", "EdDSA",
        ];
        for alg in algorithms {
            let outcome = if alg == signer.alg() { None } else { INVALID };
            came_to(&service.get(LIST, &with_alg(alg)).await, outcome, &format!("{} {alg}", signer.alg()));
        }
        for alg in ["none", "None", "", "Ed25519", "ES512", "es256"] {
            came_to(&service.get(LIST, &with_alg(alg)).await, MALFORMED, &format!("{} {alg}", signer.alg()));
        }
    }
}

/// The forms in which an attacker may know a public key.
fn forms(signer: &Signer) -> Vec<Vec<u8>> {
    let (public, jwk) = (signer.public(), signer.jwk(json!({})));
    let before: &[u8] = match signer {
        Signer::Ed25519(_) => b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00",
        Signer::Rsa(_) => b"",
        _ => {
            b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00"
        }
    };
    let der = [before, public].concat();
    let lines: Vec<_> = STANDARD.encode(&der).as_bytes().chunks(64).map(<[u8]>::to_vec).collect();
    let base64 = String::from_utf8(lines.join(&b'\n')).unwrap();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----");
    let mut forms = vec![
        public.to_vec(),
        der,
        jwk.to_string().into(),
        keys::set(std::slice::from_ref(&jwk)).into(),
        vec![],
    ];
    forms.extend([pem.clone().into(), format!("{pem}\n").into(), pem.replace("PUBLIC", "RSA PUBLIC").into()]);
    for name in ["x", "y", "n"] {
        let text = jwk[name].as_str().unwrap_or_default();
        forms.extend([text.into(), URL_SAFE_NO_PAD.decode(text).unwrap()]);
    }
    forms
}

#[tokio::test]
async fn a_public_key_is_no_secret_to_sign_with() {
    for signer in Signer::each() {
        let service = service_with_keys(&[signer.jwk(json!({"kid": "a"}))]).await;
        for secret in forms(&signer) {
            for header in [
                r#"{"alg":"HS256"}"#.to_owned(),
                r#"{"alg":"HS256","kid":"a"}"#.into(),
                format!(r#"{{"alg":"{}","kid":"a"}}"#, signer.alg()),
            ] {
                let message = [&header, &issued("")].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
                let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag));
                came_to(&service.get(LIST, &token).await, INVALID, &format!("{header} {secret:?}"));
            }
        }
        // The secret of another mode does not count either.
        came_to(&service.get(LIST, &signed(HEADER, &issued(""))).await, INVALID, "HS256");
    }
}

#[tokio::test]
async fn a_kid_names_the_one_key_that_may_have_signed() {
    let [first, second, other, nameless] =
        [Signer::p256(), Signer::p256(), Signer::ed25519(), Signer::p256()];
    let attacker = Signer::p256();
    let service = service_with_keys(&[
        first.jwk(json!({"kid": "first"})),
        second.jwk(json!({"kid": "second"})),
        other.jwk(json!({"kid": "other"})),
        nameless.jwk(json!({})),
    ])
    .await;
    let case = |name: &str, signer: &Signer, kid: Option<&str>, outcome| {
        (format!("{name} {kid:?}"), signer.token(kid, &issued("")), outcome)
    };
    let mut cases = Vec::new();
    for (own, signer) in [("first", &first), ("second", &second), ("other", &other)] {
        cases.push(case(own, signer, None, None));
        for kid in ["first", "second", "other"] {
            cases.push(case(own, signer, Some(kid), if kid == own { None } else { INVALID }));
        }
        for kid in ["", "First", "first ", "third", "../first", "0", "https://attacker.example/key"] {
            cases.push(case(own, signer, Some(kid), INVALID));
        }
    }
    cases.push(case("nameless", &nameless, None, None));
    cases.push(case("nameless", &nameless, Some("first"), INVALID));
    cases.push(case("nameless", &nameless, Some(""), INVALID));
    for kid in [None, Some("first"), Some("attacker")] {
        cases.push(case("attacker", &attacker, kid, INVALID));
    }
    tokens_come_to(&service, cases).await;
    let jwk = attacker.jwk(json!({"kid": "attacker"}));
    for (header, outcome) in [
        (json!({"alg": "ES256", "kid": null}), INVALID),
        (json!({"alg": "ES256", "kid": 1}), MALFORMED),
        (json!({"alg": "ES256", "kid": ["first"]}), MALFORMED),
        // A key that the token brings along or points to is never used.
        (json!({"alg": "ES256", "jwk": jwk}), INVALID),
        (json!({"alg": "ES256", "kid": "attacker", "jwk": jwk}), INVALID),
        (json!({"alg": "ES256", "kid": "attacker", "jku": "https://attacker.example/jwks"}), INVALID),
        (json!({"alg": "ES256", "x5u": "https://attacker.example/cert"}), INVALID),
    ] {
        let token = attacker.sign(&header.to_string(), &issued(""));
        came_to(&service.get(LIST, &token).await, outcome, &header.to_string());
    }
    for (header, outcome) in [
        (r#"{"alg":"ES256","kid":null}"#, None),
        (r#"{"alg":"ES256","kid":"first","kid":"first"}"#, MALFORMED),
        (r#"{"alg":"ES256","kid":"first","crit":["exp"]}"#, INVALID),
        (r#"{"alg":"ES256","kid":"first","crit":[]}"#, INVALID),
        (r#"{"alg":"ES256","kid":"first","crit":["b64"],"b64":false}"#, INVALID),
    ] {
        came_to(&service.get(LIST, &first.sign(header, &issued(""))).await, outcome, header);
    }
}

/// Two positive numbers in DER.
fn der(one: &[u8], other: &[u8]) -> Vec<u8> {
    let tagged = |tag: u8, content: &[u8]| [&[tag, content.len() as u8], content].concat();
    let integer = |number: &[u8]| match number[0] {
        0x80.. => tagged(2, &[&[0], number].concat()),
        _ => tagged(2, &number[number.iter().take_while(|byte| **byte == 0).count()..]),
    };
    tagged(0x30, &[integer(one), integer(other)].concat())
}

#[tokio::test]
async fn a_signature_is_the_one_that_the_key_makes() {
    for signer in Signer::each() {
        let service = service_with_keys(&[signer.jwk(json!({}))]).await;
        let good = signer.token(None, &issued(""));
        let (message, signature) = good.rsplit_once('.').unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let other = signer.token(None, &issued(r#","jti":1"#));
        let of_other = URL_SAFE_NO_PAD.decode(other.rsplit_once('.').unwrap().1).unwrap();
        let half = bytes.len() / 2;
        let order = [&[0xff; 4][..], &[0; 4], &[0xff; 8], &[0xbc, 0xe6, 0xfa, 0xad], &[0; 12]].concat();
        let forged = [
            ("zeros", vec![0; bytes.len()]),
            ("zeros of another length", vec![0; 64]),
            ("ones", vec![0xff; bytes.len()]),
            ("one and one", [vec![0; half - 1], vec![1], vec![0; half - 1], vec![1]].concat()),
            ("the order of the curve or so, twice", [&order[..], &order].concat()),
            ("nothing", vec![]),
            ("one byte", vec![0]),
            ("one byte less", bytes[..bytes.len() - 1].to_vec()),
            ("one byte more", [&bytes[..], &[0]].concat()),
            ("a zero before it", [&[0], &bytes[..]].concat()),
            ("the halves exchanged", [&bytes[half..], &bytes[..half]].concat()),
            ("the key", signer.public().to_vec()),
            ("the signature of another token", of_other),
            // ASN.1, in which standards other than JWS write ECDSA signatures.
            ("DER", der(&bytes[..half], &bytes[half..])),
        ];
        came_to(&service.get(LIST, &good).await, None, "as it is");
        for (name, forged) in forged {
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(forged));
            came_to(&service.get(LIST, &token).await, INVALID, &format!("{} {name}", signer.alg()));
        }
        let (header, payload) = message.split_once('.').unwrap();
        let altered = URL_SAFE_NO_PAD.encode(issued(r#","jti":2"#));
        for message in [format!("{header}.{altered}"), format!("{payload}.{header}")] {
            let reply = service.get(LIST, &format!("{message}.{signature}")).await;
            assert_eq!(reply.status, 401, "{}", reply.text);
        }
    }
}

#[tokio::test]
async fn a_key_for_something_else_verifies_nothing() {
    let [good, encryption, no_verify, another_use] =
        [Signer::p256(), Signer::p256(), Signer::p256(), Signer::ed25519()];
    let (curve, rsa) = (Signer::p384(), Signer::rsa());
    let (log, guard) = Log::start();
    let service = service_with_keys(&[
        encryption.jwk(json!({"kid": "encryption", "use": "enc"})),
        no_verify.jwk(json!({"kid": "no verify", "key_ops": ["deriveKey"]})),
        another_use.jwk(json!({"kid": "another use", "use": "attest"})),
        curve.jwk(json!({"kid": "curve"})),
        rsa.jwk(json!({"kid": "rsa", "alg": "PS256"})),
        json!({"kty": "AKP", "kid": "to come", "alg": "ML-DSA-44", "pub": "AAAA"}),
        good.jwk(json!({"kid": "good", "use": "sig", "alg": "ES256", "key_ops": ["verify"]})),
    ])
    .await;
    let warnings: Vec<_> =
        log.take().into_iter().map(|line| (line["level"].clone(), line["message"].clone())).collect();
    drop(guard);
    let named = ["encryption", "no verify", "another use", "curve", "rsa", "to come"];
    assert_eq!(warnings.len(), named.len(), "{warnings:?}");
    for (i, ((level, message), kid)) in warnings.iter().zip(named).enumerate() {
        let start = format!("JWKS: key {} (kid {kid:?}) is ignored, because it ", i + 1);
        assert!(level == "WARN" && message.as_str().unwrap().starts_with(&start), "{level} {message}");
    }
    let signers = [&encryption, &no_verify, &another_use, &curve, &rsa];
    for (signer, own) in signers.into_iter().zip(named) {
        for kid in [None, Some(own), Some("good")] {
            came_to(&service.get(LIST, &signer.token(kid, &issued(""))).await, INVALID, own);
        }
    }
    // Another curve under the name of ours.
    let claimed = curve.sign(r#"{"alg":"ES256","kid":"good"}"#, &issued(""));
    came_to(&service.get(LIST, &claimed).await, INVALID, "another curve");
    came_to(&service.get(LIST, &good.token(Some("good"), &issued(""))).await, None, "good");
}

#[tokio::test]
async fn a_token_of_the_issuer_for_another_service_is_refused() {
    let signer = Signer::ed25519();
    let service = service_with_keys(&[signer.jwk(json!({}))]).await;
    let of = |issuer: &str, audience: &str| claims(&format!(r#","iss":"{issuer}","aud":"{audience}""#));
    let cases = [
        (issued(""), None),
        (of(keys::ISSUER, "another service"), INVALID),
        (of("https://attacker.example", keys::AUDIENCE), INVALID),
        (claims(""), INVALID),
        // The issuer's own sid is not the claim of ours.
        (issued(r#","sid":"of-the-issuer""#), None),
        (issued(&format!(r#","session":"{NEVER}""#)), Some("session_ended")),
        (claims("").replace("\"sub\"", "\"user\""), INVALID),
        (issued("").replace(&(START + 60).to_string(), &START.to_string()), EXPIRED),
        ("{".into(), MALFORMED),
    ];
    for (claims, outcome) in cases {
        came_to(&service.get(LIST, &signer.token(None, &claims)).await, outcome, &claims);
    }
    let good = signer.token(None, &issued(""));
    let without_scheme = Call::new("GET", LIST).header("authorization", &good);
    came_to(&without_scheme.send(&service).await, MALFORMED, "without Bearer");
    let verified = Call::new("GET", LIST).verified(json!({"sub": "1", "exp": (START + 60).to_string()}));
    came_to(&verified.send(&service).await, Some("token_missing"), "without a token");
}
