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
    /// The issuer's keys do not include the one that the token names.
    #[error("The token's key is not among the keys of its issuer")]
    KeyUnknown {
        /// In how many seconds the issuer may be asked again.
        retry_after: u64,
    },
    /// The issuer's keys are not known.
    #[error("The keys of the tokens' issuer cannot be fetched right now; try again")]
    KeysUnavailable {
        /// In how many seconds the issuer may be asked again.
        retry_after: u64,
    },
    /// The token names no session, and each token of a user must name the identity provider's.
    #[error("The token names no session of the identity provider")]
    NoSession,
    /// The token does not say who its user is.
    #[error("The token names no user in its \"{0}\" claim")]
    NoUser(String),
}
