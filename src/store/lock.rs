//! Lifting the lock of a user. Ending all sessions sets it.

use aws_sdk_dynamodb::types::TransactWriteItem;

use super::backoff::Backoff;
use super::expression::Expression;
use super::item::attribute::LOCKED;
use super::item::{PROFILE, key};
use super::{SessionStore, StoreError};
use crate::session::{Timestamp, UserId};
use crate::telemetry::log;

impl SessionStore {
    /// Lifts the lock of a user, and says whether there was one at `now`.
    ///
    /// # Errors
    /// [`StoreError`]; the write may have happened if it is [`StoreError::Unavailable`].
    pub async fn unlock(&self, user: &UserId, actor: &UserId, now: Timestamp) -> Result<bool, StoreError> {
        let mut backoff = Backoff::start(self.timeouts.chain);
        loop {
            let profile = self.user_sessions(user).await?.profile;
            let Some(was_locked) = profile.filter(|profile| profile.lock.is_some()) else { return Ok(false) };
            let lift = Expression::default().remove(LOCKED).if_exists(LOCKED);
            let lift = self.transact_update(key(user, PROFILE), lift)?;
            let lifted = self.transact(vec![TransactWriteItem::builder().update(lift).build()]).await;
            let lifted = lifted.inspect_err(|error| {
                if error.is_transient() {
                    log::audit_unlock_unconfirmed(actor, user);
                }
            })?;
            if lifted {
                log::audit_unlocked(actor, user);
                return Ok(was_locked.lock_at(now).is_some());
            }
            backoff.check()?;
            backoff.wait().await;
        }
    }
}
