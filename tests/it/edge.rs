//! Behind CloudFront: the client's own address and place, which count only with the edge's secret, and `EDGE_ONLY`.

use crate::support::log::Log;
use crate::support::*;
use chrono::TimeDelta;
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use sessions::http::Event;

const PREVIOUS: &str = "edge-secret-that-is-long-enough-00000000";
const EDGE: [(&str, &str); 1] = [("EDGE_SECRET", EDGE_SECRET)];
const ROTATING: [(&str, &str); 3] =
    [("EDGE_SECRET", EDGE_SECRET), ("EDGE_SECRET_PREVIOUS", PREVIOUS), ("EDGE_ONLY", "true")];

/// A call with what CloudFront says about a client in this city. The address of API Gateway's own caller is CloudFront's.
fn seen_from(call: Call, viewer: &str, city: &str) -> Call {
    let call = call.header("cloudfront-viewer-address", viewer).header("cloudfront-viewer-city", city);
    let call = call.header("cloudfront-viewer-country-name", "Uzbekistan");
    call.with("/requestContext/http/sourceIp", "198.51.100.200".into())
}

fn sign_in(token: &str) -> Call {
    let call = Call::new("POST", "/sessions/create")
        .token(token)
        .body(r#"{"device_fingerprint": "fingerprint of f"}"#);
    seen_from(call, "203.0.113.74:46532", "Tashkent")
}

fn place(session: &Value) -> (&Value, &Value, &Value) {
    (&session["ip_address"], &session["location"], &session["signed_in_ip"])
}

/// A session that was opened through the edge.
async fn opened(service: &Service) -> String {
    let reply = sign_in(&device_token("74")).through_edge(EDGE_SECRET).send(service).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    reply.id()
}

#[tokio::test]
async fn sessions_show_the_clients_address_and_place_in_lists_and_receipts() {
    let service = Service::with(&EDGE).await;
    let id = opened(&service).await;
    let (token, address) = (session_token("74", &id), json!("203.0.113.74"));
    let location = json!("Tashkent, Uzbekistan");
    let expected = (&address, &location, &address);
    let ended = format!("/sessions/user/74/session/{id}");
    let lists = [("/sessions/user/74", admin_token()), ("/sessions/my-sessions", token.clone())];
    for (target, token) in &lists {
        assert_eq!(place(&service.get(target, token).await.ok()[0]), expected, "{target}");
    }
    assert_eq!(place(service.get("/sessions/current", &token).await.ok()), expected);
    assert_eq!(place(&service.delete(&ended, &admin_token()).await.ok()["session"]), expected);
    assert_eq!(place(service.get(&ended, &admin_token()).await.ok()), expected);
    let summary = service.get("/sessions/summary?user_id=74", &admin_token()).await;
    assert!(!summary.text.contains("Tashkent") && !summary.text.contains("location"), "{}", summary.text);
}

#[tokio::test]
async fn an_ipv6_address_and_encoded_names_are_read() {
    let service = Service::with(&EDGE).await;
    let call = Call::new("POST", "/sessions/create").token(&device_token("74"));
    let call = seen_from(call, "2001:db8::7:443", "S%C3%A3o%20Paulo%E2%80%AE");
    let reply =
        call.header("cloudfront-viewer-country-name", "").through_edge(EDGE_SECRET).send(&service).await;
    assert_eq!(place(&reply.body), (&json!("2001:db8::7"), &json!("São Paulo"), &json!("2001:db8::7")));
}

#[tokio::test]
async fn without_the_secret_the_headers_count_for_nothing() {
    let with_edge = Service::with(&EDGE).await;
    let without = Service::start().await;
    let wrong = ["", "x", PREVIOUS, &EDGE_SECRET.to_uppercase(), &format!("{EDGE_SECRET}, {EDGE_SECRET}")];
    let calls = wrong.iter().map(|secret| (&with_edge, sign_in(&device_token("74")).through_edge(secret)));
    let others = [
        (&with_edge, sign_in(&device_token("74")).through_api()),
        (&without, sign_in(&device_token("74")).through_edge(EDGE_SECRET)),
        (&without, sign_in(&device_token("74")).through_edge("")),
    ];
    for (service, call) in calls.chain(others) {
        let reply = call.send(service).await;
        let sender = json!("198.51.100.200");
        assert!([200, 201].contains(&reply.status), "{}", reply.text);
        assert_eq!(place(&reply.body), (&sender, &Value::Null, &sender));
    }
}

#[tokio::test]
async fn a_viewer_that_cannot_be_read_leaves_the_address_of_the_sender() {
    let service = Service::with(&EDGE).await;
    for viewer in ["", "unknown", "203.0.113.74", "203.0.113.74:1, 192.0.2.1:2"] {
        let call = seen_from(sign_in(&device_token("74")), viewer, "");
        let reply =
            call.header("cloudfront-viewer-country-name", "").through_edge(EDGE_SECRET).send(&service).await;
        assert_eq!(reply.body["ip_address"], "198.51.100.200", "{viewer}");
        assert_eq!(reply.body["location"], Value::Null, "{viewer}");
    }
}

#[tokio::test]
async fn edge_only_refuses_whoever_comes_around_it_before_anything_is_read() {
    let (log, _guard) = Log::start();
    let service = Service::on(nowhere(), &ROTATING);
    let wrong = "a-wrong-edge-secret-that-is-long-enough-1";
    let others =
        ["GET /sessions/nothing", "PUT /sessions/create"].map(|route| Call::of(route).token(&admin_token()));
    let calls = ROUTES.iter().map(|route| Call::good(route)).chain(others);
    for call in calls.flat_map(|call| [call.clone().through_api(), call.through_edge(wrong)]) {
        let refused = call.send(&service).await;
        let detail = "This address is not for clients; use the service's public address";
        assert_eq!(refused.problem(403, "edge_only"), detail);
    }
    let lines = log.take();
    assert!(lines.iter().any(|line| line["code"] == "edge_only"), "{lines:?}");
    assert!(!lines.iter().any(|line| line.to_string().contains(wrong)));
    assert!(service.flush_metrics().unwrap().contains("Refused.edge_only"));
}

#[tokio::test]
async fn edge_only_lets_both_secrets_through_while_they_change() {
    let service = Service::with(&ROTATING).await;
    for secret in [EDGE_SECRET, PREVIOUS] {
        let reply = sign_in(&device_token("74")).through_edge(secret).send(&service).await;
        assert_eq!(reply.body["location"], "Tashkent, Uzbekistan", "{}", reply.text);
        let list = Call::new("GET", "/sessions/user/74").token(&admin_token()).through_edge(secret);
        list.send(&service).await.ok();
        let none = Call::new("GET", "/sessions/nothing").through_edge(secret).send(&service).await;
        none.problem(404, "route_not_found");
    }
}

#[tokio::test]
async fn what_does_not_come_through_the_api_is_not_refused() {
    let service = Service::with(&ROTATING).await;
    let id = Call::of("POST /sessions/create").token(&device_token("74")).send(&service).await.id();
    // An operator sends the event to the function when the API is flooded.
    let list = Call::new("GET", "/sessions/user/74").token(&admin_token()).send(&service).await;
    assert_eq!(list.ids(), [id.as_str()]);
    // Another API asks about a token of its own caller.
    let token = format!("Bearer {}", session_token("74", &id));
    let question = json!({
        "version": "2.0", "type": "REQUEST", "identitySource": [token], "headers": {"authorization": token},
        "requestContext": {"apiId": "fghij67890", "requestId": "request-1"},
    });
    let event: Event = serde_json::from_str(&question.to_string()).unwrap();
    let answer = service.app.answer(LambdaEvent::new(event, service.invocation()), service.now).await;
    assert_eq!(serde_json::to_value(answer.unwrap()).unwrap()["isAuthorized"], true);
}

#[tokio::test]
async fn activity_moves_the_place_with_the_address() {
    let mut service = Service::with(&EDGE).await;
    let id = opened(&service).await;
    let moves = [
        // The same address, of which CloudFront now knows no place: the place stays.
        ("203.0.113.74:1", "", "", json!("203.0.113.74"), json!("Tashkent, Uzbekistan")),
        ("203.0.113.9:2", "Samarkand", "Uzbekistan", json!("203.0.113.9"), json!("Samarkand, Uzbekistan")),
        ("203.0.113.10:3", "", "", json!("203.0.113.10"), Value::Null),
        ("203.0.113.10:4", "Berlin", "Germany", json!("203.0.113.10"), json!("Berlin, Germany")),
    ];
    for (viewer, city, country, address, location) in moves {
        service.pass(TimeDelta::hours(1));
        let call = Call::new("POST", "/sessions/update-activity").token(&session_token("74", &id));
        let call = seen_from(call, viewer, city).header("cloudfront-viewer-country-name", country);
        let moved = call.through_edge(EDGE_SECRET).send(&service).await;
        assert_eq!(place(moved.ok()), (&address, &location, &json!("203.0.113.74")), "{viewer}");
    }
    // Around the edge the service knows only who calls it.
    service.pass(TimeDelta::hours(1));
    let call = Call::new("POST", "/sessions/update-activity").token(&session_token("74", &id)).through_api();
    let moved = call.send(&service).await;
    assert_eq!(place(moved.ok()), (&json!("198.51.100.7"), &Value::Null, &json!("203.0.113.74")));
}

#[tokio::test]
async fn a_back_end_says_where_its_user_is() {
    let mut service = Service::with(&EDGE).await;
    let post = |target: &str, body: &Value| {
        let call = Call::new("POST", target).token(&service_token()).body(&body.to_string());
        // The edge saw the back end, and not the user.
        seen_from(call, "192.0.2.1:443", "Frankfurt").through_edge(EDGE_SECRET)
    };
    let body = json!({"ip_address": "203.0.113.74", "location": " Tash\u{200B}kent,\tUzbekistan "});
    let opened = post("/sessions/user/74", &body).send(&service).await;
    let tashkent = json!("Tashkent, Uzbekistan");
    assert_eq!(place(&opened.body), (&json!("203.0.113.74"), &tashkent, &json!("203.0.113.74")));
    let activity = format!("/sessions/user/74/session/{}/activity", opened.id());
    let moves = [
        (json!({}), json!("203.0.113.74"), tashkent.clone()),
        (json!({"ip_address": "203.0.113.9", "location": null}), json!("203.0.113.9"), Value::Null),
        (json!({"location": "é".repeat(200)}), json!("203.0.113.9"), json!("é".repeat(128))),
        (json!({"location": " \u{202E} "}), json!("203.0.113.9"), json!("é".repeat(128))),
    ];
    for (body, address, location) in moves {
        service.pass(TimeDelta::hours(1));
        let moved = post(&activity, &body).send(&service).await;
        assert_eq!(place(moved.ok()), (&address, &location, &json!("203.0.113.74")), "{body}");
    }
    let unknown = post("/sessions/user/75", &json!({})).send(&service).await;
    assert_eq!(place(&unknown.body), (&json!("unknown"), &Value::Null, &json!("unknown")));
    for target in ["/sessions/user/74", activity.as_str()] {
        for location in [json!(1), json!([]), json!({})] {
            let refused = post(target, &json!({ "location": location })).send(&service).await;
            assert_eq!(refused.problem(400, "bad_body"), "location must be a string");
        }
    }
}
