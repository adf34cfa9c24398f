//! The transactions of the service, and the requests that run beside them. All are about user 74.

use serde_json::{Value, json};

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Caller {
    Admin,
    Service,
    /// User 74.
    User(Key),
    /// An API behind the authorizer, with a token of user 74.
    Authorizer(Key),
}

/// A token of user 74.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Key {
    /// The one that opens, or has opened, the session that the case is about.
    Opener,
    /// It names the session that the case is about.
    Named,
    /// It has opened another session.
    Other,
    /// It has opened nothing, and does not say when it was issued.
    Fresh,
    /// It has opened nothing, and was issued when the transaction began.
    Dated,
}

use Caller::{Admin, Authorizer, Service, User};

pub const KEYS: [Key; 5] = [Key::Opener, Key::Named, Key::Other, Key::Fresh, Key::Dated];

/// A request. `{opener}` in the body is the provider's session of the token that is called so, and `{id}` in the target is the session that the case is about.
#[derive(Clone, Debug)]
pub struct Request {
    pub caller: Caller,
    pub method: &'static str,
    pub target: &'static str,
    pub body: Value,
    pub idempotency_key: Option<&'static str>,
    /// Whether the header names the session that the case is about.
    pub names_session: bool,
}

pub fn request(caller: Caller, method: &'static str, target: &'static str) -> Request {
    Request { caller, method, target, body: Value::Null, idempotency_key: None, names_session: false }
}

pub fn sign_in(key: Key, device: &str) -> Request {
    request(User(key), "POST", "/sessions/create").body(device_of(device))
}

/// The body of a sign-in on this device.
pub fn device_of(device: &str) -> Value {
    json!({"device_fingerprint": format!("fingerprint-of-{device}")})
}

/// What a provider that has signed the user out says, as its webhook does.
fn log_out_at_provider() -> Request {
    let body = json!({"user_id": "74", "provider_session": "{opener}"});
    request(Service, "POST", "/sessions/end").body(body)
}

fn sign_in_by_service() -> Request {
    request(Service, "POST", "/sessions/user/74").body(device_of("new"))
}

impl Request {
    fn body(self, body: Value) -> Self {
        Self { body, ..self }
    }

    fn with_key(self) -> Self {
        Self { idempotency_key: Some("a-key"), ..self }
    }

    fn naming_session(self) -> Self {
        Self { names_session: true, ..self }
    }

    pub fn name(&self) -> String {
        let header = if self.names_session { " with the header" } else { "" };
        format!("{:?} {} {} {}{header}", self.caller, self.method, self.target, self.body)
    }

    pub fn signs_in(&self) -> bool {
        self.body["device_fingerprint"].is_string()
    }

    pub fn logs_out(&self) -> bool {
        self.target == "/sessions/logout"
    }

    pub fn logs_out_at_provider(&self) -> bool {
        self.body["provider_session"].is_string()
    }

    /// Whether it ends all sessions, or all but the caller's.
    pub fn ends_all(&self) -> bool {
        let path = self.target.split('?').next().unwrap();
        let ends = ["/sessions/end", "/sessions/logout-all"].contains(&path);
        let of_all = !self.is_dry_run() && !self.logs_out_at_provider();
        of_all && (ends || (self.method, path) == ("DELETE", "/sessions/user/74"))
    }

    pub fn keeps_own(&self) -> bool {
        self.target.ends_with("exclude_current=true")
    }

    pub fn is_dry_run(&self) -> bool {
        self.target.ends_with("dry_run=true") || self.body["dry_run"] == true
    }
}

/// A transaction of the service.
pub struct Transaction {
    pub name: &'static str,
    /// How many live sessions the user has before.
    pub sessions: usize,
    /// Whether the session that was opened last has ended by itself.
    pub newest_has_ended: bool,
    /// Whether tokens name sessions of an identity provider.
    pub is_of_provider: bool,
    /// What makes the transaction.
    pub by: Request,
    /// Which of its transactions it is.
    pub number: usize,
}

impl Transaction {
    fn new(name: &'static str, sessions: usize, by: Request) -> Self {
        Self { name, sessions, newest_has_ended: false, is_of_provider: false, by, number: 0 }
    }

    fn of_provider(self) -> Self {
        Self { is_of_provider: true, ..self }
    }

    /// Whether a person who has authenticated again signs in with the provider's session of the one that has ended.
    pub fn signs_in_again(&self) -> bool {
        self.is_of_provider && self.newest_has_ended
    }

    /// Whether the user has more sessions than the cap allows.
    pub fn is_long(&self) -> bool {
        self.sessions > super::CAP
    }

    pub fn all() -> Vec<Self> {
        let end_all = || request(Admin, "DELETE", "/sessions/user/74");
        let keep_own = || request(User(Key::Named), "DELETE", "/sessions/logout-all?exclude_current=true");
        let logout = || request(User(Key::Fresh), "DELETE", "/sessions/logout").naming_session();
        let after_an_ending = |name, by| Self { newest_has_ended: true, ..Self::new(name, 2, by) };
        // These fill a transaction, or need two.
        let long = |sessions, number| Self { number, ..Self::new("end-all of many", sessions, end_all()) };
        vec![
            Self::new("first sign-in", 0, sign_in(Key::Opener, "new")),
            Self::new("sign-in", 2, sign_in(Key::Opener, "new")),
            after_an_ending("sign-in after an ending", sign_in(Key::Opener, "new")),
            Self::new("sign-in with eviction", 3, sign_in(Key::Opener, "new")),
            Self::new("refresh", 2, sign_in(Key::Opener, "0")),
            Self::new("service's sign-in", 2, sign_in_by_service()),
            Self::new("service's sign-in with a key", 2, sign_in_by_service().with_key()),
            Self::new("end-all of nothing", 0, end_all()),
            Self::new("end-all of one", 1, end_all()),
            Self::new("end-all of two", 2, end_all()),
            Self::new("end-all of three", 3, end_all()),
            after_an_ending("end-all after an ending", end_all()),
            Self::new("end-all but one", 3, keep_own()),
            Self::new("logout that binds", 2, logout()),
            long(98, 0),
            long(99, 0),
            long(100, 0),
            long(100, 1),
            Self::new("provider's first sign-in", 0, sign_in(Key::Opener, "new")).of_provider(),
            Self::new("provider's sign-in", 2, sign_in(Key::Opener, "new")).of_provider(),
            Self::new("provider's sign-in with eviction", 3, sign_in(Key::Opener, "new")).of_provider(),
            after_an_ending("provider's sign-in again", sign_in(Key::Opener, "new")).of_provider(),
            Self::new("provider's end-all", 2, end_all()).of_provider(),
            Self::new("provider's logout that binds", 2, logout()).of_provider(),
            Self::new("logout at the provider", 2, log_out_at_provider()).of_provider(),
        ]
    }

    /// The requests that run beside it, each alone; all that change nothing are together.
    pub fn beside(&self) -> Vec<Vec<Request>> {
        let mut writes = if self.is_long() { few_writes() } else { writes() };
        writes.extend(self.is_of_provider.then(log_out_at_provider));
        writes.into_iter().map(|write| vec![write]).chain([reads()]).collect()
    }
}

/// The requests that change nothing.
fn reads() -> Vec<Request> {
    let staff = |caller| {
        [
            request(caller, "GET", "/sessions/user/74/session/{id}"),
            request(caller, "GET", "/sessions/summary?user_id=74"),
            request(caller, "DELETE", "/sessions/user/74?dry_run=true"),
            request(caller, "POST", "/sessions/end").body(json!({"user_ids": ["74"], "dry_run": true})),
        ]
    };
    let own = |key| {
        [
            request(User(key), "GET", "/sessions/current"),
            request(User(key), "GET", "/sessions/my-sessions"),
            request(User(key), "GET", "/sessions/my-sessions?include_inactive=true"),
            request(User(key), "GET", "/sessions/session/{id}"),
            request(User(key), "GET", "/sessions/active-devices-count"),
            request(Authorizer(key), "GET", "/"),
        ]
    };
    let lists = ["/sessions/user/74", "/sessions/user/74?include_inactive=true"];
    let lists = lists.map(|target| request(Admin, "GET", target));
    let all = [Admin, Service].into_iter().flat_map(staff);
    lists.into_iter().chain(all).chain(KEYS.into_iter().flat_map(own)).collect()
}

/// The requests that may change something.
fn writes() -> Vec<Request> {
    let staff = |caller| {
        [
            request(caller, "DELETE", "/sessions/user/74/session/{id}"),
            request(caller, "DELETE", "/sessions/user/74"),
            request(caller, "POST", "/sessions/end").body(json!({"user_ids": ["74"]})),
        ]
    };
    let own = |key| {
        [
            sign_in(key, "new"),
            sign_in(key, "0"),
            request(User(key), "DELETE", "/sessions/session/{id}"),
            request(User(key), "DELETE", "/sessions/logout"),
            request(User(key), "DELETE", "/sessions/logout-all"),
            request(User(key), "DELETE", "/sessions/logout-all?exclude_current=true"),
            request(User(key), "POST", "/sessions/update-activity"),
        ]
    };
    let fresh = |method, target| request(User(Key::Fresh), method, target).naming_session();
    let others = [
        sign_in_by_service(),
        sign_in_by_service().with_key(),
        request(Service, "POST", "/sessions/user/74/session/{id}/activity").body(json!({})),
        fresh("DELETE", "/sessions/logout"),
        fresh("DELETE", "/sessions/logout-all?exclude_current=true"),
        fresh("POST", "/sessions/update-activity"),
    ];
    let all = [Admin, Service].into_iter().flat_map(staff);
    all.chain(KEYS.into_iter().flat_map(own)).chain(others).collect()
}

/// The writes that run beside a transaction with many items.
fn few_writes() -> Vec<Request> {
    vec![
        request(Admin, "DELETE", "/sessions/user/74/session/{id}"),
        request(Admin, "DELETE", "/sessions/user/74"),
        request(User(Key::Opener), "DELETE", "/sessions/logout"),
        request(User(Key::Named), "DELETE", "/sessions/logout-all?exclude_current=true"),
        sign_in(Key::Fresh, "new"),
        sign_in(Key::Fresh, "0"),
    ]
}
