//! MNIST: 70,000 handwritten digits.

use crate::array::Array;
use crate::array_dataset::ArrayDataset;
use crate::idx::{self, Idx};
use crate::locate::locate;
use md5::{Digest, Md5};
use std::path::{Path, PathBuf};
use std::thread;
use striate_tensor::{Error, Result, Shape};

/// Pixels along a side.
const SIDE: usize = 28;
const CLASSES: usize = 10;

/// A file's name without `.gz`, the sizes of its content, and the content's md5.
struct Part {
    file: &'static str,
    shape: &'static [usize],
    md5: &'static str,
}

const TRAIN: [Part; 2] = [
    Part { file: "train-images-idx3-ubyte", shape: &[60_000, SIDE, SIDE], md5: "6bbc9ace898e44ae57da46a324031adb" },
    Part { file: "train-labels-idx1-ubyte", shape: &[60_000], md5: "a25bea736e30d166cdddb491f175f624" },
];
const TEST: [Part; 2] = [
    Part { file: "t10k-images-idx3-ubyte", shape: &[10_000, SIDE, SIDE], md5: "2646ac647ad5339dbf082846283269ea" },
    Part { file: "t10k-labels-idx1-ubyte", shape: &[10_000], md5: "27ae3e4e09519cfbb04c329615203637" },
];

/// Handwritten digits by Y. LeCun, C. Cortes and C. Burges (<http://yann.lecun.com/exdb/mnist/>, CC BY-SA 3.0).
///
/// Inputs are (28, 28, 1), float32 in 0..1, white ink on black; targets are one-hot, (10). In memory the pixels stay bytes:
/// 55 MB in all.
#[derive(Debug, Clone)]
pub struct Mnist {
    /// 60,000 digits to train on.
    pub train: ArrayDataset,
    /// 10,000 digits by other writers, to test with.
    pub test: ArrayDataset,
}

impl Mnist {
    /// Loads the digits from the first place that [`locate`] finds: `$STRIATE_DATA/mnist`, the user's cache folder,
    /// `datasets/mnist`.
    ///
    /// # Errors
    /// As [`Mnist::load_from`], and [`Error::Data`] if no place has them.
    ///
    /// ```
    /// use striate_data::{Dataset, Mnist};
    /// let mnist = Mnist::load()?;
    /// assert_eq!(mnist.train.inputs()[0].shape().to_string(), "(60000, 28, 28, 1)");
    /// assert_eq!(mnist.test.target_shapes()[0].to_string(), "(10,)");
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn load() -> Result<Self> {
        Mnist::load_from_folder(&locate(None, "mnist")?)
    }

    /// Loads the digits from a folder, or from its subfolder `mnist`: the four canonical files, compressed with gzip or not.
    ///
    /// # Errors
    /// [`Error::Data`] naming the file that is missing, malformed, of other sizes, or whose content has another md5;
    /// [`Error::Io`] if the system refuses to read it.
    pub fn load_from(folder: impl AsRef<Path>) -> Result<Self> {
        Mnist::load_from_folder(&locate(Some(folder.as_ref()), "mnist")?)
    }

    fn load_from_folder(folder: &Path) -> Result<Self> {
        // Unpacking takes most of the time, so the smaller set is unpacked meanwhile.
        let (train, test) = thread::scope(|scope| {
            let test = scope.spawn(|| load_set(folder, &TEST));
            (load_set(folder, &TRAIN), test.join())
        });
        let test = test.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok(Mnist { train: train?, test: test? })
    }
}

fn load_set(folder: &Path, [images, labels]: &[Part; 2]) -> Result<ArrayDataset> {
    let (pixels, classes) = (images.read(folder)?, labels.read(folder)?);
    pixels.check_labels(&classes)?;
    images.verify(&pixels)?;
    labels.verify(&classes)?;
    let samples = pixels.samples();
    let inputs = Array::bytes(pixels.data, [samples, SIDE, SIDE, 1], 255.0)?;
    let targets = Array::one_hot(&classes.data, CLASSES)?;
    let names = (0..CLASSES).map(|digit| digit.to_string()).collect();
    ArrayDataset::new(vec![inputs], vec![targets])?.with_class_names(names)
}

impl Part {
    /// The file, compressed or not.
    fn path(&self, folder: &Path) -> PathBuf {
        let compressed = folder.join(format!("{}.gz", self.file));
        let plain = folder.join(self.file);
        if !compressed.exists() && plain.exists() { plain } else { compressed }
    }

    fn read(&self, folder: &Path) -> Result<Idx> {
        let path = self.path(folder);
        if !path.exists() {
            return Err(Error::data(
                path.display().to_string(),
                "MNIST needs this file",
                "no such file",
                "run striate data download mnist",
            ));
        }
        idx::read(&path)
    }

    /// Refuses content of other sizes or with another md5.
    fn verify(&self, idx: &Idx) -> Result<()> {
        let hint = "run striate data download mnist";
        let shape = Shape::new(self.shape)?;
        if idx.shape != shape {
            return Err(Error::data(&idx.name, format!("MNIST's file has sizes {shape}"), idx.shape.to_string(), hint));
        }
        let mut hash = Md5::new();
        hash.update(idx.header());
        hash.update(&idx.data);
        let md5: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if md5 != self.md5 {
            return Err(Error::data(&idx.name, format!("the content's md5 must be {}", self.md5), md5, hint));
        }
        Ok(())
    }
}
