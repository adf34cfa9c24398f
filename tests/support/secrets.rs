//! What was sent and must never come out. Every answer and every log line of every test is held against it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::Table;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::percent_decode_str;
use ring::digest;
use serde_json::Value;
use sessions::session::{Digest, UserId};

/// Shorter values are found anywhere by chance.
const LENGTH_MIN: usize = 8;

/// The headers that speak of a device.
const DEVICE_HEADERS: [&str; 4] =
    ["user-agent", "sec-ch-ua", "sec-ch-ua-platform", "sec-ch-ua-platform-version"];

/// All that any test of this process has sent.
static SENT: LazyLock<Mutex<Secrets>> = LazyLock::new(Mutex::default);

/// Values and what they are.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// In no answer and in no log line.
    secret: Values,
    /// In no log line; answers show it to those who may see it.
    personal: Values,
}

/// Adds to what every answer and every log line of this process is held against.
pub fn plant(add: impl FnOnce(&mut Secrets)) {
    add(&mut SENT.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Panics when an answer shows a secret. `text` is its headers and its body.
pub fn check_answer(text: &str) {
    let found = SENT.lock().unwrap_or_else(PoisonError::into_inner).in_answer(text);
    if let Some(what) = found {
        panic!("{what}, shown in an answer: {text}");
    }
}

/// Panics when a log line shows a secret, or anything of the person behind a request.
pub fn check_line(line: &str) {
    let found = SENT.lock().unwrap_or_else(PoisonError::into_inner).in_line(line);
    if let Some(what) = found {
        panic!("{what}, shown in a log line: {line}");
    }
}

impl Secrets {
    /// A value that only the service and its operator know.
    pub fn add_secret(&mut self, what: &'static str, value: &str) {
        self.secret.add(what, value);
        for encoded in encodings(value.as_bytes()) {
            self.secret.add(what, &encoded);
        }
    }

    /// The AWS keys.
    pub fn add_keys(&mut self, database: &Table) {
        self.add_secret("AWS access key id", &database.access_key_id);
        self.add_secret("AWS secret access key", &database.secret_access_key);
        self.add_secret("AWS session token", database.session_token.as_deref().unwrap_or_default());
    }

    /// Every private value in an event.
    pub fn add_event(&mut self, event: &Value) {
        let header = |name: &str| event["headers"][name].as_str();
        let token = header("authorization").and_then(|value| value.trim().split_once(' '));
        let token = token.map(|(_, token)| token.trim()).unwrap_or_default();
        self.secret.add("token", token);
        self.secret.add("signature of a token", token.rsplit('.').next().unwrap_or_default());
        let body = body(event);
        let fingerprint = body["device_fingerprint"].as_str();
        self.secret.add("fingerprint", fingerprint.unwrap_or_default());
        let user = user(token, event);
        let signed = token.rsplit_once('.').map(|(signed, _)| signed);
        let kept = [("token", signed), ("fingerprint", fingerprint), ("user_agent", header("user-agent"))];
        for (purpose, value) in kept {
            self.add_digests(user.as_ref(), purpose, value.unwrap_or_default());
        }
        for name in DEVICE_HEADERS {
            self.personal.add("user agent", header(name).unwrap_or_default().trim_matches('"'));
        }
        let address = &event["requestContext"]["http"]["sourceIp"];
        for address in [address.as_str(), header("x-forwarded-for")] {
            self.personal.add("IP address", address.unwrap_or_default());
        }
        self.add_edge(&header);
        for field in ["device_name", "browser"] {
            self.personal.add("device name", body[field].as_str().unwrap_or_default());
        }
        self.personal.add("note", &note(event["rawQueryString"].as_str().unwrap_or_default()));
        self.add_body_of_service(&body);
        self.add_provider_session(user.as_ref(), &payload(token)["psid"]);
        self.add_logout(event);
        self.secret.add("idempotency key", header("idempotency-key").unwrap_or_default());
    }

    fn add_provider_session(&mut self, user: Option<&UserId>, id: &Value) {
        let id = id.as_str().unwrap_or_default();
        self.secret.add("id of a provider's session", id);
        self.add_digests(user, "provider", id);
    }

    /// A form with a logout token.
    fn add_logout(&mut self, event: &Value) {
        let form = String::from_utf8(raw_body(event)).unwrap_or_default();
        let token = form.split('&').find_map(|field| field.strip_prefix("logout_token=")).unwrap_or_default();
        self.secret.add("logout token", token);
        self.secret.add("signature of a token", token.rsplit('.').next().unwrap_or_default());
        self.add_provider_session(user(token, event).as_ref(), &payload(token)["sid"]);
    }

    /// What the edge says about itself and the client.
    fn add_edge<'e>(&mut self, header: &impl Fn(&str) -> Option<&'e str>) {
        self.secret.add("edge secret", header("x-origin-verify").unwrap_or_default());
        let viewer = header("cloudfront-viewer-address").and_then(|viewer| viewer.rsplit_once(':'));
        self.personal.add("IP address", viewer.map(|(address, _)| address).unwrap_or_default());
        for name in ["city", "country-region-name", "country-name"] {
            self.personal.add("location", header(&format!("cloudfront-viewer-{name}")).unwrap_or_default());
        }
    }

    /// What a back end says about its users' devices, and why it ends their sessions.
    fn add_body_of_service(&mut self, body: &Value) {
        let address = body["ip_address"].as_str().filter(|text| text.parse::<IpAddr>().is_ok());
        self.personal.add("IP address", address.unwrap_or_default());
        self.personal.add("location", body["location"].as_str().unwrap_or_default());
        self.personal.add("user agent", body["headers"]["user-agent"].as_str().unwrap_or_default());
        self.personal.add("note", body["reason"].as_str().unwrap_or_default());
    }

    /// What is kept of a value so that it is recognised and not read back, and the plain hash of it.
    fn add_digests(&mut self, user: Option<&UserId>, purpose: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        let kept = user.map(|user| Digest::of(user, purpose, value.as_bytes()).as_bytes().to_vec());
        let plain = digest::digest(&digest::SHA256, value.as_bytes()).as_ref().to_vec();
        for bytes in kept.iter().chain([&plain]) {
            for encoded in encodings(bytes) {
                self.secret.add("digest", &encoded);
            }
        }
    }

    /// What an answer must not show and shows.
    pub fn in_answer(&self, text: &str) -> Option<&'static str> {
        self.secret.find(&read(text))
    }

    /// What a log line must not show and shows.
    pub fn in_line(&self, line: &str) -> Option<&'static str> {
        let text = read(line);
        self.secret.find(&text).or_else(|| self.personal.find(&text))
    }
}

/// Values with their names, by how they begin: there are thousands, and every text is searched for all of them.
#[derive(Clone, Debug, Default)]
struct Values(HashMap<[u8; LENGTH_MIN], HashMap<String, &'static str>>);

impl Values {
    fn add(&mut self, what: &'static str, value: &str) {
        if let Some(start) = value.as_bytes().first_chunk() {
            self.0.entry(*start).or_default().insert(value.to_owned(), what);
        }
    }

    fn find(&self, text: &str) -> Option<&'static str> {
        text.as_bytes().windows(LENGTH_MIN).enumerate().find_map(|(at, start)| {
            let candidates = self.0.get(start)?;
            let here = |value: &str| text.as_bytes()[at..].starts_with(value.as_bytes());
            candidates.iter().find(|(value, _)| here(value)).map(|(_, what)| *what)
        })
    }
}

/// A text as it is, and the texts in it as a reader of JSON sees them.
fn read(text: &str) -> String {
    let mut all = text.to_owned();
    for line in text.lines() {
        if let Ok(value) = serde_json::from_str(line) {
            add_texts(&mut all, &value);
        }
    }
    all
}

fn add_texts(all: &mut String, value: &Value) {
    match value {
        Value::String(text) => *all = format!("{all}\n{text}"),
        Value::Array(items) => items.iter().for_each(|item| add_texts(all, item)),
        Value::Object(fields) => fields.values().for_each(|field| add_texts(all, field)),
        _ => (),
    }
}

fn encodings(bytes: &[u8]) -> [String; 3] {
    let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [hex, STANDARD.encode(bytes).trim_end_matches('=').to_owned(), URL_SAFE_NO_PAD.encode(bytes)]
}

fn body(event: &Value) -> Value {
    serde_json::from_slice(&raw_body(event)).unwrap_or_default()
}

fn raw_body(event: &Value) -> Vec<u8> {
    let text = event["body"].as_str().unwrap_or_default().as_bytes();
    let decoded = STANDARD.decode(text).ok().filter(|_| event["isBase64Encoded"] == true);
    decoded.unwrap_or_else(|| text.to_vec())
}

/// The `reason` of a query.
fn note(query: &str) -> String {
    let note = query.split('&').find_map(|pair| pair.strip_prefix("reason=")).unwrap_or_default();
    percent_decode_str(&note.replace('+', " ")).decode_utf8_lossy().trim().to_owned()
}

/// The claims of a token, whether they are true or not.
fn payload(token: &str) -> Value {
    let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    serde_json::from_slice(&payload.unwrap_or_default()).unwrap_or_default()
}

/// Whose event it is, by the claims that the tests use, whether they are true or not.
fn user(token: &str, event: &Value) -> Option<UserId> {
    let payload = payload(token);
    let claims = [&payload, &event["requestContext"]["authorizer"]["jwt"]["claims"]];
    let ids = claims.into_iter().flat_map(|claims| [&claims["sub"], &claims["id"]]);
    ids.filter_map(|id| id.as_str().map(str::to_owned).or_else(|| id.as_u64().map(|id| id.to_string())))
        .find_map(|id| UserId::parse(&id).ok())
}
