//! What someone sees who builds a model that cannot be: where, which rule, what was received, what to do.

use striate_nn::layers::*;
use striate_nn::{BuildOptions, Call, Model, Sequential, Symbol};
use striate_tensor::{Error, PadMode, Padding};
use striate_testkit::reference;

#[track_caller]
fn told(sequential: Sequential, want: &str) {
    assert_eq!(sequential.graph().unwrap_err().to_string(), want);
}

#[test]
fn a_kernel_larger_than_its_input() {
    told(
        Sequential::new([4, 4, 1]).add(Conv2D::new(8, 5)),
        "conv2d: convolution: the window must not exceed the padded input; received window 5 > padded input 4 (input 4, \
         padding valid, spatial axis 0) (hint: use padding same or an input of at least 5)",
    );
    // The second convolution is named as in the finished model.
    told(
        Sequential::new([6, 4, 1]).add(Conv2D::new(8, 3)).add(Conv2D::new(8, 3)),
        "conv2d_1: convolution: the window must not exceed the padded input; received window 3 > padded input 2 (input 2, \
         padding valid, spatial axis 1) (hint: use padding same or an input of at least 3)",
    );
    told(
        Sequential::new([3, 3, 1]).add(MaxPooling2D::new(4).named("halve")),
        "halve: pooling: the window must not exceed the padded input; received window 4 > padded input 3 (input 3, padding \
         valid, spatial axis 0) (hint: use padding same or an input of at least 4)",
    );
}

#[test]
fn a_picture_without_channels() {
    told(
        Sequential::new([28, 28]).add(Conv2D::new(8, 3)),
        "conv2d: Conv2D: the input must be (n, 2 spatial axes, channels); received (None, 28, 28) (hint: images are \
         channels-last: (n, height, width, channels))",
    );
    told(
        Sequential::new([8, 8, 1]).add(Flatten).add(MaxPooling2D::new(2)),
        "max_pooling2d: MaxPooling2D: the input must be (n, 2 spatial axes, channels); received (None, 64) (hint: images \
         are channels-last: (n, height, width, channels))",
    );
}

#[test]
fn sizes_of_zero() {
    told(Sequential::new([4]).add(Dense::new(0)), "dense: Dense: units must be at least 1; received 0");
    told(
        Sequential::new([4, 4, 1]).add(Conv2D::new(0, 3)),
        "conv2d: Conv2D: filters and groups must be at least 1; received filters 0, groups 1",
    );
    told(
        Sequential::new([4, 4, 1]).add(Conv2D::new(1, 0)),
        "conv2d: convolution: window, stride and dilation must be at least 1; received window 0, stride 1, dilation 1",
    );
}

#[test]
fn options_out_of_range() {
    told(Sequential::new([4]).add(Dropout::new(1.0)), "dropout: Dropout: the rate must be in [0, 1); received 1");
    told(
        Sequential::new([4, 4, 3]).add(Conv2D::new(4, 3).groups(2)),
        "conv2d: convolution: kernel channels × groups must equal the input's channels, and filters be a multiple of \
         groups; received input (1, 4, 4, 3), kernel (3, 3, 1, 4), groups 2 (hint: images are channels-last: (n, height, \
         width, channels))",
    );
    told(
        Sequential::new([2, 2, 1]).add(ZeroPadding2D::new(2).mode(PadMode::Reflect)),
        "zero_padding2d: ZeroPadding2D: reflected padding must be smaller than the axis; received (2, 2) for 2",
    );
    told(
        Sequential::new([4, 4, 1]).add(Conv2D::new(1, 3).padding(Padding::Causal)),
        "conv2d: convolution: causal padding needs one spatial axis; received 2 spatial axes (hint: use padding valid or \
         same)",
    );
    told(
        Sequential::new([2, 3]).add(Reshape::new([4, -1])),
        "reshape: Reshape: the target must have the elements of the input, with at most one -1; received (2, 3) to [4, -1]",
    );
}

#[test]
fn names_that_cannot_be() {
    let rule = "sequential: layer names must be unique, not empty and without `/`; received ";
    let two = Sequential::new([4]).add(Dense::new(2).named("a")).add(Dense::new(2).named("a"));
    told(two, &format!("{rule}`a`"));
    told(Sequential::new([4]).add(Dense::new(2).named("a/b")), &format!("{rule}`a/b`"));
    told(Sequential::new([4]).add(Dense::new(2).named("")), &format!("{rule}``"));
    // A name of one's own is no obstacle to a default one.
    let graph = Sequential::new([4]).add(Dense::new(2)).add(Dense::new(2).named("dense_1")).add(Dense::new(2)).graph();
    let graph = graph.unwrap();
    assert_eq!(graph.layer_names().collect::<Vec<_>>(), ["input_layer", "dense", "dense_1", "dense_2"]);
}

#[test]
fn an_input_that_is_not_listed() {
    let (a, b) = (Symbol::input([3]).unwrap(), Symbol::input([3]).unwrap());
    let sum = Add.call([&a, &b]).unwrap();
    let options = BuildOptions::on(&reference::device());
    let error = Model::from_symbols("m", std::slice::from_ref(&a), std::slice::from_ref(&sum), &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "m: every input that an output depends on must be listed; received Symbol(InputLayer (3,)) left out"
    );
    assert!(matches!(error, Error::Argument(_)));
    let error = Model::from_symbols("m", &[a, b], &[], &options).unwrap_err();
    assert_eq!(error.to_string(), "m: a model needs inputs and outputs; received 2 inputs, 0 outputs");
}

#[test]
fn merges_of_what_does_not_fit() {
    let (a, b) = (Symbol::input([3]).unwrap(), Symbol::input([4]).unwrap());
    assert_eq!(
        Add.named("joint").call([&a, &b]).unwrap_err().to_string(),
        "joint: broadcast: sizes must be equal or 1, aligned at the last axis; received (3,) and (4,) (hint: reshape one of \
         the operands)"
    );
    assert_eq!(
        Add.call(&a).unwrap_err().to_string(),
        "add: Add: the layer takes at least two inputs; received 1 inputs (hint: call it with a list of symbols)"
    );
    let error = Dense::new(1).call([&a, &b]).unwrap_err().to_string();
    assert_eq!(error, "dense: Dense: the layer takes one input; received 2 inputs");
}

#[test]
fn weights_that_are_not_there() {
    let device = reference::device();
    let mut model = Sequential::new([3]).add(Dense::new(2)).build_on(&BuildOptions::on(&device)).unwrap();
    let zeros = striate_tensor::Tensor::zeros([2], &device).unwrap();
    assert!(matches!(model.set_weight("dense/beard", &zeros), Err(Error::Model(_))));
    assert!(matches!(model.set_weight("dense/kernel", &zeros), Err(Error::Shape(_))));
    model.set_weight("dense/bias", &zeros).unwrap();
    assert!(model.weight("dense/beard").is_none());
}
