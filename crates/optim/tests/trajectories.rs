//! The optimizers on a quadratic against the formulas written out in double precision, apart from [`striate_tensor::UpdateRule`].

use striate_optim::{Adam, AdamW, Engine, Optimizer, RmsProp, Sgd};
use striate_tensor::Tensor;

const A: [f64; 3] = [1.0, 0.3, 2.0];
const START: [f64; 3] = [2.0, -1.5, 0.5];

/// Fifty steps of `optimizer` on Σ a·w²/2, held at every step to `formula`(w, g, step, state).
fn follow(optimizer: impl Optimizer + 'static, formula: impl Fn(f64, f64, i32, &mut [f64; 3]) -> f64) {
    let device = striate_testkit::reference::device();
    let name = format!("{optimizer:?}");
    let mut engine = Engine::new(optimizer).unwrap();
    let tensor = |values: &[f64]| Tensor::from_vec(values.iter().map(|&v| v as f32).collect(), [3], &device).unwrap();
    let (a, mut w) = (tensor(&A), tensor(&START));
    let (mut plain, mut state) = (START, [[0.0; 3]; 3]);
    for step in 1..=50 {
        let gradient = w.mul(&a).unwrap();
        engine.step(&mut [("w", &mut w)], &[gradient]).unwrap();
        for i in 0..3 {
            plain[i] = formula(plain[i], A[i] * plain[i], step, &mut state[i]);
        }
        for (got, expected) in w.to_f64_vec().unwrap().into_iter().zip(plain) {
            assert!((got - expected).abs() < 1e-5, "{name}, step {step}: {got} for {expected}");
        }
    }
    assert!(plain[0] < START[0] - 0.03, "{name} does not move: {plain:?}");
}

#[test]
fn sgd() {
    follow(Sgd::default(), |w, g, _, _| w - 0.01 * g);
    follow(Sgd::new(0.1).momentum(0.9), |w, g, _, s| {
        s[0] = 0.9 * s[0] - 0.1 * g;
        w + s[0]
    });
    follow(Sgd::new(0.1).momentum(0.9).nesterov(true), |w, g, _, s| {
        s[0] = 0.9 * s[0] - 0.1 * g;
        w + 0.9 * s[0] - 0.1 * g
    });
    follow(Sgd::new(0.1).weight_decay(0.2), |w, g, _, _| w * (1.0 - 0.2 * 0.1) - 0.1 * g);
}

#[test]
fn rmsprop() {
    follow(RmsProp::default(), |w, g, _, s| {
        s[0] = 0.9 * s[0] + 0.1 * g * g;
        w - 0.001 * g / (s[0] + 1e-7).sqrt()
    });
    follow(RmsProp::new(0.01).rho(0.8).momentum(0.5).epsilon(1e-4).centered(true), |w, g, _, s| {
        s[0] = 0.8 * s[0] + 0.2 * g * g;
        s[1] = 0.8 * s[1] + 0.2 * g;
        s[2] = 0.5 * s[2] + 0.01 * g / (s[0] - s[1] * s[1] + 1e-4).sqrt();
        w - s[2]
    });
}

fn adam_step(rate: f64, b1: f64, b2: f64, g: f64, step: i32, s: &mut [f64; 3]) -> f64 {
    s[0] = b1 * s[0] + (1.0 - b1) * g;
    s[1] = b2 * s[1] + (1.0 - b2) * g * g;
    rate * (1.0 - b2.powi(step)).sqrt() / (1.0 - b1.powi(step)) * s[0] / (s[1].sqrt() + 1e-7)
}

#[test]
fn adam_and_adamw() {
    follow(Adam::default(), |w, g, t, s| w - adam_step(0.001, 0.9, 0.999, g, t, s));
    follow(Adam::new(0.05).beta_1(0.8).beta_2(0.9), |w, g, t, s| w - adam_step(0.05, 0.8, 0.9, g, t, s));
    follow(AdamW::default(), |w, g, t, s| w * (1.0 - 0.004 * 0.001) - adam_step(0.001, 0.9, 0.999, g, t, s));
    follow(AdamW::new(0.05).weight_decay(0.3), |w, g, t, s| {
        w * (1.0 - 0.3 * 0.05) - adam_step(0.05, 0.9, 0.999, g, t, s)
    });
}
