//! Random lives of a user's sessions, on a real engine and in a model that is simple enough to be believed.

use crate::support::*;
use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sessions::session::Timestamp;
use sessions::session::{EndReason, Policy, Session, SessionId, Termination, UserId, later};
use sessions::store::SessionStore;

const CAP: usize = 3;
const LIFETIME: i64 = 10 * 3600;
const IDLE: i64 = 3 * 3600;
const INTERVAL: i64 = 300;

/// What happens next; the numbers choose among what is there.
#[derive(Clone, Debug)]
enum Step {
    SignIn { device: usize },
    End { which: usize },
    EndAll { keep: Option<usize> },
    Activity { which: usize },
    Pass { seconds: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    let moments = [1, INTERVAL - 1, INTERVAL, 3600, IDLE - 1, IDLE, LIFETIME - 1, LIFETIME];
    prop_oneof![
        4 => (0..5_usize).prop_map(|device| Step::SignIn { device }),
        2 => (0..20_usize).prop_map(|which| Step::End { which }),
        1 => prop::option::of(0..20_usize).prop_map(|keep| Step::EndAll { keep }),
        3 => (0..20_usize).prop_map(|which| Step::Activity { which }),
        3 => prop::sample::select(moments.to_vec()).prop_map(|seconds| Step::Pass { seconds }),
    ]
}

/// A session as the model sees it.
#[derive(Clone, Debug, PartialEq)]
struct Modelled {
    id: SessionId,
    device: usize,
    last_activity: Timestamp,
    expires_at: Timestamp,
    ended: Option<(Timestamp, EndReason)>,
}

/// All sessions of a user, oldest first.
#[derive(Default)]
struct Model(Vec<Modelled>);

impl Model {
    fn expire(&mut self, now: Timestamp) {
        for session in self.0.iter_mut().filter(|session| session.ended.is_none()) {
            let deadline = later(session.last_activity, TimeDelta::seconds(IDLE)).min(session.expires_at);
            if deadline <= now {
                session.ended = Some((deadline, EndReason::Expired));
            }
        }
    }

    fn live(&mut self) -> impl Iterator<Item = &mut Modelled> {
        self.0.iter_mut().filter(|session| session.ended.is_none())
    }

    fn sign_in(&mut self, id: SessionId, device: usize, now: Timestamp) -> Vec<SessionId> {
        let expires_at = later(now, TimeDelta::seconds(LIFETIME));
        let known = self.live().find(|session| session.device == device).map(|session| session.id);
        for session in self.live().filter(|session| session.device == device) {
            (session.last_activity, session.expires_at) = (now, expires_at);
        }
        if known.is_none() {
            self.0.push(Modelled { id, device, last_activity: now, expires_at, ended: None });
        }
        let own = known.unwrap_or(id);
        let over = self.live().count().saturating_sub(CAP);
        let evicted: Vec<_> = self.live().filter(|session| session.id != own).take(over).collect();
        let end = |session: &mut Modelled| {
            session.ended = Some((now, EndReason::Evicted));
            session.id
        };
        evicted.into_iter().map(end).collect()
    }

    fn end(&mut self, id: SessionId, now: Timestamp) {
        for session in self.live().filter(|session| session.id == id) {
            session.ended = Some((now, EndReason::RevokedByAdmin));
        }
    }

    fn end_all(&mut self, keep: Option<SessionId>, now: Timestamp) {
        for session in self.live().filter(|session| Some(session.id) != keep) {
            session.ended = Some((now, EndReason::LogoutAll));
        }
    }

    fn activity(&mut self, id: SessionId, now: Timestamp) {
        for session in self.live().filter(|session| session.id == id) {
            if now >= later(session.last_activity, TimeDelta::seconds(INTERVAL)) {
                session.last_activity = now;
            }
        }
    }
}

/// A user of the real thing, and the model of it.
struct Life {
    store: SessionStore,
    user: UserId,
    now: Timestamp,
    model: Model,
}

impl Life {
    fn named(&self, which: usize) -> Option<SessionId> {
        (!self.model.0.is_empty()).then(|| self.model.0[which % self.model.0.len()].id)
    }

    fn ending(&self, reason: EndReason) -> Termination {
        Termination { at: self.now, by: Some(user("1")), reason, note: None }
    }

    async fn step(&mut self, step: &Step) {
        // Time always moves a little, so that ids tell the order of sign-ins.
        self.now = later(self.now, TimeDelta::milliseconds(1));
        self.model.expire(self.now);
        match *step {
            Step::Pass { seconds } => self.now = later(self.now, TimeDelta::seconds(seconds)),
            Step::SignIn { device } => self.sign_in(device).await,
            Step::End { which } => self.end(which).await,
            Step::EndAll { keep } => self.end_all(keep.and_then(|which| self.named(which))).await,
            Step::Activity { which } => self.activity(which).await,
        }
        self.model.expire(self.now);
        self.compare().await;
    }

    async fn sign_in(&mut self, device: usize) {
        let mut new = new_session(self.user.as_str(), &format!("device {device}"), self.now);
        new.identity = fingerprint(&self.user, &[device as u8]);
        let signed_in = self.store.sign_in(&new, self.now).await.unwrap().unwrap();
        assert_eq!(signed_in.evicted, self.model.sign_in(new.id, device, self.now));
        assert_eq!(signed_in.refreshed, signed_in.session.id != new.id);
        assert!(self.model.live().count() <= CAP);
    }

    async fn end(&mut self, which: usize) {
        let Some(id) = self.named(which) else { return };
        let was_live = self.model.live().any(|session| session.id == id);
        let end =
            self.store.end(&self.user, id, &self.ending(EndReason::RevokedByAdmin)).await.unwrap().unwrap();
        self.model.end(id, self.now);
        assert_eq!(end.first, was_live);
    }

    async fn end_all(&mut self, keep: Option<SessionId>) {
        let mut expected: Vec<_> = self.model.live().map(|session| session.id).collect();
        expected.retain(|id| Some(*id) != keep);
        expected.reverse();
        let ended = end_all(&self.store, &self.user, keep, &self.ending(EndReason::LogoutAll)).await;
        self.model.end_all(keep, self.now);
        assert_eq!(ended.iter().map(|session| session.id).collect::<Vec<_>>(), expected);
    }

    async fn activity(&mut self, which: usize) {
        let Some(id) = self.named(which) else { return };
        let seen = self.store.session(&self.user, id).await.unwrap().unwrap();
        if seen.is_live_at(self.now, self.store.policy()) {
            self.store.record_activity(&seen, "198.51.100.2", self.now).await.unwrap().unwrap();
        }
        self.model.activity(id, self.now);
    }

    async fn compare(&mut self) {
        let real = |session: &Session| Modelled {
            id: session.id,
            device: 0,
            last_activity: session.last_activity,
            expires_at: session.expires_at,
            ended: session
                .termination(self.now, self.store.policy())
                .map(|ending| (ending.at, ending.reason)),
        };
        let mut expected: Vec<_> = self.model.0.iter().map(|s| Modelled { device: 0, ..s.clone() }).collect();
        expected.reverse();
        let history = self.store.history(&self.user, None, 100).await.unwrap();
        assert_eq!(history.sessions.iter().map(real).collect::<Vec<_>>(), expected);
        expected.retain(|session| session.ended.is_none());
        let open = self.store.user_sessions(&self.user).await.unwrap();
        assert_eq!(open.live(self.now, self.store.policy()).map(real).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn the_store_behaves_like_the_model() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let policy = Policy {
        max_sessions: CAP,
        lifetime: TimeDelta::seconds(LIFETIME),
        idle_timeout: Some(TimeDelta::seconds(IDLE)),
        history: TimeDelta::hours(24),
        activity_interval: TimeDelta::seconds(INTERVAL),
    };
    let store = runtime.block_on(async { database().await.store(policy) });
    let config = Config { cases: 60, failure_persistence: None, ..Config::default() };
    let lives = prop::collection::vec(step(), 1..40);
    let outcome = TestRunner::new(config).run(&lives, |steps| {
        let user = user(&format!("{:016x}", fastrand::u64(..)));
        let mut life = Life { store: store.clone(), user, now: at(0), model: Model::default() };
        runtime.block_on(async {
            for step in &steps {
                life.step(step).await;
            }
        });
        Ok(())
    });
    outcome.unwrap();
}
