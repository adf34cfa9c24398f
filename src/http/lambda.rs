//! Events in and answers out: what Lambda delivers becomes a request or an authorizer's question, and the answer becomes
//! what Lambda takes.
//!
//! lambda_http panics on some events before a handler sees them (a raw space in the query string, a URI over 64 KB, a
//! bad Host), and cannot read others. The service answers those with 400 too, and the process lives on.

use std::panic::catch_unwind;

use lambda_http::aws_lambda_events::apigw::{
    ApiGatewayV2httpRequest, ApiGatewayV2httpRequestContext, ApiGatewayV2httpResponse,
};
use lambda_http::request::{LambdaRequest, RequestContext as EventContext};
use lambda_http::{Body, Context, Request, RequestExt, Response};
use lambda_runtime::LambdaEvent;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::App;
use super::handlers::{AuthorizerAnswer, AuthorizerError};
use super::problem::{Code, Problem};
use crate::session::Timestamp;

/// An event as Lambda delivers it.
#[derive(Debug)]
pub enum Event {
    /// A request to this service's API. It is `None` when it cannot be read.
    Request(Option<Box<ApiGatewayV2httpRequest>>),
    /// The question of an authorizer of another API.
    Authorizer(Box<RawValue>),
}

/// The fields that only the events of authorizers have. No client can set them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizerFields {
    #[serde(rename = "type")]
    kind: Option<IgnoredAny>,
    route_arn: Option<IgnoredAny>,
    method_arn: Option<IgnoredAny>,
}

/// An answer, as API Gateway takes it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum EventAnswer {
    /// The answer to a request.
    Response(Box<ApiGatewayV2httpResponse>),
    /// The answer to an authorizer's question.
    Authorizer(AuthorizerAnswer),
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        // lambda_http would read the question about a `DELETE /sessions/logout` as that request itself.
        match is_for_authorizer(&raw) {
            true => Ok(Self::Authorizer(raw)),
            false => Ok(Self::Request(serde_json::from_str(raw.get()).ok())),
        }
    }
}

fn is_for_authorizer(event: &RawValue) -> bool {
    serde_json::from_str::<AuthorizerFields>(event.get()).is_ok_and(
        |AuthorizerFields { kind, route_arn, method_arn }| {
            kind.is_some() || route_arn.is_some() || method_arn.is_some()
        },
    )
}

impl App {
    /// Answers an event that arrived at `now`. Every request gets an answer.
    ///
    /// # Errors
    /// [`AuthorizerError`] when an authorizer's question cannot be answered.
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
            Event::Authorizer(event) => {
                self.authorize(&event, &context.request_id, now).await.map(EventAnswer::Authorizer)
            }
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
