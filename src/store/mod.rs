//! Every DynamoDB call. One table: `user_id` and `sk`; one sparse index, `live`, that holds a user's profile and
//! the sessions whose record is open.
//!
//! Promises about more than one item are kept by transactions that the profile's `version` guards: whoever
//! changes the set of a user's live sessions as a whole bumps it, so two such changes never interleave.

mod error;
mod expression;
mod item;
mod retry;
mod write;

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig};
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::types::{ConsumedCapacity, ReturnConsumedCapacity};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use jiff::Timestamp;

use crate::config::{Database, Patience};
use crate::metrics::Meter;
use crate::session::{Policy, Session, SessionId, UserId};
pub use error::StoreError;
pub use item::Profile;
use item::{Item, PROFILE, Reader, SESSION_PREFIX, key, session_sk, text};
pub use write::{End, NewSession, SignedIn};

/// The index that holds what is live.
const LIVE_INDEX: &str = "live";

/// How often a call is made before it has failed:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html> on DynamoDB.
const ATTEMPTS: u32 = 4;

/// The sessions of all users, in one table.
#[derive(Clone, Debug)]
pub struct SessionStore {
    client: Client,
    table: String,
    policy: Policy,
    patience: Patience,
    meter: Arc<Meter>,
}

/// What is open for a user, as of one instant.
#[derive(Clone, Debug, Default)]
pub struct Open {
    /// The profile; `None` for a user without a record.
    pub profile: Option<Profile>,
    /// The sessions whose record is open, newest first. Their time may be over: ask each.
    pub sessions: Vec<Session>,
}

impl Open {
    /// Whether there is any record of this user here.
    pub fn is_known(&self) -> bool {
        self.profile.is_some() || !self.sessions.is_empty()
    }
}

/// A part of a user's history, newest first.
#[derive(Clone, Debug)]
pub struct Page {
    /// The sessions, live and ended.
    pub sessions: Vec<Session>,
    /// Where the next page starts (after this session); `None` at the end.
    pub next: Option<SessionId>,
}

impl Page {
    /// The first `limit` of these sessions; that there are more tells that there is a next page.
    pub fn of(mut sessions: Vec<Session>, limit: usize) -> Self {
        let more = sessions.len() > limit;
        sessions.truncate(limit);
        let next = sessions.last().filter(|_| more).map(|session| session.id);
        Self { sessions, next }
    }
}

impl SessionStore {
    /// A store on this table. Opens no connection yet.
    pub fn new(database: &Database, policy: Policy) -> Self {
        Self {
            client: client(database),
            table: database.table.clone(),
            policy,
            patience: database.patience,
            meter: Arc::default(),
        }
    }

    /// Counts sign-ins, endings by reason and DynamoDB's units.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The rules that the sessions in this store follow.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How long this store waits for DynamoDB.
    pub fn patience(&self) -> &Patience {
        &self.patience
    }

    /// The profile and the open sessions: one strongly consistent query on the index, whose cost follows what
    /// is live and not the history.
    ///
    /// # Errors
    /// [`StoreError`] when any part could not be read; never a partial answer.
    pub async fn open(&self, user: &UserId) -> Result<Open, StoreError> {
        let mut open = Open::default();
        let mut start = None;
        loop {
            let query =
                self.client.query().table_name(&self.table).index_name(LIVE_INDEX).consistent_read(true);
            let page = query
                .key_condition_expression("user_id = :user")
                .expression_attribute_values(":user", text(user))
                .scan_index_forward(false)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| StoreError::from_sdk("Query", error))?;
            for item in self.read(&page)? {
                open.add(item)?;
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(open);
            }
        }
    }

    /// One page of live and ended sessions, newest first, those older than `after` alone; strongly consistent.
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
        // One more than asked for tells whether there is a next page.
        while sessions.len() <= limit {
            let page = self.history_page(user, limit + 1 - sessions.len(), start).await?;
            for item in self.read(&page)? {
                sessions.push(Reader(item).session()?);
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(Page::of(sessions, limit))
    }

    /// What one answer of DynamoDB holds, up to `limit` items.
    async fn history_page(
        &self,
        user: &UserId,
        limit: usize,
        start: Option<Item>,
    ) -> Result<QueryOutput, StoreError> {
        let query =
            self.client.query().table_name(&self.table).consistent_read(true).scan_index_forward(false);
        query
            .key_condition_expression("user_id = :user AND begins_with(sk, :prefix)")
            .expression_attribute_values(":user", text(user))
            .expression_attribute_values(":prefix", text(SESSION_PREFIX))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .set_exclusive_start_key(start)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| StoreError::from_sdk("Query", error))
    }

    /// The items of a page, all that it says it holds.
    fn read<'p>(&self, page: &'p QueryOutput) -> Result<&'p [Item], StoreError> {
        self.count_read("Query", page.consumed_capacity())?;
        match page.items() {
            items if i32::try_from(items.len()) == Ok(page.count()) => Ok(items),
            _ => Err(StoreError::Incomplete { operation: "Query", part: "all of its items" }),
        }
    }

    /// The profile, strongly consistent; `None` for a user without one.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read.
    pub async fn profile(&self, user: &UserId) -> Result<Option<Profile>, StoreError> {
        self.get(user, PROFILE).await?.map(|item| Reader(&item).profile()).transpose()
    }

    /// One session of this user, live or ended, strongly consistent; `None` when the user has none of this name.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read.
    pub async fn session(&self, user: &UserId, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.get(user, &session_sk(id)).await?.map(|item| Reader(&item).session()).transpose()
    }

    async fn get(&self, user: &UserId, sk: &str) -> Result<Option<Item>, StoreError> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let get = get.set_key(Some(key(user, sk))).return_consumed_capacity(ReturnConsumedCapacity::Total);
        let answer = get.send().await.map_err(|error| StoreError::from_sdk("GetItem", error))?;
        self.count_read("GetItem", answer.consumed_capacity())?;
        Ok(answer.item)
    }

    fn count_read(
        &self,
        operation: &'static str,
        consumed: Option<&ConsumedCapacity>,
    ) -> Result<(), StoreError> {
        self.meter.add("ReadUnits", units(operation, consumed)?);
        Ok(())
    }
}

impl Open {
    fn add(&mut self, item: &Item) -> Result<(), StoreError> {
        let reader = Reader(item);
        match reader.is_profile() {
            true => self.profile = Some(reader.profile()?),
            false => self.sessions.push(reader.session()?),
        }
        Ok(())
    }

    /// The sessions that are live at `now`, newest first.
    pub fn live(&self, now: Timestamp, policy: &Policy) -> impl Iterator<Item = &Session> {
        self.sessions.iter().filter(move |session| session.is_live_at(now, policy))
    }
}

/// The units of one call on one table, its index included. Every call asks for them, so an answer without them is a
/// part of one: an empty JSON object would otherwise read as an empty list.
fn units(operation: &'static str, consumed: Option<&ConsumedCapacity>) -> Result<f64, StoreError> {
    let units = consumed.and_then(ConsumedCapacity::capacity_units);
    units.ok_or(StoreError::Incomplete { operation, part: "its consumed capacity" })
}

fn client(database: &Database) -> Client {
    let credentials = Credentials::new(
        &database.access_key_id,
        &database.secret_access_key,
        database.session_token.clone(),
        None,
        "lambda-environment",
    );
    let mut config = aws_sdk_dynamodb::Config::builder();
    config.set_endpoint_url(database.endpoint.clone());
    let config = config
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(database.region.clone()))
        .credentials_provider(credentials)
        .http_client(
            aws_smithy_http_client::Builder::new()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .tls_context(tls_context(database.endpoint.as_deref()))
                .build_https(),
        )
        .timeout_config(timeouts(&database.patience))
        .retry_config(retries(&database.patience))
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build();
    Client::from_conf(config)
}

fn timeouts(patience: &Patience) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(patience.connect)
        .operation_attempt_timeout(patience.attempt)
        .operation_timeout(patience.call)
        .build()
}

fn retries(patience: &Patience) -> RetryConfig {
    RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(patience.backoff)
}

/// The system's roots, unless the endpoint is plain http: then there is nothing to trust, nor to load.
fn tls_context(endpoint: Option<&str>) -> TlsContext {
    let plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    let store = if plain { TrustStore::empty() } else { TrustStore::default() };
    TlsContext::builder().with_trust_store(store).build().unwrap_or_default()
}
