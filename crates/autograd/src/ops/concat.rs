//! Variables one after another along an axis.

use crate::var::{Backward, Var};
use striate_tensor::{Result, Shape, Tensor};

struct ConcatRule {
    axis: usize,
    shapes: Vec<Shape>,
}

impl Backward for ConcatRule {
    fn name(&self) -> &'static str {
        "concatenate"
    }

    fn backward(&mut self, dy: &Tensor, needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        let mut start = vec![0; dy.rank()];
        let mut gradients = Vec::with_capacity(self.shapes.len());
        for (shape, &needed) in self.shapes.iter().zip(needed) {
            gradients.push(needed.then(|| dy.crop(&start, *shape)).transpose()?);
            start[self.axis] += shape[self.axis];
        }
        Ok(gradients)
    }
}

impl Var {
    /// Variables one after another along `axis`.
    ///
    /// # Errors
    /// As [`Tensor::concat`].
    pub fn concat(parts: &[&Var], axis: usize) -> Result<Var> {
        let value = Tensor::concat(&parts.iter().map(|part| part.value()).collect::<Vec<_>>(), axis)?;
        Ok(Var::from_op(value, parts, || ConcatRule { axis, shapes: parts.iter().map(|part| *part.shape()).collect() }))
    }
}
