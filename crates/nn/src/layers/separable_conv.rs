//! Convolution of each channel by itself, then across channels, in 1 or 2 spatial axes.

use super::conv::add_activity_penalty;
use super::depthwise_conv::{depthwise, depthwise_shape};
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

/// Separable convolution of time series: see [`SeparableConv`].
pub type SeparableConv1D = SeparableConv<1>;
/// Separable convolution of images: see [`SeparableConv`].
pub type SeparableConv2D = SeparableConv<2>;

/// A depthwise convolution followed by a 1×1 convolution: far fewer weights and products than one over both space and channels.
///
/// # Formula
/// y = activation(conv(depthwise(x, depthwise_kernel), pointwise_kernel) + bias); see [`super::DepthwiseConv`].
///
/// # Shapes
/// (n, spatial…, channels) → (n, spatial′…, filters), spatial′ as for [`super::Conv`]. Weights: `depthwise_kernel` (spatial…,
/// channels, multiplier), `pointwise_kernel` (1…, channels · multiplier, filters), `bias` (filters).
///
/// # Parameters
/// kernel size in positions; depth multiplier, strides and dilation rate 1; padding `valid` or `same`; no activation; a
/// bias. Both kernels start Glorot-uniform, the bias at 0.
///
/// # Errors
/// A kernel larger than the padded input; zero sizes.
///
/// # Cost
/// positions′ · channels · multiplier · (taps + filters) multiply-adds a sample.
///
/// Source: <https://keras.io/api/layers/convolution_layers/separable_convolution2d/>; Chollet 2016,
/// <https://arxiv.org/abs/1610.02357>.
#[derive(Debug, Clone)]
pub struct SeparableConv<const AXES: usize> {
    filters: usize,
    kernel_size: [usize; AXES],
    depth_multiplier: usize,
    strides: [usize; AXES],
    padding: Padding,
    dilation_rate: [usize; AXES],
    activation: Activation,
    use_bias: bool,
    depthwise_initializer: Initializer,
    pointwise_initializer: Initializer,
    bias_initializer: Initializer,
    depthwise_regularizer: Option<Regularizer>,
    pointwise_regularizer: Option<Regularizer>,
    bias_regularizer: Option<Regularizer>,
    activity_regularizer: Option<Regularizer>,
}

impl<const AXES: usize> SeparableConv<AXES> {
    /// `filters` outputs from kernels of the given size, one number for all axes or one for each.
    pub fn new(filters: usize, kernel_size: impl Sizes<AXES>) -> Self {
        const { assert!(AXES == 1 || AXES == 2, "Keras has this layer for one and two spatial axes") };
        SeparableConv {
            filters,
            kernel_size: kernel_size.sizes(),
            depth_multiplier: 1,
            strides: [1; AXES],
            padding: Padding::Valid,
            dilation_rate: [1; AXES],
            activation: Activation::default(),
            use_bias: true,
            depthwise_initializer: Initializer::GlorotUniform,
            pointwise_initializer: Initializer::GlorotUniform,
            bias_initializer: Initializer::Zeros,
            depthwise_regularizer: None,
            pointwise_regularizer: None,
            bias_regularizer: None,
            activity_regularizer: None,
        }
    }

    setters! {
        /// Depthwise filters for each channel. Default 1.
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
        /// How the depthwise kernel starts. Default [`Initializer::GlorotUniform`].
        depthwise_initializer: Initializer => |initializer| initializer;
        /// How the pointwise kernel starts. Default [`Initializer::GlorotUniform`].
        pointwise_initializer: Initializer => |initializer| initializer;
        /// How the bias starts. Default [`Initializer::Zeros`].
        bias_initializer: Initializer => |initializer| initializer;
        /// A penalty on the depthwise kernel. Default none.
        depthwise_regularizer: Regularizer => |regularizer| Some(regularizer);
        /// A penalty on the pointwise kernel. Default none.
        pointwise_regularizer: Regularizer => |regularizer| Some(regularizer);
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
        ["SeparableConv1D", "SeparableConv2D"][AXES - 1]
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        require_channels_last(config)?;
        Ok(Arc::new(SeparableConv::<AXES> {
            filters: config.usize("filters", None)?,
            kernel_size: config.sizes("kernel_size", None)?,
            depth_multiplier: config.usize("depth_multiplier", Some(1))?,
            strides: config.sizes("strides", Some([1; AXES]))?,
            padding: padding_from_name(config.class(), config.str("padding", Some("valid"))?)?,
            dilation_rate: config.sizes("dilation_rate", Some([1; AXES]))?,
            activation: config.activation("activation")?,
            use_bias: config.bool("use_bias", Some(true))?,
            depthwise_initializer: config.initializer("depthwise_initializer", Initializer::GlorotUniform)?,
            pointwise_initializer: config.initializer("pointwise_initializer", Initializer::GlorotUniform)?,
            bias_initializer: config.initializer("bias_initializer", Initializer::Zeros)?,
            depthwise_regularizer: config.regularizer("depthwise_regularizer")?,
            pointwise_regularizer: config.regularizer("pointwise_regularizer")?,
            bias_regularizer: config.regularizer("bias_regularizer")?,
            activity_regularizer: config.regularizer("activity_regularizer")?,
        }))
    }
}

impl<const AXES: usize> Layer for SeparableConv<AXES> {
    fn class_name(&self) -> &'static str {
        Self::class()
    }

    fn config(&self) -> Map<String, Value> {
        let regularizer = |r: Option<Regularizer>| r.map_or(Value::Null, Regularizer::to_json);
        Map::from_iter([
            ("filters".into(), json!(self.filters)),
            ("kernel_size".into(), json!(self.kernel_size.to_vec())),
            ("depth_multiplier".into(), json!(self.depth_multiplier)),
            ("strides".into(), json!(self.strides.to_vec())),
            ("padding".into(), json!(padding_name(self.padding))),
            ("data_format".into(), json!("channels_last")),
            ("dilation_rate".into(), json!(self.dilation_rate.to_vec())),
            ("activation".into(), self.activation.to_json()),
            ("use_bias".into(), json!(self.use_bias)),
            ("depthwise_initializer".into(), self.depthwise_initializer.to_json()),
            ("pointwise_initializer".into(), self.pointwise_initializer.to_json()),
            ("bias_initializer".into(), self.bias_initializer.to_json()),
            ("depthwise_regularizer".into(), regularizer(self.depthwise_regularizer)),
            ("pointwise_regularizer".into(), regularizer(self.pointwise_regularizer)),
            ("bias_regularizer".into(), regularizer(self.bias_regularizer)),
            ("activity_regularizer".into(), regularizer(self.activity_regularizer)),
        ])
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        require_axes(Self::class(), AXES, input)?;
        if self.filters == 0 {
            return Err(Error::argument(Self::class(), "filters must be at least 1", "0", ""));
        }
        let mut sizes = self.kernel_size.to_vec();
        sizes.extend([input.channels(), self.depth_multiplier]);
        let kernel = Shape::new(&sizes)?;
        let between = depthwise_shape(Self::class(), input, &kernel, &self.spec())?;
        let mut sizes = vec![1; AXES];
        sizes.extend([between.channels(), self.filters]);
        let pointwise = Shape::new(&sizes)?;
        builder.weight("depthwise_kernel", kernel, self.depthwise_initializer).regularizer(self.depthwise_regularizer);
        builder
            .weight("pointwise_kernel", pointwise, self.pointwise_initializer)
            .regularizer(self.pointwise_regularizer);
        if self.use_bias {
            builder.weight("bias", self.filters, self.bias_initializer).regularizer(self.bias_regularizer);
        }
        Ok(between.with_channels(self.filters))
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        let between = depthwise(x, ctx.weight("depthwise_kernel")?, None, &self.spec(), Elementwise::Linear)?;
        let (kernel, bias) = (ctx.weight("pointwise_kernel")?, ctx.find_weight("bias"));
        let y = between.conv(kernel, bias, &ConvSpec::default(), self.activation.fused())?;
        let y = self.activation.finish(y)?;
        add_activity_penalty(self.activity_regularizer, &y, ctx)?;
        Ok(y)
    }

    fn multiply_adds(&self, inputs: &[Shape], output: &Shape) -> u64 {
        let taps: usize = self.kernel_size.iter().product();
        let positions = output.elements() / self.filters.max(1);
        let between = inputs.first().map_or(0, Shape::channels) * self.depth_multiplier;
        (positions * between) as u64 * (taps + self.filters) as u64
    }
}
