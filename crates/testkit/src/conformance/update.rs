//! Optimizer steps.

use super::property::{Lab, agree, bits, equal, holds, level_draw};
use super::tolerance;
use proptest::prelude::*;
use striate_tensor::{DType, Device, Error, Parameter, Result, Tensor, UpdateRule};

fn rule() -> impl Strategy<Value = (UpdateRule, f32)> {
    let rate = || prop_oneof![Just(0.001f32), Just(0.01), 0.05f32..1.0];
    let momentum = || prop_oneof![Just(0.0f32), Just(0.9), 0.1f32..0.99];
    let sgd = (rate(), momentum(), any::<bool>()).prop_map(|(learning_rate, momentum, nesterov)| {
        (UpdateRule::Sgd { learning_rate, momentum, nesterov }, learning_rate)
    });
    let rms_prop =
        (rate(), 0.7f32..0.99, momentum(), any::<bool>()).prop_map(|(learning_rate, rho, momentum, centered)| {
            (UpdateRule::RmsProp { learning_rate, rho, momentum, epsilon: 1e-4, centered }, learning_rate)
        });
    let adam = (rate(), 0.5f32..0.95, 0.9f32..0.999).prop_map(|(learning_rate, beta_1, beta_2)| {
        (UpdateRule::Adam { learning_rate, beta_1, beta_2, epsilon: 1e-4, step: 1 }, learning_rate)
    });
    prop_oneof![sgd.boxed(), rms_prop.boxed(), adam.boxed()]
}

/// Three steps of every rule: weight and slots, and that nothing else that shares their memory changes.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn update(device: &Device, cases: u32) -> Result<(), String> {
    let lab = Lab::new(device);
    let lengths = prop_oneof![4 => 0usize..70, 2 => 70usize..1000, 1 => 20_000usize..30_000];
    holds("update", cases, (level_draw(), rule(), lengths), |(draw, (rule, learning_rate), len)| {
        let learning_rate = f64::from(learning_rate);
        let start = lab.operand(&draw, 0, len)?;
        let zeros = |dtype: DType, device: &Device| -> Result<Vec<Tensor>> {
            (0..rule.slots()).map(|_| Tensor::full([len], 0.0, dtype, device)).collect()
        };
        let (mut tested, mut exact) = (start.tested.clone(), start.exact.clone());
        let (mut again, before) = (start.tested.clone(), bits(&start.tested)?);
        let (mut slots, mut exact_slots) = (zeros(draw.dtype, device)?, zeros(DType::F64, &lab.reference)?);
        let mut again_slots = zeros(draw.dtype, device)?;
        let (mut moved, mut gradients) = (vec![0.0; len], vec![0.0; len]);
        for step in 1..=3u64 {
            let rule = match rule {
                UpdateRule::Adam { learning_rate, beta_1, beta_2, epsilon, .. } => {
                    UpdateRule::Adam { learning_rate, beta_1, beta_2, epsilon, step }
                }
                other => other,
            };
            let gradient = lab.operand(&draw, step, len)?;
            match tested.update(&rule, &gradient.tested, &mut slots) {
                Err(Error::DType(_)) if draw.dtype != DType::F32 => {
                    return Err(TestCaseError::reject("the device does not take this element type"));
                }
                other => other?,
            }
            again.update(&rule, &gradient.tested, &mut again_slots)?;
            let previous = exact.to_f64_vec()?;
            exact.update(&rule, &gradient.exact, &mut exact_slots)?;
            let weights = exact.to_f64_vec()?;
            for (i, gradient) in gradient.exact.to_f64_vec()?.into_iter().enumerate() {
                moved[i] += (weights[i] - previous[i]).abs();
                gradients[i] += gradient.abs();
            }
            agree("weight", &tested, &exact, draw.dtype, |i| {
                tolerance::weight(draw.dtype, weights[i], moved[i], learning_rate, gradients[i])
            })?;
            equal("weight of a second call", &again, &tested)?;
            for (slot, (got, want)) in slots.iter().zip(&exact_slots).enumerate() {
                let values = want.to_f64_vec()?;
                agree(&format!("slot {slot}"), got, want, draw.dtype, |i| {
                    tolerance::slot(draw.dtype, values[i], moved[i])
                })?;
            }
        }
        prop_assert!(bits(&start.tested)? == before, "a tensor that shared the weight's memory changed");
        Ok(())
    })
}

/// A step on several weights at once has the bits of steps on one after another, also for empty weights, weights that share memory and
/// weights of very different sizes.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn update_all(device: &Device, cases: u32) -> Result<(), String> {
    let lab = Lab::new(device);
    let length = prop_oneof![1 => Just(0usize), 4 => 1usize..70, 2 => 70usize..1500, 1 => 4000usize..6000];
    let lengths = proptest::collection::vec(length, 0..6);
    let decay = prop_oneof![Just(1f32), Just(0.875), Just(0.9996)];
    // Each case has several tensors, so there need not be as many.
    holds(
        "update_all",
        cases.div_ceil(4),
        (level_draw(), rule(), lengths, decay),
        |(draw, (rule, _), lengths, kept)| {
            let number = |kind: u64, i: usize| 16 * kind + i as u64;
            let (mut weights, mut gradients, mut slots) = (Vec::new(), Vec::new(), Vec::new());
            for (i, &len) in lengths.iter().enumerate() {
                // Each second weight shares memory with the first gradient of its length, which must not change.
                weights.push(lab.operand(&draw, number(0, i), len)?.tested);
                gradients.push(if i % 2 == 1 {
                    weights[i].clone()
                } else {
                    lab.operand(&draw, number(1, i), len)?.tested
                });
                let zeros = || Tensor::full([len], 0.0, draw.dtype, device);
                slots.push((0..rule.slots()).map(|_| zeros()).collect::<Result<Vec<_>>>()?);
            }
            let (mut single, mut single_slots) = (weights.clone(), slots.clone());
            let before = gradients.iter().map(bits).collect::<Result<Vec<_>>>()?;
            for step in 0..2 {
                for ((weight, gradient), slots) in single.iter_mut().zip(&gradients).zip(&mut single_slots) {
                    let mut one = Parameter { path: "weight", weight, gradient, slots, kept };
                    match one.decay().and_then(|()| one.weight.update(&rule, one.gradient, one.slots)) {
                        Err(Error::DType(_)) if draw.dtype != DType::F32 => {
                            return Err(TestCaseError::reject("the device does not take this element type"));
                        }
                        other => other?,
                    }
                }
                let mut parameters: Vec<Parameter<'_>> = weights
                    .iter_mut()
                    .zip(&gradients)
                    .zip(&mut slots)
                    .map(|((weight, gradient), slots)| Parameter { path: "weight", weight, gradient, slots, kept })
                    .collect();
                Tensor::update_all(&rule, &mut parameters)?;
                for (i, (all, one)) in weights.iter().zip(&single).enumerate() {
                    equal(&format!("weight {i} after step {step}"), all, one)?;
                }
                for (i, (all, one)) in slots.iter().flatten().zip(single_slots.iter().flatten()).enumerate() {
                    equal(&format!("slot {i} after step {step}"), all, one)?;
                }
            }
            for (gradient, before) in gradients.iter().zip(&before) {
                prop_assert!(bits(gradient)? == *before, "a gradient changed");
            }
            Ok(())
        },
    )
}
