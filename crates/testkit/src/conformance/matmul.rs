//! The matrix product.

use super::property::{Draw, LEVEL, Lab, activation, agree, draw, holds, holds_for, once};
use super::tolerance;
use proptest::prelude::*;
use striate_tensor::{Activation, Device, Result, Shape};

/// A case of [`matmul`]: (m, k) · (k, n).
#[derive(Debug, Clone)]
struct Product {
    sizes: [usize; 3],
    batch: usize,
    /// Which operands have a leading axis of `batch`.
    batched: (bool, bool),
    transposed: (bool, bool),
    bias: bool,
    activation: Activation,
}

impl Product {
    fn plain(sizes: [usize; 3], transposed: (bool, bool)) -> Self {
        Product { sizes, batch: 1, batched: (false, false), transposed, bias: true, activation: Activation::Relu }
    }
}

fn product() -> impl Strategy<Value = Product> {
    let side = || prop_oneof![4 => 1usize..20, 3 => 20usize..71, 1 => Just(1usize), 1 => Just(0usize)];
    let long = || prop_oneof![9 => 1usize..71, 2 => 71usize..700, 1 => Just(0usize)];
    let pair = || (any::<bool>(), any::<bool>());
    (side(), long(), side(), 0usize..4, pair(), pair(), any::<bool>(), activation()).prop_map(
        |(m, k, n, batch, batched, transposed, bias, activation)| Product {
            sizes: [m, k, n],
            batch,
            batched,
            transposed,
            bias,
            activation,
        },
    )
}

/// Products of matrices and of batches of them, transposed or not, with bias and every activation.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn matmul(device: &Device, cases: u32) -> Result<(), String> {
    let lab = Lab::new(device);
    let property = |(draw, case): (Draw, Product)| {
        let [m, k, n] = case.sizes;
        let shape = |rows: usize, columns: usize, transposed: bool, batched: bool| {
            let (rows, columns) = if transposed { (columns, rows) } else { (rows, columns) };
            if batched { Shape::from([case.batch, rows, columns]) } else { Shape::from([rows, columns]) }
        };
        let (ta, tb) = case.transposed;
        let a = lab.operand(&draw, 0, shape(m, k, ta, case.batched.0))?;
        let b = lab.operand(&draw, 1, shape(k, n, tb, case.batched.1))?;
        let bias = if case.bias { Some(lab.operand(&draw, 2, n)?) } else { None };
        let got = once(draw.dtype, || {
            a.tested.matmul_with(ta, &b.tested, tb, bias.as_ref().map(|bias| &bias.tested), case.activation)
        })?;
        let exact =
            |activation| a.exact.matmul_with(ta, &b.exact, tb, bias.as_ref().map(|bias| &bias.exact), activation);
        let sums = exact(Activation::Linear)?.to_f64_vec()?;
        let bias_magnitude = bias.as_ref().map(|bias| bias.magnitude()).transpose()?;
        let magnitude = a
            .magnitude()?
            .matmul_with(ta, &b.magnitude()?, tb, bias_magnitude.as_ref(), Activation::Linear)?
            .to_f64_vec()?;
        agree("c", &got, &exact(case.activation)?, draw.dtype, |i| {
            tolerance::activated(case.activation, draw.dtype, sums[i], magnitude[i])
        })
    };
    holds("matmul", cases, (draw(), product()), property)?;
    // A dense layer and its two gradients, a convolution's product, and one output.
    let large = [
        ([20, 1500, 130], (false, false)),
        ([20, 130, 1500], (false, true)),
        ([1500, 20, 130], (true, false)),
        ([300, 288, 64], (false, false)),
        ([1, 40_000, 1], (false, false)),
    ];
    holds_for("matmul", large.map(|(sizes, transposed)| (LEVEL, Product::plain(sizes, transposed))), property)
}
