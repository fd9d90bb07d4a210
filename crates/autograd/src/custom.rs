//! Ops defined outside this crate.

use crate::var::{Backward, Var};
use std::sync::Arc;
use striate_tensor::{Result, Tensor};

/// An op of your own: one forward and one backward function in one place.
///
/// Write it with the methods of [`Tensor`], and it runs on every device; or read the elements with
/// [`Tensor::as_slice`], and it runs where they are in host memory.
pub trait CustomOp: Send + Sync + 'static {
    /// The name shown in errors and profiles.
    fn name(&self) -> &'static str;
    /// The result.
    ///
    /// # Errors
    /// Whatever the op refuses; shapes above all.
    fn forward(&self, inputs: &[&Tensor]) -> Result<Tensor>;
    /// The gradient of each input from the output's gradient `dy`; `None` for an input that has none.
    ///
    /// # Errors
    /// Those of the primitives.
    fn backward(&self, inputs: &[&Tensor], output: &Tensor, dy: &Tensor) -> Result<Vec<Option<Tensor>>>;
}

struct Recorded {
    op: Arc<dyn CustomOp>,
    inputs: Vec<Tensor>,
    output: Tensor,
}

impl Backward for Recorded {
    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn backward(&mut self, dy: &Tensor, _needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        self.op.backward(&self.inputs.iter().collect::<Vec<_>>(), &self.output, dy)
    }
}

impl Var {
    /// Applies an op of your own.
    ///
    /// # Errors
    /// Those of the op, with its name as path.
    pub fn custom(op: Arc<dyn CustomOp>, inputs: &[&Var]) -> Result<Var> {
        let tensors: Vec<&Tensor> = inputs.iter().map(|input| input.value()).collect();
        let output = op.forward(&tensors).map_err(|error| error.at(op.name()))?;
        Ok(Var::from_op(output.clone(), inputs, || Recorded {
            op,
            inputs: tensors.into_iter().cloned().collect(),
            output,
        }))
    }
}
