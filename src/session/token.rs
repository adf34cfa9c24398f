//! What a verified token says, and what a sign-in is made with.

use super::digest::Digest;
use super::id::{SessionId, UserId};

/// The longest id of a provider's session, in characters.
const PROVIDER_SESSION_MAX: usize = 255;

/// What a verified token says about its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// The session that the token names.
    pub sid: Sid,
    /// The identity provider's session that the token names. It counts when the token names none of ours.
    pub provider_session: Option<ProviderSession>,
    /// The digest of what was signed. It identifies the token.
    pub digest: Digest,
    /// When the user signed in at the provider, in whole seconds since 1970, as far as the token says it. It is never later
    /// than the time when the token was issued. Refreshed tokens keep it, so it tells a new sign-in from a refresh.
    pub auth_time: Option<i64>,
    /// When the token proved who its user is: when the user signed in, or else when the token was issued, in whole seconds
    /// since 1970; `None` when that cannot be judged. The user's `not_before` is held against it.
    pub authenticated_at: Option<i64>,
    /// When the token expires, in whole seconds since 1970.
    pub expires_at: i64,
}

/// A session of the identity provider, which all tokens of one sign-in there share, refreshed ones too. Only a digest of
/// its id is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderSession(Digest);

/// The text is not the id of a provider's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 255 characters without control characters")]
pub struct InvalidProviderSession;

impl ProviderSession {
    /// The provider's session of `user` with this id.
    ///
    /// # Errors
    /// [`InvalidProviderSession`] when the id is empty, too long or has control characters.
    pub fn new(user: &UserId, id: &str) -> Result<Self, InvalidProviderSession> {
        let fits = !id.is_empty() && id.chars().count() <= PROVIDER_SESSION_MAX;
        if !fits || id.chars().any(char::is_control) {
            return Err(InvalidProviderSession);
        }
        Ok(Self(Digest::of(user, "provider", id.as_bytes())))
    }

    /// The digest of user and id.
    pub fn digest(&self) -> &Digest {
        &self.0
    }
}

/// The token or key of a sign-in. A repeat of the sign-in finds its session by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInKey {
    /// The user's token.
    Token(Token),
    /// The digest of the idempotency key that a service sent.
    Idempotency(Digest),
    /// Nothing. A repeat is another sign-in.
    Nothing,
}

/// The claim that names a session, `sid` unless configured otherwise (OpenID Connect Front-Channel Logout 1.0,
/// section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sid {
    /// The token names no session.
    Absent,
    /// The token names this session.
    Session(SessionId),
    /// The token names something that was never one of our sessions.
    Foreign,
}

#[cfg(test)]
mod tests {
    use super::super::samples::user;
    use super::*;

    #[test]
    fn a_session_of_a_provider_is_known_by_user_and_id() {
        let of = |user: &UserId, id: &str| ProviderSession::new(user, id).unwrap();
        let other = UserId::parse("75").unwrap();
        assert_eq!(of(&user(), "a"), of(&user(), "a"));
        assert_ne!(of(&user(), "a"), of(&user(), "A"));
        assert_ne!(of(&user(), "a"), of(&other, "a"));
        assert_eq!(of(&user(), "a").digest(), &Digest::of(&user(), "provider", b"a"));
    }

    #[test]
    fn an_id_that_no_provider_makes_is_refused() {
        for id in ["", "a\0", "\u{7f}", "a\nb", "\u{85}", &"x".repeat(256), &"x".repeat(10_240)] {
            assert_eq!(ProviderSession::new(&user(), id), Err(InvalidProviderSession), "{id:?}");
        }
        for id in ["x", " ", "é", &"é".repeat(255), "{\"a\":1}"] {
            assert!(ProviderSession::new(&user(), id).is_ok(), "{id:?}");
        }
    }
}
