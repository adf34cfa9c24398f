//! Query parameters. A known name with a wrong value is refused. Requests that end sessions refuse unknown names too.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use lambda_http::aws_lambda_events::query_map::QueryMap;
use lambda_http::{Request, RequestExt};

use super::problem::{Code, Problem};
use crate::session::{Digest, Note, SessionId, Timestamp, UserId, to_millisecond};

/// The highest number of sessions on a page.
pub const LIMIT_MAX: usize = 100;

/// The number of sessions on a page of history when the request does not say.
pub const LIMIT_DEFAULT: usize = 50;

/// How many bytes of a cursor bind it to its list.
const BINDING: usize = 8;

/// The part of a list that a request asks for.
#[derive(Debug)]
pub struct ListQuery {
    /// Whether ended sessions belong to the list too.
    pub include_inactive: bool,
    /// The highest number of sessions in the answer, 1 to [`LIMIT_MAX`].
    pub limit: Option<usize>,
    /// The list continues after this session.
    pub after: Option<SessionId>,
}

/// A position in a list, right after a session. It is short and opaque, and does not work for any other list.
#[derive(Debug, PartialEq, Eq)]
pub struct Cursor {
    after: SessionId,
    binding: [u8; BINDING],
}

impl Cursor {
    /// A position in the list of `user`, or in the part of a list that `filters` describe and `user` asks for.
    pub fn new(user: &UserId, filters: &str, after: SessionId) -> Self {
        let digest = Digest::of(user, "cursor", &[filters.as_bytes(), after.as_bytes()].concat());
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

/// The query parameters of a request.
pub struct Query<'r>(Option<&'r QueryMap>);

impl<'r> Query<'r> {
    pub fn of(request: &'r Request) -> Self {
        Self(request.query_string_parameters_ref())
    }

    /// Refuses every parameter that is not `known`. On a request that ends sessions, a misspelled `dry_run` must not end
    /// anything.
    pub fn only(self, known: &[&str]) -> Result<Self, Problem> {
        let names = self.0.into_iter().flat_map(QueryMap::iter).map(|(name, _)| name);
        match names.into_iter().find(|name| !known.contains(name)) {
            Some(unknown) => {
                let shown: String = unknown.chars().take(64).collect();
                Err(Problem::bad_field(Code::BadParameter, &shown, "is not a parameter of this request"))
            }
            None => Ok(self),
        }
    }

    /// A parameter that is given once at most.
    pub fn one(&self, name: &str) -> Result<Option<&'r str>, Problem> {
        match self.0.and_then(|query| query.all(name)).unwrap_or_default()[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(Problem::bad_field(Code::BadParameter, name, "must be given once")),
        }
    }

    /// A parameter of any form. `expected` says what it must be.
    pub fn parsed<T>(
        &self,
        name: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let value = parse(text);
        value.map(Some).ok_or_else(|| Problem::bad_field(Code::BadParameter, name, expected))
    }

    /// The users that `user_id` names, from 1 to `max`. Axios writes `user_id[]` for a list.
    pub fn users(&self, max: usize) -> Result<Vec<UserId>, Problem> {
        let name = "user_id";
        let named = |name| self.0.and_then(|query| query.all(name)).unwrap_or_default();
        let texts = [named(name), named("user_id[]")].concat();
        if !(1..=max).contains(&texts.len()) {
            let expected = format!("must be given 1 to {max} times");
            return Err(Problem::bad_field(Code::BadParameter, name, expected));
        }
        let bad = |error| Problem::bad_field(Code::BadUserId, name, error);
        texts.into_iter().map(|text| UserId::parse(text).map_err(bad)).collect()
    }

    /// A parameter that is `true` or `false`. It is `false` when it is absent.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.one(name)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::bad_field(Code::BadBoolean, name, "must be true or false")),
        }
    }

    /// The `reason` for ending a session.
    pub fn reason(&self) -> Result<Option<Note>, Problem> {
        let note = Note::parse(self.one("reason")?.unwrap_or_default());
        note.map_err(|error| Problem::bad_field(Code::BadReason, "reason", error))
    }

    /// The part of the list of `user` that the request asks for.
    pub fn list(&self, user: &UserId) -> Result<ListQuery, Problem> {
        Ok(ListQuery {
            include_inactive: self.flag("include_inactive")?,
            limit: self.limit(LIMIT_MAX)?,
            after: self.after(user, "", "must be one that this user's list returned")?,
        })
    }

    /// The highest number of sessions on the page, from 1 to `max`.
    pub fn limit(&self, max: usize) -> Result<Option<usize>, Problem> {
        let Some(text) = self.one("limit")? else { return Ok(None) };
        let limit = text.parse().ok().filter(|limit| (1..=max).contains(limit));
        let expected = format!("must be a whole number from 1 to {max}");
        limit.map(Some).ok_or_else(|| Problem::bad_field(Code::BadLimit, "limit", expected))
    }

    /// The session that ended the page before: its `cursor` belongs to this user and these filters.
    pub fn after(&self, user: &UserId, filters: &str, expected: &str) -> Result<Option<SessionId>, Problem> {
        let Some(text) = self.one("cursor")? else { return Ok(None) };
        let cursor = Cursor::parse(text).filter(|cursor| *cursor == Cursor::new(user, filters, cursor.after));
        cursor
            .map(|cursor| Some(cursor.after))
            .ok_or_else(|| Problem::bad_field(Code::BadCursor, "cursor", expected))
    }
}

/// What [`time`] takes.
pub const TIME: &str = "must be a time such as 2026-01-31T08:00:00Z (RFC 3339)";

/// A time, in milliseconds as the table keeps it.
pub fn time(text: &str) -> Option<Timestamp> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| to_millisecond(time.to_utc()))
}
