//! TLS with the system's root certificates.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, OnceLock};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The settings of all connections. The first connection makes them, because it takes time to read the roots.
#[derive(Debug, Default)]
pub(super) struct Tls(OnceLock<Arc<ClientConfig>>);

impl Tls {
    /// Makes the handshake with the server of this name.
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

/// The roots in `SSL_CERT_FILE`, or else in the file where this system keeps them. A root that cannot be read is left
/// out.
fn roots() -> Result<RootCertStore> {
    let none = |what| Error::new(ErrorKind::NotFound, what);
    let file = openssl_probe::probe().cert_file.ok_or_else(|| none("the system has no root certificates"))?;
    let pem = fs::read(file)?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(|root| root.ok()));
    if roots.is_empty() { Err(none("the file of root certificates has none")) } else { Ok(roots) }
}
