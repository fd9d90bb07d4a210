//! What the recipes on VGG16's convolutions share: the base with its published weights, its head, and the photographs.

use super::{Settings, take_over};
use striate::data::{ClassMode, Filter, ImageFolder, Photograph, PixelValues};
use striate::prelude::*;
use striate::zoo::{Architecture, Pretrained, ZooOptions};

/// Pixels along a side, unless the command line says otherwise.
const SIDE: usize = 150;
pub const BATCH: usize = 20;

fn side(settings: &Settings) -> usize {
    settings.side.unwrap_or(SIDE)
}

/// How photographs are read: stretched by nearest neighbour as in the lecture, with the network's own range of values, or
/// with values 0 to 1 if the run is to be as in the lecture.
pub fn photograph(settings: &Settings) -> Photograph {
    let values = match settings.as_lecture {
        true => PixelValues::Rescale(255f32.recip()),
        false => Architecture::Vgg16.pixel_values(),
    };
    let told = match settings.as_lecture {
        true => "divided by 255, as in the lecture, which is not what VGG16 was trained on",
        false => "as VGG16 was trained on them, BGR less ImageNet's mean; --as-lecture divides by 255",
    };
    eprintln!("pixels: {told}");
    Photograph { filter: Filter::Nearest, values, ..Photograph::new(side(settings), side(settings)) }
}

/// VGG16's convolutions with ImageNet's weights.
pub fn base(settings: &Settings) -> Result<Model> {
    let options = ZooOptions::features([side(settings), side(settings), 3]);
    let build = striate::build_options(settings.seed)?;
    let pretrained = Pretrained::open(Architecture::Vgg16, &options, &build, settings.data.as_deref())?;
    eprintln!("weights of vgg16: {}", pretrained.file.display());
    Ok(pretrained.model)
}

/// The lecture's classifier, on top of what is there: 256 units and one probability, with dropout between or without.
pub fn with_head(network: Sequential, dropout: Option<f32>) -> Sequential {
    let network = network.add(Flatten).add(Dense::new(256).activation(Relu));
    let network = dropout.map_or(network.clone(), |rate| network.add(Dropout::new(rate)));
    network.add(Dense::new(1).activation(Sigmoid))
}

/// The base with a head, named `vgg16` inside.
pub fn whole(base: &Model, dropout: Option<f32>, seed: u64) -> Result<Model> {
    let input = base.graph().input_shapes()[0];
    with_head(Sequential::new(input).add(base.clone()), dropout).build_seeded(seed)
}

/// The whole network with random weights and its base frozen, for its summary.
pub fn untrained(dropout: Option<f32>) -> Result<Model> {
    let base = Architecture::Vgg16.model(&ZooOptions::features([SIDE, SIDE, 3]), &striate::build_options(0)?)?;
    let mut model = whole(&base, dropout, 0)?;
    model.set_trainable("vgg16", false)?;
    Ok(model)
}

/// The head alone, with the weights that it has in the whole network.
pub fn head_of(whole: &Model, base: &Model, dropout: Option<f32>) -> Result<Model> {
    let mut head = with_head(Sequential::new(base.graph().output_shapes()[0]), dropout).build()?;
    take_over(&mut head, whole)?;
    Ok(head)
}

/// The photographs of `train`, `validation` or `test`.
pub fn photographs(settings: &Settings, part: &str, photograph: &Photograph) -> Result<ImageFolder> {
    settings.photographs(part, photograph.folder_options(ClassMode::Binary))
}
