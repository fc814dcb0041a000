//! Where slabs come from: on a large node, from huge pages that all stripes share.
//!
//! Random access to gigabytes in 4 KiB pages spends more time on address translation than on the data,
//! so a large node maps regions that the kernel may back with 2 MiB pages, and cuts slabs from them.
//! Slabs are taken from the lowest page that has room, so that pages at the end empty as data shrinks;
//! an empty page is given back to the system at once, but for one and the one that is touched ahead, and so is a slab
//! when many are free in pages that are not empty. To touch a page for the first time takes the kernel
//! (and a virtual machine's host) milliseconds, so a thread of the pool touches the next one while the
//! current one fills. A small node, which must not lose megabytes to
//! pages that are barely used, takes its slabs from the process's allocator.

use super::class::MAX_SLAB_BYTES;
use crossbeam_utils::CachePadded;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::collections::BTreeSet;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

const PAGE: usize = 2 << 20;
/// Pages that are mapped together, so that the number of mappings stays far below the system's limit.
const REGION_PAGES: usize = 32;
/// Alignment of a slab of a small node, so that small blocks straddle as few cache lines as they can.
const SLAB_ALIGN: usize = 64;
/// Slabs of the smallest size in a page, in words of 64.
const WORDS: usize = PAGE / 4096 / 64;

/// Free slabs that stay in memory, for pages that are whole are faster; or this share of what is taken, if more.
const SPARE_BYTES: usize = 2 * PAGE;
const SPARE_SHARE: usize = 32;
/// Sizes of slabs: powers of two, from the smallest to 64 KiB.
const ORDERS: usize = (MAX_SLAB_BYTES / 4096).ilog2() as usize + 1;

/// One huge page and which of its slabs are taken, in units of the smallest.
struct Page {
    base: NonNull<u8>,
    taken: [u64; WORDS],
    /// Units that may have memory behind them.
    resident: [u64; WORDS],
    /// Memory stands behind it, or is being fetched.
    touched: bool,
}

/// Where slabs of an order begin, in a word of units: at multiples of their size.
fn starts(order: usize) -> u64 {
    u64::MAX / run(order)
}

/// The lowest `1 << order` bits.
fn run(order: usize) -> u64 {
    (1 << (1 << order)) - 1
}

impl Page {
    /// The unit at which a slab of `1 << order` units can be taken.
    fn room(&self, order: usize) -> Option<usize> {
        self.taken.iter().enumerate().find_map(|(word, taken)| {
            let mut free = !taken;
            for step in 0..order {
                free &= free >> (1 << step);
            }
            free &= starts(order);
            (free != 0).then(|| word * 64 + free.trailing_zeros() as usize)
        })
    }

    fn count(units: &[u64; WORDS]) -> usize {
        units.iter().map(|word| word.count_ones() as usize).sum()
    }
}

/// The bits of `1 << order` units from `unit` on, and the word that they are in.
fn bits(unit: usize, order: usize) -> (usize, u64) {
    (unit / 64, run(order) << (unit % 64))
}

/// An address within a mapping, to be touched.
struct Untouched(NonNull<u8>);

// SAFETY: it is only handed to the kernel, which tells whether it is mapped.
unsafe impl Send for Untouched {}

/// The thread that touches pages ahead of their use.
struct Toucher {
    orders: SyncSender<Untouched>,
    thread: JoinHandle<()>,
}

impl Toucher {
    fn start() -> Option<Toucher> {
        let (orders, inbox) = sync_channel(1);
        let thread = std::thread::Builder::new().name("larder-pages".into());
        let thread = thread.spawn(move || touch_all(&inbox)).ok()?;
        Some(Toucher { orders, thread })
    }
}

fn touch_all(inbox: &Receiver<Untouched>) {
    for page in inbox {
        touch(&page);
    }
}

/// Has the kernel put memory behind a page, without changing what is there.
fn touch(page: &Untouched) {
    #[cfg(target_os = "linux")]
    // SAFETY: populating changes no content; the page lies in a mapping that outlives this thread.
    unsafe {
        libc::madvise(page.0.as_ptr().cast(), PAGE, libc::MADV_POPULATE_WRITE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = page.0;
}

struct Pages {
    /// Bytes of a unit: the smallest slab.
    unit: usize,
    pages: Vec<Page>,
    /// Per order, the pages in which such a slab can be taken.
    with_room: [BTreeSet<usize>; ORDERS],
    regions: Vec<memmap2::MmapMut>,
    toucher: Option<Toucher>,
    taken_bytes: usize,
    resident_bytes: usize,
}

// SAFETY: a page's pointer is into a region that the same struct owns.
unsafe impl Send for Pages {}

/// A source of slabs, shared by the tables of a keyspace, and what all of them together hold.
pub(in crate::store) struct Pool {
    slab_bytes: usize,
    huge: Option<Mutex<Pages>>,
    /// Bytes that the keyspace holds, as told by the stripes; what pages hold beside slabs is told here.
    total: CachePadded<AtomicUsize>,
}

impl Pool {
    /// A pool whose smallest slabs have `slab_bytes`, a power of two from 4 KiB to 64 KiB.
    pub(in crate::store) fn new(slab_bytes: usize, huge_pages: bool) -> Arc<Pool> {
        debug_assert!(slab_bytes.is_power_of_two() && (4096..=MAX_SLAB_BYTES).contains(&slab_bytes));
        let huge = huge_pages.then(|| Mutex::new(Pages::new(slab_bytes)));
        Arc::new(Pool {
            slab_bytes,
            huge,
            total: CachePadded::new(AtomicUsize::new(0)),
        })
    }

    /// Bytes of the smallest slabs.
    pub(in crate::store) fn slab_bytes(&self) -> usize {
        self.slab_bytes
    }

    /// Bytes that the keyspace holds.
    #[inline]
    pub(in crate::store) fn total_bytes(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Adds to what the keyspace holds; wraps, so that a difference may be negative.
    pub(in crate::store) fn tell(&self, difference: usize) {
        self.total.fetch_add(difference, Ordering::Relaxed);
    }

    /// Bytes of pages that no slab has taken.
    pub(in crate::store) fn spare_bytes(&self) -> usize {
        self.huge.as_ref().map_or(0, |huge| self.lock(huge).spare_bytes())
    }

    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, SLAB_ALIGN).expect("a power of two up to 64 KiB")
    }

    fn lock<'p>(&self, huge: &'p Mutex<Pages>) -> MutexGuard<'p, Pages> {
        huge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the pages, and tells the total by how much what they hold beside slabs has changed.
    fn change<R>(&self, huge: &Mutex<Pages>, change: impl FnOnce(&mut Pages) -> R) -> R {
        let mut pages = self.lock(huge);
        let before = pages.spare_bytes();
        let result = change(&mut pages);
        self.tell(pages.spare_bytes().wrapping_sub(before));
        result
    }

    /// A slab of `bytes`, a power of two, its content undefined. It must be given back to this pool.
    pub(in crate::store) fn take(&self, bytes: usize) -> NonNull<u8> {
        if let Some(huge) = &self.huge
            && let Some(slab) = self.change(huge, |pages| pages.take(bytes))
        {
            return slab;
        }
        let layout = Self::layout(bytes);
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { alloc(layout) };
        NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout))
    }

    /// Takes a slab back.
    ///
    /// # Safety
    /// `slab` came from `take` of this pool, with so many bytes, and nothing refers to it any more.
    pub(in crate::store) unsafe fn give(&self, slab: NonNull<u8>, bytes: usize) {
        if let Some(huge) = &self.huge
            && self.change(huge, |pages| pages.give(slab, bytes))
        {
            return;
        }
        // SAFETY: a slab that is in no page came from the allocator, with this layout.
        unsafe { dealloc(slab.as_ptr(), Self::layout(bytes)) };
    }
}

impl Pages {
    fn new(unit: usize) -> Pages {
        Pages {
            unit,
            pages: Vec::new(),
            with_room: Default::default(),
            regions: Vec::new(),
            toucher: Toucher::start(),
            taken_bytes: 0,
            resident_bytes: 0,
        }
    }

    fn order(&self, bytes: usize) -> usize {
        (bytes / self.unit).ilog2() as usize
    }

    /// Memory behind pages that no slab has taken.
    fn spare_bytes(&self) -> usize {
        self.resident_bytes.saturating_sub(self.taken_bytes)
    }

    fn take(&mut self, bytes: usize) -> Option<NonNull<u8>> {
        let (order, padding) = (self.order(bytes), self.padding());
        if self.with_room[order].is_empty() {
            self.add_region()?;
        }
        let number = *self.with_room[order].first()?;
        let page = &mut self.pages[number];
        let unit = page.room(order)?;
        let (word, run) = bits(unit, order);
        let first = Page::count(&page.taken) == padding;
        page.taken[word] |= run;
        if !page.touched {
            page.touched = true;
            page.resident = [u64::MAX; WORDS];
            self.resident_bytes += PAGE;
        } else {
            self.resident_bytes += (run & !page.resident[word]).count_ones() as usize * self.unit;
            page.resident[word] |= run;
        }
        self.taken_bytes += bytes;
        let base = page.base;
        self.sort(number);
        if first {
            self.touch_next();
        }
        // SAFETY: the page has room, so the slab lies within it.
        Some(unsafe { base.add(unit * self.unit) })
    }

    /// Bits of a page's words that stand for no unit, as units may be larger than the smallest slabs there are.
    fn padding(&self) -> usize {
        WORDS * 64 - PAGE / self.unit
    }

    /// Lists a page under the orders that it has room for.
    fn sort(&mut self, number: usize) {
        let page = &self.pages[number];
        for (order, with_room) in self.with_room.iter_mut().enumerate() {
            if page.room(order).is_some() {
                with_room.insert(number);
            } else {
                with_room.remove(&number);
            }
        }
    }

    /// Has the page after the current one touched, if it was not.
    fn touch_next(&mut self) {
        if self.with_room[0].len() < 2 && self.add_region().is_none() {
            return;
        }
        let Some(&next) = self.with_room[0].iter().nth(1) else {
            return;
        };
        let page = &mut self.pages[next];
        if let Some(toucher) = self.toucher.as_ref().filter(|_| !page.touched)
            && toucher.orders.try_send(Untouched(page.base)).is_ok()
        {
            page.touched = true;
            page.resident = [u64::MAX; WORDS];
            self.resident_bytes += PAGE;
        }
    }

    /// False if the slab is in none of the pages.
    fn give(&mut self, slab: NonNull<u8>, bytes: usize) -> bool {
        let start = slab.as_ptr() as usize & !(PAGE - 1);
        let Some(number) = self.find(start) else { return false };
        let (order, padding) = (self.order(bytes), self.padding());
        let page = &mut self.pages[number];
        let (word, run) = bits((slab.as_ptr() as usize - start) / self.unit, order);
        page.taken[word] &= !run;
        self.taken_bytes -= bytes;
        let spare = self.resident_bytes.saturating_sub(self.taken_bytes);
        if Page::count(&page.taken) == padding && spare > SPARE_BYTES {
            let resident = (Page::count(&page.resident) - padding) * self.unit;
            page.touched = false;
            release(page.base, PAGE);
            self.resident_bytes -= resident;
        } else if spare > SPARE_BYTES.max(self.taken_bytes / SPARE_SHARE) {
            page.resident[word] &= !run;
            release(slab, bytes);
            self.resident_bytes -= bytes;
        }
        self.sort(number);
        true
    }

    /// The number of the page at this address: regions are searched, there is one per 64 MiB.
    fn find(&self, start: usize) -> Option<usize> {
        let first = (0..self.pages.len()).step_by(REGION_PAGES);
        first.into_iter().find_map(|first| {
            let base = self.pages[first].base.as_ptr() as usize;
            let inside = start.checked_sub(base)? / PAGE;
            (inside < REGION_PAGES).then_some(first + inside)
        })
    }

    fn add_region(&mut self) -> Option<()> {
        let mut region = memmap2::MmapOptions::new()
            .len((REGION_PAGES + 1) * PAGE)
            .map_anon()
            .ok()?;
        #[cfg(target_os = "linux")]
        // Without huge pages the region works all the same.
        let _ = region.advise(memmap2::Advice::HugePage);
        let start = region.as_mut_ptr();
        let aligned = start.wrapping_add(start.align_offset(PAGE));
        let units = PAGE / self.unit;
        let mut taken = [u64::MAX; WORDS];
        (0..units).for_each(|unit| taken[unit / 64] &= !(1 << (unit % 64)));
        for index in 0..REGION_PAGES {
            let base = NonNull::new(aligned.wrapping_add(index * PAGE))?;
            self.pages.push(Page {
                base,
                taken,
                resident: [u64::MAX; WORDS],
                touched: false,
            });
            self.sort(self.pages.len() - 1);
        }
        self.regions.push(region);
        Some(())
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // Its thread must have ended before the regions are unmapped.
        if let Some(Toucher { orders, thread }) = self.toucher.take() {
            drop(orders);
            let _ = thread.join();
        }
    }
}

/// Gives the memory of an empty page, or of a free slab of one, back to the system; its addresses stay ours.
fn release(base: NonNull<u8>, bytes: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: it is a part of a private anonymous mapping and no slab in it is taken, so nobody misses its content.
    unsafe {
        libc::madvise(base.as_ptr().cast(), bytes, libc::MADV_DONTNEED);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (base, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slabs_of_all_sizes_share_pages_and_the_total_comes_back_to_nothing() {
        for unit in [4096, 8192, 65536] {
            let pool = Pool::new(unit, true);
            let mut seed = 11u64;
            let mut live: Vec<(NonNull<u8>, usize, u8)> = Vec::new();
            for step in 0..6000u32 {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let roll = (seed >> 33) as usize;
                let most = if step / 1000 % 2 == 0 { 900 } else { 30 };
                if live.len() > most || (roll.is_multiple_of(3) && !live.is_empty()) {
                    let (slab, bytes, mark) = live.swap_remove(roll % live.len());
                    // SAFETY: the slab is taken, `bytes` long, and given back once.
                    unsafe {
                        assert!([0, bytes - 1].iter().all(|&at| slab.add(at).read() == mark));
                        pool.give(slab, bytes);
                    }
                } else {
                    let bytes = (unit << (roll % ORDERS)).min(MAX_SLAB_BYTES);
                    let slab = pool.take(bytes);
                    assert!((slab.as_ptr() as usize).is_multiple_of(SLAB_ALIGN));
                    // SAFETY: the slab is ours and `bytes` long.
                    unsafe { [0, bytes - 1].iter().for_each(|&at| slab.add(at).write(step as u8)) };
                    live.push((slab, bytes, step as u8));
                }
                let taken: usize = live.iter().map(|(_, bytes, _)| bytes).sum();
                assert_eq!(pool.total_bytes(), pool.spare_bytes());
                let most = SPARE_BYTES.max(taken / SPARE_SHARE) + 2 * PAGE;
                assert!(pool.spare_bytes() <= most, "{} > {most}", pool.spare_bytes());
            }
            for (slab, bytes, _) in live {
                // SAFETY: as above.
                unsafe { pool.give(slab, bytes) };
            }
            // At most one page and the one that was touched ahead are left.
            assert!(pool.total_bytes() <= 2 * PAGE, "{}", pool.total_bytes());
        }
    }

    #[test]
    fn a_slab_that_comes_and_goes_alone_keeps_its_page() {
        let pool = Pool::new(65536, true);
        let slab = pool.take(65536);
        // SAFETY: the slab is taken, 64 KiB long, and given back once.
        unsafe {
            slab.write(7);
            pool.give(slab, 65536);
        }
        assert!(
            (PAGE..=2 * PAGE).contains(&pool.total_bytes()),
            "{}",
            pool.total_bytes()
        );
        let again = pool.take(65536);
        // SAFETY: as above. A page that had been given back would read as zeros.
        unsafe {
            assert_eq!((again, again.read()), (slab, 7));
            pool.give(again, 65536);
        }
    }
}
