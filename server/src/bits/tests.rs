//! Bit commands agree with their definition, bit by bit.

use proptest::prelude::*;

use super::*;

fn bits_of(data: &[u8]) -> Vec<bool> {
    (0..data.len() as u64 * 8).map(|i| get_bit(data, i)).collect()
}

#[test]
fn bits_count_from_the_highest_of_the_first_byte() {
    let mut data = [0_u8; 2];
    assert!(!set_bit(&mut data, 0, true));
    assert!(!set_bit(&mut data, 15, true));
    assert_eq!(data, [0x80, 0x01]);
    assert!(set_bit(&mut data, 0, false));
    assert!(get_bit(&data, 15) && !get_bit(&data, 0));
    assert!(!get_bit(&data, 16) && !get_bit(&data, u64::MAX));
    assert!(!set_bit(&mut data, u64::MAX, true));
    assert_eq!(data, [0, 1]);
}

#[test]
fn offsets_stay_within_the_longest_string() {
    const MAX: u64 = 512 << 20;
    assert_eq!(parse_offset(b"4294967295", None, MAX), Ok(u64::from(u32::MAX)));
    assert_eq!(parse_offset(b"#3", Some(5), MAX), Ok(15));
    for text in ["4294967296", "-1", "#1", "x", "", "01"] {
        assert_eq!(parse_offset(text.as_bytes(), None, MAX), Err(BitError::Offset));
    }
    for text in ["#9223372036854775807", "#-1", "#", "#288230376151711744"] {
        assert_eq!(parse_offset(text.as_bytes(), Some(64), MAX), Err(BitError::Offset));
    }
    assert_eq!(bytes_for(0, 1), 1);
    assert_eq!(bytes_for(7, 2), 2);
    assert_eq!(bytes_for(u64::MAX, 64), u64::MAX.div_ceil(8));
}

#[test]
fn position_knows_the_end_only_if_told() {
    assert_eq!(bit_pos(b"\xff\xff", false, 0, None, Unit::Byte), 16);
    assert_eq!(bit_pos(b"\xff\xff", false, 0, Some(-1), Unit::Byte), -1);
    assert_eq!(bit_pos(b"\0\0", true, 0, None, Unit::Byte), -1);
    assert_eq!(bit_pos(b"", false, 0, None, Unit::Byte), -1);
    assert_eq!(bit_pos(b"\xff", false, 5, None, Unit::Byte), -1);
    assert_eq!(bit_pos(b"\xff\xf0", false, 1, None, Unit::Byte), 12);
    assert_eq!(bit_pos(b"\x0f\xff", true, 5, Some(6), Unit::Bit), 5);
    assert_eq!(bit_pos(b"\x0f", true, 0, Some(3), Unit::Bit), -1);
}

#[test]
fn operations_of_redis_8_2() {
    let (x, y, z) = (
        &[0b1110_0000_u8, 0xFF][..],
        &[0b1001_0000_u8][..],
        &[0b0101_1000_u8][..],
    );
    assert_eq!(bit_op(BitOp::Diff, &[x, y, z]), [0b0010_0000, 0xFF]);
    assert_eq!(bit_op(BitOp::Diff1, &[x, y, z]), [0b0001_1000, 0]);
    assert_eq!(bit_op(BitOp::AndOr, &[x, y, z]), [0b1100_0000, 0]);
    assert_eq!(bit_op(BitOp::One, &[x, y, z]), [0b0010_1000, 0xFF]);
    assert_eq!(BitOp::parse(b"andor"), Some(BitOp::AndOr));
    assert_eq!(BitOp::parse(b"nand"), None);
    assert!(BitOp::Diff.source_error(1).is_some() && BitOp::Diff.source_error(2).is_none());
    assert!(BitOp::Not.source_error(2).is_some() && BitOp::One.source_error(1).is_none());
}

fn run(data: &mut Vec<u8>, command: &str) -> Result<Vec<Option<i64>>, BitError> {
    let ops = parse_field_ops(command.split(' ').map(str::as_bytes), false, 512 << 20)?;
    if let Some(bytes) = ops.iter().filter_map(FieldOp::bytes_needed).max() {
        data.resize(data.len().max(bytes as usize), 0);
    }
    Ok(ops.iter().map(|op| op.run(data)).collect())
}

#[test]
fn fields_overflow_as_they_are_told() {
    let mut data = Vec::new();
    assert_eq!(run(&mut data, "set u8 0 255 get u8 0"), Ok(vec![Some(0), Some(255)]));
    assert_eq!(run(&mut data, "incrby u8 0 10"), Ok(vec![Some(9)]));
    assert_eq!(run(&mut data, "overflow sat incrby u8 0 1000"), Ok(vec![Some(255)]));
    assert_eq!(run(&mut data, "overflow fail incrby u8 0 1"), Ok(vec![None]));
    assert_eq!(run(&mut data, "overflow sat incrby u8 0 -1000"), Ok(vec![Some(0)]));
    assert_eq!(
        run(&mut data, "set i8 #1 127 incrby i8 #1 1"),
        Ok(vec![Some(0), Some(-128)])
    );
    assert_eq!(
        run(&mut data, "overflow sat set i8 0 -9223372036854775808 get i8 0"),
        Ok(vec![Some(0), Some(127)])
    );
    assert_eq!(run(&mut data, "get u8 4294967295"), Ok(vec![Some(0)]));
    let mut data = Vec::new();
    let max = "set i64 3 9223372036854775807 overflow sat incrby i64 3 1 overflow wrap incrby i64 3 1";
    assert_eq!(run(&mut data, max), Ok(vec![Some(0), Some(i64::MAX), Some(i64::MIN)]));
    assert_eq!(data.len(), 9);
}

#[test]
fn the_first_mistake_is_reported() {
    for (command, error) in [
        ("foo", BitError::Syntax),
        ("get u8", BitError::Syntax),
        ("overflow", BitError::Syntax),
        ("overflow foo", BitError::Overflow),
        ("get U8 0", BitError::FieldType),
        ("get u64 0", BitError::FieldType),
        ("get i65 0", BitError::FieldType),
        ("get u0 0", BitError::FieldType),
        ("set u8 0 x", BitError::Value),
        ("set u8 x x", BitError::Offset),
    ] {
        assert_eq!(run(&mut Vec::new(), command), Err(error), "{command}");
    }
    let read_only = |text: &str| parse_field_ops(text.split(' ').map(str::as_bytes), true, 512 << 20);
    assert_eq!(read_only("set u8 0 1"), Err(BitError::ReadOnly));
    assert_eq!(read_only("set u8 0 1 get u99 0"), Err(BitError::FieldType));
    assert!(read_only("overflow sat get u8 0").is_ok());
}

/// One source's bit in a reference computation of an operation.
fn expected_bit(op: BitOp, bits: &[bool]) -> bool {
    let (x, ys) = bits.split_first().unwrap();
    let any = ys.contains(&true);
    match op {
        BitOp::And => bits.iter().all(|&b| b),
        BitOp::Or => bits.contains(&true),
        BitOp::Xor => bits.iter().filter(|&&b| b).count() % 2 == 1,
        BitOp::Not => !x,
        BitOp::Diff => *x && !any,
        BitOp::Diff1 => !x && any,
        BitOp::AndOr => *x && any,
        BitOp::One => bits.iter().filter(|&&b| b).count() == 1,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn counts_and_positions_are_those_of_the_bits(
        data in prop::collection::vec(prop_oneof![Just(0_u8), Just(255), any::<u8>()], 0..80),
        from in 0_i64..700,
        to in 0_i64..700,
        bit: bool,
    ) {
        let bits = bits_of(&data);
        prop_assert_eq!(bit_count(&data), bits.iter().filter(|&&b| b).count() as u64);
        let last = (to + 1).min(bits.len() as i64);
        let span = if from < last { &bits[from as usize..last as usize] } else { &[] };
        let count = span.iter().filter(|&&b| b).count() as u64;
        prop_assert_eq!(bit_count_range(&data, from, to, Unit::Bit), count);
        let found = span.iter().position(|&b| b == bit).map_or(-1, |at| at as i64 + from);
        prop_assert_eq!(bit_pos(&data, bit, from, Some(to), Unit::Bit), found);
    }

    #[test]
    fn operations_are_those_of_the_bits(sources in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5)) {
        let slices: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
        let len = sources.iter().map(Vec::len).max().unwrap_or(0);
        for name in ["and", "or", "xor", "not", "diff", "diff1", "andor", "one"] {
            let op = BitOp::parse(name.as_bytes()).unwrap();
            let sources = if op == BitOp::Not { &slices[..1] } else { &slices[..] };
            let len = if op == BitOp::Not { slices[0].len() } else { len };
            let bit = |i| expected_bit(op, &sources.iter().map(|s| get_bit(s, i)).collect::<Vec<_>>());
            let expected: Vec<bool> = (0..len as u64 * 8).map(bit).collect();
            prop_assert_eq!(bits_of(&bit_op(op, sources)), expected, "{}", name);
        }
    }

    #[test]
    fn fields_keep_what_fits_and_touch_nothing_else(
        data in prop::collection::vec(any::<u8>(), 1..20),
        offset in 0_u64..160,
        width in 1_u32..=64,
        value: i64,
    ) {
        let mut changed = data.clone();
        let kind = FieldKind::parse(format!("i{width}").as_bytes()).unwrap();
        let op = FieldOp { kind, offset, action: FieldAction::Set(value), overflow: Overflow::Wrap };
        prop_assert_eq!(op.run(&mut changed), Some(kind.get(&data, offset)));
        let field = offset..offset + u64::from(width);
        for i in 0..data.len() as u64 * 8 {
            let expected = if field.contains(&i) {
                value >> (field.end - 1 - i) & 1 == 1
            } else {
                get_bit(&data, i)
            };
            prop_assert_eq!(get_bit(&changed, i), expected);
        }
    }

    #[test]
    fn long_blocks_are_computed_whole(len in 4000_usize..9000, fill: u8) {
        let (a, b) = (vec![fill; len], vec![0xF0; 4100]);
        let expected: Vec<u8> = (0..len.max(4100)).map(|i| {
            let x = if i < len { fill } else { 0 };
            x ^ if i < 4100 { 0xF0 } else { 0 }
        }).collect();
        prop_assert_eq!(bit_op(BitOp::Xor, &[&a, &b]), expected);
    }
}
