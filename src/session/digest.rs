//! Digests of what must not be stored as it is.

use std::fmt;

use ring::digest;

use super::id::UserId;

/// The SHA-256 of a fingerprint, a token or a user agent. It is computed together with the user and the purpose, so
/// that equal values of two users differ in the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; digest::SHA256_OUTPUT_LEN]);

impl Digest {
    /// The digest of `value`, which serves `purpose` for `user`.
    pub fn of(user: &UserId, purpose: &str, value: &[u8]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in [user.as_str().as_bytes(), b"\0", purpose.as_bytes(), b"\0", value] {
            context.update(part);
        }
        let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }

    /// The digest with these bytes; `None` unless there are exactly 32.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::user;
    use super::*;

    #[test]
    fn equal_values_of_two_users_or_two_purposes_have_different_digests() {
        let other = UserId::parse("75").unwrap();
        let digest = Digest::of(&user(), "token", b"x");
        assert_eq!(digest, Digest::of(&user(), "token", b"x"));
        assert_ne!(digest, Digest::of(&other, "token", b"x"));
        assert_ne!(digest, Digest::of(&user(), "fingerprint", b"x"));
        assert_eq!(format!("{digest:?}"), "Digest(..)");
    }
}
