//! Bytes as a quoted, printable string, as Redis shows them in MONITOR and DEBUG.

/// Appends `bytes` to `out` in double quotes: `\"`, `\\`, `\n`, `\r`, `\t`, `\a`, `\b`,
/// printable ASCII as it is, everything else as `\xhh`. At most 4 bytes per byte, plus 2.
pub fn quote_into(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => {
                let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                out.extend_from_slice(&[b'\\', b'x', HEX[high], HEX[low]]);
            }
        }
    }
    out.push(b'"');
}

/// Bytes of a peer as an error repeats them: up to the first NUL, as Redis prints C strings, each byte as the
/// character of that number, which `Reply::error` makes a byte again.
pub fn shown(bytes: &[u8]) -> String {
    bytes
        .iter()
        .take_while(|&&byte| byte != 0)
        .map(|&byte| char::from(byte))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::quote_into;

    fn quoted(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        quote_into(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn specials_are_escaped_and_the_rest_is_hex() {
        assert_eq!(quoted(b""), r#""""#);
        assert_eq!(quoted(b"plain text~"), r#""plain text~""#);
        assert_eq!(quoted(b"a\"b\\c"), r#""a\"b\\c""#);
        assert_eq!(quoted(b"\n\r\t\x07\x08"), r#""\n\r\t\a\b""#);
        assert_eq!(quoted(b"\0\x1f\x7f\x80\xff"), r#""\x00\x1f\x7f\x80\xff""#);
    }
}
