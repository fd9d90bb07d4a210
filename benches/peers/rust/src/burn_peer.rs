//! Burn.

use crate::{Plan, Repetition, EPSILON, RHO};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::{BinaryCrossEntropyLossConfig, CrossEntropyLossConfig};
use burn::nn::pool::MaxPool2dConfig;
use burn::nn::{DropoutConfig, Linear, LinearConfig};
use burn::optim::{GradientsParams, RmsPropConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution, Int, Tensor};

#[derive(Module, Debug)]
struct Network {
    convolutions: Vec<Conv2d>,
    hidden: Linear,
    output: Linear,
}

impl Network {
    fn new(plan: &Plan, device: &Device) -> Network {
        let inputs = std::iter::once(&plan.channels).chain(plan.widths);
        Network {
            convolutions: inputs
                .zip(plan.widths)
                .map(|(&from, &to)| Conv2dConfig::new([from, to], [3, 3]).init(device))
                .collect(),
            hidden: LinearConfig::new(plan.features, plan.hidden).init(device),
            output: LinearConfig::new(plan.hidden, plan.outputs).init(device),
        }
    }

    fn logits(&self, plan: &Plan, mut x: Tensor<4>) -> Tensor<2> {
        let pool = MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init();
        for (i, convolution) in self.convolutions.iter().enumerate() {
            x = relu(convolution.forward(x));
            if i < plan.pooled {
                x = pool.forward(x);
            }
        }
        let mut flat: Tensor<2> = x.flatten(1, 3);
        if plan.dropout > 0.0 {
            flat = DropoutConfig::new(plan.dropout).init().forward(flat);
        }
        self.output.forward(relu(self.hidden.forward(flat)))
    }
}

pub fn training(plan: &'static Plan) -> Repetition {
    let device = Device::flex().autodiff();
    let side = plan.side;
    let batches: Vec<(Tensor<4>, Tensor<1, Int>)> = plan
        .labels()
        .chunks(plan.batch)
        .map(|labels| {
            let labels: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
            let shape = [plan.batch, plan.channels, side, side];
            (Tensor::random(shape, Distribution::Default, &device), Tensor::from_ints(labels.as_slice(), &device))
        })
        .collect();
    let mut optimizer =
        RmsPropConfig::new().with_alpha(RHO as f32).with_momentum(0.0).with_epsilon(EPSILON as f32).init();
    let of_classes = CrossEntropyLossConfig::new().init(&device);
    let of_two = BinaryCrossEntropyLossConfig::new().with_logits(true).init(&device);
    let mut network = Some(Network::new(plan, &device));
    Box::new(move || {
        for (x, labels) in &batches {
            let current = network.take().ok_or("the network is gone")?;
            let (logits, labels) = (current.logits(plan, x.clone()), labels.clone());
            let loss = if plan.outputs > 1 {
                of_classes.forward(logits, labels)
            } else {
                of_two.forward(logits, labels.unsqueeze_dim(1))
            };
            let gradients = GradientsParams::from_grads(loss.backward(), &current);
            network = Some(optimizer.step(plan.rate, current, gradients));
        }
        device.sync().map_err(|error| format!("{error:?}"))?;
        Ok(())
    })
}
