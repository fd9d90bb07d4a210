//! The layers, one family a file.
//!
//! To add one: write its file, name it here, and add its class to `CONSTRUCTORS`. Nothing else.

mod activation;
mod activity_regularization;
mod adaptive_pooling;
mod alpha_dropout;
mod batch_normalization;
mod center_crop;
mod conv;
mod conv_transpose;
mod cropping;
mod dense;
mod depthwise_conv;
mod dot;
mod dropout;
mod elu;
mod embedding;
mod flatten;
mod gaussian_dropout;
mod gaussian_noise;
mod global_pooling;
mod group_normalization;
mod identity;
mod input;
mod interpolation;
mod layer_normalization;
mod leaky_relu;
mod locally_connected;
mod masking;
mod merge;
mod normalization;
mod options;
mod permute;
mod pooling;
mod prelu;
mod random_picture;
mod relu;
mod repeat_vector;
mod rescaling;
mod reshape;
mod resizing;
mod rms_normalization;
mod separable_conv;
mod spatial_dropout;
mod spectral_normalization;
mod time_distributed;
mod unit_normalization;
mod up_sampling;
mod zero_padding;

pub use activation::{ActivationLayer, Softmax, SoftmaxAlong};
pub use activity_regularization::ActivityRegularization;
pub use adaptive_pooling::{
    AdaptiveAveragePooling1D, AdaptiveAveragePooling2D, AdaptiveAveragePooling3D, AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D, AdaptiveMaxPooling3D, AdaptivePooling,
};
pub use alpha_dropout::AlphaDropout;
pub use batch_normalization::BatchNormalization;
pub use center_crop::CenterCrop;
pub use conv::{Conv, Conv1D, Conv2D, Conv3D};
pub use conv_transpose::{Conv1DTranspose, Conv2DTranspose, Conv3DTranspose, ConvTranspose};
pub use cropping::{Cropping, Cropping1D, Cropping2D, Cropping3D};
pub use dense::Dense;
pub use depthwise_conv::{DepthwiseConv, DepthwiseConv1D, DepthwiseConv2D};
pub use dot::Dot;
pub use dropout::Dropout;
pub use elu::ELU;
pub use embedding::Embedding;
pub use flatten::Flatten;
pub use gaussian_dropout::GaussianDropout;
pub use gaussian_noise::GaussianNoise;
pub use global_pooling::{
    GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D, GlobalMaxPooling1D, GlobalMaxPooling2D,
    GlobalMaxPooling3D, GlobalPooling,
};
pub use group_normalization::GroupNormalization;
pub use identity::Identity;
pub use input::InputLayer;
pub use interpolation::Interpolation;
pub use layer_normalization::LayerNormalization;
pub use leaky_relu::LeakyReLU;
pub use locally_connected::{LocallyConnected, LocallyConnected1D, LocallyConnected2D};
pub use masking::Masking;
pub use merge::{Add, Average, Concatenate, Maximum, Minimum, Multiply, Subtract};
pub use normalization::Normalization;
pub use permute::Permute;
pub use pooling::{
    AveragePooling1D, AveragePooling2D, AveragePooling3D, MaxPooling1D, MaxPooling2D, MaxPooling3D, Pooling,
};
pub use prelu::PReLU;
pub use random_picture::RandomPicture;
pub use relu::ReLU;
pub use repeat_vector::RepeatVector;
pub use rescaling::Rescaling;
pub use reshape::Reshape;
pub use resizing::{AspectRatio, Resizing};
pub use rms_normalization::RMSNormalization;
pub use separable_conv::{SeparableConv, SeparableConv1D, SeparableConv2D};
pub use spatial_dropout::{SpatialDropout, SpatialDropout1D, SpatialDropout2D, SpatialDropout3D};
pub use spectral_normalization::SpectralNormalization;
pub use time_distributed::TimeDistributed;
pub use unit_normalization::UnitNormalization;
pub use up_sampling::{UpSampling, UpSampling1D, UpSampling2D, UpSampling3D};
pub use zero_padding::{ZeroPadding, ZeroPadding1D, ZeroPadding2D, ZeroPadding3D};

pub(crate) use input::shape_from_json;

use crate::registry::Constructor;
use striate_tensor::{Padding, Shape};

/// Every class a saved model may name, with what makes a layer from its options.
pub(crate) const CONSTRUCTORS: &[(&str, Constructor)] = &[
    ("Activation", ActivationLayer::from_config),
    ("ActivityRegularization", ActivityRegularization::from_config),
    ("AdaptiveAveragePooling1D", AdaptiveAveragePooling1D::from_config),
    ("AdaptiveAveragePooling2D", AdaptiveAveragePooling2D::from_config),
    ("AdaptiveAveragePooling3D", AdaptiveAveragePooling3D::from_config),
    ("AdaptiveMaxPooling1D", AdaptiveMaxPooling1D::from_config),
    ("AdaptiveMaxPooling2D", AdaptiveMaxPooling2D::from_config),
    ("AdaptiveMaxPooling3D", AdaptiveMaxPooling3D::from_config),
    ("Add", Add::from_config),
    ("AlphaDropout", AlphaDropout::from_config),
    ("AugMix", RandomPicture::from_config),
    ("Average", Average::from_config),
    ("AveragePooling1D", AveragePooling1D::from_config),
    ("AveragePooling2D", AveragePooling2D::from_config),
    ("AveragePooling3D", AveragePooling3D::from_config),
    ("BatchNormalization", BatchNormalization::from_config),
    ("CenterCrop", CenterCrop::from_config),
    ("Concatenate", Concatenate::from_config),
    ("Conv1D", Conv1D::from_config),
    ("Conv1DTranspose", Conv1DTranspose::from_config),
    ("Conv2D", Conv2D::from_config),
    ("Conv2DTranspose", Conv2DTranspose::from_config),
    ("Conv3D", Conv3D::from_config),
    ("Conv3DTranspose", Conv3DTranspose::from_config),
    ("Cropping1D", Cropping1D::from_config),
    ("Cropping2D", Cropping2D::from_config),
    ("Cropping3D", Cropping3D::from_config),
    ("CutMix", RandomPicture::from_config),
    ("Dense", Dense::from_config),
    ("DepthwiseConv1D", DepthwiseConv1D::from_config),
    ("DepthwiseConv2D", DepthwiseConv2D::from_config),
    ("Dot", Dot::from_config),
    ("Dropout", Dropout::from_config),
    ("ELU", ELU::from_config),
    ("Embedding", Embedding::from_config),
    ("Equalization", RandomPicture::from_config),
    ("Flatten", Flatten::from_config),
    ("GaussianDropout", GaussianDropout::from_config),
    ("GaussianNoise", GaussianNoise::from_config),
    ("GlobalAveragePooling1D", GlobalAveragePooling1D::from_config),
    ("GlobalAveragePooling2D", GlobalAveragePooling2D::from_config),
    ("GlobalAveragePooling3D", GlobalAveragePooling3D::from_config),
    ("GlobalMaxPooling1D", GlobalMaxPooling1D::from_config),
    ("GlobalMaxPooling2D", GlobalMaxPooling2D::from_config),
    ("GlobalMaxPooling3D", GlobalMaxPooling3D::from_config),
    ("GroupNormalization", GroupNormalization::from_config),
    ("Identity", Identity::from_config),
    ("InputLayer", InputLayer::from_config),
    ("LayerNormalization", LayerNormalization::from_config),
    ("LeakyReLU", LeakyReLU::from_config),
    ("LocallyConnected1D", LocallyConnected1D::from_config),
    ("LocallyConnected2D", LocallyConnected2D::from_config),
    ("Masking", Masking::from_config),
    ("MaxPooling1D", MaxPooling1D::from_config),
    ("MaxPooling2D", MaxPooling2D::from_config),
    ("MaxPooling3D", MaxPooling3D::from_config),
    ("Maximum", Maximum::from_config),
    ("Minimum", Minimum::from_config),
    ("MixUp", RandomPicture::from_config),
    ("Multiply", Multiply::from_config),
    ("Normalization", Normalization::from_config),
    ("PReLU", PReLU::from_config),
    ("Permute", Permute::from_config),
    ("RMSNormalization", RMSNormalization::from_config),
    ("RandAugment", RandomPicture::from_config),
    ("RandomBrightness", RandomPicture::from_config),
    ("RandomColorDegeneration", RandomPicture::from_config),
    ("RandomColorJitter", RandomPicture::from_config),
    ("RandomContrast", RandomPicture::from_config),
    ("RandomElasticTransform", RandomPicture::from_config),
    ("RandomErasing", RandomPicture::from_config),
    ("RandomFlip", RandomPicture::from_config),
    ("RandomGaussianBlur", RandomPicture::from_config),
    ("RandomGrayscale", RandomPicture::from_config),
    ("RandomHeight", RandomPicture::from_config),
    ("RandomHue", RandomPicture::from_config),
    ("RandomInvert", RandomPicture::from_config),
    ("RandomPerspective", RandomPicture::from_config),
    ("RandomPosterization", RandomPicture::from_config),
    ("RandomRotation", RandomPicture::from_config),
    ("RandomSaturation", RandomPicture::from_config),
    ("RandomSharpness", RandomPicture::from_config),
    ("RandomShear", RandomPicture::from_config),
    ("RandomTranslation", RandomPicture::from_config),
    ("RandomWidth", RandomPicture::from_config),
    ("RandomZoom", RandomPicture::from_config),
    ("ReLU", ReLU::from_config),
    ("RepeatVector", RepeatVector::from_config),
    ("Rescaling", Rescaling::from_config),
    ("Reshape", Reshape::from_config),
    ("Resizing", Resizing::from_config),
    ("SeparableConv1D", SeparableConv1D::from_config),
    ("SeparableConv2D", SeparableConv2D::from_config),
    ("Softmax", Softmax::from_config),
    ("Solarization", RandomPicture::from_config),
    ("SpatialDropout1D", SpatialDropout1D::from_config),
    ("SpatialDropout2D", SpatialDropout2D::from_config),
    ("SpatialDropout3D", SpatialDropout3D::from_config),
    ("SpectralNormalization", SpectralNormalization::from_config),
    ("Subtract", Subtract::from_config),
    ("TimeDistributed", TimeDistributed::from_config),
    ("UnitNormalization", UnitNormalization::from_config),
    ("UpSampling1D", UpSampling1D::from_config),
    ("UpSampling2D", UpSampling2D::from_config),
    ("UpSampling3D", UpSampling3D::from_config),
    ("ZeroPadding1D", ZeroPadding1D::from_config),
    ("ZeroPadding2D", ZeroPadding2D::from_config),
    ("ZeroPadding3D", ZeroPadding3D::from_config),
];

/// A size for each of N axes: one number serves all.
pub trait Sizes<const N: usize> {
    /// The sizes.
    fn sizes(self) -> [usize; N];
}

impl<const N: usize> Sizes<N> for usize {
    fn sizes(self) -> [usize; N] {
        [self; N]
    }
}

impl<const N: usize> Sizes<N> for [usize; N] {
    fn sizes(self) -> [usize; N] {
        self
    }
}

/// The sizes of up to three axes, the unused ones filled with 1.
pub(crate) fn spread<const N: usize>(sizes: &[usize; N]) -> [usize; 3] {
    let mut all = [1; 3];
    all[..N].copy_from_slice(sizes);
    all
}

/// Keras's word for a padding; explicit padding has none of its own.
pub(crate) fn padding_name(padding: Padding) -> &'static str {
    match padding {
        Padding::Same => "same",
        Padding::Causal => "causal",
        Padding::Valid | Padding::Explicit(_) => "valid",
    }
}

/// The padding of Keras's word.
pub(crate) fn padding_from_name(class: &str, name: &str) -> striate_tensor::Result<Padding> {
    match name {
        "valid" => Ok(Padding::Valid),
        "same" => Ok(Padding::Same),
        "causal" => Ok(Padding::Causal),
        other => Err(striate_tensor::Error::model(
            class,
            "`padding` must be valid, same or causal",
            format!("`{other}`"),
            "",
        )),
    }
}

/// Refuses an input that is not (n, `axes` spatial axes, channels).
pub(crate) fn require_axes(class: &str, axes: usize, input: &Shape) -> striate_tensor::Result<()> {
    if input.rank() == axes + 1 {
        return Ok(());
    }
    Err(striate_tensor::Error::shape(
        class,
        format!("the input must be (n, {axes} spatial axes, channels)"),
        crate::graph::batch_shape(input),
        "images are channels-last: (n, height, width, channels)",
    ))
}

/// Refuses channels-first layers: this workspace is channels-last throughout.
pub(crate) fn require_channels_last(config: &crate::Config<'_>) -> striate_tensor::Result<()> {
    match config.str("data_format", Some("channels_last"))? {
        "channels_last" => Ok(()),
        other => Err(striate_tensor::Error::model(
            config.class(),
            "`data_format` must be channels_last",
            format!("`{other}`"),
            "convert the model with Keras first",
        )),
    }
}
