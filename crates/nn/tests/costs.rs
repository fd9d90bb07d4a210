//! What layers cost and see, worked out by hand.

use striate_nn::layers::*;
use striate_nn::{BuildOptions, Call, Costs, LayerCosts, Model, Sequential, Symbol};
use striate_tensor::Padding;

fn build() -> BuildOptions {
    BuildOptions::on(&striate_testkit::reference::device())
}

fn of(costs: &Costs, path: &str) -> LayerCosts {
    costs.layers.iter().find(|layer| layer.path == path).unwrap_or_else(|| panic!("{path} in {costs}")).clone()
}

#[test]
fn the_network_for_digits() {
    let model = Sequential::new([28, 28, 1])
        .add(Conv2D::new(32, 3))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3))
        .add(MaxPooling2D::new(2))
        .add(Flatten)
        .add(Dense::new(10))
        .build_on(&build())
        .unwrap();
    let costs = Costs::of(&model);
    let first = of(&costs, "conv2d");
    assert_eq!(first.arithmetic, "(28 − 3)/1 + 1 = 26");
    assert_eq!((first.parameters, first.multiply_adds), (320, 26 * 26 * 32 * 9));
    assert_eq!((first.activation_bytes, first.gradient_bytes), (26 * 26 * 32 * 4, 320 * 4));
    assert_eq!((first.receptive_field, first.stride), (Some(vec![3.0; 2]), Some(vec![1.0; 2])));
    let second = of(&costs, "conv2d_1");
    // Pooling doubles the distance between neighbours: 4 + 2·2.
    assert_eq!((second.receptive_field, second.stride), (Some(vec![8.0; 2]), Some(vec![2.0; 2])));
    let pool = of(&costs, "max_pooling2d_1");
    assert_eq!(pool.arithmetic, "⌊(11 − 2)/2⌋ + 1 = 5");
    assert_eq!(pool.warnings, ["valid padding drops the last 1 row and 1 column of the input"]);
    assert_eq!(of(&costs, "flatten").arithmetic, "5·5·64 = 1600");
    assert_eq!(of(&costs, "dense").receptive_field, None);
    assert_eq!(costs.multiply_adds, costs.layers.iter().map(|layer| layer.multiply_adds).sum::<u64>());
    assert_eq!(costs.parameters, model.parameter_count());
    let text = costs.to_string();
    assert!(text.contains("194,688") && text.contains("! valid padding") && text.contains("86.5 kB"), "{text}");
}

#[test]
fn branches_dilation_strides_and_nesting() {
    let input = Symbol::input([32, 32, 3]).unwrap();
    let near = Conv2D::new(4, 1).named("near").call(&input).unwrap();
    let far = Conv2D::new(4, 3).dilation_rate(2).padding(Padding::Same).named("far").call(&input).unwrap();
    let sum = Add.named("sum").call([&near, &far]).unwrap();
    let base = Model::from_symbols("base", &[input], &[sum], &build()).unwrap();
    let mut whole = Sequential::new([32, 32, 3])
        .add(base)
        .add(Conv2D::new(2, 5).strides(2).padding(Padding::Same).named("after"))
        .add(GlobalAveragePooling2D::new())
        .build_on(&build())
        .unwrap();
    let costs = Costs::of(&whole);
    assert_eq!(of(&costs, "base/far").receptive_field, Some(vec![5.0; 2]));
    assert_eq!(of(&costs, "base/sum").receptive_field, Some(vec![5.0; 2]));
    let after = of(&costs, "after");
    assert_eq!((after.receptive_field, after.stride), (Some(vec![9.0; 2]), Some(vec![2.0; 2])));
    assert_eq!((after.arithmetic.as_str(), after.warnings.len()), ("32/2 = 16", 0));
    assert_eq!(of(&costs, "global_average_pooling2d").receptive_field, None);

    // A frozen base keeps nothing for backward, and its weights get no gradients.
    whole.set_trainable("base", false).unwrap();
    let frozen = Costs::of(&whole);
    assert_eq!(frozen.gradient_bytes, of(&costs, "after").gradient_bytes);
    assert!(frozen.training_peak_bytes(8, 1) < costs.training_peak_bytes(8, 1) / 2);
    assert!(costs.training_peak_bytes(16, 1) > costs.training_peak_bytes(8, 1));
    assert_eq!(costs.training_peak_bytes(8, 2) - costs.training_peak_bytes(8, 1), costs.gradient_bytes);
}
