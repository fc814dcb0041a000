//! The subsequence is longest, and the one that Redis would choose.

use proptest::prelude::*;

use super::*;

const LIMIT: u64 = 512 << 20;

/// The textbook table and Redis's walk through it.
fn reference(a: &[u8], b: &[u8]) -> Lcs {
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            table[i][j] = if a[i - 1] == b[j - 1] {
                table[i - 1][j - 1] + 1
            } else {
                usize::max(table[i - 1][j], table[i][j - 1])
            };
        }
    }
    let mut expected = Lcs {
        len: table[a.len()][b.len()],
        ..Lcs::default()
    };
    let (mut i, mut j) = (a.len(), b.len());
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            i -= 1;
            j -= 1;
            expected.text.insert(0, a[i]);
            match expected.matches.last_mut() {
                Some(last) if last.a.start == i + 1 && last.b.start == j + 1 => {
                    last.a.start = i;
                    last.b.start = j;
                }
                _ => expected.matches.push(Match {
                    a: i..i + 1,
                    b: j..j + 1,
                }),
            }
        } else if table[i - 1][j] > table[i][j - 1] {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    expected
}

#[test]
fn the_example_of_the_redis_manual() {
    let (a, b) = (b"ohmytext", b"mynewtext");
    assert_eq!(lcs(a, b, Want::Length, LIMIT).unwrap().len, 6);
    assert_eq!(lcs(a, b, Want::Text, LIMIT).unwrap().text, b"mytext");
    let all = lcs(a, b, Want::Matches { min_len: 0 }, LIMIT).unwrap();
    assert_eq!(all.matches, [Match { a: 4..8, b: 5..9 }, Match { a: 2..4, b: 0..2 }]);
    let long = lcs(a, b, Want::Matches { min_len: 4 }, LIMIT).unwrap();
    assert_eq!(long.matches, [Match { a: 4..8, b: 5..9 }]);
    assert_eq!(long.len, 6);
}

#[test]
fn empty_strings_have_nothing_in_common() {
    for (a, b) in [(&b""[..], &b""[..]), (b"", b"x"), (b"x", b""), (b"x", b"y")] {
        for want in [Want::Length, Want::Text, Want::Matches { min_len: 0 }] {
            assert_eq!(lcs(a, b, want, LIMIT), Ok(Lcs::default()));
        }
    }
}

#[test]
fn tables_over_the_limit_are_refused() {
    let text = vec![b'x'; 11_585];
    assert_eq!(lcs(&text, &text, Want::Length, LIMIT), Err(TooLong));
    assert_eq!(lcs(b"ab", b"ab", Want::Text, 35), Err(TooLong));
    assert_eq!(lcs(b"ab", b"ab", Want::Text, 36).unwrap().len, 2);
}

#[test]
fn the_largest_square_is_quick_and_right() {
    let start = std::time::Instant::now();
    let a: Vec<u8> = (0..11_584_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let found = lcs(&a, &a, Want::Text, LIMIT).unwrap();
    assert_eq!(found.text, a);
    assert!(start.elapsed().as_secs() < 5, "took {:?}", start.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn results_are_those_of_the_table(a in "[abc]{0,150}", b in "[abcd]{0,150}") {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        let expected = reference(a, b);
        prop_assert_eq!(lcs(a, b, Want::Length, LIMIT).unwrap().len, expected.len);
        prop_assert_eq!(lcs(a, b, Want::Text, LIMIT).unwrap().text, expected.text);
        let found = lcs(a, b, Want::Matches { min_len: 2 }, LIMIT).unwrap().matches;
        let long: Vec<Match> = expected.matches.into_iter().filter(|m| m.a.len() >= 2).collect();
        prop_assert_eq!(found, long);
    }
}
