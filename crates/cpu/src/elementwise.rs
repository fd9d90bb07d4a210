//! Functions of one or two tensors, element by element.

use crate::backend::{Context, f32s};
use crate::kernels::{exp, exp_m1, ln, normal_cdf, sigmoid, softplus, tanh};
use crate::simd::{Kernel, Level, Simd};
use striate_tensor::{Activation, BinaryOp, Result, Shape, Storage, Tensor, UnaryOp};

/// Elements a task works on: 64 KiB.
pub(crate) const PIECE: usize = 1 << 14;

const SELU_ALPHA: f32 = 1.673_263_2;
const SELU_SCALE: f32 = 1.050_701;

/// A function of one number, compiled for an instruction set.
pub(crate) trait Map1: Copy + Sync {
    fn apply<S: Simd>(self, x: f32) -> f32;
}

/// A function of two numbers, compiled for an instruction set.
pub(crate) trait Map2: Copy + Sync {
    fn apply<S: Simd>(self, a: f32, b: f32) -> f32;
}

/// Defines functions, with a parameter where one is named: `Name(parameter) => |instruction set, arguments| value;`.
macro_rules! maps {
    ($kind:ident: $($name:ident $(($field:ident))? => |$s:ident, $($arg:ident),+| $body:expr;)*) => {
        $(
            maps!(@define $name $($field)?);
            impl $kind for $name {
                #[inline(always)]
                fn apply<$s: Simd>(self, $($arg: f32),+) -> f32 {
                    $(let $field = self.$field;)?
                    $body
                }
            }
        )*
    };
    (@define $name:ident) => {
        #[derive(Clone, Copy)]
        struct $name;
    };
    (@define $name:ident $field:ident) => {
        #[derive(Clone, Copy)]
        struct $name {
            $field: f32,
        }
    };
}

#[derive(Clone, Copy)]
struct Affine {
    scale: f32,
    offset: f32,
}
impl Map1 for Affine {
    #[inline(always)]
    fn apply<S: Simd>(self, x: f32) -> f32 {
        S::fma1(x, self.scale, self.offset)
    }
}

#[derive(Clone, Copy)]
struct Clip {
    low: f32,
    high: f32,
}
impl Map1 for Clip {
    #[inline(always)]
    fn apply<S: Simd>(self, x: f32) -> f32 {
        let x = if x < self.low { self.low } else { x };
        if x > self.high { self.high } else { x }
    }
}
impl Map2 for Clip {
    #[inline(always)]
    fn apply<S: Simd>(self, x: f32, dy: f32) -> f32 {
        if x >= self.low && x <= self.high { dy } else { 0.0 }
    }
}

maps! { Map1:
    Neg => |_S, x| -x;
    Abs => |_S, x| x.abs();
    Square => |_S, x| x * x;
    Sqrt => |_S, x| x.sqrt();
    Reciprocal => |_S, x| 1.0 / x;
    Exp => |S, x| exp::<S>(x);
    Log => |S, x| ln::<S>(x);
    Relu => |_S, x| if x < 0.0 { 0.0 } else { x };
    LeakyRelu(slope) => |_S, x| if x > 0.0 { x } else { slope * x };
    Elu(alpha) => |S, x| { let e = alpha * exp_m1::<S>(x); if x > 0.0 { x } else { e } };
    Selu => |S, x| { let e = SELU_ALPHA * exp_m1::<S>(x); SELU_SCALE * if x > 0.0 { x } else { e } };
    Sigmoid => |S, x| sigmoid::<S>(x);
    HardSigmoid => |S, x| Clip { low: 0.0, high: 1.0 }.unit::<S>(x * (1.0 / 6.0) + 0.5);
    Tanh => |S, x| tanh::<S>(x);
    Softsign => |_S, x| x / (1.0 + x.abs());
    Softplus => |S, x| softplus::<S>(x);
    Silu => |S, x| x * sigmoid::<S>(x);
    Gelu => |S, x| x * normal_cdf::<S>(x);
    GeluTanh => |S, x| 0.5 * x * (1.0 + tanh::<S>(gelu_inner::<S>(x)));
}

impl Clip {
    #[inline(always)]
    fn unit<S: Simd>(self, x: f32) -> f32 {
        Map1::apply::<S>(self, x)
    }
}

/// √(2/π)·(x + 0.044715 x³).
#[inline(always)]
fn gelu_inner<S: Simd>(x: f32) -> f32 {
    0.797_884_6 * S::fma1(0.044_715 * x * x, x, x)
}

// Gradients: of the saved output or input, and of the output's gradient.
maps! { Map2:
    NegSlope => |_S, v, dy| { let _ = v; -dy };
    AbsSlope => |_S, v, dy| if v > 0.0 { dy } else if v < 0.0 { -dy } else { 0.0 };
    SquareSlope => |_S, v, dy| 2.0 * v * dy;
    SqrtSlope => |_S, v, dy| 0.5 / v * dy;
    ReciprocalSlope => |_S, v, dy| -v * v * dy;
    ExpSlope => |_S, v, dy| v * dy;
    LogSlope => |_S, v, dy| dy / v;
    ScaleSlope(scale) => |_S, v, dy| { let _ = v; scale * dy };
    ReluSlope => |_S, v, dy| if v > 0.0 { dy } else { 0.0 };
    Relu6Slope => |_S, v, dy| if v > 0.0 && v < 6.0 { dy } else { 0.0 };
    LeakyReluSlope(slope) => |_S, v, dy| if v > 0.0 { dy } else { slope * dy };
    EluSlope(alpha) => |_S, v, dy| if v > 0.0 { dy } else { (v + alpha) * dy };
    EluSlopeFromInput(alpha) => |S, v, dy| { let e = alpha * exp::<S>(v) * dy; if v > 0.0 { dy } else { e } };
    SeluSlope => |_S, v, dy| dy * if v > 0.0 { SELU_SCALE } else { v + SELU_SCALE * SELU_ALPHA };
    SigmoidSlope => |_S, v, dy| v * (1.0 - v) * dy;
    HardSigmoidSlope => |_S, v, dy| if v > 0.0 && v < 1.0 { dy * (1.0 / 6.0) } else { 0.0 };
    TanhSlope => |_S, v, dy| (1.0 - v * v) * dy;
    SoftsignSlope => |_S, v, dy| { let s = 1.0 - v.abs(); s * s * dy };
    SoftplusSlope => |S, v, dy| -exp_m1::<S>(-v) * dy;
    SiluSlope => |S, v, dy| { let s = sigmoid::<S>(v); s * S::fma1(v, 1.0 - s, 1.0) * dy };
    GeluSlope => |S, v, dy| dy * S::fma1(v * 0.398_942_3, exp::<S>(-0.5 * v * v), normal_cdf::<S>(v));
    GeluTanhSlope => |S, v, dy| {
        let t = tanh::<S>(gelu_inner::<S>(v));
        let inner = 0.797_884_6 * S::fma1(3.0 * 0.044_715 * v, v, 1.0);
        dy * (0.5 * (1.0 + t) + 0.5 * v * (1.0 - t * t) * inner)
    };
}

maps! { Map2:
    Add => |_S, a, b| a + b;
    Sub => |_S, a, b| a - b;
    Mul => |_S, a, b| a * b;
    Div => |_S, a, b| a / b;
    Maximum => |_S, a, b| if a >= b { a } else { b };
    Minimum => |_S, a, b| if a <= b { a } else { b };
    Greater => |_S, a, b| if a > b { 1.0 } else { 0.0 };
    GreaterEqual => |_S, a, b| if a >= b { 1.0 } else { 0.0 };
    Equal => |_S, a, b| if a == b { 1.0 } else { 0.0 };
}

/// f of every element of `x`, or in place.
struct Apply1<'a, F> {
    f: F,
    x: Option<&'a [f32]>,
    out: &'a mut [f32],
}

impl<F: Map1> Kernel for Apply1<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        match self.x {
            Some(x) => self.out.iter_mut().zip(x).for_each(|(out, &x)| *out = self.f.apply::<S>(x)),
            None => self.out.iter_mut().for_each(|x| *x = self.f.apply::<S>(*x)),
        }
    }
}

/// An operand of a row: one value for each element, or the same for all.
#[derive(Clone, Copy)]
enum Operand<'a> {
    Each(&'a [f32]),
    All(f32),
}

struct Apply2<'a, F> {
    f: F,
    a: Operand<'a>,
    b: Operand<'a>,
    out: &'a mut [f32],
}

impl<F: Map2> Kernel for Apply2<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Apply2 { f, out, .. } = self;
        match (self.a, self.b) {
            (Operand::Each(a), Operand::Each(b)) => {
                for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                    *out = f.apply::<S>(a, b);
                }
            }
            (Operand::Each(a), Operand::All(b)) => {
                out.iter_mut().zip(a).for_each(|(out, &a)| *out = f.apply::<S>(a, b));
            }
            (Operand::All(a), Operand::Each(b)) => {
                out.iter_mut().zip(b).for_each(|(out, &b)| *out = f.apply::<S>(a, b));
            }
            (Operand::All(a), Operand::All(b)) => out.fill(f.apply::<S>(a, b)),
        }
    }
}

/// Calls `$go` with the function of an activation.
macro_rules! with_activation {
    ($activation:expr, $f:ident => $go:expr) => {
        match $activation {
            Activation::Linear => with!($f = Affine { scale: 1.0, offset: 0.0 } => $go),
            Activation::Relu => with!($f = Relu => $go),
            Activation::Relu6 => with!($f = Clip { low: 0.0, high: 6.0 } => $go),
            Activation::LeakyRelu(slope) => with!($f = LeakyRelu { slope } => $go),
            Activation::Elu(alpha) => with!($f = Elu { alpha } => $go),
            Activation::Selu => with!($f = Selu => $go),
            Activation::Sigmoid => with!($f = Sigmoid => $go),
            Activation::HardSigmoid => with!($f = HardSigmoid => $go),
            Activation::Tanh => with!($f = Tanh => $go),
            Activation::Exponential => with!($f = Exp => $go),
            Activation::Softsign => with!($f = Softsign => $go),
            Activation::Softplus => with!($f = Softplus => $go),
            Activation::Silu => with!($f = Silu => $go),
            Activation::Gelu => with!($f = Gelu => $go),
            Activation::GeluTanh => with!($f = GeluTanh => $go),
            other => return unknown(format!("{other:?}")),
        }
    };
}

macro_rules! with {
    ($f:ident = $value:expr => $go:expr) => {{
        let $f = $value;
        $go
    }};
}

fn unknown<T>(name: String) -> Result<T> {
    Err(striate_tensor::Error::argument("elementwise function", "the CPU back end must know it", name, ""))
}

/// Refuses an activation that this back end does not know.
pub(crate) fn known(activation: Activation) -> Result<()> {
    with_activation!(activation, f => {
        let _ = f;
    });
    Ok(())
}

/// Applies an activation that passed [`known`] in place.
pub(crate) fn activate(level: Level, activation: Activation, out: &mut [f32]) {
    fn go(level: Level, activation: Activation, out: &mut [f32]) -> Result<()> {
        with_activation!(activation, f => level.run(Apply1 { f, x: None, out }));
        Ok(())
    }
    if activation != Activation::Linear {
        let applied = go(level, activation, out);
        debug_assert!(applied.is_ok(), "{activation:?}");
    }
}

pub(crate) fn unary(cx: &Context, op: UnaryOp, x: &Tensor) -> Result<Storage> {
    let x = f32s("elementwise function", x)?;
    let mut out = cx.memory.take::<f32>(x.len())?;
    macro_rules! go {
        ($f:expr) => {{
            let f = $f;
            cx.threads.pieces(&mut out, PIECE, 16 * x.len() as u64, |i, out| {
                let x = &x[i * PIECE..i * PIECE + out.len()];
                cx.level.run(Apply1 { f, x: Some(x), out });
            })
        }};
    }
    match op {
        UnaryOp::Neg => go!(Neg),
        UnaryOp::Abs => go!(Abs),
        UnaryOp::Square => go!(Square),
        UnaryOp::Sqrt => go!(Sqrt),
        UnaryOp::Reciprocal => go!(Reciprocal),
        UnaryOp::Exp => go!(Exp),
        UnaryOp::Log => go!(Log),
        UnaryOp::Affine { scale, offset } => go!(Affine { scale, offset }),
        UnaryOp::Clip { low, high } => go!(Clip { low, high }),
        UnaryOp::Activation(activation) => with_activation!(activation, f => go!(f)),
        other => return unknown(format!("{other:?}")),
    }
    Ok(out.into_storage())
}

pub(crate) fn unary_backward(cx: &Context, op: UnaryOp, saved: &Tensor, dy: &Tensor) -> Result<Storage> {
    use Activation::*;
    let (saved, dy) = (f32s("elementwise gradient", saved)?, f32s("elementwise gradient", dy)?);
    let mut out = cx.memory.take::<f32>(dy.len())?;
    macro_rules! go {
        ($f:expr) => {{
            let f = $f;
            cx.threads.pieces(&mut out, PIECE, 16 * dy.len() as u64, |i, out| {
                let range = i * PIECE..i * PIECE + out.len();
                let (a, b) = (Operand::Each(&saved[range.clone()]), Operand::Each(&dy[range]));
                cx.level.run(Apply2 { f, a, b, out });
            })
        }};
    }
    match op {
        UnaryOp::Neg => go!(NegSlope),
        UnaryOp::Abs => go!(AbsSlope),
        UnaryOp::Square => go!(SquareSlope),
        UnaryOp::Sqrt => go!(SqrtSlope),
        UnaryOp::Reciprocal => go!(ReciprocalSlope),
        UnaryOp::Exp => go!(ExpSlope),
        UnaryOp::Log => go!(LogSlope),
        UnaryOp::Affine { scale, .. } => go!(ScaleSlope { scale }),
        UnaryOp::Clip { low, high } => go!(Clip { low, high }),
        UnaryOp::Activation(activation) => match activation {
            Linear => go!(ScaleSlope { scale: 1.0 }),
            Relu => go!(ReluSlope),
            Relu6 => go!(Relu6Slope),
            LeakyRelu(slope) => go!(LeakyReluSlope { slope }),
            Elu(alpha) if alpha >= 0.0 => go!(EluSlope { alpha }),
            Elu(alpha) => go!(EluSlopeFromInput { alpha }),
            Selu => go!(SeluSlope),
            Sigmoid => go!(SigmoidSlope),
            HardSigmoid => go!(HardSigmoidSlope),
            Tanh => go!(TanhSlope),
            Exponential => go!(ExpSlope),
            Softsign => go!(SoftsignSlope),
            Softplus => go!(SoftplusSlope),
            Silu => go!(SiluSlope),
            Gelu => go!(GeluSlope),
            GeluTanh => go!(GeluTanhSlope),
            other => return unknown(format!("gradient of {other:?}")),
        },
        other => return unknown(format!("gradient of {other:?}")),
    }
    Ok(out.into_storage())
}

/// Axes of a broadcast merged as far as both operands allow: (size, step of a, step of b), outermost first.
fn merge(a: &Shape, b: &Shape, shape: &Shape) -> Vec<[usize; 3]> {
    let steps = |s: &Shape| {
        let strides = s.strides();
        let lead = shape.rank() - s.rank();
        (0..shape.rank())
            .map(|axis| if axis < lead || s[axis - lead] == 1 { 0 } else { strides[axis - lead] })
            .collect::<Vec<_>>()
    };
    let (a, b) = (steps(a), steps(b));
    let mut merged: Vec<[usize; 3]> = Vec::new();
    for axis in 0..shape.rank() {
        let next = [shape[axis], a[axis], b[axis]];
        if next[0] == 1 {
            continue;
        }
        match merged.last_mut() {
            Some(last) if last[1] == next[1] * next[0] && last[2] == next[2] * next[0] => {
                *last = [last[0] * next[0], next[1], next[2]];
            }
            _ => merged.push(next),
        }
    }
    if merged.is_empty() {
        merged.push([1, 0, 0]);
    }
    merged
}

pub(crate) fn binary(cx: &Context, op: BinaryOp, a: &Tensor, b: &Tensor, shape: &Shape) -> Result<Storage> {
    let axes = merge(a.shape(), b.shape(), shape);
    let (a, b) = (f32s("elementwise function", a)?, f32s("elementwise function", b)?);
    match op {
        BinaryOp::Add => broadcast(cx, Add, a, b, &axes),
        BinaryOp::Sub => broadcast(cx, Sub, a, b, &axes),
        BinaryOp::Mul => broadcast(cx, Mul, a, b, &axes),
        BinaryOp::Div => broadcast(cx, Div, a, b, &axes),
        BinaryOp::Maximum => broadcast(cx, Maximum, a, b, &axes),
        BinaryOp::Minimum => broadcast(cx, Minimum, a, b, &axes),
        BinaryOp::Greater => broadcast(cx, Greater, a, b, &axes),
        BinaryOp::GreaterEqual => broadcast(cx, GreaterEqual, a, b, &axes),
        BinaryOp::Equal => broadcast(cx, Equal, a, b, &axes),
        other => unknown(format!("{other:?}")),
    }
}

fn broadcast<F: Map2>(cx: &Context, f: F, a: &[f32], b: &[f32], axes: &[[usize; 3]]) -> Result<Storage> {
    let len = axes.iter().map(|axis| axis[0]).product::<usize>();
    let mut out = cx.memory.take::<f32>(len)?;
    let work = 16 * len as u64;
    if let [[_, a_step, b_step]] = *axes {
        // One axis: the same shape, or one operand a single number.
        cx.threads.pieces(&mut out, PIECE, work, |i, out| {
            let range = i * PIECE..i * PIECE + out.len();
            let a = if a_step == 0 { Operand::All(a[0]) } else { Operand::Each(&a[range.clone()]) };
            let b = if b_step == 0 { Operand::All(b[0]) } else { Operand::Each(&b[range]) };
            cx.level.run(Apply2 { f, a, b, out });
        });
        return Ok(out.into_storage());
    }
    let [outer @ .., [row, a_step, b_step]] = axes else { return Ok(out.into_storage()) };
    let (row, a_step, b_step) = (*row, *a_step, *b_step);
    if row == 0 || len == 0 {
        return Ok(out.into_storage());
    }
    // A short row that repeats, as channels do, is written out until it is long enough for vectors.
    if let [[_, a_outer, b_outer]] = *outer {
        let repeat = |v: &[f32]| v[..row].repeat(1024usize.div_ceil(row));
        if row < 256 && a_step == 1 && b_step == 1 && a_outer == row && b_outer == 0 {
            let b = repeat(b);
            let piece = b.len() * 16;
            cx.threads.pieces(&mut out, piece, work, |i, out| {
                for (out, a) in out.chunks_mut(b.len()).zip(a[i * piece..].chunks(b.len())) {
                    cx.level.run(Apply2 { f, a: Operand::Each(a), b: Operand::Each(&b), out });
                }
            });
            return Ok(out.into_storage());
        }
        if row < 256 && a_step == 1 && b_step == 1 && b_outer == row && a_outer == 0 {
            let a = repeat(a);
            let piece = a.len() * 16;
            cx.threads.pieces(&mut out, piece, work, |i, out| {
                for (out, b) in out.chunks_mut(a.len()).zip(b[i * piece..].chunks(a.len())) {
                    cx.level.run(Apply2 { f, a: Operand::Each(&a), b: Operand::Each(b), out });
                }
            });
            return Ok(out.into_storage());
        }
    }
    let rows_per_piece = (PIECE / row).max(1);
    cx.threads.pieces(&mut out, rows_per_piece * row, work, |i, out| {
        for (r, out) in out.chunks_exact_mut(row).enumerate() {
            let mut index = i * rows_per_piece + r;
            let (mut a_at, mut b_at) = (0, 0);
            for &[size, a_step, b_step] in outer.iter().rev() {
                a_at += index % size * a_step;
                b_at += index % size * b_step;
                index /= size;
            }
            let a = if a_step == 0 { Operand::All(a[a_at]) } else { Operand::Each(&a[a_at..a_at + row]) };
            let b = if b_step == 0 { Operand::All(b[b_at]) } else { Operand::Each(&b[b_at..b_at + row]) };
            cx.level.run(Apply2 { f, a, b, out });
        }
    });
    Ok(out.into_storage())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_merge_where_both_operands_allow() {
        let image = Shape::from([2, 4, 4, 3]);
        assert_eq!(merge(&image, &image, &image), [[96, 1, 1]]);
        assert_eq!(merge(&image, &Shape::SCALAR, &image), [[96, 1, 0]]);
        assert_eq!(merge(&image, &Shape::from([3]), &image), [[32, 3, 0], [3, 1, 1]]);
        assert_eq!(merge(&Shape::from([2, 1, 1, 3]), &image, &image), [[2, 3, 48], [16, 0, 3], [3, 1, 1]]);
        assert_eq!(merge(&Shape::SCALAR, &Shape::from([1, 1]), &Shape::from([1, 1])), [[1, 0, 0]]);
    }
}
