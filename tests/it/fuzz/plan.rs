//! What is sent: valid requests with some parts changed, and JSON that is no request. Sessions and users are named by
//! what they are; their ids are chosen when the event is made.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::support::{ROUTES, START};

/// What Lambda delivers.
#[derive(Clone, Debug)]
pub enum Delivery {
    Request(Plan),
    Alien(Value),
    /// A nest of lists or objects, alone or at this place of a valid event.
    Deep {
        depth: usize,
        objects: bool,
        place: Option<String>,
    },
}

/// A planned request.
#[derive(Clone, Debug)]
pub struct Plan {
    pub route: usize,
    pub caller: usize,
    pub target: usize,
    pub session: Pick,
    pub proof: Proof,
    /// What the `X-Session-Id` header names.
    pub named: Option<Pick>,
    /// `{cursor}` is the last one that a list handed out.
    pub query: String,
    pub device: usize,
    /// Whether the path comes as the gateway delivers that of a route with parameters.
    pub matched: bool,
    pub edits: Vec<Edit>,
    pub cut: Option<Cut>,
}

/// A session by what became of it; the numbers choose among the existing ones.
#[derive(Clone, Debug)]
pub enum Pick {
    Live(usize),
    Ended(usize),
    OfAnother(usize),
    Never,
    Junk(String),
}

/// What proves who is calling.
#[derive(Clone, Debug)]
pub enum Proof {
    /// A good token, of a session or of none.
    Token {
        sid: Option<Pick>,
    },
    /// A token, signed, with these claims on top.
    Claims(Vec<(String, Value)>),
    /// A good token with one character replaced.
    Bent {
        at: usize,
        with: char,
    },
    Missing,
}

/// A part of the event to be set, or to be taken away.
#[derive(Clone, Debug)]
pub struct Edit {
    pub at: Vec<String>,
    pub value: Option<Value>,
}

/// A part of the event's text to be replaced, if the result is JSON.
#[derive(Clone, Debug)]
pub struct Cut {
    pub at: usize,
    pub length: usize,
    pub scrap: String,
}

/// Pieces of user agents, real and fake.
pub const AGENTS: &str = "Mozilla/5.0 |(Windows NT 10.0; Win64; x64) |(iPhone; CPU iPhone OS 18_7 like Mac OS X) \
    |(iPad; CPU OS 17_7 like Mac OS X) |(Linux; Android 10; K) |(X11; Linux x86_64; rv:145.0) |Windows \
    |(Macintosh; Intel Mac OS X 10_15_7) |AppleWebKit/537.36 (KHTML, like Gecko) |Chrome/148.0.0.0 |Safari/537.36 \
    |Edg/148.0.0.0 |OPR/125.0.0.0 |Firefox/145.0|compatible; MSIE 10.0; Trident/6.0; IEMobile/10.0; |Opera/9.80 \
    |Windows Phone 8.0; |DoCoMo/2.0 |KDDI-|SoftBank/1.0/|WILLCOM;x/y/|(PSP (PlayStation Portable); |Nintendo 3DS\
    |BlackBerry9700/|BB10 Version/|Googlebot/2.1 |ブラウザ|é;";

const WORDS: &str = "| |\0|\r\n|\t|\u{7f}|é|\u{1f4a5}|\u{202e}\u{feff}|\u{10ffff}|..|../../|//|%|%2f|%2F..%2f|%00|%ff%fe\
    |%c3%a9|+|\"|'|<script>|{}|[]|[admin]|null|true|-1|9007199254740993|1e999|01900000-0000-7000-8000-000000000000";

const HEADERS: &str = "host|authorization|content-type|content-length|x-session-id|user-agent|sec-ch-ua|accept\
    |sec-ch-ua-platform|sec-ch-ua-platform-version|sec-ch-ua-mobile|x-forwarded-proto|x-forwarded-for\
    |x-forwarded-port|cookie|X-Session-Id|HOST|idempotency-key";

const NO_HEADERS: &str = "|é|a b|x\r\ny|x:y";

const HEADER_VALUES: &str = "a b|host:99999|[::1|user:pw@host|xn--|exämple.com|localhost#x|a/b?c|http|javascript\
    |application/json; charset=utf-8|application/problem+json|text/plain|Bearer|Bearer |Basic YTpi|bearer a.b.c\
    |?1|?0|\"Windows\"|\"15.0.0\"|\"99999999999.0\"|\"Chromium\";v=\"148\", \"Not A(Brand\";v=\"8\"|\"\"\"\"\
    |01900000-0000-7000-8000-000000000000";

const QUERIES: &str = "|include_inactive=true|include_inactive=true&limit=1|limit=1|include_inactive=false|&&=&\
    |include_inactive=true&limit=2&cursor={cursor}|limit=100&cursor={cursor}|reason=Left+the+office\
    |reason=%C3%A9%F0%9F%92%A5|dry_run=true|dry_run=true&reason=x|exclude_current=true|exclude_current=true&reason=x\
    |exclude_current=false|unknown=1&unknown=2|user_id=74&user_id=75|user_id=";

const PARAMETERS: &str = "include_inactive|limit|cursor|reason|dry_run|exclude_current|user_id|x|";

const PARAMETER_VALUES: &str = "true|false|0|1|100|101|";

const SEGMENTS: &str = "sessions|user|session|create|current|my-sessions|logout|logout-all|active-devices-count\
    |update-activity|summary|end|activity|74|a@b.example|%37%34|%2537|Sessions|dev";

const METHODS: &str = "GET|POST|DELETE|PUT|PATCH|OPTIONS|HEAD|get|CONNECT||a b|é";

const ADDRESSES: &str = "2001:db8::1|::|203.0.113.9|256.1.1.1|fe80::1%eth0|unknown|";

const CLAIMS: &str = "sub|role|sid|exp|nbf|iss|aud|";

const FIELDS: &str =
    "device_fingerprint|device_name|device_type|browser|ip_address|location|headers|user_ids|reason|dry_run";

const SCRAPS: &str = "|\"|{|]|null|1e999|\\ud800|\"headers\":1,|\"body\":\"x\",";

const PLACES: &str = "version|type|routeArn|methodArn|identitySource|routeKey|rawPath|rawQueryString|cookies|headers|headers/host|headers/authorization\
    |queryStringParameters|pathParameters|stageVariables|body|isBase64Encoded|httpMethod|path|resource\
    |requestContext|requestContext/http|requestContext/http/method|requestContext/http/path\
    |requestContext/http/sourceIp|requestContext/http/userAgent|requestContext/authorizer\
    |requestContext/authorizer/jwt|requestContext/authorizer/jwt/claims|requestContext/authorizer/jwt/claims/sub\
    |requestContext/authentication|requestContext/stage|requestContext/requestId|requestContext/domainName\
    |requestContext/timeEpoch";

pub fn delivery() -> impl Strategy<Value = Delivery> {
    let deep = (select(vec![100, 130, 5_000]), any::<bool>(), prop::option::of(of(PLACES)));
    prop_oneof![
        60 => plan().prop_map(Delivery::Request),
        1 => value().prop_map(Delivery::Alien),
        1 => deep.prop_map(|(depth, objects, place)| Delivery::Deep { depth, objects, place }),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let who = (0..4_usize, 0..4_usize, pick(), proof(), prop::option::weighted(0.2, pick()));
    let what = (0..ROUTES.len(), of(QUERIES), 0..6_usize, any::<bool>());
    let changes = prop::collection::vec(change(), 1..4).prop_map(|changes| changes.concat());
    let edits = prop_oneof![1 => Just(Vec::new()), 1 => changes];
    let cut =
        (any::<usize>(), 0..12_usize, of(SCRAPS)).prop_map(|(at, length, scrap)| Cut { at, length, scrap });
    (who, what, edits, prop::option::weighted(0.05, cut)).prop_map(|(who, what, edits, cut)| {
        let (caller, target, session, proof, named) = who;
        let (route, query, device, matched) = what;
        Plan { route, caller, target, session, proof, named, query, device, matched, edits, cut }
    })
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        8 => (0..4_usize).prop_map(Pick::Live),
        2 => (0..4_usize).prop_map(Pick::Ended),
        1 => (0..4_usize).prop_map(Pick::OfAnother),
        1 => Just(Pick::Never),
        1 => text().prop_map(Pick::Junk),
    ]
}

fn proof() -> impl Strategy<Value = Proof> {
    prop_oneof![
        16 => prop::option::weighted(0.7, pick()).prop_map(|sid| Proof::Token { sid }),
        2 => prop::collection::vec((of(CLAIMS), value()), 1..4).prop_map(Proof::Claims),
        1 => (any::<usize>(), any::<char>()).prop_map(|(at, with)| Proof::Bent { at, with }),
        1 => Just(Proof::Missing),
    ]
}

fn change() -> BoxedStrategy<Vec<Edit>> {
    let stages = of("$default|dev|sessions|");
    let cookies = prop::collection::vec(text(), 0..4).prop_map(Value::from);
    let map = |names: &'static str| object(of(names), texts(text()));
    prop_oneof![
        8 => header(),
        6 => body(),
        4 => set("rawPath", texts(path())),
        4 => set("rawQueryString", texts(query())),
        4 => set("requestContext/authorizer", authorizer()),
        2 => set("requestContext/http/method", texts(of(METHODS))),
        2 => set("requestContext/http/sourceIp", texts(prop_oneof![of(ADDRESSES), text()])),
        1 => set("requestContext/stage", texts(prop_oneof![stages, text()])),
        1 => set("queryStringParameters", map(PARAMETERS)),
        1 => set("pathParameters", map("user_id|session_id|proxy|")),
        1 => set("stageVariables", map(WORDS)),
        1 => set("cookies", cookies),
        1 => (of(PLACES), value()).prop_map(|(place, value)| vec![edit(&place, Some(value))]),
        1 => of(PLACES).prop_map(|place| vec![edit(&place, None)]),
    ]
    .boxed()
}

fn header() -> impl Strategy<Value = Vec<Edit>> {
    let name = prop_oneof![30 => of(HEADERS), 1 => of(NO_HEADERS)];
    let said = prop_oneof![5 => of(HEADER_VALUES), 5 => agent(), 2 => text()];
    let value = prop_oneof![20 => texts(said), 1 => value()];
    (name, value)
        .prop_map(|(name, value)| vec![Edit { at: vec!["headers".into(), name], value: Some(value) }])
}

/// A body, and a flag for base64 that may be wrong.
fn body() -> impl Strategy<Value = Vec<Edit>> {
    let said = prop_oneof![3 => texts(agent()), 2 => texts(text()), 1 => value()];
    let whole = object(of(FIELDS), said).prop_map(|body| body.to_string().into_bytes());
    let broken = (value(), any::<usize>()).prop_map(|(body, length)| {
        let mut bytes = body.to_string().into_bytes();
        bytes.truncate(length % (bytes.len() + 1));
        bytes
    });
    let binary = prop::collection::vec(any::<u8>(), 0..40);
    let bytes = prop_oneof![4 => whole, 1 => broken, 1 => binary, 1 => text().prop_map(String::into_bytes)];
    (bytes, any::<bool>(), prop::bool::weighted(0.9)).prop_map(|(bytes, encoded, truly)| {
        let text =
            if encoded { STANDARD.encode(bytes) } else { String::from_utf8_lossy(&bytes).into_owned() };
        vec![edit("body", Some(text.into())), edit("isBase64Encoded", Some((encoded == truly).into()))]
    })
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![6 => of(SEGMENTS), 1 => text()];
    let path = prop::collection::vec(segment, 0..6).prop_map(|segments| format!("/{}", segments.join("/")));
    let routed = (select(ROUTES.as_slice()), text(), text()).prop_map(|(route, user, session)| {
        let (_, path) = route.split_once(' ').unwrap();
        path.replace("{user_id}", &user).replace("{session_id}", &session)
    });
    prop_oneof![2 => path, 3 => routed, 1 => text()]
}

fn query() -> impl Strategy<Value = String> {
    let name = prop_oneof![6 => of(PARAMETERS), 1 => text()];
    let value = prop_oneof![2 => text(), 1 => of(PARAMETER_VALUES)];
    let pair = (name, value, prop::bool::weighted(0.2)).prop_map(|(name, value, raw)| match raw {
        true => format!("{name}={value}"),
        false => format!("{name}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC)),
    });
    let pairs = prop::collection::vec(pair, 0..5).prop_map(|pairs| pairs.join("&"));
    let many = of("a=1&|limit=1&|reason=x&|&|=&").prop_map(|pair| pair.repeat(10_000));
    prop_oneof![14 => pairs, 1 => text(), 1 => many]
}

/// What a gateway, or one that was set up in another way, says of who is calling.
fn authorizer() -> impl Strategy<Value = Value> {
    let claim = prop_oneof![4 => texts(text()), 1 => value()];
    let jwt = object(of(CLAIMS), claim).prop_map(|claims| json!({"jwt": {"claims": claims, "scopes": null}}));
    let scopes = value().prop_map(|scopes| json!({"jwt": {"claims": {"sub": "74"}, "scopes": scopes}}));
    let lambda = object(text(), value()).prop_map(|context| json!({ "lambda": context }));
    let iam = value().prop_map(|user| json!({"iam": {"accessKey": user, "cognitoIdentity": null}}));
    prop_oneof![4 => jwt, 1 => scopes, 1 => lambda, 1 => iam, 1 => value()]
}

fn value() -> BoxedStrategy<Value> {
    let numbers = vec![json!(0), json!(74), json!(-1), json!(1e300), json!(u64::MAX), json!(START + 60)];
    let leaf = prop_oneof![
        6 => texts(text()),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => select(numbers),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    let nested = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from), object(text(), inner)]
    });
    nested.boxed()
}

fn object(
    names: impl Strategy<Value = String>,
    values: impl Strategy<Value = Value>,
) -> impl Strategy<Value = Value> {
    prop::collection::vec((names, values), 0..4).prop_map(|fields| Value::Object(Map::from_iter(fields)))
}

fn texts(values: impl Strategy<Value = String>) -> impl Strategy<Value = Value> {
    values.prop_map(Value::from)
}

fn text() -> impl Strategy<Value = String> {
    let characters = prop::collection::vec(any::<char>(), 0..12).prop_map(String::from_iter);
    prop_oneof![10 => of(WORDS), 6 => characters, 1 => long()]
}

/// One piece, repeated until it is longer than every limit.
fn long() -> impl Strategy<Value = String> {
    let lengths = vec![200, 256, 257, 1_000, 8_200, 10_000, 16_384, 16_385, 66_000];
    let pieces = of("x|é|%41|/|a=1&| |\u{1f4a5}");
    (pieces, select(lengths)).prop_map(|(piece, length)| piece.repeat(length / piece.len() + 1))
}

fn agent() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![20 => of(AGENTS), 1 => of(WORDS)], 0..8)
        .prop_map(|words| words.concat())
}

/// One of the words between the `|` characters.
fn of(words: &'static str) -> impl Strategy<Value = String> + Clone {
    select(words.split('|').collect::<Vec<_>>()).prop_map(str::to_owned)
}

fn set(place: &'static str, values: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<Edit>> {
    values.prop_map(move |value| vec![edit(place, Some(value))])
}

fn edit(place: &str, value: Option<Value>) -> Edit {
    Edit { at: place.split('/').map(str::to_owned).collect(), value }
}
