//! Rows of a table, by their numbers.

use crate::var::{Backward, Var};
use striate_tensor::{DType, Element, Error, Result, Shape, Tensor};

struct TakeRowsRule {
    table: Shape,
    rows: Vec<usize>,
}

/// The rows of `values` one after another.
fn gathered<T: Element>(values: &[T], width: usize, rows: &[usize]) -> Vec<T> {
    rows.iter().flat_map(|&row| values[row * width..(row + 1) * width].iter().copied()).collect()
}

/// Each row of `dy` added to the row of the table that it came from.
fn scattered<T: Element + std::ops::AddAssign>(dy: &[T], table: &Shape, rows: &[usize], zero: T) -> Vec<T> {
    let width = table[1];
    let mut sums = vec![zero; table.elements()];
    for (&row, dy) in rows.iter().zip(dy.chunks_exact(width.max(1))) {
        sums[row * width..(row + 1) * width].iter_mut().zip(dy).for_each(|(sum, &dy)| *sum += dy);
    }
    sums
}

impl Backward for TakeRowsRule {
    fn name(&self) -> &'static str {
        "take_rows"
    }

    fn backward(&mut self, dy: &Tensor, _needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        let (table, rows, device) = (&self.table, &self.rows, dy.device());
        let sums = match dy.dtype() {
            DType::F64 => Tensor::from_vec(scattered(&dy.to_vec::<f64>()?, table, rows, 0.0), *table, device)?,
            _ => {
                let dy = dy.cast(DType::F32)?.to_vec::<f32>()?;
                Tensor::from_vec(scattered(&dy, table, rows, 0.0), *table, device)?
            }
        };
        Ok(vec![Some(sums.cast(dy.dtype())?)])
    }
}

impl Var {
    /// The rows of this table (rows, width) that `rows` names, whole numbers of any element type: shape (…, width).
    ///
    /// # Errors
    /// [`Error::Shape`] unless this is a table; [`Error::Argument`] for a number that is no row of it.
    pub fn take_rows(&self, rows: &Tensor) -> Result<Var> {
        let &[count, width] = self.shape().as_slice() else {
            let received = self.shape().to_string();
            return Err(Error::shape("take_rows", "the table must be (rows, width)", received, ""));
        };
        let numbers = rows.cast(DType::F64)?.to_vec::<f64>()?;
        let row = |&number: &f64| {
            // Keras cuts what stands after the point.
            let row = number.trunc();
            if row >= 0.0 && row < count as f64 {
                return Ok(row as usize);
            }
            let rule = format!("a row's number must be in 0..{count}");
            Err(Error::argument("take_rows", rule, number.to_string(), ""))
        };
        let indices = numbers.iter().map(row).collect::<Result<Vec<usize>>>()?;
        let mut sizes = rows.shape().to_vec();
        sizes.push(width);
        let shape = Shape::new(&sizes)?;
        let value = match self.value().dtype() {
            DType::F64 => {
                Tensor::from_vec(gathered(&self.value().to_vec::<f64>()?, width, &indices), shape, self.device())?
            }
            dtype => {
                let table = self.value().cast(DType::F32)?.to_vec::<f32>()?;
                Tensor::from_vec(gathered(&table, width, &indices), shape, self.device())?.cast(dtype)?
            }
        };
        Ok(Var::from_op(value, &[self], || TakeRowsRule { table: *self.shape(), rows: indices }))
    }
}
