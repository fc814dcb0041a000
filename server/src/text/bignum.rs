//! Unsigned integers of any length: just what converting extreme floats needs.

/// Little-endian 64-bit limbs, without leading zero limbs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Big(Vec<u64>);

impl Big {
    pub(super) fn from_u64(value: u64) -> Self {
        Self(if value == 0 { Vec::new() } else { vec![value] })
    }

    /// The number that decimal digits spell. Quadratic in their count.
    pub(super) fn from_digits(digits: &[u8]) -> Self {
        let mut big = Self(Vec::with_capacity(digits.len() / 19 + 1));
        for chunk in digits.chunks(19) {
            let part = chunk.iter().fold(0, |v, b| v * 10 + u64::from(b - b'0'));
            big.multiply_add(10_u64.pow(chunk.len() as u32), part);
        }
        big
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// Position after the highest set bit.
    pub(super) fn bit_length(&self) -> i32 {
        match self.0.last() {
            Some(top) => self.0.len() as i32 * 64 - top.leading_zeros() as i32,
            None => 0,
        }
    }

    /// `self = self * factor + addend`.
    pub(super) fn multiply_add(&mut self, factor: u64, addend: u64) {
        let mut carry = addend;
        for limb in &mut self.0 {
            let product = u128::from(*limb) * u128::from(factor) + u128::from(carry);
            *limb = product as u64;
            carry = (product >> 64) as u64;
        }
        if carry != 0 {
            self.0.push(carry);
        }
    }

    /// `self = self * 5^power`.
    pub(super) fn multiply_pow5(&mut self, power: u32) {
        // 5^27 is the largest power of five in 64 bits.
        for _ in 0..power / 27 {
            self.multiply_add(5_u64.pow(27), 0);
        }
        self.multiply_add(5_u64.pow(power % 27), 0);
    }

    /// `self = self * 2^bits`.
    pub(super) fn shift_left(&mut self, bits: u32) {
        let part = bits % 64;
        if part != 0 {
            let mut carry = 0;
            for limb in &mut self.0 {
                let next = *limb >> (64 - part);
                *limb = (*limb << part) | carry;
                carry = next;
            }
            if carry != 0 {
                self.0.push(carry);
            }
        }
        if !self.is_zero() {
            let limbs = (bits / 64) as usize;
            self.0.splice(0..0, std::iter::repeat_n(0, limbs));
        }
    }

    /// The highest 128 bits (or all, if fewer), the power of two of their lowest bit, and
    /// whether any bit below them is set.
    pub(super) fn top(&self) -> (u128, i32, bool) {
        let drop = (self.bit_length() - 128).max(0);
        let (limb, part) = (drop as usize / 64, drop as u32 % 64);
        let at = |i: usize| u128::from(self.0.get(i).copied().unwrap_or(0));
        let mut value = (at(limb) | (at(limb + 1) << 64)) >> part;
        if part != 0 {
            value |= at(limb + 2) << (128 - part);
        }
        let below = self.0[..limb.min(self.0.len())].iter().any(|&l| l != 0);
        let partial = at(limb) & ((1_u128 << part) - 1) != 0;
        (value, drop, below || partial)
    }

    /// The highest 100 bits of `self / divisor`, the power of two of their lowest bit, and
    /// whether anything is left. Neither number may be zero.
    pub(super) fn divide_top(mut self, mut divisor: Self) -> (u128, i32, bool) {
        const BITS: i32 = 100;
        let offset = self.bit_length() - divisor.bit_length();
        if offset >= 0 {
            divisor.shift_left(offset.unsigned_abs());
        } else {
            self.shift_left(offset.unsigned_abs());
        }
        let mut quotient = 0_u128;
        for _ in 0..BITS {
            quotient <<= 1;
            if self.at_least(&divisor) {
                self.subtract(&divisor);
                quotient |= 1;
            }
            self.shift_left(1);
        }
        (quotient, offset - (BITS - 1), !self.is_zero())
    }

    fn at_least(&self, other: &Self) -> bool {
        let (a, b) = (&self.0, &other.0);
        a.len() > b.len() || (a.len() == b.len() && a.iter().rev().ge(b.iter().rev()))
    }

    /// `self -= other`, which must not be larger.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (i, limb) in self.0.iter_mut().enumerate() {
            let amount = other.0.get(i).copied().unwrap_or(0);
            let (partial, under) = limb.overflowing_sub(amount);
            let (result, under_too) = partial.overflowing_sub(u64::from(borrow));
            *limb = result;
            borrow = under || under_too;
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    /// Appends the decimal digits. Quadratic in their count.
    pub(super) fn write_decimal(mut self, out: &mut Vec<u8>) {
        const CHUNK: u64 = 1_000_000_000;
        let mut chunks = Vec::with_capacity(self.0.len() * 2 + 2);
        while !self.is_zero() {
            // Half limbs, because dividing 64 bits by a constant is a multiplication and
            // dividing 128 is a call.
            let mut rest = 0;
            for limb in self.0.iter_mut().rev() {
                let high = (rest << 32) | (*limb >> 32);
                let low = ((high % CHUNK) << 32) | (*limb & 0xFFFF_FFFF);
                *limb = ((high / CHUNK) << 32) | (low / CHUNK);
                rest = low % CHUNK;
            }
            chunks.push(rest);
            while self.0.last() == Some(&0) {
                self.0.pop();
            }
        }
        let mut buffer = [0; super::number::INT_BYTES];
        for (i, &chunk) in chunks.iter().rev().enumerate() {
            let text = super::number::format_u64(chunk, &mut buffer);
            if i > 0 {
                out.extend(std::iter::repeat_n(b'0', 9 - text.len()));
            }
            out.extend_from_slice(text);
        }
        if chunks.is_empty() {
            out.push(b'0');
        }
    }
}
