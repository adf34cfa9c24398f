//! The whole service on this machine, by one command: `cargo run --example local`.
//!
//! An embedded DynamoDB with demo data; the function under `cargo lambda watch`, which builds it again whenever its code
//! changes; a gateway before it, with the CORS settings of template.yaml; and the panel on a port of its own.
//! `cargo run --example local -- --help` tells the rest.

mod args;
mod demo;
mod engine;
mod gateway;
mod panel;
mod token;
mod watch;

use std::net::Ipv4Addr;
use std::process::ExitCode;

use chrono::Utc;
use dynoxide::Database;
use sessions::config::Config;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use args::{Command, Stack};
use engine::{Result, Table};
use gateway::Cors;
use watch::Watch;

/// How long the tokens on the screen are good for, in seconds.
const TOKEN_LIFETIME: i64 = 12 * 3600;

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Command::from_args() {
        Ok(command) => perform(command).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn perform(command: Command) -> Result<()> {
    match command {
        Command::Help => print!("{}", args::HELP),
        Command::Token { user, role, sid, expires_in } => {
            println!("{}", token::issue(&user, role.as_deref(), sid.as_deref(), now(), expires_in));
        }
        Command::Stack(stack) => run(stack).await?,
    }
    Ok(())
}

async fn run(stack: Stack) -> Result<()> {
    let stop = stop_signal()?;
    tokio::select! {
        outcome = serve(stack) => outcome,
        () = stop => {
            eprintln!("\nStopped.");
            Ok(())
        }
    }
}

/// Runs until something ends; dropping it ends what it started.
async fn serve(stack: Stack) -> Result<()> {
    let engine = bind(stack.db_port, "--db-port").await?;
    let panel = bind(stack.panel_port, "--panel-port").await?;
    let gateway = bind(stack.port, "--port").await?;
    let cargo_lambda = watch::find_or_install().await?;
    let database = engine::serve(engine, open(stack.data.as_deref())?)?;
    let client = database.client();
    let environment = environment(&database);
    let settings = settings(&environment)?;
    if engine::create_table(&client, engine::TABLE).await? {
        let store = database.store(settings.policy);
        demo::fill(&client, engine::TABLE, &store, Utc::now()).await?;
    }
    eprintln!("DynamoDB is on {}; the function is being built", database.endpoint);
    let mut watch = Watch::start(&cargo_lambda, free_port().await?, &stack, &environment)?;
    watch.ready().await?;
    tokio::spawn(gateway::serve(gateway, watch.port(), Cors::from_template()?));
    tokio::spawn(panel::serve(panel, url(stack.port)));
    print!("{}", screen(stack.port, stack.panel_port));
    watch.ended().await
}

/// A port for the function itself, which only the gateway calls.
async fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?.port())
}

async fn bind(port: u16, flag: &str) -> Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    listener.map_err(|error| {
        format!("cannot listen on 127.0.0.1:{port} ({error}); {flag} takes another port").into()
    })
}

fn open(data: Option<&str>) -> Result<Database> {
    let opened = match data {
        Some(file) => Database::new(file),
        None => Database::memory(),
    };
    opened
        .map_err(|error| format!("cannot open the database {}: {error}", data.unwrap_or("in memory")).into())
}

/// The function's settings here; everything else may be set from outside.
fn environment(database: &Table) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ENDPOINT_URL_DYNAMODB", database.endpoint.clone()),
        ("AWS_REGION", database.region.clone()),
        ("AWS_ACCESS_KEY_ID", database.access_key_id.clone()),
        ("AWS_SECRET_ACCESS_KEY", database.secret_access_key.clone()),
        ("TABLE_NAME", database.table.clone()),
        ("JWT_SECRET", token::SECRET.into()),
        ("SERVICE_ROLE", "service".into()),
    ]
}

/// What the function will read from that environment.
fn settings(environment: &[(&str, String)]) -> Result<Config> {
    let set =
        |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    Ok(Config::from_vars(&|name| set(name).or_else(|| std::env::var(name).ok()))?)
}

/// A token for the screen or the panel.
fn demo_token(user: &str, role: Option<&str>) -> String {
    token::issue(user, role, None, now(), TOKEN_LIFETIME)
}

/// A token of user 74 that carries a session id.
fn demo_token_of(session: &str) -> String {
    token::issue("74", None, Some(session), now(), TOKEN_LIFETIME)
}

fn now() -> i64 {
    Utc::now().timestamp()
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn screen(port: u16, panel_port: u16) -> String {
    let (url, panel) = (url(port), url(panel_port));
    let (admin, user) = (demo_token("1", Some("admin")), demo_token("74", None));
    let service = demo_token("backend", Some("service"));
    let (phone, office_pc) = (demo::PHONE, demo::OFFICE_PC);
    let (phone_token, pc_token) = (demo::phone_token(), demo_token_of(office_pc));
    format!(
        "
Open {panel} to see it work.

The session service is on {url}; Ctrl-C ends it. User 1 is the admin, 74 has sessions, 75 has none.
SERVICE is the token of a back end. PHONE and PC are the tokens of two devices of user 74: the phone signed in with
its token, which carries no session id; the PC's token carries one.

  ADMIN={admin}
  USER={user}
  SERVICE={service}
  PHONE={phone_token}
  PC={pc_token}

  # an admin sees where user 74 is signed in
  curl -H \"Authorization: Bearer $ADMIN\" {url}/sessions/user/74
  # and what has ended, with who ended it, when and why
  curl -H \"Authorization: Bearer $ADMIN\" '{url}/sessions/user/74?include_inactive=true'
  # a user who is no admin is refused
  curl -H \"Authorization: Bearer $USER\" {url}/sessions/user/74

  # the phone is signed in
  curl -H \"Authorization: Bearer $PHONE\" {url}/sessions/current
  # the admin ends its session
  curl -X DELETE -H \"Authorization: Bearer $ADMIN\" '{url}/sessions/user/74/session/{phone}?reason=lost+phone'
  # the phone is signed out, and its token cannot sign in again
  curl -H \"Authorization: Bearer $PHONE\" {url}/sessions/current
  curl -X POST -H \"Authorization: Bearer $PHONE\" {url}/sessions/create

  # the same with the PC
  curl -H \"Authorization: Bearer $PC\" {url}/sessions/current
  curl -X DELETE -H \"Authorization: Bearer $ADMIN\" '{url}/sessions/user/74/session/{office_pc}?reason=sold'
  curl -H \"Authorization: Bearer $PC\" {url}/sessions/current
  curl -X POST -H \"Authorization: Bearer $PC\" {url}/sessions/create

"
    )
}

/// Resolves when someone asks this program to end.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
            _ = hangup.recv() => (),
        }
    })
}
