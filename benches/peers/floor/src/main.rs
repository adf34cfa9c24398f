//! The floor of `cargo bench --bench lambda`: lambda_http and a response that is always the same.

use lambda_http::{Error, Request, Response, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(async |_: Request| Ok::<_, Error>(Response::new("[]".to_owned())))).await
}
