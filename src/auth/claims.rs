//! The claims of a token whose signature was verified.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{AuthError, Sid};
use crate::session::{LATEST_SECOND, SessionId, Timestamp, UserId};

/// How far the issuer's clock may run ahead of ours before `nbf` refuses a token, in seconds.
const NOT_BEFORE_LEEWAY: f64 = 60.0;

pub(super) struct Claims(pub Map<String, Value>);

impl Claims {
    /// Reads what API Gateway passes on. It passes every claim as text, and a list as `[a b]`.
    pub fn from_gateway(claims: &HashMap<String, String>) -> Self {
        let value = |text: &String| match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(list) => Value::from_iter(list.split([' ', ',']).filter(|item| !item.is_empty())),
            None => Value::from(text.as_str()),
        };
        Self(claims.iter().map(|(name, text)| (name.clone(), value(text))).collect())
    }

    /// Checks that `exp` is there and in the future, and that `nbf`, if it is there, is in the past. Both are
    /// NumericDates (RFC 7519 section 2).
    pub fn check_time(&self, now: Timestamp) -> Result<(), AuthError> {
        let now = now.timestamp() as f64;
        let expires = self.numeric_date("exp")?.ok_or(AuthError::Malformed(None))?;
        if expires <= now {
            return Err(AuthError::Expired);
        }
        match self.numeric_date("nbf")? {
            Some(not_before) if not_before > now + NOT_BEFORE_LEEWAY => Err(AuthError::NotYetValid),
            _ => Ok(()),
        }
    }

    fn numeric_date(&self, name: &str) -> Result<Option<f64>, AuthError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let seconds = value.as_f64().filter(|seconds| (0.0..=LATEST_SECOND as f64).contains(seconds));
        seconds.map(Some).ok_or(AuthError::Malformed(None))
    }

    /// Checks that the claim is or contains `wanted`, if anything is wanted.
    pub fn check_includes(&self, name: &str, wanted: Option<&str>) -> Result<(), AuthError> {
        match wanted {
            Some(wanted) if !self.includes(name, wanted) => Err(AuthError::Invalid(None)),
            _ => Ok(()),
        }
    }

    /// Whether the claim is this text, or a list that contains it.
    pub fn includes(&self, name: &str, wanted: &str) -> bool {
        match self.0.get(name) {
            Some(Value::String(text)) => text == wanted,
            Some(Value::Array(items)) => items.iter().any(|item| item.as_str() == Some(wanted)),
            _ => false,
        }
    }

    /// The user id, which may be a number: the first panel's tokens contain `"id": 74`.
    pub fn user_id(&self, name: &str) -> Option<UserId> {
        match self.0.get(name)? {
            Value::String(text) => UserId::parse(text).ok(),
            Value::Number(number) if !number.is_f64() => UserId::parse(&number.to_string()).ok(),
            _ => None,
        }
    }

    pub fn sid(&self, name: &str) -> Sid {
        match self.0.get(name) {
            None | Some(Value::Null) => Sid::Absent,
            Some(Value::String(text)) => SessionId::parse(text).map_or(Sid::Foreign, Sid::Session),
            Some(_) => Sid::Foreign,
        }
    }
}
