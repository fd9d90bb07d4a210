//! Everything a program needs: `use striate::prelude::*;`.

pub use crate::build::{Build, Save, functional, load};
pub use crate::device::device;
pub use striate_autograd::{CustomOp, Var};
pub use striate_data::augment::{Augmentation, Augmented};
pub use striate_data::{
    ArrayDataset, Batching, ClassMode, Dataset, FolderOptions, ImageFolder, Mnist, Photograph, Preparation, Standardize,
};
pub use striate_nn::layers::*;
pub use striate_nn::{
    Activation, Builder, Call, Config, Context, Initializer, Layer, Model, Registry, Regularizer, Sequential, Symbol,
};
pub use striate_optim::{Adam, AdamW, RmsProp, Schedule, Sgd};
pub use striate_tensor::Activation::{
    Elu, Exponential, Gelu, HardSigmoid, LeakyRelu, Linear, Relu, Relu6, Selu, Sigmoid, Silu, Softplus, Softsign, Tanh,
};
pub use striate_tensor::Padding::{Causal, Same, Valid};
pub use striate_tensor::{DType, Device, Error, PadMode, Result, Shape, Tensor};
pub use striate_train::callback::{CsvLog, EarlyStopping, ReduceLROnPlateau, SaveBest};
pub use striate_train::loss::{
    BinaryCrossentropy, CategoricalCrossentropy, MeanAbsoluteError, MeanSquaredError, SparseCategoricalCrossentropy,
};
pub use striate_train::metric::{
    Accuracy, Auc, ConfusionMatrix, F1, Precision, Recall, SparseCategoricalAccuracy, TopKCategoricalAccuracy,
};
pub use striate_train::{Callback, Compile, Fit, History, Progress, Training, continue_training, features};
pub use striate_viz::PlotHistory;
