//! What the lists of one user's sessions share: a page of them, and the link to the next.

use crate::http::answer::Answer;
use crate::http::app::App;
use crate::http::problem::Problem;
use crate::http::query::{Cursor, LIMIT_DEFAULT, ListQuery};
use crate::http::request::RequestContext;
use crate::http::views::SessionView;
use crate::session::{Session, UserId};
use crate::store::{Page, UserSessions};

/// Reads a page of live and ended sessions.
pub async fn history_page(app: &App, user: &UserId, list: &ListQuery) -> Result<Page, Problem> {
    Ok(app.store.history(user, list.after, list.limit.unwrap_or(LIMIT_DEFAULT)).await?)
}

/// A page of the live sessions.
pub fn live_page(app: &App, sessions: &UserSessions, list: &ListQuery, request: &RequestContext<'_>) -> Page {
    let older = |session: &&Session| list.after.is_none_or(|after| session.id < after);
    let live = sessions.live(request.now, app.policy()).filter(older).cloned();
    Page::of(live.collect(), list.limit.unwrap_or(usize::MAX))
}

/// Answers with a page of the list of `user` at `path`, which is the client's.
pub fn list_answer<'p>(
    app: &App,
    page: &'p Page,
    path: &str,
    user: &UserId,
    list: &ListQuery,
    view: impl Fn(&'p Session) -> SessionView<'p>,
) -> Result<Answer, Problem> {
    let views: Vec<_> = page.sessions.iter().map(view).collect();
    app.metrics.add("SessionsListed", views.len() as f64);
    let next = page.next.map(|after| {
        let (inactive, limit) = (list.include_inactive, list.limit.unwrap_or(LIMIT_DEFAULT));
        let cursor = Cursor::new(user, "", after);
        format!("{path}?include_inactive={inactive}&limit={limit}&cursor={cursor}")
    });
    Ok(Answer::ok(&views)?.with_next_page(next))
}
