//! What each layer of a model costs and sees: arithmetic, memory, receptive field.

use crate::graph::{Graph, Step, batch_shape};
use crate::model::Model;
use crate::summary::thousands;
use serde_json::{Map, Value};
use std::fmt;
use striate_autograd::{COMPUTED_AGAIN_BYTES, COMPUTED_AGAIN_PRODUCTS};
use striate_tensor::Shape;

/// Bytes of a number.
const FLOAT: usize = 4;
/// Bytes of the maps of the samples whose gradients a convolution of the CPU back end computes together.
const CHUNK: usize = 24 << 20;

/// One layer in [`Costs`]; the numbers are for one sample.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerCosts {
    /// The layer's path: `vgg16/block1_conv1` inside a nested model.
    pub path: String,
    /// Its Keras class.
    pub class: String,
    /// The output's shape with an open batch axis.
    pub output_shape: String,
    /// How the output's size comes from the input's: `(28 − 3)/1 + 1 = 26`; empty where it stays or there is nothing to compute.
    pub arithmetic: String,
    /// Parameters.
    pub parameters: usize,
    /// Multiply-adds of a forward pass.
    pub multiply_adds: u64,
    /// Bytes of the output, which training keeps until the backward pass.
    pub activation_bytes: usize,
    /// Bytes of the gradients of the layer's own weights that are trained.
    pub gradient_bytes: usize,
    /// Pixels of the input, along each spatial axis, that one output number depends on; none once everything is seen.
    pub receptive_field: Option<Vec<f64>>,
    /// Pixels of the input between neighbouring outputs, along each spatial axis; none as for the receptive field.
    pub stride: Option<Vec<f64>>,
    /// What is probably not meant.
    pub warnings: Vec<String>,
}

/// What a model costs, layer by layer and in all.
///
/// ```
/// use striate_nn::layers::{Conv2D, Flatten, MaxPooling2D};
/// use striate_nn::{BuildOptions, Costs, Sequential};
/// let device = striate_testkit::reference::device();
/// let model = Sequential::new([8, 8, 1]).add(Conv2D::new(2, 3)).add(MaxPooling2D::new(4)).add(Flatten);
/// let costs = Costs::of(&model.build_on(&BuildOptions::on(&device))?);
/// assert_eq!(costs.layers[0].arithmetic, "(8 − 3)/1 + 1 = 6");
/// assert_eq!(costs.layers[1].receptive_field, Some(vec![6.0, 6.0]));
/// assert!(costs.layers[1].warnings[0].contains("last 2 rows and 2 columns"));
/// assert_eq!(costs.multiply_adds, 6 * 6 * 2 * 9);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Costs {
    /// The layers in order, those of nested models in the place of the model.
    pub layers: Vec<LayerCosts>,
    /// Parameters of all layers.
    pub parameters: usize,
    /// Multiply-adds of one sample's forward pass.
    pub multiply_adds: u64,
    /// Bytes of all weights.
    pub weight_bytes: usize,
    /// Bytes of the gradients of all weights that are trained.
    pub gradient_bytes: usize,
    /// Bytes of one sample's inputs.
    pub input_bytes: usize,
    /// For each layer in the order of computing: bytes of a sample's output that training keeps, and of its weights' gradients.
    steps: Vec<Kept>,
}

/// What training holds because of one layer.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Kept {
    /// Numbers of a sample's output.
    numbers: usize,
    /// How many blocks of that size backward needs: the output as a rule.
    blocks: usize,
    /// Whether backward needs a byte for each number besides: which input a maximum is.
    has_indices: bool,
    /// Whether backward makes a copy of the gradient: that of a pooled ReLU is dropped where the maximum is not positive.
    copies: bool,
    /// Whether the output's gradient is written over the output: a convolution does so that alone reads a ReLU.
    is_overwritten: bool,
    /// Whether the output is computed again for the backward pass if it is large.
    is_computed_again: bool,
    /// Whether the output's gradient exists for some samples at a time only.
    is_chunked: bool,
    /// Bytes of the gradients of its weights.
    weights: usize,
    /// Whether backward gets here at all.
    is_reached: bool,
}

/// How far an output number sees.
#[derive(Debug, Clone, Default)]
struct Sight {
    /// None once everything is seen.
    field: Option<Vec<f64>>,
    stride: Vec<f64>,
}

impl Costs {
    /// Reads them off a model: nothing is computed.
    pub fn of(model: &Model) -> Costs {
        let graph = model.graph();
        let mut costs = Costs {
            layers: Vec::new(),
            parameters: model.parameter_count(),
            multiply_adds: graph.total_multiply_adds(),
            weight_bytes: model.weights().map(|(_, value)| value.elements() * value.dtype().size()).sum(),
            gradient_bytes: 0,
            input_bytes: graph.input_shapes().iter().map(|shape| shape.elements() * FLOAT).sum(),
            steps: Vec::new(),
        };
        let trained: Vec<bool> = (0..model.weights().count()).map(|index| model.is_trainable(index)).collect();
        let start: Vec<Sight> = graph.input_shapes().iter().map(Sight::of_input).collect();
        costs.visit(graph, "", &trained, 0, &start, false);
        costs.gradient_bytes = costs.steps.iter().map(|step| step.weights).sum();
        costs
    }

    /// Adds a graph's layers; gives what its output sees, and whether a trained weight stands before that.
    fn visit(
        &mut self,
        graph: &Graph,
        prefix: &str,
        trained: &[bool],
        base: usize,
        inputs: &[Sight],
        is_reached: bool,
    ) -> (Sight, bool) {
        let mut sights: Vec<Sight> = Vec::with_capacity(graph.steps.len());
        let mut reached: Vec<bool> = Vec::with_capacity(graph.steps.len());
        let mut seen = vec![false; graph.members.len()];
        let kept = kept_for_consumers(graph);
        let readers = only_readers(graph);
        for (i, step) in graph.steps.iter().enumerate() {
            if i > 0 && graph.steps[i - 1].call == step.call {
                // Another result of the same call.
                sights.extend(sights.last().cloned());
                reached.extend(reached.last().copied());
                continue;
            }
            let member = &graph.members[step.member];
            let before = step.inputs.iter().map(|&input| &sights[input]);
            let sight = match graph.inputs.iter().position(|&input| input == i) {
                Some(place) => inputs.get(place).cloned().unwrap_or_default(),
                None => Sight::widest(before),
            };
            let weights = base + member.weights.start..base + member.weights.end;
            let own = graph.weights[member.weights.clone()].iter().zip(&trained[weights.clone()]);
            let gradient_bytes: usize =
                own.filter(|(_, is_trained)| **is_trained).map(|(spec, _)| spec.shape.elements() * FLOAT).sum();
            let was_reached = match step.inputs.is_empty() {
                true => is_reached,
                false => step.inputs.iter().any(|&input| reached[input]),
            };
            let path = if prefix.is_empty() { member.name.clone() } else { format!("{prefix}/{}", member.name) };
            let is_first = !std::mem::replace(&mut seen[step.member], true);
            if let Some(inner) = member.layer.as_graph() {
                let (sight, is_reached) = self.visit(inner, &path, trained, weights.start, &[sight], was_reached);
                sights.push(sight);
                reached.push(is_reached);
                continue;
            }
            if step.inputs.is_empty() {
                sights.push(sight);
                reached.push(is_reached);
                continue;
            }
            let input_shapes: Vec<Shape> = step.inputs.iter().map(|&input| graph.steps[input].shape).collect();
            let class = member.layer.class_name();
            let config = member.layer.config();
            let windows = Windows::of(&config);
            let after = sight.through(class, &windows, &input_shapes[0]);
            let is_trained = gradient_bytes > 0 || was_reached;
            let bytes = step.shape.elements() * FLOAT;
            // A convolution that is pooled as it is computed keeps no output; the pooling keeps the maxima of a ReLU.
            let activation = |step: &Step| {
                let config = graph.members[step.member].layer.config();
                config.get("activation").and_then(Value::as_str).map(str::to_string)
            };
            let class_of = |step: &Step| graph.members[step.member].layer.class_name();
            let is_relu = |step: &Step| class_of(step) == "ReLU" || activation(step).as_deref() == Some("relu");
            let is_convolution = |step: &Step| matches!(class_of(step), "Conv1D" | "Conv2D" | "Conv3D");
            let is_fused = |step: &Step| {
                step.pooled_by.is_some()
                    && is_convolution(step)
                    && matches!(activation(step).as_deref(), None | Some("linear" | "relu"))
            };
            let is_maximum = class.starts_with("MaxPooling");
            let is_read_by_convolution = readers[i].is_some_and(|reader| is_convolution(&graph.steps[reader]));
            let pools_relu = is_maximum && step.inputs.iter().any(|&input| is_relu(&graph.steps[input]));
            let needs_output = !is_fused(step) && (needs_output(class, &config) || pools_relu);
            let is_kept = !is_view(class) && (kept[i] || needs_output);
            // The input less its mean.
            let blocks = usize::from(is_kept) + usize::from(class == "BatchNormalization");
            let pools_fused = is_maximum && step.inputs.iter().any(|&input| is_fused(&graph.steps[input]));
            let ends_in_relu = (is_relu(step) && !is_fused(step)) || (pools_relu && pools_fused);
            let is_overwritten = ends_in_relu && is_read_by_convolution;
            let products =
                member.layer.multiply_adds(&input_shapes, &step.shape) / (step.shape.elements().max(1) as u64);
            self.steps.push(Kept {
                numbers: step.shape.elements(),
                blocks,
                has_indices: is_maximum,
                copies: pools_relu && !is_overwritten,
                is_overwritten,
                is_computed_again: is_convolution(step)
                    && is_read_by_convolution
                    && products <= COMPUTED_AGAIN_PRODUCTS as u64
                    && step.shape.elements() >= 4 * input_shapes[0].elements(),
                is_chunked: is_fused(step),
                weights: if is_first { gradient_bytes } else { 0 },
                is_reached: is_trained,
            });
            let arithmetic = windows.arithmetic(class, &input_shapes[0], &step.shape);
            self.layers.push(LayerCosts {
                path,
                class: class.to_string(),
                output_shape: batch_shape(&step.shape),
                arithmetic,
                parameters: match is_first {
                    true => graph.weights[member.weights.clone()].iter().map(|w| w.shape.elements()).sum(),
                    false => 0,
                },
                multiply_adds: member.layer.multiply_adds(&input_shapes, &step.shape),
                activation_bytes: bytes,
                gradient_bytes: if is_first { gradient_bytes } else { 0 },
                receptive_field: after.field.clone(),
                stride: after.field.is_some().then(|| after.stride.clone()),
                warnings: windows.warnings(class, &input_shapes[0]),
            });
            sights.push(after);
            reached.push(is_trained);
        }
        let output = graph.outputs.first().copied().unwrap_or_default();
        (sights.get(output).cloned().unwrap_or_default(), reached.get(output).copied().unwrap_or_default())
    }

    /// Bytes that tensors take at the fullest moment of a training step: weights, what the optimizer keeps for each (1 number for
    /// RMSprop or momentum, 2 for Adam), inputs, the outputs of all layers that backward passes, and gradients as backward
    /// comes by, each in the block that a back end's pool has for it. Working memory of single operations comes to that.
    pub fn training_peak_bytes(&self, batch_size: usize, optimizer_numbers: usize) -> usize {
        let block = |step: &Kept| block_bytes(step.numbers * batch_size);
        let chunk = |step: &Kept| block(step).min(CHUNK);
        let again = |step: &Kept| step.is_computed_again && block(step) >= COMPUTED_AGAIN_BYTES;
        let indices = |step: &Kept| if step.has_indices { block(step) / FLOAT } else { 0 };
        let kept = |step: &Kept| match step.is_reached {
            true if again(step) => 0,
            true => step.blocks * block(step) + indices(step),
            false => 0,
        };
        let mut alive: usize = self.steps.iter().map(kept).sum();
        let mut gradients = 0;
        let mut peak = alive;
        // What the gradient of a pooled convolution is scattered from.
        let mut pooled = 0;
        for (i, step) in self.steps.iter().enumerate().rev().filter(|(_, step)| step.is_reached) {
            let below = i.checked_sub(1).map(|below| &self.steps[below]).filter(|below| below.is_reached);
            if below.is_some_and(again) {
                alive += below.map_or(0, block);
            }
            let of_output = match step {
                Kept { is_chunked: true, .. } => chunk(step),
                Kept { is_overwritten: true, .. } => 0,
                _ => block(step),
            };
            let of_input = below.map_or(0, |below| match below {
                Kept { is_chunked: true, .. } | Kept { is_overwritten: true, .. } => chunk(below),
                _ => block(below),
            });
            gradients += step.weights;
            let copy = if step.copies { block(step) } else { 0 };
            peak = peak.max(alive + gradients + pooled + of_output + copy + of_input);
            let freed = if again(step) { block(step) } else { kept(step) };
            alive -= freed;
            // A pooled convolution still reads what belongs to the pooling.
            pooled = match below {
                Some(Kept { is_chunked: true, .. }) if step.is_overwritten => freed,
                Some(Kept { is_chunked: true, .. }) => block(step) + indices(step),
                _ => 0,
            };
        }
        let inputs = block_bytes(self.input_bytes / FLOAT * batch_size);
        self.weight_bytes + optimizer_numbers * self.gradient_bytes + inputs + peak
    }
}

/// Whether the layer's output is its input in another shape.
fn is_view(class: &str) -> bool {
    matches!(class, "Flatten" | "Reshape")
}

/// Whether the layer's backward pass needs its input.
fn needs_input(class: &str) -> bool {
    class.contains("Conv") || matches!(class, "Dense" | "PReLU" | "Multiply" | "LayerNormalization" | "GaussianNoise")
}

/// Whether it needs its output: activations do.
fn needs_output(class: &str, config: &Map<String, Value>) -> bool {
    match config.get("activation").and_then(Value::as_str) {
        Some(activation) => activation != "linear",
        None => class.contains("ReLU") || matches!(class, "ELU" | "Softmax"),
    }
}

/// For each step, whether what comes after needs its output for the backward pass.
fn kept_for_consumers(graph: &Graph) -> Vec<bool> {
    let mut kept = vec![false; graph.steps.len()];
    graph.outputs.iter().for_each(|&output| kept[output] = true);
    for (i, step) in graph.steps.iter().enumerate().rev() {
        let layer = &graph.members[step.member].layer;
        let class = layer.class_name();
        let needs = layer.as_graph().is_some() || needs_input(class) || (is_view(class) && kept[i]);
        step.inputs.iter().for_each(|&input| kept[input] |= needs);
    }
    kept
}

/// For each step, the one that alone reads its output.
fn only_readers(graph: &Graph) -> Vec<Option<usize>> {
    let mut readers = vec![Vec::new(); graph.steps.len()];
    for (i, step) in graph.steps.iter().enumerate() {
        step.inputs.iter().for_each(|&input| readers[input].push(i));
    }
    let is_output = |i: usize| graph.outputs.contains(&i);
    let alone = |(i, readers): (usize, &Vec<usize>)| (readers.len() == 1 && !is_output(i)).then(|| readers[0]);
    readers.iter().enumerate().map(alone).collect()
}

/// Bytes of the memory block that holds so many numbers: small ones are rounded up to one of eight sizes between powers of two.
fn block_bytes(numbers: usize) -> usize {
    if numbers >= 1 << 18 {
        return numbers * FLOAT;
    }
    let step = (numbers.max(8).next_power_of_two() / 16).max(1);
    numbers.div_ceil(step) * step * FLOAT
}

impl Sight {
    fn of_input(shape: &Shape) -> Sight {
        let axes = shape.rank().saturating_sub(1);
        match axes {
            0 => Sight::default(),
            _ => Sight { field: Some(vec![1.0; axes]), stride: vec![1.0; axes] },
        }
    }

    /// What depends on several values sees as far as the one that sees the farthest.
    fn widest<'a>(mut all: impl Iterator<Item = &'a Sight>) -> Sight {
        let first = all.next().cloned().unwrap_or_default();
        all.fold(first, |widest, other| match (&widest.field, &other.field) {
            (Some(a), Some(b)) if a.len() == b.len() => Sight {
                field: Some(a.iter().zip(b).map(|(a, b)| a.max(*b)).collect()),
                stride: widest.stride.iter().zip(&other.stride).map(|(a, b)| a.max(*b)).collect(),
            },
            _ => Sight::default(),
        })
    }

    fn through(mut self, class: &str, windows: &Windows, input: &Shape) -> Sight {
        let axes = input.rank().saturating_sub(1);
        let Some(field) = self.field.as_mut().filter(|field| field.len() == axes) else { return Sight::default() };
        let sees_everything = class.starts_with("Global") || matches!(class, "Flatten" | "Reshape" | "Permute");
        if sees_everything {
            return Sight::default();
        }
        for (axis, (field, distance)) in field.iter_mut().zip(&mut self.stride).enumerate() {
            let (size, stride) = (windows.size(axis) as f64, windows.stride(axis) as f64);
            if class.ends_with("Transpose") {
                *field += ((size / stride).ceil() - 1.0) * *distance;
                *distance /= stride;
            } else if class.starts_with("UpSampling") {
                *distance /= size;
            } else {
                *field += (size - 1.0) * *distance;
                *distance *= stride;
            }
        }
        self
    }
}

/// The window that a layer slides over its input, by its config.
#[derive(Debug, Default)]
struct Windows {
    sizes: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    is_valid: bool,
}

impl Windows {
    fn of(config: &Map<String, Value>) -> Windows {
        let numbers = |key: &str| match config.get(key) {
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_u64).map(|n| n as usize).collect(),
            Some(Value::Number(one)) => one.as_u64().map(|n| vec![n as usize; 3]).unwrap_or_default(),
            _ => Vec::new(),
        };
        let sizes = ["kernel_size", "pool_size", "size"].into_iter().map(numbers).find(|found| !found.is_empty());
        Windows {
            sizes: sizes.unwrap_or_default(),
            strides: numbers("strides"),
            dilations: numbers("dilation_rate"),
            is_valid: config.get("padding").and_then(Value::as_str) == Some("valid"),
        }
    }

    /// Along an axis, with what dilation adds.
    fn size(&self, axis: usize) -> usize {
        let size = self.sizes.get(axis).copied().unwrap_or(1).max(1);
        (size - 1) * self.dilations.get(axis).copied().unwrap_or(1) + 1
    }

    fn stride(&self, axis: usize) -> usize {
        self.strides.get(axis).copied().unwrap_or(1).max(1)
    }

    fn slides(&self, class: &str) -> bool {
        !self.sizes.is_empty() && !class.ends_with("Transpose") && !class.starts_with("UpSampling")
    }

    /// `(28 − 3)/1 + 1 = 26`, for each axis unless all are alike.
    fn arithmetic(&self, class: &str, input: &Shape, output: &Shape) -> String {
        if class == "Flatten" {
            let sizes: Vec<String> = input.iter().map(ToString::to_string).collect();
            return format!("{} = {}", sizes.join("·"), output.elements());
        }
        if !self.slides(class) {
            return String::new();
        }
        let one = |axis: usize| {
            let (n, size, stride, made) = (input[axis], self.size(axis), self.stride(axis), output[axis]);
            match (self.is_valid, (n - size.min(n)) % stride) {
                (true, 0) => format!("({n} − {size})/{stride} + 1 = {made}"),
                (true, _) => format!("⌊({n} − {size})/{stride}⌋ + 1 = {made}"),
                (false, _) if stride == 1 => format!("{n} = {made}"),
                (false, _) if n % stride == 0 => format!("{n}/{stride} = {made}"),
                (false, _) => format!("⌈{n}/{stride}⌉ = {made}"),
            }
        };
        let mut all: Vec<String> = (0..input.rank().saturating_sub(1).min(output.rank())).map(one).collect();
        all.dedup();
        all.join(", ")
    }

    fn warnings(&self, class: &str, input: &Shape) -> Vec<String> {
        if !self.is_valid || !self.slides(class) {
            return Vec::new();
        }
        let axes = input.rank().saturating_sub(1);
        let names: &[&str] = match axes {
            1 => &["steps"],
            2 => &["rows", "columns"],
            _ => &["planes", "rows", "columns"],
        };
        let dropped: Vec<String> = (0..axes.min(names.len()))
            .filter_map(|axis| {
                let left = (input[axis] - self.size(axis).min(input[axis])) % self.stride(axis);
                let name = if left == 1 { names[axis].trim_end_matches('s') } else { names[axis] };
                (left > 0).then(|| format!("{left} {name}"))
            })
            .collect();
        if dropped.is_empty() {
            return Vec::new();
        }
        vec![format!("valid padding drops the last {} of the input", dropped.join(" and "))]
    }
}

impl fmt::Display for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header =
            ["Layer", "Output shape", "Arithmetic", "Param #", "Multiply-adds", "Activation", "Field", "Stride"];
        let pixels = |numbers: &Option<Vec<f64>>| match numbers {
            None => "all".to_string(),
            Some(all) if all.windows(2).all(|pair| pair[0] == pair[1]) => {
                all.first().map_or_else(String::new, |one| format!("{one}"))
            }
            Some(all) => all.iter().map(|one| format!("{one}")).collect::<Vec<_>>().join("×"),
        };
        let rows: Vec<[String; 8]> = self
            .layers
            .iter()
            .map(|layer| {
                [
                    format!("{} ({})", layer.path, layer.class),
                    layer.output_shape.clone(),
                    layer.arithmetic.clone(),
                    thousands(layer.parameters as u64),
                    thousands(layer.multiply_adds),
                    bytes(layer.activation_bytes),
                    pixels(&layer.receptive_field),
                    match &layer.stride {
                        None => "–".into(),
                        stride => pixels(stride),
                    },
                ]
            })
            .collect();
        let width = |c: usize| {
            let cells = rows.iter().map(|row| row[c].chars().count());
            cells.max().unwrap_or(0).max(header[c].chars().count())
        };
        let widths: Vec<usize> = (0..header.len()).map(width).collect();
        let line = |cells: &[String; 8]| {
            let mut text = String::new();
            for (c, cell) in cells.iter().enumerate() {
                let width = widths[c];
                let padded = if c < 3 { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
                text.push_str(&padded);
                text.push_str(if c + 1 < cells.len() { "  " } else { "" });
            }
            text.trim_end().to_string()
        };
        writeln!(f, "{}", line(&header.map(ToString::to_string)))?;
        writeln!(f, "{}", "─".repeat(widths.iter().sum::<usize>() + 2 * (widths.len() - 1)))?;
        for (row, layer) in rows.iter().zip(&self.layers) {
            writeln!(f, "{}", line(row))?;
            for warning in &layer.warnings {
                writeln!(f, "  ! {warning}")?;
            }
        }
        write!(
            f,
            "\n{} parameters, {}; {} multiply-adds for a sample's forward pass",
            thousands(self.parameters as u64),
            bytes(self.weight_bytes),
            thousands(self.multiply_adds)
        )
    }
}

fn bytes(n: usize) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        _ => format!("{:.1} MB", n as f64 / 1e6),
    }
}
