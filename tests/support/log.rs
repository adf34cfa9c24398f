//! The log of a service, kept for the test to read.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

/// What was logged.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines of this event since the last call, without their time. The log is empty then.
    pub fn take_events(&self, event: &str) -> Vec<Value> {
        let mut lines = self.take();
        lines.retain(|line| line["event"] == event);
        for line in &mut lines {
            assert!(line.as_object_mut().unwrap().remove("timestamp").is_some());
        }
        lines
    }

    /// All lines since the last call.
    pub fn take(&self) -> Vec<Value> {
        let text = self.text();
        self.0.lock().unwrap().clear();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
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
