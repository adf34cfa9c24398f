//! The table of sessions: every DynamoDB call is made here.
//!
//! The table has the keys `user_id` and `sk`, and two sparse indexes: `live` holds each user's profile and open sessions, and
//! `everyone` the open sessions of all users, for the search.
//!
//! Promises about more than one item are kept by transactions that the profile's `version` guards. Every change of the
//! set of a user's live sessions as a whole raises the version, so two such changes never interleave.
//!
//! Each call of the SDK is boxed. Its future has 5 KiB. Without the box, each function between here and the request's
//! handler would copy it.

mod activity;
mod backoff;
pub mod client;
mod end;
mod error;
mod expression;
mod item;
mod lock;
mod logout;
mod search;
mod settings;
mod sign_in;
mod token;
mod transaction;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::types::{ConsumedCapacity, ReturnConsumedCapacity};
use chrono::TimeDelta;

use crate::session::{Clock, Lock, Policy, Session, SessionId, Timestamp, UserId, later};
use crate::telemetry::metrics::Metrics;
pub use end::{EndAll, EndedSession};
pub use error::StoreError;
pub use item::Profile;
use item::{Item, PROFILE, Reader, SESSION_PREFIX, key, session_sk, text};
pub use search::Search;
pub use settings::{Database, Timeouts};
pub use sign_in::{NewSession, NotSignedIn, SignedIn};
pub use token::{CallerSessions, TokenSession};

/// The index that holds profiles and open sessions.
const LIVE_INDEX: &str = "live";

/// The sessions of all users, in one table.
#[derive(Clone, Debug)]
pub struct SessionStore {
    client: Client,
    table: String,
    timeouts: Timeouts,
    policy: Policy,
    metrics: Metrics,
}

/// The profile and the open sessions of one user, as of one instant.
#[derive(Clone, Debug, Default)]
pub struct UserSessions {
    /// The profile; `None` for a user without a record.
    pub profile: Option<Profile>,
    /// The sessions without a receipt in the table, newest first. Some may have expired.
    pub open: Vec<Session>,
}

impl UserSessions {
    /// Whether the table has any record of this user.
    pub fn is_known(&self) -> bool {
        self.profile.is_some() || !self.open.is_empty()
    }

    /// The sessions that are live at `now`, newest first.
    pub fn live(&self, now: Timestamp, policy: &Policy) -> impl Iterator<Item = &Session> {
        self.open.iter().filter(move |session| session.is_live_at(now, policy))
    }

    /// The open session with this id.
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.open.iter().find(|session| session.id == id)
    }

    /// What keeps the user out at `now`.
    pub fn lock(&self, now: Timestamp) -> Option<&Lock> {
        self.profile.as_ref()?.lock_at(now)
    }

    /// Whether the profile in the table has this role.
    pub fn has_role(&self, role: &str) -> bool {
        self.profile.as_ref().is_some_and(|profile| profile.roles.iter().any(|each| each == role))
    }

    /// The session that the user's last transaction wrote, if this read does not show it as open. It may have ended since,
    /// or it is not visible yet.
    fn unseen_newest(&self) -> Option<SessionId> {
        let newest = self.profile.as_ref()?.newest?;
        self.session(newest).is_none().then_some(newest)
    }

    fn add(&mut self, item: &Item) -> Result<(), StoreError> {
        let reader = Reader(item);
        if reader.is_profile() {
            self.profile = Some(reader.profile()?);
        } else {
            self.open.push(reader.session()?);
        }
        Ok(())
    }
}

/// A page of a list of sessions, newest first.
#[derive(Clone, Debug)]
pub struct Page {
    /// The sessions of the page, live and ended.
    pub sessions: Vec<Session>,
    /// The next page starts after this session; `None` on the last page.
    pub next: Option<SessionId>,
}

impl Page {
    /// A page of the first `limit` of these sessions. There is a next page if there are more.
    pub fn of(mut sessions: Vec<Session>, limit: usize) -> Self {
        let more = sessions.len() > limit;
        sessions.truncate(limit);
        let next = sessions.last().filter(|_| more).map(|session| session.id);
        Self { sessions, next }
    }
}

impl SessionStore {
    /// A store on the table of `database`. It counts sign-ins, terminations and DynamoDB's units in `metrics`.
    pub fn new(client: Client, database: &Database, policy: Policy, metrics: Metrics) -> Self {
        Self { client, table: database.table.clone(), timeouts: database.timeouts, policy, metrics }
    }

    /// The rules for the sessions in this store.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How long this store waits for DynamoDB.
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// Reads the profile and the open sessions of a user with one strongly consistent query on the index. Its cost
    /// follows the open sessions, and not the history. The profile comes first: a change between two pages raises
    /// the version, so that a transaction on the version that was read fails.
    ///
    /// # Errors
    /// [`StoreError`] when any part could not be read. The answer is never partial.
    pub async fn user_sessions(&self, user: &UserId) -> Result<UserSessions, StoreError> {
        let mut found = UserSessions::default();
        let mut start = None;
        loop {
            let page = self.query_open(user, start).await?;
            for item in self.items(&page)? {
                found.add(item)?;
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                found.open.reverse();
                return Ok(found);
            }
        }
    }

    async fn query_open(&self, user: &UserId, start: Option<Item>) -> Result<QueryOutput, StoreError> {
        let query = self.client.query().table_name(&self.table).index_name(LIVE_INDEX).consistent_read(true);
        let query = query
            .key_condition_expression("user_id = :user")
            .expression_attribute_values(":user", text(user))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .set_exclusive_start_key(start);
        Box::pin(query.send()).await.map_err(|error| StoreError::from_sdk("Query", error))
    }

    /// Reads one page of live and ended sessions, newest first and strongly consistent. The page holds only sessions
    /// that are older than `after`.
    ///
    /// # Errors
    /// [`StoreError`] when the page could not be read whole.
    pub async fn history(
        &self,
        user: &UserId,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let mut sessions = Vec::new();
        let mut start = after.map(|id| key(user, session_sk(id)));
        // One session more than the limit shows that there is a next page.
        while sessions.len() <= limit {
            let page = self.query_history(user, limit + 1 - sessions.len(), start).await?;
            for item in self.items(&page)? {
                sessions.push(Reader(item).session()?);
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(Page::of(sessions, limit))
    }

    async fn query_history(
        &self,
        user: &UserId,
        limit: usize,
        start: Option<Item>,
    ) -> Result<QueryOutput, StoreError> {
        let query =
            self.client.query().table_name(&self.table).consistent_read(true).scan_index_forward(false);
        let query = query
            .key_condition_expression("user_id = :user AND begins_with(sk, :prefix)")
            .expression_attribute_values(":user", text(user))
            .expression_attribute_values(":prefix", text(SESSION_PREFIX))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .set_exclusive_start_key(start)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        Box::pin(query.send()).await.map_err(|error| StoreError::from_sdk("Query", error))
    }

    /// The items of an answer. An answer that was cut short is an error: an empty JSON object would otherwise read as
    /// an empty list.
    fn items<'p>(&self, page: &'p QueryOutput) -> Result<&'p [Item], StoreError> {
        self.count_read(page.consumed_capacity());
        let incomplete = |part| StoreError::Incomplete { operation: "Query", part };
        let items = page.items.as_deref().ok_or_else(|| incomplete("its items"))?;
        if i32::try_from(items.len()) != Ok(page.count()) {
            return Err(incomplete("some of its items"));
        }
        Ok(items)
    }

    /// Reads the profile, strongly consistent; `None` for a user without one.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read.
    pub async fn profile(&self, user: &UserId) -> Result<Option<Profile>, StoreError> {
        self.get(user, PROFILE).await?.map(|item| Reader(&item).profile()).transpose()
    }

    /// Reads one session of this user, live or ended, strongly consistent; `None` when the user has no session with
    /// this id.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read.
    pub async fn session(&self, user: &UserId, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.get(user, &session_sk(id)).await?.map(|item| Reader(&item).session()).transpose()
    }

    async fn get(&self, user: &UserId, sk: &str) -> Result<Option<Item>, StoreError> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let get = get.set_key(Some(key(user, sk))).return_consumed_capacity(ReturnConsumedCapacity::Total);
        let answer = Box::pin(get.send()).await.map_err(|error| StoreError::from_sdk("GetItem", error))?;
        // "No such item" is an answer without an item. Only the capacity shows that the answer
        // was not cut short. DynamoDB always sends it when it is asked to.
        if answer.item.is_none() && answer.consumed_capacity.is_none() {
            return Err(StoreError::Incomplete { operation: "GetItem", part: "its consumed capacity" });
        }
        self.count_read(answer.consumed_capacity());
        Ok(answer.item)
    }

    /// When a write that starts now has certainly been made or given up. What is judged by that moment cannot come too late.
    fn lands_by(&self, clock: Clock) -> Timestamp {
        later(clock.now(), TimeDelta::from_std(self.timeouts.call).unwrap_or(TimeDelta::MAX))
    }

    fn count_read(&self, consumed: Option<&ConsumedCapacity>) {
        self.metrics.add("ReadUnits", units(consumed));
    }

    fn count_write(&self, consumed: Option<&ConsumedCapacity>) {
        self.metrics.add("WriteUnits", units(consumed));
    }
}

/// The units of one call on one table, its index included; 0 when the answer does not say.
fn units(consumed: Option<&ConsumedCapacity>) -> f64 {
    consumed.and_then(ConsumedCapacity::capacity_units).unwrap_or_default()
}
