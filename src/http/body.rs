//! Request bodies: JSON, small, and only where one belongs.

use lambda_http::Request;
use lambda_http::http::{StatusCode, header};
use serde_json::{Map, Value};

use super::problem::Problem;
use crate::device::Claims;

/// The longest body taken, in bytes; a sign-in is a few hundred.
const BODY_MAX: usize = 16 * 1024;

/// What a sign-in says of its device. Every field may be missing; unknown ones are ignored, `ip_address` too.
#[derive(Debug, Default)]
pub(super) struct SignIn {
    pub fingerprint: Option<String>,
    device_name: Option<String>,
    device_type: Option<String>,
    browser: Option<String>,
}

impl SignIn {
    pub(super) fn parse(request: &Request) -> Result<Self, Problem> {
        let mut fields = object(request)?;
        let mut text = |name: &str| match fields.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Problem::bad_field("bad_body", name, "must be a text")),
        };
        Ok(Self {
            fingerprint: text("device_fingerprint")?,
            device_name: text("device_name")?,
            device_type: text("device_type")?,
            browser: text("browser")?,
        })
    }

    pub(super) fn claims(&self) -> Claims<'_> {
        Claims {
            name: self.device_name.as_deref(),
            kind: self.device_type.as_deref(),
            browser: self.browser.as_deref(),
        }
    }
}

/// The JSON object that a request carries; none is an empty one.
pub(super) fn object(request: &Request) -> Result<Map<String, Value>, Problem> {
    let body: &[u8] = request.body();
    if body.is_empty() {
        return Ok(Map::new());
    }
    if body.len() > BODY_MAX {
        return Err(Problem::body(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "The body must be at most 16 KB",
        ));
    }
    if !says_json(request) {
        let detail = "The body must be JSON, and Content-Type must say so";
        return Err(Problem::body(StatusCode::UNSUPPORTED_MEDIA_TYPE, "body_not_json", detail));
    }
    serde_json::from_slice(body)
        .map_err(|_| Problem::bad_request("bad_body", "The body must be a JSON object"))
}

/// A body without a type is taken for JSON, since nothing else is ever sent here.
fn says_json(request: &Request) -> bool {
    let Some(value) = request.headers().get(header::CONTENT_TYPE) else { return true };
    let kind =
        value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// Refuses a body on a request that has none.
pub(super) fn none(request: &Request) -> Result<(), Problem> {
    match request.body().is_empty() {
        true => Ok(()),
        false => Err(Problem::bad_request("unexpected_body", "This request takes no body")),
    }
}
