//! A box cut out of a variable.

use crate::var::{Backward, Var};
use striate_tensor::{PadMode, Result, Shape, Tensor};

struct CropRule {
    start: Vec<usize>,
    input: Shape,
}

impl Backward for CropRule {
    fn name(&self) -> &'static str {
        "crop"
    }

    fn backward(&mut self, dy: &Tensor, _needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        let pads: Vec<(usize, usize)> = (0..self.input.rank())
            .map(|axis| (self.start[axis], self.input[axis] - self.start[axis] - dy.shape()[axis]))
            .collect();
        Ok(vec![Some(dy.pad(&pads, PadMode::Constant(0.0))?)])
    }
}

impl Var {
    /// The box of `shape` that starts at index `start[axis]` of each axis.
    ///
    /// # Errors
    /// [`striate_tensor::Error::Shape`] if the box does not lie inside.
    pub fn crop(&self, start: &[usize], shape: impl Into<Shape>) -> Result<Var> {
        let value = self.value().crop(start, shape)?;
        Ok(Var::from_op(value, &[self], || CropRule { start: start.to_vec(), input: *self.shape() }))
    }
}
