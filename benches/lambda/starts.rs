//! Cold starts and warm calls of all contenders.

use std::io::Write as _;
use std::time::Duration;
use std::{fs, path::Path};

use flate2::{Compression, write::DeflateEncoder};
use serde_json::Value;

use crate::contender::{Answer, Contender, Environment, Start, Throttle};
use crate::figures::{self, Figure, mib, ms};
use crate::support::engine::Result;

/// Warm calls after each cold start.
const CALLS: u32 = 200;

/// The calls after the first that count as neither cold nor warm.
const WARM_UP: usize = 20;

/// What one process did, from its start to its end.
struct Run {
    start: Start,
    warm: Figure,
    /// CPU time of a warm call.
    cpu: Duration,
    memory: u64,
}

/// Measures so many cold starts of each contender. They take turns, so that what the machine does meanwhile affects all
/// in the same way.
pub async fn table(contenders: &[Contender], rounds: usize, environment: &Environment) -> Result<String> {
    let mut runs: Vec<Vec<Run>> = contenders.iter().map(|_| Vec::new()).collect();
    let mut order: Vec<_> = (0..contenders.len()).collect();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        // What runs before a contender leaves the machine's caches and memory in some state.
        fastrand::shuffle(&mut order);
        for &at in &order {
            runs[at].push(Run::measure(&contenders[at], environment).await?);
        }
    }
    for (contender, its_runs) in contenders.iter().zip(&runs) {
        check_answer(contender, &its_runs[0].start.body()?, &runs[0][0].start.body()?)?;
    }
    let head = ["", "init", "spawn to first answer", "first call", "CPU until then", "warm p50", "warm p99"];
    let head = head.iter().chain(&["CPU a call", "peak memory", "zip"]);
    let rows = contenders.iter().zip(&runs).map(|(contender, runs)| row(contender, runs));
    let rows = rows.collect::<Result<Vec<_>>>()?;
    Ok(format!(
        "{rounds} cold starts and {} warm calls each, over TLS. Milliseconds: median (middle half).\n\n{}",
        rounds * CALLS as usize,
        figures::table(head, &rows)
    ))
}

impl Run {
    async fn measure(contender: &Contender, environment: &Environment) -> Result<Self> {
        let mut process = contender.start(environment, Throttle::Never).await?;
        for _ in 0..WARM_UP {
            process.call().await?;
        }
        let (before, mut warm) = (process.cpu()?, Figure::default());
        for _ in 0..CALLS {
            warm.0.push(process.call().await?);
        }
        let cpu = (process.cpu()? - before) / CALLS;
        Ok(Self { warm, cpu, memory: process.peak_memory()?, start: process.end().await })
    }
}

fn row(contender: &Contender, runs: &[Run]) -> Result<Vec<String>> {
    let each = |figure: fn(&Run) -> Duration| runs.iter().map(figure).collect::<Figure>().text();
    let warm: Figure = runs.iter().flat_map(|run| run.warm.0.iter().copied()).collect();
    Ok(vec![
        contender.name.into(),
        each(|run| run.start.init),
        each(|run| run.start.cold()),
        each(|run| run.start.first),
        each(|run| run.start.cpu),
        each(|run| run.warm.median()),
        ms(warm.at(0.99)),
        each(|run| run.cpu),
        mib(runs.iter().map(|run| run.memory).max().unwrap_or_default()),
        mib(contender.deployed.iter().map(|path| zipped(Path::new(path))).sum::<Result<_>>()?),
    ])
}

/// A contender with a wrong answer does something else, and its figures mean nothing.
fn check_answer(contender: &Contender, own: &Value, first: &Value) -> Result<()> {
    let is_right = match contender.answer {
        Answer::Same => ids(own).len() == 3 && own == first,
        Answer::SameSessions => ids(own) == ids(first),
        Answer::Other => true,
    };
    if is_right { Ok(()) } else { Err(format!("{} answers {own} instead of {first}", contender.name).into()) }
}

fn ids(sessions: &Value) -> Vec<&Value> {
    sessions.as_array().into_iter().flatten().map(|session| &session["id"]).collect()
}

/// The size in a zip: deflated as much as possible, without the headers, which are some hundred bytes.
fn zipped(path: &Path) -> Result<u64> {
    if path.is_dir() {
        return fs::read_dir(path)?.map(|entry| zipped(&entry?.path())).sum();
    }
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::best());
    deflate.write_all(&fs::read(path)?)?;
    Ok(deflate.finish()?.len() as u64)
}
