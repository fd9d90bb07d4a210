//! Pooling and its gradient.

use super::property::{Draw, Lab, agree, draw, equal, holds, once, twice};
use super::tolerance;
use proptest::prelude::*;
use striate_tensor::{Device, Padding, PoolKind, PoolSpec, Result, Shape};

/// A pooling whose parts fit each other.
#[derive(Debug, Clone)]
struct Pooling {
    input: Vec<usize>,
    spec: PoolSpec,
}

fn any_kind() -> impl Strategy<Value = PoolKind> {
    prop_oneof![Just(PoolKind::Max), Just(PoolKind::Average)]
}

/// Any pooling: 1 to 3 axes, all kinds of padding, windows apart, touching, overlapping, covering all.
fn any_pooling() -> impl Strategy<Value = Pooling> {
    (1usize..4).prop_flat_map(|axes| {
        let (space, window) = [(41usize, 9usize), (18, 6), (8, 4)][axes - 1];
        let padding = prop_oneof![
            Just(Padding::Valid),
            Just(Padding::Same),
            prop::array::uniform3((0usize..4, 0usize..4)).prop_map(Padding::Explicit),
        ];
        let windows = prop::array::uniform3(1usize..window);
        let strides = prop::option::of(prop::array::uniform3(1usize..4));
        let space = prop_oneof![4 => prop::collection::vec(1usize..space, axes), 1 => Just(vec![0; axes])];
        let batch = prop_oneof![1 => Just(0usize), 9 => 1usize..4];
        (any_kind(), windows, strides, padding, space, batch, prop_oneof![1usize..6, 6usize..71]).prop_map(
            |(kind, window, strides, mut padding, mut space, batch, channels)| {
                if let Padding::Explicit(pads) = &mut padding {
                    for (pad, window) in pads.iter_mut().zip(window) {
                        *pad = (pad.0.min(window - 1), pad.1.min(window - 1));
                    }
                }
                for (axis, size) in space.iter_mut().enumerate() {
                    let padded = match padding {
                        Padding::Explicit(pads) => pads[axis].0 + pads[axis].1,
                        Padding::Same => window[axis],
                        _ => 0,
                    };
                    // An input of the window's size where none was drawn.
                    *size = (*size).max(window[axis].saturating_sub(padded)).max(1);
                }
                let mut input = vec![batch];
                input.extend(space);
                input.push(channels);
                // Keras's default: windows side by side.
                let strides = strides.unwrap_or(window);
                Pooling { input, spec: PoolSpec { kind, window, strides, padding } }
            },
        )
    })
}

/// Windows around 256 elements, where indices no longer fit a byte.
fn large_windows() -> impl Strategy<Value = Pooling> {
    let window = prop_oneof![1 => 254usize..259, 2 => 259usize..400];
    (any_kind(), window, 1usize..300, 1usize..9, 1usize..4).prop_map(|(kind, window, stride, channels, more)| {
        let spec = PoolSpec { kind, window: [window; 3], strides: [stride; 3], padding: Padding::Valid };
        Pooling { input: vec![1, window * more, channels], spec }
    })
}

fn pooling() -> impl Strategy<Value = Pooling> {
    prop_oneof![8 => any_pooling().boxed(), 1 => large_windows().boxed()]
}

/// Maximum, with the winners' indices, and average.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn pool_forward(device: &Device, cases: u32) -> Result<(), String> {
    let lab = Lab::new(device);
    holds("pool_forward", cases, (draw(), pooling(), any::<bool>()), |(draw, case, with_indices)| {
        let x = lab.operand(&draw, 0, Shape::new(&case.input)?)?;
        let got = twice(draw.dtype, || {
            let (y, indices) = x.tested.pool(&case.spec, with_indices)?;
            Ok([Some(y), indices].into_iter().flatten().collect())
        })?;
        let (y, indices) = x.exact.pool(&case.spec, with_indices)?;
        prop_assert_eq!(
            got.len(),
            1 + usize::from(indices.is_some()),
            "indices must be there for a maximum if asked for"
        );
        if let Some(indices) = indices {
            equal("indices", &got[1], &indices)?;
        }
        let averages = case.spec.kind == PoolKind::Average;
        let magnitude = x.magnitude()?.pool(&case.spec, false)?.0.to_f64_vec()?;
        agree("y", &got[0], &y, draw.dtype, |i| if averages { tolerance::sum(draw.dtype, magnitude[i]) } else { 0.0 })
    })
}

/// The gradient of pooling's input.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn pool_backward(device: &Device, cases: u32) -> Result<(), String> {
    let lab = Lab::new(device);
    holds("pool_backward", cases, (draw(), pooling()), |(draw, case): (Draw, Pooling)| {
        let input = Shape::new(&case.input)?;
        let x = lab.operand(&draw, 0, input)?;
        let dy = lab.operand(&draw, 1, case.spec.output_shape(&input)?)?;
        let indices = x.exact.pool(&case.spec, true)?.1;
        let on_device = indices.as_ref().map(|indices| indices.to_device(device)).transpose()?;
        let got = once(draw.dtype, || dy.tested.pool_backward(&input, on_device.as_ref(), &case.spec))?;
        let want = dy.exact.pool_backward(&input, indices.as_ref(), &case.spec)?;
        let magnitude = dy.magnitude()?.pool_backward(&input, indices.as_ref(), &case.spec)?.to_f64_vec()?;
        agree("dx", &got, &want, draw.dtype, |i| tolerance::sum(draw.dtype, magnitude[i]))
    })
}
