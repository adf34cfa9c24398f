//! One call of each endpoint. Every test that tours all routes takes its calls from here.

use super::{Call, NEVER, admin_token, service_token, user_token};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// User 74, about their own sessions.
    User,
    /// User 1, about the sessions of user 74.
    Admin,
    /// A back end, about the sessions of user 74.
    Service,
}

use Role::{Admin, Service, User};

/// A call that an endpoint accepts.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The method and the path, such as `GET /sessions/current`.
    pub route: &'static str,
    pub query: &'static str,
    pub body: Option<&'static str>,
    /// Those who may use the endpoint.
    pub roles: &'static [Role],
}

const fn sample(route: &'static str, roles: &'static [Role]) -> Sample {
    Sample { route, query: "", body: None, roles }
}

const SIGN_IN: Option<&str> = Some(r#"{"device_fingerprint": "fingerprint of a sample"}"#);

pub const SAMPLES: &[Sample] = &[
    sample("GET /sessions", &[Admin]),
    sample("GET /sessions/user/{user_id}", &[Admin]),
    Sample { body: SIGN_IN, ..sample("POST /sessions/user/{user_id}", &[Service]) },
    sample("DELETE /sessions/user/{user_id}", &[Admin, Service]),
    Sample {
        body: Some(r#"{"reason": "a stolen phone"}"#),
        ..sample("POST /sessions/user/{user_id}/lock", &[Admin, Service])
    },
    sample("DELETE /sessions/user/{user_id}/lock", &[Admin]),
    sample("GET /sessions/user/{user_id}/session/{session_id}", &[Admin, Service]),
    sample("DELETE /sessions/user/{user_id}/session/{session_id}", &[Admin, Service]),
    sample("POST /sessions/user/{user_id}/session/{session_id}/activity", &[Service]),
    Sample { query: "user_id=74", ..sample("GET /sessions/summary", &[Admin, Service]) },
    Sample { body: Some(r#"{"user_ids": [74]}"#), ..sample("POST /sessions/end", &[Admin, Service]) },
    Sample { body: SIGN_IN, ..sample("POST /sessions/create", &[User]) },
    sample("GET /sessions/current", &[User]),
    sample("GET /sessions/my-sessions", &[User]),
    sample("GET /sessions/session/{session_id}", &[User]),
    sample("DELETE /sessions/session/{session_id}", &[User]),
    sample("DELETE /sessions/logout", &[User]),
    sample("DELETE /sessions/logout-all", &[User]),
    sample("GET /sessions/active-devices-count", &[User]),
    sample("POST /sessions/update-activity", &[User]),
];

impl Sample {
    pub fn of(route: &str) -> &'static Self {
        SAMPLES.iter().find(|sample| sample.route == route).unwrap()
    }

    pub fn is_for(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether it tells or does something about other users.
    pub fn is_for_staff(&self) -> bool {
        !self.is_for(User)
    }

    /// Whether it is a call of the service role only.
    pub fn is_for_services(&self) -> bool {
        self.roles == [Service]
    }

    /// The code with which a user is refused.
    pub fn refusal(&self) -> &'static str {
        if self.is_for_services() { "service_only" } else { "admin_only" }
    }

    pub fn method(&self) -> &'static str {
        self.route.split_once(' ').unwrap().0
    }

    /// The path and the query.
    pub fn target(&self, session: &str) -> String {
        let path = self.route.split_once(' ').unwrap().1.replace("{user_id}", "74");
        format!("{}?{}", path.replace("{session_id}", session), self.query)
    }

    /// A token of one of those who may use the endpoint.
    pub fn token(&self) -> String {
        token_of(self.roles[0])
    }

    /// The call, about this session where it is about one.
    pub fn call(&self, session: &str) -> Call {
        let call = Call::new(self.method(), &self.target(session));
        match self.body {
            Some(body) => call.body(body),
            None => call,
        }
    }

    /// The call of somebody who may make it, about a session that does not exist.
    pub fn good(&self) -> Call {
        self.call(NEVER).token(&self.token())
    }
}

pub fn token_of(role: Role) -> String {
    match role {
        User => user_token("74"),
        Admin => admin_token(),
        Service => service_token(),
    }
}
