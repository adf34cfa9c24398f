//! Devices: what people read, and what identifies a device at its next sign-in.

use serde::Serialize;

use super::digest::Digest;
use super::id::UserId;

/// The kind of a device. Existing clients compare it with `mobile`, so there is no third value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceType {
    /// A phone or a tablet.
    Mobile,
    /// A browser on any other machine, and every device of an unknown kind.
    Web,
}

impl DeviceType {
    /// The type with this value.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Mobile, Self::Web].into_iter().find(|kind| kind.as_str() == code)
    }

    /// The value in the table and in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::Web => "web",
        }
    }
}

/// The device of a session, in words that people use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// For example "Chrome on Windows 10"; "Unknown device" when nothing is known.
    pub name: String,
    /// Whether it is a phone or a tablet.
    pub kind: DeviceType,
    /// For example "Chrome"; "Unknown" when it is not known.
    pub browser: String,
    /// For example "Windows 10"; "Unknown" when it is not known.
    pub os: String,
}

/// What a client computed to tell its device from others. It is never stored or shown as it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint<'t>(&'t str);

impl<'t> Fingerprint<'t> {
    /// The fewest characters of a fingerprint that can tell devices apart.
    const MIN: usize = 8;

    /// The fewest characters of a whole picture. All PNGs of one size begin alike, and in 80 characters there is not one pixel.
    const PICTURE_MIN: usize = 256;

    /// The fingerprint in a text; `None` when many devices send the same text. Two devices must not become one by it: the
    /// second would be invisible in the list, and would stay when everything else is signed out.
    pub fn parse(text: &'t str) -> Option<Self> {
        let text = text.trim();
        let length = text.chars().count();
        let is_nothing = text.eq_ignore_ascii_case("undefined") || text.starts_with("[object ");
        let is_zero = !text.chars().any(|c| c.is_alphanumeric() && c != '0');
        // "ZGF0YTp" is how "data:" begins in base64.
        let is_picture = text.starts_with("data:") || text.starts_with("ZGF0YTp");
        let min = if is_picture { Self::PICTURE_MIN } else { Self::MIN };
        (length >= min && !is_nothing && !is_zero).then_some(Self(text))
    }

    /// The digest that is stored.
    pub fn digest(self, user: &UserId) -> Digest {
        Digest::of(user, "fingerprint", self.0.as_bytes())
    }
}

/// What identifies a device at its next sign-in. It is stored apart from the names that people read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceIdentity {
    /// The digest of the fingerprint that the client computed.
    pub fingerprint: Option<Digest>,
    /// The family of the browser, such as "Chrome".
    pub browser: Option<String>,
    /// The family of the platform, such as "Windows". It has no version, because browsers send the version late.
    pub platform: Option<String>,
    /// Whether it is a phone or a tablet.
    pub kind: DeviceType,
    /// The digest of the user agent. It does not identify the device; it only helps to find the current session.
    pub user_agent: Option<Digest>,
}

impl DeviceIdentity {
    /// Whether both belong to one device. A fingerprint alone does not prove it: one existing client sends the same
    /// fingerprint from every browser.
    pub fn same_device(&self, other: &Self) -> bool {
        self.fingerprint.is_some()
            && self.fingerprint == other.fingerprint
            && self.browser == other.browser
            && self.platform == other.platform
            && self.kind == other.kind
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{fingerprint, user};
    use super::*;

    #[test]
    fn a_fingerprint_that_says_nothing_is_none() {
        let picture = format!("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA{}", "x".repeat(250));
        let in_base64 = format!("ZGF0YTppbWFnZS9wbmc7YmFzZTY0LGlWQk9S{}", "x".repeat(250));
        let nothing = [
            "",
            " \t\n        ",
            "1234567",
            "        a        ",
            "null",
            "undefined",
            "UNDEFINED",
            "[object Object]",
            "[object Promise]",
            "00000000",
            "00000000-0000-0000-0000-000000000000",
            "--------",
            "ZGF0YTppbWFnZS9wbmc7YmFzZTY0LGlW",
            "data:image/png;base64,",
            &picture[..100],
            &in_base64[..100],
        ];
        for text in nothing {
            assert!(Fingerprint::parse(text).is_none(), "{text:?}");
        }
        let fingerprints =
            ["12345678", "c4ca4238a0b923820dcc509a6f75849b", "00000000-0000-0000-0000-000000000001"];
        for text in
            fingerprints.into_iter().chain([picture.as_str(), &in_base64, "undefined device 7", "Gerät 00"])
        {
            let digest = Digest::of(&user(), "fingerprint", text.as_bytes());
            assert_eq!(Fingerprint::parse(text).unwrap().digest(&user()), digest, "{text:?}");
        }
    }

    #[test]
    fn a_device_is_the_same_if_fingerprint_browser_platform_and_kind_agree() {
        let one = fingerprint(1);
        let browser = |name: &str| DeviceIdentity { browser: Some(name.into()), ..fingerprint(1) };
        let platform = |name: &str| DeviceIdentity { platform: Some(name.into()), ..fingerprint(1) };
        let other_agent = Some(Digest::of(&user(), "user_agent", b"updated"));
        assert!(one.same_device(&DeviceIdentity { user_agent: other_agent, ..fingerprint(1) }));
        let others = [
            fingerprint(2),
            browser("Chrome"),
            platform("Windows"),
            DeviceIdentity { browser: None, ..fingerprint(1) },
            DeviceIdentity { platform: None, ..fingerprint(1) },
            DeviceIdentity { kind: DeviceType::Mobile, ..fingerprint(1) },
            DeviceIdentity { fingerprint: None, ..fingerprint(1) },
        ];
        for other in others {
            assert!(!one.same_device(&other) && !other.same_device(&one), "{other:?}");
        }
        let none = DeviceIdentity { fingerprint: None, ..fingerprint(1) };
        assert!(!none.same_device(&none), "devices without a fingerprint are never the same");
    }
}
