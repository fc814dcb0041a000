//! "Did you mean ...?": the candidate that a mistyped name is closest to.

/// Longest name that is compared, in bytes; it bounds the work a peer can cause.
const MAX_NAME: usize = 64;

/// The candidate with the fewest edits from `name`, if a third of its bytes or fewer (at
/// least one) would have to change. The first one wins a tie; letters match in any case.
///
/// At most 64 * 64 steps per candidate; names longer than 64 bytes have no neighbour.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.len() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let Some(edits) = distance(name.as_bytes(), candidate.as_bytes()) else {
            continue;
        };
        if edits <= limit && best.is_none_or(|(fewest, _)| edits < fewest) {
            best = Some((edits, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// How many insertions, deletions, replacements and swaps of neighbours turn `a` into `b`
/// (optimal string alignment); `None` if either is too long.
fn distance(a: &[u8], b: &[u8]) -> Option<usize> {
    if a.len() > MAX_NAME || b.len() > MAX_NAME {
        return None;
    }
    let mut before = [0; MAX_NAME + 1];
    let mut above: [usize; MAX_NAME + 1] = std::array::from_fn(|j| j);
    for i in 1..=a.len() {
        let mut row = [i; MAX_NAME + 1];
        for j in 1..=b.len() {
            let same = a[i - 1].eq_ignore_ascii_case(&b[j - 1]);
            let mut edits = (above[j - 1] + usize::from(!same))
                .min(above[j] + 1)
                .min(row[j - 1] + 1);
            let swapped =
                i > 1 && j > 1 && a[i - 1].eq_ignore_ascii_case(&b[j - 2]) && a[i - 2].eq_ignore_ascii_case(&b[j - 1]);
            if swapped {
                edits = edits.min(before[j - 2] + 1);
            }
            row[j] = edits;
        }
        before = above;
        above = row;
    }
    Some(above[b.len()])
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    const NAMES: [&str; 5] = ["maxmemory", "maxmemory-policy", "maxclients", "port", "bind"];

    #[test]
    fn distances_count_every_kind_of_edit() {
        assert_eq!(distance(b"", b""), Some(0));
        assert_eq!(distance(b"", b"abc"), Some(3));
        assert_eq!(distance(b"kitten", b"sitting"), Some(3));
        assert_eq!(distance(b"port", b"prot"), Some(1));
        assert_eq!(distance(b"PORT", b"port"), Some(0));
        assert_eq!(distance(&[b'a'; 65], b"a"), None);
    }

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        assert_eq!(nearest("maxmemry", NAMES), Some("maxmemory"));
        assert_eq!(nearest("MaxMemory-Polcy", NAMES), Some("maxmemory-policy"));
        assert_eq!(nearest("prot", NAMES), Some("port"));
        assert_eq!(nearest("zzz", NAMES), None);
        assert_eq!(nearest("", NAMES), None);
        assert_eq!(nearest(&"m".repeat(1000), NAMES), None);
    }
}
