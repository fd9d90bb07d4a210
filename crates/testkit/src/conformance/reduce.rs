//! Reductions along any axes.

use super::property::{Fill, Lab, agree, draw, holds, once, shape};
use super::tolerance;
use proptest::prelude::*;
use striate_tensor::{DType, Device, ReduceOp, Result, Shape};

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        4 => shape(0..6, 1..6).boxed(),
        2 => shape(1..4, 1..30).prop_filter("too large", |s| s.iter().product::<usize>() < 20_000).boxed(),
        1 => shape(1..4, 0..4).boxed(),
        1 => (0usize..3, 1000usize..20_000).prop_map(|(n, long)| vec![n, long]).boxed(),
        1 => (1000usize..4000, 1usize..9).prop_map(|(long, channels)| vec![long, channels]).boxed(),
    ]
}

/// Sum, mean, maximum and minimum along any set of axes, from none to all.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn reduce(device: &Device, cases: u32) -> Result<(), String> {
    let lab = Lab::new(device);
    [ReduceOp::Sum, ReduceOp::Mean, ReduceOp::Max, ReduceOp::Min].into_iter().try_for_each(|op| {
        let case = (draw(), sizes(), any::<u8>(), any::<bool>());
        holds(&format!("reduce {op:?}"), cases.div_ceil(2), case, |(draw, mut sizes, mask, keep)| {
            let axes: Vec<usize> = (0..sizes.len()).filter(|axis| mask >> axis & 1 == 1).collect();
            if op != ReduceOp::Sum {
                axes.iter().for_each(|&axis| sizes[axis] = sizes[axis].max(1));
            }
            let x = lab.operand(&draw, 0, Shape::new(&sizes)?)?;
            let got = once(draw.dtype, || x.tested.reduce(op, &axes, keep))?;
            let summed = matches!(op, ReduceOp::Sum | ReduceOp::Mean);
            let magnitude = x.magnitude()?.reduce(op, &axes, keep)?.to_f64_vec()?;
            agree("y", &got, &x.exact.reduce(op, &axes, keep)?, draw.dtype, |i| {
                if summed { tolerance::sum(draw.dtype, magnitude[i]) } else { 0.0 }
            })
        })
    })
}

/// The index of the largest element of each row, the first one of several.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn argmax(device: &Device, cases: u32) -> Result<(), String> {
    let lab = Lab::new(device);
    let case = (draw(), shape(0..3, 0..6), prop_oneof![1usize..70, 70usize..1500]);
    holds("argmax", cases, case, |(mut draw, mut sizes, last)| {
        if matches!(draw.fill, Fill::Wide) {
            draw.fill = Fill::Steps;
        }
        sizes.push(last);
        let x = lab.operand(&draw, 0, Shape::new(&sizes)?)?;
        let got = once(draw.dtype, || x.tested.argmax())?;
        agree("index", &got, &x.exact.argmax()?, DType::I32, |_| 0.0)
    })
}
