//! Epochs, orders, subsets and worker threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use striate_data::{Array, ArrayDataset, Batch, BatchContext, Batching, Dataset, Subset};
use striate_tensor::{Device, Error, Key, Result, Shape, Tensor};

fn device() -> Device {
    striate_testkit::reference::device()
}

/// Samples 0, 1, 2, … as both input and target.
fn numbers(n: usize) -> ArrayDataset {
    let values: Vec<f32> = (0..n).map(|i| i as f32).collect();
    let array = Array::floats(values, [n, 1]).unwrap();
    ArrayDataset::new(vec![array.clone()], vec![array]).unwrap()
}

fn epoch(batching: &Batching, data: &dyn Dataset, number: u64) -> Vec<Vec<f32>> {
    let batches = batching.epoch(data, number, &device()).unwrap();
    batches.map(|batch| batch.unwrap().inputs[0].to_vec().unwrap()).collect()
}

#[test]
fn the_last_batch_is_smaller_or_left_out() {
    let batching = Batching { batch_size: 4, ..Batching::default() };
    let sizes = |batching: &Batching| epoch(batching, &numbers(10), 0).iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!((sizes(&batching), batching.steps(10)), (vec![4, 4, 2], 3));
    let batching = Batching { drop_last: true, ..batching };
    assert_eq!((sizes(&batching), batching.steps(10)), (vec![4, 4], 2));
    assert_eq!(epoch(&batching, &numbers(10), 3)[1], [4.0, 5.0, 6.0, 7.0]);
}

#[test]
fn a_seed_fixes_the_orders_without_making_them_equal() {
    let batching = |seed| Batching { batch_size: 7, shuffle: true, key: Key::new(seed), ..Batching::default() };
    let order = |seed, number| epoch(&batching(seed), &numbers(50), number).concat();
    assert_eq!(order(1, 0), order(1, 0));
    assert_ne!(order(1, 0), order(1, 1));
    assert_ne!(order(1, 0), order(2, 0));
    let mut sorted = order(1, 5);
    sorted.sort_by(f32::total_cmp);
    assert_eq!(sorted, (0..50).map(|i| i as f32).collect::<Vec<_>>());
}

#[test]
fn prefetched_batches_are_the_same_for_any_depth_and_number_of_threads() {
    let plain = Batching { batch_size: 3, shuffle: true, key: Key::new(5), ..Batching::default() };
    for (prefetch, workers) in [(1, 1), (2, 1), (2, 2), (3, 2), (8, 3), (2, 9), (usize::MAX, 2)] {
        let ahead = Batching { prefetch, workers, ..plain.clone() };
        assert_eq!(epoch(&ahead, &numbers(40), 2), epoch(&plain, &numbers(40), 2), "{prefetch} {workers}");
    }
}

/// Counts the batches it makes; the one with sample `bad` fails or panics.
#[derive(Clone)]
struct Counted {
    made: Arc<AtomicUsize>,
    bad: usize,
    panics: bool,
}

impl Counted {
    fn new(bad: usize, panics: bool) -> Self {
        Counted { made: Arc::default(), bad, panics }
    }
}

impl Dataset for Counted {
    fn len(&self) -> usize {
        100
    }
    fn input_shapes(&self) -> Vec<Shape> {
        vec![Shape::SCALAR]
    }
    fn target_shapes(&self) -> Vec<Shape> {
        vec![]
    }
    fn batch(&self, samples: &[usize], context: &BatchContext) -> Result<Batch> {
        self.made.fetch_add(1, Ordering::SeqCst);
        if samples.contains(&self.bad) {
            assert!(!self.panics, "a defect in the data set");
            return Err(Error::data("sample", "must be good", self.bad.to_string(), ""));
        }
        let key = context.key;
        let draws = samples.iter().map(|&i| key.fold(i as u64).stream().uniform() as f32).collect();
        Batch::new(vec![Tensor::from_vec(draws, [samples.len()], &context.device)?], vec![], samples.len())
    }
}

#[test]
fn an_error_comes_in_its_place_and_ends_the_epoch() {
    for (prefetch, panics) in [(0, false), (3, false), (3, true)] {
        let data = Counted::new(35, panics);
        let batching = Batching { batch_size: 10, prefetch, workers: 2, ..Batching::default() };
        let results: Vec<Result<Batch>> = batching.epoch(&data, 0, &device()).unwrap().collect();
        assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, true, false]);
        assert!(matches!(results[3], Err(Error::Data(_))));
    }
}

#[test]
fn no_more_is_prepared_than_asked_for_and_dropping_stops_it() {
    let data = Counted::new(1000, false);
    let batching = Batching { batch_size: 1, prefetch: 4, workers: 2, ..Batching::default() };
    let mut batches = batching.epoch(&data, 0, &device()).unwrap();
    batches.next().unwrap().unwrap();
    let made = || data.made.load(Ordering::SeqCst);
    let start = Instant::now();
    while made() < 5 && start.elapsed() < Duration::from_secs(10) {
        thread::yield_now();
    }
    // Given time to run ahead if it were not bounded.
    thread::sleep(Duration::from_millis(50));
    assert_eq!(made(), 5);
    drop(batches);
    let stopped = made();
    thread::sleep(Duration::from_millis(20));
    assert!(stopped <= 7 && made() == stopped, "{stopped}, {}", made());
}

#[test]
fn random_choices_belong_to_the_sample_not_to_its_batch() {
    let draws = |size, number| {
        let batching = Batching { batch_size: size, key: Key::new(3), ..Batching::default() };
        epoch(&batching, &Counted::new(1000, false), number).concat()
    };
    assert_eq!(draws(10, 0), draws(33, 0));
    assert_ne!(draws(10, 0), draws(10, 1));
}

#[test]
fn empty_and_impossible_epochs_are_refused() {
    let refused = |batching: Batching, n| batching.epoch(&numbers(n), 0, &device()).unwrap_err();
    let default = Batching::default;
    assert!(matches!(refused(default(), 0), Error::Data(_)));
    assert!(matches!(refused(Batching { drop_last: true, ..default() }, 31), Error::Data(_)));
    assert!(matches!(refused(Batching { batch_size: 0, ..default() }, 5), Error::Argument(_)));
    assert!(matches!(refused(Batching { workers: 0, ..default() }, 5), Error::Argument(_)));
    assert!(Batching { batch_size: usize::MAX, ..default() }.epoch(&numbers(5), 0, &device()).is_ok());
}

#[test]
fn parts_are_views_in_keras_order() {
    let (train, validation) = numbers(10).split(0.25).unwrap();
    let all = |data: &dyn Dataset| epoch(&Batching::default(), data, 0).concat();
    // Keras: floor(10 · 0.75) = 7.
    assert_eq!(all(&train), (0..7).map(|i| i as f32).collect::<Vec<_>>());
    assert_eq!(all(&validation), [7.0, 8.0, 9.0]);
    assert_eq!(all(&validation.take(2)), [7.0, 8.0]);
    assert_eq!(all(&Subset::new(&validation, &[2, 0, 2]).unwrap()), [9.0, 7.0, 9.0]);
    assert_eq!(numbers(3).take(99).len(), 3);
    assert!(Subset::new(&validation, &[3]).is_err());
    let context = BatchContext::new(Key::new(0), &device());
    assert!(matches!(validation.batch(&[3], &context), Err(Error::Shape(_))));
    for fraction in [0.0, 1.0, f64::NAN] {
        assert!(matches!(numbers(10).split(fraction), Err(Error::Argument(_))));
    }
    assert!(matches!(numbers(1).split(0.5), Err(Error::Data(_))));
}

#[test]
fn several_inputs_targets_and_weights_go_together() {
    let device = device();
    let (a, b) = (Array::floats(vec![1.0, 2.0], [2]).unwrap(), Array::bytes(vec![1, 2, 3, 4], [2, 2], 1.0).unwrap());
    let classes = Array::one_hot(&[1i32, 0], 2).unwrap();
    let data = ArrayDataset::new(vec![a.clone(), b], vec![classes]).unwrap();
    let data = data.with_sample_weights(vec![0.5, 2.0]).unwrap();
    let data = data.with_class_names(vec!["cat".into(), "dog".into()]).unwrap();
    assert_eq!(data.take(1).class_names()[1], "dog");
    let batch = data.batch(&[1], &BatchContext::new(Key::new(0), &device)).unwrap();
    let values = |tensor: &Tensor| tensor.to_vec::<f32>().unwrap();
    assert_eq!((values(&batch.inputs[0]), values(&batch.inputs[1])), (vec![2.0], vec![3.0, 4.0]));
    assert_eq!((values(&batch.targets[0]), values(&batch.weights.unwrap())), (vec![1.0, 0.0], vec![2.0]));

    let three = Array::floats(vec![0.0; 3], [3]).unwrap();
    assert!(matches!(ArrayDataset::new(vec![a.clone()], vec![three]), Err(Error::Shape(_))));
    assert!(matches!(ArrayDataset::new(vec![], vec![a]), Err(Error::Shape(_))));
    assert!(matches!(data.clone().with_sample_weights(vec![1.0, -1.0]), Err(Error::Data(_))));
    assert!(matches!(data.clone().with_sample_weights(vec![1.0]), Err(Error::Shape(_))));
    assert!(matches!(data.with_class_names(vec!["cat".into()]), Err(Error::Shape(_))));
}
