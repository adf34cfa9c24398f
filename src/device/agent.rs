//! Reads a user agent: which browser or app it names, and where that runs.
//!
//! A user agent is a list of products, such as `Firefox/145.0`, and comments in parentheses (RFC 9110, section 10.1.5).
//! Browsers also name the engines of others, so that pages made for those work in them too. So what counts is the
//! product that is no engine, and an engine only where there is nothing else.

use percent_encoding::percent_decode_str;

use super::names::{self, Place};
use super::words;

/// How the user agents of browsers, televisions and parts of Android begin. Those of other programs begin with their own
/// product.
const BROWSER_PREFIXES: [&str; 4] = ["Mozilla/", "Opera/", "HbbTV/", "Dalvik/"];

/// A user agent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agent<'a> {
    text: &'a str,
    /// Where it runs, as far as it says so.
    pub place: Option<Place>,
}

impl<'a> Agent<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, place: names::place(text) }
    }

    /// Whether it names a browser, a system or a device. The name of an app is not enough.
    pub fn names_anything(&self) -> bool {
        self.place.is_some() || self.browser().is_some() || self.engine().is_some()
    }

    /// Whether it is a phone, a tablet or worn. Televisions name the engines of phones too.
    pub fn is_mobile(&self) -> bool {
        match self.place {
            Some(place) => place.is_mobile || !place.is_appliance && self.text.contains("Mobile"),
            None => self.text.contains("Mobile"),
        }
    }

    /// The browser or app that names itself; `None` when only an engine is named.
    pub fn browser(&self) -> Option<String> {
        if !is_browser(self.text) {
            return None;
        }
        let known = names::BROWSERS.iter().find(|(token, _)| self.text.contains(token));
        match (known, self.place) {
            (Some((_, name)), _) => Some((*name).to_owned()),
            // Televisions list many products, and none is a browser that people know.
            (None, Some(place)) if place.is_appliance => Some(names::BUILT_IN.to_owned()),
            (None, _) => self.robot().or_else(|| self.own_product()),
        }
    }

    /// The browser that is known by its engine only.
    pub fn engine(&self) -> Option<String> {
        let is_named = |tokens: &[&str]| tokens.iter().all(|token| self.text.contains(token));
        let engine = names::ENGINES.iter().find(|(tokens, _)| is_browser(self.text) && is_named(tokens));
        engine.map(|(_, name)| (*name).to_owned())
    }

    /// The app or tool whose user agent is not that of a browser: "okhttp" of `okhttp/4.12.0`. Apps on Apple's systems
    /// percent-encode their name.
    pub fn app(&self) -> Option<String> {
        let product = if is_browser(self.text) { "" } else { self.text.split(['/', '(', '[']).next()? };
        let product = words(Some(&percent_decode_str(product).decode_utf8_lossy()))?;
        without_version(&product).filter(|product| product.contains(char::is_alphabetic))
    }

    /// "Googlebot" of `(compatible; Googlebot/2.1; ...)`.
    fn robot(&self) -> Option<String> {
        let (_, name) = self.text.split_once("compatible; ")?;
        words(name.split(['/', ';', ')']).next()).and_then(|name| without_version(&name))
    }

    /// "Slack" of `Slack/4.40 Chrome/124.0 Electron/30.0`: the first product that is not a part of an engine.
    fn own_product(&self) -> Option<String> {
        let names = products(self.text).filter_map(|product| product.split_once('/')).map(|(name, _)| name);
        let mut own =
            names.filter(|name| name.starts_with(char::is_alphabetic) && !names::PARTS.contains(name));
        own.next().and_then(|name| words(Some(&spaced(name))))
    }
}

/// Whether a user agent is one of a browser, or of an app that shows its pages in one.
pub(super) fn is_browser(text: &str) -> bool {
    BROWSER_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
}

/// What stands outside of the comments of a user agent, word by word.
fn products(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    let words = text.split(move |c| {
        depth = match c {
            '(' => depth + 1,
            ')' => depth.saturating_sub(1),
            _ => depth,
        };
        depth > 0 || matches!(c, ')' | '[' | ']' | ' ' | ';' | ',')
    });
    words.filter(|word| !word.is_empty())
}

/// A product as people write it: "HuaweiBrowser" is "Huawei Browser", "discord" is "Discord".
fn spaced(product: &str) -> String {
    let mut first = product.chars();
    match product.strip_suffix("Browser") {
        Some(maker) if !maker.is_empty() => format!("{} Browser", maker.trim_end_matches(['-', '_'])),
        _ if !product.contains(char::is_uppercase) => {
            first.next().into_iter().flat_map(char::to_uppercase).chain(first).collect()
        }
        _ => product.to_owned(),
    }
}

/// The words of a name before the first that is a version.
pub(super) fn without_version(name: &str) -> Option<String> {
    let separators = [' ', '-', '_'];
    let words =
        name.split_inclusive(separators).take_while(|word| !is_version(word.trim_end_matches(separators)));
    let name = words.collect::<String>();
    Some(name.trim_end_matches(separators).to_owned()).filter(|name| !name.is_empty())
}

/// Whether a word is digits, or digits and a dot and more, with or without a `v` before them.
fn is_version(word: &str) -> bool {
    let number = word.trim_start_matches(['v', 'V']);
    let rest = number.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < number.len() && (rest.is_empty() || rest.starts_with('.'))
}
