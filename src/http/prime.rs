//! The first request as fast as the next ones: a list is made once while the function starts.

use tokio::time::timeout;

use super::App;
use crate::session::UserId;

/// Whose sessions are read. It does not matter whose, nor whether there is such a user.
const NOBODY: &str = "-";

impl App {
    /// Opens the connection to DynamoDB and reads once what a list reads, while a start is under way and nobody waits.
    /// A failure costs the first request its head start and nothing else, so it is only logged.
    pub async fn prime(&self) {
        let Ok(user) = UserId::parse(NOBODY) else { return };
        match timeout(self.store.patience().prime, self.store.open(&user)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(cause = %error, "not primed"),
            Err(_) => tracing::warn!("not primed in time"),
        }
    }
}
