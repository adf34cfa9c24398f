//! Why a request does not prove who its caller is.

/// The request does not prove who the caller is. The messages contain no cryptographic detail; `source()` does.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// There is no token.
    #[error("The bearer token is missing")]
    Missing,
    /// The header is not a bearer token, or no issuer makes such a token.
    #[error("The bearer token is malformed")]
    Malformed(#[source] Option<jsonwebtoken::errors::Error>),
    /// The token has expired.
    #[error("The token has expired")]
    Expired,
    /// The token's time has not come yet.
    #[error("The token is not valid yet")]
    NotYetValid,
    /// Our issuer did not sign the token, or it was made for another service.
    #[error("The token is not valid")]
    Invalid(#[source] Option<jsonwebtoken::errors::Error>),
    /// The token names no session, and each token of a user must name the identity provider's.
    #[error("The token names no session of the identity provider")]
    NoSession,
    /// The token does not say who its user is.
    #[error("The token names no user in its \"{0}\" claim")]
    NoUser(String),
}
