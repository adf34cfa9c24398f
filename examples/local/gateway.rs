//! What stands in for API Gateway: it passes every request on to the function, and answers browsers of other origins
//! with the CORS settings of template.yaml. `cargo lambda watch` by itself allows every header and credentials, which
//! the deployed API refuses, and hides `Link`, which the deployed API shows.

use std::sync::Arc;
use std::time::Duration;

use serde_norway::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::engine::{Result, list};

/// The longest head of a request or an answer, in bytes.
const HEAD_MAX: usize = 256 * 1024;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The CORS settings of the deployed API.
pub struct Cors {
    preflight: String,
    exposed: String,
}

impl Cors {
    /// Reads them from template.yaml.
    pub fn from_template() -> Result<Self> {
        let template: Value = serde_norway::from_str(include_str!("../../template.yaml"))?;
        let cors = &template["Resources"]["Api"]["Properties"]["CorsConfiguration"]["Fn::If"][1];
        let joined = |name| {
            let words: Vec<_> = list(cors, name)?.iter().filter_map(Value::as_str).collect();
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(words.join(","))
        };
        let age = cors["MaxAge"].as_u64().ok_or("template.yaml: MaxAge is no number")?;
        Ok(Self {
            preflight: format!(
                "Access-Control-Allow-Methods: {}\r\nAccess-Control-Allow-Headers: {}\r\n\
                 Access-Control-Max-Age: {age}\r\n",
                joined("AllowMethods")?,
                joined("AllowHeaders")?,
            ),
            exposed: format!("Access-Control-Expose-Headers: {}\r\n", joined("ExposeHeaders")?),
        })
    }

    /// The headers for an answer to this origin. Here every page on this machine counts as one of `PanelOrigins`.
    fn headers(&self, origin: Option<&str>, preflight: bool) -> String {
        let Some(origin) = origin.filter(|origin| is_local(origin)) else { return String::new() };
        let more = if preflight { &self.preflight } else { &self.exposed };
        format!("Access-Control-Allow-Origin: {origin}\r\nVary: Origin\r\n{more}")
    }
}

fn is_local(origin: &str) -> bool {
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    matches!(host.split(':').next(), Some("127.0.0.1" | "localhost"))
}

/// Passes requests on to the function at `port` until the process or the runtime ends.
pub async fn serve(listener: TcpListener, port: u16, cors: Cors) {
    let cors = Arc::new(cors);
    loop {
        let Ok((browser, _)) = listener.accept().await else {
            // Probably no file handle is free. Some will be free soon.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let cors = Arc::clone(&cors);
        tokio::spawn(async move {
            let _one_side_went_away = pass(browser, port, &cors).await;
        });
    }
}

/// Passes one request on, and its answer back; the connection ends with it.
async fn pass(mut browser: TcpStream, port: u16, cors: &Cors) -> std::io::Result<()> {
    let Some(request) = Head::read(&mut browser).await? else { return Ok(()) };
    let origin = request.value("origin");
    if request.lines[0].starts_with("OPTIONS ") && request.value("access-control-request-method").is_some() {
        let headers = cors.headers(origin, true);
        let answer = format!("HTTP/1.1 204 No Content\r\n{headers}Connection: close\r\n\r\n");
        return browser.write_all(answer.as_bytes()).await;
    }
    let mut function = TcpStream::connect(("127.0.0.1", port)).await?;
    function
        .write_all(&request.with("Connection: close\r\n", |name| matches!(name, "connection" | "expect")))
        .await?;
    if request.value("expect").is_some() {
        browser.write_all(CONTINUE).await?;
    }
    let (mut from_browser, mut to_browser) = browser.split();
    let (mut from_function, mut to_function) = function.split();
    let answer = async {
        let Some(answer) = Head::read(&mut from_function).await? else { return Ok(()) };
        let headers = cors.headers(origin, false) + "Connection: close\r\n";
        let replaced = |name: &str| name == "connection" || name.starts_with("access-control-");
        to_browser.write_all(&answer.with(&headers, replaced)).await?;
        copy(&mut from_function, &mut to_browser).await?;
        to_browser.shutdown().await
    };
    tokio::select! {
        outcome = answer => outcome,
        Err(error) = copy(&mut from_browser, &mut to_function) => Err(error),
    }
}

/// The first line and the headers of a request or an answer, and what was read of its body.
struct Head {
    lines: Vec<String>,
    rest: Vec<u8>,
}

impl Head {
    async fn read(from: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        while bytes.len() < HEAD_MAX && from.read_buf(&mut bytes).await? > 0 {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = bytes.split_off(end + 4);
                let text = String::from_utf8_lossy(&bytes[..end]);
                return Ok(Some(Self { lines: text.split("\r\n").map(Into::into).collect(), rest }));
            }
        }
        Ok(None)
    }

    fn value(&self, wanted: &str) -> Option<&str> {
        let mut headers = self.lines[1..].iter().filter_map(|line| line.split_once(':'));
        headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    }

    /// The bytes to send: with `headers` more, and without those whose name is `dropped`.
    fn with(&self, headers: &str, dropped: impl Fn(&str) -> bool) -> Vec<u8> {
        let name = |line: &str| line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let kept = self.lines[1..].iter().filter(|line| !dropped(&name(line)));
        let lines: String =
            std::iter::once(&self.lines[0]).chain(kept).flat_map(|line| [line, "\r\n"]).collect();
        [format!("{lines}{headers}\r\n").as_bytes(), &self.rest].concat()
    }
}
