//! Elements dropped at random (Srivastava et al. 2014, <https://jmlr.org/papers/v15/srivastava14a.html>).

use crate::var::{Backward, Var};
use striate_tensor::{Key, Result, Tensor};

/// No mask is kept: the same key drops the same elements of the gradient.
struct DropoutRule {
    rate: f32,
    key: Key,
}

impl Backward for DropoutRule {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn backward(&mut self, dy: &Tensor, _needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(dy.dropout(self.rate, self.key)?)])
    }
}

impl Var {
    /// Each element is 0 with probability `rate`, else divided by 1 − rate. On weights this is DropConnect.
    ///
    /// # Errors
    /// [`striate_tensor::Error::Argument`] unless 0 ≤ rate < 1.
    pub fn dropout(&self, rate: f32, key: Key) -> Result<Var> {
        let value = self.value().dropout(rate, key)?;
        Ok(Var::from_op(value, &[self], || DropoutRule { rate, key }))
    }
}
