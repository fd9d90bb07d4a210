//! Convolution of each channel by itself, in 1 or 2 spatial axes.

use super::conv::add_activity_penalty;
use super::options::setters;
use super::{Sizes, padding_from_name, padding_name, require_axes, require_channels_last, spread};
use crate::activation::Activation;
use crate::config::Config;
use crate::initializer::Initializer;
use crate::layer::{Builder, Context, Layer};
use crate::regularizer::Regularizer;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Activation as Elementwise, ConvSpec, Error, Padding, Result, Shape};

/// Convolution of each channel of a time series by itself: see [`DepthwiseConv`].
pub type DepthwiseConv1D = DepthwiseConv<1>;
/// Convolution of each channel of an image by itself: see [`DepthwiseConv`].
pub type DepthwiseConv2D = DepthwiseConv<2>;

/// Filters that see one channel each: `depth_multiplier` of them for every channel.
///
/// # Formula
/// `y[p, c·multiplier + m] = activation(bias[c·multiplier + m] + Σ x[p·stride + t·dilation − before, c] · kernel[t, c, m])` over taps t.
///
/// # Shapes
/// (n, spatial…, channels) → (n, spatial′…, channels · multiplier), spatial′ as for [`super::Conv`]. Weights: `kernel`
/// (spatial…, channels, multiplier), `bias` (channels · multiplier).
///
/// # Parameters
/// kernel size in positions; depth multiplier, strides and dilation rate 1; padding `valid` or `same`; no activation; a
/// bias. The kernel starts Glorot-uniform, the bias at 0.
///
/// # Errors
/// A kernel larger than the padded input; zero sizes.
///
/// # Cost
/// positions′ · taps · channels · multiplier multiply-adds a sample.
///
/// Source: <https://keras.io/api/layers/convolution_layers/depthwise_convolution2d/>; Howard et al. 2017,
/// <https://arxiv.org/abs/1704.04861>.
#[derive(Debug, Clone)]
pub struct DepthwiseConv<const AXES: usize> {
    kernel_size: [usize; AXES],
    depth_multiplier: usize,
    strides: [usize; AXES],
    padding: Padding,
    dilation_rate: [usize; AXES],
    activation: Activation,
    use_bias: bool,
    depthwise_initializer: Initializer,
    bias_initializer: Initializer,
    depthwise_regularizer: Option<Regularizer>,
    bias_regularizer: Option<Regularizer>,
    activity_regularizer: Option<Regularizer>,
}

/// Convolves each channel by itself: `kernel` is (spatial…, channels, multiplier).
pub(super) fn depthwise(
    x: &Var,
    kernel: &Var,
    bias: Option<&Var>,
    spec: &ConvSpec,
    activation: Elementwise,
) -> Result<Var> {
    // As many groups as channels, each with one channel and its filters side by side: the same elements in the same order.
    let mut sizes = kernel.shape().to_vec();
    let axes = sizes.len() - 2;
    sizes[axes + 1] *= std::mem::replace(&mut sizes[axes], 1);
    let spec = ConvSpec { groups: x.shape().channels(), ..*spec };
    x.conv(&kernel.reshape(Shape::new(&sizes)?)?, bias, &spec, activation)
}

/// The shape without batch of such a convolution.
pub(super) fn depthwise_shape(class: &str, input: &Shape, kernel: &Shape, spec: &ConvSpec) -> Result<Shape> {
    let axes = input.rank() - 1;
    if kernel[axes] == 0 || kernel[axes + 1] == 0 {
        return Err(Error::argument(
            class,
            "channels and depth_multiplier must be at least 1",
            format!("channels {}, depth_multiplier {}", kernel[axes], kernel[axes + 1]),
            "",
        ));
    }
    let mut sizes = kernel.to_vec();
    sizes[axes + 1] = kernel[axes].saturating_mul(kernel[axes + 1]);
    sizes[axes] = 1;
    let spec = ConvSpec { groups: input.channels(), ..*spec };
    Ok(spec.output_shape(&input.with_batch(1)?, &Shape::new(&sizes)?)?.without_batch())
}

impl<const AXES: usize> DepthwiseConv<AXES> {
    /// Kernels of the given size, one number for all axes or one for each.
    pub fn new(kernel_size: impl Sizes<AXES>) -> Self {
        const { assert!(AXES == 1 || AXES == 2, "Keras has this layer for one and two spatial axes") };
        DepthwiseConv {
            kernel_size: kernel_size.sizes(),
            depth_multiplier: 1,
            strides: [1; AXES],
            padding: Padding::Valid,
            dilation_rate: [1; AXES],
            activation: Activation::default(),
            use_bias: true,
            depthwise_initializer: Initializer::GlorotUniform,
            bias_initializer: Initializer::Zeros,
            depthwise_regularizer: None,
            bias_regularizer: None,
            activity_regularizer: None,
        }
    }

    setters! {
        /// Filters for each channel. Default 1.
        depth_multiplier: usize => |multiplier| multiplier;
        /// Positions between neighbouring outputs. Default 1.
        strides: impl Sizes<AXES> => |sizes| sizes.sizes();
        /// What lies beyond the border. Default [`Padding::Valid`].
        padding: Padding => |padding| padding;
        /// Positions between neighbouring taps. Default 1.
        dilation_rate: impl Sizes<AXES> => |sizes| sizes.sizes();
        /// The activation. Default linear.
        activation: impl Into<Activation> => |activation| activation.into();
        /// Whether a bias is added. Default true.
        use_bias: bool => |use_bias| use_bias;
        /// How the kernel starts. Default [`Initializer::GlorotUniform`].
        depthwise_initializer: Initializer => |initializer| initializer;
        /// How the bias starts. Default [`Initializer::Zeros`].
        bias_initializer: Initializer => |initializer| initializer;
        /// A penalty on the kernel. Default none.
        depthwise_regularizer: Regularizer => |regularizer| Some(regularizer);
        /// A penalty on the bias. Default none.
        bias_regularizer: Regularizer => |regularizer| Some(regularizer);
        /// A penalty on the output, divided by the number of samples. Default none.
        activity_regularizer: Regularizer => |regularizer| Some(regularizer);
    }

    fn spec(&self) -> ConvSpec {
        ConvSpec {
            strides: spread(&self.strides),
            dilations: spread(&self.dilation_rate),
            padding: self.padding,
            ..ConvSpec::default()
        }
    }

    fn class() -> &'static str {
        ["DepthwiseConv1D", "DepthwiseConv2D"][AXES - 1]
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        require_channels_last(config)?;
        Ok(Arc::new(DepthwiseConv::<AXES> {
            kernel_size: config.sizes("kernel_size", None)?,
            depth_multiplier: config.usize("depth_multiplier", Some(1))?,
            strides: config.sizes("strides", Some([1; AXES]))?,
            padding: padding_from_name(config.class(), config.str("padding", Some("valid"))?)?,
            dilation_rate: config.sizes("dilation_rate", Some([1; AXES]))?,
            activation: config.activation("activation")?,
            use_bias: config.bool("use_bias", Some(true))?,
            depthwise_initializer: config.initializer("depthwise_initializer", Initializer::GlorotUniform)?,
            bias_initializer: config.initializer("bias_initializer", Initializer::Zeros)?,
            depthwise_regularizer: config.regularizer("depthwise_regularizer")?,
            bias_regularizer: config.regularizer("bias_regularizer")?,
            activity_regularizer: config.regularizer("activity_regularizer")?,
        }))
    }
}

impl<const AXES: usize> Layer for DepthwiseConv<AXES> {
    fn class_name(&self) -> &'static str {
        Self::class()
    }

    fn config(&self) -> Map<String, Value> {
        let regularizer = |r: Option<Regularizer>| r.map_or(Value::Null, Regularizer::to_json);
        Map::from_iter([
            ("kernel_size".into(), json!(self.kernel_size.to_vec())),
            ("depth_multiplier".into(), json!(self.depth_multiplier)),
            ("strides".into(), json!(self.strides.to_vec())),
            ("padding".into(), json!(padding_name(self.padding))),
            ("data_format".into(), json!("channels_last")),
            ("dilation_rate".into(), json!(self.dilation_rate.to_vec())),
            ("activation".into(), self.activation.to_json()),
            ("use_bias".into(), json!(self.use_bias)),
            ("depthwise_initializer".into(), self.depthwise_initializer.to_json()),
            ("bias_initializer".into(), self.bias_initializer.to_json()),
            ("depthwise_regularizer".into(), regularizer(self.depthwise_regularizer)),
            ("bias_regularizer".into(), regularizer(self.bias_regularizer)),
            ("activity_regularizer".into(), regularizer(self.activity_regularizer)),
        ])
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        require_axes(Self::class(), AXES, input)?;
        let mut sizes = self.kernel_size.to_vec();
        sizes.extend([input.channels(), self.depth_multiplier]);
        let kernel = Shape::new(&sizes)?;
        let output = depthwise_shape(Self::class(), input, &kernel, &self.spec())?;
        builder.weight("kernel", kernel, self.depthwise_initializer).regularizer(self.depthwise_regularizer);
        if self.use_bias {
            builder.weight("bias", output.channels(), self.bias_initializer).regularizer(self.bias_regularizer);
        }
        Ok(output)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        let (kernel, bias) = (ctx.weight("kernel")?, ctx.find_weight("bias"));
        let y = self.activation.finish(depthwise(x, kernel, bias, &self.spec(), self.activation.fused())?)?;
        add_activity_penalty(self.activity_regularizer, &y, ctx)?;
        Ok(y)
    }

    fn multiply_adds(&self, _inputs: &[Shape], output: &Shape) -> u64 {
        output.elements() as u64 * self.kernel_size.iter().product::<usize>() as u64
    }
}
