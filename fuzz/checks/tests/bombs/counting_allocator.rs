//! The allocator of these tests, which counts what each thread has.
#![allow(unsafe_code, reason = "an allocator cannot be written otherwise")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Counting;

/// What a thread has allocated. What another thread frees is not taken off.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Bytes in use.
    pub(crate) live: usize,
    /// The most bytes that were in use at once.
    pub(crate) peak: usize,
    /// How often memory was asked for.
    pub(crate) requests: usize,
}

thread_local! {
    // Without a destructor and known when compiled: the allocator may use it at any time.
    static COUNTS: Cell<Counts> = const { Cell::new(Counts { live: 0, peak: 0, requests: 0 }) };
}

/// What this thread has.
pub(crate) fn counts() -> Counts {
    COUNTS.get()
}

/// Begins a new peak: what is in use now.
pub(crate) fn reset_peak() {
    let counts = COUNTS.get();
    COUNTS.set(Counts { peak: counts.live, ..counts });
}

fn count(taken: usize, freed: usize) {
    let mut counts = COUNTS.get();
    counts.live = counts.live.saturating_add(taken).saturating_sub(freed);
    counts.peak = counts.peak.max(counts.live);
    counts.requests += usize::from(taken > 0);
    COUNTS.set(counts);
}

// SAFETY: every call is handed to the system's allocator as it came; counting touches no memory but
// a thread-local cell, which needs none of the allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promises are the system allocator's conditions.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new place may exist side by side.
        count(size, 0);
        count(0, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, size) }
    }
}
