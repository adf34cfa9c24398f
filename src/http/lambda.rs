//! Events in and answers out: what Lambda delivers becomes a request, and a response becomes what Lambda takes.
//!
//! lambda_http panics on some events before a handler sees them (a raw space in the query string, a URI over 64 KB, a
//! bad Host), and cannot read others. The service answers those with 400 too, and the process lives on.

use std::panic::catch_unwind;

use lambda_http::aws_lambda_events::apigw::{ApiGatewayV2httpRequestContext, ApiGatewayV2httpResponse};
use lambda_http::request::{LambdaRequest, RequestContext as EventContext};
use lambda_http::{Body, Request, RequestExt, Response};
use lambda_runtime::LambdaEvent;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::App;
use super::problem::{Code, Problem};
use crate::session::Timestamp;

/// An event as Lambda delivers it. It holds `None` when it is not a request that can be read.
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
    /// Answers an event that arrived at `now`. Every event gets an answer.
    pub async fn answer(&self, event: LambdaEvent<Event>, now: Timestamp) -> ApiGatewayV2httpResponse {
        let LambdaEvent { payload, context } = event;
        let response = match payload.into_request() {
            Some(request) => self.handle(&request.with_lambda_context(context), now).await,
            None => {
                let problem = Problem::new(Code::BadEvent, "The request could not be read");
                self.refuse(problem, &context.request_id)
            }
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

/// What API Gateway says about the request.
pub(super) fn gateway_context(request: &Request) -> Option<&ApiGatewayV2httpRequestContext> {
    match request.request_context_ref()? {
        EventContext::ApiGatewayV2(context) => Some(context),
        _ => None,
    }
}

/// The id that API Gateway gave the request, or else the id that the Lambda runtime gave the event.
pub(super) fn request_id(request: &Request) -> String {
    gateway_context(request)
        .and_then(|context| context.request_id.clone())
        .or_else(|| request.lambda_context_ref().map(|context| context.request_id.clone()))
        .unwrap_or_default()
}
