//! Between the service and its engine, on the wire: counts the calls, and lets a test act between two of them.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sessions::config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// A call that waits to be let through.
pub struct Held {
    /// The operation, such as `TransactWriteItems`.
    pub operation: String,
    /// What goes back to the client instead of the engine's answer.
    release: oneshot::Sender<Option<String>>,
}

impl Held {
    /// Lets it through to the engine.
    pub fn release(self) {
        self.release.send(None).unwrap();
    }

    /// Answers it in the engine's place, as DynamoDB refuses.
    pub fn refuse(self, exception: &str, extra: Value) {
        let mut refusal =
            json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{exception}"), "message": exception});
        refusal.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        self.release.send(Some(http("400 Bad Request", &refusal.to_string()))).unwrap();
    }

    /// Answers it in the engine's place with a text that is no JSON.
    pub fn break_off(self, text: &str) {
        self.release.send(Some(http("200 OK", text))).unwrap();
    }
}

/// The proxy; it serves until the test's runtime ends.
pub struct Proxy {
    /// How to reach the engine through it.
    pub database: config::Database,
    calls: Arc<Mutex<Vec<Call>>>,
    hold: Arc<Mutex<Option<UnboundedSender<Held>>>>,
}

/// A call as it went over the wire.
pub struct Call {
    pub operation: String,
    pub body: Value,
}

impl Proxy {
    pub async fn before(database: &config::Database) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let engine = database.endpoint.clone().unwrap().replace("http://", "");
        let proxy = Self {
            database: config::Database { endpoint: Some(endpoint), ..database.clone() },
            calls: Arc::default(),
            hold: Arc::default(),
        };
        let (calls, hold) = (proxy.calls.clone(), proxy.hold.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, engine.clone(), calls.clone(), hold.clone()));
            }
        });
        proxy
    }

    /// The calls since the last time.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    /// The operations called since the last time.
    pub fn take_calls(&self) -> Vec<String> {
        self.take().into_iter().map(|call| call.operation).collect()
    }

    /// From now on every call waits until the test has seen it and lets it go.
    pub fn hold(&self) -> UnboundedReceiver<Held> {
        let (sender, receiver) = unbounded_channel();
        *self.hold.lock().unwrap() = Some(sender);
        receiver
    }

    /// Calls go through by themselves again.
    pub fn let_go(&self) {
        *self.hold.lock().unwrap() = None;
    }
}

async fn serve(
    mut client: TcpStream,
    engine: String,
    calls: Arc<Mutex<Vec<Call>>>,
    hold: Arc<Mutex<Option<UnboundedSender<Held>>>>,
) {
    let mut engine = TcpStream::connect(engine).await.unwrap();
    while let Some(request) = read_message(&mut client).await {
        let operation = operation(&request);
        let body = body(&request);
        calls.lock().unwrap().push(Call { operation: operation.clone(), body });
        let sender = hold.lock().unwrap().clone();
        if let Some(sender) = sender {
            let (release, released) = oneshot::channel();
            let _nobody_looks = sender.send(Held { operation, release });
            if let Ok(Some(answer)) = released.await {
                client.write_all(answer.as_bytes()).await.unwrap();
                continue;
            }
        }
        engine.write_all(&request).await.unwrap();
        let Some(answer) = read_message(&mut engine).await else { return };
        if client.write_all(&answer).await.is_err() {
            return;
        }
    }
}

fn http(status: &str, body: &str) -> String {
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0");
    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// A whole HTTP/1.1 message with a Content-Length; `None` at the end of the connection.
async fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
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

fn body(request: &[u8]) -> Value {
    let head = request.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    serde_json::from_slice(&request[head + 4..]).unwrap()
}

fn operation(request: &[u8]) -> String {
    let target = header(request, "x-amz-target").unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default().to_owned()
}
