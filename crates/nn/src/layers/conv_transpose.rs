//! Transposed convolution in 1, 2 or 3 spatial axes.

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
use striate_tensor::{ConvSpec, Error, Padding, Result, Shape};

/// Transposed convolution of time series: see [`ConvTranspose`].
pub type Conv1DTranspose = ConvTranspose<1>;
/// Transposed convolution of images: see [`ConvTranspose`].
pub type Conv2DTranspose = ConvTranspose<2>;
/// Transposed convolution of volumes: see [`ConvTranspose`].
pub type Conv3DTranspose = ConvTranspose<3>;

/// A convolution run backwards: each input position spreads a copy of the kernel over the output.
///
/// # Formula
/// `y[p·stride + t·dilation − before, f] += x[p, c] · kernel[t, f, c]`, plus `bias[f]`, activated: the gradient of a convolution
/// with respect to its input.
///
/// # Shapes
/// (n, spatial…, channels) → (n, spatial′…, filters). With m = (kernel − 1)·dilation + 1 and o the output padding:
/// spatial′ = (n − 1)·stride + m + o for padding `valid`, where o is max(stride − m, 0) unless it is set; for `same`
/// n·stride, or (n − 1)·stride + m mod 2 + o where o is set. Weights: `kernel` (spatial…, filters, channels), `bias` (filters).
///
/// # Parameters
/// kernel size in positions; strides and dilation rate 1; padding `valid` or `same`; no output padding of one's own; no
/// activation; a bias. The kernel starts Glorot-uniform, the bias at 0.
///
/// # Errors
/// An output padding that is not below the stride; an output that no convolution takes back to the input; zero sizes.
///
/// # Cost
/// positions · taps · channels · filters multiply-adds a sample.
///
/// Source: <https://keras.io/api/layers/convolution_layers/convolution2d_transpose/>; Dumoulin and Visin 2016,
/// <https://arxiv.org/abs/1603.07285>.
///
/// ```
/// use striate_nn::{Sequential, layers::Conv2DTranspose};
/// use striate_tensor::Padding;
/// let layer = Conv2DTranspose::new(16, 3).strides(2).padding(Padding::Same);
/// let graph = Sequential::new([7, 7, 32]).add(layer).graph()?;
/// assert_eq!(graph.output_shapes()[0].to_string(), "(14, 14, 16)");
/// # Ok::<(), striate_tensor::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ConvTranspose<const AXES: usize> {
    filters: usize,
    kernel_size: [usize; AXES],
    strides: [usize; AXES],
    padding: Padding,
    output_padding: Option<[usize; AXES]>,
    dilation_rate: [usize; AXES],
    activation: Activation,
    use_bias: bool,
    kernel_initializer: Initializer,
    bias_initializer: Initializer,
    kernel_regularizer: Option<Regularizer>,
    bias_regularizer: Option<Regularizer>,
    activity_regularizer: Option<Regularizer>,
}

impl<const AXES: usize> ConvTranspose<AXES> {
    /// `filters` kernels of the given size, one number for all axes or one for each.
    pub fn new(filters: usize, kernel_size: impl Sizes<AXES>) -> Self {
        ConvTranspose {
            filters,
            kernel_size: kernel_size.sizes(),
            strides: [1; AXES],
            padding: Padding::Valid,
            output_padding: None,
            dilation_rate: [1; AXES],
            activation: Activation::default(),
            use_bias: true,
            kernel_initializer: Initializer::GlorotUniform,
            bias_initializer: Initializer::Zeros,
            kernel_regularizer: None,
            bias_regularizer: None,
            activity_regularizer: None,
        }
    }

    setters! {
        /// Output positions between the copies of neighbouring inputs. Default 1.
        strides: impl Sizes<AXES> => |sizes| sizes.sizes();
        /// [`Padding::Valid`] or [`Padding::Same`]. Default valid.
        padding: Padding => |padding| padding;
        /// Further positions at the end of each axis, fewer than the stride. Default as the padding wants it.
        output_padding: impl Sizes<AXES> => |sizes| Some(sizes.sizes());
        /// Positions between neighbouring taps. Default 1.
        dilation_rate: impl Sizes<AXES> => |sizes| sizes.sizes();
        /// The activation. Default linear.
        activation: impl Into<Activation> => |activation| activation.into();
        /// Whether a bias is added. Default true.
        use_bias: bool => |use_bias| use_bias;
        /// How the kernel starts. Default [`Initializer::GlorotUniform`].
        kernel_initializer: Initializer => |initializer| initializer;
        /// How the bias starts. Default [`Initializer::Zeros`].
        bias_initializer: Initializer => |initializer| initializer;
        /// A penalty on the kernel. Default none.
        kernel_regularizer: Regularizer => |regularizer| Some(regularizer);
        /// A penalty on the bias. Default none.
        bias_regularizer: Regularizer => |regularizer| Some(regularizer);
        /// A penalty on the output, divided by the number of samples. Default none.
        activity_regularizer: Regularizer => |regularizer| Some(regularizer);
    }

    /// The convolution that takes the output back to the input.
    fn spec(&self) -> ConvSpec {
        ConvSpec {
            strides: spread(&self.strides),
            dilations: spread(&self.dilation_rate),
            padding: self.padding,
            ..ConvSpec::default()
        }
    }

    fn kernel_shape(&self, channels: usize) -> Result<Shape> {
        let mut sizes = self.kernel_size.to_vec();
        sizes.extend([self.filters, channels]);
        Shape::new(&sizes)
    }

    /// Keras's output length of each axis.
    fn output_shape(&self, input: &Shape) -> Result<Shape> {
        let refuse = |rule: &str, received: String| Err(Error::argument(Self::class(), rule, received, ""));
        let mut sizes = Vec::with_capacity(AXES + 1);
        for (axis, &n) in input[..AXES].iter().enumerate() {
            let (kernel, stride, dilation) = (self.kernel_size[axis], self.strides[axis], self.dilation_rate[axis]);
            let most = [kernel, stride, dilation, n].into_iter().fold(0, usize::max);
            if kernel == 0 || stride == 0 || dilation == 0 || n == 0 || most >= 1 << 31 {
                return refuse(
                    "kernel, strides, dilation rate and input must be at least 1 and below 2^31",
                    format!("kernel {kernel}, stride {stride}, dilation rate {dilation}, input {n}"),
                );
            }
            let extent = ((kernel - 1) * dilation).saturating_add(1);
            let more = self.output_padding.map(|padding| padding[axis]);
            if more.is_some_and(|more| more >= stride) {
                return refuse(
                    "output_padding must be below the stride",
                    format!("output_padding {}, stride {stride}", more.unwrap_or_default()),
                );
            }
            sizes.push(match (self.padding, more) {
                (Padding::Valid, more) => {
                    let more = more.unwrap_or(stride.saturating_sub(extent));
                    ((n - 1) * stride).saturating_add(extent).saturating_add(more)
                }
                (Padding::Same, None) => n * stride,
                (Padding::Same, Some(more)) => (n - 1) * stride + extent % 2 + more,
                (other, _) => return refuse("padding must be valid or same", format!("{other:?}")),
            });
        }
        sizes.push(self.filters);
        Shape::new(&sizes)
    }

    fn class() -> &'static str {
        ["Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"][AXES - 1]
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        require_channels_last(config)?;
        let output_padding = config.get("output_padding").map(|_| config.sizes("output_padding", None)).transpose()?;
        Ok(Arc::new(ConvTranspose::<AXES> {
            filters: config.usize("filters", None)?,
            kernel_size: config.sizes("kernel_size", None)?,
            strides: config.sizes("strides", Some([1; AXES]))?,
            padding: padding_from_name(config.class(), config.str("padding", Some("valid"))?)?,
            output_padding,
            dilation_rate: config.sizes("dilation_rate", Some([1; AXES]))?,
            activation: config.activation("activation")?,
            use_bias: config.bool("use_bias", Some(true))?,
            kernel_initializer: config.initializer("kernel_initializer", Initializer::GlorotUniform)?,
            bias_initializer: config.initializer("bias_initializer", Initializer::Zeros)?,
            kernel_regularizer: config.regularizer("kernel_regularizer")?,
            bias_regularizer: config.regularizer("bias_regularizer")?,
            activity_regularizer: config.regularizer("activity_regularizer")?,
        }))
    }
}

impl<const AXES: usize> Layer for ConvTranspose<AXES> {
    fn class_name(&self) -> &'static str {
        Self::class()
    }

    fn config(&self) -> Map<String, Value> {
        let regularizer = |r: Option<Regularizer>| r.map_or(Value::Null, Regularizer::to_json);
        Map::from_iter([
            ("filters".into(), json!(self.filters)),
            ("kernel_size".into(), json!(self.kernel_size.to_vec())),
            ("strides".into(), json!(self.strides.to_vec())),
            ("padding".into(), json!(padding_name(self.padding))),
            ("output_padding".into(), json!(self.output_padding.map(|padding| padding.to_vec()))),
            ("data_format".into(), json!("channels_last")),
            ("dilation_rate".into(), json!(self.dilation_rate.to_vec())),
            ("activation".into(), self.activation.to_json()),
            ("use_bias".into(), json!(self.use_bias)),
            ("kernel_initializer".into(), self.kernel_initializer.to_json()),
            ("bias_initializer".into(), self.bias_initializer.to_json()),
            ("kernel_regularizer".into(), regularizer(self.kernel_regularizer)),
            ("bias_regularizer".into(), regularizer(self.bias_regularizer)),
            ("activity_regularizer".into(), regularizer(self.activity_regularizer)),
        ])
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        require_axes(Self::class(), AXES, input)?;
        if self.filters == 0 || input.channels() == 0 {
            return Err(Error::argument(
                Self::class(),
                "filters and channels must be at least 1",
                format!("filters {}, channels {}", self.filters, input.channels()),
                "",
            ));
        }
        let output = self.output_shape(input)?;
        let kernel = self.kernel_shape(input.channels())?;
        let back = self.spec().output_shape(&output.with_batch(1)?, &kernel)?.without_batch();
        if back != *input {
            return Err(Error::shape(
                Self::class(),
                "a convolution must take the output back to the input",
                format!("output {output} goes back to {back}, the input is {input}"),
                "leave output_padding out, or choose it from 1 on for an even kernel",
            ));
        }
        builder.weight("kernel", kernel, self.kernel_initializer).regularizer(self.kernel_regularizer);
        if self.use_bias {
            builder.weight("bias", self.filters, self.bias_initializer).regularizer(self.bias_regularizer);
        }
        Ok(output)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        let output = self.output_shape(&x.shape().without_batch())?.with_batch(x.shape()[0])?;
        let mut y = x.conv_transpose(ctx.weight("kernel")?, &output, &self.spec())?;
        if let Some(bias) = ctx.find_weight("bias") {
            y = (&y + bias)?;
        }
        let y = self.activation.apply(&y)?;
        add_activity_penalty(self.activity_regularizer, &y, ctx)?;
        Ok(y)
    }

    fn multiply_adds(&self, inputs: &[Shape], _output: &Shape) -> u64 {
        let taps: usize = self.kernel_size.iter().product();
        inputs.first().map_or(0, Shape::elements) as u64 * (taps * self.filters) as u64
    }
}
