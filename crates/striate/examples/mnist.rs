//! The lecture's network on the MNIST digits, from the listing to a saved model.
//!
//! `cargo run --release --example mnist`

use striate::prelude::*;

fn main() -> Result<()> {
    let mnist = Mnist::load()?; // train (60000, 28, 28, 1), test (10000, 28, 28, 1), 0..1, one-hot labels
    let mut model = Sequential::new([28, 28, 1])
        .add(Conv2D::new(32, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3).activation(Relu))
        .add(Flatten)
        .add(Dense::new(64).activation(Relu))
        .add(Dense::new(10).activation(Softmax))
        .build()?; // shapes are checked here, before any work
    println!("{}", model.summary()); // 93,322 parameters

    let mut training = model.compile(RmsProp::default(), CategoricalCrossentropy, [Accuracy])?;
    let history = training.fit(&mnist.train, Fit { epochs: 5, batch_size: 64, ..Fit::default() })?;
    history.plot("curves.svg")?;
    println!("{}", training.evaluate(&mnist.test)?);
    model.save("mnist.safetensors")
}
