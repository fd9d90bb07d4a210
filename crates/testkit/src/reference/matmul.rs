//! The matrix product.

use super::host::room;
use striate_tensor::{AlignedVec, MatmulGeometry, Result};

/// `a` and `b` hold one matrix for all products, or one for each.
pub(super) fn matmul(a: &[f64], b: &[f64], g: &MatmulGeometry) -> Result<AlignedVec<f64>> {
    let (m, k, n) = (g.m, g.k, g.n);
    let mut c = room(g.batch * m * n)?;
    for batch in 0..g.batch {
        let a = if a.len() == m * k { a } else { &a[batch * m * k..(batch + 1) * m * k] };
        let b = if b.len() == k * n { b } else { &b[batch * k * n..(batch + 1) * k * n] };
        for i in 0..m {
            for j in 0..n {
                let mut sum = 0.0;
                for p in 0..k {
                    let a = if g.transpose_a { a[p * m + i] } else { a[i * k + p] };
                    let b = if g.transpose_b { b[j * k + p] } else { b[p * n + j] };
                    sum += a * b;
                }
                c[(batch * m + i) * n + j] = sum;
            }
        }
    }
    Ok(c)
}
