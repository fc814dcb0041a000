//! RESP as a client speaks it: requests are encoded, replies decoded. No sockets here.

pub(crate) mod decode;
mod encode;
mod from_value;
mod to_args;

pub use encode::Encoder;
pub use from_value::FromValue;
pub use to_args::ToArgs;

use crate::error::ServerError;
use bytes::Bytes;

/// A reply, in the types of RESP3; RESP2 has fewer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Nothing: a missing key, an element that is not there.
    Nil,
    /// A short text such as `OK`.
    Status(Bytes),
    /// A string of bytes; with RESP3 also text with a format, whose format is left out.
    Bulk(Bytes),
    /// An integer.
    Int(i64),
    /// A floating point number.
    Double(f64),
    /// True or false.
    Bool(bool),
    /// An integer of any size, as text.
    BigNumber(Bytes),
    /// An error, inside of another reply; alone it is [`Error::Server`](crate::Error::Server).
    Error(ServerError),
    /// Elements in order.
    Array(Vec<Value>),
    /// Elements without an order that counts.
    Set(Vec<Value>),
    /// Pairs, in the order in which they came.
    Map(Vec<(Value, Value)>),
    /// What was not asked for: a message of a subscription.
    Push(Vec<Value>),
}

impl Value {
    /// What it is, for error messages: the type, and the value if it is short.
    pub(crate) fn describe(&self) -> String {
        let text = |bytes: &Bytes| format!("'{}'", String::from_utf8_lossy(&bytes[..bytes.len().min(64)]));
        match self {
            Value::Nil => "nil".to_string(),
            Value::Status(bytes) => format!("the status {}", text(bytes)),
            Value::Bulk(bytes) => format!("the string {}", text(bytes)),
            Value::Int(number) => format!("the integer {number}"),
            Value::Double(number) => format!("the number {number}"),
            Value::Bool(is) => format!("{is}"),
            Value::BigNumber(bytes) => format!("the big number {}", text(bytes)),
            Value::Error(error) => format!("the error '{error}'"),
            Value::Array(items) => format!("an array of {}", items.len()),
            Value::Set(items) => format!("a set of {}", items.len()),
            Value::Map(pairs) => format!("a map of {}", pairs.len()),
            Value::Push(items) => format!("a push of {}", items.len()),
        }
    }

    /// The bytes of a string or status.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Status(bytes) | Value::Bulk(bytes) | Value::BigNumber(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Whether it is the status `OK`.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self, Value::Status(text) if &text[..] == b"OK")
    }

    /// Turns an error inside into `Err`.
    pub(crate) fn into_result(self) -> Result<Value, ServerError> {
        match self {
            Value::Error(error) => Err(error),
            value => Ok(value),
        }
    }
}
