//! Where in a picture a network sees what it names: class activation maps, gradients, occlusion, and checks of such maps.

mod cam;
mod checks;
mod gradients;
mod occlusion;
mod overlay;
mod score_cam;

pub use cam::{CamMethod, cam, default_cam_layer};
pub use checks::{
    Deletion, RANDOM_SIMILARITY, Randomisation, deletion_insertion, randomisation, randomised, rank_correlation,
};
pub use gradients::{GradientMethod, gradient_map};
pub use occlusion::{Occlusion, occlusion_map};
pub use overlay::{heat_image, overlay};
pub use score_cam::{ScoreCam, score_cam};

use crate::subject::Subject;
use std::collections::HashMap;
use striate_autograd::Var;
use striate_nn::{Model, Run};
use striate_tensor::{Error, Result, Tensor};

/// The score of a class before softmax or sigmoid, and the captured values of the pass. Of a single output, class 1 is the output and
/// class 0 its negative.
fn score(model: &Model, input: &Var, class: usize, run: Run) -> Result<(Var, HashMap<String, Var>)> {
    let output = model.run(std::slice::from_ref(input), &model.constants(), &run)?.swap_remove(0);
    let logits = output.logits().cloned().unwrap_or(output);
    let shape = *logits.shape();
    let classes = shape.channels();
    if shape.rank() != 2 || class >= classes.max(2) {
        let rule = format!("the class must be below {}, of a model that ends in one vector", classes.max(2));
        return Err(Error::argument("class", rule, class.to_string(), ""));
    }
    let score = match classes {
        1 if class == 0 => logits.affine(-1.0, 0.0)?,
        1 => logits,
        _ => logits.crop(&[0, class], [shape[0], 1])?,
    };
    Ok((score.sum()?, run.into_captured()))
}

/// The log-odds of a class for each input: ln p/(1 − p), computed from what softmax or sigmoid was applied to, so that they still
/// tell inputs apart that the model is sure of. Of a model that ends in neither, the class's own output.
fn log_odds(model: &Model, inputs: &Tensor, class: usize) -> Result<Vec<f32>> {
    let input = Var::constant(inputs.clone());
    let output = model.run(&[input], &model.constants(), &Run::inference())?.swap_remove(0);
    let logits = output.logits().cloned();
    let values = logits.as_ref().unwrap_or(&output);
    let classes = values.shape().channels();
    if values.shape().rank() != 2 || class >= classes.max(2) {
        let rule = format!("the class must be below {}, of a model that ends in one vector", classes.max(2));
        return Err(Error::argument("class", rule, class.to_string(), ""));
    }
    let all = values.value().to_vec::<f32>()?;
    let of_row = |row: &[f32]| match (classes, class) {
        (1, 0) => -row[0],
        (1, _) => row[0],
        _ if logits.is_none() => row[class],
        _ => {
            let others = || row.iter().enumerate().filter(|&(other, _)| other != class).map(|(_, &v)| v);
            let most = others().fold(f32::NEG_INFINITY, f32::max);
            row[class] - most - others().map(|v| (v - most).exp()).sum::<f32>().ln()
        }
    };
    Ok(all.chunks_exact(classes.max(1)).map(of_row).collect())
}

/// The class that the model finds most probable, and its probability.
///
/// # Errors
/// As [`Subject::probabilities`].
pub fn top_class(subject: &Subject, input: &Tensor) -> Result<(usize, f32)> {
    let row = subject.probabilities(input)?.swap_remove(0);
    let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.map(|(class, &p)| (class, p))
        .ok_or_else(|| Error::model(subject.model.name(), "the model must tell classes apart", "none", ""))
}
