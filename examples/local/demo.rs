//! The demo data: user 1 the admin, user 74 with three devices and a past one, user 75 with none.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use sessions::device::{self, ClientHints, ReportedDevice};
use sessions::session::{
    Clock, DeviceIdentity, Digest, EndReason, Location, Note, Origin, Session, SessionId, Sid, SignInKey,
    Termination, Timestamp, Token, UserId, later,
};
use sessions::store::{NewSession, SessionStore};

use super::engine::Result;
use super::token;

const WINDOWS: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 Safari/537.36";
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 \
                      (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1";
const LINUX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const MAC: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 \
                   (KHTML, like Gecko) Version/26.1 Safari/605.1.15";

/// Three sessions of user 74 whose ids do not change, so that the files under events/ and the screen can name them.
/// This one has ended.
const LOST_LAPTOP: &str = "01980000-0000-7000-8000-000000000074";
/// This one is live at the start.
pub const OFFICE_PC: &str = "01990000-0000-7000-8000-000000000074";
/// This one is live too.
pub const PHONE: &str = "019a0000-0000-7000-8000-000000000074";

/// When the token of the phone was issued, and when it expires: 2025-10-20 and 2100-01-01.
const PHONE_TOKEN_TIMES: (i64, i64) = (1_760_918_400, 4_102_444_800);

/// The token that the phone signed in with. It carries no session id. It is the same at every start, so that it belongs
/// to the phone's session in a database that is kept, too.
pub fn phone_token() -> String {
    let (issued, expires) = PHONE_TOKEN_TIMES;
    token::issue("74", None, None, issued, expires - issued)
}

fn phone_key() -> Result<SignInKey> {
    let token = phone_token();
    let (signed, _) = token.rsplit_once('.').ok_or("the token has no signature")?;
    let digest = Digest::of(&UserId::parse("74")?, "token", signed.as_bytes());
    let (issued, expires_at) = PHONE_TOKEN_TIMES;
    Ok(SignInKey::Token(Token {
        sid: Sid::Absent,
        provider_session: None,
        digest,
        auth_time: None,
        authenticated_at: Some(issued),
        expires_at,
    }))
}

/// Fills an empty table; the sessions began some time before `now`.
pub async fn fill(client: &Client, table: &str, store: &SessionStore, now: Timestamp) -> Result<()> {
    register(client, table, &[("1", Some("admin")), ("75", None)]).await?;
    let ago = |minutes: i64| later(now, TimeDelta::minutes(-minutes));
    let id = |at, last| SessionId::new(at, [0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    let nothing = SignInKey::Nothing;
    sign_in(store, "1", id(ago(600), 1), LINUX, ("192.0.2.1", ""), nothing, ago(600)).await?;
    let lost = SessionId::parse(LOST_LAPTOP)?;
    let lost =
        sign_in(store, "74", lost, MAC, ("203.0.113.9", "Berlin, Germany"), nothing, ago(9_000)).await?;
    let ending = Termination {
        at: ago(8_000),
        by: Some(UserId::parse("1")?),
        reason: EndReason::RevokedByAdmin,
        note: Note::parse("Laptop reported lost")?,
    };
    store.end(&lost.user_id, lost.id, &ending).await?;
    let (office, phone) = (SessionId::parse(OFFICE_PC)?, SessionId::parse(PHONE)?);
    sign_in(store, "74", office, WINDOWS, ("198.51.100.20", "Tashkent, Uzbekistan"), nothing, ago(4_000))
        .await?;
    sign_in(store, "74", phone, IPHONE, ("198.51.100.21", "Tashkent, Uzbekistan"), phone_key()?, ago(300))
        .await?;
    sign_in(store, "74", id(ago(20), 3), LINUX, ("203.0.113.74", "Samarkand, Uzbekistan"), nothing, ago(20))
        .await?;
    Ok(())
}

/// Writes profiles as an operator would, for users who never signed in.
async fn register(client: &Client, table: &str, users: &[(&str, Option<&str>)]) -> Result<()> {
    for (user, role) in users {
        let text = |text: &str| AttributeValue::S(text.into());
        let mut put = client.put_item().table_name(table).item("user_id", text(user));
        put = put.item("sk", text("profile")).item("live_sk", text("profile"));
        if let Some(role) = role {
            put = put.item("role", text(role));
        }
        put.send().await?;
    }
    Ok(())
}

async fn sign_in(
    store: &SessionStore,
    user: &str,
    id: SessionId,
    agent: &str,
    (ip, place): (&str, &str),
    key: SignInKey,
    at: Timestamp,
) -> Result<Session> {
    let hints = ClientHints { user_agent: Some(agent), ..ClientHints::default() };
    let detected = device::detect(&hints, &ReportedDevice::default());
    let new = NewSession {
        id,
        user_id: UserId::parse(user)?,
        actor: UserId::parse(user)?,
        origin: Origin { ip_address: ip.into(), location: Location::new(place) },
        identity: DeviceIdentity {
            fingerprint: None,
            browser: detected.browser_family,
            platform: detected.platform_family,
            kind: detected.device.kind,
            user_agent: None,
        },
        device: detected.device,
        key,
    };
    Ok(store.sign_in(&new, Clock::start(at)).await?.map_err(|_| "the session has ended")?.session)
}
