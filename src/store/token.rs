//! The session of a token: every route asks here whether the caller's token is still good.

use super::binding::{Binding, BindingKey, SeenBinding};
use super::{SessionStore, StoreError, UserSessions};
use crate::session::{Session, SessionId, Sid, SignInKey, Timestamp, Token, UserId};

/// The sessions of a caller, and the session of the caller's token.
#[derive(Clone, Debug)]
pub struct CallerSessions {
    /// The caller's profile and open sessions.
    pub sessions: UserSessions,
    /// The session of the token.
    pub token: TokenSession,
    /// The binding of a token that belongs to no session.
    pub(super) seen: SeenBinding,
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
    /// else the one of its session at the provider, or else the one that was opened with it. A token with a `sid` costs one
    /// query; others cost one more read, of the binding, at the same time, and a read in a transaction while they belong to
    /// no session.
    ///
    /// # Errors
    /// [`StoreError`] when any part could not be read.
    pub async fn caller_sessions(
        &self,
        user: &UserId,
        token: &Token,
        now: Timestamp,
    ) -> Result<CallerSessions, StoreError> {
        let Some(key) = BindingKey::of_token(token) else {
            return self.sessions_by_sid(user, token, now).await;
        };
        let mut caller = self.sessions_by_binding(user, &key, Some(token), now).await?;
        if caller.token == TokenSession::Unbound && caller.seen.stored.session.is_none() {
            // The binding may be becoming visible.
            let confirmed = self.confirmed_binding(user, &key, None, now).await?;
            self.judge(&mut caller, confirmed, Some(token), now);
        }
        Ok(caller)
    }

    async fn sessions_by_sid(
        &self,
        user: &UserId,
        token: &Token,
        now: Timestamp,
    ) -> Result<CallerSessions, StoreError> {
        let Sid::Session(id) = token.sid else {
            let (sessions, token) = (UserSessions::default(), TokenSession::Ended);
            return Ok(CallerSessions { sessions, token, seen: SeenBinding::default() });
        };
        let sessions = self.user_sessions(user).await?;
        let is_live = sessions.live(now, &self.policy).any(|session| session.id == id);
        let token = if is_live { TokenSession::Live(id) } else { TokenSession::Ended };
        Ok(CallerSessions { sessions, token, seen: SeenBinding::default() })
    }

    /// Reads the sessions of a user who signs in, and decides which of them the key belongs to. A key that looks unbound
    /// need not be confirmed: the sign-in's own transaction binds it only if it is.
    pub(super) async fn sessions_by_key(
        &self,
        user: &UserId,
        key: &SignInKey,
        now: Timestamp,
    ) -> Result<CallerSessions, StoreError> {
        let token = match key {
            SignInKey::Token(token) => Some(token),
            SignInKey::Idempotency(_) | SignInKey::Nothing => None,
        };
        match (BindingKey::of_sign_in(key, now), token) {
            (Some(key), token) => self.sessions_by_binding(user, &key, token, now).await,
            (None, Some(token)) => self.sessions_by_sid(user, token, now).await,
            (None, None) => {
                let sessions = self.user_sessions(user).await?;
                Ok(CallerSessions { sessions, token: TokenSession::Unbound, seen: SeenBinding::default() })
            }
        }
    }

    async fn sessions_by_binding(
        &self,
        user: &UserId,
        key: &BindingKey,
        token: Option<&Token>,
        now: Timestamp,
    ) -> Result<CallerSessions, StoreError> {
        let (sessions, binding) = tokio::join!(self.user_sessions(user), self.binding(user, key, now));
        let (sessions, binding) = (sessions?, binding?);
        let found = match binding.session {
            // The two reads are not one snapshot: the session may have been opened between them, or end.
            Some(id) if !sessions.live(now, &self.policy).any(|session| session.id == id) => {
                self.confirmed_binding(user, key, Some(id), now).await?
            }
            Some(id) => (binding, sessions.session(id).cloned()),
            None => (binding, None),
        };
        let mut caller =
            CallerSessions { sessions, token: TokenSession::Unbound, seen: SeenBinding::default() };
        self.judge(&mut caller, found, token, now);
        Ok(caller)
    }

    /// Decides which session a token with this binding belongs to. `record` is the session that the binding names.
    fn judge(
        &self,
        caller: &mut CallerSessions,
        (binding, record): (Binding, Option<Session>),
        token: Option<&Token>,
        now: Timestamp,
    ) {
        let ended = self.ended_at(&binding, record.as_ref(), now);
        caller.seen = SeenBinding { stored: binding, ended };
        caller.token = match (binding.session, ended) {
            _ if binding.not_before.is_some_and(|second| !is_later(token, second)) => TokenSession::Ended,
            (Some(id), None) => TokenSession::Live(id),
            (Some(_), Some(second)) if !is_later(token, second) => TokenSession::Ended,
            _ => caller.sessions.unbound_or_ended(token.and_then(|token| token.authenticated_at)),
        };
        if matches!(caller.token, TokenSession::Live(_)) {
            caller.sessions.insert(record);
        }
    }

    /// The second up to which the ending of the bound session counts: tokens for which the user signed in later are not of
    /// it. `None` while it is live. Of a session whose record is gone, only that it ended before the history began is known.
    pub(super) fn ended_at(
        &self,
        binding: &Binding,
        record: Option<&Session>,
        now: Timestamp,
    ) -> Option<i64> {
        binding.session?;
        let ended = match record {
            Some(session) => session.termination(now, &self.policy)?.at,
            None => now - self.policy.history,
        };
        // The provider's clock may be ahead of ours.
        Some(ended.timestamp()).max(binding.auth_time)
    }
}

/// Whether the user has signed in at the provider for this token after this second. Without a provider's session, or
/// without its `auth_time`, nothing tells a new sign-in from a refresh.
fn is_later(token: Option<&Token>, second: i64) -> bool {
    let provider = token.filter(|token| token.provider_session.is_some());
    provider.and_then(|token| token.auth_time).is_some_and(|auth_time| auth_time > second)
}

impl UserSessions {
    /// An unbound token is refused when its user signed in for it in or before the second in which they were last signed out
    /// everywhere. A token that does not say when that was cannot be judged.
    fn unbound_or_ended(&self, authenticated_at: Option<i64>) -> TokenSession {
        let not_before = self.profile.as_ref().and_then(|profile| profile.not_before);
        match (authenticated_at, not_before) {
            (Some(at), Some(not_before)) if at <= not_before => TokenSession::Ended,
            _ => TokenSession::Unbound,
        }
    }

    /// Adds a session that the query did not show, and keeps the newest first.
    fn insert(&mut self, session: Option<Session>) {
        let Some(session) = session.filter(|session| self.session(session.id).is_none()) else { return };
        let at = self.open.partition_point(|other| other.id > session.id);
        self.open.insert(at, session);
    }
}
