//! The sizes of a tensor's axes.

use crate::error::{Error, Result};
use std::fmt;
use std::ops::Deref;

/// The largest number of axes a [`Shape`] can have.
pub const MAX_RANK: usize = 8;

/// The sizes of a tensor's axes, outermost first; rank 0 is a scalar.
///
/// It is stored inline, so copying one costs no allocation. It dereferences to a slice of sizes and prints as
/// Keras prints shapes.
///
/// ```
/// use striate_tensor::Shape;
/// let video = Shape::from([4, 240, 144, 256, 3]); // (samples, frames, height, width, channels)
/// assert_eq!(video.rank(), 5);
/// assert_eq!(video.elements(), 4 * 240 * 144 * 256 * 3);
/// assert_eq!(video.to_string(), "(4, 240, 144, 256, 3)");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    rank: u8,
    sizes: [usize; MAX_RANK],
}

impl Shape {
    /// The shape of a single number: rank 0, one element.
    pub const SCALAR: Shape = Shape { rank: 0, sizes: [0; MAX_RANK] };

    /// A shape from any slice of sizes.
    ///
    /// # Errors
    /// [`Error::Shape`] for more than [`MAX_RANK`] axes or a product of sizes that overflows.
    pub fn new(sizes: &[usize]) -> Result<Self> {
        if sizes.len() > MAX_RANK {
            return Err(Error::shape(
                "Shape",
                format!("a shape has at most {MAX_RANK} axes"),
                format!("{sizes:?}"),
                "merge axes with a reshape",
            ));
        }
        if sizes.iter().try_fold(1usize, |n, &s| n.checked_mul(s.max(1))).is_none_or(|n| n > isize::MAX as usize) {
            return Err(Error::shape("Shape", "the number of elements must fit in memory", format!("{sizes:?}"), ""));
        }
        let mut shape = Shape { rank: sizes.len() as u8, sizes: [0; MAX_RANK] };
        shape.sizes[..sizes.len()].copy_from_slice(sizes);
        Ok(shape)
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.rank as usize
    }

    /// The sizes as a slice.
    pub fn as_slice(&self) -> &[usize] {
        &self.sizes[..self.rank as usize]
    }

    /// The product of all sizes: 1 for a scalar, 0 if any axis is empty. Saturates instead of overflowing.
    pub fn elements(&self) -> usize {
        self.as_slice().iter().fold(1, |n, &s| n.saturating_mul(s))
    }

    /// The size of the last axis (the channels of an image); 1 for a scalar.
    pub fn channels(&self) -> usize {
        self.as_slice().last().copied().unwrap_or(1)
    }

    /// This shape with another axis in front: (n, self…).
    ///
    /// # Errors
    /// As [`Shape::new`].
    pub fn with_batch(&self, n: usize) -> Result<Shape> {
        let mut sizes = [0; MAX_RANK + 1];
        sizes[0] = n;
        sizes[1..=self.rank()].copy_from_slice(self);
        Shape::new(&sizes[..=self.rank()])
    }

    /// This shape without its leading axis; a scalar stays a scalar.
    pub fn without_batch(&self) -> Shape {
        match self.as_slice() {
            [] | [_] => Shape::SCALAR,
            [_, rest @ ..] => {
                let mut shape = Shape { rank: rest.len() as u8, sizes: [0; MAX_RANK] };
                shape.sizes[..rest.len()].copy_from_slice(rest);
                shape
            }
        }
    }

    /// This shape with its last axis set to `n`; a scalar becomes (n).
    pub fn with_channels(&self, n: usize) -> Shape {
        let mut shape = *self;
        shape.rank = shape.rank.max(1);
        shape.sizes[shape.rank as usize - 1] = n;
        shape
    }

    /// The shape both operands take in an elementwise operation: axes are aligned at the right, an axis of size
    /// 1 is repeated (numpy's rule).
    ///
    /// # Errors
    /// [`Error::Shape`] naming both shapes where two sizes differ and neither is 1.
    pub fn broadcast(&self, other: &Shape) -> Result<Shape> {
        if self == other {
            return Ok(*self);
        }
        let rank = self.rank().max(other.rank());
        let mut sizes = [0; MAX_RANK];
        for (i, size) in sizes[..rank].iter_mut().enumerate() {
            let pick = |s: &Shape| (i + s.rank()).checked_sub(rank).map_or(1, |axis| s[axis]);
            *size = match (pick(self), pick(other)) {
                (a, b) if a == b => a,
                (1, b) => b,
                (a, 1) => a,
                _ => {
                    return Err(Error::shape(
                        "broadcast",
                        "sizes must be equal or 1, aligned at the last axis",
                        format!("{self} and {other}"),
                        "reshape one of the operands",
                    ));
                }
            };
        }
        Shape::new(&sizes[..rank])
    }

    /// Row-major strides in elements.
    pub fn strides(&self) -> [usize; MAX_RANK] {
        let mut strides = [0; MAX_RANK];
        let mut step = 1usize;
        for axis in (0..self.rank()).rev() {
            strides[axis] = step;
            step = step.saturating_mul(self.sizes[axis]);
        }
        strides
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        self.as_slice()
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(sizes: [usize; N]) -> Self {
        const { assert!(N <= MAX_RANK, "a shape has at most 8 axes") };
        let mut shape = Shape { rank: N as u8, sizes: [0; MAX_RANK] };
        shape.sizes[..N].copy_from_slice(&sizes);
        shape
    }
}

impl<const N: usize> From<&[usize; N]> for Shape {
    fn from(sizes: &[usize; N]) -> Self {
        Shape::from(*sizes)
    }
}

impl From<usize> for Shape {
    fn from(size: usize) -> Self {
        Shape::from([size])
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Self {
        *shape
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (i, size) in self.iter().enumerate() {
            write!(f, "{}{size}", if i == 0 { "" } else { ", " })?;
        }
        f.write_str(if self.rank == 1 { ",)" } else { ")" })
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lectures_tensors_have_ranks_zero_to_five() {
        let shapes: [(Shape, usize); 6] = [
            (Shape::SCALAR, 1),
            (Shape::from([3]), 3),
            (Shape::from([100, 20]), 2000),                    // (samples, features)
            (Shape::from([250, 390, 3]), 292_500),             // (samples, features, timesteps)
            (Shape::from([128, 256, 256, 3]), 25_165_824),     // (samples, height, width, channels)
            (Shape::from([4, 240, 144, 256, 3]), 106_168_320), // (samples, frames, height, width, channels)
        ];
        for (rank, (shape, elements)) in shapes.into_iter().enumerate() {
            assert_eq!((shape.rank(), shape.elements()), (rank, elements));
        }
    }

    #[test]
    fn broadcasting_aligns_at_the_right() {
        let image = Shape::from([2, 4, 4, 3]);
        assert_eq!(image.broadcast(&Shape::from([3])).unwrap(), image);
        assert_eq!(Shape::from([2, 1]).broadcast(&Shape::from([1, 5])).unwrap(), Shape::from([2, 5]));
        assert_eq!(Shape::SCALAR.broadcast(&image).unwrap(), image);
        let text = image.broadcast(&Shape::from([4])).unwrap_err().to_string();
        assert!(text.contains("(2, 4, 4, 3) and (4,)"), "{text}");
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(Shape::new(&[usize::MAX, 2]).is_err());
        assert!(Shape::new(&[usize::MAX / 2, 3, 0]).is_err());
        assert!(Shape::new(&[1; 9]).is_err());
        assert_eq!(Shape::from([5, 0, 3]).elements(), 0);
    }

    #[test]
    fn batch_axis_comes_and_goes() {
        let image = Shape::from([28, 28, 1]);
        assert_eq!(image.with_batch(64).unwrap(), Shape::from([64, 28, 28, 1]));
        assert_eq!(image.with_batch(64).unwrap().without_batch(), image);
        assert!(Shape::from([1; 8]).with_batch(2).is_err());
    }
}
