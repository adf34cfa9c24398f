//! What a search among the sessions of all users looks for.

use std::net::IpAddr;

use ipnet::IpNet;

use super::device::DeviceType;
use super::record::Session;
use super::time::Timestamp;

/// The sessions that a search finds. What is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// The device was last seen, or signed in, in this network.
    pub network: Option<IpNet>,
    /// What the browser's name contains.
    pub browser: Option<Fragment>,
    /// What the system's name contains.
    pub os: Option<Fragment>,
    /// What the name of the device's place contains.
    pub location: Option<Fragment>,
    /// The kind of the device.
    pub device_type: Option<DeviceType>,
    /// The session began at this time or later.
    pub signed_in_after: Option<Timestamp>,
    /// The session began before this time.
    pub signed_in_before: Option<Timestamp>,
    /// The device was last seen at this time or later.
    pub active_after: Option<Timestamp>,
    /// The device was not seen at this time or later.
    pub inactive_since: Option<Timestamp>,
}

impl SessionFilter {
    /// Whether the search finds this session.
    pub fn matches(&self, session: &Session) -> bool {
        let (created, active) = (session.created_at, session.last_activity);
        let addresses = || [&session.ip_address, &session.signed_in_ip];
        self.network.is_none_or(|network| addresses().into_iter().any(|text| is_within(network, text)))
            && self.browser.as_ref().is_none_or(|fragment| fragment.is_in(&session.device.browser))
            && self.os.as_ref().is_none_or(|fragment| fragment.is_in(&session.device.os))
            && self.location.as_ref().is_none_or(|fragment| {
                session.location.as_ref().is_some_and(|location| fragment.is_in(location.as_str()))
            })
            && self.device_type.is_none_or(|kind| session.device.kind == kind)
            && self.signed_in_after.is_none_or(|time| created >= time)
            && self.signed_in_before.is_none_or(|time| created < time)
            && self.active_after.is_none_or(|time| active >= time)
            && self.inactive_since.is_none_or(|time| active < time)
    }
}

/// An address may be unknown, and is no address then.
fn is_within(network: IpNet, address: &str) -> bool {
    address.parse::<IpAddr>().is_ok_and(|address| network.contains(&address.to_canonical()))
}

/// A part of a text, without regard to upper and lower case.
#[derive(Clone, Debug)]
pub struct Fragment(String);

impl Fragment {
    /// A part that reads like this.
    pub fn new(text: &str) -> Self {
        Self(text.to_lowercase())
    }

    fn is_in(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{at, session};
    use super::*;

    fn finds(network: &str, last_seen: &str, signed_in: &str) -> bool {
        let network = network
            .parse::<std::net::IpAddr>()
            .map_or_else(|_| network.parse::<IpNet>().unwrap(), IpNet::from);
        let filter = SessionFilter { network: Some(network), ..SessionFilter::default() };
        let session =
            Session { ip_address: last_seen.into(), signed_in_ip: signed_in.into(), ..session(0, 0) };
        filter.matches(&session)
    }

    #[test]
    fn an_address_matches_where_the_device_was_last_seen_and_where_it_signed_in() {
        assert!(finds("203.0.113.7", "203.0.113.7", "192.0.2.1"));
        assert!(finds("203.0.113.7", "192.0.2.1", "203.0.113.7"));
        assert!(!finds("203.0.113.7", "203.0.113.77", "unknown"));
        assert!(finds("203.0.113.0/24", "203.0.113.255", "unknown"));
        assert!(!finds("203.0.113.0/24", "203.0.114.0", "unknown"));
        assert!(finds("203.0.113.9/20", "203.0.127.255", "unknown"), "host bits do not matter");
        assert!(
            finds("0.0.0.0/0", "203.0.113.7", "unknown") && !finds("0.0.0.0/0", "2001:db8::1", "unknown")
        );
        assert!(finds("2001:DB8::/32", "2001:0db8:0:0::7", "unknown"));
        assert!(!finds("2001:db8::/32", "2001:db9::", "203.0.113.7"));
        assert!(finds("203.0.113.7", "::ffff:203.0.113.7", "unknown"), "an IPv4 address written as IPv6");
    }

    #[test]
    fn a_time_is_within_its_filter_from_its_very_millisecond() {
        let session = session(5, 7);
        let none = SessionFilter::default;
        let hours = |found: &dyn Fn(Timestamp) -> SessionFilter| {
            (4..9).filter(|hour| found(at(*hour)).matches(&session)).collect::<Vec<_>>()
        };
        assert_eq!(hours(&|time| SessionFilter { signed_in_after: Some(time), ..none() }), [4, 5]);
        assert_eq!(hours(&|time| SessionFilter { signed_in_before: Some(time), ..none() }), [6, 7, 8]);
        assert_eq!(hours(&|time| SessionFilter { active_after: Some(time), ..none() }), [4, 5, 6, 7]);
        assert_eq!(hours(&|time| SessionFilter { inactive_since: Some(time), ..none() }), [8]);
    }

    #[test]
    fn a_fragment_is_found_without_regard_to_case() {
        assert!(Fragment::new("WINDOWS").is_in("Windows 10") && Fragment::new("ß").is_in("Straße"));
        assert!(!Fragment::new("windows 1 ").is_in("Windows 10"));
    }
}
