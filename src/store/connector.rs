//! The connections to DynamoDB. The SDK signs requests, repeats them if need be, and bounds their time; this sends them.
//!
//! The SDK has a connector of its own. This one makes the service smaller and its start faster:
//! docs/performance.md has the figures.

use std::io;
use std::mem::take;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::config::{HttpClient, RuntimeComponents};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::{Authority, Scheme};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::dns::SharedLookup;
use super::tls::Tls;

/// A connection that was idle for so long is not used again: a router or firewall may have dropped it, and then a request
/// gets no answer. hyper-util has the same limit.
const IDLE_MAX: Duration = Duration::from_secs(90);

/// All connections; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    lookup: SharedLookup,
    tls: Tls,
    /// The connections without a request under way, in the order of their last use.
    idle: Mutex<Vec<Connection>>,
}

/// An open connection.
#[derive(Debug)]
struct Connection {
    endpoint: Endpoint,
    sender: SendRequest<SdkBody>,
    used_at: Instant,
}

impl HttpClient for Connections {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            connections: self.clone(),
            connect_timeout: settings.connect_timeout(),
            read_timeout: settings.read_timeout(),
        })
    }
}

/// The connections, with the time limits of a client.
#[derive(Clone, Debug)]
struct Connector {
    connections: Connections,
    connect_timeout: Option<Duration>,
    read_timeout: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move { within(connector.read_timeout, connector.send(request)).await })
    }
}

impl Connector {
    /// Sends a request and reads the whole answer. If this future is dropped before, the connection is closed.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let (endpoint, mut request) = Endpoint::split(request)?;
        while let Some(mut connection) = self.connections.take_idle(&endpoint) {
            match connection.sender.try_send_request(request).await {
                Ok(answer) => return self.connections.read(answer, connection).await,
                Err(mut error) => match error.take_message() {
                    // The server has closed this connection, and did not get the request. The next one sends it.
                    Some(unsent) => request = unsent,
                    None => return Err(hyper_error(error.into_error())),
                },
            }
        }
        let mut connection = within(self.connect_timeout, self.connections.open(endpoint)).await?;
        let answer = connection.sender.send_request(request).await.map_err(hyper_error)?;
        self.connections.read(answer, connection).await
    }
}

impl Connections {
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connection to this endpoint that was used last.
    fn take_idle(&self, endpoint: &Endpoint) -> Option<Connection> {
        let mut idle = self.idle();
        idle.retain(|connection| !connection.sender.is_closed() && connection.used_at.elapsed() < IDLE_MAX);
        let is_usable = |each: &Connection| each.endpoint == *endpoint && each.sender.is_ready();
        let at = idle.iter().rposition(is_usable)?;
        Some(idle.remove(at))
    }

    async fn open(&self, endpoint: Endpoint) -> Result<Connection, ConnectorError> {
        let sender = self.connect(&endpoint).await.map_err(|error| ConnectorError::io(error.into()))?;
        Ok(Connection { endpoint, sender, used_at: Instant::now() })
    }

    async fn connect(&self, endpoint: &Endpoint) -> io::Result<SendRequest<SdkBody>> {
        let addresses = self.0.lookup.addresses(endpoint.host()).await?;
        let with_port = |address| SocketAddr::new(address, endpoint.port());
        let addresses: Vec<_> = addresses.into_iter().map(with_port).collect();
        let stream = TcpStream::connect(addresses.as_slice()).await?;
        stream.set_nodelay(true)?;
        match endpoint.is_https {
            true => start(self.0.tls.connect(endpoint.host(), stream).await?).await,
            false => start(stream).await,
        }
    }

    /// Reads the whole answer. Then the connection is idle. After a server error it is closed, because a new one may reach
    /// another machine, which works.
    async fn read(
        &self,
        answer: Response<Incoming>,
        connection: Connection,
    ) -> Result<HttpResponse, ConnectorError> {
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(hyper_error)?.to_bytes();
        if !head.status.is_server_error() {
            self.idle().push(Connection { used_at: Instant::now(), ..connection });
        }
        let answer = Response::from_parts(head, SdkBody::from(body));
        HttpResponse::try_from(answer).map_err(|error| ConnectorError::other(error.into(), None))
    }
}

/// Starts HTTP/1.1. HTTP/2 is not offered.
async fn start(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> io::Result<SendRequest<SdkBody>> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // The task ends when either side closes the connection. A request under way then gets the error.
    tokio::spawn(connection);
    Ok(sender)
}

/// The server of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoint {
    is_https: bool,
    authority: Authority,
}

impl Endpoint {
    /// Turns a request for a URL into one for the URL's server: it has only the path, and the server's name in the header
    /// `host` (RFC 9112, section 3.2).
    fn split(request: HttpRequest) -> Result<(Self, Request<SdkBody>), ConnectorError> {
        let mut request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        let url = take(request.uri_mut()).into_parts();
        let refused = || ConnectorError::user("the endpoint is not a URL with http or https".into());
        let is_https = match url.scheme.as_ref().map(Scheme::as_str) {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(refused()),
        };
        let authority = url.authority.ok_or_else(refused)?;
        *request.uri_mut() = url.path_and_query.map_or_else(Uri::default, Uri::from);
        let endpoint = Self { is_https, authority };
        let host = endpoint.host_header().map_err(|error| ConnectorError::user(error.into()))?;
        request.headers_mut().insert(HOST, host);
        Ok((endpoint, request))
    }

    /// The name or the address.
    fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    fn default_port(&self) -> u16 {
        if self.is_https { 443 } else { 80 }
    }

    fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(self.default_port())
    }

    /// The host as the SDK has signed it: with the port, unless it is the default one.
    fn host_header(&self) -> Result<HeaderValue, hyper::header::InvalidHeaderValue> {
        match self.port() == self.default_port() {
            true => HeaderValue::from_str(self.authority.host()),
            false => HeaderValue::from_str(self.authority.as_str()),
        }
    }
}

async fn within<T>(
    limit: Option<Duration>,
    work: impl Future<Output = Result<T, ConnectorError>>,
) -> Result<T, ConnectorError> {
    match limit {
        Some(limit) => timeout(limit, work).await.map_err(|error| ConnectorError::timeout(error.into()))?,
        None => work.await,
    }
}

/// The SDK repeats a request when the error is `io`: the connection broke. It does not when the error is `other`: the answer
/// is not HTTP, or the request cannot be sent as HTTP.
fn hyper_error(error: hyper::Error) -> ConnectorError {
    match error.is_parse() || error.is_user() {
        true => ConnectorError::other(error.into(), None),
        false => ConnectorError::io(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::task::yield_now;

    use super::*;

    fn request(url: &str) -> HttpRequest {
        let mut request = HttpRequest::new(SdkBody::from("{}"));
        request.set_uri(url).unwrap();
        request
    }

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::split(request(url)).unwrap().0
    }

    /// A connection that can take a request, and the server's end of it.
    async fn connection(url: &str, used_at: Instant) -> (Connection, DuplexStream) {
        let (client, server) = duplex(1_024);
        let mut sender = start(client).await.unwrap();
        sender.ready().await.unwrap();
        (Connection { endpoint: endpoint(url), sender, used_at }, server)
    }

    /// Two idle connections, of which the second was used a second after the first, and the servers' ends of them.
    async fn two_idle(now: Instant) -> (Connections, [DuplexStream; 2]) {
        let connections = Connections::default();
        let (first, first_server) = connection("http://one/", now).await;
        let (second, second_server) = connection("http://one/", now + Duration::from_secs(1)).await;
        connections.idle().extend([first, second]);
        (connections, [first_server, second_server])
    }

    /// Reads one request and answers it.
    async fn serve(mut server: DuplexStream) {
        let mut received = Vec::new();
        while !received.ends_with(b"{}") {
            assert_ne!(server.read_buf(&mut received).await.unwrap(), 0, "the connection was closed");
        }
        server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
    }

    #[test]
    fn a_request_names_its_server_as_the_sdk_has_signed_it() {
        let cases = [
            ("https://dynamodb.eu-central-1.amazonaws.com/", "dynamodb.eu-central-1.amazonaws.com", 443),
            ("https://localhost:443/", "localhost", 443),
            ("http://localhost/", "localhost", 80),
            ("http://127.0.0.1:8000/", "127.0.0.1:8000", 8_000),
            ("http://[::1]:8000/", "[::1]:8000", 8_000),
        ];
        for (url, host, port) in cases {
            let (endpoint, request) = Endpoint::split(request(url)).unwrap();
            assert_eq!(request.headers()[HOST], host);
            assert_eq!(request.uri(), "/");
            assert_eq!(endpoint.port(), port);
        }
        assert_eq!(endpoint("http://[::1]:8000/").host(), "::1");
        for no_endpoint in ["/", "//localhost/", "htps://localhost/"] {
            assert!(Endpoint::split(request(no_endpoint)).is_err(), "{no_endpoint}");
        }
    }

    #[tokio::test]
    async fn an_idle_connection_is_used_again_for_its_own_endpoint_and_the_last_one_first() {
        let now = Instant::now();
        let (connections, _servers) = two_idle(now).await;
        assert!(connections.take_idle(&endpoint("http://two/")).is_none());
        assert!(connections.take_idle(&endpoint("https://one/")).is_none());
        let taken = connections.take_idle(&endpoint("http://one/")).unwrap();
        assert_eq!(taken.used_at, now + Duration::from_secs(1));
        assert!(connections.take_idle(&endpoint("http://one/")).is_some());
        assert!(connections.take_idle(&endpoint("http://one/")).is_none());
    }

    #[tokio::test]
    async fn a_connection_that_is_closed_or_was_idle_too_long_is_not_used_again() {
        let connections = Connections::default();
        let (old, _server) = connection("http://one/", Instant::now() - IDLE_MAX).await;
        let (closed, server) = connection("http://one/", Instant::now()).await;
        drop(server);
        while !closed.sender.is_closed() {
            yield_now().await;
        }
        connections.idle().extend([old, closed]);
        assert!(connections.take_idle(&endpoint("http://one/")).is_none());
        assert!(connections.idle().is_empty());
    }

    #[tokio::test]
    async fn a_request_that_its_connection_could_not_send_goes_to_the_next_one() {
        let (connections, [works, closed]) = two_idle(Instant::now()).await;
        // The connection's task has not run since, so nobody knows yet that it is closed.
        drop(closed);
        let connector = Connector { connections, connect_timeout: None, read_timeout: None };
        tokio::spawn(serve(works));
        let answer = connector.send(request("http://one/")).await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        assert_eq!(connector.connections.idle().len(), 1);
    }
}
