//! The session of a token: every route asks here whether the caller's token is still good.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{BuildError, SdkError};
use aws_sdk_dynamodb::operation::transact_get_items::TransactGetItemsError;
use aws_sdk_dynamodb::types::{Get, ReturnConsumedCapacity, TransactGetItem};

use super::backoff::Backoff;
use super::item::{Item, Reader, idempotency_sk, key, session_sk, token_sk};
use super::transaction::{RACES, are_only};
use super::{SessionStore, StoreError, UserSessions};
use crate::session::{Policy, Session, SessionId, Sid, SignInKey, Timestamp, Token, UserId};

/// The sessions of a caller, and the session of the caller's token.
#[derive(Clone, Debug)]
pub struct CallerSessions {
    /// The caller's profile and open sessions.
    pub sessions: UserSessions,
    /// The session of the token.
    pub token: TokenSession,
}

/// The session of a token. A token belongs to at most one session, and dies with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSession {
    /// The token belongs to this live session.
    Live(SessionId),
    /// The token belongs to no session yet.
    Unbound,
    /// The session of the token is over, or the token was issued before the user was signed out everywhere.
    Ended,
}

impl SessionStore {
    /// Reads the sessions of a caller and decides which of them the token belongs to: the one that its `sid` names, or
    /// else the one that was opened with it. A token with a `sid` costs one query; a token without costs one more
    /// read, of its binding, at the same time.
    ///
    /// # Errors
    /// [`StoreError`] when any part could not be read.
    pub async fn caller_sessions(
        &self,
        user: &UserId,
        token: &Token,
        now: Timestamp,
    ) -> Result<CallerSessions, StoreError> {
        match token.sid {
            Sid::Foreign => {
                Ok(CallerSessions { sessions: UserSessions::default(), token: TokenSession::Ended })
            }
            Sid::Session(id) => {
                let sessions = self.user_sessions(user).await?;
                let token = sessions.live_or_ended(id, now, &self.policy);
                Ok(CallerSessions { sessions, token })
            }
            Sid::Absent => {
                let binding = token_sk(&token.digest);
                let caller = self.sessions_by_binding(user, &binding, token.authenticated_at, now).await?;
                if caller.token != TokenSession::Unbound {
                    return Ok(caller);
                }
                self.confirm_unbound(caller.sessions, user, &binding, now).await
            }
        }
    }

    /// Reads the sessions of a user who signs in, and decides which of them the key belongs to. A key that looks unbound
    /// need not be confirmed: the sign-in's own transaction binds it only if it is.
    pub(super) async fn sessions_by_key(
        &self,
        user: &UserId,
        key: &SignInKey,
        now: Timestamp,
    ) -> Result<CallerSessions, StoreError> {
        match key {
            SignInKey::Token(token @ Token { sid: Sid::Absent, .. }) => {
                self.sessions_by_binding(user, &token_sk(&token.digest), token.authenticated_at, now).await
            }
            SignInKey::Token(token) => self.caller_sessions(user, token, now).await,
            SignInKey::Idempotency(digest) => {
                self.sessions_by_binding(user, &idempotency_sk(digest), None, now).await
            }
            SignInKey::Nothing => {
                let sessions = self.user_sessions(user).await?;
                Ok(CallerSessions { sessions, token: TokenSession::Unbound })
            }
        }
    }

    async fn sessions_by_binding(
        &self,
        user: &UserId,
        sk: &str,
        authenticated_at: Option<i64>,
        now: Timestamp,
    ) -> Result<CallerSessions, StoreError> {
        let (sessions, binding) = tokio::join!(self.user_sessions(user), self.bound_session(user, sk, now));
        let (mut sessions, binding) = (sessions?, binding?);
        let Some(id) = binding else {
            let token = sessions.unbound_or_ended(authenticated_at, &self.policy);
            return Ok(CallerSessions { sessions, token });
        };
        if sessions.session(id).is_none() {
            let confirmed = self.confirmed_binding(user, sk, Some(id), now).await?;
            sessions.insert_live(confirmed.and_then(|(_, session)| session), now, &self.policy);
        }
        let token = sessions.live_or_ended(id, now, &self.policy);
        Ok(CallerSessions { sessions, token })
    }

    /// Asks again for the binding of a token that looks unbound: it may be becoming visible.
    async fn confirm_unbound(
        &self,
        mut sessions: UserSessions,
        user: &UserId,
        sk: &str,
        now: Timestamp,
    ) -> Result<CallerSessions, StoreError> {
        let Some((id, session)) = self.confirmed_binding(user, sk, None, now).await? else {
            return Ok(CallerSessions { sessions, token: TokenSession::Unbound });
        };
        sessions.insert_live(session, now, &self.policy);
        let token = sessions.live_or_ended(id, now, &self.policy);
        Ok(CallerSessions { sessions, token })
    }

    /// Reads the session that a token or an idempotency key is bound to, strongly consistent. DynamoDB deletes late, so
    /// a binding whose time is over does not count.
    async fn bound_session(
        &self,
        user: &UserId,
        sk: &str,
        now: Timestamp,
    ) -> Result<Option<SessionId>, StoreError> {
        let item = self.get(user, sk).await?;
        Ok(item.map(|item| bound_session(&item, now)).transpose()?.flatten())
    }

    /// Reads a binding, and the session that it names, as one instant has them. `expected` is the session that it named at
    /// the last read. Unlike other reads, this one is refused while a transaction that writes one of the items is becoming
    /// visible; it waits for that.
    async fn confirmed_binding(
        &self,
        user: &UserId,
        sk: &str,
        mut expected: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Option<(SessionId, Option<Session>)>, StoreError> {
        let mut backoff = Backoff::start(self.timeouts.call);
        loop {
            let keys = [Some(sk.to_owned()), expected.map(session_sk)];
            let items = self.transact_get(user, keys.into_iter().flatten()).await?;
            if let Some(mut items) = items.map(Vec::into_iter) {
                let binding = items.next().flatten();
                let bound = binding.map(|item| bound_session(&item, now)).transpose()?.flatten();
                if bound == expected {
                    let session = items.next().flatten().map(|item| Reader(&item).session()).transpose()?;
                    return Ok(bound.map(|id| (id, session)));
                }
                expected = bound;
            } else {
                backoff.wait().await;
            }
            backoff.check()?;
        }
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

fn bound_session(binding: &Item, now: Timestamp) -> Result<Option<SessionId>, StoreError> {
    let binding = Reader(binding);
    if binding.ttl()? <= now.timestamp() { Ok(None) } else { binding.bound_session().map(Some) }
}

fn was_refused_for_now(error: &SdkError<TransactGetItemsError, HttpResponse>) -> bool {
    let Some(TransactGetItemsError::TransactionCanceledException(cancelled)) = error.as_service_error()
    else {
        return false;
    };
    are_only(cancelled.cancellation_reasons(), &RACES)
}

impl UserSessions {
    fn live_or_ended(&self, id: SessionId, now: Timestamp, policy: &Policy) -> TokenSession {
        if self.live(now, policy).any(|session| session.id == id) {
            TokenSession::Live(id)
        } else {
            TokenSession::Ended
        }
    }

    /// An unbound token is refused when its user signed in for it in or before the second in which they, or everybody, were last
    /// signed out everywhere. A token that does not say when that was cannot be judged.
    fn unbound_or_ended(&self, authenticated_at: Option<i64>, policy: &Policy) -> TokenSession {
        let own = self.profile.as_ref().and_then(|profile| profile.not_before);
        let not_before = own.max(policy.not_before.map(|time| time.timestamp()));
        match (authenticated_at, not_before) {
            (Some(at), Some(not_before)) if at <= not_before => TokenSession::Ended,
            _ => TokenSession::Unbound,
        }
    }

    /// Adds a session that is live and that the query did not show, and keeps the newest first.
    fn insert_live(&mut self, session: Option<Session>, now: Timestamp, policy: &Policy) {
        let Some(session) = session.filter(|session| session.is_live_at(now, policy)) else { return };
        if self.session(session.id).is_some() {
            return;
        }
        let at = self.open.partition_point(|other| other.id > session.id);
        self.open.insert(at, session);
    }
}
