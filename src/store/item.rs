//! How profiles and sessions are written as items, and read back.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::StoreError;
use crate::session::{
    Device, DeviceType, Digest, EndReason, Ending, Marks, Note, Policy, Session, SessionId, UserId, later,
};

pub(super) type Item = HashMap<String, AttributeValue>;

/// The sort key of a user's profile item, and its key in the index.
pub(super) const PROFILE: &str = "profile";

/// What the sort keys of sessions start with.
pub(super) const SESSION_PREFIX: &str = "session#";

/// What is kept of a user: who they are to us, and the version that guards their sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Rises with every sign-in and every end-all; `None` when an operator wrote the item and nobody signed in yet.
    pub version: Option<u64>,
    /// What operators wrote into `role`: a text, a list or a set of texts.
    pub roles: Vec<String>,
}

pub(super) fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Times are kept as milliseconds since 1970.
pub(super) fn time(value: Timestamp) -> AttributeValue {
    number(value.as_millisecond())
}

/// The moment when DynamoDB may delete the record of a session that is over at `end`, in seconds since 1970.
pub(super) fn ttl(end: Timestamp, policy: &Policy) -> AttributeValue {
    number(later(end, policy.history).as_second())
}

pub(super) fn session_sk(id: SessionId) -> String {
    format!("{SESSION_PREFIX}{id}")
}

pub(super) fn key(user: &UserId, sk: impl ToString) -> Item {
    Item::from([("user_id".into(), text(user)), ("sk".into(), text(sk))])
}

/// The item of a session that is live.
pub(super) fn encode(session: &Session, policy: &Policy) -> Item {
    let sk = session_sk(session.id);
    let mut item = key(&session.user_id, &sk);
    let mut set = |name: &str, value| item.insert(name.into(), value);
    set("live_sk", text(sk));
    set("device_name", text(&session.device.name));
    set("device_type", text(session.device.kind.as_str()));
    set("browser", text(&session.device.browser));
    set("os", text(&session.device.os));
    set("ip_address", text(&session.ip_address));
    set("created_at", time(session.created_at));
    set("last_activity", time(session.last_activity));
    set("expires_at", time(session.expires_at));
    set("ttl", ttl(session.expires_at, policy));
    let Marks { fingerprint, token, user_agent } = session.marks;
    let digests = [("fingerprint", fingerprint), ("token", token), ("user_agent", user_agent)];
    for (name, digest) in digests {
        if let Some(digest) = digest {
            set(name, AttributeValue::B(Blob::new(digest.as_bytes())));
        }
    }
    item
}

/// An item being read.
pub(super) struct Reader<'a>(pub &'a Item);

impl Reader<'_> {
    pub(super) fn is_profile(&self) -> bool {
        self.optional_text("sk") == Some(PROFILE)
    }

    pub(super) fn profile(&self) -> Result<Profile, StoreError> {
        let version = match self.0.get("version") {
            None => None,
            Some(value) => {
                let number = value.as_n().ok().and_then(|number| number.parse().ok());
                Some(number.ok_or_else(|| self.corrupt("version"))?)
            }
        };
        Ok(Profile { version, roles: self.roles() })
    }

    fn roles(&self) -> Vec<String> {
        match self.0.get("role") {
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
            user_id: UserId::parse(self.text("user_id")?).map_err(|_| self.corrupt("user_id"))?,
            device: self.device()?,
            ip_address: self.text("ip_address")?.into(),
            created_at: self.time("created_at")?,
            last_activity: self.time("last_activity")?,
            expires_at: self.time("expires_at")?,
            ended: self.ending()?,
            marks: self.marks(),
        })
    }

    fn session_id(&self) -> Result<SessionId, StoreError> {
        let id = self.text("sk")?.strip_prefix(SESSION_PREFIX).and_then(|id| SessionId::parse(id).ok());
        id.ok_or_else(|| self.corrupt("sk"))
    }

    fn device(&self) -> Result<Device, StoreError> {
        let kind = match self.text("device_type")? {
            "mobile" => DeviceType::Mobile,
            _ => DeviceType::Web,
        };
        Ok(Device {
            name: self.text("device_name")?.into(),
            kind,
            browser: self.text("browser")?.into(),
            os: self.text("os")?.into(),
        })
    }

    fn marks(&self) -> Marks {
        Marks {
            fingerprint: self.digest("fingerprint"),
            token: self.digest("token"),
            user_agent: self.digest("user_agent"),
        }
    }

    fn ending(&self) -> Result<Option<Ending>, StoreError> {
        if !self.0.contains_key("ended_at") {
            return Ok(None);
        }
        let reason = EndReason::from_code(self.text("end_reason")?);
        let by = self.optional_text("ended_by").map(UserId::parse).transpose();
        Ok(Some(Ending {
            at: self.time("ended_at")?,
            by: by.map_err(|_| self.corrupt("ended_by"))?,
            reason: reason.ok_or_else(|| self.corrupt("end_reason"))?,
            note: self.optional_text("end_note").and_then(|note| Note::parse(note).ok().flatten()),
        }))
    }

    fn optional_text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_s().ok().map(String::as_str)
    }

    fn text(&self, name: &'static str) -> Result<&str, StoreError> {
        self.optional_text(name).ok_or_else(|| self.corrupt(name))
    }

    fn time(&self, name: &'static str) -> Result<Timestamp, StoreError> {
        let millis =
            self.0.get(name).and_then(|value| value.as_n().ok()).and_then(|number| number.parse().ok());
        millis.and_then(|millis| Timestamp::from_millisecond(millis).ok()).ok_or_else(|| self.corrupt(name))
    }

    fn digest(&self, name: &str) -> Option<Digest> {
        Digest::from_bytes(self.0.get(name)?.as_b().ok()?.as_ref())
    }

    fn corrupt(&self, attribute: &'static str) -> StoreError {
        StoreError::Corrupt { sk: self.optional_text("sk").unwrap_or("?").into(), attribute }
    }
}
