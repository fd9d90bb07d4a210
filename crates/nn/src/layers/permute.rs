//! Axes in another order.

use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape};

/// Puts the axes of each sample in another order.
///
/// # Shapes
/// (n, …) → the same sizes in another order: axis i of the output is axis `dims[i]` of the input, both counted from 1.
///
/// # Errors
/// An order that does not name each axis once.
///
/// Source: <https://keras.io/api/layers/reshaping_layers/permute/>.
#[derive(Debug, Clone)]
pub struct Permute {
    dims: Vec<usize>,
}

impl Permute {
    /// The input's axes in the output's order, counted from 1: the batch axis stays.
    pub fn new(dims: impl Into<Vec<usize>>) -> Self {
        Permute { dims: dims.into() }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        let dims = config.integers("dims")?;
        let positive: Option<Vec<usize>> = dims.iter().map(|&axis| usize::try_from(axis).ok()).collect();
        let dims = positive
            .ok_or_else(|| Error::model("Permute", "`dims` must be axes counted from 1", format!("{dims:?}"), ""))?;
        Ok(Arc::new(Permute { dims }))
    }
}

impl Layer for Permute {
    fn class_name(&self) -> &'static str {
        "Permute"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("dims".into(), json!(self.dims))])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        let mut sorted = self.dims.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(1..=input.rank()) {
            return Err(Error::shape(
                "Permute",
                format!("dims must name each of the axes 1 to {} once", input.rank()),
                format!("{:?} for {}", self.dims, crate::graph::batch_shape(input)),
                "the batch axis is 0 and stays",
            ));
        }
        let sizes: Vec<usize> = self.dims.iter().map(|&axis| input[axis - 1]).collect();
        Shape::new(&sizes)
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        let mut order = vec![0];
        order.extend(&self.dims);
        x.permute(&order)
    }
}
