//! The classes of ImageNet in words.

use striate_tensor::{Error, Result, Tensor};

/// The synsets of the 1000 classes in their order, each with the first word that WordNet has for it.
const CLASSES: &str = include_str!("imagenet_classes.txt");
const COUNT: usize = 1000;

/// A class and how probable it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The class's number.
    pub class: usize,
    /// WordNet's number of it, `n02123045`.
    pub synset: &'static str,
    /// Its name, `tabby`.
    pub name: &'static str,
    /// The probability.
    pub probability: f32,
}

/// The synset and the name of a class of ImageNet; `None` from 1000 on.
pub fn class_of(index: usize) -> Option<(&'static str, &'static str)> {
    CLASSES.lines().nth(index)?.split_once(' ')
}

/// The `top` most probable classes of each row of probabilities (n, 1000), the most probable first: Keras's
/// `decode_predictions`. Rows of 1001 have a background class before the others, as TensorFlow's MobileNet; it is left out.
///
/// # Errors
/// [`Error::Shape`] for another number of columns.
pub fn decode_predictions(probabilities: &Tensor, top: usize) -> Result<Vec<Vec<Prediction>>> {
    let columns = probabilities.shape().channels();
    if probabilities.rank() != 2 || !(COUNT..=COUNT + 1).contains(&columns) {
        return Err(Error::shape(
            "decode_predictions",
            "probabilities must be (n, 1000), or (n, 1001) with a background class",
            probabilities.shape().to_string(),
            "only ImageNet's classes have these names",
        ));
    }
    let names: Vec<(&str, &str)> = CLASSES.lines().filter_map(|line| line.split_once(' ')).collect();
    let decode = |row: &[f32]| {
        let mut ranked: Vec<(usize, f32)> = row[columns - COUNT..].iter().copied().enumerate().collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        let prediction = |(class, probability): (usize, f32)| {
            let (synset, name) = names[class];
            Prediction { class, synset, name, probability }
        };
        ranked.into_iter().take(top).map(prediction).collect()
    };
    Ok(probabilities.to_vec::<f32>()?.chunks_exact(columns).map(decode).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_are_imagenets() {
        assert_eq!(CLASSES.lines().count(), COUNT);
        for (index, synset, name) in [
            (0, "n01440764", "tench"),
            (2, "n01484850", "great_white_shark"),
            (281, "n02123045", "tabby"),
            (209, "n02099849", "Chesapeake_Bay_retriever"),
            (999, "n15075141", "toilet_tissue"),
        ] {
            assert_eq!(class_of(index), Some((synset, name)));
        }
        assert_eq!(class_of(1000), None);
    }

    #[test]
    fn the_most_probable_come_first_and_the_background_not_at_all() {
        let device = striate_testkit::reference::device();
        for columns in [1000, 1001] {
            let mut row = vec![0f32; 2 * columns];
            row[columns - 1000 + 281] = 0.7;
            row[columns - 1000 + 282] = 0.2;
            if columns == 1001 {
                row[0] = 0.9;
            }
            row[columns + columns - 1] = 1.0;
            let decoded = decode_predictions(&Tensor::from_vec(row, [2, columns], &device).unwrap(), 2).unwrap();
            assert_eq!(decoded[0].iter().map(|p| p.name).collect::<Vec<_>>(), ["tabby", "tiger_cat"]);
            assert_eq!((decoded[0][0].probability, decoded[1][0].class), (0.7, 999));
        }
        assert!(decode_predictions(&Tensor::zeros([2, 10], &device).unwrap(), 5).is_err());
    }
}
