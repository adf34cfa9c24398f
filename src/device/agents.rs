//! User agents as devices send them, and what a person calls those devices. All are from the public lists of
//! matomo's device-detector and of ua-parser, but for GNOME Web's and Slack's, which have their form.

use super::{ClientHints, ReportedDevice, detect};
use crate::session::DeviceType::{self, Mobile, Web};

const DEVICES: &[(&str, DeviceType, &str)] = &[
    (
        "App on iPad",
        Mobile,
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    ),
    (
        "Safari on iPad",
        Mobile,
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_6) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.6 Mobile/15E148 Safari/604.1",
    ),
    (
        "Chrome on iPad",
        Mobile,
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_13_5) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/102 Version/11.1.1 Safari/605.1.15",
    ),
    (
        "PlayStation 5",
        Web,
        "Mozilla/5.0 (PlayStation; PlayStation 5/2.26) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0 Safari/605.1.15",
    ),
    ("PlayStation 4", Web, "Mozilla/5.0 (PlayStation 4 Pro 5.0)"),
    (
        "Nintendo Switch",
        Web,
        "Mozilla/5.0 (Nintendo Switch; WifiWebAuthApplet) AppleWebKit/609.4 (KHTML, like Gecko) NF/6.0.2.23.6 NintendoBrowser/5.1.0.23620",
    ),
    (
        "Edge on Xbox Series X|S",
        Web,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox Series X) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/48.0.2564.82 Safari/537.36 Edge/20.02",
    ),
    (
        "Samsung TV",
        Web,
        "Mozilla/5.0 (SMART-TV; LINUX; Tizen 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Version/5.0 TV Safari/537.36",
    ),
    (
        "LG TV",
        Web,
        "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/79.0.3945.79 Safari/537.36 HbbTV/1.5.1 (+DRM; LGE; KEY0000213F1z; WEBOS6.0 00.00.00; W60_O20N; DTV_W21O;)",
    ),
    (
        "Sony TV",
        Web,
        "Mozilla/5.0 (Linux; Android 8.0.0; BRAVIA 4K UR2) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/78.0.3904.96 Mobile Safari/537.36",
    ),
    ("Panasonic TV", Web, "HbbTV/1.4.1 (;Panasonic;VIERA 2019;d.704;4b01-0003 0040-0000;) PanasonicSDK/2017"),
    (
        "Hisense TV",
        Web,
        "Mozilla/5.0 (X11; Linux armv7l) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/57.0.2987.133 Odin/3.2987.2.8 Safari/537.36 HbbTV/1.4.1 ( DRM; Hisense; 50A6502EA; V0000.01.00a.J0613; 50A6502EA; SmartTV_2018;)",
    ),
    (
        "Silk on Fire TV",
        Web,
        "Mozilla/5.0 (Linux; Android 9; AFTWMST22) AppleWebKit/537.36 (KHTML, like Gecko) Silk/94.1.208 like Chrome/94.0.4606.119 Safari/537.36",
    ),
    (
        "Chromecast",
        Web,
        "Mozilla/5.0 (X11; Linux armv7l) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/90.0.4430.225 Safari/537.36 CrKey/1.56.500000 DeviceType/SmartSpeaker",
    ),
    ("PrimeVideo on Apple TV", Web, "PrimeVideo/2.9.1 (AppleTV6,2; tvOS 26.4; Scale/2.0)"),
    (
        "GNOME Web on Linux",
        Web,
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.0 Safari/605.1.15 Epiphany/605.1.15",
    ),
    (
        "DuckDuckGo on macOS",
        Web,
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.3 Safari/605.1.15 Ddg/26.3",
    ),
    (
        "DuckDuckGo on iPhone",
        Mobile,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1 Ddg/18.6",
    ),
    (
        "DuckDuckGo on Android",
        Mobile,
        "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/128.0.0.0 Mobile DuckDuckGo/5 Safari/537.36",
    ),
    (
        "Whale on Windows 10",
        Web,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/98.0.4758.104 Whale/3.13.131.36 Safari/537.36",
    ),
    (
        "Silk on Fire tablet",
        Mobile,
        "Mozilla/5.0 (Linux; Android 9; KFKAWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/98.1.148 like Chrome/98.0.4758.101 Safari/537.36",
    ),
    (
        "QQ Browser on Android",
        Mobile,
        "Mozilla/5.0 (Linux; U; Android 10; zh-cn; iData_i3AL Build/QP1A.190711.020) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/89.0.4389.72 MQQBrowser/12.0 Mobile Safari/537.36",
    ),
    (
        "Naver on iPhone",
        Mobile,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 15_2_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.2 Mobile/15E148 Safari/605.1 NAVER(inapp; search; 1000; 11.8.10; 12PRO)",
    ),
    (
        "Slack on macOS",
        Web,
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Slack/4.40.126 Chrome/128.0.6613.36 Electron/32.0.1 Safari/537.36",
    ),
    (
        "Discord on Windows 10",
        Web,
        "Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) discord/1.0.9003 Chrome/91.0.4472.164 Electron/13.4.0 Safari/537.36",
    ),
    (
        "VS Code on Windows 10",
        Web,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Code/1.61.2 Chrome/91.0.4472.164 Electron/13.5.1 Safari/537.36",
    ),
    (
        "Microsoft Teams on macOS",
        Web,
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/147.0.0.0 Safari/537.36 Edg/147.0.0.0 Teams/26106.2110.4675.2592 (50)",
    ),
    (
        "Firefox on Ubuntu",
        Web,
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:72.0) Gecko/20100101 Firefox/72.0",
    ),
    (
        "Chrome on Fedora",
        Web,
        "Mozilla/5.0 (X11; Fedora; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/98.0.4758.121 Safari/537.36",
    ),
    (
        "Chrome on ChromeOS",
        Web,
        "Mozilla/5.0 (Linux; Android 9; ASUS Chromebook Flip C302) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/85.0.4183.127 Safari/537.36",
    ),
    (
        "WeChat on HarmonyOS",
        Mobile,
        "Mozilla/5.0 (Phone; OpenHarmony 5.1) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.0.0 Safari/537.36 ArkWeb/4.1.6.1 Mobile MicroMessenger/8.0.9.39(0xf3100927) Weixin NetType/WIFI Language/zh_CN MMWEBID/2777 MMWEBSDK/202507060011 XWEB/1140307",
    ),
    (
        "Huawei Browser on HarmonyOS",
        Mobile,
        "Mozilla/5.0 (Linux; Android 12; HarmonyOS; CET-AL60; HMSCore 6.8.0.332) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/99.0.4844.88 HuaweiBrowser/13.0.1.301 Mobile Safari/537.36",
    ),
    (
        "Huawei Browser on HarmonyOS",
        Web,
        "Mozilla/5.0 (PC; OpenHarmony 6.1; Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/132.0.0.0 Safari/537.36 ArkWeb/6.1.0.100 HuaweiBrowser/6.1.3.321",
    ),
    (
        "Instagram on Android",
        Mobile,
        "Mozilla/5.0 (Linux; Android 11; SM-A325M Build/RP1A.200720.012; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/98.0.4758.101 Mobile Safari/537.36 Instagram 222.0.0.15.114 Android (30/11; 420dpi; 1080x2195; samsung; SM-A325M; a32; mt6769t; es_US)",
    ),
    (
        "Facebook on iPad",
        Mobile,
        "Mozilla/5.0 (iPad; CPU OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21F90 [FBAN/FBIOS;FBAV/466.0.0.36.107;FBBV/604687626;FBDV/iPad13,18;FBMD/iPad;FBSN/iPadOS]",
    ),
    (
        "Ecosia on Android",
        Mobile,
        "Mozilla/5.0 (Linux; Android 9; Redmi 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/101.0.4951.41 Mobile Safari/537.36 (Ecosia android@101.0.4951.41)",
    ),
    (
        "Waterfox on Linux",
        Web,
        "Mozilla/5.0 (X11; Linux x86_64; rv:55.0) Gecko/20100101 Firefox/55.2.2 Waterfox/55.2.2",
    ),
    (
        "Meta Quest Browser on Meta Quest",
        Mobile,
        "Mozilla/5.0 (X11; Linux x86_64; Quest 2) AppleWebKit/537.36 (KHTML, like Gecko) OculusBrowser/26.2.0.0.10 SamsungBrowser/4.0 Chrome/110.0.5481.192 VR Safari/537.36",
    ),
    (
        "Tesla",
        Web,
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/98.0.4758.102 Safari/537.36 Tesla/develop-2022.12.3.2-5-2d5530dd8f",
    ),
    (
        "Firefox on KaiOS",
        Mobile,
        "Mozilla/5.0 (Mobile; IPRO_K2_3G; rv:48.0; CAEN) Gecko/48.0 Firefox/48.0 KAIOS/2.5.1.2",
    ),
];

#[test]
fn devices_are_called_what_people_call_them() {
    for (name, kind, user_agent) in DEVICES {
        let hints = ClientHints { user_agent: Some(user_agent), ..ClientHints::default() };
        let device = detect(&hints, &ReportedDevice::default()).device;
        assert_eq!((device.name.as_str(), device.kind), (*name, *kind), "{user_agent}");
    }
}
