//! A border around a variable.

use crate::var::{Backward, Var};
use striate_tensor::{PadMode, Result, Shape, Tensor};

struct PadRule {
    pads: Vec<(usize, usize)>,
    mode: PadMode,
    input: Shape,
}

impl Backward for PadRule {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn backward(&mut self, dy: &Tensor, _needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(dy.pad_backward(&self.input, &self.pads, self.mode)?)])
    }
}

impl Var {
    /// This variable with a border of `pads[axis]` = (before, after) elements.
    ///
    /// # Errors
    /// As [`Tensor::pad`].
    pub fn pad(&self, pads: &[(usize, usize)], mode: PadMode) -> Result<Var> {
        let value = self.value().pad(pads, mode)?;
        Ok(Var::from_op(value, &[self], || PadRule { pads: pads.to_vec(), mode, input: *self.shape() }))
    }
}
