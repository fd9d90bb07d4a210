//! Softmax along the last axis.

use crate::var::{Backward, Var};
use striate_tensor::{Result, Tensor};

struct SoftmaxRule {
    y: Tensor,
}

impl Backward for SoftmaxRule {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn backward(&mut self, dy: &Tensor, _needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(dy.softmax_backward(&self.y)?)])
    }
}

impl Var {
    /// Softmax along the last axis; a loss finds the logits in the result.
    ///
    /// # Errors
    /// As [`Tensor::softmax`].
    pub fn softmax(&self) -> Result<Var> {
        let y = self.value().softmax()?;
        Ok(Var::from_op(y.clone(), &[self], || SoftmaxRule { y }).with_logits(self))
    }
}
