//! The edge: how a CDN before API Gateway proves that it is one, and what it says about the client.
//!
//! Behind CloudFront, API Gateway sees CloudFront's address. CloudFront adds the client's address and place
//! (<https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/adding-cloudfront-headers.html>), and a secret in
//! a header that it overwrites when a client sends it. Without the secret these headers count for nothing.

use std::net::IpAddr;

use lambda_http::Request;
use lambda_http::http::HeaderMap;
use percent_encoding::percent_decode;
use ring::hmac;

use super::gateway;
use crate::auth::Secret;
use crate::session::{LOCATION_MAX, Location};
use crate::text;

/// The header that proves that a request came through the edge.
const SECRET: &str = "x-origin-verify";

const ADDRESS: &str = "cloudfront-viewer-address";

/// From the small to the large. CloudFront leaves out what it does not know, and all of them for a client in AWS's own
/// network. It is not documented that it then removes such headers of the client, so a place is for people to read, and
/// decides nothing.
const PLACE: [&str; 3] =
    ["cloudfront-viewer-city", "cloudfront-viewer-country-region-name", "cloudfront-viewer-country-name"];

/// How requests that come through the edge are told from others.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    /// `EDGE_SECRET`, and `EDGE_SECRET_PREVIOUS` while it changes. Without a secret there is no edge.
    secrets: Vec<hmac::Key>,
    /// `EDGE_ONLY`: whether all other requests are refused.
    only: bool,
}

/// The client, as the edge sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Viewer {
    /// Its address.
    pub address: Option<IpAddr>,
    /// Its place.
    pub location: Option<Location>,
}

/// A request came around the edge where only the edge may send requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request did not come through the edge")]
pub struct AroundEdge;

impl Edge {
    /// An edge that proves itself by any of `secrets`. With `only`, it is the only way in.
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s Secret>, only: bool) -> Self {
        Self { secrets: secrets.into_iter().map(|secret| key(secret.as_bytes())).collect(), only }
    }

    /// Whether a request came through the edge, so that the edge's headers count.
    ///
    /// # Errors
    /// [`AroundEdge`] when it did not, and the edge is the only way in. An event that somebody sent to the function directly
    /// is no request, and is never refused.
    pub fn admit(&self, request: &Request) -> Result<bool, AroundEdge> {
        let is_proved = self.is_proved(request.headers());
        if self.only && !is_proved && gateway::is_from_api(request) { Err(AroundEdge) } else { Ok(is_proved) }
    }

    fn is_proved(&self, headers: &HeaderMap) -> bool {
        headers.get(SECRET).is_some_and(|secret| self.is_secret(secret.as_bytes()))
    }

    /// Compares in constant time, by the digests of the same text with either secret as the key.
    fn is_secret(&self, text: &[u8]) -> bool {
        let digest = hmac::sign(&key(text), SECRET.as_bytes());
        self.secrets.iter().any(|secret| hmac::verify(secret, SECRET.as_bytes(), digest.as_ref()).is_ok())
    }
}

fn key(secret: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret)
}

impl Viewer {
    /// What the headers of a request say that came through the edge.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut place: Vec<String> = PLACE.iter().filter_map(|name| decoded(headers, name)).collect();
        // Many cities are their own region: Tashkent, Berlin, Singapore.
        place.dedup();
        Self {
            address: decoded(headers, ADDRESS).and_then(|text| address(&text)),
            location: Location::new(&place.join(", ")),
        }
    }
}

/// The visible text of a header. CloudFront percent-encodes what is not ASCII.
fn decoded(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = percent_decode(headers.get(name)?.as_bytes()).decode_utf8().ok()?;
    Some(text::clean(&text, LOCATION_MAX)).filter(|text| !text.is_empty())
}

/// The address of "198.51.100.10:46532". An IPv6 address has no brackets: "2001:db8::7:46532".
fn address(text: &str) -> Option<IpAddr> {
    let (address, port) = text.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let address = address.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(address);
    address.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::http::HeaderValue;

    const NEW: &str = "the-new-secret-of-at-least-32-bytes";
    const OLD: &str = "the-old-secret-of-at-least-32-bytes";

    fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_bytes(value).unwrap()))
            .collect()
    }

    fn edge(secrets: &[&str]) -> Edge {
        let secrets: Vec<_> = secrets.iter().map(|secret| Secret::new(*secret).unwrap()).collect();
        Edge::new(&secrets, false)
    }

    fn located(city: &[u8], region: &[u8], country: &[u8]) -> Option<String> {
        let viewer = Viewer::of(&headers(&[(PLACE[0], city), (PLACE[1], region), (PLACE[2], country)]));
        viewer.location.map(|location| location.as_str().to_owned())
    }

    #[test]
    fn only_a_secret_proves_the_edge() {
        let (both, new) = (edge(&[NEW, OLD]), edge(&[NEW]));
        let sent = |secret: &str| headers(&[(SECRET, secret.as_bytes())]);
        assert!([NEW, OLD].iter().all(|secret| both.is_proved(&sent(secret))));
        let longer = format!("{NEW}x");
        // API Gateway joins headers that are sent twice.
        let joined = format!("{NEW},{NEW}");
        for wrong in ["", "x", &NEW[1..], &longer, &joined, &NEW.to_uppercase()] {
            assert!(!both.is_proved(&sent(wrong)), "{wrong}");
        }
        assert!(!both.is_proved(&headers(&[])));
        // After the change the old secret is worth nothing, and without a secret there is no edge.
        assert!(new.is_proved(&sent(NEW)) && !new.is_proved(&sent(OLD)));
        assert!(!Edge::default().is_proved(&sent("")));
    }

    #[test]
    fn the_secret_is_not_in_the_debug_form() {
        let shown = format!("{:?}", edge(&[NEW]));
        assert!(!shown.contains(NEW) && !shown.contains(&format!("{:?}", NEW.as_bytes())), "{shown}");
    }

    #[test]
    fn the_address_is_before_the_last_colon() {
        let cases = [
            ("198.51.100.10:46532", "198.51.100.10"),
            ("2001:db8::7:46532", "2001:db8::7"),
            ("2001:db8:0:0:0:8a2e:370:7334:443", "2001:db8::8a2e:370:7334"),
            ("2001:0DB8:0000:0000:0000:0000:0000:0001:1", "2001:db8::1"),
            ("::1:65535", "::1"),
            ("[2001:db8::7]:46532", "2001:db8::7"),
            ("::ffff:198.51.100.10:46532", "198.51.100.10"),
        ];
        for (sent, expected) in cases {
            let address = Viewer::of(&headers(&[(ADDRESS, sent.as_bytes())])).address;
            assert_eq!(address.map(|address| address.to_string()).as_deref(), Some(expected), "{sent}");
        }
        let wrong: [&[u8]; 10] = [
            b"",
            b"198.51.100.10",
            b"198.51.100.10:",
            b"198.51.100.10:70000",
            b"198.51.100.10:1, 203.0.113.9:2",
            b"198.51.100.10, 203.0.113.9:2",
            b"[2001:db8::7:46532",
            b"localhost:80",
            b"unknown",
            b"\xff:1",
        ];
        for sent in wrong {
            assert_eq!(Viewer::of(&headers(&[(ADDRESS, sent)])).address, None, "{sent:?}");
        }
        assert_eq!(Viewer::of(&headers(&[])), Viewer::default());
    }

    #[test]
    fn a_place_is_what_cloudfront_knows_of_it() {
        let cases: [([&[u8]; 3], _); 11] = [
            ([b"Ann Arbor", b"Michigan", b"United States"], Some("Ann Arbor, Michigan, United States")),
            ([b"Tashkent", b"Tashkent", b"Uzbekistan"], Some("Tashkent, Uzbekistan")),
            ([b"Singapore", b"Singapore", b"Singapore"], Some("Singapore")),
            ([b"", b"Tashkent", b"Uzbekistan"], Some("Tashkent, Uzbekistan")),
            ([b"", b"", b"Uzbekistan"], Some("Uzbekistan")),
            ([b"S%C3%A3o Paulo", b"S%C3%A3o Paulo", b"Brazil"], Some("São Paulo, Brazil")),
            ([b"Z%C3%BCrich", b"Zurich", b"Switzerland"], Some("Zürich, Zurich, Switzerland")),
            ([b"M%c3%bcnsingen", b"", b"Switzerland"], Some("Münsingen, Switzerland")),
            // Not UTF-8, and a percent sign that encodes nothing.
            ([b"M%FCnsingen", b"100%", b"Switzerland"], Some("100%, Switzerland")),
            ([b"%E2%80%AEevil%00\xe2\x80\x8b", b" ", b"%0d%0aX"], Some("evil, X")),
            ([b"", b"", b""], None),
        ];
        for ([city, region, country], expected) in cases {
            assert_eq!(located(city, region, country).as_deref(), expected, "{city:?}");
        }
    }
}
