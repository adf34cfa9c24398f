//! Where a device is seen.

use crate::text;

/// The longest location, in characters.
pub const LOCATION_MAX: usize = 128;

/// Where a device is seen, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its IP address, or "unknown".
    pub ip_address: String,
    /// The place of that address.
    pub location: Option<Location>,
}

/// A place as people write it: "Tashkent, Uzbekistan".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location(String);

impl Location {
    /// The visible part of `text`, cut to [`LOCATION_MAX`] characters; `None` when nothing is left.
    pub fn new(text: &str) -> Option<Self> {
        Some(text::clean(text, LOCATION_MAX)).filter(|text| !text.is_empty()).map(Self)
    }

    /// The location as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_visible_and_short() {
        assert_eq!(Location::new(" São\u{200B} Paulo,\tBrazil ").unwrap().as_str(), "São Paulo, Brazil");
        assert_eq!(Location::new(&"é".repeat(500)).unwrap().as_str().chars().count(), LOCATION_MAX);
        assert_eq!(Location::new(" \u{200B}\u{0}\n"), None);
    }
}
