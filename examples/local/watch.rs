//! `cargo lambda watch`: found or installed, started, and ended with all that it started.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::args::Stack;
use super::engine::Result;

/// The version that is installed where there is none.
const VERSION: &str = "cargo-lambda==1.9.2";

/// Cargo runs the function without this variable. cargo-lambda sets it to its `--concurrency`, the number of instances;
/// to the function it would be the number of requests for one instance, which takes one at a time, and it would warn.
const RUNNER: &str = r#"target.'cfg(all())'.runner = ["env", "-u", "AWS_LAMBDA_MAX_CONCURRENCY"]"#;

/// How long the processes get to end by themselves.
const GRACE: Duration = Duration::from_secs(3);

/// The program on the PATH, or the one under target/, which is put there with Python's pip if need be.
pub async fn find_or_install() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cargo-lambda");
    let installed = [root.join("venv/bin/cargo-lambda"), root.join("lib/bin/cargo-lambda")];
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|dir| dir.join("cargo-lambda"));
    if let Some(found) = on_path.chain(installed.clone()).find(|file| file.is_file()) {
        return Ok(found);
    }
    eprintln!("cargo-lambda is not on the PATH; putting {VERSION} into {}", root.display());
    let venv = root.join("venv");
    let in_venv = python("python3", &["-m", "venv", &venv.to_string_lossy()]).await
        && python(venv.join("bin/python"), &["-m", "pip", "install", "--quiet", VERSION]).await;
    // Debian's Python makes no virtual environment without python3-venv; a folder of its own serves as well.
    let lib = root.join("lib");
    let done = in_venv
        || python(
            "python3",
            &["-m", "pip", "install", "--quiet", "--target", &lib.to_string_lossy(), VERSION],
        )
        .await;
    installed.into_iter().find(|file| done && file.is_file()).ok_or_else(|| {
        "cargo-lambda could not be installed with pip; `cargo install cargo-lambda` or \
         `brew install cargo-lambda/tap/cargo-lambda` do as well"
            .into()
    })
}

async fn python(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> bool {
    let status = Command::new(program).args(args).stdin(Stdio::null()).kill_on_drop(true).status().await;
    status.is_ok_and(|status| status.success())
}

/// The running function. Dropping it ends it.
pub struct Watch {
    process: Child,
    group: Option<Pid>,
    port: u16,
}

impl Watch {
    /// Starts it on a port, in a process group of its own, so that it can be ended as a whole.
    pub fn start(
        cargo_lambda: &Path,
        port: u16,
        stack: &Stack,
        environment: &[(&str, String)],
    ) -> Result<Self> {
        let process = Command::new(cargo_lambda)
            .args(["lambda", "watch", "--quiet", "--features", "local", "--invoke-address", "127.0.0.1"])
            .args(["--invoke-port", &port.to_string()])
            .args(["--concurrency", &stack.concurrency.to_string(), "--config", RUNNER])
            .args(stack.release.then_some("--release"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", cargo_lambda.display()))?;
        let group = process.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(Self { process, group, port })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits until the function answers.
    pub async fn ready(&mut self) -> Result<()> {
        loop {
            tokio::select! {
                ended = self.process.wait() => return Err(format!("cargo lambda watch ended too early: {}", ended?).into()),
                () = sleep(Duration::from_millis(200)) => (),
            }
            if self.answers().await.is_ok_and(|answers| answers) {
                return Ok(());
            }
        }
    }

    /// Whether a request without a token is refused as the function refuses it.
    async fn answers(&self) -> Result<bool> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let request = "GET /sessions/user/74 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        Ok(answer.starts_with("HTTP/1.1 401"))
    }

    /// Waits until it ends, which it should not do by itself.
    pub async fn ended(&mut self) -> Result<()> {
        let status = self.process.wait().await?;
        Err(format!("cargo lambda watch ended: {status}").into())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(group) = self.group else { return };
        let _gone_already = kill_process_group(group, Signal::INT);
        let deadline = std::time::Instant::now() + GRACE;
        while std::time::Instant::now() < deadline && matches!(self.process.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _gone_already = kill_process_group(group, Signal::KILL);
    }
}
