//! The settings. They are read from the environment once, at the start.

use std::env;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use crate::auth::{
    AuthMode, AuthSettings, JwksError, JwksUrl, PublicKeys, RoleClaim, RoleSource, SECRET_MIN, Secret,
};
use crate::http::edge::Edge;
use crate::session::{Policy, Timestamp, to_millisecond};
use crate::store::{Database, Timeouts};

/// How long a request waits for the issuer's keys.
const KEYS_PATIENCE: Duration = Duration::from_secs(2);

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The table that holds the sessions.
    pub database: Database,
    /// How callers are authenticated.
    pub auth: AuthSettings,
    /// How long sessions last, and how many a user may have.
    pub policy: Policy,
    /// How requests that come through a CDN are told from others.
    pub edge: Edge,
    /// What the list of an unknown user answers.
    pub unknown_users: UnknownUsers,
    /// `AWS_LAMBDA_FUNCTION_NAME`, which Lambda sets. It names the function in the metrics.
    pub function: String,
    /// `AWS_LAMBDA_FUNCTION_VERSION`, which Lambda sets. It names the function's version in the metrics.
    pub version: String,
}

/// The answer to the list of a user without any record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownUsers {
    /// An empty list.
    Empty,
    /// 404, for deployments where every user is registered.
    NotFound,
}

/// A setting is missing or wrong. The message names the variable and never shows its value, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not set, or empty.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// Set to a value that is not allowed.
    #[error("{name} must be {takes}")]
    Invalid {
        /// The variable's name.
        name: &'static str,
        /// What the variable takes.
        takes: String,
    },
    /// `JWKS` cannot be used.
    #[error(transparent)]
    Jwks(#[from] JwksError),
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`ConfigError`] for the first variable that is missing or wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_vars(&|name| env::var(name).ok())
    }

    /// Reads the variables from `lookup`. An empty value counts as not set, because deployment tools pass empty
    /// parameters on.
    ///
    /// # Errors
    /// [`ConfigError`] for the first variable that is missing or wrong.
    pub fn from_vars(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let vars = Vars(lookup);
        Ok(Self {
            database: database(&vars)?,
            auth: auth(&vars)?,
            policy: policy(&vars)?,
            edge: edge(&vars)?,
            unknown_users: vars.one_of(
                "UNKNOWN_USERS",
                &[("empty", UnknownUsers::Empty), ("not_found", UnknownUsers::NotFound)],
            )?,
            function: vars.get("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|| "local".into()),
            version: vars.get("AWS_LAMBDA_FUNCTION_VERSION").unwrap_or_else(|| "$LATEST".into()),
        })
    }
}

fn database(vars: &Vars<'_>) -> Result<Database, ConfigError> {
    Ok(Database { table: vars.required("TABLE_NAME")?, timeouts: Timeouts::default() })
}

fn auth(vars: &Vars<'_>) -> Result<AuthSettings, ConfigError> {
    let role_claim = vars.role_claim("ROLE_CLAIM")?.unwrap_or_default();
    let (mode, audience) = (auth_mode(vars)?, vars.list("JWT_AUDIENCE")?);
    let auth = AuthSettings {
        logout_audience: logout_audience(vars, &mode, &audience)?,
        mode,
        user_id_claim: vars.get("USER_ID_CLAIM").unwrap_or_else(|| "sub".into()),
        service_role_claim: vars.role_claim("SERVICE_ROLE_CLAIM")?.unwrap_or_else(|| role_claim.clone()),
        role_claim,
        session_id_claim: session_id_claim(vars),
        provider_session_claim: vars.get("PROVIDER_SESSION_CLAIM"),
        admin_role: vars.get("ADMIN_ROLE").unwrap_or_else(|| "admin".into()),
        service_role: vars.get("SERVICE_ROLE"),
        require_sid: vars.one_of("REQUIRE_SID", &[("false", false), ("true", true)])?,
        role_source: vars
            .one_of("ROLE_SOURCE", &[("token", RoleSource::Token), ("table", RoleSource::Table)])?,
        issuer: vars.get("JWT_ISSUER"),
        audience,
    };
    if auth.provider_session_claim.is_some() && auth.provider_session_claim == auth.session_id_claim {
        return Err(vars.invalid("PROVIDER_SESSION_CLAIM", "another claim than SESSION_ID_CLAIM"));
    }
    let one_claim = auth.service_role_claim == auth.role_claim;
    if one_claim && auth.service_role.as_ref() == Some(&auth.admin_role) {
        return Err(vars.invalid("SERVICE_ROLE", "another role than ADMIN_ROLE, or in another claim"));
    }
    Ok(auth)
}

/// Many identity providers call their own session `sid`. So where their sessions are used, ours have no default.
fn session_id_claim(vars: &Vars<'_>) -> Option<String> {
    let default = vars.get("PROVIDER_SESSION_CLAIM").is_none().then(|| "sid".into());
    vars.get("SESSION_ID_CLAIM").or(default)
}

fn auth_mode(vars: &Vars<'_>) -> Result<AuthMode, ConfigError> {
    type Read = fn(&Vars<'_>) -> Result<AuthMode, ConfigError>;
    let modes: [(&str, Read); 2] = [("hs256", hs256), ("jwks", jwks)];
    vars.one_of("AUTH_MODE", &modes)?(vars)
}

fn hs256(vars: &Vars<'_>) -> Result<AuthMode, ConfigError> {
    let secret = vars.secret("JWT_SECRET")?.ok_or(ConfigError::Missing("JWT_SECRET"))?;
    Ok(AuthMode::Hs256 { secret, previous: vars.secret("JWT_SECRET_PREVIOUS")? })
}

/// An identity provider signs tokens for other services too, and may have a `sid` of its own. So the settings that tell
/// our tokens from others have no defaults here.
fn jwks(vars: &Vars<'_>) -> Result<AuthMode, ConfigError> {
    for name in ["JWT_ISSUER", "JWT_AUDIENCE"] {
        vars.required(name)?;
    }
    if vars.get("PROVIDER_SESSION_CLAIM").is_none() {
        vars.required("SESSION_ID_CLAIM")?;
    }
    let url = vars.get("JWKS_URL").map(|url| JwksUrl::parse(&url)).transpose();
    match url.map_err(|takes| vars.invalid("JWKS_URL", &takes.to_string()))? {
        None => Ok(AuthMode::Jwks { keys: PublicKeys::parse(&vars.required("JWKS")?)? }),
        Some(url) => {
            let until_then = vars.get("JWKS").map(|keys| PublicKeys::parse(&keys)).transpose()?;
            Ok(AuthMode::JwksUrl { url, until_then: until_then.unwrap_or_default(), patience: KEYS_PATIENCE })
        }
    }
}

/// A logout token names its user in `sub`. Who shares a secret with its issuer has no provider that sends one.
fn logout_audience(
    vars: &Vars<'_>,
    mode: &AuthMode,
    audience: &[String],
) -> Result<Option<Vec<String>>, ConfigError> {
    let own = vars.list("LOGOUT_AUDIENCE")?;
    let names_sub = vars.get("USER_ID_CLAIM").is_none_or(|claim| claim == "sub");
    if names_sub && !matches!(mode, AuthMode::Hs256 { .. }) {
        return Ok(Some(if own.is_empty() { audience.to_vec() } else { own }));
    }
    if own.is_empty() {
        return Ok(None);
    }
    Err(vars.invalid("LOGOUT_AUDIENCE", "empty unless AUTH_MODE is jwks and USER_ID_CLAIM is sub"))
}

fn policy(vars: &Vars<'_>) -> Result<Policy, ConfigError> {
    let hours = TimeDelta::hours;
    let idle = vars.number("IDLE_TIMEOUT_HOURS", 0, 0..=87_600)?;
    Ok(Policy {
        max_sessions: vars.number("MAX_SESSIONS", 3, 1..=1_000)? as usize,
        lifetime: hours(vars.number("SESSION_LIFETIME_HOURS", 720, 1..=87_600)?),
        idle_timeout: (idle > 0).then(|| hours(idle)),
        history: hours(24 * vars.number("HISTORY_DAYS", 90, 1..=3_650)?),
        activity_interval: TimeDelta::seconds(vars.number("ACTIVITY_INTERVAL_SECONDS", 300, 0..=86_400)?),
        not_before: vars.past_time("SESSIONS_NOT_BEFORE")?,
    })
}

fn edge(vars: &Vars<'_>) -> Result<Edge, ConfigError> {
    let only = vars.one_of("EDGE_ONLY", &[("false", false), ("true", true)])?;
    let (secret, previous) = (vars.secret("EDGE_SECRET")?, vars.secret("EDGE_SECRET_PREVIOUS")?);
    if secret.is_none() && (only || previous.is_some()) {
        return Err(ConfigError::Missing("EDGE_SECRET"));
    }
    for (name, secret) in [("EDGE_SECRET", &secret), ("EDGE_SECRET_PREVIOUS", &previous)] {
        let is_visible = |secret: &Secret| secret.as_bytes().iter().all(u8::is_ascii_graphic);
        if !secret.as_ref().is_none_or(is_visible) {
            return Err(vars.invalid(name, "visible ASCII characters, because it travels in a header"));
        }
    }
    Ok(Edge::new(secret.iter().chain(&previous), only))
}

/// Reads single variables. A wrong value becomes an error that says what the variable takes.
struct Vars<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Vars<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    fn required(&self, name: &'static str) -> Result<String, ConfigError> {
        self.get(name).ok_or(ConfigError::Missing(name))
    }

    fn past_time(&self, name: &'static str) -> Result<Option<Timestamp>, ConfigError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let time = DateTime::parse_from_rfc3339(&text).ok().map(|time| to_millisecond(time.to_utc()));
        let past = time.filter(|time| *time <= Utc::now());
        past.map(Some)
            .ok_or_else(|| self.invalid(name, "a time in the past such as 2026-01-31T08:00:00Z (RFC 3339)"))
    }

    fn role_claim(&self, name: &'static str) -> Result<Option<RoleClaim>, ConfigError> {
        let claim = self.get(name).map(RoleClaim::parse).transpose();
        claim.map_err(|takes| self.invalid(name, &takes.to_string()))
    }

    /// Reads values with commas between them.
    fn list(&self, name: &'static str) -> Result<Vec<String>, ConfigError> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let list: Vec<_> = value.split(',').map(|each| each.trim().to_owned()).collect();
        if list.iter().any(String::is_empty) {
            return Err(self.invalid(name, "one value, or several with a comma between them"));
        }
        Ok(list)
    }

    fn secret(&self, name: &'static str) -> Result<Option<Secret>, ConfigError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        if is_json_object(&value) {
            return Err(self.invalid(
                name,
                "the secret itself, not a JSON object of keys and values (in Secrets Manager's console: plaintext)",
            ));
        }
        let too_short = || self.invalid(name, &format!("at least {SECRET_MIN} bytes long"));
        Secret::new(value).map(Some).ok_or_else(too_short)
    }

    fn invalid(&self, name: &'static str, takes: &str) -> ConfigError {
        ConfigError::Invalid { name, takes: takes.into() }
    }

    /// Reads one of a few words. The first is the default.
    fn one_of<T: Copy>(&self, name: &'static str, words: &[(&str, T)]) -> Result<T, ConfigError> {
        let Some(value) = self.get(name) else { return Ok(words[0].1) };
        let list = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
        let found = words.iter().find(|(word, _)| *word == value);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| ConfigError::Invalid { name, takes: list() })
    }

    fn number(
        &self,
        name: &'static str,
        default: i64,
        range: std::ops::RangeInclusive<i64>,
    ) -> Result<i64, ConfigError> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        let takes = format!("a whole number from {} to {}", range.start(), range.end());
        let number = value.parse().ok().filter(|number| range.contains(number));
        number.ok_or(ConfigError::Invalid { name, takes })
    }
}

fn is_json_object(value: &str) -> bool {
    serde_json::from_str::<Map<String, Value>>(value).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: [(&str, &str); 2] =
        [("TABLE_NAME", "sessions"), ("JWT_SECRET", "0123456789abcdef0123456789abcdef")];

    fn read(extra: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let find = |list: &[(&str, &str)], name: &str| {
            list.iter().find(|(known, _)| *known == name).map(|(_, v)| v.to_string())
        };
        Config::from_vars(&|name| find(extra, name).or_else(|| find(&NEEDED, name)))
    }

    #[test]
    fn a_variable_that_is_not_set_has_its_default() {
        let config = read(&[]).unwrap();
        assert_eq!(
            config.policy,
            Policy {
                max_sessions: 3,
                lifetime: TimeDelta::hours(720),
                idle_timeout: None,
                history: TimeDelta::hours(90 * 24),
                activity_interval: TimeDelta::seconds(300),
                not_before: None,
            }
        );
        assert_eq!((config.unknown_users, config.auth.role_source), (UnknownUsers::Empty, RoleSource::Token));
        assert_eq!(
            (config.auth.user_id_claim.as_str(), config.auth.session_id_claim.as_deref()),
            ("sub", Some("sid"))
        );
        let role = RoleClaim::default();
        assert_eq!((&config.auth.role_claim, &config.auth.service_role_claim), (&role, &role));
        assert_eq!(config.auth.admin_role, "admin");
        assert_eq!((config.auth.issuer, config.auth.audience), (None, vec![]));
        assert_eq!(config.auth.provider_session_claim, None);
        assert_eq!((config.auth.service_role, config.auth.require_sid), (None, false));
    }

    #[test]
    fn a_missing_variable_is_named() {
        for (name, _) in NEEDED {
            let error = read(&[(name, "")]).unwrap_err();
            assert_eq!(error.to_string(), format!("{name} is not set"));
        }
    }

    #[test]
    fn a_wrong_value_is_named_with_what_the_variable_takes_and_is_never_shown() {
        const USERS_WRITE: &str = "a claim that users cannot write themselves, and not in user_metadata, unsafe_metadata or unsafeMetadata";
        const PAST: &str = "a time in the past such as 2026-01-31T08:00:00Z (RFC 3339)";
        let short = "s3cr3t-of-31-bytes-0123456789ab";
        assert_eq!(short.len(), SECRET_MIN - 1);
        let cases = [
            ("JWT_SECRET", short, "at least 32 bytes long"),
            ("JWT_SECRET_PREVIOUS", short, "at least 32 bytes long"),
            ("AUTH_MODE", "rs256", "hs256 or jwks"),
            ("REQUIRE_SID", "yes", "false or true"),
            ("EDGE_SECRET", short, "at least 32 bytes long"),
            ("EDGE_SECRET_PREVIOUS", short, "at least 32 bytes long"),
            ("EDGE_ONLY", "yes", "false or true"),
            ("JWT_AUDIENCE", ",", "one value, or several with a comma between them"),
            ("JWT_AUDIENCE", "panel,,shop", "one value, or several with a comma between them"),
            ("SERVICE_ROLE", "admin", "another role than ADMIN_ROLE, or in another claim"),
            ("ROLE_CLAIM", "user_metadata.role", USERS_WRITE),
            ("SERVICE_ROLE_CLAIM", "x.unsafeMetadata", USERS_WRITE),
            ("PROVIDER_SESSION_CLAIM", "own", "another claim than SESSION_ID_CLAIM"),
            ("LOGOUT_AUDIENCE", "client", "empty unless AUTH_MODE is jwks and USER_ID_CLAIM is sub"),
            ("ROLE_SOURCE", "Token", "token or table"),
            ("UNKNOWN_USERS", "404", "empty or not_found"),
            ("SESSIONS_NOT_BEFORE", "yesterday", PAST),
            ("SESSIONS_NOT_BEFORE", "2026-01-31 08:00", PAST),
            ("SESSIONS_NOT_BEFORE", "2999-01-31T08:00:00Z", PAST),
            ("MAX_SESSIONS", "0", "a whole number from 1 to 1000"),
            ("MAX_SESSIONS", "three", "a whole number from 1 to 1000"),
            ("SESSION_LIFETIME_HOURS", "0", "a whole number from 1 to 87600"),
            ("IDLE_TIMEOUT_HOURS", "-1", "a whole number from 0 to 87600"),
            ("HISTORY_DAYS", "1.5", "a whole number from 1 to 3650"),
            ("ACTIVITY_INTERVAL_SECONDS", "99999999999999999999", "a whole number from 0 to 86400"),
        ];
        for (name, value, takes) in cases {
            let error = read(&[(name, value), ("SESSION_ID_CLAIM", "own")]).unwrap_err().to_string();
            assert_eq!(error, format!("{name} must be {takes}"));
            assert!(!error.contains(short));
        }
    }

    #[test]
    fn a_secret_that_is_a_json_object_is_refused() {
        let takes = "the secret itself, not a JSON object of keys and values (in Secrets Manager's console: plaintext)";
        for name in ["JWT_SECRET", "JWT_SECRET_PREVIOUS", "EDGE_SECRET"] {
            for value in [r#"{"JWT_SECRET":"0123456789abcdef0123456789abcdef"}"#, r#" {"a":"b"} "#, "{}"] {
                assert_eq!(
                    read(&[(name, value)]).unwrap_err().to_string(),
                    format!("{name} must be {takes}")
                );
            }
            for value in ["{0123456789abcdef0123456789abcdef}", r#"["0123456789abcdef0123456789abcdef"]"#] {
                assert!(read(&[(name, value)]).is_ok(), "{value}");
            }
        }
    }

    #[test]
    fn an_edge_needs_a_secret_that_fits_into_a_header() {
        let secret = "0123456789abcdef0123456789abcdef";
        for settings in [[("EDGE_ONLY", "true")], [("EDGE_SECRET_PREVIOUS", secret)]] {
            assert_eq!(read(&settings).unwrap_err(), ConfigError::Missing("EDGE_SECRET"));
        }
        let takes = "visible ASCII characters, because it travels in a header";
        for value in [format!("{secret}\n"), format!("{secret} "), format!("{secret}é")] {
            let error = read(&[("EDGE_SECRET", &value)]).unwrap_err();
            assert_eq!(error.to_string(), format!("EDGE_SECRET must be {takes}"));
            let error = read(&[("EDGE_SECRET", secret), ("EDGE_SECRET_PREVIOUS", &value)]).unwrap_err();
            assert_eq!(error.to_string(), format!("EDGE_SECRET_PREVIOUS must be {takes}"));
        }
        assert!(
            read(&[("EDGE_SECRET", secret), ("EDGE_SECRET_PREVIOUS", secret), ("EDGE_ONLY", "true")]).is_ok()
        );
    }

    #[test]
    fn jwks_mode_needs_issuer_audience_and_session_claim() {
        let jwks =
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        let settings = [
            ("AUTH_MODE", "jwks"),
            ("JWT_ISSUER", "https://issuer.example"),
            ("JWT_AUDIENCE", "sessions"),
            ("SESSION_ID_CLAIM", "sid"),
            ("JWKS", jwks),
            ("JWT_SECRET", ""),
        ];
        assert!(matches!(read(&settings).unwrap().auth.mode, AuthMode::Jwks { .. }));
        for at in 1..5 {
            let mut settings = settings;
            settings[at].1 = "";
            assert_eq!(read(&settings).unwrap_err(), ConfigError::Missing(settings[at].0));
        }
        let of_the_provider =
            [settings[0], settings[1], settings[2], ("PROVIDER_SESSION_CLAIM", "sid"), settings[4]];
        let auth = read(&of_the_provider).unwrap().auth;
        assert_eq!((auth.session_id_claim, auth.provider_session_claim.as_deref()), (None, Some("sid")));
        let fetched = |url| [settings[0], settings[1], settings[2], settings[3], ("JWKS_URL", url)];
        assert!(matches!(
            read(&fetched("https://issuer.example/keys")).unwrap().auth.mode,
            AuthMode::JwksUrl { .. }
        ));
        let takes = read(&fetched("http://issuer.example/keys")).unwrap_err().to_string();
        assert!(takes.starts_with("JWKS_URL must be an https:// URL"), "{takes}");
        let logout_audience =
            |extra: &[(&str, &str)]| read(&[&settings, extra].concat()).unwrap().auth.logout_audience;
        assert_eq!(logout_audience(&[]), Some(vec!["sessions".into()]));
        assert_eq!(logout_audience(&[("LOGOUT_AUDIENCE", "a,b")]), Some(vec!["a".into(), "b".into()]));
        assert_eq!(logout_audience(&[("USER_ID_CLAIM", "oid")]), None);
        let broken = [settings[0], settings[1], settings[2], settings[3], ("JWKS", "{")];
        assert_eq!(read(&broken).unwrap_err(), ConfigError::Jwks(JwksError::NotASet));
    }

    #[test]
    fn the_role_of_back_ends_comes_from_the_settings() {
        let auth = read(&[("SERVICE_ROLE", "backend"), ("REQUIRE_SID", "true")]).unwrap().auth;
        assert_eq!((auth.service_role.as_deref(), auth.require_sid), (Some("backend"), true));
        let same_role = [("SERVICE_ROLE", "admin"), ("SERVICE_ROLE_CLAIM", "scope")];
        let auth = read(&same_role).unwrap().auth;
        assert_eq!(auth.service_role_claim, RoleClaim::parse("scope".into()).unwrap());
        assert!(read(&[same_role[0], ("SERVICE_ROLE_CLAIM", "role")]).is_err());
    }

    #[test]
    fn the_debug_form_shows_no_secret() {
        let printed = format!("{:?}", read(&[("EDGE_SECRET", NEEDED[1].1)]).unwrap());
        assert!(!printed.contains("0123456789abcdef"), "{printed}");
    }
}
