//! What an admin does with another user's sessions.

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::list::live_page;
use super::params::List;
use super::view::{Ended, EndedAll, SessionView, count};
use super::{Answer, App, Problem};
use crate::auth::Caller;
use crate::config::UnknownUsers;
use crate::session::{EndReason, Ending, Note, Session, SessionId, UserId};
use crate::store::{Open, Page};

/// What a path segment may hold as it is (RFC 3986 section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl App {
    /// `GET /sessions/user/{user_id}`
    pub(super) async fn list_user(
        &self,
        caller: Caller,
        user: UserId,
        list: List,
        now: Timestamp,
    ) -> Result<Answer, Problem> {
        // Side by side, so that the request stays one round trip deep. What became of the page, an unknown user
        // included, is not looked at before the caller is admitted; and nothing is read for whom the token refuses.
        let page = async { Ok::<_, Problem>(self.user_page(&user, &list, now).await) };
        let ((), page) = tokio::try_join!(self.admit_admin(&caller, &user, "view", now), page)?;
        let path = format!("/sessions/user/{}", utf8_percent_encode(user.as_str(), SEGMENT));
        self.list_answer(&page?, &path, &user, &list, |session| self.view(session, now))
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
        caller: Caller,
        user: UserId,
        session: SessionId,
        note: Option<Note>,
        now: Timestamp,
    ) -> Result<Answer, Problem> {
        self.admit_admin(&caller, &user, "end", now).await?;
        match self.store.end(&user, session, &by_admin(caller, note, now)).await? {
            Some(end) => Answer::ok(&Ended::new(&end, self.view(&end.session, now))),
            None => Err(self.nothing_to_end(&user).await?),
        }
    }

    /// `DELETE /sessions/user/{user_id}`
    pub(super) async fn end_user(
        &self,
        caller: Caller,
        user: UserId,
        dry_run: bool,
        note: Option<Note>,
        now: Timestamp,
    ) -> Result<Answer, Problem> {
        self.admit_admin(&caller, &user, "end", now).await?;
        if dry_run || self.unknown_users == UnknownUsers::NotFound {
            let open = self.known(self.store.open(&user).await?)?;
            if dry_run {
                return self.would_end(&open, now);
            }
        }
        let ended = self.store.end_all(&user, None, &by_admin(caller, note, now)).await?;
        Answer::ok(&EndedAll {
            success: true,
            message: format!("{} ended", count(ended.len())),
            revoked: ended.len(),
            sessions: ended.iter().map(|session| self.view(session, now)).collect(),
        })
    }

    fn would_end(&self, open: &Open, now: Timestamp) -> Result<Answer, Problem> {
        let live: Vec<SessionView<'_>> =
            open.live(now, self.store.policy()).map(|session| self.view(session, now)).collect();
        let message = format!("{} would end", count(live.len()));
        Answer::ok(&EndedAll { success: true, message, revoked: 0, sessions: live })
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

    fn view<'s>(&self, session: &'s Session, now: Timestamp) -> SessionView<'s> {
        SessionView::new(session, now, self.store.policy())
    }
}

fn by_admin(caller: Caller, note: Option<Note>, now: Timestamp) -> Ending {
    Ending { at: now, by: Some(caller.user_id), reason: EndReason::RevokedByAdmin, note }
}
