//! What several networks have in common.

use crate::options::{FeaturePooling, ZooOptions};
use striate_nn::layers::*;
use striate_nn::{Call, Symbol};
use striate_tensor::Activation::Relu;
use striate_tensor::Result;

/// The input of a network.
pub(crate) fn input(options: &ZooOptions, size: usize) -> Result<Symbol> {
    Symbol::input(options.input_shape.unwrap_or([size, size, 3]))
}

/// A rectifier under a name.
pub(crate) fn relu(name: &str, x: &Symbol) -> Result<Symbol> {
    ActivationLayer::new(Relu).named(name).call(x)
}

/// A rectifier that ends at 6, under a name.
pub(crate) fn relu6(name: &str, x: &Symbol) -> Result<Symbol> {
    ReLU::new().max_value(6.0).named(name).call(x)
}

/// Global pooling and a dense classifier, or what the options want instead of them.
pub(crate) fn head(x: Symbol, options: &ZooOptions, names: HeadNames) -> Result<Symbol> {
    if options.include_top {
        let pooled = average(names.average, &x)?;
        let classifier = Dense::new(options.classes).activation(options.classifier_activation);
        return classifier.named("predictions").call(&pooled);
    }
    pooling(x, options, names)
}

/// The names of the pooling layers; `None` is Keras's default name.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HeadNames {
    pub(crate) average: Option<&'static str>,
    pub(crate) max: Option<&'static str>,
}

/// The pooling that the options want of a network without its top.
pub(crate) fn pooling(x: Symbol, options: &ZooOptions, names: HeadNames) -> Result<Symbol> {
    match options.pooling {
        None => Ok(x),
        Some(FeaturePooling::Average) => average(names.average, &x),
        Some(FeaturePooling::Max) => match names.max {
            Some(name) => GlobalMaxPooling2D::new().named(name).call(&x),
            None => GlobalMaxPooling2D::new().call(&x),
        },
    }
}

fn average(name: Option<&'static str>, x: &Symbol) -> Result<Symbol> {
    match name {
        Some(name) => GlobalAveragePooling2D::new().named(name).call(x),
        None => GlobalAveragePooling2D::new().call(x),
    }
}
