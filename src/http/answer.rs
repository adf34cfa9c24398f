//! The answer of a handler that succeeded.

use lambda_http::http::{StatusCode, header};
use lambda_http::{Body, Response};
use serde::Serialize;

use super::problem::Problem;
use super::response::respond;
use super::views::rfc3339;
use crate::session::Timestamp;

/// A success: a status, a JSON body, and perhaps a link to the next page.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    body: String,
    link: Option<String>,
}

impl Answer {
    pub fn ok(body: &impl Serialize) -> Result<Self, Problem> {
        Self::json(StatusCode::OK, body)
    }

    pub fn json(status: StatusCode, body: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_string(body).map_err(Problem::internal)?;
        Ok(Self { status, body, link: None })
    }

    /// Adds the link to the next page (RFC 8288).
    pub fn with_next_page(mut self, path_and_query: Option<String>) -> Self {
        self.link = path_and_query.map(|next| format!("<{next}>; rel=\"next\""));
        self
    }

    /// Says in the link that every session that began later has been looked at.
    pub fn looked_back_to(mut self, time: Option<Timestamp>) -> Self {
        if let (Some(link), Some(time)) = (&mut self.link, time) {
            link.push_str(&format!("; since=\"{}\"", rfc3339(time)));
        }
        self
    }

    pub fn into_response(self) -> Response<Body> {
        let link = self.link.and_then(|link| link.parse().ok());
        let mut response = respond(self.status, "application/json", self.body);
        if let Some(link) = link {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}
