//! What users do with their own sessions.

use lambda_http::http::StatusCode;
use ring::rand::{SecureRandom, SystemRandom};

use super::access::{Own, Visitor};
use super::body::SignIn;
use super::list::live_page;
use super::params::List;
use super::view::{DeviceCount, Ended, EndedAll, LoggedOut, SessionView, SignedInView};
use super::{Answer, App, Problem};
use crate::device;
use crate::session::{Digest, EndReason, Marks, Note, Session, SessionId};
use crate::store::NewSession;

const MY_SESSIONS: &str = "/sessions/my-sessions";

impl App {
    /// `POST /sessions/create`
    pub(super) async fn create(&self, visitor: &Visitor<'_>, body: SignIn) -> Result<Answer, Problem> {
        let seen = self.own_open(visitor).await?;
        let signed_in = self.store.sign_in(&new_session(visitor, &body), Some(seen), visitor.now).await?;
        let status = if signed_in.refreshed { StatusCode::OK } else { StatusCode::CREATED };
        let session = self.view(&signed_in.session, visitor).current(true);
        Answer::json(status, &SignedInView { session, evicted: &signed_in.evicted })
    }

    /// `GET /sessions/current`: whether the session that the request comes from is live, by one read.
    pub(super) async fn current(&self, visitor: &Visitor<'_>) -> Result<Answer, Problem> {
        let current = self.own(visitor).await?.current.ok_or_else(Problem::not_signed_in)?;
        Answer::ok(&self.view(&current, visitor).current(true))
    }

    /// `GET /sessions/my-sessions`
    pub(super) async fn my_sessions(&self, visitor: &Visitor<'_>, list: List) -> Result<Answer, Problem> {
        let (own, page) = match list.include_inactive {
            true => tokio::try_join!(self.own(visitor), self.history_page(visitor.user(), &list))?,
            false => {
                let own = self.own(visitor).await?;
                let page = live_page(&own.open, visitor.user(), &list, visitor.now, self.store.policy())?;
                (own, page)
            }
        };
        let view = |session| self.own_view(session, &own, visitor);
        self.list_answer(&page, MY_SESSIONS, visitor.user(), &list, view)
    }

    /// `GET /sessions/session/{session_id}`
    pub(super) async fn my_session(&self, visitor: &Visitor<'_>, id: SessionId) -> Result<Answer, Problem> {
        let (own, session) = tokio::join!(self.own(visitor), self.store.session(visitor.user(), id));
        let (own, session) = (own?, session?.ok_or_else(Problem::unknown_session)?);
        Answer::ok(&self.own_view(&session, &own, visitor))
    }

    /// `DELETE /sessions/session/{session_id}`
    pub(super) async fn end_my_session(
        &self,
        visitor: &Visitor<'_>,
        id: SessionId,
        note: Option<Note>,
    ) -> Result<Answer, Problem> {
        let own = self.own(visitor).await?;
        self.end_own(visitor, &own, id, EndReason::RevokedByUser, note).await
    }

    /// `DELETE /sessions/logout`
    pub(super) async fn logout(&self, visitor: &Visitor<'_>, note: Option<Note>) -> Result<Answer, Problem> {
        let own = self.own(visitor).await?;
        let id = own.current.as_ref().ok_or_else(Problem::nothing_to_log_out)?.id;
        self.end_own(visitor, &own, id, EndReason::Logout, note).await
    }

    async fn end_own(
        &self,
        visitor: &Visitor<'_>,
        own: &Own,
        id: SessionId,
        reason: EndReason,
        note: Option<Note>,
    ) -> Result<Answer, Problem> {
        let end = self.store.end(visitor.user(), id, &visitor.ending(reason, note)).await?;
        let end = end.ok_or_else(Problem::unknown_session)?;
        Answer::ok(&Ended::new(&end, self.own_view(&end.session, own, visitor)))
    }

    /// `DELETE /sessions/logout-all`
    pub(super) async fn logout_all(
        &self,
        visitor: &Visitor<'_>,
        exclude_current: bool,
        note: Option<Note>,
    ) -> Result<Answer, Problem> {
        let mut own = self.own(visitor).await?;
        let keep = match (exclude_current, &own.current) {
            (false, _) => None,
            (true, Some(current)) => Some(current.id),
            (true, None) => return Err(Problem::current_session_unknown()),
        };
        let ending = visitor.ending(EndReason::LogoutAll, note);
        let seen = std::mem::take(&mut own.open);
        let ended = self.store.end_all(visitor.user(), Some(seen), keep, &ending).await?;
        let views = ended.iter().map(|session| self.own_view(session, &own, visitor)).collect();
        Answer::ok(&LoggedOut { all: EndedAll::ended(views), logged_out_count: ended.len() })
    }

    /// `GET /sessions/active-devices-count`
    pub(super) async fn active_devices(&self, visitor: &Visitor<'_>) -> Result<Answer, Problem> {
        let live = self.own(visitor).await?.open.live(visitor.now, self.store.policy()).count();
        Answer::ok(&DeviceCount { active_devices: live, count: live })
    }

    /// `POST /sessions/update-activity`
    pub(super) async fn update_activity(&self, visitor: &Visitor<'_>) -> Result<Answer, Problem> {
        let current = self.own(visitor).await?.current.ok_or_else(Problem::not_signed_in)?;
        let session = self.store.touch(&current, visitor.now).await?;
        // An ending that came between the read and the write has won.
        let session = session.filter(|session| session.is_live_at(visitor.now, self.store.policy()));
        let session = session.ok_or_else(Problem::session_ended)?;
        Answer::ok(&self.view(&session, visitor).current(true))
    }

    fn own_view<'s>(&self, session: &'s Session, own: &Own, visitor: &Visitor<'_>) -> SessionView<'s> {
        self.view(session, visitor).current(own.is_current(session.id))
    }
}

fn new_session(visitor: &Visitor<'_>, body: &SignIn) -> NewSession {
    let (user, client) = (visitor.user(), &visitor.client);
    let fingerprint = body.fingerprint.as_deref().filter(|fingerprint| !fingerprint.is_empty());
    NewSession {
        id: SessionId::new(visitor.now, random()),
        user_id: user.clone(),
        device: device::detect(&client.hints, &body.claims()),
        ip_address: client.ip_address.into(),
        marks: Marks {
            fingerprint: fingerprint
                .map(|fingerprint| Digest::of(user, "fingerprint", fingerprint.as_bytes())),
            token: visitor.caller.token,
            user_agent: client.user_agent_digest(user),
        },
    }
}

/// From the system; should it have none to give, any other will do: an id is no secret, and a write never
/// overwrites one that exists.
fn random() -> [u8; 10] {
    let mut bytes = [0; 10];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        fastrand::fill(&mut bytes);
    }
    bytes
}
