//! The panel under examples/panel/, served from another port than the service: a cross-origin client like any other.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::{Issuer, provider};

/// The longest request taken, in bytes.
const REQUEST_MAX: u64 = 16 * 1024;

/// How long a browser may take over a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves the panel until the process or the runtime ends; `api` is where the service is, and `issuer` makes the tokens
/// to choose from.
pub async fn serve(listener: TcpListener, api: String, issuer: Issuer) {
    loop {
        let Ok((connection, _)) = listener.accept().await else {
            // Probably no file handle is free. Some will be free soon.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (api, issuer) = (api.clone(), issuer.clone());
        tokio::spawn(async move {
            let _a_browser_that_went_away = timeout(PATIENCE, answer(connection, &api, &issuer)).await;
        });
    }
}

async fn answer(mut connection: TcpStream, api: &str, issuer: &Issuer) -> std::io::Result<()> {
    let head = head(&mut connection).await?;
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, kind, body) = match (method, target.split('?').next().unwrap_or_default()) {
        ("GET", "/") => ("200 OK", "text/html", include_str!("../panel/index.html").into()),
        ("GET", "/panel.css") => ("200 OK", "text/css", include_str!("../panel/panel.css").into()),
        ("GET", "/panel.js") => ("200 OK", "text/javascript", include_str!("../panel/panel.js").into()),
        ("GET", "/signed-in.js") => {
            ("200 OK", "text/javascript", include_str!("../panel/signed-in.js").into())
        }
        ("GET", "/demo.json") => ("200 OK", "application/json", demo_json(api, issuer)),
        ("GET", provider::KEY_SET_PATH) => ("200 OK", "application/json", issuer.key_set()),
        _ => ("404 Not Found", "text/plain", "There is nothing here.\n".into()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n\
         Content-Type: {kind}; charset=utf-8\r\n\
         Content-Length: {length}\r\n\
         Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self' {api}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
         X-Content-Type-Options: nosniff\r\n\
         Referrer-Policy: no-referrer\r\n\
         Cache-Control: no-store\r\n\
         Connection: close\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await?;
    connection.write_all(body.as_bytes()).await?;
    connection.shutdown().await
}

/// The request up to its empty line. It is read to its end, because closing would otherwise
/// reset the connection before the answer arrives.
async fn head(connection: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    let mut limited = connection.take(REQUEST_MAX);
    while !head.ends_with(b"\r\n\r\n") && limited.read_buf(&mut head).await? > 0 {}
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Where the service is, and the demo users to choose from. The tokens are new each time.
fn demo_json(api: &str, issuer: &Issuer) -> String {
    let pick =
        |label: &str, about: &str, token: String| json!({"label": label, "about": about, "token": token});
    json!({
        "api": api,
        "users": ["74", "75"],
        "tokens": [
            pick("User 1, the admin", "Sees and ends other users' sessions", issuer.token("1", Some("admin"))),
            pick("User 74", "Has three devices, and this browser becomes one of them", issuer.token("74", None)),
            pick("User 75", "Has no device yet, and is no admin", issuer.token("75", None)),
        ],
    })
    .to_string()
}
