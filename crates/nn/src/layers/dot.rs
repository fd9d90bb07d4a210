//! Products of two inputs, sample by sample.

use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, ReduceOp, Result, Shape};

/// What keeps a vector of zeros from being divided by zero.
const LEAST_SQUARE: f32 = 1e-12;

/// The sum of products of two inputs along an axis of each: a matrix product for each sample, or the similarity of two vectors.
///
/// # Shapes
/// (n, a…, k) and (n, k, b…) → (n, a…, b…) for the axes that have k elements; two vectors give (n, 1).
///
/// # Parameters
/// one axis for both inputs or one for each, counted with the batch axis or from the end; normalize false: whether
/// both are first brought to length 1 along their axes, which gives the cosine.
///
/// # Errors
/// Other than two inputs; axes that a sample does not have or that differ in size.
///
/// Source: <https://keras.io/api/layers/merging_layers/dot/>.
#[derive(Debug, Clone, Copy)]
pub struct Dot {
    axes: [i64; 2],
    normalize: bool,
}

impl Dot {
    /// Along these axes of the first and the second input.
    pub fn new(first: i64, second: i64) -> Self {
        Dot { axes: [first, second], normalize: false }
    }

    /// Whether both inputs are brought to length 1 first. Default false.
    pub fn normalize(self, normalize: bool) -> Self {
        Dot { normalize, ..self }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        let axes = match config.get("axes") {
            Some(Value::Number(axis)) => axis.as_i64().map(|axis| [axis; 2]),
            Some(_) => config.integers("axes")?.try_into().ok(),
            None => None,
        };
        let rule = "`axes` must be an integer or two";
        let axes = axes.ok_or_else(|| Error::model(config.class(), rule, format!("{:?}", config.get("axes")), ""))?;
        Ok(Arc::new(Dot { axes, normalize: config.bool("normalize", Some(false))? }))
    }

    /// The axes counted with the batch axis, for inputs of these ranks.
    fn resolved(&self, ranks: [usize; 2]) -> Result<[usize; 2]> {
        let mut axes = [0; 2];
        for ((axis, given), rank) in axes.iter_mut().zip(self.axes).zip(ranks) {
            let wanted = if given < 0 { given + rank as i64 } else { given };
            if !(1..rank as i64).contains(&wanted) {
                let rule = "each axis must be one of the sample's";
                return Err(Error::shape("Dot", rule, format!("axis {given} of rank {rank}"), ""));
            }
            *axis = wanted as usize;
        }
        Ok(axes)
    }

    fn two<T>(inputs: &[T]) -> Result<[&T; 2]> {
        match inputs {
            [a, b] => Ok([a, b]),
            _ => Err(Error::shape("Dot", "the layer takes two inputs", format!("{} inputs", inputs.len()), "")),
        }
    }
}

impl Layer for Dot {
    fn class_name(&self) -> &'static str {
        "Dot"
    }

    fn config(&self) -> Map<String, Value> {
        let [first, second] = self.axes;
        let axes = if first == second { json!(first) } else { json!(self.axes) };
        Map::from_iter([("axes".into(), axes), ("normalize".into(), json!(self.normalize))])
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        self.build_many(&[*input], builder)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        self.forward_many(std::slice::from_ref(x), ctx)
    }

    fn build_many(&self, inputs: &[Shape], _builder: &mut Builder) -> Result<Shape> {
        let [a, b] = Self::two(inputs)?;
        let [i, j] = self.resolved([a.rank() + 1, b.rank() + 1])?;
        if a[i - 1] != b[j - 1] {
            let received = format!("{} of {a} and {} of {b}", a[i - 1], b[j - 1]);
            return Err(Error::shape("Dot", "the axes must have the same size", received, ""));
        }
        let mut sizes = a.to_vec();
        sizes.remove(i - 1);
        let mut more = b.to_vec();
        more.remove(j - 1);
        sizes.append(&mut more);
        Shape::new(if sizes.is_empty() { &[1] } else { &sizes })
    }

    fn forward_many(&self, inputs: &[Var], _ctx: &Context<'_>) -> Result<Var> {
        let [a, b] = Self::two(inputs)?;
        let [i, j] = self.resolved([a.shape().rank(), b.shape().rank()])?;
        let unit = |x: &Var, axis: usize| -> Result<Var> {
            if !self.normalize {
                return Ok(x.clone());
            }
            let square = x.square()?.reduce(ReduceOp::Sum, &[axis], true)?;
            x / &square.affine(1.0, LEAST_SQUARE)?.sqrt()?
        };
        // (n, a…, k) and (n, k, b…), each as one matrix a sample.
        let samples = a.shape()[0];
        let size = a.shape()[i];
        let rest = |x: &Var, axis: usize| (1..x.shape().rank()).filter(|&other| other != axis).collect::<Vec<_>>();
        let (rest_a, rest_b) = (rest(a, i), rest(b, j));
        let mut sizes = vec![samples];
        sizes.extend(rest_a.iter().map(|&axis| a.shape()[axis]));
        sizes.extend(rest_b.iter().map(|&axis| b.shape()[axis]));
        if sizes.len() == 1 {
            sizes.push(1);
        }
        let elements = |x: &Var, axes: &[usize]| axes.iter().map(|&axis| x.shape()[axis]).product::<usize>();
        let order: Vec<usize> = [0].into_iter().chain(rest_a.iter().copied()).chain([i]).collect();
        let left = unit(a, i)?.permute(&order)?.reshape([samples, elements(a, &rest_a), size])?;
        let order: Vec<usize> = [0, j].into_iter().chain(rest_b.iter().copied()).collect();
        let right = unit(b, j)?.permute(&order)?.reshape([samples, size, elements(b, &rest_b)])?;
        left.matmul(&right)?.reshape(Shape::new(&sizes)?)
    }

    fn is_per_sample(&self) -> bool {
        true
    }
}
