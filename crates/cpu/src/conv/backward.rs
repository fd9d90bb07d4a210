//! All gradients of a convolution in one go, some samples at a time where its maps are large.
//!
//! What lies between a pooling and its convolution's gradients then never exists for the whole batch, and the gradient of a ReLU's
//! output takes the place of that output.

use super::{input_gradient_into, kernel_gradient_into};
use crate::backend::{Context, elements, f32s};
use crate::simd::{Kernel, Simd};
use crate::{pool, reduce};
use striate_tensor::{ConvBackward, ConvGeometry, ConvGradients, PoolGeometry, Result, Storage, Tensor};

/// Elements of the largest map of the samples that are computed together.
const CHUNK: usize = 6 << 20;

pub(crate) fn run(cx: &Context, x: &mut Tensor, work: &ConvBackward<'_>) -> Result<ConvGradients<Storage>> {
    in_chunks(cx, x, work, CHUNK)
}

fn in_chunks(cx: &Context, x: &mut Tensor, work: &ConvBackward<'_>, largest: usize) -> Result<ConvGradients<Storage>> {
    let g = &work.geometry;
    let (dy, weights) = (f32s("convolution gradient", work.dy)?, f32s("convolution gradient", work.kernel)?);
    let (in_sample, out_sample) = (g.input_positions() * g.in_channels, g.positions() * g.out_channels);
    let dy_sample = work.pool.map_or(out_sample, |(pool, _)| pool.positions() * pool.channels);
    let overwrites = work.input && work.masked && x.is_sole_owner();
    // Of the maps that exist for some samples only, the larger one.
    let temporary = in_sample.max(if work.pool.is_some() { out_sample } else { 0 });
    let chunks = (g.batch * temporary).div_ceil(largest).clamp(1, g.batch.max(1));
    let samples = g.batch.div_ceil(chunks).max(1);

    let kernel_len = g.taps() * g.in_per_group() * g.out_channels;
    let has_sums = work.weights || work.bias;
    let mut dw = has_sums.then(|| cx.memory.take::<f32>(kernel_len)).transpose()?;
    let mut db = work.bias.then(|| cx.memory.take::<f32>(g.out_channels)).transpose()?;
    let own = (work.input && !overwrites).then(|| cx.memory.take::<f32>(g.batch * in_sample));
    let mut dx = own.transpose()?;
    // Without samples the sums are zero: one round for none.
    for start in (0..g.batch.max(1)).step_by(samples) {
        let end = (start + samples).min(g.batch);
        let part = ConvGeometry { batch: end - start, ..*g };
        let scattered = match work.pool {
            Some((pool, indices)) => {
                let pool = PoolGeometry { batch: part.batch, ..pool };
                let mut dz = cx.memory.take::<f32>(part.batch * out_sample)?;
                let range = start * dy_sample..end * dy_sample;
                pool::scatter_maxima(cx, &dy[range.clone()], indices, range, &pool, &mut dz)?;
                Some(dz)
            }
            None => None,
        };
        let dz = scattered.as_deref().unwrap_or(&dy[start * dy_sample..end * dy_sample]);
        if let Some(dw) = &mut dw {
            let input = &f32s("convolution gradient", x)?[start * in_sample..end * in_sample];
            if start == 0 {
                kernel_gradient_into(cx, input, dz, &part, dw, db.as_deref_mut())?;
            } else {
                let mut more = cx.memory.take::<f32>(kernel_len)?;
                let mut more_bias = db.is_some().then(|| cx.memory.take::<f32>(g.out_channels)).transpose()?;
                kernel_gradient_into(cx, input, dz, &part, &mut more, more_bias.as_deref_mut())?;
                reduce::add_parts(cx, &more, dw);
                if let (Some(db), Some(more)) = (&mut db, &more_bias) {
                    reduce::add_parts(cx, more, db);
                }
            }
        }
        let range = start * in_sample..end * in_sample;
        if overwrites {
            let mut gradient = cx.memory.take::<f32>(range.len())?;
            input_gradient_into(cx, dz, work.kernel, weights, &part, &mut gradient)?;
            // Its memory may serve the next samples.
            drop(scattered);
            let x = x.make_mut::<f32>()?;
            masked(cx, &mut x[range], |v, dx| if v > 0.0 { dx } else { 0.0 }, &gradient);
        } else if let Some(dx) = &mut dx {
            let gradient = &mut dx[range.clone()];
            input_gradient_into(cx, dz, work.kernel, weights, &part, gradient)?;
            if work.masked {
                masked(cx, gradient, |dx, v| if v > 0.0 { dx } else { 0.0 }, &elements::<f32>(x)?[range]);
            }
        }
    }
    Ok(ConvGradients {
        input: dx.map(|dx| dx.into_storage()),
        kernel: dw.filter(|_| work.weights).map(|dw| dw.into_storage()),
        bias: db.map(|db| db.into_storage()),
    })
}

/// a ← f(a, b) for each element.
struct Combine<'a, F> {
    a: &'a mut [f32],
    b: &'a [f32],
    f: F,
}

impl<F: Fn(f32, f32) -> f32> Kernel for Combine<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        self.a.iter_mut().zip(self.b).for_each(|(a, &b)| *a = (self.f)(*a, b));
    }
}

fn masked(cx: &Context, a: &mut [f32], f: impl Fn(f32, f32) -> f32 + Sync + Copy, b: &[f32]) {
    const PIECE: usize = 1 << 14;
    let work = 16 * a.len() as u64;
    cx.threads.pieces(a, PIECE, work, |i, a| {
        let b = &b[i * PIECE..i * PIECE + a.len()];
        cx.level.run(Combine { a, b, f });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;
    use crate::simd::{Isa, Level};
    use crate::threads::Threads;
    use crate::{CpuBackend, CpuOptions};
    use striate_tensor::{Activation, ConvAlgorithm, ConvSpec, Device, Padding, PoolKind, PoolSpec, Shape};

    #[test]
    fn chunks_of_samples_give_the_gradients_of_all() {
        let device = Device::new(CpuBackend::new(CpuOptions { threads: Some(2), ..CpuOptions::default() }).unwrap());
        let cx = Context {
            memory: Memory::new(),
            threads: Threads::new(Some(2)).unwrap(),
            level: Level::new(Isa::from_environment().unwrap()).unwrap(),
            algorithm: ConvAlgorithm::Auto,
        };
        let wave = |shape: [usize; 4], step: f32| {
            let all = (0..shape.iter().product()).map(|i| (i as f32 * step).sin()).collect::<Vec<f32>>();
            Tensor::from_vec(all, shape, &device).unwrap()
        };
        let spec = ConvSpec { padding: Padding::Same, ..ConvSpec::default() };
        let pool = PoolSpec { kind: PoolKind::Max, window: [2; 3], strides: [2; 3], padding: Padding::Valid };
        for (channels, filters) in [(3, 16), (16, 24)] {
            let (x, kernel) = (wave([5, 12, 10, channels], 0.7), wave([3, 3, channels, filters], 0.3));
            let y = x.conv(&kernel, None, &spec, Activation::Linear).unwrap();
            let (pooled, winners) = y.pool(&pool, true).unwrap();
            let dy = wave([5, 6, 5, filters], 1.1);
            assert_eq!(pooled.shape(), dy.shape());
            let work = ConvBackward {
                dy: &dy,
                kernel: &kernel,
                geometry: spec.geometry(x.shape(), kernel.shape()).unwrap(),
                pool: Some((pool.geometry(y.shape()).unwrap(), winners.as_ref().unwrap())),
                input: true,
                masked: true,
                weights: true,
                bias: true,
            };
            let compute = |largest: usize, owned: bool| -> Vec<Vec<f32>> {
                let mut x = if owned { wave([5, 12, 10, channels], 0.7) } else { x.clone() };
                let made = in_chunks(&cx, &mut x, &work, largest).unwrap();
                assert_eq!(made.input.is_none(), owned);
                let len = x.elements();
                let tensor = |storage: Storage| {
                    Tensor::from_storage(storage, Shape::from([len]), &device).unwrap().to_vec::<f32>().unwrap()
                };
                let host = |storage: Storage| storage.as_host().unwrap().as_slice::<f32>().unwrap().to_vec();
                let dx = made.input.map_or_else(|| x.to_vec::<f32>().unwrap(), tensor);
                vec![dx, host(made.kernel.unwrap()), host(made.bias.unwrap())]
            };
            let whole = compute(usize::MAX, false);
            for (largest, owned) in [(usize::MAX, true), (2 * 12 * 10 * filters, false), (1, true)] {
                for (got, want) in compute(largest, owned).iter().zip(&whole) {
                    let scale = want.iter().fold(0.0f32, |most, v| most.max(v.abs()));
                    let worst = got.iter().zip(want).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
                    assert!(worst <= 1e-5 * scale, "{channels} {largest} {owned}: {worst} of {scale}");
                }
            }
        }
    }
}
