//! Every route with every fault at each of its calls to DynamoDB: once, and for as long as the request lasts. The answer
//! is the right one or an honest problem, the table keeps its promises, the log tells of every ending, and the client's
//! next try heals the rest.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::support::fault::{Fault, SLOW};
use crate::support::log::Log;
use crate::support::proxy::{Proxy, Trouble};
use crate::support::world::{State, World, unnamed};
use crate::support::*;
use futures_util::future::join_all;
use serde_json::{Value, json};
use serde_norway::Value as Yaml;
use sessions::store::Timeouts;
use sessions::telemetry::log::json_lines;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::instrument::WithSubscriber;

/// How many cases are under way at once.
const AT_ONCE: usize = 16;

/// How often the store makes one call, at the most.
const ATTEMPTS: usize = 4;

/// The result of a request with a fault.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    /// The same answer as without the fault, because the call was repeated.
    Healed,
    /// 503: nothing is confirmed, try again.
    Unavailable,
    /// 500: somebody must repair the service.
    Broken,
}

use Outcome::{Broken, Healed, Unavailable};

/// The results of a fault that strikes once, and of one that stays.
fn outcomes(fault: Fault) -> (Outcome, Outcome) {
    match fault {
        // The service is wrong: its request, its rights, its table, its credentials.
        Fault::Refused(
            "ValidationException"
            | "AccessDeniedException"
            | "ExpiredTokenException"
            | "ResourceNotFoundException"
            | "IdempotentParameterMismatchException",
        )
        | Fault::Cancelled([_, "ValidationError"] | ["None", "None"]) => (Broken, Broken),
        // A partition stays full until something in it is deleted.
        Fault::Refused("ItemCollectionSizeLimitExceededException")
        | Fault::Cancelled([_, "ItemCollectionSizeLimitExceeded"]) => (Unavailable, Unavailable),
        // What was done is unknown, and the time is up or the answer says no more.
        Fault::Stalled(_) | Fault::Empty(_) | Fault::Short => (Unavailable, Unavailable),
        // The SDK does not repeat a call whose answer cannot be read.
        Fault::NoHttp(_) | Fault::Garbage(_) => (Unavailable, Unavailable),
        _ => (Healed, Unavailable),
    }
}

/// Whether the store waits for others to be done.
fn is_a_race(fault: Fault) -> bool {
    matches!(fault, Fault::Cancelled(_) | Fault::Refused("TransactionConflictException"))
}

/// Little time where a fault uses up all of it, and else so much that a busy machine makes no difference: an attempt that
/// is given up for want of time is made again, and meets the fault of the next call.
fn timeouts(trouble: Option<Trouble>) -> Timeouts {
    let (short, long) = (Duration::from_millis(500), Duration::from_secs(60));
    let timeouts = Timeouts { connect: long, attempt: long, call: long, chain: long, ..Timeouts::default() };
    let timeouts = Timeouts { backoff: Duration::from_millis(1), ..timeouts };
    match trouble.map(|trouble| (trouble.fault, trouble.lasts)) {
        Some((Fault::Slow(_), _)) => Timeouts { attempt: SLOW - Duration::from_millis(200), ..timeouts },
        Some((Fault::Stalled(_), _)) => Timeouts { call: short, chain: short, ..timeouts },
        Some((fault, true)) if is_a_race(fault) => Timeouts { chain: short, ..timeouts },
        _ => timeouts,
    }
}

/// The longest that a request takes. Before the chain of writes these calls are made one after the other: the caller's
/// sessions, the session of a binding that is not among them, and the target's, where roles are in the table. Then comes
/// the chain, and a last round that began just in time: a wait, the first two calls again, and the write.
fn longest(timeouts: &Timeouts) -> Duration {
    6 * timeouts.call + timeouts.chain + Duration::from_millis(256)
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
enum Asker {
    /// User 1, by a token without a session.
    Admin,
    /// User 1, by a token of a session.
    AdminSid,
    /// User 74, by a token of the session on this device.
    User(&'static str),
    /// User 74, by the token that the session on this device was opened with.
    Bound(&'static str),
    /// User 74, by a token without a session.
    UserWithout,
    /// A back end.
    Service,
}

/// A request that has something to do.
#[derive(Clone, Copy, Debug)]
struct Scenario {
    /// Of [`ROUTES`].
    route: &'static str,
    /// The path's query.
    query: &'static str,
    /// The device whose session is named in the path.
    device: &'static str,
    /// The device that signs in.
    signs_in: Option<&'static str>,
    asker: Asker,
    settings: &'static [(&'static str, &'static str)],
    /// Whether user 74 has more sessions than fit into a transaction.
    many: bool,
}

const fn scenario(route: &'static str, asker: Asker) -> Scenario {
    Scenario { route, query: "", device: "a", signs_in: None, asker, settings: &[], many: false }
}

const TABLE_ROLES: &[(&str, &str)] = &[("ROLE_SOURCE", "table")];
const KNOWN_USERS: &[(&str, &str)] = &[("UNKNOWN_USERS", "not_found")];
const LIST: &str = "GET /sessions/user/{user_id}";
const END_ONE: &str = "DELETE /sessions/user/{user_id}/session/{session_id}";
const END_ALL: &str = "DELETE /sessions/user/{user_id}";
const SHOW: &str = "GET /sessions/user/{user_id}/session/{session_id}";
const SIGN_IN_USER: &str = "POST /sessions/user/{user_id}";
const USER_ACTIVITY: &str = "POST /sessions/user/{user_id}/session/{session_id}/activity";
const SEARCH: &str = "GET /sessions";
const SUMMARY: &str = "GET /sessions/summary";
const CREATE: &str = "POST /sessions/create";
const MINE: &str = "GET /sessions/my-sessions";
const OWN: &str = "GET /sessions/session/{session_id}";
const END_OWN: &str = "DELETE /sessions/session/{session_id}";
const LOGOUT_ALL: &str = "DELETE /sessions/logout-all";
const CURRENT: &str = "GET /sessions/current";
const KEEP: &str = "exclude_current=true";

use Asker::{Admin, AdminSid, Bound, User, UserWithout};

/// What each sample call of each role has to do, and what is special.
static SCENARIOS: LazyLock<Vec<Scenario>> = LazyLock::new(|| {
    let asker = |role| match role {
        Role::User => User("a"),
        Role::Admin => AdminSid,
        Role::Service => Asker::Service,
    };
    let each = |sample: &Sample| {
        let signs_in = sample.body.filter(|body| body.contains("device_fingerprint")).map(|_| "d");
        let route = sample.route;
        sample.roles.iter().map(move |role| Scenario { signs_in, ..scenario(route, asker(*role)) })
    };
    SAMPLES.iter().flat_map(each).chain(SPECIAL).collect()
});

const SPECIAL: [Scenario; 32] = [
    scenario(LIST, Admin),
    Scenario { settings: TABLE_ROLES, ..scenario(LIST, AdminSid) },
    Scenario { query: "include_inactive=true&limit=2", ..scenario(LIST, AdminSid) },
    Scenario { query: "include_inactive=true", settings: KNOWN_USERS, ..scenario(LIST, AdminSid) },
    scenario(END_ONE, Admin),
    Scenario { settings: TABLE_ROLES, ..scenario(END_ONE, AdminSid) },
    Scenario { device: "ended", ..scenario(END_ONE, AdminSid) },
    Scenario { device: "none", settings: KNOWN_USERS, ..scenario(END_ONE, AdminSid) },
    scenario(END_ALL, Admin),
    Scenario { query: "dry_run=true", ..scenario(END_ALL, AdminSid) },
    Scenario { settings: KNOWN_USERS, ..scenario(END_ALL, AdminSid) },
    Scenario { many: true, settings: &[("MAX_SESSIONS", "200")], ..scenario(END_ALL, AdminSid) },
    Scenario { signs_in: Some("d"), ..scenario(CREATE, UserWithout) },
    Scenario { signs_in: Some("d"), settings: &[("MAX_SESSIONS", "4")], ..scenario(CREATE, UserWithout) },
    Scenario { signs_in: Some("b"), ..scenario(CREATE, UserWithout) },
    Scenario { signs_in: Some("d"), ..scenario(CREATE, User("c")) },
    scenario(SHOW, Admin),
    Scenario { device: "none", settings: KNOWN_USERS, ..scenario(SHOW, Asker::Service) },
    Scenario { signs_in: Some("b"), ..scenario(SIGN_IN_USER, Asker::Service) },
    Scenario { device: "ended", ..scenario(USER_ACTIVITY, Asker::Service) },
    Scenario { query: "user_id=74&user_id=1", ..scenario(SUMMARY, Admin) },
    Scenario { query: "browser=fire&limit=2", settings: TABLE_ROLES, ..scenario(SEARCH, AdminSid) },
    Scenario { device: "b", ..scenario("POST /sessions/end", AdminSid) },
    Scenario { signs_in: Some("d"), ..scenario(CREATE, Bound("c")) },
    Scenario { signs_in: Some("d"), ..scenario(CREATE, Bound("ended")) },
    scenario(CURRENT, Bound("a")),
    scenario(CURRENT, Bound("ended")),
    Scenario { query: "include_inactive=true", ..scenario(MINE, User("a")) },
    scenario(OWN, User("b")),
    scenario(END_OWN, User("b")),
    Scenario { query: KEEP, ..scenario(LOGOUT_ALL, User("a")) },
    Scenario { query: KEEP, ..scenario(LOGOUT_ALL, UserWithout) },
];

impl Scenario {
    fn call(&self, world: &World) -> Call {
        let sample = Sample::of(self.route);
        let sid = |user, role, device| token::token(user, role, Some(world.id(device)), START + 10_000_000);
        let token = match self.asker {
            Admin => admin_token(),
            AdminSid => sid("1", Some("admin"), "admin's"),
            User(device) => sid("74", None, device),
            Bound(device) => named_token("74", device),
            UserWithout => user_token("74"),
            Asker::Service => service_token(),
        };
        let call = sample.call(world.id(self.device)).token(&token);
        let call = match self.query {
            "" => call,
            query => call.with("/rawQueryString", query.into()),
        };
        // Stands in for the session of a token that has none.
        let call = call.header("x-session-id", world.id("a"));
        match self.signs_in {
            Some(device) => {
                let body = json!({"device_fingerprint": fingerprint_of(device)});
                call.header("idempotency-key", "k").body(&body.to_string())
            }
            None if self.route == "POST /sessions/end" && self.device == "b" => {
                let session = json!({"user_id": 74, "session_id": world.id(self.device)});
                call.body(&json!({"sessions": [session]}).to_string())
            }
            None => call,
        }
    }
}

/// When requests are made: after an activity interval.
const NOW: i64 = 1000;

/// A request, and the same again when all is well.
struct Witness {
    before: State,
    reply: Reply,
    /// The calls that the request made.
    calls: Vec<String>,
    took: Duration,
    after: State,
    log: Vec<Value>,
    again: Reply,
    end: State,
    log_again: Vec<Value>,
}

async fn witness(world: &World, database: &Table, scenario: &Scenario, trouble: Option<Trouble>) -> Witness {
    let proxy = Proxy::before(database).await;
    let reached = Table { timeouts: timeouts(trouble), ..proxy.database.clone() };
    let mut service = Service::on(reached, scenario.settings);
    service.now = at(NOW);
    let log = Log::default();
    if let Some(trouble) = trouble {
        proxy.trouble(trouble);
    }
    let begin = Instant::now();
    let reply = scenario.call(world).send(&service).with_subscriber(json_lines(log.clone())).await;
    let took = begin.elapsed();
    let calls = proxy.take_calls();
    let (after, first_log) = (State::of(database).await, log.take());
    proxy.heal();
    // With the usual timeouts: nothing is wrong any more, but the machine may be busy.
    service = Service::on(proxy.database.clone(), scenario.settings);
    service.now = at(NOW + 1);
    let again = scenario.call(world).send(&service).with_subscriber(json_lines(log.clone())).await;
    proxy.settle().await;
    Witness {
        before: State::new(&world.items),
        reply,
        calls,
        took,
        after,
        log: first_log,
        again,
        end: State::of(database).await,
        log_again: log.take(),
    }
}

impl Witness {
    /// What holds with and without a fault.
    fn check(&self, cap: usize) {
        self.after.check(&self.before, cap);
        self.end.check(&self.before, cap);
        self.end.check(&self.after, cap);
        for (reply, state) in [(&self.reply, &self.after), (&self.again, &self.end)] {
            for id in said_to_have_ended(&reply.body) {
                assert!(state.has_ended(&id), "{id} is live, and {} says not", reply.text);
            }
        }
        if self.again.status == 201 || self.again.status == 200 {
            assert!(self.end.live() <= cap);
        }
        self.check_audit();
    }

    /// Each ending since `before` has its one audit line, or one that says that it was not confirmed.
    fn check_audit(&self) {
        let both = || self.log.iter().chain(&self.log_again);
        let count = |event: &str, id: &str| {
            both().filter(|line| line["event"] == event && line["session_id"] == id).count()
        };
        for (id, _) in self.end.sessions() {
            let new = self.end.has_ended(id) && !self.before.has_ended(id);
            match (count("session_ended", id), count("session_end_unconfirmed", id)) {
                (0, unconfirmed) => assert!(!new || unconfirmed > 0, "nothing tells of the end of {id}"),
                (lines, _) => assert!(new && lines == 1, "{lines} lines tell of the end of {id}"),
            }
        }
    }
}

/// The sessions that an answer says have ended.
fn said_to_have_ended(body: &Value) -> Vec<String> {
    let sessions = body["sessions"].as_array().into_iter().flatten().chain(body.get("session"));
    let ended = sessions.filter(|session| session["is_active"] == false).map(|session| &session["id"]);
    let evicted = body["evicted"].as_array().into_iter().flatten();
    ended.chain(evicted).map(|id| id.as_str().unwrap().to_owned()).collect()
}

/// Holds what came of a case against the request without a fault.
fn judge(scenario: &Scenario, trouble: Trouble, clean: &Witness, seen: &Witness) {
    let cap = cap(scenario);
    seen.check(cap);
    let (once, lasting) = outcomes(trouble.fault);
    let body = |witness: &Witness| unnamed(&witness.reply.text, &witness.before, &witness.after);
    match if trouble.lasts { lasting } else { once } {
        Healed => {
            assert_eq!((seen.reply.status, body(seen)), (clean.reply.status, body(clean)));
            assert_eq!(seen.after.whole(&seen.before), clean.after.whole(&clean.before));
            let unconfirmed = seen.log.iter().any(|line| line["event"] == "session_end_unconfirmed");
            assert!(!unconfirmed, "what is confirmed in the end is not logged as unconfirmed");
        }
        Unavailable => {
            seen.reply.problem(503, "store_unavailable");
            assert!(seen.reply.headers.contains_key("retry-after"));
        }
        // A fault that strikes once and is tried again would end in a success.
        Broken => drop(seen.reply.problem(500, "internal_error")),
    }
    assert!([clean.reply.status, clean.again.status].contains(&seen.again.status), "{}", seen.again.text);
    assert_eq!(seen.end.shape(&seen.before), clean.end.shape(&clean.before), "the next try heals the rest");
    assert!(seen.after.version() <= clean.after.version(), "no write is made twice");
    assert!(seen.end.version() <= clean.end.version(), "no write is made twice");
    assert!(seen.took < longest(&timeouts(Some(trouble))), "it took {:?}", seen.took);
    // Four calls may run at the same time.
    let most = clean.calls.len() + 4 * (ATTEMPTS - 1);
    assert!(is_a_race(trouble.fault) || seen.calls.len() <= most, "{} calls", seen.calls.len());
}

fn cap(scenario: &Scenario) -> usize {
    settings(&Table::at(String::new()), scenario.settings).policy.max_sessions
}

/// Every fault at every call of a request that it can meet: once, and always if once does not fail it.
fn troubles(calls: &[String]) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    for fault in Fault::ALL {
        for after in 0..calls.iter().filter(|call| fault.can_meet(call)).count() {
            troubles.push(Trouble { fault, after, lasts: false });
            if outcomes(fault).0 == Healed {
                troubles.push(Trouble { fault, after, lasts: true });
            }
        }
    }
    troubles
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_survives_every_fault_at_every_call_of_every_route() {
    let worlds = Arc::new([World::new(at(0), false).await, World::new(at(0), true).await]);
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    let mut cases = JoinSet::new();
    for scenario in SCENARIOS.iter() {
        let world = &worlds[usize::from(scenario.many)];
        let database = Arc::new(database().await);
        let own = world.copy(&database, "clean").await;
        let clean = Arc::new(witness(world, &own, scenario, None).await);
        clean.check(cap(scenario));
        // On a busy machine a transaction of 100 actions takes as long as a slow answer. A lost answer is tried again as well.
        let fits = |trouble: &Trouble| !(scenario.many && matches!(trouble.fault, Fault::Slow(_)));
        for trouble in troubles(&clean.calls).into_iter().filter(fits) {
            let (database, worlds, clean) = (database.clone(), worlds.clone(), clean.clone());
            let (name, at_once) = (format!("case-{}", cases.len()), at_once.clone());
            cases.spawn(async move {
                let _turn = at_once.acquire().await.unwrap();
                let world = &worlds[usize::from(scenario.many)];
                let own = world.copy(&database, &name).await;
                let seen = witness(world, &own, scenario, Some(trouble)).await;
                let verdict = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    judge(scenario, trouble, &clean, &seen);
                }));
                verdict.map_err(|_| format!("{scenario:?}\n    {trouble:?}"))
            });
        }
    }
    let verdicts = cases.join_all().await;
    println!("{} cases", verdicts.len());
    let bad: Vec<_> = verdicts.into_iter().filter_map(Result::err).collect();
    assert!(bad.is_empty(), "{} went wrong:\n{}", bad.len(), bad.join("\n"));
}

/// Nobody answers a call, or the connection is refused.
#[tokio::test]
async fn every_route_answers_503_without_a_database() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let world = World::new(at(0), false).await;
    let database = Table::at(format!("http://{nobody}"));
    for scenario in SCENARIOS.iter().filter(|scenario| !scenario.many) {
        let timeouts = Timeouts { backoff: Duration::from_millis(1), ..Timeouts::default() };
        let database = Table { region: scenario.route.len().to_string(), timeouts, ..database.clone() };
        let mut service = Service::on(database, scenario.settings);
        service.now = at(NOW);
        scenario.call(&world).send(&service).await.problem(503, "store_unavailable");
    }
}

/// The next call may reach another machine of DynamoDB, which works.
#[tokio::test]
async fn a_connection_that_brought_a_server_error_is_not_used_again() {
    let proxy = Proxy::before(&database().await).await;
    let service = Service::on(proxy.database.clone(), &[]);
    let (log, _guard) = Log::start();
    service.store().profile(&user("74")).await.unwrap();
    let faults = [
        (Fault::Refused("ThrottlingException"), 1),
        (Fault::Failing(500, "InternalServerError"), 2),
        (Fault::LoadBalancer, 3),
    ];
    for (fault, connections) in faults {
        proxy.trouble(Trouble { fault, after: 0, lasts: false });
        service.store().profile(&user("74")).await.unwrap();
        assert_eq!(proxy.connections(), connections, "{fault:?}");
        assert_eq!(log.text(), "", "the caller felt nothing, so there is nothing to report");
    }
}

#[tokio::test]
async fn a_server_that_does_not_finish_the_handshake_is_given_up_after_the_time_for_connecting() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut database = database().await;
    database.endpoint = format!("https://{}", silent.local_addr().unwrap());
    database.timeouts.connect = Duration::from_millis(50);
    // All other limits of a test are a minute long, so only the limit above can end this.
    let refused = Service::on(database, &[]).store().profile(&user("74")).await.unwrap_err();
    assert!(format!("{refused:?}").contains("HTTP connect"), "{refused:?}");
}

#[tokio::test]
async fn connections_that_the_far_side_has_forgotten_cost_no_answer() {
    let proxy = Proxy::before(&database().await).await;
    let service = Service::on(proxy.database.clone(), &[]);
    let users = std::array::from_fn::<_, 8, _>(|id| user(&id.to_string()));
    let reads = join_all(users.iter().map(|user| service.store().profile(user)));
    assert!(proxy.together(users.len(), reads).await.into_iter().all(|read| read.is_ok()));
    assert_eq!(proxy.connections(), users.len());
    proxy.forget_connections();
    // A request of one call: several calls would share the dead connections among them.
    service.get("/sessions/summary?user_id=74", &service_token()).await.ok();
}

#[test]
fn the_longest_request_fits_into_the_timeouts() {
    let template: Yaml = serde_norway::from_str(include_str!("../../template.yaml")).unwrap();
    let timeout = &template["Parameters"]["Timeout"];
    let seconds = |value: &Yaml| Duration::from_secs(value.as_u64().unwrap());
    assert!(longest(&Timeouts::default()) < seconds(&timeout["MinValue"]));
    // An HTTP API waits 30 seconds for its integration.
    assert!(seconds(&timeout["MaxValue"]) < Duration::from_secs(30));
}
