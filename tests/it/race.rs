//! Everything at once for one user: whoever looks, and whenever, sees the invariants hold.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::*;
use sessions::session::{EndReason, Note, SessionId, Termination};
use sessions::store::SessionStore;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

const CAP: usize = 3;
const TASKS: usize = 32;
const ROUNDS: i64 = 8;

/// The sessions whose ending was confirmed, with the receipt that whoever ended them got.
#[derive(Clone, Default)]
struct Ended(Arc<Mutex<HashMap<SessionId, Termination>>>);

impl Ended {
    async fn add(&self, id: SessionId, receipt: Termination) {
        let before = self.0.lock().await.insert(id, receipt);
        assert_eq!(before, None, "two were told that they ended {id}");
    }

    async fn ids(&self) -> HashSet<SessionId> {
        self.0.lock().await.keys().copied().collect()
    }
}

/// A receipt that names the task in its note.
fn ending(task: usize, round: i64) -> Termination {
    let note = Note::parse(&format!("task {task}")).unwrap();
    Termination { at: at(round), by: Some(user("1")), reason: EndReason::RevokedByAdmin, note }
}

fn store_on(database: &Table) -> SessionStore {
    let max = CAP.to_string();
    let settings = settings(database, &[("MAX_SESSIONS", &max), ("ACTIVITY_INTERVAL_SECONDS", "0")]);
    database.store(settings.policy)
}

/// One of many: signs in, ends, ends all, or is active.
async fn act(store: SessionStore, ended: Ended, task: usize, round: i64) {
    let (admin, now) = (user("74"), at(round));
    match task % 8 {
        0..=3 => {
            // Half of the devices are the same in every round and are refreshed.
            let device = if task.is_multiple_of(2) { format!("{task}") } else { format!("{round}/{task}") };
            let signed_in = store.sign_in(&new_session("74", &device, now), now).await.unwrap().unwrap();
            let evicted = Termination { at: now, by: Some(admin), reason: EndReason::Evicted, note: None };
            for id in signed_in.evicted {
                ended.add(id, evicted.clone()).await;
            }
        }
        4 | 5 => {
            for session in store.user_sessions(&admin).await.unwrap().open.iter().take(2) {
                let end = store.end(&admin, session.id, &ending(task, round)).await.unwrap().unwrap();
                if end.first {
                    ended.add(session.id, end.session.terminated.unwrap()).await;
                }
            }
        }
        6 => {
            for session in &store.user_sessions(&admin).await.unwrap().open {
                store.record_activity(session, "198.51.100.2", now).await.unwrap();
            }
        }
        _ => {
            for session in end_all(&store, &admin, None, &ending(task, round)).await {
                ended.add(session.id, session.terminated.unwrap()).await;
            }
        }
    }
}

/// Looks again and again: never more than the cap, and never what was confirmed to have ended before the look.
async fn watch(store: SessionStore, ended: Ended, stop: Arc<AtomicBool>) -> usize {
    let mut looks = 0;
    while !stop.load(Ordering::Relaxed) {
        let before = ended.ids().await;
        let open = store.user_sessions(&user("74")).await.unwrap();
        let live: Vec<_> = open.live(at(0), store.policy()).map(|session| session.id).collect();
        assert!(live.len() <= CAP, "{live:?}");
        assert!(live.iter().all(|id| !before.contains(id)), "an ended session is listed");
        looks += 1;
    }
    looks
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_hold_while_many_callers_act_at_once() {
    let database = database().await;
    let ended = Ended::default();
    let stop = Arc::new(AtomicBool::new(false));
    let watcher = tokio::spawn(watch(store_on(&database), ended.clone(), stop.clone()));
    // Each has a client of its own, as functions side by side have.
    let stores: Vec<_> = (0..4).map(|_| store_on(&database)).collect();
    for round in 1..=ROUNDS {
        let task = |task: usize| act(stores[task % stores.len()].clone(), ended.clone(), task, round);
        let mut tasks: JoinSet<()> = (0..TASKS).map(task).collect();
        while let Some(outcome) = tasks.join_next().await {
            outcome.unwrap();
        }
    }
    stop.store(true, Ordering::Relaxed);
    assert!(watcher.await.unwrap() > 0);
    every_session_is_live_or_has_its_first_receipt(&stores[0], &*ended.0.lock().await).await;
}

async fn every_session_is_live_or_has_its_first_receipt(
    store: &SessionStore,
    ended: &HashMap<SessionId, Termination>,
) {
    let user = user("74");
    let live: HashSet<_> =
        store.user_sessions(&user).await.unwrap().open.iter().map(|session| session.id).collect();
    let mut after = None;
    loop {
        let page = store.history(&user, after, 100).await.unwrap();
        for session in &page.sessions {
            assert_eq!(session.terminated.is_none(), live.contains(&session.id));
            assert_eq!(session.terminated.as_ref(), ended.get(&session.id));
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
}
