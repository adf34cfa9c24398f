//! What a sign-in does to the other sessions of its user.

use super::device::DeviceIdentity;
use super::id::{SessionId, UserId};
use super::record::{Policy, Session};
use super::termination::{EndReason, Termination};
use super::time::Timestamp;

/// What a sign-in does to the open sessions of its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInPlan<'o> {
    /// The live session of the same device. It is refreshed, and no second session is opened.
    pub refresh: Option<&'o Session>,
    /// The sessions that end, oldest first: those over the cap, and those that have expired.
    pub endings: Vec<(&'o Session, Termination)>,
}

impl<'o> SignInPlan<'o> {
    /// Plans the sign-in of `user` on the device with this identity. `open` is sorted newest first. A session is refreshed
    /// only if it is still live at `lands_by`, when the refresh has been written.
    pub fn new(
        user: &UserId,
        device: &DeviceIdentity,
        open: &'o [Session],
        now: Timestamp,
        lands_by: Timestamp,
        policy: &Policy,
    ) -> Self {
        let same_device = |session: &&Session| device.same_device(&session.identity);
        let refresh = open.iter().filter(|session| session.is_live_at(lands_by, policy)).find(same_device);
        let mut room = policy.max_sessions.saturating_sub(1);
        let evicted = Termination { at: now, by: Some(user.clone()), reason: EndReason::Evicted, note: None };
        let end = |session: &'o Session| match session.termination(now, policy) {
            Some(expired) => Some((session, expired)),
            None if room == 0 => Some((session, evicted.not_before(session.created_at))),
            None => {
                room -= 1;
                None
            }
        };
        let is_another = |session: &&Session| refresh.is_none_or(|refresh| refresh.id != session.id);
        let mut endings: Vec<_> = open.iter().filter(is_another).filter_map(end).collect();
        endings.reverse();
        Self { refresh, endings }
    }

    /// The live sessions that end because of the cap, oldest first.
    pub fn evicted(&self) -> impl Iterator<Item = SessionId> {
        self.endings
            .iter()
            .filter(|(_, termination)| termination.reason == EndReason::Evicted)
            .map(|(session, _)| session.id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{at, fingerprint, policy, session, user};
    use super::*;

    proptest! {
        #[test]
        fn a_sign_in_leaves_room_and_ends_the_oldest(
            ages in prop::collection::vec(0_i64..150, 0..12),
            max in 1_usize..5,
            device in 0_i64..150,
        ) {
            let mut created: Vec<_> = ages.iter().map(|age| 150 - age).collect();
            created.sort_unstable();
            created.dedup();
            created.reverse();
            let open: Vec<_> = created.iter().map(|hour| session(*hour, *hour)).collect();
            let (now, policy) = (at(150), policy(max, None));
            let plan = SignInPlan::new(&user(), &fingerprint(device), &open, now, now, &policy);

            let ended = |id| plan.endings.iter().any(|(ended, _)| ended.id == id);
            let refresh = plan.refresh.map(|session| session.id);
            let kept: Vec<_> = open.iter().filter(|session| !ended(session.id)).collect();
            let live = open.iter().filter(|session| session.is_live_at(now, &policy)).count();
            prop_assert!(kept.iter().all(|session| session.is_live_at(now, &policy)));
            let known = open.iter().find(|s| s.created_at == at(device) && s.is_live_at(now, &policy));
            prop_assert_eq!(refresh, known.map(|session| session.id));
            // With the new session the user has as many as the cap allows, or all that were live.
            let others = kept.iter().filter(|session| Some(session.id) != refresh).count();
            let live_others = live - usize::from(refresh.is_some());
            prop_assert_eq!(others, live_others.min(max - 1));
            // Each session that stays, except the device's own, is newer than each evicted one.
            for evicted in plan.evicted() {
                prop_assert!(kept.iter().all(|session| session.id > evicted || Some(session.id) == refresh));
            }
        }
    }
}
