//! What each route costs: its requests and units at DynamoDB, how they grow, and the time and CPU time of a warm call.

use chrono::{TimeDelta, Utc};
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};

use crate::contender::{Contender, Environment, Process, Throttle};
use crate::figures::{self, Figure, mib, ms};
use crate::support::engine::{Result, Table};
use crate::support::proxy::Proxy;
use crate::support::{Call, ROUTES, Role, Sample, Service, token};

/// Warm calls of each route.
const CALLS: usize = 100;

/// Live and ended sessions of a user. The calls that are timed are about users like the first.
const GROWTH: [(usize, usize); 5] = [(3, 0), (1, 0), (10, 0), (100, 0), (3, 1_000)];

/// The name of the other build whose routes are measured too.
pub const OTHER_BUILD: &str = "other build: admin's list";

/// The row that is no route: another API asks whether a token may be used there.
const AUTHORIZER: &str = "Lambda authorizer";

/// Measures each route of the first contender, and of the other build if there is one. Each call is about another user.
pub async fn table(
    contenders: &[Contender],
    table: &Table,
    admin_session: &str,
    environment: &Environment,
) -> Result<String> {
    let mut counters = Vec::new();
    for (live, _) in GROWTH {
        counters.push(Counter::on(table, live).await);
    }
    let other = contenders.iter().find(|contender| contender.name == OTHER_BUILD);
    let mut processes = Vec::new();
    for build in contenders.iter().take(1).chain(other) {
        processes.push(build.start(environment, Throttle::Never).await?);
    }
    let mut rows = Vec::new();
    for route in ROUTES.iter().copied().chain([AUTHORIZER]) {
        eprintln!("{route}");
        let mut row = vec![format!("`{route}`")];
        for ((live, ended), counter) in GROWTH.into_iter().zip(&mut counters) {
            // A sign-in above the limit, which is `live`, ends the oldest session.
            let user = User::sign_in(counter, live + ended).await;
            row.push(counter.cost(&event(route, &user, admin_session)).await?);
        }
        for process in &mut processes {
            // An older build does not know every route. Its answer is printed, so that no other fault is overlooked.
            let times = times(route, process, &mut counters[0], admin_session).await;
            row.extend(times.inspect_err(|error| eprintln!("{error}")).unwrap_or(["-".into(), "-".into()]));
        }
        rows.push(row);
    }
    let names = GROWTH.map(|(live, ended)| format!("{live} live, {ended} ended"));
    let head = ["route"].into_iter().chain(names.iter().map(String::as_str));
    let head: Vec<_> = head.chain(["warm p50", "CPU", "other build", "CPU"]).collect();
    Ok(format!(
        "Each route, with `sid`: requests / read units / write units by the user's sessions, and the medians of {CALLS} \
         calls over TLS with {} live sessions. A sign-in evicts one. Memory after all routes: {}.\n\n{}",
        GROWTH[0].0,
        mib(processes[0].peak_memory()?),
        figures::table(&head[..1 + GROWTH.len() + 2 * processes.len()], &rows)
    ))
}

/// The medians of time and CPU time.
async fn times(
    route: &str,
    process: &mut Process<'_>,
    counter: &mut Counter,
    admin_session: &str,
) -> Result<[String; 2]> {
    let (mut wall, mut cpu) = (Figure::default(), Figure::default());
    for _ in 0..CALLS {
        let event = event(route, &User::sign_in(counter, GROWTH[0].0).await, admin_session);
        let before = process.cpu()?;
        let (time, answer) = process.call_with(&event).await?;
        cpu.0.push(process.cpu()? - before);
        wall.0.push(time);
        check(&answer)?;
    }
    Ok([ms(wall.median()), ms(cpu.median())])
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
    async fn on(table: &Table, max_sessions: usize) -> Self {
        let proxy = Proxy::before(table).await;
        let settings = [("SERVICE_ROLE", "service"), ("MAX_SESSIONS", &max_sessions.to_string())];
        let service = Service { now: Utc::now(), ..Service::on(proxy.database.clone(), &settings) };
        Self { service, proxy }
    }

    /// Requests, read units and write units of one event.
    async fn cost(&self, event: &Value) -> Result<String> {
        self.service.flush_metrics();
        self.proxy.take();
        let event = LambdaEvent::new(serde_json::from_value(event.clone())?, self.service.invocation());
        check(&serde_json::to_value(self.service.app.answer(event, Utc::now()).await?)?)?;
        let counts: Value = serde_json::from_str(&self.service.flush_metrics().unwrap_or_default())?;
        let units = |name: &str| counts[name].as_f64().unwrap_or_default();
        Ok(format!("{} / {} / {}", self.proxy.take().len(), units("ReadUnits"), units("WriteUnits")))
    }
}

/// A user who has signed in on some devices, and the newest session.
struct User {
    id: String,
    session: String,
}

impl User {
    /// The sessions have been idle for a while, so that activity is written.
    async fn sign_in(counter: &mut Counter, times: usize) -> Self {
        let mut user = Self { id: format!("user-{:016x}", fastrand::u64(..)), session: String::new() };
        counter.service.now = Utc::now() - TimeDelta::hours(1);
        for device in 0..times {
            user.session =
                counter.service.sign_in(&user.id, &format!("device {device}")).await.id.to_string();
        }
        user
    }
}

/// The event with which a route is called about a user.
fn event(route: &str, user: &User, admin_session: &str) -> Value {
    let bearer = |id: &str, role, sid| token::token(id, role, sid, Utc::now().timestamp() + 3_600);
    let own = bearer(&user.id, None, Some(&*user.session));
    if route == AUTHORIZER {
        return authorizer_event(&own);
    }
    // The samples are about user 74.
    let sample = Sample::of(route);
    let target = sample.target(&user.session).replace("74", &user.id);
    let call = Call::new(sample.method(), &target);
    let call = match sample.body {
        Some(body) => call.body(&body.replace("74", &format!("{:?}", user.id))),
        None => call,
    };
    let token = match sample.roles[0] {
        Role::Admin => bearer("1", Some("admin"), Some(admin_session)),
        Role::Service => bearer("backend", Some("service"), None),
        Role::User if route == "POST /sessions/create" => bearer(&user.id, None, None),
        Role::User => own,
    };
    call.token(&token).event()
}

fn authorizer_event(token: &str) -> Value {
    let mut event = Call::new("GET", "/").token(token).event();
    event["type"] = json!("REQUEST");
    event["identitySource"] = json!([format!("Bearer {token}")]);
    event
}
