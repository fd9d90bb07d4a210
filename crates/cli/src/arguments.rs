//! The command line.

use crate::commands::advise::AdviseArguments;
use crate::commands::augment::AugmentArguments;
use crate::commands::curves::CurvesArguments;
use crate::commands::data::DataArguments;
use crate::commands::dream::DreamArguments;
use crate::commands::explain::ExplainArguments;
use crate::commands::kernels::KernelsArguments;
use crate::commands::report::ReportArguments;
use crate::commands::style::StyleArguments;
use crate::serve::{LiveArguments, ServeArguments};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use striate::data::PixelValues;

/// Convolutional neural networks: train, evaluate, predict, explain, measure.
#[derive(Debug, Parser)]
#[command(name = "striate", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Print one JSON object a line on standard output, and nothing else there.
    #[arg(long, global = true)]
    pub json: bool,
    /// Worker threads [default: all cores]. Results are the same to the bit for any number.
    #[arg(long, global = true, value_name = "N", value_parser = positive)]
    pub threads: Option<usize>,
    /// Where to compute: cpu, or cuda:N in a build with CUDA [default: cpu].
    #[arg(long, global = true, value_name = "DEVICE")]
    pub device: Option<String>,
    /// How convolutions are computed; auto decides by shape.
    #[arg(long, global = true, value_name = "ALGORITHM", default_value = "auto")]
    pub conv_algorithm: ConvAlgorithmName,
    /// How a CUDA device computes products; the CPU computes in f32.
    #[arg(long, global = true, value_name = "PRECISION", default_value = "f32")]
    pub precision: PrecisionName,
    /// Record training steps on a CUDA device as graphs and replay them: the same bits, with less work for the host.
    #[arg(long, global = true)]
    pub cuda_graphs: bool,
}

/// How products of numbers are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrecisionName {
    /// In float32 throughout.
    F32,
    /// By tensor cores, on factors rounded to 10 bits after the leading one: faster, and less exact.
    Tf32,
    /// On factors rounded to bfloat16, 7 bits after the leading one.
    Bf16,
    /// On factors rounded to float16, 10 bits after the leading one in a small range; training scales the loss.
    F16,
}

/// The algorithms of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConvAlgorithmName {
    /// By shape.
    Auto,
    /// The sum of products as written.
    Direct,
    /// Winograd's minimal filtering wherever it is possible.
    Winograd,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a network by one of the recipes.
    Train(TrainArguments),
    /// Measure a model on test data.
    Evaluate(EvaluateArguments),
    /// Say what pictures show.
    Predict(PredictArguments),
    /// Print a model's layers, shapes and parameters.
    Summary(SummaryArguments),
    /// Say how much of a pretrained network to train for a folder of pictures.
    Advise(AdviseArguments),
    /// Write a model file in another format: .keras, .h5, .safetensors, or weights alone as .weights.h5 or .npz.
    Convert(ConvertArguments),
    /// Show what random changes make of a picture: variants on one sheet, with their parameters.
    Augment(Box<AugmentArguments>),
    /// Show what a network does: activations, filters, heat maps.
    Explain(Box<ExplainArguments>),
    /// Show what small kernels, ReLU and pooling make of a picture, and a kernel sliding over numbers.
    Kernels(KernelsArguments),
    /// Write the page of a run anew: report.html, from what the run left in its folder.
    Report(ReportArguments),
    /// Draw the curves of a run, or of several on the same axes.
    Curves(CurvesArguments),
    /// DeepDream: change a picture so that layers of a network respond more strongly.
    Dream(DreamArguments),
    /// Paint a picture in the style of another.
    Style(StyleArguments),
    /// Fetch, check and list data sets and weight files.
    Data(DataArguments),
    /// Serve a page on which one draws a digit, or drops a picture, and watches every layer respond.
    Serve(ServeArguments),
    /// Show what this program found on this machine: processor, threads, data.
    Doctor,
    /// Measure speed on fixed workloads.
    Bench(BenchArguments),
}

/// The recipes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RecipeName {
    /// The lecture's network on the 70,000 MNIST digits.
    Mnist,
    /// A network of our own on the same digits, for about five minutes.
    MnistBest,
    /// The lecture's network for cats and dogs, from scratch on 2000 photographs.
    CatsDogs,
    /// The same with dropout, and photographs changed at random.
    CatsDogsAugmented,
    /// A network of our own on the same 2000 photographs, from scratch.
    CatsDogsBest,
    /// A classifier on VGG16's features of the photographs, computed once.
    CatsDogsFeatures,
    /// A classifier on VGG16's frozen convolutions, photographs changed at random.
    CatsDogsFrozen,
    /// The network of cats-dogs-frozen, its last block of convolutions trained too.
    CatsDogsFinetune,
    /// A classifier on a pretrained network for any folder of pictures: --data DIR, one folder for each class.
    Transfer,
}

impl RecipeName {
    /// The name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
    }
}

/// `striate train`.
#[derive(Debug, Args)]
pub struct TrainArguments {
    /// What to train.
    pub recipe: RecipeName,
    /// The folder with the data [default: $STRIATE_DATA, the cache folder, datasets/].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Passes over the data [default: the recipe's].
    #[arg(long, value_name = "N", value_parser = positive)]
    pub epochs: Option<usize>,
    /// Samples a step [default: the recipe's].
    #[arg(long, value_name = "N", value_parser = positive)]
    pub batch_size: Option<usize>,
    /// Steps an epoch [default: one pass over the data].
    #[arg(long, value_name = "N", value_parser = positive)]
    pub steps_per_epoch: Option<usize>,
    /// The source of all randomness: the same seed gives the same weights to the bit.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Where the results go [default: runs/RECIPE].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Start from the weights of this file.
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Go on where a run in the same folder stopped.
    #[arg(long)]
    pub resume: bool,
    /// Leave files out that are no readable pictures, with a note, instead of refusing the folder.
    #[arg(long)]
    pub skip_bad: bool,
    /// Divide pixels by 255 as the lecture does, instead of what the pretrained network was trained on.
    #[arg(long)]
    pub as_lecture: bool,
    /// The pretrained network of transfer: vgg16, mobilenet, resnet50, ... [default: the first whose weights are here].
    #[arg(long, value_name = "NETWORK")]
    pub base: Option<String>,
    /// Pixels along the sides that photographs are stretched to, for cats-dogs-frozen [default: 150]; cats-dogs-finetune takes the size of
    /// the network that it starts from.
    #[arg(long, value_name = "PIXELS")]
    pub side: Option<usize>,
    /// Let the learning rate of cats-dogs-finetune fall to zero along a cosine instead of staying as it is.
    #[arg(long)]
    pub cosine: bool,
    /// Average the weights of cats-dogs-finetune over its steps: the average keeps this share of itself at each.
    #[arg(long, value_name = "SHARE")]
    pub ema: Option<f64>,
    /// The answer of cats-dogs-finetune to a test photograph is the mean over it and its mirror image.
    #[arg(long)]
    pub mirrored: bool,
    /// Also print where the time goes, layer by layer, and write OUT/trace.json for chrome://tracing.
    #[arg(long)]
    pub profile: bool,
    /// A page that shows the run.
    #[command(flatten)]
    pub live: LiveArguments,
}

/// `striate evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateArguments {
    /// A model file of this program or of Keras: .keras, .h5, .safetensors.
    pub model: PathBuf,
    /// The folder with the data: MNIST's files, or pictures in a folder for each class (or those in test) [default: $STRIATE_DATA, the
    /// cache folder, datasets/].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// What pixels become: caffe, symmetric or rescale=1/255 [default: what the model says].
    #[arg(long, value_name = "VALUES")]
    pub pixels: Option<PixelValues>,
    /// Also write pictures of the answers there: confusion matrix, reliability diagram, the worst mistakes, and answers.csv.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// `striate predict`.
#[derive(Debug, Args)]
pub struct PredictArguments {
    /// A model file of this program or of Keras (.keras, .h5, .safetensors), or a network with ImageNet's classes: mobilenet, vgg16, ...
    pub model: String,
    /// Pictures: JPEG, PNG, BMP, GIF or WebP.
    #[arg(required = true)]
    pub images: Vec<PathBuf>,
    /// How many classes to name.
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = positive)]
    pub top: usize,
    /// The folder that has published weights in its folder weights [default: $STRIATE_DATA, the cache folder, datasets/].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// What pixels become: caffe, symmetric or rescale=1/255 [default: what the model says].
    #[arg(long, value_name = "VALUES")]
    pub pixels: Option<PixelValues>,
    /// The input's shape without the batch axis, for a model file that leaves sizes open, as 224x224x3.
    #[arg(long, value_name = "SHAPE", value_parser = shape)]
    pub input: Option<ShapeArgument>,
}

/// `striate summary`.
#[derive(Debug, Args)]
pub struct SummaryArguments {
    /// A model file, a network of the zoo (vgg16, resnet50, mobilenet, ...), or the name of a recipe's network: mnist, mnist-best,
    /// cats-dogs, cats-dogs-augmented, cats-dogs-best, cats-dogs-features, cats-dogs-frozen.
    pub model: String,
    /// The size of the pictures of a network of the zoo, as 150x150x3 [default: its own], or of a file that leaves sizes open.
    #[arg(long, value_name = "SHAPE", value_parser = shape)]
    pub input: Option<ShapeArgument>,
    /// Layers to be frozen: the path of one, or a pattern as vgg16/block4_*; more than once if need be.
    #[arg(long, value_name = "PATTERN")]
    pub freeze: Vec<String>,
    /// The network of the zoo without its classifier.
    #[arg(long)]
    pub no_top: bool,
    /// Also print what each layer costs and sees: arithmetic of shapes, multiply-adds, memory, receptive field; and the memory that training
    /// will need.
    #[arg(long)]
    pub costs: bool,
    /// The batch size that the memory of training is for.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = positive)]
    pub batch_size: usize,
}

/// `striate convert`.
#[derive(Debug, Args)]
pub struct ConvertArguments {
    /// A model file of this program or of Keras 1, 2 or 3; its content says which.
    pub input: PathBuf,
    /// The file to write; its ending says the format.
    pub output: PathBuf,
    /// The input's shape without the batch axis, for a model that leaves sizes open, as 224x224x3.
    #[arg(long, value_name = "SHAPE", value_parser = shape)]
    pub input_shape: Option<ShapeArgument>,
    /// Layers to be frozen in the new file: the path of one, or a pattern as vgg16/block4_*; more than once if need be.
    #[arg(long, value_name = "PATTERN")]
    pub freeze: Vec<String>,
    /// Layers to be trained in the new file, after --freeze.
    #[arg(long, value_name = "PATTERN")]
    pub thaw: Vec<String>,
    /// Turn convolution kernels by 180°: the file is of Keras 1 on Theano, which does not say so.
    #[arg(long)]
    pub theano: bool,
}

/// Sizes with an x between them.
#[derive(Debug, Clone)]
pub struct ShapeArgument(pub Vec<usize>);

/// `striate bench`.
#[derive(Debug, Args)]
pub struct BenchArguments {
    /// Workloads [default: all; the larger ones take a minute and 2 GB].
    pub workloads: Vec<Workload>,
    /// Repetitions of each.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = positive)]
    pub repeat: usize,
    /// The folder of photographs that augment and augment_smooth work on, with one folder for each class.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Of conv_micro only the layers whose name contains this.
    #[arg(long, value_name = "NAME")]
    pub layer: Option<String>,
    /// Also print, for each layer and pass, the algorithm, its rates, and which of the machine's measured limits it is nearer to.
    #[arg(long)]
    pub why: bool,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Workload {
    /// Training the MNIST network, batch 64, images/s.
    MnistTrain,
    /// Its forward pass, batch 1000, images/s.
    #[value(name = "mnist_infer_1000")]
    MnistInfer,
    /// Its forward pass, batch 1, ms.
    #[value(name = "mnist_latency_1")]
    MnistLatency,
    /// Training the cats-and-dogs network, batch 20, images/s.
    CatsdogsTrain,
    /// VGG16's convolutions at 150×150, batch 20, forward, images/s.
    #[value(name = "vgg16_features_150")]
    Vgg16Features,
    /// All of VGG16 at 224×224, batch 1, forward, ms.
    #[value(name = "vgg16_top_224_1")]
    Vgg16Top1,
    /// All of VGG16 at 224×224, batch 16, forward, images/s.
    #[value(name = "vgg16_top_224_16")]
    Vgg16Top16,
    /// Training a head on VGG16's frozen convolutions, batch 20, images/s.
    Vgg16FrozenTrain,
    /// The same with block 5 trained too.
    Vgg16Finetune,
    /// The same with everything trained.
    Vgg16FullTrain,
    /// 40 steps of gradient ascent for a filter of block3_conv1 at 150×150, s.
    FilterPattern,
    /// The same for 64 filters of block1_conv1 at 64×64, s.
    FilterGrid,
    /// Single convolutions, each pass, GFLOP/s.
    ConvMicro,
    /// Photographs of --data decoded, brought to 150×150 by the nearest pixel as in the lecture, and changed at random, batches of 20,
    /// images/s.
    Augment,
    /// The same, resized by a bilinear filter that smooths.
    AugmentSmooth,
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(n) => Ok(n),
        Err(error) => Err(error.to_string()),
    }
}

fn shape(text: &str) -> Result<ShapeArgument, String> {
    text.split('x').map(positive).collect::<Result<_, _>>().map(ShapeArgument)
}
