//! Every transaction of the service, with every proper subset of its items visible, while other requests of the same user
//! run. Each runs to its answer, or until it waits; then the whole transaction becomes visible, all who waited get their
//! answers, and every promise is checked.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::thread;

use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use sessions::http::Event;
use tokio::runtime::Builder;

use super::requests::Caller::{Admin, Authorizer, User};
use super::requests::{Caller, KEYS, Key, Request, Transaction, device_of, request, sign_in};
use super::{CAP, MANY};
use crate::support::visibility::{HalfVisible, Snapshot};
use crate::support::world::State;
use crate::support::*;

/// When the transaction begins, in seconds after the start. What follows comes a second later each.
const BEGIN: i64 = 100;

/// A session of nobody.
const NOBODYS: &str = "01900000-0000-7000-8000-000000000000";

/// Which of the functions answers what.
const HELD: usize = 0;
const FIRST: usize = 1;
const BETWEEN: usize = 2;
const CHECK: usize = 3;

/// The error says which promise is broken.
type Check = Result<(), String>;

/// What came back, of a request or of the authorizer.
#[derive(Clone, Debug)]
struct Answer {
    status: u64,
    body: Value,
}

type Sent<'s> = Pin<Box<dyn Future<Output = Answer> + 's>>;

/// The items of a user before a transaction, the sessions among them, and the live ones, oldest first.
struct World {
    items: Vec<Value>,
    ids: HashSet<String>,
    live: Vec<String>,
}

/// Functions on one engine: the first makes the transaction, the others come after it.
struct Stage {
    engine: HalfVisible,
    functions: [Service; 4],
    /// Whether tokens name sessions of an identity provider.
    is_of_provider: bool,
    /// The ends of cases that have been looked at.
    ends: RefCell<HashSet<String>>,
}

impl Stage {
    async fn new(cap: usize, is_of_provider: bool) -> Self {
        let engine = HalfVisible::new().await;
        let cap = cap.to_string();
        let mut settings = vec![("MAX_SESSIONS", cap.as_str()), ("ACTIVITY_INTERVAL_SECONDS", "0")];
        if is_of_provider {
            settings.extend([("PROVIDER_SESSION_CLAIM", "psid"), ("SESSION_ID_CLAIM", "own")]);
        }
        let function = |after| Service { now: at(BEGIN + after), ..engine.service(&settings) };
        let functions = [0, 1, 2, 3].map(function);
        Self { engine, functions, is_of_provider, ends: RefCell::default() }
    }

    fn admin(&self) -> String {
        match self.is_of_provider {
            true => token_with("1", json!({"role": "admin", "psid": "session of the admin"})),
            false => admin_token(),
        }
    }

    /// The token that opened the session of this number.
    fn opener_of(&self, number: usize) -> String {
        let name = opener(number);
        if self.is_of_provider { provider_token(&name, &name, START) } else { named_token("74", &name) }
    }

    async fn world(&self, transaction: &Transaction) -> World {
        self.engine.set_items(&[]);
        let service = &self.functions[HELD];
        let mut live = Vec::new();
        for number in 0..transaction.sessions + usize::from(transaction.newest_has_ended) {
            let body = device_of(&number.to_string());
            live.push(service.post("/sessions/create", &self.opener_of(number), body).await.id());
        }
        if transaction.newest_has_ended {
            let newest = format!("/sessions/user/74/session/{}", live.pop().unwrap());
            service.delete(&newest, &self.admin()).await.ok();
        }
        let items = self.engine.items();
        let ids = State::new(&items).sessions().map(|(id, _)| id.to_owned()).collect();
        World { items, ids, live }
    }
}

/// The name of what opened the session of this number.
fn opener(number: usize) -> String {
    format!("opener-{number}")
}

/// A token of a session of the provider, for which user 74 signed in there at `auth_time`.
fn provider_token(name: &str, psid: &str, auth_time: i64) -> String {
    let claims = json!({"jti": name, "psid": psid, "auth_time": auth_time, "iat": START + BEGIN + 1});
    token_with("74", claims)
}

/// One case: what happens beside a transaction of which a part is visible.
struct Case<'c> {
    stage: &'c Stage,
    world: &'c World,
    transaction: &'c Transaction,
    /// The session that the case is about: the one that the transaction opens, or else the first one.
    subject: Option<String>,
    promises: Promises,
    /// The requests that wait for their answers, and whether their token had to be out when they began.
    waiting: Vec<(Request, bool, Sent<'c>)>,
}

/// What the answers so far have promised.
#[derive(Default, PartialEq)]
struct Promises {
    /// Sessions that are over.
    ended: BTreeSet<String>,
    /// Sessions that were opened.
    opened: BTreeSet<String>,
    /// Whether the provider's session of the opener was signed out there.
    logged_out_at_provider: bool,
    /// Tokens that have logged out.
    logged_out: Vec<Key>,
    /// Whether all unbound tokens that were issued before are refused.
    is_cut_off: bool,
}

/// A transaction that is decided, with all its items hidden.
struct Begun {
    snapshot: Snapshot,
    subject: Option<String>,
    items: usize,
    /// What its caller gets when everything is visible; `None` if more transactions follow it.
    answer: Option<Answer>,
}

impl<'c> Case<'c> {
    fn new(stage: &'c Stage, world: &'c World, transaction: &'c Transaction) -> Self {
        let subject = world.live.first().cloned();
        Self { stage, world, transaction, subject, promises: Promises::default(), waiting: Vec::new() }
    }

    /// Makes the transaction, and hides all of it.
    async fn begin(&mut self) -> Result<Sent<'c>, String> {
        let engine = &self.stage.engine;
        engine.set_items(&self.world.items);
        let mut held = self.send(HELD, &self.transaction.by);
        engine.hold(self.transaction.number);
        if let Some(answer) = engine.run_until_held(held.as_mut()).await {
            return Err(format!("it made no such transaction: {answer:?}"));
        }
        let items = engine.held();
        let mut sessions = items.iter().filter_map(|sk| sk.strip_prefix("session#"));
        let opened = sessions.find(|id| !self.world.ids.contains(*id)).map(str::to_owned);
        self.subject = opened.or(self.subject.take());
        Ok(held)
    }

    /// Begins once for all cases.
    async fn begun(mut self) -> Result<Begun, String> {
        let held = self.begin().await?;
        let engine = &self.stage.engine;
        let (snapshot, items) = (engine.snapshot(), engine.held().len());
        engine.release();
        let answer = held.await;
        let answer = (!self.transaction.is_long()).then_some(answer);
        Ok(Begun { snapshot, subject: self.subject, items, answer })
    }

    async fn run(
        mut self,
        begun: &Begun,
        visible: &[usize],
        beside: &[Request],
        sign_in_between: bool,
    ) -> Check {
        let engine = &self.stage.engine;
        let held = match begun.answer.clone() {
            Some(answer) => {
                engine.restore(&begun.snapshot);
                self.subject = begun.subject.clone();
                Box::pin(ready(answer))
            }
            None => self.begin().await?,
        };
        visible.iter().for_each(|item| engine.show(*item));
        engine.take_calls();
        for request in beside {
            self.meet(FIRST, request).await?;
        }
        if beside.len() == 1 && self.left_no_trace() {
            // What follows is as it is beside the reads.
            return Ok(());
        }
        if sign_in_between {
            self.meet(BETWEEN, &sign_in(Key::Fresh, "between")).await?;
        }
        for key in KEYS {
            if self.is_out(key) {
                self.meet(CHECK, &request(User(key), "GET", "/sessions/my-sessions")).await?;
                self.meet(CHECK, &request(Authorizer(key), "GET", "/")).await?;
            }
        }
        engine.release();
        self.note(&self.transaction.by, &held.await, false)?;
        for (request, was_out, sent) in std::mem::take(&mut self.waiting) {
            self.note(&request, &sent.await, was_out)?;
        }
        self.check().await
    }

    /// Whether what ran so far has written nothing, promised nothing, and does not wait.
    fn left_no_trace(&self) -> bool {
        let reads = ["GetItem", "Query", "TransactGetItems"];
        let has_written = self.stage.engine.take_calls().iter().any(|(call, _)| !reads.contains(&&**call));
        self.waiting.is_empty() && self.promises == Promises::default() && !has_written
    }

    /// Runs a request to its answer, or until it waits.
    async fn meet(&mut self, function: usize, request: &Request) -> Check {
        let was_out = match request.caller {
            User(key) | Authorizer(key) => self.is_out(key),
            Admin | Caller::Service => false,
        };
        let mut sent = self.send(function, request);
        match self.stage.engine.run_until_it_waits(sent.as_mut()).await {
            Some(answer) => self.note(request, &answer, was_out),
            None => {
                self.waiting.push((request.clone(), was_out, sent));
                Ok(())
            }
        }
    }

    fn send(&self, function: usize, request: &Request) -> Sent<'c> {
        let service = &self.stage.functions[function];
        let token = self.token_of(request.caller);
        if matches!(request.caller, Authorizer(_)) {
            return Box::pin(ask_authorizer(service, token));
        }
        let subject = self.subject.as_deref().unwrap_or(NOBODYS);
        let mut call = Call::new(request.method, &request.target.replace("{id}", subject)).token(&token);
        if !request.body.is_null() {
            call = call.body(&request.body.to_string().replace("{opener}", &self.psid()));
        }
        if let Some(key) = request.idempotency_key {
            call = call.header("idempotency-key", key);
        }
        if request.names_session {
            call = call.header("x-session-id", subject);
        }
        // The ids are new in every case, so the tokens that name them are not planted as secrets.
        let event = call.event().to_string();
        Box::pin(async move {
            let reply = service.deliver(&event).await;
            Answer { status: reply.status, body: reply.body }
        })
    }

    /// The session of a token, if it was there before or the transaction opens it.
    fn session_of(&self, key: Key) -> Option<&String> {
        match key {
            // A service signs in without a token of the user.
            Key::Opener
                if self.transaction.by.signs_in() && self.transaction.by.caller == Caller::Service =>
            {
                None
            }
            Key::Opener | Key::Named if self.transaction.by.logs_out_at_provider() => None,
            Key::Opener | Key::Named => self.subject.as_ref(),
            Key::Other => self.world.live.iter().find(|id| Some(*id) != self.subject.as_ref()),
            // A logout by the header binds its token to the session that it ends.
            Key::Fresh if self.transaction.by.names_session => self.subject.as_ref(),
            Key::Fresh | Key::Dated => None,
        }
    }

    fn token_of(&self, caller: Caller) -> String {
        match caller {
            Admin => self.stage.admin(),
            Caller::Service => service_token(),
            User(key) | Authorizer(key) if self.stage.is_of_provider => self.provider_token(key),
            User(key) | Authorizer(key) => self.token(key),
        }
    }

    /// The provider's session of the opener.
    fn psid(&self) -> String {
        let place = self.world.live.iter().position(|each| Some(each) == self.subject.as_ref());
        let by = &self.transaction.by;
        match place {
            _ if self.transaction.signs_in_again() => opener(self.world.live.len()),
            Some(number) if !by.signs_in() && !by.logs_out_at_provider() => opener(number),
            _ => "opener".into(),
        }
    }

    /// A token that says what our sessions say otherwise: the one that names a session is a refreshed one.
    fn provider_token(&self, key: Key) -> String {
        let auth_time = if self.transaction.signs_in_again() { START + BEGIN + 1 } else { START };
        match key {
            Key::Opener => provider_token("opener", &self.psid(), auth_time),
            Key::Named => provider_token("refreshed", &self.psid(), auth_time),
            Key::Other => {
                let other = self.world.live.iter().position(|each| Some(each) == self.session_of(key));
                other.map_or_else(
                    || provider_token("other", "nobody's", START),
                    |number| self.stage.opener_of(number),
                )
            }
            Key::Fresh => token_with("74", json!({"jti": "fresh", "psid": "fresh"})),
            Key::Dated => provider_token("dated", "dated", START + BEGIN),
        }
    }

    fn token(&self, key: Key) -> String {
        let opener = |id: Option<&String>| {
            let place = self.world.live.iter().position(|each| Some(each) == id)?;
            Some(self.stage.opener_of(place))
        };
        match key {
            Key::Opener if self.transaction.by.signs_in() => named_token("74", "opener"),
            Key::Opener | Key::Other => opener(self.session_of(key)).unwrap_or(named_token("74", "nobody's")),
            Key::Named => {
                token_with("74", json!({"jti": "named", "sid": self.subject.as_deref().unwrap_or(NOBODYS)}))
            }
            Key::Fresh => named_token("74", "fresh"),
            Key::Dated => token_with("74", json!({"jti": "dated", "iat": START + BEGIN})),
        }
    }

    /// What an answer promises. A request whose token `was_out` must not succeed.
    fn note(&mut self, request: &Request, answer: &Answer, was_out: bool) -> Check {
        let told = || format!("{}: {} {}", request.name(), answer.status, answer.body);
        match answer.status {
            500.. => return Err(told()),
            300.. => return Ok(()),
            _ if was_out => return Err(format!("must be out: {}", told())),
            _ if request.is_dry_run() || request.method == "GET" => return Ok(()),
            _ => {}
        }
        let id = |session: &Value| session["id"].as_str().map(str::to_owned);
        let list = |name: &str| answer.body[name].as_array().into_iter().flatten();
        self.promises
            .ended
            .extend(id(&answer.body["session"]).into_iter().chain(list("sessions").filter_map(id)));
        self.promises.ended.extend(list("evicted").filter_map(|id| Some(id.as_str()?.to_owned())));
        if request.signs_in() {
            self.promises.opened.extend(id(&answer.body));
        }
        match request.caller {
            User(key) if request.logs_out() => self.promises.logged_out.push(key),
            _ if request.logs_out_at_provider() => {
                self.promises.ended.extend(self.session_of(Key::Opener).cloned());
                self.promises.logged_out_at_provider = true;
            }
            caller if request.ends_all() => self.note_end_all(caller, request.keeps_own()),
            _ => {}
        }
        Ok(())
    }

    /// An end-all ends every session that was live, or that the transaction opened, before it began.
    fn note_end_all(&mut self, caller: Caller, keeps_own: bool) {
        let kept = match caller {
            User(key) if keeps_own => self.session_of(key),
            _ => None,
        };
        let before = self.world.live.iter().chain(self.subject.as_ref());
        let ended: Vec<_> = before.filter(|id| Some(*id) != kept).cloned().collect();
        self.promises.ended.extend(ended);
        self.promises.is_cut_off = true;
    }

    /// Whether the token must be refused by now.
    fn is_out(&self, key: Key) -> bool {
        let session_is_over = self.session_of(key).is_some_and(|id| self.promises.ended.contains(id));
        let is_cut_off = key == Key::Dated && self.promises.is_cut_off;
        let is_of_opener = matches!(key, Key::Opener | Key::Named);
        let is_out_at_provider = self.promises.logged_out_at_provider && is_of_opener;
        session_is_over || is_out_at_provider || is_cut_off || self.promises.logged_out.contains(&key)
    }

    /// The promises, when everything is visible and everybody has an answer.
    async fn check(&self) -> Check {
        let items = self.stage.engine.items();
        let (state, before) = (State::new(&items), State::new(&self.world.items));
        let cap = if self.transaction.is_long() { MANY } else { CAP };
        catch_unwind(AssertUnwindSafe(|| state.check(&before, cap))).map_err(|_| "the table".to_owned())?;
        if let Some(id) = self.promises.ended.iter().find(|id| !state.has_ended(id)) {
            return Err(format!("{id} was said to be over, and is not"));
        }
        let ids: BTreeSet<_> = state.sessions().map(|(id, _)| id.to_owned()).collect();
        if let Some(id) = self.promises.opened.difference(&ids).next() {
            return Err(format!("{id} was said to be opened, and is not there"));
        }
        // What the routes answer follows from the table and the tokens, so each such end is looked at once.
        if !self.stage.ends.borrow_mut().insert(self.end(&items, &ids)) {
            return Ok(());
        }
        let live = ids.into_iter().filter(|id| !state.has_ended(id)).collect();
        self.check_list(&live).await?;
        for key in KEYS {
            self.check_token(key, &live).await?;
        }
        Ok(())
    }

    /// The items and what else decides the answers, with names for the ids of sessions, in their order.
    fn end(&self, items: &[Value], ids: &BTreeSet<String>) -> String {
        let mut items: Vec<_> = items.iter().map(Value::to_string).collect();
        items.sort();
        let out: Vec<_> = KEYS.into_iter().map(|key| (self.is_out(key), self.session_of(key))).collect();
        let all = format!("{} {items:?} {out:?}", self.transaction.name);
        ids.iter().enumerate().fold(all, |all, (number, id)| all.replace(id, &format!("session {number}")))
    }

    async fn check_list(&self, live: &BTreeSet<String>) -> Check {
        let list = self.send(CHECK, &request(Admin, "GET", "/sessions/user/74")).await;
        let listed = list.body.as_array().ok_or("no list")?.iter();
        let listed: BTreeSet<_> = listed.map(|session| session["id"].as_str().unwrap().to_owned()).collect();
        if listed == *live { Ok(()) } else { Err(format!("{listed:?} is listed, {live:?} is live")) }
    }

    async fn check_token(&self, key: Key, live: &BTreeSet<String>) -> Check {
        let session = self.session_of(key);
        if self.is_out(key) || session.is_some_and(|id| !live.contains(id)) {
            for attempt in [
                request(User(key), "GET", "/sessions/my-sessions"),
                request(Authorizer(key), "GET", "/"),
                sign_in(key, "latest"),
            ] {
                let answer = self.send(CHECK, &attempt).await;
                if answer.status != 401 {
                    return Err(format!("must be out: {} {answer:?}", attempt.name()));
                }
            }
        } else if let Some(id) = session {
            let current = self.send(CHECK, &request(User(key), "GET", "/sessions/current")).await;
            if current.body["id"] != **id {
                return Err(format!("{key:?} belongs to {id}, and gets {current:?}"));
            }
        }
        Ok(())
    }
}

/// The answer of the authorizer: 200 or 401.
async fn ask_authorizer(service: &Service, token: String) -> Answer {
    let event = json!({
        "version": "2.0", "type": "REQUEST", "identitySource": [format!("Bearer {token}")],
        "headers": {"authorization": format!("Bearer {token}")}, "requestContext": {"requestId": "request-1"},
    });
    let event: Event = serde_json::from_str(&event.to_string()).unwrap();
    match service.app.answer(LambdaEvent::new(event, service.invocation()), service.now).await {
        Ok(answer) => {
            let body = serde_json::to_value(answer).unwrap();
            Answer { status: if body["isAuthorized"] == true { 200 } else { 401 }, body }
        }
        Err(error) => Answer { status: 500, body: error.to_string().into() },
    }
}

/// The items that are visible: each proper subset; of a long transaction, some.
fn subsets(items: usize) -> Vec<Vec<usize>> {
    if items > 6 {
        return vec![vec![0], (0..items / 2).collect(), (1..items).collect()];
    }
    let subset = |bits: usize| (0..items).filter(|item| bits & (1 << item) != 0).collect();
    (0..(1 << items) - 1).map(subset).collect()
}

/// Runs every `share`th case from `first` on; returns their number and the failures.
async fn run_share(first: usize, share: usize) -> (usize, Vec<String>) {
    let _quiet = tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::new());
    let stages = [Stage::new(CAP, false).await, Stage::new(MANY, false).await, Stage::new(CAP, true).await];
    let (mut cases, mut failures) = (0, Vec::new());
    for transaction in Transaction::all() {
        let stage = if transaction.is_of_provider { 2 } else { usize::from(transaction.is_long()) };
        let (stage, name) = (&stages[stage], transaction.name);
        let world = stage.world(&transaction).await;
        let begun = match Case::new(stage, &world, &transaction).begun().await {
            Ok(begun) => begun,
            Err(failure) => {
                failures.push(format!("{name}: {failure}"));
                continue;
            }
        };
        let beside = transaction.beside();
        let each = subsets(begun.items).into_iter().flat_map(|visible| {
            let beside = beside.iter().flat_map(|beside| [(beside, false), (beside, true)]);
            beside.map(move |(beside, between)| (visible.clone(), beside, between))
        });
        for (visible, beside, between) in each.skip(first).step_by(share) {
            cases += beside.len();
            let case = Case::new(stage, &world, &transaction);
            if let Err(failure) = case.run(&begun, &visible, beside, between).await {
                let beside = if beside.len() == 1 { beside[0].name() } else { "the reads".into() };
                let between = if between { ", a sign-in between" } else { "" };
                let items = begun.items;
                failures.push(format!("{name} {visible:?} of {items}, {beside}{between}: {failure}"));
            }
        }
    }
    (cases, failures)
}

#[test]
fn the_promises_hold_in_every_order() {
    let share = thread::available_parallelism().map_or(1, usize::from);
    let worker = |first| {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        thread::spawn(move || runtime.block_on(run_share(first, share)))
    };
    let workers: Vec<_> = (0..share).map(worker).collect();
    let (mut cases, mut failures) = (0, Vec::new());
    for worker in workers {
        let (ran, failed) = worker.join().unwrap();
        cases += ran;
        failures.extend(failed);
    }
    println!("{cases} cases");
    let some = &failures[..failures.len().min(40)];
    assert!(failures.is_empty(), "{} of {cases} fail:\n{}", failures.len(), some.join("\n"));
    assert!(cases > 15_000, "{cases}");
}
