//! What a back end does for its users: it signs them in, and asks whether a session is live before it refreshes a token.

use std::net::IpAddr;

use lambda_http::http::StatusCode;
use serde_json::{Map, Value};

use super::admin::no_such_session;
use super::sign_in::{SignInBody, SignedInView, new_session, text};
use crate::http::answer::Answer;
use crate::http::app::App;
use crate::http::problem::{Code, Problem};
use crate::http::request::{RequestContext, UNKNOWN_ADDRESS, client_hints};
use crate::http::views::SessionView;
use crate::session::{Digest, Location, Origin, Session, SignInKey, UserId};
use crate::store::NotSignedIn;

/// The longest body of a sign-in, in bytes. It holds all the headers that the browser sent, cookies included.
const SIGN_IN_MAX: usize = 64 * 1024;

/// The headers of a browser, as a back end received them.
#[derive(Debug, Default)]
struct BrowserHeaders(Map<String, Value>);

impl BrowserHeaders {
    fn parse(body: &mut Map<String, Value>) -> Result<Self, Problem> {
        match body.remove("headers") {
            None | Some(Value::Null) => Ok(Self::default()),
            Some(Value::Object(headers)) => Ok(Self(headers)),
            Some(_) => Err(Problem::bad_field(Code::BadBody, "headers", "must be an object")),
        }
    }

    /// The value of a header, or the first of its values. Frameworks spell names in their own ways. A value that no
    /// browser could send counts as absent.
    fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(each, _)| each.eq_ignore_ascii_case(name))?;
        let value = value.as_str().or_else(|| value.as_array()?.first()?.as_str());
        value.filter(|value| value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)))
    }
}

/// Where a back end saw the user's device, as far as it says so.
struct ReportedOrigin {
    ip_address: Option<String>,
    location: Option<Location>,
}

impl ReportedOrigin {
    /// A sign-in must not fail because a proxy wrote something else there, so what is not an address counts as absent.
    fn parse(body: &mut Map<String, Value>) -> Result<Self, Problem> {
        let address = text(body, "ip_address")?.and_then(|text| text.trim().parse::<IpAddr>().ok());
        let location = text(body, "location")?.and_then(|text| Location::new(&text));
        Ok(Self { ip_address: address.map(|address| address.to_string()), location })
    }

    /// The origin; its address is `known` if the back end says none.
    fn or_at(self, known: &str) -> Origin {
        Origin { ip_address: self.ip_address.unwrap_or_else(|| known.to_owned()), location: self.location }
    }
}

/// The key that identifies a repeat of this sign-in. It is the service's own, and means nothing for another service or
/// user.
fn sign_in_key(request: &RequestContext<'_>, user: &UserId) -> SignInKey {
    let Some(key) = request.idempotency_key() else { return SignInKey::Nothing };
    let key = [request.user().as_str().as_bytes(), b"\0", key].concat();
    SignInKey::Idempotency(Digest::of(user, "idempotency", &key))
}

/// Handles `POST /sessions/user/{user_id}`.
pub async fn sign_in_user(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    let (user, mut body) = (request.path_user()?, request.json_body_up_to(SIGN_IN_MAX)?);
    let (headers, origin) = (BrowserHeaders::parse(&mut body)?, ReportedOrigin::parse(&mut body)?);
    let hints = client_hints(|name| headers.get(name));
    let (key, body) = (sign_in_key(request, &user), SignInBody::parse(&mut body)?);
    let new = new_session(request, &user, origin.or_at(UNKNOWN_ADDRESS), key, &hints, &body)?;
    let signed_in = app.store.sign_in(&new, request.clock).await?;
    let signed_in = signed_in.map_err(|refusal| match refusal {
        NotSignedIn::SessionOver => Problem::session_already_ended(),
        NotSignedIn::Locked(lock) => Problem::target_locked(&lock),
    })?;
    let status = if signed_in.refreshed { StatusCode::OK } else { StatusCode::CREATED };
    let session = SessionView::for_staff(&signed_in.session, request.now, app.policy());
    Answer::json(status, &SignedInView { session, evicted: &signed_in.evicted })
}

/// Handles `POST /sessions/user/{user_id}/session/{session_id}/activity`.
pub async fn record_user_activity(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    let (user, id) = (request.path_user()?, request.path_session()?);
    let origin = ReportedOrigin::parse(&mut request.json_body()?)?;
    let (session, profile) = tokio::join!(app.store.session(&user, id), app.store.profile(&user));
    if let Some(lock) = profile?.as_ref().and_then(|profile| profile.lock_at(request.now)) {
        return Err(Problem::target_locked(lock));
    }
    let Some(session) = session? else {
        return Err(no_such_session(app, &user).await);
    };
    let session = live(app, session, request)?;
    let origin = origin.or_at(&session.ip_address);
    let session = app.store.record_activity(&session, &origin, request.clock).await?;
    // A termination between the read and the write wins.
    let session = live(app, session.ok_or_else(Problem::session_already_ended)?, request)?;
    Answer::ok(&SessionView::for_staff(&session, request.now, app.policy()))
}

fn live(app: &App, session: Session, request: &RequestContext<'_>) -> Result<Session, Problem> {
    if session.is_live_at(request.now, app.policy()) {
        Ok(session)
    } else {
        Err(Problem::session_already_ended())
    }
}
