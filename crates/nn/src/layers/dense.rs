//! The fully connected layer.

use super::conv::{add_activity_penalty, check_drop_connect, connected};
use crate::activation::Activation;
use crate::config::{Config, number};
use crate::initializer::Initializer;
use crate::layer::{Builder, Context, Layer};
use crate::regularizer::Regularizer;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape};

/// Every unit sees every feature: y = activation(x · kernel + bias).
///
/// # Shapes
/// (n, …, features) → (n, …, units): further axes are kept. Weights: `kernel` (features, units), `bias` (units).
///
/// # Parameters
/// no activation; a bias; the kernel starts Glorot-uniform, the bias at 0.
///
/// # Errors
/// An input without features; no units.
///
/// # Cost
/// features · units multiply-adds for each position.
///
/// Source: <https://keras.io/api/layers/core_layers/dense/>.
#[derive(Debug, Clone)]
pub struct Dense {
    units: usize,
    activation: Activation,
    use_bias: bool,
    kernel_initializer: Initializer,
    bias_initializer: Initializer,
    kernel_regularizer: Option<Regularizer>,
    bias_regularizer: Option<Regularizer>,
    activity_regularizer: Option<Regularizer>,
    drop_connect: f32,
}

impl Dense {
    /// A layer of `units` outputs.
    pub fn new(units: usize) -> Self {
        Dense {
            units,
            activation: Activation::default(),
            use_bias: true,
            kernel_initializer: Initializer::GlorotUniform,
            bias_initializer: Initializer::Zeros,
            kernel_regularizer: None,
            bias_regularizer: None,
            activity_regularizer: None,
            drop_connect: 0.0,
        }
    }

    /// The activation. Default linear.
    pub fn activation(mut self, activation: impl Into<Activation>) -> Self {
        self.activation = activation.into();
        self
    }

    /// Whether a bias is added. Default true.
    pub fn use_bias(mut self, use_bias: bool) -> Self {
        self.use_bias = use_bias;
        self
    }

    /// How the kernel starts. Default [`Initializer::GlorotUniform`].
    pub fn kernel_initializer(mut self, initializer: Initializer) -> Self {
        self.kernel_initializer = initializer;
        self
    }

    /// How the bias starts. Default [`Initializer::Zeros`].
    pub fn bias_initializer(mut self, initializer: Initializer) -> Self {
        self.bias_initializer = initializer;
        self
    }

    /// A penalty on the kernel. Default none.
    pub fn kernel_regularizer(mut self, regularizer: Regularizer) -> Self {
        self.kernel_regularizer = Some(regularizer);
        self
    }

    /// A penalty on the bias. Default none.
    pub fn bias_regularizer(mut self, regularizer: Regularizer) -> Self {
        self.bias_regularizer = Some(regularizer);
        self
    }

    /// A penalty on the output, divided by the number of samples. Default none.
    pub fn activity_regularizer(mut self, regularizer: Regularizer) -> Self {
        self.activity_regularizer = Some(regularizer);
        self
    }

    /// The fraction of the kernel's elements that each training step drops, the others divided by 1 − rate: DropConnect. Keras
    /// has no such option. Default 0. Source: Wan et al. 2013, <https://proceedings.mlr.press/v28/wan13.html>.
    pub fn drop_connect(mut self, rate: f32) -> Self {
        self.drop_connect = rate;
        self
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        Ok(Arc::new(Dense {
            units: config.usize("units", None)?,
            activation: config.activation("activation")?,
            use_bias: config.bool("use_bias", Some(true))?,
            kernel_initializer: config.initializer("kernel_initializer", Initializer::GlorotUniform)?,
            bias_initializer: config.initializer("bias_initializer", Initializer::Zeros)?,
            kernel_regularizer: config.regularizer("kernel_regularizer")?,
            bias_regularizer: config.regularizer("bias_regularizer")?,
            activity_regularizer: config.regularizer("activity_regularizer")?,
            drop_connect: config.f32("drop_connect", Some(0.0))?,
        }))
    }
}

impl Layer for Dense {
    fn class_name(&self) -> &'static str {
        "Dense"
    }

    fn config(&self) -> Map<String, Value> {
        let regularizer = |r: Option<Regularizer>| r.map_or(Value::Null, Regularizer::to_json);
        let mut map = Map::from_iter([
            ("units".into(), json!(self.units)),
            ("activation".into(), self.activation.to_json()),
            ("use_bias".into(), json!(self.use_bias)),
            ("kernel_initializer".into(), self.kernel_initializer.to_json()),
            ("bias_initializer".into(), self.bias_initializer.to_json()),
            ("kernel_regularizer".into(), regularizer(self.kernel_regularizer)),
            ("bias_regularizer".into(), regularizer(self.bias_regularizer)),
            ("activity_regularizer".into(), regularizer(self.activity_regularizer)),
        ]);
        if self.drop_connect != 0.0 {
            map.insert("drop_connect".into(), number(self.drop_connect));
        }
        map
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        if input.rank() == 0 || input.channels() == 0 {
            return Err(Error::shape(
                "Dense",
                "the input must be (n, …, features) with at least one feature",
                crate::graph::batch_shape(input),
                "",
            ));
        }
        if self.units == 0 {
            return Err(Error::argument("Dense", "units must be at least 1", "0", ""));
        }
        check_drop_connect("Dense", self.drop_connect)?;
        let kernel = Shape::new(&[input.channels(), self.units])?;
        builder.weight("kernel", kernel, self.kernel_initializer).regularizer(self.kernel_regularizer);
        if self.use_bias {
            builder.weight("bias", self.units, self.bias_initializer).regularizer(self.bias_regularizer);
        }
        Ok(input.with_channels(self.units))
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        let (kernel, bias) = (&connected(ctx, self.drop_connect)?, ctx.find_weight("bias"));
        let features = x.shape().channels();
        let y = if x.shape().rank() == 2 {
            x.matmul_with(kernel, bias, self.activation.fused())?
        } else {
            // One large product instead of many small ones.
            let rows = x.reshape([x.shape().elements() / features.max(1), features])?;
            let y = rows.matmul_with(kernel, bias, self.activation.fused())?;
            y.reshape(x.shape().with_channels(self.units))?
        };
        let y = self.activation.finish(y)?;
        add_activity_penalty(self.activity_regularizer, &y, ctx)?;
        Ok(y)
    }

    fn multiply_adds(&self, inputs: &[Shape], _output: &Shape) -> u64 {
        inputs.first().map_or(0, Shape::elements) as u64 * self.units as u64
    }
}
