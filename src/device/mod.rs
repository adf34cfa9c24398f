//! Names devices: it turns the headers of a browser into the words that an admin reads.
//!
//! The user agent says where something runs, and client hints say it in more detail. What both are called is in tables.

mod agent;
#[cfg(test)]
mod agents;
mod hints;
mod names;

use agent::Agent;
use names::Place;

use crate::session::{Device, DeviceType};
use crate::text;

/// The longest text about a device, in characters.
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

/// What the body of a sign-in says about its device. It counts only where the headers name no browser.
#[derive(Clone, Debug, Default)]
pub struct ReportedDevice<'a> {
    /// A name. Existing clients send the start of their user agent here.
    pub name: Option<&'a str>,
    /// `mobile` or anything else.
    pub kind: Option<&'a str>,
    /// A browser's name.
    pub browser: Option<&'a str>,
}

impl<'a> ReportedDevice<'a> {
    /// The name, when it is the start of a user agent.
    fn user_agent(&self) -> Option<&'a str> {
        self.name.filter(|name| agent::is_browser(name))
    }

    /// The name, when somebody chose it.
    fn chosen_name(&self) -> Option<String> {
        words(self.name.filter(|name| !agent::is_browser(name)))
    }
}

/// What a request tells about its device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectedDevice {
    /// What people read.
    pub device: Device,
    /// The browser's or app's family, for example "Chrome", by which devices are compared; `None` when it is unknown.
    pub browser_family: Option<String>,
    /// The platform's family, for example "Windows", by which devices are compared; `None` when it is unknown.
    pub platform_family: Option<String>,
}

/// Names the device that sent a request.
///
/// The names for people take the client hints first, because they say more. The families have no version and take the
/// user agent first: every request has one, while hints come late, over HTTPS only, and not through every proxy. So
/// Brave, which only its hints name, is of the family Chrome with and without them.
pub fn detect(hints: &ClientHints<'_>, reported: &ReportedDevice<'_>) -> DetectedDevice {
    let sent = hints.user_agent.map(Agent::new);
    let agents = [sent, reported.user_agent().map(Agent::new)];
    let agent = agents.into_iter().flatten().find(Agent::names_anything);
    let app = sent.and_then(|agent| agent.app());
    let names = |agent: Agent<'_>| (agent.browser(), agent.engine());
    let (own, engine) = agent.map(names).unwrap_or_default();
    let place = agent.and_then(|agent| agent.place);

    let browsers = [hints.browser(), own.clone(), hints.engine(), engine.clone()];
    let browser = browsers.into_iter().flatten().next();
    let family = own.or(engine).or_else(|| browser.clone()).or_else(|| app.clone());
    let (browser, app) = match browser {
        Some(name) if name == names::APP => (None, Some(name)),
        browser => (browser, app),
    };
    // The name that an app reports says more than the name of the app, and less than a browser.
    let chosen = if browser.is_none() { reported.chosen_name() } else { None };
    let browser = browser.or_else(|| words(reported.browser)).or(app);
    let os = os(place, hints.os());
    let name = chosen.or_else(|| name(browser.as_deref(), place, os.as_deref()));
    let platform = place.map(|place| place.os).or(os.as_deref()).and_then(family_of_platform);
    DetectedDevice {
        device: Device {
            name: name.unwrap_or_else(|| "Unknown device".into()),
            kind: kind(hints, agent, reported),
            browser: browser.unwrap_or_else(|| "Unknown".into()),
            os: os.unwrap_or_else(|| "Unknown".into()),
        },
        browser_family: family.and_then(|browser| agent::without_version(&browser)),
        platform_family: platform,
    }
}

/// The system as the user agent says it, with the version of the hints: user agents name an old one for ever.
fn os(place: Option<Place>, hinted: Option<String>) -> Option<String> {
    let Some(place) = place else { return hinted };
    let is_newer = |hinted: &String| {
        let family = family_of_platform(hinted);
        family == family_of_platform(place.os) && family.as_ref() != Some(hinted)
    };
    hinted.filter(is_newer).or_else(|| Some(place.os.to_owned()))
}

fn name(browser: Option<&str>, place: Option<Place>, os: Option<&str>) -> Option<String> {
    let place = place.filter(|place| place.name != place.os).map(|place| place.name).or(os);
    let name = match (browser, place) {
        (Some(names::BUILT_IN), Some(place)) => place.to_owned(),
        (Some(browser), Some(place)) => format!("{browser} on {place}"),
        (Some(browser), None) => browser.to_owned(),
        (None, Some(place)) => format!("Unknown browser on {place}"),
        (None, None) => return None,
    };
    words(Some(&name))
}

/// The hint `?0` decides only where there is no user agent: a tablet sends it too.
fn kind(hints: &ClientHints<'_>, agent: Option<Agent<'_>>, reported: &ReportedDevice<'_>) -> DeviceType {
    let is_mobile = match (hints.mobile, agent) {
        (Some("?1"), _) => true,
        (_, Some(agent)) => agent.is_mobile(),
        (Some("?0"), None) => false,
        (_, None) => reported.kind == Some("mobile"),
    };
    if is_mobile { DeviceType::Mobile } else { DeviceType::Web }
}

/// The visible part of a client's text; `None` when nothing is left.
fn words(text: Option<&str>) -> Option<String> {
    Some(text::clean(text?, WORDS_MAX)).filter(|words| !words.is_empty())
}

/// Windows has versions that are no numbers, such as Vista.
fn family_of_platform(platform: &str) -> Option<String> {
    match platform.strip_prefix("Windows ") {
        Some(version) if !version.starts_with("Phone") => Some("Windows".into()),
        _ => agent::without_version(platform),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn device_of(hints: &ClientHints<'_>, reported: &ReportedDevice<'_>) -> Device {
        detect(hints, reported).device
    }

    fn named(user_agent: &str) -> (String, DeviceType, String, String) {
        let device = device_of(
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
        let none = device_of(&ClientHints::default(), &ReportedDevice::default());
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
        let device = device_of(&hints, &ReportedDevice::default());
        assert_eq!((device.name.as_str(), device.kind), ("Edge on Windows 11", DeviceType::Web));
        let old = ClientHints { platform_version: Some("\"10.0.0\""), ..hints };
        assert_eq!(device_of(&old, &ReportedDevice::default()).os, "Windows 10");
        let google = ClientHints {
            brands: Some(r#""Chromium";v="148", "Google Chrome";v="148", "Not A(Brand";v="8""#),
            ..hints
        };
        assert_eq!(device_of(&google, &ReportedDevice::default()).browser, "Chrome");
        let chromium = ClientHints { brands: Some(r#""Chromium";v="148", "Not A(Brand";v="8""#), ..hints };
        assert_eq!(device_of(&chromium, &ReportedDevice::default()).browser, "Chromium");
        let phone = ClientHints {
            user_agent: Some(
                "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 Safari/537.36",
            ),
            platform: Some("\"Android\""),
            mobile: Some("?1"),
            ..google
        };
        let device = device_of(&phone, &ReportedDevice::default());
        assert_eq!((device.name.as_str(), device.kind), ("Chrome on Android", DeviceType::Mobile));
    }

    /// Hints name the newest version of a system, and browsers that hide in the user agent. They do not know the device:
    /// an Xbox is Windows for them.
    #[test]
    fn client_hints_and_the_user_agent_complete_each_other() {
        let chrome = |system: &str, own: &str| {
            format!(
                "Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) {own} Chrome/148.0.0.0 Safari/537.36"
            )
        };
        let (mac, windows) = ("Macintosh; Intel Mac OS X 10_15_7", "Windows NT 10.0; Win64; x64");
        let cases = [
            (chrome(mac, ""), "Google Chrome", "macOS", "26.1.0", "Chrome on macOS 26"),
            (chrome(mac, ""), "Google Chrome", "macOS", "", "Chrome on macOS"),
            (chrome(windows, ""), "Brave", "Windows", "19.0.0", "Brave on Windows 11"),
            (chrome(windows, ""), "DuckDuckGo", "Windows", "10.0.0", "DuckDuckGo on Windows 10"),
            (chrome(windows, "Slack/4.40.126"), "Chromium", "Windows", "19.0.0", "Slack on Windows 11"),
            (chrome(windows, ""), "Microsoft Edge WebView2", "Windows", "19.0.0", "App on Windows 11"),
            (chrome("Windows NT 6.1", ""), "Google Chrome", "Windows", "0.1.0", "Chrome on Windows 7"),
            (
                chrome("Windows NT 10.0; Xbox; Xbox One", ""),
                "Brave",
                "Windows",
                "10.0.0",
                "Brave on Xbox One",
            ),
            (chrome("X11; Ubuntu; Linux x86_64", ""), "Google Chrome", "Linux", "6.8.0", "Chrome on Ubuntu"),
            (
                chrome("Linux; Android 10; K", ""),
                "HuaweiBrowser",
                "Android",
                "12.0.0",
                "Huawei Browser on Android",
            ),
        ];
        for (user_agent, brand, platform, version, name) in cases {
            let brands = format!(r#""Not;A=Brand";v="99", "{brand}";v="148", "Chromium";v="148""#);
            let quoted = |text| format!("\"{text}\"");
            let (platform, version) = (quoted(platform), quoted(version));
            let hints = ClientHints {
                brands: Some(&brands),
                platform: Some(&platform),
                platform_version: Some(&version),
                ..by_agent(&user_agent)
            };
            assert_eq!(device_of(&hints, &ReportedDevice::default()).name, name, "{user_agent} {brand}");
        }
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
            assert_eq!(device_of(&hints, &ReportedDevice::default()).kind, DeviceType::Web, "{empty}");
        }
        let hints = ClientHints { user_agent: Some(WINDOWS), brands: Some("\"\""), ..ClientHints::default() };
        assert_eq!(device_of(&hints, &ReportedDevice::default()).name, "Chrome on Windows 10");
    }

    #[test]
    fn the_body_counts_only_where_the_headers_say_nothing() {
        let reported = ReportedDevice {
            name: Some("My \u{0} phone"),
            kind: Some("mobile"),
            browser: Some("Own\nBrowser"),
        };
        let known = ClientHints { user_agent: Some(WINDOWS), ..ClientHints::default() };
        assert_eq!(device_of(&known, &reported).name, "Chrome on Windows 10");
        assert_eq!(device_of(&known, &reported).kind, DeviceType::Web);
        let device = device_of(&ClientHints::default(), &reported);
        assert_eq!((device.name.as_str(), device.kind), ("My phone", DeviceType::Mobile));
        assert_eq!(device.browser, "Own Browser");
        let desktop = ClientHints { mobile: Some("?0"), ..ClientHints::default() };
        assert_eq!(device_of(&desktop, &reported).kind, DeviceType::Web);
        // Existing clients send the start of their user agent as the name.
        let agent: String = WINDOWS.chars().take(100).collect();
        let reported = ReportedDevice { name: Some(&agent), browser: Some("Chrome"), kind: None };
        let device = device_of(&ClientHints::default(), &reported);
        assert_eq!((device.name.as_str(), device.os.as_str()), ("Chrome on Windows 10", "Windows 10"));
        let long = "é".repeat(10_000);
        let device = device_of(
            &ClientHints::default(),
            &ReportedDevice { name: Some(&long), ..ReportedDevice::default() },
        );
        assert_eq!(device.name.chars().count(), 100);
    }

    fn by_agent(user_agent: &str) -> ClientHints<'_> {
        ClientHints { user_agent: Some(user_agent), ..ClientHints::default() }
    }

    fn families(hints: &ClientHints<'_>) -> (Option<String>, Option<String>) {
        let detected = detect(hints, &ReportedDevice::default());
        (detected.browser_family, detected.platform_family)
    }

    #[test]
    fn apps_and_tools_get_the_name_of_their_product() {
        use DeviceType::{Mobile, Web};
        let cases = [
            ("okhttp/4.12.0", "okhttp", Web),
            ("curl/8.5.0", "curl", Web),
            ("Wget/1.21.4", "Wget", Web),
            ("python-requests/2.31.0", "python-requests", Web),
            ("Apache-HttpClient/4.5.14 (Java/17.0.9)", "Apache-HttpClient", Web),
            ("PostmanRuntime/7.36.0", "PostmanRuntime", Web),
            ("Dart/3.2 (dart:io)", "Dart", Web),
            ("node", "node", Web),
            ("Faraday v2.7.4", "Faraday", Web),
            ("MyBot/1.0", "MyBot", Web),
            ("1Password/8.10", "1Password", Web),
            ("MyApp/123 CFNetwork/1490.0.4 Darwin/23.2.0", "MyApp on iOS", Mobile),
            ("My%20App/123 CFNetwork/1490.0.4 Darwin/23.2.0", "My App on iOS", Mobile),
            ("%E2%80%AEMy%E2%80%8BApp/1", "MyApp", Web),
            ("MyApp/1.0 (com.example.MyApp; build:1; iOS 17.0.0) Alamofire/5.8.0", "MyApp on iOS", Mobile),
            ("MyApp/1.0 (com.example.MyApp; build:1; macOS 14.0.0) Alamofire/5.8.0", "MyApp on macOS", Web),
            ("My App 1.0 (iPhone; iOS 17.0; Scale/3.00)", "My App on iPhone", Mobile),
            ("MyApp/1.0 (iPad; iPadOS 17.0)", "MyApp on iPad", Mobile),
            ("MyApp/1.0 (Linux; Android 14)", "MyApp on Android", Mobile),
            ("MyApp/1.0 (Windows NT 10.0; Win64)", "MyApp on Windows 10", Web),
            ("MyApp/1.0 (Windows 11)", "MyApp on Windows 11", Web),
        ];
        for (user_agent, name, kind) in cases {
            let device = named(user_agent);
            assert_eq!((device.0.as_str(), device.1), (name, kind), "{user_agent}");
        }
    }

    #[test]
    fn the_name_that_an_app_reports_says_more_than_its_product() {
        let reported = ReportedDevice { name: Some("Anna's iPhone"), ..ReportedDevice::default() };
        for user_agent in ["okhttp/4.12.0", "MyApp/1 CFNetwork/1490 Darwin/23", ""] {
            assert_eq!(device_of(&by_agent(user_agent), &reported).name, "Anna's iPhone", "{user_agent}");
        }
        let web_view = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148";
        assert_eq!(named(web_view).0, "App on iPhone");
        assert_eq!(device_of(&by_agent(web_view), &reported).name, "Anna's iPhone");
        let android = ClientHints { platform: Some("\"Android\""), ..ClientHints::default() };
        assert_eq!(device_of(&android, &reported).name, "Anna's iPhone");
        let start_of_an_agent = ReportedDevice { name: Some(WINDOWS), ..ReportedDevice::default() };
        assert_eq!(device_of(&by_agent("axios/1.6.2"), &start_of_an_agent).name, "Chrome on Windows 10");
    }

    #[test]
    fn a_browser_is_of_the_same_families_with_and_without_hints() {
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0";
        let cases = [
            ("Windows NT 10.0; Win64; x64", "Safari/537.36", "Google Chrome", "Windows", "Chrome"),
            (
                "Windows NT 10.0; Win64; x64",
                "Safari/537.36 Edg/148.0.0.0",
                "Microsoft Edge",
                "Windows",
                "Edge",
            ),
            ("Macintosh; Intel Mac OS X 10_15_7", "Safari/537.36 OPR/125.0.0.0", "Opera", "macOS", "Opera"),
            ("X11; Linux x86_64", "Safari/537.36", "Brave", "Linux", "Chrome"),
            ("X11; Linux x86_64", "Safari/537.36", "Chromium", "Linux", "Chrome"),
            ("X11; Linux x86_64", "Safari/537.36", "Vivaldi", "Linux", "Chrome"),
            ("X11; CrOS x86_64 14541.0.0", "Safari/537.36", "Google Chrome", "Chrome OS", "Chrome"),
            ("Linux; Android 10; K", "Mobile Safari/537.36", "Google Chrome", "Android", "Chrome"),
            ("Linux; Android 10; K", "Safari/537.36", "Google Chrome", "Android", "Chrome"),
        ];
        for (system, end, brand, platform, browser) in cases {
            let user_agent = format!("Mozilla/5.0 ({system}) {webkit} {end}");
            let brands = format!(r#""Not;A=Brand";v="99", "{brand}";v="148", "Chromium";v="148""#);
            let platform = format!("\"{platform}\"");
            let early = ClientHints {
                brands: Some(&brands),
                platform: Some(&platform),
                mobile: Some(if end.starts_with("Mobile") { "?1" } else { "?0" }),
                ..by_agent(&user_agent)
            };
            let late = ClientHints { platform_version: Some("\"15.0.0\""), ..early };
            let without = families(&by_agent(&user_agent));
            let system = platform.trim_matches('"').replace("Chrome OS", "ChromeOS");
            assert_eq!(without, (Some(browser.into()), Some(system)), "{user_agent}");
            assert_eq!(
                [families(&early), families(&late)],
                [without.clone(), without],
                "{user_agent} {brand}"
            );
            let kind = |hints| device_of(hints, &ReportedDevice::default()).kind;
            assert_eq!([kind(&early), kind(&late)], [kind(&by_agent(&user_agent)); 2], "{user_agent}");
        }
    }

    #[test]
    fn families_have_no_version() {
        let family = |browser: &str, platform: &str| (Some(browser.to_owned()), Some(platform.to_owned()));
        let apple = "AppleWebKit/605.1.15 (KHTML, like Gecko)";
        let cases = [
            (
                "Mozilla/5.0 (Windows NT 6.1; rv:115.0) Gecko/20100101 Firefox/115.0".into(),
                family("Firefox", "Windows"),
            ),
            (
                "Mozilla/5.0 (Windows NT 6.0; rv:52.0) Gecko/20100101 Firefox/52.0".into(),
                family("Firefox", "Windows"),
            ),
            (
                format!(
                    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) {apple} Version/26.1 Mobile/15E148 Safari/604.1"
                ),
                family("Safari", "iOS"),
            ),
            (
                format!(
                    "Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) {apple} Version/17.7 Mobile/15E148 Safari/604.1"
                ),
                family("Safari", "iPadOS"),
            ),
            ("MyApp 2.1.0-beta (iPad; iPadOS 17.0)".into(), family("MyApp", "iPadOS")),
            ("MyApp-v3/1 (Windows 11)".into(), family("MyApp", "Windows")),
        ];
        for (user_agent, expected) in cases {
            assert_eq!(families(&by_agent(&user_agent)), expected, "{user_agent}");
        }
        let hints = ClientHints {
            brands: Some(r#""Brave 1.70";v="148""#),
            platform: Some("Windows 11"),
            ..by_agent("")
        };
        assert_eq!(families(&hints), family("Brave", "Windows"));
        assert_eq!(families(&by_agent("1.0")), (None, None));
        let chromebook = ClientHints { platform: Some("\"Chrome OS\""), ..by_agent("") };
        assert_eq!(families(&chromebook), (None, Some("ChromeOS".into())));
    }

    /// Texts near those that browsers send, with characters that nobody should send.
    fn texts() -> impl Strategy<Value = Option<String>> {
        let part = prop::sample::select(vec![
            "Mozilla/5.0 (",
            "Windows NT 10.0; ",
            "iPhone; ",
            "like Mac OS X",
            "Android ",
            "Linux",
            ") ",
            "Chrome/148",
            "/",
            "Safari/1",
            "okhttp",
            "\"",
            ";v=\"",
            "Google Chrome",
            "Windows",
            "?1",
            "%E2%80%AE",
            "%FF",
            " ",
            "1.0",
            "iOS",
            "\u{202E}",
            "\u{200B}",
            "\u{0}",
            "\u{301}\u{301}\u{301}\u{301}",
            "👩\u{200D}💻",
            "mobile",
            "docomo",
        ]);
        let part = prop_oneof![4 => part.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
        prop::option::of(prop::collection::vec(part, 0..60).prop_map(|parts| parts.concat()))
    }

    proptest! {
        #[test]
        fn whatever_a_client_sends_its_device_has_clean_names(
            user_agent in texts(), brands in texts(), platform in texts(), version in texts(), mobile in texts(),
            name in texts(), kind in texts(), browser in texts(),
        ) {
            let hints = ClientHints {
                user_agent: user_agent.as_deref(),
                brands: brands.as_deref(),
                platform: platform.as_deref(),
                platform_version: version.as_deref(),
                mobile: mobile.as_deref(),
            };
            let reported =
                ReportedDevice { name: name.as_deref(), kind: kind.as_deref(), browser: browser.as_deref() };
            let DetectedDevice { device, browser_family, platform_family } = detect(&hints, &reported);
            let families = [browser_family, platform_family].into_iter().flatten();
            for text in [device.name, device.browser, device.os].into_iter().chain(families) {
                prop_assert!(!text.is_empty() && text.chars().count() <= WORDS_MAX);
                prop_assert_eq!(&text::clean(&text, WORDS_MAX), &text);
            }
        }
    }
}
