//! Events in and answers out: what Lambda delivers becomes a request or an authorizer's event, and the answer becomes what
//! Lambda takes.
//!
//! lambda_http panics on some events before a handler sees them (a raw space in the query string, a URI over 64 KB, a
//! bad Host), and cannot read others. The service answers those with 400 too, and the process lives on.

use std::panic::catch_unwind;

use lambda_http::aws_lambda_events::apigw::{
    ApiGatewayProxyResponse, ApiGatewayV2httpRequest, ApiGatewayV2httpResponse,
};
use lambda_http::request::LambdaRequest;
use lambda_http::{Body, Context, Request, RequestExt, Response};
use lambda_runtime::LambdaEvent;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::app::App;
use super::handlers::authorizer::{self, AuthorizerAnswer, AuthorizerError};
use super::problem::{Code, Problem};
use crate::session::Timestamp;

/// An event as Lambda delivers it.
#[derive(Debug)]
pub enum Event {
    /// A request to this service's API. It is `None` when it cannot be read.
    Request(Option<Box<ApiGatewayV2httpRequest>>),
    /// A request with payload format 1.0, which a REST API sends.
    OldFormat,
    /// What the authorizer of another API asks.
    Authorizer(Box<RawValue>),
}

/// The fields that tell one kind of event from another. No client can set them.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct EventFields {
    #[serde(rename = "type")]
    kind: Option<IgnoredAny>,
    route_arn: Option<IgnoredAny>,
    method_arn: Option<IgnoredAny>,
    /// Requests with payload format 1.0 have it at the top level, and those of `cargo lambda watch`, which are of 2.0:
    /// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
    http_method: Option<IgnoredAny>,
    version: Value,
}

/// What a request with payload format 1.0 is answered.
const OLD_FORMAT: &str = "The request came with payload format 1.0; integrate the function with an HTTP API and payload \
                          format 2.0";

/// An answer, as API Gateway takes it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum EventAnswer {
    /// The answer to a request.
    Response(Box<ApiGatewayV2httpResponse>),
    /// The answer to a request with payload format 1.0. API Gateway takes no other fields there.
    OldFormat(Box<ApiGatewayProxyResponse>),
    /// The answer to an authorizer.
    Authorizer(AuthorizerAnswer),
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let fields: EventFields = serde_json::from_str(raw.get()).unwrap_or_default();
        if fields.is_for_authorizer() {
            return Ok(Self::Authorizer(raw));
        }
        if fields.http_method.is_some() && fields.version != "2.0" {
            return Ok(Self::OldFormat);
        }
        Ok(Self::Request(serde_json::from_str(raw.get()).ok()))
    }
}

impl EventFields {
    /// lambda_http would read an authorizer's event about `DELETE /sessions/logout` as that request itself.
    fn is_for_authorizer(&self) -> bool {
        self.kind.is_some() || self.route_arn.is_some() || self.method_arn.is_some()
    }
}

impl App {
    /// Answers an event that arrived at `now`. Every request gets an answer.
    ///
    /// # Errors
    /// [`AuthorizerError`] when an authorizer cannot be answered.
    pub async fn answer(
        &self,
        event: LambdaEvent<Event>,
        now: Timestamp,
    ) -> Result<EventAnswer, AuthorizerError> {
        let LambdaEvent { payload, context } = event;
        match payload {
            Event::Request(request) => {
                let response =
                    self.respond(request.and_then(|event| into_request(*event)), context, now).await;
                Ok(EventAnswer::Response(into_gateway_response(response).into()))
            }
            Event::OldFormat => {
                let problem = Problem::new(Code::BadEvent, OLD_FORMAT);
                let response = self.refuse(problem, &context.request_id);
                Ok(EventAnswer::OldFormat(into_old_format(response).into()))
            }
            Event::Authorizer(event) => authorizer::authorize(self, &event, &context.request_id, now)
                .await
                .map(EventAnswer::Authorizer),
        }
    }

    async fn respond(&self, request: Option<Request>, context: Context, now: Timestamp) -> Response<Body> {
        match request {
            Some(request) => self.handle(&request.with_lambda_context(context), now).await,
            None => {
                let problem = Problem::new(Code::BadEvent, "The request could not be read");
                self.refuse(problem, &context.request_id)
            }
        }
    }
}

fn into_request(event: ApiGatewayV2httpRequest) -> Option<Request> {
    catch_unwind(|| Request::from(LambdaRequest::ApiGatewayV2(event))).ok()
}

fn into_gateway_response(response: Response<Body>) -> ApiGatewayV2httpResponse {
    let (parts, body) = response.into_parts();
    let mut answer = ApiGatewayV2httpResponse::default();
    answer.status_code = i64::from(parts.status.as_u16());
    answer.headers = parts.headers;
    answer.body = Some(body);
    answer
}

fn into_old_format(response: Response<Body>) -> ApiGatewayProxyResponse {
    let (parts, body) = response.into_parts();
    let mut answer = ApiGatewayProxyResponse::default();
    answer.status_code = i64::from(parts.status.as_u16());
    answer.headers = parts.headers;
    answer.body = Some(body);
    answer
}
