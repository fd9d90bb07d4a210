//! Training with a scaled loss.

use striate_data::ArrayDataset;
use striate_nn::layers::{Dense, Softmax};
use striate_nn::{BuildOptions, Model, Sequential};
use striate_optim::Adam;
use striate_tensor::{Device, Key, Tensor};
use striate_testkit::reference;
use striate_train::loss::CategoricalCrossentropy;
use striate_train::{Compile, Fit, LossScale, Progress};

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let key = Key::new(seed);
    (0..count as u64).map(|i| key.word(i) as f32 / 2f32.powi(31) - 1.0).collect()
}

/// 24 samples, inputs up to 64: gradients that are large beside the loss.
fn data(device: &Device) -> ArrayDataset {
    let inputs: Vec<f32> = numbers(24 * 5, 1).iter().map(|v| v * 64.0).collect();
    let inputs = Tensor::from_vec(inputs, [24, 5], device).unwrap();
    let classes: Vec<f32> = (0..24 * 3).map(|i| f32::from(u8::from((i / 3 * 7) % 3 == i % 3))).collect();
    ArrayDataset::from_tensors(&inputs, &Tensor::from_vec(classes, [24, 3], device).unwrap()).unwrap()
}

fn model(device: &Device) -> Model {
    let network = Sequential::new([5]).add(Dense::new(3).activation(Softmax));
    network.build_on(&BuildOptions { seed: 3, ..BuildOptions::on(device) }).unwrap()
}

/// Losses, the weights' bits and the scale after so many epochs of six steps.
fn trained(
    epochs: usize,
    scale: Option<f32>,
    file: Option<&std::path::Path>,
) -> (Vec<f64>, Vec<u32>, Option<LossScale>) {
    let device = reference::device();
    let mut model = model(&device);
    let mut training = model.compile(Adam::new(0.01), CategoricalCrossentropy, ()).unwrap();
    training.set_loss_scale(scale.map(|factor| LossScale::starting_at(factor).unwrap()));
    let fit = Fit {
        epochs,
        batch_size: 4,
        seed: 5,
        checkpoint: file.map(Into::into),
        resume: true,
        progress: Progress::Silent,
        ..Fit::default()
    };
    let losses = training.fit(&data(&device), fit).unwrap().series("loss");
    let scale = training.loss_scale().copied();
    let bits = model.weights().flat_map(|(_, value)| value.to_vec::<f32>().unwrap()).map(f32::to_bits).collect();
    (losses, bits, scale)
}

#[test]
fn a_scale_that_is_a_power_of_two_changes_no_bit() {
    let (plain, scaled) = (trained(2, None, None), trained(2, Some(1024.0), None));
    assert_eq!((plain.0, plain.1), (scaled.0, scaled.1));
    assert_eq!(scaled.2.map(|scale| (scale.factor(), scale.good_steps())), Some((1024.0, 12)));
}

#[test]
fn steps_whose_gradients_overflow_are_left_out_and_the_scale_halves() {
    let (losses, _, scale) = trained(3, Some(2f32.powi(127)), None);
    let scale = scale.unwrap();
    assert!(scale.factor() < 2f32.powi(127) && scale.good_steps() > 0, "{scale:?}");
    assert!(losses[2] < losses[0], "{losses:?}");
}

#[test]
fn a_resumed_run_has_the_bits_and_the_scale_of_one_that_was_not_stopped() {
    let folder = std::env::temp_dir().join(format!("striate-loss-scale-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (start, file) = (Some(2f32.powi(127)), folder.join("run"));
    let whole = trained(3, start, None);
    trained(1, start, Some(&file));
    let resumed = trained(3, start, Some(&file));
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(whole, resumed);
}
