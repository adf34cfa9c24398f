//! What API Gateway says about a request. No client can set any of it.

use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};

fn context(request: &Request) -> Option<&ApiGatewayV2httpRequestContext> {
    match request.request_context_ref()? {
        RequestContext::ApiGatewayV2(context) => Some(context),
        _ => None,
    }
}

/// The id that API Gateway gave the request, or else the id that the Lambda runtime gave the event.
pub fn request_id(request: &Request) -> String {
    context(request)
        .and_then(|context| context.request_id.clone())
        .or_else(|| request.lambda_context_ref().map(|context| context.request_id.clone()))
        .unwrap_or_default()
}

/// The route of the API that the request matched, such as `GET /sessions/user/{user_id}` or `$default`.
pub fn route_key(request: &Request) -> Option<&str> {
    context(request)?.route_key.as_deref()
}

/// The stage, if it has a name: with such a stage, paths begin with it.
pub fn named_stage(request: &Request) -> Option<&str> {
    context(request)?.stage.as_deref().filter(|stage| *stage != "$default")
}

/// Whether API Gateway sent it. Each of its requests names the API; an event that was sent to the function directly, which
/// IAM allows, need not.
pub fn is_from_api(request: &Request) -> bool {
    context(request).is_some_and(|context| context.apiid.is_some())
}

/// The IP address from which API Gateway received the request.
pub fn source_ip(request: &Request) -> Option<&str> {
    context(request)?.http.source_ip.as_deref()
}

/// A parameter of the path, which API Gateway has percent-decoded.
pub fn path_parameter<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
    request.path_parameters_ref()?.first(name)
}

/// Whether API Gateway has percent-decoded the path: it does for a route that has parameters, and delivers every other
/// path as it was sent.
pub fn has_decoded_path(request: &Request) -> bool {
    request.path_parameters_ref().is_some_and(|parameters| !parameters.is_empty())
}
