//! The addresses of DynamoDB.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio::net::lookup_host;
use tokio::sync::Mutex;

/// How long an answer is used. The connections of one start or one request are opened within this time.
const FRESH: Duration = Duration::from_millis(100);

/// Looks names up with the system's resolver. Connections that are opened at the same time share one lookup, because each lookup
/// takes a thread, and threads are slow to start with the CPU share of a small function.
#[derive(Debug, Default)]
pub(super) struct SharedLookup(Mutex<Option<Found>>);

/// The last answer.
#[derive(Debug)]
struct Found {
    name: String,
    addresses: Vec<IpAddr>,
    at: Instant,
}

impl SharedLookup {
    /// The lock is held during a lookup, so that everyone else waits for its answer.
    pub(super) async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut last = self.0.lock().await;
        if let Some(found) = last.as_ref().filter(|found| found.name == name && found.at.elapsed() < FRESH) {
            return Ok(found.addresses.clone());
        }
        let found = lookup_host((name, 0)).await?;
        let addresses: Vec<_> = found.map(|address| address.ip()).collect();
        *last = Some(Found { name: name.into(), addresses: addresses.clone(), at: Instant::now() });
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    /// A lookup that has found this name. The names below are longer than DNS allows, so a real
    /// lookup of them fails.
    fn found(name: &str, at: Instant) -> SharedLookup {
        let found = Found { name: name.into(), addresses: vec![ADDRESS], at };
        SharedLookup(Mutex::new(Some(found)))
    }

    #[tokio::test]
    async fn a_name_is_looked_up_with_the_systems_resolver() {
        let addresses = SharedLookup::default().addresses("localhost").await.unwrap();
        assert!(addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
        assert!(!addresses.is_empty());
    }

    #[tokio::test]
    async fn an_answer_is_shared_for_a_moment_and_only_for_its_own_name() {
        let (long, other) = ("a".repeat(300), "b".repeat(300));
        // `new` lies in the future, so no time has passed since then.
        let (new, old) = (Instant::now() + Duration::from_secs(3_600), Instant::now() - FRESH);
        assert_eq!(found(&long, new).addresses(&long).await.unwrap(), [ADDRESS]);
        for lookup in [found(&long, old), found(&other, new)] {
            assert!(lookup.addresses(&long).await.is_err());
        }
    }
}
