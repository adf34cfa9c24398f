//! Locks: users who are kept out.

use super::id::UserId;
use super::termination::Note;
use super::time::Timestamp;

/// Keeps a user out: nobody gets in as this user, whatever token or password they have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Who locked the user.
    pub by: UserId,
    /// When that was.
    pub at: Timestamp,
    /// When it is over; `None` if somebody has to lift it.
    pub until: Option<Timestamp>,
    /// Why, in the words of the person who locked the user.
    pub note: Option<Note>,
}

impl Lock {
    /// Whether the user is kept out at `now`. The clocks of two processes may differ, so the beginning does not count.
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Whether this one lasts longer than `other`.
    pub fn outlasts(&self, other: &Self) -> bool {
        other.until.is_some_and(|end| self.holds_at(end))
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{at, user};
    use super::*;

    fn lock(until: Option<i64>) -> Lock {
        Lock { by: user(), at: at(5), until: until.map(at), note: None }
    }

    #[test]
    fn a_lock_holds_until_its_end() {
        let holds = |until| [0, 7, 8, 9].map(|hour| lock(until).holds_at(at(hour)));
        assert_eq!(holds(Some(8)), [true, true, false, false]);
        assert_eq!(holds(None), [true; 4]);
    }

    #[test]
    fn a_lock_outlasts_one_that_ends_earlier() {
        let outlasts = |one, other| lock(one).outlasts(&lock(other));
        assert!(outlasts(Some(8), Some(7)) && outlasts(None, Some(7)));
        assert!(!outlasts(Some(7), Some(7)) && !outlasts(Some(7), None) && !outlasts(None, None));
    }
}
