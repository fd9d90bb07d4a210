//! Cross-entropy of softmax in one op, so that no logarithm of a vanished probability is ever taken.

use crate::var::{Backward, Var};
use striate_tensor::{Result, Shape, Tensor};

struct CrossentropyRule {
    probabilities: Tensor,
    targets: Tensor,
}

impl Backward for CrossentropyRule {
    fn name(&self) -> &'static str {
        "softmax_crossentropy"
    }

    fn backward(&mut self, dy: &Tensor, _needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        let mut rows = dy.shape().to_vec();
        rows.push(1);
        // Σ target may differ from 1 (weights, soft labels): p·Σt − t.
        let last = self.targets.rank() - 1;
        let mass = self.targets.reduce(striate_tensor::ReduceOp::Sum, &[last], true)?;
        let slope = self.probabilities.mul(&mass)?.sub(&self.targets)?;
        Ok(vec![Some(slope.mul(&dy.reshape(Shape::new(&rows)?)?)?)])
    }
}

impl Var {
    /// −Σ target·log softmax(self) along the last axis: one value a row. The targets have no gradient.
    ///
    /// # Errors
    /// As [`Tensor::softmax_crossentropy`].
    pub fn softmax_crossentropy(&self, targets: &Tensor) -> Result<Var> {
        let (loss, probabilities) = self.value().softmax_crossentropy(targets)?;
        Ok(Var::from_op(loss, &[self], || CrossentropyRule { probabilities, targets: targets.clone() }))
    }
}
