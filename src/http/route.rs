//! Method and path, with everything that goes with them, as one typed value.

use std::borrow::Cow;

use lambda_http::http::Method;
use lambda_http::{Request, RequestExt};
use percent_encoding::percent_decode_str;

use super::body::{self, SignIn};
use super::params::{List, Query};
use super::problem::Problem;
use crate::session::{Note, SessionId, UserId};

/// What is asked for.
#[derive(Debug)]
pub(super) enum Route {
    /// `GET /sessions/user/{user_id}`
    ListUser { user: UserId, list: List },
    /// `DELETE /sessions/user/{user_id}/session/{session_id}`
    EndUserSession { user: UserId, id: SessionId, note: Option<Note> },
    /// `DELETE /sessions/user/{user_id}`
    EndUser { user: UserId, dry_run: bool, note: Option<Note> },
    /// `POST /sessions/create`
    Create(SignIn),
    /// `GET /sessions/current`
    Current,
    /// `GET /sessions/my-sessions`
    MySessions(List),
    /// `GET /sessions/session/{session_id}`
    MySession(SessionId),
    /// `DELETE /sessions/session/{session_id}`
    EndMySession { id: SessionId, note: Option<Note> },
    /// `DELETE /sessions/logout`
    Logout { note: Option<Note> },
    /// `DELETE /sessions/logout-all`
    LogoutAll { exclude_current: bool, note: Option<Note> },
    /// `GET /sessions/active-devices-count`
    ActiveDevices,
    /// `POST /sessions/update-activity`
    UpdateActivity,
}

/// A path that there is, and what names whom in it.
enum Place<'p> {
    User(Id<'p>),
    UserSession(Id<'p>, Id<'p>),
    Create,
    Current,
    MySessions,
    MySession(Id<'p>),
    Logout,
    LogoutAll,
    ActiveDevices,
    UpdateActivity,
}

impl Route {
    /// 404 and 405 for what no route is; 400, 413 or 415 when a part of the request is not what it must be.
    pub(super) fn parse(request: &Request) -> Result<Self, Problem> {
        let place = Place::find(request).ok_or_else(Problem::unknown_route)?;
        match *request.method() {
            Method::GET => Self::get(place, request),
            Method::DELETE => Self::delete(place, request),
            Method::POST => Self::post(place, request),
            _ => Err(Problem::wrong_method(place.methods())),
        }
    }

    fn get(place: Place<'_>, request: &Request) -> Result<Self, Problem> {
        let list = || Query::of(request).list();
        let route = match place {
            Place::User(user) => Self::ListUser { user: user.user()?, list: list()? },
            Place::MySessions => Self::MySessions(list()?),
            Place::MySession(id) => Self::MySession(id.session()?),
            Place::ActiveDevices => Self::ActiveDevices,
            Place::Current => Self::Current,
            other => return Err(Problem::wrong_method(other.methods())),
        };
        body::none(request).map(|()| route)
    }

    fn delete(place: Place<'_>, request: &Request) -> Result<Self, Problem> {
        let flag = |name| Query::of(request).flag(name);
        let note = || Query::of(request).reason();
        let route = match place {
            Place::User(user) => {
                Self::EndUser { user: user.user()?, dry_run: flag("dry_run")?, note: note()? }
            }
            Place::UserSession(user, id) => {
                Self::EndUserSession { user: user.user()?, id: id.session()?, note: note()? }
            }
            Place::MySession(id) => Self::EndMySession { id: id.session()?, note: note()? },
            Place::Logout => Self::Logout { note: note()? },
            Place::LogoutAll => Self::LogoutAll { exclude_current: flag("exclude_current")?, note: note()? },
            other => return Err(Problem::wrong_method(other.methods())),
        };
        body::none(request).map(|()| route)
    }

    fn post(place: Place<'_>, request: &Request) -> Result<Self, Problem> {
        match place {
            Place::Create => Ok(Self::Create(SignIn::parse(request)?)),
            // Some clients send an empty object, or what they sent to create; it says nothing here.
            Place::UpdateActivity => body::object(request).map(|_| Self::UpdateActivity),
            other => Err(Problem::wrong_method(other.methods())),
        }
    }
}

impl<'p> Place<'p> {
    fn find(request: &'p Request) -> Option<Self> {
        let segments: Vec<&str> = request.raw_http_path().strip_prefix("/sessions/")?.split('/').collect();
        // API Gateway decodes the path of a route with parameters; everything else delivers it as it was sent.
        let decoded = request.path_parameters_ref().is_some_and(|parameters| !parameters.is_empty());
        let id = |text| Id { text, decoded };
        Some(match segments[..] {
            ["user", user] => Self::User(id(user)),
            ["user", user, "session", session] => Self::UserSession(id(user), id(session)),
            ["session", session] => Self::MySession(id(session)),
            ["create"] => Self::Create,
            ["current"] => Self::Current,
            ["my-sessions"] => Self::MySessions,
            ["logout"] => Self::Logout,
            ["logout-all"] => Self::LogoutAll,
            ["active-devices-count"] => Self::ActiveDevices,
            ["update-activity"] => Self::UpdateActivity,
            _ => return None,
        })
    }

    /// The methods that it takes, as the `Allow` header lists them.
    fn methods(&self) -> &'static str {
        match self {
            Self::User(_) | Self::MySession(_) => "GET, DELETE",
            Self::Current | Self::MySessions | Self::ActiveDevices => "GET",
            Self::UserSession(..) | Self::Logout | Self::LogoutAll => "DELETE",
            Self::Create | Self::UpdateActivity => "POST",
        }
    }
}

/// An id in the path, percent-decoded once and no more.
struct Id<'p> {
    text: &'p str,
    decoded: bool,
}

impl<'p> Id<'p> {
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

    fn text(&self) -> Option<Cow<'p, str>> {
        match self.decoded {
            true => Some(self.text.into()),
            false => percent_decode_str(self.text).decode_utf8().ok(),
        }
    }
}

const NOT_UTF8: &str = "must be UTF-8 when percent-decoded";
