//! Functions of single elements and of two with broadcasting, and dropout.

use crate::context::{Context, Grid, f32s, stored};
use crate::layout::strides;
use striate_tensor::{Activation, BinaryOp, DType, Error, Key, MAX_RANK, Result, Shape, Storage, Tensor, UnaryOp};

const FILE: &str = "elementwise";

/// The kernels' code of an activation, and its parameter.
pub(crate) fn activation(activation: Activation) -> Result<(i32, f32)> {
    Ok(match activation {
        Activation::Linear => (32, 0.0),
        Activation::Relu => (33, 0.0),
        Activation::Relu6 => (34, 0.0),
        Activation::LeakyRelu(slope) => (35, slope),
        Activation::Elu(alpha) => (36, alpha),
        Activation::Selu => (37, 0.0),
        Activation::Sigmoid => (38, 0.0),
        Activation::HardSigmoid => (39, 0.0),
        Activation::Tanh => (40, 0.0),
        Activation::Exponential => (41, 0.0),
        Activation::Softsign => (42, 0.0),
        Activation::Softplus => (43, 0.0),
        Activation::Silu => (44, 0.0),
        Activation::Gelu => (45, 0.0),
        Activation::GeluTanh => (46, 0.0),
        other => return Err(unknown(format!("{other:?}"))),
    })
}

fn unknown(received: String) -> Error {
    Error::argument("cuda", "the function must be one that the CUDA back end knows", received, "")
}

/// The kernels' code of a function, and its parameters.
fn code(op: UnaryOp) -> Result<(i32, f32, f32)> {
    Ok(match op {
        UnaryOp::Neg => (0, 0.0, 0.0),
        UnaryOp::Abs => (1, 0.0, 0.0),
        UnaryOp::Square => (2, 0.0, 0.0),
        UnaryOp::Sqrt => (3, 0.0, 0.0),
        UnaryOp::Reciprocal => (4, 0.0, 0.0),
        UnaryOp::Exp => (5, 0.0, 0.0),
        UnaryOp::Log => (6, 0.0, 0.0),
        UnaryOp::Affine { scale, offset } => (7, scale, offset),
        UnaryOp::Clip { low, high } => (8, low, high),
        UnaryOp::Activation(of) => {
            let (code, parameter) = activation(of)?;
            (code, parameter, 0.0)
        }
        other => return Err(unknown(format!("{other:?}"))),
    })
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Unary {
    x: u64,
    dy: u64,
    y: u64,
    n: i64,
    p: f32,
    q: f32,
    op: i32,
    unused: i32,
}

fn run(cx: &Context, kernel: &'static str, op: UnaryOp, x: u64, dy: u64, n: usize) -> Result<Storage> {
    let (op, p, q) = code(op)?;
    let buffer = cx.take(n, DType::F32)?;
    if n > 0 {
        let arguments = Unary { x, dy, y: buffer.address(), n: n as i64, p, q, op, unused: 0 };
        // SAFETY: Unary is the kernels' struct; all have n elements, and dy is read by the gradient only.
        unsafe { cx.launch(FILE, kernel, Grid::elements(n), &arguments)? };
    }
    stored(buffer)
}

pub(crate) fn unary(cx: &Context, op: UnaryOp, x: &Tensor) -> Result<Storage> {
    run(cx, "unary", op, f32s("elementwise function", x)?, 0, x.elements())
}

pub(crate) fn unary_backward(cx: &Context, op: UnaryOp, saved: &Tensor, dy: &Tensor) -> Result<Storage> {
    let what = "elementwise gradient";
    run(cx, "unary_backward", op, f32s(what, saved)?, f32s(what, dy)?, dy.elements())
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Binary {
    a: u64,
    b: u64,
    y: u64,
    n: i64,
    size: [i64; MAX_RANK],
    of_a: [i64; MAX_RANK],
    of_b: [i64; MAX_RANK],
    rank: i32,
    op: i32,
}

/// Strides of an operand in the axes of the result; 0 along those it is repeated on.
fn broadcast(x: &Shape, rank: usize) -> Vec<i64> {
    let mut all = vec![0; rank];
    for (axis, stride) in strides(x).into_iter().enumerate() {
        if x[axis] != 1 {
            all[axis + rank - x.rank()] = stride as i64;
        }
    }
    all
}

/// One axis after the joining of neighbours: size, stride of a, stride of b.
type Axis = (i64, i64, i64);

/// Neighbouring axes that both operands walk through as if they were one become one, so that kernels divide less.
fn joined(shape: &Shape, of_a: &[i64], of_b: &[i64]) -> Vec<Axis> {
    let mut axes: Vec<Axis> = Vec::new();
    for (axis, &size) in shape.iter().enumerate() {
        let (a, b) = (of_a[axis], of_b[axis]);
        if size == 1 {
            continue;
        }
        match axes.last_mut() {
            Some(last) if last.1 == a * size as i64 && last.2 == b * size as i64 => {
                *last = (last.0 * size as i64, a, b);
            }
            _ => axes.push((size as i64, a, b)),
        }
    }
    if axes.is_empty() {
        axes.push((1, 0, 0));
    }
    axes
}

pub(crate) fn binary(cx: &Context, op: BinaryOp, a: &Tensor, b: &Tensor, shape: &Shape) -> Result<Storage> {
    let what = "elementwise function";
    let op = match op {
        BinaryOp::Add => 0,
        BinaryOp::Sub => 1,
        BinaryOp::Mul => 2,
        BinaryOp::Div => 3,
        BinaryOp::Maximum => 4,
        BinaryOp::Minimum => 5,
        BinaryOp::Greater => 6,
        BinaryOp::GreaterEqual => 7,
        BinaryOp::Equal => 8,
        other => return Err(unknown(format!("{other:?}"))),
    };
    let n = shape.elements();
    let (of_a, of_b) = (f32s(what, a)?, f32s(what, b)?);
    let buffer = cx.take(n, DType::F32)?;
    if n > 0 {
        let axes = joined(shape, &broadcast(a.shape(), shape.rank()), &broadcast(b.shape(), shape.rank()));
        let mut arguments = Binary {
            a: of_a,
            b: of_b,
            y: buffer.address(),
            n: n as i64,
            size: [1; MAX_RANK],
            of_a: [0; MAX_RANK],
            of_b: [0; MAX_RANK],
            rank: axes.len() as i32,
            op,
        };
        for (axis, &(size, a, b)) in axes.iter().enumerate() {
            (arguments.size[axis], arguments.of_a[axis], arguments.of_b[axis]) = (size, a, b);
        }
        // SAFETY: Binary is the kernel's struct; the operands broadcast to the result's shape, as the tensor's method checked.
        unsafe { cx.launch(FILE, "binary", Grid::elements(n), &arguments)? };
    }
    stored(buffer)
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Dropout {
    x: u64,
    y: u64,
    place: u64,
    n: i64,
    key: [u32; 2],
    threshold: u32,
    factor: f32,
}

pub(crate) fn dropout(cx: &Context, x: &Tensor, rate: f32, key: Key) -> Result<Storage> {
    let (from, n) = (f32s("dropout", x)?, x.elements());
    let buffer = cx.take(n, DType::F32)?;
    if n > 0 {
        let arguments = Dropout {
            x: from,
            y: buffer.address(),
            place: cx.place_of_key(key)?.unwrap_or(0),
            n: n as i64,
            key: key.words(),
            threshold: (f64::from(rate) * 4_294_967_296.0).round().min(f64::from(u32::MAX)) as u32,
            factor: (1.0 / (1.0 - f64::from(rate))) as f32,
        };
        // SAFETY: Dropout is the kernel's struct; both have n elements, and the place, if any, holds a key.
        unsafe { cx.launch(FILE, "dropout", Grid::elements(n.div_ceil(4)), &arguments)? };
    }
    stored(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_that_both_operands_walk_through_become_one() {
        let shape = Shape::from([2, 3, 4]);
        let (whole, bias) = (Shape::from([2, 3, 4]), Shape::from([4]));
        assert_eq!(joined(&shape, &broadcast(&whole, 3), &broadcast(&whole, 3)), [(24, 1, 1)]);
        assert_eq!(joined(&shape, &broadcast(&whole, 3), &broadcast(&bias, 3)), [(6, 4, 0), (4, 1, 1)]);
        let column = Shape::from([2, 1, 4]);
        assert_eq!(joined(&shape, &broadcast(&whole, 3), &broadcast(&column, 3)), [(2, 12, 4), (3, 4, 0), (4, 1, 1)]);
        assert_eq!(joined(&Shape::SCALAR, &[], &[]), [(1, 0, 0)]);
    }
}
