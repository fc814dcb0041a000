//! Requests as the decoder leaves them: arguments are ranges of the input, or owned where they must be.

use bytes::Bytes;
use std::ops::Index;

/// Where an argument is: a range of the input, or with the top bit of `start` an owned one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) len: u32,
}

pub(super) const OWNED: u32 = 1 << 31;

/// One complete request of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub(super) first: u32,
    pub(super) count: u32,
    /// Where the request ends in the input.
    pub end: u32,
}

/// Complete requests of one input, and the arguments that had to be copied out of it.
#[derive(Default, Debug)]
pub struct Batch {
    pub(super) spans: Vec<Span>,
    pub(super) requests: Vec<Request>,
    pub(super) owned: Vec<Bytes>,
}

impl Batch {
    /// The requests, in order.
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// Where the last request ends in the input.
    pub fn end(&self) -> usize {
        self.requests.last().map_or(0, |request| request.end as usize)
    }

    /// The arguments of a request; `input` is what was decoded.
    #[inline]
    pub fn args<'a>(&'a self, input: &'a [u8], request: Request) -> Args<'a> {
        let first = request.first as usize;
        Args {
            input,
            spans: &self.spans[first..first + request.count as usize],
            owned: &self.owned,
        }
    }

    /// Forgets all requests, keeping the memory for the next input.
    pub fn clear(&mut self) {
        self.spans.clear();
        self.requests.clear();
        self.owned.clear();
    }

    /// The requests from number `next` on, and the input from its start on, for later.
    pub fn split_off(&self, input: &[u8], next: usize) -> (Batch, Vec<u8>) {
        let start = if next == 0 { 0 } else { self.requests[next - 1].end };
        let shift = |span: &Span| match span.start & OWNED {
            0 => Span {
                start: span.start - start,
                ..*span
            },
            _ => *span,
        };
        let first = self
            .requests
            .get(next)
            .map_or(self.spans.len(), |request| request.first as usize);
        let requests = self.requests[next..].iter().map(|request| Request {
            first: request.first - first as u32,
            end: request.end - start,
            ..*request
        });
        let batch = Batch {
            requests: requests.collect(),
            spans: self.spans[first..].iter().map(shift).collect(),
            owned: self.owned.clone(),
        };
        (batch, input[start as usize..].to_vec())
    }

    /// Bytes that the batch holds beside the input.
    pub fn held_bytes(&self) -> usize {
        self.owned.iter().map(Bytes::len).sum::<usize>()
            + self.spans.capacity() * size_of::<Span>()
            + self.requests.capacity() * size_of::<Request>()
    }
}

/// The arguments of one request; number 0 is the command's name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Args<'a> {
    input: &'a [u8],
    spans: &'a [Span],
    owned: &'a [Bytes],
}

impl<'a> Args<'a> {
    /// How many there are, the name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True only for a default value: a request has at least its name.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The argument's bytes.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        let span = self.spans.get(index)?;
        if span.start & OWNED != 0 {
            return Some(&self.owned[(span.start & !OWNED) as usize]);
        }
        let start = span.start as usize;
        Some(&self.input[start..start + span.len as usize])
    }

    /// The argument as something to keep: shared if it has its own allocation, a copy otherwise.
    pub fn shared(&self, index: usize) -> Bytes {
        let span = self.spans[index];
        if span.start & OWNED != 0 {
            return self.owned[(span.start & !OWNED) as usize].clone();
        }
        Bytes::copy_from_slice(&self[index])
    }

    /// Whether `shared` gives the argument without copying it.
    #[inline]
    pub fn is_owned(&self, index: usize) -> bool {
        self.spans[index].start & OWNED != 0
    }

    /// The arguments from `first` on.
    pub fn from(&self, first: usize) -> Args<'a> {
        Args {
            spans: self.spans.get(first..).unwrap_or_default(),
            ..*self
        }
    }

    /// All arguments in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let args = *self;
        (0..args.len()).map(move |index| args.get(index).unwrap_or_default())
    }
}

impl Index<usize> for Args<'_> {
    type Output = [u8];

    #[inline]
    fn index(&self, index: usize) -> &[u8] {
        self.get(index).expect("the command's arity was checked")
    }
}

/// Arguments that are not in a batch, such as those of a queued command.
#[derive(Default, Debug)]
pub struct OwnedArgs {
    spans: Vec<Span>,
    input: Vec<u8>,
    owned: Vec<Bytes>,
}

impl OwnedArgs {
    /// Arguments that each have an allocation of their own already.
    pub fn new(args: Vec<Bytes>) -> OwnedArgs {
        let spans = (0..args.len()).map(|index| Span {
            start: OWNED | index as u32,
            len: 0,
        });
        OwnedArgs {
            spans: spans.collect(),
            input: Vec::new(),
            owned: args,
        }
    }

    /// A copy of a request's arguments, in one piece but for those that can be shared.
    pub fn copy(args: Args<'_>) -> OwnedArgs {
        let inline = (0..args.len()).filter(|&index| !args.is_owned(index));
        let mut copy = OwnedArgs {
            spans: Vec::with_capacity(args.len()),
            input: Vec::with_capacity(inline.map(|index| args[index].len()).sum()),
            owned: Vec::new(),
        };
        for index in 0..args.len() {
            if args.is_owned(index) {
                let start = OWNED | copy.owned.len() as u32;
                copy.spans.push(Span { start, len: 0 });
                copy.owned.push(args.shared(index));
            } else {
                let (start, len) = (copy.input.len() as u32, args[index].len() as u32);
                copy.spans.push(Span { start, len });
                copy.input.extend_from_slice(&args[index]);
            }
        }
        copy
    }

    /// A view of them.
    pub fn args(&self) -> Args<'_> {
        Args {
            input: &self.input,
            spans: &self.spans,
            owned: &self.owned,
        }
    }

    /// Bytes that they take, shared ones included.
    pub fn held_bytes(&self) -> usize {
        let shared: usize = self.owned.iter().map(|bytes| bytes.len() + size_of::<Bytes>()).sum();
        self.spans.capacity() * size_of::<Span>() + self.input.capacity() + shared
    }
}
