//! TLS before the embedded DynamoDB, as AWS has it: a CA of the bench's own, a leaf that it signed, and a listener.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::Result;

/// Where Debian and Amazon Linux keep the roots that a function trusts.
const SYSTEM_ROOTS: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// The files that contenders are pointed at.
pub struct Trust {
    /// The test CA and with it the system's roots: loading those is a part of a real cold start.
    pub all_roots: PathBuf,
    /// The test CA alone, for runtimes that bring roots of their own.
    pub test_root: PathBuf,
}

/// Serves TLS on a free port before the engine at `engine`; returns the port and whom to trust.
pub async fn serve(engine: String, folder: &Path) -> Result<(u16, Trust)> {
    let (config, root) = certificates()?;
    let trust = write(&root, folder)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), engine));
    Ok((port, trust))
}

fn certificates() -> Result<(ServerConfig, String)> {
    let mut params = named("test CA")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    // A leaf that is its own root is refused by rustls, one of the same name by OpenSSL.
    let leaf = named("localhost")?.signed_by(&key, &root)?;
    let key = PrivateKeyDer::try_from(key.serialize_der())?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)?;
    Ok((config, root.pem()))
}

fn named(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new([name.replace(' ', "-")])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn write(root: &str, folder: &Path) -> Result<Trust> {
    let system = SYSTEM_ROOTS.iter().find_map(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    let trust = Trust { all_roots: folder.join("all-roots.pem"), test_root: folder.join("test-root.pem") };
    fs::write(&trust.all_roots, system + root)?;
    fs::write(&trust.test_root, root)?;
    Ok(trust)
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, engine: String) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(forward(client, tls.clone(), engine.clone()));
    }
}

/// One connection, until either side is done with it; how it ends is for the contender to see.
async fn forward(client: TcpStream, tls: TlsAcceptor, engine: String) -> Result<()> {
    client.set_nodelay(true)?;
    let mut client = tls.accept(client).await?;
    let mut engine = TcpStream::connect(engine).await?;
    engine.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut engine).await?;
    Ok(())
}
