//! Signing out at the identity provider: its session ends here too, also when it was never seen here.

use aws_sdk_dynamodb::types::TransactWriteItem;

use super::backoff::Backoff;
use super::binding::BindingKey;
use super::item::Binding;
use super::{EndedSession, SessionStore, StoreError};
use crate::session::{Clock, ProviderSession, Session, SessionId, Termination, Timestamp, UserId};

impl SessionStore {
    /// What is known of a session of the provider, and the session that it has here, as one instant has them.
    async fn provider_session(
        &self,
        user: &UserId,
        provider: &ProviderSession,
        now: Timestamp,
    ) -> Result<(Binding, Option<Session>), StoreError> {
        let key = BindingKey::Provider { session: *provider, auth_time: None };
        let seen = self.binding(user, &key, now).await?;
        self.confirmed_binding(user, &key, seen.session, now).await
    }

    /// The live session of a session of the provider.
    ///
    /// # Errors
    /// [`StoreError`] when any part could not be read.
    pub async fn live_provider_session(
        &self,
        user: &UserId,
        provider: &ProviderSession,
        now: Timestamp,
    ) -> Result<Option<SessionId>, StoreError> {
        let (_, record) = self.provider_session(user, provider, now).await?;
        Ok(record.filter(|session| session.is_live_at(now, &self.policy)).map(|session| session.id))
    }

    /// Ends the session of a session of the provider that was signed out there in the second `at`, and refuses every token
    /// of it for which the user signed in until then, also those that were never seen here. A session for which the user
    /// signed in later stays. Returns `None` when there was no session to end.
    ///
    /// # Errors
    /// [`StoreError`]; the write may have happened if it is [`StoreError::Unavailable`].
    pub async fn end_provider_session(
        &self,
        user: &UserId,
        provider: &ProviderSession,
        at: i64,
        termination: &Termination,
        clock: Clock,
    ) -> Result<Option<EndedSession>, StoreError> {
        let mut backoff = Backoff::start(self.timeouts.chain);
        let mut ended = None;
        loop {
            let now = clock.now();
            let (seen, record) = self.provider_session(user, provider, now).await?;
            let over_until = seen.not_before.max(self.ended_at(&seen, record.as_ref(), now));
            if over_until >= Some(at) || seen.auth_time.is_some_and(|auth_time| auth_time > at) {
                return Ok(ended);
            }
            if let Some(session) = record.filter(|session| session.is_live_at(now, &self.policy)) {
                ended = self.end(user, session.id, termination).await?;
                let receipt = ended.as_ref().and_then(|ended| ended.session.terminated.as_ref());
                // The provider's clock may be ahead, or an earlier ending may have come first.
                if receipt.is_some_and(|receipt| receipt.at.timestamp() >= at) {
                    return Ok(ended);
                }
            } else {
                let tombstone = Binding { not_before: Some(at), ..seen };
                let put = self.put_provider_binding(user, provider, &tombstone, &seen)?;
                if self.transact(vec![TransactWriteItem::builder().put(put).build()]).await? {
                    return Ok(ended);
                }
                backoff.wait().await;
            }
            backoff.check()?;
        }
    }
}
