//! What the two ways to sign in share: what the body says about the device, and what comes back.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::device::{self, ClientHints, ReportedDevice};
use crate::http::problem::{Code, Problem};
use crate::http::request::{RequestContext, user_agent_digest};
use crate::http::views::SessionView;
use crate::session::{DeviceIdentity, Fingerprint, Origin, SessionId, SignInKey, UserId};
use crate::store::NewSession;

/// What a sign-in says about its device. Every field may be absent. Unknown fields are ignored.
#[derive(Debug, Default)]
pub struct SignInBody {
    fingerprint: Option<String>,
    device_name: Option<String>,
    device_type: Option<String>,
    browser: Option<String>,
}

/// The outcome of a sign-in.
#[derive(Debug, Serialize)]
pub struct SignedInView<'a> {
    #[serde(flatten)]
    pub session: SessionView<'a>,
    pub evicted: &'a [SessionId],
}

impl SignInBody {
    pub fn parse(body: &mut Map<String, Value>) -> Result<Self, Problem> {
        Ok(Self {
            fingerprint: text(body, "device_fingerprint")?,
            device_name: text(body, "device_name")?,
            device_type: text(body, "device_type")?,
            browser: text(body, "browser")?,
        })
    }

    fn reported_device(&self) -> ReportedDevice<'_> {
        ReportedDevice {
            name: self.device_name.as_deref(),
            kind: self.device_type.as_deref(),
            browser: self.browser.as_deref(),
        }
    }
}

/// Takes a text out of a body. An absent one may also be `null`.
pub fn text(body: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Problem> {
    match body.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Problem::bad_field(Code::BadBody, name, "must be a string")),
    }
}

/// A sign-in of `user` from `origin`, on the device that `hints` and the body describe. A repeat finds its session by
/// `key`.
pub fn new_session(
    request: &RequestContext<'_>,
    user: &UserId,
    origin: Origin,
    key: SignInKey,
    hints: &ClientHints<'_>,
    body: &SignInBody,
) -> Result<NewSession, Problem> {
    let detected = device::detect(hints, &body.reported_device());
    let fingerprint = body.fingerprint.as_deref().and_then(Fingerprint::parse);
    Ok(NewSession {
        id: SessionId::generate(request.now).map_err(Problem::internal)?,
        user_id: user.clone(),
        actor: request.user().clone(),
        origin,
        identity: DeviceIdentity {
            fingerprint: fingerprint.map(|fingerprint| fingerprint.digest(user)),
            browser: detected.browser_family,
            platform: detected.platform_family,
            kind: detected.device.kind,
            user_agent: hints.user_agent.map(|agent| user_agent_digest(user, agent)),
        },
        device: detected.device,
        key,
    })
}
