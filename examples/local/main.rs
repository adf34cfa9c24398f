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
mod provider;
mod token;
mod watch;

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;

use chrono::Utc;
use dynoxide::Database;
use sessions::config::Config;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use args::{Command, Stack, Token};
use engine::{Result, Table};
use gateway::Cors;
use provider::Provider;
use watch::Watch;

/// How long the tokens on the screen are good for, in seconds.
const TOKEN_LIFETIME: i64 = 12 * 3600;

/// Who issues the tokens.
#[derive(Clone)]
enum Issuer {
    /// A back end, which shares a secret with the service and knows our session's ids.
    BackEnd,
    /// An identity provider, which has keys and sessions of its own.
    Provider(Arc<Provider>),
}

impl Issuer {
    fn new(provider: bool) -> Result<Self> {
        match provider {
            true => Ok(Self::Provider(Arc::new(Provider::new()?))),
            false => Ok(Self::BackEnd),
        }
    }

    fn issue(&self, wanted: &Token) -> String {
        match self {
            Self::BackEnd => token::issue(
                &wanted.user,
                wanted.role.as_deref(),
                wanted.sid.as_deref(),
                now(),
                wanted.expires_in,
            ),
            Self::Provider(provider) => provider.token(wanted, now()),
        }
    }

    /// A token for the screen or the panel. At the provider the user has one session, which the token names.
    fn token(&self, user: &str, role: Option<&str>) -> String {
        let sid = matches!(self, Self::Provider(_)).then(|| format!("browser-of-{user}"));
        let (user, role) = (user.to_owned(), role.map(str::to_owned));
        self.issue(&Token { user, role, sid, expires_in: TOKEN_LIFETIME, ..Token::default() })
    }

    /// A back end's secret is in no set.
    fn key_set(&self) -> String {
        match self {
            Self::BackEnd => r#"{"keys":[]}"#.into(),
            Self::Provider(provider) => provider.key_set(),
        }
    }
}

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
        Command::Token(wanted) => println!("{}", Issuer::new(wanted.provider)?.issue(&wanted)),
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
    let issuer = Issuer::new(stack.provider)?;
    let environment = environment(&database, &stack);
    let settings = settings(&environment)?;
    if engine::create_table(&client, engine::TABLE).await? {
        let store = database.store(settings.policy);
        demo::fill(&client, engine::TABLE, &store, Utc::now()).await?;
    }
    eprintln!("DynamoDB is on {}; the function is being built", database.endpoint);
    // The function fetches the provider's keys from the panel's port.
    tokio::spawn(panel::serve(panel, url(stack.port), issuer.clone()));
    let mut watch = Watch::start(&cargo_lambda, free_port().await?, &stack, &environment)?;
    watch.ready().await?;
    tokio::spawn(gateway::serve(gateway, watch.port(), Cors::from_template()?));
    let (url, panel) = (url(stack.port), url(stack.panel_port));
    match issuer {
        Issuer::BackEnd => print!("{}", screen(&url, &panel)),
        Issuer::Provider(_) => print!("{}", provider_screen(&issuer, &url, &panel)),
    }
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
fn environment(database: &Table, stack: &Stack) -> Vec<(&'static str, String)> {
    let mut environment = vec![
        ("AWS_ENDPOINT_URL_DYNAMODB", database.endpoint.clone()),
        ("AWS_REGION", database.region.clone()),
        ("AWS_ACCESS_KEY_ID", database.access_key_id.clone()),
        ("AWS_SECRET_ACCESS_KEY", database.secret_access_key.clone()),
        ("TABLE_NAME", database.table.clone()),
        ("JWT_SECRET", token::SECRET.into()),
        ("SERVICE_ROLE", "service".into()),
    ];
    if stack.provider {
        environment.extend(provider::settings(&url(stack.panel_port)));
    }
    environment
}

/// What the function will read from that environment.
fn settings(environment: &[(&str, String)]) -> Result<Config> {
    let set =
        |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    Ok(Config::from_vars(&|name| set(name).or_else(|| std::env::var(name).ok()))?)
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

fn screen(url: &str, panel: &str) -> String {
    let token = |user, role| Issuer::BackEnd.token(user, role);
    let (admin, user) = (token("1", Some("admin")), token("74", None));
    let service = token("backend", Some("service"));
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

fn provider_screen(issuer: &Issuer, url: &str, panel: &str) -> String {
    let admin = issuer.token("1", Some("admin"));
    let phone = |expires_in| {
        issuer.issue(&Token {
            user: "74".into(),
            sid: Some("phone".into()),
            expires_in,
            auth_age: 60,
            ..Token::default()
        })
    };
    let (first, refreshed) = (phone(TOKEN_LIFETIME), phone(TOKEN_LIFETIME + 1));
    let key_set = provider::KEY_SET_PATH;
    let token = "cargo run --quiet --example local -- token --provider --user 74 --sid phone";
    format!(
        "
Open {panel} to see it work.

The session service is on {url}; Ctrl-C ends it. It takes tokens of an identity provider, whose keys are on
{panel}{key_set}. User 1 is the admin. PHONE is the token of a device of user 74, which signed in at the provider a
minute ago, and REFRESHED is the next one of that sign-in: both have the provider's session \"phone\" as sid.

  ADMIN={admin}
  PHONE={first}
  REFRESHED={refreshed}

  # the phone signs in, and its refreshed token is of the same session
  curl -X POST -H \"Authorization: Bearer $PHONE\" {url}/sessions/create
  curl -H \"Authorization: Bearer $REFRESHED\" {url}/sessions/current
  # an admin ends the user's sessions: the refreshed token is out, and told to authenticate again
  curl -X DELETE -H \"Authorization: Bearer $ADMIN\" '{url}/sessions/user/74?reason=lost+phone'
  curl -i -H \"Authorization: Bearer $REFRESHED\" {url}/sessions/current

  # the person authenticates again; the provider keeps its sid, and auth_time is new
  AGAIN=$({token})
  curl -X POST -H \"Authorization: Bearer $AGAIN\" {url}/sessions/create
  # the person signs out at the provider, which tells the service
  curl --data-urlencode \"logout_token=$({token} --logout)\" {url}/sessions/backchannel-logout
  curl -i -H \"Authorization: Bearer $AGAIN\" {url}/sessions/current

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
