//! Parts of a model: its layers one by one, and the model up to one of them.

use crate::functional::{Instance, Symbol};
use crate::graph::{Graph, join};
use crate::layer::Layer;
use crate::model::{BuildOptions, Model};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use striate_tensor::{Error, Result, Shape, Tensor, known_names};

/// A layer as it stands in a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerInfo {
    /// Its path: `conv2d`, or `vgg16/block5_conv3` in a nested model.
    pub path: String,
    /// Keras's class name.
    pub class: &'static str,
    /// The shape of its output, without the batch axis, at its first use.
    pub output: Shape,
}

/// Which value of a layer a part of a model ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartEnd {
    /// What the layer receives; it must be one value.
    Input,
    /// What the layer gives.
    Output,
}

impl Graph {
    /// All layers in the order of their first use, a nested model followed by its own.
    pub fn layers(&self) -> Vec<LayerInfo> {
        let mut layers = Vec::new();
        for (index, member) in self.members.iter().enumerate() {
            let Some(step) = self.steps.iter().find(|step| step.member == index) else { continue };
            let info = LayerInfo { path: member.name.clone(), class: member.layer.class_name(), output: step.shape };
            layers.push(info);
            if let Some(inner) = member.layer.as_graph() {
                let below = inner.layers().into_iter();
                layers.extend(below.map(|info| LayerInfo { path: join(&member.name, &info.path), ..info }));
            }
        }
        layers
    }

    /// The layer at a path.
    pub fn layer(&self, path: &str) -> Option<&Arc<dyn Layer>> {
        let (name, rest) = path.split_once('/').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let member = self.members.iter().find(|member| member.name == name)?;
        match rest {
            None => Some(&member.layer),
            Some(rest) => member.layer.as_graph()?.layer(rest),
        }
    }

    /// The graph for inputs of other shapes, and if `end` says so only up to a value.
    fn rebuilt(&self, shapes: &[Shape], end: Option<(&str, PartEnd)>) -> Result<Graph> {
        let name = end.map(|(path, _)| path.split_once('/').map_or(path, |(name, _)| name));
        let last = match name {
            None => None,
            Some(name) => {
                let found = self.steps.iter().position(|step| self.members[step.member].name == name);
                Some(found.ok_or_else(|| self.no_layer(name))?)
            }
        };
        let inside = end.and_then(|(path, which)| Some((path.split_once('/')?.1, which)));
        // The value that the part ends with: the layer's own, unless its input is wanted.
        let value = match (last, end, inside) {
            (Some(last), Some((path, PartEnd::Input)), None) => match self.steps[last].inputs[..] {
                [input] => Some(input),
                ref many => {
                    let received = format!("{} inputs", many.len());
                    return Err(Error::argument(path, "the layer must have one input", received, ""));
                }
            },
            (last, ..) => last,
        };
        let ends: Vec<usize> = value.map_or_else(|| self.outputs.clone(), |value| vec![value]);
        let mut needed: HashSet<usize> = self.inputs.iter().copied().collect();
        let mut pending = ends.clone();
        while let Some(step) = pending.pop() {
            if needed.insert(step) {
                pending.extend(&self.steps[step].inputs);
            }
        }
        let mut symbols: HashMap<usize, Symbol> = HashMap::new();
        let mut layers: HashMap<usize, Arc<dyn Layer>> = HashMap::new();
        for (i, step) in self.steps.iter().enumerate().filter(|(i, _)| needed.contains(i)) {
            let member = &self.members[step.member];
            if let Some(input) = self.inputs.iter().position(|&input| input == i) {
                let shape = shapes.get(input).copied().unwrap_or(step.shape);
                symbols.insert(i, Symbol::named_input(&member.name, shape)?);
                continue;
            }
            let inputs: Vec<Symbol> = step.inputs.iter().filter_map(|input| symbols.get(input).cloned()).collect();
            let received: Vec<Shape> = inputs.iter().map(|input| *input.shape()).collect();
            let layer = match (layers.get(&step.member), member.layer.as_graph()) {
                (Some(layer), _) => layer.clone(),
                (None, Some(graph)) if last == Some(i) && inside.is_some() => {
                    Arc::new(graph.rebuilt(&received, inside)?) as Arc<dyn Layer>
                }
                (None, Some(graph)) if graph.input_shapes() != received => Arc::new(graph.rebuilt(&received, None)?),
                (None, _) => member.layer.clone(),
            };
            layers.insert(step.member, layer.clone());
            let first =
                self.steps[..i].iter().rposition(|other| other.call != step.call).map_or(0, |before| before + 1);
            let results = match (first..i).find_map(|sibling| symbols.get(&sibling)) {
                Some(sibling) => sibling.results(),
                None => {
                    let instance = Instance::from_arc(layer).with_name(&member.name);
                    Symbol::apply(&instance, inputs, &member.name)?.results()
                }
            };
            // A model that is cut short has one result.
            let wanted = if results.len() > 1 { step.part } else { 0 };
            symbols.extend(results.into_iter().nth(wanted).map(|symbol| (i, symbol)));
        }
        let pick = |list: &[usize]| list.iter().filter_map(|step| symbols.get(step).cloned()).collect::<Vec<_>>();
        Graph::new(&self.name, self.kind, &pick(&self.inputs), &pick(&ends))
    }

    fn no_layer(&self, path: &str) -> Error {
        Error::argument(
            self.name(),
            "the path must be a layer's",
            format!("`{path}`"),
            known_names("layers", path, &self.layer_paths()),
        )
    }
}

impl Model {
    /// The model up to a layer, with this model's weights: what the layer at `path` gives or receives becomes the only output.
    /// What lies after it is not there, so a pass costs no more than it must. `shapes` are other shapes of the inputs, without the
    /// batch axis; none keeps them.
    ///
    /// # Errors
    /// [`Error::Argument`] for a path that no layer has, or a layer with several inputs where the input is wanted;
    /// [`Error::Shape`] if a layer does not fit the new shapes.
    ///
    /// ```
    /// use striate_nn::{BuildOptions, PartEnd, Sequential, layers::*};
    /// use striate_tensor::Shape;
    /// let device = striate_testkit::reference::device();
    /// let model = Sequential::new([28, 28, 1])
    ///     .add(Conv2D::new(4, 3))
    ///     .add(MaxPooling2D::new(2))
    ///     .add(Flatten)
    ///     .add(Dense::new(10))
    ///     .build_on(&BuildOptions::on(&device))?;
    /// let part = model.part("max_pooling2d", PartEnd::Output, &[Shape::from([40, 40, 1])])?;
    /// assert_eq!(part.graph().output_shapes(), [Shape::from([19, 19, 4])]);
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn part(&self, path: &str, end: PartEnd, shapes: &[Shape]) -> Result<Model> {
        if self.graph().layer(path).is_none() {
            return Err(self.graph().no_layer(path));
        }
        let mut graph = self.graph().rebuilt(shapes, Some((path, end)))?;
        let values: HashMap<&str, &Tensor> = self.weights().map(|(spec, value)| (spec.path.as_str(), value)).collect();
        let mut dtype = None;
        for spec in &mut graph.weights {
            spec.value = values.get(spec.path.as_str()).map(|&value| value.clone());
            if let Some(value) = &spec.value {
                // A dense layer after pictures of another size would want other weights.
                value.has_shape(&spec.path, &spec.shape)?;
            }
            dtype = dtype.or(spec.value.as_ref().map(Tensor::dtype));
        }
        let options = BuildOptions::on(self.device());
        Model::from_graph(graph, &BuildOptions { dtype: dtype.unwrap_or(options.dtype), ..options })
    }
}
