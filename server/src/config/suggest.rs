//! Finds the known name that a mistyped one most likely meant.

/// Longer names are no typing mistakes, and comparing them would cost a peer's choice of time.
const MAX_LEN: usize = 64;

/// The name among `known` nearest to `name`, if one is near enough to be what was meant.
///
/// Near means few insertions, deletions, replacements and swaps of neighbours (at most a third of
/// the name's length), or else that the known name starts with `name`.
pub(super) fn nearest(name: &str, known: &(impl Iterator<Item = &'static str> + Clone)) -> Option<&'static str> {
    if name.len() < 2 || name.len() > MAX_LEN {
        return None;
    }
    let name = name.to_ascii_lowercase().replace('_', "-");
    let limit = (name.len() / 3).max(1);
    known
        .clone()
        .map(|candidate| (distance(name.as_bytes(), candidate.as_bytes()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
        .or_else(|| {
            known
                .clone()
                .find(|candidate| name.len() >= 3 && candidate.starts_with(&name))
        })
}

/// Edit distance where a swap of two neighbours counts as one edit (optimal string alignment).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let differs = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + differs);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = above;
        above = row;
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 5] = ["port", "maxmemory", "maxmemory-policy", "tcp-keepalive", "timeout"];

    fn nearest_known(name: &str) -> Option<&'static str> {
        nearest(name, &KNOWN.into_iter())
    }

    #[test]
    fn a_typing_mistake_finds_the_name_that_was_meant() {
        assert_eq!(nearest_known("maxmemroy"), Some("maxmemory"));
        assert_eq!(nearest_known("MAXMEMORY_POLICY"), Some("maxmemory-policy"));
        assert_eq!(nearest_known("prot"), Some("port"));
        assert_eq!(nearest_known("tcp-keep"), Some("tcp-keepalive"));
    }

    #[test]
    fn a_name_that_is_like_no_other_finds_none() {
        for name in ["", "x", "zzzzzz", "hash-slots-ratio", &"maxmemory".repeat(100)] {
            assert_eq!(nearest_known(name), None, "{name}");
        }
    }

    #[test]
    fn a_swap_of_neighbours_is_one_edit() {
        assert_eq!(distance(b"ab", b"ba"), 1);
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(distance(b"kitten", b"sitting"), 3);
    }
}
