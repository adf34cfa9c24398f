//! What an admin does with another user's sessions.

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::access::Visitor;
use super::list::live_page;
use super::params::List;
use super::view::{Ended, EndedAll};
use super::{Answer, App, Problem};
use crate::config::UnknownUsers;
use crate::session::{EndReason, Note, SessionId, UserId};
use crate::store::{Open, Page};

/// What a path segment may hold as it is (RFC 3986 section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl App {
    /// `GET /sessions/user/{user_id}`
    pub(super) async fn list_user(
        &self,
        visitor: &Visitor<'_>,
        user: UserId,
        list: List,
    ) -> Result<Answer, Problem> {
        // Side by side, so that the request stays one round trip deep. What became of the page, an unknown user
        // included, is not looked at before the caller is admitted; and nothing is read for whom the token refuses.
        let page = async { Ok::<_, Problem>(self.user_page(&user, &list, visitor.now).await) };
        let ((), page) = tokio::try_join!(self.admit_admin(visitor, &user, "view"), page)?;
        let path = format!("/sessions/user/{}", utf8_percent_encode(user.as_str(), SEGMENT));
        self.list_answer(&page?, &path, &user, &list, |session| self.view(session, visitor))
    }

    async fn user_page(&self, user: &UserId, list: &List, now: Timestamp) -> Result<Page, Problem> {
        if !list.include_inactive {
            let open = self.known(self.store.open(user).await?)?;
            return live_page(&open, user, list, now, self.store.policy());
        }
        if self.unknown_users == UnknownUsers::Empty {
            return self.history_page(user, list).await;
        }
        let (page, profile) = tokio::join!(self.history_page(user, list), self.store.profile(user));
        match (page?, profile?) {
            (page, None) if page.sessions.is_empty() => Err(Problem::unknown_user()),
            (page, _) => Ok(page),
        }
    }

    /// `DELETE /sessions/user/{user_id}/session/{session_id}`
    pub(super) async fn end_user_session(
        &self,
        visitor: &Visitor<'_>,
        user: UserId,
        id: SessionId,
        note: Option<Note>,
    ) -> Result<Answer, Problem> {
        self.admit_admin(visitor, &user, "end").await?;
        let ending = visitor.ending(EndReason::RevokedByAdmin, note);
        match self.store.end(&user, id, &ending).await? {
            Some(end) => Answer::ok(&Ended::new(&end, self.view(&end.session, visitor))),
            None => Err(self.nothing_to_end(&user).await?),
        }
    }

    /// `DELETE /sessions/user/{user_id}`
    pub(super) async fn end_user(
        &self,
        visitor: &Visitor<'_>,
        user: UserId,
        dry_run: bool,
        note: Option<Note>,
    ) -> Result<Answer, Problem> {
        // Side by side like a list, so that what is left of the function's time is enough for the chain of writes.
        let open = async { Ok::<_, Problem>(self.store.open(&user).await) };
        let ((), open) = tokio::try_join!(self.admit_admin(visitor, &user, "end"), open)?;
        let open = self.known(open?)?;
        if dry_run {
            let live = open.live(visitor.now, self.store.policy());
            return Answer::ok(&EndedAll::would_end(live.map(|s| self.view(s, visitor)).collect()));
        }
        let ending = visitor.ending(EndReason::RevokedByAdmin, note);
        let ended = self.store.end_all(&user, Some(open), None, &ending).await?;
        Answer::ok(&EndedAll::ended(ended.iter().map(|session| self.view(session, visitor)).collect()))
    }

    /// The record of a user, unless there is none and that counts.
    fn known(&self, open: Open) -> Result<Open, Problem> {
        match open.is_known() || self.unknown_users == UnknownUsers::Empty {
            true => Ok(open),
            false => Err(Problem::unknown_user()),
        }
    }

    /// Why there was no session to end: because there is no such user, where that counts, or no such session.
    async fn nothing_to_end(&self, user: &UserId) -> Result<Problem, Problem> {
        let counts = self.unknown_users == UnknownUsers::NotFound;
        let unknown = counts && self.store.profile(user).await?.is_none();
        Ok(if unknown { Problem::unknown_user() } else { Problem::unknown_session() })
    }
}
