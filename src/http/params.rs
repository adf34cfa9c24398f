//! Query parameters. Unknown names are ignored; a known one with a value that does not fit is refused.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lambda_http::aws_lambda_events::query_map::QueryMap;
use lambda_http::{Request, RequestExt};

use super::problem::Problem;
use crate::session::{Digest, Note, SessionId, UserId};

/// The most sessions on a page.
pub(super) const LIMIT_MAX: usize = 100;

/// The sessions on a page of history when nothing is said.
pub(super) const LIMIT_DEFAULT: usize = 50;

/// The bytes of a cursor that bind it to its user.
const BINDING: usize = 8;

/// Which part of a list is wanted.
#[derive(Debug)]
pub(super) struct List {
    /// Ended sessions too.
    pub include_inactive: bool,
    /// The most sessions to answer with, 1 to [`LIMIT_MAX`].
    pub limit: Option<usize>,
    cursor: Option<Cursor>,
}

impl List {
    /// Where in the list of `user` to go on: after this session.
    pub(super) fn after(&self, user: &UserId) -> Result<Option<SessionId>, Problem> {
        match &self.cursor {
            Some(cursor) if *cursor == Cursor::new(user, cursor.after) => Ok(Some(cursor.after)),
            Some(_) => Err(bad_cursor()),
            None => Ok(None),
        }
    }
}

/// The place after a session in the list of its user: short, opaque, and of no use for another user's list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    after: SessionId,
    binding: [u8; BINDING],
}

impl Cursor {
    pub(super) fn new(user: &UserId, after: SessionId) -> Self {
        let digest = Digest::of(user, "cursor", after.as_bytes());
        Self { after, binding: std::array::from_fn(|i| digest.as_bytes()[i]) }
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (after, binding) = bytes.split_first_chunk::<16>()?;
        Some(Self { after: SessionId::from_bytes(*after), binding: binding.try_into().ok()? })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode([self.after.as_bytes().as_slice(), &self.binding].concat()))
    }
}

fn bad_cursor() -> Problem {
    Problem::bad_field("bad_cursor", "cursor", "must be one that this user's list handed out")
}

/// The query of a request.
pub(super) struct Query<'a>(Option<&'a QueryMap>);

impl<'a> Query<'a> {
    pub(super) fn of(request: &'a Request) -> Self {
        Self(request.query_string_parameters_ref())
    }

    fn one(&self, name: &str) -> Result<Option<&'a str>, Problem> {
        match self.0.and_then(|query| query.all(name)).unwrap_or_default()[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(Problem::bad_field("bad_parameter", name, "must be given once")),
        }
    }

    /// `true` or `false`; absent is `false`.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.one(name)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::bad_field("bad_boolean", name, "must be true or false")),
        }
    }

    pub(super) fn reason(&self) -> Result<Option<Note>, Problem> {
        let note = Note::parse(self.one("reason")?.unwrap_or_default());
        note.map_err(|error| Problem::bad_field("bad_reason", "reason", error))
    }

    pub(super) fn list(&self) -> Result<List, Problem> {
        Ok(List {
            include_inactive: self.flag("include_inactive")?,
            limit: self.limit()?,
            cursor: self.cursor()?,
        })
    }

    fn limit(&self) -> Result<Option<usize>, Problem> {
        let Some(text) = self.one("limit")? else {
            return Ok(None);
        };
        let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        let bad = || {
            Problem::bad_field("bad_limit", "limit", format!("must be a whole number from 1 to {LIMIT_MAX}"))
        };
        limit.map(Some).ok_or_else(bad)
    }

    fn cursor(&self) -> Result<Option<Cursor>, Problem> {
        let Some(text) = self.one("cursor")? else { return Ok(None) };
        Cursor::parse(text).map(Some).ok_or_else(bad_cursor)
    }
}
