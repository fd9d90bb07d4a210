//! Single primitives at the sizes of the lecture's networks.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use striate::prelude::*;
use striate::tensor::{ConvSpec, Key, PoolKind, PoolSpec};

fn random(shape: impl Into<Shape>) -> Tensor {
    let shape = shape.into();
    let mut stream = Key::new(1).stream();
    let values = (0..shape.elements()).map(|_| stream.uniform_in(-1.0, 1.0) as f32).collect();
    Tensor::from_vec(values, shape, &device().expect("a CPU")).expect("matching sizes")
}

fn convolutions(criterion: &mut Criterion) {
    let spec = ConvSpec::default();
    for (name, batch, side, channels, filters) in
        [("28x28x1 to 32", 64, 28, 1, 32), ("13x13x32 to 64", 64, 13, 32, 64), ("36x36x64 to 128", 4, 36, 64, 128)]
    {
        let (x, kernel) = (random([batch, side, side, channels]), random([3, 3, channels, filters]));
        let g = spec.geometry(x.shape(), kernel.shape()).expect("a legal convolution");
        let dy = random([batch, g.output[1], g.output[2], filters]);
        let mut group = criterion.benchmark_group(format!("conv 3x3 {name}"));
        group.throughput(Throughput::Elements(2 * g.multiply_adds()));
        group.bench_function("forward", |b| b.iter(|| black_box(x.conv(&kernel, None, &spec, Relu))));
        group.bench_function("input gradient", |b| {
            b.iter(|| black_box(dy.conv_backward_input(&kernel, x.shape(), &spec)));
        });
        group.bench_function("kernel gradient", |b| {
            b.iter(|| black_box(dy.conv_backward_kernel(&x, kernel.shape(), &spec, true)));
        });
        group.finish();
    }
}

fn products(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("matmul");
    for n in [64usize, 256, 1024] {
        let (a, b) = (random([n, n]), random([n, n]));
        group.throughput(Throughput::Elements(2 * (n as u64).pow(3)));
        group.bench_function(format!("{n}x{n}"), |bench| bench.iter(|| black_box(a.matmul(&b))));
    }
    group.finish();
}

fn pooling(criterion: &mut Criterion) {
    let spec = PoolSpec { kind: PoolKind::Max, window: [2; 3], strides: [2; 3], padding: Valid };
    let x = random([64, 26, 26, 32]);
    let (y, indices) = x.pool(&spec, true).expect("a legal pooling");
    let mut group = criterion.benchmark_group("max pooling 2x2 of 26x26x32");
    group.throughput(Throughput::Elements(x.elements() as u64));
    group.bench_function("forward", |b| b.iter(|| black_box(x.pool(&spec, true))));
    group.bench_function("backward", |b| b.iter(|| black_box(y.pool_backward(x.shape(), indices.as_ref(), &spec))));
    group.finish();
}

criterion_group!(benches, convolutions, products, pooling);
criterion_main!(benches);
