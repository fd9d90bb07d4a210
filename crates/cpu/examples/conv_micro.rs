//! Times convolution's three passes on the layers of the lecture's networks, and prints GFLOP/s and the share of the
//! measured peak.
//!
//! `cargo run --release -p striate-cpu --example conv_micro -- [threads] [part of a layer's name]`

use std::time::{Duration, Instant};
use striate_cpu::{CpuBackend, CpuOptions, measure_peak};
use striate_tensor::{Activation, ConvSpec, Device, Key, Padding, Result, Shape, Tensor};

/// Name, (n, size, channels), filters, whether the padding is same.
const LAYERS: [(&str, [usize; 3], usize, bool); 10] = [
    ("mnist c1 28² 1→32", [64, 28, 1], 32, false),
    ("mnist c2 13² 32→64", [64, 13, 32], 64, false),
    ("mnist c3 5² 64→64", [64, 5, 64], 64, false),
    ("cats c1 150² 3→32", [20, 150, 3], 32, false),
    ("cats c2 74² 32→64", [20, 74, 32], 64, false),
    ("cats c3 36² 64→128", [20, 36, 64], 128, false),
    ("cats c4 17² 128→128", [20, 17, 128], 128, false),
    ("vgg 150² 64→64", [4, 150, 64], 64, true),
    ("vgg 37² 256→256", [4, 37, 256], 256, true),
    ("vgg 9² 512→512", [20, 9, 512], 512, true),
];

fn random(seed: u64, shape: &Shape, device: &Device) -> Result<Tensor> {
    let mut stream = Key::new(seed).stream();
    Tensor::from_vec((0..shape.elements()).map(|_| stream.uniform() as f32 - 0.5).collect(), *shape, device)
}

/// The best of many runs within a third of a second.
fn best(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    run()?;
    let (start, mut best) = (Instant::now(), f64::MAX);
    while start.elapsed() < Duration::from_millis(300) {
        let once = Instant::now();
        run()?;
        best = best.min(once.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let threads = arguments.next().and_then(|n| n.parse().ok());
    let filter = arguments.next().unwrap_or_default();
    let options = CpuOptions { threads, ..CpuOptions::default() };
    let peak = measure_peak(options)?;
    let device = Device::new(CpuBackend::new(options)?);
    let info = device.info();
    println!("{} threads, {}: {:.0} GFLOP/s, {:.1} GB/s", peak.threads, info.isa, peak.gflops, peak.triad_gb_s);
    println!("{:22} {:>16} {:>16} {:>16}", "GFLOP/s (of peak)", "forward", "input gradient", "kernel gradient");
    for (name, [n, size, channels], filters, same) in LAYERS {
        if !name.contains(&filter) {
            continue;
        }
        let padding = if same { Padding::Same } else { Padding::Valid };
        let spec = ConvSpec { padding, ..ConvSpec::default() };
        let (x, k) = (Shape::from([n, size, size, channels]), Shape::from([3, 3, channels, filters]));
        let y = spec.output_shape(&x, &k)?;
        let flops = 2.0 * spec.geometry(&x, &k)?.multiply_adds() as f64;
        let (xt, mut kt, dy) = (random(1, &x, &device)?, random(2, &k, &device)?, random(3, &y, &device)?);
        let bias = random(4, &Shape::from([filters]), &device)?;
        // As in training, the kernel was written since the last call.
        let forward = best(|| {
            kt.make_mut::<f32>()?;
            xt.conv(&kt, Some(&bias), &spec, Activation::Relu).map(drop)
        })?;
        let input = best(|| {
            kt.make_mut::<f32>()?;
            dy.conv_backward_input(&kt, &x, &spec).map(drop)
        })?;
        let kernel = best(|| dy.conv_backward_kernel(&xt, &k, &spec, true).map(drop))?;
        print!("{name:22}");
        for time in [forward, input, kernel] {
            let rate = flops / time / 1e9;
            print!(" {rate:8.1} ({:3.0} %)", 100.0 * rate / peak.gflops);
        }
        println!("   {:.0} / {:.0} / {:.0} µs", forward * 1e6, input * 1e6, kernel * 1e6);
    }
    Ok(())
}
