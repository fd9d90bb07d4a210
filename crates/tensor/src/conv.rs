//! How a convolution is laid over its input, and the shape that comes out.

use crate::error::{Error, Result};
use crate::shape::Shape;

/// What lies beyond the border of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Padding {
    /// Nothing: the kernel stays inside, and the output shrinks to ⌊(n − m) / stride⌋ + 1.
    #[default]
    Valid,
    /// Zeros, so that the output has ⌈n / stride⌉ positions; an odd surplus goes after, as in TensorFlow.
    Same,
    /// Zeros in front only: no output sees a later input. One spatial axis.
    Causal,
    /// Zeros, (before, after) for each spatial axis.
    Explicit([(usize, usize); 3]),
}

/// Which algorithm a back end uses for a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum ConvAlgorithm {
    /// Decided by the shapes alone.
    #[default]
    Auto,
    /// The sum of products as written.
    Direct,
    /// Winograd's minimal filtering where the shapes allow it (3×3, stride 1), else direct.
    Winograd,
}

/// The options of a convolution in 1, 2 or 3 spatial axes. Axes beyond those used are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvSpec {
    /// Steps between neighbouring outputs, for each spatial axis. Default 1.
    pub strides: [usize; 3],
    /// Steps between neighbouring kernel taps, for each spatial axis. Default 1.
    pub dilations: [usize; 3],
    /// The border. Default [`Padding::Valid`].
    pub padding: Padding,
    /// Input and output channels are split into this many independent groups. Default 1.
    pub groups: usize,
    /// The algorithm asked for. Default [`ConvAlgorithm::Auto`].
    pub algorithm: ConvAlgorithm,
}

impl Default for ConvSpec {
    fn default() -> Self {
        ConvSpec {
            strides: [1; 3],
            dilations: [1; 3],
            padding: Padding::Valid,
            groups: 1,
            algorithm: ConvAlgorithm::Auto,
        }
    }
}

/// A convolution with every size worked out: what back ends are given.
///
/// All arrays have three spatial axes (depth, height, width). With fewer axes the leading ones have size 1, stride 1 and no
/// padding: a back end needs no other case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConvGeometry {
    /// Samples.
    pub batch: usize,
    /// Input sizes.
    pub input: [usize; 3],
    /// Input channels, over all groups.
    pub in_channels: usize,
    /// Kernel sizes.
    pub kernel: [usize; 3],
    /// Output sizes.
    pub output: [usize; 3],
    /// Output channels, over all groups.
    pub out_channels: usize,
    /// Strides.
    pub strides: [usize; 3],
    /// Dilations.
    pub dilations: [usize; 3],
    /// Zeros before the first input of each axis.
    pub pad_before: [usize; 3],
    /// Zeros after the last input of each axis.
    pub pad_after: [usize; 3],
    /// Groups of channels.
    pub groups: usize,
    /// The algorithm asked for.
    pub algorithm: ConvAlgorithm,
}

impl ConvGeometry {
    /// Input channels each output channel sees.
    pub fn in_per_group(&self) -> usize {
        self.in_channels / self.groups
    }

    /// Output channels of one group.
    pub fn out_per_group(&self) -> usize {
        self.out_channels / self.groups
    }

    /// Kernel taps.
    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Output positions of one sample.
    pub fn positions(&self) -> usize {
        self.output.iter().product()
    }

    /// Input positions of one sample.
    pub fn input_positions(&self) -> usize {
        self.input.iter().product()
    }

    /// Multiply-adds as the direct algorithm counts them, padding included.
    pub fn multiply_adds(&self) -> u64 {
        [self.batch, self.positions(), self.taps(), self.in_per_group(), self.out_channels]
            .iter()
            .fold(1u64, |product, &n| product.saturating_mul(n as u64))
    }
}

/// Output size and padding of one axis: `(output, before, after)`.
pub(crate) fn window_axis(
    op: &str,
    n: usize,
    window: usize,
    stride: usize,
    dilation: usize,
    padding: Padding,
    axis: usize,
) -> Result<(usize, usize, usize)> {
    if window == 0 || stride == 0 || dilation == 0 {
        return Err(Error::argument(
            op,
            "window, stride and dilation must be at least 1",
            format!("window {window}, stride {stride}, dilation {dilation}"),
            "",
        ));
    }
    let too_large = || {
        Error::argument(
            op,
            "window, stride, dilation and padding must be below 2^31",
            format!("window {window}, stride {stride}, dilation {dilation}, padding {padding:?}"),
            "",
        )
    };
    const LIMIT: usize = 1 << 31;
    let extent = (window - 1).checked_mul(dilation).and_then(|e| e.checked_add(1)).ok_or_else(too_large)?;
    if extent >= LIMIT || stride >= LIMIT || n >= LIMIT {
        return Err(too_large());
    }
    let (before, after) = match padding {
        Padding::Valid => (0, 0),
        Padding::Same => {
            let total = (n.div_ceil(stride).max(1) - 1) * stride + extent;
            let total = total.saturating_sub(n);
            (total / 2, total - total / 2)
        }
        Padding::Causal => (extent - 1, 0),
        Padding::Explicit(pads) => pads[axis],
    };
    if before >= LIMIT || after >= LIMIT {
        return Err(too_large());
    }
    let padded = n + before + after;
    if padded < extent || n == 0 {
        let name = match padding {
            Padding::Valid => "valid".to_string(),
            Padding::Same => "same".to_string(),
            Padding::Causal => "causal".to_string(),
            Padding::Explicit(_) => format!("({before}, {after})"),
        };
        return Err(Error::shape(
            op,
            "the window must not exceed the padded input",
            format!("window {extent} > padded input {padded} (input {n}, padding {name}, spatial axis {axis})"),
            format!("use padding same or an input of at least {}", extent.saturating_sub(before + after).max(1)),
        ));
    }
    Ok(((padded - extent) / stride + 1, before, after))
}

/// Spreads the sizes of 1 to 3 spatial axes over (depth, height, width), leading ones filled with `fill`.
pub(crate) fn spread<T: Copy>(sizes: &[T], fill: T) -> [T; 3] {
    let mut all = [fill; 3];
    all[3 - sizes.len()..].copy_from_slice(sizes);
    all
}

impl ConvSpec {
    /// Works out a convolution of `x` (n, spatial…, c) with `kernel` (spatial…, c / groups, filters).
    ///
    /// # Errors
    /// [`Error::Shape`] for ranks, channels or a kernel that do not fit; [`Error::Argument`] for zero strides,
    /// dilations or groups and for causal padding with more than one spatial axis.
    ///
    /// ```
    /// use striate_tensor::{ConvSpec, Shape};
    /// let g = ConvSpec::default().geometry(&Shape::from([64, 28, 28, 1]), &Shape::from([3, 3, 1, 32]))?;
    /// assert_eq!(g.output, [1, 26, 26]);
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn geometry(&self, x: &Shape, kernel: &Shape) -> Result<ConvGeometry> {
        let op = "convolution";
        if !(3..=5).contains(&x.rank()) || kernel.rank() != x.rank() {
            return Err(Error::shape(
                op,
                "input (n, spatial…, c) and kernel (spatial…, c / groups, filters) must have the same rank, 3 to 5",
                format!("input {x}, kernel {kernel}"),
                "",
            ));
        }
        let axes = x.rank() - 2;
        let (groups, in_channels, out_channels) = (self.groups, x[axes + 1], kernel[axes + 1]);
        if groups == 0 || !out_channels.is_multiple_of(groups) || kernel[axes] * groups != in_channels {
            return Err(Error::shape(
                op,
                "kernel channels × groups must equal the input's channels, and filters be a multiple of groups",
                format!("input {x}, kernel {kernel}, groups {groups}"),
                "images are channels-last: (n, height, width, channels)",
            ));
        }
        if self.padding == Padding::Causal && axes != 1 {
            return Err(Error::argument(
                op,
                "causal padding needs one spatial axis",
                format!("{axes} spatial axes"),
                "use padding valid or same",
            ));
        }
        let mut g = ConvGeometry {
            batch: x[0],
            input: spread(&x[1..=axes], 1),
            in_channels,
            kernel: spread(&kernel[..axes], 1),
            output: [1; 3],
            out_channels,
            strides: spread(&self.strides[..axes], 1),
            dilations: spread(&self.dilations[..axes], 1),
            pad_before: [0; 3],
            pad_after: [0; 3],
            groups,
            algorithm: self.algorithm,
        };
        for axis in 0..axes {
            let i = 3 - axes + axis;
            let (out, before, after) =
                window_axis(op, g.input[i], g.kernel[i], g.strides[i], g.dilations[i], self.padding, axis)?;
            (g.output[i], g.pad_before[i], g.pad_after[i]) = (out, before, after);
        }
        Ok(g)
    }

    /// The output's shape (n, spatial…, filters); arguments and errors as [`ConvSpec::geometry`].
    ///
    /// # Errors
    /// As [`ConvSpec::geometry`].
    pub fn output_shape(&self, x: &Shape, kernel: &Shape) -> Result<Shape> {
        let g = self.geometry(x, kernel)?;
        let axes = x.rank() - 2;
        let mut sizes = vec![g.batch];
        sizes.extend_from_slice(&g.output[3 - axes..]);
        sizes.push(g.out_channels);
        Shape::new(&sizes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_axis(n: usize, window: usize, stride: usize, dilation: usize, padding: Padding) -> (usize, usize, usize) {
        window_axis("test", n, window, stride, dilation, padding, 0).unwrap()
    }

    #[test]
    fn output_sizes_follow_the_lecture() {
        // A 6×6 image under a 3×3 kernel gives 4×4: n − m + 1.
        assert_eq!(one_axis(6, 3, 1, 1, Padding::Valid), (4, 0, 0));
        assert_eq!(one_axis(28, 3, 1, 1, Padding::Valid), (26, 0, 0));
        assert_eq!(one_axis(7, 3, 2, 1, Padding::Valid), (3, 0, 0));
        assert_eq!(one_axis(7, 2, 2, 1, Padding::Same), (4, 0, 1));
        assert_eq!(one_axis(224, 3, 1, 1, Padding::Same), (224, 1, 1));
        assert_eq!(one_axis(224, 7, 2, 1, Padding::Same), (112, 2, 3));
        assert_eq!(one_axis(10, 3, 1, 4, Padding::Causal), (10, 8, 0));
        assert_eq!(one_axis(5, 4, 3, 1, Padding::Explicit([(1, 2), (0, 0), (0, 0)])), (2, 1, 2));
    }

    #[test]
    fn a_kernel_larger_than_its_input_is_refused_with_a_hint() {
        let error = ConvSpec::default().geometry(&Shape::from([1, 4, 4, 3]), &Shape::from([5, 5, 3, 8])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "convolution: the window must not exceed the padded input; received window 5 > padded input 4 (input 4, \
             padding valid, spatial axis 0) (hint: use padding same or an input of at least 5)"
        );
    }

    #[test]
    fn ranks_channels_and_groups_are_checked() {
        let spec = ConvSpec { groups: 2, ..ConvSpec::default() };
        let (x, k) = (Shape::from([2, 8, 8, 4]), Shape::from([3, 3, 2, 6]));
        assert_eq!(spec.output_shape(&x, &k).unwrap(), Shape::from([2, 6, 6, 6]));
        assert!(ConvSpec::default().geometry(&x, &k).is_err());
        assert!(spec.geometry(&x, &Shape::from([3, 3, 2, 5])).is_err());
        assert!(spec.geometry(&x, &Shape::from([3, 2, 6])).is_err());
        assert!(ConvSpec { groups: 0, ..spec }.geometry(&x, &k).is_err());
        assert!(ConvSpec { strides: [0; 3], ..spec }.geometry(&x, &k).is_err());
        assert!(ConvSpec { padding: Padding::Causal, ..spec }.geometry(&x, &k).is_err());
        assert!(ConvSpec { dilations: [usize::MAX; 3], ..spec }.geometry(&x, &k).is_err());
    }

    #[test]
    fn fewer_axes_are_spread_to_the_right() {
        let g = ConvSpec { strides: [2, 9, 9], ..ConvSpec::default() }
            .geometry(&Shape::from([3, 11, 4]), &Shape::from([5, 4, 7]))
            .unwrap();
        assert_eq!((g.input, g.kernel, g.output, g.strides), ([1, 1, 11], [1, 1, 5], [1, 1, 4], [1, 1, 2]));
        assert_eq!(g.multiply_adds(), 3 * 4 * 5 * 4 * 7);
    }
}
