//! Who runs, and what one run of a process tells.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::Result;
use crate::support::Table;
use crate::support::lambda::{Answer, Runtime};
use crate::tls::Trust;

/// A function to be measured.
pub struct Contender {
    pub name: &'static str,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Where it is started.
    pub folder: PathBuf,
    /// What is deployed, the language's own runtime left out.
    pub deployed: Vec<PathBuf>,
    /// What it is told besides what all are told.
    pub environment: Vec<(&'static str, &'static str)>,
    /// Whether it answers what the service answers; a floor does less.
    pub answers: bool,
}

/// What all contenders are told.
pub struct World {
    pub database: Table,
    pub trust: Trust,
    pub secret: &'static str,
    pub event: Value,
}

/// One life of a process.
pub struct Life {
    /// From the start of the process until it asks for an event.
    pub init: Duration,
    /// From the start of the process until its first answer.
    pub cold: Duration,
    /// The first call alone.
    pub first: Duration,
    /// Each further call, the first few left out.
    pub warm: Vec<Duration>,
    /// Time on a processor, a warm call.
    pub cpu: Duration,
    /// The most memory that was resident, in bytes.
    pub memory: u64,
    /// The first answer.
    pub answer: Value,
}

/// The longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The calls after the first that count as neither cold nor warm.
const WARM_UP: usize = 20;

impl Contender {
    /// Starts it, makes the first call and `calls` warm ones, and ends it.
    pub async fn live(&self, world: &World, calls: usize) -> Result<Life> {
        let mut runtime = Runtime::run(self.command(world)).await;
        let first = self.call(&mut runtime, world).await?;
        for _ in 0..WARM_UP {
            self.call(&mut runtime, world).await?;
        }
        let id = runtime.id().ok_or("it has ended")?;
        let before = cpu_time(id)?;
        let mut warm = Vec::with_capacity(calls);
        for _ in 0..calls {
            let call = self.call(&mut runtime, world).await?;
            warm.push(call.answered - call.delivered);
        }
        Ok(Life {
            init: first.delivered - runtime.started,
            cold: first.answered - runtime.started,
            first: first.answered - first.delivered,
            warm,
            cpu: (cpu_time(id)? - before) / u32::try_from(calls)?,
            memory: peak_memory(id)?,
            answer: first.body,
        })
    }

    async fn call(&self, runtime: &mut Runtime, world: &World) -> Result<Answer> {
        let answer = tokio::time::timeout(PATIENCE, runtime.invoke(&world.event)).await;
        let answer = answer.map_err(|_| format!("{} does not answer", self.name))?;
        answer.map_err(|outcome| format!("{}: {outcome:?}", self.name).into())
    }

    fn command(&self, world: &World) -> Command {
        let Table { table, region, endpoint, access_key_id, secret_access_key, .. } = &world.database;
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).current_dir(&self.folder).env_clear();
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

    /// The files that are deployed, in bytes.
    pub fn size(&self) -> Result<u64> {
        self.deployed.iter().map(|path| size(path)).sum()
    }
}

fn size(path: &Path) -> Result<u64> {
    if !path.is_dir() {
        return Ok(fs::metadata(path)?.len());
    }
    fs::read_dir(path)?.map(|entry| size(&entry?.path())).sum()
}

/// Time on a processor of all threads so far: the first number of `schedstat`, in nanoseconds.
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
