//! What was measured, as tables for people and as JSON for machines, with the targets beside the figures.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::contender::{Contender, Run};
use crate::{CALLS, Result};

/// All runs of one contender.
pub struct Measured {
    name: &'static str,
    size: u64,
    runs: Vec<Run>,
}

impl Measured {
    pub fn new(contender: &Contender) -> Result<Self> {
        Ok(Self { name: contender.name, size: contender.size()?, runs: Vec::new() })
    }

    pub fn add(&mut self, run: Run) {
        self.runs.push(run);
    }

    /// The body of the first answer, for the gateway's client.
    pub fn body(&self) -> Result<Value> {
        let answer = &self.runs.first().ok_or("no run")?.start.answer;
        if answer["statusCode"] != 200 {
            return Err(format!("{} answers {answer}", self.name).into());
        }
        Ok(serde_json::from_str(answer["body"].as_str().unwrap_or_default())?)
    }

    fn row(&self) -> Row {
        let each = |figure: fn(&Run) -> Duration| Spread(self.runs.iter().map(figure).collect());
        let warm: Vec<Duration> = self.runs.iter().flat_map(|run| run.warm.iter().copied()).collect();
        Row {
            name: self.name,
            init: each(|run| run.start.init),
            cold: each(|run| run.start.cold()),
            first: each(|run| run.start.first),
            start_cpu: each(|run| run.start.cpu),
            warm: each(|run| quantile(run.warm.clone(), 0.5)),
            p99: quantile(warm, 0.99),
            cpu: each(|run| run.cpu),
            memory: self.runs.iter().map(|run| run.memory).max().unwrap_or_default(),
            size: self.size,
        }
    }
}

/// A figure in each round.
struct Spread(Vec<Duration>);

impl Spread {
    fn at(&self, q: f64) -> Duration {
        quantile(self.0.clone(), q)
    }

    fn median(&self) -> Duration {
        self.at(0.5)
    }

    /// How many times as large as `other` it is. The two are compared in each round, because the machine's speed changes
    /// from one round to the next, and the median of the rounds counts.
    fn times(&self, other: &Self) -> f64 {
        let mut rounds: Vec<_> =
            self.0.iter().zip(&other.0).map(|(own, other)| ratio(*own, *other)).collect();
        rounds.sort_unstable_by(f64::total_cmp);
        rounds.get(rounds.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The median, and the middle half of the rounds.
    fn text(&self) -> String {
        format!("{} ({}-{})", ms(self.median()), ms(self.at(0.25)), ms(self.at(0.75)))
    }

    fn json(&self) -> Value {
        json!({"p25": millis(self.at(0.25)), "median": millis(self.median()), "p75": millis(self.at(0.75))})
    }
}

pub fn quantile(mut values: Vec<Duration>, q: f64) -> Duration {
    values.sort_unstable();
    let index = ((values.len().saturating_sub(1)) as f64 * q).round() as usize;
    values.get(index).copied().unwrap_or_default()
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Milliseconds, to three figures.
pub fn ms(time: Duration) -> String {
    let millis = millis(time);
    match millis {
        0.0..10.0 => format!("{millis:.2}"),
        10.0..100.0 => format!("{millis:.1}"),
        _ => format!("{millis:.0}"),
    }
}

pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

struct Row {
    name: &'static str,
    init: Spread,
    cold: Spread,
    first: Spread,
    start_cpu: Spread,
    warm: Spread,
    p99: Duration,
    cpu: Spread,
    memory: u64,
    size: u64,
}

impl Row {
    fn text(&self) -> String {
        let Self { name, init, cold, first, start_cpu, warm, p99, cpu, memory, size } = self;
        let times = [init, cold, first, start_cpu, warm].map(|spread| spread.text()).join(" | ");
        let (cpu, p99, memory, size) = (cpu.text(), ms(*p99), mib(*memory), mib(*size));
        format!("| {name} | {times} | {p99} | {cpu} | {memory:.1} MiB | {size:.1} MiB |\n")
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name, "init_ms": self.init.json(), "first_answer_ms": self.cold.json(),
            "first_call_ms": self.first.json(), "first_answer_cpu_ms": self.start_cpu.json(),
            "warm_p50_ms": self.warm.json(), "warm_p99_ms": millis(self.p99), "cpu_ms": self.cpu.json(),
            "peak_memory_bytes": self.memory, "size_bytes": self.size,
        })
    }
}

/// A number that was set beforehand, and what came out.
pub struct Target {
    what: &'static str,
    limit: f64,
    /// Whether the limit is a minimum.
    at_least: bool,
    value: f64,
}

impl Target {
    pub fn at_most(what: &'static str, limit: f64, value: f64) -> Self {
        Self { what, limit, at_least: false, value }
    }

    pub fn at_least(what: &'static str, limit: f64, value: f64) -> Self {
        Self { what, limit, at_least: true, value }
    }

    fn is_reached(&self) -> bool {
        if self.at_least { self.value >= self.limit } else { self.value <= self.limit }
    }

    pub fn text(&self) -> String {
        let bound = if self.at_least { "at least" } else { "at most" };
        let outcome = if self.is_reached() { "reached" } else { "MISSED" };
        format!("{outcome:>8}  {:8.2}  {bound} {}: {}\n", self.value, self.limit, self.what)
    }

    pub fn json(&self) -> Value {
        json!({"what": self.what, "limit": self.limit, "at_least": self.at_least, "value": self.value,
               "reached": self.is_reached()})
    }
}

/// The size of the zip of the service, and of the build beside it.
pub struct Zips {
    pub service: u64,
    pub beside: Option<u64>,
}

/// Cold starts and warm calls: the rows, the service first.
pub struct Report {
    rows: Vec<Row>,
    rounds: usize,
    zips: Zips,
}

impl Report {
    pub fn new(measured: &[Measured], rounds: usize, zips: Zips) -> Self {
        Self { rows: measured.iter().map(Measured::row).collect(), rounds, zips }
    }

    fn row(&self, start: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name.starts_with(start))
    }

    pub fn targets(&self) -> Vec<Target> {
        let mut targets = self.targets_beside_peers();
        targets.extend(self.targets_beside_limit());
        let own = &self.rows[0];
        targets.extend([
            Target::at_most("first call over a warm one", 2.5, ratio(own.first.median(), own.warm.median())),
            Target::at_most("MiB of memory at the peak", 12.0, mib(self.memory())),
            Target::at_most("MiB of deployed zip", 4.0, mib(self.zips.service)),
        ]);
        targets.extend(self.targets_beside_build());
        targets
    }

    /// The most memory of the service, whatever it was asked.
    fn memory(&self) -> u64 {
        let service = self.rows.iter().filter(|row| row.size == self.rows[0].size);
        service.map(|row| row.memory).max().unwrap_or_default()
    }

    fn targets_beside_peers(&self) -> Vec<Target> {
        let own = &self.rows[0];
        let faster = |peer: &Row| ratio(peer.cold.median(), own.cold.median());
        let above = |floor: &Row| millis(own.cold.median()) - millis(floor.cold.median());
        let targets = [
            self.row("Node")
                .map(|peer| Target::at_least("times Node's speed to the first answer", 12.0, faster(peer))),
            self.row("FastAPI").map(|peer| {
                Target::at_least("times FastAPI's speed to the first answer", 45.0, faster(peer))
            }),
            self.row("floor")
                .map(|floor| Target::at_most("ms to the first answer above the floor", 10.0, above(floor))),
        ];
        targets.into_iter().flatten().collect()
    }

    /// A user's own list with `sid` makes the limit's one call.
    fn targets_beside_limit(&self) -> Vec<Target> {
        let rows = (self.row("limit"), self.row(OWN_LIST), self.row(OWN_LIST_WITHOUT_SID));
        let (Some(limit), Some(list), Some(without)) = rows else { return Vec::new() };
        vec![
            Target::at_most("own list's warm p50 over the limit's", 1.6, list.warm.times(&limit.warm)),
            Target::at_most("the same without sid", 1.9, without.warm.times(&limit.warm)),
            Target::at_most("own list's CPU over the limit's", 2.8, list.cpu.times(&limit.cpu)),
        ]
    }

    /// The service beside another build of it.
    fn targets_beside_build(&self) -> Vec<Target> {
        let (Some(other), Some(zip)) = (self.row(BESIDE), self.zips.beside) else { return Vec::new() };
        let own = &self.rows[0];
        let later = millis(own.cold.median()) - millis(other.cold.median());
        vec![
            Target::at_most("ms to the first answer more than beside it", 0.5, later),
            Target::at_most("MiB of memory more than beside it", 1.5, mib(own.memory) - mib(other.memory)),
            Target::at_most("MiB of zip more than beside it", 0.5, mib(self.zips.service) - mib(zip)),
        ]
    }

    pub fn table(&self) -> String {
        let (rounds, calls) = (self.rounds, self.rounds * CALLS);
        let mut text = format!(
            "{rounds} cold starts and {calls} warm calls each, over TLS. Milliseconds: median (middle half).\n\n"
        );
        text += "| | init | spawn to first answer | first call | CPU until then | warm p50 | warm p99 | CPU a call | peak memory | size |\n";
        text += "|---|---|---|---|---|---|---|---|---|---|\n";
        for row in &self.rows {
            text += &row.text();
        }
        let (zip, beside) = (mib(self.zips.service), self.zips.beside.map(mib));
        // Writing to a string never fails.
        let _written = write!(text, "\nThe zip: {zip:.2} MiB");
        let _written = beside.map(|beside| write!(text, ", beside it {beside:.2} MiB"));
        text + "\n"
    }

    pub fn json(&self) -> Value {
        let rows: Vec<_> = self.rows.iter().map(Row::json).collect();
        json!({"contenders": rows, "zip_bytes": self.zips.service, "beside_zip_bytes": self.zips.beside})
    }
}

pub const OWN_LIST: &str = "own list, sid";
pub const OWN_LIST_WITHOUT_SID: &str = "own list, no sid";
pub const BESIDE: &str = "beside it";

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

/// The size of a program in a zip: deflated as much as possible, and some hundred bytes of headers.
pub fn zipped(program: &Path) -> Result<u64> {
    use std::io::Write as _;
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    deflate.write_all(&fs::read(program)?)?;
    Ok(deflate.finish()?.len() as u64)
}
