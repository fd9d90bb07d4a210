//! Cells made of one number of each input: copies, functions, normalisation, merging.

use super::{Question, Source, position};
use crate::serve::layout::Cell;
use serde_json::{Value, json};
use striate::nn::Activation;

impl Question<'_> {
    fn copied(&self, source: &Source, index: usize) -> Option<Value> {
        let input = source.values.get(index)?;
        Some(
            json!({ "kind": "copy", "source": source.layer, "from": position(source.layout.cell(index)), "input": input }),
        )
    }

    /// The same numbers in the same order.
    pub(super) fn copy(&self) -> Option<Value> {
        self.copied(&self.source()?, self.index)
    }

    /// A function of the number that stands there.
    pub(super) fn function(&self) -> Option<Value> {
        let mut answer = self.copy()?;
        let after = match (self.node.class.as_str(), self.activation()) {
            ("Activation", Activation::Softmax) => return self.softmax_layer(),
            ("Activation", Activation::Elementwise(function)) => {
                answer["input"].as_f64().map(|input| function.apply(input))
            }
            _ => None,
        };
        let name = if self.node.class == "Activation" { self.activation().name() } else { self.node.class.as_str() };
        answer["kind"] = json!("function");
        answer["activation"] = json!(name);
        answer["after"] = json!(after);
        Some(answer)
    }

    /// A number's share among those of its row, after the exponential.
    pub(super) fn softmax_layer(&self) -> Option<Value> {
        let mut answer = self.copy()?;
        let source = self.source()?;
        let size = source.shape.last().copied().filter(|&size| size > 0)?;
        let row = &source.values[self.index / size * size..][..size];
        let largest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let total: f64 = row.iter().map(|&value| (f64::from(value) - largest).exp()).sum();
        answer["kind"] = json!("function");
        answer["activation"] = json!("softmax");
        answer["after"] = json!((f64::from(source.values[self.index]) - largest).exp() / total);
        Some(answer)
    }

    /// (x − mean) / √(variance + ε) · gamma + beta, the statistics as learnt.
    pub(super) fn normalization(&self) -> Option<Value> {
        let source = self.source()?;
        let channel = self.index % source.shape.last().copied().filter(|&size| size > 0)?;
        let weight = |name: &str| self.network.weight(self.node, name).and_then(|values| values.get(channel).copied());
        let (mean, variance) = (weight("moving_mean")?, weight("moving_variance")?);
        let (gamma, beta) = (weight("gamma").unwrap_or(1.0), weight("beta").unwrap_or(0.0));
        let epsilon = self.node.config.get("epsilon").and_then(Value::as_f64).unwrap_or(1e-3);
        let mut answer = self.copied(&source, self.index)?;
        let input = f64::from(source.values[self.index]);
        let spread = (f64::from(variance) + epsilon).sqrt();
        answer["kind"] = json!("normalization");
        answer["mean"] = json!(mean);
        answer["spread"] = json!(spread);
        answer["gamma"] = json!(gamma);
        answer["beta"] = json!(beta);
        answer["after"] = json!((input - f64::from(mean)) / spread * f64::from(gamma) + f64::from(beta));
        Some(answer)
    }

    /// The cell inside the border, or the border itself.
    pub(super) fn zero_padding(&self) -> Option<Value> {
        let source = self.source()?;
        let sides = &self.node.config["padding"];
        let before = |axis: usize| match &sides[axis] {
            Value::Array(pair) => pair.first().and_then(Value::as_u64),
            one => one.as_u64().or(sides.as_u64()),
        };
        let (y, x) = (self.cell.y.checked_sub(before(0)? as usize), self.cell.x.checked_sub(before(1)? as usize));
        let inside = y.zip(x).and_then(|(y, x)| source.layout.index(Cell { y, x, ..self.cell }));
        inside.map_or_else(|| Some(json!({ "kind": "border" })), |index| self.copied(&source, index))
    }

    /// One number of each input, where they have the same shape.
    pub(super) fn merge(&self) -> Option<Value> {
        let sources = self.sources();
        let same = sources.iter().all(|source| source.shape == self.node.shape);
        let part = |source: &Source| json!({ "layer": source.layer, "input": source.values[self.index] });
        same.then(|| json!({ "kind": "merge", "how": self.node.class, "parts": sources.iter().map(part).collect::<Vec<_>>() }))
    }

    /// The input whose channels the cell's channel is among.
    pub(super) fn concatenate(&self) -> Option<Value> {
        let rank = self.node.shape.rank() as i64;
        let axis = self.node.config.get("axis").and_then(Value::as_i64).unwrap_or(-1);
        if axis != -1 && axis != rank - 1 {
            return None;
        }
        let own = self.node.shape.last().copied().filter(|&size| size > 0)?;
        let (position, mut channel) = (self.index / own, self.index % own);
        for source in self.sources() {
            let size = source.shape.last().copied()?;
            if channel < size {
                return self.copied(&source, position * size + channel);
            }
            channel -= size;
        }
        None
    }
}
