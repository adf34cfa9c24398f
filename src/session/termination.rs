//! How sessions end.

use serde::Serialize;

use super::id::UserId;
use super::time::Timestamp;
use crate::text;

/// The longest note on a termination, in characters.
pub const NOTE_MAX: usize = 256;

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// An admin ended it.
    RevokedByAdmin,
    /// A service ended it, such as the back end that issues the tokens.
    RevokedByService,
    /// Its user ended it from the list of devices.
    RevokedByUser,
    /// Its user signed out on the device.
    Logout,
    /// Its user signed out everywhere.
    LogoutAll,
    /// A newer sign-in took its place, because the user had too many sessions.
    Evicted,
    /// Its lifetime or its idle time ran out.
    Expired,
    /// It began before the time from which sessions count, because an operator signed everybody out.
    EndedForEverybody,
}

impl EndReason {
    /// Every reason.
    const ALL: [Self; 8] = [
        Self::RevokedByAdmin,
        Self::RevokedByService,
        Self::RevokedByUser,
        Self::Logout,
        Self::LogoutAll,
        Self::Evicted,
        Self::Expired,
        Self::EndedForEverybody,
    ];

    /// The code in the table, in the log and in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RevokedByAdmin => "revoked_by_admin",
            Self::RevokedByService => "revoked_by_service",
            Self::RevokedByUser => "revoked_by_user",
            Self::Logout => "logout",
            Self::LogoutAll => "logout_all",
            Self::Evicted => "evicted",
            Self::Expired => "expired",
            Self::EndedForEverybody => "ended_for_everybody",
        }
    }

    /// The reason with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == code)
    }
}

/// How a session ended; answers show it as the receipt. The first termination of a session stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Termination {
    /// When the session ended.
    pub at: Timestamp,
    /// Who ended it; `None` when it expired or ended for everybody.
    pub by: Option<UserId>,
    /// Why it ended, as a code.
    pub reason: EndReason,
    /// Why it ended, in the words of the person who ended it.
    pub note: Option<Note>,
}

impl Termination {
    /// The same termination, not earlier than `start`, when its session began. The clocks of two processes may differ,
    /// and no receipt may lie before its session began.
    pub fn not_before(&self, start: Timestamp) -> Self {
        Self { at: self.at.max(start), ..self.clone() }
    }
}

/// What somebody wrote when they ended a session: 1 to [`NOTE_MAX`] visible characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note(String);

/// The text is not a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be at most 256 characters without control characters")]
pub struct InvalidNote;

impl Note {
    /// Parses a text; a blank one is no note. Invisible characters are removed, and do not count.
    ///
    /// # Errors
    /// [`InvalidNote`] when it is too long or contains a control character.
    pub fn parse(text: &str) -> Result<Option<Self>, InvalidNote> {
        if text.trim().chars().any(char::is_control) {
            return Err(InvalidNote);
        }
        let visible = text::clean(text, usize::MAX);
        if visible.chars().count() > NOTE_MAX {
            return Err(InvalidNote);
        }
        Ok((!visible.is_empty()).then_some(Self(visible)))
    }

    /// The note as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_reads_back() {
        for reason in EndReason::ALL {
            assert_eq!(EndReason::from_code(reason.as_str()), Some(reason));
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
        assert_eq!(EndReason::from_code("none of these"), None);
    }

    #[test]
    fn a_blank_text_gives_no_note() {
        assert_eq!(Note::parse(" \t "), Ok(None));
        assert_eq!(Note::parse(" a b ").unwrap().unwrap().as_str(), "a b");
        assert!(Note::parse(&"é".repeat(256)).is_ok());
        assert_eq!(Note::parse(&"é".repeat(257)), Err(InvalidNote));
        assert_eq!(Note::parse("a\u{1b}b"), Err(InvalidNote));
    }

    #[test]
    fn a_note_is_kept_without_its_invisible_characters() {
        assert_eq!(Note::parse("\u{200B}\u{2066}\u{3164} \u{FEFF}"), Ok(None));
        assert_eq!(
            Note::parse("a\u{202E}b\u{200B} 👩🏽\u{200D}💻").unwrap().unwrap().as_str(),
            "ab 👩🏽\u{200D}💻"
        );
        let hidden = "é\u{200B}".repeat(256);
        assert_eq!(Note::parse(&hidden).unwrap().unwrap().as_str(), "é".repeat(256));
        assert_eq!(Note::parse(&format!("{hidden}é")), Err(InvalidNote));
    }
}
