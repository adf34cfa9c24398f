//! The embedded DynamoDB, with the table as template.yaml defines it. Shared with the tests.

use std::error::Error;
use std::sync::LazyLock;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, LocalSecondaryIndex,
    Projection, ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
};
use serde_norway::Value;
use sessions::session::Policy;
use sessions::store::{Database, Timeouts};
use sessions::store::{SessionStore, client};
use sessions::telemetry::metrics::Metrics;
use tokio::net::TcpListener;

pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The table's name in every local database.
pub const TABLE: &str = "sessions";

/// A table in a DynamoDB engine, and how to reach it.
#[derive(Clone, Debug)]
pub struct Table {
    pub endpoint: String,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: Option<String>,
    pub table: String,
    pub timeouts: Timeouts,
}

impl Table {
    /// An engine that accepts any credentials.
    pub fn at(endpoint: String) -> Self {
        Self {
            endpoint,
            region: "eu-central-1".into(),
            access_key_id: "local".into(),
            secret_access_key: "local".into(),
            session_token: None,
            table: TABLE.into(),
            timeouts: Timeouts::default(),
        }
    }

    /// A client with the SDK's own settings, for what the service itself never does.
    pub fn client(&self) -> Client {
        Client::new(&self.sdk_config())
    }

    /// A store on the table, with the client as the service sets it up.
    pub fn store(&self, policy: Policy) -> SessionStore {
        self.counting_store(policy, Metrics::default())
    }

    /// The same, which counts in `metrics`.
    pub fn counting_store(&self, policy: Policy, metrics: Metrics) -> SessionStore {
        let client = client::from_sdk_config(&self.sdk_config(), &self.timeouts);
        SessionStore::new(client, &self.database(), policy, metrics)
    }

    /// The settings of a service on this table.
    pub fn database(&self) -> Database {
        Database { table: self.table.clone(), timeouts: self.timeouts }
    }

    fn sdk_config(&self) -> SdkConfig {
        let credentials = Credentials::new(
            &self.access_key_id,
            &self.secret_access_key,
            self.session_token.clone(),
            None,
            "local",
        );
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(&self.endpoint)
            .http_client(client::http_client())
            .build()
    }
}

/// Serves a database on a listener, until the process or the runtime ends.
pub fn serve(listener: TcpListener, database: dynoxide::Database) -> Result<Table> {
    let endpoint = format!("http://{}", listener.local_addr()?);
    tokio::spawn(dynoxide::server::serve_on(listener, database));
    Ok(Table::at(endpoint))
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
        request = request.local_secondary_indexes(
            LocalSecondaryIndex::builder()
                .index_name(text(index, "IndexName")?)
                .set_key_schema(Some(key_schema(index)?))
                .projection(projection(index)?)
                .build()?,
        );
    }
    for index in list(table, "GlobalSecondaryIndexes")? {
        request = request.global_secondary_indexes(
            GlobalSecondaryIndex::builder()
                .index_name(text(index, "IndexName")?)
                .set_key_schema(Some(key_schema(index)?))
                .projection(projection(index)?)
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

fn projection(of: &Value) -> Result<Projection> {
    let projection = ProjectionType::from(text(&of["Projection"], "ProjectionType")?);
    Ok(Projection::builder().projection_type(projection).build())
}

/// A list in template.yaml.
pub fn list<'v>(of: &'v Value, name: &str) -> Result<&'v Vec<Value>> {
    of[name].as_sequence().ok_or_else(|| format!("template.yaml: {name} is no list").into())
}

fn text<'v>(of: &'v Value, name: &str) -> Result<&'v str> {
    of[name].as_str().ok_or_else(|| format!("template.yaml: {name} is no text").into())
}
