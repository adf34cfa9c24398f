//! Logging out with a token that belongs to no session.

use aws_sdk_dynamodb::types::TransactWriteItem;

use super::backoff::Backoff;
use super::binding::BindingKey;
use super::token::CallerSessions;
use super::{EndedSession, SessionStore, StoreError, TokenSession};
use crate::session::{Clock, Session, SessionId, Termination, Token, UserId};

impl SessionStore {
    /// Ends the session that the request of an unbound token comes from, and binds the token to it in the same
    /// transaction, so that the token is out too. If the token has opened a session meanwhile, that one ends. Returns
    /// `None` when the token is over already, or when the record of the session is gone.
    ///
    /// # Errors
    /// [`StoreError`]; the write may have happened if it is [`StoreError::Unavailable`].
    pub async fn end_and_bind(
        &self,
        user: &UserId,
        id: SessionId,
        token: &Token,
        termination: &Termination,
        clock: Clock,
    ) -> Result<Option<EndedSession>, StoreError> {
        let mut backoff = Backoff::start(self.timeouts.chain);
        loop {
            let caller = self.caller_sessions(user, token, clock.now()).await?;
            match caller.token {
                TokenSession::Unbound => {}
                TokenSession::Live(own) => return self.end(user, own, termination).await,
                TokenSession::Ended => return Ok(None),
            }
            let Some(session) = self.session(user, id).await? else { return Ok(None) };
            if let Some(ended) = self.try_end_and_bind(session, token, &caller, termination).await? {
                return Ok(Some(ended));
            }
            backoff.check()?;
            backoff.wait().await;
        }
    }

    /// Makes the transaction for a session as it was read; `None` when something has changed since. A session that has
    /// ended keeps its receipt, and the token is bound to it all the same.
    async fn try_end_and_bind(
        &self,
        session: Session,
        token: &Token,
        caller: &CallerSessions,
        termination: &Termination,
    ) -> Result<Option<EndedSession>, StoreError> {
        let user = session.user_id.clone();
        let binding = BindingKey::of_token(token)
            .map(|key| self.put_binding(&user, &key, session.id, &caller.seen, termination.at));
        let binding = binding.transpose()?.into_iter();
        let mut actions: Vec<_> = binding.map(|put| TransactWriteItem::builder().put(put).build()).collect();
        let receipt = self.receipt_of(&session, termination);
        let is_open = session.terminated.is_none();
        if is_open {
            let update = self.end_in_transaction(&session, &receipt)?;
            actions.push(TransactWriteItem::builder().update(update).build());
        }
        let written = self.transact(actions).await;
        let written =
            written.inspect_err(|error| self.audit_unconfirmed(&user, session.id, &receipt, error))?;
        if !written {
            return Ok(None);
        }
        if !is_open {
            return Ok(Some(EndedSession { session, first: false }));
        }
        self.audit_ended(&user, session.id, &receipt);
        let first = receipt.reason == termination.reason;
        Ok(Some(EndedSession { session: Session { terminated: Some(receipt), ..session }, first }))
    }
}
