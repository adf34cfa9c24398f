//! The items of the table: how profiles and sessions are written, and how they are read.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;

use super::error::StoreError;
use crate::session::{
    Device, DeviceIdentity, DeviceType, Digest, EndReason, LATEST_SECOND, Location, Lock, Note, Policy,
    Session, SessionId, Termination, Timestamp, UserId, later,
};
use attribute::*;

pub(super) type Item = HashMap<String, AttributeValue>;

/// The names of the attributes.
pub(super) mod attribute {
    pub const USER_ID: &str = "user_id";
    pub const SK: &str = "sk";
    pub const LIVE_SK: &str = "live_sk";
    pub const SHARD: &str = "shard";
    pub const DEVICE_NAME: &str = "device_name";
    pub const DEVICE_TYPE: &str = "device_type";
    pub const BROWSER: &str = "browser";
    pub const OS: &str = "os";
    pub const IP_ADDRESS: &str = "ip_address";
    pub const LOCATION: &str = "location";
    pub const SIGNED_IN_IP: &str = "signed_in_ip";
    pub const CREATED_AT: &str = "created_at";
    pub const LAST_ACTIVITY: &str = "last_activity";
    pub const EXPIRES_AT: &str = "expires_at";
    pub const TTL: &str = "ttl";
    pub const IDENTITY_TYPE: &str = "identity_type";
    pub const BROWSER_FAMILY: &str = "browser_family";
    pub const PLATFORM_FAMILY: &str = "platform_family";
    pub const FINGERPRINT: &str = "fingerprint";
    pub const USER_AGENT: &str = "user_agent";
    pub const ENDED_AT: &str = "ended_at";
    pub const END_REASON: &str = "end_reason";
    pub const ENDED_BY: &str = "ended_by";
    pub const END_NOTE: &str = "end_note";
    pub const VERSION: &str = "version";
    pub const NOT_BEFORE: &str = "not_before";
    pub const NEWEST: &str = "newest";
    pub const ROLE: &str = "role";
    pub const LOCKED: &str = "locked";
    pub const LOCKED_BY: &str = "by";
    pub const LOCKED_AT: &str = "at";
    pub const LOCKED_UNTIL: &str = "until";
    pub const LOCK_REASON: &str = "reason";
    pub const SESSION: &str = "session";
}

/// The sort key of a user's profile item, and its key in the index.
pub(super) const PROFILE: &str = "profile";

/// The start of the sort keys of sessions.
pub(super) const SESSION_PREFIX: &str = "session#";

/// The number of partitions in the index of all users' sessions. Each takes 1,000 writes and 3,000 reads a second.
pub(super) const SHARDS: u8 = 8;

/// The profile of a user: the roles, and the version that guards the sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Every sign-in and every end-all raises it. It is `None` when an operator wrote the item and the user has not
    /// signed in yet.
    pub version: Option<u64>,
    /// The roles that operators wrote into `role`, which is a string, a list or a set of strings.
    pub roles: Vec<String>,
    /// Unbound tokens that were issued at this second or before are refused. In seconds since 1970.
    pub not_before: Option<i64>,
    /// The session that the user's last transaction wrote; `None` if it wrote none.
    pub newest: Option<SessionId>,
    /// Keeps the user out, until it is over.
    pub lock: Option<Lock>,
}

impl Profile {
    /// What keeps the user out at `now`.
    pub fn lock_at(&self, now: Timestamp) -> Option<&Lock> {
        self.lock.as_ref().filter(|lock| lock.holds_at(now))
    }
}

pub(super) fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A time, in milliseconds since 1970.
pub(super) fn time(value: Timestamp) -> AttributeValue {
    number(value.timestamp_millis())
}

/// When DynamoDB may delete the record of a session that ends at `end`, in seconds since 1970.
pub(super) fn ttl(end: Timestamp, policy: &Policy) -> AttributeValue {
    number(later(end, policy.history).timestamp())
}

pub(super) fn session_sk(id: SessionId) -> String {
    format!("{SESSION_PREFIX}{id}")
}

/// The partition that holds the sessions of a user in the index of all users' sessions.
pub(super) fn shard(user: &UserId) -> u8 {
    Digest::of(user, "shard", b"").as_bytes()[0] % SHARDS
}

/// The sort key of the item that binds a token to its session.
pub(super) fn token_sk(digest: &Digest) -> String {
    format!("token#{}", URL_SAFE_NO_PAD.encode(digest.as_bytes()))
}

/// The sort key of the item that binds an idempotency key to its session.
pub(super) fn idempotency_sk(digest: &Digest) -> String {
    format!("key#{}", URL_SAFE_NO_PAD.encode(digest.as_bytes()))
}

/// The item that binds a token or an idempotency key to a session. `ttl` is in seconds since 1970.
pub(super) fn binding(user: &UserId, sk: &str, session: SessionId, ttl: i64) -> Item {
    let mut item = key(user, sk);
    item.insert(SESSION.into(), text(session));
    item.insert(TTL.into(), number(ttl));
    item
}

pub(super) fn key(user: &UserId, sk: impl ToString) -> Item {
    Item::from([(USER_ID.into(), text(user)), (SK.into(), text(sk))])
}

/// A lock as the profile holds it.
pub(super) fn locked(lock: &Lock) -> AttributeValue {
    let mut item = Item::from([(LOCKED_BY.into(), text(&lock.by)), (LOCKED_AT.into(), time(lock.at))]);
    item.extend(lock.until.map(|until| (LOCKED_UNTIL.into(), time(until))));
    item.extend(lock.note.as_ref().map(|note| (LOCK_REASON.into(), text(note.as_str()))));
    AttributeValue::M(item)
}

/// The item of a session that is live.
pub(super) fn encode(session: &Session, policy: &Policy) -> Item {
    let sk = session_sk(session.id);
    let mut item = key(&session.user_id, &sk);
    let mut set = |name: &str, value| item.insert(name.into(), value);
    set(LIVE_SK, text(sk));
    set(SHARD, number(shard(&session.user_id)));
    set(DEVICE_NAME, text(&session.device.name));
    set(DEVICE_TYPE, text(session.device.kind.as_str()));
    set(BROWSER, text(&session.device.browser));
    set(OS, text(&session.device.os));
    set(IP_ADDRESS, text(&session.ip_address));
    if let Some(location) = &session.location {
        set(LOCATION, text(location.as_str()));
    }
    set(SIGNED_IN_IP, text(&session.signed_in_ip));
    set(CREATED_AT, time(session.created_at));
    set(LAST_ACTIVITY, time(session.last_activity));
    set(EXPIRES_AT, time(session.expires_at));
    set(TTL, ttl(session.expires_at, policy));
    let identity = &session.identity;
    set(IDENTITY_TYPE, text(identity.kind.as_str()));
    let families = [(BROWSER_FAMILY, &identity.browser), (PLATFORM_FAMILY, &identity.platform)];
    for (name, family) in families {
        if let Some(family) = family {
            set(name, text(family));
        }
    }
    let digests = [(FINGERPRINT, identity.fingerprint), (USER_AGENT, identity.user_agent)];
    for (name, digest) in digests {
        if let Some(digest) = digest {
            set(name, AttributeValue::B(Blob::new(digest.as_bytes())));
        }
    }
    item
}

/// Reads an item.
pub(super) struct Reader<'a>(pub &'a Item);

impl Reader<'_> {
    pub(super) fn is_profile(&self) -> bool {
        self.optional_text(SK) == Some(PROFILE)
    }

    pub(super) fn profile(&self) -> Result<Profile, StoreError> {
        let version = match self.0.get(VERSION) {
            None => None,
            Some(value) => {
                let number = value.as_n().ok().and_then(|number| number.parse().ok());
                Some(number.ok_or_else(|| self.corrupt(VERSION))?)
            }
        };
        let (not_before, newest, lock) = (self.not_before()?, self.newest()?, self.lock()?);
        Ok(Profile { version, roles: self.roles(), not_before, newest, lock })
    }

    fn lock(&self) -> Result<Option<Lock>, StoreError> {
        let Some(lock) = self.0.get(LOCKED) else { return Ok(None) };
        let lock = Reader(lock.as_m().map_err(|_| self.corrupt(LOCKED))?);
        let until = lock.0.contains_key(LOCKED_UNTIL).then(|| lock.time(LOCKED_UNTIL)).transpose()?;
        Ok(Some(Lock {
            by: UserId::parse(lock.text(LOCKED_BY)?).map_err(|_| self.corrupt(LOCKED))?,
            at: lock.time(LOCKED_AT)?,
            until,
            note: lock.optional_text(LOCK_REASON).and_then(|note| Note::parse(note).ok().flatten()),
        }))
    }

    fn newest(&self) -> Result<Option<SessionId>, StoreError> {
        let Some(id) = self.0.get(NEWEST) else { return Ok(None) };
        let id = id.as_s().ok().and_then(|id| SessionId::parse(id).ok());
        id.map(Some).ok_or_else(|| self.corrupt(NEWEST))
    }

    fn not_before(&self) -> Result<Option<i64>, StoreError> {
        let Some(value) = self.0.get(NOT_BEFORE) else { return Ok(None) };
        let seconds = value.as_n().ok().and_then(|number| number.parse().ok());
        seconds.map(Some).ok_or_else(|| self.corrupt(NOT_BEFORE))
    }

    /// When the record may be deleted, in seconds since 1970.
    pub(super) fn ttl(&self) -> Result<i64, StoreError> {
        let seconds = self.0.get(TTL).and_then(|value| value.as_n().ok()?.parse().ok());
        seconds.ok_or_else(|| self.corrupt(TTL))
    }

    /// The session that a token or an idempotency key is bound to.
    pub(super) fn bound_session(&self) -> Result<SessionId, StoreError> {
        SessionId::parse(self.text(SESSION)?).map_err(|_| self.corrupt(SESSION))
    }

    fn roles(&self) -> Vec<String> {
        match self.0.get(ROLE) {
            Some(AttributeValue::S(role)) => vec![role.clone()],
            Some(AttributeValue::Ss(roles)) => roles.clone(),
            Some(AttributeValue::L(roles)) => {
                roles.iter().filter_map(|role| role.as_s().ok().cloned()).collect()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn session(&self) -> Result<Session, StoreError> {
        Ok(Session {
            id: self.session_id()?,
            user_id: UserId::parse(self.text(USER_ID)?).map_err(|_| self.corrupt(USER_ID))?,
            device: self.device()?,
            ip_address: self.text(IP_ADDRESS)?.into(),
            location: self.optional_text(LOCATION).and_then(Location::new),
            signed_in_ip: self.text(SIGNED_IN_IP)?.into(),
            created_at: self.time(CREATED_AT)?,
            last_activity: self.time(LAST_ACTIVITY)?,
            expires_at: self.time(EXPIRES_AT)?,
            terminated: self.termination()?,
            identity: self.identity()?,
        })
    }

    pub(super) fn session_id(&self) -> Result<SessionId, StoreError> {
        let id = self.text(SK)?.strip_prefix(SESSION_PREFIX).and_then(|id| SessionId::parse(id).ok());
        id.ok_or_else(|| self.corrupt(SK))
    }

    fn device(&self) -> Result<Device, StoreError> {
        let kind = self.device_type(DEVICE_TYPE)?;
        Ok(Device {
            name: self.text(DEVICE_NAME)?.into(),
            kind,
            browser: self.text(BROWSER)?.into(),
            os: self.text(OS)?.into(),
        })
    }

    fn device_type(&self, name: &'static str) -> Result<DeviceType, StoreError> {
        DeviceType::from_code(self.text(name)?).ok_or_else(|| self.corrupt(name))
    }

    fn identity(&self) -> Result<DeviceIdentity, StoreError> {
        Ok(DeviceIdentity {
            fingerprint: self.digest(FINGERPRINT),
            browser: self.optional_text(BROWSER_FAMILY).map(str::to_owned),
            platform: self.optional_text(PLATFORM_FAMILY).map(str::to_owned),
            kind: self.device_type(IDENTITY_TYPE)?,
            user_agent: self.digest(USER_AGENT),
        })
    }

    fn termination(&self) -> Result<Option<Termination>, StoreError> {
        if !self.0.contains_key(ENDED_AT) {
            return Ok(None);
        }
        let reason = EndReason::from_code(self.text(END_REASON)?);
        let by = self.optional_text(ENDED_BY).map(UserId::parse).transpose();
        Ok(Some(Termination {
            at: self.time(ENDED_AT)?,
            by: by.map_err(|_| self.corrupt(ENDED_BY))?,
            reason: reason.ok_or_else(|| self.corrupt(END_REASON))?,
            note: self.optional_text(END_NOTE).and_then(|note| Note::parse(note).ok().flatten()),
        }))
    }

    fn optional_text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_s().ok().map(String::as_str)
    }

    fn text(&self, name: &'static str) -> Result<&str, StoreError> {
        self.optional_text(name).ok_or_else(|| self.corrupt(name))
    }

    fn time(&self, name: &'static str) -> Result<Timestamp, StoreError> {
        let millis = self.0.get(name).and_then(|value| value.as_n().ok()?.parse::<i64>().ok());
        let time = millis.and_then(DateTime::from_timestamp_millis);
        time.filter(|time| time.timestamp() <= LATEST_SECOND).ok_or_else(|| self.corrupt(name))
    }

    fn digest(&self, name: &str) -> Option<Digest> {
        Digest::from_bytes(self.0.get(name)?.as_b().ok()?.as_ref())
    }

    fn corrupt(&self, attribute: &'static str) -> StoreError {
        StoreError::Corrupt { sk: self.optional_text(SK).unwrap_or("?").into(), attribute }
    }
}
