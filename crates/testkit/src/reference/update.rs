//! Optimizer steps.

use super::host::{overwrite, read};
use striate_tensor::{AlignedVec, Result, Tensor, UpdateRule};

pub(super) fn update(rule: &UpdateRule, weight: &mut Tensor, gradient: &Tensor, slots: &mut [Tensor]) -> Result<()> {
    let mut weights = read(weight)?;
    let mut kept = slots.iter().map(read).collect::<Result<Vec<AlignedVec<f64>>>>()?;
    for (i, (weight, &gradient)) in weights.iter_mut().zip(read(gradient)?.iter()).enumerate() {
        let mut of_element: Vec<f64> = kept.iter().map(|slot| slot[i]).collect();
        *weight = rule.apply(*weight, gradient, &mut of_element);
        for (slot, value) in kept.iter_mut().zip(of_element) {
            slot[i] = value;
        }
    }
    overwrite(weight, &weights)?;
    slots.iter_mut().zip(kept).try_for_each(|(slot, values)| overwrite(slot, &values))
}
