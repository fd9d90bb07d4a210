//! MNIST as it is shipped, and what happens to a damaged copy of it.

use std::fs;
use std::path::{Path, PathBuf};
use striate_data::{BatchContext, Dataset, Mnist, locate};
use striate_tensor::{Error, Key, Shape};

fn shipped() -> PathBuf {
    locate(None, "mnist").unwrap()
}

/// A copy of the files in a folder of its own.
fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(shipped()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

fn refused(folder: &Path, words: &[&str]) {
    let error = Mnist::load_from(folder).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Data(_)), "{error:?}");
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

#[test]
fn digits_are_served_as_the_lecture_prepares_them() {
    let mnist = Mnist::load().unwrap();
    assert_eq!((mnist.train.len(), mnist.test.len()), (60_000, 10_000));
    assert_eq!(mnist.train.inputs()[0].shape(), Shape::from([60_000, 28, 28, 1]));
    assert_eq!(mnist.test.target_shapes(), [Shape::from([10])]);
    assert_eq!(mnist.test.class_names()[7], "7");

    let context = BatchContext::new(Key::new(0), &striate_testkit::reference::device());
    let batch = mnist.train.batch(&[0, 59_999], &context).unwrap();
    assert_eq!(*batch.inputs[0].shape(), Shape::from([2, 28, 28, 1]));
    // The first training digit is the well-known 5, the last one an 8.
    let labels = batch.targets[0].to_vec::<f32>().unwrap();
    assert_eq!((labels[5], labels[18], labels.iter().sum::<f32>()), (1.0, 1.0, 2.0));
    // Row 5 of that 5 starts 3, 18, 18, 18, 126, 136 at column 12.
    let pixels = batch.inputs[0].to_vec::<f32>().unwrap();
    let row: Vec<f32> = [0.0, 3.0, 18.0, 18.0, 18.0, 126.0, 136.0].map(|v| v / 255.0).to_vec();
    assert_eq!(pixels[5 * 28 + 11..][..7], row);
    assert!(pixels.iter().all(|v| (0.0..=1.0).contains(v)));
    // The mean over the training set is a known number, 0.1307.
    let all: Vec<usize> = (0..60_000).collect();
    let total: f64 = all
        .chunks(5000)
        .map(|chunk| mnist.train.batch(chunk, &context).unwrap().inputs[0].to_f64_vec().unwrap().iter().sum::<f64>())
        .sum();
    assert!((total / (60_000.0 * 784.0) - 0.1307).abs() < 5e-5);
}

#[test]
fn a_plain_copy_is_as_good() {
    let folder = copy();
    let name = "t10k-labels-idx1-ubyte";
    let labels = striate_data::idx::read(folder.path().join(format!("{name}.gz"))).unwrap();
    fs::write(folder.path().join(name), [labels.header(), labels.data].concat()).unwrap();
    fs::remove_file(folder.path().join(format!("{name}.gz"))).unwrap();
    assert_eq!(Mnist::load_from(folder.path()).unwrap().test.len(), 10_000);
}

#[test]
fn each_damage_names_its_file() {
    let folder = copy();
    let [images, labels] = ["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"].map(|f| folder.path().join(f));
    let good = fs::read(&images).unwrap();

    fs::remove_file(&images).unwrap();
    refused(folder.path(), &["t10k-images", "no such file", "striate data download mnist"]);
    fs::write(&images, &good[..good.len() / 2]).unwrap();
    refused(folder.path(), &["t10k-images"]);
    fs::write(&images, b"<html>not found</html>").unwrap();
    refused(folder.path(), &["t10k-images", "magic number"]);
    fs::copy(folder.path().join("train-labels-idx1-ubyte.gz"), &labels).unwrap();
    fs::write(&images, &good).unwrap();
    refused(folder.path(), &["t10k-labels", "labels (60000,) for images (10000, 28, 28)"]);

    // One label changed: right in every way but its md5.
    let mut changed = striate_data::idx::read(shipped().join("t10k-labels-idx1-ubyte.gz")).unwrap();
    changed.data[77] ^= 1;
    fs::write(&labels, [changed.header(), changed.data].concat()).unwrap();
    refused(folder.path(), &["t10k-labels", "md5 must be 27ae3e4e09519cfbb04c329615203637"]);
    refused(&folder.path().join("none"), &["none", "no such folder"]);
}
