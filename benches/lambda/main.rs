//! The service beside its floor, its limit and what a user would pick instead: cold starts and warm calls over TLS, and
//! the same with the CPU share that Lambda gives to a memory.
//!
//! `cargo bench --bench lambda` builds the release binary as it is deployed and prints tables. The peers are put in
//! place by `benches/peers/install`; one that is missing is named and left out. After a `--`:
//!
//! - `--memory 128,256` gives each contender the CPU share of so many MB, one after the other; by default only the
//!   service gets one, that of the template's memory.
//! - `--rtt 4ms` is how much later DynamoDB's answers arrive in that table.
//! - `--rounds N` changes the number of cold starts; 0 leaves the table of cold starts and warm calls out.
//! - `--routes` adds a table of all routes.
//! - `--beside PATH` measures another build of the service in the same run. Compiler options are judged in this way.
//! - `--json` prints for machines.

#[path = "../../examples/local/demo.rs"]
mod demo;
#[path = "../../tests/support/mod.rs"]
mod support;

mod contender;
mod memory;
mod report;
mod routes;
mod share;

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chrono::Utc;
use dynoxide::Database;
use lexopt::Arg::Long;
use lexopt::ValueExt;
use serde_json::{Value, json};
use serde_norway::Value as Yaml;
use sessions::session::UserId;
use tokio::net::TcpListener;

use contender::{Contender, Events, Expected, Request, World};
use memory::Shares;
use report::{BESIDE, Measured, OWN_LIST, OWN_LIST_WITHOUT_SID, Report, Target, Zips};
use routes::Routes;
use support::tls::{Front, Trust};
use support::{Folder, Table, engine, token};

/// Every failure ends the benchmark.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Cold starts of each contender. They take turns, so that what the machine does meanwhile affects all in the same way.
const ROUNDS: usize = 15;

/// Warm calls after each cold start.
const CALLS: usize = 200;

/// How long DynamoDB's answer takes on the way in Lambda.
const RTT: Duration = Duration::from_millis(4);

/// The options of the command line.
struct Options {
    json: bool,
    rounds: usize,
    routes: bool,
    rtt: Duration,
    memories: Option<Vec<u32>>,
    beside: Option<PathBuf>,
}

impl Options {
    fn parse() -> Result<Self> {
        let mut options =
            Self { json: false, rounds: ROUNDS, routes: false, rtt: RTT, memories: None, beside: None };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("json") => options.json = true,
                Long("rounds") => options.rounds = parser.value()?.parse()?,
                Long("routes") => options.routes = true,
                Long("rtt") => options.rtt = parser.value()?.parse_with(milliseconds)?,
                Long("memory") => options.memories = Some(parser.value()?.parse_with(numbers)?),
                Long("beside") => options.beside = Some(parser.value()?.into()),
                // cargo adds this one.
                Long("bench") => {}
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }
}

/// "4ms"
fn milliseconds(text: &str) -> Result<Duration> {
    Ok(Duration::from_millis(text.strip_suffix("ms").ok_or("write milliseconds, such as 4ms")?.parse()?))
}

/// "128,256"
fn numbers(text: &str) -> Result<Vec<u32>> {
    text.split(',').map(|number| Ok(number.parse()?)).collect()
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let options = Options::parse()?;
    let outcome = run(&options, Folder::new().path()).await?;
    println!("{}", if options.json { outcome.json().to_string() } else { outcome.text() });
    Ok(())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Everything that was measured.
struct Outcome {
    report: Option<Report>,
    shares: Option<Shares>,
    routes: Option<Routes>,
}

impl Outcome {
    fn targets(&self) -> Vec<Target> {
        let report = self.report.iter().flat_map(Report::targets);
        let routes = self.routes.iter().flat_map(Routes::targets);
        report.chain(self.shares.iter().flat_map(Shares::targets)).chain(routes).collect()
    }

    fn text(&self) -> String {
        let report = self.report.as_ref().map(Report::table);
        let tables =
            [report, self.shares.as_ref().map(Shares::table), self.routes.as_ref().map(Routes::table)];
        let mut text: Vec<String> = tables.into_iter().flatten().collect();
        text.push(self.targets().iter().map(Target::text).collect());
        text.join("\n")
    }

    fn json(&self) -> Value {
        json!({
            "cold_and_warm": self.report.as_ref().map(Report::json),
            "memory": self.shares.as_ref().map(Shares::json),
            "routes": self.routes.as_ref().map(Routes::json),
            "targets": self.targets().iter().map(Target::json).collect::<Vec<_>>(),
        })
    }
}

async fn run(options: &Options, folder: &Path) -> Result<Outcome> {
    build("Cargo.toml")?;
    build("benches/peers/floor/Cargo.toml")?;
    let beside = options.beside.as_deref();
    let (contenders, missing): (Vec<_>, Vec<_>) = contenders(beside)
        .into_iter()
        .partition(|contender| contender.deployed.iter().all(|path| path.exists()));
    for contender in &missing {
        eprintln!("{} is not here and is left out; benches/peers/install puts it in place", contender.name);
    }
    let plain = database().await?;
    let address = plain.endpoint.trim_start_matches("http://").to_owned();
    let (front, trust) = Front::new(address, folder)?;
    let mut world = world(&plain, trust).await?;
    world.database.endpoint = endpoint(front.serve(Duration::ZERO).await?);
    let report = match options.rounds {
        0 => None,
        rounds => Some(starts_and_calls(&contenders, rounds, &world, beside).await?),
    };
    let routes = match options.routes {
        true => {
            let beside = contenders.iter().find(|contender| contender.name == report::BESIDE);
            Some(Routes::measure(&contenders[0], beside, &world, &plain).await?)
        }
        false => None,
    };
    world.database.endpoint = endpoint(front.serve(options.rtt).await?);
    let shares = shares(options, &contenders, &world).await?;
    Ok(Outcome { report, shares, routes })
}

fn endpoint(port: u16) -> String {
    format!("https://localhost:{port}")
}

async fn starts_and_calls(
    contenders: &[Contender],
    rounds: usize,
    world: &World,
    beside: Option<&Path>,
) -> Result<Report> {
    let mut measured: Vec<_> = contenders.iter().map(Measured::new).collect::<Result<_>>()?;
    let mut order: Vec<_> = (0..contenders.len()).collect();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        // What runs before a contender leaves the machine's caches and memory in some state.
        fastrand::shuffle(&mut order);
        for &at in &order {
            measured[at].add(contenders[at].run(world, CALLS).await?);
        }
        same_answers(contenders, &measured)?;
    }
    let beside = beside.map(report::zipped).transpose()?;
    Ok(Report::new(&measured, rounds, Zips { service: report::zipped(&service())?, beside }))
}

/// The shares of the memories that were asked for, or else that of the template for the service. Where the machine has
/// no control groups for us, this says so, and the rest still runs.
async fn shares(options: &Options, contenders: &[Contender], world: &World) -> Result<Option<Shares>> {
    let (contenders, memories) = match &options.memories {
        Some(memories) => (contenders, memories.clone()),
        None => (&contenders[..1], vec![default_memory()?]),
    };
    if let Some(Err(error)) = memories.first().map(|memory| share::Share::of(*memory)) {
        eprintln!("no CPU shares here: {error}");
        return Ok(None);
    }
    let contenders: Vec<_> = contenders.iter().filter(|contender| contender.gets_shares()).cloned().collect();
    Shares::measure(&contenders, &memories, world, options.rtt).await.map(Some)
}

/// The default of the template's `MemorySize`.
fn default_memory() -> Result<u32> {
    let template: Yaml = serde_norway::from_str(include_str!("../../template.yaml"))?;
    let memory = template["Parameters"]["MemorySize"]["Default"].as_u64();
    Ok(memory.ok_or("template.yaml has no default memory")?.try_into()?)
}

/// Builds a package's program as for a deployment, into the one target folder.
fn build(manifest: &str) -> Result<()> {
    eprintln!("building {manifest}");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(["build", "--release", "--locked", "--offline", "--quiet", "--bins"]);
    let status = command.args(["--target-dir", "target", "--manifest-path", manifest]).status()?;
    if status.success() { Ok(()) } else { Err(format!("cannot build {manifest}").into()) }
}

fn target(path: &str) -> PathBuf {
    root().join("target").join(path)
}

/// The deployed program.
fn service() -> PathBuf {
    target("release/sessions")
}

fn contenders(beside: Option<&Path>) -> Vec<Contender> {
    let mut contenders = vec![
        native("this service", service(), Request::AdminList, Expected::Same),
        native("admin's list, no sid", service(), Request::AdminListWithoutSid, Expected::Same),
        native(OWN_LIST, service(), Request::OwnList, Expected::SameSessions),
        native(OWN_LIST_WITHOUT_SID, service(), Request::OwnListWithoutSid, Expected::SameSessions),
        native("check, sid", service(), Request::Check, Expected::Anything),
    ];
    if let Some(program) = beside {
        let own = native("own list beside it", program.into(), Request::OwnList, Expected::SameSessions);
        contenders.push(native(BESIDE, program.into(), Request::AdminList, Expected::SameSessions));
        contenders.push(own);
    }
    let floor = || target("release/floor");
    let limit = native("limit: raw Query", floor(), Request::AdminList, Expected::Anything);
    contenders.push(native("floor: no-op", floor(), Request::AdminList, Expected::Anything));
    contenders.push(Contender { environment: vec![("FLOOR", "query")], ..limit });
    contenders.extend([node(), fastapi()]);
    contenders
}

fn native(name: &'static str, program: PathBuf, request: Request, answer: Expected) -> Contender {
    Contender {
        name,
        command: vec![program.to_string_lossy().into_owned()],
        folder: root().into(),
        deployed: vec![program],
        environment: routes::SETTINGS.to_vec(),
        request,
        answer,
    }
}

fn node() -> Contender {
    let bundle = target("peers/node/index.mjs");
    Contender {
        name: "Node, AWS SDK v3",
        command: vec!["node".into(), bundle.to_string_lossy().into_owned()],
        folder: root().into(),
        deployed: vec![bundle],
        environment: vec![("AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED", "true")],
        request: Request::AdminList,
        answer: Expected::Same,
    }
}

fn fastapi() -> Contender {
    let python = target("peers/fastapi/bin/python").to_string_lossy().into_owned();
    Contender {
        name: "FastAPI, Mangum, boto3",
        command: [&python, "-m", "awslambdaric", "app.handler"].map(str::to_owned).into(),
        folder: root().join("benches/peers/fastapi"),
        deployed: vec![target("peers/fastapi/lib"), root().join("benches/peers/fastapi/app.py")],
        environment: vec![],
        request: Request::AdminList,
        answer: Expected::Same,
    }
}

/// The demo data in an engine of its own.
async fn database() -> Result<Table> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let plain = engine::serve(listener, Database::memory()?)?;
    let client = plain.client();
    engine::create_table(&client, &plain.table).await?;
    let policy = support::settings(&plain, &[]).policy;
    demo::fill(&client, &plain.table, &plain.store(policy), Utc::now()).await?;
    Ok(plain)
}

async fn world(plain: &Table, trust: Trust) -> Result<World> {
    let policy = support::settings(plain, &[]).policy;
    let admin = plain.store(policy).user_sessions(&UserId::parse("1")?).await?;
    let admin_session = admin.open.first().ok_or("the admin has no session")?.id.to_string();
    let events = events(&admin_session)?;
    Ok(World { database: plain.clone(), trust, secret: token::SECRET, events, admin_session })
}

fn events(admin_session: &str) -> Result<Events> {
    let admin: Value = serde_json::from_str(include_str!("../../events/admin-lists-sessions.json"))?;
    let own: Value = serde_json::from_str(include_str!("../../events/user-lists-own.json"))?;
    let check: Value = serde_json::from_str(include_str!("../../events/user-checks-current.json"))?;
    let expires = Utc::now().timestamp() + 3_600;
    let with = |event: &Value, user, role, sid| {
        let mut event = event.clone();
        event["headers"]["authorization"] =
            json!(format!("Bearer {}", token::token(user, role, sid, expires)));
        event
    };
    Ok(Events {
        admin_list: with(&admin, "1", Some("admin"), Some(admin_session)),
        admin_list_without_sid: with(&admin, "1", Some("admin"), None),
        own_list: with(&own, "74", None, Some(demo::OFFICE_PC)),
        own_list_without_sid: with(&own, "74", None, None),
        check: with(&check, "74", None, Some(demo::OFFICE_PC)),
    })
}

/// A contender with a wrong answer does something else, and its figures mean nothing.
fn same_answers(contenders: &[Contender], measured: &[Measured]) -> Result<()> {
    let own = measured[0].body()?;
    if own.as_array().is_none_or(|sessions| sessions.len() != 3) {
        return Err(format!("the service answers {own}").into());
    }
    for (contender, measured) in contenders.iter().zip(measured) {
        let is_right = match contender.answer {
            Expected::Same => measured.body()? == own,
            Expected::SameSessions => ids(&measured.body()?) == ids(&own),
            Expected::Anything => true,
        };
        if !is_right {
            return Err(format!("{} answers {} instead of {own}", contender.name, measured.body()?).into());
        }
    }
    Ok(())
}

fn ids(sessions: &Value) -> Vec<&Value> {
    sessions.as_array().into_iter().flatten().map(|session| &session["id"]).collect()
}
