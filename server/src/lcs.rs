//! The longest common subsequence of two strings, as LCS replies it.
//!
//! The lengths of the longest common subsequences of all pairs of prefixes form a table in
//! which neighbours differ by at most one, so a row fits in one bit per column: bit j of
//! row i says whether length(i, j) exceeds length(i, j - 1). A row follows from the one
//! above by a few operations on 64 columns at once (Crochemore, Iliopoulos, Pinzon and
//! Reid, "A fast and practical bit-vector algorithm for the longest common subsequence
//! problem", 2001). The same bits are all that the walk back needs: at a mismatch Redis
//! goes up if length(i - 1, j) > length(i, j - 1), which is so exactly if bit j is set.
//!
//! # Bounds
//! Redis refuses tables of more than `max_bytes` at 4 bytes per cell; so do we, though ours
//! takes a thirty-second of it. With the default of 512 MiB: at most 134 million cells, 16
//! MiB of rows plus a byte per byte of the first string, 16 MiB of masks, and 64 cells per
//! step: milliseconds for strings of like length, about 0.6 s at worst (one string of at
//! most 64 bytes, the other of megabytes, where a row is less than one step's worth).

use std::ops::Range;

/// What to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Only the length; needs memory for one row.
    Length,
    /// The subsequence itself.
    Text,
    /// Where the matching stretches are, leaving out those shorter than this.
    Matches {
        /// Shortest stretch to report, in bytes; 0 and 1 report all.
        min_len: usize,
    },
}

/// A stretch that both strings have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Where it is in the first string.
    pub a: Range<usize>,
    /// Where it is in the second string; as long as `a`.
    pub b: Range<usize>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lcs {
    /// Length of the longest common subsequence, in bytes.
    pub len: usize,
    /// The subsequence, if [`Want::Text`] was asked for.
    pub text: Vec<u8>,
    /// The stretches, from the last to the first, if [`Want::Matches`] was asked for.
    pub matches: Vec<Match>,
}

/// The strings are too long. The text is what the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")]
pub struct TooLong;

/// Computes the longest common subsequence of `a` and `b`.
///
/// Of several equally long ones Redis's is returned. `max_bytes` is proto-max-bulk-len.
///
/// # Errors
/// [`TooLong`] if `(a.len() + 1) * (b.len() + 1) * 4` exceeds `max_bytes`.
pub fn lcs(a: &[u8], b: &[u8], want: Want, max_bytes: u64) -> Result<Lcs, TooLong> {
    let cells = (a.len() as u128 + 1) * (b.len() as u128 + 1);
    if cells * 4 > u128::from(max_bytes) {
        return Err(TooLong);
    }
    if a.is_empty() || b.is_empty() {
        return Ok(Lcs::default());
    }
    let row_bytes = b.len().div_ceil(8);
    let kept_rows = if want == Want::Length { 0 } else { a.len() };
    let mut rows = vec![0; row_bytes * kept_rows];
    let mut unwritten = rows.chunks_exact_mut(row_bytes);
    let masks = Masks::new(a, b);
    // Inverted: a set bit means that the length does not grow in this column.
    let mut level = vec![u64::MAX; masks.words];
    for &byte in a {
        next_row(&mut level, masks.of(byte));
        if let Some(row) = unwritten.next() {
            for (bytes, word) in row.chunks_mut(8).zip(&level) {
                bytes.copy_from_slice(&word.to_le_bytes()[..bytes.len()]);
            }
        }
    }
    let grown = |j: usize| level[j / 64] >> (j % 64) & 1 == 0;
    let mut result = Lcs {
        len: (0..b.len()).filter(|&j| grown(j)).count(),
        ..Lcs::default()
    };
    if want != Want::Length {
        walk_back(a, b, &rows, want, &mut result);
    }
    Ok(result)
}

/// For each byte value, the columns in which `b` has it.
struct Masks {
    words: usize,
    /// Where a value's columns begin in `columns`; 0 is a mask without any.
    starts: [usize; 256],
    columns: Vec<u64>,
}

impl Masks {
    /// Masks only for values that occur in both, so that a short `a` needs little memory.
    fn new(a: &[u8], b: &[u8]) -> Self {
        let words = b.len().div_ceil(64);
        let mut in_a = [false; 256];
        for &byte in a {
            in_a[usize::from(byte)] = true;
        }
        let mut starts = [0; 256];
        let mut columns = vec![0; words];
        for (j, &byte) in b.iter().enumerate() {
            if !in_a[usize::from(byte)] {
                continue;
            }
            let start = &mut starts[usize::from(byte)];
            if *start == 0 {
                *start = columns.len();
                columns.resize(*start + words, 0);
            }
            columns[*start + j / 64] |= 1 << (j % 64);
        }
        Self { words, starts, columns }
    }

    fn of(&self, byte: u8) -> &[u64] {
        let start = self.starts[usize::from(byte)];
        &self.columns[start..start + self.words]
    }
}

/// Turns one row's bits into the next row's, given where the row's byte occurs.
#[inline]
fn next_row(level: &mut [u64], mask: &[u64]) {
    let mut carry = false;
    for (word, &hits) in level.iter_mut().zip(mask) {
        let candidates = *word & hits;
        let (sum, over) = word.overflowing_add(candidates);
        let (sum, over_too) = sum.overflowing_add(u64::from(carry));
        carry = over || over_too;
        *word = sum | (*word & !hits);
    }
}

/// Follows the table from its last cell to the first, taking every match on the way.
fn walk_back(a: &[u8], b: &[u8], rows: &[u8], want: Want, result: &mut Lcs) {
    let row_bytes = b.len().div_ceil(8);
    let mut open: Option<Match> = None;
    let (mut i, mut j) = (a.len(), b.len());
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            i -= 1;
            j -= 1;
            match (want, &mut open) {
                (Want::Text, _) => result.text.push(a[i]),
                (_, Some(stretch)) => {
                    stretch.a.start = i;
                    stretch.b.start = j;
                }
                (_, None) => {
                    open = Some(Match {
                        a: i..i + 1,
                        b: j..j + 1,
                    });
                }
            }
            continue;
        }
        close(&mut open, want, result);
        let column = j - 1;
        let stays = rows[(i - 1) * row_bytes + column / 8] >> (column % 8) & 1 == 1;
        if stays {
            j -= 1;
        } else {
            i -= 1;
        }
    }
    close(&mut open, want, result);
    result.text.reverse();
}

/// Reports the stretch that has just ended, if it is long enough.
fn close(open: &mut Option<Match>, want: Want, result: &mut Lcs) {
    let Want::Matches { min_len } = want else {
        return;
    };
    if let Some(stretch) = open.take().filter(|stretch| stretch.a.len() >= min_len) {
        result.matches.push(stretch);
    }
}

#[cfg(test)]
mod tests;
