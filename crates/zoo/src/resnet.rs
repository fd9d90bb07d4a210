//! ResNet: He et al. 2015, <https://arxiv.org/abs/1512.03385>; version 2: He et al. 2016, <https://arxiv.org/abs/1603.05027>.

use crate::options::ZooOptions;
use crate::parts::{HeadNames, head, relu};
use striate_nn::layers::*;
use striate_nn::{Call, Symbol};
use striate_tensor::{Padding, Result};

const NAMES: HeadNames = HeadNames { average: Some("avg_pool"), max: Some("max_pool") };
const FILTERS: [usize; 4] = [64, 128, 256, 512];

fn normalized(name: &str, x: &Symbol) -> Result<Symbol> {
    BatchNormalization::new().epsilon(1.001e-5).named(name).call(x)
}

fn rectified(name: &str, x: &Symbol) -> Result<Symbol> {
    relu(&format!("{name}_relu"), &normalized(&format!("{name}_bn"), x)?)
}

fn stem(input: &Symbol, use_bias: bool) -> Result<Symbol> {
    let x = ZeroPadding2D::new(3).named("conv1_pad").call(input)?;
    Conv2D::new(64, 7).strides(2).use_bias(use_bias).named("conv1_conv").call(&x)
}

fn pool(x: &Symbol) -> Result<Symbol> {
    let x = ZeroPadding2D::new(1).named("pool1_pad").call(x)?;
    MaxPooling2D::new(3).strides(2).named("pool1_pool").call(&x)
}

/// The network with so many blocks in each of its four stacks.
pub(crate) fn build(input: &Symbol, counts: [usize; 4], options: &ZooOptions) -> Result<Symbol> {
    let mut x = pool(&rectified("conv1", &stem(input, true)?)?)?;
    for (stack, (&count, filters)) in counts.iter().zip(FILTERS).enumerate() {
        for i in 1..=count {
            let stride = if i == 1 && stack > 0 { 2 } else { 1 };
            x = block(x, &format!("conv{}_block{i}", stack + 2), filters, stride, i == 1)?;
        }
    }
    head(x, options, NAMES)
}

fn block(input: Symbol, name: &str, filters: usize, stride: usize, is_first: bool) -> Result<Symbol> {
    let part = |part: &str| format!("{name}_{part}");
    let shortcut = if is_first {
        let conv = Conv2D::new(4 * filters, 1).strides(stride).named(part("0_conv")).call(&input)?;
        normalized(&part("0_bn"), &conv)?
    } else {
        input.clone()
    };
    let x = Conv2D::new(filters, 1).strides(stride).named(part("1_conv")).call(&input)?;
    let x = rectified(&part("1"), &x)?;
    let x = Conv2D::new(filters, 3).padding(Padding::Same).named(part("2_conv")).call(&x)?;
    let x = rectified(&part("2"), &x)?;
    let x = Conv2D::new(4 * filters, 1).named(part("3_conv")).call(&x)?;
    let x = normalized(&part("3_bn"), &x)?;
    relu(&part("out"), &Add.named(part("add")).call([&shortcut, &x])?)
}

/// Version 2, which normalizes before it convolves.
pub(crate) fn build_v2(input: &Symbol, counts: [usize; 4], options: &ZooOptions) -> Result<Symbol> {
    let mut x = pool(&stem(input, true)?)?;
    for (stack, (&count, filters)) in counts.iter().zip(FILTERS).enumerate() {
        for i in 1..=count {
            let stride = if i == count && stack < 3 { 2 } else { 1 };
            x = block_v2(x, &format!("conv{}_block{i}", stack + 2), filters, stride, i == 1)?;
        }
    }
    head(rectified("post", &x)?, options, NAMES)
}

fn block_v2(input: Symbol, name: &str, filters: usize, stride: usize, is_first: bool) -> Result<Symbol> {
    let part = |part: &str| format!("{name}_{part}");
    let before = rectified(&part("preact"), &input)?;
    let shortcut = if is_first {
        Conv2D::new(4 * filters, 1).strides(stride).named(part("0_conv")).call(&before)?
    } else if stride > 1 {
        MaxPooling2D::new(1).strides(stride).call(&input)?
    } else {
        input.clone()
    };
    let x = Conv2D::new(filters, 1).use_bias(false).named(part("1_conv")).call(&before)?;
    let x = rectified(&part("1"), &x)?;
    let x = ZeroPadding2D::new(1).named(part("2_pad")).call(&x)?;
    let x = Conv2D::new(filters, 3).strides(stride).use_bias(false).named(part("2_conv")).call(&x)?;
    let x = rectified(&part("2"), &x)?;
    let x = Conv2D::new(4 * filters, 1).named(part("3_conv")).call(&x)?;
    Add.named(part("out")).call([&shortcut, &x])
}
