//! Elementwise functions of one variable, activations among them.

use crate::var::{Backward, Var};
use striate_tensor::{Activation, Error, Result, Tensor, UnaryOp};

struct UnaryRule {
    op: UnaryOp,
    /// The output or the input, whichever the slope is computed from; nothing for a ReLU whose gradients come masked.
    saved: Option<Tensor>,
}

impl Backward for UnaryRule {
    fn name(&self) -> &'static str {
        "elementwise"
    }

    fn backward(&mut self, dy: &Tensor, _needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        let saved = self.saved.as_ref().ok_or_else(|| {
            Error::argument("elementwise", "backward needs what it saved", "none", "this is a defect of the tape")
        })?;
        Ok(vec![Some(dy.unary_backward(self.op, saved)?)])
    }

    fn release_output(&mut self) {
        if self.is_relu() {
            self.saved = None;
        }
    }

    fn is_relu(&self) -> bool {
        self.op == UnaryOp::Activation(Activation::Relu)
    }

    fn backward_masked(&mut self, dy: &Tensor, needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        if self.is_relu() { Ok(vec![Some(dy.clone())]) } else { self.backward(dy, needed) }
    }
}

impl Var {
    /// f(x) for every element.
    ///
    /// # Errors
    /// [`striate_tensor::Error::DType`] unless floating-point.
    pub fn unary(&self, op: UnaryOp) -> Result<Var> {
        let value = self.value().unary(op)?;
        let saved = if op.slope_from_output() { &value } else { self.value() }.clone();
        Ok(Var::from_op(value, &[self], || UnaryRule { op, saved: Some(saved) }))
    }

    /// An activation of every element; the identity for [`Activation::Linear`].
    ///
    /// # Errors
    /// As [`Var::unary`].
    pub fn activate(&self, activation: Activation) -> Result<Var> {
        match activation {
            Activation::Linear => Ok(self.clone()),
            Activation::Sigmoid => Ok(self.unary(UnaryOp::Activation(activation))?.with_logits(self)),
            _ => self.unary(UnaryOp::Activation(activation)),
        }
    }
}

macro_rules! shorthands {
    ($($(#[$doc:meta])* $name:ident => $op:expr;)*) => {
        impl Var {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// As [`Var::unary`].
                pub fn $name(&self) -> Result<Var> {
                    self.unary($op)
                }
            )*
        }
    };
}

shorthands! {
    /// |x|.
    abs => UnaryOp::Abs;
    /// x².
    square => UnaryOp::Square;
    /// √x.
    sqrt => UnaryOp::Sqrt;
    /// 1/x.
    reciprocal => UnaryOp::Reciprocal;
    /// eˣ.
    exp => UnaryOp::Exp;
    /// ln x.
    log => UnaryOp::Log;
    /// max(x, 0).
    relu => UnaryOp::Activation(Activation::Relu);
    /// Hyperbolic tangent.
    tanh => UnaryOp::Activation(Activation::Tanh);
    /// ln(1 + eˣ).
    softplus => UnaryOp::Activation(Activation::Softplus);
}

impl Var {
    /// 1 / (1 + e⁻ˣ); a loss finds the logits in the result.
    ///
    /// # Errors
    /// As [`Var::unary`].
    pub fn sigmoid(&self) -> Result<Var> {
        self.activate(Activation::Sigmoid)
    }
}
