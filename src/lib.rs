//! The session service behind an admin panel: who is signed in where, and the end of it.
//!
//! A request flows one way: `main` → [`http`] → [`auth`], [`store`], [`device`] → [`session`].
//! [`http`] parses an API Gateway event into a typed route, [`auth`] tells who is calling, [`store`] reads and
//! writes the one DynamoDB table, [`session`] holds the types and the rules and knows neither.
//!
//! What always holds:
//! 1. After a sign-in, under any concurrency, a user has at most `MAX_SESSIONS` live sessions.
//! 2. An ended session never becomes live again, and no list that starts after the answer shows it.
//! 3. The first receipt wins; repeating an ending changes nothing and succeeds.
//! 4. End-all ends every session that is live at one instant; a racing sign-in is wholly before or after it.
//! 5. Nobody learns whether another user's session exists.
//! 6. Listing costs one round trip, and read units that follow the live sessions alone.
//! 7. A failure is never a success: no partial list, no unreported half-done revoke.
//! 8. No input makes the process crash or stop answering.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod auth;
pub mod config;
pub mod device;
pub mod http;
pub mod log;
pub mod metrics;
pub mod session;
pub mod store;
