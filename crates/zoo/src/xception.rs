//! Xception: Chollet 2016, <https://arxiv.org/abs/1610.02357>.

use crate::options::ZooOptions;
use crate::parts::{HeadNames, head, pooling, relu};
use striate_nn::layers::*;
use striate_nn::{Call, Symbol};
use striate_tensor::{Padding, Result};

/// A separable convolution, normalized.
fn separable(name: &str, x: &Symbol, filters: usize) -> Result<Symbol> {
    let layer = SeparableConv2D::new(filters, 3).padding(Padding::Same).use_bias(false);
    let x = layer.named(name).call(x)?;
    BatchNormalization::new().named(format!("{name}_bn")).call(&x)
}

/// A block that halves the maps: two separable convolutions and a pooling beside a convolution of 1×1.
fn reducing(input: &Symbol, id: usize, filters: [usize; 2], rectifies_first: bool) -> Result<Symbol> {
    let residual = Conv2D::new(filters[1], 1).strides(2).padding(Padding::Same).use_bias(false).call(input)?;
    let residual = BatchNormalization::new().call(&residual)?;
    let mut x = input.clone();
    for (i, filters) in filters.into_iter().enumerate() {
        if i > 0 || rectifies_first {
            x = relu(&format!("block{id}_sepconv{}_act", i + 1), &x)?;
        }
        x = separable(&format!("block{id}_sepconv{}", i + 1), &x, filters)?;
    }
    x = MaxPooling2D::new(3).strides(2).padding(Padding::Same).named(format!("block{id}_pool")).call(&x)?;
    Add.call([&x, &residual])
}

pub(crate) fn build(input: &Symbol, options: &ZooOptions) -> Result<Symbol> {
    let mut x = input.clone();
    for (i, (filters, stride)) in [(32, 2), (64, 1)].into_iter().enumerate() {
        let name = format!("block1_conv{}", i + 1);
        x = Conv2D::new(filters, 3).strides(stride).use_bias(false).named(name.clone()).call(&x)?;
        x = BatchNormalization::new().named(format!("{name}_bn")).call(&x)?;
        x = relu(&format!("{name}_act"), &x)?;
    }
    x = reducing(&x, 2, [128, 128], false)?;
    x = reducing(&x, 3, [256, 256], true)?;
    x = reducing(&x, 4, [728, 728], true)?;
    for id in 5..13 {
        let residual = x.clone();
        for i in 1..=3 {
            let name = format!("block{id}_sepconv{i}");
            x = separable(&name, &relu(&format!("{name}_act"), &x)?, 728)?;
        }
        x = Add.call([&x, &residual])?;
    }
    x = reducing(&x, 13, [728, 1024], true)?;
    for (i, filters) in [1536, 2048].into_iter().enumerate() {
        let name = format!("block14_sepconv{}", i + 1);
        x = relu(&format!("{name}_act"), &separable(&name, &x, filters)?)?;
    }
    if options.include_top {
        return head(x, options, HeadNames { average: Some("avg_pool"), max: None });
    }
    pooling(x, options, HeadNames::default())
}
