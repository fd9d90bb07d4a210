//! VGG16 and VGG19: Simonyan and Zisserman 2014, <https://arxiv.org/abs/1409.1556>.

use crate::options::ZooOptions;
use crate::parts::{HeadNames, pooling};
use striate_nn::layers::*;
use striate_nn::{Call, Symbol};
use striate_tensor::Activation::Relu;
use striate_tensor::{Padding, Result};

/// The network with so many convolutions in each of its blocks.
pub(crate) fn build(input: &Symbol, counts: &[usize], options: &ZooOptions) -> Result<Symbol> {
    let mut x = input.clone();
    for (block, (&count, filters)) in counts.iter().zip([64, 128, 256, 512, 512]).enumerate() {
        for conv in 1..=count {
            let layer = Conv2D::new(filters, 3).padding(Padding::Same).activation(Relu);
            x = layer.named(format!("block{}_conv{conv}", block + 1)).call(&x)?;
        }
        x = MaxPooling2D::new(2).named(format!("block{}_pool", block + 1)).call(&x)?;
    }
    if !options.include_top {
        return pooling(x, options, HeadNames::default());
    }
    x = Flatten.named("flatten").call(&x)?;
    x = Dense::new(4096).activation(Relu).named("fc1").call(&x)?;
    x = Dense::new(4096).activation(Relu).named("fc2").call(&x)?;
    Dense::new(options.classes).activation(options.classifier_activation).named("predictions").call(&x)
}
