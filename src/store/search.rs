//! The search among the open sessions of all users.
//!
//! The index `everyone` holds them in [`SHARDS`] partitions, each in the order of sign-in. A search reads all of them from the
//! newest session on, and merges what it finds. It is eventually consistent, so nothing else may rely on it.

use std::cmp::Reverse;

use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::types::ReturnConsumedCapacity;
use futures_util::{StreamExt, TryStreamExt, stream};
use ipnet::IpNet;
use tokio::time::Instant;

use super::client::IDLE_CONNECTIONS;
use super::expression::Expression;
use super::item::attribute::{
    DEVICE_TYPE, EXPIRES_AT, IP_ADDRESS, LAST_ACTIVITY, LIVE_SK, SHARD, SIGNED_IN_IP,
};
use super::item::{Reader, SHARDS, number, session_sk, text, time};
use super::{Page, SessionStore, StoreError};
use crate::session::{Session, SessionFilter, SessionId, Timestamp};

/// The index that holds the open sessions of all users.
const EVERYONE_INDEX: &str = "everyone";

/// The most items that one query reads. They have about 0.4 MB, and to decode them takes milliseconds.
const QUERY_MAX: usize = 500;

/// The most rounds of a search. It reads at most 2,846 items of each partition then.
const ROUNDS_MAX: usize = 8;

/// A search among the sessions of all users.
#[derive(Clone, Debug)]
pub struct Search {
    /// What it finds.
    pub filter: SessionFilter,
    /// It finds only sessions that are older than this one.
    pub after: Option<SessionId>,
    /// The most sessions that it returns.
    pub limit: usize,
}

/// A partition of the index, and how far it has been read.
#[derive(Debug)]
struct Shard {
    number: u8,
    /// The last session that was read.
    after: Option<SessionId>,
    is_read: bool,
}

/// What a query found in a partition.
struct Found {
    sessions: Vec<Session>,
    /// The last session that it read; `None` at the end of the partition.
    last: Option<SessionId>,
}

impl SessionStore {
    /// Finds live sessions of all users, newest first. It reads a bounded amount, so a page may have few sessions or none
    /// and still have a next one.
    ///
    /// A session that was in the index when the first page was read, and stays live, is on exactly one page: each page ends at
    /// a session id, and holds what every partition has between its start and its end.
    ///
    /// # Errors
    /// [`StoreError`] when any part could not be read.
    pub async fn search(&self, search: &Search, now: Timestamp) -> Result<Page, StoreError> {
        let latest_start = Instant::now() + self.timeouts.search;
        let new = |number| Shard { number, after: search.after, is_read: false };
        let mut shards: Vec<_> = (0..SHARDS).map(new).collect();
        let mut found = Vec::new();
        // Most pages of a search that finds everything are full after one round of this size.
        let mut most = search.limit / 4 + 4;
        for _ in 0..ROUNDS_MAX {
            found.extend(self.read_on(&mut shards, search, most, now).await?);
            let end = end_of(&shards);
            let is_full = || found.iter().filter(|session| is_before(session, end)).count() > search.limit;
            if end.is_none() || is_full() || Instant::now() >= latest_start {
                break;
            }
            most = (4 * most).min(QUERY_MAX);
        }
        Ok(page(found, end_of(&shards), search.limit))
    }

    /// Reads the next sessions of each partition, a few partitions at the same time.
    async fn read_on(
        &self,
        shards: &mut [Shard],
        search: &Search,
        most: usize,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreError> {
        let unread = shards.iter_mut().filter(|shard| !shard.is_read);
        let reads = unread.map(|shard| async move {
            let found = self.read_shard(shard, search, most, now).await?;
            (shard.after, shard.is_read) = (found.last, found.last.is_none());
            Ok::<_, StoreError>(found.sessions)
        });
        let reads: Vec<_> = reads.collect();
        let found: Vec<_> = stream::iter(reads).buffer_unordered(IDLE_CONNECTIONS).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn read_shard(
        &self,
        shard: &Shard,
        search: &Search,
        most: usize,
        now: Timestamp,
    ) -> Result<Found, StoreError> {
        let mut found = Found { sessions: Vec::new(), last: None };
        let Some(range) = range(&search.filter, shard.after) else { return Ok(found) };
        let page = self.query_shard(shard.number, range, &search.filter, most, now).await?;
        for item in self.items(&page)? {
            let session = Reader(item).session()?;
            if session.is_live_at(now, &self.policy) && search.filter.matches(&session) {
                found.sessions.push(session);
            }
        }
        found.last = page.last_evaluated_key.map(|key| Reader(&key).session_id()).transpose()?;
        Ok(found)
    }

    async fn query_shard(
        &self,
        shard: u8,
        (oldest, newest): (SessionId, SessionId),
        filter: &SessionFilter,
        most: usize,
        now: Timestamp,
    ) -> Result<QueryOutput, StoreError> {
        let conditions = self.conditions(filter, now);
        let query = self.client.query().table_name(&self.table).index_name(EVERYONE_INDEX);
        let query = query
            .key_condition_expression("#shard = :shard AND #live_sk BETWEEN :oldest AND :newest")
            .filter_expression(conditions.condition())
            .set_expression_attribute_names(conditions.names())
            .set_expression_attribute_values(conditions.values())
            .expression_attribute_names("#shard", SHARD)
            .expression_attribute_names("#live_sk", LIVE_SK)
            .expression_attribute_values(":shard", number(shard))
            .expression_attribute_values(":oldest", text(session_sk(oldest)))
            .expression_attribute_values(":newest", text(session_sk(newest)))
            .scan_index_forward(false)
            .limit(i32::try_from(most).unwrap_or(i32::MAX))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        Box::pin(query.send()).await.map_err(|error| StoreError::from_sdk("Query", error))
    }

    /// What DynamoDB can tell by itself, so that most other items need not be sent and decoded. Every session that the search
    /// finds meets these conditions.
    fn conditions(&self, filter: &SessionFilter, now: Timestamp) -> Expression {
        let mut conditions = Expression::default().if_compares(EXPIRES_AT, ">", time(now));
        if let Some(idle) = self.policy.idle_timeout {
            let oldest = now.checked_sub_signed(idle).unwrap_or(Timestamp::MIN_UTC);
            conditions = conditions.if_compares(LAST_ACTIVITY, ">", time(oldest));
        }
        if let Some(kind) = filter.device_type {
            conditions = conditions.if_compares(DEVICE_TYPE, "=", text(kind.as_str()));
        }
        for (operator, limit) in [(">=", filter.active_after), ("<", filter.inactive_since)] {
            if let Some(limit) = limit {
                conditions = conditions.if_compares(LAST_ACTIVITY, operator, time(limit));
            }
        }
        match filter.network.and_then(common_text) {
            Some(start) => conditions.if_either_begins_with([IP_ADDRESS, SIGNED_IN_IP], text(start)),
            None => conditions,
        }
    }
}

/// The ids of the sessions that are older than `after` and that began when the filter wants it; `None` if there can be none.
fn range(filter: &SessionFilter, after: Option<SessionId>) -> Option<(SessionId, SessionId)> {
    let end = [after, filter.signed_in_before.map(SessionId::lowest_at)].into_iter().flatten().min();
    let newest = end.map_or(Some(SessionId::MAX), SessionId::previous)?;
    let oldest = SessionId::lowest_at(filter.signed_in_after.unwrap_or(Timestamp::UNIX_EPOCH));
    (oldest <= newest).then_some((oldest, newest))
}

/// What the texts of all addresses of the network begin with. An IPv6 address has many forms, so this is for IPv4 only.
fn common_text(network: IpNet) -> Option<String> {
    let IpNet::V4(network) = network else { return None };
    let common = usize::from(network.prefix_len() / 8);
    let octets: Vec<_> = network.addr().octets()[..common].iter().map(ToString::to_string).collect();
    let end = if common < 4 { "." } else { "" };
    (common > 0).then(|| octets.join(".") + end)
}

/// The session up to which every partition has been read; `None` when all have been read to their ends.
fn end_of(shards: &[Shard]) -> Option<SessionId> {
    shards.iter().filter(|shard| !shard.is_read).filter_map(|shard| shard.after).max()
}

fn is_before(session: &Session, end: Option<SessionId>) -> bool {
    end.is_none_or(|end| session.id >= end)
}

/// A page of what was found up to `end`, where the next page starts unless this one is full before.
fn page(mut found: Vec<Session>, end: Option<SessionId>, limit: usize) -> Page {
    found.retain(|session| is_before(session, end));
    found.sort_unstable_by_key(|session| Reverse(session.id));
    let page = Page::of(found, limit);
    Page { next: page.next.or(end), ..page }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_all_addresses_of_a_network_begin_alike() {
        let cases = [
            ("203.0.113.7/32", Some("203.0.113.7")),
            ("203.0.113.7/31", Some("203.0.113.")),
            ("203.0.113.0/24", Some("203.0.113.")),
            ("203.0.113.0/23", Some("203.0.")),
            ("203.0.0.0/8", Some("203.")),
            ("200.0.0.0/7", None),
            ("0.0.0.0/0", None),
            ("2001:db8::/32", None),
        ];
        for (network, expected) in cases {
            assert_eq!(common_text(network.parse().unwrap()).as_deref(), expected, "{network}");
        }
    }
}
