//! The same elements under another shape.

use crate::var::{Backward, Var};
use striate_tensor::{Result, Shape, Tensor};

struct ReshapeRule(Shape);

impl Backward for ReshapeRule {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn backward(&mut self, dy: &Tensor, _needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(dy.reshape(self.0)?)])
    }
}

impl Var {
    /// The same elements under another shape; a view.
    ///
    /// # Errors
    /// [`striate_tensor::Error::Shape`] if the numbers of elements differ.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Var> {
        let value = self.value().reshape(shape)?;
        Ok(Var::from_op(value, &[self], || ReshapeRule(*self.shape())))
    }

    /// (n, …) as (n, features).
    ///
    /// # Errors
    /// [`striate_tensor::Error::Shape`] for a scalar.
    pub fn flatten(&self) -> Result<Var> {
        let n = self.shape().first().copied().unwrap_or(1);
        self.reshape([n, self.shape().without_batch().elements()])
    }
}
