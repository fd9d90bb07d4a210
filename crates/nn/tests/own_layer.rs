//! A layer of one's own, as a researcher would write it, goes through everything that the others do.

use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_nn::layers::*;
use striate_nn::{BuildOptions, Builder, Config, Context, Layer, Model, Registry, Sequential};
use striate_tensor::Activation::{Relu, Sigmoid};
use striate_tensor::{Error, Result, Shape};
use striate_testkit::layer_contract::LayerContract;
use striate_testkit::reference;

/// Weighs the channels by what the whole map says (Hu et al. 2017, <https://arxiv.org/abs/1709.01507>).
#[derive(Debug)]
struct SqueezeExcite {
    ratio: usize,
}

impl SqueezeExcite {
    fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        Ok(Arc::new(SqueezeExcite { ratio: config.usize("ratio", Some(4))? }))
    }

    fn squeeze(&self, channels: usize) -> Dense {
        Dense::new(channels / self.ratio.max(1)).activation(Relu)
    }

    fn excite(&self, channels: usize) -> Dense {
        Dense::new(channels).activation(Sigmoid)
    }
}

impl Layer for SqueezeExcite {
    fn class_name(&self) -> &'static str {
        "SqueezeExcite"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("ratio".into(), json!(self.ratio))])
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        if input.rank() < 2 {
            return Err(Error::shape("SqueezeExcite", "the input must have spatial axes", input.to_string(), ""));
        }
        let channels = input.channels();
        let squeezed = builder.sublayer("squeeze", &self.squeeze(channels), &Shape::from([channels]))?;
        builder.sublayer("excite", &self.excite(channels), &squeezed)?;
        Ok(*input)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        let channels = x.shape().channels();
        let squeezed = ctx.sublayer("squeeze", &self.squeeze(channels), &x.mean_spatial(false)?)?;
        let weights = ctx.sublayer("excite", &self.excite(channels), &squeezed)?;
        let mut shape = vec![1; x.shape().rank()];
        (shape[0], shape[x.shape().rank() - 1]) = (x.shape()[0], channels);
        x * &weights.reshape(Shape::new(&shape)?)?
    }
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.register("SqueezeExcite", SqueezeExcite::from_config);
    registry
}

#[test]
fn it_keeps_the_contract() {
    LayerContract::of(SqueezeExcite { ratio: 2 })
        .input([2, 3, 4])
        .output([2, 3, 4])
        .weights(&[
            ("squeeze/kernel", &[4, 2]),
            ("squeeze/bias", &[2]),
            ("excite/kernel", &[2, 4]),
            ("excite/bias", &[4]),
        ])
        .refuses([4])
        .registry(registry())
        .check();
}

#[test]
fn its_inner_layers_have_paths() {
    let device = reference::device();
    let model = Sequential::new([4, 4, 1])
        .add(Conv2D::new(4, 3))
        .add(SqueezeExcite { ratio: 2 })
        .add(Flatten)
        .build_on(&BuildOptions::on(&device))
        .unwrap();
    assert!(model.weight("squeeze_excite/squeeze/kernel").is_some());
    assert_eq!(model.summary().rows[1].parameters, 4 * 2 + 2 + 2 * 4 + 4);
    let json = model.graph().to_json();
    let unknown = Registry::default().graph_from_json(&json).unwrap_err().to_string();
    assert!(unknown.contains("unknown: SqueezeExcite"), "{unknown}");
    let read = Model::from_graph(registry().graph_from_json(&json).unwrap(), &BuildOptions::on(&device)).unwrap();
    assert_eq!(read.graph().to_json(), json);
}

#[test]
fn an_error_inside_names_the_inner_layer() {
    let error = Sequential::new([4, 4, 2]).add(SqueezeExcite { ratio: 3 }).graph().unwrap_err();
    assert_eq!(error.to_string(), "squeeze_excite/squeeze: Dense: units must be at least 1; received 0");
}

#[test]
fn a_class_can_be_replaced() {
    let mut registry = Registry::default();
    registry.register("Flatten", |_| Ok(Arc::new(Reshape::new([2, -1]))));
    let json = Sequential::new([4]).add(Flatten).graph().unwrap().to_json();
    assert_eq!(registry.graph_from_json(&json).unwrap().output_shapes(), [Shape::from([2, 2])]);
}
