//! Whatever callers, servers and networks do: no call gets another's reply, and nothing is kept for ever.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use std::task::Waker;

const NODE: &str = "node";

fn calls() -> Calls {
    Calls::new(NODE.into(), 100, 1 << 20)
}

fn order(now_us: u64) -> Order {
    Order {
        replies: 1,
        now_us,
        deadline_us: now_us + 100,
    }
}

fn submit(calls: &mut Calls, order: Order, text: &str) -> Ticket {
    calls
        .submit(order, |out| out.request(&[text], &()), waker())
        .expect("there is room")
}

fn waker() -> Option<Waker> {
    Some(Waker::noop().clone())
}

fn value(text: &str) -> Value {
    Value::Bulk(Bytes::copy_from_slice(text.as_bytes()))
}

fn poll(calls: &mut Calls, ticket: Ticket) -> Poll<Result<Value>> {
    calls.poll(ticket, Waker::noop())
}

fn lost() -> Error {
    Error::Lost {
        node: NODE.into(),
        source: Arc::new(std::io::ErrorKind::ConnectionReset.into()),
    }
}

/// The commands of requests, which are one word each.
fn words(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    text.split("\r\n")
        .filter(|part| !part.is_empty() && !part.starts_with(['*', '$']))
        .map(str::to_string)
        .collect()
}

#[test]
fn a_panic_while_encoding_leaves_nothing_behind() {
    let mut calls = calls();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let half = |out: &mut Encoder<'_>| {
            out.header(2);
            out.arg(b"half");
            panic!("an argument that cannot be written");
        };
        let _ = calls.submit(order(0), half, waker());
    }));
    assert!(caught.is_err());
    let miscounted = calls.submit(order(0), |out| out.header(2), waker());
    assert_eq!(miscounted, Err(Refused::Miscounted));
    let nothing = calls.submit(order(0), |_| {}, waker());
    assert_eq!(nothing, Err(Refused::Miscounted));
    let none = Order { replies: 0, ..order(0) };
    let none = calls.submit(none, |out| out.request(&["a"], &()), waker());
    assert_eq!(none, Err(Refused::Miscounted));
    submit(&mut calls, order(0), "whole");
    let mut sent = Vec::new();
    calls.take_out(&mut sent);
    assert_eq!(sent, b"*1\r\n$5\r\nwhole\r\n");
}

#[test]
fn a_pipeline_gets_its_replies_together() {
    let mut calls = calls();
    let two = Order { replies: 2, ..order(0) };
    let encode = |out: &mut Encoder<'_>| {
        out.request(&["a"], &());
        out.request(&["b"], &());
    };
    let both = calls.submit(two, encode, waker()).expect("there is room");
    let next = submit(&mut calls, order(0), "c");
    let (mut sent, mut wake) = (Vec::new(), Vec::new());
    calls.take_out(&mut sent);
    for text in ["a", "b", "c"] {
        calls
            .reply(value(text), sent.len() as u64, 1, &mut wake)
            .expect("it was asked");
    }
    let Poll::Ready(Ok(Value::Array(values))) = poll(&mut calls, both) else {
        panic!("no replies")
    };
    assert_eq!(values, [value("a"), value("b")]);
    assert!(matches!(poll(&mut calls, next), Poll::Ready(Ok(c)) if c == value("c")));
}

#[test]
fn a_reply_to_what_was_not_sent_is_refused() {
    let mut calls = calls();
    let mut wake = Vec::new();
    assert!(calls.reply(value("a"), 0, 0, &mut wake).is_err());
    submit(&mut calls, order(0), "a");
    assert!(calls.reply(value("a"), 0, 0, &mut wake).is_err());
}

#[test]
fn more_than_the_limit_fails_at_once() {
    let mut calls = Calls::new(NODE.into(), 2, 1 << 20);
    let first = submit(&mut calls, order(0), "a");
    submit(&mut calls, order(0), "b");
    let refused = calls.submit(order(0), |out| out.request(&["c"], &()), waker());
    assert_eq!(refused, Err(Refused::Busy(2)));
    // A call that was sent and given up still takes its place: its reply is still to come.
    let mut sent = Vec::new();
    calls.take_out(&mut sent);
    drop(calls.abandon(first));
    assert!(calls.submit(order(0), |out| out.request(&["c"], &()), waker()).is_err());
    calls
        .reply(value("a"), sent.len() as u64, 0, &mut Vec::new())
        .expect("it was asked");
    submit(&mut calls, order(0), "c");
}

#[test]
fn calls_given_up_before_they_were_sent_make_room() {
    let mut calls = Calls::new(NODE.into(), 2, 1 << 20);
    for _ in 0..10 {
        let given_up = submit(&mut calls, order(0), "given up");
        drop(calls.abandon(given_up));
    }
    submit(&mut calls, order(0), "wanted");
    let mut sent = Vec::new();
    calls.take_out(&mut sent);
    assert_eq!(words(&sent), ["wanted"]);
    assert_eq!(calls.pending(), 1);
}

#[test]
fn a_request_that_was_taken_but_not_sent_can_still_be_given_up_after_a_break() {
    let mut calls = calls();
    let (first, second) = (submit(&mut calls, order(0), "a"), submit(&mut calls, order(0), "b"));
    let mut taken = Vec::new();
    let begins = calls.take_out(&mut taken);
    drop(calls.abandon(first));
    calls.lose(begins, &taken, &lost(), &mut Vec::new());
    let mut sent = Vec::new();
    calls.take_out(&mut sent);
    assert_eq!(words(&sent), ["b"]);
    assert!(poll(&mut calls, second).is_pending());
}

#[test]
fn closing_forgets_what_was_not_taken_and_the_driver_may_lose_the_rest_later() {
    let mut calls = calls();
    let first = submit(&mut calls, order(0), "a");
    let mut taken = Vec::new();
    let begins = calls.take_out(&mut taken);
    let second = submit(&mut calls, order(0), "b");
    calls.fail_all(&Error::Closed, &mut Vec::new());
    for ticket in [first, second] {
        assert!(matches!(poll(&mut calls, ticket), Poll::Ready(Err(Error::Closed))));
    }
    calls.lose(begins + 3, &taken[3..], &lost(), &mut Vec::new());
    let mut sent = Vec::new();
    calls.take_out(&mut sent);
    assert!(sent.is_empty() && calls.pending() == 0);
}

#[test]
fn a_connection_is_dead_if_it_owes_a_reply_and_is_silent_for_longer_than_its_patience() {
    let mut calls = calls();
    let signs = |written, heard_us, caught_up_us| Signs {
        written,
        heard_us,
        caught_up_us,
        patience_us: 1000,
    };
    assert_eq!(calls.dead_at_us(signs(0, 0, 0)), u64::MAX, "nothing was asked");
    let given_up = submit(&mut calls, order(500), "a");
    let mut sent = Vec::new();
    calls.take_out(&mut sent);
    let written = sent.len() as u64;
    assert_eq!(calls.dead_at_us(signs(written - 1, 0, 0)), u64::MAX, "not all was sent");
    // Whether the caller has gone does not matter.
    drop(calls.abandon(given_up));
    assert_eq!(calls.dead_at_us(signs(written, 0, 0)), 1500);
    assert_eq!(calls.dead_at_us(signs(written, 900, 0)), 1900, "something was heard");
    assert_eq!(calls.dead_at_us(signs(written, 0, 700)), 1700, "it was sent late");
    assert_eq!(
        calls.dead_at_us(signs(written, 90_000, 0)),
        4500,
        "much is heard, but not what was asked"
    );
    let patient = Order {
        deadline_us: 60_000,
        ..order(0)
    };
    calls
        .reply(value("a"), written, 0, &mut Vec::new())
        .expect("it was asked");
    submit(&mut calls, patient, "b");
    calls.take_out(&mut Vec::new());
    assert_eq!(
        calls.dead_at_us(signs(u64::MAX, 0, 0)),
        60_000,
        "a caller may have more patience"
    );
}

/// What may happen to a connection's calls.
#[derive(Clone, Debug)]
enum Step {
    Submit {
        pipeline: bool,
        patience_us: u64,
    },
    Abandon(usize),
    Take,
    Write(usize),
    Reply(usize),
    Lose,
    /// The connection breaks, and the next cannot be made.
    Down,
    Pass(u64),
    Poll(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (any::<bool>(), 1u64..200).prop_map(|(pipeline, patience_us)| Step::Submit { pipeline, patience_us }),
        2 => any::<usize>().prop_map(Step::Abandon),
        3 => Just(Step::Take),
        4 => (1usize..64).prop_map(Step::Write),
        4 => (1usize..4).prop_map(Step::Reply),
        1 => Just(Step::Lose),
        1 => Just(Step::Down),
        2 => (1u64..60).prop_map(Step::Pass),
        3 => any::<usize>().prop_map(Step::Poll),
    ];
    prop::collection::vec(step, 1..200)
}

/// A driver and a server that answers each request with its own name.
struct World {
    calls: Calls,
    now_us: u64,
    taken: Vec<u8>,
    taken_at: u64,
    written: u64,
    /// What the server has received but not answered, and how often it ran each request.
    received: Vec<u8>,
    answered: usize,
    ran: Vec<String>,
    /// Calls whose callers wait: what they must hear.
    waiting: Vec<(Ticket, Vec<String>)>,
    made: usize,
}

impl World {
    fn new() -> World {
        World {
            calls: calls(),
            now_us: 0,
            taken: Vec::new(),
            taken_at: 0,
            written: 0,
            received: Vec::new(),
            answered: 0,
            ran: Vec::new(),
            waiting: Vec::new(),
            made: 0,
        }
    }

    /// Requests that have arrived whole.
    fn whole(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.received).into_owned();
        let parts: Vec<_> = text.split("*1\r\n").skip(1).map(str::to_string).collect();
        let is_whole = |part: &&String| part.matches("\r\n").count() == 2 && part.ends_with("\r\n");
        parts
            .iter()
            .filter(is_whole)
            .map(|part| words(part.as_bytes()).concat())
            .collect()
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Submit { pipeline, patience_us } => self.submit(pipeline, patience_us),
            Step::Abandon(which) if !self.waiting.is_empty() => {
                let (ticket, names) = self.waiting.swap_remove(which % self.waiting.len());
                let sent = self.calls.slot(ticket).map(|slot| slot.begins < self.written);
                drop(self.calls.abandon(ticket));
                let taken = self.taken_at + self.taken.len() as u64;
                if sent == Some(false) && self.calls.taken() == taken {
                    assert!(names.iter().all(|name| !self.whole().contains(name)));
                }
            }
            Step::Take if self.written == self.taken_at + self.taken.len() as u64 || self.taken.is_empty() => {
                self.taken.clear();
                self.taken_at = self.calls.take_out(&mut self.taken);
                self.written = self.taken_at;
            }
            Step::Write(bytes) => {
                let rest = &self.taken[(self.written - self.taken_at) as usize..];
                let sent = rest.len().min(bytes);
                self.received.extend_from_slice(&rest[..sent]);
                self.written += sent as u64;
            }
            Step::Reply(count) => self.reply(count),
            Step::Lose => {
                let rest = self.taken[(self.written - self.taken_at) as usize..].to_vec();
                self.calls.lose(self.written, &rest, &lost(), &mut Vec::new());
                let ran = self.whole();
                self.ran.extend(ran);
                self.received.clear();
                self.answered = 0;
                self.taken.clear();
                self.taken_at = self.calls.take_out(&mut self.taken);
                self.written = self.taken_at;
            }
            Step::Down => {
                self.step(&Step::Lose);
                // What was taken after the break is of no connection yet.
                let rest = std::mem::take(&mut self.taken);
                self.calls.lose(self.taken_at, &rest, &lost(), &mut Vec::new());
                self.calls.fail_all(&lost(), &mut Vec::new());
                self.taken_at = self.calls.take_out(&mut self.taken);
                self.written = self.taken_at;
            }
            Step::Pass(us) => {
                self.now_us += us;
                self.calls.expire(self.now_us, &mut Vec::new());
            }
            Step::Poll(which) if !self.waiting.is_empty() => self.poll(which % self.waiting.len()),
            Step::Abandon(_) | Step::Take | Step::Poll(_) => {}
        }
    }

    fn submit(&mut self, pipeline: bool, patience_us: u64) {
        let count = 1 + usize::from(pipeline);
        let names: Vec<_> = (0..count).map(|number| format!("c{}", self.made + number)).collect();
        self.made += count;
        let order = Order {
            replies: count as u32,
            now_us: self.now_us,
            deadline_us: self.now_us + patience_us,
        };
        let encode = |out: &mut Encoder<'_>| {
            for name in &names {
                out.request(&[name], &());
            }
        };
        let submitted = self.calls.submit(order, encode, waker());
        match submitted {
            Ok(ticket) => self.waiting.push((ticket, names)),
            Err(refused) => assert_eq!(refused, Refused::Busy(100)),
        }
    }

    fn reply(&mut self, count: usize) {
        let ready = self.whole();
        for name in ready.iter().skip(self.answered).take(count) {
            self.calls
                .reply(value(name), self.written, self.now_us, &mut Vec::new())
                .expect("it was asked");
            self.answered += 1;
        }
    }

    fn poll(&mut self, which: usize) {
        let (ticket, names) = &self.waiting[which];
        let Poll::Ready(result) = self.calls.poll(*ticket, Waker::noop()) else {
            return;
        };
        match result {
            Ok(Value::Array(values)) => assert_eq!(values, names.iter().map(|name| value(name)).collect::<Vec<_>>()),
            Ok(one) => assert_eq!(vec![one], [value(&names[0])]),
            Err(Error::Timeout { sent: false, .. }) => {
                assert!(
                    names
                        .iter()
                        .all(|name| !self.whole().contains(name) && !self.ran.contains(name))
                );
            }
            Err(Error::Timeout { .. } | Error::Lost { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        self.waiting.swap_remove(which);
    }
}

proptest! {
    #[test]
    fn no_call_gets_anothers_reply_and_no_slot_is_lost(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        // In the end everything is sent and answered, and then nothing is left.
        for _ in 0..world.made + 4 {
            world.step(&Step::Write(usize::MAX));
            world.step(&Step::Reply(usize::MAX));
            world.step(&Step::Take);
        }
        while !world.waiting.is_empty() {
            let before = world.waiting.len();
            world.step(&Step::Poll(0));
            prop_assert!(world.waiting.len() < before, "a call without an end: {:?}", world.waiting[0]);
        }
        prop_assert_eq!(world.calls.pending(), 0);
        prop_assert_eq!(world.calls.free.len(), world.calls.slots.len());
        let mut ran = world.ran.clone();
        ran.extend(world.whole());
        let count = ran.len();
        ran.sort();
        ran.dedup();
        prop_assert_eq!(ran.len(), count, "a request ran twice");
    }
}
