//! Golden files: arrays that another program computed, committed as JSON.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use striate_tensor::{DType, Device, Error, Result, Shape, Tensor};

/// Named arrays of one golden file.
///
/// The file is a JSON object, `{"name": {"shape": [2, 3], "values": [0.5, …]}, …}`, values row-major. The script that
/// wrote it is committed beside it.
#[derive(Debug, Clone)]
pub struct Golden {
    path: PathBuf,
    arrays: BTreeMap<String, (Shape, Vec<f64>)>,
}

impl Golden {
    /// Reads a golden file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Data`] if it breaks the format.
    pub fn load(path: impl AsRef<Path>) -> Result<Golden> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|error| Error::io(path, "reading", error))?;
        let refuse = |rule: &str, received: String| Error::data(path.display().to_string(), rule, received, "");
        let json: Value =
            serde_json::from_str(&text).map_err(|error| refuse("a golden file must be JSON", error.to_string()))?;
        let named =
            json.as_object().ok_or_else(|| refuse("a golden file must be an object", "another value".into()))?;
        let mut arrays = BTreeMap::new();
        for (name, array) in named {
            let array = parse(array).ok_or_else(|| {
                refuse("an array must have a shape and as many values as that says", format!("array {name}"))
            })?;
            arrays.insert(name.clone(), array);
        }
        Ok(Golden { path: path.to_path_buf(), arrays })
    }

    /// The names of all arrays, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }

    /// The shape and the values of one array.
    ///
    /// # Errors
    /// [`Error::Data`] if there is none of that name.
    pub fn array(&self, name: &str) -> Result<(&Shape, &[f64])> {
        self.arrays.get(name).map(|(shape, values)| (shape, &values[..])).ok_or_else(|| {
            let names = self.names().collect::<Vec<_>>().join(", ");
            Error::data(
                self.path.display().to_string(),
                "an array must be in the file",
                name,
                format!("there are {names}"),
            )
        })
    }

    /// One array as a tensor.
    ///
    /// # Errors
    /// As [`Golden::array`], and what the device reports.
    pub fn tensor(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        let (shape, values) = self.array(name)?;
        Tensor::from_vec(values.to_vec(), *shape, device)?.cast(dtype)
    }

    /// Holds a tensor to one array: |got − want| ≤ `tolerance`·(1 + |want|) for every element.
    ///
    /// # Errors
    /// A text naming the element that is furthest off and both values.
    pub fn compare(&self, name: &str, got: &Tensor, tolerance: f64) -> Result<(), String> {
        let (shape, want) = self.array(name).map_err(|error| error.to_string())?;
        if got.shape() != shape {
            return Err(format!("{name}: shape {}, the golden file has {shape}", got.shape()));
        }
        let got = got.to_f64_vec().map_err(|error| error.to_string())?;
        // NaN counts as infinitely far.
        let off = |i: usize| {
            let off = (got[i] - want[i]).abs() / (1.0 + want[i].abs());
            if off.is_nan() { f64::INFINITY } else { off }
        };
        match (0..got.len()).max_by(|&i, &j| off(i).total_cmp(&off(j))) {
            Some(i) if off(i) > tolerance => Err(format!(
                "{name}: element {i} is {:e}, the golden file has {:e}; off by {:e}, allowed {tolerance:e}",
                got[i],
                want[i],
                off(i)
            )),
            _ => Ok(()),
        }
    }
}

fn parse(array: &Value) -> Option<(Shape, Vec<f64>)> {
    let sizes = array.get("shape")?.as_array()?.iter().map(|size| usize::try_from(size.as_u64()?).ok());
    let shape = Shape::new(&sizes.collect::<Option<Vec<usize>>>()?).ok()?;
    let values = array.get("values")?.as_array()?.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>()?;
    (values.len() == shape.elements()).then_some((shape, values))
}
