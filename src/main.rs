//! The cold start: log, settings, clients, warm-up, and then the loop that takes events from Lambda.

use std::io::{Write, stdout};
use std::panic;

use chrono::Utc;
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use sessions::config::Config;
use sessions::http::{App, Event};
use sessions::session::SessionId;
use sessions::store::{SessionStore, client};
use sessions::telemetry::log;
use sessions::telemetry::metrics::Metrics;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::subscriber::set_global_default(log::json_lines(stdout))?;
    panic::set_hook(Box::new(log::log_panic));
    let config = Config::from_env().inspect_err(|error| tracing::error!(%error, "cannot start"))?;
    // Every sign-in needs random numbers, so a system without them must not start.
    SessionId::generate(Utc::now()).inspect_err(|error| tracing::error!(%error, "cannot start"))?;
    let (function, version) = (config.function.clone(), config.version.clone());
    let metrics = Metrics::default();
    metrics.add("ColdStarts", 1.0);
    let client = client::from_environment(&config.database.timeouts).await;
    let store = SessionStore::new(client, &config.database, config.policy.clone(), metrics.clone());
    let app = &App::new(config, store, metrics.clone());
    let fetching = app.clone();
    // Nobody waits for the keys here: a request does if it needs them.
    tokio::spawn(async move { fetching.fetch_keys(Utc::now()).await });
    app.warm_up().await;
    // The start has a line of its own, so that its reads do not count as the first request's.
    let print_metrics = || print_line(metrics.flush(&function, &version, Utc::now()));
    print_metrics();
    let print_metrics = &print_metrics;
    let answer = |event: LambdaEvent<Event>| async move {
        let answer = app.answer(event, Utc::now()).await;
        print_metrics();
        answer.map_err(Error::from)
    };
    // `lambda_runtime::run` would add a span of its own, whose fields no line shows.
    Runtime::new(service_fn(answer)).run().await
}

fn print_line(line: Option<String>) {
    if let Some(line) = line {
        // A request does not fail because its metrics cannot be written.
        let _lost = writeln!(stdout(), "{line}");
    }
}
