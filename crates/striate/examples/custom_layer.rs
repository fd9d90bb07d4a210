//! A layer of your own is one file: options, weights, forward pass. Summary, saving and freezing come with it.
//!
//! `cargo run --release --example custom_layer`

use std::sync::Arc;
use striate::prelude::*;

/// Weighs each channel by what the whole picture looks like.
/// Hu et al. 2017, "Squeeze-and-Excitation Networks", <https://arxiv.org/abs/1709.01507>.
///
/// # Shapes
/// (n, height, width, channels) → the same.
#[derive(Debug, Clone)]
struct SqueezeExcite {
    ratio: usize,
}

impl SqueezeExcite {
    fn squeeze(&self, channels: usize) -> Dense {
        Dense::new((channels / self.ratio).max(1)).activation(Relu)
    }

    fn excite(&self, channels: usize) -> Dense {
        Dense::new(channels).activation(Sigmoid)
    }

    fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        Ok(Arc::new(SqueezeExcite { ratio: config.usize("ratio", Some(16))? }))
    }
}

impl Layer for SqueezeExcite {
    fn class_name(&self) -> &'static str {
        "SqueezeExcite"
    }

    fn config(&self) -> serde_json::Map<String, serde_json::Value> {
        serde_json::Map::from_iter([("ratio".to_string(), self.ratio.into())])
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        let channels = input.channels();
        let squeezed = builder.sublayer("squeeze", &self.squeeze(channels), &Shape::from([channels]))?;
        builder.sublayer("excite", &self.excite(channels), &squeezed)?;
        Ok(*input)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        let channels = x.shape().channels();
        let s = ctx.sublayer("squeeze", &self.squeeze(channels), &x.mean_spatial(false)?)?;
        let s = ctx.sublayer("excite", &self.excite(channels), &s)?;
        x * &s.reshape([x.shape()[0], 1, 1, channels])?
    }
}

fn main() -> Result<()> {
    let mut model = Sequential::new([28, 28, 1])
        .add(Conv2D::new(16, 3).activation(Relu))
        .add(SqueezeExcite { ratio: 4 })
        .add(MaxPooling2D::new(4))
        .add(Flatten)
        .add(Dense::new(10).activation(Softmax))
        .build()?;
    println!("{}", model.summary());

    let mnist = Mnist::load()?;
    let mut training = model.compile(Adam::default(), CategoricalCrossentropy, [Accuracy])?;
    training.fit(&mnist.train.take(6400), Fit { epochs: 2, batch_size: 64, ..Fit::default() })?;
    let before = training.evaluate(&mnist.test.take(1000))?;
    println!("{before}");

    // Saved by its config; read back by the constructor that is registered for its class.
    let path = std::env::temp_dir().join("squeeze_excite.safetensors");
    model.save(&path)?;
    let mut registry = Registry::default();
    registry.register("SqueezeExcite", SqueezeExcite::from_config);
    let mut back = striate::formats::load(&path, &registry, &device()?)?.model;
    let after = back.compile(Adam::default(), CategoricalCrossentropy, [Accuracy])?.evaluate(&mnist.test.take(1000))?;
    assert_eq!(before.values, after.values);
    println!("read back: the same");
    Ok(())
}
