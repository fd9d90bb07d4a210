//! The networks by name.

use crate::options::ZooOptions;
use crate::{inception_v3, mobilenet, mobilenet_v2, parts, resnet, squeezenet, vgg, xception};
use std::path::Path;
use striate_data::PixelValues;
use striate_formats::Renaming;
use striate_nn::{BuildOptions, Graph, GraphKind, Model};
use striate_tensor::{Error, Result, Tensor, meant_name};

/// A network of the zoo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the variants are the networks
pub enum Architecture {
    Vgg16,
    Vgg19,
    ResNet50,
    ResNet101,
    ResNet152,
    ResNet50V2,
    ResNet101V2,
    ResNet152V2,
    InceptionV3,
    Xception,
    MobileNet,
    MobileNetV2,
    SqueezeNet,
}

use Architecture::*;

impl Architecture {
    /// All of them.
    pub const ALL: [Architecture; 13] = [
        Vgg16,
        Vgg19,
        ResNet50,
        ResNet101,
        ResNet152,
        ResNet50V2,
        ResNet101V2,
        ResNet152V2,
        InceptionV3,
        Xception,
        MobileNet,
        MobileNetV2,
        SqueezeNet,
    ];

    /// Keras's name of the model: `vgg16`.
    pub fn name(self) -> &'static str {
        match self {
            Vgg16 => "vgg16",
            Vgg19 => "vgg19",
            ResNet50 => "resnet50",
            ResNet101 => "resnet101",
            ResNet152 => "resnet152",
            ResNet50V2 => "resnet50v2",
            ResNet101V2 => "resnet101v2",
            ResNet152V2 => "resnet152v2",
            InceptionV3 => "inception_v3",
            Xception => "xception",
            MobileNet => "mobilenet",
            MobileNetV2 => "mobilenetv2",
            SqueezeNet => "squeezenet",
        }
    }

    /// The network of a name; capitals, `_` and `-` play no part.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown name.
    pub fn from_name(name: &str) -> Result<Architecture> {
        let plain = |name: &str| name.to_lowercase().replace(['_', '-'], "");
        Architecture::ALL.into_iter().find(|known| plain(known.name()) == plain(name)).ok_or_else(|| {
            let known: Vec<&str> = Architecture::ALL.iter().map(|known| known.name()).collect();
            Error::argument("network", "the name must be one of the zoo's", format!("`{name}`"), known.join(", "))
        })
    }

    /// What a text is that may be a network's name or the path of a model file: none for a path.
    ///
    /// # Errors
    /// [`Error::Argument`] for what is no file, no network's name and no path either, with the network that was probably meant.
    ///
    /// ```
    /// use striate_zoo::Architecture;
    /// assert_eq!(Architecture::or_file("mobilenet")?, Some(Architecture::MobileNet));
    /// assert_eq!(Architecture::or_file("runs/mnist/model.keras")?, None);
    /// let error = Architecture::or_file("mobilenett").unwrap_err().to_string();
    /// assert!(error.contains("did you mean mobilenet?"));
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn or_file(text: &str) -> Result<Option<Architecture>> {
        if Path::new(text).is_file() {
            return Ok(None);
        }
        if let Ok(architecture) = Architecture::from_name(text) {
            return Ok(Some(architecture));
        }
        if Path::new(text).exists() || text.is_empty() || text.contains(['/', '\\', '.']) {
            return Ok(None);
        }
        let known: Vec<&str> = Architecture::ALL.iter().map(|known| known.name()).collect();
        let hint = match meant_name(text, known.iter().copied()) {
            Some(name) => format!("did you mean {name}?"),
            None => format!("the networks are {}", known.join(", ")),
        };
        Err(Error::argument(text, "the model must be a file or a network's name", "no such file or network", hint))
    }

    /// Height and width of the pictures it was made for.
    pub fn default_size(self) -> usize {
        match self {
            InceptionV3 | Xception => 299,
            SqueezeNet => 227,
            _ => 224,
        }
    }

    /// The least height and width that it takes.
    pub fn least_size(self) -> usize {
        match self {
            InceptionV3 => 75,
            Xception => 71,
            SqueezeNet => 48,
            _ => 32,
        }
    }

    /// The layers.
    ///
    /// # Errors
    /// [`Error::Argument`] for a picture smaller than [`Architecture::least_size`], or no classes.
    ///
    /// ```
    /// use striate_zoo::{Architecture, ZooOptions};
    /// let graph = Architecture::Vgg16.graph(&ZooOptions::features([150, 150, 3]))?;
    /// assert_eq!(graph.parameter_count(), 14_714_688);
    /// assert_eq!(graph.output_shapes()[0].to_vec(), [4, 4, 512]);
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn graph(self, options: &ZooOptions) -> Result<Graph> {
        let least = self.least_size();
        if let Some(shape) = options.input_shape.filter(|shape| shape[0] < least || shape[1] < least || shape[2] == 0) {
            return Err(Error::argument(
                self.name(),
                format!("pictures must be at least {least}x{least}, with channels"),
                format!("{}x{}x{}", shape[0], shape[1], shape[2]),
                "",
            ));
        }
        if options.include_top && options.classes == 0 {
            return Err(Error::argument(self.name(), "the classifier must have classes", "0", ""));
        }
        let input = parts::input(options, self.default_size())?;
        let output = match self {
            Vgg16 => vgg::build(&input, &[2, 2, 3, 3, 3], options),
            Vgg19 => vgg::build(&input, &[2, 2, 4, 4, 4], options),
            ResNet50 => resnet::build(&input, [3, 4, 6, 3], options),
            ResNet101 => resnet::build(&input, [3, 4, 23, 3], options),
            ResNet152 => resnet::build(&input, [3, 8, 36, 3], options),
            ResNet50V2 => resnet::build_v2(&input, [3, 4, 6, 3], options),
            ResNet101V2 => resnet::build_v2(&input, [3, 4, 23, 3], options),
            ResNet152V2 => resnet::build_v2(&input, [3, 8, 36, 3], options),
            InceptionV3 => inception_v3::build(&input, options),
            Xception => xception::build(&input, options),
            MobileNet => mobilenet::build(&input, options),
            MobileNetV2 => mobilenet_v2::build(&input, options),
            SqueezeNet => squeezenet::build(&input, options),
        }?;
        Graph::new(self.name(), GraphKind::Functional, &[input], &[output])
    }

    /// The network with fresh weights.
    ///
    /// # Errors
    /// As [`Architecture::graph`]; [`Error::OutOfMemory`].
    pub fn model(self, options: &ZooOptions, build: &BuildOptions) -> Result<Model> {
        Model::from_graph(self.graph(options)?, build)
    }

    /// The range that its pixels are wanted in.
    pub fn pixel_values(self) -> PixelValues {
        match self {
            Vgg16 | Vgg19 | ResNet50 | ResNet101 | ResNet152 | SqueezeNet => PixelValues::Caffe,
            _ => PixelValues::Symmetric,
        }
    }

    /// Pictures (…, 3) of values 0 to 255 in RGB, as the network wants them: Keras's `preprocess_input`.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there are three channels last.
    pub fn preprocess(self, pictures: &Tensor) -> Result<Tensor> {
        if pictures.rank() == 0 || pictures.shape().channels() != 3 {
            let received = pictures.shape().to_string();
            return Err(Error::shape("preprocess", "pictures must have three channels last", received, ""));
        }
        let mut values = pictures.to_vec::<f32>()?;
        self.pixel_values().apply(&mut values);
        Tensor::from_vec(values, *pictures.shape(), pictures.device())
    }

    /// The layer after which fine-tuning trains: the one before the last block of convolutions.
    pub fn last_frozen_layer(self) -> &'static str {
        match self {
            Vgg16 | Vgg19 => "block4_pool",
            ResNet50 | ResNet50V2 => "conv4_block6_out",
            ResNet101 | ResNet101V2 => "conv4_block23_out",
            ResNet152 | ResNet152V2 => "conv4_block36_out",
            InceptionV3 => "mixed8",
            Xception => "block13_pool",
            MobileNet => "conv_pw_11_relu",
            MobileNetV2 => "block_15_add",
            SqueezeNet => "fire7_concat",
        }
    }

    /// The names of TensorFlow's own releases of the weights, as Keras's; for the networks where they differ.
    pub fn tensorflow_names(self) -> Renaming {
        match self {
            MobileNet => mobilenet::tensorflow_names(),
            _ => Renaming::new(),
        }
    }
}
