//! The table's promises, on a real engine: the cap, the first receipt, end-all, expiry, races.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::support::*;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use sessions::session::Timestamp;
use sessions::session::{Clock, EndReason, Policy, Session, SessionId, SignInKey, Termination, UserId};
use sessions::store::{NewSession, SessionStore, SignedIn};
use tokio::task::JoinSet;

fn policy(max_sessions: usize) -> Policy {
    Policy {
        max_sessions,
        lifetime: TimeDelta::hours(720),
        idle_timeout: None,
        not_before: None,
        history: TimeDelta::hours(90 * 24),
        activity_interval: TimeDelta::seconds(300),
    }
}

async fn store(max_sessions: usize) -> (SessionStore, Table) {
    let database = database().await;
    (database.store(policy(max_sessions)), database)
}

async fn sign_in(store: &SessionStore, device: &str, now: Timestamp) -> SignedIn {
    store.sign_in(&new_session("74", device, now), Clock::start(now)).await.unwrap().unwrap()
}

async fn live(store: &SessionStore, now: Timestamp) -> Vec<Session> {
    store.user_sessions(&user("74")).await.unwrap().live(now, store.policy()).cloned().collect()
}

async fn live_ids(store: &SessionStore, now: Timestamp) -> Vec<SessionId> {
    live(store, now).await.iter().map(|session| session.id).collect()
}

/// An attribute of an item as it is stored.
async fn stored(database: &Table, sk: &str, attribute: &str) -> Option<AttributeValue> {
    let get = database.client().get_item().table_name(&database.table);
    let item = get.key("user_id", text("74")).key("sk", text(sk)).send().await.unwrap().item;
    item?.remove(attribute)
}

async fn ttl(database: &Table, id: SessionId) -> i64 {
    let value = stored(database, &format!("session#{id}"), "ttl").await.unwrap();
    value.as_n().unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_same_device_keeps_its_session() {
    let (store, database) = store(2).await;
    let first = sign_in(&store, "a", at(1)).await;
    let again = sign_in(&store, "a", at(1000)).await;
    assert!(again.refreshed && !first.refreshed);
    assert_eq!(again.session.id, first.session.id);
    assert_eq!(again.session.created_at, at(1));
    assert_eq!(again.session.last_activity, at(1000));
    assert_eq!(again.session.expires_at, at(1000 + 720 * 3600));
    assert_eq!(live(&store, at(1000)).await, [again.session]);
    assert_eq!(ttl(&database, first.session.id).await, START + 1000 + (720 + 90 * 24) * 3600);
}

/// Signs a device in and copies its session until this many are live. Returns the time of the last session.
async fn fill(store: &SessionStore, database: &Table, count: usize, from: i64) -> i64 {
    let end = from + (count - live(store, at(from)).await.len()) as i64;
    let id = sign_in(store, &format!("device {end}"), at(end)).await.session.id;
    let client = database.client();
    let get = client.get_item().table_name(&database.table).key("user_id", text("74"));
    let session = get.key("sk", text(&format!("session#{id}"))).send().await.unwrap().item.unwrap();
    for second in from + 1..end {
        let sk = text(&format!(
            "session#{}",
            SessionId::new(at(second), std::array::from_fn(|_| fastrand::u8(..)))
        ));
        let put = client.put_item().table_name(&database.table).set_item(Some(session.clone()));
        put.item("sk", sk.clone()).item("live_sk", sk).send().await.unwrap();
    }
    end
}

/// A transaction takes 100 actions: the version, the session, the binding and 97 endings, or the version and 99 endings.
#[tokio::test]
async fn everything_ends_at_and_over_the_size_of_a_transaction() {
    let (wide, database) = store(1000).await;
    let narrow = database.store(policy(1));
    let mut second = 0;
    for count in [97, 98, 196] {
        second = fill(&wide, &database, count, second).await + 1;
        let mut oldest_first = live_ids(&wide, at(second)).await;
        oldest_first.reverse();
        let name = format!("new {count}");
        let key = SignInKey::Token(token_named("74", &name, None));
        let new = NewSession { key, ..new_session("74", &name, at(second)) };
        let new = narrow.sign_in(&new, Clock::start(at(second))).await.unwrap().unwrap();
        assert_eq!(new.evicted, oldest_first);
        assert_eq!(live_ids(&wide, at(second)).await, [new.session.id]);
    }
    for count in [99, 199] {
        second = fill(&wide, &database, count, second).await;
        let ended = end_all(&wide, &user("74"), None, &ended_by("1", at(second))).await;
        assert_eq!(ended.len(), count);
        assert!(ended.is_sorted_by_key(|session| std::cmp::Reverse(session.id)));
        assert_eq!(live_ids(&wide, at(second)).await, []);
    }
}

#[tokio::test]
async fn a_refresh_under_a_lowered_cap_keeps_its_own_session() {
    let (wide, database) = store(5).await;
    let mut ids = Vec::new();
    for device in 0..5 {
        ids.push(sign_in(&wide, &format!("device {device}"), at(device)).await.session.id);
    }
    let narrow = database.store(policy(2));
    let refreshed = sign_in(&narrow, "device 0", at(10)).await;
    assert!(refreshed.refreshed);
    assert_eq!(refreshed.evicted, ids[1..4]);
    assert_eq!(live_ids(&narrow, at(10)).await, [ids[4], ids[0]]);
}

#[tokio::test]
async fn a_sign_in_records_the_end_of_expired_sessions() {
    let (store, database) = store(3).await;
    let old = sign_in(&store, "old", at(0)).await.session;
    let now = at(720 * 3600 + 5);
    let new = sign_in(&store, "new", now).await;
    assert!(new.evicted.is_empty(), "expired is not evicted");
    assert_eq!(store.user_sessions(&user("74")).await.unwrap().open, [new.session]);
    let receipt = store.session(&user("74"), old.id).await.unwrap().unwrap().terminated.unwrap();
    let deadline = at(720 * 3600);
    assert_eq!(receipt, Termination { at: deadline, by: None, reason: EndReason::Expired, note: None });
    assert_eq!(ttl(&database, old.id).await, deadline.timestamp() + 90 * 24 * 3600);
}

#[tokio::test]
async fn a_sign_in_never_overwrites_a_session_with_the_same_id() {
    let mut database = database().await;
    // Reading again never helps, so that the sign-in tries until its time is over.
    database.timeouts.chain = Duration::from_millis(100);
    let store = database.store(policy(3));
    let old = sign_in(&store, "old", at(0)).await.session;
    store.end(&user("74"), old.id, &ended_by("1", at(1))).await.unwrap();
    let twin = NewSession { id: old.id, ..new_session("74", "new", at(2)) };
    store.sign_in(&twin, Clock::start(at(2))).await.unwrap_err();
    let kept = store.session(&user("74"), old.id).await.unwrap().unwrap();
    assert_eq!((kept.terminated, kept.device), (Some(ended_by("1", at(1))), old.device));
}

#[tokio::test]
async fn ending_an_unknown_session_creates_nothing() {
    let (store, database) = store(3).await;
    let id = SessionId::new(at(0), [1; 10]);
    assert!(store.end(&user("74"), id, &ended_by("1", at(1))).await.unwrap().is_none());
    assert_eq!(stored(&database, &format!("session#{id}"), "sk").await, None);
}

/// Tokens may be out that have opened nothing yet, so the cut-off is written also when no session is live.
#[tokio::test]
async fn every_end_all_raises_the_version_and_never_moves_the_cut_off_back() {
    let (store, _) = store(3).await;
    let mut seen = Vec::new();
    for moment in [10, 5, 20] {
        assert!(end_all(&store, &user("74"), None, &ended_by("1", at(moment))).await.is_empty());
        let profile = store.profile(&user("74")).await.unwrap().unwrap();
        // The clock may move on by a second while the test runs.
        seen.push((profile.version.unwrap(), (profile.not_before.unwrap() - START) / 5 * 5));
    }
    assert_eq!(seen, [(1, 10), (2, 10), (3, 20)]);
}

/// This happens when the answer to a write is lost and the SDK writes again.
#[tokio::test]
async fn an_ending_that_finds_its_own_receipt_counts_as_the_first() {
    let (store, _) = store(3).await;
    let id = sign_in(&store, "a", at(0)).await.session.id;
    for (by, first) in [("1", true), ("1", true), ("2", false)] {
        let end = store.end(&user("74"), id, &ended_by(by, at(1))).await.unwrap().unwrap();
        assert_eq!((end.first, end.session.terminated), (first, Some(ended_by("1", at(1)))));
    }
}

/// This happens when the clocks of two processes differ.
#[tokio::test]
async fn no_session_ends_before_it_began() {
    let (store, _) = store(1).await;
    let began = |device| sign_in(&store, device, at(10));
    let ended_at = async |session: SessionId| {
        let session = store.session(&user("74"), session).await.unwrap().unwrap();
        session.terminated.map(|termination| termination.at)
    };
    let one = began("a").await.session.id;
    store.end(&user("74"), one, &ended_by("1", at(5))).await.unwrap();
    let all = began("b").await.session.id;
    end_all(&store, &user("74"), None, &ended_by("1", at(5))).await;
    let evicted = began("c").await.session.id;
    assert_eq!(sign_in(&store, "d", at(5)).await.evicted, [evicted]);
    for session in [one, all, evicted] {
        assert_eq!(ended_at(session).await, Some(at(10)));
    }
}

#[tokio::test]
async fn a_list_is_complete_when_the_engine_answers_in_pages() {
    // DynamoDB answers with at most 1 MB at a time: 12 sessions of 100 KB are two answers.
    let (store, database) = store(12).await;
    let client = database.client();
    for device in 0..12 {
        let id = sign_in(&store, &format!("device {device}"), at(device)).await.session.id;
        let update = client.update_item().table_name(&database.table);
        let update = update.key("user_id", text("74"));
        let update = update.key("sk", text(&format!("session#{id}")));
        let padding = text(&"x".repeat(100_000));
        let update = update.update_expression("SET padding = :padding");
        update.expression_attribute_values(":padding", padding).send().await.unwrap();
    }
    assert_eq!(live_ids(&store, at(12)).await.len(), 12);
    assert_eq!(store.history(&user("74"), None, 11).await.unwrap().sessions.len(), 11);
}

/// Runs `task` this many times side by side.
async fn side_by_side<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    times: usize,
    task: impl Fn(usize) -> F,
) -> Vec<T> {
    let mut tasks: JoinSet<T> = (0..times).map(task).collect();
    let mut outcomes = Vec::new();
    while let Some(outcome) = tasks.join_next().await {
        outcomes.push(outcome.unwrap());
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_sign_ins_of_one_device_make_one_session() {
    let (store, _) = store(3).await;
    let signed_in = side_by_side(12, |_| {
        let store = store.clone();
        async move { sign_in(&store, "the same", at(0)).await }
    })
    .await;
    let ids: HashSet<_> = signed_in.iter().map(|outcome| outcome.session.id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(signed_in.iter().filter(|outcome| !outcome.refreshed).count(), 1);
}

/// A sign-in and when it was under way, in real time.
struct Timed {
    id: SessionId,
    began: Instant,
    done: Instant,
}

async fn sign_in_some(store: SessionStore, lane: usize) -> Vec<Timed> {
    let mut all = Vec::new();
    for turn in 0..12 {
        let began = Instant::now();
        let id = sign_in(&store, &format!("{lane}/{turn}"), at(turn)).await.session.id;
        all.push(Timed { id, began, done: Instant::now() });
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_racing_sign_in_is_completely_before_or_after_end_all() {
    let (store, database) = store(1000).await;
    for _ in 0..3 {
        // More than one transaction holds, so that the race is with all of them.
        fill(&store, &database, 110, -200).await;
        let lanes = tokio::spawn(side_by_side(4, {
            let store = store.clone();
            move |lane| sign_in_some(store.clone(), lane)
        }));
        tokio::task::yield_now().await;
        let began = Instant::now();
        let ended = end_all(&store, &user("74"), None, &ended_by("1", at(50))).await;
        let done = Instant::now();
        let ended: HashSet<_> = ended.iter().map(|session| session.id).collect();
        let racing: Vec<Timed> = lanes.await.unwrap().into_iter().flatten().collect();
        let live: HashSet<_> = live_ids(&store, at(60)).await.into_iter().collect();
        assert!(ended.len() >= 110);
        for sign_in in &racing {
            assert!(
                live.contains(&sign_in.id) != ended.contains(&sign_in.id),
                "each session is either ended or live"
            );
            assert!(ended.contains(&sign_in.id) || sign_in.done > began, "before end-all began");
            assert!(live.contains(&sign_in.id) || sign_in.began < done, "after end-all was done");
            let earlier = racing.iter().filter(|other| other.done < sign_in.began);
            for earlier in earlier {
                assert!(
                    !ended.contains(&sign_in.id) || ended.contains(&earlier.id),
                    "one instant separates them"
                );
            }
        }
        end_all(&store, &user("74"), None, &ended_by("1", at(70))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_an_operator_wrote_keeps_its_role() {
    let (store, database) = store(1).await;
    let put = database.client().put_item().table_name(&database.table);
    put.item("user_id", text("74"))
        .item("sk", text("profile"))
        .item("role", text("user"))
        .send()
        .await
        .unwrap();
    let _: Vec<_> = side_by_side(6, |device| {
        let store = store.clone();
        async move { sign_in(&store, &format!("{device}"), at(0)).await }
    })
    .await;
    assert_eq!(live_ids(&store, at(0)).await.len(), 1);
    let profile = store.profile(&UserId::parse("74").unwrap()).await.unwrap().unwrap();
    assert_eq!((profile.version, profile.roles), (Some(6), vec!["user".to_owned()]));
    assert!(
        store.user_sessions(&user("74")).await.unwrap().profile.is_some(),
        "and is in the index from then on"
    );
}
