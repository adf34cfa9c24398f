//! What the service logs: each line is one JSON object and shows no secret, in every test; and what a test wants
//! to see of it.

use std::io;
use std::sync::{Arc, Mutex, Once};

use serde_json::Value;
use sessions::telemetry::log;
use tracing::subscriber::{DefaultGuard, set_default, set_global_default};
use tracing_subscriber::fmt::MakeWriter;

use super::secrets;

/// Holds every line that is logged in this process, outside of a [`Log`] too, against what was sent.
pub fn watch() {
    static WATCH: Once = Once::new();
    // A test may have its own subscriber.
    WATCH.call_once(|| drop(set_global_default(log::json_lines(|| Checked))));
}

/// What was logged on this thread since it was made.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Logs go here as long as the guard lives.
    pub fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        let guard = set_default(log::json_lines(log.clone()));
        (log, guard)
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines since the last call.
    pub fn take(&self) -> Vec<Value> {
        let text = self.text();
        self.0.lock().unwrap().clear();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The lines of this event since the last call, without their time. The log is empty then.
    pub fn take_events(&self, event: &str) -> Vec<Value> {
        let mut lines = self.take_audit();
        lines.retain(|line| line["event"] == event);
        lines
    }

    /// The audit lines since the last call, without their time. The log is empty then.
    pub fn take_audit(&self) -> Vec<Value> {
        let mut lines = self.take();
        lines.retain(|line| line["event"].is_string());
        for line in &mut lines {
            assert!(line.as_object_mut().unwrap().remove("timestamp").is_some());
        }
        lines
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Checked.write_all(bytes)?;
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

/// Takes one line at a time, as the formatter hands them over, and keeps none.
struct Checked;

impl io::Write for Checked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = std::str::from_utf8(bytes).unwrap();
        let entry = line.strip_suffix('\n').filter(|entry| !entry.contains('\n'));
        let entry = entry.and_then(|entry| serde_json::from_str::<Value>(entry).ok());
        assert!(entry.is_some_and(|entry| entry.is_object()), "not one object on one line: {line}");
        secrets::check_line(line);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
