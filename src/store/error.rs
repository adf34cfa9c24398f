//! Why the store could not do what was asked. Knows no HTTP; causes are kept in `source()`.

use std::error::Error;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// DynamoDB's refusals (400) that mean "later": throttling of every kind, and a user whose history fills a partition,
/// until some of it goes. An item in the hands of a transaction is not among them: it is waited for.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
const TRANSIENT: [&str; 6] = [
    "ItemCollectionSizeLimitExceededException",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "TransactionInProgressException",
];

/// A DynamoDB call, or a chain of them, that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB throttled, was down or too slow, after the SDK's retries. The write may have happened.
    #[error("DynamoDB {operation} is unavailable")]
    Unavailable {
        /// The call.
        operation: &'static str,
        /// What the SDK says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// An answer lacks what every whole one has. What it answers may have happened.
    #[error("DynamoDB {operation} came back without {part}")]
    Incomplete {
        /// The call.
        operation: &'static str,
        /// What every answer to it has.
        part: &'static str,
    },
    /// The time was up before the last write: others of the same user came first, or there were too many to do.
    #[error("the time was up before the last write of this user")]
    Contended,
    /// DynamoDB refused for good: a wrong table, missing rights, a malformed request.
    #[error("DynamoDB {operation} was refused")]
    Refused {
        /// The call.
        operation: &'static str,
        /// What the SDK says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// An item is not what this code writes.
    #[error("the item {sk} has no usable {attribute}")]
    Corrupt {
        /// The item's sort key.
        sk: String,
        /// The attribute that is missing or of another form.
        attribute: &'static str,
    },
}

impl StoreError {
    /// Whether the same request can succeed later without anybody repairing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Incomplete { .. } | Self::Contended)
    }

    pub(super) fn from_sdk<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let transient = match &error {
            // With a status of success it is an answer that cannot be read, and what it answers may have happened.
            SdkError::ServiceError(answer) => {
                !answer.raw().status().is_client_error() || answer.err().code().is_some_and(is_transient)
            }
            SdkError::ConstructionFailure(_) => false,
            _ => true,
        };
        let source = error.into();
        match transient {
            true => Self::Unavailable { operation, source },
            false => Self::Refused { operation, source },
        }
    }
}

fn is_transient(code: &str) -> bool {
    TRANSIENT.contains(&code)
}
