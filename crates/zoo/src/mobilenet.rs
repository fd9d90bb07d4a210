//! MobileNet: Howard et al. 2017, <https://arxiv.org/abs/1704.04861>.

use crate::options::ZooOptions;
use crate::parts::{HeadNames, pooling, relu6};
use striate_formats::Renaming;
use striate_nn::layers::*;
use striate_nn::{Call, Symbol};
use striate_tensor::{Padding, Result};

/// Filters and stride of each block.
const BLOCKS: [(usize, usize); 13] = [
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
];

pub(crate) fn build(input: &Symbol, options: &ZooOptions) -> Result<Symbol> {
    let conv = Conv2D::new(32, 3).padding(Padding::Same).use_bias(false).strides(2);
    let mut x = conv.named("conv1").call(input)?;
    x = BatchNormalization::new().named("conv1_bn").call(&x)?;
    x = relu6("conv1_relu", &x)?;
    for (i, &(filters, stride)) in BLOCKS.iter().enumerate() {
        let id = i + 1;
        let padding = if stride == 1 { Padding::Same } else { Padding::Valid };
        if stride == 2 {
            x = ZeroPadding2D::sides([(0, 1), (0, 1)]).named(format!("conv_pad_{id}")).call(&x)?;
        }
        let depthwise = DepthwiseConv2D::new(3).padding(padding).strides(stride).use_bias(false);
        x = depthwise.named(format!("conv_dw_{id}")).call(&x)?;
        x = BatchNormalization::new().named(format!("conv_dw_{id}_bn")).call(&x)?;
        x = relu6(&format!("conv_dw_{id}_relu"), &x)?;
        let pointwise = Conv2D::new(filters, 1).padding(Padding::Same).use_bias(false);
        x = pointwise.named(format!("conv_pw_{id}")).call(&x)?;
        x = BatchNormalization::new().named(format!("conv_pw_{id}_bn")).call(&x)?;
        x = relu6(&format!("conv_pw_{id}_relu"), &x)?;
    }
    if !options.include_top {
        return pooling(x, options, HeadNames::default());
    }
    x = GlobalAveragePooling2D::new().keepdims(true).call(&x)?;
    x = Dropout::new(1e-3).named("dropout").call(&x)?;
    x = Conv2D::new(options.classes, 1).padding(Padding::Same).named("conv_preds").call(&x)?;
    x = Reshape::new([options.classes as i64]).named("reshape_2").call(&x)?;
    ActivationLayer::new(options.classifier_activation).named("predictions").call(&x)
}

pub(crate) fn tensorflow_names() -> Renaming {
    Renaming::new()
        .rule("MobilenetV1/Conv2d_0/weights", "conv1/kernel")
        .rule("MobilenetV1/Conv2d_0/BatchNorm/*", "conv1_bn/*")
        .rule("MobilenetV1/Conv2d_*_depthwise/depthwise_weights", "conv_dw_*/kernel")
        .rule("MobilenetV1/Conv2d_*_depthwise/BatchNorm/*", "conv_dw_*_bn/*")
        .rule("MobilenetV1/Conv2d_*_pointwise/weights", "conv_pw_*/kernel")
        .rule("MobilenetV1/Conv2d_*_pointwise/BatchNorm/*", "conv_pw_*_bn/*")
        .rule("MobilenetV1/Logits/Conv2d_1c_1x1/weights", "conv_preds/kernel")
        .rule("MobilenetV1/Logits/Conv2d_1c_1x1/biases", "conv_preds/bias")
}
