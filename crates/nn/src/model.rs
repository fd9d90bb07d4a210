//! A graph together with the values of its weights.

use crate::functional::Symbol;
use crate::graph::{Graph, GraphKind, Weights};
use crate::layer::{Builder, Context, Layer, Run, WeightSpec};
use crate::summary::Summary;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{DType, Device, Error, Key, Result, Shape, Tensor, known_names};

/// Where a model's weights are made, and from which seed.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// Where the weights live.
    pub device: Device,
    /// The source of their starting values. Default 0.
    pub seed: u64,
    /// Their element type. Default float32; float64 is for gradient checks.
    pub dtype: DType,
}

impl BuildOptions {
    /// Seed 0 and float32 on the given device.
    pub fn on(device: &Device) -> Self {
        BuildOptions { device: device.clone(), seed: 0, dtype: DType::F32 }
    }
}

/// Fewer samples at once than this would cost the matrix products more than the cache brings.
const LEAST_PART: usize = 24;

/// A network: its graph of layers and the values of its weights on a device.
///
/// A model is also a [`Layer`]: used in a larger model it brings its current weights along, and the larger model then has its
/// own copy of them.
#[derive(Clone)]
pub struct Model {
    graph: Arc<Graph>,
    weights: Vec<Tensor>,
    frozen: Vec<bool>,
    device: Device,
}

impl Model {
    /// A model from symbols, with fresh weights.
    ///
    /// # Errors
    /// As [`Graph::new`]; [`Error::OutOfMemory`].
    pub fn from_symbols(name: &str, inputs: &[Symbol], outputs: &[Symbol], options: &BuildOptions) -> Result<Model> {
        Model::from_graph(Graph::new(name, GraphKind::Functional, inputs, outputs)?, options)
    }

    /// A model from a graph, with fresh weights.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn from_graph(graph: Graph, options: &BuildOptions) -> Result<Model> {
        let key = Key::new(options.seed).fold_str("initial weights");
        Model::with_values(graph, options, |spec| {
            spec.initializer.tensor(&spec.shape, options.dtype, key.fold_str(&spec.path), &options.device)
        })
    }

    /// A model from a graph, with zeros for weights: for one that is filled from a file at once, which saves the time that drawing
    /// starting values takes. The seed of the options plays no part.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    ///
    /// ```
    /// use striate_nn::{BuildOptions, Model, Sequential, layers::Dense};
    /// let graph = Sequential::new([3]).add(Dense::new(2)).graph()?;
    /// let model = Model::from_graph_zeroed(graph, &BuildOptions::on(&striate_testkit::reference::device()))?;
    /// assert_eq!(model.weight("dense/kernel").unwrap().to_vec::<f32>()?, [0.0; 6]);
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn from_graph_zeroed(graph: Graph, options: &BuildOptions) -> Result<Model> {
        Model::with_values(graph, options, |spec| {
            // Zeroed memory of the system is not there before something is written to it, and these weights are mostly replaced.
            let zeros = Tensor::from_vec(vec![0f32; spec.shape.elements()], spec.shape, &options.device)?;
            zeros.cast(options.dtype)
        })
    }

    fn with_values(
        mut graph: Graph,
        options: &BuildOptions,
        value: impl Fn(&WeightSpec) -> Result<Tensor>,
    ) -> Result<Model> {
        let mut weights = Vec::with_capacity(graph.weights.len());
        for spec in &mut graph.weights {
            let made = match spec.value.take() {
                Some(value) => value.to_device(&options.device).and_then(|value| value.cast(options.dtype)),
                None => value(spec),
            };
            weights.push(made.map_err(|error| error.at(&spec.path))?);
        }
        let frozen = vec![false; weights.len()];
        Ok(Model { graph: Arc::new(graph), weights, frozen, device: options.device.clone() })
    }

    /// The model's name: `sequential` unless it was given another.
    pub fn name(&self) -> &str {
        &self.graph.name
    }

    /// The graph of layers.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Where the weights live.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The same model on another device.
    ///
    /// # Errors
    /// What the devices report.
    pub fn to_device(&self, device: &Device) -> Result<Model> {
        let weights = self.weights.iter().map(|w| w.to_device(device)).collect::<Result<_>>()?;
        Ok(Model { weights, device: device.clone(), ..self.clone() })
    }

    /// Every weight with its declaration, in the order of the layers.
    pub fn weights(&self) -> impl Iterator<Item = (&WeightSpec, &Tensor)> {
        self.graph.weights.iter().zip(&self.weights)
    }

    /// The value of the weight at a path such as `conv2d/kernel`.
    pub fn weight(&self, path: &str) -> Option<&Tensor> {
        self.weights().find(|(spec, _)| spec.path == path).map(|(_, value)| value)
    }

    /// Sets the weight at a path.
    ///
    /// # Errors
    /// [`Error::Model`] for an unknown path, [`Error::Shape`] for another shape.
    pub fn set_weight(&mut self, path: &str, value: &Tensor) -> Result<()> {
        let index = self.graph.weights.iter().position(|spec| spec.path == path).ok_or_else(|| {
            Error::model(self.name(), "the model must have a weight of that path", format!("`{path}`"), "see summary")
        })?;
        value.has_shape(path, self.weights[index].shape())?;
        self.weights[index] = value.to_device(&self.device)?.cast(self.weights[index].dtype())?;
        Ok(())
    }

    /// Number of parameters: elements of all weights.
    pub fn parameter_count(&self) -> usize {
        self.weights.iter().map(Tensor::elements).sum()
    }

    /// Whether gradients train the weight at this index: declared so, and not frozen.
    pub fn is_trainable(&self, index: usize) -> bool {
        self.graph.weights[index].is_trainable && !self.frozen[index]
    }

    /// Freezes or thaws layers by their path (`vgg16` or `vgg16/block5_conv1`) or a pattern of paths, with everything inside. A frozen
    /// normalisation uses its learnt statistics in training too.
    ///
    /// In a pattern `*` stands for any text within a name, `**` for any text: `block4_*`, `vgg16/block5_conv*`, `**_bn`.
    ///
    /// # Errors
    /// [`Error::Argument`] if no layer has such a path.
    ///
    /// ```
    /// use striate_nn::{BuildOptions, Call, Sequential, layers::*};
    /// let mut model = Sequential::new([8])
    ///     .add(Dense::new(4).named("block1_dense"))
    ///     .add(BatchNormalization::new().named("block1_bn"))
    ///     .add(Dense::new(1).named("end"))
    ///     .build_on(&BuildOptions::on(&striate_testkit::reference::device()))?;
    /// model.set_trainable("block1_*", false)?;
    /// assert_eq!(model.summary().trainable, 5);
    /// assert!(model.set_trainable("block2_*", false).is_err());
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn set_trainable(&mut self, pattern: &str, trainable: bool) -> Result<()> {
        let paths = self.layer_paths();
        let chosen: Vec<&String> = paths.iter().filter(|path| fits(pattern, path)).collect();
        if chosen.is_empty() {
            return Err(self.no_layer_to_freeze(pattern));
        }
        self.mark(&chosen, trainable);
        Ok(())
    }

    /// Freezes or thaws a layer and all that come after it in the same model: with `vgg16/block5_conv1` the last block of a nested
    /// `vgg16`, and no layer outside of it.
    ///
    /// # Errors
    /// [`Error::Argument`] if no layer has that path.
    ///
    /// ```
    /// use striate_nn::{BuildOptions, Call, Sequential, layers::*};
    /// let stack = (1..=4).fold(Sequential::new([2]), |stack, i| stack.add(Dense::new(2).named(format!("dense{i}"))));
    /// let mut model = stack.build_on(&BuildOptions::on(&striate_testkit::reference::device()))?;
    /// model.set_all_trainable(false);
    /// model.set_trainable_from("dense3", true)?;
    /// assert_eq!(model.summary().trainable, 12);
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn set_trainable_from(&mut self, layer: &str, trainable: bool) -> Result<()> {
        let paths = self.layer_paths();
        let start = paths.iter().position(|path| path == layer).ok_or_else(|| self.no_layer_to_freeze(layer))?;
        let model = layer.rsplit_once('/').map_or("", |(model, _)| model);
        let is_inside =
            |path: &&String| model.is_empty() || path.strip_prefix(model).is_some_and(|p| p.starts_with('/'));
        let chosen: Vec<&String> = paths[start..].iter().take_while(is_inside).collect();
        self.mark(&chosen, trainable);
        Ok(())
    }

    fn no_layer_to_freeze(&self, pattern: &str) -> Error {
        Error::argument(
            self.name(),
            "freezing needs the path of a layer, or a pattern with *",
            format!("`{pattern}`"),
            known_names("layers", pattern, &self.layer_paths()),
        )
    }

    /// Freezes or thaws the layers with these paths and everything inside.
    fn mark(&mut self, layers: &[&String], trainable: bool) {
        for (spec, frozen) in self.graph.weights.iter().zip(&mut self.frozen) {
            let is_inside =
                |layer: &&&String| spec.path.strip_prefix(layer.as_str()).is_some_and(|p| p.starts_with('/'));
            if layers.iter().any(|layer| is_inside(&layer)) {
                *frozen = !trainable;
            }
        }
    }

    /// Freezes or thaws every layer.
    pub fn set_all_trainable(&mut self, trainable: bool) {
        self.frozen.fill(!trainable);
    }

    /// The paths of all layers, those inside nested models included.
    pub fn layer_paths(&self) -> Vec<String> {
        self.graph.layer_paths()
    }

    /// One variable for each weight: a leaf where gradients train it, else a constant.
    pub fn variables(&self) -> Vec<Var> {
        let var = |(i, value): (usize, &Tensor)| {
            if self.is_trainable(i) { Var::leaf(value.clone()) } else { Var::constant(value.clone()) }
        };
        self.weights.iter().enumerate().map(var).collect()
    }

    /// One constant for each weight.
    pub fn constants(&self) -> Vec<Var> {
        self.weights.iter().cloned().map(Var::constant).collect()
    }

    /// The outputs for inputs (n, …), with the given variables as weights.
    ///
    /// # Errors
    /// [`Error::Shape`] naming the layer, the shape it wants and the one received.
    pub fn run(&self, inputs: &[Var], variables: &[Var], run: &Run) -> Result<Vec<Var>> {
        let key = run.root_key();
        let weights = Weights { values: variables, frozen: &self.frozen, base: 0, key, path: "" };
        self.graph.execute(inputs, &weights, run)
    }

    /// The penalties of all regularized weights, summed; `None` if there are none.
    ///
    /// # Errors
    /// Those of the ops.
    pub fn penalty(&self, variables: &[Var]) -> Result<Option<Var>> {
        let mut total: Option<Var> = None;
        for (spec, variable) in self.graph.weights.iter().zip(variables) {
            let Some(regularizer) = &spec.regularizer else { continue };
            let Some(penalty) = regularizer.penalty(variable).map_err(|error| error.at(&spec.path))? else { continue };
            total = Some(match total {
                Some(total) => (&total + &penalty)?,
                None => penalty,
            });
        }
        Ok(total)
    }

    /// Takes over the statistics that a training pass collected.
    ///
    /// # Errors
    /// [`Error::Shape`] for a statistic of another shape.
    pub fn apply_updates(&mut self, run: &Run) -> Result<()> {
        for (index, value) in run.take_updates() {
            value.has_shape(&self.graph.weights[index].path, self.weights[index].shape())?;
            self.weights[index] = value;
        }
        Ok(())
    }

    /// As [`Model::apply_updates`], each statistic in the memory that it has, by `assign(to, from)`; gives the indices of those that changed.
    ///
    /// # Errors
    /// As [`Model::apply_updates`], and those of `assign`.
    pub fn assign_updates(
        &mut self,
        run: &Run,
        assign: &mut dyn FnMut(&mut Tensor, &Tensor) -> Result<()>,
    ) -> Result<Vec<usize>> {
        let mut changed = Vec::new();
        for (index, value) in run.take_updates() {
            value.has_shape(&self.graph.weights[index].path, self.weights[index].shape())?;
            assign(&mut self.weights[index], &value)?;
            changed.push(index);
        }
        Ok(changed)
    }

    /// Whether no other tensor looks at the memory of the weight with this index, as [`Model::weights`] counts them.
    pub fn is_sole_owner(&mut self, index: usize) -> bool {
        self.weights.get_mut(index).is_some_and(Tensor::is_sole_owner)
    }

    /// The weights that gradients train, by index, for an optimizer to change.
    pub fn trainable_mut(&mut self) -> Vec<(usize, &str, &mut Tensor)> {
        let frozen = &self.frozen;
        let specs = &self.graph.weights;
        self.weights
            .iter_mut()
            .enumerate()
            .filter(|(i, _)| specs[*i].is_trainable && !frozen[*i])
            .map(|(i, value)| (i, specs[i].path.as_str(), value))
            .collect()
    }

    /// The outputs for inputs (n, …), as a prediction: no gradient, dropout off.
    ///
    /// Many small samples are computed in parts whose activations stay in the cache; nothing shows but the speed and the
    /// memory saved.
    ///
    /// # Errors
    /// As [`Model::run`].
    pub fn predict_on(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let constants = self.constants();
        let samples = inputs.first().and_then(|input| input.shape().first()).copied().unwrap_or(0);
        let fits = inputs.iter().all(|input| input.shape().first() == Some(&samples));
        let part = match self.graph.samples_in_cache() {
            part if part >= LEAST_PART && part < samples && fits => part,
            _ => return self.predict_part(inputs, &constants),
        };
        let mut parts: Vec<Vec<Tensor>> = Vec::with_capacity(samples.div_ceil(part));
        for start in (0..samples).step_by(part) {
            let range = start..(start + part).min(samples);
            let rows = inputs.iter().map(|input| input.rows(range.clone())).collect::<Result<Vec<_>>>()?;
            parts.push(self.predict_part(&rows, &constants)?);
        }
        let outputs = parts.first().map_or(0, Vec::len);
        (0..outputs).map(|i| Tensor::concat(&parts.iter().map(|part| &part[i]).collect::<Vec<_>>(), 0)).collect()
    }

    fn predict_part(&self, inputs: &[Tensor], constants: &[Var]) -> Result<Vec<Tensor>> {
        let inputs: Vec<Var> = inputs.iter().cloned().map(Var::constant).collect();
        let outputs = self.run(&inputs, constants, &Run::inference())?;
        Ok(outputs.into_iter().map(Var::into_value).collect())
    }

    /// The outputs of the layers with these paths, in one forward pass.
    ///
    /// # Errors
    /// As [`Model::run`]; [`Error::Argument`] for a path that no layer has.
    pub fn activations<S: AsRef<str>>(&self, inputs: &[Tensor], paths: &[S]) -> Result<HashMap<String, Tensor>> {
        let known = self.layer_paths();
        if let Some(path) = paths.iter().find(|path| !known.iter().any(|k| k == path.as_ref())) {
            return Err(Error::argument(
                self.name(),
                "activations need the paths of layers",
                format!("`{}`", path.as_ref()),
                known_names("layers", path.as_ref(), &known),
            ));
        }
        let run = Run::inference().capture(paths.iter().map(|path| path.as_ref().to_string()));
        let inputs: Vec<Var> = inputs.iter().cloned().map(Var::constant).collect();
        self.run(&inputs, &self.constants(), &run)?;
        Ok(run.into_captured().into_iter().map(|(path, var)| (path, var.into_value())).collect())
    }

    /// The table of layers, output shapes and parameters.
    pub fn summary(&self) -> Summary {
        Summary::of(self)
    }
}

/// Whether a path fits a pattern in which `*` stands for any text without a slash and `**` for any text.
fn fits(pattern: &str, path: &str) -> bool {
    let Some(star) = pattern.find('*') else { return pattern == path };
    let (before, after) = pattern.split_at(star);
    let Some(rest) = path.strip_prefix(before) else { return false };
    let (crosses, after) = match after.strip_prefix("**") {
        Some(after) => (true, after),
        None => (false, &after[1..]),
    };
    let ends = rest.char_indices().map(|(i, _)| i).chain([rest.len()]);
    ends.take_while(|&end| crosses || !rest[..end].contains('/')).any(|end| fits(after, &rest[end..]))
}

impl Layer for Model {
    fn class_name(&self) -> &'static str {
        self.graph.class_name()
    }

    fn config(&self) -> Map<String, Value> {
        Layer::config(&*self.graph)
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        self.build_many(&[*input], builder)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        self.graph.forward(x, ctx)
    }

    fn build_many(&self, inputs: &[Shape], builder: &mut Builder) -> Result<Shape> {
        self.graph.declare(inputs, builder, Some(&self.weights))
    }

    fn forward_many(&self, inputs: &[Var], ctx: &Context<'_>) -> Result<Var> {
        self.graph.forward_many(inputs, ctx)
    }

    fn multiply_adds(&self, inputs: &[Shape], output: &Shape) -> u64 {
        Layer::multiply_adds(&*self.graph, inputs, output)
    }

    fn as_graph(&self) -> Option<&Graph> {
        Some(&self.graph)
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers: Vec<&str> = self.graph.layer_names().collect();
        write!(f, "Model({} on {}: {})", self.name(), self.device.name(), layers.join(" → "))
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_of_paths() {
        for (pattern, path) in [
            ("vgg16", "vgg16"),
            ("block4_*", "block4_conv1"),
            ("vgg16/block*_conv1", "vgg16/block5_conv1"),
            ("**_bn", "base/inner/conv1_bn"),
            ("*/*_bn", "base/conv1_bn"),
            ("**", "a/b"),
            ("*", "a"),
            ("a*", "a"),
        ] {
            assert!(fits(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("vgg16", "vgg16/block1_conv1"),
            ("block4_*", "vgg16/block4_conv1"),
            ("*_bn", "base/conv1_bn"),
            ("block1_*", "block10_conv"),
            ("", "a"),
        ] {
            assert!(!fits(pattern, path), "{pattern} {path}");
        }
    }
}
