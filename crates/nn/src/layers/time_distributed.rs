//! One layer for every step of a series.

use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use crate::registry::Registry;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape};

/// Applies a layer, or a model, to each step of a series by itself, with the same weights: a convolution to each picture of a film.
///
/// # Shapes
/// (n, steps, …) → (n, steps, what the layer makes of …). Weights: the inner layer's, under the same names.
///
/// # Errors
/// An input without steps; those of the inner layer. In a file the inner layer must be one of this crate's.
///
/// Source: <https://keras.io/api/layers/recurrent_layers/time_distributed/>.
#[derive(Debug, Clone)]
pub struct TimeDistributed {
    layer: Arc<dyn Layer>,
}

impl TimeDistributed {
    /// The layer that every step goes through.
    pub fn new(layer: impl Layer + 'static) -> Self {
        TimeDistributed { layer: Arc::new(layer) }
    }

    fn steps(input: &Shape) -> Result<(usize, Shape)> {
        match input.as_slice() {
            [steps, rest @ ..] if !rest.is_empty() => Ok((*steps, Shape::new(rest)?)),
            _ => {
                let received = crate::graph::batch_shape(input);
                Err(Error::shape("TimeDistributed", "the input must be (n, steps, …)", received, ""))
            }
        }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        let inner = config.get("layer").unwrap_or(&Value::Null);
        let Some(class) = inner["class_name"].as_str() else {
            return Err(Error::model("TimeDistributed", "`layer` must be a layer", inner.to_string(), ""));
        };
        // It makes a registry anew, and so must not have itself inside without end.
        if class == "TimeDistributed" {
            return Err(Error::model("TimeDistributed", "`layer` must be another layer", "TimeDistributed", ""));
        }
        let registry = Registry::default();
        let layer: Arc<dyn Layer> = match class {
            "Sequential" | "Functional" => Arc::new(registry.graph_from_json(inner)?),
            _ => registry.layer_from_json(class, &inner["config"])?,
        };
        Ok(Arc::new(TimeDistributed { layer }))
    }
}

impl Layer for TimeDistributed {
    fn class_name(&self) -> &'static str {
        "TimeDistributed"
    }

    fn config(&self) -> Map<String, Value> {
        let class = self.layer.class_name();
        let mut inner = self.layer.config();
        inner.entry("name").or_insert_with(|| json!(crate::snake_case(class)));
        let inner = json!({
            "module": if class == "Sequential" { "keras" } else { "keras.layers" },
            "class_name": class,
            "config": inner,
            "registered_name": null,
        });
        Map::from_iter([("layer".into(), inner)])
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        let (steps, rest) = Self::steps(input)?;
        self.layer.build(&rest, builder)?.with_batch(steps)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        let (steps, rest) = Self::steps(&x.shape().without_batch())?;
        let samples = x.shape()[0];
        let y = self.layer.forward(&x.reshape(rest.with_batch(samples * steps)?)?, ctx)?;
        let sizes: Vec<usize> = [samples, steps].into_iter().chain(y.shape().as_slice()[1..].iter().copied()).collect();
        y.reshape(Shape::new(&sizes)?)
    }

    fn is_per_sample(&self) -> bool {
        self.layer.is_per_sample()
    }

    fn multiply_adds(&self, inputs: &[Shape], output: &Shape) -> u64 {
        let inner = |shape: &Shape| Self::steps(shape).ok();
        match (inputs.first().and_then(inner), inner(output)) {
            (Some((steps, input)), Some((_, output))) => steps as u64 * self.layer.multiply_adds(&[input], &output),
            _ => 0,
        }
    }
}
