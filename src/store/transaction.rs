//! Conditional writes: one update, or one transaction on a user's sessions as they were read.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, ConditionCheck, Put, ReturnConsumedCapacity, ReturnValue,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};

use super::backoff::Backoff;
use super::expression::Expression;
use super::item::attribute::{
    END_NOTE, END_REASON, ENDED_AT, ENDED_BY, LAST_ACTIVITY, LIVE_SK, LOCKED, NEWEST, NOT_BEFORE, SHARD, SK,
    TTL, VERSION,
};
use super::item::{
    Item, PROFILE, Reader, binding, encode, idempotency_sk, key, locked, number, session_sk, text, time,
    token_sk, ttl,
};
use super::{SessionStore, StoreError, UserSessions};
use crate::session::{EndReason, Lock, Session, SessionId, SignInKey, Termination, Timestamp, UserId};

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
    /// Keep the user out.
    pub lock: Option<&'s Lock>,
    /// The session to write: a new one, or one that is refreshed.
    pub session: Option<NewItem>,
    /// The binding to write.
    pub binding: Option<Put>,
    /// The sessions to end.
    pub endings: &'s [(&'s Session, Termination)],
}

/// A session that a transaction writes.
pub(super) struct NewItem {
    pub id: SessionId,
    pub put: Put,
}

/// Writes the receipt of a session and takes the session out of the indexes.
pub(super) fn end_session(termination: &Termination, ttl: AttributeValue) -> Expression {
    Expression::default()
        .set(ENDED_AT, time(termination.at))
        .set(END_REASON, text(termination.reason.as_str()))
        .set_optional(ENDED_BY, termination.by.as_ref().map(text))
        .set_optional(END_NOTE, termination.note.as_ref().map(|note| text(note.as_str())))
        .set(TTL, ttl)
        .remove(LIVE_SK)
        .remove(SHARD)
        .if_exists(LIVE_SK)
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
    pub(super) async fn update(&self, key: Item, update: Expression) -> Result<Outcome, StoreError> {
        let mut backoff = Backoff::start(self.timeouts.chain);
        loop {
            if let Some(outcome) = self.try_update(&key, &update).await? {
                return Ok(outcome);
            }
            backoff.check()?;
            backoff.wait().await;
        }
    }

    /// Makes one conditional write of a session; `None`, and nothing is written, when a transaction holds the item.
    pub(super) async fn try_update(
        &self,
        key: &Item,
        update: &Expression,
    ) -> Result<Option<Outcome>, StoreError> {
        match self.update_once(key, update).await {
            Err(error) if is_in_a_transaction(&error) => Ok(None),
            answer => self.outcome(answer).map(Some),
        }
    }

    async fn update_once(&self, key: &Item, update: &Expression) -> Result<UpdateItemOutput, UpdateFailure> {
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.clone()))
            .update_expression(update.update())
            .condition_expression(update.condition())
            .set_expression_attribute_names(update.names())
            .set_expression_attribute_values(update.values())
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
    ///
    /// A transaction becomes visible item by item, so a read that shows the profile of the last one may lack the session
    /// that it wrote (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html>). Where the
    /// read did not show that session as open, the transaction checks that it is not: while the session is becoming
    /// visible, DynamoDB refuses the check as a conflict. Sessions of earlier transactions are visible by then, because
    /// each transaction has checked the one before it.
    pub(super) async fn commit(
        &self,
        user: &UserId,
        seen: &UserSessions,
        changes: Changes<'_>,
    ) -> Result<bool, StoreError> {
        let Changes { not_before, lock, session, binding, endings } = changes;
        let (newest, session) = session.map(|session| (session.id, session.put)).unzip();
        let version = self.raise_version(user, seen, (not_before, lock), newest)?;
        let mut actions = vec![TransactWriteItem::builder().update(version).build()];
        if let Some(unseen) = seen.unseen_newest() {
            actions.push(TransactWriteItem::builder().condition_check(self.not_open(user, unseen)?).build());
        }
        let puts = [session, binding].into_iter().flatten();
        actions.extend(puts.map(|put| TransactWriteItem::builder().put(put).build()));
        for (session, termination) in endings {
            let update = self.end_in_transaction(session, termination)?;
            actions.push(TransactWriteItem::builder().update(update).build());
        }
        let written = self.transact(actions).await;
        for (session, termination) in endings {
            match &written {
                Ok(true) => self.audit_ended(user, session.id, termination),
                Ok(false) => {}
                Err(error) => self.audit_unconfirmed(user, session.id, termination, error),
            }
        }
        written
    }

    /// Makes one transaction. Returns `false`, and nothing was written, when other writes came first.
    pub(super) async fn transact(&self, actions: Vec<TransactWriteItem>) -> Result<bool, StoreError> {
        let transaction = self.client.transact_write_items().set_transact_items(Some(actions));
        let transaction = transaction.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let answer = Box::pin(transaction.send()).await;
        match answer {
            // DynamoDB always sends the capacity when it is asked to. Without it, the answer was cut short.
            Ok(answer) if answer.consumed_capacity.is_none() => {
                Err(StoreError::Incomplete { operation: "TransactWriteItems", part: "its consumed capacity" })
            }
            // There is one table, so there is one entry.
            Ok(answer) => {
                self.count_write(answer.consumed_capacity().first());
                Ok(true)
            }
            Err(error) if was_cancelled_for(&error, &RACES) => Ok(false),
            Err(error) if was_cancelled_for(&error, &FULL) => {
                Err(StoreError::Unavailable { operation: "TransactWriteItems", source: error.into() })
            }
            Err(error) => Err(StoreError::from_sdk("TransactWriteItems", error)),
        }
    }

    fn raise_version(
        &self,
        user: &UserId,
        seen: &UserSessions,
        (not_before, lock): (Option<i64>, Option<&Lock>),
        newest: Option<SessionId>,
    ) -> Result<Update, StoreError> {
        let profile = seen.profile.as_ref();
        let version = profile.and_then(|profile| profile.version);
        // It only grows, whatever the clocks of two processes say.
        let stored = profile.and_then(|profile| profile.not_before);
        let not_before = not_before.map(|second| number(stored.map_or(second, |stored| stored.max(second))));
        let update = Expression::default()
            .set(VERSION, number(version.unwrap_or(0) + 1))
            .set(LIVE_SK, text(PROFILE))
            .set_optional(NOT_BEFORE, not_before)
            .set_optional(LOCKED, lock.map(locked));
        let update = match newest {
            Some(id) => update.set(NEWEST, text(id)),
            None => update.remove(NEWEST),
        };
        let update = match version {
            Some(version) => update.if_compares(VERSION, "=", number(version)),
            None => update.if_missing(VERSION),
        };
        self.transact_update(key(user, PROFILE), update)
    }

    /// Checks that a session is not open: that it has ended, or that its record is gone.
    fn not_open(&self, user: &UserId, id: SessionId) -> Result<ConditionCheck, StoreError> {
        let condition = Expression::default().if_missing(LIVE_SK);
        ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(key(user, session_sk(id))))
            .condition_expression(condition.condition())
            .set_expression_attribute_names(condition.names())
            .build()
            .map_err(|error| StoreError::Refused { operation: "ConditionCheck", source: error.into() })
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
        let unbound = Expression::default().if_missing_or_compares(SK, TTL, "<=", number(now.timestamp()));
        self.put(binding(user, &sk, session, ttl), &unbound).map(Some)
    }

    /// Writes a new session, or one that has not changed since it was `seen`.
    pub(super) fn put_session(
        &self,
        session: &Session,
        seen: Option<&Session>,
    ) -> Result<NewItem, StoreError> {
        let condition = match seen {
            Some(seen) => Expression::default().if_exists(LIVE_SK).if_compares(
                LAST_ACTIVITY,
                "=",
                time(seen.last_activity),
            ),
            None => Expression::default().if_missing(SK),
        };
        Ok(NewItem { id: session.id, put: self.put(encode(session, &self.policy), &condition)? })
    }

    fn put(&self, item: Item, condition: &Expression) -> Result<Put, StoreError> {
        Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(condition.condition())
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values())
            .build()
            .map_err(|error| StoreError::Refused { operation: "Put", source: error.into() })
    }

    pub(super) fn end_in_transaction(
        &self,
        seen: &Session,
        termination: &Termination,
    ) -> Result<Update, StoreError> {
        let mut update = end_session(termination, ttl(termination.at, &self.policy));
        // Activity moves the idle deadline, so a session that was seen as expired may be live again by now. A session
        // that was seen as live ends in any case, so that a client that is always active cannot starve this write.
        if termination.reason == EndReason::Expired {
            update = update.if_compares(LAST_ACTIVITY, "=", time(seen.last_activity));
        }
        self.transact_update(key(&seen.user_id, session_sk(seen.id)), update)
    }

    pub(super) fn transact_update(&self, key: Item, update: Expression) -> Result<Update, StoreError> {
        Update::builder()
            .table_name(&self.table)
            .set_key(Some(key))
            .update_expression(update.update())
            .condition_expression(update.condition())
            .set_expression_attribute_names(update.names())
            .set_expression_attribute_values(update.values())
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
pub(super) const RACES: [&str; 4] =
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
    are_only(cancelled.cancellation_reasons(), reasons)
}

/// Whether something cancelled the transaction, and it was for these reasons only.
pub(super) fn are_only(reasons: &[CancellationReason], allowed: &[&str]) -> bool {
    let codes = reasons.iter().filter_map(CancellationReason::code);
    let mut codes = codes.filter(|code| *code != "None").peekable();
    codes.peek().is_some() && codes.all(|code| allowed.contains(&code))
}
