//! Convolution in 1, 2 or 3 spatial axes.

use super::{Sizes, padding_from_name, padding_name, require_axes, require_channels_last, spread};
use crate::activation::Activation;
use crate::config::{Config, number};
use crate::initializer::Initializer;
use crate::layer::{Builder, Context, Layer};
use crate::regularizer::Regularizer;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{ConvSpec, Error, PadMode, Padding, PoolSpec, Result, Shape};

/// Convolution of time series and text: see [`Conv`].
pub type Conv1D = Conv<1>;
/// Convolution of images: see [`Conv`].
pub type Conv2D = Conv<2>;
/// Convolution of volumes and video: see [`Conv`].
pub type Conv3D = Conv<3>;

/// A layer of filters slid over `AXES` spatial axes.
///
/// # Formula
/// `y[p, f] = activation(bias[f] + Σ x[p·stride + t·dilation − before, c] · kernel[t, c, f])` over taps t and channels c. As everywhere in
/// deep learning this is a cross-correlation: the kernel is not flipped.
///
/// # Shapes
/// (n, spatial…, channels) → (n, spatial′…, filters), with spatial′ = ⌊(n − m)/stride⌋ + 1 for padding `valid` and an
/// m-wide kernel, ⌈n/stride⌉ for `same`. Weights: `kernel` (spatial…, channels / groups, filters), `bias` (filters).
///
/// # Parameters
/// kernel size in positions; strides, dilation rate and groups 1; padding `valid` or `same` (`causal` for one axis), filled with
/// [`PadMode::Constant`] 0, or any other filling; no activation; a bias. The kernel starts Glorot-uniform, the bias at 0.
///
/// # Errors
/// A kernel larger than the padded input; channels or filters not a multiple of groups; zero sizes.
///
/// # Cost
/// positions′ · taps · channels / groups · filters multiply-adds a sample.
///
/// Source: <https://keras.io/api/layers/convolution_layers/>; LeCun et al. 1998, <https://doi.org/10.1109/5.726791>.
///
/// ```
/// use striate_nn::{Sequential, layers::Conv2D};
/// use striate_tensor::Activation::Relu;
/// let layer = Conv2D::new(32, 3).activation(Relu);
/// let graph = Sequential::new([28, 28, 1]).add(layer).graph()?;
/// assert_eq!(graph.output_shapes()[0].to_string(), "(26, 26, 32)");
/// # Ok::<(), striate_tensor::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Conv<const AXES: usize> {
    filters: usize,
    kernel_size: [usize; AXES],
    strides: [usize; AXES],
    dilation_rate: [usize; AXES],
    padding: Padding,
    fill: PadMode,
    groups: usize,
    activation: Activation,
    use_bias: bool,
    kernel_initializer: Initializer,
    bias_initializer: Initializer,
    kernel_regularizer: Option<Regularizer>,
    bias_regularizer: Option<Regularizer>,
    activity_regularizer: Option<Regularizer>,
    drop_connect: f32,
}

impl<const AXES: usize> Conv<AXES> {
    /// `filters` kernels of the given size, one number for all axes or one for each.
    pub fn new(filters: usize, kernel_size: impl Sizes<AXES>) -> Self {
        Conv {
            filters,
            kernel_size: kernel_size.sizes(),
            strides: [1; AXES],
            dilation_rate: [1; AXES],
            padding: Padding::Valid,
            fill: PadMode::Constant(0.0),
            groups: 1,
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

    /// Positions between neighbouring outputs. Default 1.
    pub fn strides(mut self, strides: impl Sizes<AXES>) -> Self {
        self.strides = strides.sizes();
        self
    }

    /// Positions between neighbouring taps. Default 1.
    pub fn dilation_rate(mut self, rate: impl Sizes<AXES>) -> Self {
        self.dilation_rate = rate.sizes();
        self
    }

    /// What lies beyond the border. Default [`Padding::Valid`].
    pub fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// What padding is made of. Default zeros; Keras has no other.
    pub fn fill(mut self, fill: PadMode) -> Self {
        self.fill = fill;
        self
    }

    /// Independent groups of channels. Default 1.
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
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

    fn spec(&self) -> ConvSpec {
        ConvSpec {
            strides: spread(&self.strides),
            dilations: spread(&self.dilation_rate),
            padding: self.padding,
            groups: self.groups,
            ..ConvSpec::default()
        }
    }

    fn kernel_shape(&self, channels: usize) -> Result<Shape> {
        let mut sizes = self.kernel_size.to_vec();
        sizes.extend([channels / self.groups.max(1), self.filters]);
        Shape::new(&sizes)
    }

    /// The border to add before a convolution without padding, where zeros are not wanted.
    fn border(&self, input: &Shape) -> Result<Vec<(usize, usize)>> {
        let g = self.spec().geometry(input, &self.kernel_shape(input.channels())?)?;
        let mut pads = vec![(0, 0); AXES + 2];
        for axis in 0..AXES {
            let i = 3 - AXES + axis;
            pads[axis + 1] = (g.pad_before[i], g.pad_after[i]);
        }
        Ok(pads)
    }

    fn class() -> &'static str {
        ["Conv1D", "Conv2D", "Conv3D"][AXES - 1]
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        require_channels_last(config)?;
        Ok(Arc::new(Conv::<AXES> {
            filters: config.usize("filters", None)?,
            kernel_size: config.sizes("kernel_size", None)?,
            strides: config.sizes("strides", Some([1; AXES]))?,
            dilation_rate: config.sizes("dilation_rate", Some([1; AXES]))?,
            padding: padding_from_name(config.class(), config.str("padding", Some("valid"))?)?,
            fill: fill_from_json(config)?,
            groups: config.usize("groups", Some(1))?,
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

/// Our own key `fill`: a number, `replicate` or `reflect`.
fn fill_from_json(config: &Config<'_>) -> Result<PadMode> {
    match config.get("fill") {
        None => Ok(PadMode::Constant(0.0)),
        Some(Value::String(name)) if name == "replicate" => Ok(PadMode::Replicate),
        Some(Value::String(name)) if name == "reflect" => Ok(PadMode::Reflect),
        Some(_) => config.f32("fill", None).map(PadMode::Constant),
    }
}

impl<const AXES: usize> Layer for Conv<AXES> {
    fn class_name(&self) -> &'static str {
        Self::class()
    }

    fn config(&self) -> Map<String, Value> {
        let regularizer = |r: Option<Regularizer>| r.map_or(Value::Null, Regularizer::to_json);
        let mut map = Map::from_iter([
            ("filters".into(), json!(self.filters)),
            ("kernel_size".into(), json!(self.kernel_size.to_vec())),
            ("strides".into(), json!(self.strides.to_vec())),
            ("padding".into(), json!(padding_name(self.padding))),
            ("data_format".into(), json!("channels_last")),
            ("dilation_rate".into(), json!(self.dilation_rate.to_vec())),
            ("groups".into(), json!(self.groups)),
            ("activation".into(), self.activation.to_json()),
            ("use_bias".into(), json!(self.use_bias)),
            ("kernel_initializer".into(), self.kernel_initializer.to_json()),
            ("bias_initializer".into(), self.bias_initializer.to_json()),
            ("kernel_regularizer".into(), regularizer(self.kernel_regularizer)),
            ("bias_regularizer".into(), regularizer(self.bias_regularizer)),
            ("activity_regularizer".into(), regularizer(self.activity_regularizer)),
        ]);
        match self.fill {
            PadMode::Constant(0.0) => None,
            PadMode::Constant(value) => map.insert("fill".into(), number(value)),
            PadMode::Replicate => map.insert("fill".into(), json!("replicate")),
            PadMode::Reflect => map.insert("fill".into(), json!("reflect")),
        };
        if self.drop_connect != 0.0 {
            map.insert("drop_connect".into(), number(self.drop_connect));
        }
        map
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        require_axes(Self::class(), AXES, input)?;
        if self.filters == 0 || self.groups == 0 {
            return Err(Error::argument(
                Self::class(),
                "filters and groups must be at least 1",
                format!("filters {}, groups {}", self.filters, self.groups),
                "",
            ));
        }
        check_drop_connect(Self::class(), self.drop_connect)?;
        let kernel = self.kernel_shape(input.channels())?;
        let output = self.spec().output_shape(&input.with_batch(1)?, &kernel)?;
        builder.weight("kernel", kernel, self.kernel_initializer).regularizer(self.kernel_regularizer);
        if self.use_bias {
            builder.weight("bias", self.filters, self.bias_initializer).regularizer(self.bias_regularizer);
        }
        Ok(output.without_batch())
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        let mut spec = self.spec();
        let padded;
        let mut input = x;
        if self.fill != PadMode::Constant(0.0) && self.padding != Padding::Valid {
            padded = x.pad(&self.border(x.shape())?, self.fill)?;
            input = &padded;
            spec.padding = Padding::Valid;
        }
        let kernel = connected(ctx, self.drop_connect)?;
        let y = input.conv(&kernel, ctx.find_weight("bias"), &spec, self.activation.fused())?;
        let y = self.activation.finish(y)?;
        add_activity_penalty(self.activity_regularizer, &y, ctx)?;
        Ok(y)
    }

    fn forward_pooled(&self, x: &Var, pool: &PoolSpec, ctx: &Context<'_>) -> Result<Option<Var>> {
        let has_fill = self.fill != PadMode::Constant(0.0) && self.padding != Padding::Valid;
        let is_plain = matches!(self.activation, Activation::Elementwise(_)) && self.activity_regularizer.is_none();
        if has_fill || !is_plain || (self.drop_connect > 0.0 && ctx.is_training()) {
            return Ok(None);
        }
        let (kernel, bias) = (ctx.weight("kernel")?, ctx.find_weight("bias"));
        x.conv_max_pool(kernel, bias, &self.spec(), self.activation.fused(), pool)
    }

    fn is_per_sample(&self) -> bool {
        self.drop_connect == 0.0 && self.activity_regularizer.is_none()
    }

    fn multiply_adds(&self, inputs: &[Shape], output: &Shape) -> u64 {
        let taps: usize = self.kernel_size.iter().product();
        let channels = inputs.first().map_or(0, Shape::channels) / self.groups.max(1);
        output.elements() as u64 * (taps * channels) as u64
    }
}

/// Refuses a rate that leaves no connection.
pub(crate) fn check_drop_connect(class: &str, rate: f32) -> Result<()> {
    if (0.0..1.0).contains(&rate) {
        return Ok(());
    }
    Err(Error::argument(class, "drop_connect must be in [0, 1)", rate.to_string(), ""))
}

/// The kernel as this pass sees it: with connections dropped in training.
pub(crate) fn connected(ctx: &Context<'_>, rate: f32) -> Result<Var> {
    let kernel = ctx.weight("kernel")?;
    if rate == 0.0 || !ctx.is_training() {
        return Ok(kernel.clone());
    }
    kernel.dropout(rate, ctx.key().fold_str("drop_connect"))
}

/// Adds a penalty on a layer's output, divided by the number of samples as in Keras.
pub(crate) fn add_activity_penalty(regularizer: Option<Regularizer>, y: &Var, ctx: &Context<'_>) -> Result<()> {
    if let (Some(regularizer), true) = (regularizer, ctx.is_training())
        && let Some(penalty) = regularizer.penalty(y)?
    {
        let samples = y.shape().first().copied().unwrap_or(1).max(1);
        ctx.add_loss(penalty.affine(1.0 / samples as f32, 0.0)?);
    }
    Ok(())
}
