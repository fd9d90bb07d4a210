//! Each slice along an axis several times in a row.

use crate::var::{Backward, Var};
use striate_tensor::{Error, ReduceOp, Result, Shape, Tensor};

struct RepeatRule {
    input: Shape,
    /// The result's shape with the copies of a slice on an axis of their own, the middle one.
    apart: Shape,
}

impl Backward for RepeatRule {
    fn name(&self) -> &'static str {
        "repeat"
    }

    fn backward(&mut self, dy: &Tensor, _needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(dy.reshape(self.apart)?.reduce(ReduceOp::Sum, &[1], false)?.reshape(self.input)?)])
    }
}

impl Var {
    /// Each slice along `axis` `times` times in a row, as numpy's `repeat`: 1, 2 becomes 1, 1, 2, 2.
    ///
    /// # Errors
    /// [`Error::Shape`] for an axis the variable does not have, or a result too large for memory.
    pub fn repeat(&self, axis: usize, times: usize) -> Result<Var> {
        let sizes = self.shape().as_slice();
        if axis >= sizes.len() {
            return Err(Error::shape(
                "repeat",
                "the axis must be below the rank",
                format!("axis {axis} of {}", self.shape()),
                "",
            ));
        }
        let before: usize = sizes[..=axis].iter().product();
        let after: usize = sizes[axis + 1..].iter().product();
        let apart = Shape::new(&[before, times, after])?;
        let mut repeated = sizes.to_vec();
        repeated[axis] = repeated[axis].saturating_mul(times);
        let repeated = Shape::new(&repeated)?;
        let ones = Tensor::full([1, times, 1], 1.0, self.value().dtype(), self.device())?;
        let value = self.value().reshape([before, 1, after])?.mul(&ones)?.reshape(repeated)?;
        Ok(Var::from_op(value, &[self], || RepeatRule { input: *self.shape(), apart }))
    }
}
