//! The query parameters of the search among the sessions of all users.

use std::net::IpAddr;

use ipnet::IpNet;
use percent_encoding::utf8_percent_encode;

use super::path::SEGMENT;
use super::problem::Problem;
use super::query::{Cursor, LIMIT_DEFAULT, Query, TIME, time};
use crate::session::{DeviceType, Fragment, SessionFilter, SessionId, UserId};
use crate::store::Search;

/// The highest number of sessions on a page.
const LIMIT_MAX: usize = 200;

/// The longest part of a name that a filter takes, in bytes.
const FRAGMENT_MAX: usize = 128;

/// The names of the filters.
const FILTERS: [&str; 8] = [
    "ip_address",
    "browser",
    "os",
    "device_type",
    "signed_in_after",
    "signed_in_before",
    "active_after",
    "inactive_since",
];

/// A search, and what its answer and its audit line say of it.
#[derive(Debug)]
pub struct SearchQuery {
    pub search: Search,
    /// The names of its filters.
    pub kinds: Vec<&'static str>,
    /// Its filters as a query string.
    filters: String,
}

impl SearchQuery {
    /// Parses the query parameters of a request of `caller`.
    pub fn parse(query: Query<'_>, caller: &UserId) -> Result<Self, Problem> {
        let query = query.only(&[FILTERS.as_slice(), &["limit", "cursor"]].concat())?;
        let mut kinds = Vec::new();
        let mut filters = Vec::new();
        for name in FILTERS {
            if let Some(value) = query.one(name)? {
                kinds.push(name);
                filters.push(format!("{name}={}", utf8_percent_encode(value, SEGMENT)));
            }
        }
        let filters = filters.join("&");
        let search = Search {
            filter: parse_filter(&query)?,
            after: query.after(caller, &filters, "must be one that this search returned")?,
            limit: query.limit(LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT),
        };
        Ok(Self { search, kinds, filters })
    }

    /// The query string of the next page, which starts after this session.
    pub fn next(&self, caller: &UserId, after: SessionId) -> String {
        let cursor = Cursor::new(caller, &self.filters, after);
        let separator = if self.filters.is_empty() { "" } else { "&" };
        format!("{}{separator}limit={}&cursor={cursor}", self.filters, self.search.limit)
    }
}

fn parse_filter(query: &Query<'_>) -> Result<SessionFilter, Problem> {
    Ok(SessionFilter {
        network: query.parsed("ip_address", NETWORK, network)?,
        browser: query.parsed("browser", FRAGMENT, fragment)?,
        os: query.parsed("os", FRAGMENT, fragment)?,
        device_type: query.parsed("device_type", DEVICE_TYPE, DeviceType::from_code)?,
        signed_in_after: query.parsed("signed_in_after", TIME, time)?,
        signed_in_before: query.parsed("signed_in_before", TIME, time)?,
        active_after: query.parsed("active_after", TIME, time)?,
        inactive_since: query.parsed("inactive_since", TIME, time)?,
    })
}

const NETWORK: &str = "must be an address such as 203.0.113.7, or a network such as 203.0.113.0/24";

fn network(text: &str) -> Option<IpNet> {
    let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    address.ok().or_else(|| text.parse().ok())
}

const FRAGMENT: &str = "must have 1 to 128 bytes";

fn fragment(text: &str) -> Option<Fragment> {
    (1..=FRAGMENT_MAX).contains(&text.len()).then(|| Fragment::new(text))
}

const DEVICE_TYPE: &str = "must be mobile or web";
