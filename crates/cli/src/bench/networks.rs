//! The networks that are measured: the lecture's, and VGG16, with random weights.

use striate::prelude::*;

/// VGG16's convolutions: 14,714,688 parameters. `until` names the last layer that is wanted; empty for all.
pub fn vgg16_base(side: usize, until: &str) -> Sequential {
    let mut network = Sequential::new([side, side, 3]).named("vgg16");
    for (block, (layers, filters)) in [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)].into_iter().enumerate() {
        for layer in 1..=layers {
            let name = format!("block{}_conv{layer}", block + 1);
            let conv = Conv2D::new(filters, 3).padding(Same).activation(Relu).kernel_initializer(Initializer::HeNormal);
            network = network.add(conv.named(name.clone()));
            if name == until {
                return network;
            }
        }
        network = network.add(MaxPooling2D::new(2).named(format!("block{}_pool", block + 1)));
    }
    network
}

/// VGG16 with its three dense layers: 138,357,544 parameters.
pub fn vgg16_top() -> Sequential {
    vgg16_base(224, "")
        .add(Flatten)
        .add(Dense::new(4096).activation(Relu).named("fc1"))
        .add(Dense::new(4096).activation(Relu).named("fc2"))
        .add(Dense::new(1000).activation(Softmax).named("predictions"))
}

/// The lecture's transfer network: the base, then 256 units and one probability.
pub fn transfer(base: Model) -> Sequential {
    Sequential::new([150, 150, 3])
        .add(base)
        .add(Flatten)
        .add(Dense::new(256).activation(Relu))
        .add(Dense::new(1).activation(Sigmoid))
}
