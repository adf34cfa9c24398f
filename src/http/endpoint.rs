//! The endpoints: one table of methods, paths, callers and handlers.

use std::fmt;
use std::pin::Pin;

use lambda_http::Request;
use lambda_http::http::Method;

use super::access::Access;
use super::answer::Answer;
use super::app::App;
use super::handlers::{admin, end, me, provider, search, service, summary};
use super::problem::Problem;
use super::request::RequestContext;
use crate::session::Clock;

/// An endpoint of the service.
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path, with `{user_id}` and `{session_id}` in the place of ids.
    pub path: &'static str,
    /// The callers that may use it.
    pub access: Access,
    /// Handles a request of a caller whose claims allow it.
    pub(super) handler: Handler,
}

/// A handler.
pub(super) enum Handler {
    /// For an authenticated caller.
    Caller(CallerHandler),
    /// For an identity provider, whose credential is in the body.
    Provider(for<'a> fn(&'a App, &'a Request, Clock) -> Outcome<'a>),
}

/// A handler for an authenticated caller. It parses the request (400, 413, 415), checks the caller's session (401), and only
/// then does its work.
pub(super) type CallerHandler = for<'a> fn(&'a App, &'a RequestContext<'a>) -> Outcome<'a>;

/// The outcome of a handler. The box keeps the state of all handlers out of the state of a request.
pub(super) type Outcome<'a> = Pin<Box<dyn Future<Output = Result<Answer, Problem>> + Send + 'a>>;

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// Defines [`ENDPOINTS`]: a line is a method, a path, the callers that may use it, and the handler.
macro_rules! endpoints {
    ($($method:ident $path:literal, $access:ident => $handler:path;)*) => {
        /// Every endpoint.
        pub static ENDPOINTS: &[Endpoint] = &[$(Endpoint {
            method: Method::$method,
            path: $path,
            access: Access::$access,
            handler: Handler::Caller(|app, request| Box::pin($handler(app, request))),
        },)* Endpoint {
            method: Method::POST,
            path: "/sessions/backchannel-logout",
            access: Access::Provider,
            handler: Handler::Provider(|app, request, clock| Box::pin(provider::log_out(app, request, clock))),
        }];
    };
}

endpoints! {
    GET "/sessions", Admin => search::search_sessions;
    GET "/sessions/user/{user_id}", Admin => admin::list_user_sessions;
    POST "/sessions/user/{user_id}", Service => service::sign_in_user;
    DELETE "/sessions/user/{user_id}", AdminOrService => admin::end_user_sessions;
    GET "/sessions/user/{user_id}/session/{session_id}", AdminOrService => admin::user_session;
    DELETE "/sessions/user/{user_id}/session/{session_id}", AdminOrService => admin::end_user_session;
    POST "/sessions/user/{user_id}/session/{session_id}/activity", Service => service::record_user_activity;
    GET "/sessions/summary", AdminOrService => summary::summary;
    POST "/sessions/end", AdminOrService => end::end_many;
    POST "/sessions/create", NewUser => me::sign_in;
    GET "/sessions/current", User => me::current_session;
    GET "/sessions/my-sessions", User => me::my_sessions;
    GET "/sessions/session/{session_id}", User => me::my_session;
    DELETE "/sessions/session/{session_id}", User => me::end_my_session;
    DELETE "/sessions/logout", User => me::logout;
    DELETE "/sessions/logout-all", User => me::logout_all;
    GET "/sessions/active-devices-count", User => me::count_devices;
    POST "/sessions/update-activity", User => me::record_activity;
}
