//! The session and its policy: when it ends by itself, and whether it is live.

use chrono::TimeDelta;

use super::device::{Device, DeviceIdentity};
use super::id::{SessionId, UserId};
use super::origin::{Location, Origin};
use super::termination::{EndReason, Termination};
use super::time::{Timestamp, later};

/// How long sessions last, and how many a user may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The highest number of live sessions that a user has after a sign-in; at least 1.
    pub max_sessions: usize,
    /// The time from sign-in to the end of the session.
    pub lifetime: TimeDelta,
    /// The time from the last activity to the end of the session; `None` sets no such limit.
    pub idle_timeout: Option<TimeDelta>,
    /// The time from the end of a session until its record may be deleted.
    pub history: TimeDelta,
    /// The shortest time between two writes of a session's activity.
    pub activity_interval: TimeDelta,
    /// Sessions that began before this time are over, and so are unbound tokens up to it. It is never in the future.
    pub not_before: Option<Timestamp>,
}

/// One sign-in on one device. Its record may say that it is open after its time is over: ask
/// [`Session::termination`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The session's id.
    pub id: SessionId,
    /// The user who signed in.
    pub user_id: UserId,
    /// The device that signed in.
    pub device: Device,
    /// The IP address where the device was last seen.
    pub ip_address: String,
    /// The place of that address, if it is known.
    pub location: Option<Location>,
    /// The IP address where the session was opened.
    pub signed_in_ip: String,
    /// When the session began.
    pub created_at: Timestamp,
    /// When the device was last seen, exact to the activity interval.
    pub last_activity: Timestamp,
    /// When the session's lifetime is over.
    pub expires_at: Timestamp,
    /// How it ended, if that was written.
    pub terminated: Option<Termination>,
    /// What identifies its device at the next sign-in.
    pub identity: DeviceIdentity,
}

impl Session {
    /// When the session ends by itself: at the end of its lifetime or of its idle time, or when everybody was signed out,
    /// whichever comes first.
    pub fn deadline(&self, policy: &Policy) -> Timestamp {
        self.end(policy).0
    }

    fn end(&self, policy: &Policy) -> (Timestamp, EndReason) {
        let idle = policy.idle_timeout.map(|idle| later(self.last_activity, idle));
        let expires = idle.map_or(self.expires_at, |idle| idle.min(self.expires_at));
        match policy.not_before.filter(|not_before| self.created_at < *not_before) {
            Some(not_before) if not_before < expires => (not_before, EndReason::EndedForEverybody),
            _ => (expires, EndReason::Expired),
        }
    }

    /// How the session ended; `None` while it is live. A session whose deadline has passed has expired, even if
    /// nobody has written that yet.
    pub fn termination(&self, now: Timestamp, policy: &Policy) -> Option<Termination> {
        self.terminated.clone().or_else(|| {
            let (at, reason) = self.end(policy);
            (now >= at).then_some(Termination { at, by: None, reason, note: None })
        })
    }

    /// The place of a device that is now seen at `origin`: a place that was known stays known while the address does.
    pub fn location_at<'a>(&'a self, origin: &'a Origin) -> Option<&'a Location> {
        let known = self.location.as_ref().filter(|_| origin.ip_address == self.ip_address);
        origin.location.as_ref().or(known)
    }

    /// Whether the session can be used at `now`.
    pub fn is_live_at(&self, now: Timestamp, policy: &Policy) -> bool {
        self.terminated.is_none() && now < self.deadline(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{at, policy, session, user};
    use super::*;

    #[test]
    fn a_session_is_over_at_its_deadline_and_not_before() {
        let session = session(0, 10);
        for (idle, deadline) in [(None, 100), (Some(5), 15), (Some(90), 100), (Some(200), 100)] {
            let policy = policy(3, idle);
            assert_eq!(session.deadline(&policy), at(deadline));
            assert!(session.is_live_at(later(at(deadline), TimeDelta::milliseconds(-1)), &policy));
            assert!(!session.is_live_at(at(deadline), &policy));
            let ending = session.termination(at(deadline), &policy).unwrap();
            assert_eq!((ending.reason, ending.at, ending.by), (EndReason::Expired, at(deadline), None));
        }
    }

    #[test]
    fn a_session_that_began_before_everybody_was_signed_out_is_over() {
        let policy = Policy { not_before: Some(at(10)), ..policy(3, Some(5)) };
        let ending = |created, active| {
            session(created, active).termination(at(50), &policy).map(|end| (end.at, end.reason))
        };
        assert_eq!(ending(0, 9), Some((at(10), EndReason::EndedForEverybody)));
        assert_eq!(ending(0, 49), Some((at(10), EndReason::EndedForEverybody)), "activity does not keep it");
        assert_eq!(ending(0, 4), Some((at(9), EndReason::Expired)), "it had expired before");
        assert_eq!(ending(10, 49), None);
        assert!(!session(9, 49).is_live_at(at(50), &policy) && session(10, 49).is_live_at(at(50), &policy));
    }

    #[test]
    fn a_place_stays_with_its_address() {
        let (tashkent, berlin) = (Location::new("Tashkent"), Location::new("Berlin"));
        let known = Session { location: tashkent.clone(), ..session(0, 0) };
        let at = |ip: &str, location| Origin { ip_address: ip.into(), location };
        let cases = [
            (at("192.0.2.1", None), tashkent),
            (at("192.0.2.1", berlin.clone()), berlin.clone()),
            (at("203.0.113.9", berlin.clone()), berlin),
            (at("203.0.113.9", None), None),
        ];
        for (origin, expected) in cases {
            assert_eq!(known.location_at(&origin), expected.as_ref(), "{origin:?}");
        }
    }

    #[test]
    fn a_receipt_outlasts_the_deadline() {
        let receipt = Termination { at: at(1), by: Some(user()), reason: EndReason::Logout, note: None };
        let ended = Session { terminated: Some(receipt.clone()), ..session(0, 0) };
        assert_eq!(ended.termination(at(500), &policy(3, Some(1))), Some(receipt));
        assert!(!ended.is_live_at(at(0), &policy(3, None)));
    }
}
