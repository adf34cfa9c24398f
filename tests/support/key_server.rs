//! An issuer that publishes its keys: a small HTTP server whose answer the test chooses.

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::fault::message;
use super::keys::{self, AUDIENCE, ISSUER};
use super::proxy::read_message;

/// The server. It stops with the test.
pub struct KeyServer {
    /// Where it listens, such as `127.0.0.1:8080`.
    pub address: String,
    url: String,
    /// What each request is answered; while there is nothing, requests wait.
    answer: watch::Sender<Option<Vec<u8>>>,
    requests: watch::Sender<usize>,
}

impl KeyServer {
    /// A server that publishes these keys.
    pub async fn start(keys: &[Value]) -> Self {
        let server = Self::silent().await;
        server.publish(keys);
        server
    }

    /// A server that lets every request wait until it is told what to answer.
    pub async fn silent() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (answer, requests) = (watch::Sender::new(None), watch::Sender::new(0));
        let server = Self { url: format!("http://{address}/keys"), address, answer, requests };
        let (answer, requests) = (server.answer.clone(), server.requests.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, answer.subscribe(), requests.clone()));
            }
        });
        server
    }

    /// The settings of a service that takes its keys from here.
    pub fn settings(&self) -> [(&str, &str); 5] {
        [
            ("AUTH_MODE", "jwks"),
            ("JWKS_URL", &self.url),
            ("JWT_ISSUER", ISSUER),
            ("JWT_AUDIENCE", AUDIENCE),
            ("SESSION_ID_CLAIM", "session"),
        ]
    }

    pub fn publish(&self, keys: &[Value]) {
        self.answer(200, &keys::set(keys));
    }

    pub fn answer(&self, status: u16, body: &str) {
        self.answer_bytes(message(status, "application/json", body));
    }

    /// Answers with these bytes, whether they are HTTP or not.
    pub fn answer_bytes(&self, bytes: Vec<u8>) {
        self.answer.send_replace(Some(bytes));
    }

    /// From now on every request waits.
    pub fn fall_silent(&self) {
        self.answer.send_replace(None);
    }

    /// How often it was asked.
    pub fn requests(&self) -> usize {
        *self.requests.borrow()
    }

    /// Waits until it has been asked so often.
    pub async fn asked(&self, times: usize) {
        self.requests.subscribe().wait_for(|requests| *requests >= times).await.unwrap();
    }
}

async fn serve(
    mut client: TcpStream,
    mut answer: watch::Receiver<Option<Vec<u8>>>,
    requests: watch::Sender<usize>,
) {
    while let Some(request) = read_message(&mut client).await {
        assert!(request.starts_with(b"GET /keys HTTP/1.1\r\n"), "{}", String::from_utf8_lossy(&request));
        requests.send_modify(|requests| *requests += 1);
        let Ok(bytes) = answer.wait_for(Option::is_some).await.map(|bytes| bytes.clone().unwrap()) else {
            return;
        };
        // What says less than it promises ends here.
        let is_whole = bytes.ends_with(b"}");
        if client.write_all(&bytes).await.is_err() || !is_whole {
            return;
        }
    }
}
