//! Paths with ids in them.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str};

/// The characters that a path segment, or the value of a query parameter, may contain as they are (RFC 3986 section 2.3).
pub const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The ids in a path, as they were sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct PathIds<'p> {
    /// The value of `{user_id}`.
    pub user: Option<PathId<'p>>,
    /// The value of `{session_id}`.
    pub session: Option<PathId<'p>>,
}

/// An id in a path.
#[derive(Clone, Copy, Debug)]
pub struct PathId<'p> {
    text: &'p str,
    is_decoded: bool,
}

impl<'p> PathId<'p> {
    /// The id, percent-decoded once; `None` when that is not UTF-8.
    pub fn decode(self) -> Option<Cow<'p, str>> {
        if self.is_decoded {
            Some(self.text.into())
        } else {
            percent_decode_str(self.text).decode_utf8().ok()
        }
    }
}

impl<'p> PathIds<'p> {
    /// The ids in `path`, if the path has the form of `template`, such as `/sessions/user/{user_id}`.
    pub fn in_path(template: &str, path: &'p str, is_decoded: bool) -> Option<Self> {
        let mut ids = Self::default();
        let mut segments = path.split('/');
        for expected in template.split('/') {
            let segment = segments.next()?;
            match expected {
                "{user_id}" => ids.user = Some(PathId { text: segment, is_decoded }),
                "{session_id}" => ids.session = Some(PathId { text: segment, is_decoded }),
                _ if segment == expected => {}
                _ => return None,
            }
        }
        segments.next().is_none().then_some(ids)
    }

    /// The ids that API Gateway found in a path with the form of `template`; `None` when it lacks one.
    pub fn in_parameters(template: &str, parameter: impl Fn(&str) -> Option<&'p str>) -> Option<Self> {
        let mut ids = Self::default();
        for (name, id) in [("user_id", &mut ids.user), ("session_id", &mut ids.session)] {
            if template.contains(&format!("{{{name}}}")) {
                *id = Some(PathId { text: parameter(name)?, is_decoded: true });
            }
        }
        Some(ids)
    }
}
