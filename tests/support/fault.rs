//! What can go wrong between the service and DynamoDB, as data; `proxy.rs` makes it happen.

use std::time::Duration;

use serde_json::{Value, json};

/// How late a slow answer is.
pub const SLOW: Duration = Duration::from_millis(1_200);

/// What a call meets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// 400 with this exception; the call did nothing.
    Refused(&'static str),
    /// The transaction is cancelled for these reasons: one for each action, the last one for all further actions.
    Cancelled(&'static [&'static str]),
    /// 5xx with a JSON body.
    Failing(u16, &'static str),
    /// 503 with the page of a load balancer.
    LoadBalancer,
    /// The answer is late: after the attempt's time, within the call's.
    Slow(Engine),
    /// Nothing comes back while the trouble lasts, and longer than the call's time.
    Stalled(Engine),
    /// The connection ends without an answer.
    Cut(Engine),
    /// What comes back is no HTTP.
    NoHttp(Engine),
    /// 200 whose body is no JSON.
    Garbage(Engine),
    /// 200 with an empty object.
    Empty(Engine),
    /// 200 whose body is shorter than its Content-Length, then the end.
    Half(Engine),
    /// 200 with fewer items than it counts.
    Short,
}

/// Whether the engine has done what was asked when the fault strikes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Engine {
    /// The engine has not done it.
    Unasked,
    /// The engine has done it. Only the answer is lost.
    Done,
}

use Engine::{Done, Unasked};

impl Fault {
    pub const ALL: [Self; 38] = [
        Self::Refused("ProvisionedThroughputExceededException"),
        Self::Refused("ThrottlingException"),
        Self::Refused("RequestLimitExceeded"),
        Self::Refused("LimitExceededException"),
        Self::Refused("TransactionInProgressException"),
        Self::Refused("TransactionConflictException"),
        Self::Refused("ItemCollectionSizeLimitExceededException"),
        Self::Refused("IdempotentParameterMismatchException"),
        Self::Refused("ValidationException"),
        Self::Refused("AccessDeniedException"),
        Self::Refused("ExpiredTokenException"),
        Self::Refused("ResourceNotFoundException"),
        Self::Cancelled(&["ConditionalCheckFailed", "None"]),
        Self::Cancelled(&["None", "TransactionConflict"]),
        Self::Cancelled(&["ConditionalCheckFailed", "TransactionConflict"]),
        Self::Cancelled(&["None", "ThrottlingError"]),
        Self::Cancelled(&["ProvisionedThroughputExceeded", "None"]),
        Self::Cancelled(&["None", "ItemCollectionSizeLimitExceeded"]),
        Self::Cancelled(&["ConditionalCheckFailed", "ItemCollectionSizeLimitExceeded"]),
        Self::Cancelled(&["ConditionalCheckFailed", "ValidationError"]),
        Self::Cancelled(&["None", "None"]),
        Self::Failing(500, "InternalServerError"),
        Self::Failing(503, "ServiceUnavailable"),
        Self::LoadBalancer,
        Self::Slow(Unasked),
        Self::Slow(Done),
        Self::Stalled(Unasked),
        Self::Stalled(Done),
        Self::Cut(Unasked),
        Self::Cut(Done),
        Self::NoHttp(Unasked),
        Self::NoHttp(Done),
        Self::Garbage(Unasked),
        Self::Garbage(Done),
        Self::Empty(Unasked),
        Self::Empty(Done),
        Self::Half(Done),
        Self::Short,
    ];

    /// Whether DynamoDB can answer a call of this name so. For a read it does not matter whether the engine was asked.
    pub fn can_meet(self, operation: &str) -> bool {
        let writes = matches!(operation, "TransactWriteItems" | "UpdateItem");
        match self {
            Self::Refused("TransactionInProgressException" | "IdempotentParameterMismatchException")
            | Self::Cancelled(_) => operation == "TransactWriteItems",
            Self::Refused("TransactionConflictException") => operation == "UpdateItem",
            Self::Refused("ItemCollectionSizeLimitExceededException") => writes,
            Self::Short => operation == "Query",
            Self::Half(_) => true,
            Self::Slow(Done)
            | Self::Stalled(Done)
            | Self::Cut(Done)
            | Self::NoHttp(Done)
            | Self::Garbage(Done)
            | Self::Empty(Done) => writes,
            _ => true,
        }
    }

    /// What has become of the call at the engine.
    pub fn engine(self) -> Engine {
        match self {
            Self::Slow(engine)
            | Self::Stalled(engine)
            | Self::Cut(engine)
            | Self::NoHttp(engine)
            | Self::Garbage(engine)
            | Self::Empty(engine)
            | Self::Half(engine) => engine,
            Self::Short => Done,
            _ => Unasked,
        }
    }

    /// What comes back instead; `None` when the connection only ends.
    /// `actions` is how many a transaction has, `answer` what the engine said if it was asked.
    pub(super) fn instead(self, actions: usize, answer: Option<&[u8]>) -> Option<Vec<u8>> {
        let json = |status, body: &Value| message(status, "application/x-amz-json-1.0", &body.to_string());
        Some(match self {
            Self::Refused(exception) => json(400, &refusal(exception, json!({}))),
            Self::Cancelled(reasons) => {
                let reason = |at: usize| json!({"Code": reasons.get(at).or(reasons.last())});
                let reasons: Vec<_> = (0..actions).map(reason).collect();
                json(400, &refusal("TransactionCanceledException", json!({"CancellationReasons": reasons})))
            }
            Self::Failing(status, exception) => json(status, &refusal(exception, json!({}))),
            Self::LoadBalancer => {
                message(503, "text/html", "<html><h1>503 Service Temporarily Unavailable</h1></html>")
            }
            Self::NoHttp(_) => b"\x16\x03\x01 this is no answer at all\r\n\r\n".to_vec(),
            Self::Garbage(_) => message(200, "application/x-amz-json-1.0", "{\"Items\": [<"),
            Self::Empty(_) => json(200, &json!({})),
            Self::Half(_) => {
                let answer = answer?;
                answer[..answer.len() - body(answer).len() / 2].to_vec()
            }
            Self::Short => {
                let mut body: Value = serde_json::from_slice(body(answer?)).ok()?;
                body["Count"] = (body["Count"].as_u64()? + 1).into();
                json(200, &body)
            }
            Self::Slow(_) | Self::Stalled(_) | Self::Cut(_) => return None,
        })
    }
}

/// An error answer as DynamoDB sends it.
pub(super) fn refusal(exception: &str, extra: Value) -> Value {
    let mut refusal =
        json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{exception}"), "message": exception});
    refusal.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    refusal
}

pub(super) fn message(status: u16, kind: &str, body: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} Status\r\ncontent-type: {kind}\r\ncontent-length: {}", body.len());
    format!("{head}\r\n\r\n{body}").into_bytes()
}

/// The body of a whole message.
pub(super) fn body(message: &[u8]) -> &[u8] {
    let head = message.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    &message[head + 4..]
}
