//! The handlers of the endpoints: free functions of the service and a request.

pub mod admin;
pub mod authorizer;
pub mod bulk;
pub mod list;
pub mod lock;
pub mod me;
pub mod search;
pub mod service;
mod sign_in;
