//! Sums, means and extrema along axes.

use crate::var::{Backward, Var};
use striate_tensor::{BinaryOp, ReduceOp, Result, Shape, Tensor};

struct ReduceRule {
    op: ReduceOp,
    input: Shape,
    /// The input's shape with the reduced axes of size 1.
    kept: Shape,
    /// Input and output of an extremum.
    extremum: Option<[Tensor; 2]>,
    axes: Vec<usize>,
}

impl Backward for ReduceRule {
    fn name(&self) -> &'static str {
        "reduce"
    }

    fn backward(&mut self, dy: &Tensor, _needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        let dy = dy.reshape(self.kept)?;
        let each = |factor: f64, dy: &Tensor| Tensor::full(self.input, factor, dy.dtype(), dy.device())?.mul(dy);
        let dx = match (&self.extremum, self.op) {
            (Some([x, y]), _) => {
                // Equal winners share the gradient, as in TensorFlow.
                let winners = x.binary(BinaryOp::Equal, &y.reshape(self.kept)?)?;
                let count = winners.reduce(ReduceOp::Sum, &self.axes, true)?;
                winners.mul(&dy.binary(BinaryOp::Div, &count)?)?
            }
            (None, ReduceOp::Mean) => each(self.kept.elements() as f64 / self.input.elements().max(1) as f64, &dy)?,
            (None, _) => each(1.0, &dy)?,
        };
        Ok(vec![Some(dx)])
    }
}

impl Var {
    /// Combines elements along `axes`; `keep` leaves them as axes of size 1.
    ///
    /// # Errors
    /// As [`Tensor::reduce`].
    pub fn reduce(&self, op: ReduceOp, axes: &[usize], keep: bool) -> Result<Var> {
        let value = self.value().reduce(op, axes, keep)?;
        let mut kept = self.shape().to_vec();
        axes.iter().for_each(|&axis| kept[axis] = 1);
        let kept = Shape::new(&kept)?;
        Ok(Var::from_op(value.clone(), &[self], || ReduceRule {
            op,
            input: *self.shape(),
            kept,
            extremum: matches!(op, ReduceOp::Max | ReduceOp::Min).then(|| [self.value().clone(), value]),
            axes: axes.to_vec(),
        }))
    }

    /// The sum of all elements.
    ///
    /// # Errors
    /// As [`Var::reduce`].
    pub fn sum(&self) -> Result<Var> {
        self.reduce(ReduceOp::Sum, &(0..self.shape().rank()).collect::<Vec<_>>(), false)
    }

    /// The mean of all elements.
    ///
    /// # Errors
    /// As [`Var::reduce`].
    pub fn mean(&self) -> Result<Var> {
        self.reduce(ReduceOp::Mean, &(0..self.shape().rank()).collect::<Vec<_>>(), false)
    }

    /// The mean over the spatial axes of (n, spatial…, c): (n, c), or (n, 1…, c) with `keep`.
    ///
    /// # Errors
    /// As [`Var::reduce`].
    pub fn mean_spatial(&self, keep: bool) -> Result<Var> {
        self.reduce(ReduceOp::Mean, &(1..self.shape().rank().saturating_sub(1)).collect::<Vec<_>>(), keep)
    }
}
