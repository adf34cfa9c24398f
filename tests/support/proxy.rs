//! Between the service and its engine, on the wire: counts the calls, lets a test act between two of them, and makes
//! calls meet faults.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::Table;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use super::fault::{Engine, Fault, SLOW, body, message, refusal};

/// A call that waits to be let through.
pub struct Held {
    /// The operation, such as `TransactWriteItems`.
    pub operation: String,
    release: oneshot::Sender<Option<Vec<u8>>>,
}

impl Held {
    /// Lets it through to the engine.
    pub fn release(self) {
        self.release.send(None).unwrap();
    }

    /// Answers it in the engine's place, as DynamoDB refuses.
    pub fn refuse(self, exception: &str, extra: Value) {
        self.answer(400, &refusal(exception, extra).to_string());
    }

    /// Answers it in the engine's place with a text that is no JSON.
    pub fn break_off(self, text: &str) {
        self.answer(200, text);
    }

    fn answer(self, status: u16, body: &str) {
        self.release.send(Some(message(status, "application/x-amz-json-1.0", body))).unwrap();
    }
}

/// A moment in an operation.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    /// Before its call of this number, from 0.
    Call(usize),
    /// Before its first call of this name.
    First(&'static str),
}

/// The proxy; it serves until the test's runtime ends.
pub struct Proxy {
    /// How to reach the engine through it.
    pub database: Table,
    shared: Arc<Shared>,
}

/// A call as it went over the wire.
pub struct Call {
    pub operation: String,
    /// Whose key signed it, for which region.
    pub authorization: String,
    pub body: Value,
}

/// What the connections have in common.
struct Shared {
    engine: String,
    calls: Mutex<Vec<Call>>,
    connections: AtomicUsize,
    /// How many of the first connections are forgotten.
    forgotten: AtomicUsize,
    hold: Mutex<Option<UnboundedSender<Held>>>,
    trouble: Mutex<Option<Trouble>>,
    /// Whether stalled calls go on.
    stalled: watch::Sender<bool>,
    /// How many calls are on their way, and how many have been answered.
    under_way: watch::Sender<usize>,
    answered: watch::Sender<usize>,
    /// Whether the fault has struck, and the engine has been asked where it is.
    struck: watch::Sender<bool>,
}

/// Which calls meet a fault.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    pub fault: Fault,
    /// How many such calls get through before it strikes.
    pub after: usize,
    /// Whether it strikes every call from then on, or one.
    pub lasts: bool,
}

impl Trouble {
    /// The trouble of this call, if any. It counts the call.
    fn meet(&mut self, operation: &str) -> Option<Fault> {
        if !self.fault.can_meet(operation) {
            return None;
        }
        if self.after > 0 {
            self.after -= 1;
            return None;
        }
        if !self.lasts {
            self.after = usize::MAX;
        }
        Some(self.fault)
    }
}

impl Proxy {
    pub async fn before(database: &Table) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            engine: address(database),
            calls: Mutex::default(),
            connections: AtomicUsize::new(0),
            forgotten: AtomicUsize::new(0),
            hold: Mutex::default(),
            trouble: Mutex::default(),
            stalled: watch::Sender::new(true),
            under_way: watch::Sender::new(0),
            answered: watch::Sender::new(0),
            struck: watch::Sender::new(false),
        });
        let proxy = Self { database: Table { endpoint, ..database.clone() }, shared: shared.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = shared.clone();
                let number = shared.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move { shared.serve(number, client).await });
            }
        });
        proxy
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Forgets all connections, as a load balancer does without a word: each is reset at its next packet.
    pub fn forget_connections(&self) {
        self.shared.forgotten.store(self.connections(), Ordering::Relaxed);
    }

    /// The calls since the last time.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.shared.calls.lock().unwrap())
    }

    /// The operations called since the last time.
    pub fn take_calls(&self) -> Vec<String> {
        self.take().into_iter().map(|call| call.operation).collect()
    }

    /// From now on every call waits until the test has seen it and lets it go.
    pub fn hold(&self) -> UnboundedReceiver<Held> {
        let (sender, receiver) = unbounded_channel();
        *self.shared.hold.lock().unwrap() = Some(sender);
        receiver
    }

    /// Calls go through by themselves again.
    pub fn let_go(&self) {
        *self.shared.hold.lock().unwrap() = None;
    }

    /// Runs `operation`, and lets `answer` decide about each of its calls.
    pub async fn answering<T>(
        &self,
        operation: impl Future<Output = T>,
        mut answer: impl AsyncFnMut(Held),
    ) -> T {
        let mut held = self.hold();
        let mut operation = pin!(operation);
        loop {
            select! {
                outcome = &mut operation => {
                    self.let_go();
                    return outcome;
                }
                Some(call) = held.recv() => answer(call).await,
            }
        }
    }

    /// Runs `operation`, and `meanwhile` before this call of it goes through; `None` when it makes no such call.
    pub async fn interleave<T>(
        &self,
        moment: Moment,
        operation: impl Future<Output = T>,
        meanwhile: impl AsyncFnOnce(),
    ) -> Option<T> {
        let (mut meanwhile, mut number) = (Some(meanwhile), 0);
        let outcome = self.answering(operation, async |call| {
            let is_now = match moment {
                Moment::Call(wanted) => number == wanted,
                Moment::First(operation) => call.operation == operation,
            };
            number += 1;
            if is_now && let Some(act) = meanwhile.take() {
                act().await;
            }
            call.release();
        });
        let outcome = outcome.await;
        meanwhile.is_none().then_some(outcome)
    }

    /// Runs an operation that makes so many calls at the same time: none goes through before the last one is made.
    pub async fn together<T>(&self, calls: usize, operation: impl Future<Output = T>) -> T {
        let (mut waiting, mut made) = (Vec::new(), 0);
        let release = async |call| {
            waiting.push(call);
            made += 1;
            if made >= calls {
                waiting.drain(..).for_each(Held::release);
            }
        };
        self.answering(operation, release).await
    }

    /// From now on calls meet this.
    pub fn trouble(&self, trouble: Trouble) {
        *self.shared.trouble.lock().unwrap() = Some(trouble);
        self.shared.stalled.send_replace(false);
        self.shared.struck.send_replace(false);
    }

    /// Waits until the fault has struck.
    pub async fn struck(&self) {
        self.shared.struck.subscribe().wait_for(|struck| *struck).await.unwrap();
    }

    /// Forgets all earlier calls.
    pub fn forget(&self) {
        self.shared.calls.lock().unwrap().clear();
        self.shared.answered.send_replace(0);
    }

    /// Waits until so many calls have been answered.
    pub async fn answered(&self, calls: usize) {
        self.shared.answered.subscribe().wait_for(|answered| *answered >= calls).await.unwrap();
    }

    /// New calls get through again. Stalled calls stay stalled.
    pub fn heal(&self) {
        *self.shared.trouble.lock().unwrap() = None;
    }

    /// Lets stalled calls go on, and waits until no call is under way.
    pub async fn settle(&self) {
        self.shared.stalled.send_replace(true);
        self.shared.under_way.subscribe().wait_for(|calls| *calls == 0).await.unwrap();
    }
}

impl Shared {
    async fn serve(&self, number: usize, mut client: TcpStream) {
        let mut engine = TcpStream::connect(&self.engine).await.unwrap();
        while let Some(request) = read_message(&mut client).await {
            if number < self.forgotten.load(Ordering::Relaxed) {
                return client.set_zero_linger().unwrap();
            }
            self.under_way.send_modify(|calls| *calls += 1);
            let goes_on = self.pass(&request, &mut client, &mut engine).await;
            self.under_way.send_modify(|calls| *calls -= 1);
            if goes_on.is_none() {
                return;
            }
        }
    }

    /// One call and what comes back; `None` when the connection is over.
    async fn pass(&self, request: &[u8], client: &mut TcpStream, engine: &mut TcpStream) -> Option<()> {
        let operation = operation(request);
        let call = Call {
            operation: operation.clone(),
            authorization: header(request, "authorization").unwrap_or_default(),
            body: serde_json::from_slice(body(request)).unwrap(),
        };
        let actions = call.body["TransactItems"].as_array().map_or(0, Vec::len);
        self.calls.lock().unwrap().push(call);
        let fault = self.trouble.lock().unwrap().as_mut().and_then(|trouble| trouble.meet(&operation));
        let hold = self.hold.lock().unwrap().clone();
        if let Some(hold) = hold {
            let (release, released) = oneshot::channel();
            let _nobody_looks = hold.send(Held { operation, release });
            if let Ok(Some(answer)) = released.await {
                return client.write_all(&answer).await.ok();
            }
        }
        let answer = match fault {
            None => Some(ask(engine, request).await?),
            Some(fault) => self.strike(fault, request, actions, engine).await,
        };
        client.write_all(&answer?).await.ok()?;
        self.answered.send_modify(|calls| *calls += 1);
        (!matches!(fault, Some(Fault::Half(_) | Fault::NoHttp(_)))).then_some(())
    }

    /// What comes back of a call that meets a fault.
    async fn strike(
        &self,
        fault: Fault,
        request: &[u8],
        actions: usize,
        engine: &mut TcpStream,
    ) -> Option<Vec<u8>> {
        let done = match fault.engine() {
            Engine::Done => Some(ask(engine, request).await?),
            Engine::Unasked => None,
        };
        self.struck.send_replace(true);
        match fault {
            Fault::Slow(_) => sleep(SLOW).await,
            Fault::Stalled(_) => drop(self.stalled.subscribe().wait_for(|goes_on| *goes_on).await.ok()?),
            _ => return fault.instead(actions, done.as_deref()),
        }
        match done {
            Some(answer) => Some(answer),
            None => ask(engine, request).await,
        }
    }
}

/// One call of a test itself, without the SDK, which is slow in a debug build: some tests fill and read a thousand
/// tables.
pub async fn call(database: &Table, operation: &str, body: &Value) -> Value {
    let mut engine = TcpStream::connect(address(database)).await.unwrap();
    let body = body.to_string();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: engine\r\nx-amz-target: DynamoDB_20120810.{operation}\r\n\
         content-type: application/x-amz-json-1.0\r\nauthorization: AWS4-HMAC-SHA256 \
         Credential=local/20400101/eu-central-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0\r\n\
         x-amz-date: 20400101T000000Z\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let answer = ask(&mut engine, (head + &body).as_bytes()).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{operation}: {}", String::from_utf8_lossy(&answer));
    serde_json::from_slice(super::fault::body(&answer)).unwrap()
}

/// Where the engine listens.
fn address(database: &Table) -> String {
    database.endpoint.replace("http://", "")
}

async fn ask(engine: &mut TcpStream, request: &[u8]) -> Option<Vec<u8>> {
    engine.write_all(request).await.ok()?;
    read_message(engine).await
}

/// A whole HTTP/1.1 message with a Content-Length; `None` at the end of the connection.
pub(super) async fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let head = message.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(head) = head {
            let length: usize =
                header(&message[..head], "content-length").unwrap_or_default().parse().unwrap_or(0);
            if message.len() >= head + 4 + length {
                return Some(message);
            }
        }
        if stream.read_buf(&mut message).await.ok()? == 0 {
            return None;
        }
    }
}

fn header(head: &[u8], name: &str) -> Option<String> {
    let head = String::from_utf8_lossy(head).into_owned();
    let value = |line: &str| {
        let (known, value) = line.split_once(':')?;
        known.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    };
    head.lines().find_map(value)
}

fn operation(request: &[u8]) -> String {
    let target = header(request, "x-amz-target").unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default().to_owned()
}
