//! The claims of a token whose signature was verified.

use serde_json::{Map, Value};

use super::error::AuthError;
use crate::session::{
    InvalidProviderSession, LATEST_SECOND, ProviderSession, SessionId, Sid, Timestamp, UserId,
};

/// How far the issuer's clock may run ahead of ours, in seconds.
const CLOCK_LEEWAY: f64 = 60.0;

pub(super) struct Claims(pub Map<String, Value>);

impl Claims {
    /// Checks that `exp` is there and in the future, and that `nbf`, if it is there, is in the past. Both are
    /// NumericDates (RFC 7519 section 2). Returns `exp` in whole seconds, rounded up.
    pub fn check_time(&self, now: Timestamp) -> Result<i64, AuthError> {
        let now = now.timestamp() as f64;
        let expires = self.numeric_date("exp")?.ok_or(AuthError::Malformed(None))?;
        if expires <= now {
            return Err(AuthError::Expired);
        }
        match self.numeric_date("nbf")? {
            Some(not_before) if not_before > now + CLOCK_LEEWAY => Err(AuthError::NotYetValid),
            _ => Ok(expires.ceil() as i64),
        }
    }

    /// Whether the token was issued or begins to be valid later than the clocks of issuer and service may differ.
    pub fn is_of_the_future(&self, now: Timestamp) -> bool {
        let latest = now.timestamp() as f64 + CLOCK_LEEWAY;
        ["iat", "nbf"]
            .into_iter()
            .any(|name| matches!(self.numeric_date(name), Ok(Some(time)) if time > latest))
    }

    /// `iat` in whole seconds, rounded down; `None` when it says nothing about the time when the token was issued.
    pub fn issued_at(&self, now: Timestamp) -> Option<i64> {
        self.past_second("iat", now)
    }

    /// When the user signed in at the identity provider (`auth_time`, OpenID Connect Core 1.0 section 2), in whole seconds,
    /// rounded down. Nobody signs in after the token was issued. `None` when the token says nothing about it.
    pub fn auth_time(&self, now: Timestamp) -> Option<i64> {
        let auth_time = self.past_second("auth_time", now)?;
        Some(self.issued_at(now).map_or(auth_time, |issued_at| auth_time.min(issued_at)))
    }

    /// A time that has come already, as far as the clock of the issuer can be trusted.
    fn past_second(&self, name: &str, now: Timestamp) -> Option<i64> {
        let time = self.numeric_date(name).ok().flatten()?;
        (time <= now.timestamp() as f64 + CLOCK_LEEWAY).then_some(time.floor() as i64)
    }

    fn numeric_date(&self, name: &str) -> Result<Option<f64>, AuthError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let seconds = value.as_f64().filter(|seconds| (0.0..=LATEST_SECOND as f64).contains(seconds));
        seconds.map(Some).ok_or(AuthError::Malformed(None))
    }

    /// Checks that the issuer is or contains `wanted`, if anything is wanted.
    pub fn check_issuer(&self, wanted: Option<&str>) -> Result<(), AuthError> {
        let fits = wanted.is_none_or(|wanted| self.includes("iss", wanted));
        if fits { Ok(()) } else { Err(AuthError::Invalid(None)) }
    }

    /// Checks that the token was made for one of `wanted`, if anything is wanted. Access tokens of Amazon Cognito have no
    /// `aud`; then the client that asked for the token counts, as for API Gateway's own JWT authorizer:
    /// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html>
    pub fn check_audience(&self, wanted: &[String]) -> Result<(), AuthError> {
        let fits = match self.0.get("aud") {
            Some(_) => wanted.iter().any(|wanted| self.includes("aud", wanted)),
            None => {
                wanted.iter().any(|wanted| self.0.get("client_id").is_some_and(|client| client == wanted))
            }
        };
        if wanted.is_empty() || fits { Ok(()) } else { Err(AuthError::Invalid(None)) }
    }

    /// Refuses a logout token: it says that a user has signed out, and proves nobody's identity (OpenID Connect
    /// Back-Channel Logout 1.0 section 2.4). Other security events (RFC 8417) do not either.
    pub fn check_no_event(&self) -> Result<(), AuthError> {
        if self.0.contains_key("events") { Err(AuthError::Invalid(None)) } else { Ok(()) }
    }

    /// Whether the token has this claim. A claim that is null counts as absent, as it does for a session's id.
    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
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

    /// The session of the identity provider, if the token names one.
    pub fn provider_session(
        &self,
        name: &str,
        user: &UserId,
    ) -> Result<Option<ProviderSession>, InvalidProviderSession> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(id)) => ProviderSession::new(user, id).map(Some),
            Some(Value::Number(id)) if !id.is_f64() => ProviderSession::new(user, &id.to_string()).map(Some),
            Some(_) => Err(InvalidProviderSession),
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

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn the_time_of_issue_is_a_whole_second_that_is_past_or_cannot_be_judged() {
        const NOW: i64 = 2_000_000_000;
        let cases = [
            ("2000000000", Some(NOW)),
            ("1999999999.9", Some(NOW - 1)),
            ("2e9", Some(NOW)),
            ("0", Some(0)),
            ("2000000060", Some(NOW + 60)),
            ("2000000060.5", None),
            ("2000000061", None),
            ("-1", None),
            ("1e300", None),
            ("\"2000000000\"", None),
            ("null", None),
            ("[2000000000]", None),
            ("true", None),
        ];
        let now = DateTime::from_timestamp(NOW, 999_000_000).unwrap();
        for (iat, expected) in cases {
            let claims = Claims(serde_json::from_str(&format!(r#"{{"iat":{iat}}}"#)).unwrap());
            assert_eq!(claims.issued_at(now), expected, "{iat}");
        }
        assert_eq!(Claims(Map::new()).issued_at(now), None);
    }

    #[test]
    fn a_user_signed_in_before_the_token_was_issued_or_nothing_is_known() {
        const NOW: i64 = 2_000_000_000;
        let now = DateTime::from_timestamp(NOW, 0).unwrap();
        for (claims, expected) in [
            (format!(r#"{{"auth_time":{NOW}.9,"iat":{NOW}}}"#), Some(NOW)),
            (format!(r#"{{"auth_time":{},"iat":{NOW}}}"#, NOW - 5), Some(NOW - 5)),
            (format!(r#"{{"auth_time":{},"iat":{NOW}}}"#, NOW + 5), Some(NOW)),
            (format!(r#"{{"auth_time":{}}}"#, NOW + 60), Some(NOW + 60)),
            (format!(r#"{{"auth_time":{}}}"#, NOW + 61), None),
            (format!(r#"{{"auth_time":{},"iat":{NOW}}}"#, NOW + 61), None),
            (format!(r#"{{"auth_time":{NOW},"iat":{}}}"#, NOW + 1000), Some(NOW)),
            (format!(r#"{{"auth_time":"{NOW}"}}"#), None),
            (format!(r#"{{"auth_time":[{NOW}]}}"#), None),
            (r#"{"auth_time":-1}"#.into(), None),
            (r#"{"auth_time":null}"#.into(), None),
            (r#"{"auth_time":1e300}"#.into(), None),
            (format!(r#"{{"iat":{NOW}}}"#), None),
        ] {
            assert_eq!(Claims(serde_json::from_str(&claims).unwrap()).auth_time(now), expected, "{claims}");
        }
    }

    #[test]
    fn the_end_of_a_token_is_rounded_up() {
        for (exp, expected) in [("2000000001", 2_000_000_001), ("2000000000.1", 2_000_000_001)] {
            let claims = Claims(serde_json::from_str(&format!(r#"{{"exp":{exp}}}"#)).unwrap());
            let now = DateTime::from_timestamp(2_000_000_000, 0).unwrap();
            assert_eq!(claims.check_time(now).unwrap(), expected, "{exp}");
        }
    }
}
