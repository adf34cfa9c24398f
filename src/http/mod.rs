//! HTTP: finds the endpoint of a request, authenticates the caller, and turns the handler's outcome into a response.

pub mod access;
mod answer;
mod app;
pub mod edge;
pub mod endpoint;
mod event;
mod filter;
mod gateway;
mod handlers;
mod path;
pub mod problem;
mod query;
mod request;
mod response;
mod route;
mod views;

use lambda_http::http::{Method, StatusCode, header};
use lambda_http::{Body, Request, Response};
use tracing::Instrument;

use crate::session::{Clock, Timestamp, UserId};
use crate::telemetry::log;
use answer::Answer;
pub use app::App;
use endpoint::{CallerHandler, Endpoint, Handler};
pub use event::{Event, EventAnswer};
pub use handlers::authorizer::{AuthorizerAnswer, AuthorizerError};
use problem::Problem;
use request::RequestContext;
use route::Route;

impl App {
    /// Answers a request that arrived at `now`. Every failure is an answer too.
    pub async fn handle(&self, request: &Request, now: Timestamp) -> Response<Body> {
        let clock = Clock::start(now);
        let request_id = gateway::request_id(request);
        let span = tracing::info_span!("request", request_id);
        async {
            let (caller, outcome) = self.dispatch(request, clock).await;
            let response = match outcome {
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

    /// Runs the handler of an authenticated request. Returns the caller too, if there is one, for the log.
    async fn dispatch(&self, request: &Request, clock: Clock) -> (Option<UserId>, Result<Answer, Problem>) {
        let (is_through_edge, route) = match self.find_route(request) {
            Ok(found) => found,
            Err(problem) => return (None, Err(problem)),
        };
        match &route.endpoint.handler {
            Handler::Provider(handler) => (None, handler(self, request, clock).await),
            Handler::Caller(handler) => {
                self.dispatch_caller(request, route, *handler, is_through_edge, clock).await
            }
        }
    }

    /// Refuses who comes around the edge (403), and then a wrong path or method (404, 405). Returns whether the request came
    /// through the edge too.
    fn find_route<'r>(&self, request: &'r Request) -> Result<(bool, Route<'r>), Problem> {
        let is_through_edge = self.edge.admit(request)?;
        Ok((is_through_edge, Route::find(request)?))
    }

    async fn dispatch_caller(
        &self,
        request: &Request,
        route: Route<'_>,
        handler: CallerHandler,
        is_through_edge: bool,
        clock: Clock,
    ) -> (Option<UserId>, Result<Answer, Problem>) {
        let endpoint = route.endpoint;
        let request = match self.authenticate(request, route, is_through_edge, clock).await {
            Ok(authenticated) => authenticated,
            Err(problem) => return (None, Err(problem)),
        };
        let outcome = self.run_handler(endpoint, handler, &request).await;
        if let Err(problem) = &outcome {
            audit_refusal(endpoint, &request, problem);
        }
        (Some(request.caller.user_id), outcome)
    }

    /// Authenticates the caller (401).
    async fn authenticate<'r>(
        &self,
        request: &'r Request,
        Route { ids, prefix, .. }: Route<'r>,
        is_through_edge: bool,
        clock: Clock,
    ) -> Result<RequestContext<'r>, Problem> {
        // A value that is not text counts as present, and is not a bearer token.
        let header = request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or("?"));
        let caller = self.authenticator.authenticate(header, clock.arrived_at()).await?;
        Ok(RequestContext::new(request, is_through_edge, ids, prefix, caller, clock))
    }

    /// Checks what the token's claims allow (403), and leaves the rest to the handler.
    async fn run_handler(
        &self,
        endpoint: &Endpoint,
        handler: CallerHandler,
        request: &RequestContext<'_>,
    ) -> Result<Answer, Problem> {
        access::check_claims(self, endpoint.access, &request.caller, request.action())?;
        if endpoint.method != Method::POST {
            request.no_body()?;
        }
        handler(self, request).await
    }
}

/// Logs the attempt of a caller who may not use a route of admins or services.
fn audit_refusal(endpoint: &Endpoint, request: &RequestContext<'_>, problem: &Problem) {
    let status = problem.code().status();
    let is_refusal = status == StatusCode::FORBIDDEN || status == StatusCode::UNAUTHORIZED;
    if !endpoint.access.is_own() && is_refusal {
        let target = request.path_user().ok();
        log::audit_refused(request.user(), target.as_ref(), problem.code().as_str());
    }
}
