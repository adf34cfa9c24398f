//! The writes: sign-in, activity, and endings.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, ConsumedCapacity, Put, ReturnConsumedCapacity, ReturnValue,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use jiff::Timestamp;

use super::expression::Expression;
use super::item::{Item, PROFILE, Reader, encode, key, number, session_sk, text, time, ttl};
use super::retry::Backoff;
use super::{Open, SessionStore, StoreError, units};
use crate::log;
use crate::session::{Device, Ending, Marks, Session, SessionId, SignInPlan, UserId, later};

/// The most actions in a transaction:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html>
const TRANSACTION_MAX: usize = 100;

/// What is known of a sign-in.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The session's name, unless this device has one already.
    pub id: SessionId,
    /// Who signs in.
    pub user_id: UserId,
    /// With what.
    pub device: Device,
    /// From where.
    pub ip_address: String,
    /// What tells the device again.
    pub marks: Marks,
}

/// The outcome of a sign-in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The session, new or refreshed.
    pub session: Session,
    /// Whether this device already had it.
    pub refreshed: bool,
    /// The sessions that gave way.
    pub evicted: Vec<SessionId>,
}

/// The outcome of ending one session.
#[derive(Clone, Debug)]
pub struct End {
    /// The session with the receipt of its first ending.
    pub session: Session,
    /// Whether this call was the first to end it.
    pub first: bool,
}

impl SessionStore {
    /// Signs in: one query, unless what it reads was `seen` just now, and one transaction that bumps the version,
    /// writes the session, and ends the oldest over the cap together with whatever has expired meanwhile. A device
    /// that has a live session keeps it.
    ///
    /// # Errors
    /// [`StoreError`]; evictions may have happened then, the sign-in has not unless its answer was lost.
    pub async fn sign_in(
        &self,
        new: &NewSession,
        seen: Option<Open>,
        now: Timestamp,
    ) -> Result<SignedIn, StoreError> {
        let mut backoff = Backoff::start(self.patience.chain);
        let mut open = self.seen_or_read(seen, &new.user_id).await?;
        let mut evicted = Vec::new();
        loop {
            let mut plan = SignInPlan::new(&new.user_id, &new.marks, &open.sessions, now, &self.policy);
            // The version and the session itself need a place each. A cap lowered far below what is live makes
            // more endings than fit: those beyond go first, the sign-in in a later round.
            let too_many = plan.endings.len() > TRANSACTION_MAX - 2;
            plan.endings.truncate(TRANSACTION_MAX - 2);
            let session = self.session_of(new, plan.refresh, now);
            let write = (!too_many).then(|| self.put(&session, plan.refresh)).transpose()?;
            if self.commit(&new.user_id, &open, write, &plan.endings).await? {
                evicted.extend(plan.evicted());
                if !too_many {
                    self.meter.add("SignIns", 1.0);
                    return Ok(SignedIn { session, refreshed: plan.refresh.is_some(), evicted });
                }
            } else {
                backoff.wait().await;
            }
            backoff.check()?;
            open = self.open(&new.user_id).await?;
        }
    }

    /// Where a chain of writes starts. What was seen may be old by now: the version tells.
    async fn seen_or_read(&self, seen: Option<Open>, user: &UserId) -> Result<Open, StoreError> {
        match seen {
            Some(open) => Ok(open),
            None => self.open(user).await,
        }
    }

    /// The session that a sign-in writes; `known` is the one that the device has.
    fn session_of(&self, new: &NewSession, known: Option<&Session>, now: Timestamp) -> Session {
        Session {
            id: known.map_or(new.id, |session| session.id),
            user_id: new.user_id.clone(),
            device: new.device.clone(),
            ip_address: new.ip_address.clone(),
            created_at: known.map_or(now, |session| session.created_at),
            last_activity: known.map_or(now, |session| session.last_activity.max(now)),
            expires_at: later(now, self.policy.lifetime),
            ended: None,
            marks: new.marks,
        }
    }

    /// Ends one session with one conditional write. A repeat changes nothing and hands back the first receipt;
    /// a session whose time is over keeps `expired` as its. `None` when the user has none of this name.
    ///
    /// # Errors
    /// [`StoreError`]; the write may have happened if it is [`StoreError::Unavailable`].
    pub async fn end(
        &self,
        user: &UserId,
        id: SessionId,
        ending: &Ending,
    ) -> Result<Option<End>, StoreError> {
        let mut update = Expression::end(ending, &self.policy_ttl(ending));
        update.only_if("attribute_exists(#live_sk) AND #expires_at > :now").value(":now", time(ending.at));
        update.name("#expires_at", "expires_at");
        if let Some(idle) = self.policy.idle_timeout {
            let oldest = ending.at.checked_sub(idle).unwrap_or(Timestamp::MIN);
            update.only_if("#last_activity > :oldest").value(":oldest", time(oldest));
            update.name("#last_activity", "last_activity");
        }
        let outcome = self.update(key(user, session_sk(id)), update).await;
        let outcome = outcome.inspect_err(|error| self.note_failure(user, id, ending, error))?;
        let (session, written) = match outcome {
            Outcome::Written(session) => (session, true),
            Outcome::Refused(session) => (session, false),
            Outcome::Absent => return Ok(None),
        };
        // A lost answer makes the SDK write again and find its own receipt: that was the first ending too.
        let first = written || session.ended.as_ref() == Some(ending);
        if first {
            self.note_ending(user, id, ending);
        }
        let receipt = session.ending(ending.at, &self.policy);
        Ok(Some(End { session: Session { ended: receipt, ..session }, first }))
    }

    /// Moves the last activity of a session that was seen live to `now`, at most once per activity interval.
    /// Never revives: what comes back has ended if something ended it meanwhile. `None` when it is gone.
    ///
    /// # Errors
    /// [`StoreError`]; the write may have happened if it is [`StoreError::Unavailable`].
    pub async fn touch(&self, seen: &Session, now: Timestamp) -> Result<Option<Session>, StoreError> {
        if now < later(seen.last_activity, self.policy.activity_interval) {
            return Ok(Some(seen.clone()));
        }
        let mut update = Expression::new("SET #last_activity = :now");
        update.only_if("attribute_exists(#live_sk) AND #last_activity = :seen");
        update.name("#live_sk", "live_sk").name("#last_activity", "last_activity");
        update.value(":now", time(now)).value(":seen", time(seen.last_activity));
        Ok(match self.update(key(&seen.user_id, session_sk(seen.id)), update).await? {
            Outcome::Written(session) | Outcome::Refused(session) => Some(session),
            Outcome::Absent => None,
        })
    }

    /// Ends every session that is live at the instant of the last transaction, but for `keep`; newest first. One query,
    /// unless what it reads was `seen` just now, and a transaction for every 99.
    /// A racing sign-in bumps the version and is therefore wholly before that instant, and ended, or wholly after.
    ///
    /// # Errors
    /// [`StoreError`]; of more than 99 sessions some may have ended then, each with its receipt and audit line.
    /// A repeat ends the rest.
    pub async fn end_all(
        &self,
        user: &UserId,
        seen: Option<Open>,
        keep: Option<SessionId>,
        ending: &Ending,
    ) -> Result<Vec<Session>, StoreError> {
        let mut backoff = Backoff::start(self.patience.chain);
        let mut open = self.seen_or_read(seen, user).await?;
        let mut ended = Vec::new();
        loop {
            let mut endings: Vec<_> = open
                .sessions
                .iter()
                .filter(|session| Some(session.id) != keep)
                .map(|s| self.end_of(s, ending))
                .collect();
            if endings.iter().all(|(session, _)| !session.is_live_at(ending.at, &self.policy)) {
                break;
            }
            let last = endings.len() < TRANSACTION_MAX;
            // The oldest go first, so that the newest, which a sign-in may still change, go with the last.
            let chunk = endings.split_off(endings.len().saturating_sub(TRANSACTION_MAX - 1));
            if self.commit(user, &open, None, &chunk).await? {
                let live = chunk.into_iter().filter(|(s, _)| s.is_live_at(ending.at, &self.policy));
                ended
                    .extend(live.map(|(session, ending)| Session { ended: Some(ending), ..session.clone() }));
                if last {
                    break;
                }
            } else {
                backoff.wait().await;
            }
            backoff.check()?;
            open = self.open(user).await?;
        }
        ended.sort_by_key(|session| std::cmp::Reverse(session.id));
        Ok(ended)
    }

    /// The receipt that `session` gets: its own if its time is over, else this one, never from before it began.
    fn end_of<'s>(&self, session: &'s Session, ending: &Ending) -> (&'s Session, Ending) {
        let at = ending.at.max(session.created_at);
        let receipt =
            session.ending(ending.at, &self.policy).unwrap_or_else(|| Ending { at, ..ending.clone() });
        (session, receipt)
    }

    /// One transaction on the set of a user's sessions as it was read. `false` when something changed since.
    async fn commit(
        &self,
        user: &UserId,
        seen: &Open,
        write: Option<Put>,
        endings: &[(&Session, Ending)],
    ) -> Result<bool, StoreError> {
        let version = TransactWriteItem::builder().update(self.bump_version(user, seen)?).build();
        let write = write.map(|put| TransactWriteItem::builder().put(put).build());
        let mut actions: Vec<_> = [version].into_iter().chain(write).collect();
        for (session, ending) in endings {
            let update = self.end_in_transaction(session, ending)?;
            actions.push(TransactWriteItem::builder().update(update).build());
        }
        let transaction = self.client.transact_write_items().set_transact_items(Some(actions));
        let written = match transaction.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await {
            // One table, so one entry.
            Ok(answer) => self.count_write("TransactWriteItems", answer.consumed_capacity().first()),
            Err(error) if was_cancelled_for(&error, &RACES) => return Ok(false),
            Err(error) if was_cancelled_for(&error, &FULL) => {
                Err(StoreError::Unavailable { operation: "TransactWriteItems", source: error.into() })
            }
            Err(error) => Err(StoreError::from_sdk("TransactWriteItems", error)),
        };
        for (session, ending) in endings {
            match &written {
                Ok(()) => self.note_ending(user, session.id, ending),
                Err(error) => self.note_failure(user, session.id, ending, error),
            }
        }
        written.map(|()| true)
    }

    fn bump_version(&self, user: &UserId, seen: &Open) -> Result<Update, StoreError> {
        let version = seen.profile.as_ref().and_then(|profile| profile.version);
        let mut update = Expression::new("SET #version = :next, #live_sk = :profile");
        update.name("#version", "version").name("#live_sk", "live_sk").value(":profile", text(PROFILE));
        update.value(":next", number(version.unwrap_or(0) + 1));
        match version {
            Some(version) => update.only_if("#version = :seen").value(":seen", number(version)),
            None => update.only_if("attribute_not_exists(#version)"),
        };
        self.transact_update(key(user, PROFILE), update)
    }

    fn put(&self, session: &Session, known: Option<&Session>) -> Result<Put, StoreError> {
        let put = Put::builder().table_name(&self.table).set_item(Some(encode(session, &self.policy)));
        let put = match known {
            Some(known) => put
                .condition_expression("attribute_exists(live_sk) AND last_activity = :seen")
                .expression_attribute_values(":seen", time(known.last_activity)),
            None => put.condition_expression("attribute_not_exists(sk)"),
        };
        put.build().map_err(|error| StoreError::Refused { operation: "Put", source: error.into() })
    }

    fn end_in_transaction(&self, seen: &Session, ending: &Ending) -> Result<Update, StoreError> {
        let mut update = Expression::end(ending, &self.policy_ttl(ending));
        // Activity moves the idle deadline: what was seen expired may be live again by now.
        update.only_if("attribute_exists(#live_sk) AND #last_activity = :seen");
        update.name("#last_activity", "last_activity").value(":seen", time(seen.last_activity));
        self.transact_update(key(&seen.user_id, session_sk(seen.id)), update)
    }

    /// Every ending that was written is logged and counted, here and nowhere else.
    fn note_ending(&self, user: &UserId, id: SessionId, ending: &Ending) {
        log::session_ended(user, id, ending);
        self.meter.add(format!("Ended.{}", ending.reason.as_str()), 1.0);
    }

    /// An ending that was not confirmed may have been written all the same, unless it was refused for good.
    fn note_failure(&self, user: &UserId, id: SessionId, ending: &Ending, error: &StoreError) {
        if error.is_transient() {
            log::session_end_unconfirmed(user, id, ending);
        }
    }

    fn count_write(
        &self,
        operation: &'static str,
        consumed: Option<&ConsumedCapacity>,
    ) -> Result<(), StoreError> {
        self.meter.add("WriteUnits", units(operation, consumed)?);
        Ok(())
    }

    fn policy_ttl(&self, ending: &Ending) -> AttributeValue {
        ttl(ending.at, &self.policy)
    }

    fn transact_update(&self, key: Item, update: Expression) -> Result<Update, StoreError> {
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

    /// One conditional write of a session. A transaction that has the item in its hands at the moment is waited for.
    async fn update(&self, key: Item, update: Expression) -> Result<Outcome, StoreError> {
        let mut backoff = Backoff::start(self.patience.chain);
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

    async fn update_once(&self, key: &Item, update: &Expression) -> Result<UpdateItemOutput, UpdateFailure> {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.clone()))
            .update_expression(&update.update)
            .condition_expression(update.conditions.join(" AND "))
            .set_expression_attribute_names(Some(update.names.clone()))
            .set_expression_attribute_values(Some(update.values.clone()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await
    }

    fn outcome(&self, answer: Result<UpdateItemOutput, UpdateFailure>) -> Result<Outcome, StoreError> {
        match answer {
            Ok(answer) => {
                self.count_write("UpdateItem", answer.consumed_capacity())?;
                let item = answer.attributes;
                let item =
                    item.ok_or(StoreError::Incomplete { operation: "UpdateItem", part: "the item" })?;
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
}

type UpdateFailure = SdkError<UpdateItemError, HttpResponse>;

/// Whether the item is part of a transaction that is under way: nothing was written, and it will soon be free.
fn is_in_a_transaction(error: &UpdateFailure) -> bool {
    matches!(error.as_service_error(), Some(UpdateItemError::TransactionConflictException(_)))
}

/// What a conditional write of a session came to.
enum Outcome {
    /// Done; the session as it is now.
    Written(Session),
    /// The condition failed; the session as it is.
    Refused(Session),
    /// There is no such session.
    Absent,
}

/// Why a transaction was cancelled when other writes came first or DynamoDB asks to slow down: nothing was written, and
/// reading again and trying again is right.
const RACES: [&str; 4] =
    ["ConditionalCheckFailed", "ProvisionedThroughputExceeded", "ThrottlingError", "TransactionConflict"];

/// Likewise when the user's history fills a partition: trying again is right once some of it has gone.
const FULL: [&str; 5] = [RACES[0], RACES[1], RACES[2], RACES[3], "ItemCollectionSizeLimitExceeded"];

/// Whether a transaction was cancelled for these reasons and for no other.
fn was_cancelled_for(error: &SdkError<TransactWriteItemsError, HttpResponse>, reasons: &[&str]) -> bool {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error()
    else {
        return false;
    };
    let codes = cancelled.cancellation_reasons().iter().filter_map(CancellationReason::code);
    let mut codes = codes.filter(|code| *code != "None").peekable();
    codes.peek().is_some() && codes.all(|code| reasons.contains(&code))
}
