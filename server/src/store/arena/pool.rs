//! Where slabs come from: on a large node, from huge pages that all stripes share.
//!
//! Random access to gigabytes in 4 KiB pages spends more time on address translation than on the data,
//! so a large node maps regions that the kernel may back with 2 MiB pages, and cuts slabs from them.
//! Slabs are taken from the lowest page that has room, so that pages at the end empty as data shrinks;
//! an empty page is given back to the system at once. To touch a page for the first time takes the kernel
//! (and a virtual machine's host) milliseconds, so a thread of the pool touches the next one while the
//! current one fills. A small node, which must not lose megabytes to
//! pages that are barely used, takes its slabs from the process's allocator.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::collections::BTreeSet;
use std::ptr::NonNull;
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

/// One huge page and which of its slabs are taken.
struct Page {
    base: NonNull<u8>,
    taken: [u64; WORDS],
    count: usize,
    /// Memory stands behind it, or is being fetched.
    touched: bool,
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

#[derive(Default)]
struct Pages {
    pages: Vec<Page>,
    with_room: BTreeSet<usize>,
    regions: Vec<memmap2::MmapMut>,
    toucher: Option<Toucher>,
}

// SAFETY: a page's pointer is into a region that the same struct owns.
unsafe impl Send for Pages {}

/// A source of slabs of one size, shared by the tables of a keyspace.
pub(in crate::store) struct Pool {
    slab_bytes: usize,
    huge: Option<Mutex<Pages>>,
}

impl Pool {
    /// A pool of slabs of `slab_bytes`, a power of two from 4 KiB to 64 KiB.
    pub(in crate::store) fn new(slab_bytes: usize, huge_pages: bool) -> Arc<Pool> {
        debug_assert!(slab_bytes.is_power_of_two() && (4096..=65536).contains(&slab_bytes));
        let huge = huge_pages.then(|| {
            let mut pages = Pages::default();
            pages.toucher = Toucher::start();
            Mutex::new(pages)
        });
        Arc::new(Pool { slab_bytes, huge })
    }

    pub(in crate::store) fn slab_bytes(&self) -> usize {
        self.slab_bytes
    }

    fn layout(&self) -> Layout {
        Layout::from_size_align(self.slab_bytes, SLAB_ALIGN).expect("a power of two up to 64 KiB")
    }

    fn lock<'p>(&self, huge: &'p Mutex<Pages>) -> MutexGuard<'p, Pages> {
        huge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slab, its content undefined. It must be given back to this pool.
    pub(in crate::store) fn take(&self) -> NonNull<u8> {
        if let Some(huge) = &self.huge
            && let Some(slab) = self.lock(huge).take(self.slab_bytes)
        {
            return slab;
        }
        let layout = self.layout();
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { alloc(layout) };
        NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout))
    }

    /// Takes a slab back.
    ///
    /// # Safety
    /// `slab` came from `take` of this pool, and nothing refers to it any more.
    pub(in crate::store) unsafe fn give(&self, slab: NonNull<u8>) {
        if let Some(huge) = &self.huge
            && self.lock(huge).give(slab, self.slab_bytes)
        {
            return;
        }
        // SAFETY: a slab that is in no page came from the allocator, with this layout.
        unsafe { dealloc(slab.as_ptr(), self.layout()) };
    }
}

impl Pages {
    fn take(&mut self, slab_bytes: usize) -> Option<NonNull<u8>> {
        if self.with_room.is_empty() {
            self.add_region()?;
        }
        let number = *self.with_room.first()?;
        let page = &mut self.pages[number];
        let slabs = PAGE / slab_bytes;
        let word = page.taken.iter().position(|word| word.trailing_ones() < 64)?;
        let index = word * 64 + page.taken[word].trailing_ones() as usize;
        page.taken[word] |= 1 << (index % 64);
        page.count += 1;
        page.touched = true;
        let first = page.count == 1;
        let base = page.base;
        if page.count == slabs {
            self.with_room.remove(&number);
        }
        if first {
            self.touch_next();
        }
        // SAFETY: the page has room, so the first free slab lies within it.
        Some(unsafe { base.add(index * slab_bytes) })
    }

    /// Has the page after the current one touched, if it was not.
    fn touch_next(&mut self) {
        if self.with_room.len() < 2 && self.add_region().is_none() {
            return;
        }
        let Some(&next) = self.with_room.iter().nth(1) else {
            return;
        };
        let page = &mut self.pages[next];
        if let Some(toucher) = self.toucher.as_ref().filter(|_| !page.touched)
            && toucher.orders.try_send(Untouched(page.base)).is_ok()
        {
            page.touched = true;
        }
    }

    /// False if the slab is in none of the pages.
    fn give(&mut self, slab: NonNull<u8>, slab_bytes: usize) -> bool {
        let start = slab.as_ptr() as usize & !(PAGE - 1);
        let Some(number) = self.find(start) else { return false };
        let page = &mut self.pages[number];
        let index = (slab.as_ptr() as usize - start) / slab_bytes;
        page.taken[index / 64] &= !(1 << (index % 64));
        page.count -= 1;
        self.with_room.insert(number);
        if page.count == 0 {
            page.touched = false;
            release(page.base);
        }
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
        for index in 0..REGION_PAGES {
            let base = NonNull::new(aligned.wrapping_add(index * PAGE))?;
            self.with_room.insert(self.pages.len());
            self.pages.push(Page {
                base,
                taken: [0; WORDS],
                count: 0,
                touched: false,
            });
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

/// Gives the memory of an empty page back to the system; its addresses stay ours.
fn release(base: NonNull<u8>) {
    #[cfg(target_os = "linux")]
    // SAFETY: the page is a part of a private anonymous mapping and no slab of it is taken, so nobody
    // misses its content.
    unsafe {
        libc::madvise(base.as_ptr().cast(), PAGE, libc::MADV_DONTNEED);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = base;
}
