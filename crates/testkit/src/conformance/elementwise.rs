//! Elementwise functions, their gradients, broadcasting and dropout.

use super::property::{ACTIVATIONS, Draw, Fill, LEVEL, Lab, agree, draw, holds, holds_for, once, shape};
use super::tolerance;
use proptest::prelude::*;
use striate_tensor::{BinaryOp, DType, Device, Error, Key, Result, Shape, UnaryOp};

fn unary_ops() -> Vec<UnaryOp> {
    let mut ops = vec![
        UnaryOp::Neg,
        UnaryOp::Abs,
        UnaryOp::Square,
        UnaryOp::Sqrt,
        UnaryOp::Reciprocal,
        UnaryOp::Exp,
        UnaryOp::Log,
        UnaryOp::Affine { scale: -1.75, offset: 0.3 },
        UnaryOp::Affine { scale: 0.0, offset: 2.0 },
        UnaryOp::Clip { low: -1.0, high: 1.5 },
    ];
    ops.extend(ACTIVATIONS.map(UnaryOp::Activation));
    ops
}

/// Lengths around the widths of vector registers, and now and then one that is worth several threads.
fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 0usize..70, 3 => 70usize..1000, 1 => 20_000usize..40_000]
}

/// A length that is certainly worth several threads.
const LONG: usize = 100_003;

/// Inputs that the function is defined for, over all of its interesting range.
fn domain(op: UnaryOp, draw: &Draw, len: usize) -> Vec<f64> {
    let mut values = draw.values(0, len);
    for value in &mut values {
        if matches!(draw.fill, Fill::Smooth) {
            *value *= 8.0;
        }
        *value = f64::from(match op {
            UnaryOp::Sqrt | UnaryOp::Log => value.abs() + 0.01,
            UnaryOp::Reciprocal => *value + 0.05f64.copysign(*value),
            _ => *value,
        } as f32);
    }
    values
}

/// Every function of one tensor.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn unary(device: &Device, cases: u32) -> Result<(), String> {
    let lab = Lab::new(device);
    unary_ops().into_iter().try_for_each(|op| {
        let property = |(draw, len): (Draw, usize)| {
            let values = domain(op, &draw, len);
            let x = lab.given(&draw, values.clone(), len)?;
            let got = once(draw.dtype, || x.tested.unary(op))?;
            agree("y", &got, &x.exact.unary(op)?, draw.dtype, |i| {
                tolerance::function(op, draw.dtype, values[i], op.apply(values[i]))
            })
        };
        let name = format!("unary {op:?}");
        holds(&name, cases.div_ceil(6), (draw(), lengths()), property)?;
        holds_for(&name, [(LEVEL, LONG)], property)
    })
}

/// The gradient of every function of one tensor, at kinks too.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn unary_backward(device: &Device, cases: u32) -> Result<(), String> {
    let lab = Lab::new(device);
    unary_ops().into_iter().try_for_each(|op| {
        let property = |(draw, len): (Draw, usize)| {
            let values = domain(op, &draw, len);
            let saved: Vec<f64> = if op.slope_from_output() {
                values.iter().map(|&x| f64::from(op.apply(x) as f32)).collect()
            } else {
                values.clone()
            };
            let (x, dy) = (lab.given(&draw, saved.clone(), len)?, lab.operand(&draw, 1, len)?);
            let got = once(draw.dtype, || dy.tested.unary_backward(op, &x.tested))?;
            let gradients = dy.exact.to_f64_vec()?;
            agree("dx", &got, &dy.exact.unary_backward(op, &x.exact)?, draw.dtype, |i| {
                tolerance::slope(op, draw.dtype, values[i], op.slope(saved[i]), gradients[i])
            })
        };
        let name = format!("unary_backward {op:?}");
        holds(&name, cases.div_ceil(6), (draw(), lengths()), property)?;
        holds_for(&name, [(LEVEL, LONG)], property)
    })
}

/// Two shapes that broadcast: sizes of the result, and for each operand how many leading axes it lacks and which of the rest are 1.
fn broadcasting() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    let axis = (prop_oneof![4 => 1usize..8, 1 => 8usize..40, 1 => Just(0usize)], any::<bool>(), any::<bool>());
    let equal = shape(0..5, 0..8).prop_map(|sizes| (sizes.clone(), sizes));
    let mixed = (prop::collection::vec(axis, 0..5), 0usize..5, any::<bool>()).prop_map(|(axes, missing, of_a)| {
        let side = |one: fn(&(usize, bool, bool)) -> bool| -> Vec<usize> {
            axes.iter().map(|axis| if one(axis) { 1 } else { axis.0 }).collect()
        };
        let (a, b) = (side(|axis| axis.1 && !axis.2), side(|axis| axis.2));
        let cut = |sizes: &[usize]| sizes[missing.min(sizes.len())..].to_vec();
        if of_a { (cut(&a), b) } else { (a.clone(), cut(&b)) }
    });
    let bias = (shape(1..4, 0..6), 1usize..71).prop_map(|(mut sizes, channels)| {
        sizes.push(channels);
        (sizes, vec![channels])
    });
    prop_oneof![equal.boxed(), mixed.boxed(), bias.boxed()].prop_filter("too large", |(a, b)| {
        let size = |sizes: &[usize]| sizes.iter().map(|&n| n.max(1)).product::<usize>();
        size(a).max(size(b)) < 20_000
    })
}

/// Every function of two tensors, with every way of broadcasting.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn binary(device: &Device, cases: u32) -> Result<(), String> {
    use BinaryOp::*;
    let lab = Lab::new(device);
    [Add, Sub, Mul, Div, Maximum, Minimum, Greater, GreaterEqual, Equal].into_iter().try_for_each(|op| {
        holds(&format!("binary {op:?}"), cases.div_ceil(3), (draw(), broadcasting()), |(draw, (a, b))| {
            let a = lab.operand(&draw, 0, Shape::new(&a)?)?;
            let b = lab.operand(&draw, 1, Shape::new(&b)?)?;
            let got = once(draw.dtype, || a.tested.binary(op, &b.tested))?;
            let want = a.exact.binary(op, &b.exact)?;
            let values = want.to_f64_vec()?;
            let rounded = matches!(op, Add | Sub | Mul | Div);
            agree("y", &got, &want, draw.dtype, |i| {
                if rounded { tolerance::arithmetic(draw.dtype, values[i]) } else { 0.0 }
            })
        })
    })
}

/// Dropout drops exactly the elements that the key says, and scales the others.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn dropout(device: &Device, cases: u32) -> Result<(), String> {
    let lab = Lab::new(device);
    let rate = prop_oneof![Just(0.5f32), Just(0.25), Just(0.999), Just(1e-4), 0.01f32..0.99];
    let case = (draw(), rate, any::<u64>().no_shrink(), lengths());
    holds("dropout", cases, case, |(draw, rate, seed, len)| {
        // No zeros: a zero in the result is a dropped element.
        let values = draw.values(0, len).iter().map(|value| value + 5.0f64.copysign(*value)).collect();
        let x = lab.given(&draw, values, len)?;
        let key = Key::new(seed).fold_str("dropout");
        let got = once(draw.dtype, || x.tested.dropout(rate, key))?;
        let want = x.exact.dropout(rate, key)?;
        let (dropped, kept) = (got.to_f64_vec()?, want.to_f64_vec()?);
        if let Some(i) = (0..len).find(|&i| (dropped[i] == 0.0) != (kept[i] == 0.0)) {
            prop_assert!(false, "element {} is {}, the reference gives {}", i, dropped[i], kept[i]);
        }
        agree("y", &got, &want, draw.dtype, |i| tolerance::arithmetic(draw.dtype, kept[i]))
    })
}

/// One NaN or infinity among many numbers is found.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn is_finite(device: &Device, cases: u32) -> Result<(), String> {
    let lab = Lab::new(device);
    let spoil =
        prop_oneof![Just(None), Just(Some(f64::NAN)), Just(Some(f64::INFINITY)), Just(Some(f64::NEG_INFINITY)),];
    let case = (draw(), lengths(), spoil, any::<prop::sample::Index>());
    holds("is_finite", cases, case, |(draw, len, spoil, place)| {
        let mut values = draw.values(0, len);
        let spoiled = match spoil {
            Some(value) if len > 0 => {
                values[place.index(len)] = value;
                true
            }
            _ => false,
        };
        let x = lab.given(&draw, values, len)?;
        match x.tested.is_finite() {
            Err(Error::DType(_)) if draw.dtype != DType::F32 => {
                Err(TestCaseError::reject("the device does not take this element type"))
            }
            finite => {
                prop_assert_eq!(finite?, !spoiled);
                Ok(())
            }
        }
    })
}
