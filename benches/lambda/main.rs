//! The service beside its floor, its limit and what a user would pick instead: cold starts and warm calls over TLS.
//!
//! `cargo bench --bench lambda` builds the release binary as it is deployed and prints a table. The peers are put in
//! place by `benches/peers/install`; one that is missing is said and left out. After a `--`: `--json` prints for
//! machines, `--rounds N` changes the number of cold starts, and `--beside PATH` measures another build of the service
//! in the same run, which is how a compiler option is judged.

#[path = "../../examples/local/demo.rs"]
mod demo;
#[path = "../../tests/support/mod.rs"]
mod support;

mod contender;
mod report;
mod tls;

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::Utc;
use dynoxide::Database;
use lexopt::Arg::Long;
use lexopt::ValueExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use contender::{Contender, World};
use report::{Measured, Report};
use support::{engine, token};

/// Whatever goes wrong ends the benchmark.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Cold starts of each contender; they take turns, so that what the machine does meanwhile meets all alike.
const ROUNDS: usize = 15;

/// Warm calls after each cold start.
const CALLS: usize = 200;

/// What was asked for on the command line.
struct Options {
    json: bool,
    rounds: usize,
    beside: Option<PathBuf>,
}

impl Options {
    fn parse() -> Result<Self> {
        let mut options = Self { json: false, rounds: ROUNDS, beside: None };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("json") => options.json = true,
                Long("rounds") => options.rounds = parser.value()?.parse()?,
                Long("beside") => options.beside = Some(parser.value()?.into()),
                // What cargo itself adds.
                Long("bench") => {}
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let options = Options::parse()?;
    let folder = root().join(format!("target/bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let outcome = run(&options, &folder).await;
    fs::remove_dir_all(&folder)?;
    let report = outcome?;
    println!("{}", if options.json { report.json() } else { report.table() });
    Ok(())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

async fn run(options: &Options, folder: &Path) -> Result<Report> {
    build("Cargo.toml")?;
    build("benches/peers/floor/Cargo.toml")?;
    let world = world(folder).await?;
    let (contenders, missing): (Vec<_>, Vec<_>) = contenders(options.beside.as_deref())
        .into_iter()
        .partition(|contender| contender.deployed.iter().all(|path| path.exists()));
    for contender in &missing {
        eprintln!("{} is not here and left out; benches/peers/install puts it in place", contender.name);
    }
    let mut measured: Vec<_> = contenders.iter().map(Measured::new).collect::<Result<_>>()?;
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        for (contender, measured) in contenders.iter().zip(&mut measured) {
            measured.add(contender.live(&world, CALLS).await?);
        }
        same_answers(&contenders, &measured)?;
    }
    Report::new(measured, options.rounds)
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

fn contenders(beside: Option<&Path>) -> Vec<Contender> {
    let target = |path: &str| root().join("target").join(path);
    let program = |path: &str| target(path).to_string_lossy().into_owned();
    let native = |name, program: PathBuf, environment, answers| Contender {
        name,
        command: vec![program.to_string_lossy().into_owned()],
        folder: root().into(),
        deployed: vec![program],
        environment,
        answers,
    };
    let floor = || target("release/floor");
    let beside = beside.map(|program| native("beside it", program.into(), vec![], true));
    let node = target("peers/node/index.mjs");
    let own = vec![
        native("this service", bootstrap(), vec![], true),
        native("floor: no-op", floor(), vec![], false),
        native("limit: raw Query", floor(), vec![("FLOOR", "query")], false),
    ];
    let peers = vec![
        Contender {
            name: "Node, AWS SDK v3",
            command: vec!["node".into(), program("peers/node/index.mjs")],
            folder: root().into(),
            deployed: vec![node],
            environment: vec![("AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED", "true")],
            answers: true,
        },
        Contender {
            name: "FastAPI, Mangum, boto3",
            command: [&program("peers/fastapi/bin/python"), "-m", "awslambdaric", "app.handler"]
                .map(str::to_owned)
                .into(),
            folder: root().join("benches/peers/fastapi"),
            deployed: vec![target("peers/fastapi/lib"), root().join("benches/peers/fastapi/app.py")],
            environment: vec![],
            answers: true,
        },
    ];
    own.into_iter().chain(beside).chain(peers).collect()
}

/// The demo data behind TLS, and an admin who lists the sessions of user 74.
async fn world(folder: &Path) -> Result<World> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let plain = engine::serve(listener, Database::memory()?)?;
    let client = plain.client();
    engine::create_table(&client, &plain.table).await?;
    let policy = support::settings(&plain, &[]).policy;
    demo::fill(&client, &plain.table, &plain.store(policy), Utc::now()).await?;
    let (port, trust) = tls::serve(address, folder).await?;
    let database = support::Table { endpoint: format!("https://localhost:{port}"), ..plain };
    Ok(World { database, trust, secret: token::SECRET, event: event()? })
}

fn event() -> Result<Value> {
    let mut event: Value = serde_json::from_str(include_str!("../../events/admin-lists-sessions.json"))?;
    let token = token::token("1", Some("admin"), None, Utc::now().timestamp() + 3600);
    event["headers"]["authorization"] = json!(format!("Bearer {token}"));
    Ok(event)
}

/// A contender that answers something else does something else.
fn same_answers(contenders: &[Contender], measured: &[Measured]) -> Result<()> {
    let own = measured[0].body()?;
    if own.as_array().is_none_or(|sessions| sessions.len() != 3) {
        return Err(format!("the service answers {own}").into());
    }
    for (contender, measured) in contenders.iter().zip(measured).filter(|(contender, _)| contender.answers) {
        let body = measured.body()?;
        if body != own {
            return Err(format!("{} answers {body} instead of {own}", contender.name).into());
        }
    }
    Ok(())
}

/// Where the deployed program is.
pub fn bootstrap() -> PathBuf {
    root().join("target/release/sessions")
}
