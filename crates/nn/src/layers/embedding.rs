//! A vector for each word.

use super::interpolation::positive;
use crate::config::Config;
use crate::initializer::Initializer;
use crate::layer::{Builder, Context, Layer};
use crate::regularizer::Regularizer;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Result, Shape};

/// Words, as whole numbers, become the rows of a learnt table: the first layer of a convolutional network for text.
///
/// Keras's `mask_zero` only tells later layers which words were 0. Of the layers here only a mean over time would have to know; a
/// file in which such a mean comes after a mask is refused.
///
/// # Shapes
/// (n, …) → (n, …, output_dim). Weight: `embeddings` (input_dim, output_dim). The input has no gradient.
///
/// # Parameters
/// input_dim, the number of words; output_dim, the size of their vectors. The table starts uniform in ±0.05.
///
/// # Errors
/// A size of 0; when it runs, a number that is not in 0..input_dim.
///
/// Source: <https://keras.io/api/layers/core_layers/embedding/>.
#[derive(Debug, Clone)]
pub struct Embedding {
    input_dim: usize,
    output_dim: usize,
    embeddings_initializer: Initializer,
    embeddings_regularizer: Option<Regularizer>,
    mask_zero: bool,
}

impl Embedding {
    /// Vectors of `output_dim` numbers for `input_dim` words.
    pub fn new(input_dim: usize, output_dim: usize) -> Self {
        Embedding {
            input_dim,
            output_dim,
            embeddings_initializer: Initializer::RandomUniform { low: -0.05, high: 0.05 },
            embeddings_regularizer: None,
            mask_zero: false,
        }
    }

    /// How the table starts. Default uniform in ±0.05.
    pub fn embeddings_initializer(self, initializer: Initializer) -> Self {
        Embedding { embeddings_initializer: initializer, ..self }
    }

    /// A penalty on the table. Default none.
    pub fn embeddings_regularizer(self, regularizer: Regularizer) -> Self {
        Embedding { embeddings_regularizer: Some(regularizer), ..self }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        let plain = Embedding::new(config.usize("input_dim", None)?, config.usize("output_dim", None)?);
        Ok(Arc::new(Embedding {
            embeddings_initializer: config.initializer("embeddings_initializer", plain.embeddings_initializer)?,
            embeddings_regularizer: config.regularizer("embeddings_regularizer")?,
            mask_zero: config.bool("mask_zero", Some(false))?,
            ..plain
        }))
    }
}

impl Layer for Embedding {
    fn class_name(&self) -> &'static str {
        "Embedding"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([
            ("input_dim".into(), json!(self.input_dim)),
            ("output_dim".into(), json!(self.output_dim)),
            ("embeddings_initializer".into(), self.embeddings_initializer.to_json()),
            ("embeddings_regularizer".into(), self.embeddings_regularizer.map_or(Value::Null, Regularizer::to_json)),
            ("mask_zero".into(), json!(self.mask_zero)),
        ])
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        positive("Embedding", "input_dim", self.input_dim)?;
        positive("Embedding", "output_dim", self.output_dim)?;
        let table = Shape::new(&[self.input_dim, self.output_dim])?;
        builder.weight("embeddings", table, self.embeddings_initializer).regularizer(self.embeddings_regularizer);
        let mut sizes = input.to_vec();
        sizes.push(self.output_dim);
        Shape::new(&sizes)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        ctx.weight("embeddings")?.take_rows(x.value())
    }

    fn is_per_sample(&self) -> bool {
        true
    }
}
