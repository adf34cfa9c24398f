//! The functions that are measured: how their processes are started, called and ended.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::cgroup::Share;
use crate::figures::Figure;
use crate::support::engine::{Result, Table};
use crate::support::lambda::Runtime;
use crate::support::tls::Trust;
use crate::support::token;

/// The longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A function to be measured, and the event that it is called with.
pub struct Contender {
    pub name: &'static str,
    /// The program and its arguments, with spaces between them.
    command: String,
    event: Value,
    pub answer: Answer,
    /// What is deployed, without the language's own runtime.
    pub deployed: Vec<String>,
    /// Whether it is also measured with the CPU share of each memory.
    pub has_shares: bool,
    /// Settings besides those that all get.
    settings: Vec<(&'static str, String)>,
}

/// What it must answer.
pub enum Answer {
    /// The same as the first contender.
    Same,
    /// The same sessions, perhaps with other fields.
    SameSessions,
    /// Anything else with status 200.
    Other,
}

impl Contender {
    /// The last word of the command is what is deployed.
    pub fn new(name: &'static str, command: &str, event: &Value) -> Self {
        let deployed = command.rsplit(' ').take(1).map(str::to_owned).collect();
        let (command, event, settings) = (command.to_owned(), event.clone(), Vec::new());
        Self { name, command, event, answer: Answer::Same, deployed, has_shares: false, settings }
    }

    pub fn answers(self, answer: Answer) -> Self {
        Self { answer, ..self }
    }

    pub fn with_shares(self) -> Self {
        Self { has_shares: true, ..self }
    }

    /// With one more setting.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    pub fn deployed_as(self, deployed: &[String]) -> Self {
        Self { deployed: deployed.to_vec(), ..self }
    }

    /// Whether everything that is deployed has been built.
    pub fn is_here(&self) -> bool {
        self.deployed.iter().all(|path| Path::new(path).exists())
    }

    /// Starts it and makes the first call.
    pub async fn start(&self, environment: &Environment, throttle: Throttle<'_>) -> Result<Process<'_>> {
        let mut runtime = Runtime::run(self.command(environment, throttle)).await;
        let ready = timeout(ANSWER_TIMEOUT, runtime.ready()).await;
        ready.map_err(|_| format!("{} does not start", self.name))?.map_err(|error| self.failure(&error))?;
        let init = runtime.started.elapsed();
        let id = runtime.id().ok_or("it has ended")?;
        if let Throttle::AfterInit(share) = throttle {
            share.add(id)?;
        }
        let mut process = Process { contender: self, runtime, id, start: Start::default() };
        let (first, answer) = process.call_with(&self.event).await?;
        process.start = Start { init, first, cpu: process.cpu()?, answer };
        Ok(process)
    }

    fn failure(&self, error: &impl std::fmt::Debug) -> String {
        format!("{}: {error:?}", self.name)
    }

    fn command(&self, environment: &Environment, throttle: Throttle<'_>) -> Command {
        let mut words = self.command.split(' ');
        let mut command = match throttle {
            // A shell joins the group before it becomes the program.
            Throttle::Always(share) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", r#"echo $$ >"$0" && exec "$@""#]).arg(share.members());
                shell
            }
            Throttle::Never | Throttle::AfterInit(_) => Command::new(words.next().unwrap_or_default()),
        };
        command.args(words).env_clear().envs(environment.0.iter().chain(&self.settings).cloned());
        command
    }
}

/// The environment that all contenders get.
pub struct Environment(Vec<(&'static str, String)>);

impl Environment {
    /// For a table whose engine is behind TLS at this port.
    pub fn new(table: &Table, port: u16, trust: &Trust) -> Self {
        let (all_roots, test_root) = (trust.all_roots.to_string_lossy(), trust.test_root.to_string_lossy());
        Self(vec![
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("AWS_REGION", table.region.clone()),
            ("AWS_DEFAULT_REGION", table.region.clone()),
            ("AWS_ENDPOINT_URL_DYNAMODB", format!("https://localhost:{port}")),
            ("AWS_ACCESS_KEY_ID", table.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", table.secret_access_key.clone()),
            ("SSL_CERT_FILE", all_roots.to_string()),
            ("AWS_CA_BUNDLE", all_roots.into()),
            ("NODE_EXTRA_CA_CERTS", test_root.into()),
            ("TABLE_NAME", table.table.clone()),
            ("JWT_SECRET", token::SECRET.into()),
            ("SERVICE_ROLE", "service".into()),
        ])
    }
}

/// When a process is held to a CPU share.
#[derive(Clone, Copy)]
pub enum Throttle<'s> {
    Never,
    /// From the first call on. Lambda starts a function with more CPU than it runs with.
    AfterInit(&'s Share),
    /// From the start on, which is the worst case.
    Always(&'s Share),
}

/// A cold start.
#[derive(Default)]
pub struct Start {
    /// From the start of the process until it asks for an event.
    pub init: Duration,
    /// The first call.
    pub first: Duration,
    /// CPU time from the start of the process until its first answer.
    pub cpu: Duration,
    /// The first answer.
    pub answer: Value,
}

impl Start {
    /// From the start of the process until its first answer. In between the process waits for the event.
    pub fn cold(&self) -> Duration {
        self.init + self.first
    }

    /// The body of the first answer.
    pub fn body(&self) -> Result<Value> {
        match self.answer["statusCode"].as_u64() {
            Some(200) => Ok(serde_json::from_str(self.answer["body"].as_str().unwrap_or_default())?),
            _ => Err(format!("instead of 200: {}", self.answer).into()),
        }
    }
}

/// A process that has answered its first call. It is killed when this is dropped.
pub struct Process<'c> {
    contender: &'c Contender,
    runtime: Runtime,
    id: u32,
    pub start: Start,
}

impl Process<'_> {
    /// The time of one more call with the contender's event.
    pub async fn call(&mut self) -> Result<Duration> {
        Ok(self.call_with(&self.contender.event).await?.0)
    }

    /// The time of one call with another event, and the answer.
    pub async fn call_with(&mut self, event: &Value) -> Result<(Duration, Value)> {
        let answer = timeout(ANSWER_TIMEOUT, self.runtime.invoke(event)).await;
        let answer = answer.map_err(|_| format!("{} does not answer", self.contender.name))?;
        let answer = answer.map_err(|error| self.contender.failure(&error))?;
        Ok((answer.answered - answer.delivered, answer.body))
    }

    /// So many calls, one each `interval`.
    pub async fn paced(&mut self, calls: usize, interval: Duration) -> Result<Figure> {
        let (mut ticks, mut times) = (tokio::time::interval(interval), Figure::default());
        for _ in 0..calls {
            ticks.tick().await;
            times.0.push(self.call().await?);
        }
        Ok(times)
    }

    /// One call after the other for so long.
    pub async fn back_to_back(&mut self, duration: Duration) -> Result<Figure> {
        let (start, mut times) = (Instant::now(), Figure::default());
        while start.elapsed() < duration {
            times.0.push(self.call().await?);
        }
        Ok(times)
    }

    /// CPU time of all threads so far: the first number of `schedstat`, in nanoseconds.
    pub fn cpu(&self) -> Result<Duration> {
        let mut sum = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.id))? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            sum += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// The most memory that was resident so far, in bytes.
    pub fn peak_memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        Ok(1024 * peak.ok_or("no VmHWM in /proc")?.parse::<u64>()?)
    }

    /// Ends the process, and waits until it is gone.
    pub async fn end(self) -> Start {
        self.runtime.kill().await;
        self.start
    }
}
