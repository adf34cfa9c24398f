//! The names that people use for browsers, systems and devices, by the words of user agents and client hints.
//!
//! In each table the first line that fits counts, so what is special stands above what is general.

/// What shows pages on a console or a television.
pub(super) const BUILT_IN: &str = "Built-in browser";

/// What an app shows its pages in, when it does not say which app it is.
pub(super) const APP: &str = "App";

/// Apps and browsers that people call otherwise than they call themselves, or that name others beside themselves.
pub(super) const BROWSERS: &[(&str, &str)] = &[
    // Apps that show pages themselves. They also name the browser of the system.
    ("MicroMessenger/", "WeChat"),
    ("FBAN/Messenger", "Messenger"),
    ("FB_IAB/Orca", "Messenger"),
    ("FB_IAB/MESSENGER", "Messenger"),
    ("FBAN/", "Facebook"),
    ("FB_IAB/", "Facebook"),
    ("Instagram", "Instagram"),
    ("Snapchat", "Snapchat"),
    ("musical_ly", "TikTok"),
    ("BytedanceWebview", "TikTok"),
    ("LinkedInApp", "LinkedIn"),
    ("Twitter for", "X"),
    ("TwitterAndroid", "X"),
    ("baiduboxapp", "Baidu"),
    ("AliApp(DingTalk", "DingTalk"),
    ("Weibo (", "Weibo"),
    ("BingSapphire/", "Bing"),
    ("BingWeb/", "Bing"),
    ("KAKAOTALK", "KakaoTalk"),
    (" Line/", "LINE"),
    ("NAVER(", "Naver"),
    ("GSA/", "Google app"),
    ("Valve Steam", "Steam"),
    ("Teams/", "Microsoft Teams"),
    (" Code/", "VS Code"),
    // Browsers.
    ("MSIE", "Internet Explorer"),
    ("Trident/", "Internet Explorer"),
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("Edge/", "Edge"),
    ("Opera Mini/", "Opera Mini"),
    ("OPiOS/", "Opera Mini"),
    ("OPX/", "Opera GX"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("Opera", "Opera"),
    ("YaBrowser/", "Yandex Browser"),
    ("YaSearchBrowser/", "Yandex Browser"),
    ("PicoBrowser/", "Pico Browser"),
    ("OculusBrowser/", "Meta Quest Browser"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Silk/", "Silk"),
    ("Whale/", "Whale"),
    ("QQBrowser/", "QQ Browser"),
    ("UBrowser/", "UC Browser"),
    ("UCBrowser/", "UC Browser"),
    ("MiuiBrowser/", "Mi Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Ddg/", "DuckDuckGo"),
    ("Ecosia", "Ecosia"),
    ("Epiphany", "GNOME Web"),
    ("coc_coc_browser/", "Cốc Cốc"),
    ("360SE", "Qihoo 360"),
    ("QIHU", "Qihoo 360"),
    ("MetaSr", "Sogou Browser"),
    ("LBBROWSER", "Cheetah Browser"),
    ("PaleMoon/", "Pale Moon"),
    ("Focus/", "Firefox Focus"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Headless Chrome"),
    ("Chromium/", "Chromium"),
];

/// Products that name no browser: engines, and what browsers and systems add to them.
pub(super) const PARTS: &[&str] = &[
    "Mozilla",
    "Dalvik",
    "HbbTV",
    "AppleWebKit",
    "AppleWebkit",
    "WebKit",
    "KHTML",
    "Gecko",
    "Goanna",
    "Presto",
    "ArkWeb",
    "QtWebEngine",
    "Electron",
    "Version",
    "Mobile",
    "Build",
    "Safari",
    "Chrome",
    "Firefox",
    "Ubuntu",
    "Kubuntu",
    "Debian",
    "Fedora",
    "CentOS",
    "Linux",
    "openSUSE",
    "SUSE",
    "WebKitGTK+",
    "HMSCore",
    "KAIOS",
];

/// Browsers that name nothing but their engine: all of the words are there.
pub(super) const ENGINES: &[(&[&str], &str)] = &[
    (&["; wv)"], APP),
    (&["Dalvik/"], APP),
    (&["Version/4.0 Chrome/"], APP),
    (&["Electron/"], APP),
    (&["Firefox/"], "Firefox"),
    (&["Chrome/"], "Chrome"),
    (&["Android", "Safari/"], "Android Browser"),
    (&["Safari/"], "Safari"),
    (&["AppleWebKit/", "Mobile/"], APP),
    (&["like Mac OS X"], APP),
];

/// The brands of client hints that are not called so. The engines' own brands are in `ENGINE_BRANDS`.
pub(super) const BRANDS: &[(&str, &str)] = &[
    ("Microsoft Edge", "Edge"),
    ("Yandex", "Yandex Browser"),
    ("YaBrowser", "Yandex Browser"),
    ("HuaweiBrowser", "Huawei Browser"),
    ("OperaMobile", "Opera"),
    ("OculusBrowser", "Meta Quest Browser"),
    ("Oculus Browser", "Meta Quest Browser"),
    ("Brave Browser", "Brave"),
    ("CocCoc", "Cốc Cốc"),
    ("AvastSecureBrowser", "Avast Secure Browser"),
];

/// The brands that also stand for what is built on them.
pub(super) const ENGINE_BRANDS: &[(&str, &str)] = &[
    ("Google Chrome", "Chrome"),
    ("Android WebView", APP),
    ("Microsoft Edge WebView2", APP),
    (CHROMIUM, CHROMIUM),
];

/// The engine of most browsers, and a browser.
pub(super) const CHROMIUM: &str = "Chromium";

/// Where a browser or an app runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The system: "iPadOS".
    pub os: &'static str,
    /// What people call it: "iPad". Most often it is the system.
    pub name: &'static str,
    /// Whether it is a phone, a tablet or worn.
    pub is_mobile: bool,
    /// Whether it is a console or a television, whose browser nobody has chosen.
    pub is_appliance: bool,
}

const fn computer(os: &'static str) -> Place {
    Place { os, name: os, is_mobile: false, is_appliance: false }
}

const fn handheld(os: &'static str, name: &'static str) -> Place {
    Place { os, name, is_mobile: true, is_appliance: false }
}

const fn appliance(os: &'static str, name: &'static str) -> Place {
    Place { os, name, is_mobile: false, is_appliance: true }
}

/// The place that a user agent names.
pub(super) fn place(agent: &str) -> Option<Place> {
    let has_all = |words: &[&str]| words.iter().all(|word| agent.contains(word));
    let find =
        |table: &[(&[&str], Place)]| table.iter().find(|(words, _)| has_all(words)).map(|(_, place)| *place);
    find(CONSOLES).or_else(|| television(agent)).or_else(|| find(SYSTEMS))
}

/// Consoles, and other things with a screen that are no televisions.
const CONSOLES: &[(&[&str], Place)] = &[
    (&["PlayStation 5"], appliance("PlayStation", "PlayStation 5")),
    (&["PlayStation 4"], appliance("PlayStation", "PlayStation 4")),
    (&["PLAYSTATION 3"], appliance("PlayStation", "PlayStation 3")),
    (&["PlayStation Vita"], appliance("PlayStation", "PlayStation Vita")),
    (&["PlayStation"], appliance("PlayStation", "PlayStation")),
    (&["Nintendo Switch 2"], appliance("Nintendo Switch", "Nintendo Switch 2")),
    (&["Nintendo Switch"], appliance("Nintendo Switch", "Nintendo Switch")),
    (&["Nintendo 3DS"], appliance("Nintendo 3DS", "Nintendo 3DS")),
    (&["Nintendo WiiU"], appliance("Wii U", "Wii U")),
    (&["Nintendo Wii"], appliance("Wii", "Wii")),
    (&["Nintendo"], appliance("Nintendo", "Nintendo")),
    (&["Xbox Series"], appliance("Xbox", "Xbox Series X|S")),
    (&["Xbox One"], appliance("Xbox", "Xbox One")),
    (&["XBOX_ONE"], appliance("Xbox", "Xbox One")),
    (&["Xbox"], appliance("Xbox", "Xbox")),
    (&["Tesla/"], appliance("Tesla", "Tesla")),
    (&["; AEO"], appliance("Fire OS", "Echo Show")),
];

/// Words that only televisions, and what is plugged into them, have in their user agents. In lower case.
const TELEVISION_WORDS: &[&str] = &[
    "hbbtv",
    "smart-tv",
    "smarttv",
    "smart tv",
    "smarthub",
    "web0s",
    "webos.tv",
    "netcast",
    "nettv",
    "bravia",
    "viera",
    "vidaa",
    "google tv",
    "googletv",
    "android tv",
    "androidtv",
    "appletv",
    "apple tv",
    "crkey",
    "chromecast",
    "roku",
    "; aft",
    "opera tv",
    " omi/",
    "tivoos",
    "vizio",
    "mitv",
    "mibox",
    "safari/537.36 tv",
    " tv safari/",
];

/// The makers of televisions by their words, in lower case.
const TELEVISION_MAKERS: &[(&str, &str)] = &[
    ("; aft", "Fire TV"),
    ("appletv", "Apple TV"),
    ("apple tv", "Apple TV"),
    ("roku", "Roku"),
    ("vizio", "Vizio TV"),
    ("crkey", "Chromecast"),
    ("chromecast", "Chromecast"),
    ("samsung", "Samsung TV"),
    ("tizen", "Samsung TV"),
    ("maple", "Samsung TV"),
    ("panasonic", "Panasonic TV"),
    ("viera", "Panasonic TV"),
    ("bravia", "Sony TV"),
    ("sony", "Sony TV"),
    ("philips", "Philips TV"),
    ("toshiba", "Toshiba TV"),
    ("sharp", "Sharp TV"),
    ("hisense", "Hisense TV"),
    ("vidaa", "Hisense TV"),
    ("grundig", "Grundig TV"),
    ("loewe", "Loewe TV"),
    ("metz", "Metz TV"),
    ("vestel", "Vestel TV"),
    ("humax", "Humax TV"),
    ("technisat", "TechniSat TV"),
    ("hitachi", "Hitachi TV"),
    ("haier", "Haier TV"),
    ("thomson", "Thomson TV"),
    ("skyworth", "Skyworth TV"),
    ("tcl", "TCL TV"),
    ("mitv", "Xiaomi TV"),
    ("mibox", "Xiaomi TV"),
    ("web0s", "LG TV"),
    ("webos", "LG TV"),
    ("netcast", "LG TV"),
    ("lge", "LG TV"),
];

/// The systems of televisions by their words, in lower case.
const TELEVISION_SYSTEMS: &[(&str, &str)] = &[
    ("tizen", "Tizen"),
    ("web0s", "webOS"),
    ("webos", "webOS"),
    ("vidaa", "VIDAA"),
    ("; aft", "Fire OS"),
    ("android", "Android TV"),
    ("appletv", "tvOS"),
    ("apple tv", "tvOS"),
    ("roku", "Roku OS"),
];

fn television(agent: &str) -> Option<Place> {
    let agent = agent.to_ascii_lowercase();
    let is_named = |word: &str| agent.contains(word);
    let first = |table: &[(&str, &'static str)]| {
        table.iter().find(|(word, _)| is_named(word)).map_or("TV", |(_, name)| name)
    };
    let is_television = TELEVISION_WORDS.iter().any(|word| is_named(word));
    is_television.then(|| appliance(first(TELEVISION_SYSTEMS), first(TELEVISION_MAKERS)))
}

/// The systems of computers, phones and what is worn.
const SYSTEMS: &[(&[&str], Place)] = &[
    (&["OpenHarmony", "PC;"], computer("HarmonyOS")),
    (&["OpenHarmony", "2in1;"], computer("HarmonyOS")),
    (&["OpenHarmony"], handheld("HarmonyOS", "HarmonyOS")),
    (&["HarmonyOS"], handheld("HarmonyOS", "HarmonyOS")),
    (&["Windows Phone"], handheld("Windows Phone", "Windows Phone")),
    (&["Windows NT 10."], computer("Windows 10")),
    (&["Windows NT 6.3"], computer("Windows 8.1")),
    (&["Windows NT 6.2"], computer("Windows 8")),
    (&["Windows NT 6.1"], computer("Windows 7")),
    (&["Windows NT 6.0"], computer("Windows Vista")),
    (&["Windows NT 5."], computer("Windows XP")),
    (&["Windows 11"], computer("Windows 11")),
    (&["Windows"], computer("Windows")),
    (&["Apple Watch"], handheld("watchOS", "Apple Watch")),
    (&["Watch OS"], handheld("watchOS", "Apple Watch")),
    (&["watchOS"], handheld("watchOS", "Apple Watch")),
    (&["like iPhone"], handheld("Linux", "Linux")),
    (&["iPod"], handheld("iOS", "iPod")),
    (&["iPhone"], handheld("iOS", "iPhone")),
    (&["iPad"], handheld("iPadOS", "iPad")),
    // An iPad that asks for the pages of computers calls itself a Mac. Its browsers and web views still give it away.
    (&["Macintosh", "Mobile/"], handheld("iPadOS", "iPad")),
    (&["Macintosh", "iOS/"], handheld("iPadOS", "iPad")),
    (&["macOS"], computer("macOS")),
    (&["Macintosh"], computer("macOS")),
    (&["Mac OS"], computer("macOS")),
    (&[" iOS"], handheld("iOS", "iOS")),
    (&["(iOS"], handheld("iOS", "iOS")),
    // What apps on Apple's systems send by themselves. A Mac adds its model or its processor.
    (&["Darwin/", "x86_64"], computer("macOS")),
    (&["Darwin/", "Mac"], computer("macOS")),
    (&["Darwin/"], handheld("iOS", "iOS")),
    (&["KAIOS"], handheld("KaiOS", "KaiOS")),
    (&["Tizen"], handheld("Tizen", "Tizen")),
    (&["Ubuntu", "like Android"], handheld("Ubuntu Touch", "Ubuntu Touch")),
    (&["; Quest"], handheld("Android", "Meta Quest")),
    (&["; KF", "Silk/"], handheld("Fire OS", "Fire tablet")),
    (&["CrOS"], computer("ChromeOS")),
    (&["Chromebook"], computer("ChromeOS")),
    (&["Android"], handheld("Android", "Android")),
    (&["Kindle"], handheld("Kindle", "Kindle")),
    (&["Ubuntu"], computer("Ubuntu")),
    (&["Fedora"], computer("Fedora")),
    (&["Debian"], computer("Debian")),
    (&["Linux Mint"], computer("Linux Mint")),
    (&["SUSE"], computer("openSUSE")),
    (&["Gentoo"], computer("Gentoo")),
    (&["CentOS"], computer("CentOS")),
    (&["Red Hat"], computer("Red Hat")),
    (&["Linux"], computer("Linux")),
    (&["FreeBSD"], computer("FreeBSD")),
    (&["OpenBSD"], computer("OpenBSD")),
    (&["NetBSD"], computer("NetBSD")),
    (&["BlackBerry"], handheld("BlackBerry", "BlackBerry")),
    (&["BB10"], handheld("BlackBerry", "BlackBerry")),
    (&["Symbian"], handheld("Symbian", "Symbian")),
];
