//! A model with what is needed to show it pictures.

use std::path::Path;
use striate_data::image_file::{Colour, Picture};
use striate_data::{PixelValues, Preparation};
use striate_formats::{ModelFile, load};
use striate_nn::{BuildOptions, Model, Registry};
use striate_tensor::{Device, Error, Result, Shape, Tensor};
use striate_zoo::{Architecture, Pretrained, ZooOptions, class_of};

/// A model, how a picture becomes its input, and its classes.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The model.
    pub model: Model,
    /// How a picture becomes an input.
    pub preparation: Preparation,
    /// The classes' names by index; empty if they are not known.
    pub class_names: Vec<String>,
}

impl Subject {
    /// A network of the zoo with its published weights (`vgg16`, `mobilenet`), or a model file. `data` is the folder that holds
    /// `weights/`.
    ///
    /// # Errors
    /// As [`Architecture::or_file`] and [`Subject::of_zoo`]; those of [`load`] for a file.
    pub fn open(name: &str, include_top: bool, data: Option<&Path>, device: &Device) -> Result<Self> {
        match Architecture::or_file(name)? {
            Some(architecture) => Subject::of_zoo(architecture, include_top, data, device),
            None => Subject::of_file(load(name, &Registry::default(), device)?),
        }
    }

    /// A network of the zoo with its published weights: with its classifier or without, or the other way if only that is there.
    ///
    /// # Errors
    /// As [`Pretrained::open`].
    pub fn of_zoo(architecture: Architecture, include_top: bool, data: Option<&Path>, device: &Device) -> Result<Self> {
        let build = BuildOptions::on(device);
        let open = |include_top: bool| {
            let side = architecture.default_size();
            let shape = [side, side, 3];
            let options = match include_top {
                true => ZooOptions { input_shape: Some(shape), ..ZooOptions::default() },
                false => ZooOptions::features(shape),
            };
            Pretrained::open(architecture, &options, &build, data)
        };
        let wanted = open(include_top);
        let Pretrained { model, preparation, .. } = match wanted {
            Ok(found) => found,
            Err(error) => open(!include_top).map_err(|_| error)?,
        };
        let names = (0..1000).filter_map(class_of).map(|(_, name)| name.replace('_', " "));
        let class_names = match model.graph().output_shapes()[0].as_slice() {
            [1000] => names.collect(),
            // TensorFlow's own release has a class for the background before the others.
            [1001] => std::iter::once("background".to_string()).chain(names).collect(),
            _ => Vec::new(),
        };
        Ok(Subject { model, preparation, class_names })
    }

    /// The model of a file; where the file does not say how a picture becomes an input, the input's shape does.
    ///
    /// # Errors
    /// [`Error::Shape`] for a model of several inputs, or whose input is no picture.
    pub fn of_file(file: ModelFile) -> Result<Self> {
        let ModelFile { model, class_names, preprocessing, .. } = file;
        let shape = match model.graph().input_shapes()[..] {
            [shape] => shape,
            ref many => {
                let received = format!("{} inputs", many.len());
                return Err(Error::shape(model.name(), "the model must take one picture", received, ""));
            }
        };
        let preparation = match preprocessing.as_str() {
            "" => Preparation::guess(&shape)?,
            text => text.parse()?,
        };
        if preparation.input_shape() != shape {
            let rule = format!("the model's input must be the picture that its file speaks of, `{preparation}`");
            return Err(Error::shape(model.name(), rule, shape.to_string(), ""));
        }
        Ok(Subject { model, preparation, class_names })
    }

    /// The input's shape, without the batch axis.
    pub fn input_shape(&self) -> Shape {
        self.preparation.input_shape()
    }

    /// A picture as the model's input, (1, height, width, channels).
    ///
    /// # Errors
    /// As [`Preparation::apply_to`].
    pub fn input(&self, picture: &Picture) -> Result<Tensor> {
        self.preparation.apply_to(picture, self.model.device())
    }

    /// The range of the input's values.
    pub fn values(&self) -> PixelValues {
        match &self.preparation {
            Preparation::Digit => PixelValues::Rescale(255f32.recip()),
            Preparation::Photograph(photograph) => photograph.values,
        }
    }

    /// The colour in which pictures are read for the model.
    pub fn colour(&self) -> Colour {
        match &self.preparation {
            Preparation::Digit => Colour::Rgb,
            Preparation::Photograph(photograph) => photograph.colour,
        }
    }

    /// How many classes the model tells apart: its outputs, or two for a single one.
    ///
    /// # Errors
    /// [`Error::Shape`] for a model whose output is no vector.
    pub fn classes(&self) -> Result<usize> {
        match self.model.graph().output_shapes()[..] {
            [shape] if shape.rank() == 1 => Ok(shape[0].max(2)),
            ref shapes => Err(Error::shape(
                self.model.name(),
                "the model must end in one vector of classes",
                format!("{shapes:?}"),
                "a network without its top knows no classes",
            )),
        }
    }

    /// The name of a class.
    pub fn class_name(&self, class: usize) -> String {
        self.class_names.get(class).cloned().unwrap_or_else(|| format!("class {class}"))
    }

    /// The class of a number or a name; capitals, `_` and spaces play no part.
    ///
    /// # Errors
    /// [`Error::Argument`] for a class that the model does not know.
    pub fn class_by_name(&self, text: &str) -> Result<usize> {
        let plain = |name: &str| name.to_lowercase().replace(['_', ' ', '-'], "");
        let classes = self.classes()?;
        let found = match text.parse::<usize>() {
            Ok(number) => (number < classes).then_some(number),
            Err(_) => self.class_names.iter().position(|name| plain(name) == plain(text)),
        };
        found.ok_or_else(|| {
            let rule = format!("the class must be one of the model's {classes}, by number or name");
            Error::argument("class", rule, format!("`{text}`"), "")
        })
    }

    /// The probabilities of all classes for inputs (n, …), a row each; of a single output p the row (1 − p, p).
    ///
    /// # Errors
    /// As [`Model::predict_on`].
    pub fn probabilities(&self, inputs: &Tensor) -> Result<Vec<Vec<f32>>> {
        self.classes()?;
        let output = self.model.predict_on(std::slice::from_ref(inputs))?.swap_remove(0);
        let columns = output.shape().channels();
        let rows = output.to_vec::<f32>()?;
        Ok(match columns {
            1 => rows.iter().map(|&p| vec![1.0 - p, p]).collect(),
            _ => rows.chunks(columns.max(1)).map(<[f32]>::to_vec).collect(),
        })
    }
}
