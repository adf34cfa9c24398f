//! TLS to DynamoDB: the function talks only to a server whose certificate a trusted root has signed for the name that was
//! called.

use std::path::Path;
use std::time::Duration;

use crate::crash::start;
use crate::support::tls::{Front, Trust};
use crate::support::*;
use serde_json::Value;

/// The status of an admin's list by a function that calls `host` and trusts the roots in this file; none if it ends.
async fn list(database: &Table, host: &str, roots: &Path) -> Option<Value> {
    let database = Table { endpoint: format!("https://{host}"), ..database.clone() };
    let mut function = start(&database, &[("SSL_CERT_FILE", roots.to_str().unwrap())]).await;
    let answer = function.invoke(&Call::of(ROUTES[0]).token(&admin_token()).event()).await.ok()?;
    Some(answer.body["statusCode"].clone())
}

/// The port of a TLS server in front of the engine, and the files of roots with which clients trust it.
async fn serve(database: &Table, folder: &Folder) -> (u16, Trust) {
    let engine = database.endpoint.trim_start_matches("http://").to_owned();
    let (front, trust) = Front::new(engine, folder.path()).unwrap();
    (front.serve(Duration::ZERO).await.unwrap(), trust)
}

#[tokio::test]
async fn the_function_trusts_a_server_whose_certificate_a_root_has_signed() {
    let (database, folder) = (database().await, Folder::new());
    let (port, trust) = serve(&database, &folder).await;
    for roots in [trust.test_root, trust.all_roots] {
        assert_eq!(
            list(&database, &format!("localhost:{port}"), &roots).await,
            Some(200.into()),
            "{roots:?}"
        );
    }
}

#[tokio::test]
async fn the_function_refuses_an_unknown_root_or_another_name() {
    let (database, folder, other_folder) = (database().await, Folder::new(), Folder::new());
    let (port, trust) = serve(&database, &folder).await;
    let (_, other) = serve(&database, &other_folder).await;
    for (host, roots) in [("localhost", &other.all_roots), ("127.0.0.1", &trust.test_root)] {
        let status = list(&database, &format!("{host}:{port}"), roots).await;
        assert_eq!(status, Some(503.into()), "{host} {roots:?}");
    }
    // Without any root a build for tests ends at its start, because the SDK's client asserts there that it has one.
    let no_roots = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let status = list(&database, &format!("localhost:{port}"), &no_roots).await;
    assert!(status.is_none_or(|status| status == 503), "{no_roots:?}");
}
