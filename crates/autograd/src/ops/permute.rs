//! Axes in another order.

use crate::var::{Backward, Var};
use striate_tensor::{Result, Tensor};

struct PermuteRule(Vec<usize>);

impl Backward for PermuteRule {
    fn name(&self) -> &'static str {
        "permute"
    }

    fn backward(&mut self, dy: &Tensor, _needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(dy.permute(&self.0)?)])
    }
}

impl Var {
    /// Axis `i` of the result is axis `order[i]` of this variable.
    ///
    /// # Errors
    /// [`striate_tensor::Error::Shape`] if `order` does not name each axis once.
    pub fn permute(&self, order: &[usize]) -> Result<Var> {
        let value = self.value().permute(order)?;
        let mut inverse = vec![0; order.len()];
        order.iter().enumerate().for_each(|(i, &axis)| inverse[axis] = i);
        Ok(Var::from_op(value, &[self], || PermuteRule(inverse)))
    }
}
