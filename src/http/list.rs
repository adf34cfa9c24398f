//! Lists of sessions and their pages.

use jiff::Timestamp;

use super::params::{Cursor, LIMIT_DEFAULT, List};
use super::view::SessionView;
use super::{Answer, App, Problem};
use crate::session::{Policy, Session, UserId};
use crate::store::{Open, Page};

/// The live sessions that are asked for, out of what is open.
pub(super) fn live_page(
    open: &Open,
    user: &UserId,
    list: &List,
    now: Timestamp,
    policy: &Policy,
) -> Result<Page, Problem> {
    let after = list.after(user)?;
    let older = |session: &&Session| after.is_none_or(|after| session.id < after);
    let sessions: Vec<Session> = open.live(now, policy).filter(older).cloned().collect();
    Ok(Page::of(sessions, list.limit.unwrap_or(usize::MAX)))
}

impl App {
    /// A page of history, live sessions and ended ones.
    pub(super) async fn history_page(&self, user: &UserId, list: &List) -> Result<Page, Problem> {
        Ok(self.store.history(user, list.after(user)?, list.limit.unwrap_or(LIMIT_DEFAULT)).await?)
    }

    /// Answers with views of a page; `path` is where the next one is to be had.
    pub(super) fn list_answer<'p>(
        &self,
        page: &'p Page,
        path: &str,
        user: &UserId,
        list: &List,
        view: impl Fn(&'p Session) -> SessionView<'p>,
    ) -> Result<Answer, Problem> {
        let views: Vec<_> = page.sessions.iter().map(view).collect();
        self.store.meter().add("SessionsListed", views.len() as f64);
        let next = page.next.map(|after| {
            let (inactive, limit) = (list.include_inactive, list.limit.unwrap_or(LIMIT_DEFAULT));
            let cursor = Cursor::new(user, after);
            format!("{path}?include_inactive={inactive}&limit={limit}&cursor={cursor}")
        });
        Ok(Answer::ok(&views)?.with_next(next))
    }
}
