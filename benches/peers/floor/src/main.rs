//! The floor of `cargo bench --bench lambda`: lambda_http and an answer made beforehand. Told by `FLOOR=query` it is the
//! limit of a call instead: with one raw round trip to DynamoDB and no SDK, no token and no view around it.

use std::env;
use std::error::Error;
use std::sync::Arc;

use lambda_http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let table = match env::var("FLOOR").as_deref() {
        Ok("query") => Some(Mutex::new(Table::connect().await?)),
        _ => None,
    };
    let table = &table;
    lambda_http::run(lambda_http::service_fn(async move |_: Request| match table {
        Some(table) => {
            Ok::<_, Box<dyn Error + Send + Sync>>(Response::new(table.lock().await.query().await?))
        }
        None => Ok(Response::new("[]".to_owned())),
    }))
    .await
}

/// A connection and the request that goes over it again and again.
struct Table {
    stream: TlsStream<TcpStream>,
    request: String,
    answer: Vec<u8>,
}

impl Table {
    async fn connect() -> Result<Self> {
        let endpoint = env::var("AWS_ENDPOINT_URL_DYNAMODB")?;
        let address = endpoint.strip_prefix("https://").ok_or("the endpoint is not https")?;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let stream = connector()?.connect(ServerName::try_from("localhost")?, stream).await?;
        Ok(Self { stream, request: request(address, &env::var("TABLE_NAME")?), answer: Vec::new() })
    }

    /// The body of the answer.
    async fn query(&mut self) -> Result<String> {
        self.stream.write_all(self.request.as_bytes()).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err("the connection was closed".into());
            }
            if let Some(body) = body(&self.answer)? {
                return Ok(body.to_owned());
            }
        }
    }
}

fn connector() -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(
        CertificateDer::pem_file_iter(env::var("SSL_CERT_FILE")?)?.filter_map(std::result::Result::ok),
    );
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The Query of a list. The engine looks at the form of a signature and no further.
fn request(host: &str, table: &str) -> String {
    let body = format!(
        r#"{{"TableName":"{table}","IndexName":"live","ConsistentRead":true,"ScanIndexForward":false,"KeyConditionExpression":"user_id = :user","ExpressionAttributeValues":{{":user":{{"S":"74"}}}}}}"#
    );
    format!(
        "POST / HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/x-amz-json-1.0\r\n\
         x-amz-target: DynamoDB_20120810.Query\r\nx-amz-date: 20260101T000000Z\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=local/20260101/eu-central-1/dynamodb/aws4_request, \
         SignedHeaders=host;x-amz-date;x-amz-target, Signature={}\r\ncontent-length: {}\r\n\r\n{body}",
        "0".repeat(64),
        body.len()
    )
}

/// The body, once the answer is whole.
fn body(answer: &[u8]) -> Result<Option<&str>> {
    let text = std::str::from_utf8(answer)?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(None) };
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!("the engine refuses: {text}").into());
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    Ok((body.len() >= length.ok_or("no length")??).then_some(body))
}
