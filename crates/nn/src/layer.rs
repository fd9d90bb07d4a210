//! What a layer is, how it declares its weights, and what it sees while it runs.

use crate::graph::Graph;
use crate::initializer::Initializer;
use crate::regularizer::Regularizer;
use serde_json::{Map, Value};
use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use striate_autograd::Var;
use striate_tensor::{Error, Key, PoolSpec, Result, Shape, Tensor};

/// One building block of a model: options, declared weights and a forward pass.
///
/// A layer holds no weights and no state, so it can be shared and reused; the [`crate::Model`] holds the values. To add
/// one, write a struct with its options and implement three methods: [`Layer::config`], [`Layer::build`] and
/// [`Layer::forward`]. Summary, freezing, saving and the gradient check come with it.
///
/// All shapes here are without the batch axis.
pub trait Layer: fmt::Debug + Send + Sync + Any {
    /// Keras's class name, `Conv2D`.
    fn class_name(&self) -> &'static str;

    /// The options with Keras's keys, without `name`.
    fn config(&self) -> Map<String, Value>;

    /// Checks the input's shape, declares weights, and gives the output's shape.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Argument`] naming the rule that is broken.
    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape>;

    /// The output for an input (n, …).
    ///
    /// # Errors
    /// Those of the ops.
    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var>;

    /// [`Layer::build`] for layers that take several inputs.
    ///
    /// # Errors
    /// As [`Layer::build`]; [`Error::Shape`] for several inputs to a layer of one.
    fn build_many(&self, inputs: &[Shape], builder: &mut Builder) -> Result<Shape> {
        self.build(single(self.class_name(), inputs)?, builder)
    }

    /// [`Layer::forward`] for layers that take several inputs.
    ///
    /// # Errors
    /// As [`Layer::forward`].
    fn forward_many(&self, inputs: &[Var], ctx: &Context<'_>) -> Result<Var> {
        self.forward(single(self.class_name(), inputs)?, ctx)
    }

    /// The maximum pooling that this layer is, if it is nothing else.
    fn max_pooling(&self) -> Option<PoolSpec> {
        None
    }

    /// The output followed by a maximum pooling, where the layer has both in one pass; none where not.
    ///
    /// # Errors
    /// As [`Layer::forward`].
    fn forward_pooled(&self, x: &Var, pool: &PoolSpec, ctx: &Context<'_>) -> Result<Option<Var>> {
        let _ = (x, pool, ctx);
        Ok(None)
    }

    /// Whether each sample's output depends on that sample alone and on nothing random, in training as well. Then a large batch
    /// may be computed in parts that need less memory.
    fn is_per_sample(&self) -> bool {
        false
    }

    /// Multiply-adds of one sample's forward pass; 0 where they do not matter.
    fn multiply_adds(&self, inputs: &[Shape], output: &Shape) -> u64 {
        let _ = (inputs, output);
        0
    }

    /// The graph inside, if this layer is a model.
    fn as_graph(&self) -> Option<&Graph> {
        None
    }
}

fn single<'a, T>(class: &str, inputs: &'a [T]) -> Result<&'a T> {
    match inputs {
        [one] => Ok(one),
        many => Err(Error::shape(class, "the layer takes one input", format!("{} inputs", many.len()), "")),
    }
}

/// A weight as a layer declares it.
#[derive(Debug, Clone)]
pub struct WeightSpec {
    /// The path in the model: `conv2d/kernel`.
    pub path: String,
    /// The shape.
    pub shape: Shape,
    /// How it starts.
    pub initializer: Initializer,
    /// The penalty it adds to the loss.
    pub regularizer: Option<Regularizer>,
    /// Whether gradients train it. Statistics are not trained.
    pub is_trainable: bool,
    /// A value that it brings along instead of the initializer's.
    pub(crate) value: Option<Tensor>,
}

impl WeightSpec {
    /// Sets the penalty.
    pub fn regularizer(&mut self, regularizer: Option<Regularizer>) -> &mut Self {
        self.regularizer = regularizer;
        self
    }
}

/// Collects the weights a layer declares.
#[derive(Debug, Default)]
pub struct Builder {
    scope: String,
    pub(crate) weights: Vec<WeightSpec>,
}

impl Builder {
    pub(crate) fn new(layer: &str) -> Self {
        Builder { scope: layer.to_string(), weights: Vec::new() }
    }

    fn declare(&mut self, name: &str, shape: Shape, initializer: Initializer, is_trainable: bool) -> &mut WeightSpec {
        let path = if self.scope.is_empty() { name.to_string() } else { format!("{}/{name}", self.scope) };
        let spec = WeightSpec { path, shape, initializer, regularizer: None, is_trainable, value: None };
        self.weights.push(spec);
        let last = self.weights.len() - 1;
        &mut self.weights[last]
    }

    /// Declares a weight that gradients train.
    pub fn weight(&mut self, name: &str, shape: impl Into<Shape>, initializer: Initializer) -> &mut WeightSpec {
        self.declare(name, shape.into(), initializer, true)
    }

    /// Declares a tensor that is saved with the model but not trained, such as a moving average.
    pub fn state(&mut self, name: &str, shape: impl Into<Shape>, initializer: Initializer) -> &mut WeightSpec {
        self.declare(name, shape.into(), initializer, false)
    }

    /// Declares a weight as an inner model does, with the value it has there.
    pub(crate) fn adopt(&mut self, spec: &WeightSpec, value: Option<&Tensor>) {
        let declared = self.declare(&spec.path, spec.shape, spec.initializer, spec.is_trainable);
        declared.regularizer = spec.regularizer;
        declared.value = value.cloned();
    }

    /// Declares the weights of a layer that this layer uses inside, under `name/`.
    ///
    /// # Errors
    /// Those of the layer, with `name` in their path.
    pub fn sublayer(&mut self, name: &str, layer: &dyn Layer, input: &Shape) -> Result<Shape> {
        let outer = self.scope.clone();
        self.scope = if outer.is_empty() { name.to_string() } else { format!("{outer}/{name}") };
        let shape = layer.build(input, self).map_err(|error| error.at(name));
        self.scope = outer;
        shape
    }
}

/// What holds for one pass through a model, and what the pass leaves behind.
#[derive(Debug, Default)]
pub struct Run {
    /// Whether dropout drops and statistics are taken.
    is_training: bool,
    key: Option<Key>,
    wanted: Vec<String>,
    cut: Vec<String>,
    pub(crate) captured: RefCell<HashMap<String, Var>>,
    losses: RefCell<Vec<Var>>,
    updates: RefCell<Vec<(usize, Tensor)>>,
}

impl Run {
    /// A pass that predicts: dropout off, statistics as learnt.
    pub fn inference() -> Run {
        Run::default()
    }

    /// A pass that trains; `key` is the source of its randomness and must differ from step to step.
    pub fn training(key: Key) -> Run {
        Run { is_training: true, key: Some(key), ..Run::default() }
    }

    /// Also keeps the outputs of the layers with these paths, as `conv2d` or `vgg16/block5_conv3`.
    pub fn capture<S: Into<String>>(mut self, paths: impl IntoIterator<Item = S>) -> Run {
        self.wanted.extend(paths.into_iter().map(Into::into));
        self
    }

    /// As [`Run::capture`], and each of these outputs becomes a leaf from which the pass goes on: the gradient of what comes after
    /// with respect to it can be taken, and nothing before it is recorded.
    ///
    /// ```
    /// use striate_autograd::Var;
    /// use striate_nn::{BuildOptions, Call, Run, Sequential, layers::*};
    /// use striate_tensor::{DType, Tensor};
    /// let device = striate_testkit::reference::device();
    /// let model = Sequential::new([3])
    ///     .add(Dense::new(2).named("middle"))
    ///     .add(Dense::new(1).use_bias(false).named("end"))
    ///     .build_on(&BuildOptions::on(&device))?;
    /// let run = Run::inference().cut(["middle"]);
    /// let x = Var::constant(Tensor::full([1, 3], 1.0, DType::F32, &device)?);
    /// let y = model.run(&[x], &model.constants(), &run)?.remove(0);
    /// let middle = run.into_captured().remove("middle").unwrap();
    /// let slope = y.backward()?.take(&middle).unwrap();
    /// assert_eq!(slope.to_vec::<f32>()?, model.weight("end/kernel").unwrap().to_vec::<f32>()?);
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn cut<S: Into<String>>(mut self, paths: impl IntoIterator<Item = S>) -> Run {
        self.cut.extend(paths.into_iter().map(Into::into));
        self
    }

    /// The captured outputs by path.
    pub fn into_captured(self) -> HashMap<String, Var> {
        self.captured.into_inner()
    }

    /// What layers added to the loss; taken out.
    pub fn take_losses(&self) -> Vec<Var> {
        self.losses.take()
    }

    /// New values of untrained weights by index in the model; taken out.
    pub(crate) fn take_updates(&self) -> Vec<(usize, Tensor)> {
        self.updates.take()
    }

    pub(crate) fn is_training_run(&self) -> bool {
        self.is_training
    }

    pub(crate) fn captures(&self) -> bool {
        !self.wanted.is_empty() || !self.cut.is_empty()
    }

    /// Takes note of a layer's output and gives the value that the pass goes on with.
    pub(crate) fn note(&self, path: &str, value: Var) -> Var {
        let is_cut = self.cut.iter().any(|cut| cut == path);
        let value = if is_cut { Var::leaf(value.into_value()) } else { value };
        if is_cut || self.wanted.iter().any(|wanted| wanted == path) {
            self.captured.borrow_mut().insert(path.to_string(), value.clone());
        }
        value
    }

    pub(crate) fn root_key(&self) -> Key {
        self.key.unwrap_or_else(|| Key::new(0))
    }
}

/// What a layer sees while it runs: its weights, whether it trains, its randomness.
#[derive(Debug)]
pub struct Context<'a> {
    pub(crate) run: &'a Run,
    /// The values of this layer's weights, in the order of declaration, with their specs and frozen flags.
    pub(crate) weights: &'a [Var],
    pub(crate) specs: &'a [WeightSpec],
    pub(crate) frozen: &'a [bool],
    /// How much of a spec's path is the layer's own path with its slash.
    pub(crate) skip: usize,
    /// The index of the first weight in the outermost model.
    pub(crate) base: usize,
    pub(crate) key: Key,
    /// The layer's path, kept only while something is captured.
    pub(crate) path: String,
}

impl<'a> Context<'a> {
    /// Whether this pass trains.
    pub fn is_training(&self) -> bool {
        self.run.is_training
    }

    /// Whether the layer's weights are frozen. A frozen normalisation uses its learnt statistics even in training.
    pub fn is_frozen(&self) -> bool {
        !self.frozen.is_empty() && self.frozen.iter().all(|&frozen| frozen)
    }

    /// The layer's own source of randomness for this pass.
    pub fn key(&self) -> Key {
        self.key
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.specs.iter().position(|spec| spec.path.get(self.skip..) == Some(name))
    }

    /// The value of a weight that the layer declared.
    ///
    /// # Errors
    /// [`Error::Argument`] for a name it did not declare.
    pub fn weight(&self, name: &str) -> Result<&'a Var> {
        self.find_weight(name).ok_or_else(|| {
            let known: Vec<&str> = self.specs.iter().filter_map(|spec| spec.path.get(self.skip..)).collect();
            Error::argument("weight", "a layer can use the weights it declared", format!("`{name}` of {known:?}"), "")
        })
    }

    /// The value of a weight that the layer may have declared.
    pub fn find_weight(&self, name: &str) -> Option<&'a Var> {
        self.index(name).map(|index| &self.weights[index])
    }

    /// Sets a weight declared with [`Builder::state`] once the pass has succeeded.
    ///
    /// # Errors
    /// [`Error::Argument`] for a name it did not declare.
    pub fn update_state(&self, name: &str, value: Tensor) -> Result<()> {
        let index = self.index(name).ok_or_else(|| {
            Error::argument("state", "a layer can update the states it declared", format!("`{name}`"), "")
        })?;
        self.run.updates.borrow_mut().push((self.base + index, value));
        Ok(())
    }

    /// Adds a scalar to the loss, such as a penalty on the activity.
    pub fn add_loss(&self, loss: Var) {
        self.run.losses.borrow_mut().push(loss);
    }

    /// Runs a layer declared with [`Builder::sublayer`].
    ///
    /// # Errors
    /// Those of the layer, with `name` in their path.
    pub fn sublayer(&self, name: &str, layer: &dyn Layer, x: &Var) -> Result<Var> {
        let inside = |spec: &WeightSpec| {
            spec.path.get(self.skip..).and_then(|p| p.strip_prefix(name)).is_some_and(|rest| rest.starts_with('/'))
        };
        let start = self.specs.iter().position(inside).unwrap_or(0);
        let count = self.specs[start..].iter().take_while(|spec| inside(spec)).count();
        let range = start..start + count;
        let inner = Context {
            run: self.run,
            weights: &self.weights[range.clone()],
            specs: &self.specs[range.clone()],
            frozen: &self.frozen[range],
            skip: self.skip + name.len() + 1,
            base: self.base + start,
            key: self.key.fold_str(name),
            path: if self.run.captures() { format!("{}/{name}", self.path) } else { String::new() },
        };
        let y = layer.forward(x, &inner).map_err(|error| error.at(name))?;
        Ok(if self.run.captures() { self.run.note(&inner.path, y) } else { y })
    }
}
