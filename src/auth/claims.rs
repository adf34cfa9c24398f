//! The claims of a token whose signature was verified.

use std::collections::HashMap;

use serde_json::{Map, Number, Value};

use super::AuthError;
use crate::session::{LATEST_SECOND, SessionId, Sid, Timestamp, UserId};

/// How far the issuer's clock may run ahead of ours, in seconds.
const CLOCK_LEEWAY: f64 = 60.0;

/// Every whole number up to here has a floating-point form of its own (2^53).
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

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

    /// `iat` in whole seconds, rounded down; `None` when it says nothing about the time when the token was issued.
    pub fn issued_at(&self, now: Timestamp) -> Option<i64> {
        let issued = self.numeric_date("iat").ok().flatten()?;
        (issued <= now.timestamp() as f64 + CLOCK_LEEWAY).then_some(issued.floor() as i64)
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

    /// Checks that API Gateway passed on the same value of this claim. It passes on every claim as text.
    pub fn check_same(&self, name: &str, gateway: &HashMap<String, String>) -> Result<(), AuthError> {
        let same = match (self.0.get(name), gateway.get(name)) {
            (Some(claim), Some(text)) => is_written(claim, text),
            (claim, text) => claim.is_none() && text.is_none(),
        };
        if same { Ok(()) } else { Err(AuthError::Invalid(None)) }
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

/// Whether `text` is the claim as text. A number may be written in another notation, such as 1.7e9.
fn is_written(claim: &Value, text: &str) -> bool {
    match claim {
        Value::String(claim) => claim == text,
        Value::Number(claim) => text.parse().is_ok_and(|number| same_number(claim, &number)),
        _ => false,
    }
}

fn same_number(one: &Number, other: &Number) -> bool {
    let is_exact = |number: &f64| number.abs() < EXACT_MAX;
    one == other || one.as_f64().is_some_and(|float| is_exact(&float) && other.as_f64() == Some(float))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_is_the_same_in_every_notation() {
        let cases = [
            ("1700000000", "1700000000", true),
            ("1700000000", "1.7e9", true),
            ("1700000000", "1.7E9", true),
            ("1700000000", "1.7e+09", true),
            ("1700000000", "1700000000.0", true),
            ("1700000000.0", "1700000000", true),
            ("1700000000.5", "1.7000000005e9", true),
            ("74", "7.4e+01", true),
            ("-1", "-1", true),
            ("1700000000", "1700000001", false),
            ("1700000000", "1.7", false),
            ("1700000000.5", "1700000000", false),
            ("74", "074", false),
            ("74", " 74", false),
            ("74", "74 ", false),
            ("74", "+74", false),
            ("74", "0x4a", false),
            ("74", "7_4", false),
            ("74", "", false),
            ("74", "[74]", false),
            ("0", "NaN", false),
            ("0", "inf", false),
            // From 2^53 on two numbers may have one floating-point form, so only the digits count.
            ("9007199254740991", "9.007199254740991e15", true),
            ("9007199254740993", "9007199254740993", true),
            ("9007199254740993", "9007199254740992", false),
            ("9007199254740993", "9.007199254740992e15", false),
            ("18446744073709551615", "18446744073709551615", true),
            ("18446744073709551615", "18446744073709551616", false),
        ];
        for (claim, text, same) in cases {
            let claim: Value = serde_json::from_str(claim).unwrap();
            assert_eq!(is_written(&claim, text), same, "{claim} {text}");
        }
    }

    #[test]
    fn only_a_text_or_a_number_is_the_same() {
        assert!(is_written(&json!("a b"), "a b"));
        for (claim, text) in [
            (json!("74"), "7.4e1"),
            (json!("74"), "74 "),
            (json!("a"), "A"),
            (json!(["74"]), "[74]"),
            (json!(["74"]), "74"),
            (json!(true), "true"),
            (json!(null), "null"),
            (json!(null), ""),
            (json!({}), "map[]"),
        ] {
            assert!(!is_written(&claim, text), "{claim} {text}");
        }
    }

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
    fn the_end_of_a_token_is_rounded_up() {
        for (exp, expected) in [("2000000001", 2_000_000_001), ("2000000000.1", 2_000_000_001)] {
            let claims = Claims(serde_json::from_str(&format!(r#"{{"exp":{exp}}}"#)).unwrap());
            let now = DateTime::from_timestamp(2_000_000_000, 0).unwrap();
            assert_eq!(claims.check_time(now).unwrap(), expected, "{exp}");
        }
    }
}
