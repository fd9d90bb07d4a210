//! Convolution and its two gradients: one walk over all products, which each pass adds up in its own place.

use super::host::room;
use striate_tensor::{AlignedVec, ConvGeometry, Result};

/// Calls `visit(x, kernel, y)` with the elements of every product x·kernel that is a summand of y.
fn for_each_product(g: &ConvGeometry, mut visit: impl FnMut(usize, usize, usize)) {
    let [input_d, input_h, input_w] = g.input;
    let [output_d, output_h, output_w] = g.output;
    let [kernel_d, kernel_h, kernel_w] = g.kernel;
    let (ins, outs) = (g.in_per_group(), g.out_per_group());
    // The place a tap falls on, or none where it falls on padding.
    let place = |axis: usize, out: usize, tap: usize| {
        (out * g.strides[axis] + tap * g.dilations[axis])
            .checked_sub(g.pad_before[axis])
            .filter(|&place| place < g.input[axis])
    };
    for n in 0..g.batch {
        for od in 0..output_d {
            for oh in 0..output_h {
                for ow in 0..output_w {
                    let y = (((n * output_d + od) * output_h + oh) * output_w + ow) * g.out_channels;
                    for kd in 0..kernel_d {
                        let Some(id) = place(0, od, kd) else { continue };
                        for kh in 0..kernel_h {
                            let Some(ih) = place(1, oh, kh) else { continue };
                            for kw in 0..kernel_w {
                                let Some(iw) = place(2, ow, kw) else { continue };
                                let x = (((n * input_d + id) * input_h + ih) * input_w + iw) * g.in_channels;
                                let tap = (kd * kernel_h + kh) * kernel_w + kw;
                                for group in 0..g.groups {
                                    for ci in 0..ins {
                                        for co in group * outs..(group + 1) * outs {
                                            let kernel = (tap * ins + ci) * g.out_channels + co;
                                            visit(x + group * ins + ci, kernel, y + co);
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn forward(x: &[f64], kernel: &[f64], g: &ConvGeometry) -> Result<AlignedVec<f64>> {
    let mut y = room(g.batch * g.positions() * g.out_channels)?;
    for_each_product(g, |xi, ki, yi| y[yi] += x[xi] * kernel[ki]);
    Ok(y)
}

pub(super) fn backward_input(dy: &[f64], kernel: &[f64], g: &ConvGeometry) -> Result<AlignedVec<f64>> {
    let mut dx = room(g.batch * g.input_positions() * g.in_channels)?;
    for_each_product(g, |xi, ki, yi| dx[xi] += dy[yi] * kernel[ki]);
    Ok(dx)
}

pub(super) fn backward_kernel(x: &[f64], dy: &[f64], g: &ConvGeometry) -> Result<AlignedVec<f64>> {
    let mut dkernel = room(g.taps() * g.in_per_group() * g.out_channels)?;
    for_each_product(g, |xi, ki, yi| dkernel[ki] += x[xi] * dy[yi]);
    Ok(dkernel)
}

pub(super) fn backward_bias(dy: &[f64], g: &ConvGeometry) -> Result<AlignedVec<f64>> {
    let mut dbias = room(g.out_channels)?;
    for (i, dy) in dy.iter().enumerate() {
        dbias[i % g.out_channels] += dy;
    }
    Ok(dbias)
}
