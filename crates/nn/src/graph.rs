//! The structure of a model: which layer is applied to what, and which weights they declared.

use crate::functional::{Symbol, snake_case};
use crate::layer::{Builder, Context, Layer, Run, WeightSpec};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Key, Result, Shape, Tensor};

/// How a model was written, which decides how its config looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraphKind {
    /// One layer after another.
    Sequential,
    /// Layers applied to symbols.
    Functional,
}

/// A layer in a graph.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) layer: Arc<dyn Layer>,
    /// Its weights among the graph's.
    pub(crate) weights: Range<usize>,
}

/// One application of a layer.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) member: usize,
    /// Indices of earlier steps.
    pub(crate) inputs: Vec<usize>,
    /// The same for steps that are results of one call, which stand side by side.
    pub(crate) call: u64,
    /// Which result of the call it is.
    pub(crate) part: usize,
    /// The output's shape without the batch axis.
    pub(crate) shape: Shape,
    /// Values that nothing needs once this step is done.
    last_use_of: Vec<usize>,
    /// The maximum pooling that alone needs this value.
    pub(crate) pooled_by: Option<usize>,
}

/// A directed acyclic graph of layers.
#[derive(Debug)]
pub struct Graph {
    pub(crate) name: String,
    pub(crate) kind: GraphKind,
    pub(crate) members: Vec<Member>,
    pub(crate) steps: Vec<Step>,
    pub(crate) inputs: Vec<usize>,
    pub(crate) outputs: Vec<usize>,
    pub(crate) weights: Vec<WeightSpec>,
    /// The first steps, as many as have large values and can be computed for a part of the batch at a time.
    prefix: Option<Prefix>,
}

/// Steps 1 to `last` are a chain that starts from the only input, step 0.
#[derive(Debug, Clone, Copy)]
struct Prefix {
    last: usize,
    /// Samples that are computed together.
    samples: usize,
}

impl Graph {
    /// The graph between symbols.
    ///
    /// # Errors
    /// [`Error::Argument`] if an output depends on an input that is not listed, if two layers have one name, or if there is no
    /// input or output.
    pub fn new(name: &str, kind: GraphKind, inputs: &[Symbol], outputs: &[Symbol]) -> Result<Graph> {
        let refuse = |rule: &str, received: String| Err(Error::argument(name, rule, received, ""));
        if inputs.is_empty() || outputs.is_empty() {
            return refuse(
                "a model needs inputs and outputs",
                format!("{} inputs, {} outputs", inputs.len(), outputs.len()),
            );
        }
        let mut symbols: HashMap<u64, Symbol> = HashMap::new();
        let mut pending: Vec<Symbol> = outputs.iter().chain(inputs).cloned().collect();
        while let Some(symbol) = pending.pop() {
            if symbols.insert(symbol.0.id, symbol.clone()).is_none() {
                pending.extend(symbol.0.inputs.iter().cloned());
            }
        }
        let mut order: Vec<&Symbol> = symbols.values().collect();
        // A call comes after what it uses, and its results side by side.
        order.sort_by_key(|symbol| (symbol.0.call, symbol.0.part));
        // Asked for twice, a result may have two symbols.
        order.dedup_by_key(|symbol| (symbol.0.call, symbol.0.part));
        let key = |symbol: &Symbol| (symbol.0.call, symbol.0.part);
        let step_of: HashMap<(u64, usize), usize> =
            order.iter().enumerate().map(|(i, symbol)| (key(symbol), i)).collect();
        let index = |symbol: &Symbol| step_of.get(&key(symbol)).copied().unwrap_or_default();

        let names = member_names(&order);
        let mut graph = Graph {
            name: name.to_string(),
            kind,
            members: Vec::new(),
            steps: Vec::new(),
            inputs: inputs.iter().map(&index).collect(),
            outputs: outputs.iter().map(&index).collect(),
            weights: Vec::new(),
            prefix: None,
        };
        let mut member_of: HashMap<*const (), usize> = HashMap::new();
        let mut taken = HashSet::new();
        for symbol in &order {
            let node = &symbol.0;
            if node.inputs.is_empty() && !inputs.iter().any(|input| input.0.id == node.id) {
                return refuse("every input that an output depends on must be listed", format!("{symbol:?} left out"));
            }
            let shapes: Vec<Shape> = node.inputs.iter().map(|input| *input.shape()).collect();
            let identity = Arc::as_ptr(&node.instance.layer).cast::<()>();
            let fresh = graph.members.len();
            let member = match member_of.get(&identity).filter(|_| !node.inputs.is_empty()) {
                Some(&member) => {
                    graph.check_shared(member, &shapes)?;
                    member
                }
                None => {
                    member_of.insert(identity, fresh);
                    let name = names[fresh].clone();
                    if name.is_empty() || name.contains('/') || !taken.insert(name.clone()) {
                        return refuse("layer names must be unique, not empty and without `/`", format!("`{name}`"));
                    }
                    let mut builder = Builder::new(&name);
                    if !node.inputs.is_empty() {
                        node.instance.layer.build_many(&shapes, &mut builder).map_err(|error| error.at(&name))?;
                    }
                    let start = graph.weights.len();
                    graph.weights.append(&mut builder.weights);
                    let layer = node.instance.layer.clone();
                    graph.members.push(Member { name, layer, weights: start..graph.weights.len() });
                    fresh
                }
            };
            let inputs = node.inputs.iter().map(&index).collect();
            graph.steps.push(Step {
                member,
                inputs,
                call: node.call,
                part: node.part,
                shape: node.shape,
                last_use_of: Vec::new(),
                pooled_by: None,
            });
        }
        graph.plan_lifetimes();
        graph.plan_pooling();
        graph.prefix = graph.plan_prefix();
        Ok(graph)
    }

    /// A layer used twice must declare the same weights for both inputs.
    fn check_shared(&self, member: usize, shapes: &[Shape]) -> Result<()> {
        let Member { name, layer, weights } = &self.members[member];
        let mut builder = Builder::new(name);
        layer.build_many(shapes, &mut builder).map_err(|error| error.at(name))?;
        let declared = self.weights[weights.clone()].iter().map(|w| w.shape);
        if declared.eq(builder.weights.iter().map(|w| w.shape)) {
            return Ok(());
        }
        Err(Error::shape(
            name.clone(),
            "a layer used twice must fit both inputs with the same weights",
            format!("inputs {shapes:?}"),
            "make two layers of it",
        ))
    }

    fn plan_lifetimes(&mut self) {
        let mut last_use: Vec<usize> = (0..self.steps.len()).collect();
        for (i, step) in self.steps.iter().enumerate() {
            // All results of a call are there with the first.
            let first =
                self.steps[..i].iter().rposition(|other| other.call != step.call).map_or(0, |before| before + 1);
            step.inputs.iter().for_each(|&input| last_use[input] = first);
        }
        for (value, &step) in last_use.iter().enumerate() {
            if !self.outputs.contains(&value) && !self.inputs.contains(&value) {
                self.steps[step].last_use_of.push(value);
            }
        }
    }

    fn plan_pooling(&mut self) {
        for pool in 0..self.steps.len() {
            let &[input] = &self.steps[pool].inputs[..] else { continue };
            let uses = self.steps.iter().filter(|step| step.inputs.contains(&input)).count();
            let is_pooling = self.members[self.steps[pool].member].layer.max_pooling().is_some();
            if is_pooling && uses == 1 && !self.outputs.contains(&input) && !self.inputs.contains(&input) {
                self.steps[input].pooled_by = Some(pool);
            }
        }
    }

    /// Where the values are so large that a batch of them had better not exist at once.
    fn plan_prefix(&self) -> Option<Prefix> {
        /// Numbers of a sample's value that is large, and of one that is small.
        const LARGE: usize = 1 << 19;
        const SMALL: usize = 1 << 17;
        /// Numbers of the largest value that exist at once.
        const AT_ONCE: usize = 7 << 20;
        if self.inputs != [0] || self.outputs.contains(&0) {
            return None;
        }
        let mut largest = 0;
        for (i, step) in self.steps.iter().enumerate().skip(1) {
            let uses = self.steps.iter().filter(|later| later.inputs.contains(&(i - 1))).count();
            let layer = &self.members[step.member].layer;
            if step.inputs != [i - 1] || uses != 1 || !layer.is_per_sample() || layer.as_graph().is_some() {
                return None;
            }
            largest = largest.max(step.shape.elements());
            if largest >= LARGE && step.shape.elements() <= SMALL {
                let samples = (AT_ONCE / largest).max(1);
                return Some(Prefix { last: i, samples: if samples > 1 { samples / 2 * 2 } else { 1 } });
            }
            if self.outputs.contains(&i) {
                return None;
            }
        }
        None
    }

    /// Shapes of the inputs, without the batch axis.
    pub fn input_shapes(&self) -> Vec<Shape> {
        self.inputs.iter().map(|&step| self.steps[step].shape).collect()
    }

    /// Shapes of the outputs, without the batch axis.
    pub fn output_shapes(&self) -> Vec<Shape> {
        self.outputs.iter().map(|&step| self.steps[step].shape).collect()
    }

    /// How many samples have their largest activation in the cache at once.
    pub(crate) fn samples_in_cache(&self) -> usize {
        /// Numbers that a large cache holds beside the weights.
        const NUMBERS: usize = 1 << 20;
        let largest = self.steps.iter().map(|step| step.shape.elements()).max().unwrap_or(1);
        NUMBERS / largest.max(1)
    }

    /// The names of the layers in the order of their first use.
    pub fn layer_names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_str())
    }

    /// The graph's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Parameters that the layers declare.
    pub fn parameter_count(&self) -> usize {
        self.weights.iter().map(|spec| spec.shape.elements()).fold(0, usize::saturating_add)
    }

    /// The paths of all layers, those inside nested models included.
    pub fn layer_paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for member in &self.members {
            paths.push(member.name.clone());
            if let Some(inner) = member.layer.as_graph() {
                paths.extend(inner.layer_paths().iter().map(|path| join(&member.name, path)));
            }
        }
        paths
    }

    /// Declares the graph's weights in a larger model, with the values they bring along, if any.
    pub(crate) fn declare(&self, inputs: &[Shape], builder: &mut Builder, values: Option<&[Tensor]>) -> Result<Shape> {
        if inputs != self.input_shapes() {
            return Err(Error::shape(
                self.name.clone(),
                format!("a nested model takes the inputs it was built for, {:?}", self.input_shapes()),
                format!("{inputs:?}"),
                "build the inner model for that input shape",
            ));
        }
        for (i, spec) in self.weights.iter().enumerate() {
            builder.adopt(spec, values.map(|values| &values[i]).or(spec.value.as_ref()));
        }
        // A graph has at least one output; the others come with `Symbol::results`.
        Ok(self.output_shapes()[0])
    }

    /// Computes the outputs. `weights` are the values of [`Graph::weights`] in order.
    pub(crate) fn execute(&self, inputs: &[Var], weights: &Weights<'_>, run: &Run) -> Result<Vec<Var>> {
        if inputs.len() != self.inputs.len() {
            return Err(Error::shape(
                self.name.clone(),
                format!("the model takes {} inputs", self.inputs.len()),
                inputs.len().to_string(),
                "",
            ));
        }
        let mut values: Vec<Option<Var>> = vec![None; self.steps.len()];
        for (&step, input) in self.inputs.iter().zip(inputs) {
            if input.shape().rank() == 0 || input.shape().without_batch() != self.steps[step].shape {
                return Err(Error::shape(
                    self.members[self.steps[step].member].name.clone(),
                    format!("the input must have shape {}", batch_shape(&self.steps[step].shape)),
                    input.shape().to_string(),
                    "the first axis counts samples; images are channels-last",
                ));
            }
            values[step] = Some(input.clone());
        }
        if let Some((last, value)) = self.execute_prefix(inputs, weights, run)? {
            values[last] = Some(value);
            self.execute_steps(last + 1..self.steps.len(), &mut values, weights, run)?;
        } else {
            self.execute_steps(0..self.steps.len(), &mut values, weights, run)?;
        }
        Ok(self.outputs.iter().filter_map(|&output| values[output].clone()).collect())
    }

    /// The value of the prefix's last step, computed for a part of the batch at a time, where that saves memory and nothing
    /// between is wanted.
    fn execute_prefix(&self, inputs: &[Var], weights: &Weights<'_>, run: &Run) -> Result<Option<(usize, Var)>> {
        let (Some(Prefix { last, samples }), [input]) = (self.prefix, inputs) else { return Ok(None) };
        let batch = input.shape()[0];
        let steps = &self.steps[1..=last];
        let mut used = steps.iter().flat_map(|step| &weights.values[self.members[step.member].weights.clone()]);
        if batch <= samples || run.captures() || input.needs_gradient() || used.any(Var::needs_gradient) {
            return Ok(None);
        }
        let mut parts = Vec::with_capacity(batch.div_ceil(samples));
        for start in (0..batch).step_by(samples) {
            let mut values: Vec<Option<Var>> = vec![None; last + 1];
            values[0] = Some(Var::constant(input.value().rows(start..(start + samples).min(batch))?));
            self.execute_steps(1..last + 1, &mut values, weights, run)?;
            parts.extend(values.pop().flatten().map(Var::into_value));
        }
        Ok(Some((last, Var::constant(Tensor::concat(&parts.iter().collect::<Vec<_>>(), 0)?))))
    }

    /// Computes the values of these steps that are not there yet.
    fn execute_steps(
        &self,
        steps: Range<usize>,
        values: &mut [Option<Var>],
        weights: &Weights<'_>,
        run: &Run,
    ) -> Result<()> {
        let mut arguments: Vec<Var> = Vec::with_capacity(2);
        for i in steps {
            let step = &self.steps[i];
            if values[i].is_none() {
                arguments.clear();
                arguments.extend(step.inputs.iter().filter_map(|&input| values[input].clone()));
                let member = &self.members[step.member];
                let context = Context {
                    run,
                    weights: &weights.values[member.weights.clone()],
                    specs: &self.weights[member.weights.clone()],
                    frozen: &weights.frozen[member.weights.clone()],
                    skip: member.name.len() + 1,
                    base: weights.base + member.weights.start,
                    key: if run.is_training_run() { weights.key.fold_str(&member.name) } else { weights.key },
                    path: if run.captures() { join(weights.path, &member.name) } else { String::new() },
                };
                for step_input in &step.last_use_of {
                    values[*step_input] = None;
                }
                let _span = tracing::debug_span!("layer", name = member.name.as_str()).entered();
                if let (Some(pool), [x], false) =
                    (step.pooled_by.filter(|&pool| pool < values.len()), &arguments[..], run.captures())
                    && let Some(spec) = self.members[self.steps[pool].member].layer.max_pooling()
                    && let Some(pooled) =
                        member.layer.forward_pooled(x, &spec, &context).map_err(|error| error.at(&member.name))?
                {
                    values[pool] = Some(pooled);
                    continue;
                }
                if let Some(graph) = member.layer.as_graph().filter(|graph| graph.outputs.len() > 1) {
                    let results = graph.results(&arguments, &context).map_err(|error| error.at(&member.name))?;
                    for (j, other) in self.steps.iter().enumerate().skip(i).take_while(|(_, s)| s.call == step.call) {
                        let value = results.get(other.part).cloned();
                        // Of several results the first is the layer's.
                        let is_noted = run.captures() && other.part == 0;
                        values[j] = if is_noted { value.map(|value| run.note(&context.path, value)) } else { value };
                    }
                    continue;
                }
                let value = member.layer.forward_many(&arguments, &context).map_err(|error| error.at(&member.name))?;
                values[i] = Some(if run.captures() { run.note(&context.path, value) } else { value });
            } else if run.captures() {
                let path = join(weights.path, &self.members[step.member].name);
                // Results of a call that was made have been noted.
                if step.inputs.is_empty() || self.members[step.member].layer.as_graph().is_none() {
                    values[i] = values[i].take().map(|value| run.note(&path, value));
                }
            }
        }
        Ok(())
    }
}

/// The values a graph runs with, and where they stand in the outermost model.
pub(crate) struct Weights<'a> {
    pub(crate) values: &'a [Var],
    pub(crate) frozen: &'a [bool],
    pub(crate) base: usize,
    pub(crate) key: Key,
    pub(crate) path: &'a str,
}

pub(crate) fn join(outer: &str, name: &str) -> String {
    if outer.is_empty() { name.to_string() } else { format!("{outer}/{name}") }
}

/// A shape as Keras prints it, the batch axis open: `(None, 28, 28, 1)`.
pub(crate) fn batch_shape(shape: &Shape) -> String {
    shape.iter().fold("(None".to_string(), |text, size| format!("{text}, {size}")) + ")"
}

/// A name for each layer in the order of first use: its own, or Keras's default with a number.
fn member_names(order: &[&Symbol]) -> Vec<String> {
    let mut seen: HashSet<*const ()> = HashSet::new();
    let mut given: HashSet<&str> = order.iter().filter_map(|s| s.0.instance.name.as_deref()).collect();
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut names = Vec::new();
    for symbol in order {
        let instance = &symbol.0.instance;
        if !seen.insert(Arc::as_ptr(&instance.layer).cast()) && !symbol.0.inputs.is_empty() {
            continue;
        }
        if let Some(name) = &instance.name {
            names.push(name.clone());
            given.insert(name);
            continue;
        }
        let plain = snake_case(instance.layer.class_name());
        loop {
            let count = counts.entry(plain.clone()).or_default();
            let name = if *count == 0 { plain.clone() } else { format!("{plain}_{count}") };
            *count += 1;
            if !given.contains(name.as_str()) {
                names.push(name);
                break;
            }
        }
    }
    names
}

impl Graph {
    /// All outputs, as a part of a larger model.
    fn results(&self, inputs: &[Var], ctx: &Context<'_>) -> Result<Vec<Var>> {
        let weights =
            Weights { values: ctx.weights, frozen: ctx.frozen, base: ctx.base, key: ctx.key, path: &ctx.path };
        self.execute(inputs, &weights, ctx.run)
    }
}

/// A graph inside a graph; its weights start afresh unless they are set later.
impl Layer for Graph {
    fn class_name(&self) -> &'static str {
        match self.kind {
            GraphKind::Sequential => "Sequential",
            GraphKind::Functional => "Functional",
        }
    }

    fn config(&self) -> Map<String, Value> {
        self.to_config()
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        self.build_many(&[*input], builder)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        self.forward_many(std::slice::from_ref(x), ctx)
    }

    fn build_many(&self, inputs: &[Shape], builder: &mut Builder) -> Result<Shape> {
        self.declare(inputs, builder, None)
    }

    fn forward_many(&self, inputs: &[Var], ctx: &Context<'_>) -> Result<Var> {
        self.results(inputs, ctx)?
            .into_iter()
            .next()
            .ok_or_else(|| Error::shape(self.name.clone(), "a model has an output", "none", ""))
    }

    fn multiply_adds(&self, _inputs: &[Shape], _output: &Shape) -> u64 {
        self.total_multiply_adds()
    }

    fn as_graph(&self) -> Option<&Graph> {
        Some(self)
    }
}
