//! What a reply can be read as.

use super::Value;
use crate::error::{DecodeError, ServerError};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, Hash};

/// What a reply can be read as: text, bytes, numbers, and lists, sets, maps and tuples of them.
///
/// Numbers are read from strings, too, as servers keep numbers as strings. `Option` is `None` for nil;
/// `Result<T, ServerError>` keeps an error that came in place of a `T`.
pub trait FromValue: Sized {
    /// Reads the reply.
    ///
    /// # Errors
    /// [`DecodeError`] with what was expected and what came.
    fn from_value(value: Value) -> Result<Self, DecodeError>;

    /// Reads a list of these; bytes come as one string.
    #[doc(hidden)]
    fn from_list(value: Value) -> Result<Vec<Self>, DecodeError> {
        elements(value, "a list")?.into_iter().map(Self::from_value).collect()
    }
}

/// The elements of an array, a set or a push; a map's as a flat list.
fn elements(value: Value, expected: &'static str) -> Result<Vec<Value>, DecodeError> {
    match value {
        Value::Array(items) | Value::Set(items) | Value::Push(items) => Ok(items),
        Value::Map(pairs) => Ok(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect()),
        // RESP2 has a nil of its own for arrays.
        Value::Nil => Ok(Vec::new()),
        other => Err(DecodeError::new(expected, &other)),
    }
}

/// The pairs of a map, or of a list of pairs, or of a flat list.
fn pairs(value: Value) -> Result<Vec<(Value, Value)>, DecodeError> {
    let items = match value {
        Value::Map(pairs) => return Ok(pairs),
        other => elements(other, "a map")?,
    };
    let is_pair = |item: &Value| matches!(item, Value::Array(pair) if pair.len() == 2);
    if !items.is_empty() && items.iter().all(is_pair) {
        return items.into_iter().map(<(Value, Value)>::from_value).collect();
    }
    if items.len() % 2 != 0 {
        return Err(DecodeError::new("a list of pairs", &Value::Array(items)));
    }
    let mut items = items.into_iter();
    let mut pairs = Vec::with_capacity(items.len() / 2);
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        pairs.push((key, value));
    }
    Ok(pairs)
}

impl FromValue for Value {
    fn from_value(value: Value) -> Result<Value, DecodeError> {
        Ok(value)
    }
}

impl FromValue for () {
    /// Any reply but an error, or a list with one.
    fn from_value(value: Value) -> Result<(), DecodeError> {
        let is_error = |value: &Value| matches!(value, Value::Error(_));
        match &value {
            Value::Error(_) => Err(DecodeError::new("a reply", &value)),
            Value::Array(items) => match items.iter().find(|item| is_error(item)) {
                Some(error) => Err(DecodeError::new("a reply", error)),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

impl FromValue for Bytes {
    fn from_value(value: Value) -> Result<Bytes, DecodeError> {
        match value {
            Value::Bulk(bytes) | Value::Status(bytes) | Value::BigNumber(bytes) => Ok(bytes),
            Value::Int(number) => Ok(Bytes::from(number.to_string())),
            Value::Double(number) => Ok(Bytes::from(number.to_string())),
            other => Err(DecodeError::new("a string", &other)),
        }
    }
}

impl FromValue for String {
    fn from_value(value: Value) -> Result<String, DecodeError> {
        let bytes = Bytes::from_value(value)?;
        String::from_utf8(bytes.into())
            .map_err(|error| DecodeError::new("text in UTF-8", &Value::Bulk(Bytes::from(error.into_bytes()))))
    }
}

impl FromValue for Box<str> {
    fn from_value(value: Value) -> Result<Box<str>, DecodeError> {
        String::from_value(value).map(String::into_boxed_str)
    }
}

macro_rules! int_value {
    ($($type:ty),*) => {$(
        impl FromValue for $type {
            fn from_value(value: Value) -> Result<$type, DecodeError> {
                let number: Option<$type> = match &value {
                    Value::Int(number) => (*number).try_into().ok(),
                    Value::Bool(is) => Some(<$type>::from(*is)),
                    other => other.as_bytes().and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()),
                };
                number.ok_or_else(|| DecodeError::new(concat!("an integer (", stringify!($type), ")"), &value))
            }
        }
    )*};
}

int_value!(i8, i16, u16, i32, u32, i64, u64, isize, usize, i128, u128);

impl FromValue for u8 {
    fn from_value(value: Value) -> Result<u8, DecodeError> {
        let number = u16::from_value(value)?;
        u8::try_from(number).map_err(|_| DecodeError::new("an integer (u8)", &Value::Int(number.into())))
    }

    /// Bytes of a string, so that values can be read as `Vec<u8>`; a list is one of numbers.
    fn from_list(value: Value) -> Result<Vec<u8>, DecodeError> {
        match value {
            Value::Array(_) | Value::Set(_) | Value::Push(_) => {
                elements(value, "a list")?.into_iter().map(u8::from_value).collect()
            }
            other => Bytes::from_value(other).map(Vec::from),
        }
    }
}

macro_rules! float_value {
    ($($type:ty),*) => {$(
        impl FromValue for $type {
            #[allow(clippy::cast_possible_truncation, reason = "f32 asks for less precision")]
            fn from_value(value: Value) -> Result<$type, DecodeError> {
                let number = match &value {
                    Value::Double(number) => Some(*number as $type),
                    Value::Int(number) => Some(*number as $type),
                    other => other.as_bytes().and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()),
                };
                number.ok_or_else(|| DecodeError::new("a number", &value))
            }
        }
    )*};
}

float_value!(f32, f64);

impl FromValue for bool {
    fn from_value(value: Value) -> Result<bool, DecodeError> {
        match &value {
            Value::Bool(is) => Ok(*is),
            Value::Int(number @ 0..=1) => Ok(*number == 1),
            Value::Nil => Ok(false),
            Value::Status(text) | Value::Bulk(text) => match &text[..] {
                b"1" | b"OK" | b"true" => Ok(true),
                b"0" | b"false" => Ok(false),
                _ => Err(DecodeError::new("true or false", &value)),
            },
            other => Err(DecodeError::new("true or false", other)),
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Result<Option<T>, DecodeError> {
        match value {
            Value::Nil => Ok(None),
            other => T::from_value(other).map(Some),
        }
    }
}

impl<T: FromValue> FromValue for Result<T, ServerError> {
    fn from_value(value: Value) -> Result<Result<T, ServerError>, DecodeError> {
        match value {
            Value::Error(error) => Ok(Err(error)),
            other => T::from_value(other).map(Ok),
        }
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: Value) -> Result<Vec<T>, DecodeError> {
        T::from_list(value)
    }
}

impl<T: FromValue, const N: usize> FromValue for [T; N] {
    fn from_value(value: Value) -> Result<[T; N], DecodeError> {
        let list = T::from_list(value)?;
        let count = list.len() as i64;
        list.try_into()
            .map_err(|_| DecodeError::new("a list of another length", &Value::Int(count)))
    }
}

impl<T: FromValue + Eq + Hash, S: BuildHasher + Default> FromValue for HashSet<T, S> {
    fn from_value(value: Value) -> Result<HashSet<T, S>, DecodeError> {
        elements(value, "a set")?.into_iter().map(T::from_value).collect()
    }
}

impl<T: FromValue + Ord> FromValue for BTreeSet<T> {
    fn from_value(value: Value) -> Result<BTreeSet<T>, DecodeError> {
        elements(value, "a set")?.into_iter().map(T::from_value).collect()
    }
}

impl<K: FromValue + Eq + Hash, V: FromValue, S: BuildHasher + Default> FromValue for HashMap<K, V, S> {
    fn from_value(value: Value) -> Result<HashMap<K, V, S>, DecodeError> {
        let pair = |(key, value)| Ok((K::from_value(key)?, V::from_value(value)?));
        pairs(value)?.into_iter().map(pair).collect()
    }
}

impl<K: FromValue + Ord, V: FromValue> FromValue for BTreeMap<K, V> {
    fn from_value(value: Value) -> Result<BTreeMap<K, V>, DecodeError> {
        let pair = |(key, value)| Ok((K::from_value(key)?, V::from_value(value)?));
        pairs(value)?.into_iter().map(pair).collect()
    }
}

macro_rules! tuple_value {
    ($count:literal: $($name:ident),+) => {
        impl<$($name: FromValue),+> FromValue for ($($name,)+) {
            fn from_value(value: Value) -> Result<Self, DecodeError> {
                let items = elements(value, concat!("a list of ", $count))?;
                if items.len() != $count {
                    return Err(DecodeError::new(concat!("a list of ", $count), &Value::Array(items)));
                }
                let mut items = items.into_iter();
                Ok(($($name::from_value(items.next().unwrap_or(Value::Nil))?,)+))
            }

            /// Pairs come as a map with RESP3 and as a flat list with RESP2.
            fn from_list(value: Value) -> Result<Vec<Self>, DecodeError> {
                if $count == 2 && !matches!(&value, Value::Nil) {
                    let pairs = pairs(value)?.into_iter();
                    return pairs.map(|(key, value)| Self::from_value(Value::Array(vec![key, value]))).collect();
                }
                elements(value, "a list")?.into_iter().map(Self::from_value).collect()
            }
        }
    };
}

tuple_value!(1: A);
tuple_value!(2: A, B);
tuple_value!(3: A, B, C);
tuple_value!(4: A, B, C, D);
tuple_value!(5: A, B, C, D, E);
tuple_value!(6: A, B, C, D, E, F);

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &'static str) -> Value {
        Value::Bulk(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn strings_are_read_as_what_is_asked_for() {
        assert_eq!(String::from_value(bulk("7")).as_deref(), Ok("7"));
        assert_eq!(u8::from_value(bulk("7")), Ok(7));
        assert_eq!(Vec::<u8>::from_value(bulk("7")), Ok(vec![b'7']));
        assert_eq!(Vec::<u8>::from_value(Value::Array(vec![bulk("7")])), Ok(vec![7]));
        assert_eq!(f64::from_value(bulk("-inf")), Ok(f64::NEG_INFINITY));
        assert_eq!(Option::<String>::from_value(Value::Nil), Ok(None));
        assert!(String::from_value(Value::Nil).is_err());
        assert!(u8::from_value(bulk("256")).is_err());
        assert!(i64::from_value(bulk("9223372036854775808")).is_err());
    }

    #[test]
    fn maps_are_read_from_maps_pairs_and_flat_lists() {
        let wanted = BTreeMap::from([("a".to_string(), 1), ("b".to_string(), 2)]);
        let map = Value::Map(vec![(bulk("a"), bulk("1")), (bulk("b"), bulk("2"))]);
        let flat = Value::Array(vec![bulk("a"), bulk("1"), bulk("b"), bulk("2")]);
        let nested = Value::Array(vec![
            Value::Array(vec![bulk("a"), bulk("1")]),
            Value::Array(vec![bulk("b"), bulk("2")]),
        ]);
        for value in [map, flat, nested] {
            assert_eq!(BTreeMap::from_value(value.clone()).as_ref(), Ok(&wanted));
            let list = Vec::<(String, i32)>::from_value(value).expect("pairs");
            assert_eq!(list, [("a".to_string(), 1), ("b".to_string(), 2)]);
        }
        assert!(BTreeMap::<String, i32>::from_value(Value::Array(vec![bulk("a")])).is_err());
    }

    #[test]
    fn an_error_says_what_came_and_keeps_it_short() {
        let error = i64::from_value(Value::Bulk(Bytes::from("ü".repeat(500)))).expect_err("no number");
        let text = error.to_string();
        assert!(
            text.starts_with("expected an integer (i64), the server answered the string 'ü"),
            "{text}"
        );
        assert!(text.len() < 200);
        let inner = Value::Array(vec![bulk("a"), Value::Error(ServerError::new("WRONGTYPE no"))]);
        assert!(Vec::<String>::from_value(inner.clone()).is_err());
        let kept = Vec::<Result<String, ServerError>>::from_value(inner).expect("errors are kept");
        assert_eq!(kept[1].as_ref().map_err(ServerError::code), Err("WRONGTYPE"));
    }
}
