//! Every layer goes through the same contract, in one line for each way it can be set.

use std::collections::BTreeSet;
use striate_nn::layers::*;
use striate_nn::{Composed, Registry};
use striate_tensor::Activation::{LeakyRelu, Relu, Sigmoid, Tanh};
use striate_tensor::{PadMode, Padding};
use striate_testkit::layer_contract::LayerContract;

const CONV: &[&str] = &["filters", "kernel_size"];
const CONV_WEIGHTS: &[(&str, &[usize])] = &[("kernel", &[3, 2, 4]), ("bias", &[4])];
const DENSE_WEIGHTS: &[(&str, &[usize])] = &[("kernel", &[3, 4]), ("bias", &[4])];

fn filled_convolution(fill: PadMode) -> LayerContract {
    LayerContract::of(Conv2D::new(2, 3).padding(Padding::Same).fill(fill).activation(Softmax))
        .input([4, 3, 1])
        .output([4, 3, 2])
        .weights(&[("kernel", &[3, 3, 1, 2]), ("bias", &[2])])
        .required(CONV)
        .refuses([12])
}

fn border(mode: PadMode) -> LayerContract {
    LayerContract::of(ZeroPadding2D::new(1).mode(mode)).input([2, 3, 1]).output([4, 5, 1]).refuses([2, 3])
}

fn composed(activation: Composed) -> LayerContract {
    LayerContract::of(ActivationLayer::new(activation)).input([4, 3]).output([4, 3])
}

fn random_picture(class: &str) -> LayerContract {
    let options = serde_json::json!({ "factor": 0.25 });
    let layer = RandomPicture::new(class, options.as_object().unwrap().clone()).unwrap();
    LayerContract::of(layer).input([2, 3, 1]).output([2, 3, 1])
}

/// One test for each family of layers, and one that knows them all.
macro_rules! contracts {
    ($($family:ident: [$($contract:expr,)*];)*) => {
        $(
            #[test]
            fn $family() {
                $($contract.check();)*
            }
        )*

        #[test]
        fn no_class_is_forgotten() {
            // Every contract has inputs, of the one class without a line of its own.
            let mut tried = BTreeSet::from(["InputLayer".to_string()]);
            tried.extend([$($($contract.class().unwrap(),)*)*]);
            let registry = Registry::default();
            let known: BTreeSet<String> = registry.classes().map(str::to_string).collect();
            assert_eq!(tried, known);
        }
    };
}

contracts! {
    activation: [
        LayerContract::of(ActivationLayer::new(Relu)).input([3, 2]).output([3, 2]),
        LayerContract::of(ActivationLayer::new(LeakyRelu(0.35))).input([5]).output([5]),
        LayerContract::of(ActivationLayer::new(Softmax)).input([2, 3]).output([2, 3]),
        composed(Composed::HardSilu),
        composed(Composed::Mish),
        composed(Composed::LogSoftmax),
        composed(Composed::LogSigmoid),
        composed(Composed::HardTanh),
        composed(Composed::TanhShrink),
        composed(Composed::HardShrink),
        composed(Composed::SoftShrink),
        composed(Composed::Squareplus),
        composed(Composed::SparsePlus),
        composed(Composed::SparseSigmoid),
        composed(Composed::Relu { max_value: Some(1.25), negative_slope: 0.25, threshold: 0.5 }),
    ];
    softmax: [
        LayerContract::of(Softmax).input([5]).output([5]),
        LayerContract::of(Softmax).input([2, 2, 3]).output([2, 2, 3]),
        LayerContract::of(Softmax::along(1)).input([3, 2]).output([3, 2]),
        LayerContract::of(Softmax::along(-2)).input([2, 3, 2]).output([2, 3, 2]).refuses([4]),
    ];
    merges: [
        LayerContract::of(Add).input([2, 3]).input([2, 3]).input([2, 3]).output([2, 3]).refuses([2, 2]),
        LayerContract::of(Average).input([2, 3]).input([2, 3]).input([2, 3]).output([2, 3]).refuses([2, 2]),
        LayerContract::of(Maximum).input([2, 3]).input([2, 3]).output([2, 3]).refuses([2, 2]),
        LayerContract::of(Minimum).input([2, 3]).input([2, 3]).output([2, 3]).refuses([2, 2]),
        LayerContract::of(Multiply).input([2, 3]).input([1, 3]).output([2, 3]).refuses([2, 2]),
        LayerContract::of(Subtract).input([2, 3]).input([2, 3]).output([2, 3]).refuses([2, 2]),
    ];
    dot: [
        LayerContract::of(Dot::new(2, 1)).input([2, 3]).input([3, 4]).output([2, 4]).required(&["axes"]).refuses([3]),
        LayerContract::of(Dot::new(1, 1).normalize(true)).input([4]).input([4]).output([1]).required(&["axes"]).refuses([]),
        LayerContract::of(Dot::new(-1, -2)).input([2, 2, 3]).input([3, 2]).output([2, 2, 2]).required(&["axes"]).refuses([4]),
    ];
    concatenate: [
        LayerContract::of(Concatenate::default()).input([2, 3]).input([2, 1]).output([2, 4]).refuses([3]),
        LayerContract::of(Concatenate::new(1)).input([2, 3]).input([4, 3]).output([6, 3]).refuses([2]),
    ];
    convolutions: [
        LayerContract::of(Conv1D::new(4, 3).strides(2).padding(Padding::Same).activation(Tanh))
            .input([7, 2])
            .output([4, 4])
            .weights(CONV_WEIGHTS)
            .required(CONV)
            .refuses([7]),
        LayerContract::of(Conv1D::new(4, 3).padding(Padding::Causal).dilation_rate(2).drop_connect(0.4))
            .input([6, 2])
            .output([6, 4])
            .weights(CONV_WEIGHTS)
            .required(CONV)
            .refuses([6, 2, 1])
            .random_in_training(),
        LayerContract::of(Conv2D::new(3, 3).activation(Relu))
            .input([5, 4, 2])
            .output([3, 2, 3])
            .weights(&[("kernel", &[3, 3, 2, 3]), ("bias", &[3])])
            .required(CONV)
            .refuses([5, 4]),
        LayerContract::of(Conv2D::new(4, [2, 3]).groups(2).strides([2, 1]).use_bias(false).activation(LeakyRelu(0.3)))
            .input([4, 5, 4])
            .output([2, 3, 4])
            .weights(&[("kernel", &[2, 3, 2, 4])])
            .required(CONV)
            .refuses([4, 5, 4, 1]),
        filled_convolution(PadMode::Constant(1.0)),
        filled_convolution(PadMode::Replicate),
        filled_convolution(PadMode::Reflect),
        LayerContract::of(Conv3D::new(2, 2).strides([1, 2, 1]))
            .input([3, 4, 3, 1])
            .output([2, 2, 2, 2])
            .weights(&[("kernel", &[2, 2, 2, 1, 2]), ("bias", &[2])])
            .required(CONV)
            .refuses([3, 4, 3]),
    ];
    dense: [
        LayerContract::of(Dense::new(4).activation(Sigmoid))
            .input([3])
            .output([4])
            .weights(DENSE_WEIGHTS)
            .required(&["units"])
            .refuses([0]),
        LayerContract::of(Dense::new(4).activation(Softmax).drop_connect(0.5))
            .input([2, 3])
            .output([2, 4])
            .weights(DENSE_WEIGHTS)
            .required(&["units"])
            .refuses([2, 0])
            .random_in_training(),
        LayerContract::of(Dense::new(4).use_bias(false))
            .input([3])
            .output([4])
            .weights(&DENSE_WEIGHTS[..1])
            .required(&["units"]),
    ];
    dropout: [
        LayerContract::of(Dropout::new(0.4)).input([4, 3]).output([4, 3]).required(&["rate"]).random_in_training(),
    ];
    changes_of_layout: [
        LayerContract::of(Flatten).input([2, 3, 2]).output([12]),
        LayerContract::of(Reshape::new([4, -1]))
            .input([2, 3, 2])
            .output([4, 3])
            .required(&["target_shape"])
            .refuses([3]),
    ];
    poolings: [
        LayerContract::of(MaxPooling1D::new(2)).input([5, 2]).output([2, 2]).refuses([5]),
        LayerContract::of(MaxPooling2D::new(2)).input([4, 5, 2]).output([2, 2, 2]).refuses([4, 5]),
        LayerContract::of(MaxPooling2D::new(3).strides(2).padding(Padding::Same))
            .input([4, 5, 2])
            .output([2, 3, 2])
            .refuses([20]),
        LayerContract::of(MaxPooling3D::new([1, 2, 2])).input([2, 4, 3, 1]).output([2, 2, 1, 1]).refuses([2, 4, 3]),
        LayerContract::of(AveragePooling1D::new(3).strides(1)).input([5, 2]).output([3, 2]).refuses([5, 2, 1]),
        LayerContract::of(AveragePooling2D::new(2).strides([1, 2]).padding(Padding::Same))
            .input([3, 3, 2])
            .output([3, 2, 2])
            .refuses([3, 3]),
        LayerContract::of(AveragePooling3D::new(2)).input([2, 4, 3, 1]).output([1, 2, 1, 1]).refuses([2, 4, 3]),
    ];
    global_poolings: [
        LayerContract::of(GlobalMaxPooling1D::new()).input([4, 3]).output([3]).refuses([4]),
        LayerContract::of(GlobalMaxPooling2D::new().keepdims(true)).input([2, 3, 3]).output([1, 1, 3]).refuses([9]),
        LayerContract::of(GlobalMaxPooling3D::new()).input([2, 2, 2, 3]).output([3]).refuses([2, 2, 2]),
        LayerContract::of(GlobalAveragePooling1D::new()).input([4, 3]).output([3]).refuses([4, 3, 1]),
        LayerContract::of(GlobalAveragePooling2D::new()).input([2, 3, 3]).output([3]).refuses([2, 3]),
        LayerContract::of(GlobalAveragePooling3D::new().keepdims(true))
            .input([2, 2, 2, 3])
            .output([1, 1, 1, 3])
            .refuses([2, 2, 3]),
    ];
    rescaling: [
        LayerContract::of(Rescaling::new(0.25).offset(-1.0)).input([2, 3]).output([2, 3]).required(&["scale"]),
    ];
    normalization: [
        LayerContract::of(Normalization::new())
            .input([2, 3])
            .output([2, 3])
            .states(&[("mean", &[3]), ("variance", &[3]), ("count", &[])]),
        LayerContract::of(Normalization::of([0.5, -1.0], [2.0, 0.25]))
            .input([3, 2])
            .output([3, 2])
            .required(&["mean", "variance"])
            .refuses([3]),
        LayerContract::of(Normalization::of([0.5], [0.0]).invert(true))
            .input([3, 2])
            .output([3, 2])
            .required(&["mean", "variance"]),
    ];
    paddings: [
        LayerContract::of(ZeroPadding1D::sides([(1, 2)])).input([3, 2]).output([6, 2]).refuses([3]),
        LayerContract::of(ZeroPadding2D::sides([(0, 1), (2, 0)])).input([2, 3, 2]).output([3, 5, 2]).refuses([6]),
        border(PadMode::Constant(0.75)),
        border(PadMode::Replicate),
        border(PadMode::Reflect),
        LayerContract::of(ZeroPadding3D::new(1)).input([1, 2, 1, 2]).output([3, 4, 3, 2]).refuses([1, 2, 2]),
    ];
    transposed_convolutions: [
        LayerContract::of(Conv1DTranspose::new(3, 4).strides(2).padding(Padding::Same).activation(Tanh))
            .input([4, 2])
            .output([8, 3])
            .weights(&[("kernel", &[4, 3, 2]), ("bias", &[3])])
            .required(CONV)
            .refuses([4]),
        LayerContract::of(Conv1DTranspose::new(2, 2).strides(3))
            .input([3, 2])
            .output([9, 2])
            .weights(&[("kernel", &[2, 2, 2]), ("bias", &[2])])
            .required(CONV)
            .refuses([6]),
        LayerContract::of(Conv2DTranspose::new(2, 3).strides([2, 1]).dilation_rate([1, 2]).use_bias(false))
            .input([2, 3, 2])
            .output([5, 7, 2])
            .weights(&[("kernel", &[3, 3, 2, 2])])
            .required(CONV)
            .refuses([2, 3]),
        LayerContract::of(Conv2DTranspose::new(2, 3).strides(3).padding(Padding::Same).output_padding([1, 0]))
            .input([2, 3, 1])
            .output([5, 7, 2])
            .weights(&[("kernel", &[3, 3, 2, 1]), ("bias", &[2])])
            .required(CONV)
            .refuses([6]),
        LayerContract::of(Conv3DTranspose::new(1, 2).strides([1, 2, 2]).output_padding([0, 1, 1]).activation(Sigmoid))
            .input([2, 1, 2, 2])
            .output([3, 3, 5, 1])
            .weights(&[("kernel", &[2, 2, 2, 1, 2]), ("bias", &[1])])
            .required(CONV)
            .refuses([2, 1, 2]),
    ];
    depthwise_convolutions: [
        LayerContract::of(DepthwiseConv1D::new(3).strides(2).padding(Padding::Same).activation(Tanh))
            .input([5, 3])
            .output([3, 3])
            .weights(&[("kernel", &[3, 3, 1]), ("bias", &[3])])
            .required(&["kernel_size"])
            .refuses([5]),
        LayerContract::of(DepthwiseConv2D::new([3, 2]).depth_multiplier(2).activation(LeakyRelu(0.1)))
            .input([4, 3, 2])
            .output([2, 2, 4])
            .weights(&[("kernel", &[3, 2, 2, 2]), ("bias", &[4])])
            .required(&["kernel_size"])
            .refuses([4, 3]),
        LayerContract::of(DepthwiseConv2D::new(2).dilation_rate(2).use_bias(false))
            .input([3, 4, 2])
            .output([1, 2, 2])
            .weights(&[("kernel", &[2, 2, 2, 1])])
            .required(&["kernel_size"])
            .refuses([3, 4]),
    ];
    separable_convolutions: [
        LayerContract::of(SeparableConv1D::new(3, 3).strides(2).activation(Tanh))
            .input([7, 2])
            .output([3, 3])
            .weights(&[("depthwise_kernel", &[3, 2, 1]), ("pointwise_kernel", &[1, 2, 3]), ("bias", &[3])])
            .required(CONV)
            .refuses([7]),
        LayerContract::of(SeparableConv2D::new(3, 2).depth_multiplier(2).padding(Padding::Same).activation(Softmax))
            .input([3, 3, 2])
            .output([3, 3, 3])
            .weights(&[("depthwise_kernel", &[2, 2, 2, 2]), ("pointwise_kernel", &[1, 1, 4, 3]), ("bias", &[3])])
            .required(CONV)
            .refuses([9]),
    ];
    up_samplings: [
        LayerContract::of(UpSampling1D::new(3)).input([2, 2]).output([6, 2]).refuses([2]),
        LayerContract::of(UpSampling2D::new([2, 3])).input([2, 3, 2]).output([4, 9, 2]).refuses([2, 3]),
        LayerContract::of(UpSampling2D::new([3, 2]).interpolation(Interpolation::Bilinear))
            .input([2, 3, 2])
            .output([6, 6, 2])
            .refuses([6]),
        LayerContract::of(UpSampling2D::new(2).interpolation(Interpolation::Bicubic)).input([3, 2, 1]).output([6, 4, 1]).refuses([6]),
        LayerContract::of(UpSampling2D::new(2).interpolation(Interpolation::Lanczos5)).input([2, 2, 1]).output([4, 4, 1]).refuses([6]),
        LayerContract::of(UpSampling3D::new([2, 1, 2])).input([1, 2, 2, 2]).output([2, 2, 4, 2]).refuses([2, 2, 2]),
    ];
    croppings: [
        LayerContract::of(Cropping1D::sides([(1, 2)])).input([5, 2]).output([2, 2]).refuses([3, 2]),
        LayerContract::of(Cropping2D::sides([(0, 1), (2, 1)])).input([3, 4, 2]).output([2, 1, 2]).refuses([3, 4]),
        LayerContract::of(Cropping3D::new(1)).input([3, 4, 3, 2]).output([1, 2, 1, 2]).refuses([3, 4, 2, 2]),
    ];
    orders: [
        LayerContract::of(Permute::new([2, 1])).input([3, 2]).output([2, 3]).required(&["dims"]).refuses([3, 2, 1]),
        LayerContract::of(Permute::new([3, 1, 2])).input([2, 3, 4]).output([4, 2, 3]).required(&["dims"]).refuses([24]),
        LayerContract::of(RepeatVector::new(3)).input([4]).output([3, 4]).required(&["n"]).refuses([4, 1]),
    ];
    rectifiers: [
        LayerContract::of(ReLU::new()).input([3, 4]).output([3, 4]),
        LayerContract::of(ReLU::new().max_value(6.0)).input([3, 4]).output([3, 4]),
        LayerContract::of(ReLU::new().negative_slope(0.2)).input([3, 4]).output([3, 4]),
        LayerContract::of(ReLU::new().max_value(1.5).negative_slope(0.1).threshold(0.5)).input([3, 4]).output([3, 4]),
        LayerContract::of(LeakyReLU::default()).input([3, 4]).output([3, 4]),
        LayerContract::of(LeakyReLU::new(0.05)).input([7]).output([7]),
        LayerContract::of(ELU::default()).input([3, 4]).output([3, 4]),
        LayerContract::of(ELU::new(0.5)).input([7]).output([7]),
        LayerContract::of(PReLU::new()).input([3, 4]).output([3, 4]).weights(&[("alpha", &[3, 4])]),
        LayerContract::of(PReLU::new().shared_axes([1, 2]))
            .input([2, 3, 4])
            .output([2, 3, 4])
            .weights(&[("alpha", &[1, 1, 4])])
            .refuses([4]),
    ];
    normalisations: [
        LayerContract::of(BatchNormalization::new())
            .input([2, 2, 3])
            .output([2, 2, 3])
            .weights(&[("gamma", &[3]), ("beta", &[3])])
            .states(&[("moving_mean", &[3]), ("moving_variance", &[3])])
            .refuses([2, 0, 3])
            .differs_in_training(),
        LayerContract::of(BatchNormalization::new().center(false).scale(false).momentum(0.9).epsilon(0.01))
            .input([4])
            .output([4])
            .states(&[("moving_mean", &[4]), ("moving_variance", &[4])])
            .refuses([0])
            .differs_in_training(),
        LayerContract::of(BatchNormalization::new().axis(1))
            .input([2, 3, 2])
            .output([2, 3, 2])
            .weights(&[("gamma", &[2]), ("beta", &[2])])
            .states(&[("moving_mean", &[2]), ("moving_variance", &[2])])
            .refuses([2, 0, 3])
            .differs_in_training(),
        LayerContract::of(LayerNormalization::new())
            .input([2, 4])
            .output([2, 4])
            .weights(&[("gamma", &[4]), ("beta", &[4])])
            .refuses([2, 0]),
        LayerContract::of(LayerNormalization::new().axis([1, 3]).scale(false))
            .input([2, 3, 2])
            .output([2, 3, 2])
            .weights(&[("beta", &[2, 2])])
            .refuses([12]),
    ];
    noises: [
        LayerContract::of(SpatialDropout1D::new(0.5))
            .input([2, 6])
            .output([2, 6])
            .required(&["rate"])
            .refuses([12])
            .random_in_training(),
        LayerContract::of(SpatialDropout2D::new(0.5))
            .input([2, 2, 6])
            .output([2, 2, 6])
            .required(&["rate"])
            .refuses([4, 6])
            .random_in_training(),
        LayerContract::of(SpatialDropout3D::new(0.5))
            .input([1, 2, 2, 6])
            .output([1, 2, 2, 6])
            .required(&["rate"])
            .refuses([4, 6])
            .random_in_training(),
        LayerContract::of(GaussianNoise::new(0.3)).input([2, 3]).output([2, 3]).required(&["stddev"]).random_in_training(),
        LayerContract::of(GaussianDropout::new(0.3)).input([2, 3]).output([2, 3]).required(&["rate"]).random_in_training(),
        LayerContract::of(AlphaDropout::new(0.5)).input([2, 6]).output([2, 6]).required(&["rate"]).random_in_training(),
    ];
    group_normalization: [
        LayerContract::of(GroupNormalization::new(2))
            .input([2, 3, 4])
            .output([2, 3, 4])
            .weights(&[("gamma", &[4]), ("beta", &[4])])
            .refuses([2, 3]),
        LayerContract::of(GroupNormalization::new(-1).epsilon(0.1).scale(false))
            .input([3, 2])
            .output([3, 2])
            .weights(&[("beta", &[2])]),
    ];
    unit_normalization: [
        LayerContract::of(UnitNormalization::default()).input([3, 2]).output([3, 2]),
        LayerContract::of(UnitNormalization::new([1, 2])).input([3, 2]).output([3, 2]).refuses([3]),
    ];
    without_effect: [
        LayerContract::of(Identity).input([3, 2]).output([3, 2]),
        LayerContract::of(ActivityRegularization::new(0.5, 0.25)).input([3]).output([3]),
    ];
    random_pictures: [
        random_picture("AugMix"),
        random_picture("CutMix"),
        random_picture("Equalization"),
        random_picture("MixUp"),
        random_picture("RandAugment"),
        random_picture("RandomBrightness"),
        random_picture("RandomColorDegeneration"),
        random_picture("RandomColorJitter"),
        random_picture("RandomContrast"),
        random_picture("RandomElasticTransform"),
        random_picture("RandomErasing"),
        random_picture("RandomFlip"),
        random_picture("RandomGaussianBlur"),
        random_picture("RandomGrayscale"),
        random_picture("RandomHeight"),
        random_picture("RandomHue"),
        random_picture("RandomInvert"),
        random_picture("RandomPerspective"),
        random_picture("RandomPosterization"),
        random_picture("RandomRotation"),
        random_picture("RandomSaturation"),
        random_picture("RandomSharpness"),
        random_picture("RandomShear"),
        random_picture("RandomTranslation"),
        random_picture("RandomWidth"),
        random_picture("RandomZoom"),
        random_picture("Solarization"),
    ];
    center_crop: [
        LayerContract::of(CenterCrop::new(2, 3))
            .input([5, 4, 2])
            .output([2, 3, 2])
            .required(&["height", "width"])
            .refuses([1, 4, 2]),
    ];
    resizing: [
        LayerContract::of(Resizing::new(3, 5)).input([4, 3, 2]).output([3, 5, 2]).required(&["height", "width"]).refuses([4, 3]),
        LayerContract::of(Resizing::new(2, 2).interpolation(Interpolation::Bicubic).antialias(true))
            .input([5, 4, 1])
            .output([2, 2, 1])
            .required(&["height", "width"])
            .refuses([5, 0, 1]),
        LayerContract::of(Resizing::new(3, 3).interpolation(Interpolation::Nearest).aspect_ratio(AspectRatio::Crop))
            .input([2, 5, 1])
            .output([3, 3, 1])
            .required(&["height", "width"])
            .refuses([10]),
        LayerContract::of(Resizing::new(3, 3).interpolation(Interpolation::Lanczos3).aspect_ratio(AspectRatio::Pad(0.5)))
            .input([2, 5, 1])
            .output([3, 3, 1])
            .required(&["height", "width"])
            .refuses([10]),
    ];
    adaptive_poolings: [
        LayerContract::of(AdaptiveAveragePooling1D::new(3)).input([5, 2]).output([3, 2]).required(&["output_size"]).refuses([5]),
        LayerContract::of(AdaptiveAveragePooling2D::new([2, 4])).input([3, 3, 2]).output([2, 4, 2]).required(&["output_size"]).refuses([9]),
        LayerContract::of(AdaptiveAveragePooling3D::new(1)).input([2, 3, 2, 1]).output([1, 1, 1, 1]).required(&["output_size"]).refuses([6, 2]),
        LayerContract::of(AdaptiveMaxPooling1D::new(3)).input([5, 2]).output([3, 2]).required(&["output_size"]).refuses([5]),
        LayerContract::of(AdaptiveMaxPooling2D::new([2, 4])).input([3, 3, 2]).output([2, 4, 2]).required(&["output_size"]).refuses([9]),
        LayerContract::of(AdaptiveMaxPooling3D::new(2)).input([2, 3, 2, 1]).output([2, 2, 2, 1]).required(&["output_size"]).refuses([6, 2]),
    ];
    masking: [
        LayerContract::of(Masking::default()).input([3, 2]).output([3, 2]),
    ];
    embedding: [
        LayerContract::of(Embedding::new(5, 3))
            .words(5)
            .input([4])
            .output([4, 3])
            .weights(&[("embeddings", &[5, 3])])
            .required(&["input_dim", "output_dim"]),
    ];
    rms_normalization: [
        LayerContract::of(RMSNormalization::new()).input([2, 4]).output([2, 4]).weights(&[("scale", &[4])]),
        LayerContract::of(RMSNormalization::new().axis([1, 3]).epsilon(0.01))
            .input([2, 3, 2])
            .output([2, 3, 2])
            .weights(&[("scale", &[2, 2])])
            .refuses([12]),
    ];
    locally_connected: [
        LayerContract::of(LocallyConnected1D::new(3, 2).strides(2).activation(Tanh))
            .input([5, 2])
            .output([2, 3])
            .weights(&[("kernel", &[2, 4, 3]), ("bias", &[2, 3])])
            .required(CONV)
            .refuses([5]),
        LayerContract::of(LocallyConnected2D::new(2, [2, 1]).use_bias(false))
            .input([3, 2, 2])
            .output([2, 2, 2])
            .weights(&[("kernel", &[4, 4, 2])])
            .required(CONV)
            .refuses([3, 2]),
    ];
    spectral_normalization: [
        LayerContract::of(SpectralNormalization::new(Conv2D::new(3, 2).activation(Tanh)))
            .input([3, 3, 2])
            .output([2, 2, 3])
            .weights(&[("kernel", &[2, 2, 2, 3]), ("bias", &[3])])
            .states(&[("vector_u", &[1, 3])])
            .required(&["layer"])
            .refuses([9]),
    ];
    time_distributed: [
        LayerContract::of(TimeDistributed::new(Dense::new(4).activation(Tanh)))
            .input([2, 3])
            .output([2, 4])
            .weights(DENSE_WEIGHTS)
            .required(&["layer"])
            .refuses([3]),
        LayerContract::of(TimeDistributed::new(MaxPooling2D::new(2)))
            .input([2, 4, 4, 1])
            .output([2, 2, 2, 1])
            .required(&["layer"])
            .refuses([4, 4, 1]),
    ];
}
