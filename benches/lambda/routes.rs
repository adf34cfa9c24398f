//! What each route costs: its calls and units at DynamoDB, and the time and CPU time of a warm call.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use sessions::http::access::Access;
use sessions::http::endpoint::{ENDPOINTS, Endpoint};
use sessions::session::{Clock, SessionId};
use sessions::store::SessionStore;

use crate::Result;
use crate::contender::{Contender, Process, Throttle, World};
use crate::report::{Target, mib, millis, ms, quantile};
use crate::support::proxy::Proxy;
use crate::support::{Call, Service, Table, new_session, token};

/// Warm calls of each route.
const CALLS: usize = 100;

/// The live sessions of every user.
const SESSIONS: usize = 3;

/// What one route costs.
struct Row {
    route: String,
    calls: usize,
    read_units: f64,
    write_units: f64,
    times: Times,
    /// The times of the other build, if it has the route.
    beside: Option<Times>,
}

/// Wall and CPU time of each call.
#[derive(Default)]
struct Times {
    wall: Vec<Duration>,
    cpu: Vec<Duration>,
}

/// All routes.
pub struct Routes {
    rows: Vec<Row>,
    /// The most memory of the process that served all of them, in bytes.
    memory: u64,
}

impl Routes {
    /// Measures each route of the service. Every call is about another user, who has three live sessions. `table` is the
    /// same as that of `world`, without TLS.
    pub async fn measure(
        service: &Contender,
        beside: Option<&Contender>,
        world: &World,
        table: &Table,
    ) -> Result<Self> {
        let counter = Counter::on(table).await;
        let mut process = service.start(world, Throttle::Never).await?;
        let mut other = match beside {
            Some(beside) => Some(beside.start(world, Throttle::Never).await?),
            None => None,
        };
        let mut rows = Vec::new();
        for route in ENDPOINTS.iter().map(Route::Endpoint).chain([Route::Authorizer]) {
            eprintln!("{}", route.name());
            rows.push(Row::measure(route, &mut process, other.as_mut(), &counter, world).await?);
        }
        let memory = process.peak_memory()?;
        process.end().await;
        if let Some(other) = other {
            other.end().await;
        }
        Ok(Self { rows, memory })
    }

    pub fn targets(&self) -> Vec<Target> {
        vec![Target::at_most("MiB of memory at the peak, after all routes", 12.0, mib(self.memory))]
    }

    pub fn table(&self) -> String {
        let mut text = format!(
            "Each route, with `sid`, about one user with {SESSIONS} live sessions; a sign-in evicts one of them. {CALLS} calls, over TLS.\n\n\
             | route | calls | read units | write units | warm p50 | CPU | beside it | CPU |\n|---|---|---|---|---|---|---|---|\n"
        );
        for row in &self.rows {
            text += &row.text();
        }
        text
    }

    pub fn json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "route": row.route, "calls": row.calls, "read_units": row.read_units, "write_units": row.write_units,
                "warm_p50_ms": millis(row.times.p50()), "cpu_ms": millis(row.times.cpu_p50()),
                "beside_p50_ms": row.beside.as_ref().map(|times| millis(times.p50())),
                "beside_cpu_ms": row.beside.as_ref().map(|times| millis(times.cpu_p50())),
            })
        };
        self.rows.iter().map(row).collect()
    }
}

impl Times {
    /// Calls a route of a process, each time about another user.
    async fn measure(
        route: Route,
        process: &mut Process<'_>,
        store: &SessionStore,
        world: &World,
    ) -> Result<Self> {
        let mut times = Self::default();
        for _ in 0..CALLS {
            let event = route.event(&User::sign_in(store).await?, world);
            let (wall, cpu, answer) = process.call_with(&event).await?;
            check(&answer)?;
            times.wall.push(wall);
            times.cpu.push(cpu);
        }
        Ok(times)
    }

    fn p50(&self) -> Duration {
        quantile(self.wall.clone(), 0.5)
    }

    fn cpu_p50(&self) -> Duration {
        quantile(self.cpu.clone(), 0.5)
    }
}

impl Row {
    async fn measure(
        route: Route,
        process: &mut Process<'_>,
        other: Option<&mut Process<'_>>,
        counter: &Counter,
        world: &World,
    ) -> Result<Self> {
        let store = counter.service.store();
        let event = route.event(&User::sign_in(store).await?, world);
        let (calls, read_units, write_units) = counter.count(event).await?;
        let times = Times::measure(route, process, store, world).await?;
        let beside = match other {
            // An older build does not know every route. Its answer is printed, so that no other fault is overlooked.
            Some(other) => {
                let times = Times::measure(route, other, store, world).await;
                times.inspect_err(|error| eprintln!("the build beside it: {error}")).ok()
            }
            None => None,
        };
        Ok(Self { route: route.name(), calls, read_units, write_units, times, beside })
    }

    fn text(&self) -> String {
        let Self { route, calls, read_units, write_units, times, beside } = self;
        let cells = |times: &Times| format!("{} | {}", ms(times.p50()), ms(times.cpu_p50()));
        let (own, beside) = (cells(times), beside.as_ref().map_or_else(|| "- | -".into(), cells));
        format!("| `{route}` | {calls} | {read_units} | {write_units} | {own} | {beside} |\n")
    }
}

fn check(answer: &Value) -> Result<()> {
    match (answer["statusCode"].as_u64(), &answer["isAuthorized"]) {
        (Some(200 | 201), _) | (None, Value::Bool(true)) => Ok(()),
        _ => Err(format!("the service answers {answer}").into()),
    }
}

/// The service in this process, with a count of what it asks of DynamoDB.
struct Counter {
    service: Service,
    proxy: Proxy,
}

impl Counter {
    async fn on(table: &Table) -> Self {
        let proxy = Proxy::before(table).await;
        let mut service = Service::on(proxy.database.clone(), SETTINGS);
        service.now = Utc::now();
        Self { service, proxy }
    }

    /// Calls, read units and write units of one event.
    async fn count(&self, event: Value) -> Result<(usize, f64, f64)> {
        self.service.flush_metrics();
        self.proxy.take();
        let event = LambdaEvent::new(serde_json::from_value(event)?, self.service.invocation());
        check(&serde_json::to_value(self.service.app.answer(event, self.service.now).await?)?)?;
        let counts: Value = serde_json::from_str(&self.service.flush_metrics().unwrap_or_default())?;
        let units = |name: &str| counts[name].as_f64().unwrap_or_default();
        Ok((self.proxy.take().len(), units("ReadUnits"), units("WriteUnits")))
    }
}

/// Settings of the service besides those that it needs.
pub const SETTINGS: &[(&str, &str)] = &[("SERVICE_ROLE", "service")];

/// A user who has signed in on some devices, and the newest session.
struct User {
    id: String,
    session: SessionId,
}

impl User {
    /// The sessions have been idle for an hour, so that activity is written.
    async fn sign_in(store: &SessionStore) -> Result<Self> {
        let id = format!("user-{:016x}", fastrand::u64(..));
        let at = Utc::now() - TimeDelta::hours(1);
        let mut newest = None;
        for device in 0..SESSIONS {
            let new = new_session(&id, &format!("device {device}"), at);
            newest = store.sign_in(&new, Clock::start(at)).await?.map(|signed_in| signed_in.session.id);
        }
        Ok(Self { id, session: newest.ok_or("the session has ended")? })
    }

    /// A token of this user.
    fn token(&self, sid: bool) -> String {
        let session = self.session.to_string();
        token::token(&self.id, None, sid.then_some(&*session), expires())
    }
}

/// One kind of event.
#[derive(Clone, Copy)]
enum Route {
    Endpoint(&'static Endpoint),
    Authorizer,
}

impl Route {
    fn name(self) -> String {
        match self {
            Self::Endpoint(endpoint) => format!("{} {}", endpoint.method, endpoint.path),
            Self::Authorizer => "Lambda authorizer".into(),
        }
    }

    /// The event with which it is called about a user.
    fn event(self, user: &User, world: &World) -> Value {
        let Self::Endpoint(endpoint) = self else { return authorizer_event(&user.token(true)) };
        let path = endpoint.path.replace("{user_id}", &user.id);
        let path = path.replace("{session_id}", &user.session.to_string());
        let call = Call::new(endpoint.method.as_str(), &(path + &query(endpoint, user)));
        let call = call.token(&caller_token(endpoint, user, world));
        match body(endpoint, user) {
            Some(body) => call.body(&body.to_string()).event(),
            None => call.event(),
        }
    }
}

fn query(endpoint: &Endpoint, user: &User) -> String {
    match endpoint.path {
        "/sessions/summary" => format!("?user_id={}", user.id),
        _ => String::new(),
    }
}

fn body(endpoint: &Endpoint, user: &User) -> Option<Value> {
    match (endpoint.method.as_str(), endpoint.path) {
        ("POST", "/sessions/create" | "/sessions/user/{user_id}") => {
            Some(json!({"device_fingerprint": "a new device"}))
        }
        ("POST", "/sessions/end") => Some(json!({"user_ids": [user.id]})),
        _ => None,
    }
}

fn caller_token(endpoint: &Endpoint, user: &User, world: &World) -> String {
    match endpoint.access {
        Access::Admin | Access::AdminOrService => {
            token::token("1", Some("admin"), Some(&world.admin_session), expires())
        }
        Access::Service => token::token("backend", Some("service"), None, expires()),
        Access::User => user.token(true),
        Access::NewUser => user.token(false),
    }
}

/// The question of another API whether this token may be used there.
fn authorizer_event(token: &str) -> Value {
    let file = include_str!("../../events/authorizer-allows.json");
    let mut event: Value = serde_json::from_str(file).expect("the file is JSON");
    event["identitySource"] = json!([format!("Bearer {token}")]);
    event["headers"]["authorization"] = json!(format!("Bearer {token}"));
    event
}

fn expires() -> i64 {
    Utc::now().timestamp() + 3_600
}
