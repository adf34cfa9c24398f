//! Which endpoint a request is for.

use lambda_http::http::Method;
use lambda_http::{Request, RequestExt};

use super::endpoint::{ENDPOINTS, Endpoint};
use super::gateway;
use super::path::PathIds;
use super::problem::Problem;

/// The endpoint of a request, and what its path says.
#[derive(Debug)]
pub struct Route<'r> {
    /// The endpoint.
    pub endpoint: &'static Endpoint,
    /// The ids in the path.
    pub ids: PathIds<'r>,
    /// What the client's path has before the endpoint's: a stage, or the base path of a domain mapping. Often empty.
    pub prefix: &'r str,
}

impl<'r> Route<'r> {
    /// Finds the endpoint: the one that API Gateway's route names, or else the one that has the request's path.
    ///
    /// # Errors
    /// 404 when no endpoint has this path, 405 when the path takes other methods.
    pub fn find(request: &'r Request) -> Result<Self, Problem> {
        by_route_key(request).map_or_else(|| by_path(request), Ok)
    }
}

/// The path may begin with a stage or with the base path of a domain mapping. The route of the API never does:
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
fn by_route_key(request: &Request) -> Option<Route<'_>> {
    let (method, path) = gateway::route_key(request)?.split_once(' ')?;
    let endpoint = ENDPOINTS.iter().find(|each| each.method.as_str() == method && each.path == path)?;
    let ids = PathIds::in_parameters(path, |name| gateway::path_parameter(request, name))?;
    Some(Route { endpoint, ids, prefix: prefix(request.raw_http_path(), path) })
}

/// What `path` has before its last segments, of which there are as many as in `template`.
fn prefix<'p>(path: &'p str, template: &str) -> &'p str {
    let segments = template.matches('/').count();
    let start = path.rmatch_indices('/').nth(segments - 1);
    start.map_or("", |(start, _)| &path[..start])
}

fn by_path(request: &Request) -> Result<Route<'_>, Problem> {
    let path = request.raw_http_path();
    let is_decoded = gateway::has_decoded_path(request);
    let within_stage = gateway::named_stage(request).and_then(|stage| split_stage(path, stage));
    for (prefix, path) in within_stage.into_iter().chain([("", path)]) {
        let routes: Vec<_> = ENDPOINTS
            .iter()
            .filter_map(|endpoint| {
                let ids = PathIds::in_path(endpoint.path, path, is_decoded)?;
                Some(Route { endpoint, ids, prefix })
            })
            .collect();
        if !routes.is_empty() {
            return with_method(routes, request.method());
        }
    }
    Err(Problem::unknown_route())
}

/// The stage with the slash before it, and the path after it.
fn split_stage<'p>(path: &'p str, stage: &str) -> Option<(&'p str, &'p str)> {
    let rest = path.strip_prefix('/')?.strip_prefix(stage)?;
    rest.starts_with('/').then(|| path.split_at(path.len() - rest.len()))
}

fn with_method<'r>(routes: Vec<Route<'r>>, method: &Method) -> Result<Route<'r>, Problem> {
    let allowed: Vec<_> = routes.iter().map(|route| route.endpoint.method.as_str()).collect();
    let problem = Problem::wrong_method(&allowed.join(", "));
    routes.into_iter().find(|route| route.endpoint.method == *method).ok_or(problem)
}
