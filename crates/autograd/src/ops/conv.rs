//! Convolution with bias and activation, in 1, 2 or 3 spatial axes.

use crate::var::{Backward, Var};
use std::sync::Arc;
use striate_tensor::{Activation, ConvSpec, Error, PoolKind, PoolSpec, Result, Tensor, UnaryOp};

/// Bytes from which on a convolution's output is computed again for the backward pass instead of kept, if it has at least four times its
/// input's elements and [`COMPUTED_AGAIN_PRODUCTS`] allow.
pub const COMPUTED_AGAIN_BYTES: usize = 16 << 20;
/// Products of one output number that are few enough for computing it again: those of 3×3 taps and three channels.
pub const COMPUTED_AGAIN_PRODUCTS: usize = 32;

/// A convolution whose output is large beside its input and soon computed: training keeps the input and computes it again, which
/// costs little more than the memory traffic (Chen et al. 2016, <https://arxiv.org/abs/1604.06174>).
pub(crate) struct Recipe {
    spec: ConvSpec,
    activation: Activation,
    x: Tensor,
    kernel: Tensor,
    bias: Option<Tensor>,
}

impl Recipe {
    /// None for a convolution that is not worth it.
    fn of(
        x: &Tensor,
        kernel: &Tensor,
        bias: Option<&Tensor>,
        spec: &ConvSpec,
        (activation, y): (Activation, &Tensor),
    ) -> Option<Arc<Recipe>> {
        let products = kernel.elements() / kernel.shape().channels().max(1);
        let is_large = y.elements() * y.dtype().size() >= COMPUTED_AGAIN_BYTES && y.elements() >= 4 * x.elements();
        (is_large && products <= COMPUTED_AGAIN_PRODUCTS).then(|| {
            let (x, kernel, bias) = (x.clone(), kernel.clone(), bias.cloned());
            Arc::new(Recipe { spec: *spec, activation, x, kernel, bias })
        })
    }

    fn compute(&self) -> Result<Tensor> {
        self.x.conv(&self.kernel, self.bias.as_ref(), &self.spec, self.activation)
    }
}

/// A tensor that backward needs.
enum Saved {
    Tensor(Tensor),
    Recipe(Arc<Recipe>),
}

impl Saved {
    fn of(var: &Var) -> Saved {
        var.recipe().map_or_else(|| Saved::Tensor(var.value().clone()), |recipe| Saved::Recipe(recipe.clone()))
    }

    fn get(self) -> Result<Tensor> {
        match self {
            Saved::Tensor(tensor) => Ok(tensor),
            Saved::Recipe(recipe) => recipe.compute(),
        }
    }
}

struct ConvRule {
    spec: ConvSpec,
    activation: Activation,
    /// Used up by the backward pass.
    x: Option<Saved>,
    kernel: Tensor,
    /// The output, where the activation's slope is computed from it.
    y: Option<Saved>,
    /// The input is a ReLU's output, and its gradient is that of what the ReLU was applied to.
    masks: bool,
}

impl ConvRule {
    /// The gradients from that of the sums, before the activation, or of their maxima.
    fn of_sums(
        &mut self,
        dz: &Tensor,
        pool: Option<(&PoolSpec, &Tensor)>,
        needed: &[bool],
    ) -> Result<Vec<Option<Tensor>>> {
        let x = self.x.take().ok_or_else(|| {
            Error::argument(
                "conv",
                "a tape can be used once",
                "a second backward pass",
                "compute the forward pass again",
            )
        })?;
        let x = x.get()?;
        let wanted = [needed[0], needed[1], needed.get(2).copied().unwrap_or(false)];
        let made = dz.conv_backward(x, &self.kernel, &self.spec, pool, wanted, self.masks)?;
        let mut all = vec![made.input, made.kernel, made.bias];
        all.truncate(needed.len());
        Ok(all)
    }
}

impl Backward for ConvRule {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn backward(&mut self, dy: &Tensor, needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        match self.y.take() {
            Some(y) => {
                let dz = dy.unary_backward(UnaryOp::Activation(self.activation), &y.get()?)?;
                self.of_sums(&dz, None, needed)
            }
            None => self.of_sums(dy, None, needed),
        }
    }

    fn is_relu(&self) -> bool {
        self.activation == Activation::Relu
    }

    fn gives_masked(&self) -> bool {
        self.masks
    }

    fn can_mask(&self) -> bool {
        true
    }

    fn mask(&mut self) {
        self.masks = true;
    }

    fn release_output(&mut self) {
        self.y = None;
    }

    fn backward_masked(&mut self, dy: &Tensor, needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        if self.is_relu() {
            self.release_output();
            return self.of_sums(dy, None, needed);
        }
        self.backward(dy, needed)
    }
}

/// A convolution, perhaps with ReLU, and the maximum pooling of its result.
struct ConvPoolRule {
    conv: ConvRule,
    pool: PoolSpec,
    indices: Option<Tensor>,
    is_relu: bool,
    /// The pooled values of a ReLU: one that is not positive has no gradient.
    winners: Option<Tensor>,
}

impl Backward for ConvPoolRule {
    fn name(&self) -> &'static str {
        "conv_max_pool"
    }

    fn backward(&mut self, dy: &Tensor, needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        match self.winners.take() {
            Some(winners) => {
                let masked = dy.unary_backward(UnaryOp::Activation(Activation::Relu), &winners)?;
                drop(winners);
                self.backward_masked(&masked, needed)
            }
            None => self.backward_masked(dy, needed),
        }
    }

    fn is_relu(&self) -> bool {
        self.is_relu
    }

    fn gives_masked(&self) -> bool {
        self.conv.masks
    }

    fn can_mask(&self) -> bool {
        true
    }

    fn mask(&mut self) {
        self.conv.mask();
    }

    fn release_output(&mut self) {
        self.winners = None;
    }

    fn backward_masked(&mut self, dy: &Tensor, needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        self.release_output();
        let indices = self.indices.take();
        let indices = indices.as_ref().ok_or_else(|| {
            Error::argument("conv_max_pool", "backward needs the winners", "none", "this is a defect of the back end")
        })?;
        self.conv.of_sums(dy, Some((&self.pool, indices)), needed)
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
        let recipe = Recipe::of(self.value(), kernel.value(), bias.map(Var::value), spec, (activation, &value));
        let y = || recipe.clone().map_or_else(|| Saved::Tensor(value.clone()), Saved::Recipe);
        let made = Var::from_op(value.clone(), &inputs, || ConvRule {
            spec: *spec,
            activation,
            x: Some(Saved::of(self)),
            kernel: kernel.value().clone(),
            masks: false,
            y: (activation != Activation::Linear).then(y),
        });
        Ok(match recipe {
            Some(recipe) if made.needs_gradient() => made.with_recipe(recipe),
            _ => made,
        })
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
        Ok(Some(Var::from_op(value.clone(), &inputs, || ConvPoolRule {
            conv: ConvRule {
                spec: *spec,
                activation: Activation::Linear,
                x: Some(Saved::of(self)),
                kernel: kernel.value().clone(),
                masks: false,
                y: None,
            },
            pool: PoolSpec { kind: PoolKind::Max, ..*pool },
            indices,
            is_relu: activation == Activation::Relu,
            winners: (activation == Activation::Relu).then_some(value),
        })))
    }
}
