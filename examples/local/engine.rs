//! The embedded DynamoDB, with the table as template.yaml defines it. Shared with the tests.

use std::error::Error;
use std::sync::LazyLock;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, LocalSecondaryIndex, Projection,
    ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
};
use dynoxide::Database;
use serde_norway::Value;
use sessions::config;
use tokio::net::TcpListener;

pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The table's name in every local database.
pub const TABLE: &str = "sessions";

/// Serves a database on a listener until the process or the runtime ends; returns how to reach it.
pub fn serve(listener: TcpListener, database: Database) -> Result<config::Database> {
    let endpoint = format!("http://{}", listener.local_addr()?);
    tokio::spawn(dynoxide::server::serve_on(listener, database));
    Ok(at(endpoint))
}

/// How to reach an engine that asks for no real credentials.
pub fn at(endpoint: String) -> config::Database {
    config::Database {
        table: TABLE.into(),
        region: "eu-central-1".into(),
        endpoint: Some(endpoint),
        access_key_id: "local".into(),
        secret_access_key: "local".into(),
        session_token: None,
        patience: config::Patience::default(),
    }
}

/// A client for what the service itself never does: making tables, writing items of its own making.
pub fn client(database: &config::Database) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(database.region.clone()))
        .credentials_provider(Credentials::new(
            &database.access_key_id,
            &database.secret_access_key,
            None,
            None,
            "local",
        ))
        .endpoint_url(database.endpoint.clone().unwrap_or_default())
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    Client::from_conf(config.build())
}

/// Makes the table; `false` when the database has it already.
pub async fn create_table(client: &Client, name: &str) -> Result<bool> {
    // Some tests make a thousand tables, and reading the template takes longer than making one.
    static TEMPLATE: LazyLock<Option<Value>> =
        LazyLock::new(|| serde_norway::from_str(include_str!("../../template.yaml")).ok());
    let template = TEMPLATE.as_ref().ok_or("template.yaml is no YAML")?;
    let table = &template["Resources"]["SessionTable"]["Properties"];
    let mut request = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for attribute in list(table, "AttributeDefinitions")? {
        request = request.attribute_definitions(
            AttributeDefinition::builder()
                .attribute_name(text(attribute, "AttributeName")?)
                .attribute_type(ScalarAttributeType::from(text(attribute, "AttributeType")?))
                .build()?,
        );
    }
    for index in list(table, "LocalSecondaryIndexes")? {
        let projection = ProjectionType::from(text(&index["Projection"], "ProjectionType")?);
        request = request.local_secondary_indexes(
            LocalSecondaryIndex::builder()
                .index_name(text(index, "IndexName")?)
                .set_key_schema(Some(key_schema(index)?))
                .projection(Projection::builder().projection_type(projection).build())
                .build()?,
        );
    }
    match request.set_key_schema(Some(key_schema(table)?)).send().await {
        Ok(_) => set_ttl(client, name, &table["TimeToLiveSpecification"]).await.map(|()| true),
        Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_in_use_exception()) => Ok(false),
        Err(error) => Err(DisplayErrorContext(error).to_string().into()),
    }
}

async fn set_ttl(client: &Client, table: &str, specification: &Value) -> Result<()> {
    let specification = TimeToLiveSpecification::builder()
        .attribute_name(text(specification, "AttributeName")?)
        .enabled(specification["Enabled"].as_bool().unwrap_or_default())
        .build()?;
    client.update_time_to_live().table_name(table).time_to_live_specification(specification).send().await?;
    Ok(())
}

fn key_schema(of: &Value) -> Result<Vec<KeySchemaElement>> {
    let element = |key| {
        let element = KeySchemaElement::builder()
            .attribute_name(text(key, "AttributeName")?)
            .key_type(KeyType::from(text(key, "KeyType")?));
        Ok(element.build()?)
    };
    list(of, "KeySchema")?.iter().map(element).collect()
}

fn list<'v>(of: &'v Value, name: &str) -> Result<&'v Vec<Value>> {
    of[name].as_sequence().ok_or_else(|| format!("template.yaml: {name} is no list").into())
}

fn text<'v>(of: &'v Value, name: &str) -> Result<&'v str> {
    of[name].as_str().ok_or_else(|| format!("template.yaml: {name} is no text").into())
}
