//! One result written by several threads.

use std::marker::PhantomData;

/// A mutable slice that tasks write disjoint parts of.
pub(crate) struct Shared<'a, T> {
    start: *mut T,
    len: usize,
    _slice: PhantomData<&'a mut [T]>,
}

// SAFETY: it is a mutable slice; that tasks do not overlap is the contract of `slice` and of the kernels that take it.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Shared { start: slice.as_mut_ptr(), len: slice.len(), _slice: PhantomData }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The address of element `at`.
    ///
    /// # Panics
    /// If it lies beyond the end.
    #[inline]
    pub(crate) fn pointer(&self, at: usize) -> *mut T {
        assert!(at <= self.len, "element {at} of {}", self.len);
        // SAFETY: `at` was checked against the slice's length.
        unsafe { self.start.add(at) }
    }

    /// A part of the slice.
    ///
    /// # Safety
    /// No other task may hold a part that overlaps.
    ///
    /// # Panics
    /// If the part is not inside.
    #[expect(clippy::mut_from_ref)]
    #[inline]
    pub(crate) unsafe fn slice(&self, start: usize, len: usize) -> &mut [T] {
        assert!(start <= self.len && len <= self.len - start, "{start} + {len} of {}", self.len);
        // SAFETY: the range was checked; the caller promises that no one else has it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}
