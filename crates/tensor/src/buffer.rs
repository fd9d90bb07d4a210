//! Host memory: 64-byte aligned vectors that go back to a pool when dropped.

use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use half::{bf16, f16};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// The alignment in bytes that kernels like best: a cache line, an AVX-512 register.
const ALIGNMENT: usize = 64;

/// A vector whose first element lies on a 64-byte boundary.
///
/// Alignment is a matter of speed, not of soundness: data taken over by [`AlignedVec::from_vec`] keeps the
/// address that it has.
pub struct AlignedVec<T> {
    block: Block<T>,
    start: usize,
    len: usize,
}

enum Block<T> {
    Owned(Vec<T>),
    Lent(Box<dyn Loan<T>>),
}

/// Memory of a back end's own making, lent as long as this lives.
pub trait Loan<T>: Send + Sync {
    /// All of it.
    fn as_slice(&self) -> &[T];
    /// All of it, for writing.
    fn as_mut_slice(&mut self) -> &mut [T];
}

impl<T> Block<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            Block::Owned(vec) => vec,
            Block::Lent(loan) => loan.as_slice(),
        }
    }
}

impl<T: Element> AlignedVec<T> {
    /// `len` zeros.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the system has no such block.
    pub fn zeros(len: usize) -> Result<Self> {
        let slack = ALIGNMENT / size_of::<T>();
        let refuse = || Error::OutOfMemory { device: "host".into(), bytes: len.saturating_mul(size_of::<T>()) };
        let total = len.checked_add(slack).filter(|n| n.saturating_mul(size_of::<T>()) < 1 << 46).ok_or_else(refuse)?;
        let vec = if total * size_of::<T>() >= 1 << 28 {
            // A large block is asked for politely first: `vec!` would end the process.
            let mut probe: Vec<T> = Vec::new();
            probe.try_reserve_exact(total).map_err(|_| refuse())?;
            drop(probe);
            vec![T::default(); total]
        } else {
            vec![T::default(); total]
        };
        let start = vec.as_ptr().align_offset(ALIGNMENT).min(slack);
        Ok(AlignedVec { block: Block::Owned(vec), start, len })
    }

    /// Takes over a vector without copying.
    pub fn from_vec(vec: Vec<T>) -> Self {
        AlignedVec { len: vec.len(), start: 0, block: Block::Owned(vec) }
    }

    /// All of a block that a back end lends.
    pub fn from_loan(loan: Box<dyn Loan<T>>) -> Self {
        AlignedVec { len: loan.as_slice().len(), start: 0, block: Block::Lent(loan) }
    }

    /// Whether the memory is lent.
    pub fn is_loan(&self) -> bool {
        matches!(self.block, Block::Lent(_))
    }

    /// How many elements fit without a new allocation.
    pub fn capacity(&self) -> usize {
        self.block.as_slice().len() - self.start
    }

    /// Shows `len` elements of the block; what they hold is whatever was there.
    ///
    /// # Panics
    /// If `len` exceeds [`AlignedVec::capacity`].
    pub fn set_len(&mut self, len: usize) {
        assert!(len <= self.capacity(), "length {len} exceeds capacity {}", self.capacity());
        self.len = len;
    }
}

impl<T> Deref for AlignedVec<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.block.as_slice()[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for AlignedVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let range = self.start..self.start + self.len;
        match &mut self.block {
            Block::Owned(vec) => &mut vec[range],
            Block::Lent(loan) => &mut loan.as_mut_slice()[range],
        }
    }
}

/// Host elements of any type.
#[derive(Debug)]
#[allow(missing_docs)] // the variants are the element types
pub enum HostData {
    F32(AlignedVec<f32>),
    F64(AlignedVec<f64>),
    F16(AlignedVec<f16>),
    Bf16(AlignedVec<bf16>),
    U8(AlignedVec<u8>),
    I32(AlignedVec<i32>),
    I64(AlignedVec<i64>),
}

/// Runs the same expression for whichever element type a [`HostData`] holds.
macro_rules! for_any {
    ($data:expr, $vec:ident => $body:expr) => {
        match $data {
            HostData::F32($vec) => $body,
            HostData::F64($vec) => $body,
            HostData::F16($vec) => $body,
            HostData::Bf16($vec) => $body,
            HostData::U8($vec) => $body,
            HostData::I32($vec) => $body,
            HostData::I64($vec) => $body,
        }
    };
}

impl HostData {
    /// The element type.
    pub fn dtype(&self) -> DType {
        fn of<T: Element>(_: &AlignedVec<T>) -> DType {
            T::DTYPE
        }
        for_any!(self, vec => of(vec))
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        for_any!(self, vec => vec.len())
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every element as a 64-bit float.
    pub fn to_f64(&self) -> Vec<f64> {
        for_any!(self, vec => vec.iter().map(|&v| v.to_f64()).collect())
    }
}

/// Takes memory back when a [`HostBuffer`] is dropped.
pub trait Recycle: Send + Sync {
    /// Called once with the elements of a dropped buffer.
    fn recycle(&self, data: HostData);
}

/// A block of host memory that returns to the pool that lent it.
pub struct HostBuffer {
    data: HostData,
    pool: Option<Arc<dyn Recycle>>,
}

impl HostBuffer {
    /// A buffer with a pool to return to, or with none.
    pub fn new(data: HostData, pool: Option<Arc<dyn Recycle>>) -> Self {
        HostBuffer { data, pool }
    }

    /// The elements.
    pub fn data(&self) -> &HostData {
        &self.data
    }

    /// The elements, for writing.
    pub fn data_mut(&mut self) -> &mut HostData {
        &mut self.data
    }

    /// The elements as a slice, if they are of type `T`.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        T::of_host(&self.data).map(|vec| &vec[..])
    }

    /// The elements as a mutable slice, if they are of type `T`.
    pub fn as_mut_slice<T: Element>(&mut self) -> Option<&mut [T]> {
        T::of_host_mut(&mut self.data).map(|vec| &mut vec[..])
    }
}

impl<T: Element> From<Vec<T>> for HostBuffer {
    fn from(vec: Vec<T>) -> Self {
        HostBuffer { data: T::into_host(AlignedVec::from_vec(vec)), pool: None }
    }
}

impl Drop for HostBuffer {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            let empty = HostData::U8(AlignedVec::from_vec(Vec::new()));
            pool.recycle(std::mem::replace(&mut self.data, empty));
        }
    }
}

impl fmt::Debug for HostBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostBuffer({} × {})", self.data.len(), self.data.dtype())
    }
}

impl<T> fmt::Debug for AlignedVec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedVec({})", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn blocks_are_aligned_and_zeroed() {
        for len in [0, 1, 7, 1000] {
            let block = AlignedVec::<f32>::zeros(len).unwrap();
            assert_eq!(block.as_ptr() as usize % ALIGNMENT, 0);
            assert!(block.iter().all(|&v| v == 0.0) && block.len() == len);
        }
    }

    #[test]
    fn an_impossible_block_is_an_error() {
        let error = AlignedVec::<f64>::zeros(usize::MAX / 16).unwrap_err();
        assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    }

    #[test]
    fn a_dropped_buffer_returns_to_its_pool() {
        #[derive(Default)]
        struct Shelf(Mutex<Vec<usize>>);
        impl Recycle for Shelf {
            fn recycle(&self, data: HostData) {
                self.0.lock().unwrap().push(data.len());
            }
        }
        let shelf = Arc::new(Shelf::default());
        drop(HostBuffer::new(HostData::F32(AlignedVec::zeros(5).unwrap()), Some(shelf.clone())));
        assert_eq!(*shelf.0.lock().unwrap(), [5]);
    }
}
