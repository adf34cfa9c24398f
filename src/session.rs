//! The domain: users, sessions, how sessions end, and the rules for all of them. This module knows no database and no HTTP.

use std::fmt;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Serialize, Serializer};
use uuid::{Builder, Uuid};

use crate::text;

/// A moment in UTC.
pub type Timestamp = DateTime<Utc>;

/// The longest user id, in characters (OpenID Connect Core 1.0, section 2, on `sub`).
pub const USER_ID_MAX: usize = 255;

/// The longest note on a termination, in characters.
pub const NOTE_MAX: usize = 256;

/// The last second of the year 9999, which is the last that RFC 3339 can write. In seconds since 1970.
pub const LATEST_SECOND: i64 = 253_402_300_799;

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

/// The kind of a device. Existing clients compare it with `mobile`, so there is no third value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceType {
    /// A phone or a tablet.
    Mobile,
    /// A browser on any other machine, and every device of an unknown kind.
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

/// The device of a session, in words that people use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// For example "Chrome on Windows 10"; "Unknown device" when nothing is known.
    pub name: String,
    /// Whether it is a phone or a tablet.
    pub kind: DeviceType,
    /// For example "Chrome"; "Unknown" when it is not known.
    pub browser: String,
    /// For example "Windows 10"; "Unknown" when it is not known.
    pub os: String,
}

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

/// What identifies a device at its next sign-in. It is stored apart from the names that people read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceIdentity {
    /// The digest of the fingerprint that the client computed.
    pub fingerprint: Option<Digest>,
    /// The family of the browser, such as "Chrome".
    pub browser: Option<String>,
    /// The family of the platform, such as "Windows". It has no version, because browsers send the version late.
    pub platform: Option<String>,
    /// Whether it is a phone or a tablet.
    pub kind: DeviceType,
    /// The digest of the user agent. It does not identify the device; it only helps to find the current session.
    pub user_agent: Option<Digest>,
}

impl DeviceIdentity {
    /// Whether both belong to one device. A fingerprint alone does not prove it: one existing client sends the same
    /// fingerprint from every browser.
    pub fn same_device(&self, other: &Self) -> bool {
        self.fingerprint.is_some()
            && self.fingerprint == other.fingerprint
            && self.browser == other.browser
            && self.platform == other.platform
            && self.kind == other.kind
    }
}

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

/// The time during a request: the moment when the request arrived, and the moments after it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    arrived_at: Timestamp,
    since: Instant,
}

impl Clock {
    /// The clock of a request that has just arrived, at `now`.
    pub fn start(now: Timestamp) -> Self {
        Self { arrived_at: to_millisecond(now), since: Instant::now() }
    }

    /// When the request arrived, in whole milliseconds.
    pub fn arrived_at(&self) -> Timestamp {
        self.arrived_at
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        later(self.arrived_at, TimeDelta::from_std(self.since.elapsed()).unwrap_or(TimeDelta::MAX))
    }
}

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
}

impl EndReason {
    /// Every reason.
    const ALL: [Self; 7] = [
        Self::RevokedByAdmin,
        Self::RevokedByService,
        Self::RevokedByUser,
        Self::Logout,
        Self::LogoutAll,
        Self::Evicted,
        Self::Expired,
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
    /// Who ended it; `None` when it expired.
    pub by: Option<UserId>,
    /// Why it ended, as a code.
    pub reason: EndReason,
    /// Why it ended, in the words of the person who ended it.
    pub note: Option<Note>,
}

impl Termination {
    /// The same termination for `session`, not earlier than the session's start. The clocks of two processes may
    /// differ, and no receipt may lie before its session began.
    pub fn not_before_start_of(&self, session: &Session) -> Self {
        Self { at: self.at.max(session.created_at), ..self.clone() }
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

/// How long sessions last, and how many a user may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The highest number of live sessions that a user has after a sign-in; at least 1.
    pub max_sessions: usize,
    /// The time from sign-in to the end of the session.
    pub lifetime: TimeDelta,
    /// The time from the last activity to the end of the session; `None` sets no such limit.
    pub idle_timeout: Option<TimeDelta>,
    /// The time from the end of a session until its record may be deleted.
    pub history: TimeDelta,
    /// The shortest time between two writes of a session's activity.
    pub activity_interval: TimeDelta,
}

/// One sign-in on one device. Its record may say that it is open after its time is over: ask
/// [`Session::termination`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The session's id.
    pub id: SessionId,
    /// The user who signed in.
    pub user_id: UserId,
    /// The device that signed in.
    pub device: Device,
    /// The IP address where the device was last seen.
    pub ip_address: String,
    /// The IP address where the session was opened.
    pub signed_in_ip: String,
    /// When the session began.
    pub created_at: Timestamp,
    /// When the device was last seen, exact to the activity interval.
    pub last_activity: Timestamp,
    /// When the session's lifetime is over.
    pub expires_at: Timestamp,
    /// How it ended, if that was written.
    pub terminated: Option<Termination>,
    /// What identifies its device at the next sign-in.
    pub identity: DeviceIdentity,
}

impl Session {
    /// When the session ends by itself: at the end of its lifetime, or of its idle time if that comes first.
    pub fn deadline(&self, policy: &Policy) -> Timestamp {
        match policy.idle_timeout {
            Some(idle) => later(self.last_activity, idle).min(self.expires_at),
            None => self.expires_at,
        }
    }

    /// How the session ended; `None` while it is live. A session whose deadline has passed has expired, even if
    /// nobody has written that yet.
    pub fn termination(&self, now: Timestamp, policy: &Policy) -> Option<Termination> {
        self.terminated.clone().or_else(|| {
            let deadline = self.deadline(policy);
            let expired = Termination { at: deadline, by: None, reason: EndReason::Expired, note: None };
            (now >= deadline).then_some(expired)
        })
    }

    /// Whether the session can be used at `now`.
    pub fn is_live_at(&self, now: Timestamp, policy: &Policy) -> bool {
        self.terminated.is_none() && now < self.deadline(policy)
    }
}

/// `time` without its fraction of a millisecond, which the table does not keep.
pub fn to_millisecond(time: Timestamp) -> Timestamp {
    DateTime::from_timestamp_millis(time.timestamp_millis()).unwrap_or(time)
}

/// `time` plus `duration`, but never after the year 9999.
pub fn later(time: Timestamp, duration: TimeDelta) -> Timestamp {
    let latest = DateTime::from_timestamp(LATEST_SECOND, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
    time.checked_add_signed(duration).unwrap_or(latest).min(latest)
}

/// What a sign-in does to the open sessions of its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInPlan<'o> {
    /// The live session of the same device. It is refreshed, and no second session is opened.
    pub refresh: Option<&'o Session>,
    /// The sessions that end, oldest first: those over the cap, and those that have expired.
    pub endings: Vec<(&'o Session, Termination)>,
}

impl<'o> SignInPlan<'o> {
    /// Plans the sign-in of `user` on the device with this identity. `open` is sorted newest first.
    pub fn new(
        user: &UserId,
        device: &DeviceIdentity,
        open: &'o [Session],
        now: Timestamp,
        policy: &Policy,
    ) -> Self {
        let same_device = |session: &&Session| device.same_device(&session.identity);
        let refresh = open.iter().filter(|session| session.is_live_at(now, policy)).find(same_device);
        let mut room = policy.max_sessions.saturating_sub(1);
        let evicted = Termination { at: now, by: Some(user.clone()), reason: EndReason::Evicted, note: None };
        let end = |session: &'o Session| match session.termination(now, policy) {
            Some(expired) => Some((session, expired)),
            None if room == 0 => Some((session, evicted.not_before_start_of(session))),
            None => {
                room -= 1;
                None
            }
        };
        let is_another = |session: &&Session| refresh.is_none_or(|refresh| refresh.id != session.id);
        let mut endings: Vec<_> = open.iter().filter(is_another).filter_map(end).collect();
        endings.reverse();
        Self { refresh, endings }
    }

    /// The live sessions that end because of the cap, oldest first.
    pub fn evicted(&self) -> impl Iterator<Item = SessionId> {
        self.endings
            .iter()
            .filter(|(_, termination)| termination.reason == EndReason::Evicted)
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
            lifetime: TimeDelta::hours(100),
            idle_timeout: idle_hours.map(TimeDelta::hours),
            history: TimeDelta::hours(24),
            activity_interval: TimeDelta::seconds(300),
        }
    }

    fn at(hour: i64) -> Timestamp {
        later(DateTime::UNIX_EPOCH, TimeDelta::hours(hour))
    }

    fn user() -> UserId {
        UserId("74".into())
    }

    fn fingerprint(of: i64) -> DeviceIdentity {
        let fingerprint = Some(Digest::of(&user(), "fingerprint", &of.to_be_bytes()));
        DeviceIdentity {
            fingerprint,
            browser: Some("Firefox".into()),
            platform: Some("Linux".into()),
            kind: DeviceType::Web,
            user_agent: None,
        }
    }

    fn session(created: i64, active: i64) -> Session {
        Session {
            id: SessionId::new(at(created), [0; 10]),
            user_id: user(),
            device: Device { name: "x".into(), kind: DeviceType::Web, browser: "x".into(), os: "x".into() },
            ip_address: "192.0.2.1".into(),
            signed_in_ip: "192.0.2.1".into(),
            created_at: at(created),
            last_activity: at(active),
            expires_at: at(created + 100),
            terminated: None,
            identity: fingerprint(created),
        }
    }

    #[test]
    fn a_session_is_over_at_its_deadline_and_not_before() {
        let session = session(0, 10);
        for (idle, deadline) in [(None, 100), (Some(5), 15), (Some(90), 100), (Some(200), 100)] {
            let policy = policy(3, idle);
            assert_eq!(session.deadline(&policy), at(deadline));
            assert!(session.is_live_at(later(at(deadline), TimeDelta::milliseconds(-1)), &policy));
            assert!(!session.is_live_at(at(deadline), &policy));
            let ending = session.termination(at(deadline), &policy).unwrap();
            assert_eq!((ending.reason, ending.at, ending.by), (EndReason::Expired, at(deadline), None));
        }
    }

    #[test]
    fn a_receipt_outlasts_the_deadline() {
        let receipt = Termination { at: at(1), by: Some(user()), reason: EndReason::Logout, note: None };
        let ended = Session { terminated: Some(receipt.clone()), ..session(0, 0) };
        assert_eq!(ended.termination(at(500), &policy(3, Some(1))), Some(receipt));
        assert!(!ended.is_live_at(at(0), &policy(3, None)));
    }

    #[test]
    fn the_last_moment_of_time_does_not_overflow() {
        let last = DateTime::from_timestamp(LATEST_SECOND, 0).unwrap();
        assert_eq!(later(last, TimeDelta::hours(1)), last);
        assert_eq!(later(last, TimeDelta::MAX), last);
    }

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
    fn a_device_is_the_same_if_fingerprint_browser_platform_and_kind_agree() {
        let one = fingerprint(1);
        let browser = |name: &str| DeviceIdentity { browser: Some(name.into()), ..fingerprint(1) };
        let platform = |name: &str| DeviceIdentity { platform: Some(name.into()), ..fingerprint(1) };
        let other_agent = Some(Digest::of(&user(), "user_agent", b"updated"));
        assert!(one.same_device(&DeviceIdentity { user_agent: other_agent, ..fingerprint(1) }));
        let others = [
            fingerprint(2),
            browser("Chrome"),
            platform("Windows"),
            DeviceIdentity { browser: None, ..fingerprint(1) },
            DeviceIdentity { platform: None, ..fingerprint(1) },
            DeviceIdentity { kind: DeviceType::Mobile, ..fingerprint(1) },
            DeviceIdentity { fingerprint: None, ..fingerprint(1) },
        ];
        for other in others {
            assert!(!one.same_device(&other) && !other.same_device(&one), "{other:?}");
        }
        let none = DeviceIdentity { fingerprint: None, ..fingerprint(1) };
        assert!(!none.same_device(&none), "devices without a fingerprint are never the same");
    }

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
            // With the new session the user has as many as the cap allows, or all that were live.
            let others = kept.iter().filter(|session| Some(session.id) != refresh).count();
            let live_others = live - usize::from(refresh.is_some());
            prop_assert_eq!(others, live_others.min(max - 1));
            // Each session that stays, except the device's own, is newer than each evicted one.
            for evicted in plan.evicted() {
                prop_assert!(kept.iter().all(|session| session.id > evicted || Some(session.id) == refresh));
            }
        }
    }
}
