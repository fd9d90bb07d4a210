//! Class labels as rows with a single 1.

use striate_tensor::{Error, Result};

/// Labels as (samples, classes) rows, row-major, 1 at the label and 0 elsewhere: Keras's `to_categorical`.
///
/// # Errors
/// [`Error::Data`] for a label that is negative or not below `classes`; [`Error::Shape`] if the result's size overflows.
///
/// ```
/// assert_eq!(striate_data::one_hot(&[2u8, 0], 3)?, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
/// assert!(striate_data::one_hot(&[3i64], 3).is_err());
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub fn one_hot<L: Copy + Into<i64>>(labels: &[L], classes: usize) -> Result<Vec<f32>> {
    let labels = checked_labels(labels, classes)?;
    let total = labels.len().checked_mul(classes).filter(|&n| n <= isize::MAX as usize / 4).ok_or_else(|| {
        let received = format!("{} labels of {classes} classes", labels.len());
        Error::shape("one_hot", "the number of elements must fit in memory", received, "")
    })?;
    let mut rows = vec![0.0; total];
    for (row, &label) in rows.chunks_exact_mut(classes.max(1)).zip(&labels) {
        row[label as usize] = 1.0;
    }
    Ok(rows)
}

/// Labels as class indices, each checked to be below `classes`.
pub(crate) fn checked_labels<L: Copy + Into<i64>>(labels: &[L], classes: usize) -> Result<Vec<u32>> {
    let check = |(i, &label): (usize, &L)| {
        let label: i64 = label.into();
        u32::try_from(label).ok().filter(|&label| (label as usize) < classes).ok_or_else(|| {
            Error::data(
                "labels",
                format!("labels must be below classes = {classes} and not negative"),
                format!("label {label} of sample {i}"),
                "count classes from 0",
            )
        })
    };
    labels.iter().enumerate().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_outside_the_classes_are_named() {
        for (labels, word) in [(vec![0i64, 10], "label 10 of sample 1"), (vec![-1], "label -1 of sample 0")] {
            let error = one_hot(&labels, 10).unwrap_err();
            assert!(matches!(error, Error::Data(_)) && error.to_string().contains(word), "{error}");
        }
        assert!(one_hot(&[0i32], 0).is_err());
        assert!(one_hot::<u8>(&[], 4).unwrap().is_empty());
    }
}
