//! Devices: what people read, and what identifies a device at its next sign-in.

use serde::Serialize;

use super::digest::Digest;

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
