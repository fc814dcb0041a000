//! Text as Redis reads and writes it: numbers, glob patterns, quoting, ranges, near misses.
//!
//! Pure functions over bytes: no I/O, no clock, no allocation unless a signature says so.

pub mod edit;
pub mod float_syntax;
pub mod glob;
pub mod long_double;
pub mod number;
pub mod quote;
pub mod range;

mod bignum;

pub use edit::nearest;
pub use glob::{Glob, glob_match};
pub use long_double::{FloatError, LongDouble, add_decimal};
pub use number::{digits, format_f64, format_i64, format_u64, parse_f64, parse_i64, parse_u64};
pub use quote::{quote_into, shown};
pub use range::{clamp_range, clamp_span};
