//! The address of an issuer's key set, and how the set is fetched.

use std::fmt;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::HttpError;
use aws_smithy_types::byte_stream::{ByteStream, error::Error as BodyError};
use url::{Host, Url};

use super::jwks::{JwksError, PublicKeys};

/// The largest key set, in bytes.
const SET_MAX: usize = 64 * 1024;

/// The address of a key set. Without TLS it must be on this machine, because whoever answers decides who is an admin.
#[derive(Clone, PartialEq, Eq)]
pub struct JwksUrl(Url);

/// The text is not such an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an https:// URL, without a user and a password (http:// only for 127.0.0.1, [::1] and localhost)")]
pub struct InvalidJwksUrl;

impl JwksUrl {
    /// Parses the address.
    ///
    /// # Errors
    /// [`InvalidJwksUrl`] when it is no URL, when it is neither https nor on this machine, or when it has a password.
    pub fn parse(text: &str) -> Result<Self, InvalidJwksUrl> {
        let url = Url::parse(text).map_err(|_| InvalidJwksUrl)?;
        let is_private = match url.scheme() {
            "https" => true,
            "http" => is_loopback(&url),
            _ => false,
        };
        let names_nobody = url.username().is_empty() && url.password().is_none();
        if is_private && names_nobody { Ok(Self(url)) } else { Err(InvalidJwksUrl) }
    }
}

/// An address may have a secret in its query.
impl fmt::Debug for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JwksUrl(..)")
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Why there is no key set. The messages contain no address.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the address cannot be asked")]
    Address(#[source] HttpError),
    #[error("the issuer cannot be reached")]
    Unreachable(#[source] ConnectorError),
    #[error("the issuer takes too long")]
    TooSlow,
    /// Redirects are not followed: they may lead anywhere.
    #[error("the issuer answered {0} and not 200")]
    Status(u16),
    #[error("the answer broke off")]
    BrokenOff(#[source] BodyError),
    #[error("the answer has more than {SET_MAX} bytes")]
    TooLarge,
    #[error("the answer is no usable key set")]
    Unusable(#[source] JwksError),
}

/// Fetches the set. It opens a connection each time: between two fetches Lambda may freeze the process for hours.
#[derive(Debug)]
pub(super) struct Fetcher {
    url: JwksUrl,
    connector: Connector,
}

impl Fetcher {
    pub fn new(url: JwksUrl) -> Self {
        let tls = tls::Provider::Rustls(CryptoMode::Ring);
        let connector = Connector::builder().tls_provider(tls).pool_max_idle_per_host(0).build();
        Self { url, connector }
    }

    pub async fn fetch(&self) -> Result<PublicKeys, FetchError> {
        let mut request = HttpRequest::get(&self.url.0).map_err(FetchError::Address)?;
        // Some firewalls refuse requests without it.
        request.headers_mut().insert("user-agent", env!("CARGO_PKG_NAME"));
        let response = self.connector.call(request).await.map_err(FetchError::Unreachable)?;
        match response.status().as_u16() {
            200 => {}
            other => return Err(FetchError::Status(other)),
        }
        let text = read(ByteStream::new(response.into_body())).await?;
        PublicKeys::fetched(&text).map_err(FetchError::Unusable)
    }
}

async fn read(mut body: ByteStream) -> Result<Vec<u8>, FetchError> {
    let mut text = Vec::new();
    while let Some(part) = body.try_next().await.map_err(FetchError::BrokenOff)? {
        text.extend_from_slice(&part);
        if text.len() > SET_MAX {
            return Err(FetchError::TooLarge);
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_tls_or_from_this_machine() {
        for text in [
            "https://issuer.example/.well-known/jwks.json",
            "https://issuer.example:8443/keys?p=b2c_1",
            "https://192.0.2.1/",
            "HTTPS://issuer.example/keys",
            "http://127.0.0.1:9000/keys",
            "http://127.8.0.1/keys",
            "http://[::1]:9000/keys",
            "http://localhost/keys",
        ] {
            assert!(JwksUrl::parse(text).is_ok(), "{text}");
        }
        for text in [
            "http://issuer.example/keys",
            "http://localhost.issuer.example/",
            "http://127.0.0.1.issuer.example/",
            "http://127.0.0.1@issuer.example/",
            "http://192.0.2.1/",
            "http://0.0.0.0/",
            "https://user@issuer.example/",
            "https://user:password@issuer.example/",
            "https://",
            "https:///",
            "ftp://127.0.0.1/",
            "file:///etc/keys.json",
            "issuer.example/keys",
            "//issuer.example/keys",
            "/keys",
            "{}",
        ] {
            assert_eq!(JwksUrl::parse(text), Err(InvalidJwksUrl), "{text}");
        }
    }
}
