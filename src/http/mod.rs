//! HTTP: finds the endpoint of a request, authenticates the caller, and turns the handler's outcome into a response.

pub mod endpoint;
mod handlers;
mod lambda;
pub mod problem;
mod query;
mod request;
mod response;

use lambda_http::http::{Method, StatusCode, header};
use lambda_http::{Body, Request, RequestExt, Response};
use tokio::time::timeout;
use tokio::try_join;
use tracing::Instrument;

use crate::auth::{Authenticator, Caller, Credentials};
use crate::config::{Config, RoleSource, UnknownUsers};
use crate::session::{Clock, Timestamp, UserId};
use crate::store::SessionStore;
use crate::telemetry::log;
use crate::telemetry::metrics::{Metrics, SERVER_ERRORS};
use endpoint::{Access, Endpoint, Name};
pub use handlers::{AuthorizerAnswer, AuthorizerError};
pub use lambda::{Event, EventAnswer};
use lambda::{gateway_context, request_id};
use problem::Problem;
use request::RequestContext;
use response::Answer;

/// The user whose sessions are read at the start. It does not matter which user it is, or whether the user exists.
const WARM_UP_USER: &str = "-";

/// The service: its settings, its store and its metrics. It is made once at the start, and every request uses it.
#[derive(Clone, Debug)]
pub struct App {
    authenticator: Authenticator,
    store: SessionStore,
    metrics: Metrics,
    admin_role: String,
    role_source: RoleSource,
    unknown_users: UnknownUsers,
    require_sid: bool,
}

impl App {
    /// A service with these settings on this store.
    pub fn new(config: Config, store: SessionStore, metrics: Metrics) -> Self {
        Self {
            store,
            metrics,
            admin_role: config.auth.admin_role.clone(),
            role_source: config.auth.role_source,
            unknown_users: config.unknown_users,
            require_sid: config.auth.require_sid,
            authenticator: Authenticator::new(config.auth),
        }
    }

    /// The store behind the service.
    pub fn store(&self) -> &SessionStore {
        &self.store
    }

    /// Opens the connections to DynamoDB and makes the calls of an admin's list once, while nobody waits. If this fails,
    /// the first request takes longer, and nothing else happens. So a failure is only logged.
    pub async fn warm_up(&self) {
        let Ok(user) = UserId::parse(WARM_UP_USER) else { return };
        // The admin's own sessions, and those of another user. An admin's token without `sid` opens a third connection later.
        let calls = async { try_join!(self.store.user_sessions(&user), self.store.user_sessions(&user)) };
        match timeout(self.store.timeouts().warm_up, calls).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(cause = %error, "the warm-up failed"),
            Err(_) => tracing::warn!("the warm-up took too long"),
        }
    }

    /// Answers a request that arrived at `now`. Every failure is an answer too.
    pub async fn handle(&self, request: &Request, now: Timestamp) -> Response<Body> {
        let clock = Clock::start(now);
        let request_id = request_id(request);
        let span = tracing::info_span!("request", request_id);
        async {
            let mut caller = None;
            let response = match self.dispatch(request, clock, &mut caller).await {
                Ok(answer) => answer.into_response(),
                Err(problem) => self.refuse(problem, &request_id),
            };
            tracing::info!(
                method = request.method().as_str(),
                status = response.status().as_u16(),
                caller = caller.as_ref().map(UserId::as_str),
                "answered"
            );
            response
        }
        .instrument(span)
        .await
    }

    fn refuse(&self, problem: Problem, request_id: &str) -> Response<Body> {
        self.count_refusal(&problem);
        problem.log();
        problem.into_response(request_id)
    }

    fn count_refusal(&self, problem: &Problem) {
        self.metrics.add(format!("Refused.{}", problem.code().as_str()), 1.0);
        if problem.code().status().is_server_error() {
            self.metrics.add(SERVER_ERRORS, 1.0);
        }
    }

    /// Finds the endpoint (404, 405), authenticates the caller (401), and runs the handler. `caller_id` is for the log.
    async fn dispatch(
        &self,
        request: &Request,
        clock: Clock,
        caller_id: &mut Option<UserId>,
    ) -> Result<Answer, Problem> {
        let (endpoint, ids) = Endpoint::find(request.method(), request.raw_http_path())?;
        let caller = self.authenticate(request, clock.arrived_at())?;
        *caller_id = Some(caller.user_id.clone());
        let request = RequestContext::new(request, ids, caller, clock);
        let outcome = self.run_handler(endpoint, &request).await;
        if let Err(problem) = &outcome {
            audit_refusal(endpoint, &request, problem);
        }
        outcome
    }

    /// Checks what the token's claims allow (403), and leaves the rest to the handler: it parses the request (400, 413,
    /// 415), checks the caller's session (401), and only then does its work.
    async fn run_handler(
        &self,
        endpoint: &Endpoint,
        request: &RequestContext<'_>,
    ) -> Result<Answer, Problem> {
        self.check_claims(endpoint, request)?;
        if endpoint.method != Method::POST {
            request.no_body()?;
        }
        match endpoint.name {
            Name::ListUserSessions => self.list_user_sessions(request).await,
            Name::EndUserSessions => self.end_user_sessions(request).await,
            Name::EndUserSession => self.end_user_session(request).await,
            Name::UserSession => self.user_session(request).await,
            Name::SignInUser => self.sign_in_user(request).await,
            Name::RecordUserActivity => self.record_user_activity(request).await,
            Name::Summary => self.summary(request).await,
            Name::EndSessionsOfUsers => self.end_sessions_of_users(request).await,
            Name::SignIn => self.sign_in(request).await,
            Name::CurrentSession => self.current_session(request).await,
            Name::MySessions => self.my_sessions(request).await,
            Name::MySession => self.my_session(request).await,
            Name::EndMySession => self.end_my_session(request).await,
            Name::Logout => self.logout(request).await,
            Name::LogoutAll => self.logout_all(request).await,
            Name::CountDevices => self.count_devices(request).await,
            Name::RecordActivity => self.record_activity(request).await,
        }
    }

    fn authenticate(&self, request: &Request, now: Timestamp) -> Result<Caller, Problem> {
        let authorizer = gateway_context(request).and_then(|context| context.authorizer.as_ref());
        let credentials = Credentials {
            // A value that is not text counts as present, and is not a bearer token.
            authorization: request
                .headers()
                .get(header::AUTHORIZATION)
                .map(|value| value.to_str().unwrap_or("?")),
            gateway_claims: authorizer.and_then(|authorizer| authorizer.jwt.as_ref()).map(|jwt| &jwt.claims),
        };
        Ok(self.authenticator.authenticate(credentials, now)?)
    }
}

/// Logs the attempt of a caller who may not use a route of admins or services.
fn audit_refusal(endpoint: &Endpoint, request: &RequestContext<'_>, problem: &Problem) {
    let status = problem.code().status();
    let is_refusal = status == StatusCode::FORBIDDEN || status == StatusCode::UNAUTHORIZED;
    if endpoint.access != Access::User && is_refusal {
        let target = request.path_user().ok();
        log::audit_refused(request.user(), target.as_ref(), problem.code().as_str());
    }
}
