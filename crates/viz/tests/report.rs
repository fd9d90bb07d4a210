//! The page of a run from the library: a network on pictures, and a head on features.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use striate_data::{Array, ArrayDataset, Dataset, PixelValues};
use striate_formats::ModelFile;
use striate_nn::layers::*;
use striate_nn::{BuildOptions, Model, Sequential};
use striate_optim::Adam;
use striate_tensor::Activation::Relu;
use striate_tensor::{Device, Key};
use striate_train::loss::CategoricalCrossentropy;
use striate_train::metric::Accuracy;
use striate_train::{Compile, Fit, History, Progress};
use striate_viz::report::{Diary, Ending, Pins, begin, end, report};
use striate_viz::{Answers, Subject};

const CLASSES: usize = 3;

/// One for all: tensors of two devices do not mix, even if both are the reference.
static DEVICE: LazyLock<Device> = LazyLock::new(striate_testkit::reference::device);

/// Pictures of 8×8 pixels whose class is the third that is bright.
fn pictures(samples: usize) -> ArrayDataset {
    let mut stream = Key::new(5).stream();
    let labels: Vec<u8> = (0..samples).map(|i| (i % CLASSES) as u8).collect();
    let pixels = labels.iter().flat_map(|&label| {
        (0..64).map(move |i| if i / 8 / CLASSES == usize::from(label) { 0.8 } else { 0.1 }).collect::<Vec<f32>>()
    });
    let pixels: Vec<f32> = pixels.map(|pixel: f32| pixel + 0.1 * stream.uniform() as f32).collect();
    let inputs = Array::floats(pixels, [samples, 8, 8, 1]).unwrap();
    let data = ArrayDataset::new(vec![inputs], vec![Array::one_hot(&labels, CLASSES).unwrap()]).unwrap();
    data.with_class_names(["top", "<middle>", "bottom"].map(str::to_string).to_vec()).unwrap()
}

fn network() -> Model {
    Sequential::new([8, 8, 1])
        .add(Conv2D::new(4, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Flatten)
        .add(Dense::new(CLASSES).activation(striate_nn::Activation::Softmax))
        .build_on(&BuildOptions { seed: 1, ..BuildOptions::on(&DEVICE) })
        .unwrap()
}

/// Trains for so many epochs with a diary; gives the history.
fn train(
    model: &mut Model,
    folder: &Path,
    seen: &dyn Dataset,
    pictures: &dyn Dataset,
    epochs: usize,
) -> (History, Pins) {
    let pins = Pins::choose(pictures, seen, PixelValues::Rescale(1.0 / 255.0), &DEVICE).unwrap();
    let mut training = model.compile(Adam::new(0.01), CategoricalCrossentropy, [Accuracy]).unwrap();
    let fit = Fit {
        epochs,
        batch_size: 6,
        checkpoint: Some(folder.join("checkpoint")),
        resume: true,
        progress: Progress::Silent,
        callbacks: vec![Box::new(Diary::new(folder, pins.clone()))],
        ..Fit::default()
    };
    (training.fit(seen, fit).unwrap(), pins)
}

fn note(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join("report").join(name)).unwrap()
}

#[test]
fn a_run_that_goes_on_has_the_diary_of_one_that_was_never_stopped() {
    let data = pictures(30);
    let [whole, parted] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    for folder in [&whole, &parted] {
        begin(folder.path(), "thirds", "striate train thirds", "1.0", &network()).unwrap();
    }
    let (history, pins) = train(&mut network(), whole.path(), &data, &data, 3);
    assert_eq!((pins.len(), pins.classes.clone()), (4, vec![0, 1, 2, 0]));
    train(&mut network(), parted.path(), &data, &data, 1);
    // A page that was written after the last checkpoint is done anew.
    fs::write(parted.path().join("report/epoch-00002.json"), "{}").unwrap();
    let mut model = network();
    train(&mut model, parted.path(), &data, &data, 3);
    for name in ["pins.json", "epoch-00000.json", "epoch-00001.json", "epoch-00002.json", "epoch-00003.json"] {
        assert_eq!(note(whole.path(), name), note(parted.path(), name), "{name}");
    }
    // Not over: what there is.
    let page = report(parted.path()).unwrap();
    assert!(page.contains("a run that is not over") && page.contains("data-epochs=\"0,1,2,3\""));
    assert!(page.contains("&lt;middle&gt;") && !page.contains("<middle>"));

    let file = ModelFile {
        model: model.clone(),
        class_names: data.class_names().to_vec(),
        preprocessing: "photograph 8x8 bilinear grey rescale=1/255".into(),
    };
    let Ok(subject) = Subject::of_file(file) else { panic!("a model for grey pictures") };
    let mut answers = Answers::default();
    let mut training = model.compile(Adam::new(0.01), CategoricalCrossentropy, [Accuracy]).unwrap();
    let watch = |batch: &striate_data::Batch, output: &striate_tensor::Tensor| answers.add(output, &batch.targets[0]);
    let test = training.evaluate_watched(&data, 7, None, Progress::Silent, watch).unwrap();
    assert_eq!(test.get("accuracy"), Some(answers.accuracy()));
    let ending = Ending { subject: &subject, pins: Some(&pins), pictures: &data, answers: &answers, test: &test };
    end(parted.path(), &ending).unwrap();
    history.write_csv(parted.path().join("history.csv")).unwrap();
    let page = report(parted.path()).unwrap();
    for part in ["Which class is taken for which", "expected calibration error", "Where it looks", "randomisation"] {
        assert!(page.contains(part), "{part}");
    }
    // A run that begins anew in the same folder has nothing of the old one.
    fs::remove_file(parted.path().join("checkpoint")).unwrap();
    train(&mut network(), parted.path(), &data, &data, 1);
    let page = report(parted.path()).unwrap();
    assert!(page.contains("data-epochs=\"0,1\"") && !page.contains("Where it looks"));
}

#[test]
fn a_head_on_features_has_a_diary_of_its_answers() {
    let data = pictures(12);
    let base = Sequential::new([8, 8, 1]).add(Conv2D::new(4, 3)).add(GlobalAveragePooling2D::new());
    let base = base.build_on(&BuildOptions { seed: 1, ..BuildOptions::on(&DEVICE) }).unwrap();
    let features = striate_train::features(&base, &data, 5, Progress::Silent).unwrap();
    let head = Sequential::new([4]).add(Dense::new(CLASSES).activation(striate_nn::Activation::Softmax));
    let mut head = head.build_on(&BuildOptions::on(&DEVICE)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    begin(folder.path(), "head", "striate train head", "1.0", &head).unwrap();
    train(&mut head, folder.path(), &features, &data, 2);
    let page = report(folder.path()).unwrap();
    assert!(page.contains("Diary") && !page.contains("Responses") && !page.contains("Kernels of"));
    assert_eq!(page.matches("class=\"pin\"").count(), 4);
    assert!(Pins::choose(&data, &features.take(5), PixelValues::default(), &DEVICE).is_err());
}
