//! Requests: arrays of bulk strings, appended to a buffer.

use super::ToArgs;

/// Appends requests to a buffer.
///
/// Arguments come from [`ToArgs`]; the number of arguments stands in front, so it is asked for first.
#[derive(Debug)]
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    /// Arguments that were announced, less those that came.
    owed: isize,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Encoder<'a> {
        Encoder { out, owed: 0 }
    }

    /// One whole request: the words of its name, and its arguments.
    pub(crate) fn request(&mut self, name: &[&str], args: &(impl ToArgs + ?Sized)) {
        self.header(name.len() + args.count());
        for word in name {
            self.arg(word.as_bytes());
        }
        args.write(self);
    }

    /// Whether as many arguments were written as were announced.
    pub(crate) fn is_balanced(&self) -> bool {
        self.owed == 0
    }

    /// The head of a request of `count` arguments, its name included.
    pub(crate) fn header(&mut self, count: usize) {
        self.owed += count as isize;
        self.prefix(b'*', count);
    }

    /// Appends one argument.
    pub fn arg(&mut self, bytes: &[u8]) {
        self.owed -= 1;
        self.prefix(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Appends an integer as one argument.
    pub fn int(&mut self, number: impl itoa::Integer) {
        self.arg(itoa::Buffer::new().format(number).as_bytes());
    }

    /// How many arguments were appended without a head.
    pub(crate) fn written(&self) -> usize {
        usize::try_from(-self.owed).unwrap_or(0)
    }

    /// One whole request of `count` words that are encoded already.
    pub(crate) fn encoded(&mut self, count: usize, words: &[u8]) {
        self.prefix(b'*', count);
        self.raw(words);
    }

    /// Appends whole requests that are encoded already.
    pub(crate) fn raw(&mut self, encoded: &[u8]) {
        self.out.extend_from_slice(encoded);
    }

    fn prefix(&mut self, kind: u8, number: usize) {
        self.out.push(kind);
        self.out
            .extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }
}
