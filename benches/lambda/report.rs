//! What was measured, as a table for people and as JSON for machines, with the targets held against it.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::contender::{Contender, Life};
use crate::{CALLS, Result, bootstrap};

/// All lives of one contender.
pub struct Measured {
    name: &'static str,
    size: u64,
    lives: Vec<Life>,
}

impl Measured {
    pub fn new(contender: &Contender) -> Result<Self> {
        Ok(Self { name: contender.name, size: contender.size()?, lives: Vec::new() })
    }

    pub fn add(&mut self, life: Life) {
        self.lives.push(life);
    }

    /// The body of the first answer, for the gateway's client.
    pub fn body(&self) -> Result<Value> {
        let answer = &self.lives.first().ok_or("no life")?.answer;
        if answer["statusCode"] != 200 {
            return Err(format!("{} answers {answer}", self.name).into());
        }
        Ok(serde_json::from_str(answer["body"].as_str().unwrap_or_default())?)
    }

    fn row(&self) -> Row {
        let each = |figure: fn(&Life) -> Duration| Spread::of(self.lives.iter().map(figure).collect());
        let warm: Vec<Duration> = self.lives.iter().flat_map(|life| life.warm.iter().copied()).collect();
        Row {
            name: self.name,
            init: each(|life| life.init),
            cold: each(|life| life.cold),
            first: each(|life| life.first),
            warm: Spread::of(self.lives.iter().map(|life| quantile(life.warm.clone(), 0.5)).collect()),
            p99: quantile(warm, 0.99),
            cpu: each(|life| life.cpu),
            memory: self.lives.iter().map(|life| life.memory).max().unwrap_or_default(),
            size: self.size,
        }
    }
}

/// A median over the lives, and the middle half of them.
#[derive(Clone, Copy)]
struct Spread {
    low: Duration,
    median: Duration,
    high: Duration,
}

impl Spread {
    fn of(values: Vec<Duration>) -> Self {
        let at = |q| quantile(values.clone(), q);
        Self { low: at(0.25), median: at(0.5), high: at(0.75) }
    }

    fn text(self) -> String {
        format!("{} ({}-{})", ms(self.median), ms(self.low), ms(self.high))
    }

    fn json(self) -> Value {
        json!({"p25": millis(self.low), "median": millis(self.median), "p75": millis(self.high)})
    }
}

fn quantile(mut values: Vec<Duration>, q: f64) -> Duration {
    values.sort_unstable();
    let index = ((values.len().saturating_sub(1)) as f64 * q).round() as usize;
    values.get(index).copied().unwrap_or_default()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Milliseconds, to three figures.
fn ms(time: Duration) -> String {
    let millis = millis(time);
    match millis {
        0.0..10.0 => format!("{millis:.2}"),
        10.0..100.0 => format!("{millis:.1}"),
        _ => format!("{millis:.0}"),
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

struct Row {
    name: &'static str,
    init: Spread,
    cold: Spread,
    first: Spread,
    warm: Spread,
    p99: Duration,
    cpu: Spread,
    memory: u64,
    size: u64,
}

/// A number that was set beforehand, and what came out.
struct Target {
    what: &'static str,
    limit: f64,
    /// At least rather than at most.
    at_least: bool,
    value: f64,
}

impl Target {
    fn is_reached(&self) -> bool {
        if self.at_least { self.value >= self.limit } else { self.value <= self.limit }
    }

    fn text(&self) -> String {
        let bound = if self.at_least { "at least" } else { "at most" };
        let outcome = if self.is_reached() { "reached" } else { "MISSED" };
        format!("{outcome:>8}  {:8.2}  {bound} {}: {}", self.value, self.limit, self.what)
    }

    fn json(&self) -> Value {
        json!({"what": self.what, "limit": self.limit, "at_least": self.at_least, "value": self.value,
               "reached": self.is_reached()})
    }
}

/// The rows, the service first, and the targets.
pub struct Report {
    rows: Vec<Row>,
    rounds: usize,
    zip: u64,
}

impl Report {
    pub fn new(measured: Vec<Measured>, rounds: usize) -> Result<Self> {
        Ok(Self { rows: measured.iter().map(Measured::row).collect(), rounds, zip: zipped()? })
    }

    fn targets(&self) -> Vec<Target> {
        let row = |start: &str| self.rows.iter().find(|row| row.name.starts_with(start));
        let own = &self.rows[0];
        let ratio = |one: Duration, other: Duration| one.as_secs_f64() / other.as_secs_f64();
        let at_most = |what, limit, value| Target { what, limit, at_least: false, value };
        let faster = |what, limit, peer: &Row| Target {
            what,
            limit,
            at_least: true,
            value: ratio(peer.cold.median, own.cold.median),
        };
        let peers = [
            row("Node").map(|row| faster("times faster to the first answer than Node", 12.0, row)),
            row("FastAPI").map(|row| faster("times faster to the first answer than FastAPI", 45.0, row)),
            row("floor").map(|floor| {
                let above = millis(own.cold.median) - millis(floor.cold.median);
                at_most("ms to the first answer above the floor", 10.0, above)
            }),
            row("limit").map(|limit| {
                at_most("warm p50 over the limit's", 2.5, ratio(own.warm.median, limit.warm.median))
            }),
        ];
        let own = [
            at_most("first call over a warm one", 2.5, ratio(own.first.median, own.warm.median)),
            at_most("MiB of memory at the peak", 16.0, mib(own.memory)),
            at_most("MiB of deployed zip", 4.0, mib(self.zip)),
        ];
        peers.into_iter().flatten().chain(own).collect()
    }

    pub fn table(&self) -> String {
        let mut text = format!(
            "{} cold starts and {} warm calls each, over TLS. Milliseconds: median (middle half).\n\n",
            self.rounds,
            self.rounds * CALLS
        );
        text += "| | init | spawn to first answer | first call | warm p50 | warm p99 | CPU a call | peak memory | size |\n";
        text += "|---|---|---|---|---|---|---|---|---|\n";
        for row in &self.rows {
            let Row { name, init, cold, first, warm, p99, cpu, memory, size } = row;
            let times = [init, cold, first, warm].map(|spread| spread.text()).join(" | ");
            let (cpu, p99) = (cpu.text(), ms(*p99));
            let (memory, size) = (mib(*memory), mib(*size));
            // Writing to a text never fails.
            let _written =
                writeln!(text, "| {name} | {times} | {p99} | {cpu} | {memory:.1} MiB | {size:.1} MiB |");
        }
        text.push('\n');
        for target in self.targets() {
            text += &target.text();
            text.push('\n');
        }
        text
    }

    pub fn json(&self) -> String {
        let row = |row: &Row| {
            json!({
                "name": row.name, "init_ms": row.init.json(), "first_answer_ms": row.cold.json(),
                "first_call_ms": row.first.json(), "warm_p50_ms": row.warm.json(), "warm_p99_ms": millis(row.p99),
                "cpu_ms": row.cpu.json(), "peak_memory_bytes": row.memory, "size_bytes": row.size,
            })
        };
        let rows: Vec<_> = self.rows.iter().map(row).collect();
        let targets: Vec<_> = self.targets().iter().map(Target::json).collect();
        json!({"contenders": rows, "zip_bytes": self.zip, "targets": targets}).to_string()
    }
}

/// The program as a zip holds it: deflated as hard as it goes, and some hundred bytes of headers.
fn zipped() -> Result<u64> {
    use std::io::Write as _;
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    deflate.write_all(&fs::read(bootstrap())?)?;
    Ok(deflate.finish()?.len() as u64)
}
