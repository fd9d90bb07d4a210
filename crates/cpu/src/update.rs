//! Optimizer steps: one pass over the weight, its gradient and the optimizer's slots.

use crate::backend::{Context, f32s};
use crate::elementwise::PIECE;
use crate::kernels::Shared;
use crate::simd::{Kernel, Simd};
use striate_tensor::{Error, Result, Tensor, UpdateRule};

/// A rule with its constants worked out.
#[derive(Clone, Copy)]
enum Step {
    Sgd { lr: f32 },
    Momentum { lr: f32, mu: f32, nesterov: bool },
    RmsProp { lr: f32, rho: f32, epsilon: f32 },
    RmsPropMomentum { lr: f32, rho: f32, epsilon: f32, mu: f32 },
    RmsPropCentered { lr: f32, rho: f32, epsilon: f32 },
    RmsPropCenteredMomentum { lr: f32, rho: f32, epsilon: f32, mu: f32 },
    Adam { rate: f32, one_less_b1: f32, one_less_b2: f32, epsilon: f32 },
}

fn step_of(rule: &UpdateRule) -> Result<Step> {
    Ok(match *rule {
        UpdateRule::Sgd { learning_rate: lr, momentum: 0.0, .. } => Step::Sgd { lr },
        UpdateRule::Sgd { learning_rate: lr, momentum: mu, nesterov } => Step::Momentum { lr, mu, nesterov },
        UpdateRule::RmsProp { learning_rate: lr, rho, momentum: mu, epsilon, centered } => {
            match (centered, mu == 0.0) {
                (false, true) => Step::RmsProp { lr, rho, epsilon },
                (false, false) => Step::RmsPropMomentum { lr, rho, epsilon, mu },
                (true, true) => Step::RmsPropCentered { lr, rho, epsilon },
                (true, false) => Step::RmsPropCenteredMomentum { lr, rho, epsilon, mu },
            }
        }
        UpdateRule::Adam { learning_rate, beta_1, beta_2, epsilon, step } => {
            let (b1, b2, t) = (f64::from(beta_1), f64::from(beta_2), step as f64);
            let rate = f64::from(learning_rate) * (1.0 - b2.powf(t)).sqrt() / (1.0 - b1.powf(t));
            Step::Adam { rate: rate as f32, one_less_b1: (1.0 - b1) as f32, one_less_b2: (1.0 - b2) as f32, epsilon }
        }
        ref other => {
            let received = format!("{other:?}");
            return Err(Error::argument("optimizer step", "the CPU back end must know the rule", received, ""));
        }
    })
}

struct Pass<'a> {
    step: Step,
    w: &'a mut [f32],
    g: &'a [f32],
    slots: [&'a mut [f32]; 3],
}

impl Kernel for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Pass { step, w, g, slots: [s0, s1, s2] } = self;
        // An accumulator moves towards `new` by the share 1 − ρ.
        #[inline(always)]
        fn blend(old: f32, rho: f32, new: f32) -> f32 {
            rho * old + (1.0 - rho) * new
        }
        match step {
            Step::Sgd { lr } => w.iter_mut().zip(g).for_each(|(w, &g)| *w -= lr * g),
            Step::Momentum { lr, mu, nesterov } => {
                for ((w, &g), m) in w.iter_mut().zip(g).zip(s0) {
                    *m = mu * *m - lr * g;
                    *w += if nesterov { mu * *m - lr * g } else { *m };
                }
            }
            Step::RmsProp { lr, rho, epsilon } => {
                for ((w, &g), v) in w.iter_mut().zip(g).zip(s0) {
                    *v = blend(*v, rho, g * g);
                    *w -= lr * g / (*v + epsilon).sqrt();
                }
            }
            Step::RmsPropMomentum { lr, rho, epsilon, mu } => {
                for (((w, &g), v), m) in w.iter_mut().zip(g).zip(s0).zip(s1) {
                    *v = blend(*v, rho, g * g);
                    *m = mu * *m + lr * g / (*v + epsilon).sqrt();
                    *w -= *m;
                }
            }
            Step::RmsPropCentered { lr, rho, epsilon } => {
                for (((w, &g), v), a) in w.iter_mut().zip(g).zip(s0).zip(s1) {
                    *v = blend(*v, rho, g * g);
                    *a = blend(*a, rho, g);
                    *w -= lr * g / (*v + epsilon - *a * *a).sqrt();
                }
            }
            Step::RmsPropCenteredMomentum { lr, rho, epsilon, mu } => {
                for ((((w, &g), v), a), m) in w.iter_mut().zip(g).zip(s0).zip(s1).zip(s2) {
                    *v = blend(*v, rho, g * g);
                    *a = blend(*a, rho, g);
                    *m = mu * *m + lr * g / (*v + epsilon - *a * *a).sqrt();
                    *w -= *m;
                }
            }
            Step::Adam { rate, one_less_b1, one_less_b2, epsilon } => {
                for (((w, &g), m), v) in w.iter_mut().zip(g).zip(s0).zip(s1) {
                    *m += one_less_b1 * (g - *m);
                    *v += one_less_b2 * (g * g - *v);
                    *w -= rate * *m / (v.sqrt() + epsilon);
                }
            }
        }
    }
}

pub(crate) fn update(
    cx: &Context,
    rule: &UpdateRule,
    weight: &mut Tensor,
    gradient: &Tensor,
    slots: &mut [Tensor],
) -> Result<()> {
    let step = step_of(rule)?;
    f32s("optimizer step", weight)?;
    let g = f32s("optimizer step", gradient)?;
    let w = weight.make_mut::<f32>()?;
    let mut shared = Vec::with_capacity(slots.len());
    for slot in slots {
        shared.push(Shared::new(slot.make_mut::<f32>()?));
    }
    cx.threads.pieces(w, PIECE, 24 * g.len() as u64, |i, w| {
        let start = i * PIECE;
        let part = |slot: usize| {
            let Some(slot) = shared.get(slot) else { return &mut [][..] };
            // SAFETY: each task has a range of its own, and each slot is asked for once.
            unsafe { slot.slice(start, w.len()) }
        };
        let slots = [part(0), part(1), part(2)];
        let g = &g[start..start + w.len()];
        cx.level.run(Pass { step, w, g, slots });
    });
    Ok(())
}
