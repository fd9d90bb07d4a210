//! The table of a model's layers, as Keras prints it.

use crate::graph::{GraphKind, batch_shape};
use crate::model::Model;
use std::fmt;

/// One layer in a [`Summary`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryRow {
    /// The layer's name.
    pub name: String,
    /// Its Keras class.
    pub class: String,
    /// The output's shape with an open batch axis, `(None, 26, 26, 32)`.
    pub output_shape: String,
    /// Neurons: elements of one sample's output.
    pub neurons: usize,
    /// Parameters.
    pub parameters: usize,
    /// The layers its input comes from.
    pub inputs: Vec<String>,
}

/// The table of a model's layers, output shapes and parameters. Prints like Keras's `model.summary()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The model's name.
    pub model: String,
    /// The layers in order.
    pub rows: Vec<SummaryRow>,
    /// All parameters.
    pub total: usize,
    /// Parameters that training changes.
    pub trainable: usize,
    /// Bytes of all parameters, then of the trainable ones.
    pub bytes: [usize; 2],
    is_chain: bool,
}

impl Summary {
    pub(crate) fn of(model: &Model) -> Summary {
        let graph = model.graph();
        let size = |range: std::ops::Range<usize>| graph.weights[range].iter().map(|w| w.shape.elements()).sum();
        let mut seen = vec![false; graph.members.len()];
        let mut rows = Vec::new();
        for step in &graph.steps {
            let member = &graph.members[step.member];
            // As Keras: the input of a sequential model has no row, and a shared layer has one.
            let is_hidden_input = graph.kind == GraphKind::Sequential && step.inputs.is_empty();
            if is_hidden_input || std::mem::replace(&mut seen[step.member], true) {
                continue;
            }
            rows.push(SummaryRow {
                name: member.name.clone(),
                class: member.layer.class_name().to_string(),
                output_shape: batch_shape(&step.shape),
                neurons: step.shape.elements(),
                parameters: size(member.weights.clone()),
                inputs: step.inputs.iter().map(|&i| graph.members[graph.steps[i].member].name.clone()).collect(),
            });
        }
        let (mut total, mut trainable, mut bytes) = (0, 0, [0; 2]);
        for (i, (_, value)) in model.weights().enumerate() {
            let (count, size) = (value.elements(), value.elements() * value.dtype().size());
            total += count;
            bytes[0] += size;
            if model.is_trainable(i) {
                trainable += count;
                bytes[1] += size;
            }
        }
        let is_chain = graph.kind == GraphKind::Sequential
            || graph.steps.iter().enumerate().all(|(i, step)| i == 0 || step.inputs == [i - 1]);
        Summary { model: graph.name.clone(), rows, total, trainable, bytes, is_chain }
    }
}

/// A number with a comma between groups of three digits, as Keras's summary prints it.
///
/// ```
/// assert_eq!(striate_nn::thousands(93_322), "93,322");
/// ```
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn memory(bytes: usize) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2} {}", UNITS[unit])
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut header = vec!["Layer (type)", "Output Shape", "Param #"];
        if !self.is_chain {
            header.push("Connected to");
        }
        let cells: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| {
                let inputs = if row.inputs.is_empty() { "-".to_string() } else { row.inputs.join(", ") };
                let mut cells = vec![
                    format!("{} ({})", row.name, row.class),
                    row.output_shape.clone(),
                    thousands(row.parameters as u64),
                    inputs,
                ];
                cells.truncate(header.len());
                cells
            })
            .collect();
        let least = [31, 22, 13, 17];
        let widths: Vec<usize> = (0..header.len())
            .map(|c| cells.iter().map(|row| row[c].chars().count()).max().unwrap_or(0).max(least[c]))
            .collect();
        let rule = |left: char, fill: char, middle: char, right: char| {
            let bars: Vec<String> = widths.iter().map(|&w| fill.to_string().repeat(w + 2)).collect();
            format!("{left}{}{right}", bars.join(&middle.to_string()))
        };
        let line = |bar: char, texts: &[String]| {
            let mut text = String::new();
            for (c, cell) in texts.iter().enumerate() {
                let width = widths[c];
                let cell = if c == 2 { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
                text.push_str(&format!("{bar} {cell} "));
            }
            text.push(bar);
            text
        };
        writeln!(f, "Model: \"{}\"", self.model)?;
        writeln!(f, "{}", rule('┏', '━', '┳', '┓'))?;
        writeln!(f, "{}", line('┃', &header.iter().map(|h| h.to_string()).collect::<Vec<_>>()))?;
        writeln!(f, "{}", rule('┡', '━', '╇', '┩'))?;
        for (i, row) in cells.iter().enumerate() {
            if i > 0 {
                writeln!(f, "{}", rule('├', '─', '┼', '┤'))?;
            }
            writeln!(f, "{}", line('│', row))?;
        }
        writeln!(f, "{}", rule('└', '─', '┴', '┘'))?;
        writeln!(f, " Total params: {} ({})", thousands(self.total as u64), memory(self.bytes[0]))?;
        writeln!(f, " Trainable params: {} ({})", thousands(self.trainable as u64), memory(self.bytes[1]))?;
        write!(
            f,
            " Non-trainable params: {} ({})",
            thousands((self.total - self.trainable) as u64),
            memory(self.bytes[0] - self.bytes[1])
        )
    }
}
