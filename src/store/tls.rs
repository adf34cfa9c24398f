//! TLS with the system's root certificates.

use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, OnceLock};

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use rustls_native_certs::load_native_certs;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The settings of all connections. The first connection makes them, because reading the roots takes time.
#[derive(Debug, Default)]
pub(super) struct Tls(OnceLock<Arc<ClientConfig>>);

impl Tls {
    /// Does the TLS handshake, and checks that the server has this name.
    ///
    /// # Errors
    /// The system has no roots, or the handshake fails.
    pub(super) async fn connect(&self, name: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).map_err(Error::other)?;
        TlsConnector::from(self.config()?).connect(name, stream).await
    }

    fn config(&self) -> Result<Arc<ClientConfig>> {
        if let Some(config) = self.0.get() {
            return Ok(config.clone());
        }
        let config = Arc::new(read_config()?);
        Ok(self.0.get_or_init(|| config).clone())
    }
}

fn read_config() -> Result<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?;
    Ok(config.with_root_certificates(roots()?).with_no_client_auth())
}

/// The system's roots. `SSL_CERT_FILE` and `SSL_CERT_DIR` name others. A root that cannot be read is left out.
fn roots() -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(load_native_certs().certs);
    match roots.is_empty() {
        true => Err(Error::new(ErrorKind::NotFound, "no root certificates were found")),
        false => Ok(roots),
    }
}
