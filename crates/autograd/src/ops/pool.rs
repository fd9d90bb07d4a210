//! Maximum and average pooling.

use crate::var::{Backward, Var};
use striate_tensor::{PoolSpec, Result, Shape, Tensor};

struct PoolRule {
    spec: PoolSpec,
    input: Shape,
    /// The winners of a maximum.
    indices: Option<Tensor>,
}

impl Backward for PoolRule {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn backward(&self, dy: &Tensor, _needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(dy.pool_backward(&self.input, self.indices.as_ref(), &self.spec)?)])
    }
}

impl Var {
    /// Pooling of (n, spatial…, c).
    ///
    /// # Errors
    /// As [`Tensor::pool`].
    pub fn pool(&self, spec: &PoolSpec) -> Result<Var> {
        let (value, indices) = self.value().pool(spec, self.needs_gradient())?;
        Ok(Var::from_op(value, &[self], || PoolRule { spec: *spec, input: *self.shape(), indices }))
    }
}
