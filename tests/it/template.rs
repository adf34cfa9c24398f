//! template.yaml against the code: what the gateway lets through is what the function answers.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::support::*;
use serde_norway::Value;
use sessions::http::access::Access;
use sessions::http::endpoint::{ENDPOINTS, Endpoint};

fn template() -> Value {
    serde_norway::from_str(include_str!("../../template.yaml")).unwrap()
}

fn function() -> Value {
    template()["Resources"]["Function"]["Properties"].clone()
}

#[test]
fn the_gateway_has_the_routes_of_the_contract() {
    let events = function()["Events"].as_mapping().unwrap().clone();
    let part = |event: &Value, name: &str| event["Properties"][name].as_str().unwrap().to_owned();
    let keys = events.values().map(|event| format!("{} {}", part(event, "Method"), part(event, "Path")));
    assert_eq!(events.len(), ENDPOINTS.len());
    assert_eq!(BTreeSet::from_iter(keys), ENDPOINTS.iter().map(route).collect());
}

#[test]
fn the_function_can_start_with_the_environment_it_gets() {
    let variables = function()["Environment"]["Variables"].as_mapping().unwrap().clone();
    let parameters = template()["Parameters"].clone();
    let default = |name: &str| -> Option<String> {
        let Value::Tagged(tagged) = variables.get(name)? else { return None };
        match &parameters[tagged.value.as_str().unwrap_or_default()]["Default"] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            // The table's name, and the secrets, which hang on a condition.
            _ => Some("what-CloudFormation-puts-here-32-bytes".into()),
        }
    };
    let lambda = |name: &str| name.starts_with("AWS_").then(|| "from Lambda".to_owned());
    let read = RefCell::new(BTreeSet::new());
    let variable = |name: &str| {
        read.borrow_mut().insert(name.to_owned());
        default(name).or_else(|| lambda(name))
    };
    let from_template = sessions::config::Config::from_vars(&variable).unwrap();
    // Some are read in one mode only.
    let jwks = keys::set(&[]);
    let jwks = keys::settings(&jwks);
    let in_the_other_mode = |name: &str| {
        let default = variable(name);
        jwks.iter().find(|(each, _)| *each == name).map(|(_, value)| (*value).into()).or(default)
    };
    let _keyless = sessions::config::Config::from_vars(&in_the_other_mode);
    let on_its_own = settings(&nowhere(), &[]);
    assert_eq!(from_template.policy, on_its_own.policy, "the defaults of both are the same");
    let given: BTreeSet<_> = variables.keys().map(|name| name.as_str().unwrap().to_owned()).collect();
    assert_eq!(given.difference(&read.into_inner()).collect::<Vec<_>>(), [""; 0], "nobody reads these");
}

fn route(endpoint: &Endpoint) -> String {
    format!("{} {}", endpoint.method, endpoint.path)
}

/// A provider has no token, and so no call of its own beside the others.
#[test]
fn every_endpoint_with_a_bearer_token_has_one_sample_call() {
    let endpoints = ENDPOINTS.iter().filter(|each| each.access != Access::Provider).map(route);
    assert_eq!(endpoints.collect::<Vec<_>>(), *ROUTES);
}
