//! All that can be done with a file.

use std::sync::LazyLock;
use striate_formats::{LoadOptions, ModelOptions, WeightsFile};
use striate_nn::{BuildOptions, Model, Registry, Sequential, layers::Dense};

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let device = striate_testkit::reference::device();
    let stack = Sequential::new([3]).add(Dense::new(2));
    stack.build_on(&BuildOptions::on(&device)).expect("two layers that fit")
});

/// Reads bytes as a file, loads its weights, builds its model.
pub fn try_everything(bytes: Vec<u8>) {
    let Ok(file) = WeightsFile::parse("file", bytes) else { return };
    let mut model = MODEL.clone();
    let lenient = LoadOptions { by_name: true, skip_mismatch: true, ..LoadOptions::default() };
    let _ = file.load_into(&mut model, &LoadOptions::default());
    let _ = file.load_into(&mut model, &lenient);
    let _ = file.saved_training(&model);
    file.tensors().for_each(|(_, tensor)| _ = tensor.to_f32());
    let Ok(whole) = file.model(&Registry::default(), model.device(), &ModelOptions::default()) else { return };
    let _ = file.saved_training(&whole.model);
}
