//! BITOP: bitwise operations between strings of any lengths.

/// A bitwise operation. `X` is the first source, `Y` stands for all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitOp {
    /// Set in all sources.
    And,
    /// Set in any source.
    Or,
    /// Set in an odd number of sources.
    Xor,
    /// Not set in the only source.
    Not,
    /// Set in X and in no Y.
    Diff,
    /// Set in some Y and not in X.
    Diff1,
    /// Set in X and in some Y.
    AndOr,
    /// Set in exactly one source.
    One,
}

impl BitOp {
    /// Reads an operation's name, in any case.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        const ALL: [BitOp; 8] = [
            BitOp::And,
            BitOp::Or,
            BitOp::Xor,
            BitOp::Not,
            BitOp::Diff,
            BitOp::Diff1,
            BitOp::AndOr,
            BitOp::One,
        ];
        let named = |op: &BitOp| text.eq_ignore_ascii_case(op.name().as_bytes());
        ALL.into_iter().find(named)
    }

    /// The name in upper case, as error texts spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::And => "AND",
            Self::Or => "OR",
            Self::Xor => "XOR",
            Self::Not => "NOT",
            Self::Diff => "DIFF",
            Self::Diff1 => "DIFF1",
            Self::AndOr => "ANDOR",
            Self::One => "ONE",
        }
    }

    /// The error for this number of sources, if the operation does not allow it.
    #[must_use]
    pub fn source_error(self, sources: usize) -> Option<&'static str> {
        let wrong = match self {
            Self::Not => sources != 1,
            Self::Diff | Self::Diff1 | Self::AndOr => sources < 2,
            Self::And | Self::Or | Self::Xor | Self::One => false,
        };
        wrong.then_some(match self {
            Self::Diff => "ERR BITOP DIFF must be called with at least two source keys.",
            Self::Diff1 => "ERR BITOP DIFF1 must be called with at least two source keys.",
            Self::AndOr => "ERR BITOP ANDOR must be called with at least two source keys.",
            Self::Not | Self::And | Self::Or | Self::Xor | Self::One => {
                "ERR BITOP NOT must be called with a single source key."
            }
        })
    }
}

/// How much is computed before going on to the next part: small enough to stay in the
/// first level cache while all sources pass over it.
const BLOCK: usize = 4096;

/// The result of `op` over `sources`, as long as the longest; shorter ones count as
/// followed by zeros, absent keys as empty. Empty if all are.
#[must_use]
pub fn bit_op(op: BitOp, sources: &[&[u8]]) -> Vec<u8> {
    let len = sources.iter().map(|s| s.len()).max().unwrap_or(0);
    let mut out = vec![0; len];
    let Some((first, others)) = sources.split_first() else {
        return out;
    };
    for (index, block) in out.chunks_mut(BLOCK).enumerate() {
        let from = index * BLOCK;
        let to = from + block.len();
        let x = overlap(first, from, to);
        let ys = others.iter().map(|source| overlap(source, from, to));
        combine(op, block, x, ys);
    }
    out
}

/// What `source` has between `from` and `to`.
fn overlap(source: &[u8], from: usize, to: usize) -> &[u8] {
    &source[from.min(source.len())..to.min(source.len())]
}

/// Computes one block, which is all zeros before.
fn combine<'a>(op: BitOp, block: &mut [u8], x: &'a [u8], ys: impl Iterator<Item = &'a [u8]>) {
    match op {
        BitOp::And => {
            apply(block, x, |_, b| b);
            ys.for_each(|y| apply(block, y, |a, b| a & b));
        }
        BitOp::Or => {
            apply(block, x, |_, b| b);
            ys.for_each(|y| apply(block, y, |a, b| a | b));
        }
        BitOp::Xor => {
            apply(block, x, |_, b| b);
            ys.for_each(|y| apply(block, y, |a, b| a ^ b));
        }
        BitOp::Not => apply(block, x, |_, b| !b),
        BitOp::Diff => {
            apply(block, x, |_, b| b);
            ys.for_each(|y| apply(block, y, |a, b| a & !b));
        }
        BitOp::Diff1 => {
            ys.for_each(|y| apply(block, y, |a, b| a | b));
            apply(block, x, |a, b| a & !b);
        }
        BitOp::AndOr => {
            ys.for_each(|y| apply(block, y, |a, b| a | b));
            apply(block, x, |a, b| a & b);
        }
        BitOp::One => {
            let mut twice = [0; BLOCK];
            let twice = &mut twice[..block.len()];
            for source in std::iter::once(x).chain(ys) {
                for ((once, twice), bit) in block.iter_mut().zip(twice.iter_mut()).zip(source) {
                    *twice |= *once & bit;
                    *once |= bit;
                }
            }
            apply(block, twice, |once, twice| once & !twice);
        }
    }
}

/// `block[i] = f(block[i], source[i])`, where a source that is too short ends in zeros.
/// A plain loop over bytes, which compilers turn into vector instructions.
#[inline]
fn apply(block: &mut [u8], source: &[u8], f: impl Fn(u8, u8) -> u8) {
    let (head, tail) = block.split_at_mut(source.len());
    for (a, b) in head.iter_mut().zip(source) {
        *a = f(*a, *b);
    }
    for a in tail {
        *a = f(*a, 0);
    }
}
