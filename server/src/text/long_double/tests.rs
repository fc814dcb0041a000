//! INCRBYFLOAT's sums are Redis's, digit for digit.

use proptest::prelude::*;

use super::*;

fn sum(a: &str, b: &str) -> String {
    match add_decimal(a.as_bytes(), b.as_bytes()) {
        Ok(text) => String::from_utf8(text).unwrap(),
        Err(error) => error.to_string(),
    }
}

/// The expected texts are redis-server 7.0.15's replies on x86-64.
#[test]
fn sums_are_those_of_redis() {
    for (a, b, expected) in [
        ("10.5", "0.1", "10.6"),
        ("5.0e3", "2.0e2", "5200"),
        ("0.1", "0.2", "0.3"),
        ("3", "1e-17", "3.00000000000000001"),
        ("3", "1e-18", "3"),
        ("1.5", "-1.5", "0"),
        ("-0", "-0.0", "0"),
        ("0", "-1e-18", "0"),
        ("0x1p-18", "0", "0.00000381469726562"),
        ("0x3p-18", "0", "0.00001144409179688"),
        ("0", "0x10", "16"),
        ("18446744073709551615", "1", "18446744073709551616"),
        ("0", "1e30", "1000000000000000000024696061952"),
        ("0", "1e-4940", "0"),
        ("0", "1e-5000", "ERR value is not a valid float"),
        ("0", "1e5000", "ERR value is not a valid float"),
        ("0", " 1", "ERR value is not a valid float"),
        ("", "1", "ERR value is not a valid float"),
        ("nan", "1", "ERR value is not a valid float"),
        ("inf", "-inf", "ERR increment would produce NaN or Infinity"),
        ("1", "inf", "ERR increment would produce NaN or Infinity"),
        ("1e4932", "1e4932", "ERR increment would produce NaN or Infinity"),
    ] {
        assert_eq!(sum(a, b), expected, "{a} + {b}");
    }
}

#[test]
fn the_largest_and_longest_operands_are_exact() {
    let largest = sum("0", "1.189731495357231765e4932");
    assert_eq!(largest.len(), 4933);
    assert!(largest.starts_with("118973149535723176"));
    let long = format!("0.{}", "3".repeat(MAX_TEXT - 2));
    assert_eq!(sum(&long, "0"), "0.33333333333333333");
    assert_eq!(sum(&format!("{long}3"), "0"), "ERR value is not a valid float");
    let scaled = format!("{}e-5000", "1".repeat(5000));
    assert_eq!(sum(&scaled, "0"), "0.11111111111111111");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Halves, quarters and so on are exact in binary, so their sum must be too.
    #[test]
    fn exact_sums_are_exact(a in -1_000_000_000_i64..1_000_000_000, b in -1_000_000_000_i64..1_000_000_000) {
        let text = |n: i64| (n as f64 / 1024.0).to_string();
        prop_assert_eq!(sum(&text(a), &text(b)), text(a + b));
    }

    /// Both ways of reading a number agree where both apply.
    #[test]
    fn short_and_long_scaling_agree(value in 1_u64..10_000_000_000_000_000_000, power in -19_i32..=19) {
        let (short, exponent, more) = scale_short(value, power);
        let short = Format::EXTENDED.round(short, exponent, more);
        let (long, exponent, more) = scale_long(value.to_string().as_bytes(), power);
        prop_assert_eq!(short, Format::EXTENDED.round(long, exponent, more));
    }

    #[test]
    fn sums_do_not_depend_on_order(a in "-?[0-9]{1,25}(\\.[0-9]{1,25})?(e-?[0-9]{1,3})?", b in "-?[0-9]{1,25}(\\.[0-9]{1,25})?") {
        prop_assert_eq!(sum(&a, &b), sum(&b, &a));
    }
}
