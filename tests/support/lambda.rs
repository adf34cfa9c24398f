//! The part of Lambda: it starts the process, and serves the Runtime API that the process asks for events.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::collections::HashMap;
use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};

use super::fault::{body, message};
use super::proxy::read_message;

/// A function's process. It is killed, if it still runs, when this is dropped.
pub struct Runtime {
    /// When the process was started.
    pub started: Instant,
    process: Child,
    events: UnboundedSender<Invocation>,
    ready: watch::Receiver<bool>,
}

/// What a function answered, and when.
#[derive(Debug)]
pub struct Answer {
    /// When the function got the event.
    pub delivered: Instant,
    pub answered: Instant,
    pub body: Value,
}

type Outcome = Result<Answer, Unanswered>;

/// Why there is no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// The function reported an error: this.
    Error(Value),
    /// The process ended.
    Died(ExitStatus),
}

struct Invocation {
    event: String,
    answer: oneshot::Sender<Outcome>,
}

/// The Runtime API's side of one process.
struct Api {
    events: tokio::sync::Mutex<UnboundedReceiver<Invocation>>,
    /// Who waits for which answer, and since when.
    pending: Mutex<HashMap<String, (oneshot::Sender<Outcome>, Instant)>>,
    ready: watch::Sender<bool>,
}

impl Runtime {
    /// Starts a process of the program in `environment` and what Lambda adds to it.
    pub async fn start(program: impl AsRef<OsStr>, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program);
        command.env_clear().envs(environment.iter().copied());
        Self::run(command).await
    }

    /// Starts a command with what Lambda adds to its environment.
    pub async fn run(command: Command) -> Self {
        Self::run_with_output(command, Stdio::null()).await
    }

    /// The same, and its log goes there.
    pub async fn run_with_output(mut command: Command, log: Stdio) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = listener.local_addr().unwrap().to_string();
        let (events, queue) = unbounded_channel();
        let (ready, is_ready) = watch::channel(false);
        let shared = Arc::new(Api { events: queue.into(), pending: Mutex::default(), ready });
        tokio::spawn(async move {
            while let Ok((function, _)) = listener.accept().await {
                let shared = shared.clone();
                function.set_nodelay(true).unwrap();
                tokio::spawn(async move { shared.serve(function).await });
            }
        });
        let lambda = [
            ("AWS_LAMBDA_RUNTIME_API", api.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "sessions"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "sessions"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "sessions"),
        ];
        command.envs(lambda).stdin(Stdio::null()).stdout(log).kill_on_drop(true);
        let started = Instant::now();
        Self { process: command.spawn().unwrap(), events, ready: is_ready, started }
    }

    /// The process's id; `None` when it has ended.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Waits until the process asks for its first event: what comes before is the cold start.
    pub async fn ready(&mut self) -> Result<(), Unanswered> {
        tokio::select! {
            Ok(_) = self.ready.wait_for(|ready| *ready) => Ok(()),
            died = self.process.wait() => Err(Unanswered::Died(died.unwrap())),
        }
    }

    /// Hands the process an event and waits for the answer, or for the process to end.
    pub async fn invoke(&mut self, event: &Value) -> Outcome {
        let (answer, answered) = oneshot::channel();
        let _nobody_asks = self.events.send(Invocation { event: event.to_string(), answer });
        tokio::select! {
            Ok(answer) = answered => answer,
            died = self.process.wait() => Err(Unanswered::Died(died.unwrap())),
        }
    }

    /// Ends the process without any notice (SIGKILL), as a host that fails does.
    pub async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }
}

impl Api {
    async fn serve(&self, mut function: TcpStream) {
        while let Some(request) = read_message(&mut function).await {
            let Some(answer) = self.answer(&request).await else { return };
            if function.write_all(&answer).await.is_err() {
                return;
            }
        }
    }

    /// `None` when there will be no more events.
    async fn answer(&self, request: &[u8]) -> Option<Vec<u8>> {
        let line = String::from_utf8_lossy(request).lines().next().unwrap_or_default().to_owned();
        let path = line.split(' ').nth(1)?.strip_prefix("/2018-06-01/runtime/")?.to_owned();
        let answered = Instant::now();
        if path == "invocation/next" {
            return self.next().await;
        }
        let (id, outcome) = path.strip_prefix("invocation/")?.split_once('/')?;
        let body = serde_json::from_slice(body(request)).unwrap_or_default();
        let (asked, delivered) = self.pending.lock().unwrap().remove(id)?;
        let _nobody_waits = asked.send(match outcome {
            "response" => Ok(Answer { delivered, answered, body }),
            _ => Err(Unanswered::Error(body)),
        });
        Some(message(202, "application/json", &json!({"status": "OK"}).to_string()))
    }

    async fn next(&self) -> Option<Vec<u8>> {
        self.ready.send_replace(true);
        let Invocation { event, answer } = self.events.lock().await.recv().await?;
        let id = format!("{:016x}", fastrand::u64(..));
        self.pending.lock().unwrap().insert(id.clone(), (answer, Instant::now()));
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             lambda-runtime-aws-request-id: {id}\r\nlambda-runtime-deadline-ms: 4102444800000\r\n\
             lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-central-1:0:function:sessions\r\n\
             lambda-runtime-trace-id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0\r\n\r\n",
            event.len()
        );
        Some((head + &event).into_bytes())
    }
}
