//! A mock of the Lambda Runtime API: hands out one event at a time and notes when.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The API for one process.
pub struct Runtime {
    /// The value of `AWS_LAMBDA_RUNTIME_API`.
    pub address: String,
    events: UnboundedSender<Arc<str>>,
    calls: UnboundedReceiver<Call>,
}

/// One invocation.
pub struct Call {
    /// When the function had asked for an event and was given one.
    pub delivered: Instant,
    /// When its answer was there.
    pub answered: Instant,
    /// The answer, or what it says of its failure.
    pub body: Vec<u8>,
}

/// What the connections share.
struct Shared {
    events: Mutex<UnboundedReceiver<Arc<str>>>,
    delivered: Mutex<Option<Instant>>,
    calls: UnboundedSender<Call>,
}

impl Runtime {
    /// Listens on a free port until it is dropped.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let (events, queue) = unbounded_channel();
        let (sender, calls) = unbounded_channel();
        let shared =
            Arc::new(Shared { events: Mutex::new(queue), delivered: Mutex::default(), calls: sender });
        tokio::spawn(accept(listener, shared));
        Ok(Self { address, events, calls })
    }

    /// Queues an event for the next time the function asks.
    pub fn send(&self, event: &Arc<str>) {
        let _ended = self.events.send(event.clone());
    }

    /// The next invocation to be answered; `None` once the function is gone.
    pub async fn answer(&mut self) -> Option<Call> {
        self.calls.recv().await
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // The last handle of the bench is the receiver: without it there is nobody left to serve for.
    while !shared.calls.is_closed() {
        let Ok((stream, _)) = listener.accept().await else { return };
        let _slower_then = stream.set_nodelay(true);
        tokio::spawn(serve(BufReader::new(stream), shared.clone()));
    }
}

/// Serves one connection; its end is the end of the function, or of the bench.
async fn serve(mut stream: BufReader<TcpStream>, shared: Arc<Shared>) {
    while let Some((head, body)) = read_request(&mut stream).await {
        let reply = match head.starts_with("GET ") {
            true => match next_event(&mut stream, &shared).await {
                Some(event) => event,
                None => return,
            },
            false => {
                shared.take_answer(body).await;
                "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
        };
        if stream.get_mut().write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

impl Shared {
    async fn take_answer(&self, body: Vec<u8>) {
        let answered = Instant::now();
        if let Some(delivered) = self.delivered.lock().await.take() {
            let _ended = self.calls.send(Call { delivered, answered, body });
        }
    }
}

/// The reply to `GET /2018-06-01/runtime/invocation/next`; `None` when the function goes away while it waits.
async fn next_event(stream: &mut BufReader<TcpStream>, shared: &Shared) -> Option<String> {
    let mut events = shared.events.lock().await;
    let event = tokio::select! {
        event = events.recv() => event?,
        _gone = stream.fill_buf() => return None,
    };
    *shared.delivered.lock().await = Some(Instant::now());
    Some(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
         lambda-runtime-aws-request-id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n\
         lambda-runtime-deadline-ms: 4102444800000\r\n\
         lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-central-1:123456789012:function:bench\r\n\
         lambda-runtime-trace-id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0\r\n\
         content-length: {}\r\n\r\n{event}",
        event.len()
    ))
}

/// The head of a request and its body, which has a length or comes in chunks.
async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_ascii_lowercase();
    let field = |name: &str| lower.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let body = match field("content-length:") {
        Some(length) => read_exactly(stream, length.parse().ok()?).await?,
        None if field("transfer-encoding:") == Some("chunked") => read_chunks(stream).await?,
        None => Vec::new(),
    };
    Some((head, body))
}

async fn read_exactly(stream: &mut BufReader<TcpStream>, length: usize) -> Option<Vec<u8>> {
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(body)
}

async fn read_chunks(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        stream.read_line(&mut size).await.ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let mut chunk = read_exactly(stream, size + 2).await?;
        if size == 0 {
            return Some(body);
        }
        chunk.truncate(size);
        body.append(&mut chunk);
    }
}
