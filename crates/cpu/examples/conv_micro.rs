//! Times convolution's three passes on the layers of the lecture's networks, and prints GFLOP/s and the share of the
//! measured peak.
//!
//! `cargo run --release -p striate-cpu --example conv_micro -- [threads] [part of a layer's name] [kept]`

use cpu_time::ThreadTime;
use std::time::{Duration, Instant};
use striate_cpu::{CpuBackend, CpuOptions, measure_peak};
use striate_tensor::{Activation, ConvSpec, Device, Key, Padding, Result, Shape, Tensor};

/// A convolution to time.
struct Layer {
    name: &'static str,
    /// (n, spatial…, channels).
    x: Vec<usize>,
    /// The kernel's size along each spatial axis.
    kernel: usize,
    filters: usize,
    stride: usize,
    dilation: usize,
    groups: usize,
    padding: Padding,
}

fn layer(name: &'static str, x: &[usize], kernel: usize, filters: usize, padding: Padding) -> Layer {
    Layer { name, x: x.to_vec(), kernel, filters, stride: 1, dilation: 1, groups: 1, padding }
}

fn layers() -> Vec<Layer> {
    use Padding::{Same, Valid};
    vec![
        layer("mnist c1 28² 1→32", &[64, 28, 28, 1], 3, 32, Valid),
        layer("mnist c2 13² 32→64", &[64, 13, 13, 32], 3, 64, Valid),
        layer("mnist c3 5² 64→64", &[64, 5, 5, 64], 3, 64, Valid),
        layer("cats c1 150² 3→32", &[20, 150, 150, 3], 3, 32, Valid),
        layer("cats c2 74² 32→64", &[20, 74, 74, 32], 3, 64, Valid),
        layer("cats c3 36² 64→128", &[20, 36, 36, 64], 3, 128, Valid),
        layer("cats c4 17² 128→128", &[20, 17, 17, 128], 3, 128, Valid),
        layer("vgg 150² 64→64", &[4, 150, 150, 64], 3, 64, Same),
        layer("vgg 37² 256→256", &[4, 37, 37, 256], 3, 256, Same),
        layer("vgg 9² 512→512", &[20, 9, 9, 512], 3, 512, Same),
        Layer { groups: 32, ..layer("other depthwise 112² 32", &[8, 112, 112, 32], 3, 32, Same) },
        Layer { stride: 2, ..layer("other stride 2, 56² 64→128", &[8, 56, 56, 64], 3, 128, Same) },
        Layer { dilation: 2, ..layer("other dilated 2, 28² 128", &[8, 28, 28, 128], 3, 128, Same) },
        layer("other 5×5 28² 64→64", &[8, 28, 28, 64], 5, 64, Same),
        Layer { stride: 2, ..layer("other 7×7/2 224² 3→64", &[2, 224, 224, 3], 7, 64, Same) },
        layer("other 1×1 56² 256→64", &[8, 56, 56, 256], 1, 64, Same),
        layer("other 1D k5 512 64→128", &[16, 512, 64], 5, 128, Same),
        layer("other 3D 3³ 16³ 32→64", &[4, 16, 16, 16, 32], 3, 64, Same),
    ]
}

fn random(seed: u64, shape: &Shape, device: &Device) -> Result<Tensor> {
    let mut stream = Key::new(seed).stream();
    Tensor::from_vec((0..shape.elements()).map(|_| stream.uniform() as f32 - 0.5).collect(), *shape, device)
}

/// The best of many runs within a third of a second: of the thread's own time if it works alone, which does not depend on who
/// else waits for the processor.
fn best(threads: usize, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    run()?;
    let (start, mut best) = (Instant::now(), f64::MAX);
    while start.elapsed() < Duration::from_millis(300) {
        let (once, own) = (Instant::now(), ThreadTime::try_now().ok().filter(|_| threads == 1));
        run()?;
        best = best.min(own.map_or_else(|| once.elapsed(), |own| own.elapsed()).as_secs_f64());
    }
    Ok(best)
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let threads = arguments.next().and_then(|n| n.parse().ok());
    let filter = arguments.next().unwrap_or_default();
    // As in training, the kernel was written since the last call; as in inference, it was not.
    let kept = arguments.next().is_some_and(|word| word == "kept");
    let rewrite = |kernel: &mut Tensor| if kept { Ok(()) } else { kernel.make_mut::<f32>().map(drop) };
    let options = CpuOptions { threads, ..CpuOptions::default() };
    let peak = measure_peak(options)?;
    let device = Device::new(CpuBackend::new(options)?);
    let info = device.info();
    println!("{} threads, {}: {:.0} GFLOP/s, {:.1} GB/s", peak.threads, info.isa, peak.gflops, peak.triad_gb_s);
    println!("{:26} {:>16} {:>16} {:>16}", "GFLOP/s (of peak)", "forward", "input gradient", "kernel gradient");
    for layer in layers().into_iter().filter(|layer| layer.name.contains(&filter)) {
        let Layer { name, filters, padding, groups, .. } = layer;
        let (strides, dilations) = ([layer.stride; 3], [layer.dilation; 3]);
        let spec = ConvSpec { padding, strides, dilations, groups, ..ConvSpec::default() };
        let axes = layer.x.len() - 2;
        let mut kernel = vec![layer.kernel; axes];
        kernel.extend([layer.x[axes + 1] / groups, filters]);
        let (x, k) = (Shape::new(&layer.x)?, Shape::new(&kernel)?);
        let y = spec.output_shape(&x, &k)?;
        let flops = 2.0 * spec.geometry(&x, &k)?.multiply_adds() as f64;
        let (xt, mut kt, dy) = (random(1, &x, &device)?, random(2, &k, &device)?, random(3, &y, &device)?);
        let bias = random(4, &Shape::from([filters]), &device)?;
        let forward = best(peak.threads, || {
            rewrite(&mut kt)?;
            xt.conv(&kt, Some(&bias), &spec, Activation::Relu).map(drop)
        })?;
        let input = best(peak.threads, || {
            rewrite(&mut kt)?;
            dy.conv_backward_input(&kt, &x, &spec).map(drop)
        })?;
        let kernel = best(peak.threads, || dy.conv_backward_kernel(&xt, &k, &spec, true).map(drop))?;
        print!("{name:26}");
        for time in [forward, input, kernel] {
            let rate = flops / time / 1e9;
            print!(" {rate:8.1} ({:3.0} %)", 100.0 * rate / peak.gflops);
        }
        println!("   {:.0} / {:.0} / {:.0} µs", forward * 1e6, input * 1e6, kernel * 1e6);
    }
    Ok(())
}
