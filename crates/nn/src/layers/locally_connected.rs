//! Like a convolution, with filters of its own for every position.

use super::{Sizes, require_axes, require_channels_last};
use crate::activation::Activation;
use crate::config::Config;
use crate::initializer::Initializer;
use crate::layer::{Builder, Context, Layer};
use crate::regularizer::Regularizer;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{ConvSpec, Error, Result, Shape, Tensor};

/// Time series: see [`LocallyConnected`].
pub type LocallyConnected1D = LocallyConnected<1>;
/// Images: see [`LocallyConnected`].
pub type LocallyConnected2D = LocallyConnected<2>;

/// A convolution whose filters are not shared between positions. Keras 3 no longer has it; Keras 1 and 2 do.
///
/// # Shapes
/// (n, spatial…, channels) → (n, spatial′…, filters), with spatial′ as of a convolution with padding `valid`. Weights:
/// `kernel` (positions, taps · channels, filters), `bias` (spatial′…, filters).
///
/// # Parameters
/// strides 1; no activation; a bias. The kernel starts Glorot-uniform, the bias at 0.
///
/// # Errors
/// A kernel larger than the input; zero sizes; in a file, `implementation` 2 or 3, which keep the kernel in other shapes.
///
/// # Cost
/// As of the convolution.
///
/// Source: <https://www.tensorflow.org/versions/r2.15/api_docs/python/tf/keras/layers/LocallyConnected2D>.
#[derive(Debug, Clone)]
pub struct LocallyConnected<const AXES: usize> {
    filters: usize,
    kernel_size: [usize; AXES],
    strides: [usize; AXES],
    activation: Activation,
    use_bias: bool,
    kernel_initializer: Initializer,
    bias_initializer: Initializer,
    kernel_regularizer: Option<Regularizer>,
    bias_regularizer: Option<Regularizer>,
}

impl<const AXES: usize> LocallyConnected<AXES> {
    /// `filters` kernels of the given size for every position.
    pub fn new(filters: usize, kernel_size: impl Sizes<AXES>) -> Self {
        LocallyConnected {
            filters,
            kernel_size: kernel_size.sizes(),
            strides: [1; AXES],
            activation: Activation::default(),
            use_bias: true,
            kernel_initializer: Initializer::GlorotUniform,
            bias_initializer: Initializer::Zeros,
            kernel_regularizer: None,
            bias_regularizer: None,
        }
    }

    /// Positions between neighbouring outputs. Default 1.
    pub fn strides(self, strides: impl Sizes<AXES>) -> Self {
        LocallyConnected { strides: strides.sizes(), ..self }
    }

    /// What is applied to the result. Default nothing.
    pub fn activation(self, activation: impl Into<Activation>) -> Self {
        LocallyConnected { activation: activation.into(), ..self }
    }

    /// Whether a bias is added, one for each position and filter. Default true.
    pub fn use_bias(self, use_bias: bool) -> Self {
        LocallyConnected { use_bias, ..self }
    }

    fn class() -> &'static str {
        ["LocallyConnected1D", "LocallyConnected2D"][AXES - 1]
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        require_channels_last(config)?;
        let implementation = config.usize("implementation", Some(1))?;
        let padding = config.str("padding", Some("valid"))?;
        if implementation != 1 || padding != "valid" {
            let received = format!("implementation {implementation} with padding `{padding}`");
            let rule = "`implementation` must be 1, with padding `valid`";
            return Err(Error::model(config.class(), rule, received, "save the model again with implementation 1"));
        }
        Ok(Arc::new(LocallyConnected::<AXES> {
            filters: config.usize("filters", None)?,
            kernel_size: config.sizes("kernel_size", None)?,
            strides: config.sizes("strides", Some([1; AXES]))?,
            activation: config.activation("activation")?,
            use_bias: config.bool("use_bias", Some(true))?,
            kernel_initializer: config.initializer("kernel_initializer", Initializer::GlorotUniform)?,
            bias_initializer: config.initializer("bias_initializer", Initializer::Zeros)?,
            kernel_regularizer: config.regularizer("kernel_regularizer")?,
            bias_regularizer: config.regularizer("bias_regularizer")?,
        }))
    }

    fn spec(&self) -> ConvSpec {
        let mut strides = [1; 3];
        strides[..AXES].copy_from_slice(&self.strides);
        ConvSpec { strides, ..ConvSpec::default() }
    }

    fn taps(&self) -> usize {
        self.kernel_size.iter().product()
    }

    /// The kernel of a convolution that lays what a position sees in a row.
    fn window(&self, channels: usize) -> Result<Shape> {
        let mut sizes = self.kernel_size.to_vec();
        sizes.extend([channels, self.taps().saturating_mul(channels)]);
        Shape::new(&sizes)
    }
}

impl<const AXES: usize> Layer for LocallyConnected<AXES> {
    fn class_name(&self) -> &'static str {
        Self::class()
    }

    fn config(&self) -> Map<String, Value> {
        let regularizer = |r: Option<Regularizer>| r.map_or(Value::Null, Regularizer::to_json);
        Map::from_iter([
            ("filters".into(), json!(self.filters)),
            ("kernel_size".into(), json!(self.kernel_size.to_vec())),
            ("strides".into(), json!(self.strides.to_vec())),
            ("padding".into(), json!("valid")),
            ("data_format".into(), json!("channels_last")),
            ("implementation".into(), json!(1)),
            ("activation".into(), self.activation.to_json()),
            ("use_bias".into(), json!(self.use_bias)),
            ("kernel_initializer".into(), self.kernel_initializer.to_json()),
            ("bias_initializer".into(), self.bias_initializer.to_json()),
            ("kernel_regularizer".into(), regularizer(self.kernel_regularizer)),
            ("bias_regularizer".into(), regularizer(self.bias_regularizer)),
        ])
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        require_axes(Self::class(), AXES, input)?;
        if self.filters == 0 || input.channels() == 0 {
            let received = format!("{} filters of {} channels", self.filters, input.channels());
            return Err(Error::argument(Self::class(), "filters and channels must be at least 1", received, ""));
        }
        let window = self.window(input.channels())?;
        let seen = self.spec().output_shape(&input.with_batch(1)?, &window)?.without_batch();
        let positions: usize = seen.as_slice()[..AXES].iter().product();
        let kernel = Shape::new(&[positions, seen.channels(), self.filters])?;
        builder.weight("kernel", kernel, self.kernel_initializer).regularizer(self.kernel_regularizer);
        let mut sizes = seen.to_vec();
        sizes[AXES] = self.filters;
        let output = Shape::new(&sizes)?;
        if self.use_bias {
            builder.weight("bias", output, self.bias_initializer).regularizer(self.bias_regularizer);
        }
        Ok(output)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        let channels = x.shape().channels();
        let window = self.window(channels)?;
        let size = self.taps() * channels;
        let mut ones = vec![0.0f64; window.elements()];
        ones.chunks_exact_mut(size).enumerate().for_each(|(i, row)| row[i] = 1.0);
        let window = Tensor::from_vec(ones, window, x.device())?.cast(x.value().dtype())?;
        let seen = x.conv(&Var::constant(window), None, &self.spec(), Activation::default().fused())?;
        // One matrix product for each position: (positions, n, taps · channels) by (positions, taps · channels, filters).
        let mut sizes = seen.shape().to_vec();
        let (samples, positions) = (sizes[0], sizes[1..=AXES].iter().product::<usize>());
        let rows = seen.reshape([samples, positions, size])?.permute(&[1, 0, 2])?;
        sizes[AXES + 1] = self.filters;
        let y = rows.matmul(ctx.weight("kernel")?)?.permute(&[1, 0, 2])?.reshape(Shape::new(&sizes)?)?;
        let y = ctx.find_weight("bias").map_or(Ok(y.clone()), |bias| &y + bias)?;
        self.activation.apply(&y)
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    fn multiply_adds(&self, inputs: &[Shape], output: &Shape) -> u64 {
        let channels = inputs.first().map_or(0, Shape::channels);
        output.elements() as u64 * (self.taps() * channels) as u64
    }
}
