//! The cold start: settings, store, a first read, and the loop that takes events from Lambda.

use std::io::{Write, stdout};
use std::panic;

use jiff::Timestamp;
use lambda_http::lambda_runtime::{self, Error, LambdaEvent, service_fn};
use sessions::config::Config;
use sessions::http::{App, Event};
use sessions::log;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::subscriber::set_global_default(log::lines(stdout))?;
    panic::set_hook(Box::new(log::panicked));
    let config = Config::from_env().inspect_err(|error| tracing::error!(%error, "cannot start"))?;
    let app = &App::new(config);
    app.prime().await;
    let answer = |event: LambdaEvent<Event>| async move {
        let answer = app.answer(event, Timestamp::now()).await;
        if let Some(line) = app.take_metrics(Timestamp::now()) {
            // Metrics that cannot be written are no reason to fail a request.
            let _lost = writeln!(stdout(), "{line}");
        }
        Ok::<_, Error>(answer)
    };
    lambda_runtime::run(service_fn(answer)).await
}
