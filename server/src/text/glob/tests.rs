//! Patterns mean what they mean in Redis, and none of them takes long.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// Checks `pattern` against texts that it matches and texts that it does not.
fn check(pattern: &str, hits: &[&str], misses: &[&str]) {
    for text in hits {
        assert!(
            glob_match(pattern.as_bytes(), text.as_bytes(), false),
            "{pattern} {text}"
        );
    }
    for text in misses {
        assert!(
            !glob_match(pattern.as_bytes(), text.as_bytes(), false),
            "{pattern} {text}"
        );
    }
}

#[test]
fn stars_and_question_marks() {
    check("", &[""], &["a"]);
    check("*", &["", "a", "abc"], &[]);
    check("**", &["a"], &[""]);
    check("a*", &["a", "ab"], &["", "ba"]);
    check("*a", &["a", "ba", "aa"], &["ab"]);
    check("a*b*c", &["abc", "aXbYc", "abbcc"], &["ab", "ac", "abcd"]);
    check("a*a", &["aa", "aba"], &["a"]);
    check("h?llo", &["hello", "hallo"], &["hllo", "heello"]);
    check("*?", &["a", "ab"], &[""]);
    check("*ab?d*", &["abcabxd", "ab_d"], &["abd", "abxx"]);
}

#[test]
fn classes_with_all_their_quirks() {
    check("[abc]x", &["ax", "cx"], &["dx", "x"]);
    check("[^a-c]", &["d", "]"], &["a", "b", "c", ""]);
    check("[z-a]", &["m"], &["M"]);
    check("[a-]", &["]", "^", "a"], &["-", "b"]);
    check("[a", &["a"], &["b", ""]);
    check("[", &[], &["[", "a"]);
    check("[^", &["a", "["], &[""]);
    check("[]a]", &[], &["]", "a", "]a]"]);
    check("[\\]]", &["]"], &["\\"]);
    check("[a\\-z]", &["a", "-", "z"], &["b"]);
    check("[\\", &["\\"], &["a"]);
}

#[test]
fn escapes() {
    check("\\*", &["*"], &["a", "\\*"]);
    check("a\\", &["a\\"], &["a"]);
    check("\\a\\b", &["ab"], &["\\a\\b"]);
    check("*\\*", &["*", "a*"], &["a"]);
}

#[test]
fn ranges_compare_signed_bytes() {
    assert!(glob_match(b"[\x80-\x01]", b"\xff", false));
    assert!(glob_match(b"[\x80-\x01]", b"\x00", false));
    assert!(!glob_match(b"[\x80-\x01]", b"\x02", false));
    assert!(glob_match(b"[\x01-\xff]", b"\x00", false));
    assert!(!glob_match(b"[\x01-\xff]", b"a", false));
}

#[test]
fn case_is_ignored_on_request_except_in_escaped_members() {
    let nocase = |pattern: &str, text: &str| glob_match(pattern.as_bytes(), text.as_bytes(), true);
    assert!(nocase("MaxMem*", "maxmemory"));
    assert!(nocase("*CLIENTS", "MaxClients"));
    assert!(nocase("[A-Z]", "q") && nocase("[a-z]", "Q"));
    assert!(nocase("[^a]", "b") && !nocase("[^a]", "A"));
    assert!(nocase("[\\A]", "A") && !nocase("[\\A]", "a"));
    assert!(!nocase("[Z-a]", "z"));
    assert!(nocase("@", "@") && !nocase("@", "`"));
}

/// Each of these is exponential or quadratic in a naive matcher.
#[test]
fn hostile_patterns_are_quick() {
    let start = Instant::now();
    let text = "a".repeat(10_000);
    assert!(!glob_match(
        format!("{}b", "*a".repeat(50)).as_bytes(),
        text.as_bytes(),
        false
    ));
    assert!(!glob_match(
        format!("{}b", "a*".repeat(5_000)).as_bytes(),
        text.as_bytes(),
        false
    ));
    let class = format!("[{}b]", "x-z".repeat(100_000));
    assert!(!glob_match(format!("*{class}*c").as_bytes(), text.as_bytes(), false));
    assert!(!glob_match(
        format!("*{}b*", "a".repeat(5_000)).as_bytes(),
        text.as_bytes(),
        false
    ));
    let glob = Glob::new(format!("*{}", "[^q]*".repeat(200_000)).as_bytes(), false);
    assert!((0..100_000).all(|_| !glob.matches(b"user:1000")));
    assert!(start.elapsed() < Duration::from_secs(5), "took {:?}", start.elapsed());
}

#[test]
fn a_search_that_takes_too_many_steps_finds_nothing() {
    let glob = Glob::new(b"*[b]*", false);
    let Part::Tokens(_) = glob.middle[0] else {
        panic!("a class is not plain bytes");
    };
    assert_eq!(glob.find(&glob.middle[0], b"aaab", &mut 4), Some(3));
    assert_eq!(glob.find(&glob.middle[0], b"aaab", &mut 2), None);
}

/// The definition of the language without quirks, by recursion.
fn reference(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|i| reference(rest, &text[i..])),
        ([b'?', rest @ ..], [_, tail @ ..]) => reference(rest, tail),
        ([a, rest @ ..], [b, tail @ ..]) => a == b && reference(rest, tail),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn stars_agree_with_their_definition(pattern in "[ab*?]{0,8}", text in "[ab]{1,10}") {
        let expected = reference(pattern.as_bytes(), text.as_bytes());
        prop_assert_eq!(glob_match(pattern.as_bytes(), text.as_bytes(), false), expected);
        prop_assert_eq!(glob_match(pattern.as_bytes(), text.to_uppercase().as_bytes(), true), expected);
    }

    #[test]
    fn any_bytes_are_a_pattern(pattern in prop::collection::vec(any::<u8>(), 0..40), text in prop::collection::vec(any::<u8>(), 0..40), nocase: bool) {
        let _ = glob_match(&pattern, &text, nocase);
    }

    #[test]
    fn escaping_every_byte_matches_the_text_itself(text in prop::collection::vec(any::<u8>(), 0..20)) {
        let escaped: Vec<u8> = text.iter().flat_map(|&b| [b'\\', b]).collect();
        prop_assert!(glob_match(&escaped, &text, false));
    }
}
