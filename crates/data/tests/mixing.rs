//! Batches whose samples are mixed, and pictures changed beyond Keras's parameters.

use image::{Rgb, RgbImage};
use std::fs;
use striate_data::augment::{
    Augmentation, Augmented, ColourJitter, EraseFill, MixedDataset, Mixing, RandAugment, RandomCrop, RandomErasing,
    RandomResizedCrop, TrivialAugment,
};
use striate_data::{Array, ArrayDataset, BatchContext, Batching, ClassMode, Dataset, FolderOptions, ImageFolder};
use striate_tensor::{Device, Error, Key, Shape};
use tempfile::TempDir;

fn device() -> Device {
    striate_testkit::reference::device()
}

/// Sample i has the value i everywhere, of size 6 × 8 × 2; targets are one-hot rows and (n, 1) numbers.
fn flat(samples: usize) -> ArrayDataset {
    let values = (0..samples * 96).map(|at| (at / 96) as f32).collect();
    let labels: Vec<u8> = (0..samples).map(|i| i as u8).collect();
    let yes: Vec<f32> = (0..samples).map(|i| i as f32).collect();
    let weights: Vec<f32> = yes.clone();
    ArrayDataset::new(
        vec![Array::floats(values, [samples, 6, 8, 2]).unwrap()],
        vec![Array::one_hot(&labels, samples).unwrap(), Array::floats(yes, [samples, 1]).unwrap()],
    )
    .unwrap()
    .with_sample_weights(weights)
    .unwrap()
}

#[test]
fn inputs_and_all_targets_are_mixed_in_the_same_proportion() {
    let data = flat(10);
    let context = BatchContext::new(Key::new(3), &device());
    let samples: Vec<usize> = (0..10).collect();
    for mixing in [Mixing::mixup(1.0), Mixing::cutmix(1.0), Mixing { mixup: 0.4, cutmix: 1.0, probability: 1.0 }] {
        let batch = MixedDataset::new(&data, mixing).unwrap().batch(&samples, &context).unwrap();
        let inputs = batch.inputs[0].to_vec::<f32>().unwrap();
        let rows = batch.targets[0].to_vec::<f32>().unwrap();
        let numbers = batch.targets[1].to_vec::<f32>().unwrap();
        let weights = batch.weights.unwrap().to_vec::<f32>().unwrap();
        let mut mixed = 0;
        for i in 0..10 {
            // As samples are flat, the mean over a picture is what a number is mixed to.
            let mean = inputs[i * 96..][..96].iter().sum::<f32>() / 96.0;
            let row = &rows[i * 10..][..10];
            let of_row: f32 = row.iter().enumerate().map(|(class, part)| class as f32 * part).sum();
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5 && row.iter().filter(|p| **p > 0.0).count() <= 2);
            for value in [of_row, numbers[i], weights[i]] {
                assert!((value - mean).abs() < 1e-4, "{mixing:?} {i}: {value} {mean}");
            }
            mixed += usize::from((mean - i as f32).abs() > 1e-4);
        }
        assert!(mixed >= 5, "{mixing:?}: {mixed}");
    }
    let plain = MixedDataset::new(&data, Mixing::default()).unwrap().batch(&samples, &context).unwrap();
    let before = data.batch(&samples, &context).unwrap();
    assert_eq!(plain.inputs[0].to_vec::<f32>().unwrap(), before.inputs[0].to_vec::<f32>().unwrap());
    // Nobody to mix with.
    let alone = MixedDataset::new(&data, Mixing::mixup(1.0)).unwrap().batch(&[4], &context).unwrap();
    assert_eq!(alone.targets[1].to_vec::<f32>().unwrap(), [4.0]);
}

#[test]
fn mixed_batches_do_not_depend_on_the_workers() {
    let mixed = MixedDataset::new(&flat(12), Mixing { mixup: 0.4, cutmix: 1.0, probability: 0.8 }).unwrap();
    let epoch = |workers, number| {
        let key = Key::new(3);
        let batching =
            Batching { batch_size: 5, workers, prefetch: workers - 1, shuffle: true, key, ..Batching::default() };
        let batches = batching.epoch(&mixed, number, &device()).unwrap();
        batches.flat_map(|batch| batch.unwrap().inputs[0].to_vec::<f32>().unwrap()).collect::<Vec<f32>>()
    };
    assert_eq!(epoch(1, 0), epoch(4, 0));
    assert_ne!(epoch(1, 0), epoch(1, 1));
}

#[test]
fn what_cannot_be_mixed_is_refused() {
    let rows = ArrayDataset::new(vec![Array::floats(vec![0.0; 8], [2, 4]).unwrap()], vec![]).unwrap();
    MixedDataset::new(&rows, Mixing::mixup(0.2)).unwrap();
    assert!(matches!(MixedDataset::new(&rows, Mixing::cutmix(1.0)), Err(Error::Shape(_))));
    for wrong in [Mixing::mixup(-1.0), Mixing::cutmix(f64::NAN), Mixing { probability: 2.0, ..Mixing::default() }] {
        assert!(matches!(MixedDataset::new(&rows, wrong), Err(Error::Argument(_))), "{wrong:?}");
    }
}

fn photographs() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for class in ["a", "b"] {
        fs::create_dir(folder.path().join(class)).unwrap();
        for i in 0..5u32 {
            let picture = RgbImage::from_fn(40, 30, |x, y| Rgb([(x * 6) as u8, (y * 8) as u8, (i * 50) as u8]));
            picture.save(folder.path().join(class).join(format!("{i}.png"))).unwrap();
        }
    }
    folder
}

#[test]
fn further_changes_come_first_and_are_functions_of_the_sample() {
    let folder = photographs();
    let options = FolderOptions { target_size: (24, 32), class_mode: ClassMode::Input, ..FolderOptions::default() };
    let data = ImageFolder::open(folder.path(), options).unwrap();
    let all = Augmented::new(data.clone(), Augmentation { horizontal_flip: true, ..Augmentation::default() })
        .and_then(|data| data.first(RandomResizedCrop::new(20, 18)))
        .and_then(|data| data.first(RandomCrop::new(16, 16, 2)))
        .and_then(|data| data.first(ColourJitter { brightness: 0.3, contrast: 0.3, saturation: 0.3, hue: 0.1 }))
        .and_then(|data| data.first(TrivialAugment::default()))
        .and_then(|data| data.first(RandAugment::default()))
        .and_then(|data| {
            data.erasing(RandomErasing { probability: 1.0, fill: EraseFill::Value(300.0), ..RandomErasing::default() })
        })
        .unwrap();
    assert_eq!(all.input_shapes(), [Shape::from([16, 16, 3])]);
    assert_eq!(all.target_shapes(), all.input_shapes());
    let context = BatchContext::new(Key::new(5), &device());
    let values = |samples: &[usize]| all.batch(samples, &context).unwrap().inputs[0].to_vec::<f32>().unwrap();
    let batch = values(&[3, 8, 0]);
    assert_eq!(batch[768..1536], values(&[8])[..]);
    assert_eq!(batch[..768], values(&[1, 3])[768..]);
    assert!(batch.contains(&300.0));
    assert_ne!(batch, {
        let other = BatchContext::new(Key::new(6), &device());
        all.batch(&[3, 8, 0], &other).unwrap().inputs[0].to_vec::<f32>().unwrap()
    });
    let refused = |result: Result<Augmented<ImageFolder>, Error>| assert!(matches!(result, Err(Error::Argument(_))));
    let new = || Augmented::new(data.clone(), Augmentation::default()).unwrap();
    refused(new().first(ColourJitter { hue: 0.7, ..ColourJitter::default() }));
    refused(new().erasing(RandomErasing { probability: -1.0, ..RandomErasing::default() }));
}
