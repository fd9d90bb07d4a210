//! A convolution's sizes as cuDNN is told of them.

use std::ffi::c_int;
use striate_tensor::ConvGeometry;

/// A convolution in cuDNN's terms: batch, channels, then two spatial axes, or three where the first is one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Form {
    pub(crate) x: Vec<c_int>,
    /// Channels out, channels in of one group, spatial axes.
    pub(crate) kernel: Vec<c_int>,
    pub(crate) y: Vec<c_int>,
    pub(crate) pad: Vec<c_int>,
    pub(crate) stride: Vec<c_int>,
    pub(crate) dilation: Vec<c_int>,
    pub(crate) groups: c_int,
}

impl Form {
    /// None where cuDNN cannot be told: nothing to compute, sizes beyond 32 bits, or padding that differs at the two ends.
    pub(crate) fn new(g: &ConvGeometry) -> Option<Form> {
        let axes = || (0..3).skip(usize::from(is_flat(g)));
        // cuDNN pads both ends as the first, and takes as many outputs as fit then. Where there are just as many, each sees the same inputs.
        let same = |axis: usize| {
            let reach = (g.kernel[axis] - 1) * g.dilations[axis] + 1;
            let room = (g.input[axis] + 2 * g.pad_before[axis]).checked_sub(reach);
            room.is_some_and(|room| room / g.strides[axis] + 1 == g.output[axis])
        };
        let sizes = |batch: usize, channels: usize, spatial: &[usize; 3]| -> Option<Vec<c_int>> {
            let all = || [batch, channels].into_iter().chain(axes().map(|axis| spatial[axis]));
            let total = all().try_fold(1usize, usize::checked_mul)?;
            c_int::try_from(total).ok().filter(|&total| total > 0)?;
            all().map(|size| c_int::try_from(size).ok()).collect()
        };
        let x = sizes(g.batch, g.in_channels, &g.input)?;
        let kernel = sizes(g.out_channels, g.in_per_group(), &g.kernel)?;
        let y = sizes(g.batch, g.out_channels, &g.output)?;
        if !axes().all(same) {
            return None;
        }
        let of = |all: &[usize; 3]| axes().map(|axis| c_int::try_from(all[axis]).ok()).collect::<Option<Vec<c_int>>>();
        let (pad, stride, dilation) = (of(&g.pad_before)?, of(&g.strides)?, of(&g.dilations)?);
        Some(Form { x, kernel, y, pad, stride, dilation, groups: c_int::try_from(g.groups).ok()? })
    }
}

/// Whether the first spatial axis does nothing.
fn is_flat(g: &ConvGeometry) -> bool {
    (g.input[0], g.kernel[0], g.output[0], g.strides[0], g.pad_before[0]) == (1, 1, 1, 1, 0)
}

/// How far apart neighbours lie where channels come last; sizes are batch, channels, spatial axes.
pub(crate) fn channels_last(sizes: &[c_int]) -> Vec<c_int> {
    let mut strides = vec![1; sizes.len()];
    let mut step = sizes[1];
    for axis in (2..sizes.len()).rev() {
        strides[axis] = step;
        step *= sizes[axis];
    }
    strides[0] = step;
    strides
}

#[cfg(test)]
mod tests {
    use super::*;
    use striate_tensor::{ConvSpec, Padding, Shape};

    fn form(x: &[usize], kernel: &[usize], spec: &ConvSpec) -> Option<Form> {
        let of = |sizes: &[usize]| Shape::new(sizes).unwrap();
        Form::new(&spec.geometry(&of(x), &of(kernel)).unwrap())
    }

    #[test]
    fn two_axes_are_the_least_and_an_idle_third_is_left_out() {
        let line = form(&[2, 9, 3], &[4, 3, 5], &ConvSpec::default()).unwrap();
        assert_eq!((line.x, line.kernel, line.y), (vec![2, 3, 1, 9], vec![5, 3, 1, 4], vec![2, 5, 1, 6]));
        let space = form(&[2, 5, 6, 7, 4], &[2, 3, 3, 2, 6], &ConvSpec { groups: 2, ..ConvSpec::default() }).unwrap();
        assert_eq!((space.kernel, space.groups, space.pad), (vec![6, 2, 2, 3, 3], 2, vec![0; 3]));
        assert_eq!(channels_last(&[2, 4, 5, 6, 7]), [840, 1, 168, 28, 4]);
    }

    #[test]
    fn padding_that_differs_at_the_ends_is_left_to_the_kernels_unless_the_outputs_are_the_same() {
        let same = |size: usize, stride: usize, kernel: usize| {
            let spec = ConvSpec { padding: Padding::Same, strides: [stride; 3], ..ConvSpec::default() };
            form(&[1, size, size, 3], &[kernel, kernel, 3, 8], &spec).map(|form| form.pad)
        };
        assert_eq!(same(8, 1, 3), Some(vec![1, 1]));
        // One zero after the last input and none before the first: with none at either end there would be an output less.
        assert_eq!(same(8, 2, 3), None);
        assert_eq!(same(7, 1, 4), None);
        assert_eq!(same(9, 2, 3), Some(vec![1, 1]));
    }
}
