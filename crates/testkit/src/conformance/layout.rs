//! Layout: elements are moved, never changed, so results are equal bit by bit.

use super::memory::{DTYPES, raw};
use super::property::{Lab, agree, equal, holds, level_draw, once, required, shape};
use super::tolerance;
use proptest::prelude::*;
use striate_tensor::{DType, Device, Error, PadMode, Result, Shape, Tensor};

/// Element type, seed of the bits, and offset in memory.
type Raw = (DType, u64, usize);

fn any_raw() -> impl Strategy<Value = Raw> {
    let dtype = prop_oneof![2 => Just(DType::F32), 3 => prop::sample::select(&DTYPES[..])];
    (dtype, any::<u64>().no_shrink(), 0usize..5)
}

/// Runs `work` on both devices on tensors of the same random bits.
fn moved(
    device: &Device,
    (dtype, seed, shift): Raw,
    shapes: &[Shape],
    work: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<(), TestCaseError> {
    let reference = crate::reference::device();
    let (mut tested, mut exact) = (Vec::new(), Vec::new());
    for (i, shape) in shapes.iter().enumerate() {
        let made = raw(device, &reference, dtype, seed.wrapping_add(i as u64), shift, shape);
        if let (Err(Error::DType(_)), false) = (&made, required(dtype)) {
            return Err(TestCaseError::reject("the device does not take this element type"));
        }
        let (on_device, on_reference) = made?;
        tested.push(on_device);
        exact.push(on_reference);
    }
    let got = once(dtype, || work(&tested))?;
    equal("result", &got, &work(&exact)?)
}

/// Axes in another order, ranks 0 to 6.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn permute(device: &Device, cases: u32) -> Result<(), String> {
    let small = shape(0..7, 0..5);
    let large = shape(2..4, 1..41);
    let sizes = prop_oneof![3 => small.boxed(), 1 => large.boxed()];
    let order = sizes.prop_flat_map(|sizes| {
        let axes: Vec<usize> = (0..sizes.len()).collect();
        (Just(sizes), Just(axes).prop_shuffle())
    });
    holds("permute", cases, (any_raw(), order), |(draw, (sizes, order))| {
        moved(device, draw, &[Shape::new(&sizes)?], |x| x[0].permute(&order))
    })
}

/// Shape, border and what it is made of, fit for each other.
fn padding() -> impl Strategy<Value = (Vec<usize>, Vec<(usize, usize)>, PadMode)> {
    let mode = prop_oneof![
        prop_oneof![Just(0.0f32), Just(1.0), Just(-2.5)].prop_map(PadMode::Constant),
        Just(PadMode::Replicate),
        Just(PadMode::Reflect),
    ];
    let axis = (0usize..8, prop_oneof![2 => Just((0usize, 0usize)), 3 => (0usize..6, 0usize..6)]);
    (prop::collection::vec(axis, 1..6), mode).prop_map(|(axes, mode)| {
        let (mut sizes, mut pads): (Vec<_>, Vec<_>) = axes.into_iter().unzip();
        for (size, (before, after)) in sizes.iter_mut().zip(&mut pads) {
            if mode == PadMode::Replicate {
                *size = (*size).max(1);
            } else if mode == PadMode::Reflect {
                *before = (*before).min(size.saturating_sub(1));
                *after = (*after).min(size.saturating_sub(1));
            }
        }
        // At most three thousand elements or so; the last axes stay as they are.
        let mut elements = 1;
        for (size, pads) in sizes.iter_mut().zip(&mut pads).rev() {
            elements *= (*size + pads.0 + pads.1).max(1);
            if elements > 3000 {
                (*size, *pads) = ((*size).min(1), (0, 0));
                elements /= 8;
            }
        }
        (sizes, pads, mode)
    })
}

/// Borders of a constant, of the nearest element, and mirrored.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn pad(device: &Device, cases: u32) -> Result<(), String> {
    holds("pad", cases, (any_raw(), padding()), |(draw, (sizes, pads, mode))| {
        moved(device, draw, &[Shape::new(&sizes)?], |x| x[0].pad(&pads, mode))
    })
}

/// The gradients of borders.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn pad_backward(device: &Device, cases: u32) -> Result<(), String> {
    let lab = Lab::new(device);
    holds("pad_backward", cases, (level_draw(), padding()), |(draw, (sizes, pads, mode))| {
        let shape = Shape::new(&sizes)?;
        let padded: Vec<usize> = sizes.iter().zip(&pads).map(|(size, pad)| size + pad.0 + pad.1).collect();
        let dy = lab.operand(&draw, 0, Shape::new(&padded)?)?;
        let got = once(draw.dtype, || dy.tested.pad_backward(&shape, &pads, mode))?;
        let magnitude = dy.magnitude()?.pad_backward(&shape, &pads, mode)?.to_f64_vec()?;
        let want = dy.exact.pad_backward(&shape, &pads, mode)?;
        agree("dx", &got, &want, draw.dtype, |i| tolerance::sum(draw.dtype, magnitude[i]))
    })
}

/// Boxes cut out.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn crop(device: &Device, cases: u32) -> Result<(), String> {
    // (before, kept, after) for each axis.
    let axes = prop::collection::vec((0usize..4, 0usize..7, 0usize..4), 0..6);
    holds("crop", cases, (any_raw(), axes), |(draw, axes)| {
        let whole: Vec<usize> = axes.iter().map(|(before, kept, after)| before + kept + after).collect();
        let start: Vec<usize> = axes.iter().map(|axis| axis.0).collect();
        let kept: Vec<usize> = axes.iter().map(|axis| axis.1).collect();
        if whole.iter().product::<usize>() > 20_000 {
            return Err(TestCaseError::reject("too large"));
        }
        moved(device, draw, &[Shape::new(&whole)?], |x| x[0].crop(&start, Shape::new(&kept)?))
    })
}

/// One to four tensors one after another along any axis.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn concat(device: &Device, cases: u32) -> Result<(), String> {
    let parts = prop::collection::vec(0usize..8, 1..5);
    let case = (any_raw(), shape(1..6, 0..5), any::<prop::sample::Index>(), parts);
    holds("concat", cases, case, |(draw, sizes, axis, parts)| {
        let axis = axis.index(sizes.len());
        let mut shapes = Vec::new();
        for part in parts {
            let mut sizes = sizes.clone();
            sizes[axis] = part;
            shapes.push(Shape::new(&sizes)?);
        }
        moved(device, draw, &shapes, |x| Tensor::concat(&x.iter().collect::<Vec<_>>(), axis))
    })
}

/// Rows in any order, some several times, some not at all.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn gather(device: &Device, cases: u32) -> Result<(), String> {
    let rows = prop::collection::vec(any::<prop::sample::Index>(), 0..20);
    let case = (any_raw(), 0usize..12, shape(0..4, 0..8), rows);
    holds("gather", cases, case, |(draw, n, mut sizes, rows)| {
        sizes.insert(0, n);
        let rows: Vec<usize> = if n == 0 { vec![] } else { rows.iter().map(|row| row.index(n)).collect() };
        moved(device, draw, &[Shape::new(&sizes)?], |x| x[0].gather(&rows))
    })
}
