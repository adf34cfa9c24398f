//! The search among the sessions of all users.

use crate::http::access::check_staff;
use crate::http::answer::Answer;
use crate::http::app::App;
use crate::http::filter::SearchQuery;
use crate::http::problem::Problem;
use crate::http::request::RequestContext;
use crate::http::views::SessionView;
use crate::session::SessionId;
use crate::telemetry::log;

/// Handles `GET /sessions`.
pub async fn search_sessions(app: &App, request: &RequestContext<'_>) -> Result<Answer, Problem> {
    let query = SearchQuery::parse(request.query(), request.user())?;
    // A search may cost as much as a thousand lists, so it begins when the caller may see what it finds.
    check_staff(app, request, &[]).await?;
    let page = app.store.search(&query.search, request.now).await?;
    let users = page.sessions.iter().map(|session| &session.user_id).collect();
    log::audit_searched(request.user(), &query.kinds, &users);
    app.metrics.add("SessionsListed", page.sessions.len() as f64);
    let view = |session| SessionView::for_staff(session, request.now, app.policy());
    let views: Vec<_> = page.sessions.iter().map(view).collect();
    let path = request.client_path("/sessions");
    let next = page.next.map(|after| format!("{path}?{}", query.next(request.user(), after)));
    let looked_back_to = page.next.and_then(SessionId::began_at);
    Ok(Answer::ok(&views)?.with_next_page(next).looked_back_to(looked_back_to))
}
