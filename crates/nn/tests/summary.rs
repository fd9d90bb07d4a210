//! The table of layers against what Keras prints.

use striate_nn::layers::*;
use striate_nn::{BuildOptions, Call, Instance, Model, Sequential, Symbol};
use striate_tensor::Activation::Relu;
use striate_testkit::reference;

/// The lecture's network for the digits.
fn digits() -> Model {
    Sequential::new([28, 28, 1])
        .add(Conv2D::new(32, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3).activation(Relu))
        .add(Flatten)
        .add(Dense::new(64).activation(Relu))
        .add(Dense::new(10).activation(Softmax))
        .build_on(&BuildOptions::on(&reference::device()))
        .unwrap()
}

const DIGITS: &str = "\
Model: \"sequential\"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ conv2d (Conv2D)                 │ (None, 26, 26, 32)     │           320 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ max_pooling2d (MaxPooling2D)    │ (None, 13, 13, 32)     │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ conv2d_1 (Conv2D)               │ (None, 11, 11, 64)     │        18,496 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ max_pooling2d_1 (MaxPooling2D)  │ (None, 5, 5, 64)       │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ conv2d_2 (Conv2D)               │ (None, 3, 3, 64)       │        36,928 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ flatten (Flatten)               │ (None, 576)            │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense (Dense)                   │ (None, 64)             │        36,928 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense_1 (Dense)                 │ (None, 10)             │           650 │
└─────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 93,322 (364.54 KB)
 Trainable params: 93,322 (364.54 KB)
 Non-trainable params: 0 (0.00 B)";

#[test]
fn the_digits_network_prints_as_in_keras() {
    assert_eq!(digits().summary().to_string(), DIGITS);
}

#[test]
fn rows_hold_the_numbers_of_the_lecture() {
    let summary = digits().summary();
    let rows: Vec<(&str, &str, usize, usize)> = summary
        .rows
        .iter()
        .map(|row| (row.name.as_str(), row.output_shape.as_str(), row.neurons, row.parameters))
        .collect();
    assert_eq!(
        rows,
        [
            ("conv2d", "(None, 26, 26, 32)", 21_632, 320),
            ("max_pooling2d", "(None, 13, 13, 32)", 5_408, 0),
            ("conv2d_1", "(None, 11, 11, 64)", 7_744, 18_496),
            ("max_pooling2d_1", "(None, 5, 5, 64)", 1_600, 0),
            ("conv2d_2", "(None, 3, 3, 64)", 576, 36_928),
            ("flatten", "(None, 576)", 576, 0),
            ("dense", "(None, 64)", 64, 36_928),
            ("dense_1", "(None, 10)", 10, 650),
        ]
    );
    assert_eq!((summary.total, summary.trainable), (93_322, 93_322));
}

#[test]
fn frozen_and_untrained_weights_are_counted_apart() {
    let device = reference::device();
    let mut model = Sequential::new([4])
        .add(Dense::new(8))
        .add(BatchNormalization::new())
        .add(Dense::new(1))
        .build_on(&BuildOptions::on(&device))
        .unwrap();
    let summary = model.summary();
    assert_eq!((summary.total, summary.trainable, summary.bytes), (40 + 32 + 9, 40 + 16 + 9, [324, 260]));
    model.set_trainable("dense", false).unwrap();
    assert_eq!(model.summary().trainable, 16 + 9);
    let text = model.summary().to_string();
    assert!(
        text.ends_with(
            " Total params: 81 (324.00 B)\n Trainable params: 25 (100.00 B)\n Non-trainable params: 56 (224.00 B)"
        ),
        "{text}"
    );
}

#[test]
fn a_branching_model_says_what_is_connected_to_what() {
    let device = reference::device();
    let input = Symbol::named_input("picture", [4]).unwrap();
    let shared = Instance::from(Dense::new(4)).with_name("shared");
    let once = shared.clone().call(&input).unwrap();
    let twice = shared.call(&once).unwrap();
    let sum = Add.call([&input, &twice]).unwrap();
    let model = Model::from_symbols("branches", &[input], &[sum], &BuildOptions::on(&device)).unwrap();
    let summary = model.summary();
    let rows: Vec<(&str, Vec<&str>)> =
        summary.rows.iter().map(|row| (row.name.as_str(), row.inputs.iter().map(String::as_str).collect())).collect();
    assert_eq!(rows, [("picture", vec![]), ("shared", vec!["picture"]), ("add", vec!["picture", "shared"])]);
    let text = summary.to_string();
    assert!(text.starts_with("Model: \"branches\"") && text.contains("Connected to"), "{text}");
    assert!(text.contains("picture, shared") && text.contains("Total params: 20 (80.00 B)"), "{text}");
}

#[test]
fn multiply_adds_are_those_of_the_formulas() {
    let conv = 26 * 26 * 32 * 9 + 11 * 11 * 64 * 9 * 32 + 3 * 3 * 64 * 9 * 64;
    assert_eq!(digits().graph().total_multiply_adds(), conv + 576 * 64 + 64 * 10);
    let count = |model: Sequential| model.graph().unwrap().total_multiply_adds();
    let image = || Sequential::new([8, 8, 4]);
    assert_eq!(count(image().add(Conv2DTranspose::new(2, 3))), 8 * 8 * 4 * 9 * 2);
    assert_eq!(count(image().add(DepthwiseConv2D::new(3).depth_multiplier(2))), 6 * 6 * 8 * 9);
    assert_eq!(count(image().add(SeparableConv2D::new(5, 3))), 6 * 6 * 4 * (9 + 5));
    assert_eq!(count(image().add(Conv2D::new(6, 3).groups(2))), 6 * 6 * 6 * 9 * 2);
}
