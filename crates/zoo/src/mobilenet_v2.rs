//! MobileNetV2: Sandler et al. 2018, <https://arxiv.org/abs/1801.04381>.

use crate::options::ZooOptions;
use crate::parts::{HeadNames, head, relu6};
use striate_nn::layers::*;
use striate_nn::{Call, Symbol};
use striate_tensor::{Padding, Result};

/// Filters and stride of each block; all but the first expand their channels six times.
const BLOCKS: [(usize, usize); 17] = [
    (16, 1),
    (24, 2),
    (24, 1),
    (32, 2),
    (32, 1),
    (32, 1),
    (64, 2),
    (64, 1),
    (64, 1),
    (64, 1),
    (96, 1),
    (96, 1),
    (96, 1),
    (160, 2),
    (160, 1),
    (160, 1),
    (320, 1),
];

fn normalized(name: &str, x: &Symbol) -> Result<Symbol> {
    BatchNormalization::new().epsilon(1e-3).momentum(0.999).named(name).call(x)
}

pub(crate) fn build(input: &Symbol, options: &ZooOptions) -> Result<Symbol> {
    let conv = Conv2D::new(32, 3).strides(2).padding(Padding::Same).use_bias(false);
    let mut x = conv.named("Conv1").call(input)?;
    x = relu6("Conv1_relu", &normalized("bn_Conv1", &x)?)?;
    for (id, &(filters, stride)) in BLOCKS.iter().enumerate() {
        x = block(x, id, filters, stride)?;
    }
    x = Conv2D::new(1280, 1).use_bias(false).named("Conv_1").call(&x)?;
    x = relu6("out_relu", &normalized("Conv_1_bn", &x)?)?;
    head(x, options, HeadNames::default())
}

fn block(input: Symbol, id: usize, filters: usize, stride: usize) -> Result<Symbol> {
    let channels = input.shape().channels();
    let prefix = if id == 0 { "expanded_conv_".to_string() } else { format!("block_{id}_") };
    let name = |part: &str| format!("{prefix}{part}");
    let mut x = input.clone();
    if id != 0 {
        let expand = Conv2D::new(6 * channels, 1).padding(Padding::Same).use_bias(false);
        x = expand.named(name("expand")).call(&x)?;
        x = relu6(&name("expand_relu"), &normalized(&name("expand_BN"), &x)?)?;
    }
    if stride == 2 {
        // As TensorFlow pads for a stride of 2: nothing before an axis of even size.
        let side = |size: usize| (size % 2, 1);
        x = ZeroPadding2D::sides([side(x.shape()[0]), side(x.shape()[1])]).named(name("pad")).call(&x)?;
    }
    let padding = if stride == 1 { Padding::Same } else { Padding::Valid };
    let depthwise = DepthwiseConv2D::new(3).strides(stride).padding(padding).use_bias(false);
    x = depthwise.named(name("depthwise")).call(&x)?;
    x = relu6(&name("depthwise_relu"), &normalized(&name("depthwise_BN"), &x)?)?;
    let project = Conv2D::new(filters, 1).padding(Padding::Same).use_bias(false);
    x = normalized(&name("project_BN"), &project.named(name("project")).call(&x)?)?;
    if channels == filters && stride == 1 { Add.named(name("add")).call([&input, &x]) } else { Ok(x) }
}
