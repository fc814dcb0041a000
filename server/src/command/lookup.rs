//! Finding a command by its name, fast: every request does it.
//!
//! A name is folded into two words of eight bytes with every byte's case bit set, so that upper and lower case
//! are the same and a comparison is three integers. The words hash into an open-addressed table of ids that is
//! filled when the crate is compiled and at most a quarter full. Setting the case bit maps letters exactly, but
//! merges some other bytes (`_` and DEL); for the few names that have such bytes, and for names over 16 bytes,
//! whose middle is not in the words, a byte comparison has the last word.

use super::Command;
use super::table::{COMMANDS, TOP_LEVEL_COUNT};

const SLOT_COUNT: usize = (TOP_LEVEL_COUNT * 4).next_power_of_two();
const EMPTY: u16 = u16::MAX;
const CASE_BITS: u64 = 0x2020_2020_2020_2020;
const LONGEST_NAME: usize = 32;

/// A name, as it is compared.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Folded {
    head: u64,
    tail: u64,
    len: u8,
    needs_bytes: bool,
}

impl Folded {
    #[inline]
    const fn of(name: &[u8]) -> Option<Folded> {
        let len = name.len();
        let (head, tail) = match len {
            0 => return None,
            1..=3 => {
                let middle = (name[len / 2] as u64) << 8;
                (name[0] as u64 | middle | (name[len - 1] as u64) << 16, 0)
            }
            4..=8 => match (name.first_chunk(), name.last_chunk()) {
                (Some(head), Some(tail)) => (
                    u32::from_le_bytes(*head) as u64 | (u32::from_le_bytes(*tail) as u64) << 32,
                    0,
                ),
                _ => return None,
            },
            _ => match (name.first_chunk(), name.last_chunk()) {
                (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
                _ => return None,
            },
        };
        if len > LONGEST_NAME {
            return None;
        }
        Some(Folded {
            head: head | CASE_BITS,
            tail: tail | CASE_BITS,
            len: len as u8,
            needs_bytes: false,
        })
    }

    /// A name of the table, which says whether folding keeps all there is to know.
    pub(super) const fn of_row(name: &str) -> Folded {
        let Some(mut folded) = Folded::of(name.as_bytes()) else {
            panic!("a command's name has 1 to 32 bytes");
        };
        folded.needs_bytes = name.len() > 16;
        let mut i = 0;
        while i < name.len() {
            let byte = name.as_bytes()[i];
            assert!(!byte.is_ascii_uppercase(), "names in the table are in lower case");
            folded.needs_bytes |= !byte.is_ascii_lowercase();
            i += 1;
        }
        folded
    }

    #[inline]
    const fn slot(self) -> usize {
        let mixed = (self.head ^ self.tail.rotate_left(29)).wrapping_add(self.len as u64);
        (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - SLOT_COUNT.trailing_zeros())) as usize
    }

    #[inline]
    const fn matches(self, name: Folded) -> bool {
        self.head == name.head && self.tail == name.tail && self.len == name.len
    }
}

static SLOTS: [u16; SLOT_COUNT] = fill_slots();

const fn fill_slots() -> [u16; SLOT_COUNT] {
    let mut slots = [EMPTY; SLOT_COUNT];
    let mut id = 0;
    while id < TOP_LEVEL_COUNT {
        let mut at = COMMANDS[id].folded.slot();
        while slots[at] != EMPTY {
            let other = COMMANDS[slots[at] as usize].folded;
            assert!(!other.matches(COMMANDS[id].folded), "two commands have the same name");
            at = (at + 1) % SLOT_COUNT;
        }
        slots[at] = id as u16;
        id += 1;
    }
    slots
}

/// The command called `name`, in any case. Subcommands are found through [`resolve`].
#[must_use]
#[inline]
pub fn lookup(name: &[u8]) -> Option<&'static Command> {
    let folded = Folded::of(name)?;
    let command = COMMANDS.get(usize::from(SLOTS[folded.slot() % SLOT_COUNT]))?;
    if command.folded.matches(folded) && !command.folded.needs_bytes {
        return Some(command);
    }
    lookup_by_probing(name)
}

/// The rare rest of [`lookup`], kept out of its way (it starts anew, so that nothing needs to be handed over): the
/// slot is another's, or bytes must be compared.
#[cold]
#[inline(never)]
fn lookup_by_probing(name: &[u8]) -> Option<&'static Command> {
    let folded = Folded::of(name)?;
    let mut at = folded.slot();
    loop {
        let command = COMMANDS.get(usize::from(SLOTS[at % SLOT_COUNT]))?;
        if command.folded.matches(folded)
            && (!command.folded.needs_bytes || command.full_name.as_bytes().eq_ignore_ascii_case(name))
        {
            return Some(command);
        }
        at += 1;
    }
}

/// Why a call names no command.
#[derive(Clone, Copy, Debug)]
pub enum Unknown {
    /// There is no command of this name.
    Command,
    /// This command has no subcommand of this name.
    Subcommand(&'static Command),
}

/// The command that a call with this name and first argument means: a subcommand if the command has any.
///
/// A command with subcommands that is called without argument is returned itself; its arity then decides.
///
/// # Errors
/// [`Unknown`] says which of the two names means nothing.
#[inline]
pub fn resolve(name: &[u8], first_arg: Option<&[u8]>) -> Result<&'static Command, Unknown> {
    let command = lookup(name).ok_or(Unknown::Command)?;
    match first_arg {
        Some(sub) if command.children.1 > 0 => command.subcommand(sub).ok_or(Unknown::Subcommand(command)),
        _ => Ok(command),
    }
}

/// The command or subcommand with this full name, such as `get` or `config|get`, in any case.
#[must_use]
pub fn lookup_full(name: &[u8]) -> Option<&'static Command> {
    match name.iter().position(|&byte| byte == b'|') {
        None => lookup(name),
        Some(bar) => lookup(&name[..bar])?.subcommand(&name[bar + 1..]),
    }
}
