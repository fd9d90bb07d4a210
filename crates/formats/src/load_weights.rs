//! Weights of a file into a model that is there already.

use crate::layer_tree::LayerNode;
use crate::load_report::{LoadReport, Matched, Mismatched};
use crate::matching::{Pair, pair};
use crate::renaming::Renaming;
use crate::weights_file::{Format, WeightsFile};
use std::collections::HashSet;
use std::path::Path;
use striate_nn::Model;
use striate_tensor::{Device, Error, Result, Shape, Tensor};

/// How weights are found and what may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Layers are found by their names alone, and those that the file does not have stay as they are: Keras's `by_name`.
    /// Without it, the file must have every weight, and layers of Keras's HDF5 files are found in order if their names differ.
    pub by_name: bool,
    /// Weights whose tensor has another shape, or whose layer has another number of tensors, stay as they are instead of being an
    /// error: Keras's `skip_mismatch`.
    pub skip_mismatch: bool,
    /// Each weight is set as soon as it is read, which takes half the memory; if one cannot be read, the model is left with some of the
    /// new weights. For models that are dropped then.
    pub in_place: bool,
    /// Whether kernels are those of true convolutions, as Theano computed them, and have to be turned. `None` believes the file,
    /// in which Keras 1 says nothing about it.
    pub theano_kernels: Option<bool>,
    /// Other names for the file's layers (Keras) or tensors (all else).
    pub renaming: Renaming,
}

/// Takes over the weights of a file of any format: all that the model has, found by path, Keras's name or Keras's order.
///
/// # Errors
/// [`Error::Data`] if the file is missing or damaged; [`Error::Model`] naming all weights that are missing or have another shape. The
/// model is then as it was.
pub fn load_weights(model: &mut Model, path: impl AsRef<Path>) -> Result<LoadReport> {
    load_weights_with(model, path, &LoadOptions::default())
}

/// [`load_weights`] with options.
///
/// # Errors
/// As [`load_weights`].
pub fn load_weights_with(model: &mut Model, path: impl AsRef<Path>, options: &LoadOptions) -> Result<LoadReport> {
    WeightsFile::read(path)?.load_into(model, options)
}

impl WeightsFile {
    /// Sets the weights of a model from the file, and tells what became of each tensor.
    ///
    /// # Errors
    /// As [`load_weights`].
    pub fn load_into(&self, model: &mut Model, options: &LoadOptions) -> Result<LoadReport> {
        let tree = LayerNode::as_listed(model, self.config.as_ref());
        let pairing = pair(&tree, self, options);
        let mut report = LoadReport::default();
        let mut fitting = Vec::new();
        let mut paired = HashSet::new();
        let mut used = HashSet::new();
        for pair in &pairing.pairs {
            paired.insert(pair.weight.path.as_str());
            used.insert(std::ptr::from_ref(pair.tensor));
            let found = pair.steps.iter().fold(pair.tensor.shape().to_vec(), |shape, step| step.shape(&shape));
            if found == pair.weight.shape.as_slice() {
                fitting.push(pair);
            } else {
                report.mismatched.push(Mismatched {
                    weight: pair.weight.path.clone(),
                    tensor: pair.full_name.clone(),
                    wanted: pair.weight.shape,
                    found: pair.tensor.shape().to_vec(),
                });
            }
        }
        let all = tree.all_weights();
        report.missing.extend(all.iter().filter(|w| !paired.contains(w.path.as_str())).map(|w| w.path.clone()));
        for layer in &self.layers {
            for tensor in layer.tensors.iter().filter(|tensor| !used.contains(&std::ptr::from_ref(*tensor))) {
                report.unexpected.push(crate::weights_file::full_name(layer, tensor));
            }
        }
        let is_strict_list = self.format == Format::KerasH5 && !options.by_name;
        self.judge(&report, &pairing.conflicts, options, is_strict_list)?;
        let device = model.device().clone();
        let mut values = Vec::new();
        if !options.in_place {
            // All are read before any is set, so that an error leaves the model as it was.
            values = fitting.iter().map(|pair| read(pair, &device)).collect::<Result<Vec<_>>>()?;
        }
        let mut values = values.into_iter();
        for pair in fitting {
            let value = values.next().map_or_else(|| read(pair, &device), Ok)?;
            model.set_weight(&pair.weight.path, &value)?;
            let changed: Vec<String> = pair.steps.iter().map(ToString::to_string).collect();
            report.matched.push(Matched {
                weight: pair.weight.path.clone(),
                tensor: pair.full_name.clone(),
                changed: changed.join(", "),
            });
        }
        Ok(report)
    }

    /// An error if the report has what the options do not allow.
    fn judge(&self, report: &LoadReport, conflicts: &[String], options: &LoadOptions, is_strict: bool) -> Result<()> {
        let mut wrong = Vec::new();
        if !options.by_name && !options.skip_mismatch {
            wrong.extend(report.missing.iter().map(|weight| format!("{weight} is missing")));
        }
        if !options.skip_mismatch {
            wrong.extend(conflicts.iter().cloned());
            wrong.extend(report.mismatched.iter().map(|m| {
                let found = Shape::new(&m.found).map_or_else(|_| format!("{:?}", m.found), |shape| shape.to_string());
                format!("{} has shape {found} instead of {}", m.weight, m.wanted)
            }));
            if is_strict && !report.unexpected.is_empty() {
                wrong.push(format!("the model has no {}", report.unexpected.join(", ")));
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let held: Vec<String> = self.tensors().map(|(name, _)| name).take(8).collect();
        Err(Error::model(
            self.name.clone(),
            "the file must hold every weight of the model",
            wrong.join(", "),
            format!("the file holds {}", held.join(", ")),
        ))
    }
}

fn read(pair: &Pair<'_>, device: &Device) -> Result<Tensor> {
    if pair.steps.is_empty() {
        return pair.tensor.to_tensor(device);
    }
    let start = (pair.tensor.to_f32()?, pair.tensor.shape().to_vec());
    let (values, shape) =
        pair.steps.iter().fold(start, |(values, shape), step| (step.apply(values, &shape), step.shape(&shape)));
    Tensor::from_vec(values, Shape::new(&shape)?, device)
}
