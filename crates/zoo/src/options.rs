//! What can be chosen of a network.

use striate_nn::Activation;
use striate_nn::layers::Softmax;

/// How the maps of a network without its top become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeaturePooling {
    /// The average of each map.
    Average,
    /// The maximum of each map.
    Max,
}

/// The options of a network, as in Keras's applications.
#[derive(Debug, Clone, PartialEq)]
pub struct ZooOptions {
    /// Whether the classifier is there. Default true.
    pub include_top: bool,
    /// Height, width, channels. Default the network's own, such as 224×224×3.
    pub input_shape: Option<[usize; 3]>,
    /// What follows the maps of a network without its top. Default nothing.
    pub pooling: Option<FeaturePooling>,
    /// Classes of the classifier. Default ImageNet's 1000.
    pub classes: usize,
    /// The activation of the classifier. Default softmax.
    pub classifier_activation: Activation,
}

impl Default for ZooOptions {
    fn default() -> Self {
        ZooOptions {
            include_top: true,
            input_shape: None,
            pooling: None,
            classes: 1000,
            classifier_activation: Softmax.into(),
        }
    }
}

impl ZooOptions {
    /// The network without its classifier, for pictures of the given shape.
    pub fn features(input_shape: [usize; 3]) -> Self {
        ZooOptions { include_top: false, input_shape: Some(input_shape), ..ZooOptions::default() }
    }
}
