//! The service beside what others would use: cold starts and warm calls over TLS, the same with the CPU share that
//! Lambda gives to a memory, and what each route costs.
//!
//! `cargo bench --bench lambda` builds the release binary and prints tables. `benches/peers/install` puts the other
//! programs in place; one that is missing is named and left out. After a `--`:
//!
//! - `--rounds N` changes the number of cold starts; 0 leaves this table out.
//! - `--memory 128,256` adds a table with the CPU share of so many MB.
//! - `--rtt 4` is how many milliseconds later DynamoDB's answers arrive in that table.
//! - `--routes` adds a table of all routes.
//! - `--beside PATH` measures another build of the service in the same run.

#[path = "../../examples/local/demo.rs"]
mod demo;
#[path = "../../tests/support/mod.rs"]
mod support;

mod cgroup;
mod contender;
mod figures;
mod routes;
mod shares;
mod starts;

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use chrono::Utc;
use dynoxide::Database;
use lexopt::Arg::Long;
use lexopt::ValueExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use contender::Answer::{Other, SameSessions};
use contender::{Contender, Environment};
use support::engine::Result;
use support::tls::Front;
use support::{Folder, Service, engine, token};

/// The options of the command line.
struct Options {
    rounds: usize,
    memories: Vec<u32>,
    rtt: Duration,
    routes: bool,
    beside: Option<String>,
}

impl Options {
    fn parse() -> Result<Self> {
        let rtt = Duration::from_millis(4);
        let mut options = Self { rounds: 15, memories: Vec::new(), rtt, routes: false, beside: None };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("rounds") => options.rounds = parser.value()?.parse()?,
                Long("memory") => options.memories = parser.value()?.parse_with(numbers)?,
                Long("rtt") => options.rtt = Duration::from_millis(parser.value()?.parse()?),
                Long("routes") => options.routes = true,
                Long("beside") => options.beside = Some(parser.value()?.parse()?),
                // cargo adds this one.
                Long("bench") => {}
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }
}

/// "128,256"
fn numbers(text: &str) -> Result<Vec<u32>> {
    text.split(',').map(|number| Ok(number.parse()?)).collect()
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let (options, folder) = (Options::parse()?, Folder::new());
    build()?;
    let table = engine::serve(TcpListener::bind("127.0.0.1:0").await?, Database::memory()?)?;
    engine::create_table(&table.client(), &table.table).await?;
    let service = Service { now: Utc::now(), ..Service::on(table.clone(), &[]) };
    demo::fill(&table.client(), &table.table, service.store(), service.now).await?;
    let own = service.get("/sessions/my-sessions", &bearer("1", Some("admin"), None)).await;
    let contenders = contenders(own.ids()[0], options.beside.as_deref())?;

    let (front, trust) = Front::new(table.endpoint.replace("http://", ""), folder.path())?;
    let near = Environment::new(&table, front.serve(Duration::ZERO).await?, &trust);
    let far = Environment::new(&table, front.serve(options.rtt).await?, &trust);
    if options.rounds > 0 {
        println!("{}", starts::table(&contenders, options.rounds, &near).await?);
    }
    if !options.memories.is_empty() {
        println!("{}", shares::table(&contenders, &options.memories, options.rtt, &far).await?);
    }
    if options.routes {
        println!("{}", routes::table(&contenders, &table, own.ids()[0], &near).await?);
    }
    Ok(())
}

/// Builds the program as it is deployed.
fn build() -> Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--release", "--locked", "--quiet", "--bins", "--target-dir", "target"];
    let status = Command::new(cargo).current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).status()?;
    if status.success() { Ok(()) } else { Err("the service cannot be built".into()) }
}

/// Each of these is a row of the tables; the service comes first.
fn contenders(admin_session: &str, beside: Option<&str>) -> Result<Vec<Contender>> {
    let admin_list = &event("admin-lists-sessions", &bearer("1", Some("admin"), Some(admin_session)))?;
    let own_list = &event("user-lists-own", &bearer("74", None, Some(demo::OFFICE_PC)))?;
    let check = &event("user-checks-current", &bearer("74", None, Some(demo::OFFICE_PC)))?;

    let (service, row) = (target("release/sessions"), Contender::new);
    let mut all = vec![
        row("admin's list", &service, admin_list),
        row("own list", &service, own_list).answers(SameSessions).with_shares(),
        row("check", &service, check).answers(Other).with_shares(),
    ];
    if let Some(other) = beside {
        all.push(row(routes::OTHER_BUILD, other, admin_list));
        all.push(row("other build: own list", other, own_list).answers(SameSessions));
        all.push(row("other build: check", other, check).answers(Other));
    }
    let fastapi = target("peers/fastapi/bin/python -m awslambdaric app.handler");
    let packages = [target("peers/fastapi/lib"), root("benches/peers/fastapi/app.py")];
    let fastapi = row("FastAPI, Mangum, boto3", &fastapi, admin_list).deployed_as(&packages);
    let node = row("Node, AWS SDK v3", &format!("node {}", target("peers/node/index.mjs")), admin_list);
    all.extend([
        row("Rust, SDK's defaults", &target("peers/rust/release/plain"), admin_list).with_shares(),
        row("Go, AWS SDK v2", &target("peers/go/bootstrap"), admin_list).with_shares(),
        node.with("AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED", "true").with_shares(),
        fastapi.with("PYTHONPATH", root("benches/peers/fastapi")).with_shares(),
        row("floor: no-op", &target("peers/floor/release/floor"), admin_list).answers(Other),
    ]);
    let (here, missing): (Vec<_>, Vec<_>) = all.into_iter().partition(Contender::is_here);
    for contender in missing {
        eprintln!("{} is not here and is left out; benches/peers/install puts it in place", contender.name);
    }
    Ok(here)
}

/// One of the files under events/, with another token.
fn event(file: &str, bearer: &str) -> Result<Value> {
    let mut event: Value = serde_json::from_str(&fs::read_to_string(root(&format!("events/{file}.json")))?)?;
    event["headers"]["authorization"] = json!(format!("Bearer {bearer}"));
    Ok(event)
}

/// A token that is good for longer than the benchmark runs.
fn bearer(user: &str, role: Option<&str>, sid: Option<&str>) -> String {
    token::token(user, role, sid, Utc::now().timestamp() + 24 * 3_600)
}

fn root(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).to_string_lossy().into_owned()
}

fn target(path: &str) -> String {
    root("target/") + path
}
