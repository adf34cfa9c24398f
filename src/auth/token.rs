//! The text of a token and its parts (RFC 7515 section 3.1), before anything is known about its signature.

use super::error::AuthError;

/// The longest token that is read, in bytes. API Gateway accepts 10,240 bytes of headers in all.
const TOKEN_MAX: usize = 8 * 1024;

/// Exactly three parts in the alphabet of base64url. So a header that holds two tokens is never read as one of them.
#[derive(Clone, Copy)]
pub(super) struct Token<'a> {
    text: &'a str,
    signing_input: &'a str,
}

impl<'a> Token<'a> {
    /// The token of a bearer header (RFC 6750 section 2.1). The scheme may be in any case (RFC 9110 section 11.1).
    pub fn from_bearer(authorization: Option<&'a str>) -> Result<Self, AuthError> {
        let (scheme, token) = present(authorization)?.split_once(' ').ok_or(AuthError::Malformed(None))?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(AuthError::Malformed(None));
        }
        Self::parse(token.trim_start())
    }

    /// A token by itself.
    pub fn parse(text: &'a str) -> Result<Self, AuthError> {
        let (signing_input, signature) = text.rsplit_once('.').ok_or(AuthError::Malformed(None))?;
        let (header, payload) = signing_input.split_once('.').ok_or(AuthError::Malformed(None))?;
        if text.len() > TOKEN_MAX || ![header, payload, signature].into_iter().all(is_base64url) {
            return Err(AuthError::Malformed(None));
        }
        Ok(Self { text, signing_input })
    }

    /// The whole token.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// What the signature covers. It identifies the token. The signature does not, because it can be written in several
    /// ways.
    pub fn signing_input(&self) -> &'a str {
        self.signing_input
    }
}

fn present(authorization: Option<&str>) -> Result<&str, AuthError> {
    authorization.map(str::trim).filter(|header| !header.is_empty()).ok_or(AuthError::Missing)
}

fn is_base64url(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
