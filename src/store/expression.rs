//! Conditional updates, put together by name so that no reserved word gets in the way.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::{Item, text, time};
use crate::session::Ending;

/// An update with its conditions and the names and values in both.
pub(super) struct Expression {
    pub update: String,
    pub conditions: Vec<&'static str>,
    pub names: HashMap<String, String>,
    pub values: Item,
}

impl Expression {
    pub fn new(update: impl Into<String>) -> Self {
        Self { update: update.into(), conditions: Vec::new(), names: Default::default(), values: Item::new() }
    }

    /// Writes a receipt and takes the session out of the index.
    pub fn end(ending: &Ending, ttl: &AttributeValue) -> Self {
        let mut fields = vec![
            ("ended_at", time(ending.at)),
            ("end_reason", text(ending.reason.as_str())),
            ("ttl", ttl.clone()),
        ];
        fields.extend(ending.by.as_ref().map(|by| ("ended_by", text(by))));
        fields.extend(ending.note.as_ref().map(|note| ("end_note", text(note.as_str()))));
        let sets: Vec<_> = fields.iter().map(|(name, _)| format!("#{name} = :{name}")).collect();
        let mut expression = Self::new(format!("SET {} REMOVE #live_sk", sets.join(", ")));
        expression.name("#live_sk", "live_sk");
        for (name, value) in fields {
            expression.name(&format!("#{name}"), name).value(&format!(":{name}"), value);
        }
        expression
    }

    pub fn only_if(&mut self, condition: &'static str) -> &mut Self {
        self.conditions.push(condition);
        self
    }

    pub fn name(&mut self, placeholder: &str, name: &str) -> &mut Self {
        self.names.insert(placeholder.into(), name.into());
        self
    }

    pub fn value(&mut self, placeholder: &str, value: AttributeValue) -> &mut Self {
        self.values.insert(placeholder.into(), value);
        self
    }
}
