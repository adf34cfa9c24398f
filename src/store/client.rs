//! The DynamoDB client: region, credentials and endpoint as the AWS SDKs read them, timeouts and retries as we set them.

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{self, HttpClient, ProvideCredentials, StalledStreamProtectionConfig};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};

use super::Timeouts;

/// The number of attempts of a call, the first one included:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html> on DynamoDB.
const ATTEMPTS: u32 = 4;

/// The number of connections that are kept while nothing uses them. There are fewer than attempts: the far side may forget
/// all of them at once, for example while Lambda has frozen the function, and then the last attempt opens a new one.
pub const IDLE_CONNECTIONS: usize = ATTEMPTS as usize - 1;

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

/// The SDK's own HTTP client, with ring. It trusts the roots in `SSL_CERT_FILE`, or else the system's.
pub fn http_client() -> impl HttpClient + 'static {
    Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .build_https()
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
    RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(timeouts.backoff)
}

fn timeout_config(timeouts: &Timeouts) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(timeouts.connect)
        .operation_attempt_timeout(timeouts.attempt)
        .operation_timeout(timeouts.call)
        .build()
}
