//! Who may act, and which session they act from.

use jiff::Timestamp;

use super::client::{Client, Named};
use super::{App, Problem};
use crate::auth::{Caller, Sid};
use crate::config::RoleSource;
use crate::session::{Policy, Session, SessionId, UserId};
use crate::store::Open;

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
        caller: &Caller,
        user: &UserId,
        deed: &str,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let by_token = self.role_source == RoleSource::Token;
        let record = match caller.sid {
            Sid::Absent if by_token => Open::default(),
            _ => self.own_open(caller, now).await?,
        };
        let roles = record.profile.map(|profile| profile.roles).unwrap_or_default();
        let is_admin = if by_token { caller.admin_by_token } else { roles.contains(&self.admin_role) };
        match is_admin {
            false => Err(Problem::not_an_admin(deed)),
            true if caller.user_id == *user => Err(Problem::own_sessions()),
            true => Ok(()),
        }
    }

    /// Refuses a caller whose token belongs to a session that is over; reads nothing for a token without one.
    pub(super) async fn admit(&self, caller: &Caller, now: Timestamp) -> Result<(), Problem> {
        if caller.sid != Sid::Absent {
            self.own_open(caller, now).await?;
        }
        Ok(())
    }

    /// The caller's record and the session that the request comes from.
    pub(super) async fn own(
        &self,
        caller: &Caller,
        client: &Client<'_>,
        now: Timestamp,
    ) -> Result<Own, Problem> {
        let open = self.own_open(caller, now).await?;
        let current = current(&open, caller, client, now, self.store.policy()).cloned();
        Ok(Own { open, current })
    }

    /// The caller's record; refused when the session that the token belongs to is over.
    async fn own_open(&self, caller: &Caller, now: Timestamp) -> Result<Open, Problem> {
        if caller.sid == Sid::Foreign {
            return Err(Problem::session_ended());
        }
        let open = self.store.open(&caller.user_id).await?;
        let ended = |id| !open.live(now, self.store.policy()).any(|session| session.id == id);
        match caller.sid {
            Sid::Session(id) if ended(id) => Err(Problem::session_ended()),
            _ => Ok(open),
        }
    }
}

/// The live session that a request comes from. The first of these that is there decides, and a wrong one is not
/// made up for by the next: the token's `sid`, the `X-Session-Id` header, the token that the session was opened
/// with, the only live session of the same user agent. Never "the latest one".
fn current<'o>(
    open: &'o Open,
    caller: &Caller,
    client: &Client<'_>,
    now: Timestamp,
    policy: &Policy,
) -> Option<&'o Session> {
    let named = |id| open.live(now, policy).find(|session| session.id == id);
    match (caller.sid, client.named) {
        (Sid::Session(id), _) | (Sid::Absent, Named::Session(id)) => named(id),
        (Sid::Foreign, _) | (Sid::Absent, Named::Unknown) => None,
        (Sid::Absent, Named::No) => {
            let opened_with = |session: &&Session| caller.token.is_some() && session.token == caller.token;
            open.live(now, policy).find(opened_with).or_else(|| {
                let agent = client.user_agent_digest(&caller.user_id);
                let same_agent = |session: &&Session| agent.is_some() && session.user_agent == agent;
                let mut of_this_agent = open.live(now, policy).filter(same_agent);
                of_this_agent.next().filter(|_| of_this_agent.next().is_none())
            })
        }
    }
}
