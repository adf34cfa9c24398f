//! Names devices: it turns the headers of a browser into the words that an admin reads.
//!
//! Client hints (<https://wicg.github.io/ua-client-hints/>) win over the user agent, because Chromium freezes the user
//! agent: it says Windows 10 on Windows 11.

use woothee::parser::{Parser, WootheeResult};

use crate::session::{Device, DeviceType};

/// The longest text that is kept of what a client says, in characters.
const WORDS_MAX: usize = 100;

/// The headers of a request that describe its device. A header that is absent is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientHints<'a> {
    /// `User-Agent`
    pub user_agent: Option<&'a str>,
    /// `Sec-CH-UA`: a list of quoted brands
    pub brands: Option<&'a str>,
    /// `Sec-CH-UA-Platform`: quoted
    pub platform: Option<&'a str>,
    /// `Sec-CH-UA-Platform-Version`: quoted
    pub platform_version: Option<&'a str>,
    /// `Sec-CH-UA-Mobile`: `?0` or `?1`
    pub mobile: Option<&'a str>,
}

/// What the body of a sign-in says about its device. It counts only where the headers say nothing.
#[derive(Clone, Debug, Default)]
pub struct ReportedDevice<'a> {
    /// A name. Existing clients send the start of their user agent here.
    pub name: Option<&'a str>,
    /// `mobile` or anything else.
    pub kind: Option<&'a str>,
    /// A browser's name.
    pub browser: Option<&'a str>,
}

/// Names the device that sent a request.
pub fn detect(hints: &ClientHints<'_>, reported: &ReportedDevice<'_>) -> Device {
    let agent = Agent::parse(hints.user_agent).or_else(|| Agent::parse(reported.name));
    let browser = hinted_browser(hints).or_else(|| agent.as_ref().and_then(Agent::browser));
    let os = hinted_os(hints).or_else(|| agent.as_ref().and_then(Agent::os));
    let kind = hinted_kind(hints)
        .or_else(|| agent.as_ref().map(Agent::kind))
        .or_else(|| (reported.kind == Some("mobile")).then_some(DeviceType::Mobile));
    let place = agent.as_ref().and_then(Agent::handheld).or_else(|| os.clone());
    let chosen = if browser.is_none() && place.is_none() { words(reported.name) } else { None };
    let browser = browser.or_else(|| words(reported.browser));
    let name = chosen.or_else(|| name(browser.as_deref(), place.as_deref()));
    Device {
        name: name.unwrap_or_else(|| "Unknown device".into()),
        kind: kind.unwrap_or(DeviceType::Web),
        browser: browser.unwrap_or_else(|| "Unknown".into()),
        os: os.unwrap_or_else(|| "Unknown".into()),
    }
}

fn name(browser: Option<&str>, place: Option<&str>) -> Option<String> {
    match (browser, place) {
        (Some(browser), Some(place)) => Some(format!("{browser} on {place}")),
        (Some(browser), None) => Some(browser.to_owned()),
        (None, Some(place)) => Some(format!("Unknown browser on {place}")),
        (None, None) => None,
    }
}

/// The part of a client's text that is kept: without control characters, with single spaces, and not too long.
fn words(text: Option<&str>) -> Option<String> {
    let bounded: String =
        text?.chars().map(|c| if c.is_control() { ' ' } else { c }).take(4 * WORDS_MAX).collect();
    let joined = bounded.split_whitespace().collect::<Vec<_>>().join(" ");
    let kept: String = joined.chars().take(WORDS_MAX).collect();
    (!kept.is_empty()).then_some(kept)
}

/// A user agent that names a browser or a system.
struct Agent<'a>(WootheeResult<'a>);

impl<'a> Agent<'a> {
    fn parse(user_agent: Option<&'a str>) -> Option<Self> {
        let known = Parser::new().parse(user_agent?)?;
        Some(Self(known)).filter(|agent| agent.browser().is_some() || agent.os().is_some())
    }

    fn browser(&self) -> Option<String> {
        match self.0.name {
            "UNKNOWN" | "" => None,
            "SamsungBrowser" => Some("Samsung Internet".into()),
            name => Some(name.into()),
        }
    }

    fn os(&self) -> Option<String> {
        match self.0.os {
            "UNKNOWN" | "" => None,
            // What woothee says of a Windows whose version it does not know.
            "Windows UNKNOWN Ver" => Some("Windows".into()),
            "Mac OSX" => Some("macOS".into()),
            "iPhone" | "iPod" => Some("iOS".into()),
            "iPad" => Some("iPadOS".into()),
            os => Some(os.into()),
        }
    }

    /// The name of a phone or tablet that people know better than its system.
    fn handheld(&self) -> Option<String> {
        matches!(self.0.os, "iPhone" | "iPod" | "iPad").then(|| self.0.os.into())
    }

    fn kind(&self) -> DeviceType {
        match self.0.category {
            "smartphone" | "mobilephone" => DeviceType::Mobile,
            _ => DeviceType::Web,
        }
    }
}

/// The brand that a user would name. The list also holds the engine, and a made-up brand ("Not A;Brand") that tests
/// whether parsers skip unknown names.
fn hinted_browser(hints: &ClientHints<'_>) -> Option<String> {
    let brands = || quoted(hints.brands).filter(|brand| !brand.contains("Not") && !brand.contains("Brand"));
    let brand = brands().find(|brand| *brand != "Chromium").or_else(|| brands().next())?;
    words(Some(match brand {
        "Google Chrome" => "Chrome",
        "Microsoft Edge" => "Edge",
        other => other,
    }))
}

/// The quoted names of a brand list. The version after each name is quoted too, and is skipped.
fn quoted(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.unwrap_or_default().split('"').skip(1).step_by(4)
}

fn hinted_os(hints: &ClientHints<'_>) -> Option<String> {
    let unquote = |text: Option<&str>| words(text.map(|text| text.trim_matches('"')));
    let platform = unquote(hints.platform).filter(|platform| platform != "Unknown")?;
    let version = unquote(hints.platform_version).and_then(|version| major(&version));
    Some(match (platform.as_str(), version) {
        ("Windows", Some(13..)) => "Windows 11".into(),
        ("Windows", _) => "Windows 10".into(),
        _ => platform,
    })
}

/// Microsoft's table: 1 to 10 is Windows 10, 13 and later Windows 11
/// (<https://learn.microsoft.com/microsoft-edge/web-platform/how-to-detect-win11>).
fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

fn hinted_kind(hints: &ClientHints<'_>) -> Option<DeviceType> {
    match hints.mobile? {
        "?1" => Some(DeviceType::Mobile),
        "?0" => Some(DeviceType::Web),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(user_agent: &str) -> (String, DeviceType, String, String) {
        let device = detect(
            &ClientHints { user_agent: Some(user_agent), ..ClientHints::default() },
            &ReportedDevice::default(),
        );
        (device.name, device.kind, device.browser, device.os)
    }

    #[test]
    fn current_browsers_get_the_names_that_people_use() {
        use DeviceType::{Mobile, Web};
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        let safari = "AppleWebKit/605.1.15 (KHTML, like Gecko)";
        let cases = [
            (
                format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/148.0.0.0 Safari/537.36"),
                "Chrome on Windows 10",
                Web,
            ),
            (
                format!(
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/148.0.0.0 Safari/537.36 Edg/148.0.0.0"
                ),
                "Edge on Windows 10",
                Web,
            ),
            (
                format!(
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/148.0.0.0 Safari/537.36 OPR/125.0.0.0"
                ),
                "Opera on Windows 10",
                Web,
            ),
            (
                format!("Mozilla/5.0 (Linux; Android 10; K) {webkit} Chrome/148.0.0.0 Mobile Safari/537.36"),
                "Chrome on Android",
                Mobile,
            ),
            (
                format!(
                    "Mozilla/5.0 (Linux; Android 10; K) {webkit} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36"
                ),
                "Samsung Internet on Android",
                Mobile,
            ),
            (
                format!(
                    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) {safari} Version/26.1 Mobile/15E148 Safari/604.1"
                ),
                "Safari on iPhone",
                Mobile,
            ),
            (
                format!(
                    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) {safari} CriOS/148.0.0.0 Mobile/15E148 Safari/604.1"
                ),
                "Chrome on iPhone",
                Mobile,
            ),
            (
                format!(
                    "Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) {safari} Version/17.7 Mobile/15E148 Safari/604.1"
                ),
                "Safari on iPad",
                Mobile,
            ),
            (
                format!(
                    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {safari} Version/26.1 Safari/605.1.15"
                ),
                "Safari on macOS",
                Web,
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0".into(),
                "Firefox on Linux",
                Web,
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0".into(),
                "Firefox on Windows 10",
                Web,
            ),
            (
                "Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0".into(),
                "Firefox on Android",
                Mobile,
            ),
            (
                format!("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {webkit} Chrome/148.0.0.0 Safari/537.36"),
                "Chrome on ChromeOS",
                Web,
            ),
        ];
        for (user_agent, name, kind) in cases {
            let device = named(&user_agent);
            assert_eq!((device.0.as_str(), device.1), (name, kind), "{user_agent}");
        }
        assert_eq!(named("Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) Version/26.1 Mobile/15E148 Safari/604.1").3, "iOS");
    }

    #[test]
    fn an_unknown_device_is_called_unknown() {
        let unknown =
            ("Unknown device".to_owned(), DeviceType::Web, "Unknown".to_owned(), "Unknown".to_owned());
        for user_agent in ["", " ", "-", "????", "\u{7}"] {
            assert_eq!(named(user_agent), unknown, "{user_agent:?}");
        }
        let none = detect(&ClientHints::default(), &ReportedDevice::default());
        assert_eq!((none.name, none.kind), (unknown.0, unknown.1));
    }

    #[test]
    fn a_windows_of_an_unknown_version_is_called_windows() {
        let named = named("Mozilla/5.0 (Windows; rv:145.0) Gecko/20100101 Firefox/145.0");
        assert_eq!((named.0.as_str(), named.3.as_str()), ("Firefox on Windows", "Windows"));
    }

    const WINDOWS: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 Safari/537.36";

    #[test]
    fn client_hints_win_over_the_user_agent() {
        let hints = ClientHints {
            user_agent: Some(WINDOWS),
            brands: Some(r#""Not;A=Brand";v="99", "Microsoft Edge";v="148", "Chromium";v="148""#),
            platform: Some("\"Windows\""),
            platform_version: Some("\"15.0.0\""),
            mobile: Some("?0"),
        };
        let device = detect(&hints, &ReportedDevice::default());
        assert_eq!((device.name.as_str(), device.kind), ("Edge on Windows 11", DeviceType::Web));
        let old = ClientHints { platform_version: Some("\"10.0.0\""), ..hints };
        assert_eq!(detect(&old, &ReportedDevice::default()).os, "Windows 10");
        let google = ClientHints {
            brands: Some(r#""Chromium";v="148", "Google Chrome";v="148", "Not A(Brand";v="8""#),
            ..hints
        };
        assert_eq!(detect(&google, &ReportedDevice::default()).browser, "Chrome");
        let chromium = ClientHints { brands: Some(r#""Chromium";v="148", "Not A(Brand";v="8""#), ..hints };
        assert_eq!(detect(&chromium, &ReportedDevice::default()).browser, "Chromium");
        let phone = ClientHints { platform: Some("\"Android\""), mobile: Some("?1"), ..google };
        let device = detect(&phone, &ReportedDevice::default());
        assert_eq!((device.name.as_str(), device.kind), ("Chrome on Android", DeviceType::Mobile));
    }

    #[test]
    fn the_user_agent_decides_where_hints_are_empty() {
        for empty in ["", "\"\"", "\"", ";;;", "\"Unknown\""] {
            let hints = ClientHints {
                user_agent: Some(WINDOWS),
                platform: Some(empty),
                mobile: Some(empty),
                ..ClientHints::default()
            };
            assert_eq!(detect(&hints, &ReportedDevice::default()).kind, DeviceType::Web, "{empty}");
        }
        let hints = ClientHints { user_agent: Some(WINDOWS), brands: Some("\"\""), ..ClientHints::default() };
        assert_eq!(detect(&hints, &ReportedDevice::default()).name, "Chrome on Windows 10");
    }

    #[test]
    fn the_body_counts_only_where_the_headers_say_nothing() {
        let reported = ReportedDevice {
            name: Some("My \u{0} phone"),
            kind: Some("mobile"),
            browser: Some("Own\nBrowser"),
        };
        let known = ClientHints { user_agent: Some(WINDOWS), ..ClientHints::default() };
        assert_eq!(detect(&known, &reported).name, "Chrome on Windows 10");
        assert_eq!(detect(&known, &reported).kind, DeviceType::Web);
        let device = detect(&ClientHints::default(), &reported);
        assert_eq!((device.name.as_str(), device.kind), ("My phone", DeviceType::Mobile));
        assert_eq!(device.browser, "Own Browser");
        // Existing clients send the start of their user agent as the name.
        let agent: String = WINDOWS.chars().take(100).collect();
        let reported = ReportedDevice { name: Some(&agent), browser: Some("Chrome"), kind: None };
        let device = detect(&ClientHints::default(), &reported);
        assert_eq!((device.name.as_str(), device.os.as_str()), ("Chrome on Windows 10", "Windows 10"));
        let long = "é".repeat(10_000);
        let device = detect(
            &ClientHints::default(),
            &ReportedDevice { name: Some(&long), ..ReportedDevice::default() },
        );
        assert_eq!(device.name.chars().count(), 100);
    }
}
