//! Numbers keep Redis's spelling in both directions.

use proptest::prelude::*;

use super::*;

fn float_text(value: f64) -> String {
    let mut buffer = [0; FLOAT_BYTES];
    String::from_utf8(format_f64(value, &mut buffer).to_vec()).unwrap()
}

#[test]
fn only_the_canonical_spelling_is_an_integer() {
    for (text, value) in [
        ("0", 0),
        ("7", 7),
        ("-1", -1),
        ("12345678", 12_345_678),
        ("123456789", 123_456_789),
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
    ] {
        assert_eq!(parse_i64(text.as_bytes()), Some(value), "{text}");
    }
    for text in [
        "",
        "-",
        "+1",
        " 1",
        "1 ",
        "01",
        "-0",
        "-01",
        "00",
        "1a",
        "1234567a",
        "1234567:",
        "0x1",
        "1.0",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "100000000000000000000",
    ] {
        assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
    }
    assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
    assert_eq!(parse_u64(b"18446744073709551616"), None);
    assert_eq!(parse_u64(b"-1"), None);
}

#[test]
fn integers_print_at_every_length() {
    let mut power = 1_i64;
    for exponent in 0..19 {
        for value in [power - 1, power, power + 1, -power, 1 - power] {
            let mut buffer = [0; INT_BYTES];
            assert_eq!(format_i64(value, &mut buffer), value.to_string().as_bytes());
            assert_eq!(digits(value), value.to_string().len());
        }
        power = if exponent < 18 { power * 10 } else { power };
    }
    for value in [i64::MIN, i64::MAX] {
        assert_eq!(format_i64(value, &mut [0; INT_BYTES]), value.to_string().as_bytes());
        assert_eq!(digits(value), value.to_string().len());
    }
    assert_eq!(format_u64(u64::MAX, &mut [0; INT_BYTES]), b"18446744073709551615");
}

#[test]
fn one_wrong_byte_anywhere_is_no_integer() {
    for len in 1..=19 {
        let text = &"1234567891234567891"[..len];
        assert_eq!(parse_u64(text.as_bytes()), text.parse().ok(), "{text}");
        for at in 0..len {
            for wrong in [b'/', b':', b' ', b'-', b'+', b'a', 0, b'0' | 0x80] {
                let mut text = text.as_bytes().to_vec();
                text[at] = wrong;
                assert_eq!(parse_u64(&text), None, "{text:?}");
            }
        }
    }
}

#[test]
fn floats_are_read_as_redis_reads_scores() {
    for (text, value) in [
        ("0", 0.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("+1e5", 1e5),
        ("1E+5", 1e5),
        ("00012", 12.0),
        ("inf", f64::INFINITY),
        ("+InFiNiTy", f64::INFINITY),
        ("-inf", f64::NEG_INFINITY),
        ("0x10", 16.0),
        ("0X1.8", 1.5),
        ("0x.8", 0.5),
        ("-0x1p3", -8.0),
        ("0x1p-1074", 5e-324),
        ("1e-320", 1e-320),
        ("0e999999999999999999999", 0.0),
        ("0x1.fffffffffffff8p0", 2.0),
        ("0x1.fffffffffffff7ffp0", 1.999_999_999_999_999_8),
        ("0x0.00000000000000000000000000000000000000000000001p200", 4096.0),
    ] {
        assert_eq!(parse_f64(text.as_bytes()), Some(value), "{text}");
    }
    for text in [
        "",
        " 1",
        "1 ",
        "\t1",
        ".",
        "-",
        "1e",
        "1e+",
        "e5",
        "nan",
        "-NaN",
        "nan(1)",
        "0x",
        "0x.",
        "0x1p",
        "0xp1",
        "1_0",
        "1,5",
        "infin",
        "1e400",
        "-1e400",
        "1e-400",
        "0x1p-1080",
        "0x1p1024",
        "1\0",
    ] {
        assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn floats_print_as_redis_replies_them() {
    for (value, text) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (3.0, "3"),
        (-1e15, "-1000000000000000"),
        (0.1, "0.1"),
        (0.3, "0.3"),
        (0.1 + 0.2, "0.30000000000000004"),
        (-2.5, "-2.5"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-7, "1.5e-7"),
        (0.001_234_567_89, "0.00123456789"),
        (123.456_789_012_345, "123.456789012345"),
        (12_345.678_901_234, "1.2345678901234e+4"),
        (12_345.678_9, "12345.6789"),
        (1e19, "1e+19"),
        (1e20, "1e+20"),
        (1.234_567_890_123_456_7e20, "123456789012345670000"),
        (1.234_567_890_123_456_6e25, "1.2345678901234566e+25"),
        (1e100, "1e+100"),
        (f64::MAX, "1.7976931348623157e+308"),
        (-5e-324, "-5e-324"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
    ] {
        assert_eq!(float_text(value), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_integer_survives(value: i64) {
        let mut buffer = [0; INT_BYTES];
        let text = format_i64(value, &mut buffer);
        let expected = value.to_string();
        prop_assert_eq!(text, expected.as_bytes());
        prop_assert_eq!(digits(value), text.len());
        prop_assert_eq!(parse_i64(text), Some(value));
    }

    #[test]
    fn what_parses_as_an_integer_prints_the_same(text in "-?[0-9]{0,21}|[0-9+ a:/-]{0,10}") {
        let canonical = text.parse::<i64>().ok().filter(|v| v.to_string() == text);
        prop_assert_eq!(parse_i64(text.as_bytes()), canonical);
    }

    #[test]
    fn every_double_survives(bits: u64) {
        let value = f64::from_bits(bits);
        prop_assume!(!value.is_nan());
        prop_assert_eq!(parse_f64(float_text(value).as_bytes()), Some(value));
    }

    #[test]
    fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = (parse_i64(&bytes), parse_f64(&bytes));
    }
}
