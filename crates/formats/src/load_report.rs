//! What became of each tensor when weights were loaded.

use std::fmt;
use striate_tensor::Shape;

/// A weight that got a tensor of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// The weight's path in the model.
    pub weight: String,
    /// The tensor's full name in the file.
    pub tensor: String,
    /// How its elements were put in another order; empty if they were not.
    pub changed: String,
}

/// A weight whose tensor has another shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatched {
    /// The weight's path in the model.
    pub weight: String,
    /// The tensor's full name in the file.
    pub tensor: String,
    /// The weight's shape.
    pub wanted: Shape,
    /// The tensor's.
    pub found: Vec<usize>,
}

/// What became of each tensor, in the order of the model's weights and of the file's tensors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Weights that were set.
    pub matched: Vec<Matched>,
    /// Weights of the model that the file has nothing for; they stay as they are.
    pub missing: Vec<String>,
    /// Tensors of the file that the model has no use for.
    pub unexpected: Vec<String>,
    /// Weights that stay as they are because their tensor has another shape.
    pub mismatched: Vec<Mismatched>,
}

impl LoadReport {
    /// Whether every weight was set and every tensor used.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.mismatched.is_empty()
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for m in &self.matched {
            write!(f, "matched     {} ← {}", m.weight, m.tensor)?;
            if m.changed.is_empty() { writeln!(f)? } else { writeln!(f, " ({})", m.changed)? }
        }
        for m in &self.mismatched {
            writeln!(f, "mismatched  {} {} ← {} {:?}", m.weight, m.wanted, m.tensor, m.found)?;
        }
        for weight in &self.missing {
            writeln!(f, "missing     {weight}")?;
        }
        for tensor in &self.unexpected {
            writeln!(f, "unexpected  {tensor}")?;
        }
        write!(
            f,
            "{} matched, {} of another shape, {} missing, {} unexpected",
            self.matched.len(),
            self.mismatched.len(),
            self.missing.len(),
            self.unexpected.len()
        )
    }
}
