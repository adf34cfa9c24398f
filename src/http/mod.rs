//! The HTTP side: an event becomes a typed route, the route is performed, the outcome becomes an answer.

mod access;
mod admin;
mod body;
mod client;
mod event;
mod list;
mod own;
mod params;
mod prime;
mod problem;
mod route;
mod view;

use jiff::Timestamp;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
use lambda_http::http::{StatusCode, header};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt, Response};
use serde::Serialize;
use tracing::Instrument;

use crate::auth::{Authenticator, Caller, Credentials};
use crate::config::{Config, RoleSource, UnknownUsers};
use crate::session::to_millisecond;
use crate::store::SessionStore;
use access::Visitor;
use client::Client;
pub use event::Event;
use problem::Problem;
use route::Route;

/// The service: settings and clients, made once at start and used by every request.
#[derive(Clone, Debug)]
pub struct App {
    auth: Authenticator,
    store: SessionStore,
    admin_role: String,
    role_source: RoleSource,
    unknown_users: UnknownUsers,
    function: String,
}

impl App {
    /// A service with these settings. Opens no connection yet.
    pub fn new(config: Config) -> Self {
        Self {
            store: SessionStore::new(&config.database, config.policy),
            admin_role: config.auth.admin_role.clone(),
            role_source: config.auth.role_source,
            unknown_users: config.unknown_users,
            function: config.function,
            auth: Authenticator::new(config.auth),
        }
    }

    /// The table behind the service.
    pub fn store(&self) -> &SessionStore {
        &self.store
    }

    /// Answers a request at `now`. Every failure is an answer too.
    pub async fn handle(&self, request: &Request, now: Timestamp) -> Response<Body> {
        let now = to_millisecond(now);
        let request_id = request_id(request);
        let span = tracing::info_span!("request", request_id);
        async {
            // Boxed: the futures of the SDK nest deeper than the compiler lays out in one piece.
            let response = match Box::pin(self.perform(request, now)).await {
                Ok(answer) => answer.into_response(),
                Err(problem) => self.refuse(problem, &request_id),
            };
            tracing::info!(
                method = request.method().as_str(),
                status = response.status().as_u16(),
                "answered"
            );
            response
        }
        .instrument(span)
        .await
    }

    /// The line of metrics for what happened since the last one.
    pub fn take_metrics(&self, now: Timestamp) -> Option<String> {
        self.store.meter().take_line(&self.function, now)
    }

    fn refuse(&self, problem: Problem, request_id: &str) -> Response<Body> {
        self.store.meter().add(format!("Refused.{}", problem.code()), 1.0);
        problem.log().into_response(request_id)
    }

    async fn perform(&self, request: &Request, now: Timestamp) -> Result<Answer, Problem> {
        match Route::parse(request) {
            Err(problem) if problem.is_of_routing() => Err(problem),
            // What else is wrong with a request is told to those alone who say who they are.
            route => {
                let caller = self.authenticate(request, now)?;
                self.act(&Visitor { caller, client: Client::of(request), now }, route?).await
            }
        }
    }

    async fn act(&self, visitor: &Visitor<'_>, route: Route) -> Result<Answer, Problem> {
        match route {
            Route::ListUser { user, list } => self.list_user(visitor, user, list).await,
            Route::EndUserSession { user, id, note } => self.end_user_session(visitor, user, id, note).await,
            Route::EndUser { user, dry_run, note } => self.end_user(visitor, user, dry_run, note).await,
            Route::Create(body) => self.create(visitor, body).await,
            Route::Current => self.current(visitor).await,
            Route::MySessions(list) => self.my_sessions(visitor, list).await,
            Route::MySession(id) => self.my_session(visitor, id).await,
            Route::EndMySession { id, note } => self.end_my_session(visitor, id, note).await,
            Route::Logout { note } => self.logout(visitor, note).await,
            Route::LogoutAll { exclude_current, note } => {
                self.logout_all(visitor, exclude_current, note).await
            }
            Route::ActiveDevices => self.active_devices(visitor).await,
            Route::UpdateActivity => self.update_activity(visitor).await,
        }
    }

    fn authenticate(&self, request: &Request, now: Timestamp) -> Result<Caller, Problem> {
        let authorizer = gateway_context(request).and_then(|context| context.authorizer.as_ref());
        let credentials = Credentials {
            // A value that is no text is there all the same, and is no bearer token.
            authorization: request
                .headers()
                .get(header::AUTHORIZATION)
                .map(|value| value.to_str().unwrap_or("?")),
            gateway_claims: authorizer.and_then(|authorizer| authorizer.jwt.as_ref()).map(|jwt| &jwt.claims),
        };
        Ok(self.auth.authenticate(credentials, now)?)
    }
}

/// A success: a status, a body and what the headers add.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    body: String,
    link: Option<String>,
}

impl Answer {
    fn ok(body: &impl Serialize) -> Result<Self, Problem> {
        Self::json(StatusCode::OK, body)
    }

    fn json(status: StatusCode, body: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_string(body).map_err(Problem::internal)?;
        Ok(Self { status, body, link: None })
    }

    /// Names the next page (RFC 8288).
    fn with_next(mut self, path_and_query: Option<String>) -> Self {
        self.link = path_and_query.map(|next| format!("<{next}>; rel=\"next\""));
        self
    }

    fn into_response(self) -> Response<Body> {
        let link = self.link.and_then(|link| link.parse().ok());
        let mut response = respond(self.status, "application/json", self.body);
        if let Some(link) = link {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

/// Every answer: not to be kept by anyone on the way, nor taken for another type.
fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    response
}

/// What the gateway says of the request.
fn gateway_context(request: &Request) -> Option<&ApiGatewayV2httpRequestContext> {
    match request.request_context_ref()? {
        RequestContext::ApiGatewayV2(context) => Some(context),
        _ => None,
    }
}

/// The gateway's name for the request; the runtime's where there is no gateway.
fn request_id(request: &Request) -> String {
    gateway_context(request)
        .and_then(|context| context.request_id.clone())
        .or_else(|| request.lambda_context_ref().map(|context| context.request_id.clone()))
        .unwrap_or_default()
}
