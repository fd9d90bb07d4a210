//! InceptionV3: Szegedy et al. 2015, <https://arxiv.org/abs/1512.00567>. Most layers have Keras's default names.

use crate::options::ZooOptions;
use crate::parts::{HeadNames, head, pooling};
use striate_nn::layers::*;
use striate_nn::{Call, Symbol};
use striate_tensor::Activation::Relu;
use striate_tensor::{Padding, Result};

/// A convolution, normalized without a scale and rectified.
fn conv(x: &Symbol, filters: usize, size: [usize; 2], padding: Padding, stride: usize) -> Result<Symbol> {
    let x = Conv2D::new(filters, size).strides(stride).padding(padding).use_bias(false).call(x)?;
    let x = BatchNormalization::new().scale(false).call(&x)?;
    ActivationLayer::new(Relu).call(&x)
}

/// The same within the maps.
fn same(x: &Symbol, filters: usize, rows: usize, columns: usize) -> Result<Symbol> {
    conv(x, filters, [rows, columns], Padding::Same, 1)
}

/// One after another, each of (filters, rows, columns).
fn chain(x: &Symbol, convs: &[(usize, usize, usize)]) -> Result<Symbol> {
    convs.iter().try_fold(x.clone(), |x, &(filters, rows, columns)| same(&x, filters, rows, columns))
}

/// The same ending in a convolution of 3×3 with stride 2.
fn reduced(x: &Symbol, convs: &[(usize, usize, usize)], filters: usize) -> Result<Symbol> {
    conv(&chain(x, convs)?, filters, [3, 3], Padding::Valid, 2)
}

fn averaged(x: &Symbol, filters: usize) -> Result<Symbol> {
    let x = AveragePooling2D::new(3).strides(1).padding(Padding::Same).call(x)?;
    same(&x, filters, 1, 1)
}

fn joined(name: &str, branches: [&Symbol; 4]) -> Result<Symbol> {
    Concatenate::default().named(name).call(branches)
}

pub(crate) fn build(input: &Symbol, options: &ZooOptions) -> Result<Symbol> {
    let mut x = conv(input, 32, [3, 3], Padding::Valid, 2)?;
    x = conv(&x, 32, [3, 3], Padding::Valid, 1)?;
    x = same(&x, 64, 3, 3)?;
    x = MaxPooling2D::new(3).strides(2).call(&x)?;
    x = conv(&x, 80, [1, 1], Padding::Valid, 1)?;
    x = conv(&x, 192, [3, 3], Padding::Valid, 1)?;
    x = MaxPooling2D::new(3).strides(2).call(&x)?;
    for (i, filters) in [32, 64, 64].into_iter().enumerate() {
        let one = same(&x, 64, 1, 1)?;
        let five = chain(&x, &[(48, 1, 1), (64, 5, 5)])?;
        let double = chain(&x, &[(64, 1, 1), (96, 3, 3), (96, 3, 3)])?;
        x = joined(&format!("mixed{i}"), [&one, &five, &double, &averaged(&x, filters)?])?;
    }
    let three = reduced(&x, &[], 384)?;
    let double = reduced(&x, &[(64, 1, 1), (96, 3, 3)], 96)?;
    let pooled = MaxPooling2D::new(3).strides(2).call(&x)?;
    x = Concatenate::default().named("mixed3").call([&three, &double, &pooled])?;
    for (i, n) in [128, 160, 160, 192].into_iter().enumerate() {
        let one = same(&x, 192, 1, 1)?;
        let seven = chain(&x, &[(n, 1, 1), (n, 1, 7), (192, 7, 1)])?;
        let double = chain(&x, &[(n, 1, 1), (n, 7, 1), (n, 1, 7), (n, 7, 1), (192, 1, 7)])?;
        x = joined(&format!("mixed{}", i + 4), [&one, &seven, &double, &averaged(&x, 192)?])?;
    }
    let three = reduced(&x, &[(192, 1, 1)], 320)?;
    let seven = reduced(&x, &[(192, 1, 1), (192, 1, 7), (192, 7, 1)], 192)?;
    let pooled = MaxPooling2D::new(3).strides(2).call(&x)?;
    x = Concatenate::default().named("mixed8").call([&three, &seven, &pooled])?;
    for i in 0..2 {
        let one = same(&x, 320, 1, 1)?;
        let three = same(&x, 384, 1, 1)?;
        let (wide, high) = (same(&three, 384, 1, 3)?, same(&three, 384, 3, 1)?);
        let three = Concatenate::default().named(format!("mixed9_{i}")).call([&wide, &high])?;
        let double = chain(&x, &[(448, 1, 1), (384, 3, 3)])?;
        let (wide, high) = (same(&double, 384, 1, 3)?, same(&double, 384, 3, 1)?);
        let double = Concatenate::default().call([&wide, &high])?;
        x = joined(&format!("mixed{}", i + 9), [&one, &three, &double, &averaged(&x, 192)?])?;
    }
    if options.include_top {
        return head(x, options, HeadNames { average: Some("avg_pool"), max: None });
    }
    pooling(x, options, HeadNames::default())
}
