//! Networks with the weights that others published.

use crate::architecture::Architecture;
use crate::catalog::{find_weights, weights};
use crate::options::ZooOptions;
use std::path::{Path, PathBuf};
use striate_data::{Photograph, Preparation};
use striate_formats::{LoadOptions, load_weights_with};
use striate_nn::{BuildOptions, Model};
use striate_tensor::{Error, Result};

/// A network with published weights, and what its inputs are.
#[derive(Debug, Clone)]
pub struct Pretrained {
    /// The network.
    pub architecture: Architecture,
    /// The model, named as the network, with its weights.
    pub model: Model,
    /// How a picture becomes its input.
    pub preparation: Preparation,
    /// The file that the weights came from.
    pub file: PathBuf,
}

/// The catalogue's names of what may hold a network's weights, those preferred first, each with the classes of its top, if it has one.
fn candidates(architecture: Architecture, include_top: bool) -> Vec<(String, Option<usize>)> {
    let name = match architecture {
        Architecture::MobileNetV2 => "mobilenet-v2".to_string(),
        other => other.name().replace('_', "-"),
    };
    let mut names = Vec::new();
    if !include_top {
        names.push((format!("{name}-notop"), None));
    }
    names.push((name, Some(1000)));
    if architecture == Architecture::MobileNet {
        // TensorFlow's own release has a class for the background before the others.
        names.push(("mobilenet-1001".into(), Some(1001)));
    }
    names.retain(|(name, _)| weights(name).is_ok());
    names
}

impl Pretrained {
    /// The network with the weights that the catalogue knows for it, from the file that [`find_weights`] finds in `data` or elsewhere on
    /// this machine.
    ///
    /// With its top the network has as many classes as the file, whatever the options say.
    ///
    /// # Errors
    /// [`Error::Data`] if no file is there, with the command that fetches it; else as [`Architecture::graph`] and
    /// [`striate_formats::load_weights`].
    pub fn open(
        architecture: Architecture,
        options: &ZooOptions,
        build: &BuildOptions,
        data: Option<&Path>,
    ) -> Result<Pretrained> {
        let candidates = candidates(architecture, options.include_top);
        let mut missing = None;
        let mut found = None;
        for (name, classes) in &candidates {
            match find_weights(name, data) {
                Ok(path) => {
                    found = Some((path, *classes));
                    break;
                }
                Err(error) => missing = missing.or(Some(error)),
            }
        }
        let Some((path, classes)) = found else {
            return Err(missing.unwrap_or_else(|| {
                Error::data(
                    architecture.name(),
                    "its weights must be published",
                    "none are known",
                    "load your own by their file",
                )
            }));
        };
        let mut options = options.clone();
        if let (true, Some(classes)) = (options.include_top, classes) {
            options.classes = classes;
        }
        // Every weight comes from the file: drawing them at random first would cost more than reading it.
        let mut model = Model::from_graph_zeroed(architecture.graph(&options)?, build)?;
        let renaming = architecture.tensorflow_names();
        // By name, since a file with a top has more than a network without one.
        let load = LoadOptions { by_name: true, in_place: true, renaming, ..LoadOptions::default() };
        let report = load_weights_with(&mut model, &path, &load)?;
        if !report.missing.is_empty() {
            return Err(Error::model(
                path.display().to_string(),
                format!("the file must hold every weight of {}", architecture.name()),
                format!("{} are missing", report.missing.join(", ")),
                "",
            ));
        }
        let input = model.graph().input_shapes()[0];
        let photograph = Photograph { values: architecture.pixel_values(), ..Photograph::new(input[0], input[1]) };
        Ok(Pretrained { architecture, model, preparation: Preparation::Photograph(photograph), file: path })
    }
}
