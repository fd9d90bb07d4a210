//! Optimizer steps.

use crate::context::{Context, Grid, address_mut, f32s, float32};
use striate_tensor::{Error, Result, Tensor, UpdateRule};

#[repr(C)]
#[derive(Clone, Copy)]
struct Update {
    weight: u64,
    gradient: u64,
    slot: [u64; 3],
    n: i64,
    rate: f32,
    a: f32,
    b: f32,
    c: f32,
    epsilon: f32,
    flag: i32,
}

pub(crate) fn update(
    cx: &Context,
    rule: &UpdateRule,
    weight: &mut Tensor,
    gradient: &Tensor,
    slots: &mut [Tensor],
) -> Result<()> {
    let op = "optimizer step";
    float32(op, weight)?;
    slots.iter().try_for_each(|slot| float32(op, slot))?;
    let gradient = f32s(op, gradient)?;
    let n = weight.elements();
    if n == 0 {
        return Ok(());
    }
    let mut arguments = Update {
        weight: address_mut(weight)?,
        gradient,
        slot: [0; 3],
        n: n as i64,
        rate: 0.0,
        a: 0.0,
        b: 0.0,
        c: 0.0,
        epsilon: 0.0,
        flag: 0,
    };
    for (to, slot) in arguments.slot.iter_mut().zip(slots.iter_mut()) {
        *to = address_mut(slot)?;
    }
    let kernel = match *rule {
        UpdateRule::Sgd { learning_rate, momentum, nesterov } => {
            (arguments.rate, arguments.a, arguments.flag) = (learning_rate, momentum, i32::from(nesterov));
            "sgd"
        }
        UpdateRule::RmsProp { learning_rate, rho, momentum, epsilon, centered } => {
            (arguments.rate, arguments.a, arguments.c) = (learning_rate, rho, momentum);
            arguments.b = (1.0 - f64::from(rho)) as f32;
            (arguments.epsilon, arguments.flag) = (epsilon, i32::from(centered));
            "rms_prop"
        }
        UpdateRule::Adam { learning_rate, beta_1, beta_2, epsilon, step } => {
            let (b1, b2, t) = (f64::from(beta_1), f64::from(beta_2), step as f64);
            arguments.rate = (f64::from(learning_rate) * (1.0 - b2.powf(t)).sqrt() / (1.0 - b1.powf(t))) as f32;
            (arguments.a, arguments.b, arguments.epsilon) = ((1.0 - b1) as f32, (1.0 - b2) as f32, epsilon);
            "adam"
        }
        ref other => {
            return Err(Error::argument("cuda", "the rule must be a known one", format!("{other:?}"), ""));
        }
    };
    // SAFETY: Update is the kernels' struct; weight, gradient and as many slots as the rule has are of n elements, and
    // weight and slots are held by nobody else.
    unsafe { cx.launch("update", kernel, Grid::elements(n), &arguments) }
}
