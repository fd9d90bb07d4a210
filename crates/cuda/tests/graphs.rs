//! Training steps recorded as CUDA graphs: the bits of steps that were not.

mod common;

use std::sync::Arc;
use striate_cuda::{CudaBackend, CudaOptions};
use striate_data::{ArrayDataset, Batch};
use striate_nn::layers::{BatchNormalization, Conv2D, Dense, Dropout, Flatten, GaussianNoise, MaxPooling2D, Softmax};
use striate_nn::{BuildOptions, Model, Sequential};
use striate_optim::{Adam, AdamW, Optimizer, RmsProp, Schedule, Sgd};
use striate_tensor::Activation::Relu;
use striate_tensor::{Device, Error, Key, Result, Take, Tensor};
use striate_train::callback::{Callback, Flow, Moment};
use striate_train::loss::{CategoricalCrossentropy, SparseCategoricalCrossentropy};
use striate_train::metric::Accuracy;
use striate_train::{Compile, Fit, Progress};

fn open(graphs: bool) -> (Arc<CudaBackend>, Device) {
    let options = CudaOptions { graphs, ..CudaOptions::default() };
    let backend = Arc::new(CudaBackend::new(options).expect("the device opens once more"));
    (backend.clone(), Device::from(backend))
}

/// Two threads train on one device; each waits while the other one records.
#[test]
fn two_trainings_on_one_device_do_not_meet() {
    if common::device().is_none() {
        return;
    }
    let run = |graphs: bool| {
        let (backend, device) = open(graphs);
        let results: Vec<_> = std::thread::scope(|scope| {
            let train = || {
                let (mut model, data) = (network(&device), data(&device));
                let mut training = model.compile(Adam::new(0.01), CategoricalCrossentropy, ()).unwrap();
                let losses = training.fit(&data, options()).unwrap().series("loss");
                (losses.into_iter().map(f64::to_bits).collect::<Vec<u64>>(), bits(training.model()))
            };
            let threads: Vec<_> = (0..2).map(|_| scope.spawn(train)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(results[0], results[1]);
        let (losses, weights) = results[0].clone();
        (losses, weights, backend.replays())
    };
    same("two threads", 40..=40, run);
}

/// Everything that a recording has to get right: statistics that are written, dropout twice, sums that are cut.
fn network(device: &Device) -> Model {
    Sequential::new([12, 12, 2])
        .add(Conv2D::new(5, 3))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2))
        .add(Dropout::new(0.2))
        .add(Conv2D::new(4, 3).activation(Relu))
        .add(Flatten)
        .add(Dense::new(10).activation(Relu))
        .add(Dropout::new(0.4))
        .add(Dense::new(3).activation(Softmax))
        .build_on(&BuildOptions { seed: 3, ..BuildOptions::on(device) })
        .unwrap()
}

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let key = Key::new(seed);
    (0..count as u64).map(|i| key.word(i) as f32 / 2f32.powi(31) - 1.0).collect()
}

/// 34 samples: four batches of 8 and a last one of 2 each epoch, so that 10 of 12 full ones are replayed, in two parts.
fn data(device: &Device) -> ArrayDataset {
    let inputs = Tensor::from_vec(numbers(34 * 288, 1), [34, 12, 12, 2], device).unwrap();
    let classes: Vec<f32> = (0..34 * 3).map(|i| f32::from(u8::from((i / 3 * 7) % 3 == i % 3))).collect();
    ArrayDataset::from_tensors(&inputs, &Tensor::from_vec(classes, [34, 3], device).unwrap()).unwrap()
}

fn bits(model: &Model) -> Vec<Vec<u32>> {
    let of = |value: &Tensor| value.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect();
    model.weights().map(|(_, value)| of(value)).collect()
}

/// Losses and accuracies of each epoch, the weights' bits, and how many parts were replayed.
fn trained(graphs: bool, optimizer: impl Optimizer + 'static, fit: Fit<'_>) -> (Vec<u64>, Vec<Vec<u32>>, u64) {
    let (backend, device) = open(graphs);
    let (mut model, data) = (network(&device), data(&device));
    let history = {
        let mut training = model.compile(optimizer, CategoricalCrossentropy, [Accuracy]).unwrap();
        training.fit(&data, fit).unwrap()
    };
    let values = [history.series("loss"), history.series("accuracy")].concat();
    (values.into_iter().map(f64::to_bits).collect(), bits(&model), backend.replays())
}

fn options<'a>() -> Fit<'a> {
    Fit { epochs: 3, batch_size: 8, seed: 5, progress: Progress::Silent, ..Fit::default() }
}

fn same(name: &str, replays: std::ops::RangeInclusive<u64>, run: impl Fn(bool) -> (Vec<u64>, Vec<Vec<u32>>, u64)) {
    let (plain, recorded) = (run(false), run(true));
    assert_eq!(plain.2, 0, "{name}");
    assert!(replays.contains(&recorded.2), "{name}: {} parts were replayed", recorded.2);
    assert_eq!(plain.0, recorded.0, "{name}: losses and accuracies");
    assert_eq!(plain.1, recorded.1, "{name}: weights");
    // A training that does not move would agree as well.
    assert!(plain.0[0] != plain.0[2], "{name}");
}

/// The host looks at labels, which a recording would not do again: such a training is never recorded.
#[test]
fn integer_labels_train_without_a_recording() {
    if common::device().is_none() {
        return;
    }
    same("labels", 0..=0, |graphs| {
        let (backend, device) = open(graphs);
        let inputs = Tensor::from_vec(numbers(34 * 288, 1), [34, 12, 12, 2], &device).unwrap();
        let labels: Vec<f32> = (0..34u8).map(|i| f32::from(i * 7 % 3)).collect();
        let labels = Tensor::from_vec(labels, [34, 1], &device).unwrap();
        let (mut model, data) = (network(&device), ArrayDataset::from_tensors(&inputs, &labels).unwrap());
        let mut training = model.compile(Adam::new(0.01), SparseCategoricalCrossentropy, ()).unwrap();
        let losses = training.fit(&data, options()).unwrap().series("loss");
        (losses.into_iter().map(f64::to_bits).collect(), bits(training.model()), backend.replays())
    });
}

#[test]
fn replayed_steps_have_the_bits_of_steps() {
    if common::device().is_none() {
        return;
    }
    let decay = || Schedule::ExponentialDecay { initial: 0.01, decay_steps: 2, rate: 0.9, staircase: false };
    same("adam", 20..=20, |graphs| trained(graphs, Adam::new(decay()), options()));
    same("rmsprop", 20..=20, |graphs| trained(graphs, RmsProp::new(decay()).momentum(0.5).centered(true), options()));
    same("sgd", 20..=20, |graphs| {
        trained(graphs, Sgd::new(0.05).momentum(0.9).nesterov(true).global_clipnorm(0.5), options())
    });
    // Weight decay is a part of the update.
    same("adamw", 20..=20, |graphs| trained(graphs, AdamW::new(decay()).weight_decay(0.1), options()));
    same("decayed sgd", 20..=20, |graphs| trained(graphs, Sgd::new(0.05).momentum(0.9).weight_decay(0.1), options()));
    // Batches come from other threads, with weights and an average over the steps.
    same("prefetched", 20..=20, |graphs| {
        let fit = Fit {
            prefetch: 2,
            workers: 2,
            class_weight: Some(vec![1.0, 2.0, 0.5]),
            ema_momentum: Some(0.9),
            ..options()
        };
        trained(graphs, Adam::new(0.01), fit)
    });
}

/// What cannot be recorded trains as without.
#[test]
fn what_cannot_be_recorded_is_not() {
    if common::device().is_none() {
        return;
    }
    let noisy = |graphs: bool| {
        let (backend, device) = open(graphs);
        let mut model = Sequential::new([12, 12, 2])
            .add(GaussianNoise::new(0.1))
            .add(Flatten)
            .add(Dense::new(3).activation(Softmax))
            .build_on(&BuildOptions { seed: 3, ..BuildOptions::on(&device) })
            .unwrap();
        let losses = {
            let mut training = model.compile(Sgd::new(0.1), CategoricalCrossentropy, ()).unwrap();
            training.fit(&data(&device), options()).unwrap().series("loss")
        };
        (losses.into_iter().map(f64::to_bits).collect(), bits(&model), backend.replays())
    };
    same("noise of the host", 0..=0, noisy);
}

/// Keeps the weights of the first epoch, and changes the learning rate after it.
#[derive(Default)]
struct Keeper {
    kept: Vec<Tensor>,
    copied: Vec<Vec<f32>>,
}

impl Callback for &mut Keeper {
    fn on_epoch_end(&mut self, moment: &mut Moment<'_>) -> Result<Flow> {
        if self.kept.is_empty() {
            self.kept = moment.model.weights().map(|(_, value)| value.clone()).collect();
            self.copied = self.kept.iter().map(|value| value.to_vec().unwrap()).collect();
            moment.optimizer.set_learning_rate_factor(0.5)?;
        }
        Ok(Flow::Continue)
    }
}

/// A replayed step writes weights where they are. Whoever holds them meanwhile must not see that.
#[test]
fn weights_that_somebody_keeps_are_not_written() {
    if common::device().is_none() {
        return;
    }
    let run = |graphs| {
        let mut keeper = Keeper::default();
        let result = trained(graphs, Adam::new(0.01), Fit { callbacks: vec![Box::new(&mut keeper)], ..options() });
        assert!(!keeper.kept.is_empty());
        for (kept, copied) in keeper.kept.iter().zip(&keeper.copied) {
            assert_eq!(&kept.to_vec::<f32>().unwrap(), copied);
        }
        result
    };
    same("kept weights", 6..=20, run);
}

/// The same between two steps, and for the optimizer's own tensors, which a checkpoint holds until the next step.
#[test]
fn what_is_kept_between_two_replays_is_not_written() {
    if common::device().is_none() {
        return;
    }
    let run = |graphs: bool| {
        let (backend, device) = open(graphs);
        let mut model = Sequential::new([3])
            .add(Dense::new(2).activation(Softmax))
            .build_on(&BuildOptions { seed: 3, ..BuildOptions::on(&device) })
            .unwrap();
        let mut training = model.compile(Adam::new(0.1), CategoricalCrossentropy, ()).unwrap();
        let step = |training: &mut striate_train::Training<'_>, number: u64| {
            let inputs = Tensor::from_vec(numbers(6, number), [2, 3], &device).unwrap();
            let targets = Tensor::from_vec(vec![1.0f32, 0.0, 0.0, 1.0], [2, 2], &device).unwrap();
            training.step(&Batch::new(vec![inputs], vec![targets], 2).unwrap(), Key::new(number)).unwrap()
        };
        let mut losses: Vec<f64> = (0..4).map(|number| step(&mut training, number)).collect();
        for keeps_weights in [true, false] {
            let weights: Vec<Tensor> = match keeps_weights {
                true => training.model().weights().map(|(_, value)| value.clone()).collect(),
                false => training.optimizer().export_state().slots.into_iter().map(|(_, slot)| slot).collect(),
            };
            let copied: Vec<Vec<f32>> = weights.iter().map(|value| value.to_vec().unwrap()).collect();
            losses.extend((10..15).map(|number| step(&mut training, number)));
            for (kept, copied) in weights.iter().zip(&copied) {
                assert_eq!(&kept.to_vec::<f32>().unwrap(), copied);
            }
        }
        (losses.into_iter().map(f64::to_bits).collect(), bits(training.model()), backend.replays())
    };
    same("kept between steps", 14..=20, run);
}

#[test]
fn a_replayed_step_without_a_finite_loss_changes_nothing() {
    if common::device().is_none() {
        return;
    }
    let (backend, device) = open(true);
    let mut model = Sequential::new([3])
        .add(Dense::new(2).activation(Softmax))
        .build_on(&BuildOptions { seed: 3, ..BuildOptions::on(&device) })
        .unwrap();
    let mut training = model.compile(Sgd::new(0.1), CategoricalCrossentropy, ()).unwrap();
    let batch = |first: f32| {
        let inputs = Tensor::from_vec(vec![first, 1.0, -1.0, 0.5, 2.0, 0.0], [2, 3], &device).unwrap();
        let targets = Tensor::from_vec(vec![1.0f32, 0.0, 0.0, 1.0], [2, 2], &device).unwrap();
        Batch::new(vec![inputs], vec![targets], 2).unwrap()
    };
    for step in 0..4 {
        training.step(&batch(step as f32), Key::new(step)).unwrap();
    }
    assert_eq!(backend.replays(), 4);
    let before = (bits(training.model()), training.optimizer().iterations());
    let error = training.step(&batch(f32::NAN), Key::new(9)).unwrap_err();
    assert!(matches!(error, Error::NonFinite(_)), "{error}");
    assert_eq!(backend.replays(), 5);
    assert_eq!((bits(training.model()), training.optimizer().iterations()), before);
    training.step(&batch(0.25), Key::new(10)).unwrap();
    assert_eq!(backend.replays(), 7);
    assert_ne!(bits(training.model()), before.0);
}

/// What the device must not be asked for while it records is refused with one line, and the device goes on.
#[test]
fn a_recording_refuses_what_has_no_place_in_it() {
    let Some(without) = common::device() else { return };
    assert!(without.record().unwrap().is_none() || std::env::var_os("STRIATE_CUDA_GRAPHS").is_some());
    let (_, device) = open(true);
    let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0], [3], &device).unwrap();
    type Deed = fn(&Tensor) -> Result<()>;
    let deeds: [(&str, Deed); 4] = [
        ("a copy to the host", |x| x.to_vec::<f32>().map(|_| ())),
        ("data of the host", |x| Tensor::from_vec(vec![1.0f32; 3], [3], x.device()).map(|_| ())),
        ("12 bytes more", |x| {
            x.affine(2.0, 0.0).and_then(|one| x.affine(2.0, 0.0).and_then(|two| one.add(&two))).map(|_| ())
        }),
        ("a wait for it", |x| x.device().synchronize()),
    ];
    for (what, deed) in deeds {
        let recording = device.record().unwrap().unwrap();
        // One block for what is refused to be brought here.
        recording.within(Take::Rehearsal, &mut || x.affine(1.0, 0.0).map(|_| ())).unwrap();
        let refused = recording.within(Take::Record, &mut || deed(&x)).unwrap_err().to_string();
        let pooled = refused.replace("512 bytes more", "12 bytes more");
        assert!(pooled.contains(what) && !refused.contains('\n'), "{what}: {refused}");
        assert!(recording.replay(0, &[], None).unwrap_err().to_string().contains("part 0 of 0"));
    }
    let recording = device.record().unwrap().unwrap();
    let mut y = None;
    recording.within(Take::Rehearsal, &mut || x.affine(2.0, 0.0).map(|_| ())).unwrap();
    recording
        .within(Take::Record, &mut || {
            y = Some(x.affine(2.0, 0.0)?);
            Ok(())
        })
        .unwrap();
    assert!(recording.replay(0, &[Key::new(1)], None).is_err());
    recording.replay(0, &[], None).unwrap();
    assert_eq!(y.unwrap().to_vec::<f32>().unwrap(), [2.0, 4.0, 6.0]);
    // Nothing is left behind.
    assert_eq!(x.affine(3.0, 0.0).unwrap().to_vec::<f32>().unwrap(), [3.0, 6.0, 9.0]);
}
