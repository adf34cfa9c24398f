//! The DynamoDB client: region, credentials and endpoint as the AWS SDKs read them, timeouts and retries as we set them.

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::{ReconnectMode, RetryConfig};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{self, HttpClient, ProvideCredentials, StalledStreamProtectionConfig};

use super::connector::Connections;
use crate::config::Timeouts;

/// The number of attempts of a call, the first one included:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html> on DynamoDB.
const ATTEMPTS: u32 = 4;

/// Makes a client with what Lambda, or a developer's environment and profile files, say about region, credentials and
/// endpoint. Opens no connection yet.
pub async fn from_environment(timeouts: &Timeouts) -> Client {
    let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http_client());
    // The SDK's default takes these keys first too, but also makes a client for each other place that may hold keys.
    let environment = EnvironmentVariableCredentialsProvider::new();
    let loader = match environment.provide_credentials().await {
        Ok(_) => loader.credentials_provider(environment),
        Err(_) => loader,
    };
    from_sdk_config(&loader.load().await, timeouts)
}

/// The SDK's way to the network.
pub fn http_client() -> impl HttpClient + 'static {
    Connections::default()
}

/// Makes a client with these settings of the SDK.
pub fn from_sdk_config(sdk: &SdkConfig, timeouts: &Timeouts) -> Client {
    let config = config::Builder::from(sdk)
        .timeout_config(timeout_config(timeouts))
        .retry_config(retry_config(timeouts))
        // Answers are small, and the timeouts above bound them.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    Client::from_conf(config.build())
}

fn retry_config(timeouts: &Timeouts) -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(timeouts.backoff)
        // The connector itself closes a connection that failed. The SDK would look for a way to do so, and log an error.
        .with_reconnect_mode(ReconnectMode::ReuseAllConnections)
}

fn timeout_config(timeouts: &Timeouts) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(timeouts.connect)
        .operation_attempt_timeout(timeouts.attempt)
        .operation_timeout(timeouts.call)
        .build()
}
