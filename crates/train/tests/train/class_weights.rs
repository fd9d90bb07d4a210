//! Classes that count more than others.

use crate::runs::{bars, close, cpu, model_on, quiet};
use striate_data::{Array, ArrayDataset, BatchContext, Dataset};
use striate_formats::weights_sha256;
use striate_nn::layers::Dense;
use striate_nn::{BuildOptions, Model, Sequential};
use striate_optim::Sgd;
use striate_tensor::Activation::Sigmoid;
use striate_tensor::{Error, Key};
use striate_train::loss::{BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy};
use striate_train::metric::Accuracy;
use striate_train::{Compile, Fit};

#[test]
fn class_weights_are_sample_weights_by_class() {
    let data = bars(24, 1);
    let run = |data: &ArrayDataset, class_weight: Option<Vec<f32>>| {
        let mut model = model_on(&cpu(), 0);
        let mut training = model.compile(Sgd::new(0.1), CategoricalCrossentropy, ()).unwrap();
        let history = training.fit(data, Fit { class_weight, validation: Some(data), ..quiet(2) }).unwrap();
        (weights_sha256(&model).unwrap(), history.series("loss"))
    };
    let by_class = [1.0, 0.5, 3.0];
    let by_sample: Vec<f32> = (0..24).map(|i| by_class[i % 3]).collect();
    let weighted = run(&data, Some(by_class.to_vec()));
    assert_eq!(weighted, run(&data.clone().with_sample_weights(by_sample).unwrap(), None));
    assert_ne!(weighted, run(&data, None));
    assert_eq!(run(&data, Some(vec![1.0; 3])), run(&data, None));
}

#[test]
fn labels_train_as_their_one_hot_rows() {
    let rows = bars(24, 1);
    let pixels = bars(24, 1).batch(&(0..24).collect::<Vec<_>>(), &BatchContext::new(Key::new(0), &cpu())).unwrap();
    let pixels = Array::from_tensor(&pixels.inputs[0]).unwrap();
    let labels = Array::floats((0..24).map(|i| (i % 3) as f32).collect(), [24, 1]).unwrap();
    let labels = ArrayDataset::new(vec![pixels], vec![labels]).unwrap();
    for class_weight in [None, Some(vec![1.0, 0.5, 3.0])] {
        let mut model = model_on(&cpu(), 0);
        let mut training = model.compile(Sgd::new(0.1), CategoricalCrossentropy, [Accuracy]).unwrap();
        let fit = Fit { class_weight: class_weight.clone(), validation: Some(&rows), ..quiet(2) };
        let by_rows = training.fit(&rows, fit).unwrap();
        let mut other = model_on(&cpu(), 0);
        let mut training = other.compile(Sgd::new(0.1), SparseCategoricalCrossentropy, [Accuracy]).unwrap();
        let by_labels = training.fit(&labels, Fit { class_weight, validation: Some(&labels), ..quiet(2) }).unwrap();
        for name in ["loss", "accuracy", "val_loss", "val_accuracy"] {
            assert_eq!(by_rows.series(name), by_labels.series(name), "{name}");
        }
        assert_eq!(weights_sha256(&model).unwrap(), weights_sha256(&other).unwrap());
    }
}

#[test]
fn a_single_probability_has_two_classes() {
    let array = |values: [f32; 3]| Array::floats(values.to_vec(), [3, 1]).unwrap();
    let data = ArrayDataset::new(vec![array([0.0; 3])], vec![array([1.0, 0.0, 0.0])]).unwrap();
    let model = || -> Model {
        Sequential::new([1]).add(Dense::new(1).activation(Sigmoid)).build_on(&BuildOptions::on(&cpu())).unwrap()
    };
    let mut model = model();
    let mut training = model.compile(Sgd::new(1.0), BinaryCrossentropy, ()).unwrap();
    // Every probability is one half; the weights are 4, 1, 1.
    let history = training.fit(&data, Fit { class_weight: Some(vec![1.0, 4.0]), ..quiet(1) }).unwrap();
    close(&[history.last("loss").unwrap()], &[2.0 * 2f64.ln()], 1e-6);
    // Gradient of the bias: (4·(½ − 1) + ½ + ½) / 3.
    close(&[model.weight("dense/bias").unwrap().item().unwrap()], &[1.0 / 3.0], 1e-6);
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let data = bars(8, 1);
    let mut model = model_on(&cpu(), 0);
    let mut training = model.compile(Sgd::new(0.1), CategoricalCrossentropy, ()).unwrap();
    for (weights, word) in [
        (vec![1.0, 2.0], "each of 3 classes; received 2"),
        (vec![1.0, -1.0, 1.0], "-1 for class 1"),
        (vec![1.0, 1.0, f32::NAN], "NaN for class 2"),
    ] {
        let error = training.fit(&data, Fit { class_weight: Some(weights), ..quiet(1) }).unwrap_err();
        assert!(matches!(error, Error::Argument(_)) && error.to_string().contains(word), "{error}");
    }
}
