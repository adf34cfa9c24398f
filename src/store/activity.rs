//! Recording that a session was used.

use super::item::{key, session_sk, time};
use super::transaction::{ConditionalUpdate, Outcome};
use super::{SessionStore, StoreError};
use crate::session::{Session, Timestamp, later};

impl SessionStore {
    /// Moves the last activity of a session that was `seen` live to `now`, at most once per activity interval. It never
    /// makes an ended session live: if something ended the session meanwhile, the ended session comes back. Returns
    /// `None` when the record is gone.
    ///
    /// # Errors
    /// [`StoreError`]; the write may have happened if it is [`StoreError::Unavailable`].
    pub async fn record_activity(
        &self,
        seen: &Session,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        if now < later(seen.last_activity, self.policy.activity_interval) {
            return Ok(Some(seen.clone()));
        }
        let update = ConditionalUpdate::new("SET #last_activity = :now")
            .only_if("attribute_exists(#live_sk) AND #last_activity = :seen")
            .name("live_sk")
            .name("last_activity")
            .value(":now", time(now))
            .value(":seen", time(seen.last_activity));
        Ok(match self.update(key(&seen.user_id, session_sk(seen.id)), update).await? {
            Outcome::Written(session) | Outcome::Refused(session) => Some(session),
            Outcome::Absent => None,
        })
    }
}
