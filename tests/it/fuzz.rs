//! Whole events of any kind: each is answered, no answer is a 5xx, and the invariants of sessions hold
//! afterwards. `FUZZ_CASES` is their number; one that fails is printed as JSON, shrunk.

mod life;
mod plan;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use sessions::telemetry::log;
use tokio::runtime::{Builder, Runtime};

use self::life::{Check, Life, PANICS, send};
use self::plan::{Delivery, delivery};
use crate::support::{ROUTES, Service};

/// About ten seconds of one core without optimisation.
const CASES: u32 = 3_500;

/// With fewer than these a route may be missed by chance.
const ENOUGH: u32 = 1_000;

/// After so many events the users' sessions are checked, and new users take over.
const LIFE: usize = 200;

thread_local! {
    /// Whether the panics of this thread are counted.
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

struct Fuzz {
    runtime: Runtime,
    service: Service,
    life: Life,
    events: usize,
    tally: Tally,
}

/// The results.
#[derive(Debug, Default)]
struct Tally {
    statuses: BTreeMap<u64, usize>,
    codes: BTreeMap<String, usize>,
    /// The routes that answered an unchanged request with success.
    reached: BTreeSet<&'static str>,
    slowest: Duration,
}

impl Fuzz {
    fn start() -> Self {
        let mut runtime = Builder::new_multi_thread();
        runtime.worker_threads(1).on_thread_start(|| COUNTED.set(true));
        let runtime = runtime.enable_all().build().unwrap();
        let service = runtime.block_on(Service::start());
        Self { runtime, service, life: Life::new(0), events: 0, tally: Tally::default() }
    }

    fn step(&mut self, delivery: &Delivery) -> Result<(), TestCaseError> {
        self.service.pass(TimeDelta::seconds(1));
        let event = self.runtime.block_on(self.life.compose(delivery, &mut self.service));
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| self.send(delivery, &event)));
        let message =
            |panic: Box<dyn Any + Send>| panic.downcast_ref::<String>().cloned().unwrap_or_default();
        let outcome = outcome
            .unwrap_or_else(|panic| Err(format!("a panic: {} {:?}", message(panic), PANICS.lock().unwrap())));
        outcome.map_err(|why| TestCaseError::fail(format!("{why}\n{event}")))
    }

    fn send(&mut self, delivery: &Delivery, event: &str) -> Check {
        let start = Instant::now();
        let reply = self.runtime.block_on(send(&self.service, event))?;
        self.tally.slowest = self.tally.slowest.max(start.elapsed());
        *self.tally.statuses.entry(reply.status).or_default() += 1;
        match reply.body["code"].as_str() {
            Some(code) => *self.tally.codes.entry(format!("{} {code}", reply.status)).or_default() += 1,
            None => {
                self.life.learn(&reply)?;
                self.tally.reached.extend(delivery.whole_route());
            }
        }
        self.events += 1;
        if self.events.is_multiple_of(LIFE) {
            self.runtime.block_on(self.life.check(&self.service))?;
            self.life = Life::new(self.events / LIFE);
        }
        Ok(())
    }
}

/// Counts the panics on the threads of this test instead of printing them. Other tests run beside it.
fn count_panics() {
    COUNTED.set(true);
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !COUNTED.get() {
            return print(panic);
        }
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        *PANICS.lock().unwrap().entry(place).or_default() += 1;
    }));
}

#[test]
fn every_event_gets_an_answer() {
    let cases = env::var("FUZZ_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    let _no_lines = tracing::subscriber::set_default(log::json_lines(std::io::sink));
    count_panics();
    let start = Instant::now();
    let fuzz = RefCell::new(Fuzz::start());
    let config = Config { cases, max_shrink_iters: 2_000, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&delivery(), |delivery| fuzz.borrow_mut().step(&delivery));
    COUNTED.set(false);
    if let Err(TestError::Fail(why, _)) = outcome {
        panic!("{why}");
    }
    outcome.unwrap();
    let tally = fuzz.into_inner().tally;
    println!("{cases} events in {:?}: {tally:#?}", start.elapsed());
    println!("caught in lambda_http: {:#?}", PANICS.lock().unwrap());
    let missed: Vec<_> = ROUTES.iter().filter(|route| !tally.reached.contains(*route)).collect();
    assert!(cases < ENOUGH || missed.is_empty(), "never answered with success: {missed:?}");
}
