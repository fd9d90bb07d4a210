//! The matrix product with bias and activation: a dense layer in one op.

use crate::var::{Backward, Var};
use striate_tensor::{Activation, ReduceOp, Result, Tensor, UnaryOp};

struct MatmulRule {
    a: Tensor,
    b: Tensor,
    activation: Activation,
    /// The output, where the activation's slope is computed from it.
    y: Option<Tensor>,
}

impl Backward for MatmulRule {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn backward(&mut self, dy: &Tensor, needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        let dz = match &self.y {
            Some(y) => dy.unary_backward(UnaryOp::Activation(self.activation), y)?,
            None => dy.clone(),
        };
        // An operand without batch axis served every product: its gradient is the sum over them.
        let to_rank = |gradient: Tensor, rank: usize| {
            if gradient.rank() > rank { gradient.reduce(ReduceOp::Sum, &[0], false) } else { Ok(gradient) }
        };
        let plain = Activation::Linear;
        let da = needed[0]
            .then(|| dz.matmul_with(false, &self.b, true, None, plain).and_then(|g| to_rank(g, self.a.rank())))
            .transpose()?;
        let db = needed[1]
            .then(|| self.a.matmul_with(true, &dz, false, None, plain).and_then(|g| to_rank(g, self.b.rank())))
            .transpose()?;
        let mut all = vec![da, db];
        if let Some(&bias_needed) = needed.get(2) {
            let rows: Vec<usize> = (0..dz.rank() - 1).collect();
            all.push(bias_needed.then(|| dz.reduce(ReduceOp::Sum, &rows, false)).transpose()?);
        }
        Ok(all)
    }
}

impl Var {
    /// activation(self · b + bias): ranks 2 or 3, a leading axis of rank 3 counts independent products.
    ///
    /// # Errors
    /// As [`Tensor::matmul_with`].
    pub fn matmul_with(&self, b: &Var, bias: Option<&Var>, activation: Activation) -> Result<Var> {
        // Sigmoid is kept apart, so that a loss can find the logits.
        if !activation.slope_from_output() || activation == Activation::Sigmoid {
            return self.matmul_with(b, bias, Activation::Linear)?.activate(activation);
        }
        let value = self.value().matmul_with(false, b.value(), false, bias.map(Var::value), activation)?;
        let mut inputs = vec![self, b];
        inputs.extend(bias);
        Ok(Var::from_op(value.clone(), &inputs, || MatmulRule {
            a: self.value().clone(),
            b: b.value().clone(),
            activation,
            y: (activation != Activation::Linear).then_some(value),
        }))
    }

    /// self · b.
    ///
    /// # Errors
    /// As [`Tensor::matmul`].
    pub fn matmul(&self, b: &Var) -> Result<Var> {
        self.matmul_with(b, None, Activation::Linear)
    }
}
