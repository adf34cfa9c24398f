//! Sessions of the identity provider: refreshed tokens are one session here, its ending holds until the person
//! authenticates again, and signing out at the provider ends it. What a logout token must be is in `attack::logout_token`.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::key_server::KeyServer;
use crate::support::keys::{self, AUDIENCE, ISSUER, Signer};
use crate::support::log::Log;
use crate::support::proxy::{Moment, Proxy};
use crate::support::world::scan;
use crate::support::*;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const LOGOUT: &str = "/sessions/backchannel-logout";

/// The id of a session of the provider, as every test here calls it.
const PSID: &str = "f81d4fae-7dec-11d0";

const CHALLENGE: &str = r#"Bearer error="insufficient_user_authentication", max_age="0""#;

/// An identity provider, with a key of its own. Times are in seconds after the start of the test.
struct Provider {
    signer: Signer,
    jwks: String,
}

impl Provider {
    fn new() -> Self {
        let signer = Signer::p256();
        let jwks = keys::set(&[signer.jwk(json!({"kid": "a"}))]);
        Self { signer, jwks }
    }

    /// The settings of a service that takes its tokens, with these on top.
    fn settings<'s>(&'s self, extra: &[(&'s str, &'s str)]) -> Vec<(&'s str, &'s str)> {
        [extra, &[("PROVIDER_SESSION_CLAIM", "psid")], &keys::settings(&self.jwks)].concat()
    }

    async fn service(&self, extra: &[(&str, &str)]) -> Service {
        Service::with(&self.settings(extra)).await
    }

    /// A service behind a proxy, and a second one on the same table without it.
    async fn two_services(&self) -> (Service, Proxy, Service) {
        let database = database().await;
        let proxy = Proxy::before(&database).await;
        let service = Service::on(proxy.database.clone(), &self.settings(&[]));
        (service, proxy, Service::on(database, &self.settings(&[])))
    }

    /// A token of a user, of the provider's session [`PSID`], with these changes; null takes a claim away.
    fn token_of(&self, user: &str, changes: Value) -> String {
        let mut claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": user, "iat": START, "exp": START + 10_000_000_000_i64,
            "jti": format!("{:032x}", fastrand::u128(..)), "psid": PSID,
        });
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        self.signer.token(Some("a"), &claims.to_string())
    }

    fn token(&self, changes: Value) -> String {
        self.token_of("74", changes)
    }

    /// A token for which user 74 signed in at `auth_time`, refreshed at `iat`.
    fn dated(&self, auth_time: i64, iat: i64) -> String {
        self.token(json!({"auth_time": START + auth_time, "iat": START + iat}))
    }

    /// A token of the session of this id, for which user 74 signed in at the start.
    fn of_session(&self, psid: &str) -> String {
        self.token(json!({"psid": psid, "auth_time": START}))
    }

    fn admin(&self) -> String {
        self.token_of("1", json!({"psid": "session-of-the-admin", "role": "admin"}))
    }

    /// What the provider says when user 74 signs out of [`PSID`] at `iat`, with these changes; null takes a claim away.
    fn logout_token(&self, iat: i64, changes: Value) -> String {
        let mut claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "74", "iat": START + iat, "exp": START + iat + 1_000,
            "jti": format!("{:032x}", fastrand::u128(..)), "events": {EVENT: {}}, "sid": PSID,
        });
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        self.signer.token(Some("a"), &claims.to_string())
    }

    /// The provider signs user 74 out of [`PSID`].
    async fn log_out(&self, service: &Service, iat: i64) {
        let reply = send_logout(service, &self.logout_token(iat, json!({}))).await;
        assert_eq!(reply.ok(), &json!({}));
    }

    async fn live(&self, service: &Service) -> Vec<String> {
        let list = service.get("/sessions/user/74", &self.admin()).await;
        list.ids().into_iter().map(str::to_owned).collect()
    }

    async fn session(&self, service: &Service, id: &str) -> Value {
        service.get(&format!("/sessions/user/74/session/{id}"), &self.admin()).await.ok().clone()
    }
}

/// A form, as API Gateway delivers it.
fn form(body: &str) -> Call {
    let call = Call::new("POST", LOGOUT).header("content-type", "application/x-www-form-urlencoded");
    call.with("/body", STANDARD.encode(body).into()).with("/isBase64Encoded", true.into())
}

async fn send_logout(service: &Service, token: &str) -> Reply {
    form(&format!("logout_token={token}")).send(service).await
}

async fn create(service: &Service, token: &str) -> Reply {
    service.post("/sessions/create", token, json!({"device_fingerprint": "fingerprint of the phone"})).await
}

/// Opens a session; returns its id.
async fn open(service: &Service, token: &str) -> String {
    let reply = create(service, token).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    reply.id()
}

/// Asserts that a token of user 74 gets in nowhere, and that its client is told to have the person authenticate again.
async fn is_out(service: &Service, token: &str) {
    for sample in SAMPLES.iter().filter(|sample| sample.is_for(Role::User)) {
        let reply = sample.call(NEVER).token(token).send(service).await;
        reply.problem(401, "session_ended");
        assert_eq!(reply.headers["www-authenticate"], CHALLENGE, "{}", sample.route);
    }
}

async fn is_in(service: &Service, token: &str, id: &str) {
    assert_eq!(service.get("/sessions/current", token).await.ok()["id"], id);
}

/// The item of [`PSID`].
async fn item(service: &Service) -> Option<Value> {
    let items = scan(&service.database).await;
    let is_it = |item: &&Value| {
        item["user_id"]["S"] == "74" && item["sk"]["S"].as_str().unwrap().starts_with("provider#")
    };
    items.iter().find(is_it).cloned()
}

#[tokio::test]
async fn refreshed_tokens_are_one_session_and_evict_nothing() {
    for auth_time in [json!(START), json!(null)] {
        let provider = Provider::new();
        let mut service = provider.service(&[("MAX_SESSIONS", "2")]).await;
        let laptop = open(&service, &provider.token(json!({"psid": "laptop"}))).await;
        service.pass(TimeDelta::seconds(1));
        let claims = |iat: i64| json!({"iat": START + iat, "auth_time": auth_time});
        let phone = open(&service, &provider.token(claims(0))).await;
        for minutes in 1..=10 {
            service.pass(TimeDelta::minutes(5));
            let token = provider.token(claims(minutes * 300));
            is_in(&service, &token, &phone).await;
            let again = create(&service, &token).await;
            assert_eq!((again.status, again.id()), (200, phone.clone()));
            assert_eq!(again.body["evicted"], json!([]));
        }
        assert_eq!(provider.live(&service).await, [phone, laptop]);
    }
}

#[tokio::test]
async fn every_ending_holds_for_every_token_of_the_session() {
    for ending in 0..7 {
        let provider = Provider::new();
        let mut service = provider.service(&[("MAX_SESSIONS", "1")]).await;
        let tokens =
            [provider.dated(0, 0), provider.dated(0, 20), provider.token(json!({"iat": START + 40}))];
        let id = open(&service, &tokens[0]).await;
        service.pass(TimeDelta::seconds(60));
        match ending {
            0 => service.delete(&format!("/sessions/user/74/session/{id}"), &provider.admin()).await,
            1 => service.delete("/sessions/user/74", &provider.admin()).await,
            2 => service.delete(&format!("/sessions/session/{id}"), &tokens[1]).await,
            3 => service.delete("/sessions/logout", &tokens[1]).await,
            4 => service.delete("/sessions/logout-all", &tokens[2]).await,
            5 => create(&service, &provider.token(json!({"psid": "another device"}))).await,
            _ => {
                service.pass(TimeDelta::hours(720));
                service.get("/sessions/user/75", &provider.admin()).await
            }
        };
        for token in tokens.iter().chain([&provider.dated(0, 60)]) {
            is_out(&service, token).await;
        }
        assert_eq!(provider.session(&service, &id).await["is_active"], false, "{ending}");
        let live = provider.live(&service).await;
        assert_eq!(live.len(), usize::from(ending == 5), "{ending}");
    }
}

#[tokio::test]
async fn only_a_session_of_a_provider_is_told_to_authenticate_again() {
    let service = Service::start().await;
    let token = device_token("74");
    service.post("/sessions/create", &token, json!({})).await;
    service.delete("/sessions/logout", &token).await.ok();
    let reply = service.get("/sessions/current", &token).await;
    reply.problem(401, "session_ended");
    assert_eq!(reply.headers["www-authenticate"], "Bearer");
}

#[tokio::test]
async fn a_person_who_authenticates_again_gets_a_new_session_under_the_same_id() {
    let provider = Provider::new();
    let mut service = provider.service(&[]).await;
    let first = provider.dated(0, 0);
    let one = open(&service, &first).await;
    service.pass(TimeDelta::seconds(100));
    service.delete("/sessions/logout", &first).await.ok();
    service.pass(TimeDelta::seconds(100));
    // What was authenticated in the second of the ending cannot be told from what was before it.
    for auth_time in [0, 99, 100] {
        is_out(&service, &provider.dated(auth_time, 200)).await;
    }
    let again = provider.dated(101, 200);
    service.get("/sessions/current", &again).await.problem(401, "no_current_session");
    let two = open(&service, &again).await;
    assert_ne!(one, two);
    is_in(&service, &provider.dated(101, 260), &two).await;
    for token in [&first, &provider.dated(0, 250), &provider.dated(100, 250), &provider.token(json!({}))] {
        is_out(&service, token).await;
    }
    assert_eq!(provider.live(&service).await, [two.as_str()]);

    // A third time, and the tokens of both are out.
    service.pass(TimeDelta::seconds(100));
    service.delete("/sessions/logout", &again).await.ok();
    service.pass(TimeDelta::seconds(100));
    let three = open(&service, &provider.dated(301, 400)).await;
    for auth_time in [0, 101, 300] {
        is_out(&service, &provider.dated(auth_time, 400)).await;
    }
    assert_eq!(provider.live(&service).await, [three]);
}

/// Nobody knows then when the session ended, except that it was before the history began.
#[tokio::test]
async fn an_ending_holds_when_the_record_of_the_session_is_gone() {
    const DAY: i64 = 24 * 3600;
    let provider = Provider::new();
    let mut service = provider.service(&[("HISTORY_DAYS", "10")]).await;
    let token = provider.dated(0, 0);
    let id = open(&service, &token).await;
    service.pass(TimeDelta::days(1));
    service.delete("/sessions/logout", &token).await.ok();
    service.pass(TimeDelta::days(15));
    let delete = service.client().delete_item().table_name(&service.database.table);
    delete.key("user_id", text("74")).key("sk", text(&format!("session#{id}"))).send().await.unwrap();
    for out in [provider.dated(0, 16 * DAY), provider.dated(6 * DAY, 16 * DAY), provider.token(json!({}))] {
        is_out(&service, &out).await;
    }
    let new = open(&service, &provider.dated(6 * DAY + 1, 16 * DAY)).await;
    is_out(&service, &provider.dated(6 * DAY, 16 * DAY)).await;
    assert_eq!(provider.live(&service).await, [new]);
    assert_eq!(item(&service).await.unwrap()["ttl"], json!(null), "providers refresh for years");
}

#[tokio::test]
async fn without_auth_time_an_ending_is_for_good() {
    let provider = Provider::new();
    let mut service = provider.service(&[]).await;
    let token = provider.token(json!({}));
    open(&service, &token).await;
    service.delete("/sessions/logout", &token).await.ok();
    service.pass(TimeDelta::days(1_000));
    let now = service.now.timestamp();
    is_out(&service, &provider.token(json!({"iat": now}))).await;
    // A later one than its token is none.
    is_out(&service, &provider.token(json!({"iat": START, "auth_time": now}))).await;
    open(&service, &provider.token(json!({"iat": now, "psid": "another session of the provider"}))).await;
}

#[tokio::test]
async fn sessions_of_the_provider_never_merge_on_one_device() {
    let provider = Provider::new();
    let mut service = provider.service(&[("SERVICE_ROLE", "service")]).await;
    let back_end = provider.token_of("backend", json!({"psid": null, "role": "service"}));
    let body = json!({"device_fingerprint": "fingerprint of the phone"});
    let mut ids = vec![service.post("/sessions/user/74", &back_end, body.clone()).await.id()];
    for psid in ["of one tab", "of another tab"] {
        service.pass(TimeDelta::seconds(1));
        ids.push(open(&service, &provider.of_session(psid)).await);
    }
    service.pass(TimeDelta::seconds(1));
    assert_eq!(service.post("/sessions/user/74", &back_end, body).await.id(), ids[0]);
    assert_eq!(provider.live(&service).await.len(), 3);
    service.delete("/sessions/logout", &provider.of_session("of one tab")).await.ok();
    is_in(&service, &provider.of_session("of another tab"), &ids[2]).await;
}

#[tokio::test]
async fn where_a_session_is_required_a_token_of_the_provider_opens_one_first() {
    let provider = Provider::new();
    let service = provider.service(&[("REQUIRE_SID", "true")]).await;
    let token = provider.dated(0, 0);
    for sample in SAMPLES.iter().filter(|sample| sample.is_for(Role::User)) {
        if sample.route != "POST /sessions/create" {
            sample.call(NEVER).token(&token).send(&service).await.problem(401, "sid_required");
        }
    }
    service.get("/sessions/user/74", &provider.admin()).await.problem(401, "sid_required");
    let id = open(&service, &token).await;
    is_in(&service, &provider.dated(0, 20), &id).await;
    open(&service, &provider.admin()).await;
    assert_eq!(provider.live(&service).await, [id]);
}

/// A refreshed token has a new `iat`, and the `auth_time` of its sign-in.
#[tokio::test]
async fn an_end_all_reaches_the_providers_sessions_that_were_never_seen_here() {
    let provider = Provider::new();
    let mut service = provider.service(&[]).await;
    service.pass(TimeDelta::seconds(1_000));
    service.delete("/sessions/user/74", &provider.admin()).await.ok();
    // A minute covers what this test itself takes until the end-all is written.
    service.pass(TimeDelta::seconds(60));
    for (auth_time, iat) in [(0, 0), (0, 1_060), (1_000, 1_060), (1_060, 1_000)] {
        is_out(&service, &provider.dated(auth_time, iat)).await;
    }
    let refreshed = provider.token(json!({"iat": START + 1_000}));
    is_out(&service, &refreshed).await;
    open(&service, &provider.dated(1_060, 1_060)).await;
    // Without auth_time, a refreshed token cannot be told from one of a new sign-in.
    let another = json!({"psid": "another session of the provider", "iat": START + 1_060});
    open(&service, &provider.token(another)).await;
}

#[tokio::test]
async fn an_id_of_the_provider_is_no_id_of_ours_and_means_nothing_to_other_users() {
    let provider = Provider::new();
    let mut service = provider.service(&[("PROVIDER_SESSION_CLAIM", "sid")]).await;
    let token_of = |user: &str, sid: &str| provider.token_of(user, json!({"sid": sid, "psid": null}));
    let token = token_of("74", "the other's");
    let other = open(&service, &token).await;
    service.pass(TimeDelta::seconds(1));
    let impostor = token_of("74", &other);
    service.get("/sessions/current", &impostor).await.problem(401, "no_current_session");
    assert_ne!(open(&service, &impostor).await, other);
    service.delete("/sessions/logout", &impostor).await.ok();
    is_in(&service, &token, &other).await;

    let of_75 = token_of("75", "the other's");
    service.get("/sessions/current", &of_75).await.problem(401, "no_current_session");
    let theirs = open(&service, &of_75).await;
    service.get(&format!("/sessions/session/{theirs}"), &token).await.problem(404, "session_not_found");
    service.delete("/sessions/logout", &of_75).await.ok();
    is_in(&service, &token, &other).await;
}

#[tokio::test]
async fn a_logout_with_a_token_of_the_provider_that_opened_nothing_holds_too() {
    let provider = Provider::new();
    let service = provider.service(&[]).await;
    let session = open(&service, &provider.of_session("of one tab")).await;
    let unbound = provider.dated(0, 0);
    let logout = Call::new("DELETE", "/sessions/logout").token(&unbound).header("x-session-id", &session);
    assert_eq!(logout.send(&service).await.ok()["session"]["id"], session);
    for token in [unbound, provider.dated(0, 20), provider.of_session("of one tab")] {
        is_out(&service, &token).await;
    }
}

#[tokio::test]
async fn signing_out_at_the_provider_ends_the_session_here() {
    let (log, _guard) = Log::start();
    let provider = Provider::new();
    let mut service = provider.service(&[]).await;
    let (token, other) = (provider.dated(0, 0), provider.of_session("of one tab"));
    let (id, others) = (open(&service, &token).await, open(&service, &other).await);
    service.pass(TimeDelta::seconds(100));
    log.take();
    provider.log_out(&service, 100).await;
    let ended = json!({
        "level": "INFO", "message": "session ended", "event": "session_ended", "actor": "provider",
        "user_id": "74", "session_id": id, "reason": "logged_out_at_provider",
        "span": {"name": "request", "request_id": "request-1"},
    });
    assert_eq!(log.take_audit(), [ended]);
    let metrics: Value = serde_json::from_str(&service.flush_metrics().unwrap()).unwrap();
    assert_eq!(metrics["Ended.logged_out_at_provider"], 1.0, "{metrics}");

    for token in [&token, &provider.dated(0, 90), &provider.dated(100, 100)] {
        is_out(&service, token).await;
    }
    is_in(&service, &other, &others).await;
    let session = provider.session(&service, &id).await;
    let receipt = [&session["end_reason"], &session["ended_by"], &session["end_note"]];
    assert_eq!(receipt, [&json!("logged_out_at_provider"), &json!(null), &json!(null)]);

    // The provider may send it again; nothing changes by that.
    service.pass(TimeDelta::seconds(100));
    let before = scan(&service.database).await;
    log.take();
    provider.log_out(&service, 100).await;
    assert_eq!(scan(&service.database).await, before);
    assert_eq!(log.take_audit(), [json!(null); 0]);
    let again = open(&service, &provider.dated(150, 150)).await;
    provider.log_out(&service, 100).await;
    is_in(&service, &provider.dated(150, 160), &again).await;
}

#[tokio::test]
async fn a_session_that_was_signed_out_before_it_was_seen_here_opens_nothing() {
    let provider = Provider::new();
    let mut service = provider.service(&[]).await;
    service.pass(TimeDelta::seconds(100));
    provider.log_out(&service, 100).await;
    let tombstone = item(&service).await.unwrap();
    assert_eq!(tombstone["not_before"]["N"], (START + 100).to_string());
    assert_eq!((&tombstone["session"], &tombstone["ttl"]), (&json!(null), &json!(null)));
    // Whatever comes again, the latest of them counts.
    provider.log_out(&service, 60).await;
    assert_eq!(item(&service).await.unwrap(), tombstone);
    for token in [provider.dated(0, 0), provider.dated(100, 160), provider.token(json!({}))] {
        is_out(&service, &token).await;
    }
    service.pass(TimeDelta::seconds(100));
    provider.log_out(&service, 150).await;
    is_out(&service, &provider.dated(150, 200)).await;
    let id = open(&service, &provider.dated(151, 200)).await;
    is_out(&service, &provider.dated(150, 200)).await;
    assert_eq!(provider.live(&service).await, [id]);
}

#[tokio::test]
async fn an_older_logout_leaves_the_session_of_a_newer_authentication() {
    let provider = Provider::new();
    let mut service = provider.service(&[]).await;
    service.pass(TimeDelta::seconds(100));
    let id = open(&service, &provider.dated(100, 100)).await;
    provider.log_out(&service, 99).await;
    is_in(&service, &provider.dated(100, 120), &id).await;
    provider.log_out(&service, 100).await;
    is_out(&service, &provider.dated(100, 120)).await;
}

/// The receipt of the session says nothing of that authentication.
#[tokio::test]
async fn a_logout_after_an_ending_reaches_who_authenticated_in_between() {
    let provider = Provider::new();
    let mut service = provider.service(&[]).await;
    let token = provider.dated(0, 0);
    open(&service, &token).await;
    service.delete("/sessions/logout", &token).await.ok();
    service.pass(TimeDelta::seconds(100));
    provider.log_out(&service, 100).await;
    for auth_time in [0, 50, 100] {
        is_out(&service, &provider.dated(auth_time, 100)).await;
    }
    service.pass(TimeDelta::seconds(1));
    open(&service, &provider.dated(101, 101)).await;
}

/// Its tokens come from up to a minute ahead, and so do its logouts.
#[tokio::test]
async fn an_ending_holds_when_the_clock_of_the_provider_is_ahead() {
    for at_provider in [false, true] {
        let provider = Provider::new();
        let mut service = provider.service(&[]).await;
        let token = provider.dated(40, 40);
        open(&service, &token).await;
        service.pass(TimeDelta::seconds(1));
        if at_provider {
            provider.log_out(&service, 50).await;
            is_out(&service, &provider.dated(50, 50)).await;
        } else {
            service.delete("/sessions/logout", &token).await.ok();
        }
        is_out(&service, &token).await;
        service.pass(TimeDelta::seconds(100));
        is_out(&service, &provider.dated(40, 140)).await;
        open(&service, &provider.dated(51, 140)).await;
    }
}

/// Another ending comes first, and the person authenticates again, all before the provider's logout is answered.
#[tokio::test]
async fn a_logout_that_comes_second_reaches_who_authenticated_before_it() {
    let provider = Provider::new();
    let (mut service, proxy, mut other) = provider.two_services().await;
    let first = provider.dated(0, 0);
    open(&other, &first).await;
    other.now = at(10);
    service.now = at(100);
    let log_out = provider.log_out(&service, 100);
    let reached = proxy.interleave(Moment::First("UpdateItem"), log_out, async || {
        other.delete("/sessions/logout", &first).await.ok();
        other.now = at(60);
        open(&other, &provider.dated(50, 60)).await;
    });
    reached.await.unwrap();
    assert_eq!(provider.live(&other).await, [""; 0]);
    is_out(&other, &provider.dated(50, 100)).await;
}

#[tokio::test]
async fn a_logout_without_a_session_ends_all_that_was_opened_until_then() {
    for setting in ["psid", "auth_time"] {
        let (log, _guard) = Log::start();
        let provider = Provider::new();
        let mut service = provider.service(&[("PROVIDER_SESSION_CLAIM", setting)]).await;
        let token = |auth_time: i64| {
            let psid = format!("session of {auth_time}");
            provider.token(json!({"psid": psid, "auth_time": START + auth_time, "iat": START + 300}))
        };
        let mut ids = Vec::new();
        for auth_time in [0, 100, 200] {
            service.now = at(auth_time);
            ids.push(open(&service, &token(auth_time)).await);
        }
        log.take();
        // Where the claim is another one than what logout tokens call sid, it is as if there were none.
        let sid = if setting == "psid" { json!(null) } else { json!("sid of the provider") };
        let logout = provider.logout_token(150, json!({"sid": sid}));
        assert_eq!(send_logout(&service, &logout).await.ok(), &json!({}));
        let endings = log.take_audit();
        let ended: BTreeSet<_> =
            endings.iter().map(|line| line["session_id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ended, ids[..2].iter().cloned().collect::<BTreeSet<_>>());
        assert!(endings.iter().all(|line| line["actor"] == "provider"), "{endings:?}");
        for auth_time in [0, 100, 50, 150] {
            is_out(&service, &token(auth_time)).await;
        }
        is_in(&service, &token(200), &ids[2]).await;
        service.now = at(300);
        open(&service, &token(151)).await;
    }
}

#[tokio::test]
async fn a_logout_of_a_user_whom_nobody_knows_is_no_failure() {
    for known in ["", "not_found"] {
        let provider = Provider::new();
        let service = provider.service(&[("UNKNOWN_USERS", known)]).await;
        for changes in [json!({"sub": "75"}), json!({"sub": "75", "sid": null})] {
            assert_eq!(send_logout(&service, &provider.logout_token(0, changes)).await.ok(), &json!({}));
        }
    }
}

#[tokio::test]
async fn the_body_is_a_form_in_base64_or_not() {
    let provider = Provider::new();
    let service = provider.service(&[]).await;
    let token = provider.logout_token(0, json!({}));
    let plain = format!("logout_token={token}");
    form(&plain).send(&service).await.ok();
    form(&format!("state=1&{plain}&other=2")).send(&service).await.ok();
    let call = Call::new("POST", LOGOUT).header("content-type", "application/x-www-form-urlencoded");
    call.with("/body", plain.as_str().into()).send(&service).await.ok();
    // The credential is the token in the body, whatever the header says.
    form(&plain).token("no token").send(&service).await.ok();
}

#[tokio::test]
async fn what_proves_nothing_is_refused_in_the_form_that_providers_know() {
    let provider = Provider::new();
    let service = provider.service(&[]).await;
    let token = provider.logout_token(0, json!({}));
    let good = format!("logout_token={token}");
    let forged = Provider::new().logout_token(0, json!({}));
    let bodies = [
        String::new(),
        token.clone(),
        format!("{good}&{good}"),
        format!("Logout_token={token}"),
        json!({"logout_token": token}).to_string(),
        "logout_token=".into(),
        "logout_token=a.b.c".into(),
        format!("logout_token={forged}"),
        format!("logout_token={}", provider.dated(0, 0)),
        format!("logout_token={}", provider.logout_token(0, json!({"sub": null}))),
        format!("logout_token={}", provider.logout_token(-301, json!({}))),
        format!("logout_token={}", provider.logout_token(0, json!({"aud": "another service"}))),
        format!("{good}&padding={}", "x".repeat(16 * 1024)),
    ];
    for body in &bodies {
        let reply = form(body).send(&service).await;
        let detail = reply.problem(400, "bad_logout_token").to_owned();
        assert_eq!(reply.body["error"], "invalid_request", "{body}");
        assert_eq!(reply.body["error_description"], detail, "{body}");
    }
    assert!(scan(&service.database).await.is_empty(), "nothing was written");
    service.get(LOGOUT, &provider.admin()).await.problem(405, "method_not_allowed");
    // It is no bearer token either.
    service.get("/sessions/current", &token).await.problem(401, "token_invalid");
}

#[tokio::test]
async fn a_logout_is_tried_again_when_keys_or_table_are_out_of_reach() {
    let provider = Provider::new();
    let away = Service::on(nowhere(), &provider.settings(&[]));
    for sid in [json!(PSID), json!(null)] {
        let token = provider.logout_token(0, json!({"sid": sid}));
        send_logout(&away, &token).await.problem(503, "store_unavailable");
    }
    let server = KeyServer::start(&[]).await;
    server.answer(500, "{}");
    let settings = [&[("PROVIDER_SESSION_CLAIM", "psid")][..], &server.settings()].concat();
    let service = Service::with(&settings).await;
    let reply = send_logout(&service, &provider.logout_token(0, json!({}))).await;
    reply.problem(503, "keys_unavailable");
}

#[tokio::test]
async fn a_shared_secret_proves_no_logout() {
    let service = Service::start().await;
    let token = token_with("74", json!({"events": {EVENT: {}}, "iat": START}));
    send_logout(&service, &token).await.problem(400, "bad_logout_token");
    assert!(scan(&service.database).await.is_empty());
}

async fn end(service: &Service, token: &str, body: Value) -> Reply {
    service.post("/sessions/end", token, body).await
}

#[tokio::test]
async fn a_webhook_ends_the_session_of_a_provider() {
    let provider = Provider::new();
    let mut service = provider.service(&[("SERVICE_ROLE", "service")]).await;
    let back_end = provider.token_of("backend", json!({"psid": null, "role": "service"}));
    let token = provider.dated(0, 0);
    let id = open(&service, &token).await;
    service.pass(TimeDelta::seconds(100));
    let named = |more: Value| {
        let mut body = json!({"user_id": 74, "provider_session": PSID});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let before = scan(&service.database).await;
    for caller in [&back_end, &provider.admin()] {
        let dry = end(&service, caller, named(json!({"dry_run": true}))).await;
        let message = json!("1 session would end");
        assert_eq!((&dry.ok()["message"], &dry.body["revoked"]), (&message, &json!(0)), "{}", dry.text);
        assert_eq!(dry.body["users"], json!([{"user_id": 74, "revoked": 1}]));
    }
    assert_eq!(scan(&service.database).await, before);
    is_in(&service, &token, &id).await;

    let ended = end(&service, &back_end, named(json!({"reason": "session.ended at the provider"}))).await;
    assert_eq!((&ended.ok()["message"], &ended.body["revoked"]), (&json!("1 session ended"), &json!(1)));
    assert_eq!(ended.body["users"], json!([{"user_id": 74, "revoked": 1}]));
    is_out(&service, &token).await;
    let session = provider.session(&service, &id).await;
    assert_eq!(session["end_reason"], "revoked_by_service");
    assert_eq!(session["end_note"], "session.ended at the provider");

    let repeat = end(&service, &provider.admin(), named(json!({}))).await;
    assert_eq!(repeat.ok()["revoked"], 0);
    assert_eq!(provider.session(&service, &id).await, session);
    let dry = end(&service, &back_end, named(json!({"dry_run": true}))).await;
    assert_eq!(dry.ok()["message"], "0 sessions would end");

    // One that was never seen here, by its number.
    let never = json!({"user_id": "74", "provider_session": 7});
    assert_eq!(end(&service, &back_end, never).await.ok()["revoked"], 0);
    is_out(&service, &provider.token(json!({"psid": 7, "auth_time": START + 100, "iat": START + 100}))).await;
    open(&service, &provider.token(json!({"psid": 7, "auth_time": START + 101, "iat": START + 101}))).await;
}

#[tokio::test]
async fn a_webhook_that_names_no_session_of_a_provider_ends_nothing() {
    let provider = Provider::new();
    let service = provider.service(&[]).await;
    let token = provider.dated(0, 0);
    let id = open(&service, &token).await;
    let session = |session: Value| json!({"user_id": 74, "provider_session": session});
    for (body, code) in [
        (json!({"user_id": 74}), "bad_body"),
        (json!({"provider_session": PSID}), "bad_body"),
        (json!({"user_ids": [74], "provider_session": PSID}), "bad_body"),
        (json!({"user_ids": [74], "user_id": 74, "provider_session": PSID}), "bad_body"),
        (json!({"user_id": null, "provider_session": PSID}), "bad_body"),
        (json!({"user_id": [74], "provider_session": PSID}), "bad_body"),
        (json!({"user_id": 74, "provider_session": PSID, "session_id": id}), "bad_body"),
        (json!({"user_id": 74, "provider_session": PSID, "dryrun": true}), "bad_body"),
        (json!({"user_id": "a/b", "provider_session": PSID}), "bad_user_id"),
        (session(json!("")), "bad_body"),
        (session(json!(null)), "bad_body"),
        (session(json!(true)), "bad_body"),
        (session(json!([PSID])), "bad_body"),
        (session(json!(7.5)), "bad_body"),
        (session(json!(9_007_199_254_740_993_u64)), "bad_body"),
        (session(json!("a\u{0}b")), "bad_body"),
        (session(json!("x".repeat(256))), "bad_body"),
    ] {
        end(&service, &provider.admin(), body.clone()).await.problem(400, code);
    }
    let own = json!({"user_id": 1, "provider_session": "session-of-the-admin"});
    end(&service, &provider.admin(), own).await.problem(400, "own_sessions");
    end(&service, &token, session(json!(PSID))).await.problem(403, "admin_only");
    is_in(&service, &token, &id).await;
}

#[tokio::test]
async fn two_tabs_that_refresh_and_sign_in_at_once_are_one_session() {
    let provider = Provider::new();
    for _ in 0..20 {
        let service = provider.service(&[]).await;
        let (one, two) = (provider.dated(0, 0), provider.dated(0, 20));
        let (one, two) = tokio::join!(create(&service, &one), create(&service, &two));
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!((statuses, one.id()), ([200, 201], two.id()));
        assert_eq!(provider.live(&service).await, [one.id()]);
    }
}

/// What another request does while a sign-in is under way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meanwhile {
    OtherTab,
    EndOne,
    EndAll,
    LogoutAtProvider,
    Webhook,
}

use Meanwhile::{EndAll, EndOne, LogoutAtProvider, OtherTab, Webhook};

impl Meanwhile {
    async fn happens(self, provider: &Provider, service: &Service) {
        match self {
            OtherTab => drop(create(service, &provider.dated(0, 20)).await),
            EndOne => {
                for id in provider.live(service).await {
                    let target = format!("/sessions/user/74/session/{id}");
                    service.delete(&target, &provider.admin()).await.ok();
                }
            }
            EndAll => drop(service.delete("/sessions/user/74", &provider.admin()).await.ok()),
            LogoutAtProvider => provider.log_out(service, 100).await,
            Webhook => {
                let body = json!({"user_id": 74, "provider_session": PSID});
                end(service, &provider.admin(), body).await.ok();
            }
        }
    }
}

/// How a sign-in finds the provider's session.
#[derive(Clone, Copy, Debug)]
enum Before {
    Unseen,
    Live,
    Ended,
}

/// Every moment of a sign-in; afterwards either its session is over and its tokens are out, or it is the only one.
#[tokio::test]
async fn what_happens_at_any_call_of_a_sign_in_holds() {
    let provider = Provider::new();
    let mut cases = 0;
    for before in [Before::Unseen, Before::Live, Before::Ended] {
        for meanwhile in [OtherTab, EndOne, EndAll, LogoutAtProvider, Webhook] {
            for turn in 0.. {
                let (mut service, proxy, mut other) = provider.two_services().await;
                let mut auth_time = 0;
                if !matches!(before, Before::Unseen) {
                    open(&other, &provider.dated(0, 0)).await;
                }
                if matches!(before, Before::Ended) {
                    other.delete("/sessions/logout", &provider.dated(0, 0)).await.ok();
                    auth_time = 50;
                }
                (service.now, other.now) = (at(100), at(100));
                let token = provider.dated(auth_time, 100);
                let sign_in = create(&service, &token);
                let reply = proxy.interleave(Moment::Call(turn), sign_in, async || {
                    meanwhile.happens(&provider, &other).await;
                });
                let Some(reply) = reply.await else { break };
                let case = format!("{before:?} {meanwhile:?} {turn}: {}", reply.text);
                check(&provider, &other, meanwhile, &token, &reply, &case).await;
                cases += 1;
            }
        }
    }
    assert!(cases > 40, "{cases}");
}

async fn check(
    provider: &Provider,
    service: &Service,
    meanwhile: Meanwhile,
    token: &str,
    reply: &Reply,
    case: &str,
) {
    let live = provider.live(service).await;
    assert!([200, 201, 401].contains(&reply.status), "{case}");
    assert!(live.len() <= 1, "{case}");
    let current = service.get("/sessions/current", token).await;
    // Nothing but an ending of a session that was not there yet may have had nothing to end.
    let must_be_out = [EndAll, LogoutAtProvider, Webhook].contains(&meanwhile);
    if must_be_out {
        assert_eq!((live.len(), current.status), (0, 401), "{case}");
        create(service, token).await.problem(401, "session_ended");
    } else if reply.status != 401 && !live.is_empty() {
        assert_eq!(live, [reply.id()], "{case}");
        assert_eq!(current.ok()["id"], reply.id(), "{case}");
    } else {
        assert_eq!(current.status, 401, "{case}");
    }
}

/// Every moment of an ending, while somebody signs in.
#[tokio::test]
async fn a_sign_in_at_any_call_of_an_ending_does_not_outlive_it() {
    let provider = Provider::new();
    let mut cases = 0;
    for before in [Before::Unseen, Before::Live, Before::Ended] {
        for ending in [EndAll, LogoutAtProvider, Webhook] {
            for turn in 0.. {
                let (mut service, proxy, mut other) = provider.two_services().await;
                if !matches!(before, Before::Unseen) {
                    open(&other, &provider.dated(0, 0)).await;
                }
                if matches!(before, Before::Ended) {
                    other.delete("/sessions/logout", &provider.dated(0, 0)).await.ok();
                }
                (service.now, other.now) = (at(100), at(100));
                let token = provider.dated(50, 100);
                let end = ending.happens(&provider, &service);
                let reached = proxy.interleave(Moment::Call(turn), end, async || {
                    create(&other, &token).await;
                });
                if reached.await.is_none() {
                    break;
                }
                let case = format!("{before:?} {ending:?} {turn}");
                assert_eq!(provider.live(&other).await, [""; 0], "{case}");
                is_out(&other, &token).await;
                cases += 1;
            }
        }
    }
    assert!(cases > 20, "{cases}");
}
