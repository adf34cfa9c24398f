//! What users do with their own sessions.

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use ring::rand::{SecureRandom, SystemRandom};

use super::access::Own;
use super::body::SignIn;
use super::client::Client;
use super::list::live_page;
use super::params::List;
use super::view::{DeviceCount, Ended, EndedAll, LoggedOut, SessionView, SignedInView, count};
use super::{Answer, App, Problem};
use crate::auth::Caller;
use crate::device;
use crate::session::{Digest, EndReason, Ending, Note, Session, SessionId};
use crate::store::NewSession;

const MY_SESSIONS: &str = "/sessions/my-sessions";

impl App {
    /// `POST /sessions/create`
    pub(super) async fn create(
        &self,
        caller: Caller,
        client: Client<'_>,
        body: SignIn,
        now: Timestamp,
    ) -> Result<Answer, Problem> {
        self.admit(&caller, now).await?;
        let user = &caller.user_id;
        let fingerprint = body.fingerprint.as_deref().filter(|fingerprint| !fingerprint.is_empty());
        let new = NewSession {
            id: SessionId::new(now, random()),
            device: device::detect(&client.hints, &body.claims()),
            ip_address: client.ip_address.into(),
            fingerprint: fingerprint
                .map(|fingerprint| Digest::of(user, "fingerprint", fingerprint.as_bytes())),
            token: caller.token,
            user_agent: client.user_agent_digest(user),
            user_id: user.clone(),
        };
        let signed_in = self.store.sign_in(&new, now).await?;
        let status = if signed_in.refreshed { StatusCode::OK } else { StatusCode::CREATED };
        let session = SessionView::new(&signed_in.session, now, self.store.policy()).current(true);
        Answer::json(status, &SignedInView { session, evicted: &signed_in.evicted })
    }

    /// `GET /sessions/current`: whether the session that the request comes from is live, by one read.
    pub(super) async fn current(
        &self,
        caller: Caller,
        client: Client<'_>,
        now: Timestamp,
    ) -> Result<Answer, Problem> {
        let current = self.own(&caller, &client, now).await?.current.ok_or_else(Problem::not_signed_in)?;
        Answer::ok(&SessionView::new(&current, now, self.store.policy()).current(true))
    }

    /// `GET /sessions/my-sessions`
    pub(super) async fn my_sessions(
        &self,
        caller: Caller,
        client: Client<'_>,
        list: List,
        now: Timestamp,
    ) -> Result<Answer, Problem> {
        let user = &caller.user_id;
        let (own, page) = match list.include_inactive {
            true => {
                let own = self.own(&caller, &client, now);
                let (own, page) = tokio::join!(own, self.history_page(user, &list));
                (own?, page?)
            }
            false => {
                let own = self.own(&caller, &client, now).await?;
                let page = live_page(&own.open, user, &list, now, self.store.policy())?;
                (own, page)
            }
        };
        self.list_answer(&page, MY_SESSIONS, user, &list, |session| self.own_view(session, &own, now))
    }

    /// `GET /sessions/session/{session_id}`
    pub(super) async fn my_session(
        &self,
        caller: Caller,
        client: Client<'_>,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Answer, Problem> {
        let own = self.own(&caller, &client, now);
        let (own, session) = tokio::join!(own, self.store.session(&caller.user_id, id));
        let (own, session) = (own?, session?.ok_or_else(Problem::unknown_session)?);
        Answer::ok(&self.own_view(&session, &own, now))
    }

    /// `DELETE /sessions/session/{session_id}`
    pub(super) async fn end_my_session(
        &self,
        caller: Caller,
        client: Client<'_>,
        id: SessionId,
        note: Option<Note>,
        now: Timestamp,
    ) -> Result<Answer, Problem> {
        let own = self.own(&caller, &client, now).await?;
        self.end_own(caller, own, id, EndReason::RevokedByUser, note, now).await
    }

    /// `DELETE /sessions/logout`
    pub(super) async fn logout(
        &self,
        caller: Caller,
        client: Client<'_>,
        note: Option<Note>,
        now: Timestamp,
    ) -> Result<Answer, Problem> {
        let own = self.own(&caller, &client, now).await?;
        let id = own.current.as_ref().ok_or_else(Problem::nothing_to_log_out)?.id;
        self.end_own(caller, own, id, EndReason::Logout, note, now).await
    }

    async fn end_own(
        &self,
        caller: Caller,
        own: Own,
        id: SessionId,
        reason: EndReason,
        note: Option<Note>,
        now: Timestamp,
    ) -> Result<Answer, Problem> {
        let ending = Ending { at: now, by: Some(caller.user_id.clone()), reason, note };
        let end = self.store.end(&caller.user_id, id, &ending).await?.ok_or_else(Problem::unknown_session)?;
        Answer::ok(&Ended::new(&end, self.own_view(&end.session, &own, now)))
    }

    /// `DELETE /sessions/logout-all`
    pub(super) async fn logout_all(
        &self,
        caller: Caller,
        client: Client<'_>,
        exclude_current: bool,
        note: Option<Note>,
        now: Timestamp,
    ) -> Result<Answer, Problem> {
        let own = self.own(&caller, &client, now).await?;
        let keep = match (exclude_current, &own.current) {
            (false, _) => None,
            (true, Some(current)) => Some(current.id),
            (true, None) => return Err(Problem::current_session_unknown()),
        };
        let ending = Ending { at: now, by: Some(caller.user_id.clone()), reason: EndReason::LogoutAll, note };
        let ended = self.store.end_all(&caller.user_id, keep, &ending).await?;
        let all = EndedAll {
            success: true,
            message: format!("{} ended", count(ended.len())),
            revoked: ended.len(),
            sessions: ended.iter().map(|session| self.own_view(session, &own, now)).collect(),
        };
        Answer::ok(&LoggedOut { all, logged_out_count: ended.len() })
    }

    /// `GET /sessions/active-devices-count`
    pub(super) async fn active_devices(
        &self,
        caller: Caller,
        client: Client<'_>,
        now: Timestamp,
    ) -> Result<Answer, Problem> {
        let live = self.own(&caller, &client, now).await?.open.live(now, self.store.policy()).count();
        Answer::ok(&DeviceCount { active_devices: live, count: live })
    }

    /// `POST /sessions/update-activity`
    pub(super) async fn update_activity(
        &self,
        caller: Caller,
        client: Client<'_>,
        now: Timestamp,
    ) -> Result<Answer, Problem> {
        let current = self.own(&caller, &client, now).await?.current.ok_or_else(Problem::not_signed_in)?;
        let session = self.store.touch(&current, now).await?;
        // An ending that came between the read and the write has won.
        let session = session.filter(|session| session.is_live_at(now, self.store.policy()));
        let session = session.ok_or_else(Problem::session_ended)?;
        Answer::ok(&SessionView::new(&session, now, self.store.policy()).current(true))
    }

    fn own_view<'s>(&self, session: &'s Session, own: &Own, now: Timestamp) -> SessionView<'s> {
        SessionView::new(session, now, self.store.policy()).current(own.is_current(session.id))
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
