//! What every layer promises, checked in one call.

use crate::gradcheck::check_var;
use crate::reference;
use serde_json::{Map, Value};
use striate_autograd::Var;
use striate_nn::{BuildOptions, Call, Graph, GraphKind, Instance, Model, Registry, Run, Symbol, WeightSpec};
use striate_tensor::{DType, Device, Error, Key, Shape, Tensor};

/// What a forward pass in another batch may differ by, in double precision, from sums taken in another order.
const BATCH_TOLERANCE: f64 = 1e-12;
/// What float32 may differ from float64 by, relative to 1 + |value|.
const FLOAT_TOLERANCE: f64 = 1e-4;
/// The layer's name in the model it is tried in.
const NAME: &str = "tried";

type Check = Result<(), String>;

/// How a layer behaves in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Training {
    /// As in inference.
    Same,
    /// Otherwise, and the same for every step, as with statistics of the batch.
    Differs,
    /// Otherwise, and differently in every step, as dropout.
    Random,
}

/// What a layer is expected to do; [`LayerContract::check`] holds it to that, and to what every layer promises:
///
/// - its config survives the registry, and every key but the required ones may be absent;
/// - shapes known before any work are those of a real forward pass, for batches of 1 and 3, in float32 and float64;
/// - weights have the names, shapes and numbers of elements that are expected;
/// - the same input gives the same bits, in inference and in training with one key;
/// - training differs from inference only where that is expected;
/// - gradients of inputs and trainable weights are those of central differences, in inference and in training;
/// - frozen weights have no gradients;
/// - a model that is written as JSON and read again computes the same bits;
/// - an input of a rank that it does not take is a typed error that names the layer;
/// - in inference, a sample's output does not depend on the rest of the batch.
///
/// ```
/// use striate_nn::layers::Dense;
/// use striate_testkit::layer_contract::LayerContract;
/// LayerContract::of(Dense::new(4))
///     .input([3])
///     .output([4])
///     .weights(&[("kernel", &[3, 4]), ("bias", &[4])])
///     .required(&["units"])
///     .refuses([])
///     .check();
/// ```
#[derive(Debug)]
pub struct LayerContract {
    instance: Instance,
    inputs: Vec<Shape>,
    output: Shape,
    weights: Vec<(String, Shape)>,
    states: Vec<(String, Shape)>,
    required: Vec<String>,
    /// An input that is refused; without one, any rank must be taken.
    refused: Option<Shape>,
    training: Training,
    /// Inputs are whole numbers below this one, and have no gradients.
    words: Option<usize>,
    registry: Registry,
}

impl LayerContract {
    /// A contract of a layer without weights that is the same in training and takes any rank; the methods say what else.
    pub fn of(layer: impl Into<Instance>) -> Self {
        LayerContract {
            instance: layer.into().with_name(NAME),
            inputs: Vec::new(),
            output: Shape::SCALAR,
            weights: Vec::new(),
            states: Vec::new(),
            required: Vec::new(),
            refused: None,
            training: Training::Same,
            words: None,
            registry: Registry::default(),
        }
    }

    /// An input's shape without the batch axis; once for each input. Keep it small: every element is moved to both sides.
    pub fn input(mut self, shape: impl Into<Shape>) -> Self {
        self.inputs.push(shape.into());
        self
    }

    /// The output's shape without the batch axis.
    pub fn output(mut self, shape: impl Into<Shape>) -> Self {
        self.output = shape.into();
        self
    }

    /// Names and shapes of the trainable weights, in order.
    pub fn weights(mut self, weights: &[(&str, &[usize])]) -> Self {
        self.weights = named(weights);
        self
    }

    /// Names and shapes of the weights that are not trained, in order.
    pub fn states(mut self, states: &[(&str, &[usize])]) -> Self {
        self.states = named(states);
        self
    }

    /// The keys a config must have.
    pub fn required(mut self, keys: &[&str]) -> Self {
        self.required = keys.iter().map(|key| key.to_string()).collect();
        self
    }

    /// A shape, without the batch axis, that the layer refuses.
    pub fn refuses(mut self, shape: impl Into<Shape>) -> Self {
        self.refused = Some(shape.into());
        self
    }

    /// The layer does otherwise in training, and the same in every step.
    pub fn differs_in_training(mut self) -> Self {
        self.training = Training::Differs;
        self
    }

    /// The layer does otherwise in training, and differently in every step.
    pub fn random_in_training(mut self) -> Self {
        self.training = Training::Random;
        self
    }

    /// The inputs are whole numbers in 0..`count`, which have no gradients.
    pub fn words(mut self, count: usize) -> Self {
        self.words = Some(count);
        self
    }

    /// The classes that may be read; by default those of striate-nn.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// Checks everything.
    ///
    /// # Panics
    /// With a text that names the layer, the promise and what was found instead.
    #[track_caller]
    pub fn check(self) {
        if let Err(failure) = self.verify() {
            panic!("{failure}");
        }
    }

    /// As [`LayerContract::check`].
    ///
    /// # Errors
    /// The text.
    pub fn verify(&self) -> Result<(), String> {
        let class = self.class()?;
        let told = |failure: String| format!("{class}: {failure}");
        let device = reference::device();
        let model = self.model(&device, DType::F64).map_err(told)?;
        let checks: [fn(&Self, &Model) -> Check; 10] = [
            Self::config_survives,
            Self::weights_are_declared,
            Self::bits_repeat,
            Self::shapes_agree,
            Self::training_is_as_expected,
            Self::gradients_are_right,
            Self::frozen_weights_have_no_gradient,
            Self::files_keep_outputs,
            Self::ranks_are_checked,
            Self::samples_are_independent,
        ];
        checks.iter().try_for_each(|check| check(self, &model)).map_err(told)
    }

    /// The layer's Keras class.
    ///
    /// # Errors
    /// A text, if the layer does not take the inputs.
    pub fn class(&self) -> Result<String, String> {
        let graph = self.graph(&self.instance, &self.inputs).map_err(text)?;
        let json = graph.to_json();
        let entries = json["config"]["layers"].as_array().into_iter().flatten();
        let class = entries.filter(|entry| entry["name"] == NAME).find_map(|entry| entry["class_name"].as_str());
        class.map(str::to_string).ok_or_else(|| "the layer has no class name".into())
    }

    /// The graph of the layer alone.
    fn graph(&self, instance: &Instance, shapes: &[Shape]) -> striate_tensor::Result<Graph> {
        let inputs = shapes
            .iter()
            .enumerate()
            .map(|(i, shape)| Symbol::named_input(&format!("input_{i}"), *shape))
            .collect::<striate_tensor::Result<Vec<Symbol>>>()?;
        let output = instance.clone().call(&inputs[..])?;
        Graph::new("contract", GraphKind::Functional, &inputs, &[output])
    }

    /// The layer alone in a model, every weight a number of its own.
    fn model(&self, device: &Device, dtype: DType) -> Result<Model, String> {
        let options = BuildOptions { dtype, ..BuildOptions::on(device) };
        let graph = self.graph(&self.instance, &self.inputs).map_err(text)?;
        let mut model = Model::from_graph(graph, &options).map_err(text)?;
        let specs: Vec<WeightSpec> = model.weights().map(|(spec, _)| spec.clone()).collect();
        for spec in specs {
            let mut stream = Key::new(11).fold_str(&spec.path).stream();
            // States may be variances: positive. Weights are not near 0.
            let value = |_| {
                let magnitude = stream.uniform_in(0.3, 1.2);
                if spec.is_trainable && stream.below(2) == 0 { -magnitude } else { magnitude }
            };
            let values: Vec<f64> = (0..spec.shape.elements()).map(value).collect();
            let value = Tensor::from_vec(values, spec.shape, device).map_err(text)?;
            model.set_weight(&spec.path, &value).map_err(text)?;
        }
        Ok(model)
    }

    /// Inputs of `batch` samples: different numbers in ±2, evenly apart, so that no maximum is close.
    fn tensors(&self, batch: usize, device: &Device, dtype: DType) -> Result<Vec<Tensor>, String> {
        let one = |(i, shape): (usize, &Shape)| {
            let shape = shape.with_batch(batch)?;
            let n = shape.elements();
            let order = Key::new(23).fold(i as u64).permutation(n);
            // Inputs differ from each other too, so that no two elements of a merge are equal.
            if let Some(count) = self.words {
                let words = order.into_iter().map(|k| (k % count) as f64).collect::<Vec<f64>>();
                return Tensor::from_vec(words, shape, device)?.cast(dtype);
            }
            let at = |k: usize| ((k as f64 + 0.3 + 0.11 * i as f64) * 2.0 / n as f64 - 0.999) * 2.0;
            Tensor::from_vec(order.into_iter().map(at).collect::<Vec<f64>>(), shape, device)?.cast(dtype)
        };
        self.inputs.iter().enumerate().map(one).collect::<striate_tensor::Result<_>>().map_err(text)
    }

    fn forward(model: &Model, inputs: &[Tensor], run: &Run) -> Result<Tensor, String> {
        let inputs: Vec<Var> = inputs.iter().cloned().map(Var::constant).collect();
        let outputs = model.run(&inputs, &model.constants(), run).map_err(text)?;
        outputs.into_iter().next().map(Var::into_value).ok_or_else(|| "no output".into())
    }

    /// The layer's entry in the JSON of a model.
    fn entry(model: &Model) -> Result<Value, String> {
        let json = model.graph().to_json();
        let entries = json["config"]["layers"].as_array().ok_or("the graph's JSON lists no layers")?;
        let entry = entries.iter().find(|entry| entry["name"] == NAME);
        entry.cloned().ok_or_else(|| "the layer is not in the graph's JSON".into())
    }

    /// The model's JSON with other options of the layer, read again, as the layer's options then are.
    fn reread(&self, model: &Model, options: &Map<String, Value>) -> striate_tensor::Result<Map<String, Value>> {
        let mut json = model.graph().to_json();
        for entry in json["config"]["layers"].as_array_mut().into_iter().flatten() {
            if entry["name"] == NAME {
                entry["config"] = Value::Object(options.clone());
            }
        }
        let graph = self.registry.graph_from_json(&json)?.to_json();
        let entries = graph["config"]["layers"].as_array().into_iter().flatten();
        let options = entries.filter(|entry| entry["name"] == NAME).find_map(|entry| entry["config"].as_object());
        Ok(options.cloned().unwrap_or_default())
    }

    fn config_survives(&self, model: &Model) -> Check {
        let entry = Self::entry(model)?;
        let options = entry["config"].as_object().ok_or("the config is not an object")?;
        let again = self.reread(model, options).map_err(text)?;
        if &again != options {
            return Err(format!("the config changes on its way through the registry: {options:?} to {again:?}"));
        }
        for key in options.keys().filter(|key| *key != "name") {
            let mut fewer = options.clone();
            fewer.remove(key);
            let is_required = self.required.iter().any(|required| required == key);
            match (self.reread(model, &fewer), is_required) {
                // The default may give the layer another output, but it is a layer.
                (Ok(_), false) => {}
                (Ok(_), true) => return Err(format!("the config is read without `{key}`, which is required")),
                (Err(error), true) if matches!(error.root(), Error::Model(_)) => {
                    let told = error.to_string();
                    if !told.contains(key.as_str()) || !told.contains(NAME) {
                        return Err(format!("the error for a missing `{key}` must name it and the layer: {told}"));
                    }
                }
                (Err(error), true) => return Err(format!("a missing `{key}` must be a model error: {error}")),
                // A default may not fit this input, a larger kernel for instance; that is the graph's word.
                (Err(error), false) if matches!(error.root(), Error::Model(_)) => {
                    return Err(format!("`{key}` must have a default: {error}"));
                }
                (Err(_), false) => {}
            }
        }
        match self.required.iter().find(|key| !options.contains_key(*key)) {
            Some(key) => Err(format!("the config does not have the required key `{key}`")),
            None => Ok(()),
        }
    }

    fn weights_are_declared(&self, model: &Model) -> Check {
        let declared = |trainable: bool| -> Vec<(String, Shape)> {
            let specs = model.weights().filter(|(spec, _)| spec.is_trainable == trainable);
            specs.map(|(spec, _)| (spec.path.clone(), spec.shape)).collect()
        };
        for (kind, trainable, expected) in [("weights", true, &self.weights), ("states", false, &self.states)] {
            let expected: Vec<(String, Shape)> =
                expected.iter().map(|(name, shape)| (format!("{NAME}/{name}"), *shape)).collect();
            if declared(trainable) != expected {
                return Err(format!("the {kind} are {:?} instead of {expected:?}", declared(trainable)));
            }
        }
        let expected: usize = self.weights.iter().chain(&self.states).map(|(_, shape)| shape.elements()).sum();
        if model.parameter_count() != expected || model.graph().parameter_count() != expected {
            return Err(format!("{} parameters instead of {expected}", model.parameter_count()));
        }
        Ok(())
    }

    fn shapes_agree(&self, model: &Model) -> Check {
        let declared = model.graph().output_shapes();
        if declared != [self.output] {
            return Err(format!("the shape without batch is {declared:?} instead of {}", self.output));
        }
        let single = self.model(model.device(), DType::F32)?;
        for batch in [1, 3] {
            let inputs = self.tensors(batch, model.device(), DType::F64)?;
            let smaller = self.tensors(batch, model.device(), DType::F32)?;
            for training in [false, true] {
                let run = || if training { Run::training(Key::new(5)) } else { Run::inference() };
                let y = Self::forward(model, &inputs, &run())?;
                let expected = self.output.with_batch(batch).map_err(text)?;
                if *y.shape() != expected || y.dtype() != DType::F64 {
                    return Err(format!("a batch of {batch} gives {} {} instead of {expected}", y.shape(), y.dtype()));
                }
                let z = Self::forward(&single, &smaller, &run())?;
                if z.dtype() != DType::F32 {
                    return Err(format!("float32 becomes {}", z.dtype()));
                }
                near("float32 and float64", &z, &y, FLOAT_TOLERANCE)?;
            }
        }
        Ok(())
    }

    fn bits_repeat(&self, model: &Model) -> Check {
        let inputs = self.tensors(3, model.device(), DType::F64)?;
        let first = Self::forward(model, &inputs, &Run::inference())?;
        same("the same input twice", &first, &Self::forward(model, &inputs, &Run::inference())?)?;
        let training = || Run::training(Key::new(5));
        let first = Self::forward(model, &inputs, &training())?;
        same("the same input and key twice", &first, &Self::forward(model, &inputs, &training())?)
    }

    fn training_is_as_expected(&self, model: &Model) -> Check {
        let inputs = self.tensors(3, model.device(), DType::F64)?;
        let inference = Self::forward(model, &inputs, &Run::inference())?;
        let [one, other] = [5, 6].map(|key| Self::forward(model, &inputs, &Run::training(Key::new(key))));
        let (one, other) = (one?, other?);
        let found = match (equal(&one, &inference)?, equal(&one, &other)?) {
            (true, true) => Training::Same,
            (false, true) => Training::Differs,
            _ => Training::Random,
        };
        if found != self.training {
            return Err(format!("training against inference: {found:?}, and {:?} was expected", self.training));
        }
        Ok(())
    }

    fn gradients_are_right(&self, model: &Model) -> Check {
        let inputs = self.tensors(2, model.device(), DType::F64)?;
        let fixed: Vec<Var> = inputs.iter().cloned().map(Var::constant).collect();
        let count = if self.words.is_some() { 0 } else { inputs.len() };
        let trainable: Vec<usize> =
            model.weights().enumerate().filter(|(_, (spec, _))| spec.is_trainable).map(|(i, _)| i).collect();
        let mut all: Vec<Tensor> = inputs.into_iter().take(count).collect();
        let values: Vec<Tensor> = model.weights().map(|(_, value)| value.clone()).collect();
        all.extend(trainable.iter().map(|&i| values[i].clone()));
        for training in [false, true] {
            let name = if training { "gradients in training" } else { "gradients in inference" };
            check_var(name, &all, |vars: &[Var]| {
                let mut weights = model.constants();
                for (&i, var) in trainable.iter().zip(&vars[count..]) {
                    weights[i] = var.clone();
                }
                let run = if training { Run::training(Key::new(5)) } else { Run::inference() };
                let inputs = if count == 0 { &fixed[..] } else { &vars[..count] };
                let outputs = model.run(inputs, &weights, &run)?;
                outputs.into_iter().next().ok_or_else(|| Error::argument(NAME, "a model has an output", "none", ""))
            })?;
        }
        Ok(())
    }

    fn frozen_weights_have_no_gradient(&self, model: &Model) -> Check {
        let mut model = model.clone();
        let inputs: Vec<Var> = self.tensors(3, model.device(), DType::F64)?.into_iter().map(Var::leaf).collect();
        for trainable in [false, true] {
            model.set_trainable(NAME, trainable).map_err(text)?;
            let variables = model.variables();
            let outputs = model.run(&inputs, &variables, &Run::training(Key::new(5))).map_err(text)?;
            let gradients = outputs[0].sum().and_then(|loss| loss.backward()).map_err(text)?;
            for ((spec, _), variable) in model.weights().zip(&variables) {
                let expected = trainable && spec.is_trainable;
                if gradients.of(variable).is_some() != expected {
                    let is = if expected { "no gradient" } else { "a gradient" };
                    return Err(format!("{} has {is} with trainable = {trainable}", spec.path));
                }
            }
            if self.words.is_none() && inputs.iter().any(|input| gradients.of(input).is_none()) {
                return Err(format!("an input has no gradient with trainable = {trainable}"));
            }
        }
        Ok(())
    }

    fn files_keep_outputs(&self, model: &Model) -> Check {
        let written = model.graph().to_json().to_string();
        let json: Value = serde_json::from_str(&written).map_err(|error| error.to_string())?;
        let graph = self.registry.graph_from_json(&json).map_err(text)?;
        let options = BuildOptions { dtype: DType::F64, ..BuildOptions::on(model.device()) };
        let mut read = Model::from_graph(graph, &options).map_err(text)?;
        for (spec, value) in model.weights() {
            read.set_weight(&spec.path, value).map_err(text)?;
        }
        let inputs = self.tensors(3, model.device(), DType::F64)?;
        for key in [None, Some(Key::new(5))] {
            let run = || key.map_or_else(Run::inference, Run::training);
            let (before, after) = (Self::forward(model, &inputs, &run())?, Self::forward(&read, &inputs, &run())?);
            same("a model written and read", &before, &after)?;
        }
        Ok(())
    }

    fn ranks_are_checked(&self, model: &Model) -> Check {
        let Some(refused) = self.refused else {
            // Any rank is taken: so is one with another axis in front.
            let more: Vec<Shape> =
                self.inputs.iter().map(|shape| shape.with_batch(2)).collect::<Result<_, _>>().map_err(text)?;
            return self
                .graph(&self.instance, &more)
                .map(drop)
                .map_err(|error| format!("another rank is refused, and no refusal was expected: {error}"));
        };
        let mut shapes = self.inputs.clone();
        shapes[0] = refused;
        match self.graph(&self.instance, &shapes) {
            Ok(_) => return Err(format!("{refused} must be refused")),
            Err(Error::Layer { path, source }) if path == NAME && matches!(*source, Error::Shape(_)) => {}
            Err(error) => return Err(format!("{refused} must be a shape error that names the layer: {error}")),
        }
        // The same with a real tensor: the input is refused before the layer is asked.
        let mut inputs = self.tensors(2, model.device(), DType::F64)?;
        inputs[0] = inputs[0].reshape([inputs[0].elements()]).map_err(text)?;
        if inputs[0].shape().without_batch() == self.inputs[0] {
            return Ok(());
        }
        match model.predict_on(&inputs) {
            Err(Error::Shape(violation)) if violation.subject.contains("input_0") => Ok(()),
            Err(error) => Err(format!("a tensor of the wrong rank must be a shape error naming the input: {error}")),
            Ok(_) => Err("a tensor of the wrong rank must be refused".into()),
        }
    }

    fn samples_are_independent(&self, model: &Model) -> Check {
        let inputs = self.tensors(3, model.device(), DType::F64)?;
        let together = Self::forward(model, &inputs, &Run::inference())?;
        for i in 0..3 {
            let alone: Vec<Tensor> =
                inputs.iter().map(|input| input.rows(i..i + 1)).collect::<Result<_, _>>().map_err(text)?;
            let alone = Self::forward(model, &alone, &Run::inference())?;
            near(&format!("sample {i} alone"), &alone, &together.rows(i..i + 1).map_err(text)?, BATCH_TOLERANCE)?;
        }
        Ok(())
    }
}

fn named(weights: &[(&str, &[usize])]) -> Vec<(String, Shape)> {
    weights.iter().filter_map(|(name, shape)| Shape::new(shape).ok().map(|shape| (name.to_string(), shape))).collect()
}

fn text(error: Error) -> String {
    error.to_string()
}

fn equal(a: &Tensor, b: &Tensor) -> Result<bool, String> {
    let (a, b) = (a.to_f64_vec().map_err(text)?, b.to_f64_vec().map_err(text)?);
    Ok(a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.to_bits() == b.to_bits()))
}

fn same(what: &str, a: &Tensor, b: &Tensor) -> Check {
    if equal(a, b)? { Ok(()) } else { Err(format!("{what} must give the same bits: {a:?} and {b:?}")) }
}

fn near(what: &str, a: &Tensor, b: &Tensor, tolerance: f64) -> Check {
    let (left, right) = (a.to_f64_vec().map_err(text)?, b.to_f64_vec().map_err(text)?);
    for (i, (a, b)) in left.iter().zip(&right).enumerate() {
        // A NaN is a difference too.
        let close = (a - b).abs() <= tolerance * (1.0 + b.abs());
        if !close {
            return Err(format!("{what}: element {i} is {a:e} and {b:e}"));
        }
    }
    if left.len() == right.len() { Ok(()) } else { Err(format!("{what}: {} and {}", a.shape(), b.shape())) }
}
