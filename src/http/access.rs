//! Who may act, and which session they act from.

use jiff::Timestamp;

use super::client::{Client, Named};
use super::view::SessionView;
use super::{App, Problem};
use crate::auth::{Caller, Sid};
use crate::config::RoleSource;
use crate::session::{EndReason, Ending, Note, Policy, Session, SessionId, UserId};
use crate::store::Open;

/// Who asks, from which device, and when.
#[derive(Debug)]
pub(super) struct Visitor<'r> {
    pub caller: Caller,
    pub client: Client<'r>,
    pub now: Timestamp,
}

impl Visitor<'_> {
    pub(super) fn user(&self) -> &UserId {
        &self.caller.user_id
    }

    /// The receipt of what the visitor ends.
    pub(super) fn ending(&self, reason: EndReason, note: Option<Note>) -> Ending {
        Ending { at: self.now, by: Some(self.user().clone()), reason, note }
    }
}

/// The caller's own record, read once for a request.
#[derive(Debug)]
pub(super) struct Own {
    /// What is open for the caller.
    pub open: Open,
    /// The live session that the request comes from, where that can be told.
    pub current: Option<Session>,
}

impl Own {
    pub(super) fn is_current(&self, id: SessionId) -> bool {
        self.current.as_ref().is_some_and(|current| current.id == id)
    }
}

impl App {
    /// Whether the caller may act on `user`'s sessions as an admin; `deed` is "view" or "end". Reads the table
    /// only for what the token leaves open: whether its session is still live, and the role where the table
    /// keeps roles.
    pub(super) async fn admit_admin(
        &self,
        visitor: &Visitor<'_>,
        user: &UserId,
        deed: &str,
    ) -> Result<(), Problem> {
        let by_token = self.role_source == RoleSource::Token;
        let record = match visitor.caller.sid {
            Sid::Absent if by_token => Open::default(),
            _ => self.own_open(visitor).await?,
        };
        let roles = record.profile.map(|profile| profile.roles).unwrap_or_default();
        let is_admin =
            if by_token { visitor.caller.admin_by_token } else { roles.contains(&self.admin_role) };
        match is_admin {
            false => Err(Problem::not_an_admin(deed)),
            true if visitor.user() == user => Err(Problem::own_sessions()),
            true => Ok(()),
        }
    }

    /// The caller's record and the session that the request comes from.
    pub(super) async fn own(&self, visitor: &Visitor<'_>) -> Result<Own, Problem> {
        let open = self.own_open(visitor).await?;
        let current = current(&open, visitor, self.store.policy()).cloned();
        Ok(Own { open, current })
    }

    /// The caller's record; refused when the session that the token belongs to is over.
    pub(super) async fn own_open(&self, visitor: &Visitor<'_>) -> Result<Open, Problem> {
        if visitor.caller.sid == Sid::Foreign {
            return Err(Problem::session_ended());
        }
        let open = self.store.open(visitor.user()).await?;
        let ended = |id| !open.live(visitor.now, self.store.policy()).any(|session| session.id == id);
        match visitor.caller.sid {
            Sid::Session(id) if ended(id) => Err(Problem::session_ended()),
            _ => Ok(open),
        }
    }

    /// The session as it is at the moment of the request.
    pub(super) fn view<'s>(&self, session: &'s Session, visitor: &Visitor<'_>) -> SessionView<'s> {
        SessionView::new(session, visitor.now, self.store.policy())
    }
}

/// The live session that a request comes from. The first of these that is there decides, and a wrong one is not
/// made up for by the next: the token's `sid`, the `X-Session-Id` header, the token that the session was opened
/// with, the only live session of the same user agent. Never "the latest one".
fn current<'o>(open: &'o Open, visitor: &Visitor<'_>, policy: &Policy) -> Option<&'o Session> {
    let Visitor { caller, client, now } = visitor;
    let live = || open.live(*now, policy);
    let named = |id| live().find(|session| session.id == id);
    match (caller.sid, client.named) {
        (Sid::Session(id), _) | (Sid::Absent, Named::Session(id)) => named(id),
        (Sid::Foreign, _) | (Sid::Absent, Named::Unknown) => None,
        (Sid::Absent, Named::No) => {
            let opened_with =
                |session: &&Session| caller.token.is_some() && session.marks.token == caller.token;
            live().find(opened_with).or_else(|| {
                let agent = client.user_agent_digest(&caller.user_id);
                only(live().filter(|session| agent.is_some() && session.marks.user_agent == agent))
            })
        }
    }
}

/// The one that there is, if there is but one.
fn only<T>(mut all: impl Iterator<Item = T>) -> Option<T> {
    all.next().filter(|_| all.next().is_none())
}
