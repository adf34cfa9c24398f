//! The service: its settings, its store and its metrics.

use std::time::Duration;

use tokio::time::timeout;
use tokio::try_join;

use super::edge::Edge;
use super::problem::Problem;
use crate::auth::{Authenticator, RoleSource};
use crate::config::{Config, UnknownUsers};
use crate::session::{Policy, Timestamp, UserId};
use crate::store::SessionStore;
use crate::telemetry::metrics::{Metrics, REJECTED, SERVER_ERRORS};

/// The user whose sessions are read at the start. It does not matter which user it is, or whether the user exists.
const WARM_UP_USER: &str = "-";

/// The service. It is made once at the start, and every request uses it.
#[derive(Clone, Debug)]
pub struct App {
    pub(super) authenticator: Authenticator,
    pub(super) edge: Edge,
    pub(super) store: SessionStore,
    pub(super) metrics: Metrics,
    pub(super) admin_role: String,
    pub(super) role_source: RoleSource,
    pub(super) unknown_users: UnknownUsers,
    pub(super) require_sid: bool,
}

impl App {
    /// A service with these settings on this store.
    pub fn new(config: Config, store: SessionStore, metrics: Metrics) -> Self {
        Self {
            store,
            admin_role: config.auth.admin_role.clone(),
            role_source: config.auth.role_source,
            unknown_users: config.unknown_users,
            edge: config.edge,
            require_sid: config.auth.require_sid,
            authenticator: Authenticator::new(config.auth, metrics.clone()),
            metrics,
        }
    }

    /// The store behind the service.
    pub fn store(&self) -> &SessionStore {
        &self.store
    }

    pub(super) fn policy(&self) -> &Policy {
        self.store.policy()
    }

    /// Opens the connections to DynamoDB and makes the calls of an admin's list once, while nobody waits. If this fails,
    /// the first request takes longer, and nothing else happens. So a failure is only logged.
    pub async fn warm_up(&self) {
        let Ok(user) = UserId::parse(WARM_UP_USER) else { return };
        // The admin's own sessions, and those of another user. An admin's token without `sid` opens a third connection later.
        let calls = async { try_join!(self.store.user_sessions(&user), self.store.user_sessions(&user)) };
        let limit: Duration = self.store.timeouts().warm_up;
        match timeout(limit, calls).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(cause = %error, "the warm-up failed"),
            Err(_) => tracing::warn!("the warm-up took too long"),
        }
    }

    /// Fetches the keys of the tokens' issuer, if they are to be fetched.
    pub async fn fetch_keys(&self, now: Timestamp) {
        self.authenticator.fetch_keys(now).await;
    }

    pub(super) fn count_refusal(&self, problem: &Problem) {
        let code = problem.code();
        self.metrics.add(format!("Refused.{}", code.as_str()), 1.0);
        if code.status().is_server_error() {
            self.metrics.add(SERVER_ERRORS, 1.0);
        }
        if code.is_rejection() {
            self.metrics.add(REJECTED, 1.0);
        }
    }
}
