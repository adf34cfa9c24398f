//! From what Lambda delivers to a request, and from a response to what Lambda takes.
//!
//! lambda_http panics on some events before a handler sees them (a raw space in the query string, a URI over
//! 64 KB, a bad Host) and cannot read others. Those are answered too: 400, and the process lives on.

use std::panic::catch_unwind;

use jiff::Timestamp;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use lambda_http::lambda_runtime::LambdaEvent;
use lambda_http::request::LambdaRequest;
use lambda_http::{Body, Request, RequestExt, Response};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::App;
use super::problem::Problem;

/// An event as Lambda delivers it; `None` inside when it is no request that can be read.
#[derive(Debug)]
pub struct Event(Option<Box<LambdaRequest>>);

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str(raw.get()).ok()))
    }
}

impl Event {
    fn into_request(self) -> Option<Request> {
        let event = self.0?;
        catch_unwind(|| Request::from(*event)).ok()
    }
}

impl App {
    /// Answers an event at `now`, whatever it holds.
    pub async fn answer(&self, event: LambdaEvent<Event>, now: Timestamp) -> ApiGatewayV2httpResponse {
        let LambdaEvent { payload, context } = event;
        let response = match payload.into_request() {
            Some(request) => self.handle(&request.with_lambda_context(context), now).await,
            None => self.refuse(
                Problem::bad_request("bad_event", "The request could not be read"),
                &context.request_id,
            ),
        };
        into_gateway_response(response)
    }
}

fn into_gateway_response(response: Response<Body>) -> ApiGatewayV2httpResponse {
    let (parts, body) = response.into_parts();
    let mut answer = ApiGatewayV2httpResponse::default();
    answer.status_code = i64::from(parts.status.as_u16());
    answer.headers = parts.headers;
    answer.body = Some(body);
    answer
}
