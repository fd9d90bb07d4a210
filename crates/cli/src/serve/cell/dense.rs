//! A dense layer's cell: every input times its weight.

use super::{Question, Source, position};
use serde_json::{Value, json};
use striate::nn::Activation;

/// Products that are shown; the others are in the sum of the rest.
const MOST_PARTS: usize = 24;

impl Question<'_> {
    /// The sum over the inputs.
    pub(super) fn dense(&self) -> Option<Value> {
        let source = self.source()?;
        let shape = self.network.weight_shape(self.node, "kernel")?;
        let &[features, units] = shape.as_slice() else { return None };
        let kernel = self.network.weight(self.node, "kernel")?;
        let bias = self.network.weight(self.node, "bias");
        let (row, unit) = (self.index / units, self.index % units);
        let inputs = &source.values[row * features..(row + 1) * features];
        let product = |i: usize, unit: usize| f64::from(inputs[i]) * f64::from(kernel[i * units + unit]);
        let total = |unit: usize| -> f64 { (0..features).map(|i| product(i, unit)).sum() };
        let own = |unit: usize| bias.as_ref().map_or(0.0, |bias| f64::from(bias[unit]));

        let mut order: Vec<usize> = (0..features).collect();
        order.sort_by(|&a, &b| product(b, unit).abs().total_cmp(&product(a, unit).abs()));
        let (shown, rest) = order.split_at(MOST_PARTS.min(features));
        let parts: Vec<Value> = shown
            .iter()
            .map(|&i| {
                let cell = source.layout.cell(row * features + i);
                let (layer, cell) = self.origin(&source, row * features + i).unwrap_or((source.layer, position(cell)));
                json!({ "index": i, "input": inputs[i], "weight": kernel[i * units + unit], "product": product(i, unit), "layer": layer, "cell": cell })
            })
            .collect();
        let mut answer = json!({
            "kind": "dense",
            "source": source.layer,
            "features": features,
            "parts": parts,
            "rest": rest.iter().map(|&i| product(i, unit)).sum::<f64>(),
            "rest_count": rest.len(),
        });
        let all = (self.activation() == Activation::Softmax)
            .then(|| (0..units).map(|unit| total(unit) + own(unit)).collect());
        self.finish(&mut answer, total(unit), bias.as_ref().map(|_| own(unit)), all);
        Some(answer)
    }

    /// Where a number of a flattened layer comes from.
    fn origin(&self, source: &Source, index: usize) -> Option<(usize, Value)> {
        let node = &self.network.nodes[source.layer];
        let &[before] = &node.inputs[..] else { return None };
        let value = self.snapshot.values.get(&self.network.nodes[before].path)?;
        let keeps_order = matches!(node.class.as_str(), "Flatten" | "Reshape" | "Dropout");
        keeps_order.then(|| (before, position(crate::serve::layout::Layout::of(value.shape()).cell(index))))
    }

    /// Adds bias, sum and activation to an answer. `all` are the sums of all units where softmax needs them.
    pub(super) fn finish(&self, answer: &mut Value, sum: f64, bias: Option<f64>, all: Option<Vec<f64>>) {
        let before = sum + bias.unwrap_or(0.0);
        answer["sum"] = json!(sum);
        answer["bias"] = json!(bias);
        answer["before"] = json!(before);
        answer["activation"] = json!(self.activation().name());
        answer["after"] = match (self.activation(), all) {
            (Activation::Elementwise(function), _) => json!(function.apply(before)),
            (Activation::Softmax, Some(all)) => {
                let largest = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = all.iter().map(|sum| (sum - largest).exp()).sum();
                answer["softmax"] = json!({ "largest": largest, "total": total, "units": all.len() });
                json!((before - largest).exp() / total)
            }
            (Activation::Softmax, None) | (Activation::Composed(_), _) => Value::Null,
        };
    }
}
