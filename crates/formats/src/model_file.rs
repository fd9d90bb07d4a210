//! Whole models: written in the format that the name's ending says, read by content.

use crate::keras::{archive, dialect, h5_weights, model_json, vars_weights};
use crate::load_weights::LoadOptions;
use crate::npz;
use crate::saved_training::SavedTraining;
use crate::tensor_file::write_tensors;
use crate::weights_file::{CLASSES, CONFIG, Format, PREPROCESSING, WeightsFile};
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;
use striate_nn::{BuildOptions, Model, Registry};
use striate_tensor::{DType, Device, Error, Result, replace_file};

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

/// Writes a model with its config and what is known about it, in the format of the name's ending: Keras's `.keras` or `.h5`
/// (`.hdf5`), or `.safetensors`. `.weights.h5` and `.npz` get the weights alone. The same
/// model gives the same bytes.
///
/// # Errors
/// [`Error::Argument`] for another ending; [`Error::Io`] if the file cannot be written; an old one is then as it was.
pub fn save(file: &ModelFile, path: impl AsRef<Path>) -> Result<()> {
    write(file, None, path.as_ref())
}

/// [`save`] with the training that the model is in: Keras, and this program, go on from there. Formats that have no place for it, all
/// but `.keras` and `.h5`, are refused.
///
/// # Errors
/// As [`save`]; [`Error::Argument`] for another format or an optimizer of another class than SGD, RMSprop, Adam, AdamW;
/// [`Error::Shape`] for a slot of another shape than its weight.
pub fn save_training(file: &ModelFile, training: &SavedTraining, path: impl AsRef<Path>) -> Result<()> {
    write(file, Some(training), path.as_ref())
}

/// Whether [`save`] knows the format that a file's name ends in; to be asked before work whose result the file shall hold.
///
/// # Errors
/// [`Error::Argument`] that names the endings.
pub fn check_model_ending(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    let (received, hint) = match ending.as_deref() {
        Some("keras" | "h5" | "hdf5" | "npz" | "safetensors") => return Ok(()),
        Some("onnx") => ("ONNX, which is not there yet".into(), "write a .keras file and convert it with tf2onnx"),
        Some(other) => (format!("`.{other}`"), "the ending says the format"),
        None => ("no ending".into(), "the ending says the format"),
    };
    let rule = "the file must be .keras, .h5, .weights.h5, .safetensors or .npz";
    Err(Error::argument(path.display().to_string(), rule, received, hint))
}

fn write(file: &ModelFile, training: Option<&SavedTraining>, path: &Path) -> Result<()> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let model = &file.model;
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    if training.is_some() && (!matches!(ending, "keras" | "h5" | "hdf5") || name.ends_with(".weights.h5")) {
        return Err(Error::argument(
            path.display().to_string(),
            "a training is kept in .keras and .h5 files",
            format!("`.{ending}`"),
            "save the model without it, or under another ending",
        ));
    }
    check_model_ending(path)?;
    let bytes = match ending {
        "keras" => archive::write(file, training)?,
        "h5" | "hdf5" if name.ends_with(".weights.h5") => vars_weights::write(model, None)?,
        "h5" | "hdf5" => h5_weights::write_model(file, &model_json::of(model), training)?,
        "npz" => npz::pack(&arrays(model)?)?,
        _ => return save_safetensors(file, path),
    };
    replace_file(path, &bytes)
}

/// Writes the weights of a model as Keras 2's `save_weights` did: HDF5 with lists of layers and names.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written; an old one is then as it was.
pub fn save_h5_weights(model: &Model, path: impl AsRef<Path>) -> Result<()> {
    replace_file(path, &h5_weights::write_weights(model)?)
}

fn arrays(model: &Model) -> Result<Vec<npz::Array>> {
    let array = |(spec, value): (&striate_nn::WeightSpec, &striate_tensor::Tensor)| {
        Ok((spec.path.clone(), value.shape().to_vec(), value.cast(DType::F32)?.to_vec()?))
    };
    model.weights().map(array).collect()
}

fn save_safetensors(file: &ModelFile, path: &Path) -> Result<()> {
    let metadata = HashMap::from([
        ("format".to_string(), "striate".to_string()),
        (CONFIG.to_string(), file.model.graph().to_json().to_string()),
        (CLASSES.to_string(), json!(file.class_names).to_string()),
        (PREPROCESSING.to_string(), file.preprocessing.clone()),
    ]);
    write_tensors(path, file.model.weights().map(|(spec, value)| (spec.path.clone(), value)), metadata)
}

/// What a file leaves open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelOptions {
    /// The input's shape without the batch axis, for a model whose file leaves sizes open.
    pub input_shape: Option<Vec<usize>>,
    /// As [`LoadOptions::theano_kernels`].
    pub theano_kernels: Option<bool>,
}

/// Reads a model: a `.keras`, `.h5` or `.safetensors` file, by Keras 1, 2, tf.keras, 3 or this program. The name's ending plays no part.
///
/// Layers that want their channels first become layers with channels last between permutes; inputs and outputs keep the file's order.
/// What a file says of training (loss, metrics, the optimizer's state) can be had from [`WeightsFile::training`].
///
/// # Errors
/// [`Error::Data`] if the file is missing, damaged or of another kind, [`Error::Io`] if it cannot be read, [`Error::Model`] naming all
/// layers at once that cannot be made, or all weights that are missing.
pub fn load(path: impl AsRef<Path>, registry: &Registry, device: &Device) -> Result<ModelFile> {
    load_with(path, registry, device, &ModelOptions::default())
}

/// [`load`] with options.
///
/// # Errors
/// As [`load`].
pub fn load_with(
    path: impl AsRef<Path>,
    registry: &Registry,
    device: &Device,
    options: &ModelOptions,
) -> Result<ModelFile> {
    WeightsFile::read(path)?.into_model(registry, device, options)
}

impl WeightsFile {
    /// The model that the file describes, with its weights.
    ///
    /// # Errors
    /// As [`load`].
    pub fn into_model(self, registry: &Registry, device: &Device, options: &ModelOptions) -> Result<ModelFile> {
        self.model(registry, device, options)
    }

    /// [`WeightsFile::into_model`] of a file that is still needed, for its [training](WeightsFile::saved_training) for instance.
    ///
    /// # Errors
    /// As [`load`].
    pub fn model(&self, registry: &Registry, device: &Device, options: &ModelOptions) -> Result<ModelFile> {
        let config = self.config.as_ref().ok_or_else(|| {
            let place = if self.format == Format::Safetensors { " in its metadata" } else { "" };
            Error::data(
                self.name.clone(),
                format!("a model file must hold `{CONFIG}`{place}"),
                "weights only",
                "load the weights into a model that is there already (--weights of a recipe)",
            )
        })?;
        let translated = dialect::translate(config, options.input_shape.as_deref(), self.is_before_keras_3())?;
        model_json::check_layers(&self.name, &translated, registry)?;
        let graph = registry.graph_from_json(&translated)?;
        // A damaged config must not make us allocate what the file cannot fill.
        if graph.parameter_count() > self.elements() {
            return Err(Error::data(
                self.name.clone(),
                "the weights must be those the layers declare",
                format!("{} numbers for layers of {} parameters", self.elements(), graph.parameter_count()),
                "",
            ));
        }
        let untrained = model_json::untrained_layers(config);
        let mut model = Model::from_graph_zeroed(graph, &BuildOptions::on(device))?;
        // Before the weights: the order in which Keras keeps them depends on it.
        let paths = model.layer_paths();
        for path in untrained.iter().filter(|path| paths.contains(path)) {
            model.set_trainable(path, false)?;
        }
        let load = LoadOptions { theano_kernels: options.theano_kernels, in_place: true, ..LoadOptions::default() };
        self.load_into(&mut model, &load)?;
        Ok(ModelFile { model, class_names: self.class_names.clone(), preprocessing: self.preprocessing.clone() })
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights_sha256;
    use std::fs;
    use std::sync::LazyLock;
    use striate_nn::{Call, Sequential, Symbol, layers::*};
    use striate_tensor::{Activation::Relu, Tensor};

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
