//! Targets that are numbers of classes.

use striate_tensor::{Error, Result, Shape, Tensor};

/// Whether a target's shape has one label for each of several classes' probabilities.
pub(crate) fn are_labels(prediction: &Shape, target: &Shape) -> bool {
    let Some((&classes, rows)) = prediction.as_slice().split_last() else { return false };
    let given = target.as_slice();
    classes > 1 && !rows.is_empty() && (given == rows || given.strip_suffix(&[1]) == Some(rows))
}

/// The labels for predictions (n, …, classes), of shape (n, …) or (n, …, 1).
///
/// # Errors
/// [`Error::Shape`] if they do not fit; [`Error::Data`] for a label that is none of the classes' numbers.
pub(crate) fn labels(subject: &str, prediction: &Shape, target: &Tensor) -> Result<Vec<usize>> {
    let classes = prediction.channels();
    if prediction.rank() < 2 || classes < 2 {
        return Err(Error::shape(
            subject,
            "the last axis must hold at least two classes",
            prediction.to_string(),
            "for one probability use binary_crossentropy",
        ));
    }
    if !are_labels(prediction, target.shape()) {
        let rule = "targets must be one label for each prediction, of shape (n, …) or (n, …, 1)";
        let received = format!("prediction {prediction}, target {}", target.shape());
        return Err(Error::shape(subject, rule, received, "one-hot rows are for categorical_crossentropy"));
    }
    let label = |(i, value): (usize, f64)| {
        if value.fract() == 0.0 && (0.0..classes as f64).contains(&value) {
            return Ok(value as usize);
        }
        let rule =
            format!("labels must be whole numbers from 0 to {}, as the model has {classes} classes", classes - 1);
        let received = format!("label {value} at place {i} of the batch");
        Err(Error::data(subject, rule, received, "count classes from 0"))
    };
    target.to_f64_vec()?.into_iter().enumerate().map(label).collect()
}
