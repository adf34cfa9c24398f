//! The ids of users and sessions.

use std::fmt;

use chrono::DateTime;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Serialize, Serializer};
use uuid::{Builder, Uuid};

use super::time::Timestamp;

/// The longest user id, in characters (OpenID Connect Core 1.0, section 2, on `sub`).
pub const USER_ID_MAX: usize = 255;

/// User ids do not contain these characters, because they separate or encode parts of a path, or quote.
const NOT_IN_USER_IDS: &[u8] = b"/\\%?#\"<>`";

/// A user's id: 1 to [`USER_ID_MAX`] visible ASCII characters that are safe in a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(String);

/// The text is not a user id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUserId {
    /// It is empty, too long, a dot segment, or contains a forbidden character.
    #[error("must be 1 to 255 visible ASCII characters without / \\ % ? # \" < > `")]
    Form,
    /// It is what JavaScript writes for a value that is missing.
    #[error("is \"{0}\", which is what JavaScript writes for a missing value; the client has not set the id")]
    Placeholder(&'static str),
}

/// What JavaScript writes into a path for a value that is missing. An empty list for such a "user" would look fine.
const PLACEHOLDERS: [&str; 4] = ["undefined", "null", "NaN", "[object Object]"];

impl UserId {
    /// Parses an id that is already percent-decoded.
    ///
    /// # Errors
    /// [`InvalidUserId`] when the text does not have the form of an id, or stands for a missing value.
    pub fn parse(text: &str) -> Result<Self, InvalidUserId> {
        if let Some(placeholder) = PLACEHOLDERS.into_iter().find(|placeholder| *placeholder == text) {
            return Err(InvalidUserId::Placeholder(placeholder));
        }
        let visible = |byte: u8| byte.is_ascii_graphic() && !NOT_IN_USER_IDS.contains(&byte);
        let fits = (1..=USER_ID_MAX).contains(&text.len()) && text.bytes().all(visible);
        if !fits || text == "." || text == ".." {
            return Err(InvalidUserId::Form);
        }
        Ok(Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as a number, if the number is written exactly like the text and every JSON reader can hold it
    /// (up to 2^53, RFC 8259 section 6).
    fn as_number(&self) -> Option<u64> {
        let number: u64 = self.0.parse().ok()?;
        (number <= 1 << 53 && number.to_string() == self.0).then_some(number)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for UserId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_number() {
            Some(number) => serializer.serialize_u64(number),
            None => serializer.serialize_str(&self.0),
        }
    }
}

/// A session's id: a UUIDv7 (RFC 9562), so that ids sort by the time of sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(Uuid);

/// The text is not a session id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a UUID such as 0192f0c1-2345-7abc-8def-0123456789ab")]
pub struct InvalidSessionId;

/// The system has no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system has no random numbers")]
pub struct NoRandomNumbers;

impl SessionId {
    /// No id is higher.
    pub const MAX: Self = Self(Uuid::max());

    /// Makes the id of a session that starts at `now`. `random` fills the bits that the time leaves free.
    pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or_default();
        Self(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// Makes the id of a session that starts at `now` from the system's random numbers.
    ///
    /// # Errors
    /// [`NoRandomNumbers`] when the system has none.
    pub fn generate(now: Timestamp) -> Result<Self, NoRandomNumbers> {
        let mut random = [0; 10];
        SystemRandom::new().fill(&mut random).map_err(|_| NoRandomNumbers)?;
        Ok(Self::new(now, random))
    }

    /// No session that starts at `time` or later has a lower id.
    pub fn lowest_at(time: Timestamp) -> Self {
        let millis = u64::try_from(time.timestamp_millis()).unwrap_or_default().min((1 << 48) - 1);
        Self(Uuid::from_u128(u128::from(millis) << 80))
    }

    /// When its session began.
    pub fn began_at(self) -> Option<Timestamp> {
        DateTime::from_timestamp_millis(i64::try_from(self.0.as_u128() >> 80).ok()?)
    }

    /// The id right before this one; `None` for the lowest.
    pub fn previous(self) -> Option<Self> {
        self.0.as_u128().checked_sub(1).map(Uuid::from_u128).map(Self)
    }

    /// Parses the hyphenated form.
    ///
    /// # Errors
    /// [`InvalidSessionId`] for any other text, other spellings of a UUID included.
    pub fn parse(text: &str) -> Result<Self, InvalidSessionId> {
        if text.len() != uuid::fmt::Hyphenated::LENGTH {
            return Err(InvalidSessionId);
        }
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidSessionId)
    }

    /// The 16 bytes of the id.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id with these 16 bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::at;
    use super::*;

    #[test]
    fn a_text_that_changes_a_path_is_no_user_id() {
        for text in [".", "..", "", "a/b", "a%2fb"] {
            assert_eq!(UserId::parse(text), Err(InvalidUserId::Form), "{text}");
        }
        assert!(UserId::parse("...").is_ok());
    }

    #[test]
    fn a_missing_value_of_javascript_is_not_a_user_id() {
        for text in PLACEHOLDERS {
            assert_eq!(UserId::parse(text), Err(InvalidUserId::Placeholder(text)));
        }
        assert!(UserId::parse("nullable").is_ok());
    }

    #[test]
    fn a_user_id_is_a_number_only_where_that_number_says_the_same() {
        let is_number = |text: &str| serde_json::to_value(UserId(text.into())).unwrap().is_number();
        for text in ["0", "74", "9007199254740992"] {
            assert!(is_number(text), "{text}");
        }
        for text in ["007", "+7", "7.0", "74a", "9007199254740993"] {
            assert!(!is_number(text), "{text}");
        }
    }

    #[test]
    fn ids_sort_by_time() {
        let ids: Vec<_> = (0..5).map(|hour| SessionId::new(at(hour), [255 - hour as u8; 10])).collect();
        assert!(ids.is_sorted());
        let texts: Vec<_> = ids.iter().map(ToString::to_string).collect();
        assert!(texts.is_sorted(), "their texts sort in the same way, which is how the table sorts them");
    }

    proptest! {
        #[test]
        fn a_user_id_keeps_its_text_or_is_refused(text in ".{0,300}") {
            match UserId::parse(&text) {
                Ok(id) => {
                    prop_assert_eq!(id.as_str(), text.as_str());
                    prop_assert!(!text.is_empty() && text.len() <= USER_ID_MAX);
                    prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b'%'));
                }
                Err(_) => prop_assert!(text != "74"),
            }
        }

        #[test]
        fn an_id_is_at_or_after_a_time_exactly_if_its_session_is(start in 0..100_i64, time in 0..100_i64, random: [u8; 10]) {
            let id = SessionId::new(at(start), random);
            prop_assert_eq!(id >= SessionId::lowest_at(at(time)), start >= time);
            prop_assert_eq!(id.began_at(), Some(at(start)));
            let previous = id.previous().unwrap();
            prop_assert!(previous < id && previous.to_string() < id.to_string() && id <= SessionId::MAX);
        }

        #[test]
        fn session_ids_read_back(bytes: [u8; 16]) {
            let id = SessionId::from_bytes(bytes);
            prop_assert_eq!(SessionId::parse(&id.to_string()), Ok(id));
            prop_assert_eq!(SessionId::parse(&id.to_string().to_uppercase()), Ok(id));
        }
    }
}
