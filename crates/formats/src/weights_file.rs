//! Any file of weights, told apart by its content.

use crate::content::Content;
use crate::hdf5::{self, Group};
use crate::keras::{archive, h5_weights, vars_weights};
use crate::limits::open_file;
use crate::stored::{Bytes, Number, StoredTensor};
use crate::{npz, zip_archive};
use safetensors::tensor::{Dtype, Metadata};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use striate_tensor::{Error, Result};

/// The metadata key of the layers' config in a safetensors file.
pub(crate) const CONFIG: &str = "model_config";
/// The key of the classes' names, a JSON list.
pub(crate) const CLASSES: &str = "class_names";
/// The key of how a picture becomes an input.
pub(crate) const PREPROCESSING: &str = "preprocessing";

/// So many bytes of a file that is text are looked at.
const SHOWN_OF_TEXT: usize = 40;
/// A header of safetensors may have so many bytes.
const MAX_HEADER: usize = 100_000_000;

/// How a file is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// safetensors.
    Safetensors,
    /// NumPy's archive of arrays.
    Npz,
    /// HDF5 with `layer_names` and `weight_names`: `.h5` of every Keras.
    KerasH5,
    /// HDF5 with `layers/…/vars/0`: `.weights.h5` of Keras 3.
    KerasVars,
    /// A zip archive with a config and weights: `.keras`.
    KerasArchive,
    /// HDF5 of another program: tensors under the names of its groups.
    Hdf5,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Safetensors => "safetensors",
            Format::Npz => "npz",
            Format::KerasH5 => "Keras HDF5",
            Format::KerasVars => "Keras 3 weights",
            Format::KerasArchive => "Keras archive",
            Format::Hdf5 => "HDF5",
        })
    }
}

/// The tensors of one layer in a file.
#[derive(Debug, Clone)]
pub struct StoredLayer {
    /// The layer as the file names it: `conv2d_3`, `layers/functional/layers/conv2d`, `features.0`.
    pub name: String,
    /// Its tensors in the file's order.
    pub tensors: Vec<StoredTensor>,
    /// What stands between the two names: a point in PyTorch's.
    separator: char,
    /// The layer's path by its own name, where the file has both that and `name`.
    pub(crate) path: Option<String>,
}

impl StoredLayer {
    /// A layer whose names have slashes between them.
    pub(crate) fn new(name: String, tensors: Vec<StoredTensor>) -> Self {
        StoredLayer { name, tensors, separator: '/', path: None }
    }
}

/// What a file keeps of the training that it was saved in.
#[derive(Debug, Clone)]
pub struct TrainingState {
    /// Loss, metrics and optimizer as Keras writes them.
    pub config: Value,
    /// The optimizer's variables in its order; the first counts the steps.
    pub optimizer: Vec<StoredTensor>,
}

/// A file of weights, perhaps with the config of their model. The numbers are read when they are asked for.
#[derive(Debug)]
pub struct WeightsFile {
    pub(crate) name: String,
    pub(crate) format: Format,
    pub(crate) layers: Vec<StoredLayer>,
    /// The version of Keras that wrote it; `None` where no Keras did, or Keras 1 wrote weights alone.
    pub(crate) keras_version: Option<String>,
    pub(crate) backend: Option<String>,
    pub(crate) config: Option<Value>,
    pub(crate) training: Option<TrainingState>,
    pub(crate) class_names: Vec<String>,
    pub(crate) preprocessing: String,
}

impl WeightsFile {
    /// Reads a file. Its name plays no part: HDF5, zip and safetensors are known by their first bytes.
    ///
    /// # Errors
    /// [`Error::Data`] if it is missing, damaged or of another format, [`Error::Io`] if the system refuses to read it.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (file, len) = open_file(path)?;
        WeightsFile::of(&path.display().to_string(), Content::on_disk(file, len))
    }

    /// The same from a file's content; `name` is what errors call it.
    ///
    /// # Errors
    /// [`Error::Data`] if it is damaged or of another format.
    pub fn parse(name: &str, bytes: Vec<u8>) -> Result<Self> {
        WeightsFile::of(name, Content::in_memory(bytes))
    }

    fn of(name: &str, content: Content) -> Result<Self> {
        let failed = |error: io::Error| Error::io(Path::new(name), "reading", error);
        let start = content.read_up_to(0, 8).map_err(failed)?;
        if hdf5::is_hdf5(&start) {
            return WeightsFile::of_hdf5(name, hdf5::parse(name, content)?);
        }
        if zip_archive::is_zip(&start) {
            let bytes = content.into_bytes().map_err(failed)?;
            return if archive::is_keras(&bytes) {
                archive::read(name, &bytes)
            } else {
                WeightsFile::of_npz(name, &bytes)
            };
        }
        WeightsFile::of_safetensors(name, content)
    }

    pub(crate) fn empty(name: &str, format: Format) -> Self {
        WeightsFile {
            name: name.to_string(),
            format,
            layers: Vec::new(),
            keras_version: None,
            backend: None,
            config: None,
            training: None,
            class_names: Vec::new(),
            preprocessing: String::new(),
        }
    }

    fn of_hdf5(name: &str, root: Group) -> Result<Self> {
        if h5_weights::is_keras(&root) {
            return h5_weights::read(name, &root);
        }
        if vars_weights::is_keras(&root) {
            let mut file = WeightsFile::empty(name, Format::KerasVars);
            vars_weights::read(&root, &mut file);
            return Ok(file);
        }
        let mut file = WeightsFile::empty(name, Format::Hdf5);
        let all = root.all_tensors().into_iter().map(|(path, tensor)| (path, tensor.clone())).collect();
        file.layers = by_layer(all);
        Ok(file)
    }

    fn of_npz(name: &str, bytes: &[u8]) -> Result<Self> {
        let mut file = WeightsFile::empty(name, Format::Npz);
        let arrays = npz::parse(name, bytes)?;
        file.layers = by_layer(arrays.into_iter().map(|array| (array.name().to_string(), array)).collect());
        Ok(file)
    }

    fn of_safetensors(name: &str, content: Content) -> Result<Self> {
        let damaged = |received: String| {
            Error::data(
                name,
                "the file must be a whole safetensors, HDF5, .keras or .npz file",
                received,
                "it may be truncated or of another format",
            )
        };
        let failed = |error: io::Error| Error::io(Path::new(name), "reading", error);
        // Eight bytes tell the size of the header, which tells where each tensor lies behind it.
        let start = content.read_up_to(0, 8).map_err(failed)?;
        let size = <[u8; 8]>::try_from(start.as_slice()).map(u64::from_le_bytes).ok();
        let size = size.and_then(|size| usize::try_from(size).ok()).filter(|&size| size <= MAX_HEADER);
        let size = size.filter(|&size| content.holds(8, size as u64));
        let Some(size) = size else {
            return Err(damaged(what_it_is(&content.read_up_to(0, SHOWN_OF_TEXT).map_err(failed)?)));
        };
        let header = content.read_up_to(8, size).map_err(failed)?;
        let header: Metadata = serde_json::from_slice(&header).map_err(|error| damaged(error.to_string()))?;
        let first = 8 + size;
        if header.data_len().checked_add(first) != Some(content.len()) {
            return Err(damaged(format!("{} bytes for tensors of {}", content.len() - first, header.data_len())));
        }
        let content = Arc::new(content);
        let mut tensors = Vec::new();
        for key in header.offset_keys() {
            let Some(info) = header.info(&key) else { continue };
            let Some(number) = number(info.dtype) else { continue };
            let region = Bytes::Region(content.clone(), (first + info.data_offsets.0) as u64);
            tensors.push((key.clone(), StoredTensor::new(&key, info.shape.clone(), number, false, region)));
        }
        let mut file = WeightsFile::empty(name, Format::Safetensors);
        file.layers = by_layer(tensors);
        let metadata = header.metadata().clone().unwrap_or_default();
        let parse = |text: &String| -> Result<Value> {
            serde_json::from_str(text)
                .map_err(|error| Error::data(name, "metadata must be JSON", error.to_string(), ""))
        };
        file.config = metadata.get(CONFIG).map(parse).transpose()?;
        if let Some(classes) = metadata.get(CLASSES).map(parse).transpose()? {
            file.class_names = names(&classes);
        }
        file.preprocessing = metadata.get(PREPROCESSING).cloned().unwrap_or_default();
        Ok(file)
    }

    /// Where it was read from, for errors.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the file is built.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The version of Keras that wrote the file, where it says so.
    pub fn keras_version(&self) -> Option<&str> {
        self.keras_version.as_deref()
    }

    /// The layers that have tensors, in the file's order.
    pub fn layers(&self) -> &[StoredLayer] {
        &self.layers
    }

    /// The config of the model as the file has it, in the words of the Keras that wrote it.
    pub fn model_config(&self) -> Option<&Value> {
        self.config.as_ref()
    }

    /// The training that the model was saved in, if the file keeps it.
    pub fn training(&self) -> Option<&TrainingState> {
        self.training.as_ref()
    }

    /// The tensor of a full name, `layer/tensor` as the file spells both.
    pub fn tensor(&self, name: &str) -> Option<&StoredTensor> {
        self.tensors().find(|(full, _)| full == name).map(|(_, tensor)| tensor)
    }

    /// All tensors with their full names.
    pub fn tensors(&self) -> impl Iterator<Item = (String, &StoredTensor)> {
        self.layers.iter().flat_map(|layer| layer.tensors.iter().map(|tensor| (full_name(layer, tensor), tensor)))
    }

    /// Numbers in all tensors together.
    pub fn elements(&self) -> usize {
        self.tensors().map(|(_, tensor)| tensor.elements()).fold(0, usize::saturating_add)
    }

    /// Whether Keras 1, 2 or tf.keras wrote it: some words had another meaning then.
    pub(crate) fn is_before_keras_3(&self) -> bool {
        match &self.keras_version {
            Some(version) => version.starts_with("1.") || version.starts_with("2."),
            None => self.format == Format::KerasH5,
        }
    }

    /// Whether Keras 1 wrote it, or weights of an unknown Keras, which then was the first.
    pub(crate) fn is_keras_1(&self) -> bool {
        match &self.keras_version {
            Some(version) => version.starts_with("1."),
            None => self.format == Format::KerasH5,
        }
    }
}

/// `layer/tensor`, without the layer's name twice.
pub(crate) fn full_name(layer: &StoredLayer, tensor: &StoredTensor) -> String {
    let separator = layer.separator;
    match (layer.name.as_str(), tensor.name()) {
        ("", name) => name.to_string(),
        (layer, name) if name.strip_prefix(layer).is_some_and(|rest| rest.starts_with(separator)) => name.to_string(),
        (layer, name) => format!("{layer}{separator}{name}"),
    }
}

pub(crate) fn names(list: &Value) -> Vec<String> {
    list.as_array().map(|list| list.iter().filter_map(|n| n.as_str().map(str::to_string)).collect()).unwrap_or_default()
}

/// Tensors with full names, gathered by what stands before the last slash, or the last point where there is no slash.
/// What a file is that begins with these bytes and is no model.
fn what_it_is(start: &[u8]) -> String {
    if start.is_empty() {
        return "an empty file".into();
    }
    // A letter of several bytes may be cut in two.
    let whole = match std::str::from_utf8(start) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&start[..error.valid_up_to()]).ok(),
        Err(_) => None,
    };
    let is_text = |text: &&str| text.chars().all(|letter| !letter.is_control() || "\n\r\t".contains(letter));
    match whole.filter(is_text) {
        Some(text) => format!("text, which begins with `{}`", text.lines().next().unwrap_or_default()),
        None => "no header of safetensors".into(),
    }
}

fn by_layer(tensors: Vec<(String, StoredTensor)>) -> Vec<StoredLayer> {
    let mut layers: Vec<StoredLayer> = Vec::new();
    let mut index = std::collections::HashMap::new();
    let mut seen = BTreeSet::new();
    for (name, tensor) in tensors {
        if !seen.insert(name.clone()) {
            continue;
        }
        let separator = if name.contains('/') { '/' } else { '.' };
        let (layer, own) = name.rsplit_once(separator).unwrap_or(("", &name));
        let at = *index.entry(layer.to_string()).or_insert_with(|| {
            layers.push(StoredLayer { name: layer.to_string(), tensors: Vec::new(), separator, path: None });
            layers.len() - 1
        });
        layers[at].tensors.push(tensor.renamed(own));
    }
    layers
}

fn number(dtype: Dtype) -> Option<Number> {
    Some(match dtype {
        Dtype::F16 => Number::F16,
        Dtype::BF16 => Number::Bf16,
        Dtype::F32 => Number::F32,
        Dtype::F64 => Number::F64,
        Dtype::I8 => Number::Signed(1),
        Dtype::I16 => Number::Signed(2),
        Dtype::I32 => Number::Signed(4),
        Dtype::I64 => Number::Signed(8),
        Dtype::U8 | Dtype::BOOL => Number::Unsigned(1),
        Dtype::U16 => Number::Unsigned(2),
        Dtype::U32 => Number::Unsigned(4),
        Dtype::U64 => Number::Unsigned(8),
        _ => return None,
    })
}
