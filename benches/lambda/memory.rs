//! What each contender does with the CPU share of some memory, and what Lambda bills for it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Result;
use crate::contender::{Contender, Start, Throttle, World};
use crate::report::{OWN_LIST, Target, millis, ms, quantile};
use crate::share::{ONE_CORE, Share};

/// Dollars for a GB-second on arm64, which the template deploys to, in most regions. x86_64 costs 0.0000166667.
/// <https://aws.amazon.com/lambda/pricing/>
const GB_SECOND: f64 = 0.000_013_333_4;

/// Dollars for a million requests, in the same list.
const MILLION_REQUESTS: f64 = 0.20;

/// Cold starts that are held to the share after their init. Those that are held to it from the beginning are at least so
/// many.
const STARTS: usize = 3;

/// How long the starts that are held to the share from the beginning are repeated. Each waits for a whole number of
/// periods, and this number varies.
const THROTTLED: Duration = Duration::from_secs(4);

/// Calls at [`PACE`] after each cold start.
const PACED: usize = 100;

/// 20 calls a second.
const PACE: Duration = Duration::from_millis(50);

/// How long calls follow one another.
const BACK_TO_BACK: Duration = Duration::from_secs(3);

/// The service needs no more memory than that at which its paced p99 is at most so many times that of one core.
const ENOUGH: f64 = 1.5;

/// One contender with the share of one memory.
struct Row {
    name: &'static str,
    memory: u32,
    /// Starts that are held to the share after their init.
    lambda: Vec<Start>,
    /// Starts that are held to it from the beginning.
    throttled: Vec<Start>,
    /// The paced calls of each process.
    paced: Vec<Vec<Duration>>,
    back_to_back: Vec<Duration>,
}

/// All rows, those of one memory side by side.
pub struct Shares {
    rows: Vec<Row>,
    delay: Duration,
}

impl Shares {
    /// Measures each contender with each share. The first contender is the service.
    pub async fn measure(
        contenders: &[Contender],
        memories: &[u32],
        world: &World,
        delay: Duration,
    ) -> Result<Self> {
        let mut rows = Vec::new();
        for &memory in memories {
            let share = Share::of(memory)?;
            for contender in contenders {
                eprintln!("{} with {memory} MB", contender.name);
                rows.push(Row::measure(contender, memory, &share, world).await?);
            }
        }
        Ok(Self { rows, delay })
    }

    pub fn table(&self) -> String {
        let mut text = format!(
            "With the CPU share of some memory, DynamoDB's answers {} ms later. Milliseconds: medians of {STARTS} cold \
             starts (throttled from the beginning: at least as many, for {} s), {PACED} calls at 20 a second after each of them (p99: \
             the median of the processes), and {} s of calls back to back. Billed: whole milliseconds, init included. \
             Dollars: the paced calls, at ${GB_SECOND} a GB-second and ${MILLION_REQUESTS} a million requests.\n\n",
            ms(self.delay),
            THROTTLED.as_secs(),
            BACK_TO_BACK.as_secs(),
        );
        text += "| MB | | first answer | throttled init too | cold, billed | paced p50 | p99 | billed | back to back p50 | p99 | calls a second | $ a million |\n";
        text += "|---|---|---|---|---|---|---|---|---|---|---|---|\n";
        for row in &self.rows {
            text += &row.text();
        }
        text + &self.enough()
    }

    /// The least memory that is enough for the service.
    fn enough(&self) -> String {
        let Some(core) = self.of_service(ONE_CORE).map(Row::paced_p99) else { return String::new() };
        let enough = |row: &&Row| row.paced_p99() <= core.mul_f64(ENOUGH);
        let service = self.rows.iter().filter(|row| row.name == self.rows[0].name);
        let least = service.filter(enough).map(|row| row.memory).min().unwrap_or(ONE_CORE);
        format!(
            "\nThe least memory at which the paced p99 is at most {ENOUGH} times that of one core: {least} MB.\n"
        )
    }

    fn of_service(&self, memory: u32) -> Option<&Row> {
        self.of(self.rows[0].name, memory)
    }

    fn of(&self, name: &str, memory: u32) -> Option<&Row> {
        self.rows.iter().find(|row| row.memory == memory && row.name.starts_with(name))
    }

    pub fn targets(&self) -> Vec<Target> {
        let node = self.beside("Node");
        let fastapi = self.beside("FastAPI");
        let both = || node.iter().chain(&fastapi);
        let least = |ratios: Vec<f64>| ratios.into_iter().reduce(f64::min);
        let most = |ratios: Vec<f64>| ratios.into_iter().reduce(f64::max);
        let rate = both().map(|(own, peer)| own.rate() / peer.rate()).collect();
        let paced = both().map(|(own, peer)| own.billed_paced() / peer.billed_paced()).collect();
        let cold = both().map(|(own, peer)| own.billed_cold() / peer.billed_cold()).collect();
        let first = |pairs: &[(&Row, &Row)]| {
            let at_128 = pairs.iter().find(|(own, _)| own.memory == 128);
            at_128
                .map(|(own, peer)| peer.first_throttled().as_secs_f64() / own.first_throttled().as_secs_f64())
        };
        let p99 = |row: &Row| row.paced_p99().as_secs_f64();
        let small = self.of_service(128).zip(self.of("Node", 512)).map(|(own, node)| p99(own) / p99(node));
        let own_list = both()
            .filter_map(|(service, peer)| Some(self.of(OWN_LIST, service.memory)?.rate() / peer.rate()));
        [
            least(rate)
                .map(|value| Target::at_least("of a peer's calls a second, at any memory", 5.0, value)),
            least(own_list.collect()).map(|value| {
                Target::at_least("the same of the own list, which makes one call as the peers do", 5.0, value)
            }),
            first(&node)
                .map(|value| Target::at_least("times Node's speed to a throttled first answer", 30.0, value)),
            first(&fastapi).map(|value| {
                Target::at_least("times FastAPI's speed to a throttled first answer", 50.0, value)
            }),
            most(paced)
                .map(|value| Target::at_most("of a peer's billed time, paced, at any memory", 0.99, value)),
            most(cold)
                .map(|value| Target::at_most("of a peer's billed time, cold, at any memory", 0.99, value)),
            small.map(|value| Target::at_most("of Node's paced p99 at 512 MB, with 128 MB", 1.0, value)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The service and this peer, at each memory.
    fn beside(&self, peer: &str) -> Vec<(&Row, &Row)> {
        let peers = self.rows.iter().filter(|row| row.name.starts_with(peer));
        peers.filter_map(|row| Some((self.of_service(row.memory)?, row))).collect()
    }

    pub fn json(&self) -> Value {
        self.rows.iter().map(Row::json).collect()
    }
}

impl Row {
    async fn measure(contender: &Contender, memory: u32, share: &Share, world: &World) -> Result<Self> {
        let (start, mut throttled) = (Instant::now(), Vec::new());
        while throttled.len() < STARTS || start.elapsed() < THROTTLED {
            throttled.push(contender.start(world, Throttle::Always(share)).await?.end().await);
        }
        let (mut lambda, mut paced, mut back_to_back) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..STARTS {
            let mut process = contender.start(world, Throttle::AfterInit(share)).await?;
            paced.push(process.paced(PACED, PACE).await?);
            back_to_back.extend(process.back_to_back(BACK_TO_BACK / STARTS as u32).await?);
            lambda.push(process.end().await);
        }
        Ok(Self { name: contender.name, memory, lambda, throttled, paced, back_to_back })
    }

    /// The median of the processes, so that a moment in which the machine is busy does not count.
    fn paced_p99(&self) -> Duration {
        quantile(self.paced.iter().map(|times| quantile(times.clone(), 0.99)).collect(), 0.5)
    }

    fn first(&self) -> Duration {
        quantile(self.lambda.iter().map(Start::cold).collect(), 0.5)
    }

    fn first_throttled(&self) -> Duration {
        quantile(self.throttled.iter().map(Start::cold).collect(), 0.5)
    }

    /// Billed milliseconds of a cold start with its first call.
    fn billed_cold(&self) -> f64 {
        millis(self.first()).ceil()
    }

    /// Billed milliseconds of a call, on average.
    fn billed_paced(&self) -> f64 {
        let paced = self.paced.concat();
        paced.iter().map(|time| millis(*time).ceil()).sum::<f64>() / paced.len() as f64
    }

    /// Calls a second, back to back.
    fn rate(&self) -> f64 {
        self.back_to_back.len() as f64 / self.back_to_back.iter().sum::<Duration>().as_secs_f64()
    }

    /// Dollars for a million paced calls.
    fn dollars(&self) -> f64 {
        let gb_seconds = f64::from(self.memory) / 1024.0 * self.billed_paced() / 1e3 * 1e6;
        MILLION_REQUESTS + GB_SECOND * gb_seconds
    }

    fn text(&self) -> String {
        let of = |times: &[Duration], q| ms(quantile(times.to_vec(), q));
        let mut text = String::new();
        // Writing to a string never fails.
        let _written = writeln!(
            text,
            "| {} | {} | {} | {} | {:.0} | {} | {} | {:.1} | {} | {} | {:.0} | {:.2} |",
            self.memory,
            self.name,
            ms(self.first()),
            ms(self.first_throttled()),
            self.billed_cold(),
            of(&self.paced.concat(), 0.5),
            ms(self.paced_p99()),
            self.billed_paced(),
            of(&self.back_to_back, 0.5),
            of(&self.back_to_back, 0.99),
            self.rate(),
            self.dollars(),
        );
        text
    }

    fn json(&self) -> Value {
        let of = |times: &[Duration], q| millis(quantile(times.to_vec(), q));
        json!({
            "name": self.name, "memory_mb": self.memory, "first_answer_ms": millis(self.first()),
            "first_answer_throttled_ms": millis(self.first_throttled()), "cold_billed_ms": self.billed_cold(),
            "paced_p50_ms": of(&self.paced.concat(), 0.5), "paced_p99_ms": millis(self.paced_p99()),
            "paced_billed_ms": self.billed_paced(), "back_to_back_p50_ms": of(&self.back_to_back, 0.5),
            "back_to_back_p99_ms": of(&self.back_to_back, 0.99), "calls_a_second": self.rate(),
            "dollars_a_million": self.dollars(),
        })
    }
}
