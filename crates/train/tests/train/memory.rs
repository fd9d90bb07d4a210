//! Memory that tensors take over a long run.

use crate::runs::{bars, cpu_with, model_on, quiet};
use std::sync::{Arc, Mutex};
use striate_data::{Array, ArrayDataset};
use striate_nn::layers::*;
use striate_nn::{BuildOptions, Costs, Sequential};
use striate_optim::{Adam, RmsProp};
use striate_tensor::Activation::Relu;
use striate_tensor::{MemoryStats, Padding, Result};
use striate_train::callback::{Flow, Moment};
use striate_train::loss::CategoricalCrossentropy;
use striate_train::metric::Accuracy;
use striate_train::{Callback, Compile, Fit};

struct Gauge(Arc<Mutex<Vec<MemoryStats>>>);

impl Callback for Gauge {
    fn on_epoch_end(&mut self, moment: &mut Moment<'_>) -> Result<Flow> {
        self.0.lock().unwrap().push(moment.model.device().memory());
        Ok(Flow::Continue)
    }
}

#[test]
fn peak_memory_is_flat_over_300_steps() {
    let device = cpu_with(2);
    let mut model = model_on(&device, 0);
    let mut training = model.compile(Adam::default(), CategoricalCrossentropy, [Accuracy]).unwrap();
    let readings = Arc::new(Mutex::new(Vec::new()));
    let options = Fit {
        steps_per_epoch: Some(20),
        // Batches that are made ahead would be counted or not, as threads happen to run.
        prefetch: 0,
        callbacks: vec![Box::new(Gauge(readings.clone()))],
        ..quiet(15)
    };
    training.fit(&bars(160, 1), options).unwrap();
    let readings = readings.lock().unwrap();
    let (first, last) = (&readings[0], &readings[14]);
    assert!(first.live > 0 && first.peak >= first.live);
    assert_eq!((first.live, first.peak), (last.live, last.peak));
}

#[test]
fn the_peak_that_costs_predict_is_the_measured_one_within_15_percent() {
    let conv = |filters: usize| Conv2D::new(filters, 3).padding(Padding::Same);
    let digits = |network: Sequential| network.add(Flatten).add(Dense::new(64).activation(Relu));
    let plain = Sequential::new([28, 28, 1])
        .add(Conv2D::new(32, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3).activation(Relu));
    let normalized = Sequential::new([28, 28, 1])
        .add(conv(16).use_bias(false))
        .add(BatchNormalization::new())
        .add(ActivationLayer::new(Relu))
        .add(MaxPooling2D::new(2))
        .add(conv(32).use_bias(false))
        .add(BatchNormalization::new())
        .add(ActivationLayer::new(Relu));
    let dense = Sequential::new([28, 28, 1]).add(Flatten).add(Dense::new(2000).activation(Relu));
    let few_pixels = Sequential::new([28, 28, 1]).add(conv(8).strides(2).activation(Relu));
    for (name, network) in [
        ("plain", digits(plain)),
        ("normalized", digits(normalized)),
        ("dense", dense),
        ("strided", digits(few_pixels)),
    ] {
        for batch_size in [64, 200] {
            let device = cpu_with(2);
            let network = network.clone().add(Dense::new(10).activation(Softmax));
            let mut model = network.build_on(&BuildOptions::on(&device)).unwrap();
            let predicted = Costs::of(&model).training_peak_bytes(batch_size, 1);
            let pixels = Array::floats(vec![0.5; 200 * 784], [200, 28, 28, 1]).unwrap();
            let labels: Vec<u8> = (0..200).map(|i| i % 10).collect();
            let data = ArrayDataset::new(vec![pixels], vec![Array::one_hot(&labels, 10).unwrap()]).unwrap();
            let mut training = model.compile(RmsProp::default(), CategoricalCrossentropy, [Accuracy]).unwrap();
            // Optimizers make their numbers at the end of the first step: the second is the fullest.
            training.fit(&data, Fit { prefetch: 0, batch_size, ..quiet(2) }).unwrap();
            let ratio = predicted as f64 / device.memory().peak as f64;
            println!("{name}, batches of {batch_size}: predicted {predicted}, {ratio:.3} of the measured");
            assert!((ratio - 1.0).abs() < 0.15, "{name}, batches of {batch_size}: {ratio}");
        }
    }
}
