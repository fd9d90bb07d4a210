//! Candle.

use crate::{Plan, Repetition, EPSILON, RHO};
use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::{Conv2d, Conv2dConfig, Dropout, Linear, Module, VarBuilder, VarMap};

struct Network {
    convolutions: Vec<Conv2d>,
    hidden: Linear,
    output: Linear,
    dropout: Dropout,
}

impl Network {
    fn new(plan: &Plan, builder: &VarBuilder) -> Result<Network> {
        let mut convolutions = Vec::new();
        let mut channels = plan.channels;
        for (i, &width) in plan.widths.iter().enumerate() {
            let settings = Conv2dConfig::default();
            convolutions.push(candle_nn::conv2d(channels, width, 3, settings, builder.pp(format!("conv{i}")))?);
            channels = width;
        }
        Ok(Network {
            convolutions,
            hidden: candle_nn::linear(plan.features, plan.hidden, builder.pp("hidden"))?,
            output: candle_nn::linear(plan.hidden, plan.outputs, builder.pp("output"))?,
            dropout: Dropout::new(plan.dropout as f32),
        })
    }

    fn logits(&self, plan: &Plan, mut x: Tensor) -> Result<Tensor> {
        for (i, convolution) in self.convolutions.iter().enumerate() {
            x = convolution.forward(&x)?.relu()?;
            if i < plan.pooled {
                x = x.max_pool2d(2)?;
            }
        }
        x = x.flatten_from(1)?;
        if plan.dropout > 0.0 {
            x = self.dropout.forward(&x, true)?;
        }
        self.output.forward(&self.hidden.forward(&x)?.relu()?)
    }
}

/// RMSprop, which candle-nn has not.
struct RmsProp {
    /// Variables and the means of their squared gradients.
    variables: Vec<(Var, Tensor)>,
    rate: f64,
}

impl RmsProp {
    fn step(&mut self, loss: &Tensor) -> Result<()> {
        let gradients = loss.backward()?;
        for (variable, mean) in &mut self.variables {
            let Some(gradient) = gradients.get(variable) else { continue };
            *mean = ((&*mean * RHO)? + (gradient.sqr()? * (1.0 - RHO))?)?;
            let change = ((gradient * self.rate)? / (mean.sqrt()? + EPSILON)?)?;
            variable.set(&(variable.as_tensor() - change)?)?;
        }
        Ok(())
    }
}

pub fn training(plan: &'static Plan) -> Result<Repetition> {
    let device = Device::Cpu;
    let variables = VarMap::new();
    let network = Network::new(plan, &VarBuilder::from_varmap(&variables, DType::F32, &device))?;
    let x = Tensor::rand(0.0_f32, 1.0, (plan.images(), plan.channels, plan.side, plan.side), &device)?;
    let labels = Tensor::new(plan.labels(), &device)?;
    let variables = variables.all_vars().into_iter().map(|variable| {
        let mean = variable.zeros_like()?;
        Ok((variable, mean))
    });
    let mut optimizer = RmsProp { variables: variables.collect::<Result<_>>()?, rate: plan.rate };
    Ok(Box::new(move || {
        for first in (0..plan.images()).step_by(plan.batch) {
            let logits = network.logits(plan, x.narrow(0, first, plan.batch)?)?;
            let labels = labels.narrow(0, first, plan.batch)?;
            let loss = if plan.outputs > 1 {
                candle_nn::loss::cross_entropy(&logits, &labels)?
            } else {
                let labels = labels.to_dtype(DType::F32)?.unsqueeze(1)?;
                candle_nn::loss::binary_cross_entropy_with_logit(&logits, &labels)?
            };
            optimizer.step(&loss)?;
        }
        Ok(())
    }))
}
