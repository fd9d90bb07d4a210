//! Softmax and cross-entropy along the last axis.

use super::property::{Draw, Lab, agree, draw, holds, once, shape, twice};
use super::tolerance;
use proptest::prelude::*;
use striate_tensor::{Device, Result, Shape};

fn rows() -> impl Strategy<Value = Vec<usize>> {
    let last = prop_oneof![3 => 1usize..20, 2 => 20usize..71, 1 => 900usize..1100];
    (shape(0..3, 0..7), last).prop_map(|(mut sizes, last)| {
        sizes.push(last);
        sizes
    })
}

/// Softmax, of logits up to a thousand too.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn softmax(device: &Device, cases: u32) -> Result<(), String> {
    let lab = Lab::new(device);
    holds("softmax", cases, (draw(), rows()), |(draw, sizes): (Draw, Vec<usize>)| {
        let x = lab.operand(&draw, 0, Shape::new(&sizes)?)?;
        let got = once(draw.dtype, || x.tested.softmax())?;
        let want = x.exact.softmax()?;
        let magnitude = want.to_f64_vec()?;
        agree("y", &got, &want, draw.dtype, |i| tolerance::small_sum(draw.dtype, magnitude[i]))
    })
}

/// The gradient of softmax.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn softmax_backward(device: &Device, cases: u32) -> Result<(), String> {
    let lab = Lab::new(device);
    holds("softmax_backward", cases, (draw(), rows()), |(draw, sizes): (Draw, Vec<usize>)| {
        let shape = Shape::new(&sizes)?;
        let probabilities = lab.operand(&draw, 0, shape)?.exact.softmax()?.to_f64_vec()?;
        let probabilities = probabilities.into_iter().map(|p| f64::from(p as f32)).collect();
        let (y, dy) = (lab.given(&draw, probabilities, shape)?, lab.operand(&draw, 1, shape)?);
        let got = once(draw.dtype, || dy.tested.softmax_backward(&y.tested))?;
        let (ys, dys) = (y.exact.to_f64_vec()?, dy.exact.to_f64_vec()?);
        let last = shape.channels();
        agree("dx", &got, &dy.exact.softmax_backward(&y.exact)?, draw.dtype, |i| {
            let row = i / last * last..(i / last + 1) * last;
            let sum: f64 = row.map(|j| (ys[j] * dys[j]).abs()).sum();
            tolerance::small_sum(draw.dtype, ys[i] * (dys[i].abs() + sum))
        })
    })
}

/// Cross-entropy and softmax in one, with one-hot and with mixed targets.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn softmax_crossentropy(device: &Device, cases: u32) -> Result<(), String> {
    let lab = Lab::new(device);
    let case = (draw(), rows(), any::<bool>());
    holds("softmax_crossentropy", cases, case, |(draw, sizes, one_hot)| {
        let shape = Shape::new(&sizes)?;
        let last = shape.channels();
        let x = lab.operand(&draw, 0, shape)?;
        let mut targets = draw.values(1, shape.elements());
        for (row, targets) in targets.chunks_mut(last).enumerate() {
            for (i, target) in targets.iter_mut().enumerate() {
                *target = if one_hot { f64::from(u8::from(i == row * 7 % last)) } else { target.abs().min(1.0) };
            }
        }
        let t = lab.given(&draw, targets.clone(), shape)?;
        let got = twice(draw.dtype, || {
            let (loss, probabilities) = x.tested.softmax_crossentropy(&t.tested)?;
            Ok(vec![loss, probabilities])
        })?;
        let (loss, probabilities) = x.exact.softmax_crossentropy(&t.exact)?;
        let logits = x.exact.to_f64_vec()?;
        agree("loss", &got[0], &loss, draw.dtype, |row| {
            let row = row * last..(row + 1) * last;
            let max = logits[row.clone()].iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let log_sum = logits[row.clone()].iter().map(|x| (x - max).exp()).sum::<f64>().ln();
            tolerance::sum(draw.dtype, row.map(|i| targets[i] * (max - logits[i] + log_sum)).sum())
        })?;
        let magnitude = probabilities.to_f64_vec()?;
        agree("softmax", &got[1], &probabilities, draw.dtype, |i| tolerance::small_sum(draw.dtype, magnitude[i]))
    })
}
