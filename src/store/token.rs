//! The session of a token: every route asks here whether the caller's token is still good.

use super::item::{Reader, idempotency_sk, token_sk};
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
                self.sessions_by_binding(user, &token_sk(&token.digest), token.issued_at, now).await
            }
        }
    }

    /// Reads the sessions of a user who signs in, and decides which of them the key belongs to.
    pub(super) async fn sessions_by_key(
        &self,
        user: &UserId,
        key: &SignInKey,
        now: Timestamp,
    ) -> Result<CallerSessions, StoreError> {
        match key {
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
        issued_at: Option<i64>,
        now: Timestamp,
    ) -> Result<CallerSessions, StoreError> {
        let (sessions, binding) = tokio::join!(self.user_sessions(user), self.bound_session(user, sk, now));
        let (mut sessions, binding) = (sessions?, binding?);
        let Some(id) = binding else {
            let token = sessions.unbound_or_ended(issued_at);
            return Ok(CallerSessions { sessions, token });
        };
        // The two reads are not one snapshot: the session may have been opened between them. Only a read of the session
        // itself can say that it is over.
        if sessions.session(id).is_none()
            && let Some(session) = self.session(user, id).await?
            && session.is_live_at(now, &self.policy)
        {
            sessions.insert(session);
        }
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
        let Some(item) = self.get(user, sk).await? else { return Ok(None) };
        let binding = Reader(&item);
        if binding.ttl()? <= now.timestamp() { Ok(None) } else { binding.bound_session().map(Some) }
    }
}

impl UserSessions {
    fn live_or_ended(&self, id: SessionId, now: Timestamp, policy: &Policy) -> TokenSession {
        if self.live(now, policy).any(|session| session.id == id) {
            TokenSession::Live(id)
        } else {
            TokenSession::Ended
        }
    }

    /// An unbound token is refused when it was issued in or before the second in which its user was last signed out
    /// everywhere. A token that does not say when it was issued cannot be judged.
    fn unbound_or_ended(&self, issued_at: Option<i64>) -> TokenSession {
        let not_before = self.profile.as_ref().and_then(|profile| profile.not_before);
        match (issued_at, not_before) {
            (Some(issued_at), Some(not_before)) if issued_at <= not_before => TokenSession::Ended,
            _ => TokenSession::Unbound,
        }
    }

    /// Adds a session, and keeps the newest first.
    fn insert(&mut self, session: Session) {
        let at = self.open.partition_point(|other| other.id > session.id);
        self.open.insert(at, session);
    }
}
