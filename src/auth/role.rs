//! Where a token says which roles its caller has.

use serde_json::{Map, Value};

/// What users of some identity providers write about themselves.
const WRITTEN_BY_USERS: [&str; 3] = ["user_metadata", "unsafe_metadata", "unsafeMetadata"];

/// The claims whose text is a list of words (RFC 8693 section 4.2; `scp` is Microsoft's and Okta's name for it).
const LISTS_OF_WORDS: [&str; 2] = ["scope", "scp"];

/// A claim by its name, or by a path with dots through objects, such as `realm_access.roles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleClaim(String);

/// Users write the claim themselves, so that everyone could be an admin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a claim that users cannot write themselves, and not in user_metadata, unsafe_metadata or unsafeMetadata"
)]
pub struct WrittenByUsers;

impl Default for RoleClaim {
    fn default() -> Self {
        Self("role".into())
    }
}

impl RoleClaim {
    /// The claim with this name or path.
    ///
    /// # Errors
    /// [`WrittenByUsers`] when users write what is there.
    pub fn parse(name: String) -> Result<Self, WrittenByUsers> {
        if name.split('.').any(|part| WRITTEN_BY_USERS.contains(&part)) {
            return Err(WrittenByUsers);
        }
        Ok(Self(name))
    }

    /// Whether the token has this role: the claim is its name, a list with its name, or `true` for the role `true`.
    pub(super) fn has(&self, claims: &Map<String, Value>, role: &str) -> bool {
        match self.find(claims) {
            Some(Value::String(words)) if self.is_list_of_words() => {
                words.split(' ').any(|word| word == role)
            }
            Some(Value::String(text)) => text == role,
            Some(Value::Array(items)) => items.iter().any(|item| item.as_str() == Some(role)),
            Some(Value::Bool(true)) => role == "true",
            _ => false,
        }
    }

    /// A claim whose name is the whole setting comes first: names of claims may have dots, as in
    /// `https://panel.example.com/roles`.
    fn find<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        claims.get(&self.0).or_else(|| {
            let (first, rest) = self.0.split_once('.')?;
            rest.split('.').try_fold(claims.get(first)?, |value, name| value.as_object()?.get(name))
        })
    }

    fn is_list_of_words(&self) -> bool {
        self.0.rsplit('.').next().is_some_and(|last| LISTS_OF_WORDS.contains(&last))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn has(claim: &str, claims: Value, role: &str) -> bool {
        RoleClaim::parse(claim.into()).unwrap().has(claims.as_object().unwrap(), role)
    }

    #[test]
    fn a_role_is_a_text_an_item_of_a_list_or_true() {
        for value in [json!("admin"), json!(["user", "admin"])] {
            assert!(has("role", json!({ "role": value }), "admin"), "{value}");
        }
        for value in [
            json!("user admin"),
            json!("admin "),
            json!("Admin"),
            json!(["user admin"]),
            json!([["admin"]]),
            json!({"admin": true}),
            json!([{"admin": true}]),
            json!(true),
            json!(null),
            json!(1),
        ] {
            assert!(!has("role", json!({ "role": value }), "admin"), "{value}");
        }
    }

    #[test]
    fn true_is_the_role_of_its_name_and_no_other_value_is() {
        assert!(has("admin", json!({"admin": true}), "true"));
        assert!(has("admin", json!({"admin": "true"}), "true"), "as every text is the role of its name");
        for value in [json!(false), json!(1), json!("True"), json!([true]), json!({"true": true}), json!("")]
        {
            assert!(!has("admin", json!({ "admin": value }), "true"), "{value}");
        }
        assert!(!has("admin", json!({"admin": true}), "admin"));
    }

    #[test]
    fn only_the_words_of_scope_and_scp_count_one_by_one() {
        for claim in ["scope", "scp", "token.scope"] {
            let claims = |value: Value| json!({"scope": value, "scp": value, "token": {"scope": value}});
            assert!(has(claim, claims(json!("read sessions:admin")), "sessions:admin"));
            assert!(has(claim, claims(json!(["read", "sessions:admin"])), "sessions:admin"));
            for value in [json!("sessions:admin2"), json!("x-sessions:admin"), json!(["read sessions:admin"])]
            {
                assert!(!has(claim, claims(value.clone()), "sessions:admin"), "{value}");
            }
            assert!(!has(claim, claims(json!("back end")), "back end"));
            for space in ["\t", "\n", "\u{a0}", ",", "+"] {
                assert!(!has(claim, claims(json!(format!("read{space}admin"))), "admin"), "{space:?}");
            }
        }
        for claim in ["scopes", "my_scope", "Scope", "scope.x"] {
            assert!(!has(claim, json!({claim: "read admin"}), "admin"), "{claim}");
        }
    }

    #[test]
    fn a_path_goes_through_objects_and_a_whole_name_comes_first() {
        let deep = json!({"a": {"b": {"c": ["admin"]}}});
        assert!(has("a.b.c", deep.clone(), "admin"));
        for path in ["a.b", "a.b.c.0", "a..b.c", ".a.b.c", "a.b.c.", "b.c", "a", "."] {
            assert!(!has(path, deep.clone(), "admin"), "{path}");
        }
        for claims in [
            json!({"a": [{"b": {"c": "admin"}}]}),
            json!({"a": {"b": [{"c": "admin"}]}}),
            json!({"a": "{\"b\":{\"c\":\"admin\"}}"}),
            json!({"a": 1}),
            json!({"a": {"b": 1.5}}),
            json!({"a": {"b.c": "admin"}}),
            json!({"a.b": {"c": "admin"}}),
            json!({"a": null}),
        ] {
            assert!(!has("a.b.c", claims.clone(), "admin"), "{claims}");
        }
        let both = json!({"a.b": "user", "a": {"b": "admin"}});
        assert_eq!((has("a.b", both.clone(), "user"), has("a.b", both, "admin")), (true, false));
        assert!(!has("a.b", json!({"a.b": null, "a": {"b": "admin"}}), "admin"), "the claim is there");
        assert!(has(
            "https://panel.example/roles",
            json!({"https://panel.example/roles": ["admin"]}),
            "admin"
        ));
    }

    #[test]
    fn what_users_write_about_themselves_is_no_role() {
        for path in ["user_metadata.role", "unsafe_metadata.a.b", "x.unsafeMetadata.role", "user_metadata"] {
            assert_eq!(RoleClaim::parse(path.into()), Err(WrittenByUsers), "{path}");
        }
        assert!(RoleClaim::parse("app_metadata.role".into()).is_ok());
    }
}
