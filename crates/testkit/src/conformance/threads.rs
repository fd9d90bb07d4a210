//! One back end set up in two ways, with other numbers of threads above all, gives the same bits.

use super::conv::{Convolution, convolution, layers};
use super::property::{Draw, LEVEL, Lab, equal, holds, holds_for, level_draw};
use proptest::test_runner::TestCaseResult;
use striate_tensor::{Activation, Device, Key, Padding, PoolKind, PoolSpec, ReduceOp, Result, Tensor, UnaryOp};

/// Everything that adds numbers up gives the same bits on two devices of one back end, for all layers of usual networks and for
/// `cases` drawn ones: one thread and many, say.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn equal_bits(one: &Device, other: &Device, cases: u32) -> Result<(), String> {
    let (one, other) = (Lab::new(one), Lab::new(other));
    let same = |work: &dyn Fn(&Lab<'_>) -> Result<Vec<Tensor>>| -> TestCaseResult {
        for (i, (one, other)) in work(&one)?.iter().zip(work(&other)?).enumerate() {
            equal(&format!("result {i}"), one, &other)?;
        }
        Ok(())
    };
    let convolutions = |(mut draw, case): (Draw, Convolution)| {
        draw.dtype = LEVEL.dtype;
        same(&|lab| convolved(lab, &draw, &case))
    };
    holds("equal bits: convolution", cases, (level_draw(), convolution()), convolutions)?;
    holds_for("equal bits: convolution", layers().into_iter().map(|layer| (LEVEL, layer)), convolutions)?;
    holds_for("equal bits: matrix product", [[20, 1500, 130], [300, 288, 64], [1, 40_000, 1], [3, 7, 9]], |sizes| {
        same(&|lab| multiplied(lab, sizes))
    })?;
    holds_for("equal bits: reduction", [[60_000, 1], [1, 60_000], [300, 200], [7, 5]], |sizes| {
        same(&|lab| reduced(lab, sizes))
    })?;
    holds_for("equal bits: image", [[4, 60, 60, 33], [1, 5, 4, 3]], |sizes| same(&|lab| pooled(lab, sizes)))
}

fn convolved(lab: &Lab<'_>, draw: &Draw, case: &Convolution) -> Result<Vec<Tensor>> {
    let (input, kernel, output) = case.shapes()?;
    let (x, k) = (lab.operand(draw, 0, input)?.tested, lab.operand(draw, 1, kernel)?.tested);
    let (dy, bias) = (lab.operand(draw, 2, output)?.tested, lab.operand(draw, 3, output.channels())?.tested);
    let (dkernel, dbias) = dy.conv_backward_kernel(&x, &kernel, &case.spec, true)?;
    let results = [
        Some(x.conv(&k, Some(&bias), &case.spec, Activation::Relu)?),
        Some(dy.conv_backward_input(&k, &input, &case.spec)?),
        Some(dkernel),
        dbias,
    ];
    Ok(results.into_iter().flatten().collect())
}

fn multiplied(lab: &Lab<'_>, [m, k, n]: [usize; 3]) -> Result<Vec<Tensor>> {
    let (a, b) = (lab.operand(&LEVEL, 0, [m, k])?.tested, lab.operand(&LEVEL, 1, [k, n])?.tested);
    let c = a.matmul(&b)?;
    let da = c.matmul_with(false, &b, true, None, Activation::Linear)?;
    let db = a.matmul_with(true, &c, false, None, Activation::Linear)?;
    Ok(vec![c, da, db])
}

fn reduced(lab: &Lab<'_>, sizes: [usize; 2]) -> Result<Vec<Tensor>> {
    let (x, t) = (lab.operand(&LEVEL, 0, sizes)?.tested, lab.operand(&LEVEL, 1, sizes)?.tested);
    let y = x.softmax()?;
    let (loss, probabilities) = x.softmax_crossentropy(&t)?;
    let mut results = vec![t.softmax_backward(&y)?, y, loss, probabilities];
    for axes in [&[0][..], &[1], &[0, 1]] {
        results.push(x.reduce(ReduceOp::Sum, axes, false)?);
        results.push(x.reduce(ReduceOp::Mean, axes, false)?);
    }
    Ok(results)
}

fn pooled(lab: &Lab<'_>, sizes: [usize; 4]) -> Result<Vec<Tensor>> {
    let x = lab.operand(&LEVEL, 0, sizes)?.tested;
    let y = x.unary(UnaryOp::Activation(Activation::Gelu))?;
    let mut results = vec![x.dropout(0.4, Key::new(7))?, x.mul(&y)?, y];
    for kind in [PoolKind::Max, PoolKind::Average] {
        let spec = PoolSpec { kind, window: [3; 3], strides: [2; 3], padding: Padding::Same };
        let (y, indices) = x.pool(&spec, true)?;
        results.push(y.pool_backward(x.shape(), indices.as_ref(), &spec)?);
        results.push(y);
    }
    Ok(results)
}
