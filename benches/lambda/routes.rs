//! What each route costs: its calls and units at DynamoDB, and the time and CPU time of a warm call.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use sessions::http::endpoint::{Access, ENDPOINTS, Endpoint, Name};
use sessions::session::SessionId;
use sessions::store::SessionStore;

use crate::Result;
use crate::contender::{Contender, Process, Throttle, World};
use crate::report::{millis, ms, quantile};
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
    times: Vec<Duration>,
    cpu: Vec<Duration>,
}

/// All routes.
pub struct Routes(Vec<Row>);

impl Routes {
    /// Measures each route of the service. Every call is about another user, who has three live sessions. `table` is the
    /// same as that of `world`, without TLS.
    pub async fn measure(service: &Contender, world: &World, table: &Table) -> Result<Self> {
        let counter = Counter::on(table).await;
        let mut process = service.start(world, Throttle::Never).await?;
        let mut rows = Vec::new();
        for endpoint in &ENDPOINTS {
            eprintln!("{} {}", endpoint.method, endpoint.path);
            rows.push(Row::measure(endpoint, &mut process, &counter, world).await?);
        }
        process.end().await;
        Ok(Self(rows))
    }

    pub fn table(&self) -> String {
        let mut text = format!(
            "Each route, with `sid`, for users with {SESSIONS} live sessions; a sign-in evicts one of them. {CALLS} calls, over TLS.\n\n\
             | route | calls | read units | write units | warm p50 | CPU |\n|---|---|---|---|---|---|\n"
        );
        for row in &self.0 {
            let (p50, cpu) = (ms(quantile(row.times.clone(), 0.5)), ms(quantile(row.cpu.clone(), 0.5)));
            let Row { route, calls, read_units, write_units, .. } = row;
            text += &format!("| `{route}` | {calls} | {read_units} | {write_units} | {p50} | {cpu} |\n");
        }
        text
    }

    pub fn json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "route": row.route, "calls": row.calls, "read_units": row.read_units, "write_units": row.write_units,
                "warm_p50_ms": millis(quantile(row.times.clone(), 0.5)),
                "cpu_ms": millis(quantile(row.cpu.clone(), 0.5)),
            })
        };
        self.0.iter().map(row).collect()
    }
}

impl Row {
    async fn measure(
        endpoint: &Endpoint,
        process: &mut Process<'_>,
        counter: &Counter,
        world: &World,
    ) -> Result<Self> {
        let store = counter.service.store();
        let event = User::sign_in(store).await?.calls(endpoint, world);
        let (calls, read_units, write_units) = counter.count(&event).await?;
        let (mut times, mut cpu) = (Vec::new(), Vec::new());
        for _ in 0..CALLS {
            let event = User::sign_in(store).await?.calls(endpoint, world);
            let (time, cpu_time, answer) = process.call_with(&event).await?;
            check(&answer)?;
            times.push(time);
            cpu.push(cpu_time);
        }
        let route = format!("{} {}", endpoint.method, endpoint.path);
        Ok(Self { route, calls, read_units, write_units, times, cpu })
    }
}

fn check(answer: &Value) -> Result<()> {
    match answer["statusCode"].as_u64() {
        Some(200 | 201) => Ok(()),
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
    async fn count(&self, event: &Value) -> Result<(usize, f64, f64)> {
        self.service.flush_metrics();
        self.proxy.take();
        let reply = self.service.event(event).await;
        if reply.status >= 300 {
            return Err(format!("the service answers {}", reply.text).into());
        }
        let counts: Value = serde_json::from_str(&self.service.flush_metrics().unwrap_or_default())?;
        let units = |name: &str| counts[name].as_f64().unwrap_or_default();
        Ok((self.proxy.take().len(), units("ReadUnits"), units("WriteUnits")))
    }
}

/// Settings of the service besides those that it needs.
pub const SETTINGS: &[(&str, &str)] = &[];

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
            newest = store.sign_in(&new, at).await?.map(|signed_in| signed_in.session.id);
        }
        Ok(Self { id, session: newest.ok_or("the session has ended")? })
    }

    /// The event with which an endpoint is called about this user.
    fn calls(&self, endpoint: &Endpoint, world: &World) -> Value {
        let path = endpoint.path.replace("{user_id}", &self.id);
        let path = path.replace("{session_id}", &self.session.to_string());
        let call = Call::new(endpoint.method.as_str(), &path).token(&self.token(endpoint, world));
        match endpoint.name {
            Name::SignIn => call.body(r#"{"device_fingerprint":"a new device"}"#).event(),
            _ => call.event(),
        }
    }

    fn token(&self, endpoint: &Endpoint, world: &World) -> String {
        let expires = Utc::now().timestamp() + 3_600;
        match endpoint.access {
            Access::Admin | Access::AdminOrService => token::token("1", Some("admin"), Some(&world.admin_session), expires),
            Access::Service => token::token("backend", Some("service"), None, expires),
            Access::User if endpoint.name == Name::SignIn => token::token(&self.id, None, None, expires),
            Access::User => token::token(&self.id, None, Some(&self.session.to_string()), expires),
        }
    }
}
