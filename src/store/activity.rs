//! Recording that a session was used.

use super::expression::Expression;
use super::item::attribute::{IP_ADDRESS, LAST_ACTIVITY, LIVE_SK};
use super::item::{key, session_sk, text, time};
use super::transaction::Outcome;
use super::{SessionStore, StoreError};
use crate::session::{Session, Timestamp, later};

impl SessionStore {
    /// Moves the last activity of a session that was `seen` live to `now`, and its IP address to `ip_address`, at most
    /// once per activity interval. It never makes an ended session live: if something ended the session meanwhile, the
    /// ended session comes back. Returns `None` when the record is gone.
    ///
    /// # Errors
    /// [`StoreError`]; the write may have happened if it is [`StoreError::Unavailable`].
    pub async fn record_activity(
        &self,
        seen: &Session,
        ip_address: &str,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        if now < later(seen.last_activity, self.policy.activity_interval) {
            return Ok(Some(seen.clone()));
        }
        let update = Expression::default()
            .set(LAST_ACTIVITY, time(now))
            .set(IP_ADDRESS, text(ip_address))
            .if_exists(LIVE_SK)
            .if_compares(LAST_ACTIVITY, "=", time(seen.last_activity));
        Ok(match self.update(key(&seen.user_id, session_sk(seen.id)), update).await? {
            Outcome::Written(session) | Outcome::Refused(session) => Some(session),
            Outcome::Absent => None,
        })
    }
}
