//! The errors of the store. They know no HTTP, and keep their causes in `source()`.

use std::error::Error;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// The errors of DynamoDB with status 400 that mean "try later": every kind of throttling, and a user whose history
/// fills a partition until some of it is deleted. A conflict with a transaction is not one of them, because the store
/// waits for its end.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
const TRANSIENT: [&str; 6] = [
    "ItemCollectionSizeLimitExceededException",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "TransactionInProgressException",
];

/// A DynamoDB call, or a chain of calls, failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB throttled the call, was down or was too slow, and the SDK's retries did not help. A write may have
    /// happened.
    #[error("DynamoDB {operation} is unavailable")]
    Unavailable {
        /// The name of the call.
        operation: &'static str,
        /// The SDK's error.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A part of the answer is missing. A write may have happened.
    #[error("the answer of DynamoDB {operation} lacks {part}")]
    Incomplete {
        /// The name of the call.
        operation: &'static str,
        /// The missing part.
        part: &'static str,
    },
    /// The time ran out before the last write, because other writes of the same user came first, or because there were
    /// too many sessions to end.
    #[error("the time ran out before the last write of this user")]
    Contended,
    /// DynamoDB refused the call, and trying again does not help: a wrong table, missing rights, a malformed request.
    #[error("DynamoDB {operation} was refused")]
    Refused {
        /// The name of the call.
        operation: &'static str,
        /// The SDK's error.
        source: Box<dyn Error + Send + Sync>,
    },
    /// An item does not have the form that this code writes.
    #[error("the item {sk} has no usable {attribute}")]
    Corrupt {
        /// The item's sort key.
        sk: String,
        /// The attribute that is missing or has another form.
        attribute: &'static str,
    },
}

impl StoreError {
    /// Whether the same request can succeed later without a repair.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Incomplete { .. } | Self::Contended)
    }

    pub(super) fn from_sdk<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let transient = match &error {
            // An error with the status of a success is an answer that cannot be read. The write may have happened.
            SdkError::ServiceError(answer) => {
                !answer.raw().status().is_client_error() || answer.err().code().is_some_and(is_transient)
            }
            SdkError::ConstructionFailure(_) => false,
            _ => true,
        };
        let source = error.into();
        if transient { Self::Unavailable { operation, source } } else { Self::Refused { operation, source } }
    }
}

fn is_transient(code: &str) -> bool {
    TRANSIENT.contains(&code)
}
