//! The session service behind an admin panel: it keeps the sessions of all users, lists them, and ends them.
//!
//! A request flows one way: `main` → [`http`] → [`auth`], [`store`], [`device`] → [`session`].
//! 1. `main` takes an event from Lambda and gives it to [`http::App::answer`] with the time.
//! 2. [`http`] finds the endpoint in one table, [`auth`] verifies the token and names the caller, [`http::access`] decides
//!    what the caller may do, and the handler parses the rest of the request.
//! 3. [`store`] reads and writes the one DynamoDB table, by the rules of [`session`]. [`device`] names devices.
//! 4. The handler's answer, or the problem that ended it, becomes the response. [`telemetry`] logs and counts it.
//!
//! [`config`] reads the environment once and composes the settings that `auth`, `store` and `session` own.
//!
//! These invariants always hold:
//! 1. After a sign-in, under any concurrency, a user has at most `MAX_SESSIONS` live sessions.
//! 2. An ended session never becomes live again, and no list that starts after the answer shows it.
//! 3. After the answer to a termination, every token that names the session or was bound to it is refused on every route,
//!    and opens nothing, in any interleaving. After an end-all, so is every unbound token that was issued until then.
//! 4. The first receipt wins. Repeating a termination changes nothing and succeeds.
//! 5. End-all ends every session that is live at one instant. A racing sign-in is wholly before or wholly after it.
//! 6. Nobody learns whether another user's session exists, and nothing of a target reaches a caller who may not see it.
//! 7. A list is one round trip deep, and its read units follow the live sessions only.
//! 8. A failure is never reported as a success: there is no partial list and no unreported half-done termination.
//! 9. No input makes the process crash or stop answering.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod auth;
pub mod config;
pub mod device;
pub mod http;
pub mod session;
pub mod store;
pub mod telemetry;
mod text;
