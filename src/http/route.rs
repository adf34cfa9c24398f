//! Method and path, with everything that goes with them, as one typed value.

use std::borrow::Cow;

use lambda_http::http::Method;
use lambda_http::{Request, RequestExt};
use percent_encoding::percent_decode_str;

use super::params::{List, Query};
use super::problem::Problem;
use crate::session::{Note, SessionId, UserId};

/// What is asked for.
#[derive(Debug)]
pub(super) enum Route {
    /// `GET /sessions/user/{user_id}`
    ListUser { user: UserId, list: List },
    /// `DELETE /sessions/user/{user_id}/session/{session_id}`
    EndUserSession { user: UserId, session: SessionId, note: Option<Note> },
    /// `DELETE /sessions/user/{user_id}`
    EndUser { user: UserId, dry_run: bool, note: Option<Note> },
}

impl Route {
    /// 404 and 405 for what no route is; 400 when a part of the request is not what it must be.
    pub(super) fn parse(request: &Request) -> Result<Self, Problem> {
        let path = request.raw_http_path();
        let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        // API Gateway decodes the path of a route with parameters; everything else delivers it as it was sent.
        let id = |segment| Id {
            text: segment,
            decoded: !request.path_parameters_ref().is_none_or(|p| p.is_empty()),
        };
        match (segments.as_slice(), request.method()) {
            (["sessions", "user", user], &Method::GET) => Self::list_user(request, id(*user)),
            (["sessions", "user", user], &Method::DELETE) => Self::end_user(request, id(*user)),
            (["sessions", "user", _], _) => Err(Problem::wrong_method("GET, DELETE")),
            (["sessions", "user", user, "session", session], &Method::DELETE) => {
                Self::end_user_session(request, id(*user), id(*session))
            }
            (["sessions", "user", _, "session", _], _) => Err(Problem::wrong_method("DELETE")),
            _ => Err(Problem::unknown_route()),
        }
    }

    fn list_user(request: &Request, user: Id<'_>) -> Result<Self, Problem> {
        let (user, query) = (user.user()?, bodiless(request)?);
        let list = query.list(&user)?;
        Ok(Self::ListUser { user, list })
    }

    fn end_user(request: &Request, user: Id<'_>) -> Result<Self, Problem> {
        let (user, query) = (user.user()?, bodiless(request)?);
        Ok(Self::EndUser { user, dry_run: query.flag("dry_run")?, note: query.reason()? })
    }

    fn end_user_session(request: &Request, user: Id<'_>, session: Id<'_>) -> Result<Self, Problem> {
        let (user, session, query) = (user.user()?, session.session()?, bodiless(request)?);
        Ok(Self::EndUserSession { user, session, note: query.reason()? })
    }
}

/// The query of a request that has no body.
fn bodiless(request: &Request) -> Result<Query<'_>, Problem> {
    match request.body().is_empty() {
        true => Ok(Query::of(request)),
        false => Err(Problem::bad_request("unexpected_body", "This request takes no body")),
    }
}

/// An id in the path, percent-decoded once and no more.
struct Id<'a> {
    text: &'a str,
    decoded: bool,
}

impl<'a> Id<'a> {
    fn user(self) -> Result<UserId, Problem> {
        let bad = |takes: &dyn std::fmt::Display| Problem::bad_field("bad_user_id", "user_id", takes);
        let text = self.text().ok_or_else(|| bad(&NOT_UTF8))?;
        UserId::parse(&text).map_err(|error| bad(&error))
    }

    fn session(self) -> Result<SessionId, Problem> {
        let bad = |takes: &dyn std::fmt::Display| Problem::bad_field("bad_session_id", "session_id", takes);
        let text = self.text().ok_or_else(|| bad(&NOT_UTF8))?;
        SessionId::parse(&text).map_err(|error| bad(&error))
    }

    fn text(&self) -> Option<Cow<'a, str>> {
        match self.decoded {
            true => Some(self.text.into()),
            false => percent_decode_str(self.text).decode_utf8().ok(),
        }
    }
}

const NOT_UTF8: &str = "must be UTF-8 when percent-decoded";
