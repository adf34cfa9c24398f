//! What contenders do with the CPU share of some memory, and what Lambda bills for it.

use std::time::{Duration, Instant};

use crate::cgroup::Share;
use crate::contender::{Contender, Environment, Start, Throttle};
use crate::figures::{self, Figure, millis, ms};
use crate::support::engine::Result;

/// Dollars for a GB-second on arm64, which the template deploys to, in most regions. x86_64 costs 0.0000166667.
/// <https://aws.amazon.com/lambda/pricing/>
const GB_SECOND: f64 = 0.000_013_333_4;

/// Dollars for a million requests, in the same list.
const MILLION_REQUESTS: f64 = 0.20;

/// Cold starts that are held to the share after their init, and the least number of those that are held to it from the
/// beginning.
const STARTS: u32 = 3;

/// How long the starts that are held to the share from the beginning are repeated. Each waits for a whole number of
/// periods, and this number varies.
const THROTTLED: Duration = Duration::from_secs(4);

/// Calls after each cold start, at 20 a second.
const PACED: usize = 100;
const PACE: Duration = Duration::from_millis(50);

/// How long calls follow one another.
const BACK_TO_BACK: Duration = Duration::from_secs(3);

/// Measures contenders with the share of each memory, in an environment where DynamoDB's answers take `rtt`.
pub async fn table(all: &[Contender], memories: &[u32], rtt: Duration, far: &Environment) -> Result<String> {
    let mut rows = Vec::new();
    for &memory in memories {
        let share = Share::of(memory)?;
        for contender in all.iter().filter(|contender| contender.has_shares) {
            eprintln!("{} with {memory} MB", contender.name);
            rows.push(Measured::new(contender, &share, far).await?.row(contender.name, memory));
        }
    }
    let head = ["MB", "", "first answer", "throttled init too", "cold, billed", "paced p50", "p99", "billed"];
    let head = head.iter().chain(&["back to back p50", "p99", "calls a second", "$ a million"]);
    Ok(format!(
        "With the CPU share of each memory, DynamoDB's answers {} ms later. Milliseconds: medians; the p99 of the paced \
         calls is the median of {STARTS} processes. Dollars: the paced calls, at ${GB_SECOND} a GB-second and \
         ${MILLION_REQUESTS} a million requests.\n\n{}",
        ms(rtt),
        figures::table(head, &rows)
    ))
}

/// One contender with one share.
struct Measured {
    first: Figure,
    first_throttled: Figure,
    paced: Vec<Figure>,
    back_to_back: Figure,
}

impl Measured {
    async fn new(contender: &Contender, share: &Share, environment: &Environment) -> Result<Self> {
        let (start, mut throttled) = (Instant::now(), Vec::new());
        while throttled.len() < STARTS as usize || start.elapsed() < THROTTLED {
            throttled.push(contender.start(environment, Throttle::Always(share)).await?.end().await);
        }
        let (mut after_init, mut paced, mut back_to_back) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..STARTS {
            let mut process = contender.start(environment, Throttle::AfterInit(share)).await?;
            paced.push(process.paced(PACED, PACE).await?);
            back_to_back.extend(process.back_to_back(BACK_TO_BACK / STARTS).await?.0);
            after_init.push(process.end().await);
        }
        let cold = |starts: &[Start]| starts.iter().map(Start::cold).collect();
        let (first, first_throttled) = (cold(&after_init), cold(&throttled));
        Ok(Self { first, first_throttled, paced, back_to_back: Figure(back_to_back) })
    }

    fn row(&self, name: &str, memory: u32) -> Vec<String> {
        let paced: Figure = self.paced.iter().flat_map(|process| process.0.iter().copied()).collect();
        // The median of the processes, so that a moment in which the machine is busy does not count.
        let p99: Figure = self.paced.iter().map(|process| process.at(0.99)).collect();
        let billed = paced.0.iter().map(|time| millis(*time).ceil()).sum::<f64>() / paced.0.len() as f64;
        let rate =
            self.back_to_back.0.len() as f64 / self.back_to_back.0.iter().sum::<Duration>().as_secs_f64();
        let gb_seconds_a_million = f64::from(memory) / 1024.0 * billed / 1e3 * 1e6;
        vec![
            memory.to_string(),
            name.into(),
            ms(self.first.median()),
            ms(self.first_throttled.median()),
            millis(self.first.median()).ceil().to_string(),
            ms(paced.median()),
            ms(p99.median()),
            format!("{billed:.1}"),
            ms(self.back_to_back.median()),
            ms(self.back_to_back.at(0.99)),
            format!("{rate:.0}"),
            format!("{:.2}", MILLION_REQUESTS + GB_SECOND * gb_seconds_a_million),
        ]
    }
}
