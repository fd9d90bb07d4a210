//! A head on a frozen base is the whole network with its base frozen.

use crate::runs::{CLASSES, SIDE, bars, cpu, quiet};
use striate_data::Dataset;
use striate_nn::layers::{Conv2D, Dense, Dropout, Flatten, MaxPooling2D, Softmax};
use striate_nn::{BuildOptions, Sequential};
use striate_optim::RmsProp;
use striate_tensor::Activation::Relu;
use striate_train::loss::CategoricalCrossentropy;
use striate_train::metric::Accuracy;
use striate_train::{Compile, Fit, Progress, features};

fn with_head(network: Sequential) -> Sequential {
    network.add(Flatten).add(Dropout::new(0.3)).add(Dense::new(CLASSES).activation(Softmax))
}

#[test]
fn the_same_weights_result_from_all_three_ways() {
    let build = BuildOptions::on(&cpu());
    let (train, validation) = (bars(60, 1), bars(30, 2));
    let base = Sequential::new([SIDE, SIDE, 1]).named("base").add(Conv2D::new(4, 3).activation(Relu));
    let base = base.add(MaxPooling2D::new(2)).build_on(&build).unwrap();
    let shape = base.graph().output_shapes()[0];

    let mut whole = with_head(Sequential::new([SIDE, SIDE, 1]).add(base.clone())).build_on(&build).unwrap();
    whole.set_trainable("base", false).unwrap();
    let mut training = whole.compile(RmsProp::new(1e-3), CategoricalCrossentropy, [Accuracy]).unwrap();
    let expected = training.fit(&train, Fit { validation: Some(&validation), ..quiet(3) }).unwrap();

    let computed = features(&base, &train, 7, Progress::Silent).unwrap();
    let validation = features(&base, &validation, 30, Progress::Silent).unwrap();
    assert_eq!((computed.len(), computed.class_names()), (60, train.class_names()));
    for frozen_base in [None, Some(&base)] {
        let mut head = with_head(Sequential::new(shape)).build_on(&build).unwrap();
        let mut training = head.compile(RmsProp::new(1e-3), CategoricalCrossentropy, [Accuracy]).unwrap();
        let fit = Fit { frozen_base, validation: Some(&validation), ..quiet(3) };
        let data: &dyn Dataset = if frozen_base.is_some() { &train } else { &computed };
        let history = training.fit(data, fit).unwrap();
        for name in ["loss", "val_loss", "val_accuracy"] {
            assert_eq!(history.series(name), expected.series(name), "{name}");
        }
        for (spec, value) in head.weights() {
            let bits = |tensor: &striate_tensor::Tensor| tensor.to_vec::<f32>().unwrap();
            assert_eq!(bits(value), bits(whole.weight(&spec.path).unwrap()), "{}", spec.path);
        }
    }
    assert!(features(&base, &computed, 7, Progress::Silent).is_err());
}
