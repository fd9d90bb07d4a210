//! A layer whose kernel was kept at spectral norm 1.

use crate::config::Config;
use crate::initializer::Initializer;
use crate::layer::{Builder, Context, Layer};
use crate::registry::Registry;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape};

/// A layer whose kernel Keras divides by its spectral norm at every step of training, as in the discriminators of adversarial networks.
///
/// It does what Keras's layer does in prediction: what the inner layer does with the kernel as it is. The kernel is not divided
/// in training here; it is kept so that such models can be used, saved and trained on without it.
///
/// # Shapes
/// Those of the inner layer. Weights: the inner layer's; state: `vector_u` (1, last size of the kernel).
///
/// # Parameters
/// power iterations 1, which only Keras uses.
///
/// # Errors
/// An inner layer without a kernel; those of the inner layer. In a file the inner layer must be one of this crate's.
///
/// Source: <https://keras.io/api/layers/normalization_layers/spectral_normalization/>; Miyato et al. 2018,
/// <https://arxiv.org/abs/1802.05957>.
#[derive(Debug, Clone)]
pub struct SpectralNormalization {
    layer: Arc<dyn Layer>,
    power_iterations: usize,
}

impl SpectralNormalization {
    /// Around this layer.
    pub fn new(layer: impl Layer + 'static) -> Self {
        SpectralNormalization { layer: Arc::new(layer), power_iterations: 1 }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        let inner = config.get("layer").unwrap_or(&Value::Null);
        let class = match inner["class_name"].as_str() {
            // It makes a registry anew, and so must not have a wrapper inside without end.
            Some(class) if !matches!(class, "SpectralNormalization" | "TimeDistributed") => class,
            _ => {
                let received = inner["class_name"].to_string();
                return Err(Error::model(config.class(), "`layer` must be a layer, and no wrapper", received, ""));
            }
        };
        let layer = Registry::default().layer_from_json(class, &inner["config"])?;
        let power_iterations = config.usize("power_iterations", Some(1))?;
        Ok(Arc::new(SpectralNormalization { layer, power_iterations }))
    }
}

impl Layer for SpectralNormalization {
    fn class_name(&self) -> &'static str {
        "SpectralNormalization"
    }

    fn config(&self) -> Map<String, Value> {
        let class = self.layer.class_name();
        let mut inner = self.layer.config();
        inner.insert("name".into(), json!(crate::snake_case(class)));
        let inner = json!({
            "module": "keras.layers",
            "class_name": class,
            "config": inner,
            "registered_name": null,
        });
        Map::from_iter([("layer".into(), inner), ("power_iterations".into(), json!(self.power_iterations))])
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        let start = builder.weights.len();
        let output = self.layer.build(input, builder)?;
        let is_kernel = |spec: &&crate::WeightSpec| spec.path.rsplit('/').next() == Some("kernel");
        let kernel = builder.weights[start..].iter().find(is_kernel).map(|spec| spec.shape).ok_or_else(|| {
            let received = self.layer.class_name();
            Error::argument("SpectralNormalization", "the inner layer must have a kernel", received, "")
        })?;
        builder.state("vector_u", [1, kernel.channels()], Initializer::TruncatedNormal { mean: 0.0, stddev: 0.02 });
        Ok(output)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        self.layer.forward(x, ctx)
    }

    fn is_per_sample(&self) -> bool {
        self.layer.is_per_sample()
    }

    fn multiply_adds(&self, inputs: &[Shape], output: &Shape) -> u64 {
        self.layer.multiply_adds(inputs, output)
    }
}
