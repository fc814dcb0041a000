//! The functions that are compared. Those of others are written from their papers.

use larder_cluster::ketama::{Continuum, KeyHash};
use larder_cluster::placement::{Member, Table};
use larder_cluster::slot::{Slot, slot_of};

/// A function that places keys on nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// This project's.
    Larder,
    /// Weighted ketama: 160 points for each node.
    Ketama,
    /// Jump consistent hash (Lamping and Veach 2014). It numbers nodes; here the list's order does.
    Jump,
    /// Maglev's table of 65,537 entries (Eisenbud et al. 2016).
    Maglev,
    /// Rendezvous (Thaler and Ravishankar 1998) over the 16,384 slots, with a hash for each pair of slot and node.
    Rendezvous,
}

/// Who owns equal parts of the keyspace: slots, entries of a table, or sections of a circle.
#[derive(Clone, Debug)]
pub struct Placed {
    /// For each part, the index of its owner.
    pub owners: Vec<u16>,
}

/// From a key to a node's index.
pub type Locator = Box<dyn Fn(&[u8]) -> usize>;

const MAGLEV_ENTRIES: usize = 65_537;
/// The circle of ketama is looked at in so many places, evenly spaced.
const PLACES: u32 = 1 << 18;

impl Function {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Larder, Self::Ketama, Self::Jump, Self::Maglev, Self::Rendezvous];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Larder => "larder",
            Self::Ketama => "ketama, 160 points",
            Self::Jump => "jump",
            Self::Maglev => "maglev, 65,537",
            Self::Rendezvous => "rendezvous",
        }
    }

    /// Places the whole keyspace on `members`.
    ///
    /// # Errors
    /// If the members are none that the function takes.
    pub fn place(self, members: &[Member]) -> anyhow::Result<Placed> {
        let owners = match self {
            Self::Larder => {
                let table = Table::new(members)?;
                Slot::all().map(|slot| table.owner(slot) as u16).collect()
            }
            Self::Ketama => {
                let continuum = Continuum::new(members, KeyHash::Md5)?;
                let step = u32::MAX / PLACES;
                (0..PLACES)
                    .map(|place| continuum.owner_at(place * step) as u16)
                    .collect()
            }
            Self::Jump => {
                let slots = Slot::all().map(|slot| mix(u64::from(slot.number())));
                slots.map(|hash| jump(hash, members.len()) as u16).collect()
            }
            Self::Maglev => maglev(members),
            Self::Rendezvous => rendezvous(members),
        };
        Ok(Placed { owners })
    }

    /// Builds what a look-up needs.
    ///
    /// # Errors
    /// If the members are none that the function takes.
    pub fn locator(self, members: &[Member]) -> anyhow::Result<Locator> {
        Ok(match self {
            Self::Larder => {
                let table = Table::new(members)?;
                Box::new(move |key| table.owner_of(key))
            }
            Self::Ketama => {
                let continuum = Continuum::new(members, KeyHash::Md5)?;
                Box::new(move |key| continuum.owner_of(key))
            }
            Self::Jump => {
                let nodes = members.len();
                Box::new(move |key| jump(hash(key), nodes))
            }
            Self::Maglev => {
                let table = maglev(members);
                Box::new(move |key| usize::from(table[(hash(key) % MAGLEV_ENTRIES as u64) as usize]))
            }
            Self::Rendezvous => {
                let table = rendezvous(members);
                Box::new(move |key| usize::from(table[slot_of(key).index()]))
            }
        })
    }
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

fn hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let whole = words
        .iter()
        .fold(bytes.len() as u64, |hash, word| mix(hash ^ u64::from_le_bytes(*word)));
    rest.iter().fold(whole, |hash, byte| mix(hash ^ u64::from(*byte)))
}

fn jump(mut key: u64, nodes: usize) -> usize {
    let (mut bucket, mut next) = (0, 0);
    while next < nodes as u64 {
        bucket = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        next = ((bucket + 1) as f64 * ((1u64 << 31) as f64 / ((key >> 33) + 1) as f64)) as u64;
    }
    bucket as usize
}

fn maglev(members: &[Member]) -> Vec<u16> {
    const NOBODY: u16 = u16::MAX;
    let entries = MAGLEV_ENTRIES as u64;
    let mut walks: Vec<_> = members
        .iter()
        .map(|member| {
            let seed = hash(member.name.as_bytes());
            (seed % entries, mix(seed) % (entries - 1) + 1)
        })
        .collect();
    let mut owners = vec![NOBODY; MAGLEV_ENTRIES];
    let mut free = MAGLEV_ENTRIES;
    // Turns are taken in the order of names, as the paper's backends are sorted.
    let mut turns: Vec<_> = (0..members.len()).collect();
    turns.sort_unstable_by_key(|index| &members[*index].name);
    'fill: loop {
        for index in &turns {
            let (at, skip) = &mut walks[*index];
            while owners[*at as usize] != NOBODY {
                *at = (*at + *skip) % entries;
            }
            owners[*at as usize] = *index as u16;
            free -= 1;
            if free == 0 {
                break 'fill;
            }
        }
    }
    owners
}

fn rendezvous(members: &[Member]) -> Vec<u16> {
    let seeds: Vec<_> = members.iter().map(|member| hash(member.name.as_bytes())).collect();
    let owner = |slot: Slot| {
        let scores = seeds.iter().map(|seed| mix(seed ^ mix(u64::from(slot.number()))));
        let best = (0u16..).zip(scores).max_by_key(|(_, score)| *score);
        best.map_or(0, |(index, _)| index)
    };
    Slot::all().map(owner).collect()
}
