//! The functions that are measured, and what one run of a process shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::Command;

use crate::Result;
use crate::report::OWN_LIST;
use crate::share::Share;
use crate::support::Table;
use crate::support::lambda::{Answer, Runtime};
use crate::support::tls::Trust;

/// A function to be measured.
#[derive(Clone)]
pub struct Contender {
    pub name: &'static str,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The working directory.
    pub folder: PathBuf,
    /// What is deployed, without the language's own runtime.
    pub deployed: Vec<PathBuf>,
    /// Settings besides those that all get.
    pub environment: Vec<(&'static str, &'static str)>,
    /// The request.
    pub request: Request,
    /// What its answer must be.
    pub answer: Expected,
}

/// The requests that are measured. The lists show the three live sessions of user 74.
#[derive(Clone, Copy)]
pub enum Request {
    /// An admin lists them. The token names the admin's session.
    AdminList,
    /// An admin lists them, with a token that names no session.
    AdminListWithoutSid,
    /// The user lists them. The token names the user's session.
    OwnList,
    /// The user lists them, with a token that names no session.
    OwnListWithoutSid,
    /// The user's client checks the current session, which the token names.
    Check,
}

/// What an answer must be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The same as that of the service.
    Same,
    /// The same sessions, perhaps with other fields.
    SameSessions,
    /// Anything: the function does less.
    Anything,
}

/// What all contenders are given.
pub struct World {
    pub database: Table,
    pub trust: Trust,
    pub secret: &'static str,
    pub events: Events,
    /// The live session of the admin.
    pub admin_session: String,
}

/// One event for each [`Request`].
pub struct Events {
    pub admin_list: Value,
    pub admin_list_without_sid: Value,
    pub own_list: Value,
    pub own_list_without_sid: Value,
    pub check: Value,
}

impl Events {
    fn get(&self, request: Request) -> &Value {
        match request {
            Request::AdminList => &self.admin_list,
            Request::AdminListWithoutSid => &self.admin_list_without_sid,
            Request::OwnList => &self.own_list,
            Request::OwnListWithoutSid => &self.own_list_without_sid,
            Request::Check => &self.check,
        }
    }
}

/// What one process did, from its start to its end.
pub struct Run {
    pub start: Start,
    /// Each warm call.
    pub warm: Vec<Duration>,
    /// CPU time of a warm call.
    pub cpu: Duration,
    /// The most memory that was resident, in bytes.
    pub memory: u64,
}

/// A cold start.
#[derive(Clone)]
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
}

/// When a process is held to its CPU share.
#[derive(Clone, Copy)]
pub enum Throttle<'s> {
    /// Never.
    Never,
    /// From the first call on. Lambda starts a function with more CPU than it runs with.
    AfterInit(&'s Share),
    /// From the start on, which is the worst case.
    Always(&'s Share),
}

/// The longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The calls after the first that count as neither cold nor warm.
const WARM_UP: usize = 20;

/// A process that has answered its first call.
pub struct Process<'c> {
    pub start: Start,
    runtime: Runtime,
    contender: &'c Contender,
    event: &'c Value,
}

impl Contender {
    /// Starts it, makes the first call and `calls` warm ones, and ends it.
    pub async fn run(&self, world: &World, calls: usize) -> Result<Run> {
        let mut process = self.start(world, Throttle::Never).await?;
        for _ in 0..WARM_UP {
            process.call().await?;
        }
        let before = cpu_time(process.id()?)?;
        let mut warm = Vec::with_capacity(calls);
        for _ in 0..calls {
            warm.push(process.call().await?);
        }
        let cpu = (cpu_time(process.id()?)? - before) / u32::try_from(calls)?;
        Ok(Run { warm, cpu, memory: process.peak_memory()?, start: process.end().await })
    }

    /// Starts it and makes the first call.
    pub async fn start<'c>(&'c self, world: &'c World, throttle: Throttle<'_>) -> Result<Process<'c>> {
        let mut runtime = Runtime::run(self.command(world, throttle)).await;
        let ready = tokio::time::timeout(ANSWER_TIMEOUT, runtime.ready()).await;
        let ready = ready.map_err(|_| format!("{} does not start", self.name))?;
        ready.map_err(|error| format!("{}: {error:?}", self.name))?;
        let init = runtime.started.elapsed();
        if let Throttle::AfterInit(share) = throttle {
            share.add(runtime.id().ok_or("it has ended")?)?;
        }
        let event = world.events.get(self.request);
        let answer = self.call(&mut runtime, event).await?;
        let cpu = cpu_time(runtime.id().ok_or("it has ended")?)?;
        let start = Start { init, first: answer.answered - answer.delivered, cpu, answer: answer.body };
        Ok(Process { start, runtime, contender: self, event })
    }

    async fn call(&self, runtime: &mut Runtime, event: &Value) -> Result<Answer> {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, runtime.invoke(event)).await;
        let answer = answer.map_err(|_| format!("{} does not answer", self.name))?;
        answer.map_err(|outcome| format!("{}: {outcome:?}", self.name).into())
    }

    fn command(&self, world: &World, throttle: Throttle<'_>) -> Command {
        let mut command = self.program(throttle);
        let Table { table, region, endpoint, access_key_id, secret_access_key, .. } = &world.database;
        command.current_dir(&self.folder).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("AWS_REGION", region).env("AWS_DEFAULT_REGION", region);
        command.env("AWS_ENDPOINT_URL_DYNAMODB", endpoint);
        command.env("AWS_ACCESS_KEY_ID", access_key_id).env("AWS_SECRET_ACCESS_KEY", secret_access_key);
        command.env("SSL_CERT_FILE", &world.trust.all_roots).env("AWS_CA_BUNDLE", &world.trust.all_roots);
        command.env("NODE_EXTRA_CA_CERTS", &world.trust.test_root);
        command.env("TABLE_NAME", table).env("JWT_SECRET", world.secret);
        command.envs(self.environment.iter().copied());
        command
    }

    /// The program and its arguments, in a shell that joins the group first where it must.
    fn program(&self, throttle: Throttle<'_>) -> Command {
        let Throttle::Always(share) = throttle else {
            let mut command = Command::new(&self.command[0]);
            command.args(&self.command[1..]);
            return command;
        };
        let mut command = Command::new("sh");
        command.args(["-c", r#"echo $$ >"$0" && exec "$@""#]).arg(share.members()).args(&self.command);
        command
    }

    /// Whether it is measured with CPU shares: what a user would deploy, with the admin's list, the user's own, and the
    /// check.
    pub fn gets_shares(&self) -> bool {
        match self.request {
            Request::AdminList => self.answer == Expected::Same,
            Request::OwnList => self.name == OWN_LIST,
            Request::Check => true,
            _ => false,
        }
    }

    /// The files that are deployed, in bytes.
    pub fn size(&self) -> Result<u64> {
        self.deployed.iter().map(|path| size(path)).sum()
    }
}

impl Process<'_> {
    /// The time of one call.
    pub async fn call(&mut self) -> Result<Duration> {
        let answer = self.contender.call(&mut self.runtime, self.event).await?;
        Ok(answer.answered - answer.delivered)
    }

    /// The time of one call with another event, its CPU time, and the answer.
    pub async fn call_with(&mut self, event: &Value) -> Result<(Duration, Duration, Value)> {
        let before = cpu_time(self.id()?)?;
        let answer = self.contender.call(&mut self.runtime, event).await?;
        let cpu = cpu_time(self.id()?)? - before;
        Ok((answer.answered - answer.delivered, cpu, answer.body))
    }

    /// One call each `interval`, so many in all.
    pub async fn paced(&mut self, calls: usize, interval: Duration) -> Result<Vec<Duration>> {
        let mut ticks = tokio::time::interval(interval);
        let mut times = Vec::with_capacity(calls);
        for _ in 0..calls {
            ticks.tick().await;
            times.push(self.call().await?);
        }
        Ok(times)
    }

    /// One call after the other for so long.
    pub async fn back_to_back(&mut self, duration: Duration) -> Result<Vec<Duration>> {
        let start = Instant::now();
        let mut times = Vec::new();
        while start.elapsed() < duration {
            times.push(self.call().await?);
        }
        Ok(times)
    }

    /// The most memory that was resident so far, in bytes.
    pub fn peak_memory(&self) -> Result<u64> {
        peak_memory(self.id()?)
    }

    /// Ends the process, and waits until it is gone.
    pub async fn end(self) -> Start {
        self.runtime.kill().await;
        self.start
    }

    fn id(&self) -> Result<u32> {
        Ok(self.runtime.id().ok_or("it has ended")?)
    }
}

fn size(path: &Path) -> Result<u64> {
    if !path.is_dir() {
        return Ok(fs::metadata(path)?.len());
    }
    fs::read_dir(path)?.map(|entry| size(&entry?.path())).sum()
}

/// CPU time of all threads so far: the first number of `schedstat`, in nanoseconds.
fn cpu_time(process: u32) -> Result<Duration> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        sum += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(Duration::from_nanos(sum))
}

fn peak_memory(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = kilobytes.and_then(|text| text.trim().strip_suffix(" kB"));
    Ok(1024 * number.ok_or("no VmHWM in /proc")?.trim().parse::<u64>()?)
}
