//! Maximum and average pooling.

use crate::var::{Backward, Var};
use striate_tensor::{Activation, PoolKind, PoolSpec, Result, Shape, Tensor, UnaryOp};

struct PoolRule {
    spec: PoolSpec,
    input: Shape,
    /// The winners of a maximum.
    indices: Option<Tensor>,
    /// The output of a maximum over a ReLU's values. A winner that is not positive has no gradient: to drop it here, where
    /// there are fewer elements, spares the ReLU the pass over the input.
    winners: Option<Tensor>,
}

impl Backward for PoolRule {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn backward(&mut self, dy: &Tensor, _needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        let masked = match &self.winners {
            Some(winners) => &dy.unary_backward(UnaryOp::Activation(Activation::Relu), winners)?,
            None => dy,
        };
        Ok(vec![Some(masked.pool_backward(&self.input, self.indices.as_ref(), &self.spec)?)])
    }

    fn gives_masked(&self) -> bool {
        self.winners.is_some()
    }
}

impl Var {
    /// Pooling of (n, spatial…, c).
    ///
    /// # Errors
    /// As [`Tensor::pool`].
    pub fn pool(&self, spec: &PoolSpec) -> Result<Var> {
        let (value, indices) = self.value().pool(spec, self.needs_gradient())?;
        let of_relu = spec.kind == PoolKind::Max && self.is_relu();
        Ok(Var::from_op(value.clone(), &[self], || PoolRule {
            spec: *spec,
            input: *self.shape(),
            indices,
            winners: of_relu.then_some(value),
        }))
    }
}
