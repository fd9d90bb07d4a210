//! Convolutions that keep less than their inputs for the backward pass.

use striate_autograd::Var;
use striate_cpu::{CpuBackend, CpuOptions};
use striate_tensor::{Activation, ConvSpec, Device, Padding, Tensor, UnaryOp};

/// A convolution that is computed again in the backward pass, and one that writes its gradient over a ReLU's output, give the bits
/// of those that keep everything.
#[test]
fn what_is_not_kept_makes_no_difference() {
    let device = Device::new(CpuBackend::new(CpuOptions { threads: Some(2), ..CpuOptions::default() }).unwrap());
    let wave = |shape: [usize; 4], step: f32| {
        let all = (0..shape.iter().product()).map(|i| (i as f32 * step).sin()).collect::<Vec<f32>>();
        Tensor::from_vec(all, shape, &device).unwrap()
    };
    let spec = ConvSpec { padding: Padding::Same, ..ConvSpec::default() };
    // 17 MB, from three channels; and too small to be worth it.
    for (height, filters) in [(260, 16), (20, 8)] {
        let image = wave([2, height, height / 2, 3], 0.01).affine(0.5, 0.0).unwrap();
        let gradients = |keeps: bool| {
            let image = Var::constant(image.clone());
            let leaves = [wave([3, 3, 3, 4 * filters], 0.7), wave([3, 3, 4 * filters, 4], 0.3)].map(Var::leaf);
            let mut between = image.conv(&leaves[0], None, &spec, Activation::Relu).unwrap();
            let kept = keeps.then(|| between.clone());
            if keeps {
                // No ReLU's output in the eyes of the next convolution.
                between = between.unary(UnaryOp::Affine { scale: 1.0, offset: 0.0 }).unwrap();
            }
            let y = between.conv(&leaves[1], None, &spec, Activation::Tanh).unwrap();
            drop(between);
            let gradients = y.square().unwrap().mean().unwrap().backward().unwrap();
            drop(kept);
            leaves.each_ref().map(|leaf| gradients.of(leaf).unwrap().to_vec::<f32>().unwrap())
        };
        let (kept, not_kept) = (gradients(true), gradients(false));
        assert!(kept.iter().flatten().any(|&v| v != 0.0));
        assert!(kept == not_kept, "{height}");
    }
}

/// Whoever looks at a ReLU's output keeps it as it is.
#[test]
fn an_output_that_someone_holds_is_not_written_over() {
    let device = Device::new(CpuBackend::new(CpuOptions { threads: Some(1), ..CpuOptions::default() }).unwrap());
    let numbers = |len: usize| (0..len).map(|i| (i as f32).sin()).collect::<Vec<f32>>();
    let x = Var::leaf(Tensor::from_vec(numbers(2 * 36 * 4), [2, 6, 6, 4], &device).unwrap());
    let kernel = Var::leaf(Tensor::from_vec(numbers(9 * 16), [3, 3, 4, 4], &device).unwrap());
    let spec = ConvSpec::default();
    let relu = x.conv(&kernel, None, &spec, Activation::Relu).unwrap();
    let (held, before) = (relu.value().clone(), relu.value().to_vec::<f32>().unwrap());
    let y = relu.conv(&kernel, None, &spec, Activation::Linear).unwrap();
    drop(relu);
    let gradients = y.square().unwrap().mean().unwrap().backward().unwrap();
    assert!(gradients.of(&x).is_some());
    assert_eq!(held.to_vec::<f32>().unwrap(), before);
}
