//! What a verified token says, and what a sign-in is made with.

use super::digest::Digest;
use super::id::SessionId;

/// What a verified token says about its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// The session that the token names.
    pub sid: Sid,
    /// The digest of what was signed. It identifies the token.
    pub digest: Digest,
    /// When the token was issued, in whole seconds since 1970; `None` when that cannot be judged.
    pub issued_at: Option<i64>,
    /// When the token expires, in whole seconds since 1970.
    pub expires_at: i64,
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
