//! The endpoints: one table of methods, paths and names, with the callers that may use them.

use lambda_http::http::Method;

use super::problem::Problem;

/// An endpoint of the service.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path, with `{user_id}` and `{session_id}` in the place of ids.
    pub path: &'static str,
    /// The name, by which the handler is found.
    pub name: Name,
    /// The callers that may use it.
    pub access: Access,
}

/// The name of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// An admin lists a user's sessions.
    ListUserSessions,
    /// A service signs a user in.
    SignInUser,
    /// An admin or a service ends all of a user's sessions.
    EndUserSessions,
    /// An admin or a service reads one of a user's sessions.
    UserSession,
    /// An admin or a service ends one of a user's sessions.
    EndUserSession,
    /// A service reports that a user's session is in use.
    RecordUserActivity,
    /// An admin or a service counts the live sessions of many users.
    Summary,
    /// An admin or a service ends all sessions of many users.
    EndSessionsOfUsers,
    /// A user signs in.
    SignIn,
    /// A client asks for the session of its token.
    CurrentSession,
    /// A user lists their own sessions.
    MySessions,
    /// A user reads one of their own sessions.
    MySession,
    /// A user ends one of their own sessions.
    EndMySession,
    /// A user ends the current session.
    Logout,
    /// A user ends all their own sessions.
    LogoutAll,
    /// A user counts their own live sessions.
    CountDevices,
    /// A client reports that its session is in use.
    RecordActivity,
}

/// The callers that may use an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Every authenticated user, about their own sessions.
    User,
    /// Admins, about other users' sessions.
    Admin,
    /// Admins, and the back ends that have the service role.
    AdminOrService,
    /// The back ends that have the service role.
    Service,
}

const USER_SESSION: &str = "/sessions/user/{user_id}/session/{session_id}";
const USER_ACTIVITY: &str = "/sessions/user/{user_id}/session/{session_id}/activity";

/// Every endpoint.
pub static ENDPOINTS: [Endpoint; 17] = {
    use Access::{Admin, AdminOrService, Service, User};
    use Name::*;
    [
        endpoint(Method::GET, "/sessions/user/{user_id}", ListUserSessions, Admin),
        endpoint(Method::POST, "/sessions/user/{user_id}", SignInUser, Service),
        endpoint(Method::DELETE, "/sessions/user/{user_id}", EndUserSessions, AdminOrService),
        endpoint(Method::GET, USER_SESSION, UserSession, AdminOrService),
        endpoint(Method::DELETE, USER_SESSION, EndUserSession, AdminOrService),
        endpoint(Method::POST, USER_ACTIVITY, RecordUserActivity, Service),
        endpoint(Method::GET, "/sessions/summary", Summary, AdminOrService),
        endpoint(Method::POST, "/sessions/end", EndSessionsOfUsers, AdminOrService),
        endpoint(Method::POST, "/sessions/create", SignIn, User),
        endpoint(Method::GET, "/sessions/current", CurrentSession, User),
        endpoint(Method::GET, "/sessions/my-sessions", MySessions, User),
        endpoint(Method::GET, "/sessions/session/{session_id}", MySession, User),
        endpoint(Method::DELETE, "/sessions/session/{session_id}", EndMySession, User),
        endpoint(Method::DELETE, "/sessions/logout", Logout, User),
        endpoint(Method::DELETE, "/sessions/logout-all", LogoutAll, User),
        endpoint(Method::GET, "/sessions/active-devices-count", CountDevices, User),
        endpoint(Method::POST, "/sessions/update-activity", RecordActivity, User),
    ]
};

const fn endpoint(method: Method, path: &'static str, name: Name, access: Access) -> Endpoint {
    Endpoint { method, path, name, access }
}

/// The ids in a path, as they were sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PathIds<'p> {
    pub user: Option<&'p str>,
    pub session: Option<&'p str>,
}

impl Endpoint {
    /// Finds the endpoint for a method and a path.
    ///
    /// # Errors
    /// 404 when no endpoint has this path, 405 when the path takes other methods.
    pub(super) fn find<'p>(method: &Method, path: &'p str) -> Result<(&'static Self, PathIds<'p>), Problem> {
        let mut found = ENDPOINTS.iter().filter_map(|each| Some((each, each.ids_in(path)?))).peekable();
        if found.peek().is_none() {
            return Err(Problem::unknown_route());
        }
        let mut allowed = Vec::new();
        for (endpoint, ids) in found {
            if endpoint.method == *method {
                return Ok((endpoint, ids));
            }
            allowed.push(endpoint.method.as_str());
        }
        Err(Problem::wrong_method(&allowed.join(", ")))
    }

    /// The ids in `path`, if the path has the form of this endpoint's.
    fn ids_in<'p>(&self, path: &'p str) -> Option<PathIds<'p>> {
        let mut ids = PathIds::default();
        let mut segments = path.split('/');
        for expected in self.path.split('/') {
            let segment = segments.next()?;
            match expected {
                "{user_id}" => ids.user = Some(segment),
                "{session_id}" => ids.session = Some(segment),
                _ if segment == expected => {}
                _ => return None,
            }
        }
        segments.next().is_none().then_some(ids)
    }
}
