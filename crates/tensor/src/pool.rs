//! How a pooling window is laid over its input.

use crate::conv::{Padding, spread, window_axis};
use crate::error::{Error, Result};
use crate::shape::Shape;

/// What a pooling window keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PoolKind {
    /// The largest value; the first one if several are equal. Padding never wins.
    Max,
    /// The mean of the values inside the input: padding does not count, as in Keras.
    Average,
}

/// The options of a pooling in 1, 2 or 3 spatial axes. Axes beyond those used are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSpec {
    /// Maximum or average.
    pub kind: PoolKind,
    /// Window sizes for each spatial axis.
    pub window: [usize; 3],
    /// Steps between neighbouring windows; Keras's default is the window itself.
    pub strides: [usize; 3],
    /// The border.
    pub padding: Padding,
}

/// A pooling with every size worked out, spread over (depth, height, width) as in [`crate::ConvGeometry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PoolGeometry {
    /// Maximum or average.
    pub kind: PoolKind,
    /// Samples.
    pub batch: usize,
    /// Channels; each is pooled by itself.
    pub channels: usize,
    /// Input sizes.
    pub input: [usize; 3],
    /// Window sizes.
    pub window: [usize; 3],
    /// Output sizes.
    pub output: [usize; 3],
    /// Strides.
    pub strides: [usize; 3],
    /// Padding before the first input of each axis.
    pub pad_before: [usize; 3],
}

impl PoolGeometry {
    /// Output positions of one sample.
    pub fn positions(&self) -> usize {
        self.output.iter().product()
    }

    /// Input positions of one sample.
    pub fn input_positions(&self) -> usize {
        self.input.iter().product()
    }

    /// Whether no two windows share an input.
    pub fn is_disjoint(&self) -> bool {
        (0..3).all(|i| self.strides[i] >= self.window[i])
    }
}

impl PoolSpec {
    /// Works out a pooling of `x` (n, spatial…, channels).
    ///
    /// # Errors
    /// [`Error::Shape`] for a rank outside 3 to 5 or a window larger than the padded input; [`Error::Argument`] for
    /// zero sizes and for explicit padding as large as the window.
    pub fn geometry(&self, x: &Shape) -> Result<PoolGeometry> {
        let op = "pooling";
        if !(3..=5).contains(&x.rank()) {
            return Err(Error::shape(op, "input must be (n, spatial…, channels), rank 3 to 5", x.to_string(), ""));
        }
        let axes = x.rank() - 2;
        let mut g = PoolGeometry {
            kind: self.kind,
            batch: x[0],
            channels: x[axes + 1],
            input: spread(&x[1..=axes], 1),
            window: spread(&self.window[..axes], 1),
            output: [1; 3],
            strides: spread(&self.strides[..axes], 1),
            pad_before: [0; 3],
        };
        for axis in 0..axes {
            let i = 3 - axes + axis;
            let (out, before, after) = window_axis(op, g.input[i], g.window[i], g.strides[i], 1, self.padding, axis)?;
            if before >= g.window[i] || after >= g.window[i] {
                return Err(Error::argument(
                    op,
                    "padding must be smaller than the window, or a window sees no input at all",
                    format!("padding ({before}, {after}), window {}", g.window[i]),
                    "",
                ));
            }
            (g.output[i], g.pad_before[i]) = (out, before);
        }
        Ok(g)
    }

    /// The output's shape (n, spatial…, channels).
    ///
    /// # Errors
    /// As [`PoolSpec::geometry`].
    pub fn output_shape(&self, x: &Shape) -> Result<Shape> {
        let g = self.geometry(x)?;
        let axes = x.rank() - 2;
        let mut sizes = vec![g.batch];
        sizes.extend_from_slice(&g.output[3 - axes..]);
        sizes.push(g.channels);
        Shape::new(&sizes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_sizes_follow_keras() {
        let pool = |window: usize, stride: usize, padding| PoolSpec {
            kind: PoolKind::Max,
            window: [window; 3],
            strides: [stride; 3],
            padding,
        };
        let x = Shape::from([64, 11, 11, 64]);
        assert_eq!(pool(2, 2, Padding::Valid).output_shape(&x).unwrap(), Shape::from([64, 5, 5, 64]));
        assert_eq!(pool(2, 2, Padding::Same).output_shape(&x).unwrap(), Shape::from([64, 6, 6, 64]));
        assert_eq!(pool(3, 1, Padding::Same).output_shape(&x).unwrap(), x);
        assert!(pool(12, 2, Padding::Valid).output_shape(&x).is_err());
        assert!(pool(0, 2, Padding::Valid).output_shape(&x).is_err());
        assert!(pool(2, 2, Padding::Explicit([(2, 0); 3])).output_shape(&x).is_err());
    }
}
