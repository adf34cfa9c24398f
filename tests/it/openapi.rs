//! openapi.yaml against the code: the routes, the error codes and the answers of the running service.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::support::key_server::KeyServer;
use crate::support::keys::{self, Signer};
use crate::support::*;
use chrono::TimeDelta;
use jsonschema::Validator;
use serde_json::{Value, json};
use sessions::http::endpoint::ENDPOINTS;
use sessions::http::problem::Code;
use sessions::session::{Note, SessionId, UserId};
use tokio::task::JoinSet;

const SEARCH: &str = "GET /sessions";
const USER_ROUTE: &str = "GET /sessions/user/{user_id}";
const END_USER: &str = "DELETE /sessions/user/{user_id}";
const END_USER_SESSION: &str = "DELETE /sessions/user/{user_id}/session/{session_id}";
const SHOW_SESSION: &str = "GET /sessions/user/{user_id}/session/{session_id}";
const SIGN_IN_USER: &str = "POST /sessions/user/{user_id}";
const USER_ACTIVITY: &str = "POST /sessions/user/{user_id}/session/{session_id}/activity";
const SUMMARY: &str = "GET /sessions/summary";
const END_USERS: &str = "POST /sessions/end";
const CREATE: &str = "POST /sessions/create";
const CURRENT: &str = "GET /sessions/current";
const MY_SESSIONS: &str = "GET /sessions/my-sessions";
const MY_SESSION: &str = "GET /sessions/session/{session_id}";
const END_MY_SESSION: &str = "DELETE /sessions/session/{session_id}";
const LOGOUT: &str = "DELETE /sessions/logout";
const LOGOUT_ALL: &str = "DELETE /sessions/logout-all";
const ACTIVITY: &str = "POST /sessions/update-activity";
const PROVIDER: &str = "POST /sessions/backchannel-logout";

/// How a provider sends a logout token.
const FORM: &str = "application/x-www-form-urlencoded";

/// openapi.yaml; places in it are JSON pointers.
pub struct Document {
    root: Value,
    /// The validators made so far. To make one, the whole document is read.
    validators: RefCell<HashMap<String, Validator>>,
}

impl Document {
    pub fn read() -> Self {
        let root = serde_norway::from_str(include_str!("../../openapi.yaml")).unwrap();
        Self { root, validators: RefCell::default() }
    }

    fn get(&self, place: &str) -> Option<&Value> {
        self.root.pointer(place)
    }

    /// The place of a part, through references; `None` when it is not there.
    fn step(&self, place: &str, name: &str) -> Option<String> {
        let place = format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"));
        match self.get(&place)?.get("$ref") {
            Some(reference) => Some(reference.as_str()?.strip_prefix('#')?.to_owned()),
            None => Some(place),
        }
    }

    fn keys(&self, place: &str) -> BTreeSet<String> {
        let fields = self.get(place).and_then(Value::as_object);
        fields.into_iter().flat_map(|fields| fields.keys().cloned()).collect()
    }

    /// The methods and paths, such as `GET /sessions/current`.
    fn routes(&self) -> BTreeSet<String> {
        let mut routes = BTreeSet::new();
        for path in self.keys("/paths") {
            let parts = self.keys(&self.step("/paths", &path).unwrap());
            let methods = parts.iter().filter(|part| *part != "parameters");
            routes.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
        }
        routes
    }

    fn responses(&self, route: &str) -> String {
        let (method, path) = route.split_once(' ').unwrap();
        let operation = self.step("/paths", path).and_then(|path| self.step(&path, &method.to_lowercase()));
        self.step(&operation.unwrap_or_else(|| panic!("{route} is missing")), "responses").unwrap()
    }

    /// What is wrong with a value under the schema at this place.
    pub fn faults(&self, schema: &str, value: &Value) -> Vec<String> {
        let mut validators = self.validators.borrow_mut();
        let validator = validators.entry(schema.to_owned()).or_insert_with(|| self.validator(schema));
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    fn validator(&self, schema: &str) -> Validator {
        // The whole document is the schema's resource, so that references resolve.
        let mut root = self.root.clone();
        let pointer = schema.replace('{', "%7B").replace('}', "%7D");
        root["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
        root["$ref"] = format!("#{pointer}").into();
        jsonschema::options().should_validate_formats(true).build(&root).unwrap()
    }

    /// Every part that has a schema: parameters, headers, bodies.
    fn with_schema(&self) -> Vec<String> {
        let mut places = Vec::new();
        self.visit(&mut |place, value| {
            if value.get("schema").is_some() {
                places.push(place.to_owned());
            }
        });
        places
    }

    fn visit(&self, look: &mut impl FnMut(&str, &Value)) {
        fn descend(place: &str, value: &Value, look: &mut impl FnMut(&str, &Value)) {
            look(place, value);
            let parts: Vec<(String, &Value)> = match value {
                Value::Object(fields) => fields.iter().map(|(name, part)| (name.clone(), part)).collect(),
                Value::Array(items) => {
                    items.iter().enumerate().map(|(i, part)| (i.to_string(), part)).collect()
                }
                _ => return,
            };
            for (name, part) in parts {
                descend(&format!("{place}/{}", name.replace('~', "~0").replace('/', "~1")), part, look);
            }
        }
        descend("", &self.root, look);
    }

    /// The examples of a part, by their names.
    fn examples(&self, place: &str) -> Vec<(String, Value)> {
        if let Some(example) = self.get(place).and_then(|part| part.get("example")) {
            return vec![(String::new(), example.clone())];
        }
        let examples = format!("{place}/examples");
        let value = |name: String| {
            let example = self.step(&examples, &name).unwrap();
            let value = self.get(&example).unwrap()["value"].clone();
            (name, value)
        };
        self.keys(&examples).into_iter().map(value).collect()
    }

    /// The error codes that are documented at all.
    pub fn codes(&self) -> BTreeSet<String> {
        let codes = &self.root["components"]["schemas"]["Problem"]["properties"]["code"]["enum"];
        codes.as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect()
    }

    /// Every route with every status it answers with, and every code where there are codes.
    fn outcomes(&self) -> BTreeSet<Outcome> {
        let mut outcomes = BTreeSet::new();
        for route in self.routes() {
            let responses = self.responses(&route);
            for status in self.keys(&responses) {
                let content = format!("{}/content", self.step(&responses, &status).unwrap());
                let problem = self.step(&content, "application/problem+json");
                let codes = match problem {
                    Some(problem) => self.examples(&problem).into_iter().map(|(code, _)| code).collect(),
                    None if status.starts_with('2') => vec![String::new()],
                    // Only API Gateway answers with this status.
                    None => vec![],
                };
                outcomes.extend(codes.into_iter().map(|code| (route.clone(), status.clone(), code)));
            }
        }
        outcomes
    }
}

/// A route, a status and, for a problem, its code.
type Outcome = (String, String, String);

/// The document, and what the service was seen to answer.
struct Witness {
    document: Document,
    seen: RefCell<BTreeSet<Outcome>>,
}

impl Witness {
    /// Sends a call of this route and holds the answer against the document.
    async fn call(&self, service: &Service, route: &str, call: Call) -> Reply {
        let reply = call.send(service).await;
        self.hold(route, &reply);
        reply
    }

    fn hold(&self, route: &str, reply: &Reply) {
        let document = &self.document;
        let told = format!("{route}: {} {}", reply.status, reply.text);
        let response = document.step(&document.responses(route), &reply.status.to_string());
        let response = response.unwrap_or_else(|| panic!("not documented: {told}"));
        let content = document.step(&response, "content").unwrap();
        // An error can have a second content type there: API Gateway's own answer.
        let media = document.step(&content, &reply.headers["content-type"]);
        let media = media.unwrap_or_else(|| panic!("the content type is not documented: {told}"));
        assert_eq!(document.faults(&format!("{media}/schema"), &reply.body), [""; 0], "{told}");
        self.hold_headers(&response, reply, &told);
        let code = reply.body["code"].as_str().unwrap_or_default().to_owned();
        self.seen.borrow_mut().insert((route.to_owned(), reply.status.to_string(), code));
    }

    fn hold_headers(&self, response: &str, reply: &Reply, told: &str) {
        let headers = format!("{response}/headers");
        let documented = self.document.keys(&headers);
        for name in reply.headers.keys().filter(|name| *name != "content-type") {
            let known = documented.iter().any(|known| known.eq_ignore_ascii_case(name));
            assert!(known, "{name} is not documented: {told}");
        }
        for name in documented {
            let header = self.document.step(&headers, &name).unwrap();
            let Some(value) = reply.headers.get(&name.to_lowercase()) else {
                assert_ne!(
                    self.document.get(&header).unwrap()["required"],
                    true,
                    "{name} is missing: {told}"
                );
                continue;
            };
            let number = value.parse::<u64>().ok().map(Value::from);
            let value = number.unwrap_or_else(|| value.as_str().into());
            assert_eq!(self.document.faults(&format!("{header}/schema"), &value), [""; 0], "{name}: {told}");
        }
    }
}

#[test]
fn the_document_has_exactly_the_routes_of_the_service() {
    let routes = ENDPOINTS.iter().map(|endpoint| format!("{} {}", endpoint.method, endpoint.path));
    assert_eq!(Document::read().routes(), routes.collect());
}

#[test]
fn the_document_has_exactly_the_codes_of_the_service() {
    let codes = Code::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(Document::read().codes(), codes);
}

#[test]
fn examples_fit_their_schemas() {
    let document = Document::read();
    let mut count = 0;
    for place in document.with_schema() {
        let examples = document.examples(&place);
        assert!(!examples.is_empty(), "{place} has no example");
        for (name, value) in examples {
            assert_eq!(
                document.faults(&format!("{place}/schema"), &value),
                [""; 0],
                "{place} {name}: {value}"
            );
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn every_response_lists_its_codes_and_has_an_example_of_each() {
    let document = Document::read();
    for place in document.with_schema().iter().filter(|place| place.ends_with("problem+json")) {
        let examples = document.examples(place);
        for (name, value) in &examples {
            assert_eq!(value["code"], **name, "{place}");
        }
        let mut any = examples[0].1.clone();
        let mut fits = |code: &String| {
            any["code"] = code.as_str().into();
            document.faults(&format!("{place}/schema"), &any).is_empty()
        };
        let allowed: BTreeSet<_> = document.codes().into_iter().filter(|code| fits(code)).collect();
        assert_eq!(allowed, examples.into_iter().map(|(name, _)| name).collect(), "{place}");
    }
}

#[test]
fn every_component_is_used() {
    let document = Document::read();
    let mut used = BTreeSet::new();
    document.visit(&mut |_, value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            assert!(document.get(&reference[1..]).is_some(), "{reference}");
            used.insert(reference[1..].to_owned());
        }
    });
    for kind in ["parameters", "headers", "responses", "schemas", "examples"] {
        let place = format!("/components/{kind}");
        for name in document.keys(&place) {
            assert!(used.contains(&format!("{place}/{name}")), "{kind} {name}");
        }
    }
}

#[test]
fn schemas_refuse_sessions_that_cannot_exist() {
    let document = Document::read();
    let live = document.root["components"]["examples"]["sessions"]["value"][0].clone();
    let ended = document.root["components"]["examples"]["ended"]["value"]["session"].clone();
    let with = |session: &Value, name: &str, value: Value| {
        let mut changed = session.clone();
        changed[name] = value;
        changed
    };
    let mut short = ended.clone();
    short.as_object_mut().unwrap().remove("end_note");
    let wrong = [
        with(&live, "fingerprint", "x".into()),
        with(&live, "is_current", true.into()),
        with(&live, "ended_at", ended["ended_at"].clone()),
        with(&live, "is_active", false.into()),
        with(&live, "device_type", "tablet".into()),
        with(&live, "user_id", "a/b".into()),
        with(&live, "user_id", (-1).into()),
        with(&live, "id", 1.into()),
        with(&live, "created_at", "2026-11-23 18:33:46".into()),
        with(&ended, "is_active", true.into()),
        with(&ended, "end_reason", "unknown".into()),
        with(&ended, "ended_by", true.into()),
        short,
    ];
    let faults = |session: &Value| document.faults("/components/schemas/Session", session);
    assert_eq!((faults(&live), faults(&ended)), (vec![], vec![]));
    for session in wrong {
        assert!(!faults(&session).is_empty(), "{session}");
    }
}

#[test]
fn parameter_schemas_accept_what_the_code_accepts() {
    let document = Document::read();
    let fits = |name: &str, text: &str| {
        document.faults(&format!("/components/parameters/{name}/schema"), &text.into()).is_empty()
    };
    let characters = || (0..0x180).filter_map(char::from_u32);
    let users = ["", ".", "..", "...", "a b", &"a".repeat(255), &"a".repeat(256)].map(str::to_owned);
    for user in characters().map(String::from).chain(users) {
        assert_eq!(fits("UserId", &user), UserId::parse(&user).is_ok(), "{user:?}");
    }
    let ids =
        ["", "1", NEVER, &NEVER.to_uppercase(), &NEVER.replace('-', ""), &format!("{{{NEVER}}}"), "profile"];
    let wrong = [NEVER.replace('0', "g"), format!("{NEVER}\n"), NEVER.replace("7000-8", "70008-")];
    for id in ids.into_iter().chain(wrong.iter().map(String::as_str)) {
        assert_eq!(fits("SessionId", id), SessionId::parse(id).is_ok(), "{id:?}");
    }
    let around = characters().flat_map(|c| [format!("{c}"), format!("a{c}b"), format!("a{c}")]);
    for reason in around.chain(["", &"é".repeat(256), &"é".repeat(257)].map(str::to_owned)) {
        assert_eq!(fits("Reason", &reason), Note::parse(&reason).is_ok(), "{reason:?}");
    }
}

#[tokio::test]
async fn every_answer_is_documented_and_every_documented_answer_occurs() {
    let witness = Witness { document: Document::read(), seen: RefCell::default() };
    for (sample, reply) in sample::tour(&mut Service::start().await).await {
        witness.hold(sample.route, &reply);
    }
    successes_of_an_admin(&witness).await;
    successes_of_a_user(&witness).await;
    successes_of_a_service(&witness).await;
    refusals_of_every_route(&witness).await;
    refusals_of_tokens(&witness).await;
    refusals_of_parameters(&witness).await;
    refusals_of_bodies(&witness).await;
    unknown_users_and_sessions(&witness).await;
    failures(&witness).await;
    calls_of_a_provider(&witness).await;

    let mut seen = witness.seen.into_inner();
    // Only when an operator deletes the item between the read and the write of one request.
    seen.insert((LOGOUT.into(), "404".into(), "session_not_found".into()));
    let documented = witness.document.outcomes();
    let never_seen: Vec<_> = documented.difference(&seen).collect();
    assert!(never_seen.is_empty(), "{never_seen:?}");
}

fn admin(route: &str) -> Call {
    Call::of(route).token(&admin_token())
}

fn by_74(method: &str, target: &str) -> Call {
    Call::new(method, target).token(&user_token("74"))
}

async fn successes_of_an_admin(witness: &Witness) {
    let mut service = Service::start().await;
    witness.call(&service, USER_ROUTE, admin(USER_ROUTE)).await.ok();
    let session = service.sign_in("74", "phone").await;
    service.sign_in("74", "tablet").await;
    service.sign_in("auth0|ab", "phone").await;
    let as_admin = |method, target: &str| Call::new(method, target).token(&admin_token());
    let targets =
        ["/sessions/user/74", "/sessions/user/74?limit=1", "/sessions/user/auth0%7Cab?include_inactive=true"];
    for target in targets {
        witness.call(&service, USER_ROUTE, as_admin("GET", target)).await.ok();
    }
    for target in ["/sessions", "/sessions?ip_address=198.51.100.0%2F24&browser=fire&limit=1"] {
        witness.call(&service, SEARCH, as_admin("GET", target)).await.ok();
    }
    witness.call(&service, END_USER, as_admin("DELETE", "/sessions/user/74?dry_run=true")).await.ok();
    let target = format!("/sessions/user/74/session/{}?reason=lost+phone", session.id);
    for _ in 0..2 {
        witness.call(&service, END_USER_SESSION, as_admin("DELETE", &target)).await.ok();
    }
    witness.call(&service, END_USER, admin(END_USER)).await.ok();
    witness.call(&service, END_USER, admin(END_USER)).await.ok();
    service.sign_in("74", "kiosk").await;
    service.pass(TimeDelta::hours(720));
    let history = as_admin("GET", "/sessions/user/74?include_inactive=true&limit=2");
    let reply = witness.call(&service, USER_ROUTE, history).await;
    assert_eq!((reply.ids().len(), &reply.body[0]["end_reason"]), (2, &json!("expired")));
    assert!(reply.headers.contains_key("link"));
}

async fn successes_of_a_user(witness: &Witness) {
    let service = Service::with(&[("MAX_SESSIONS", "1")]).await;
    let body =
        json!({"device_fingerprint": "a", "device_name": "Kiosk", "device_type": "mobile"}).to_string();
    // A sign-in is made with a token of its own, because a token dies with its session.
    let create = |body: &str| Call::of(CREATE).token(&device_token("74")).body(body);
    for (body, status) in [(body.as_str(), 201), (&body, 200), ("{}", 201)] {
        assert_eq!(witness.call(&service, CREATE, create(body)).await.status, status);
    }
    let id = create(&body).send(&service).await.id();
    let by_it =
        |id: &str, method: &str, target: &str| Call::new(method, target).token(&session_token("74", id));
    for target in ["/sessions/my-sessions", "/sessions/my-sessions?include_inactive=true&limit=1"] {
        witness.call(&service, MY_SESSIONS, by_it(&id, "GET", target)).await.ok();
    }
    witness.call(&service, LOGOUT, by_it(&id, "DELETE", "/sessions/logout?reason=bye")).await.ok();
    let id = create("").send(&service).await.id();
    let others = "/sessions/logout-all?exclude_current=true";
    for target in [others, "/sessions/logout-all"] {
        witness.call(&service, LOGOUT_ALL, by_it(&id, "DELETE", target)).await.ok();
    }
}

async fn successes_of_a_service(witness: &Witness) {
    let mut service = Service::start().await;
    let by_service = |route: &str| Call::of(route).token(&service_token());
    let sign_in = || by_service(SIGN_IN_USER).header("idempotency-key", "k");
    for status in [201, 200] {
        assert_eq!(witness.call(&service, SIGN_IN_USER, sign_in()).await.status, status);
    }
    let id = sign_in().send(&service).await.id();
    service.pass(TimeDelta::hours(1));
    let activity = by_service(&USER_ACTIVITY.replace("{session_id}", &id));
    witness.call(&service, USER_ACTIVITY, activity).await.ok();
    let show = |token: &str| Call::of(&SHOW_SESSION.replace("{session_id}", &id)).token(token);
    witness.call(&service, SHOW_SESSION, show(&admin_token())).await.ok();
    witness.call(&service, SUMMARY, by_service(&format!("{SUMMARY}?user_id=74&user_id=75"))).await.ok();
    let named =
        format!(r#"[{{"user_id": 74, "session_id": "{id}"}}, {{"user_id": 75, "session_id": "{id}"}}]"#);
    for body in [
        r#"{"user_ids": [74, "auth0|ab"], "dry_run": true}"#,
        &format!(r#"{{"sessions": {named}, "dry_run": true}}"#),
        r#"{"user_ids": [74], "reason": "x"}"#,
        r#"{"user_id": 74, "provider_session": "x"}"#,
        &format!(r#"{{"sessions": {named}}}"#),
    ] {
        witness.call(&service, END_USERS, by_service(END_USERS).body(body)).await.ok();
    }
    witness.call(&service, SHOW_SESSION, show(&service_token())).await.ok();
    witness.call(&service, SIGN_IN_USER, sign_in()).await.problem(409, "session_already_ended");
    let activity = by_service(&USER_ACTIVITY.replace("{session_id}", &id));
    witness.call(&service, USER_ACTIVITY, activity).await.problem(409, "session_already_ended");
}

/// The refusals that are the same on every route.
async fn refusals_of_every_route(witness: &Witness) {
    let service = Service::start().await;
    let edge = Service::with(&[("EDGE_SECRET", EDGE_SECRET), ("EDGE_ONLY", "true")]).await;
    for route in ROUTES.iter().copied() {
        let (method, path) = route.split_once(' ').unwrap();
        witness.call(&edge, route, Call::good(route).through_api()).await.problem(403, "edge_only");
        let unread = admin(route).with("/rawQueryString", json!("a b"));
        witness.call(&service, route, unread).await.problem(400, "bad_event");
        let other = Call::of(&format!("PUT {path}"));
        let refused = witness.call(&service, route, other).await;
        refused.problem(405, "method_not_allowed");
        let methods = ROUTES.iter().filter_map(|other| other.strip_suffix(path)?.strip_suffix(' '));
        assert_eq!(refused.headers["allow"], methods.collect::<Vec<_>>().join(", "), "{route}");
        if method != "POST" {
            witness.call(&service, route, admin(route).body("{}")).await.problem(400, "unexpected_body");
        }
        if path.contains('{') {
            let slash = admin(&format!("{route}/more"));
            witness.call(&service, route, slash).await.problem(404, "route_not_found");
        }
        if !Sample::of(route).is_for_staff() {
            continue;
        }
        let refusal = Sample::of(route).refusal();
        let user = Call::good(route).token(&user_token("75"));
        witness.call(&service, route, user).await.problem(403, refusal);
        if refusal == "admin_only" && ![SEARCH, SUMMARY].contains(&route) {
            let own = Call::good(route).token(&token::token("74", Some("admin"), None, START + 1000));
            witness.call(&service, route, own).await.problem(400, "own_sessions");
        }
    }
}

async fn refusals_of_tokens(witness: &Witness) {
    let service = Service::start().await;
    let signed = |claims: Value| token::sign(&json!({"alg": "HS256"}), &claims, token::SECRET);
    let tokens = [
        ("x".into(), "token_malformed"),
        (token::token("74", None, None, START - 1), "token_expired"),
        (signed(json!({"sub": "74", "exp": START + 1000, "nbf": START + 900})), "token_not_yet_valid"),
        (token::sign(&json!({"alg": "HS256"}), &json!({}), &"0".repeat(32)), "token_invalid"),
        (signed(json!({"exp": START + 1000})), "token_names_no_user"),
        (token::token("1", Some("admin"), Some(NEVER), START + 1000), "session_ended"),
    ];
    for route in ROUTES.iter().copied() {
        witness.call(&service, route, Call::of(route)).await.problem(401, "token_missing");
        // The token of a service belongs to no session.
        let codes = |code: &str| !Sample::of(route).is_for_services() || code != "session_ended";
        for (token, code) in tokens.iter().filter(|(_, code)| codes(code)) {
            witness.call(&service, route, Call::good(route).token(token)).await.problem(401, code);
        }
    }
    let strict = Service::with(&[("REQUIRE_SID", "true")]).await;
    let needs_sid = |route: &&str| !Sample::of(route).is_for_services() && *route != CREATE;
    for route in ROUTES.iter().copied().filter(needs_sid) {
        witness.call(&strict, route, Call::good(route)).await.problem(401, "sid_required");
    }
    refusals_of_an_issuer(witness).await;
    for route in [CURRENT, ACTIVITY] {
        witness.call(&service, route, admin(route)).await.problem(401, "no_current_session");
    }
}

/// What depends on the sessions and the keys of an identity provider.
async fn refusals_of_an_issuer(witness: &Witness) {
    let of_provider = Service::with(&[("PROVIDER_SESSION_CLAIM", "psid")]).await;
    let issuer = Signer::p256();
    let server = KeyServer::start(&[issuer.jwk(json!({"kid": "a"}))]).await;
    let with_keys = Service::with(&server.settings()).await;
    let silent = KeyServer::start(&[]).await;
    let without = Service::with(&silent.settings()).await;
    let token = issuer.token(Some("b"), "{}");
    for route in ROUTES.iter().copied() {
        let call = |token: &str| Call::good(route).token(token);
        witness.call(&of_provider, route, call(&user_token("74"))).await.problem(401, "sid_required");
        witness.call(&with_keys, route, call(&token)).await.problem(401, "key_unknown");
        witness.call(&without, route, call(&token)).await.problem(503, "keys_unavailable");
    }
}

async fn refusals_of_parameters(witness: &Witness) {
    let service = Service::start().await;
    let queries = [
        ("reason=%00", "bad_reason"),
        ("reason=a&reason=b", "bad_parameter"),
        ("limit=0", "bad_limit"),
        ("limit=1&limit=2", "bad_parameter"),
        ("cursor=x", "bad_cursor"),
        ("dry_run=1", "bad_boolean"),
        ("exclude_current=1", "bad_boolean"),
        ("include_inactive=1", "bad_boolean"),
        ("ip_address=x", "bad_parameter"),
    ];
    for route in ROUTES.iter().copied() {
        for (query, code) in queries.iter().filter(|(query, _)| takes(&witness.document, route, query)) {
            let call = Call::of(&format!("{route}?{query}")).token(&Sample::of(route).token());
            witness.call(&service, route, call).await.problem(400, code);
        }
        for (name, code) in [("{user_id}", "bad_user_id"), ("{session_id}", "bad_session_id")] {
            if route.contains(name) {
                let call = Call::of(&route.replace(name, "%00")).token(&Sample::of(route).token());
                witness.call(&service, route, call).await.problem(400, code);
            }
        }
    }
    witness.call(&service, SUMMARY, admin(SUMMARY)).await.problem(400, "bad_parameter");
    let bad = admin(&format!("{SUMMARY}?user_id=%00"));
    witness.call(&service, SUMMARY, bad).await.problem(400, "bad_user_id");
    let unknown = admin(&format!("{END_USERS}?dry_run=true")).body(r#"{"user_ids": [74]}"#);
    witness.call(&service, END_USERS, unknown).await.problem(400, "bad_parameter");
    for (body, code) in [
        (r#"{"user_ids": ["a/b"]}"#, "bad_user_id"),
        (r#"{"user_ids": [74], "reason": "\u0000"}"#, "bad_reason"),
        (r#"{"sessions": [{"user_id": 74, "session_id": "x"}]}"#, "bad_session_id"),
    ] {
        witness.call(&service, END_USERS, admin(END_USERS).body(body)).await.problem(400, code);
    }
    let unknown = by_74("DELETE", "/sessions/logout-all?exclude_current=true");
    witness.call(&service, LOGOUT_ALL, unknown).await.problem(409, "current_session_unknown");
}

/// Whether a route has the parameter that a query begins with.
fn takes(document: &Document, route: &str, query: &str) -> bool {
    let operation = document.responses(route).replace("/responses", "");
    let parameters = document.get(&operation).unwrap()["parameters"].as_array().cloned().unwrap_or_default();
    let name = |parameter: &Value| {
        let reference = parameter["$ref"].as_str().unwrap();
        document.get(&reference[1..]).unwrap()["name"].as_str().unwrap().to_owned()
    };
    parameters.iter().any(|parameter| query.starts_with(&name(parameter)))
}

async fn refusals_of_bodies(witness: &Witness) {
    let service = Service::start().await;
    for route in [CREATE, ACTIVITY, SIGN_IN_USER, USER_ACTIVITY, END_USERS] {
        let large = if [SIGN_IN_USER, END_USERS].contains(&route) { 64 } else { 16 };
        let large = json!({"x": "x".repeat(large * 1024)}).to_string();
        let call = || Call::good(route);
        witness.call(&service, route, call().body("[")).await.problem(400, "bad_body");
        witness.call(&service, route, call().body(&large)).await.problem(413, "body_too_large");
        let text = call().body("x").header("content-type", "text/plain");
        witness.call(&service, route, text).await.problem(415, "body_not_json");
    }
}

async fn unknown_users_and_sessions(witness: &Witness) {
    let service = Service::start().await;
    for route in [END_USER_SESSION, SHOW_SESSION, USER_ACTIVITY] {
        witness.call(&service, route, Call::good(route)).await.problem(404, "session_not_found");
    }
    for route in [MY_SESSION, END_MY_SESSION] {
        witness.call(&service, route, admin(route)).await.problem(404, "session_not_found");
    }
    witness.call(&service, LOGOUT, admin(LOGOUT)).await.problem(404, "nothing_to_log_out");
    let service = Service::with(&[("UNKNOWN_USERS", "not_found")]).await;
    for route in [USER_ROUTE, END_USER, END_USER_SESSION, SHOW_SESSION, USER_ACTIVITY] {
        witness.call(&service, route, Call::good(route)).await.problem(404, "user_not_found");
    }
}

async fn failures(witness: &Witness) {
    let broken = Service::start().await;
    broken.add_broken_session().await;
    let down = Arc::new(Service::on(nowhere(), &[]));
    let mut waiting = JoinSet::new();
    for route in ROUTES.iter().copied() {
        let call = || Call::good(route);
        witness.call(&broken, route, call()).await.problem(500, "internal_error");
        // They run in parallel, because each retries for a while.
        let (down, call) = (down.clone(), call());
        waiting.spawn(async move { (route, call.send(&down).await) });
    }
    for (route, reply) in waiting.join_all().await {
        reply.problem(503, "store_unavailable");
        witness.hold(route, &reply);
    }
}

async fn calls_of_a_provider(witness: &Witness) {
    let signer = Signer::p256();
    let keys = [signer.jwk(json!({"kid": "a"}))];
    let jwks = keys::set(&keys);
    let settings = [&[("PROVIDER_SESSION_CLAIM", "psid")][..], &keys::settings(&jwks)].concat();
    let claims = json!({
        "iss": keys::ISSUER, "aud": keys::AUDIENCE, "sub": "74", "sid": "x", "iat": START, "exp": START + 60,
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    let token = |kid: &str| signer.token(Some(kid), &claims.to_string());
    let call =
        |token: &str| Call::of(PROVIDER).body(&format!("logout_token={token}")).header("content-type", FORM);
    let good = || call(&token("a"));
    let service = Service::with(&settings).await;
    witness.call(&service, PROVIDER, good()).await.ok();
    witness.call(&service, PROVIDER, call("x")).await.problem(400, "bad_logout_token");
    let unread = good().with("/rawQueryString", json!("a b"));
    witness.call(&service, PROVIDER, unread).await.problem(400, "bad_event");
    let other = Call::of("PUT /sessions/backchannel-logout");
    witness.call(&service, PROVIDER, other).await.problem(405, "method_not_allowed");
    let edge = [&[("EDGE_SECRET", EDGE_SECRET), ("EDGE_ONLY", "true")][..], &settings].concat();
    let edge = Service::with(&edge).await;
    witness.call(&edge, PROVIDER, good().through_api()).await.problem(403, "edge_only");
    let server = KeyServer::start(&keys).await;
    let with_keys = Service::with(&server.settings()).await;
    witness.call(&with_keys, PROVIDER, call(&token("b"))).await.problem(401, "key_unknown");
    let silent = KeyServer::start(&[]).await;
    let without = Service::with(&silent.settings()).await;
    witness.call(&without, PROVIDER, good()).await.problem(503, "keys_unavailable");
    let down = Service::on(nowhere(), &settings);
    witness.call(&down, PROVIDER, good()).await.problem(503, "store_unavailable");
    let broken = Service::with(&keys::settings(&jwks)).await;
    broken.add_broken_session().await;
    witness.call(&broken, PROVIDER, good()).await.problem(500, "internal_error");
}
