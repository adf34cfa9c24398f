//! docs/providers.md: the settings that it prints take the tokens that it shows, and an ending reaches what it says.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::keys::{self, Signer};
use crate::support::{START, Service};

const PAGE: &str = include_str!("../../docs/providers.md");

/// The claims that are times, which are moved to the clock of the tests.
const TIMES: [&str; 4] = ["auth_time", "nbf", "iat", "exp"];

/// A section of the page.
struct Example {
    name: &'static str,
    settings: Vec<(&'static str, &'static str)>,
    claims: Value,
}

impl Example {
    /// Nothing, for a section without settings.
    fn parse(section: &'static str) -> Option<Self> {
        let settings = block(section, "sh")?;
        let mut claims: Value = serde_json::from_str(block(section, "json").unwrap()).unwrap();
        let issued_at = claims["iat"].as_i64().unwrap();
        for name in TIMES {
            if let Some(time) = claims[name].as_i64() {
                claims[name] = (time - issued_at + START).into();
            }
        }
        Some(Self {
            name: section.lines().next().unwrap(),
            settings: settings.lines().map(|line| line.split_once('=').unwrap()).collect(),
            claims,
        })
    }

    fn setting(&self, name: &str) -> Option<&'static str> {
        self.settings.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The service with these settings, except that it gets the keys of this signer and fetches none.
    async fn service(&self, signer: &Signer) -> Service {
        let jwks = keys::set(&[signer.jwk(json!({"kid": "1"}))]);
        let mut settings = self.settings.clone();
        settings.retain(|(name, _)| *name != "JWKS_URL");
        settings.push(("JWKS", &jwks));
        Service::with(&settings).await
    }

    /// The claims with these in their place.
    fn with(&self, changes: Value) -> Value {
        let mut claims = self.claims.clone();
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        claims
    }

    /// What a refresh `seconds` later changes.
    fn refreshed(&self, seconds: i64) -> Value {
        let later = |name: &str| self.claims[name].as_i64().unwrap() + seconds;
        self.with(json!({"iat": later("iat"), "exp": later("exp"), "jti": format!("refreshed {seconds}")}))
    }

    /// The claims of a machine: nobody signed in, and its role is where the settings look for it.
    fn machine(&self, role: &str) -> Value {
        let mut claims = self.with(json!({"jti": "machine"}));
        let all = claims.as_object_mut().unwrap();
        for name in ["auth_time"].into_iter().chain(self.setting("PROVIDER_SESSION_CLAIM")) {
            all.remove(name);
        }
        all.remove(self.setting("SESSION_ID_CLAIM").unwrap());
        let named = self.setting("SERVICE_ROLE_CLAIM").or(self.setting("ROLE_CLAIM")).unwrap();
        all.remove(self.setting("ROLE_CLAIM").unwrap());
        match named.split_once('.') {
            Some((outer, inner)) => all.insert(outer.into(), json!({ inner: [role] })),
            None => all.insert(named.into(), role.into()),
        };
        claims
    }
}

/// The first block of code in this language.
fn block(section: &'static str, language: &str) -> Option<&'static str> {
    let (_, rest) = section.split_once(&format!("\n```{language}\n"))?;
    Some(rest.split_once("\n```").unwrap().0)
}

fn examples() -> Vec<Example> {
    let examples: Vec<_> = PAGE.split("\n## ").filter_map(Example::parse).collect();
    assert_eq!(examples.len(), 10, "the page has its sections");
    examples
}

#[tokio::test]
async fn an_admin_is_one_with_the_settings_of_the_page() {
    for example in examples() {
        let signer = Signer::p256();
        let mut service = example.service(&signer).await;
        let mut claims = example.claims.clone();
        if example.setting("PROVIDER_SESSION_CLAIM").is_none() {
            claims["sid"] = service.sign_in("74", "laptop").await.id.to_string().into();
        }
        let reply = service.get("/sessions/user/75", &signer.token(Some("1"), &claims.to_string())).await;
        assert_eq!((reply.status, &reply.body), (200, &json!([])), "{}", example.name);
    }
}

#[tokio::test]
async fn an_ending_holds_until_the_person_authenticates_again() {
    for example in examples() {
        let Some(provider_session) = example.setting("PROVIDER_SESSION_CLAIM") else { continue };
        let name = example.name;
        let signer = Signer::p256();
        let mut service = example.service(&signer).await;
        let token = |claims: &Value| signer.token(Some("1"), &claims.to_string());
        let tokens = [token(&example.claims), token(&example.refreshed(20)), token(&example.refreshed(40))];

        service.pass(TimeDelta::seconds(40));
        let opened = service.post("/sessions/create", &tokens[0], json!({})).await;
        assert_eq!(opened.status, 201, "{name}: {}", opened.text);
        for token in &tokens {
            let current = service.get("/sessions/current", token).await;
            assert_eq!(current.body["id"], opened.body["id"], "{name}: {}", current.text);
        }

        assert_eq!(service.delete("/sessions/logout", &tokens[1]).await.status, 200, "{name}");
        expect_out(name, &service, &tokens).await;

        service.pass(TimeDelta::seconds(60));
        let now = service.now.timestamp();
        let again = match example.claims["auth_time"].is_i64() {
            true => example.with(json!({"auth_time": now, "iat": now, "exp": now + 60})),
            false => example.with(json!({provider_session: "another", "iat": now, "exp": now + 60})),
        };
        let reopened = service.post("/sessions/create", &token(&again), json!({})).await;
        assert_eq!(reopened.status, 201, "{name}: {}", reopened.text);
        assert_ne!(reopened.body["id"], opened.body["id"], "{name}");
        expect_out(name, &service, &[token(&example.refreshed(100))]).await;
    }
}

/// None of these tokens gets in or opens a session.
async fn expect_out(name: &str, service: &Service, tokens: &[String]) {
    for token in tokens {
        let replies = [
            service.get("/sessions/current", token).await,
            service.post("/sessions/create", token, json!({})).await,
        ];
        for reply in replies {
            assert_eq!((reply.status, &reply.body["code"]), (401, &json!("session_ended")), "{name}");
        }
    }
}

#[tokio::test]
async fn a_machine_is_a_service_where_the_page_has_one() {
    for example in examples() {
        let Some(role) = example.setting("SERVICE_ROLE") else { continue };
        let signer = Signer::p256();
        let service = example.service(&signer).await;
        let token = signer.token(Some("1"), &example.machine(role).to_string());
        let reply = service.post("/sessions/user/75", &token, json!({})).await;
        assert_eq!(reply.status, 201, "{}: {}", example.name, reply.text);
    }
}
