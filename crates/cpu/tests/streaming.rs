//! Results too large for the caches are written past them: they have the bits of those that are not.

use striate_cpu::{CpuBackend, CpuOptions, Isa};
use striate_tensor::{Activation, ConvAlgorithm, ConvSpec, Device, Key, Padding, Shape, Tensor};

const SAMPLES: usize = 5;
const SIDE: usize = 150;

fn tensor(values: &[f32], shape: &[usize], device: &Device) -> Tensor {
    Tensor::from_vec(values.to_vec(), Shape::new(shape).unwrap(), device).unwrap()
}

fn random(elements: usize, seed: u64) -> Vec<f32> {
    let mut stream = Key::new(seed).stream();
    (0..elements).map(|_| stream.uniform_in(-1.0, 1.0) as f32).collect()
}

/// The whole batch, whose results are written past the caches, against its samples one by one, whose results are not.
fn hold(device: &Device, window: usize, channels: usize, filters: usize, algorithm: ConvAlgorithm) {
    let spec = ConvSpec { padding: Padding::Same, algorithm, ..ConvSpec::default() };
    let (sample, result) = (SIDE * SIDE * channels, SIDE * SIDE * filters);
    assert!(4 * SAMPLES * result >= 16 << 20 && 4 * result < 16 << 20);
    let x = random(SAMPLES * sample, 1);
    let kernel = tensor(&random(window * window * channels * filters, 2), &[window, window, channels, filters], device);
    let bias = tensor(&random(filters, 3), &[filters], device);
    for activation in [Activation::Relu, Activation::Linear, Activation::Tanh] {
        let compute = |x: &[f32]| {
            let x = tensor(x, &[x.len() / sample, SIDE, SIDE, channels], device);
            x.conv(&kernel, Some(&bias), &spec, activation).unwrap().to_vec::<f32>().unwrap()
        };
        let all = compute(&x);
        for (i, (x, all)) in x.chunks(sample).zip(all.chunks(result)).enumerate() {
            let one = compute(x);
            let same = one.iter().zip(all).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{algorithm:?} {window}x{window} {channels} to {filters}, {activation:?}, sample {i}");
        }
    }
}

#[test]
fn large_results_have_the_bits_of_small_ones() {
    for isa in Isa::available() {
        let options = CpuOptions { threads: Some(2), isa: Some(isa), ..CpuOptions::default() };
        let device = Device::new(CpuBackend::new(options).unwrap());
        // Panels of two vectors, of one, and of a part of one; the rows of the last are not aligned.
        for filters in [64, 48, 40] {
            hold(&device, 3, 3, filters, ConvAlgorithm::Direct);
            hold(&device, 1, 20, filters, ConvAlgorithm::Direct);
            hold(&device, 3, 16, filters, ConvAlgorithm::Winograd);
        }
    }
}
