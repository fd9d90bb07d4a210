//! `.keras`: a zip archive of a config, the weights, and a note of who wrote it.

use super::{KERAS_VERSION, h5_weights, model_json, vars_weights};
use crate::content::Content;
use crate::hdf5;
use crate::model_file::ModelFile;
use crate::saved_training::SavedTraining;
use crate::weights_file::{CLASSES, Format, PREPROCESSING, TrainingState, WeightsFile, names};
use crate::zip_archive;
use serde_json::{Value, json};
use striate_tensor::{Error, Result};

const CONFIG: &str = "config.json";
const METADATA: &str = "metadata.json";
const WEIGHTS: &str = "model.weights.h5";
/// What Keras has no place for: the names of the classes, how a picture becomes an input. Keras leaves it alone.
const EXTRAS: &str = "striate.json";

/// Whether a zip archive is a Keras model: its directory names the config.
pub(crate) fn is_keras(bytes: &[u8]) -> bool {
    // The directory stands at the end; a name in it is as good as unpacking.
    let tail = &bytes[bytes.len().saturating_sub(1 << 16)..];
    tail.windows(CONFIG.len()).any(|window| window == CONFIG.as_bytes())
}

/// Reads an archive.
///
/// # Errors
/// [`Error::Data`] if it is damaged or lacks a part.
pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<WeightsFile> {
    let mut members = zip_archive::unpack(name, bytes)?;
    let json = |member: &str, content: &[u8]| -> Result<Value> {
        serde_json::from_slice(content)
            .map_err(|error| Error::data(name, format!("`{member}` must be JSON"), error.to_string(), ""))
    };
    let mut member = |wanted: &str| {
        let missing =
            || Error::data(name, format!("a .keras file must hold `{wanted}`"), "none", "the file is damaged");
        members.remove(wanted).ok_or_else(missing)
    };
    let config = json(CONFIG, &member(CONFIG)?)?;
    let mut file = WeightsFile::empty(name, Format::KerasArchive);
    if let Ok(metadata) = member(METADATA) {
        file.keras_version = json(METADATA, &metadata)?["keras_version"].as_str().map(str::to_string);
    }
    if let Ok(extras) = member(EXTRAS) {
        let extras = json(EXTRAS, &extras)?;
        file.class_names = names(&extras[CLASSES]);
        file.preprocessing = extras[PREPROCESSING].as_str().unwrap_or_default().to_string();
    }
    if config["compile_config"].is_object() {
        file.training = Some(TrainingState { config: config["compile_config"].clone(), optimizer: Vec::new() });
    }
    let root = hdf5::parse(name, Content::in_memory(member(WEIGHTS)?))?;
    if h5_weights::is_keras(&root) {
        let inner = h5_weights::read(name, &root)?;
        file.layers = inner.layers;
    } else {
        vars_weights::read(&root, &mut file);
    }
    file.config = Some(config);
    Ok(file)
}

/// An archive of a model. The same model gives the same bytes.
///
/// # Errors
/// What the device reports.
pub(crate) fn write(file: &ModelFile, training: Option<&SavedTraining>) -> Result<Vec<u8>> {
    let ModelFile { model, class_names, preprocessing } = file;
    // A date would make every file another.
    let metadata = json!({ "keras_version": KERAS_VERSION, "date_saved": "1980-01-01@00:00:00" }).to_string();
    let mut config = model_json::of(model);
    if let Some(training) = training {
        config["compile_config"] = training.compile_config();
    }
    let config = config.to_string();
    let weights = vars_weights::write(model, training)?;
    let extras = json!({ CLASSES: class_names, PREPROCESSING: preprocessing }).to_string();
    let mut members = vec![(METADATA, metadata.as_bytes()), (CONFIG, config.as_bytes()), (WEIGHTS, &weights[..])];
    if !class_names.is_empty() || !preprocessing.is_empty() {
        members.push((EXTRAS, extras.as_bytes()));
    }
    zip_archive::pack(&members)
}
