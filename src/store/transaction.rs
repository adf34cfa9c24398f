//! Conditional writes: one update, or one transaction on a user's sessions as they were read.

use std::collections::HashMap;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Put, ReturnConsumedCapacity, ReturnValue,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};

use super::backoff::Backoff;
use super::item::{
    Item, PROFILE, Reader, binding, encode, idempotency_sk, key, number, session_sk, text, time, token_sk,
    ttl,
};
use super::{SessionStore, StoreError, UserSessions};
use crate::session::{EndReason, Session, SessionId, SignInKey, Termination, Timestamp, UserId};

/// The highest number of actions in a transaction:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html>
pub(super) const TRANSACTION_MAX: usize = 100;

/// How long the record of a bound token is kept after the token has expired, in seconds. A day covers every difference
/// of clocks.
const BINDING_GRACE: i64 = 24 * 3600;

/// How long a repeat of a service's sign-in finds the session of the first, in seconds.
const IDEMPOTENCY_PERIOD: i64 = 24 * 3600;

/// What a transaction writes besides the version.
#[derive(Default)]
pub(super) struct Changes<'s> {
    /// Refuse unbound tokens that were issued at this second or before.
    pub not_before: Option<i64>,
    /// The items to write.
    pub puts: Vec<Put>,
    /// The sessions to end.
    pub endings: &'s [(&'s Session, Termination)],
}

/// An update with its conditions. Every attribute gets a placeholder, so that reserved words do no harm.
pub(super) struct ConditionalUpdate {
    update: String,
    conditions: Vec<&'static str>,
    names: HashMap<String, String>,
    values: Item,
}

impl ConditionalUpdate {
    pub fn new(update: impl Into<String>) -> Self {
        Self { update: update.into(), conditions: Vec::new(), names: HashMap::new(), values: Item::new() }
    }

    /// Writes the receipt of a session and takes the session out of the index.
    pub fn end_session(termination: &Termination, ttl: AttributeValue) -> Self {
        let mut fields = vec![
            ("ended_at", time(termination.at)),
            ("end_reason", text(termination.reason.as_str())),
            ("ttl", ttl),
        ];
        fields.extend(termination.by.as_ref().map(|by| ("ended_by", text(by))));
        fields.extend(termination.note.as_ref().map(|note| ("end_note", text(note.as_str()))));
        let sets: Vec<_> = fields.iter().map(|(name, _)| format!("#{name} = :{name}")).collect();
        let mut update = Self::new(format!("SET {} REMOVE #live_sk", sets.join(", "))).name("live_sk");
        for (name, value) in fields {
            update = update.name(name).value(&format!(":{name}"), value);
        }
        update
    }

    pub fn only_if(mut self, condition: &'static str) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Lets `#name` stand for the attribute `name`.
    pub fn name(mut self, name: &str) -> Self {
        self.names.insert(format!("#{name}"), name.into());
        self
    }

    pub fn value(mut self, placeholder: &str, value: AttributeValue) -> Self {
        self.values.insert(placeholder.into(), value);
        self
    }
}

/// The outcome of a conditional write of a session.
pub(super) enum Outcome {
    /// It was written; this is the session now.
    Written(Session),
    /// The condition did not hold; this is the session as it is.
    Refused(Session),
    /// There is no such session.
    Absent,
}

impl SessionStore {
    /// Makes one conditional write of a session. Waits while a transaction holds the item.
    pub(super) async fn update(&self, key: Item, update: ConditionalUpdate) -> Result<Outcome, StoreError> {
        let mut backoff = Backoff::start(self.timeouts.chain);
        loop {
            match self.update_once(&key, &update).await {
                Err(error) if is_in_a_transaction(&error) => {
                    backoff.check()?;
                    backoff.wait().await;
                }
                answer => return self.outcome(answer),
            }
        }
    }

    async fn update_once(
        &self,
        key: &Item,
        update: &ConditionalUpdate,
    ) -> Result<UpdateItemOutput, UpdateFailure> {
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.clone()))
            .update_expression(&update.update)
            .condition_expression(update.conditions.join(" AND "))
            .set_expression_attribute_names(Some(update.names.clone()))
            .set_expression_attribute_values(Some(update.values.clone()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        Box::pin(call.send()).await
    }

    fn outcome(&self, answer: Result<UpdateItemOutput, UpdateFailure>) -> Result<Outcome, StoreError> {
        match answer {
            Ok(answer) => {
                self.count_write(answer.consumed_capacity());
                let incomplete = StoreError::Incomplete { operation: "UpdateItem", part: "the item" };
                let item = answer.attributes.ok_or(incomplete)?;
                Ok(Outcome::Written(Reader(&item).session()?))
            }
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => match refusal.item() {
                    Some(item) => Ok(Outcome::Refused(Reader(item).session()?)),
                    None => Ok(Outcome::Absent),
                },
                _ => Err(StoreError::from_sdk("UpdateItem", error)),
            },
        }
    }

    /// Makes one transaction on the sessions of a user as they were read. Returns `false` when something has changed
    /// since the read, and then nothing was written.
    pub(super) async fn commit(
        &self,
        user: &UserId,
        seen: &UserSessions,
        changes: Changes<'_>,
    ) -> Result<bool, StoreError> {
        let Changes { not_before, puts, endings } = changes;
        let version = self.raise_version(user, seen, not_before)?;
        let mut actions = vec![TransactWriteItem::builder().update(version).build()];
        actions.extend(puts.into_iter().map(|put| TransactWriteItem::builder().put(put).build()));
        for (session, termination) in endings {
            let update = self.end_in_transaction(session, termination)?;
            actions.push(TransactWriteItem::builder().update(update).build());
        }
        let transaction = self.client.transact_write_items().set_transact_items(Some(actions));
        let transaction = transaction.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let answer = Box::pin(transaction.send()).await;
        let written = match answer {
            // DynamoDB always sends the capacity when it is asked to. Without it, the answer was cut short.
            Ok(answer) if answer.consumed_capacity.is_none() => {
                Err(StoreError::Incomplete { operation: "TransactWriteItems", part: "its consumed capacity" })
            }
            // There is one table, so there is one entry.
            Ok(answer) => {
                self.count_write(answer.consumed_capacity().first());
                Ok(())
            }
            Err(error) if was_cancelled_for(&error, &RACES) => return Ok(false),
            Err(error) if was_cancelled_for(&error, &FULL) => {
                Err(StoreError::Unavailable { operation: "TransactWriteItems", source: error.into() })
            }
            Err(error) => Err(StoreError::from_sdk("TransactWriteItems", error)),
        };
        for (session, termination) in endings {
            match &written {
                Ok(()) => self.audit_ended(user, session.id, termination),
                Err(error) => self.audit_unconfirmed(user, session.id, termination, error),
            }
        }
        written.map(|()| true)
    }

    fn raise_version(
        &self,
        user: &UserId,
        seen: &UserSessions,
        not_before: Option<i64>,
    ) -> Result<Update, StoreError> {
        let version = seen.profile.as_ref().and_then(|profile| profile.version);
        let mut sets = "SET #version = :next, #live_sk = :profile".to_owned();
        if not_before.is_some() {
            sets += ", #not_before = :not_before";
        }
        let mut update = ConditionalUpdate::new(sets);
        if let Some(not_before) = not_before {
            let stored = seen.profile.as_ref().and_then(|profile| profile.not_before);
            let latest = stored.map_or(not_before, |stored| stored.max(not_before));
            update = update.name("not_before").value(":not_before", number(latest));
        }
        let update = update
            .name("version")
            .name("live_sk")
            .value(":profile", text(PROFILE))
            .value(":next", number(version.unwrap_or(0) + 1));
        let update = match version {
            Some(version) => update.only_if("#version = :seen").value(":seen", number(version)),
            None => update.only_if("attribute_not_exists(#version)"),
        };
        self.transact_update(key(user, PROFILE), update)
    }

    /// Binds a token or an idempotency key to a session, unless it is bound already.
    pub(super) fn put_binding(
        &self,
        user: &UserId,
        key: &SignInKey,
        session: SessionId,
        now: Timestamp,
    ) -> Result<Option<Put>, StoreError> {
        let (sk, ttl) = match key {
            SignInKey::Token(token) => (token_sk(&token.digest), token.expires_at + BINDING_GRACE),
            SignInKey::Idempotency(digest) => (idempotency_sk(digest), now.timestamp() + IDEMPOTENCY_PERIOD),
            SignInKey::Nothing => return Ok(None),
        };
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(binding(user, &sk, session, ttl)))
            .condition_expression("attribute_not_exists(sk) OR #ttl <= :now")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", number(now.timestamp()))
            .build();
        put.map(Some).map_err(|error| StoreError::Refused { operation: "Put", source: error.into() })
    }

    /// Writes a new session, or one that has not changed since it was `seen`.
    pub(super) fn put_session(&self, session: &Session, seen: Option<&Session>) -> Result<Put, StoreError> {
        let put = Put::builder().table_name(&self.table).set_item(Some(encode(session, &self.policy)));
        let put = match seen {
            Some(seen) => put
                .condition_expression("attribute_exists(live_sk) AND last_activity = :seen")
                .expression_attribute_values(":seen", time(seen.last_activity)),
            None => put.condition_expression("attribute_not_exists(sk)"),
        };
        put.build().map_err(|error| StoreError::Refused { operation: "Put", source: error.into() })
    }

    fn end_in_transaction(&self, seen: &Session, termination: &Termination) -> Result<Update, StoreError> {
        let mut update = ConditionalUpdate::end_session(termination, ttl(termination.at, &self.policy))
            .only_if("attribute_exists(#live_sk)");
        // Activity moves the idle deadline, so a session that was seen as expired may be live again by now. A session
        // that was seen as live ends in any case, so that a client that is always active cannot starve this write.
        if termination.reason == EndReason::Expired {
            update = update
                .only_if("#last_activity = :seen")
                .name("last_activity")
                .value(":seen", time(seen.last_activity));
        }
        self.transact_update(key(&seen.user_id, session_sk(seen.id)), update)
    }

    fn transact_update(&self, key: Item, update: ConditionalUpdate) -> Result<Update, StoreError> {
        Update::builder()
            .table_name(&self.table)
            .set_key(Some(key))
            .update_expression(update.update)
            .condition_expression(update.conditions.join(" AND "))
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values(Some(update.values))
            .build()
            .map_err(|error| StoreError::Refused { operation: "Update", source: error.into() })
    }
}

type UpdateFailure = SdkError<UpdateItemError, HttpResponse>;

/// Whether a transaction holds the item at the moment. Nothing was written then, and the item will soon be free.
fn is_in_a_transaction(error: &UpdateFailure) -> bool {
    matches!(error.as_service_error(), Some(UpdateItemError::TransactionConflictException(_)))
}

/// The reasons for which a transaction is cancelled when other writes came first, or when DynamoDB asks to slow down.
/// Nothing was written then. Reading again and trying again is right.
const RACES: [&str; 4] =
    ["ConditionalCheckFailed", "ProvisionedThroughputExceeded", "ThrottlingError", "TransactionConflict"];

/// The same reasons, and one more: the history fills a partition. Trying again is right after some of the history
/// was deleted.
const FULL: [&str; 5] = [RACES[0], RACES[1], RACES[2], RACES[3], "ItemCollectionSizeLimitExceeded"];

/// Whether a transaction was cancelled for these reasons only.
fn was_cancelled_for(error: &SdkError<TransactWriteItemsError, HttpResponse>, reasons: &[&str]) -> bool {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error()
    else {
        return false;
    };
    let codes = cancelled.cancellation_reasons().iter().filter_map(CancellationReason::code);
    let mut codes = codes.filter(|code| *code != "None").peekable();
    codes.peek().is_some() && codes.all(|code| reasons.contains(&code))
}
