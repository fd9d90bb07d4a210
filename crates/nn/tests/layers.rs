//! Every layer goes through the same contract, in one line for each way it can be set.

use std::collections::BTreeSet;
use striate_nn::Registry;
use striate_nn::layers::*;
use striate_tensor::Activation::{LeakyRelu, Relu, Sigmoid, Tanh};
use striate_tensor::{PadMode, Padding};
use striate_testkit::layer_contract::LayerContract;

const CONV: &[&str] = &["filters", "kernel_size"];

#[test]
fn activation() {
    LayerContract::of(ActivationLayer::new(Relu)).input([3, 2]).output([3, 2]).check();
    LayerContract::of(ActivationLayer::new(LeakyRelu(0.35))).input([5]).output([5]).check();
    LayerContract::of(ActivationLayer::new(Softmax)).input([2, 3]).output([2, 3]).check();
}

#[test]
fn softmax() {
    LayerContract::of(Softmax).input([5]).output([5]).check();
    LayerContract::of(Softmax).input([2, 2, 3]).output([2, 2, 3]).check();
}

#[test]
fn merges() {
    LayerContract::of(Add).input([2, 3]).input([2, 3]).input([2, 3]).output([2, 3]).refuses([2, 2]).check();
    LayerContract::of(Average).input([2, 3]).input([2, 3]).input([2, 3]).output([2, 3]).refuses([2, 2]).check();
    LayerContract::of(Maximum).input([2, 3]).input([2, 3]).output([2, 3]).refuses([2, 2]).check();
    LayerContract::of(Minimum).input([2, 3]).input([2, 3]).output([2, 3]).refuses([2, 2]).check();
    LayerContract::of(Multiply).input([2, 3]).input([1, 3]).output([2, 3]).refuses([2, 2]).check();
    LayerContract::of(Subtract).input([2, 3]).input([2, 3]).output([2, 3]).refuses([2, 2]).check();
}

#[test]
fn concatenate() {
    LayerContract::of(Concatenate::default()).input([2, 3]).input([2, 1]).output([2, 4]).refuses([3]).check();
    LayerContract::of(Concatenate::new(1)).input([2, 3]).input([4, 3]).output([6, 3]).refuses([2]).check();
}

#[test]
fn convolutions() {
    let weights: &[(&str, &[usize])] = &[("kernel", &[3, 2, 4]), ("bias", &[4])];
    LayerContract::of(Conv1D::new(4, 3).strides(2).padding(Padding::Same).activation(Tanh))
        .input([7, 2])
        .output([4, 4])
        .weights(weights)
        .required(CONV)
        .refuses([7])
        .check();
    LayerContract::of(Conv1D::new(4, 3).padding(Padding::Causal).dilation_rate(2).drop_connect(0.4))
        .input([6, 2])
        .output([6, 4])
        .weights(weights)
        .required(CONV)
        .refuses([6, 2, 1])
        .random_in_training()
        .check();
    LayerContract::of(Conv2D::new(3, 3).activation(Relu))
        .input([5, 4, 2])
        .output([3, 2, 3])
        .weights(&[("kernel", &[3, 3, 2, 3]), ("bias", &[3])])
        .required(CONV)
        .refuses([5, 4])
        .check();
    LayerContract::of(Conv2D::new(4, [2, 3]).groups(2).strides([2, 1]).use_bias(false).activation(LeakyRelu(0.3)))
        .input([4, 5, 4])
        .output([2, 3, 4])
        .weights(&[("kernel", &[2, 3, 2, 4])])
        .required(CONV)
        .refuses([4, 5, 4, 1])
        .check();
    for fill in [PadMode::Constant(1.0), PadMode::Replicate, PadMode::Reflect] {
        LayerContract::of(Conv2D::new(2, 3).padding(Padding::Same).fill(fill).activation(Softmax))
            .input([4, 3, 1])
            .output([4, 3, 2])
            .weights(&[("kernel", &[3, 3, 1, 2]), ("bias", &[2])])
            .required(CONV)
            .refuses([12])
            .check();
    }
    LayerContract::of(Conv3D::new(2, 2).strides([1, 2, 1]))
        .input([3, 4, 3, 1])
        .output([2, 2, 2, 2])
        .weights(&[("kernel", &[2, 2, 2, 1, 2]), ("bias", &[2])])
        .required(CONV)
        .refuses([3, 4, 3])
        .check();
}

#[test]
fn dense() {
    let weights: &[(&str, &[usize])] = &[("kernel", &[3, 4]), ("bias", &[4])];
    LayerContract::of(Dense::new(4).activation(Sigmoid))
        .input([3])
        .output([4])
        .weights(weights)
        .required(&["units"])
        .refuses([0])
        .check();
    LayerContract::of(Dense::new(4).activation(Softmax).drop_connect(0.5))
        .input([2, 3])
        .output([2, 4])
        .weights(weights)
        .required(&["units"])
        .refuses([2, 0])
        .random_in_training()
        .check();
    LayerContract::of(Dense::new(4).use_bias(false))
        .input([3])
        .output([4])
        .weights(&weights[..1])
        .required(&["units"])
        .check();
}

#[test]
fn dropout() {
    LayerContract::of(Dropout::new(0.4)).input([4, 3]).output([4, 3]).required(&["rate"]).random_in_training().check();
}

#[test]
fn changes_of_layout() {
    LayerContract::of(Flatten).input([2, 3, 2]).output([12]).check();
    LayerContract::of(Reshape::new([4, -1]))
        .input([2, 3, 2])
        .output([4, 3])
        .required(&["target_shape"])
        .refuses([3])
        .check();
}

#[test]
fn poolings() {
    LayerContract::of(MaxPooling1D::new(2)).input([5, 2]).output([2, 2]).refuses([5]).check();
    LayerContract::of(MaxPooling2D::new(2)).input([4, 5, 2]).output([2, 2, 2]).refuses([4, 5]).check();
    LayerContract::of(MaxPooling2D::new(3).strides(2).padding(Padding::Same))
        .input([4, 5, 2])
        .output([2, 3, 2])
        .refuses([20])
        .check();
    LayerContract::of(MaxPooling3D::new([1, 2, 2])).input([2, 4, 3, 1]).output([2, 2, 1, 1]).refuses([2, 4, 3]).check();
    LayerContract::of(AveragePooling1D::new(3).strides(1)).input([5, 2]).output([3, 2]).refuses([5, 2, 1]).check();
    LayerContract::of(AveragePooling2D::new(2).strides([1, 2]).padding(Padding::Same))
        .input([3, 3, 2])
        .output([3, 2, 2])
        .refuses([3, 3])
        .check();
    LayerContract::of(AveragePooling3D::new(2)).input([2, 4, 3, 1]).output([1, 2, 1, 1]).refuses([2, 4, 3]).check();
}

#[test]
fn global_poolings() {
    LayerContract::of(GlobalMaxPooling1D::new()).input([4, 3]).output([3]).refuses([4]).check();
    LayerContract::of(GlobalMaxPooling2D::new().keepdims(true)).input([2, 3, 3]).output([1, 1, 3]).refuses([9]).check();
    LayerContract::of(GlobalMaxPooling3D::new()).input([2, 2, 2, 3]).output([3]).refuses([2, 2, 2]).check();
    LayerContract::of(GlobalAveragePooling1D::new()).input([4, 3]).output([3]).refuses([4, 3, 1]).check();
    LayerContract::of(GlobalAveragePooling2D::new()).input([2, 3, 3]).output([3]).refuses([2, 3]).check();
    LayerContract::of(GlobalAveragePooling3D::new().keepdims(true))
        .input([2, 2, 2, 3])
        .output([1, 1, 1, 3])
        .refuses([2, 2, 3])
        .check();
}

#[test]
fn rescaling() {
    LayerContract::of(Rescaling::new(0.25).offset(-1.0)).input([2, 3]).output([2, 3]).required(&["scale"]).check();
}

#[test]
fn paddings() {
    LayerContract::of(ZeroPadding1D::sides([(1, 2)])).input([3, 2]).output([6, 2]).refuses([3]).check();
    LayerContract::of(ZeroPadding2D::sides([(0, 1), (2, 0)])).input([2, 3, 2]).output([3, 5, 2]).refuses([6]).check();
    for mode in [PadMode::Constant(0.75), PadMode::Replicate, PadMode::Reflect] {
        LayerContract::of(ZeroPadding2D::new(1).mode(mode)).input([2, 3, 1]).output([4, 5, 1]).refuses([2, 3]).check();
    }
    LayerContract::of(ZeroPadding3D::new(1)).input([1, 2, 1, 2]).output([3, 4, 3, 2]).refuses([1, 2, 2]).check();
}
