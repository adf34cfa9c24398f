//! The function's process, killed at every boundary of its writes. A transaction is done completely or not at all,
//! and the client's next try, in another process, completes what is half done.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use crate::support::fault::{Engine, Fault};
use crate::support::lambda::Runtime;
use crate::support::proxy::{Proxy, Trouble};
use crate::support::world::{State, World};
use crate::support::*;
use chrono::TimeDelta;
use chrono::Utc;
use serde_json::{Value, json};
use sessions::session::later;
use tokio::process::Command;
use tokio::task::JoinSet;

/// Where in a request the process is killed.
#[derive(Clone, Copy, Debug)]
enum Boundary {
    /// The engine has not seen this call. It sees it after the client's next try.
    Unseen(usize),
    /// The engine has not seen this call. It sees it once the process is dead.
    Late(usize),
    /// The engine has done this write, and the process does not know.
    Done(usize),
    /// The process has got the answer to this call.
    Told(usize),
    /// The process has answered, and the client does not know.
    Answered,
}

/// A request, and the user's state before it.
#[derive(Clone, Copy, Debug)]
struct Scenario {
    name: &'static str,
    /// Whether the user has more sessions than fit into a transaction.
    many: bool,
    cap: usize,
    /// The device that signs in; `None` for an ending.
    signs_in: Option<&'static str>,
    /// Ends only the session of this device.
    one: Option<&'static str>,
}

const SCENARIOS: [Scenario; 6] = [
    Scenario { name: "a new session", many: false, cap: 4, signs_in: Some("d"), one: None },
    Scenario { name: "a refresh", many: false, cap: 3, signs_in: Some("b"), one: None },
    Scenario { name: "an eviction", many: false, cap: 3, signs_in: Some("d"), one: None },
    Scenario { name: "end all", many: false, cap: 3, signs_in: None, one: None },
    Scenario { name: "end more than 99", many: true, cap: 200, signs_in: None, one: None },
    Scenario { name: "end one", many: false, cap: 3, signs_in: None, one: Some("a") },
];

impl Scenario {
    fn event(&self, world: &World) -> Value {
        match (self.signs_in, self.one) {
            (Some(device), _) => {
                let body = json!({"device_fingerprint": fingerprint_of(device)}).to_string();
                Call::new("POST", "/sessions/create").token(&user_token("74")).body(&body)
            }
            (None, Some(device)) => {
                let target = format!("/sessions/user/74/session/{}", world.id(device));
                Call::new("DELETE", &target).token(&admin_token())
            }
            (None, None) => Call::new("DELETE", "/sessions/user/74").token(&admin_token()),
        }
        .event()
    }
}

/// A process of the function on this table, with these settings besides.
pub async fn start(database: &Table, settings: &[(&str, &str)]) -> Runtime {
    Runtime::run(command(database, settings)).await
}

/// The same, which writes its log into this file.
pub async fn start_with_log(database: &Table, log: &Path) -> Runtime {
    Runtime::run_with_output(command(database, &[]), File::create(log).unwrap().into()).await
}

fn command(database: &Table, settings: &[(&str, &str)]) -> Command {
    let environment = [
        ("TABLE_NAME", database.table.as_str()),
        ("AWS_REGION", &database.region),
        ("AWS_ENDPOINT_URL_DYNAMODB", &database.endpoint),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("JWT_SECRET", token::SECRET),
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_sessions"));
    command.env_clear().envs(environment).envs(settings.iter().copied());
    command
}

/// What a request left in the table, and what the next try of it left.
struct Seen {
    /// The calls of the first request.
    calls: Vec<String>,
    /// Once the process was dead.
    after: State,
    /// After the next try.
    end: State,
}

async fn run(world: &World, database: &Table, scenario: &Scenario, boundary: Option<Boundary>) -> Seen {
    let cap = ("MAX_SESSIONS", &*scenario.cap.to_string());
    let proxy = Proxy::before(database).await;
    let mut function = start(&proxy.database, &[cap]).await;
    function.ready().await.unwrap();
    // What it read ahead is no part of the request.
    proxy.forget();
    let event = scenario.event(world);
    match boundary {
        None => drop(function.invoke(&event).await.unwrap()),
        Some(boundary) => kill_at(boundary, &proxy, function, &event).await,
    }
    let calls = proxy.take_calls();
    proxy.heal();
    if !matches!(boundary, Some(Boundary::Unseen(_))) {
        proxy.settle().await;
    }
    let after = State::of(database).await;
    let mut function = start(&proxy.database, &[cap]).await;
    let answer = function.invoke(&event).await.unwrap().body;
    assert!([200, 201].map(Value::from).contains(&answer["statusCode"]), "{answer}");
    proxy.settle().await;
    Seen { calls, after, end: State::of(database).await }
}

/// Hands the process the event and kills it at the boundary.
async fn kill_at(boundary: Boundary, proxy: &Proxy, mut function: Runtime, event: &Value) {
    let stall = |engine, after| proxy.trouble(Trouble { fault: Fault::Stalled(engine), after, lasts: false });
    match boundary {
        Boundary::Unseen(call) | Boundary::Late(call) => stall(Engine::Unasked, call),
        Boundary::Done(write) => stall(Engine::Done, write),
        Boundary::Told(_) | Boundary::Answered => {}
    }
    match boundary {
        Boundary::Answered => drop(function.invoke(event).await.unwrap()),
        Boundary::Told(call) => tokio::select! {
            // After the last call the answer may come first.
            _ = function.invoke(event) => {}
            () = proxy.answered(call + 1) => {}
        },
        _ => tokio::select! {
            answer = function.invoke(event) => panic!("{boundary:?} was not met: {answer:?}"),
            () = proxy.struck() => {}
        },
    }
    function.kill().await;
}

/// The boundaries of a request that makes these calls.
fn boundaries(calls: &[String]) -> Vec<Boundary> {
    let of = |call| [Boundary::Unseen(call), Boundary::Late(call), Boundary::Told(call)];
    let writes = calls
        .iter()
        .filter(|call| !["Query", "GetItem", "TransactGetItems"].contains(&call.as_str()))
        .count();
    let done = (0..writes).map(Boundary::Done);
    (0..calls.len()).flat_map(of).chain(done).chain([Boundary::Answered]).collect()
}

fn judge(world: &World, scenario: &Scenario, clean: &Seen, seen: &Seen) {
    let before = State::new(&world.items);
    seen.after.check(&before, scenario.cap);
    seen.end.check(&before, scenario.cap);
    seen.end.check(&seen.after, scenario.cap);
    let shape = |state: &State| state.shape(&before);
    if scenario.many {
        // 99 of 101 in the first transaction, the rest in the second; each bumps the version.
        let whole = [(0, 101), (1, 2), (2, 0)];
        let state = (seen.after.version() - before.version(), seen.after.live());
        assert!(whole.contains(&state), "{state:?}");
    } else {
        assert!([shape(&before), shape(&clean.after)].contains(&shape(&seen.after)), "{:?}", seen.after);
    }
    assert_eq!(shape(&seen.end), shape(&clean.end), "the next try heals the rest");
    assert!(seen.end.version() <= clean.end.version(), "no write is made twice");
}

#[tokio::test]
async fn the_next_try_heals_what_a_killed_process_left() {
    let an_hour_ago = later(Utc::now(), TimeDelta::hours(-1));
    let worlds = Arc::new([World::new(an_hour_ago, false).await, World::new(an_hour_ago, true).await]);
    let database = Arc::new(database().await);
    let mut cases = JoinSet::new();
    for scenario in SCENARIOS {
        let (worlds, database) = (worlds.clone(), database.clone());
        cases.spawn(async move {
            let world = &worlds[usize::from(scenario.many)];
            let table = async |name: String| world.copy(&database, &name.replace(' ', "-")).await;
            let clean = run(world, &table(scenario.name.into()).await, &scenario, None).await;
            let boundaries = boundaries(&clean.calls);
            for (place, boundary) in boundaries.iter().enumerate() {
                let own = table(format!("{} {place}", scenario.name)).await;
                let seen = run(world, &own, &scenario, Some(*boundary)).await;
                judge(world, &scenario, &clean, &seen);
            }
            boundaries.len()
        });
    }
    assert!(cases.join_all().await.iter().sum::<usize>() > 50, "so many processes are killed at least");
}
