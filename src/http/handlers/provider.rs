//! What an identity provider says: a user has signed out there (OpenID Connect Back-Channel Logout 1.0).

use lambda_http::Request;
use serde_json::json;

use crate::auth::{AuthError, Logout};
use crate::config::UnknownUsers;
use crate::http::answer::Answer;
use crate::http::app::App;
use crate::http::problem::Problem;
use crate::session::{Clock, EndReason, Termination};
use crate::store::{EndAll, StoreError};

/// The longest body, in bytes. A logout token has a thousand.
const BODY_MAX: usize = 16 * 1024;

/// Handles `POST /sessions/backchannel-logout`. The credential is the logout token in the body, which the provider signed.
pub async fn log_out(app: &App, request: &Request, clock: Clock) -> Result<Answer, Problem> {
    let token = logout_token(request)?;
    let logout = match app.authenticator.logout_token(&token, clock.arrived_at()).await {
        Ok(logout) => logout,
        Err(error @ (AuthError::KeysUnavailable { .. } | AuthError::KeyUnknown { .. })) => {
            return Err(error.into());
        }
        Err(error) => return Err(Problem::bad_logout_token(error.to_string())),
    };
    end(app, &logout, clock).await?;
    Answer::ok(&json!({}))
}

/// The one token in the form. API Gateway delivers the body in base64, which lambda_http has decoded.
fn logout_token(request: &Request) -> Result<String, Problem> {
    let body: &[u8] = request.body();
    let fields = url::form_urlencoded::parse(body).filter(|(name, _)| name == "logout_token");
    match (body.len() <= BODY_MAX).then(|| fields.collect::<Vec<_>>()).as_deref() {
        Some([(_, token)]) => Ok(token.to_string()),
        _ => Err(Problem::bad_logout_token("The body must be a form with one logout_token")),
    }
}

async fn end(app: &App, logout: &Logout, clock: Clock) -> Result<(), StoreError> {
    let (user, at) = (&logout.user_id, logout.issued_at);
    let reason = EndReason::LoggedOutAtProvider;
    let termination = Termination { at: clock.arrived_at(), by: None, reason, note: None };
    if let Some(session) = &logout.provider_session {
        return app.store.end_provider_session(user, session, at, &termination, clock).await.map(drop);
    }
    let sessions = app.store.user_sessions(user).await?;
    if app.unknown_users == UnknownUsers::NotFound && !sessions.is_known() {
        return Ok(());
    }
    let order = EndAll { termination, keep: None, until: Some(at) };
    app.store.end_all(user, Some(sessions), &order, clock).await.map(drop)
}
