//! Large blocks of host memory, cut from regions and joined again as they return: the memory of one training step serves the
//! next, whatever sizes either asks for.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use striate_tensor::{Element, Error, Loan, Result};

/// Blocks are multiples of a page.
const GRAIN: usize = 4096;
/// Bytes of the smallest region. What was never used of it is address space, not memory.
const REGION: usize = 32 << 20;
/// Bytes of the largest region that was not needed for a single block.
const LARGEST_REGION: usize = 1 << 30;

/// Lends blocks of its regions.
pub(crate) struct Arena {
    ranges: Mutex<Ranges>,
}

#[derive(Default)]
struct Ranges {
    /// By address.
    regions: BTreeMap<usize, Region>,
    /// Free ranges: address and length.
    free: BTreeMap<usize, usize>,
    /// The same by length.
    by_length: BTreeSet<(usize, usize)>,
    lent: usize,
    /// Bytes that were in use at some time, and so are in memory.
    touched: usize,
}

struct Region {
    /// The first page boundary in the allocation.
    start: NonNull<u8>,
    length: usize,
    allocation: NonNull<u8>,
    /// Bytes from the start that were in use at some time.
    touched: usize,
}

// SAFETY: a region is plain memory that its arena owns; blocks of it are handed out once at a time.
unsafe impl Send for Region {}

/// A block that returns to its arena when dropped.
struct Block<T> {
    start: NonNull<u8>,
    length: usize,
    arena: Arc<Arena>,
    _type: PhantomData<T>,
}

// SAFETY: a block is the only way to its range, as a `Vec` is to its memory.
unsafe impl<T: Send> Send for Block<T> {}
// SAFETY: as above; shared references give shared slices only.
unsafe impl<T: Sync> Sync for Block<T> {}

/// The allocation for a region. Its alignment is a small one: the allocator zeroes memory of a larger one by hand, and so would
/// bring all of it into memory.
fn layout(length: usize) -> Option<Layout> {
    Layout::from_size_align(length.checked_add(GRAIN)?, 16).ok()
}

impl Ranges {
    fn add_free(&mut self, address: usize, length: usize) {
        self.free.insert(address, length);
        self.by_length.insert((length, address));
    }

    fn remove_free(&mut self, address: usize) -> Option<usize> {
        let length = self.free.remove(&address)?;
        self.by_length.remove(&(length, address));
        Some(length)
    }

    /// The smallest free range that is long enough, cut to size.
    fn cut(&mut self, length: usize) -> Option<NonNull<u8>> {
        let &(_, address) = self.by_length.range((length, 0)..).next()?;
        let whole = self.remove_free(address)?;
        if whole > length {
            self.add_free(address + length, whole - length);
        }
        let region = self.regions.range_mut(..=address).next_back()?.1;
        let offset = address - region.start.as_ptr() as usize;
        let end = offset + length;
        self.touched += end.saturating_sub(region.touched);
        region.touched = region.touched.max(end);
        self.lent += length;
        // SAFETY: the range lies in the region, whose memory is one allocation.
        Some(unsafe { region.start.add(offset) })
    }

    /// Takes a region from the system; false if it has none.
    fn grow(&mut self, length: usize) -> bool {
        let Some(allocation) = layout(length).and_then(|layout| {
            // SAFETY: the size is not zero.
            NonNull::new(unsafe { alloc_zeroed(layout) })
        }) else {
            return false;
        };
        let offset = allocation.as_ptr().align_offset(GRAIN).min(GRAIN);
        // SAFETY: the allocation is longer than the region by as much.
        let start = unsafe { allocation.add(offset) };
        let address = start.as_ptr() as usize;
        self.regions.insert(address, Region { start, length, allocation, touched: 0 });
        self.add_free(address, length);
        true
    }

    /// Takes a range back and joins it with the free ones beside it in its region.
    fn give_back(&mut self, mut address: usize, mut length: usize) {
        self.lent -= length;
        let Some((&start, region)) = self.regions.range(..=address).next_back() else { return };
        let end = start + region.length;
        if address + length < end
            && let Some(after) = self.remove_free(address + length)
        {
            length += after;
        }
        if address > start
            && let Some((&before, &size)) = self.free.range(..address).next_back()
            && before + size == address
        {
            self.remove_free(before);
            (address, length) = (before, length + size);
        }
        self.add_free(address, length);
    }

    /// Gives regions that nobody uses back to the system until at most `limit` bytes were ever touched.
    fn trim(&mut self, limit: usize) {
        while self.touched > limit {
            let unused = self
                .regions
                .iter()
                .filter(|(address, region)| region.touched > 0 && self.free.get(address) == Some(&region.length));
            let Some((&address, _)) = unused.max_by_key(|(_, region)| region.touched) else { return };
            self.remove_free(address);
            if let Some(region) = self.regions.remove(&address) {
                self.touched -= region.touched;
                region.release();
            }
        }
    }
}

impl Region {
    fn release(self) {
        if let Some(layout) = layout(self.length) {
            // SAFETY: allocated with this layout, and no block of it is lent.
            unsafe { dealloc(self.allocation.as_ptr(), layout) }
        }
    }
}

impl Arena {
    pub(crate) fn new() -> Arc<Arena> {
        Arc::new(Arena { ranges: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Ranges> {
        self.ranges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for at least `len` elements; what they hold is whatever was there.
    pub(crate) fn take<T: Element>(self: &Arc<Self>, len: usize) -> Result<Box<dyn Loan<T>>> {
        let refuse = || Error::OutOfMemory { device: "host".into(), bytes: len.saturating_mul(size_of::<T>()) };
        let length = len.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_next_multiple_of(GRAIN));
        let length = length.filter(|&length| length > 0 && length < 1 << 46).ok_or_else(refuse)?;
        let mut ranges = self.lock();
        let start = match ranges.cut(length) {
            Some(start) => start,
            None => {
                let held: usize = ranges.regions.values().map(|region| region.length).sum();
                let generous = length.max(held.clamp(REGION, LARGEST_REGION));
                if !ranges.grow(generous) && !ranges.grow(length) {
                    return Err(refuse());
                }
                ranges.cut(length).ok_or_else(refuse)?
            }
        };
        drop(ranges);
        Ok(Box::new(Block { start, length, arena: self.clone(), _type: PhantomData }))
    }

    /// Bytes lent, and bytes in memory that are not.
    pub(crate) fn usage(&self) -> (usize, usize) {
        let ranges = self.lock();
        (ranges.lent, ranges.touched - ranges.lent)
    }

    /// As far as whole regions are unused, gives back to the system what exceeds `limit` bytes.
    pub(crate) fn trim(&self, limit: usize) {
        self.lock().trim(limit);
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        let ranges = self.ranges.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Every block holds the arena: none is lent any more.
        std::mem::take(&mut ranges.regions).into_values().for_each(Region::release);
    }
}

impl<T: Element> Loan<T> for Block<T> {
    fn as_slice(&self) -> &[T] {
        // SAFETY: the block owns the range, which is aligned to a page and was zeroed when its region was made; any bits
        // are a value of the element types.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.length / size_of::<T>()) }
    }

    fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as for `as_slice`, and the block is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.length / size_of::<T>()) }
    }
}

impl<T> Drop for Block<T> {
    fn drop(&mut self) {
        self.arena.lock().give_back(self.start.as_ptr() as usize, self.length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_large_block_is_cut_and_joined_again() {
        let arena = Arena::new();
        let whole = arena.take::<f32>(6 << 20).unwrap();
        let address = whole.as_slice().as_ptr();
        drop(whole);
        let parts = [(); 3].map(|()| arena.take::<u8>(8 << 20).unwrap());
        assert_eq!(parts[0].as_slice().as_ptr().cast::<f32>(), address);
        assert_eq!(arena.usage(), (24 << 20, 0));
        drop(parts);
        let again = arena.take::<f32>(6 << 20).unwrap();
        assert_eq!((again.as_slice().as_ptr(), arena.usage()), (address, (24 << 20, 0)));
    }

    #[test]
    fn unused_regions_go_back_to_the_system() {
        let arena = Arena::new();
        let kept = arena.take::<u8>(1 << 20).unwrap();
        drop(arena.take::<u8>(100 << 20).unwrap());
        assert_eq!(arena.usage(), (1 << 20, 100 << 20));
        arena.trim(50 << 20);
        assert_eq!(arena.usage(), (1 << 20, 0));
        drop(kept);
    }

    #[test]
    fn an_impossible_block_is_an_error() {
        let arena = Arena::new();
        for len in [0, usize::MAX, usize::MAX / 4, 1 << 45] {
            assert!(matches!(arena.take::<f32>(len), Err(Error::OutOfMemory { .. })), "{len}");
        }
        assert_eq!(arena.usage().0, 0);
    }

    proptest! {
        #[test]
        fn blocks_never_overlap_and_all_of_a_region_comes_back(
            steps in prop::collection::vec((any::<bool>(), 1usize..3_000_000, any::<prop::sample::Index>()), 1..60)
        ) {
            let arena = Arena::new();
            let mut lent: Vec<(Box<dyn Loan<u8>>, u8)> = Vec::new();
            for (i, (takes, len, which)) in steps.into_iter().enumerate() {
                if takes || lent.is_empty() {
                    let mut block = arena.take::<u8>(len).unwrap();
                    let mark = i as u8;
                    let all = block.as_mut_slice();
                    (all[0], all[len - 1]) = (mark, mark);
                    let end = all.len() - 1;
                    all[end] = mark;
                    lent.push((block, mark));
                } else {
                    lent.swap_remove(which.index(lent.len()));
                }
                for (block, mark) in &lent {
                    let all = block.as_slice();
                    prop_assert_eq!((all[0], all[all.len() - 1]), (*mark, *mark));
                }
            }
            drop(lent);
            let mut ranges = arena.lock();
            prop_assert_eq!(ranges.lent, 0);
            prop_assert_eq!(ranges.free.len(), ranges.regions.len());
            prop_assert_eq!(ranges.by_length.len(), ranges.free.len());
            ranges.trim(0);
            prop_assert_eq!((ranges.touched, ranges.regions.len()), (0, 0));
        }
    }
}
