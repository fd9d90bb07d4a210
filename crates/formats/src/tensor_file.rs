//! Named tensors with a text for each key of some metadata, as one safetensors file.

use safetensors::tensor::{Dtype, SafeTensors, View};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use striate_tensor::{DType, Device, Error, Result, Shape, Tensor, replace_file};

/// Writes float32 tensors under their names, all of it or nothing. Other element types are converted.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written; an old one is then as it was.
pub fn write_tensors<'a>(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = (String, &'a Tensor)>,
    metadata: HashMap<String, String>,
) -> Result<()> {
    let path = path.as_ref();
    let failed = |error: safetensors::SafeTensorError| {
        Error::data(path.display().to_string(), "tensors must fit the format", error.to_string(), "")
    };
    let mut views = Vec::new();
    for (name, tensor) in tensors {
        let numbers = match tensor.as_slice::<f32>() {
            Ok(here) => Cow::Borrowed(here),
            // Of another type, or on a device of its own.
            Err(_) => tensor.cast(DType::F32)?.to_vec::<f32>()?.into(),
        };
        views.push((name, Numbers { shape: tensor.shape().to_vec(), numbers }));
    }
    replace_file(path, &safetensors::serialize(views, Some(metadata)).map_err(failed)?)
}

/// A tensor whose bytes are made when the file takes them, so that no more than one exists a second time beside the file.
struct Numbers<'a> {
    shape: Vec<usize>,
    numbers: Cow<'a, [f32]>,
}

impl View for Numbers<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = Vec::with_capacity(self.data_len());
        self.numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        bytes.into()
    }
    fn data_len(&self) -> usize {
        4 * self.numbers.len()
    }
}

/// A safetensors file in memory, its header checked against its length.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    bytes: Vec<u8>,
    metadata: HashMap<String, String>,
    /// Name, shape and element type of each tensor.
    entries: Vec<(String, Vec<usize>, Dtype)>,
}

impl TensorFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Data`] if it is missing, damaged or of another format, [`Error::Io`] if the system refuses to read it.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let refuse = |rule: &str, received: &str| {
            Error::data(path.display().to_string(), rule, received, "give the path of a file that striate train wrote")
        };
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => refuse("the file must exist", "no such file"),
            _ => Error::io(path, "reading", error),
        };
        // A device or a pipe may never end.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(refuse("weights must be a regular file", "a folder or a device"));
        }
        let bytes = fs::read(path).map_err(failed)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| damaged(path, error))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| damaged(path, error))?;
        let entries = file.iter().map(|(name, view)| (name.to_string(), view.shape().to_vec(), view.dtype())).collect();
        let metadata = header.metadata().clone().unwrap_or_default();
        Ok(TensorFile { path: path.to_path_buf(), bytes, metadata, entries })
    }

    /// Where it was read from, for errors.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// The text of a metadata key.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// The names of the tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, ..)| name.as_str())
    }

    /// Numbers in all tensors together.
    pub fn elements(&self) -> usize {
        self.entries.iter().map(|(_, shape, _)| shape.iter().product::<usize>()).fold(0, usize::saturating_add)
    }

    /// Whether there is a tensor of that name.
    pub fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// The shape of a tensor.
    ///
    /// # Errors
    /// [`Error::Data`] if there is no such tensor or it has too many axes.
    pub fn shape(&self, name: &str) -> Result<Shape> {
        match self.entries.iter().find(|(known, ..)| known == name) {
            Some((_, shape, _)) => Shape::new(shape),
            None => Err(Error::data(self.name(), format!("the file must hold `{name}`"), "no such tensor", "")),
        }
    }

    /// A float32 tensor on a device.
    ///
    /// # Errors
    /// As [`TensorFile::shape`]; [`Error::Data`] for another element type.
    pub fn tensor(&self, name: &str, device: &Device) -> Result<Tensor> {
        let shape = self.shape(name)?;
        let file = SafeTensors::deserialize(&self.bytes).map_err(|error| damaged(&self.path, error))?;
        let view = file.tensor(name).map_err(|error| damaged(&self.path, error))?;
        if view.dtype() != Dtype::F32 {
            let received = format!("{:?}", view.dtype());
            return Err(Error::data(self.name(), format!("`{name}` must be float32"), received, ""));
        }
        let number = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        Tensor::from_vec(view.data().chunks_exact(4).map(number).collect(), shape, device)
    }
}

fn damaged(path: &Path, error: safetensors::SafeTensorError) -> Error {
    Error::data(
        path.display().to_string(),
        "the file must be a whole safetensors file",
        error.to_string(),
        "it may be truncated or of another format",
    )
}
