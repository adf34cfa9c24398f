//! Recording that a session was used.

use super::backoff::Backoff;
use super::expression::Expression;
use super::item::attribute::{IP_ADDRESS, LAST_ACTIVITY, LIVE_SK, LOCATION};
use super::item::{key, session_sk, text, time};
use super::transaction::Outcome;
use super::{SessionStore, StoreError};
use crate::session::{Clock, Origin, Session, later};

impl SessionStore {
    /// Moves the last activity of a session that was `seen` live to the time of the request, and its address and
    /// place to `origin`, at most once per activity interval. It never makes an ended session live: if something ended the
    /// session meanwhile, the ended session comes back. An activity that might be written after the session's deadline is
    /// not written, because others may have been told by then that the session is over. Returns `None` when the record is
    /// gone.
    ///
    /// # Errors
    /// [`StoreError`]; the write may have happened if it is [`StoreError::Unavailable`].
    pub async fn record_activity(
        &self,
        seen: &Session,
        origin: &Origin,
        clock: Clock,
    ) -> Result<Option<Session>, StoreError> {
        let now = clock.arrived_at();
        if now < later(seen.last_activity, self.policy.activity_interval) {
            return Ok(Some(seen.clone()));
        }
        let key = key(&seen.user_id, session_sk(seen.id));
        let update = Expression::default()
            .set(LAST_ACTIVITY, time(now))
            .set(IP_ADDRESS, text(&origin.ip_address))
            .if_exists(LIVE_SK)
            .if_compares(LAST_ACTIVITY, "=", time(seen.last_activity));
        let update = match seen.location_at(origin) {
            Some(location) => update.set(LOCATION, text(location.as_str())),
            None => update.remove(LOCATION),
        };
        let mut backoff = Backoff::start(self.timeouts.chain);
        while seen.is_live_at(self.lands_by(clock), &self.policy) {
            match self.try_update(&key, &update).await? {
                Some(Outcome::Written(session) | Outcome::Refused(session)) => return Ok(Some(session)),
                Some(Outcome::Absent) => return Ok(None),
                None => {}
            }
            backoff.check()?;
            backoff.wait().await;
        }
        Ok(Some(seen.clone()))
    }
}
