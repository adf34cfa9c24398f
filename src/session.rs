//! The domain: users, sessions, endings and the rules about them. Pure; knows no database and no HTTP.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use ring::digest;
use serde::{Serialize, Serializer};
use uuid::{Builder, Uuid};

/// The longest user id, in characters: OpenID Connect Core 1.0, section 2, on `sub`.
pub const USER_ID_MAX: usize = 255;

/// The longest note on an ending, in characters.
pub const NOTE_MAX: usize = 256;

/// Characters that no user id holds: they separate or encode path segments, or quote.
const NOT_IN_USER_IDS: &[u8] = b"/\\%?#\"<>`";

/// Whose session it is: 1 to [`USER_ID_MAX`] visible ASCII characters that are safe in a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(String);

/// The text is no user id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 255 visible ASCII characters without / \\ % ? # \" < > `")]
pub struct InvalidUserId;

impl UserId {
    /// Takes a decoded id.
    ///
    /// # Errors
    /// [`InvalidUserId`] when it is empty, too long, a dot segment, or holds a character that ids never hold.
    pub fn parse(text: &str) -> Result<Self, InvalidUserId> {
        let visible = |byte: u8| byte.is_ascii_graphic() && !NOT_IN_USER_IDS.contains(&byte);
        let fits = (1..=USER_ID_MAX).contains(&text.len()) && text.bytes().all(visible);
        if !fits || text == "." || text == ".." {
            return Err(InvalidUserId);
        }
        Ok(Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as a number, when writing that number gives the same text and every JSON reader holds it exactly
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

/// Names a session: a UUIDv7 (RFC 9562), so ids sort by the time of sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(Uuid);

/// The text is no session id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a UUID such as 0192f0c1-2345-7abc-8def-0123456789ab")]
pub struct InvalidSessionId;

impl SessionId {
    /// A new id for a session that starts at `now`; `random` fills the bits that time leaves free.
    pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
        Self(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// Takes the hyphenated form.
    ///
    /// # Errors
    /// [`InvalidSessionId`] for anything else, the other spellings of a UUID included.
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

/// A handheld or anything else; clients test for `mobile`, so there is no third value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceType {
    /// A phone or a tablet.
    Mobile,
    /// A browser on any other machine, and whatever could not be told.
    Web,
}

impl DeviceType {
    /// The value in the table and in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::Web => "web",
        }
    }
}

/// What a session was opened with, as people call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// "Chrome on Windows 10"; "Unknown device" when nothing is known.
    pub name: String,
    /// Handheld or not.
    pub kind: DeviceType,
    /// "Chrome"; "Unknown" when not known.
    pub browser: String,
    /// "Windows 10"; "Unknown" when not known.
    pub os: String,
}

/// A fingerprint, token or user agent that can be recognised and not read back: SHA-256, bound to its user and
/// its purpose so that equal values of two users differ in the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; digest::SHA256_OUTPUT_LEN]);

impl Digest {
    /// The digest of `value`, kept for `purpose` with a session of `user`.
    pub fn of(user: &UserId, purpose: &str, value: &[u8]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in [user.as_str().as_bytes(), b"\0", purpose.as_bytes(), b"\0", value] {
            context.update(part);
        }
        let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }

    /// The digest with these bytes; `None` when there are not 32 of them.
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

/// What a device can be told by at its next sign-in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Of the fingerprint that the client made of its device.
    pub fingerprint: Option<Digest>,
    /// Of the token that it signed in with.
    pub token: Option<Digest>,
    /// Of its user agent.
    pub user_agent: Option<Digest>,
}

impl Marks {
    /// Whether both are of one device: by the fingerprint, or where neither has one by token and user agent
    /// together. So whoever repeats a sign-in whose answer was lost gets the session that it made.
    pub fn same_device(&self, other: &Self) -> bool {
        match (self.fingerprint, other.fingerprint) {
            (None, None) => self.token.is_some() && self == other,
            (own, others) => own == others,
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// An admin ended it.
    RevokedByAdmin,
    /// Its user ended it from the list of devices.
    RevokedByUser,
    /// Its user signed out on it.
    Logout,
    /// Its user signed out everywhere.
    LogoutAll,
    /// A newer sign-in took its place under the cap.
    Evicted,
    /// Its lifetime or its idle time ran out.
    Expired,
}

impl EndReason {
    /// The code in the table, the log and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RevokedByAdmin => "revoked_by_admin",
            Self::RevokedByUser => "revoked_by_user",
            Self::Logout => "logout",
            Self::LogoutAll => "logout_all",
            Self::Evicted => "evicted",
            Self::Expired => "expired",
        }
    }

    /// The reason with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        use EndReason::*;
        [RevokedByAdmin, RevokedByUser, Logout, LogoutAll, Evicted, Expired]
            .into_iter()
            .find(|reason| reason.as_str() == code)
    }
}

/// The receipt of an ending. The first one stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// When.
    pub at: Timestamp,
    /// Who; nobody when it expired.
    pub by: Option<UserId>,
    /// Why, as a code.
    pub reason: EndReason,
    /// Why, in the words of who ended it.
    pub note: Option<Note>,
}

/// What someone wrote when ending a session: 1 to [`NOTE_MAX`] characters without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note(String);

/// The text is no note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be at most 256 characters without control characters")]
pub struct InvalidNote;

impl Note {
    /// Takes a text; `None` when it is blank.
    ///
    /// # Errors
    /// [`InvalidNote`] when it is too long or holds a control character.
    pub fn parse(text: &str) -> Result<Option<Self>, InvalidNote> {
        let text = text.trim();
        if text.chars().count() > NOTE_MAX || text.chars().any(char::is_control) {
            return Err(InvalidNote);
        }
        Ok((!text.is_empty()).then(|| Self(text.to_owned())))
    }

    /// The note as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How long sessions last and how many a user may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The most sessions a user has live after a sign-in; at least 1.
    pub max_sessions: usize,
    /// From sign-in to the end of the session.
    pub lifetime: SignedDuration,
    /// From the last activity to the end of the session; `None` is no such limit.
    pub idle_timeout: Option<SignedDuration>,
    /// From the end of a session until its record may go.
    pub history: SignedDuration,
    /// The least time between two activity writes of a session.
    pub activity_interval: SignedDuration,
}

/// One sign-in on one device. A record may say that it is open though its time is over: ask [`Session::ending`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// What it was opened with.
    pub device: Device,
    /// Where it was opened from.
    pub ip_address: String,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was last seen, within the activity interval.
    pub last_activity: Timestamp,
    /// When its lifetime is over.
    pub expires_at: Timestamp,
    /// The receipt, once it was written.
    pub ended: Option<Ending>,
    /// What tells its device again.
    pub marks: Marks,
}

impl Session {
    /// When it ends by itself: at the end of its lifetime, or of its idle time if that comes first.
    pub fn deadline(&self, policy: &Policy) -> Timestamp {
        match policy.idle_timeout {
            Some(idle) => later(self.last_activity, idle).min(self.expires_at),
            None => self.expires_at,
        }
    }

    /// How it ended; `None` while it is live. Its time being over is an ending, written down or not.
    pub fn ending(&self, now: Timestamp, policy: &Policy) -> Option<Ending> {
        self.ended.clone().or_else(|| {
            let deadline = self.deadline(policy);
            let expired = Ending { at: deadline, by: None, reason: EndReason::Expired, note: None };
            (now >= deadline).then_some(expired)
        })
    }

    /// Whether it can be used at `now`.
    pub fn is_live_at(&self, now: Timestamp, policy: &Policy) -> bool {
        self.ended.is_none() && now < self.deadline(policy)
    }
}

/// `time` in whole milliseconds: the table keeps no finer ones, and what is written must read back the same.
pub fn to_millisecond(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// `time` plus `duration`, held at the end of time instead of overflowing.
pub fn later(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// What a sign-in does to the sessions that its user has open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInPlan<'o> {
    /// The live session of the same device: it is refreshed, and no second one is made.
    pub refresh: Option<&'o Session>,
    /// What ends with it, oldest first: those over the cap, and whatever has expired meanwhile.
    pub endings: Vec<(&'o Session, Ending)>,
}

impl<'o> SignInPlan<'o> {
    /// Plans the sign-in of `user` from the device with these marks; `open` is newest first.
    pub fn new(user: &UserId, device: &Marks, open: &'o [Session], now: Timestamp, policy: &Policy) -> Self {
        let same_device = |session: &&Session| device.same_device(&session.marks);
        let refresh = open.iter().filter(|session| session.is_live_at(now, policy)).find(same_device);
        let mut room = policy.max_sessions.saturating_sub(1);
        let evicted = Ending { at: now, by: Some(user.clone()), reason: EndReason::Evicted, note: None };
        let end = |session: &'o Session| match session.ending(now, policy) {
            Some(ending) => Some((session, ending)),
            None if room == 0 => Some((session, evicted.clone())),
            None => {
                room -= 1;
                None
            }
        };
        let another = |session: &&Session| refresh.is_none_or(|refresh| refresh.id != session.id);
        let mut endings: Vec<_> = open.iter().filter(another).filter_map(end).collect();
        endings.reverse();
        Self { refresh, endings }
    }

    /// The live sessions that give way, oldest first; the expired ones are not among them.
    pub fn evicted(&self) -> impl Iterator<Item = SessionId> {
        self.endings
            .iter()
            .filter(|(_, ending)| ending.reason == EndReason::Evicted)
            .map(|(session, _)| session.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy(max_sessions: usize, idle_hours: Option<i64>) -> Policy {
        Policy {
            max_sessions,
            lifetime: SignedDuration::from_hours(100),
            idle_timeout: idle_hours.map(SignedDuration::from_hours),
            history: SignedDuration::from_hours(24),
            activity_interval: SignedDuration::from_secs(300),
        }
    }

    fn at(hour: i64) -> Timestamp {
        later(Timestamp::UNIX_EPOCH, SignedDuration::from_hours(hour))
    }

    fn user() -> UserId {
        UserId("74".into())
    }

    fn fingerprint(of: i64) -> Marks {
        let fingerprint = Some(Digest::of(&user(), "fingerprint", &of.to_be_bytes()));
        Marks { fingerprint, ..Marks::default() }
    }

    fn session(created: i64, active: i64) -> Session {
        Session {
            id: SessionId::new(at(created), [0; 10]),
            user_id: user(),
            device: Device { name: "x".into(), kind: DeviceType::Web, browser: "x".into(), os: "x".into() },
            ip_address: "192.0.2.1".into(),
            created_at: at(created),
            last_activity: at(active),
            expires_at: at(created + 100),
            ended: None,
            marks: fingerprint(created),
        }
    }

    #[test]
    fn a_session_is_over_at_its_deadline_and_not_before() {
        let session = session(0, 10);
        for (idle, deadline) in [(None, 100), (Some(5), 15), (Some(90), 100), (Some(200), 100)] {
            let policy = policy(3, idle);
            assert_eq!(session.deadline(&policy), at(deadline));
            assert!(session.is_live_at(later(at(deadline), SignedDuration::from_millis(-1)), &policy));
            assert!(!session.is_live_at(at(deadline), &policy));
            let ending = session.ending(at(deadline), &policy).unwrap();
            assert_eq!((ending.reason, ending.at, ending.by), (EndReason::Expired, at(deadline), None));
        }
    }

    #[test]
    fn a_receipt_outlasts_the_deadline() {
        let receipt = Ending { at: at(1), by: Some(user()), reason: EndReason::Logout, note: None };
        let ended = Session { ended: Some(receipt.clone()), ..session(0, 0) };
        assert_eq!(ended.ending(at(500), &policy(3, Some(1))), Some(receipt));
        assert!(!ended.is_live_at(at(0), &policy(3, None)));
    }

    #[test]
    fn the_last_moment_of_time_does_not_overflow() {
        assert_eq!(later(Timestamp::MAX, SignedDuration::from_hours(1)), Timestamp::MAX);
    }

    #[test]
    fn what_a_path_would_take_for_another_is_no_user_id() {
        for text in [".", "..", "", "a/b", "a%2fb"] {
            assert_eq!(UserId::parse(text), Err(InvalidUserId), "{text}");
        }
        assert!(UserId::parse("...").is_ok());
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
        assert!(texts.is_sorted(), "as text too, for that is how the table sorts them");
    }

    #[test]
    fn equal_values_of_two_users_or_two_purposes_have_different_digests() {
        let other = UserId("75".into());
        let digest = Digest::of(&user(), "token", b"x");
        assert_eq!(digest, Digest::of(&user(), "token", b"x"));
        assert_ne!(digest, Digest::of(&other, "token", b"x"));
        assert_ne!(digest, Digest::of(&user(), "fingerprint", b"x"));
        assert_eq!(format!("{digest:?}"), "Digest(..)");
    }

    #[test]
    fn a_device_is_told_by_its_fingerprint_or_by_token_and_agent_together() {
        let mark = |purpose, value: &str| Some(Digest::of(&user(), purpose, value.as_bytes()));
        let marks = |fingerprint: &str, token: &str, agent: &str| Marks {
            fingerprint: mark("fingerprint", fingerprint).filter(|_| !fingerprint.is_empty()),
            token: mark("token", token).filter(|_| !token.is_empty()),
            user_agent: mark("user_agent", agent).filter(|_| !agent.is_empty()),
        };
        let same = [
            (marks("f", "t", "a"), marks("f", "u", "b")),
            (marks("", "t", "a"), marks("", "t", "a")),
            (marks("", "t", ""), marks("", "t", "")),
        ];
        let different = [
            (marks("f", "t", "a"), marks("g", "t", "a")),
            (marks("f", "t", "a"), marks("", "t", "a")),
            (marks("", "t", "a"), marks("", "t", "b")),
            (marks("", "t", "a"), marks("", "u", "a")),
            (marks("", "", "a"), marks("", "", "a")),
            (Marks::default(), Marks::default()),
        ];
        assert!(same.iter().all(|(one, other)| one.same_device(other) && other.same_device(one)));
        assert!(different.iter().all(|(one, other)| !one.same_device(other) && !other.same_device(one)));
    }

    #[test]
    fn every_reason_reads_back() {
        use EndReason::*;
        for reason in [RevokedByAdmin, RevokedByUser, Logout, LogoutAll, Evicted, Expired] {
            assert_eq!(EndReason::from_code(reason.as_str()), Some(reason));
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
        assert_eq!(EndReason::from_code("none of these"), None);
    }

    #[test]
    fn a_blank_note_is_none() {
        assert_eq!(Note::parse(" \t "), Ok(None));
        assert_eq!(Note::parse(" a b ").unwrap().unwrap().as_str(), "a b");
        assert!(Note::parse(&"é".repeat(256)).is_ok());
        assert_eq!(Note::parse(&"é".repeat(257)), Err(InvalidNote));
        assert_eq!(Note::parse("a\u{1b}b"), Err(InvalidNote));
    }

    proptest! {
        #[test]
        fn user_ids_are_what_they_were_or_refused(text in ".{0,300}") {
            match UserId::parse(&text) {
                Ok(id) => {
                    prop_assert_eq!(id.as_str(), text.as_str());
                    prop_assert!(!text.is_empty() && text.len() <= USER_ID_MAX);
                    prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b'%'));
                }
                Err(InvalidUserId) => prop_assert!(text != "74"),
            }
        }

        #[test]
        fn session_ids_read_back(bytes: [u8; 16]) {
            let id = SessionId::from_bytes(bytes);
            prop_assert_eq!(SessionId::parse(&id.to_string()), Ok(id));
            prop_assert_eq!(SessionId::parse(&id.to_string().to_uppercase()), Ok(id));
        }

        #[test]
        fn a_sign_in_leaves_room_and_ends_the_oldest(
            ages in prop::collection::vec(0_i64..150, 0..12),
            max in 1_usize..5,
            device in 0_i64..150,
        ) {
            let mut created: Vec<_> = ages.iter().map(|age| 150 - age).collect();
            created.sort_unstable();
            created.dedup();
            created.reverse();
            let open: Vec<_> = created.iter().map(|hour| session(*hour, *hour)).collect();
            let (now, policy) = (at(150), policy(max, None));
            let plan = SignInPlan::new(&user(), &fingerprint(device), &open, now, &policy);

            let ended = |id| plan.endings.iter().any(|(ended, _)| ended.id == id);
            let refresh = plan.refresh.map(|session| session.id);
            let kept: Vec<_> = open.iter().filter(|session| !ended(session.id)).collect();
            let live = open.iter().filter(|session| session.is_live_at(now, &policy)).count();
            prop_assert!(kept.iter().all(|session| session.is_live_at(now, &policy)));
            let known = open.iter().find(|s| s.created_at == at(device) && s.is_live_at(now, &policy));
            prop_assert_eq!(refresh, known.map(|session| session.id));
            // With the one that signs in there are as many as may be, or all there were.
            let others = kept.iter().filter(|session| Some(session.id) != refresh).count();
            let live_others = live - usize::from(refresh.is_some());
            prop_assert_eq!(others, live_others.min(max - 1));
            // Whoever stays, but for the device itself, is newer than whoever is evicted.
            for evicted in plan.evicted() {
                prop_assert!(kept.iter().all(|session| session.id > evicted || Some(session.id) == refresh));
            }
        }
    }
}
