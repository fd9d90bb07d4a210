//! Layers that join several inputs.

use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape};

fn too_few(class: &str, count: usize, rule: &str) -> Error {
    Error::shape(class, rule, format!("{count} inputs"), "call it with a list of symbols")
}

/// The common shape of elementwise operands.
fn broadcast(class: &str, inputs: &[Shape]) -> Result<Shape> {
    let (first, rest) = inputs.split_first().ok_or_else(|| too_few(class, 0, "at least one input"))?;
    rest.iter().try_fold(*first, |shape, next| shape.broadcast(next))
}

macro_rules! elementwise {
    ($($(#[$doc:meta])* $name:ident, $least:expr, $most:expr, |$inputs:ident| $merge:expr;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Shapes
            /// Several (n, …), equal or broadcasting → their common shape.
            ///
            /// Source: <https://keras.io/api/layers/merging_layers/>.
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl $name {
                pub(crate) fn from_config(_config: &Config<'_>) -> Result<Arc<dyn Layer>> {
                    Ok(Arc::new($name))
                }
            }

            impl Layer for $name {
                fn class_name(&self) -> &'static str {
                    stringify!($name)
                }

                fn config(&self) -> Map<String, Value> {
                    Map::new()
                }

                fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
                    self.build_many(&[*input], builder)
                }

                fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
                    self.forward_many(std::slice::from_ref(x), ctx)
                }

                fn build_many(&self, inputs: &[Shape], _builder: &mut Builder) -> Result<Shape> {
                    if !($least..=$most).contains(&inputs.len()) {
                        let rule = if $least == $most { "the layer takes two inputs" } else { "the layer takes at least two inputs" };
                        return Err(too_few(self.class_name(), inputs.len(), rule));
                    }
                    broadcast(self.class_name(), inputs)
                }

                fn forward_many(&self, $inputs: &[Var], _ctx: &Context<'_>) -> Result<Var> {
                    $merge
                }
            }
        )*
    };
}

fn fold(inputs: &[Var], f: impl Fn(&Var, &Var) -> Result<Var>) -> Result<Var> {
    let (first, rest) = inputs.split_first().ok_or_else(|| too_few("merge", 0, "at least one input"))?;
    rest.iter().try_fold(first.clone(), |sum, next| f(&sum, next))
}

elementwise! {
    /// The sum of the inputs: the joint of residual networks.
    Add, 2, usize::MAX, |inputs| fold(inputs, |a, b| a + b);
    /// The first input minus the second.
    Subtract, 2, 2, |inputs| fold(inputs, |a, b| a - b);
    /// The product of the inputs.
    Multiply, 2, usize::MAX, |inputs| fold(inputs, |a, b| a * b);
    /// The average of the inputs.
    Average, 2, usize::MAX, |inputs| fold(inputs, |a, b| a + b)?.affine(1.0 / inputs.len() as f32, 0.0);
    /// The largest of the inputs, elementwise.
    Maximum, 2, usize::MAX, |inputs| fold(inputs, Var::maximum);
    /// The smallest of the inputs, elementwise.
    Minimum, 2, usize::MAX, |inputs| fold(inputs, Var::minimum);
}

/// The inputs one after another along an axis, by default the last: the joint of Inception networks.
///
/// # Shapes
/// Several (n, …), equal but for one axis → the sum of their sizes along it.
///
/// # Parameters
/// axis −1; counted with the batch axis, as in Keras, or from the end.
///
/// Source: <https://keras.io/api/layers/merging_layers/concatenate/>.
#[derive(Debug, Clone, Copy)]
pub struct Concatenate {
    axis: i64,
}

impl Default for Concatenate {
    fn default() -> Self {
        Concatenate { axis: -1 }
    }
}

impl Concatenate {
    /// Along the given axis.
    pub fn new(axis: i64) -> Self {
        Concatenate { axis }
    }

    /// The axis with the batch axis counted, of tensors of `rank` axes.
    fn resolve(&self, rank: usize) -> Result<usize> {
        let axis = if self.axis < 0 { self.axis + rank as i64 } else { self.axis };
        if axis < 1 || axis >= rank as i64 {
            return Err(Error::argument(
                "Concatenate",
                "the axis must be one of the sample's",
                format!("axis {} of rank {rank}", self.axis),
                "axis 0 counts samples",
            ));
        }
        Ok(axis as usize)
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        let axis = config.get("axis").map_or(Some(-1), Value::as_i64).ok_or_else(|| {
            Error::model("Concatenate", "`axis` must be an integer", format!("{:?}", config.get("axis")), "")
        })?;
        Ok(Arc::new(Concatenate { axis }))
    }
}

impl Layer for Concatenate {
    fn class_name(&self) -> &'static str {
        "Concatenate"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("axis".into(), json!(self.axis))])
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        self.build_many(&[*input], builder)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        self.forward_many(std::slice::from_ref(x), ctx)
    }

    fn build_many(&self, inputs: &[Shape], _builder: &mut Builder) -> Result<Shape> {
        let first = inputs.first().ok_or_else(|| too_few("Concatenate", 0, "the layer takes at least one input"))?;
        let axis = self.resolve(first.rank() + 1)? - 1;
        let mut sizes = first.to_vec();
        for shape in &inputs[1..] {
            let fits = shape.rank() == first.rank() && (0..shape.rank()).all(|a| a == axis || shape[a] == first[a]);
            if !fits {
                return Err(Error::shape(
                    "Concatenate",
                    format!("all sizes but that of axis {} must be equal", axis + 1),
                    format!("{inputs:?}"),
                    "",
                ));
            }
            sizes[axis] += shape[axis];
        }
        Shape::new(&sizes)
    }

    fn forward_many(&self, inputs: &[Var], _ctx: &Context<'_>) -> Result<Var> {
        let rank = inputs.first().map_or(0, |x| x.shape().rank());
        Var::concat(&inputs.iter().collect::<Vec<_>>(), self.resolve(rank)?)
    }
}
