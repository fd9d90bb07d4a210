//! Transposed convolution: the gradient of a convolution used as a forward pass.

use crate::var::{Backward, Var};
use striate_tensor::{Activation, ConvSpec, Result, Shape, Tensor};

struct ConvTransposeRule {
    spec: ConvSpec,
    x: Tensor,
    kernel: Tensor,
}

impl Backward for ConvTransposeRule {
    fn name(&self) -> &'static str {
        "conv_transpose"
    }

    fn backward(&mut self, dy: &Tensor, needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        // y is the gradient of the input of a convolution whose output's gradient is x: swap the roles back.
        let dx = needed[0].then(|| dy.conv(&self.kernel, None, &self.spec, Activation::Linear)).transpose()?;
        let dkernel = needed[1]
            .then(|| self.x.conv_backward_kernel(dy, self.kernel.shape(), &self.spec, false))
            .transpose()?
            .map(|(kernel, _)| kernel);
        Ok(vec![dx, dkernel])
    }
}

impl Var {
    /// The transposed convolution of (n, spatial…, filters) with `kernel` (spatial…, channels, filters) to the shape `output`
    /// (n, spatial…, channels): that of an input which `spec` would convolve to this variable's shape.
    ///
    /// # Errors
    /// [`striate_tensor::Error::Shape`] if `output` does not convolve to this variable's shape.
    pub fn conv_transpose(&self, kernel: &Var, output: &Shape, spec: &ConvSpec) -> Result<Var> {
        let value = self.value().conv_backward_input(kernel.value(), output, spec)?;
        Ok(Var::from_op(value, &[self, kernel], || ConvTransposeRule {
            spec: *spec,
            x: self.value().clone(),
            kernel: kernel.value().clone(),
        }))
    }
}
