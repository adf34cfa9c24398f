//! Reads client hints (<https://wicg.github.io/ua-client-hints/>): what a browser says about itself in headers of their
//! own. They name what the user agent no longer does: it says Windows 10 on Windows 11, and Chrome for Brave.

use super::{ClientHints, names, words};

impl ClientHints<'_> {
    /// The brand that a user would name.
    pub(super) fn browser(&self) -> Option<String> {
        let brand = self.brands().find(|brand| engine(brand).is_none())?;
        let known = names::BRANDS.iter().find(|(known, _)| *known == brand);
        words(Some(known.map_or(brand, |(_, name)| name)))
    }

    /// The engine, where that is the only brand.
    pub(super) fn engine(&self) -> Option<String> {
        let engines = || self.brands().filter_map(engine);
        engines().find(|name| *name != names::CHROMIUM).or_else(|| engines().next()).map(str::to_owned)
    }

    /// The names of the list of brands. The version after each name is quoted too. One brand is made up ("Not A;Brand"),
    /// so that nobody relies on knowing them all.
    fn brands(&self) -> impl Iterator<Item = &str> {
        let quoted = self.brands.unwrap_or_default().split('"').skip(1).step_by(4);
        quoted.filter(|brand| !brand.contains("Not") && !brand.contains("Brand"))
    }

    /// The system, with its version where that is known and people name it.
    pub(super) fn os(&self) -> Option<String> {
        let unquote = |text: Option<&str>| words(text.map(|text| text.trim_matches('"')));
        let platform = unquote(self.platform).filter(|platform| platform != "Unknown")?;
        let version = unquote(self.platform_version).and_then(|version| major(&version));
        Some(match (platform.as_str(), version) {
            // Microsoft's table: <https://learn.microsoft.com/microsoft-edge/web-platform/how-to-detect-win11>.
            ("Windows", Some(13..)) => "Windows 11".into(),
            ("Windows", Some(1..)) => "Windows 10".into(),
            ("macOS", Some(version @ 11..)) => format!("macOS {version}"),
            ("Chrome OS" | "Chromium OS", _) => "ChromeOS".into(),
            _ => platform,
        })
    }
}

fn engine(brand: &str) -> Option<&'static str> {
    names::ENGINE_BRANDS.iter().find(|(engine, _)| *engine == brand).map(|(_, name)| *name)
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}
