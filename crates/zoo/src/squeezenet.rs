//! SqueezeNet 1.1: Iandola et al. 2016, <https://arxiv.org/abs/1602.07360>; the layers' names are those of the weights that are in
//! circulation for Keras, with `_` where those have `/`.

use crate::options::ZooOptions;
use crate::parts::{HeadNames, pooling, relu};
use striate_nn::layers::*;
use striate_nn::{Call, Symbol};
use striate_tensor::{Padding, Result};

/// Filters that squeeze and that expand, of fire modules 2 to 9.
const FIRES: [(usize, usize); 8] =
    [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)];

pub(crate) fn build(input: &Symbol, options: &ZooOptions) -> Result<Symbol> {
    let mut x = Conv2D::new(64, 3).strides(2).named("conv1").call(input)?;
    x = relu("relu_conv1", &x)?;
    x = pool("pool1", &x)?;
    for (i, &(squeeze, expand)) in FIRES.iter().enumerate() {
        x = fire(&x, i + 2, squeeze, expand)?;
        if matches!(i + 2, 3 | 5) {
            x = pool(&format!("pool{}", i + 2), &x)?;
        }
    }
    if !options.include_top {
        return pooling(x, options, HeadNames::default());
    }
    x = Dropout::new(0.5).named("drop9").call(&x)?;
    x = Conv2D::new(options.classes, 1).named("conv10").call(&x)?;
    x = relu("relu_conv10", &x)?;
    x = GlobalAveragePooling2D::new().call(&x)?;
    ActivationLayer::new(options.classifier_activation).named("loss").call(&x)
}

fn pool(name: &str, x: &Symbol) -> Result<Symbol> {
    MaxPooling2D::new(3).strides(2).named(name).call(x)
}

fn fire(x: &Symbol, id: usize, squeeze: usize, expand: usize) -> Result<Symbol> {
    let name = |part: &str| format!("fire{id}_{part}");
    let x = Conv2D::new(squeeze, 1).named(name("squeeze1x1")).call(x)?;
    let x = relu(&name("relu_squeeze1x1"), &x)?;
    let left = Conv2D::new(expand, 1).named(name("expand1x1")).call(&x)?;
    let left = relu(&name("relu_expand1x1"), &left)?;
    let right = Conv2D::new(expand, 3).padding(Padding::Same).named(name("expand3x3")).call(&x)?;
    let right = relu(&name("relu_expand3x3"), &right)?;
    Concatenate::default().named(name("concat")).call([&left, &right])
}
