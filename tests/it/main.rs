//! The tests of the whole service, in one binary: a module a subject. `cargo test admin` runs the module `admin`.

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod attack;
mod audit;
mod auth;
mod authorizer;
mod aws_config;
mod bulk;
mod crash;
mod edge;
mod events;
mod faults;
mod fuzz;
mod golden;
mod interleaving;
mod isolation;
mod leaks;
mod metrics;
mod model;
mod openapi;
mod own;
mod policy;
mod provider_sessions;
mod providers;
mod race;
mod route;
mod search;
mod service;
mod start;
mod store;
mod template;
mod tls;
mod token_sessions;
mod ttl;
mod visibility;
