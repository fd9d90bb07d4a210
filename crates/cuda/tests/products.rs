//! Matrix products by cuBLAS, where it is there, beside those of the kernels, and the precisions.

mod common;

use std::sync::Arc;
use striate_cuda::{CudaBackend, CudaOptions, libraries};
use striate_tensor::{Activation, ConvSpec, Device, Key, Precision, Shape, Tensor};

fn open(options: CudaOptions) -> Arc<CudaBackend> {
    Arc::new(CudaBackend::new(options).expect("the device opens once more"))
}

fn cublas_is_there() -> bool {
    libraries().iter().any(|library| library.name == "cublas" && library.found && library.missing.is_empty())
}

/// Numbers from −1 to 1.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let key = Key::new(seed);
    (0..count as u64).map(|i| key.word(i) as f32 / 2f32.powi(31) - 1.0).collect()
}

fn tensor(shape: &[usize], seed: u64, device: &Device) -> Tensor {
    Tensor::from_vec(numbers(shape.iter().product(), seed), Shape::new(shape).unwrap(), device).unwrap()
}

fn assert_close(a: &Tensor, b: &Tensor, within: f32, what: &str) {
    let (a, b) = (a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap());
    assert_eq!(a.len(), b.len(), "{what}");
    for (i, (a, b)) in a.iter().zip(&b).enumerate() {
        assert!((a - b).abs() <= within * (1.0 + b.abs()), "{what}, element {i}: {a} {b}");
    }
}

#[test]
fn products_go_to_cublas_where_it_is_there_unless_it_is_not_wanted() {
    if common::device().is_none() {
        return;
    }
    let (with, without) =
        (open(CudaOptions::default()), open(CudaOptions { libraries: false, ..CudaOptions::default() }));
    assert_eq!((with.uses_cublas(), without.uses_cublas()), (cublas_is_there(), false));
    for (backend, kernels) in [(with, u64::from(!cublas_is_there())), (without, 1)] {
        let device = Device::from(backend.clone());
        let (a, b) = (tensor(&[3, 5], 1, &device), tensor(&[5, 4], 2, &device));
        let before = backend.launches();
        a.matmul(&b).unwrap();
        assert_eq!(backend.launches() - before, kernels);
    }
}

#[test]
fn products_of_cublas_and_of_the_kernels_are_the_same_within_rounding() {
    if common::device().is_none() {
        return;
    }
    let devices =
        [true, false].map(|libraries| Device::from(open(CudaOptions { libraries, ..CudaOptions::default() })));
    let shapes = [(1, 1, 1), (1, 7, 3), (5, 1, 2), (3, 5, 1), (17, 33, 9), (65, 64, 66), (2, 600, 70)];
    for (m, k, n) in shapes {
        for (turned_a, turned_b) in [(false, false), (true, false), (false, true), (true, true)] {
            for (batch_a, batch_b) in [(None, None), (Some(3), Some(3)), (Some(3), None), (None, Some(2))] {
                let [one, other] = [0, 1].map(|i| {
                    let shape = |batch: Option<usize>, turned: bool, rows: usize, columns: usize| {
                        let plane = if turned { [columns, rows] } else { [rows, columns] };
                        batch.into_iter().chain(plane).collect::<Vec<_>>()
                    };
                    let a = tensor(&shape(batch_a, turned_a, m, k), 3, &devices[i]);
                    let b = tensor(&shape(batch_b, turned_b, k, n), 4, &devices[i]);
                    let bias = tensor(&[n], 5, &devices[i]);
                    [
                        a.matmul_with(turned_a, &b, turned_b, None, Activation::Linear).unwrap(),
                        a.matmul_with(turned_a, &b, turned_b, Some(&bias), Activation::Tanh).unwrap(),
                    ]
                });
                let what = format!("{m}x{k}x{n}, transposed {turned_a} {turned_b}, batches {batch_a:?} {batch_b:?}");
                one.iter().zip(&other).for_each(|(one, other)| assert_close(one, other, 1e-5, &what));
            }
        }
    }
}

/// A 1×1 convolution is a product of matrices as they lie in memory, forward and backward.
#[test]
fn pointwise_convolutions_are_the_same_by_cublas_and_by_the_kernels() {
    if common::device().is_none() {
        return;
    }
    let spec = ConvSpec::default();
    let [one, other] = [true, false].map(|libraries| {
        let backend = open(CudaOptions { libraries, ..CudaOptions::default() });
        let device = Device::from(backend.clone());
        let (x, kernel) = (tensor(&[2, 5, 3, 13], 6, &device), tensor(&[1, 1, 13, 9], 7, &device));
        let (bias, dy) = (tensor(&[9], 8, &device), tensor(&[2, 5, 3, 9], 9, &device));
        let before = backend.launches();
        let y = x.conv(&kernel, Some(&bias), &spec, Activation::Relu).unwrap();
        let dx = dy.conv_backward_input(&kernel, x.shape(), &spec).unwrap();
        let (dk, db) = dy.conv_backward_kernel(&x, kernel.shape(), &spec, true).unwrap();
        let launches = backend.launches() - before;
        (vec![y, dx, dk, db.unwrap()], launches)
    });
    one.0.iter().zip(&other.0).for_each(|(one, other)| assert_close(one, other, 1e-5, "1×1"));
    assert!(one.1 < other.1 || !cublas_is_there(), "kernels started: {} and {}", one.1, other.1);
}

/// 1 + 2⁻¹² has no place in TF32: float32 keeps it, TF32 makes it 1.
#[test]
fn tf32_rounds_factors_and_float32_does_not() {
    if common::device().is_none() {
        return;
    }
    let fine = 1.0 + 2f32.powi(-12);
    let product = |options: CudaOptions| {
        let device = Device::from(open(options));
        let row = Tensor::from_vec(vec![fine, 0.5], [1, 2], &device).unwrap();
        let column = Tensor::from_vec(vec![1.0f32, 2.0], [2, 1], &device).unwrap();
        row.matmul(&column).unwrap().to_vec::<f32>().unwrap()[0]
    };
    assert_eq!(product(CudaOptions::default()), fine + 1.0);
    assert_eq!(product(CudaOptions { libraries: false, ..CudaOptions::default() }), fine + 1.0);
    let tf32 = CudaOptions { precision: Precision::Tf32, ..CudaOptions::default() };
    match CudaBackend::new(tf32) {
        Ok(_) => assert_eq!(product(tf32), 2.0),
        Err(refused) => {
            let refused = refused.to_string();
            assert!(refused.contains("TF32 needs cuBLAS") && !refused.contains('\n'), "{refused}");
            assert!(!cublas_is_there() || refused.contains("received 7.5"), "{refused}");
        }
    }
    let refused = CudaBackend::new(CudaOptions { libraries: false, ..tf32 }).unwrap_err().to_string();
    assert!(refused.contains("received no libraries") && refused.contains("hint"), "{refused}");
}
