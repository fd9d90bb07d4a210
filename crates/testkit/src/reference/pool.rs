//! Pooling and its gradient: one walk over all windows.

use super::host::room;
use striate_tensor::{AlignedVec, PoolGeometry, PoolKind, Result};

/// Calls `visit(y, taps)` for every element y of the output, where taps are (index in the window, element of x) of those
/// inside the input, row-major.
fn for_each_window(g: &PoolGeometry, mut visit: impl FnMut(usize, &[(usize, usize)])) {
    let place = |axis: usize, out: usize, tap: usize| {
        (out * g.strides[axis] + tap).checked_sub(g.pad_before[axis]).filter(|&place| place < g.input[axis])
    };
    let mut taps = Vec::new();
    for n in 0..g.batch {
        for od in 0..g.output[0] {
            for oh in 0..g.output[1] {
                for ow in 0..g.output[2] {
                    for c in 0..g.channels {
                        taps.clear();
                        for kd in 0..g.window[0] {
                            for kh in 0..g.window[1] {
                                for kw in 0..g.window[2] {
                                    let places = (place(0, od, kd), place(1, oh, kh), place(2, ow, kw));
                                    let (Some(id), Some(ih), Some(iw)) = places else { continue };
                                    let x = ((n * g.input[0] + id) * g.input[1] + ih) * g.input[2] + iw;
                                    let tap = (kd * g.window[1] + kh) * g.window[2] + kw;
                                    taps.push((tap, x * g.channels + c));
                                }
                            }
                        }
                        let y = ((n * g.output[0] + od) * g.output[1] + oh) * g.output[2] + ow;
                        visit(y * g.channels + c, &taps);
                    }
                }
            }
        }
    }
}

fn outputs(g: &PoolGeometry) -> usize {
    g.batch * g.positions() * g.channels
}

/// The output, and each winner's index in its window for a maximum.
pub(super) fn forward(x: &[f64], g: &PoolGeometry) -> Result<(AlignedVec<f64>, AlignedVec<f64>)> {
    let (mut y, mut indices) = (room(outputs(g))?, room(outputs(g))?);
    for_each_window(g, |yi, taps| match g.kind {
        PoolKind::Max => {
            let mut best = 0;
            for (i, &(_, xi)) in taps.iter().enumerate() {
                if x[xi] > x[taps[best].1] {
                    best = i;
                }
            }
            y[yi] = x[taps[best].1];
            indices[yi] = taps[best].0 as f64;
        }
        PoolKind::Average => {
            let sum: f64 = taps.iter().map(|&(_, xi)| x[xi]).sum();
            y[yi] = sum / taps.len() as f64;
        }
    });
    Ok((y, indices))
}

/// The input's gradient; `indices` are the winners of a maximum.
pub(super) fn backward(dy: &[f64], indices: Option<&[f64]>, g: &PoolGeometry) -> Result<AlignedVec<f64>> {
    let mut dx = room(g.batch * g.input_positions() * g.channels)?;
    for_each_window(g, |yi, taps| {
        for &(tap, xi) in taps {
            match indices {
                None => dx[xi] += dy[yi] / taps.len() as f64,
                Some(indices) if indices[yi] == tap as f64 => dx[xi] += dy[yi],
                Some(_) => {}
            }
        }
    });
    Ok(dx)
}
