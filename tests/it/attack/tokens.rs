//! Tokens that are forged, bent or in the wrong place.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Value, json};

use super::*;
use crate::support::keys::{self, Signer};
use crate::support::log::Log;

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
        // Nor does the secret of another mode count.
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
            // ASN.1, as everybody but JWS writes ECDSA signatures.
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
async fn a_token_of_the_issuer_for_others_is_none_of_ours() {
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

/// A token of API Gateway's issuer. Its signature is API Gateway's affair.
fn gateway_token(claims: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(r#"{"alg":"RS256","kid":"a"}"#), part(claims), part("a signature"))
}

/// What API Gateway hands over of the admin's token.
fn handed_over(more: Value) -> Value {
    let mut claims = json!({"sub": "1", "exp": (START + 60).to_string(), "role": "user"});
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

#[tokio::test]
async fn behind_the_gateway_claims_have_the_types_that_the_token_gives_them() {
    let mut service = Service::with(&[("AUTH_MODE", "gateway")]).await;
    let own = service.sign_in("1", "panel").await.id.to_string();
    let no_admin = Some("admin_only");
    let role = |role: &str| format!(r#"{{"sub":"1","exp":{},"role":{role}}}"#, START + 60);
    let cases = [
        (role(r#""admin""#), None),
        (role(r#"["admin"]"#), None),
        (role(r#"["user","admin"]"#), None),
        // As text API Gateway makes one thing of these and of the two above.
        (role(r#"["billing admin"]"#), no_admin),
        (role(r#""[admin]""#), no_admin),
        (role(r#""[user admin]""#), no_admin),
        (role(r#""user admin""#), no_admin),
        (role(r#"["admin "]"#), no_admin),
        (role(r#"[["admin"]]"#), no_admin),
        (role(r#"{"admin":true}"#), no_admin),
        (role("null"), no_admin),
        (claims(&format!(r#","sid":"{own}""#)), None),
        (claims(&format!(r#","sid":"{NEVER}""#)), Some("session_ended")),
        (claims(&format!(r#","sid":["{own}"]"#)), Some("session_ended")),
        (claims(r#","sid":"""#), Some("session_ended")),
        (claims(&format!(r#","nbf":{}"#, START + 62)), Some("token_not_yet_valid")),
        (claims(r#","nbf":"soon""#), MALFORMED),
    ];
    for (claims, outcome) in cases {
        for flattened in ["user", "admin", "[admin]", "[billing admin]"] {
            let call = Call::new("GET", LIST).token(&gateway_token(&claims));
            let reply = call.verified(handed_over(json!({"role": flattened}))).send(&service).await;
            came_to(&reply, outcome, &claims);
        }
    }
    let service = Service::with(&[("AUTH_MODE", "gateway"), ("ADMIN_ROLE", "site admin")]).await;
    for (text, outcome) in [
        (r#""site admin""#, None),
        (r#"["user","site admin"]"#, None),
        (r#"["site","admin"]"#, no_admin),
        (r#""site""#, no_admin),
        (r#""admin""#, no_admin),
    ] {
        let call = Call::new("GET", LIST).token(&gateway_token(&role(text)));
        came_to(&call.verified(handed_over(json!({}))).send(&service).await, outcome, text);
    }
}

#[tokio::test]
async fn behind_the_gateway_a_token_counts_when_it_is_the_one_that_was_verified() {
    let service = Service::with(&[("AUTH_MODE", "gateway")]).await;
    let exp = START + 60;
    let cases = [
        (claims(""), json!({}), None),
        (claims(""), json!({"sub": "74"}), INVALID),
        (claims(""), json!({"sub": "1 "}), INVALID),
        (claims(""), json!({"sub": "1e0"}), INVALID),
        (claims(""), json!({"sub": "[1]"}), INVALID),
        (claims(""), json!({"sub": ""}), INVALID),
        (claims(""), json!({"exp": (exp + 1).to_string()}), INVALID),
        (claims(""), json!({"exp": format!("{:e}", exp as f64)}), None),
        (claims(""), json!({"exp": format!("{exp}.0")}), None),
        (claims(""), json!({"exp": format!("{exp}.5")}), INVALID),
        (claims(""), json!({"exp": "soon"}), INVALID),
        (claims(""), json!({"exp": ""}), INVALID),
        (format!(r#"{{"sub":1,"role":"admin","exp":{exp}.5}}"#), json!({"exp": format!("{exp}.5")}), None),
        (
            format!(r#"{{"sub":74,"role":"admin","exp":{exp}}}"#),
            json!({"sub": "7.4e+01"}),
            Some("own_sessions"),
        ),
        (format!(r#"{{"sub":1.0,"role":"admin","exp":{exp}}}"#), json!({}), NO_USER),
        (
            format!(r#"{{"sub":"1","role":"admin","exp":{START}}}"#),
            json!({"exp": START.to_string()}),
            EXPIRED,
        ),
        (format!(r#"{{"sub":"1","role":"admin","exp":"{exp}"}}"#), json!({}), MALFORMED),
        (format!(r#"{{"sub":["1"],"role":"admin","exp":{exp}}}"#), json!({"sub": "[1]"}), INVALID),
        (format!(r#"{{"sub":null,"role":"admin","exp":{exp}}}"#), json!({"sub": "null"}), INVALID),
        (format!(r#"{{"role":"admin","exp":{exp}}}"#), json!({}), INVALID),
        (r#"{"sub":"1","role":"admin"}"#.into(), json!({}), INVALID),
        ("[]".into(), json!({}), MALFORMED),
        ("{".into(), json!({}), MALFORMED),
        (String::new(), json!({}), MALFORMED),
    ];
    for (claims, context, outcome) in cases {
        let call = Call::new("GET", LIST).token(&gateway_token(&claims));
        let reply = call.verified(handed_over(context.clone())).send(&service).await;
        came_to(&reply, outcome, &format!("{claims} {context}"));
    }
    let without = |name: &str| {
        let mut context = handed_over(json!({}));
        context.as_object_mut().unwrap().remove(name);
        Call::new("GET", LIST).token(&gateway_token(&claims(""))).verified(context)
    };
    came_to(&without("sub").send(&service).await, INVALID, "no user handed over");
    came_to(&without("exp").send(&service).await, INVALID, "no exp handed over");
    came_to(&without("role").send(&service).await, None, "no role handed over");
    let nobody = gateway_token(&format!(r#"{{"role":"admin","exp":{exp}}}"#));
    let nobody = Call::new("GET", LIST).token(&nobody).verified(json!({"exp": exp.to_string()}));
    came_to(&nobody.send(&service).await, NO_USER, "no user on both sides");
}

#[tokio::test]
async fn behind_the_gateway_a_token_stands_with_or_without_its_scheme_and_by_itself() {
    let service = Service::with(&[("AUTH_MODE", "gateway")]).await;
    // The token that was verified is of a user; the forged one agrees with it but for the role.
    let (good, forged) = (gateway_token(&claims("").replace("admin", "user")), gateway_token(&claims("")));
    let seen = Some("admin_only");
    let cases = [
        (good.clone(), seen),
        (format!("Bearer {good}"), seen),
        (format!("bearer  {good} "), seen),
        (format!(" {good}\t"), seen),
        (format!("Token {good}"), MALFORMED),
        (format!("Bearer Bearer {good}"), MALFORMED),
        ("Bearer".into(), MALFORMED),
        ("Bearer ".into(), MALFORMED),
        (String::new(), Some("token_missing")),
        (" ".into(), Some("token_missing")),
        // API Gateway joins two headers of a name with a comma and verifies only one of them.
        (format!("Bearer {good},Bearer {forged}"), MALFORMED),
        (format!("Bearer {forged},Bearer {good}"), MALFORMED),
        (format!("{good},{forged}"), MALFORMED),
        (format!("{good}, {forged}"), MALFORMED),
        (format!("Bearer {good},{forged}"), MALFORMED),
        (format!("Bearer {good}, Bearer {forged}"), MALFORMED),
        (format!("{good},Bearer {forged}"), MALFORMED),
        (format!("x,Bearer {forged}"), MALFORMED),
        (format!("Bearer x,{forged}"), MALFORMED),
        (format!("Bearer {forged},x"), MALFORMED),
        (format!("Bearer {good}.{forged}"), MALFORMED),
        (format!("Bearer {forged}="), MALFORMED),
        (format!("Bearer {}", forged.rsplit_once('.').unwrap().0), MALFORMED),
        (
            format!("Bearer {}", gateway_token(&claims(&format!(r#","a":"{}""#, "x".repeat(8_192))))),
            MALFORMED,
        ),
    ];
    for (header, outcome) in cases {
        let call = Call::new("GET", LIST).header("authorization", &header).verified(handed_over(json!({})));
        came_to(&call.send(&service).await, outcome, &header);
    }
    let nothing_verified = Call::new("GET", LIST).token(&forged);
    came_to(&nothing_verified.send(&service).await, Some("token_missing"), "no context");
}
