//! Sum, difference, product, quotient, maximum and minimum of two variables, with broadcasting.

use crate::var::{Backward, Var};
use std::ops::{Add, Div, Mul, Neg, Sub};
use striate_tensor::{BinaryOp, Result, Shape, Tensor, UnaryOp};

struct BinaryRule {
    op: BinaryOp,
    shapes: [Shape; 2],
    /// The operands, where the slope depends on them.
    operands: Option<[Tensor; 2]>,
}

impl Backward for BinaryRule {
    fn name(&self) -> &'static str {
        match self.op {
            BinaryOp::Add => "add",
            BinaryOp::Sub => "subtract",
            BinaryOp::Mul => "multiply",
            BinaryOp::Div => "divide",
            BinaryOp::Maximum => "maximum",
            BinaryOp::Minimum => "minimum",
            _ => "compare",
        }
    }

    fn backward(&mut self, dy: &Tensor, needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        let side = |index: usize| -> Result<Option<Tensor>> {
            if !needed[index] {
                return Ok(None);
            }
            let full = match (&self.operands, self.op) {
                (None, BinaryOp::Add) => Some(dy.clone()),
                (None, BinaryOp::Sub) => Some(if index == 0 { dy.clone() } else { dy.unary(UnaryOp::Neg)? }),
                (Some([_, b]), BinaryOp::Mul) if index == 0 => Some(dy.mul(b)?),
                (Some([a, _]), BinaryOp::Mul) => Some(dy.mul(a)?),
                (Some([_, b]), BinaryOp::Div) if index == 0 => Some(dy.binary(BinaryOp::Div, b)?),
                (Some([a, b]), BinaryOp::Div) => {
                    let slope = a.binary(BinaryOp::Div, &b.unary(UnaryOp::Square)?)?;
                    Some(dy.mul(&slope)?.unary(UnaryOp::Neg)?)
                }
                // A tie goes to the first operand, as in the forward pass.
                (Some([a, b]), BinaryOp::Maximum) if index == 0 => Some(dy.mul(&a.binary(BinaryOp::GreaterEqual, b)?)?),
                (Some([a, b]), BinaryOp::Maximum) => Some(dy.mul(&b.binary(BinaryOp::Greater, a)?)?),
                (Some([a, b]), BinaryOp::Minimum) if index == 0 => Some(dy.mul(&b.binary(BinaryOp::GreaterEqual, a)?)?),
                (Some([a, b]), BinaryOp::Minimum) => Some(dy.mul(&a.binary(BinaryOp::Greater, b)?)?),
                _ => None,
            };
            full.map(|gradient| gradient.sum_to(&self.shapes[index])).transpose()
        };
        Ok(vec![side(0)?, side(1)?])
    }
}

impl Var {
    /// f(self, other), with broadcasting. Comparisons have no gradient.
    ///
    /// # Errors
    /// [`striate_tensor::Error::Shape`] if the shapes do not broadcast.
    pub fn binary(&self, op: BinaryOp, other: &Var) -> Result<Var> {
        let value = self.value().binary(op, other.value())?;
        Ok(Var::from_op(value, &[self, other], || BinaryRule {
            op,
            shapes: [*self.shape(), *other.shape()],
            operands: (!matches!(op, BinaryOp::Add | BinaryOp::Sub))
                .then(|| [self.value().clone(), other.value().clone()]),
        }))
    }

    /// The larger of two variables, elementwise.
    ///
    /// # Errors
    /// As [`Var::binary`].
    pub fn maximum(&self, other: &Var) -> Result<Var> {
        self.binary(BinaryOp::Maximum, other)
    }

    /// The smaller of two variables, elementwise.
    ///
    /// # Errors
    /// As [`Var::binary`].
    pub fn minimum(&self, other: &Var) -> Result<Var> {
        self.binary(BinaryOp::Minimum, other)
    }

    /// Every element times `scale` plus `offset`.
    ///
    /// # Errors
    /// As [`Var::unary`].
    pub fn affine(&self, scale: f32, offset: f32) -> Result<Var> {
        self.unary(UnaryOp::Affine { scale, offset })
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident;)*) => {
        $(
            impl $trait<&Var> for &Var {
                type Output = Result<Var>;
                fn $method(self, other: &Var) -> Result<Var> {
                    self.binary(BinaryOp::$trait, other)
                }
            }
            impl $trait<f32> for &Var {
                type Output = Result<Var>;
                fn $method(self, other: f32) -> Result<Var> {
                    let other = Tensor::full(Shape::SCALAR, f64::from(other), self.value().dtype(), self.device())?;
                    self.binary(BinaryOp::$trait, &Var::constant(other))
                }
            }
        )*
    };
}

operators! {
    Add add;
    Sub sub;
    Mul mul;
    Div div;
}

impl Neg for &Var {
    type Output = Result<Var>;
    fn neg(self) -> Result<Var> {
        self.unary(UnaryOp::Neg)
    }
}
