//! Convolution with bias and activation, in 1, 2 or 3 spatial axes.

use crate::var::{Backward, Var};
use striate_tensor::{Activation, ConvSpec, PoolKind, PoolSpec, Result, Shape, Tensor, UnaryOp};

struct ConvRule {
    spec: ConvSpec,
    activation: Activation,
    x: Tensor,
    kernel: Tensor,
    /// The output, where the activation's slope is computed from it.
    y: Option<Tensor>,
}

impl ConvRule {
    /// The gradients from that of the sums, before the activation.
    fn of_sums(&self, dz: &Tensor, needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        let with_bias = needed.get(2).copied().unwrap_or(false);
        let (mut dkernel, mut dbias) = (None, None);
        if needed[1] || with_bias {
            let (kernel, bias) = dz.conv_backward_kernel(&self.x, self.kernel.shape(), &self.spec, with_bias)?;
            (dkernel, dbias) = (Some(kernel).filter(|_| needed[1]), bias);
        }
        let dx = needed[0].then(|| dz.conv_backward_input(&self.kernel, self.x.shape(), &self.spec)).transpose()?;
        Ok(if needed.len() == 3 { vec![dx, dkernel, dbias] } else { vec![dx, dkernel] })
    }
}

impl Backward for ConvRule {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn backward(&self, dy: &Tensor, needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        match &self.y {
            Some(y) => self.of_sums(&dy.unary_backward(UnaryOp::Activation(self.activation), y)?, needed),
            None => self.of_sums(dy, needed),
        }
    }

    fn is_relu(&self) -> bool {
        self.activation == Activation::Relu
    }

    fn backward_masked(&self, dy: &Tensor, needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        if self.is_relu() { self.of_sums(dy, needed) } else { self.backward(dy, needed) }
    }
}

/// A convolution, perhaps with ReLU, and the maximum pooling of its result.
struct ConvPoolRule {
    conv: ConvRule,
    pool: PoolSpec,
    /// The shape of the convolution's result.
    between: Shape,
    indices: Option<Tensor>,
    /// The pooled values of a ReLU: one that is not positive has no gradient.
    winners: Option<Tensor>,
}

impl Backward for ConvPoolRule {
    fn name(&self) -> &'static str {
        "conv_max_pool"
    }

    fn backward(&self, dy: &Tensor, needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        match &self.winners {
            Some(winners) => {
                self.backward_masked(&dy.unary_backward(UnaryOp::Activation(Activation::Relu), winners)?, needed)
            }
            None => self.backward_masked(dy, needed),
        }
    }

    fn is_relu(&self) -> bool {
        self.winners.is_some()
    }

    fn backward_masked(&self, dy: &Tensor, needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        self.conv.of_sums(&dy.pool_backward(&self.between, self.indices.as_ref(), &self.pool)?, needed)
    }
}

impl Var {
    /// The convolution of (n, spatial…, c) with `kernel` (spatial…, c / groups, filters), plus bias (filters), activated.
    ///
    /// # Errors
    /// As [`Tensor::conv`].
    pub fn conv(&self, kernel: &Var, bias: Option<&Var>, spec: &ConvSpec, activation: Activation) -> Result<Var> {
        // Sigmoid is kept apart, so that a loss can find the logits.
        if !activation.slope_from_output() || activation == Activation::Sigmoid {
            return self.conv(kernel, bias, spec, Activation::Linear)?.activate(activation);
        }
        let value = self.value().conv(kernel.value(), bias.map(Var::value), spec, activation)?;
        let mut inputs = vec![self, kernel];
        inputs.extend(bias);
        Ok(Var::from_op(value.clone(), &inputs, || ConvRule {
            spec: *spec,
            activation,
            x: self.value().clone(),
            kernel: kernel.value().clone(),
            y: (activation != Activation::Linear).then_some(value),
        }))
    }

    /// [`Var::conv`] followed by maximum pooling, in one pass where the back end has it: of the result between, backward needs
    /// only which of a window won. None for activations whose slope is not computed from their output, and for sigmoid.
    ///
    /// # Errors
    /// As [`Tensor::conv_max_pool`].
    pub fn conv_max_pool(
        &self,
        kernel: &Var,
        bias: Option<&Var>,
        spec: &ConvSpec,
        activation: Activation,
        pool: &PoolSpec,
    ) -> Result<Option<Var>> {
        let wanted = [Some(self), Some(kernel), bias].into_iter().flatten().any(Var::needs_gradient);
        // Other slopes are computed from all outputs.
        if wanted && !matches!(activation, Activation::Linear | Activation::Relu) {
            return Ok(None);
        }
        let (value, indices) =
            self.value().conv_max_pool(kernel.value(), bias.map(Var::value), spec, activation, pool, wanted)?;
        let mut inputs = vec![self, kernel];
        inputs.extend(bias);
        let between = spec.output_shape(self.shape(), kernel.shape())?;
        Ok(Some(Var::from_op(value.clone(), &inputs, || ConvPoolRule {
            conv: ConvRule {
                spec: *spec,
                activation: Activation::Linear,
                x: self.value().clone(),
                kernel: kernel.value().clone(),
                y: None,
            },
            pool: PoolSpec { kind: PoolKind::Max, ..*pool },
            between,
            indices,
            winners: (activation == Activation::Relu).then_some(value),
        })))
    }
}
