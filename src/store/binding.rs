//! The items that bind a token, an idempotency key or a session of the identity provider to a session.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{BuildError, SdkError};
use aws_sdk_dynamodb::operation::transact_get_items::TransactGetItemsError;
use aws_sdk_dynamodb::types::{Get, Put, ReturnConsumedCapacity, TransactGetItem};

use super::backoff::Backoff;
use super::expression::Expression;
use super::item::attribute::{NOT_BEFORE, SESSION, SK, TTL};
use super::item::{
    Binding, Item, Reader, binding, idempotency_sk, key, number, provider_binding, provider_sk, session_sk,
    text, token_sk,
};
use super::transaction::{RACES, are_only};
use super::{SessionStore, StoreError};
use crate::session::{Digest, ProviderSession, Session, SessionId, Sid, SignInKey, Timestamp, Token, UserId};

/// How long the record of a bound token is kept after the token has expired, in seconds. A day covers every difference
/// of clocks.
const TOKEN_GRACE: i64 = 24 * 3600;

/// How long a repeat of a service's sign-in finds the session of the first, in seconds.
const IDEMPOTENCY_PERIOD: i64 = 24 * 3600;

/// What is bound to a session.
#[derive(Clone, Copy, Debug)]
pub(super) enum BindingKey {
    /// A token, or an idempotency key. It is bound once, until its record may be deleted, in seconds since 1970.
    Once { digest: Digest, is_token: bool, ttl: i64 },
    /// A session of the identity provider. Providers refresh for years, so its record is never deleted.
    Provider { session: ProviderSession, auth_time: Option<i64> },
}

/// A binding as it was read, for a token that belongs to no session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SeenBinding {
    /// What it said.
    pub stored: Binding,
    /// When the session that it names ended, in whole seconds since 1970.
    pub ended: Option<i64>,
}

impl BindingKey {
    /// What the token binds; `None` when it names our session itself.
    pub fn of_token(token: &Token) -> Option<Self> {
        if token.sid != Sid::Absent {
            return None;
        }
        Some(match token.provider_session {
            Some(session) => Self::Provider { session, auth_time: token.auth_time },
            None => Self::Once { digest: token.digest, is_token: true, ttl: token.expires_at + TOKEN_GRACE },
        })
    }

    /// What a sign-in at `now` binds.
    pub fn of_sign_in(key: &SignInKey, now: Timestamp) -> Option<Self> {
        match key {
            SignInKey::Token(token) => Self::of_token(token),
            SignInKey::Idempotency(digest) => {
                let ttl = now.timestamp() + IDEMPOTENCY_PERIOD;
                Some(Self::Once { digest: *digest, is_token: false, ttl })
            }
            SignInKey::Nothing => None,
        }
    }

    fn sk(&self) -> String {
        match self {
            Self::Once { digest, is_token: true, .. } => token_sk(digest),
            Self::Once { digest, is_token: false, .. } => idempotency_sk(digest),
            Self::Provider { session, .. } => provider_sk(session),
        }
    }

    /// Reads the item. DynamoDB deletes late, so a binding whose time is over says nothing.
    fn read(&self, item: Option<&Item>, now: Timestamp) -> Result<Binding, StoreError> {
        let Some(reader) = item.map(Reader) else { return Ok(Binding::default()) };
        match self {
            Self::Once { .. } if reader.ttl()? <= now.timestamp() => Ok(Binding::default()),
            Self::Once { .. } => Ok(Binding { session: Some(reader.bound_session()?), ..Binding::default() }),
            Self::Provider { .. } => reader.provider_binding(),
        }
    }
}

impl SessionStore {
    /// Reads a binding, strongly consistent.
    pub(super) async fn binding(
        &self,
        user: &UserId,
        key: &BindingKey,
        now: Timestamp,
    ) -> Result<Binding, StoreError> {
        key.read(self.get(user, &key.sk()).await?.as_ref(), now)
    }

    /// Reads a binding, and the session that it names, as one instant has them. `expected` is the session that it named at
    /// the last read. Unlike other reads, this one is refused while a transaction that writes one of the items is becoming
    /// visible; it waits for that.
    pub(super) async fn confirmed_binding(
        &self,
        user: &UserId,
        key: &BindingKey,
        mut expected: Option<SessionId>,
        now: Timestamp,
    ) -> Result<(Binding, Option<Session>), StoreError> {
        let mut backoff = Backoff::start(self.timeouts.call);
        loop {
            let keys = [Some(key.sk()), expected.map(session_sk)];
            let items = self.transact_get(user, keys.into_iter().flatten()).await?;
            if let Some(mut items) = items.map(Vec::into_iter) {
                let binding = key.read(items.next().flatten().as_ref(), now)?;
                if binding.session == expected {
                    let session = items.next().flatten().map(|item| Reader(&item).session()).transpose()?;
                    return Ok((binding, session));
                }
                expected = binding.session;
            } else {
                backoff.wait().await;
            }
            backoff.check()?;
        }
    }

    /// Binds to a session what nobody has bound since it was `seen`.
    pub(super) fn put_binding(
        &self,
        user: &UserId,
        key: &BindingKey,
        session: SessionId,
        seen: &SeenBinding,
        now: Timestamp,
    ) -> Result<Put, StoreError> {
        match key {
            BindingKey::Once { ttl, .. } => {
                let unbound =
                    Expression::default().if_missing_or_compares(SK, TTL, "<=", number(now.timestamp()));
                self.put(binding(user, &key.sk(), session, *ttl), &unbound)
            }
            BindingKey::Provider { session: provider, auth_time } => {
                // Tokens from before the end of the session that it had are over, also when it has another one.
                let not_before = seen.stored.not_before.max(seen.ended);
                let new = Binding { session: Some(session), not_before, auth_time: *auth_time };
                self.put_provider_binding(user, provider, &new, &seen.stored)
            }
        }
    }

    /// Writes what is known of a session of the provider, if it has not changed since it was `seen`.
    pub(super) fn put_provider_binding(
        &self,
        user: &UserId,
        provider: &ProviderSession,
        new: &Binding,
        seen: &Binding,
    ) -> Result<Put, StoreError> {
        let condition = Expression::default();
        let condition = match seen.session {
            Some(session) => condition.if_compares(SESSION, "=", text(session)),
            None => condition.if_missing(SESSION),
        };
        let condition = match seen.not_before {
            Some(second) => condition.if_compares(NOT_BEFORE, "=", number(second)),
            None => condition.if_missing(NOT_BEFORE),
        };
        self.put(provider_binding(user, provider, new), &condition)
    }

    /// Reads items of a user in one transaction, in order; `None` when another transaction holds one of them.
    async fn transact_get(
        &self,
        user: &UserId,
        keys: impl Iterator<Item = String>,
    ) -> Result<Option<Vec<Option<Item>>>, StoreError> {
        let operation = "TransactGetItems";
        let get = |sk| Get::builder().table_name(&self.table).set_key(Some(key(user, sk))).build();
        let gets = keys.map(|sk| Ok(TransactGetItem::builder().get(get(sk)?).build()));
        let gets: Vec<_> = gets
            .collect::<Result<_, BuildError>>()
            .map_err(|error| StoreError::Refused { operation, source: error.into() })?;
        let asked = gets.len();
        let call = self.client.transact_get_items().set_transact_items(Some(gets));
        let call = call.return_consumed_capacity(ReturnConsumedCapacity::Total);
        match Box::pin(call.send()).await {
            Ok(answer) if answer.responses().len() != asked => {
                Err(StoreError::Incomplete { operation, part: "some of its items" })
            }
            Ok(answer) => {
                self.count_read(answer.consumed_capacity().first());
                Ok(Some(answer.responses.into_iter().flatten().map(|response| response.item).collect()))
            }
            Err(error) if was_refused_for_now(&error) => Ok(None),
            Err(error) => Err(StoreError::from_sdk(operation, error)),
        }
    }
}

fn was_refused_for_now(error: &SdkError<TransactGetItemsError, HttpResponse>) -> bool {
    let Some(TransactGetItemsError::TransactionCanceledException(cancelled)) = error.as_service_error()
    else {
        return false;
    };
    are_only(cancelled.cancellation_reasons(), &RACES)
}
