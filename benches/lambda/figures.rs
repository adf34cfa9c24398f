//! Figures and how they are printed.

use std::time::Duration;

/// One figure as it was measured again and again.
#[derive(Default)]
pub struct Figure(pub Vec<Duration>);

impl Figure {
    pub fn at(&self, quantile: f64) -> Duration {
        let mut values = self.0.clone();
        values.sort_unstable();
        let index = (values.len().saturating_sub(1) as f64 * quantile).round() as usize;
        values.get(index).copied().unwrap_or_default()
    }

    pub fn median(&self) -> Duration {
        self.at(0.5)
    }

    /// The median, and the middle half.
    pub fn text(&self) -> String {
        format!("{} ({}-{})", ms(self.median()), ms(self.at(0.25)), ms(self.at(0.75)))
    }
}

impl FromIterator<Duration> for Figure {
    fn from_iter<I: IntoIterator<Item = Duration>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
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

pub fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// A table in Markdown.
pub fn table<'h>(head: impl IntoIterator<Item = &'h &'h str>, rows: &[Vec<String>]) -> String {
    let head: Vec<_> = head.into_iter().map(|&name| name.to_owned()).collect();
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let start = line(&head) + &"|---".repeat(head.len()) + "|\n";
    rows.iter().fold(start, |text, row| text + &line(row))
}
