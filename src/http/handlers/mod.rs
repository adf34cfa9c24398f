//! The handlers of the endpoints: free functions of the service and a request.

pub mod admin;
pub mod authorizer;
pub mod end;
pub mod list;
pub mod me;
pub mod provider;
pub mod search;
pub mod service;
mod sign_in;
pub mod summary;
