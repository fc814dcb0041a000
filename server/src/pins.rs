//! Large values that wait in connections' outputs, counted.
//!
//! Such a value is not copied for a reply: the store and any number of outputs hold the same memory. When the store lets go
//! of it, the outputs keep it, so it must be counted with them; but once, however many they are.

use crate::memory::count_buffers;
use crate::node::Node;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

/// Large values that outputs hold. Many may hold the same one, which takes its memory once.
#[derive(Default)]
pub(crate) struct Pins {
    /// By the address at which a value ends: how many outputs hold it, and what it was counted with.
    values: Mutex<HashMap<usize, (usize, usize)>>,
}

impl Pins {
    /// Counts the values of an output, each given as its end and its length, in place of those that it had before.
    pub(crate) fn exchange(&self, node: &Node, held: &mut Vec<usize>, values: impl Iterator<Item = (usize, usize)>) {
        let mut pins = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut more, mut less) = (0, 0);
        let taken = values.map(|(end, len)| {
            let (holders, _) = pins.entry(end).or_insert_with(|| {
                more += len;
                (0, len)
            });
            *holders += 1;
            end
        });
        let taken = taken.collect();
        for end in std::mem::replace(held, taken) {
            if let Entry::Occupied(mut pin) = pins.entry(end) {
                pin.get_mut().0 -= 1;
                if pin.get().0 == 0 {
                    less += pin.remove().1;
                }
            }
        }
        drop(pins);
        if more != less {
            count_buffers(node, less, more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Settings};
    use crate::resp::encode::{Output, Reply, Version};
    use bytes::Bytes;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_value_that_many_outputs_hold_counts_once_until_the_last_has_sent_it() {
        let node = Node::new(Config::new(Settings::default()));
        let counted = || node.client_bytes.load(Ordering::Relaxed);
        let value = Bytes::from(vec![b'v'; 100_000]);
        let mut readers: Vec<(Output, Vec<usize>)> = (0..10).map(|_| Default::default()).collect();
        for (output, held) in &mut readers {
            Reply::new(output, Version::Resp2).bulk_shared(&value);
            node.pins.exchange(&node, held, output.shared());
            assert_eq!(counted(), 100_000);
        }
        // Sent in part it is the same value still.
        for (output, held) in &mut readers {
            output.advance(50_000);
            node.pins.exchange(&node, held, output.shared());
            assert_eq!(counted(), 100_000);
        }
        let other = Bytes::from(vec![b'w'; 30_000]);
        Reply::new(&mut readers[0].0, Version::Resp2).bulk_shared(&other);
        let (output, held) = &mut readers[0];
        node.pins.exchange(&node, held, output.shared());
        assert_eq!(counted(), 130_000);
        for (left, (output, held)) in readers.iter_mut().enumerate() {
            assert!(counted() >= 100_000, "{left} have sent it");
            output.clear();
            node.pins.exchange(&node, held, output.shared());
        }
        assert_eq!(counted(), 0);
    }
}
