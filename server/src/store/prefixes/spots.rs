//! Where keys of a prefix were seen, so that a small prefix in a large keyspace finds keys of its own to evict.
//!
//! A spot is a place in the order of a scan. The list is a sample of the prefix's keys: a new key enters with the
//! probability that keeps it one, and a cursor that walks the stripe adds to it what it meets. As long as a stripe
//! has fewer keys of the prefix than the list has room, nearly all are in it.

/// Most spots that are remembered per prefix and stripe: 2 KiB.
const MAX_SPOTS: usize = 256;
/// With fewer than these, whatever comes is taken.
const FEW_SPOTS: usize = MAX_SPOTS / 8;

/// A place: table and order of scan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) struct Spot {
    pub(in crate::store) order: u32,
    table: u16,
}

impl Spot {
    /// A node has at most 256 databases, and so tables.
    pub(in crate::store) fn new(table: usize, order: u32) -> Spot {
        Spot {
            order,
            table: table as u16,
        }
    }

    pub(in crate::store) fn table(self) -> usize {
        usize::from(self.table)
    }
}

/// The spots of one prefix in one stripe.
#[derive(Default)]
pub(in crate::store) struct Spots {
    list: Vec<Spot>,
    /// Where the walk that finds more goes on: table and cursor.
    pub(in crate::store) walk: (usize, u32),
}

impl Spots {
    /// Remembers a key that is new, one of `keys` of its prefix. `random` differs from key to key.
    pub(super) fn note(&mut self, spot: Spot, keys: usize, random: u64) {
        let fits = random % (keys as u64).max(1) < MAX_SPOTS as u64;
        if self.list.len() < FEW_SPOTS || fits {
            self.add(spot, random);
        }
    }

    /// Remembers a spot, in the place of any other if there is no room.
    pub(super) fn add(&mut self, spot: Spot, random: u64) {
        if self.list.len() < MAX_SPOTS {
            self.list.push(spot);
        } else {
            self.list[(random >> 16) as usize % MAX_SPOTS] = spot;
        }
    }

    /// Bytes allocated.
    pub(super) fn bytes(&self) -> usize {
        self.list.capacity() * size_of::<Spot>()
    }

    /// One of the spots, and where it is in the list; `None` if there is none.
    pub(in crate::store) fn draw(&self, random: u64) -> Option<(usize, Spot)> {
        let at = (random as usize).checked_rem(self.list.len())?;
        Some((at, self.list[at]))
    }

    /// Forgets a spot by its place in the list: no key of the prefix is there any more.
    pub(in crate::store) fn forget(&mut self, at: usize) {
        self.list.swap_remove(at);
    }

    /// Whether the walk should add some, of a prefix with so many keys.
    pub(super) fn are_few(&self, keys: usize) -> bool {
        self.list.len() < keys.min(MAX_SPOTS / 2)
    }
}
