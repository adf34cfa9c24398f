//! Responses: a status, a type, a body, and the headers that all of them have.

use lambda_http::http::{StatusCode, header};
use lambda_http::{Body, Response};

/// A response. No cache may keep it, and no browser may take it for another type.
pub fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    response
}
