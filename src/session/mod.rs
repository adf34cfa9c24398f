//! The domain: users, sessions, how sessions end, and the rules for all of them. This module knows no database and no HTTP.

mod device;
mod digest;
mod filter;
mod id;
mod lock;
mod origin;
mod plan;
mod record;
#[cfg(test)]
mod samples;
mod termination;
mod time;
mod token;

pub use device::{Device, DeviceIdentity, DeviceType, Fingerprint};
pub use digest::Digest;
pub use filter::{Fragment, SessionFilter};
pub use id::{InvalidSessionId, InvalidUserId, NoRandomNumbers, SessionId, USER_ID_MAX, UserId};
pub use lock::Lock;
pub use origin::{LOCATION_MAX, Location, Origin};
pub use plan::SignInPlan;
pub use record::{Policy, Session};
pub use termination::{EndReason, InvalidNote, NOTE_MAX, Note, Termination};
pub use time::{Clock, LATEST_SECOND, Timestamp, later, to_millisecond};
pub use token::{InvalidProviderSession, ProviderSession, Sid, SignInKey, Token};
