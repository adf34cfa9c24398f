//! Region, credentials and endpoint come from where the AWS SDKs look: a developer's environment and profile files.

use std::fs;
use std::net::TcpListener;

use crate::support::lambda::Runtime;
use crate::support::proxy::Proxy;
use crate::support::*;
use serde_json::Value;

const KEYS: &str = "aws_access_key_id = AKIAPROFILE000000000\naws_secret_access_key = profile-secret\n";

/// The files of a developer.
struct AwsFiles(Folder);

impl AwsFiles {
    fn new(config: &str, credentials: &str) -> Self {
        let folder = Folder::new();
        fs::write(folder.path().join("config"), config).unwrap();
        fs::write(folder.path().join("credentials"), credentials).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
}

/// The metadata service of an EC2 instance, which is the last place where the SDK looks. This one never answers.
struct Metadata(TcpListener);

impl Metadata {
    fn silent() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn was_asked(&self) -> bool {
        self.0.accept().is_ok()
    }
}

/// The function in an environment that says nothing about AWS but this.
async fn start(database: &Table, metadata: &Metadata, aws: &[(&str, &str)]) -> Runtime {
    let endpoint = format!("http://{}", metadata.0.local_addr().unwrap());
    let needed = [
        ("TABLE_NAME", database.table.as_str()),
        ("JWT_SECRET", token::SECRET),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &endpoint),
    ];
    Runtime::start(env!("CARGO_BIN_EXE_sessions"), &[&needed, aws].concat()).await
}

/// The status of an admin's list.
async fn list(function: &mut Runtime) -> Value {
    function.ready().await.unwrap();
    let answer = function.invoke(&Call::of(ROUTES[0]).token(&admin_token()).event()).await.unwrap();
    answer.body["statusCode"].clone()
}

/// Sees that every call was signed with this key for this region.
fn signed(proxy: &Proxy, key: &str, region: &str) {
    let calls = proxy.take();
    assert!(!calls.is_empty());
    for call in calls {
        let parts: Vec<_> = call.authorization.split(['=', '/']).collect();
        assert_eq!((parts[1], parts[3]), (key, region), "{}", call.authorization);
    }
}

#[tokio::test]
async fn a_profile_gives_keys_region_and_endpoint() {
    let proxy = Proxy::before(&database().await).await;
    let endpoint = &proxy.database.endpoint;
    let files = AwsFiles::new(
        &format!("[profile local]\nregion = eu-west-3\nendpoint_url = {endpoint}\n"),
        &format!("[local]\n{KEYS}"),
    );
    let aws = [
        ("AWS_PROFILE", "local"),
        ("AWS_CONFIG_FILE", &files.path("config")),
        ("AWS_SHARED_CREDENTIALS_FILE", &files.path("credentials")),
    ];
    let metadata = Metadata::silent();
    let mut function = start(&proxy.database, &metadata, &aws).await;
    assert_eq!(list(&mut function).await, 200);
    signed(&proxy, "AKIAPROFILE000000000", "eu-west-3");
    assert!(!metadata.was_asked());
}

#[tokio::test]
async fn the_environment_takes_precedence_over_the_profile() {
    let proxy = Proxy::before(&database().await).await;
    let files = AwsFiles::new(
        "[default]\nregion = eu-west-3\nendpoint_url = http://127.0.0.1:9\n",
        &format!("[default]\n{KEYS}"),
    );
    let aws = [
        ("AWS_REGION", "eu-north-1"),
        ("AWS_CONFIG_FILE", &files.path("config")),
        ("AWS_SHARED_CREDENTIALS_FILE", &files.path("credentials")),
        ("AWS_ENDPOINT_URL_DYNAMODB", &proxy.database.endpoint),
    ];
    let metadata = Metadata::silent();
    let mut function = start(&proxy.database, &metadata, &aws).await;
    assert_eq!(list(&mut function).await, 200);
    signed(&proxy, "AKIAPROFILE000000000", "eu-north-1");
    assert!(!metadata.was_asked());
}

#[tokio::test]
async fn a_function_without_aws_settings_starts_and_answers_that_the_store_is_unavailable() {
    let metadata = Metadata::silent();
    let mut function = start(&nowhere(), &metadata, &[]).await;
    function.ready().await.unwrap();
    assert!(metadata.was_asked(), "the last place where the SDK looks");
    let answer = function.invoke(&Call::of(ROUTES[0]).event()).await.unwrap();
    assert_eq!(answer.body["statusCode"], 401);
    assert_eq!(list(&mut function).await, 503);
}
