//! From what a browser says of itself to the words an admin reads.
//!
//! Client hints (<https://wicg.github.io/ua-client-hints/>) win over the user agent: Chromium freezes the latter,
//! so Windows 11 calls itself Windows 10 there.

use woothee::parser::{Parser, WootheeResult};

use crate::session::{Device, DeviceType};

/// The longest name kept of anything a client says, in characters.
const WORDS_MAX: usize = 100;

/// The headers of a request that speak of its device; `None` where one is absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hints<'a> {
    /// `User-Agent`
    pub user_agent: Option<&'a str>,
    /// `Sec-CH-UA`: brands, each quoted
    pub brands: Option<&'a str>,
    /// `Sec-CH-UA-Platform`: quoted
    pub platform: Option<&'a str>,
    /// `Sec-CH-UA-Platform-Version`: quoted
    pub platform_version: Option<&'a str>,
    /// `Sec-CH-UA-Mobile`: `?0` or `?1`
    pub mobile: Option<&'a str>,
}

/// What the body of a sign-in claims about its device; believed only where the headers say nothing.
#[derive(Clone, Debug, Default)]
pub struct Claims<'a> {
    /// A name, or as existing clients send it a user agent.
    pub name: Option<&'a str>,
    /// `mobile` or anything else.
    pub kind: Option<&'a str>,
    /// A browser's name.
    pub browser: Option<&'a str>,
}

/// Names the device behind a request.
pub fn detect(hints: &Hints<'_>, claims: &Claims<'_>) -> Device {
    let agent = Agent::parse(hints.user_agent).or_else(|| Agent::parse(claims.name));
    let browser = hinted_browser(hints)
        .or_else(|| agent.as_ref().and_then(Agent::browser))
        .or_else(|| words(claims.browser));
    let os = hinted_os(hints).or_else(|| agent.as_ref().and_then(Agent::os));
    let kind = hinted_kind(hints)
        .or_else(|| agent.as_ref().map(Agent::kind))
        .or_else(|| (claims.kind == Some("mobile")).then_some(DeviceType::Mobile));
    let place = agent.as_ref().and_then(Agent::handheld).or_else(|| os.clone());
    Device {
        name: name(browser.as_deref(), place.as_deref())
            .or_else(|| words(claims.name))
            .unwrap_or_else(|| "Unknown device".into()),
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

/// Text a client chose, fit to be kept: no control characters, one space between words, not too long.
fn words(text: Option<&str>) -> Option<String> {
    let bounded: String = text?
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(4 * WORDS_MAX)
        .collect();
    let joined = bounded.split_whitespace().collect::<Vec<_>>().join(" ");
    let kept: String = joined.chars().take(WORDS_MAX).collect();
    (!kept.is_empty()).then_some(kept)
}

/// A user agent that says at least something.
struct Agent<'a>(WootheeResult<'a>);

impl<'a> Agent<'a> {
    fn parse(user_agent: Option<&'a str>) -> Option<Self> {
        let known = Parser::new().parse(user_agent?)?;
        Some(Self(known)).filter(|agent| agent.browser().is_some() || agent.os().is_some())
    }

    fn browser(&self) -> Option<String> {
        match self.0.name {
            "UNKNOWN" | "" => None,
            "Samsung Internet Browser" => Some("Samsung Internet".into()),
            name => Some(name.into()),
        }
    }

    fn os(&self) -> Option<String> {
        match self.0.os {
            "UNKNOWN" | "" => None,
            "Mac OSX" => Some("macOS".into()),
            "iPhone" | "iPod" => Some("iOS".into()),
            "iPad" => Some("iPadOS".into()),
            os => Some(os.into()),
        }
    }

    /// The name of a handheld that says more than its system does.
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

/// The brand that a user would name: not the engine, and not the decoy ("Not A;Brand") that keeps parsers honest.
fn hinted_browser(hints: &Hints<'_>) -> Option<String> {
    let brands = || quoted(hints.brands).filter(|brand| !brand.contains("Not") && !brand.contains("Brand"));
    let brand = brands()
        .find(|brand| *brand != "Chromium")
        .or_else(|| brands().next())?;
    words(Some(match brand {
        "Google Chrome" => "Chrome",
        "Microsoft Edge" => "Edge",
        other => other,
    }))
}

/// The quoted names of a brand list; the version after each is quoted too and is passed over.
fn quoted(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.unwrap_or_default().split('"').skip(1).step_by(4)
}

fn hinted_os(hints: &Hints<'_>) -> Option<String> {
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

fn hinted_kind(hints: &Hints<'_>) -> Option<DeviceType> {
    match hints.mobile? {
        "?1" => Some(DeviceType::Mobile),
        "?0" => Some(DeviceType::Web),
        _ => None,
    }
}
