//! The search among the sessions of all users: what it finds, how its pages join, and what it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::log::Log;
use crate::support::proxy::Proxy;
use crate::support::*;
use chrono::TimeDelta;
use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};
use sessions::session::{
    Clock, DeviceType, Fragment, Location, Session, SessionFilter, SessionId, Timestamp,
};
use sessions::store::{Page, Search, SessionStore, Timeouts};
use tokio::runtime::Builder;

async fn search(service: &Service, query: &str) -> Reply {
    service.get(&format!("/sessions{query}"), &admin_token()).await
}

/// The users of the sessions that a search finds on its first page.
async fn found(service: &Service, query: &str) -> Vec<String> {
    users(search(service, query).await.ok())
}

fn users(page: &Value) -> Vec<String> {
    let users = page.as_array().unwrap().iter().map(|session| &session["user_id"]);
    users.map(|user| user.as_str().map_or_else(|| user.to_string(), str::to_owned)).collect()
}

/// The target of the next page.
fn next(reply: &Reply) -> Option<&str> {
    let (target, rest) = reply.headers.get("link")?.strip_prefix('<')?.split_once('>')?;
    rest.starts_with("; rel=\"next\"").then_some(target)
}

/// All pages of a search.
async fn pages(service: &Service, query: &str) -> Vec<Reply> {
    let mut pages = vec![search(service, query).await];
    while let Some(target) = next(pages.last().unwrap()) {
        let page = service.get(target, &admin_token()).await;
        page.ok();
        pages.push(page);
    }
    pages
}

/// Signs a user in from this address on this device, a minute after whatever was before.
async fn sign_in(service: &mut Service, user: &str, address: &str, browser: &str, os: &str) -> Session {
    service.pass(TimeDelta::minutes(1));
    let mut new = new_session(user, browser, service.now);
    new.origin.ip_address = address.into();
    if browser == "Edge" {
        new.origin.location = Location::new("Tashkent, Uzbekistan");
    }
    (new.device.browser, new.device.os) = (browser.into(), os.into());
    if os == "iOS" {
        new.device.kind = DeviceType::Mobile;
    }
    service.store().sign_in(&new, Clock::start(service.now)).await.unwrap().unwrap().session
}

/// Five users, each with one session. The first three moved to another address after they signed in.
async fn scene() -> Service {
    let mut service = Service::start().await;
    let devices = [
        ("70", "203.0.113.7", "Chrome", "Windows 10"),
        ("71", "203.0.113.77", "Firefox 145", "Linux"),
        ("72", "2001:db8::7", "Safari", "iOS"),
        ("auth0|ab", "198.51.100.1", "Edge", "Windows 11"),
        ("74", "unknown", "Unknown", "Unknown"),
    ];
    let mut sessions = Vec::new();
    for (user, address, browser, os) in devices {
        sessions.push(sign_in(&mut service, user, address, browser, os).await);
    }
    service.pass(TimeDelta::minutes(5));
    for session in &sessions[..3] {
        service
            .store()
            .record_activity(session, &origin("192.0.2.9"), Clock::start(service.now))
            .await
            .unwrap();
    }
    service
}

#[tokio::test]
async fn the_sessions_of_all_users_come_newest_first() {
    let mut service = scene().await;
    let mine = service.sign_in("1", "mine").await;
    let reply = search(&service, "").await;
    assert_eq!(users(reply.ok()), ["1", "74", "auth0|ab", "72", "71", "70"]);
    assert_eq!(next(&reply), None);
    let shown = service.get("/sessions/user/70", &admin_token()).await;
    assert_eq!(reply.body[5], shown.body[0], "a session looks as it does in the list of its user");
    assert_eq!((&reply.body[0]["id"], &reply.body[0]["is_current"]), (&json!(mine.id), &json!(null)));
    service.delete("/sessions/user/72", &admin_token()).await.ok();
    assert_eq!(found(&service, "").await, ["1", "74", "auth0|ab", "71", "70"]);
}

#[tokio::test]
async fn each_filter_finds_what_it_says() {
    let service = scene().await;
    let cases: [(&str, &[&str]); 25] = [
        ("ip_address=203.0.113.7", &["70"]),
        ("ip_address=203.0.113.0%2F24", &["71", "70"]),
        ("ip_address=203.0.113.64/26", &["71"]),
        ("ip_address=192.0.2.9", &["72", "71", "70"]),
        ("ip_address=0.0.0.0/0", &["auth0|ab", "72", "71", "70"]),
        ("ip_address=2001:0DB8:0::/48", &["72"]),
        ("ip_address=2001:db8::7", &["72"]),
        ("ip_address=2001:db9::7", &[]),
        ("browser=FIRE", &["71"]),
        ("browser=e", &["auth0|ab", "71", "70"]),
        ("os=windows", &["auth0|ab", "70"]),
        ("os=windows%2011", &["auth0|ab"]),
        ("os=unknown", &["74"]),
        ("location=TASH", &["auth0|ab"]),
        ("device_type=mobile", &["72"]),
        ("device_type=web&os=win", &["auth0|ab", "70"]),
        // They signed in at 00:01 to 00:05; three were active at 00:10.
        ("signed_in_after=2040-01-01T00:04:00Z", &["74", "auth0|ab"]),
        ("signed_in_after=2040-01-01T05:04:00.001%2B05:00", &["74"]),
        ("signed_in_before=2040-01-01T00:02:00Z", &["70"]),
        ("signed_in_after=2040-01-01T00:02:00Z&signed_in_before=2040-01-01T00:04:00Z", &["72", "71"]),
        ("signed_in_after=2040-01-01T00:04:00Z&signed_in_before=2040-01-01T00:02:00Z", &[]),
        ("signed_in_before=1969-12-31T00:00:00Z", &[]),
        ("active_after=2040-01-01T00:10:00Z", &["72", "71", "70"]),
        ("inactive_since=2040-01-01T00:10:00Z", &["74", "auth0|ab"]),
        ("ip_address=192.0.2.9&browser=chrome&active_after=2040-01-01T00:09:00Z&device_type=web", &["70"]),
    ];
    for (query, expected) in cases {
        assert_eq!(found(&service, &format!("?{query}")).await, expected, "{query}");
        for limit in [1, 2] {
            let pages = pages(&service, &format!("?{query}&limit={limit}")).await;
            let all: Vec<_> = pages.iter().flat_map(|page| users(&page.body)).collect();
            assert_eq!(all, expected, "{query} in pages of {limit}");
        }
    }
}

#[tokio::test]
async fn a_wrong_filter_is_refused_by_its_name() {
    let service = Service::start().await;
    let cases = [
        ("ip_address=203.0.113", "bad_parameter", "ip_address must be an address such as"),
        ("ip_address=203.0.113.0/33", "bad_parameter", "ip_address must be an address such as"),
        ("ip_address=", "bad_parameter", "ip_address must be an address such as"),
        ("browser=", "bad_parameter", "browser must have"),
        (&format!("os={}", "x".repeat(129)), "bad_parameter", "os must have"),
        ("device_type=tablet", "bad_parameter", "device_type must be mobile or web"),
        ("signed_in_after=yesterday", "bad_parameter", "signed_in_after must be a time such as"),
        ("signed_in_before=2040-01-01", "bad_parameter", "signed_in_before must be a time such as"),
        ("active_after=2040-01-01T00:00:00", "bad_parameter", "active_after must be a time such as"),
        ("inactive_since=-1", "bad_parameter", "inactive_since must be a time such as"),
        ("os=a&os=b", "bad_parameter", "os must be given once"),
        ("user_id=74", "bad_parameter", "user_id is not a parameter of this request"),
        ("Browser=x", "bad_parameter", "Browser is not a parameter of this request"),
        ("limit=0", "bad_limit", "limit must be a whole number from 1 to 200"),
        ("limit=201", "bad_limit", "limit must be a whole number from 1 to 200"),
        ("cursor=x", "bad_cursor", "cursor must be one that this search returned"),
    ];
    for (query, code, detail) in cases {
        let refused = search(&service, &format!("?{query}")).await;
        assert!(refused.problem(400, code).starts_with(detail), "{query}: {}", refused.text);
    }
    search(&service, "?limit=200").await.ok();
}

#[tokio::test]
async fn only_an_admin_whose_session_is_live_searches() {
    let proxy = Proxy::before(&database().await).await;
    let service = Service::on(proxy.database.clone(), &[]);
    let gone = token::token("1", Some("admin"), Some("01900000-0000-7000-8000-000000000000"), START + 1000);
    for (token, status, code) in [
        (user_token("74"), 403, "admin_only"),
        (service_token(), 403, "admin_only"),
        (gone, 401, "session_ended"),
    ] {
        service.get("/sessions", &token).await.problem(status, code);
    }
    let searches = proxy.take().into_iter().filter(|call| call.body["IndexName"] == "everyone");
    assert_eq!(searches.count(), 0, "nothing is read for those");
    let strict = Service::on(service.database.clone(), &[("ROLE_SOURCE", "table")]);
    search(&strict, "").await.problem(403, "admin_only");
}

#[tokio::test]
async fn a_cursor_belongs_to_its_filters_and_to_its_admin() {
    let service = scene().await;
    let first = search(&service, "?os=win&limit=1").await;
    let target = next(&first).unwrap();
    assert_eq!(
        users(service.get(&target.replace("limit=1", "limit=200"), &admin_token()).await.ok()),
        ["70"]
    );
    for other in [target.replace("os=win", "os=wi"), target.replace("os=win&", "")] {
        service.get(&other, &admin_token()).await.problem(400, "bad_cursor");
    }
    let other = token::token("2", Some("admin"), None, START + 10_000);
    service.get(target, &other).await.problem(400, "bad_cursor");
    let cursor = target.split_once("cursor=").unwrap().1;
    let own = format!("/sessions/my-sessions?limit=1&cursor={cursor}");
    service.get(&own, &admin_token()).await.problem(400, "bad_cursor");
}

#[tokio::test]
async fn a_link_holds_all_filters_and_the_prefix_of_the_client() {
    let service = scene().await;
    let query = "?inactive_since=2040-01-01T12%3A00%3A00Z&ip_address=2001%3Adb8%3A%3A%2F16&limit=1";
    let call = Call::new("GET", &format!("/prod/sessions{query}")).token(&admin_token());
    let call = call.with("/routeKey", json!("GET /sessions")).with("/requestContext/stage", json!("prod"));
    let reply = call.send(&service).await;
    assert_eq!(users(reply.ok()), ["72"]);
    let expected = "/prod/sessions?ip_address=2001%3Adb8%3A%3A%2F16&inactive_since=2040-01-01T12%3A00%3A00Z&limit=1&cursor=";
    assert!(reply.headers.get("link").is_none_or(|link| link.contains(expected)), "{:?}", reply.headers);
    let reply = search(&service, &query.replace("2001%3Adb8%3A%3A%2F16", "0.0.0.0%2F0")).await;
    assert!(
        next(&reply)
            .unwrap()
            .contains("?ip_address=0.0.0.0%2F0&inactive_since=2040-01-01T12%3A00%3A00Z&limit=1&")
    );
}

#[tokio::test]
async fn what_is_over_by_the_clock_is_not_found_before_anyone_has_written_it() {
    for (settings, hours) in [(vec![], 720), (vec![("IDLE_TIMEOUT_HOURS", "2")], 2)] {
        let mut service = Service::with(&settings).await;
        service.sign_in("70", "a").await;
        let session = service.sign_in("71", "a").await;
        service.pass(TimeDelta::minutes(30));
        service
            .store()
            .record_activity(&session, &origin("192.0.2.1"), Clock::start(service.now))
            .await
            .unwrap();
        service.sign_in("72", "a").await;
        service.now = at(1) + TimeDelta::hours(hours) - TimeDelta::milliseconds(1);
        assert_eq!(found(&service, "").await, ["72", "71", "70"]);
        service.pass(TimeDelta::milliseconds(1));
        assert_eq!(found(&service, "").await, ["72", "71"]);
        service.pass(TimeDelta::seconds(1));
        let active = if hours == 2 { vec!["72", "71"] } else { vec!["72"] };
        assert_eq!(found(&service, "").await, active, "activity moves only the idle deadline");
    }
}

/// A service that makes one round of queries for a request.
async fn hurried(database: &Table, extra: &[(&str, &str)]) -> Service {
    let timeouts = Timeouts { search: Duration::ZERO, ..database.timeouts };
    Service::on(Table { timeouts, ..database.clone() }, extra)
}

#[tokio::test]
async fn a_page_may_be_empty_and_have_a_next_one() {
    let mut service = Service::start().await;
    let rare = sign_in(&mut service, "rare", "203.0.113.7", "Firefox", "Linux").await;
    for user in 100..250 {
        service.sign_in(&user.to_string(), "a").await;
    }
    let (now, database) = (service.now, service.database.clone());
    service = Service { now, ..hurried(&database, &[]).await };
    let pages = pages(&service, "?ip_address=203.0.113.7&limit=1").await;
    let (last, others) = pages.split_last().unwrap();
    assert_eq!(last.ids(), [rare.id.to_string()]);
    // What was looked at last came a second after the session that is found at the end, or later.
    for page in others {
        let (_, since) = page.headers["link"].split_once("; since=").unwrap();
        assert!(since > "\"2040-01-01T00:01:0" && since < "\"2040-01-01T00:04", "{since}");
    }
    assert!(others.len() > 1 && others.iter().all(|page| page.ids().is_empty()), "{}", others.len());
}

#[tokio::test]
async fn a_request_reads_a_few_partitions_at_the_same_time_and_a_bounded_amount() {
    let proxy = Proxy::before(&database().await).await;
    let mut service = Service::on(proxy.database.clone(), &[]);
    for user in 0..300 {
        service.sign_in(&user.to_string(), "a").await;
    }
    proxy.take();
    search(&service, "").await.ok();
    let calls = proxy.take();
    let of_search: Vec<_> = calls.iter().filter(|call| call.body["IndexName"] == "everyone").collect();
    assert_eq!(of_search.len(), 8, "a full page takes one query of each partition");
    assert!(of_search.iter().all(|call| call.body["Limit"] == 16), "{:?}", of_search[0].body);

    search(&service, "?browser=none").await.ok();
    let calls = proxy.take();
    let limits: BTreeSet<_> = calls.iter().filter_map(|call| call.body["Limit"].as_i64()).collect();
    assert_eq!(limits, BTreeSet::from([16, 64]), "the rounds grow");

    // No more than three queries are under way.
    let own = service.sign_in("1", "a").await.id.to_string();
    let admin = token::token("1", Some("admin"), Some(&own), START + 100_000);
    let mut held = proxy.hold();
    let mut waiting = Vec::new();
    let look = async {
        // The admin's own sessions come first.
        held.recv().await.unwrap().release();
        while waiting.len() < 3 {
            waiting.push(held.recv().await.unwrap());
        }
        tokio::task::yield_now().await;
        assert!(held.try_recv().is_err(), "a fourth query");
        proxy.let_go();
        waiting.into_iter().for_each(|call| call.release());
    };
    let (reply, ()) = tokio::join!(service.get("/sessions", &admin), look);
    reply.ok();
}

#[tokio::test]
async fn the_log_says_who_searched_by_what_and_who_was_seen() {
    let (log, _guard) = Log::start();
    let service = scene().await;
    search(&service, "?ip_address=203.0.113.0/24&os=l").await.ok();
    search(&service, "").await.ok();
    let lines = log.take_events("sessions_searched");
    let told = |line: &Value| json!([line["actor"], line["filters"], line["user_ids"]]);
    assert_eq!(told(&lines[0]), json!(["1", "ip_address os", "71"]));
    assert_eq!(told(&lines[1]), json!(["1", "", "70 71 72 74 auth0|ab"]));
    assert!(!log.text().contains("203.0.113"), "no address is in the log");
}

#[tokio::test]
async fn a_partition_that_cannot_be_read_is_no_empty_one() {
    let service = scene().await;
    service.add_broken_session().await;
    search(&service, "").await.problem(500, "internal_error");
    search(&service, "?signed_in_after=2040-01-01T00:00:00Z").await.ok();
}

async fn page_of(
    store: &SessionStore,
    filter: &SessionFilter,
    after: Option<SessionId>,
    limit: usize,
    now: Timestamp,
) -> Page {
    store.search(&Search { filter: filter.clone(), after, limit }, now).await.unwrap()
}

/// While users sign in, are active and are signed out, each walk over all pages shows every session that stays exactly
/// once, and none twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_walk_shows_each_session_that_stays_exactly_once_while_others_come_and_go() {
    let database = database().await;
    let service = hurried(&database, &[("ACTIVITY_INTERVAL_SECONDS", "0")]).await;
    let stays: BTreeSet<SessionId> = join_all((0..120).map(|user| {
        let (store, now) = (service.store().clone(), at(user));
        async move {
            let new = new_session(&format!("stays-{user}"), "a", now);
            store.sign_in(&new, Clock::start(now)).await.unwrap().unwrap().session.id
        }
    }))
    .await
    .into_iter()
    .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let actors = (0..4).map(|actor| {
        let (store, stop) = (service.store().clone(), stop.clone());
        tokio::spawn(async move {
            let mut second = 200;
            while !stop.load(Ordering::Relaxed) {
                // New sessions, older ids among them, as clocks differ; and refreshes and activity of those that stay.
                second += 1;
                let now = at(second - 300 * (second % 2));
                let name = format!("comes-{}", fastrand::u8(..40));
                let new = new_session(&name, &format!("{actor}"), now);
                let session = store.sign_in(&new, Clock::start(now)).await.unwrap().unwrap().session;
                let other = format!("stays-{}", fastrand::u8(..120));
                let refreshed =
                    store.sign_in(&new_session(&other, "a", now), Clock::start(now)).await.unwrap().unwrap();
                store
                    .record_activity(&refreshed.session, &origin("192.0.2.1"), Clock::start(at(second)))
                    .await
                    .unwrap();
                store.end(&user(&name), session.id, &ended_by("1", at(second))).await.unwrap();
            }
            second - 200
        })
    });
    let actors: Vec<_> = actors.collect();
    let filter = SessionFilter::default();
    for walk in 0..6 {
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = page_of(service.store(), &filter, after, 1 + 5 * walk, at(1_000)).await;
            seen.extend(page.sessions.iter().map(|session| session.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(seen.is_sorted_by(|one, other| one > other), "newest first, and none twice");
        let seen: BTreeSet<_> = seen.into_iter().collect();
        assert!(
            stays.is_subset(&seen),
            "walk {walk} missed {:?}",
            stays.difference(&seen).collect::<Vec<_>>()
        );
    }
    stop.store(true, Ordering::Relaxed);
    for actor in actors {
        assert!(actor.await.unwrap() > 0);
    }
}

/// What happens before a page is read.
#[derive(Clone, Debug)]
enum Step {
    SignIn { user: u8, device: u8, browser: u8, address: u8 },
    End { which: usize },
    Activity { which: usize, address: u8 },
    Pass { minutes: i64 },
}

const BROWSERS: [&str; 3] = ["Chrome", "Firefox", "chromium"];
const ADDRESSES: [&str; 4] = ["203.0.113.1", "203.0.113.200", "203.0.114.1", "2001:db8::1"];
const NETWORKS: [&str; 4] = ["203.0.113.0/25", "203.0.112.0/22", "203.0.113.1/32", "2001:db8::/64"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..30_u8, 0..3_u8, 0..3_u8, 0..4_u8)
            .prop_map(|(user, device, browser, address)| Step::SignIn { user, device, browser, address }),
        2 => (0..100_usize).prop_map(|which| Step::End { which }),
        2 => (0..100_usize, 0..4_u8).prop_map(|(which, address)| Step::Activity { which, address }),
        1 => (1..40_i64).prop_map(|minutes| Step::Pass { minutes }),
    ]
}

/// Which filters are set, by their minutes and choices.
#[derive(Clone, Debug)]
struct Filters {
    network: Option<usize>,
    browser: Option<usize>,
    times: [Option<i64>; 4],
}

fn filters() -> impl Strategy<Value = Filters> {
    let time = || prop::option::weighted(0.2, 0..200_i64);
    let choice = |count| prop::option::weighted(0.3, 0..count);
    (choice(4_usize), choice(2), [time(), time(), time(), time()])
        .prop_map(|(network, browser, times)| Filters { network, browser, times })
}

impl Filters {
    fn filter(&self) -> SessionFilter {
        let [signed_in_after, signed_in_before, active_after, inactive_since] =
            self.times.map(|minutes| minutes.map(|minutes| at(60 * minutes)));
        SessionFilter {
            network: self.network.map(|network| NETWORKS[network].parse().unwrap()),
            browser: self.browser.map(|browser| Fragment::new(["CHROM", "fox"][browser])),
            signed_in_after,
            signed_in_before,
            active_after,
            inactive_since,
            ..SessionFilter::default()
        }
    }
}

/// The sessions of all users, in the table and in the model.
struct Crowd {
    store: SessionStore,
    now: Timestamp,
    open: BTreeMap<SessionId, Session>,
}

impl Crowd {
    async fn step(&mut self, step: &Step) {
        match *step {
            Step::SignIn { user, device, browser, address } => {
                self.now += TimeDelta::seconds(1);
                let mut new = new_session(&format!("user-{user}"), &device.to_string(), self.now);
                new.device.browser = BROWSERS[usize::from(browser)].into();
                new.origin.ip_address = ADDRESSES[usize::from(address)].into();
                let signed_in = self.store.sign_in(&new, Clock::start(self.now)).await.unwrap().unwrap();
                self.open.insert(signed_in.session.id, signed_in.session);
                self.open.retain(|id, _| !signed_in.evicted.contains(id));
            }
            Step::End { which } => {
                if let Some(session) = self.pick(which) {
                    self.store.end(&session.user_id, session.id, &ended_by("1", self.now)).await.unwrap();
                    self.open.remove(&session.id);
                }
            }
            Step::Activity { which, address } => {
                if let Some(session) = self.pick(which).filter(|session| self.is_live(session)) {
                    let address = ADDRESSES[usize::from(address)];
                    let active = self
                        .store
                        .record_activity(&session, &origin(address), Clock::start(self.now))
                        .await
                        .unwrap();
                    self.open.insert(session.id, active.unwrap());
                }
            }
            Step::Pass { minutes } => self.now += TimeDelta::minutes(minutes),
        }
    }

    fn pick(&self, which: usize) -> Option<Session> {
        self.open.values().nth(which.checked_rem(self.open.len())?).cloned()
    }

    fn is_live(&self, session: &Session) -> bool {
        session.is_live_at(self.now, self.store.policy())
    }

    /// The sessions that a search finds now.
    fn matching(&self, filter: &SessionFilter) -> BTreeSet<SessionId> {
        let matching = self.open.values().filter(|session| self.is_live(session) && filter.matches(session));
        matching.map(|session| session.id).collect()
    }
}

/// Holds a walk, with steps between its pages, against the model.
async fn walk(
    store: SessionStore,
    before: &[Step],
    between: &[Step],
    filters: &Filters,
    limit: usize,
) -> Result<(), TestCaseError> {
    let mut crowd = Crowd { store, now: at(0), open: BTreeMap::new() };
    for step in before {
        crowd.step(step).await;
    }
    let filter = filters.filter();
    let mut expected = crowd.matching(&filter);
    let (mut seen, mut after, mut steps) = (Vec::new(), None, between.iter());
    loop {
        let page = page_of(&crowd.store, &filter, after, limit, crowd.now).await;
        let matching = crowd.matching(&filter);
        for session in &page.sessions {
            prop_assert!(matching.contains(&session.id), "{session:?} does not match");
            seen.push(session.id);
        }
        prop_assert!(page.sessions.len() <= limit);
        after = page.next;
        if after.is_none() {
            break;
        }
        for step in steps.by_ref().take(2) {
            crowd.step(step).await;
        }
        expected = &expected & &crowd.matching(&filter);
    }
    prop_assert!(seen.is_sorted_by(|one, other| one > other), "newest first, and none twice");
    let missed: Vec<_> = expected.into_iter().filter(|id| !seen.contains(id)).collect();
    prop_assert!(missed.is_empty(), "missed {missed:?} of {seen:?}");
    Ok(())
}

#[test]
fn each_walk_shows_what_matched_all_the_time_exactly_once() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let cases = env::var("SEARCH_CASES").map_or(60, |cases| cases.parse().unwrap());
    let steps = |count| prop::collection::vec(step(), count);
    let strategy = (steps(0..60), steps(0..30), filters(), 1..5_usize);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&strategy, |(before, between, filters, limit)| {
        runtime.block_on(async {
            let database = database().await;
            let settings = settings(
                &database,
                &[
                    ("IDLE_TIMEOUT_HOURS", "2"),
                    ("SESSION_LIFETIME_HOURS", "3"),
                    ("ACTIVITY_INTERVAL_SECONDS", "0"),
                ],
            );
            let timeouts = Timeouts { search: Duration::ZERO, ..database.timeouts };
            let store = Table { timeouts, ..database }.store(settings.policy);
            walk(store, &before, &between, &filters, limit).await
        })
    });
    outcome.unwrap();
}
