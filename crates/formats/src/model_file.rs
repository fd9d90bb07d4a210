//! Models as safetensors files.

use crate::tensor_file::{TensorFile, write_tensors};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use striate_nn::{BuildOptions, Model, Registry};
use striate_tensor::{Device, Error, Result, Tensor};

/// The metadata key of the layers' config.
const CONFIG: &str = "model_config";
/// The metadata key of the classes' names, a JSON list.
const CLASSES: &str = "class_names";
/// The metadata key of [`ModelFile::preprocessing`].
const PREPROCESSING: &str = "preprocessing";

/// A model and what its file says about it.
#[derive(Debug, Clone)]
pub struct ModelFile {
    /// The model.
    pub model: Model,
    /// The classes' names by index; empty if there are none.
    pub class_names: Vec<String>,
    /// How a picture becomes an input: `digit` for MNIST's way; empty if that is not known.
    pub preprocessing: String,
}

impl ModelFile {
    /// A model about which nothing else is known.
    pub fn of(model: Model) -> Self {
        ModelFile { model, class_names: Vec::new(), preprocessing: String::new() }
    }
}

/// Writes a model with its config and what is known about it.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written; an old one is then as it was.
pub fn save(file: &ModelFile, path: impl AsRef<Path>) -> Result<()> {
    let metadata = HashMap::from([
        ("format".to_string(), "striate".to_string()),
        (CONFIG.to_string(), file.model.graph().to_json().to_string()),
        (CLASSES.to_string(), json!(file.class_names).to_string()),
        (PREPROCESSING.to_string(), file.preprocessing.clone()),
    ]);
    write_tensors(path, file.model.weights().map(|(spec, value)| (spec.path.clone(), value)), metadata)
}

/// Reads a model that [`save`] wrote.
///
/// # Errors
/// [`Error::Data`] if the file is missing, damaged or of another kind, [`Error::Io`] if it cannot be read, [`Error::Model`] if it
/// names layers that `registry` does not know or lacks a weight.
pub fn load(path: impl AsRef<Path>, registry: &Registry, device: &Device) -> Result<ModelFile> {
    let file = TensorFile::read(path)?;
    let config = file.metadata(CONFIG).ok_or_else(|| {
        Error::data(
            file.name(),
            format!("a model file must hold `{CONFIG}` in its metadata"),
            "weights only",
            "give the file to --weights of a recipe instead",
        )
    })?;
    let parse = |text: &str| -> Result<Value> {
        serde_json::from_str(text)
            .map_err(|error| Error::data(file.name(), "metadata must be JSON", error.to_string(), ""))
    };
    let graph = registry.graph_from_json(&parse(config)?)?;
    // A damaged config must not make us allocate what the file cannot fill.
    if graph.parameter_count() != file.elements() {
        return Err(Error::data(
            file.name(),
            "the weights must be those the layers declare",
            format!("{} numbers for layers of {} parameters", file.elements(), graph.parameter_count()),
            "",
        ));
    }
    let mut model = Model::from_graph(graph, &BuildOptions::on(device))?;
    take_over(&mut model, &file)?;
    let class_names = match file.metadata(CLASSES) {
        Some(text) => parse(text)?
            .as_array()
            .map(|list| list.iter().filter_map(|name| name.as_str().map(str::to_string)).collect())
            .unwrap_or_default(),
        None => Vec::new(),
    };
    let preprocessing = file.metadata(PREPROCESSING).unwrap_or_default().to_string();
    Ok(ModelFile { model, class_names, preprocessing })
}

/// Takes over the weights of a safetensors file whose names are the model's paths. What else the file holds is left aside.
///
/// # Errors
/// As [`load`]; [`Error::Model`] naming all weights that are missing or have another shape.
pub fn load_weights(model: &mut Model, path: impl AsRef<Path>) -> Result<()> {
    take_over(model, &TensorFile::read(path)?)
}

fn take_over(model: &mut Model, file: &TensorFile) -> Result<()> {
    let wanted: Vec<(String, striate_tensor::Shape)> =
        model.weights().map(|(spec, _)| (spec.path.clone(), spec.shape)).collect();
    let mut wrong = Vec::new();
    for (name, shape) in &wanted {
        match file.has(name).then(|| file.shape(name)).transpose()? {
            None => wrong.push(format!("{name} is missing")),
            Some(found) if found != *shape => wrong.push(format!("{name} has shape {found} instead of {shape}")),
            Some(_) => {}
        }
    }
    if !wrong.is_empty() {
        let held: Vec<&str> = file.names().take(8).collect();
        return Err(Error::model(
            file.name(),
            "the file must hold every weight of the model",
            wrong.join(", "),
            format!("the file holds {}", held.join(", ")),
        ));
    }
    // All are read before any is set, so that an error leaves the model as it was.
    let values: Vec<Tensor> =
        wanted.iter().map(|(name, _)| file.tensor(name, model.device())).collect::<Result<_>>()?;
    wanted.iter().zip(&values).try_for_each(|((name, _), value)| model.set_weight(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights_sha256;
    use std::fs;
    use std::sync::LazyLock;
    use striate_nn::{Call, Sequential, Symbol, layers::*};
    use striate_tensor::Activation::Relu;

    /// One device for all models, so that their values can meet.
    fn device() -> Device {
        static DEVICE: LazyLock<Device> = LazyLock::new(striate_testkit::reference::device);
        DEVICE.clone()
    }

    fn model() -> Model {
        let inner = Sequential::new([6, 6, 2])
            .named("inner")
            .add(Conv2D::new(3, 3).activation(Relu))
            .build_on(&BuildOptions { seed: 3, ..BuildOptions::on(&device()) })
            .unwrap();
        let image = Symbol::named_input("image", [6, 6, 2]).unwrap();
        let flat = Flatten.call(&inner.call(&image).unwrap()).unwrap();
        let shared = Dense::new(4).named("shared");
        let joined = Add.call([&shared.clone().call(&flat).unwrap(), &shared.call(&flat).unwrap()]).unwrap();
        let out = Dense::new(2).activation(Softmax).call(&joined).unwrap();
        Model::from_symbols("both", &[image], &[out], &BuildOptions::on(&device())).unwrap()
    }

    #[test]
    fn a_model_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let model = model();
        let names = vec!["cat".to_string(), "dog".to_string()];
        let file =
            ModelFile { class_names: names.clone(), preprocessing: "digit".into(), ..ModelFile::of(model.clone()) };
        save(&file, &path).unwrap();
        let back = load(&path, &Registry::default(), &device()).unwrap();
        assert_eq!((back.class_names, back.preprocessing.as_str()), (names, "digit"));
        assert_eq!(weights_sha256(&back.model).unwrap(), weights_sha256(&model).unwrap());
        assert_eq!(back.model.summary(), model.summary());
        let x = Tensor::from_vec((0..72).map(|v| v as f32 / 72.0).collect(), [1, 6, 6, 2], &device()).unwrap();
        let [a, b] =
            [&model, &back.model].map(|m| m.predict_on(std::slice::from_ref(&x)).unwrap()[0].to_vec::<f32>().unwrap());
        assert_eq!(a, b);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn damaged_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        save(&ModelFile::of(model()), &path).unwrap();
        let whole = fs::read(&path).unwrap();
        for cut in [0, 4, 8, 100, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..cut]).unwrap();
            let error = load(&path, &Registry::default(), &device()).unwrap_err();
            assert!(matches!(error, Error::Data(_)), "cut at {cut}: {error}");
        }
        for i in (0..whole.len().min(4000)).step_by(7) {
            let mut bytes = whole.clone();
            bytes[i] ^= 0x55;
            fs::write(&path, &bytes).unwrap();
            // Any answer will do but a panic; a flipped bit in a name or a weight may go unnoticed.
            let _ = load(&path, &Registry::default(), &device());
        }
        let error = load(folder.path().join("absent"), &Registry::default(), &device()).unwrap_err();
        assert!(matches!(error, Error::Data(_)) && error.to_string().contains("no such file"), "{error}");
    }
}
