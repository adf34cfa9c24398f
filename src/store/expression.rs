//! Update and condition expressions. Every attribute gets a placeholder, so that reserved words do no harm:
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ExpressionAttributeNames.html>

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::Item;

/// What a write changes, and the conditions that must all hold for it.
#[derive(Clone, Debug, Default)]
pub struct Expression {
    sets: Vec<String>,
    removes: Vec<String>,
    conditions: Vec<String>,
    names: HashMap<String, String>,
    values: Item,
}

impl Expression {
    /// Gives the attribute this value.
    pub fn set(mut self, attribute: &str, value: AttributeValue) -> Self {
        let set = format!("{} = {}", self.name(attribute), self.value(value));
        self.sets.push(set);
        self
    }

    /// Gives the attribute this value, if there is one.
    pub fn set_optional(self, attribute: &str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.set(attribute, value),
            None => self,
        }
    }

    /// Takes the attribute away.
    pub fn remove(mut self, attribute: &str) -> Self {
        let name = self.name(attribute);
        self.removes.push(name);
        self
    }

    /// Only if the item has the attribute.
    pub fn if_exists(mut self, attribute: &str) -> Self {
        let condition = format!("attribute_exists({})", self.name(attribute));
        self.conditions.push(condition);
        self
    }

    /// Only if the item does not have the attribute, or does not exist.
    pub fn if_missing(mut self, attribute: &str) -> Self {
        let condition = format!("attribute_not_exists({})", self.name(attribute));
        self.conditions.push(condition);
        self
    }

    /// Only if one of the two attributes begins with this text.
    pub fn if_either_begins_with(mut self, attributes: [&str; 2], text: AttributeValue) -> Self {
        let ([one, other], text) = (attributes.map(|name| self.name(name)), self.value(text));
        self.conditions.push(format!("(begins_with({one}, {text}) OR begins_with({other}, {text}))"));
        self
    }

    /// Only if the attribute compares so with the value: `=`, `<`, `<=`, `>` or `>=`.
    pub fn if_compares(mut self, attribute: &str, operator: &str, value: AttributeValue) -> Self {
        let condition = format!("{} {operator} {}", self.name(attribute), self.value(value));
        self.conditions.push(condition);
        self
    }

    /// Only if the item does not have the attribute `missing`, or `attribute` compares so with the value.
    pub fn if_missing_or_compares(
        mut self,
        missing: &str,
        attribute: &str,
        operator: &str,
        value: AttributeValue,
    ) -> Self {
        let (missing, name) = (self.name(missing), self.name(attribute));
        let condition =
            format!("(attribute_not_exists({missing}) OR {name} {operator} {})", self.value(value));
        self.conditions.push(condition);
        self
    }

    /// The update expression.
    pub fn update(&self) -> String {
        let clause = |word, parts: &[String]| match parts {
            [] => String::new(),
            parts => format!("{word} {} ", parts.join(", ")),
        };
        clause("SET", &self.sets) + clause("REMOVE", &self.removes).trim_end()
    }

    /// The condition expression.
    pub fn condition(&self) -> String {
        self.conditions.join(" AND ")
    }

    /// The attributes that the placeholders stand for.
    pub fn names(&self) -> Option<HashMap<String, String>> {
        (!self.names.is_empty()).then(|| self.names.clone())
    }

    /// The values that the placeholders stand for.
    pub fn values(&self) -> Option<Item> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }

    fn name(&mut self, attribute: &str) -> String {
        let placeholder = format!("#{attribute}");
        self.names.insert(placeholder.clone(), attribute.into());
        placeholder
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }
}
