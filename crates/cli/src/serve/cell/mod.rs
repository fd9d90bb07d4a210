//! How one number came about: the numbers it was made of, and their sum done again by hand.

mod convolution;
mod dense;
mod elementwise;
mod pooling;

use super::http::Refusal;
use super::layout::{Cell, Layout};
use super::network::{Network, Node};
use super::snapshots::Snapshot;
use serde_json::{Value, json};
use striate::nn::Activation;
use striate::tensor::Shape;

/// A cell and what it is made from.
pub struct Question<'a> {
    network: &'a Network,
    snapshot: &'a Snapshot,
    node: &'a Node,
    cell: Cell,
    /// Where it stands among the layer's numbers.
    index: usize,
}

/// The output of a layer that this layer takes.
struct Source {
    layer: usize,
    shape: Shape,
    layout: Layout,
    values: Vec<f32>,
}

/// How the cell came about, as JSON: always `value`; `kind` says what else is there.
///
/// # Errors
/// 404 for a layer or a cell that is not there.
pub fn explain(network: &Network, snapshot: &Snapshot, layer: usize, cell: Cell) -> Result<Value, Refusal> {
    let absent = |what: &str| Refusal::new(404, format!("there is no such {what}"));
    let node = network.nodes.get(layer).ok_or_else(|| absent("layer"))?;
    let value = snapshot.values.get(&node.path).ok_or_else(|| absent("layer"))?;
    let index = Layout::of(value.shape()).index(cell).ok_or_else(|| absent("cell"))?;
    let number = value.to_vec::<f32>()?[index];
    let question = Question { network, snapshot, node, cell, index };
    let mut answer = match node.class.as_str() {
        "InputLayer" => Some(json!({ "kind": "input" })),
        "Conv1D" | "Conv2D" => question.convolution(false),
        "DepthwiseConv1D" | "DepthwiseConv2D" => question.convolution(true),
        "SeparableConv1D" | "SeparableConv2D" => question.separable_convolution(),
        "Conv1DTranspose" | "Conv2DTranspose" => question.transposed_convolution(),
        "Dense" => question.dense(),
        "MaxPooling1D" | "MaxPooling2D" => question.pooling(true),
        "AveragePooling1D" | "AveragePooling2D" => question.pooling(false),
        "GlobalAveragePooling1D" | "GlobalAveragePooling2D" => question.global_pooling(false),
        "GlobalMaxPooling1D" | "GlobalMaxPooling2D" => question.global_pooling(true),
        "BatchNormalization" => question.normalization(),
        "Flatten" | "Reshape" | "Dropout" | "SpatialDropout1D" | "SpatialDropout2D" | "GaussianDropout"
        | "GaussianNoise" => question.copy(),
        "Activation" | "ReLU" | "LeakyReLU" | "ELU" | "Rescaling" | "PReLU" => question.function(),
        "Softmax" if matches!(question.node.config["axis"].as_i64(), None | Some(-1)) => question.softmax_layer(),
        "ZeroPadding2D" => question.zero_padding(),
        "Add" | "Subtract" | "Multiply" | "Average" | "Maximum" | "Minimum" => question.merge(),
        "Concatenate" => question.concatenate(),
        _ => None,
    }
    .unwrap_or_else(|| json!({ "kind": "value" }));
    answer["value"] = json!(number);
    answer["layer"] = json!(layer);
    answer["cell"] = position(cell);
    Ok(answer)
}

fn position(cell: Cell) -> Value {
    json!([cell.y, cell.x, cell.channel])
}

impl Question<'_> {
    /// What the layer takes first.
    fn source(&self) -> Option<Source> {
        self.sources().into_iter().next()
    }

    /// All that the layer takes.
    fn sources(&self) -> Vec<Source> {
        let source = |&layer: &usize| {
            let value = self.snapshot.values.get(&self.network.nodes[layer].path)?;
            let values = value.to_vec::<f32>().ok()?;
            Some(Source { layer, shape: *value.shape(), layout: Layout::of(value.shape()), values })
        };
        self.node.inputs.iter().filter_map(source).collect()
    }

    /// The layer's activation.
    fn activation(&self) -> Activation {
        self.node.config.get("activation").and_then(|value| Activation::from_json(value).ok()).unwrap_or_default()
    }

    /// An option of the layer: numbers for two axes, rows first; one of time has one row.
    fn pair(&self, key: &str, default: usize) -> [usize; 2] {
        let number = |value: &Value| value.as_u64().map(|n| n as usize);
        match &self.node.config[key] {
            Value::Array(all) => match all[..] {
                [ref one] => [default, number(one).unwrap_or(default)],
                [ref a, ref b] => [number(a).unwrap_or(default), number(b).unwrap_or(default)],
                _ => [default; 2],
            },
            one => number(one).map_or([default; 2], |one| [one; 2]),
        }
    }

    fn text(&self, key: &str) -> &str {
        self.node.config.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

/// The first position that a window covers, counted from the input's first, along one axis.
fn window_start(at: usize, input: usize, window: usize, stride: usize, dilation: usize, padding: &str) -> isize {
    let extent = (window - 1) * dilation + 1;
    let before = match padding {
        "same" => ((input.div_ceil(stride).max(1) - 1) * stride + extent).saturating_sub(input) / 2,
        "causal" => extent - 1,
        _ => 0,
    };
    (at * stride) as isize - before as isize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::snapshots::Snapshots;
    use striate::prelude::*;
    use striate::viz::Subject;

    #[test]
    fn every_cell_of_every_kind_of_convolution_is_the_sum_that_is_shown() {
        let model = Sequential::new([9, 8, 3])
            .add(Conv2D::new(4, 3).padding(Same).strides(2).activation(Relu))
            .add(SeparableConv2D::new(5, [3, 2]).depth_multiplier(2).padding(Same))
            .add(Conv2DTranspose::new(3, 3).strides(2).padding(Same).activation(Relu))
            .add(Conv2DTranspose::new(2, 2).strides(3))
            .add(DepthwiseConv2D::new(3).depth_multiplier(2).dilation_rate(2))
            .add(SeparableConv2D::new(2, 3).strides(2))
            .build_seeded(3)
            .unwrap();
        let device = model.device().clone();
        let file = striate::formats::ModelFile {
            model,
            class_names: Vec::new(),
            preprocessing: "photograph 9x8 bilinear".into(),
        };
        let network = Network::new(Subject::of_file(file).unwrap()).unwrap();
        let pixels: Vec<f32> = (0..9 * 8 * 3).map(|i| (i * 29 % 17) as f32 / 17.0 - 0.3).collect();
        let input = Tensor::from_vec(pixels, [1, 9, 8, 3], &device).unwrap();
        let snapshot = Snapshots::default().keep(network.forward(&input).unwrap());
        let mut convolutions = 0;
        for (layer, node) in network.nodes.iter().enumerate().filter(|(_, node)| node.class.contains("Conv")) {
            convolutions += 1;
            let layout = Layout::of(&node.shape);
            for index in 0..node.shape.elements() {
                let answer = explain(&network, &snapshot, layer, layout.cell(index)).unwrap();
                assert_eq!(answer["kind"], "convolution", "{}", node.path);
                let [value, after] = ["value", "after"].map(|key| answer[key].as_f64().unwrap());
                assert!((value - after).abs() < 1e-4, "{} {index}: {value} shown as {after}", node.path);
            }
        }
        assert_eq!(convolutions, 6);
    }
}
