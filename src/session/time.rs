//! Time: moments, and the clock of a request.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

/// A moment in UTC.
pub type Timestamp = DateTime<Utc>;

/// The last second of the year 9999, which is the last that RFC 3339 can write. In seconds since 1970.
pub const LATEST_SECOND: i64 = 253_402_300_799;

/// The time during a request: the moment when the request arrived, and the moments after it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    arrived_at: Timestamp,
    since: Instant,
}

impl Clock {
    /// The clock of a request that has just arrived, at `now`.
    pub fn start(now: Timestamp) -> Self {
        Self { arrived_at: to_millisecond(now), since: Instant::now() }
    }

    /// When the request arrived, in whole milliseconds.
    pub fn arrived_at(&self) -> Timestamp {
        self.arrived_at
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        later(self.arrived_at, TimeDelta::from_std(self.since.elapsed()).unwrap_or(TimeDelta::MAX))
    }
}

/// `time` without its fraction of a millisecond, which the table does not keep.
pub fn to_millisecond(time: Timestamp) -> Timestamp {
    DateTime::from_timestamp_millis(time.timestamp_millis()).unwrap_or(time)
}

/// `time` plus `duration`, but never after the year 9999.
pub fn later(time: Timestamp, duration: TimeDelta) -> Timestamp {
    let latest = DateTime::from_timestamp(LATEST_SECOND, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
    time.checked_add_signed(duration).unwrap_or(latest).min(latest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_moment_of_time_does_not_overflow() {
        let last = DateTime::from_timestamp(LATEST_SECOND, 0).unwrap();
        assert_eq!(later(last, TimeDelta::hours(1)), last);
        assert_eq!(later(last, TimeDelta::MAX), last);
    }
}
