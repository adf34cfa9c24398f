//! The command line.

use std::ffi::OsStr;
use std::num::NonZeroU16;

use lexopt::prelude::*;

use super::TOKEN_LIFETIME;
use super::engine::Result;

pub const HELP: &str = "\
cargo run --example local [-- OPTIONS]            starts the service and its panel on this machine
  --port PORT       of the function (9000)
  --panel-port PORT of the panel (9001)
  --db-port PORT    of the embedded DynamoDB (8000)
  --data FILE       keeps the data over restarts; otherwise it is in memory
  --release         builds the function as it is deployed; takes minutes
  --concurrency N   instances of the function, each for one request at a time (1)
  --provider        takes tokens of an identity provider, whose key set is on the panel's port

cargo run --example local -- token --user ID      prints a token, good for 12 hours
  --role ROLE       the token's role, such as admin
  --sid ID          the session that the token belongs to
  --expires-in SECS another lifetime; below zero, a token that has expired
  --provider        a token of the identity provider; --sid is then the provider's own session, and a token without
                    one is a machine's
  --auth-age SECS   how long ago the person authenticated at the provider (0)
  --logout          what the provider posts when the user signs out there, in place of an access token
";

/// What to do.
pub enum Command {
    Help,
    Stack(Stack),
    Token(Token),
}

/// Which token to print.
#[derive(Default)]
pub struct Token {
    pub user: String,
    pub role: Option<String>,
    pub sid: Option<String>,
    pub expires_in: i64,
    pub provider: bool,
    pub auth_age: i64,
    pub logout: bool,
}

/// How to start.
pub struct Stack {
    pub port: u16,
    pub panel_port: u16,
    pub db_port: u16,
    pub data: Option<String>,
    pub release: bool,
    pub concurrency: NonZeroU16,
    pub provider: bool,
}

impl Default for Stack {
    fn default() -> Self {
        Self {
            port: 9000,
            panel_port: 9001,
            db_port: 8000,
            data: None,
            release: false,
            concurrency: NonZeroU16::MIN,
            provider: false,
        }
    }
}

impl Command {
    pub fn from_args() -> Result<Self> {
        let mut parser = lexopt::Parser::from_env();
        let mut token = false;
        let mut stack = Stack::default();
        let mut wanted = Token { expires_in: TOKEN_LIFETIME, ..Token::default() };
        while let Some(arg) = parser.next()? {
            match arg {
                Short('h') | Long("help") => return Ok(Self::Help),
                Value(word) if word == "token" && !token => token = true,
                Long("user") if token => wanted.user = parser.value()?.string()?,
                Long("role") if token => wanted.role = Some(parser.value()?.string()?),
                Long("sid") if token => wanted.sid = Some(parser.value()?.string()?),
                Long("expires-in") if token => wanted.expires_in = parser.value()?.parse()?,
                Long("provider") if token => wanted.provider = true,
                Long("auth-age") if token => wanted.auth_age = parser.value()?.parse()?,
                Long("logout") if token => wanted.logout = true,
                Long("port") if !token => stack.port = port("--port", &parser.value()?)?,
                Long("panel-port") if !token => {
                    stack.panel_port = port("--panel-port", &parser.value()?)?;
                }
                Long("db-port") if !token => stack.db_port = port("--db-port", &parser.value()?)?,
                Long("data") if !token => stack.data = Some(parser.value()?.string()?),
                Long("release") if !token => stack.release = true,
                Long("concurrency") if !token => stack.concurrency = parser.value()?.parse()?,
                Long("provider") if !token => stack.provider = true,
                other => return Err(format!("{}; --help lists the options", other.unexpected()).into()),
            }
        }
        match token {
            false => Ok(Self::Stack(stack)),
            true if wanted.user.is_empty() => Err("token needs --user ID".into()),
            true => Ok(Self::Token(wanted)),
        }
    }
}

fn port(flag: &str, value: &OsStr) -> Result<u16> {
    let number = value.to_str().and_then(|text| text.parse().ok()).filter(|port| *port > 0);
    number.ok_or_else(|| format!("{flag} takes a port from 1 to 65535, not {value:?}").into())
}
