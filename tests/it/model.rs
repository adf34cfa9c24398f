//! Random lives of a user's sessions and tokens, on a real engine and in a simple model.

use crate::support::*;
use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sessions::session::Timestamp;
use sessions::session::{
    Clock, EndReason, Policy, Session, SessionId, Sid, SignInKey, Termination, Token, UserId, later,
};
use sessions::store::{NewSession, SessionStore, TokenSession};

const CAP: usize = 3;
const LIFETIME: i64 = 10 * 3600;
const IDLE: i64 = 3 * 3600;
const INTERVAL: i64 = 300;

/// What happens next; the numbers choose among what is there.
#[derive(Clone, Debug)]
enum Step {
    /// The back end issues a token, which may say when, and may name a session.
    Issue {
        says_when: bool,
        names: Option<usize>,
    },
    SignIn {
        device: usize,
        token: usize,
    },
    End {
        which: usize,
    },
    EndAll {
        keep: Option<usize>,
    },
    /// A user logs out with this token, whose session is inferred.
    LogOut {
        which: usize,
        token: usize,
    },
    Activity {
        which: usize,
    },
    Pass {
        seconds: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let moments = [1, INTERVAL - 1, INTERVAL, 3600, IDLE - 1, IDLE, LIFETIME - 1, LIFETIME];
    prop_oneof![
        4 => (any::<bool>(), prop::option::weighted(0.3, 0..20_usize))
            .prop_map(|(says_when, names)| Step::Issue { says_when, names }),
        6 => (0..5_usize, 0..4_usize).prop_map(|(device, token)| Step::SignIn { device, token }),
        2 => (0..20_usize).prop_map(|which| Step::End { which }),
        1 => prop::option::of(0..20_usize).prop_map(|keep| Step::EndAll { keep }),
        1 => (0..20_usize, 0..20_usize).prop_map(|(which, token)| Step::LogOut { which, token }),
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

/// A token as the model sees it.
#[derive(Clone, Copy, Debug)]
struct ModelledToken {
    token: Token,
    /// The session that it names, or else the one that was opened with it.
    session: Option<SessionId>,
}

/// All sessions and tokens of a user, oldest first.
#[derive(Default)]
struct Model {
    sessions: Vec<Modelled>,
    tokens: Vec<ModelledToken>,
    not_before: Option<i64>,
}

impl Model {
    /// A token dies with its session, and an unbound one with the end of all sessions.
    fn session_of(&mut self, token: &ModelledToken) -> TokenSession {
        match token.session {
            Some(id) if self.live().any(|session| session.id == id) => TokenSession::Live(id),
            Some(_) => TokenSession::Ended,
            None if token.token.authenticated_at.is_some_and(|at| Some(at) <= self.not_before) => {
                TokenSession::Ended
            }
            None => TokenSession::Unbound,
        }
    }

    fn expire(&mut self, now: Timestamp) {
        for session in self.sessions.iter_mut().filter(|session| session.ended.is_none()) {
            if deadline(session) <= now {
                session.ended = Some((deadline(session), EndReason::Expired));
            }
        }
    }

    fn live(&mut self) -> impl Iterator<Item = &mut Modelled> {
        self.sessions.iter_mut().filter(|session| session.ended.is_none())
    }

    fn sign_in(&mut self, id: SessionId, device: usize, now: Timestamp) -> Vec<SessionId> {
        let expires_at = later(now, TimeDelta::seconds(LIFETIME));
        let known = self
            .live()
            .find(|session| session.device == device && !is_late(session, now))
            .map(|session| session.id);
        for session in self.live().filter(|session| Some(session.id) == known) {
            (session.last_activity, session.expires_at) = (now, expires_at);
        }
        if known.is_none() {
            self.sessions.push(Modelled { id, device, last_activity: now, expires_at, ended: None });
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
        for session in self.live().filter(|session| session.id == id && !is_late(session, now)) {
            if now >= later(session.last_activity, TimeDelta::seconds(INTERVAL)) {
                session.last_activity = now;
            }
        }
    }
}

fn deadline(session: &Modelled) -> Timestamp {
    later(session.last_activity, TimeDelta::seconds(IDLE)).min(session.expires_at)
}

/// Whether a write at `now` might come after the session's deadline.
fn is_late(session: &Modelled, now: Timestamp) -> bool {
    deadline(session) <= later(now, TimeDelta::from_std(PATIENT.call).unwrap())
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
        let sessions = &self.model.sessions;
        (!sessions.is_empty()).then(|| sessions[which % sessions.len()].id)
    }

    /// The place of a token, counted from the newest one.
    fn token(&self, which: usize) -> Option<usize> {
        let count = self.model.tokens.len();
        (count > 0).then(|| count - 1 - which % count)
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
            Step::Issue { says_when, names } => self.issue(says_when, names),
            Step::SignIn { device, token } => self.sign_in(device, token).await,
            Step::End { which } => self.end(which).await,
            Step::EndAll { keep } => self.end_all(keep.and_then(|which| self.named(which))).await,
            Step::LogOut { which, token } => self.log_out(which, token).await,
            Step::Activity { which } => self.activity(which).await,
        }
        self.model.expire(self.now);
        self.compare().await;
        // All of them after every step would take too long.
        if let Some(token) = self.token(fastrand::usize(..100)) {
            self.compare_token(token).await;
        }
    }

    fn issue(&mut self, says_when: bool, names: Option<usize>) {
        let session = names.and_then(|which| self.named(which));
        let issued_at = says_when.then(|| self.now.timestamp());
        let mut token = token_named(self.user.as_str(), &format!("{}", self.model.tokens.len()), issued_at);
        token.sid = session.map_or(Sid::Absent, Sid::Session);
        self.model.tokens.push(ModelledToken { token, session });
    }

    async fn sign_in(&mut self, device: usize, token: usize) {
        let Some(place) = self.token(token) else { return };
        let token = self.model.tokens[place];
        let mut new = new_session(self.user.as_str(), &format!("device {device}"), self.now);
        new = NewSession {
            identity: fingerprint(&self.user, &[device as u8]),
            key: SignInKey::Token(token.token),
            ..new
        };
        let signed_in = self.store.sign_in(&new, Clock::start(self.now)).await.unwrap();
        match self.model.session_of(&token) {
            TokenSession::Ended => assert!(signed_in.is_err(), "{token:?} got in"),
            TokenSession::Live(id) => {
                let signed_in = signed_in.unwrap();
                self.model.activity(id, self.now);
                let seen = (signed_in.session.id, signed_in.refreshed, signed_in.evicted.len());
                assert_eq!(seen, (id, true, 0), "the token's session, on whatever device");
            }
            TokenSession::Unbound => {
                let signed_in = signed_in.unwrap();
                assert_eq!(signed_in.evicted, self.model.sign_in(new.id, device, self.now));
                assert_eq!(signed_in.refreshed, signed_in.session.id != new.id);
                self.model.tokens[place].session = Some(signed_in.session.id);
            }
        }
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
        self.cut_off().await;
    }

    async fn log_out(&mut self, which: usize, token: usize) {
        let (Some(session), Some(place)) = (self.named(which), self.token(token)) else { return };
        let token = self.model.tokens[place];
        let is_live = self.model.live().any(|live| live.id == session);
        if !is_live || self.model.session_of(&token) != TokenSession::Unbound {
            return;
        }
        let (ending, clock) = (self.ending(EndReason::RevokedByAdmin), Clock::start(self.now));
        let ended = self.store.end_and_bind(&self.user, session, &token.token, &ending, clock).await;
        assert!(ended.unwrap().unwrap().first);
        self.model.end(session, self.now);
        self.model.tokens[place].session = Some(session);
        self.compare_token(place).await;
    }

    /// Takes the cut-off from the table, because the real clock runs during an end-all, and checks it.
    async fn cut_off(&mut self) {
        let not_before = self.store.profile(&self.user).await.unwrap().unwrap().not_before;
        assert!(not_before >= Some(self.now.timestamp()).max(self.model.not_before));
        assert!(not_before <= Some(self.now.timestamp() + 60).max(self.model.not_before));
        self.model.not_before = not_before;
    }

    async fn compare_token(&mut self, place: usize) {
        let token = self.model.tokens[place];
        let caller = self.store.caller_sessions(&self.user, &token.token, self.now).await.unwrap();
        assert_eq!(caller.token, self.model.session_of(&token), "{token:?}");
    }

    async fn compare_tokens(&mut self) {
        for place in 0..self.model.tokens.len() {
            self.compare_token(place).await;
        }
    }

    async fn activity(&mut self, which: usize) {
        let Some(id) = self.named(which) else { return };
        let seen = self.store.session(&self.user, id).await.unwrap().unwrap();
        if seen.is_live_at(self.now, self.store.policy()) {
            self.store
                .record_activity(&seen, &origin("198.51.100.2"), Clock::start(self.now))
                .await
                .unwrap()
                .unwrap();
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
        let mut expected: Vec<_> =
            self.model.sessions.iter().map(|s| Modelled { device: 0, ..s.clone() }).collect();
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
        not_before: None,
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
            life.compare_tokens().await;
        });
        Ok(())
    });
    outcome.unwrap();
}
