//! Weights that others published, which lie outside of the repository: their folder is named by `STRIATE_DATA`.

use std::path::PathBuf;
use striate_formats::{LoadOptions, load_weights, load_weights_with};
use striate_nn::BuildOptions;
use striate_tensor::Tensor;
use striate_zoo::{Architecture, Pretrained, ZooOptions, decode_predictions};

fn weights() -> Option<PathBuf> {
    let folder = std::env::var_os("STRIATE_DATA").map(|data| PathBuf::from(data).join("weights"));
    let folder = folder.filter(|folder| folder.is_dir());
    if folder.is_none() {
        eprintln!("skipped: STRIATE_DATA names no folder with weights/");
    }
    folder
}

#[test]
fn published_weights_fit() {
    let Some(folder) = weights() else { return };
    let build = BuildOptions::on(&striate_testkit::reference::device());
    let features = ZooOptions::features([64, 64, 3]);

    let mut vgg = Architecture::Vgg16.model(&features, &build).unwrap();
    let report = load_weights(&mut vgg, folder.join("vgg16_imagenet_notop.safetensors")).unwrap();
    assert!(report.is_complete(), "{report}");

    let mut squeeze = Architecture::SqueezeNet.model(&features, &build).unwrap();
    assert_eq!(squeeze.parameter_count(), 722_496);
    let report = load_weights(&mut squeeze, folder.join("squeezenet_v1.1_imagenet_notop.h5")).unwrap();
    assert!(report.is_complete(), "{report}");
    let pair = report.matched.iter().find(|m| m.weight == "fire2_squeeze1x1/kernel").unwrap();
    assert_eq!(pair.tensor, "fire2/squeeze1x1/uniform2");

    let mobile = Architecture::MobileNet;
    let options = ZooOptions { classes: 1001, input_shape: Some([64, 64, 3]), ..ZooOptions::default() };
    let mut model = mobile.model(&options, &build).unwrap();
    let load = LoadOptions { renaming: mobile.tensorflow_names(), ..LoadOptions::default() };
    let path = folder.join("mobilenet_v1_1.0_224_imagenet1001.safetensors");
    let report = load_weights_with(&mut model, path, &load).unwrap();
    assert_eq!((report.missing.len(), report.mismatched.len()), (0, 0), "{report}");
    let gray = Tensor::full([1, 64, 64, 3], 127.0, striate_tensor::DType::F32, model.device()).unwrap();
    let probabilities = model.predict_on(&[mobile.preprocess(&gray).unwrap()]).unwrap().remove(0);
    let guesses = decode_predictions(&probabilities, 3).unwrap();
    assert!(guesses[0][0].probability > guesses[0][1].probability, "{guesses:?}");
}

#[test]
fn published_weights_are_found_by_the_network_s_name() {
    let Some(folder) = weights() else { return };
    let build = BuildOptions::on(&striate_testkit::reference::device());
    let data = folder.parent();
    let vgg = Pretrained::open(Architecture::Vgg16, &ZooOptions::features([64, 48, 3]), &build, data).unwrap();
    let first = vgg.model.weight("block1_conv1/kernel").unwrap().to_vec::<f32>().unwrap()[0];
    assert!((first - 0.42947057).abs() < 1e-6, "{first}");
    assert_eq!(vgg.preparation.to_string(), "photograph 64x48 bilinear caffe");
    let mobile = Pretrained::open(Architecture::MobileNet, &ZooOptions::default(), &build, data).unwrap();
    assert_eq!(mobile.model.graph().output_shapes()[0].to_vec(), [1001]);
    let bare = ZooOptions::features([64, 64, 3]);
    assert!(Pretrained::open(Architecture::MobileNet, &bare, &build, data).is_ok());
    let text = Pretrained::open(Architecture::Vgg16, &ZooOptions::default(), &build, data).unwrap_err().to_string();
    assert!(text.contains("striate data download vgg16") && !text.contains("notop"), "{text}");
}
