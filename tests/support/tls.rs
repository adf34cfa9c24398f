//! TLS before the embedded DynamoDB, as AWS has it: a CA of our own, a leaf that it signed, and a listener. The answers can
//! take as long as the way to DynamoDB and back.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, copy, copy_bidirectional, duplex, split,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::spawn_blocking;
use tokio_rustls::TlsAcceptor;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Where Debian and Amazon Linux keep the roots that a function trusts.
const SYSTEM_ROOTS: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// The files that contenders are pointed at.
pub struct Trust {
    /// The test CA and with it the system's roots: loading those is a part of a real cold start.
    pub all_roots: PathBuf,
    /// Only the test CA, for runtimes that bring roots of their own.
    pub test_root: PathBuf,
}

/// The TLS side of an engine.
#[derive(Clone)]
pub struct Front {
    acceptor: TlsAcceptor,
    /// The address of the engine.
    engine: String,
}

impl Front {
    /// A front of the engine at this address, and the files with which clients trust it.
    pub fn new(engine: String, folder: &Path) -> Result<(Self, Trust)> {
        let (config, root) = certificates()?;
        Ok((Self { acceptor: TlsAcceptor::from(Arc::new(config)), engine }, write(&root, folder)?))
    }

    /// Serves on a free port, which it returns. Everything that clients receive comes `delay` later.
    pub async fn serve(&self, delay: Duration) -> Result<u16> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let front = self.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(front.clone().connect(client, delay));
            }
        });
        Ok(port)
    }

    async fn connect(self, client: TcpStream, delay: Duration) -> Result<()> {
        client.set_nodelay(true)?;
        if delay.is_zero() {
            return self.forward(client).await;
        }
        let (near, far) = duplex(BUFFER);
        tokio::spawn(self.forward(far));
        delayed(client, near, delay).await
    }

    /// Forwards one connection until either side closes it. The contender reports whatever goes wrong.
    async fn forward(self, client: impl AsyncRead + AsyncWrite + Unpin) -> Result<()> {
        let mut client = self.acceptor.accept(client).await?;
        let mut engine = TcpStream::connect(&self.engine).await?;
        engine.set_nodelay(true)?;
        copy_bidirectional(&mut client, &mut engine).await?;
        Ok(())
    }
}

/// More bytes than are ever under way.
const BUFFER: usize = 1 << 16;

/// Bytes, and the time at which they arrive.
type Parcel = (Instant, Vec<u8>);

/// Passes everything on from the client at once, and everything to the client after `delay`.
async fn delayed(client: TcpStream, front: DuplexStream, delay: Duration) -> Result<()> {
    let (mut from_client, to_client) = client.into_split();
    let (from_front, mut to_front) = split(front);
    let (sender, parcels) = unbounded_channel();
    tokio::spawn(send_off(from_front, sender, delay));
    tokio::spawn(deliver(parcels, to_client));
    copy(&mut from_client, &mut to_front).await?;
    Ok(())
}

async fn send_off(mut from: impl AsyncRead + Unpin, parcels: UnboundedSender<Parcel>, delay: Duration) {
    loop {
        let mut bytes = Vec::with_capacity(BUFFER);
        match from.read_buf(&mut bytes).await {
            Ok(1..) if parcels.send((Instant::now() + delay, bytes)).is_ok() => {}
            _ => return,
        }
    }
}

async fn deliver(mut parcels: UnboundedReceiver<Parcel>, mut to: impl AsyncWrite + Unpin) -> Result<()> {
    while let Some((due, bytes)) = parcels.recv().await {
        // tokio's timers count whole milliseconds, which is too coarse here.
        spawn_blocking(move || std::thread::sleep(due.saturating_duration_since(Instant::now()))).await?;
        to.write_all(&bytes).await?;
    }
    Ok(())
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
