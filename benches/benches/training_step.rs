//! One training step of the lecture's MNIST network, and one forward pass of a single digit.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use striate::data::{BatchContext, Dataset};
use striate::prelude::*;
use striate::tensor::Key;

fn network() -> Model {
    Sequential::new([28, 28, 1])
        .add(Conv2D::new(32, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3).activation(Relu))
        .add(Flatten)
        .add(Dense::new(64).activation(Relu))
        .add(Dense::new(10).activation(Softmax))
        .build()
        .expect("a legal network")
}

fn mnist(criterion: &mut Criterion) {
    let data = Mnist::load().expect("the digits in datasets/");
    let context = BatchContext::new(Key::new(0), &device().expect("a CPU"));
    let batch = data.train.batch(&(0..64).collect::<Vec<_>>(), &context).expect("64 digits");
    let one = data.test.batch(&[0], &context).expect("a digit").inputs;
    let mut group = criterion.benchmark_group("mnist");
    let mut model = network();
    let mut training =
        model.compile(RmsProp::default(), CategoricalCrossentropy, [Accuracy]).expect("a legal combination");
    group.throughput(Throughput::Elements(64));
    group.bench_function("training step of 64", |b| b.iter(|| black_box(training.step(&batch, Key::new(1)))));
    let model = network();
    group.throughput(Throughput::Elements(1));
    group.bench_function("one digit", |b| b.iter(|| black_box(model.predict_on(&one))));
    group.finish();
}

criterion_group!(benches, mnist);
criterion_main!(benches);
