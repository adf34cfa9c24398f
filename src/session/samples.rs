//! Sessions for the unit tests.

use chrono::{DateTime, TimeDelta};

use super::*;

pub fn policy(max_sessions: usize, idle_hours: Option<i64>) -> Policy {
    Policy {
        max_sessions,
        lifetime: TimeDelta::hours(100),
        idle_timeout: idle_hours.map(TimeDelta::hours),
        history: TimeDelta::hours(24),
        activity_interval: TimeDelta::seconds(300),
        not_before: None,
    }
}

pub fn at(hour: i64) -> Timestamp {
    later(DateTime::UNIX_EPOCH, TimeDelta::hours(hour))
}

pub fn user() -> UserId {
    UserId::parse("74").unwrap()
}

pub fn fingerprint(of: i64) -> DeviceIdentity {
    let fingerprint = Some(Digest::of(&user(), "fingerprint", &of.to_be_bytes()));
    DeviceIdentity {
        fingerprint,
        browser: Some("Firefox".into()),
        platform: Some("Linux".into()),
        kind: DeviceType::Web,
        user_agent: None,
    }
}

pub fn session(created: i64, active: i64) -> Session {
    Session {
        id: SessionId::new(at(created), [0; 10]),
        user_id: user(),
        device: Device { name: "x".into(), kind: DeviceType::Web, browser: "x".into(), os: "x".into() },
        ip_address: "192.0.2.1".into(),
        location: None,
        signed_in_ip: "192.0.2.1".into(),
        created_at: at(created),
        last_activity: at(active),
        expires_at: at(created + 100),
        terminated: None,
        identity: fingerprint(created),
    }
}
