//! What an admin does with another user's sessions.

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::params::{LIMIT_DEFAULT, List, encode_cursor};
use super::view::{Ended, EndedAll, SessionView};
use super::{Answer, App, Problem};
use crate::auth::{Caller, Sid};
use crate::config::{RoleSource, UnknownUsers};
use crate::session::{EndReason, Ending, Note, Session, SessionId, UserId};
use crate::store::{Open, Page, StoreError};

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
        // Side by side, so that the request stays one round trip deep.
        let (admitted, page) =
            tokio::join!(self.admit_admin(&caller, "view", now), self.page(&user, &list, now));
        admitted?;
        not_own(&caller, &user)?;
        let page = page?.ok_or_else(Problem::unknown_user)?;
        let next = page.next.map(|after| next_page(&user, &list, after));
        Ok(Answer::ok(&self.views(&page.sessions, now))?.with_next(next))
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
        self.admit_admin(&caller, "end", now).await?;
        not_own(&caller, &user)?;
        let Some(end) = self.store.end(&user, session, &by_admin(caller, note, now)).await? else {
            return Err(self.nothing_to_end(&user).await?);
        };
        Answer::ok(&Ended {
            success: true,
            message: if end.first { "The session has been ended" } else { "The session had already ended" },
            session: self.view(&end.session, now),
        })
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
        self.admit_admin(&caller, "end", now).await?;
        not_own(&caller, &user)?;
        if dry_run || self.unknown_users == UnknownUsers::NotFound {
            let open = self.known(self.store.open(&user).await?).ok_or_else(Problem::unknown_user)?;
            if dry_run {
                return self.would_end(open, now);
            }
        }
        let ended = self.store.end_all(&user, None, &by_admin(caller, note, now)).await?;
        Answer::ok(&EndedAll {
            success: true,
            message: format!("{} ended", count(ended.len())),
            revoked: ended.len(),
            sessions: self.views(&ended, now),
        })
    }

    fn would_end(&self, open: Open, now: Timestamp) -> Result<Answer, Problem> {
        let live: Vec<Session> = open.live(now, self.store.policy()).cloned().collect();
        Answer::ok(&EndedAll {
            success: true,
            message: format!("{} would end", count(live.len())),
            revoked: 0,
            sessions: self.views(&live, now),
        })
    }

    /// Whether the caller may act on other users' sessions; `deed` is "view" or "end". Reads the table only for
    /// what the token leaves open: whether its session is still live, and the role where the table keeps roles.
    async fn admit_admin(&self, caller: &Caller, deed: &str, now: Timestamp) -> Result<(), Problem> {
        let by_token = self.role_source == RoleSource::Token;
        let record = match caller.sid {
            Sid::Foreign => return Err(Problem::session_ended()),
            Sid::Absent if by_token => Open::default(),
            _ => self.store.open(&caller.user_id).await?,
        };
        if let Sid::Session(sid) = caller.sid
            && !record.live(now, self.store.policy()).any(|session| session.id == sid)
        {
            return Err(Problem::session_ended());
        }
        let roles = record.profile.map(|profile| profile.roles).unwrap_or_default();
        let is_admin = if by_token { caller.admin_by_token } else { roles.contains(&self.admin_role) };
        if is_admin { Ok(()) } else { Err(Problem::not_an_admin(deed)) }
    }

    /// The part of a user's list that is asked for; `None` for a user who is unknown where that counts.
    async fn page(&self, user: &UserId, list: &List, now: Timestamp) -> Result<Option<Page>, StoreError> {
        if !list.include_inactive {
            let open = self.known(self.store.open(user).await?);
            return Ok(open.map(|open| self.live_page(&open, list, now)));
        }
        let limit = list.limit.unwrap_or(LIMIT_DEFAULT);
        let history = self.store.history(user, list.after, limit);
        if self.unknown_users == UnknownUsers::Empty {
            return history.await.map(Some);
        }
        let (page, profile) = tokio::try_join!(history, self.store.profile(user))?;
        Ok((profile.is_some() || !page.sessions.is_empty()).then_some(page))
    }

    fn live_page(&self, open: &Open, list: &List, now: Timestamp) -> Page {
        let older = |session: &&Session| list.after.is_none_or(|after| session.id < after);
        let mut sessions: Vec<Session> = open.live(now, self.store.policy()).filter(older).cloned().collect();
        let limit = list.limit.unwrap_or(usize::MAX);
        let more = sessions.len() > limit;
        sessions.truncate(limit);
        let next = sessions.last().filter(|_| more).map(|session| session.id);
        Page { sessions, next }
    }

    /// The record of a user, unless there is none and that counts.
    fn known(&self, open: Open) -> Option<Open> {
        (open.is_known() || self.unknown_users == UnknownUsers::Empty).then_some(open)
    }

    /// Why there was no session to end: because there is no such user, where that counts, or no such session.
    async fn nothing_to_end(&self, user: &UserId) -> Result<Problem, Problem> {
        let unknown =
            self.unknown_users == UnknownUsers::NotFound && self.store.profile(user).await?.is_none();
        Ok(if unknown { Problem::unknown_user() } else { Problem::unknown_session() })
    }

    fn view<'s>(&self, session: &'s Session, now: Timestamp) -> SessionView<'s> {
        SessionView::new(session, now, self.store.policy())
    }

    fn views<'s>(&self, sessions: &'s [Session], now: Timestamp) -> Vec<SessionView<'s>> {
        sessions.iter().map(|session| self.view(session, now)).collect()
    }
}

fn not_own(caller: &Caller, user: &UserId) -> Result<(), Problem> {
    if caller.user_id == *user { Err(Problem::own_sessions()) } else { Ok(()) }
}

fn by_admin(caller: Caller, note: Option<Note>, now: Timestamp) -> Ending {
    Ending { at: now, by: Some(caller.user_id), reason: EndReason::RevokedByAdmin, note }
}

fn count(sessions: usize) -> String {
    if sessions == 1 { "1 session".into() } else { format!("{sessions} sessions") }
}

fn next_page(user: &UserId, list: &List, after: SessionId) -> String {
    let user_segment = utf8_percent_encode(user.as_str(), SEGMENT);
    let limit = list.limit.unwrap_or(LIMIT_DEFAULT);
    let cursor = encode_cursor(user, after);
    let inactive = list.include_inactive;
    format!("/sessions/user/{user_segment}?include_inactive={inactive}&limit={limit}&cursor={cursor}")
}
