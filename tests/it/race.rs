//! Many callers act for one user at the same time, and every read finds that the invariants hold.

use std::collections::{HashMap, HashSet};
use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::*;
use serde_json::json;
use sessions::session::{Clock, EndReason, Note, SessionId, Termination};
use sessions::store::SessionStore;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

const CAP: usize = 3;
const TASKS: usize = 32;
const ROUNDS: i64 = 8;

/// The sessions whose ending was confirmed, with the receipt of each.
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
            let signed_in =
                store.sign_in(&new_session("74", &device, now), Clock::start(now)).await.unwrap().unwrap();
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
                store.record_activity(session, &origin("198.51.100.2"), Clock::start(now)).await.unwrap();
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

/// How often sessions end while clients loop create. `RACE_ROUNDS` sets another number.
const LOOP_ROUNDS: usize = 150;

/// How many users live through their rounds side by side.
const LANES: usize = 3;

/// How many clients of a user loop create with one token.
const CLIENTS: usize = 3;

/// How the sessions of a round end.
#[derive(Clone, Copy, Debug)]
enum LoopEnd {
    /// The admin ends the session that the token opened.
    One,
    /// The admin ends all.
    All,
    /// Another device of the user signs out everywhere.
    LogoutAll,
}

/// The token of a round.
#[derive(Clone, Copy, Debug)]
enum LoopToken {
    /// It opens its session, and does not say when it was issued. It is bound before the ending begins, because until then
    /// nothing tells it from a later one.
    Bound,
    /// It says when it was issued. Whether it opens a session before the ending is a matter of luck.
    Dated,
    /// It names the session.
    Sid,
}

const LOOPS: [(LoopToken, LoopEnd); 8] = [
    (LoopToken::Bound, LoopEnd::One),
    (LoopToken::Bound, LoopEnd::All),
    (LoopToken::Bound, LoopEnd::LogoutAll),
    (LoopToken::Dated, LoopEnd::All),
    (LoopToken::Dated, LoopEnd::LogoutAll),
    (LoopToken::Sid, LoopEnd::One),
    (LoopToken::Sid, LoopEnd::All),
    (LoopToken::Sid, LoopEnd::LogoutAll),
];

/// Loops create with the token, until a request that began after the ending has been answered.
async fn loop_create(
    service: Arc<Service>,
    token: String,
    ended: watch::Receiver<bool>,
    entered: watch::Sender<bool>,
) {
    let mut after = false;
    while !after {
        after = *ended.borrow();
        let reply =
            service.post("/sessions/create", &token, json!({"device_fingerprint": "fingerprint of f"})).await;
        match reply.status {
            200 | 201 => {
                assert!(!after, "a token of an ended session got in: {}", reply.text);
                entered.send_replace(true);
            }
            _ => drop(reply.problem(401, "session_ended")),
        }
    }
}

async fn end_once(service: &Service, user_id: &str, end: LoopEnd, token: &str) {
    match end {
        LoopEnd::One => {
            let current = service.get("/sessions/current", token).await.id();
            let target = format!("/sessions/user/{user_id}/session/{current}");
            service.delete(&target, &admin_token()).await.ok();
        }
        LoopEnd::All => {
            service.delete(&format!("/sessions/user/{user_id}"), &admin_token()).await.ok();
        }
        LoopEnd::LogoutAll => {
            service.delete("/sessions/logout-all", &device_token(user_id)).await.ok();
        }
    }
}

/// One user: clients loop create, all sessions end, and no token is accepted afterwards.
async fn loop_round(service: Arc<Service>, round: usize) {
    let user_id = format!("loop-{round}");
    let (kind, end) = LOOPS[round % LOOPS.len()];
    let token = match kind {
        LoopToken::Bound => device_token(&user_id),
        LoopToken::Dated => token_with(&user_id, json!({"iat": service.now.timestamp()})),
        LoopToken::Sid => {
            let new = new_session(&user_id, "phone", service.now);
            let session =
                service.store().sign_in(&new, Clock::start(service.now)).await.unwrap().unwrap().session;
            session_token(&user_id, &session.id.to_string())
        }
    };
    let (ended, entered) = (watch::Sender::new(false), watch::Sender::new(false));
    let client = |_| loop_create(service.clone(), token.clone(), ended.subscribe(), entered.clone());
    let clients: JoinSet<()> = (0..CLIENTS).map(client).collect();
    if !matches!(kind, LoopToken::Dated) {
        entered.subscribe().wait_for(|entered| *entered).await.unwrap();
    }
    end_once(&service, &user_id, end, &token).await;
    ended.send_replace(true);
    clients.join_all().await;
    for route in ["GET /sessions/current", "GET /sessions/my-sessions", "DELETE /sessions/logout"] {
        Call::of(route).token(&token).send(&service).await.problem(401, "session_ended");
    }
    let list = service.get(&format!("/sessions/user/{user_id}"), &admin_token()).await;
    assert_eq!(list.text, "[]", "{kind:?} {end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_of_an_ended_session_gets_in_while_clients_loop_create() {
    let rounds = env::var("RACE_ROUNDS").map_or(LOOP_ROUNDS, |rounds| rounds.parse().unwrap());
    let service = Arc::new(Service::with(&[("ACTIVITY_INTERVAL_SECONDS", "0")]).await);
    let lane = |lane| {
        let service = service.clone();
        async move {
            for round in (lane..rounds).step_by(LANES) {
                loop_round(service.clone(), round).await;
            }
        }
    };
    (0..LANES).map(lane).collect::<JoinSet<()>>().join_all().await;
}
