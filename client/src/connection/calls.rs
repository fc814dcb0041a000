//! The calls that wait on one connection, in the order of their requests. No sockets, no clock.
//!
//! RESP answers requests in order, so a reply belongs to the oldest call that has not got all of its own.
//! That holds as long as nothing ever leaves the queue between being sent and being answered: a call whose caller
//! has gone, or whose time is up, stays as a place that swallows its reply. Only what was not sent yet may be
//! cut out, together with its bytes.
//!
//! Nothing is allocated per call: requests are encoded into one buffer, and slots are used again and again.

use crate::error::{Error, Result};
use crate::resp::{Encoder, Value};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// A free buffer that grew beyond this is given back.
const KEEP_BYTES: usize = 256 * 1024;

/// Names a call for as long as it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    slot: u32,
    generation: u32,
}

#[derive(Debug)]
enum State {
    Free,
    /// The caller waits, or has not looked yet.
    Waiting(Option<Waker>),
    /// Nobody waits any more; the reply is swallowed.
    Abandoned,
    Done(Result<Value>),
}

/// What a call that was given up has left.
#[derive(Debug)]
pub(crate) struct Leftover(#[expect(dead_code, reason = "it is only there to be dropped later")] State);

#[derive(Debug)]
struct Slot {
    generation: u32,
    state: State,
    /// Replies still to come: more than one for a pipeline.
    missing: u32,
    /// A pipeline's replies so far.
    replies: Vec<Value>,
    /// Where its request begins and ends in all that was ever encoded.
    begins: u64,
    ends: u64,
    submitted_us: u64,
    deadline_us: u64,
}

/// What a call asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// How many replies belong to it: one for a command, as many as commands for a pipeline.
    pub(crate) replies: u32,
    pub(crate) now_us: u64,
    pub(crate) deadline_us: u64,
}

/// What tells a dead connection from a slow one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signs {
    /// How much of all that was encoded has been given to the socket.
    pub(crate) written: u64,
    /// When the server was last heard of.
    pub(crate) heard_us: u64,
    /// When the socket last took the end of what it could not take at once.
    pub(crate) caught_up_us: u64,
    /// How long a server may be silent that owes a reply.
    pub(crate) patience_us: u64,
}

/// How often the patience with a silent server is the patience with one that says much, but never what was asked.
const TALKATIVE: u64 = 4;

/// Why a call was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Busy(usize),
    /// The arguments did not write as many as they had said, or it asks for nothing.
    Miscounted,
}

/// The calls of a connection.
#[derive(Debug)]
pub(crate) struct Calls {
    node: Arc<str>,
    /// Requests that the driver has not taken.
    out: Vec<u8>,
    /// How much was encoded, from the first call on; what lies in `out` is the end of it.
    encoded: u64,
    /// Slots in the order of their requests.
    order: VecDeque<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Requests in `out` that nobody wants any more.
    cuts: usize,
    /// No call that waits is due before this.
    next_deadline_us: u64,
    max_calls: usize,
    max_bytes: usize,
}

impl Calls {
    pub(crate) fn new(node: Arc<str>, max_calls: usize, max_bytes: usize) -> Calls {
        Calls {
            node,
            out: Vec::new(),
            encoded: 0,
            order: VecDeque::new(),
            slots: Vec::new(),
            free: Vec::new(),
            cuts: 0,
            next_deadline_us: u64::MAX,
            max_calls,
            max_bytes,
        }
    }

    /// How many requests wait for their replies, those that nobody waits for included.
    pub(crate) fn pending(&self) -> usize {
        self.order.len()
    }

    /// When the next call that waits is due at the earliest, in microseconds.
    pub(crate) fn next_deadline_us(&self) -> u64 {
        self.next_deadline_us
    }

    /// Where what the driver has not taken begins, in all that was ever encoded.
    pub(crate) fn taken(&self) -> u64 {
        self.encoded - self.out.len() as u64
    }

    fn is_full(&self) -> bool {
        self.order.len() >= self.max_calls || self.out.len() >= self.max_bytes
    }

    /// Takes a call in. What `encode` appends is the request; a panic of it leaves nothing behind.
    pub(crate) fn submit(
        &mut self,
        order: Order,
        encode: impl FnOnce(&mut Encoder<'_>),
        waker: Option<Waker>,
    ) -> std::result::Result<Ticket, Refused> {
        if self.is_full() {
            // Cutting looks at all of them, so it must be worth it.
            if self.cuts * 8 < self.order.len() {
                return Err(Refused::Busy(self.order.len()));
            }
            self.cut();
            if self.is_full() {
                return Err(Refused::Busy(self.order.len()));
            }
        }
        let before = self.out.len();
        let mut rollback = Rollback {
            out: &mut self.out,
            to: Some(before),
        };
        let mut encoder = Encoder::new(rollback.out);
        encode(&mut encoder);
        if !encoder.is_balanced() || order.replies == 0 || rollback.out.len() == before {
            return Err(Refused::Miscounted);
        }
        rollback.to = None;
        drop(rollback);
        let begins = self.encoded;
        self.encoded += (self.out.len() - before) as u64;
        self.next_deadline_us = self.next_deadline_us.min(order.deadline_us);
        Ok(self.occupy(order, begins, waker))
    }

    fn occupy(&mut self, order: Order, begins: u64, waker: Option<Waker>) -> Ticket {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                state: State::Free,
                missing: 0,
                replies: Vec::new(),
                begins: 0,
                ends: 0,
                submitted_us: 0,
                deadline_us: 0,
            });
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[number as usize];
        slot.state = State::Waiting(waker);
        slot.missing = order.replies;
        (slot.begins, slot.ends) = (begins, self.encoded);
        (slot.submitted_us, slot.deadline_us) = (order.now_us, order.deadline_us);
        self.order.push_back(number);
        Ticket {
            slot: number,
            generation: slot.generation,
        }
    }

    fn slot(&mut self, ticket: Ticket) -> Option<&mut Slot> {
        self.slots
            .get_mut(ticket.slot as usize)
            .filter(|slot| slot.generation == ticket.generation)
    }

    /// The result of a call, once; until it is there `waker` is kept, in place of the one before.
    pub(crate) fn poll(&mut self, ticket: Ticket, waker: &Waker) -> Poll<Result<Value>> {
        let Some(slot) = self.slot(ticket) else {
            return Poll::Ready(Err(Error::Closed));
        };
        match &mut slot.state {
            State::Waiting(Some(known)) => {
                known.clone_from(waker);
                Poll::Pending
            }
            State::Waiting(none) => {
                *none = Some(waker.clone());
                Poll::Pending
            }
            State::Done(_) => match std::mem::replace(&mut slot.state, State::Abandoned) {
                State::Done(result) => {
                    self.finish(ticket.slot);
                    Poll::Ready(result)
                }
                State::Free | State::Waiting(_) | State::Abandoned => Poll::Pending,
            },
            State::Free | State::Abandoned => Poll::Ready(Err(Error::Closed)),
        }
    }

    /// The caller has gone. What was not taken yet is not sent. What is returned is to be dropped without any lock:
    /// a waker may be the last thing that keeps a task alive, and that task another call.
    pub(crate) fn abandon(&mut self, ticket: Ticket) -> Option<Leftover> {
        let taken = self.taken();
        let slot = self.slot(ticket)?;
        let state = std::mem::replace(&mut slot.state, State::Abandoned);
        match state {
            State::Done(_) => self.finish(ticket.slot),
            State::Waiting(_) if slot.begins >= taken => self.cuts += 1,
            State::Waiting(_) | State::Abandoned => {}
            State::Free => slot.state = State::Free,
        }
        Some(Leftover(state))
    }

    /// Frees the slot of a call that nobody waits for, if its replies have all come.
    fn finish(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize];
        if slot.missing > 0 {
            return;
        }
        slot.generation = slot.generation.wrapping_add(1);
        slot.state = State::Free;
        slot.replies = Vec::new();
        self.free.push(number);
    }

    /// Hands what is to be sent to the driver; `into` must be empty. Returns where it begins in all that was encoded.
    pub(crate) fn take_out(&mut self, into: &mut Vec<u8>) -> u64 {
        if self.cuts > 0 {
            self.cut();
        }
        let begins = self.taken();
        std::mem::swap(&mut self.out, into);
        if self.out.capacity() > KEEP_BYTES {
            self.out = Vec::new();
        }
        begins
    }

    /// Takes the requests out that nobody wants any more.
    fn cut(&mut self) {
        let taken = self.taken();
        let (mut kept, mut at) = (Vec::with_capacity(self.out.len()), taken);
        let mut order = std::mem::take(&mut self.order);
        order.retain(|&number| {
            let slot = &mut self.slots[number as usize];
            if slot.begins < taken {
                return true;
            }
            let range = (slot.begins - taken) as usize..(slot.ends - taken) as usize;
            if !matches!(slot.state, State::Waiting(_)) {
                slot.missing = 0;
                return false;
            }
            kept.extend_from_slice(&self.out[range.clone()]);
            slot.begins = at;
            at += range.len() as u64;
            slot.ends = at;
            true
        });
        self.order = order;
        self.out = kept;
        self.encoded = at;
        self.cuts = 0;
        for number in 0..self.slots.len() as u32 {
            let slot = &self.slots[number as usize];
            if slot.missing == 0 && matches!(slot.state, State::Abandoned) {
                self.finish(number);
            }
        }
    }

    /// Gives a reply to the call that it belongs to. `written` is how much of all that was encoded has been given
    /// to the socket. Returns how long the call took, in microseconds, with its last reply.
    ///
    /// # Errors
    /// If there is no such call: the server answered what nobody asked.
    pub(crate) fn reply(
        &mut self,
        value: Value,
        written: u64,
        now_us: u64,
        wake: &mut Vec<Waker>,
    ) -> std::result::Result<Option<u64>, &'static str> {
        const UNASKED: &str = "a reply to nothing";
        let number = *self.order.front().ok_or(UNASKED)?;
        let slot = &mut self.slots[number as usize];
        if slot.begins >= written {
            return Err(UNASKED);
        }
        slot.missing -= 1;
        let waited = matches!(slot.state, State::Waiting(_));
        if slot.missing > 0 {
            if waited {
                slot.replies.push(value);
            }
            return Ok(None);
        }
        let took = now_us.saturating_sub(slot.submitted_us);
        self.order.pop_front();
        if !waited {
            if matches!(slot.state, State::Abandoned) {
                self.finish(number);
            }
            return Ok(Some(took));
        }
        let result = if slot.replies.is_empty() {
            value
        } else {
            slot.replies.push(value);
            Value::Array(std::mem::take(&mut slot.replies))
        };
        settle(slot, Ok(result), wake);
        Ok(Some(took))
    }

    /// Ends the calls whose time is up; how many.
    pub(crate) fn expire(&mut self, now_us: u64, wake: &mut Vec<Waker>) -> u64 {
        let taken = self.taken();
        let mut expired = 0;
        let mut next = u64::MAX;
        for &number in &self.order {
            let slot = &mut self.slots[number as usize];
            if !matches!(slot.state, State::Waiting(_)) {
                continue;
            }
            if slot.deadline_us > now_us {
                next = next.min(slot.deadline_us);
                continue;
            }
            let sent = slot.begins < taken;
            expired += 1;
            self.cuts += usize::from(!sent);
            let error = Error::Timeout {
                node: Arc::clone(&self.node),
                after: Duration::from_micros(slot.deadline_us.saturating_sub(slot.submitted_us)),
                sent,
            };
            settle(slot, Err(error), wake);
        }
        self.next_deadline_us = next;
        expired
    }

    /// When the connection must be taken for dead if no reply comes until then, in microseconds.
    ///
    /// It does not matter whether somebody waits for the reply that is due: callers may have less patience than the
    /// connection, and a connection that is dead must be found out even if all of them have gone.
    pub(crate) fn dead_at_us(&self, signs: Signs) -> u64 {
        let Some(slot) = self.order.front().map(|&number| &self.slots[number as usize]) else {
            return u64::MAX;
        };
        if slot.ends > signs.written {
            return u64::MAX;
        }
        let asked_us = slot.submitted_us.max(signs.caught_up_us);
        let silent_us = asked_us.max(signs.heard_us).saturating_add(signs.patience_us);
        let late_us = asked_us.saturating_add(signs.patience_us.saturating_mul(TALKATIVE));
        let late_us = late_us.max(slot.deadline_us.saturating_add(signs.patience_us));
        slot.deadline_us.max(silent_us).min(late_us)
    }

    /// The connection broke when `written` bytes of all that was encoded had been given to the socket, and
    /// `untaken` is what the driver had taken beyond that. Calls that were sent fail with `error`; the
    /// others wait for the next connection, with their bytes.
    pub(crate) fn lose(&mut self, written: u64, unwritten: &[u8], error: &Error, wake: &mut Vec<Waker>) {
        let mut keep_from = self.encoded;
        while let Some(&number) = self.order.front() {
            let slot = &mut self.slots[number as usize];
            if slot.begins >= written {
                keep_from = slot.begins;
                break;
            }
            self.order.pop_front();
            self.fail(number, error, wake);
        }
        // What was written of a request that is lost must not be completed.
        let skipped = (keep_from - written) as usize;
        let mut out = unwritten.get(skipped..).unwrap_or_default().to_vec();
        out.append(&mut self.out);
        self.out = out;
        // Requests that the driver had taken can be cut out again.
        let unwanted = |number: &&u32| !matches!(self.slots[**number as usize].state, State::Waiting(_));
        self.cuts = self.order.iter().filter(unwanted).count();
    }

    /// Ends a call that has left the queue.
    fn fail(&mut self, number: u32, error: &Error, wake: &mut Vec<Waker>) {
        let slot = &mut self.slots[number as usize];
        slot.missing = 0;
        match slot.state {
            State::Waiting(_) => settle(slot, Err(error.clone()), wake),
            State::Abandoned => self.finish(number),
            State::Done(_) | State::Free => {}
        }
    }

    /// Ends all calls with `error`; nothing that the driver has not taken is sent.
    pub(crate) fn fail_all(&mut self, error: &Error, wake: &mut Vec<Waker>) {
        self.encoded = self.taken();
        self.out = Vec::new();
        self.cuts = 0;
        while let Some(number) = self.order.pop_front() {
            self.fail(number, error, wake);
        }
    }
}

/// Ends a call that waits.
fn settle(slot: &mut Slot, result: Result<Value>, wake: &mut Vec<Waker>) {
    if let State::Waiting(Some(waker)) = std::mem::replace(&mut slot.state, State::Done(result)) {
        wake.push(waker);
    }
}

/// Cuts the buffer back, unless told that all went well.
struct Rollback<'a> {
    out: &'a mut Vec<u8>,
    to: Option<usize>,
}

impl Drop for Rollback<'_> {
    fn drop(&mut self) {
        if let Some(to) = self.to {
            self.out.truncate(to);
        }
    }
}

#[cfg(test)]
mod tests;
