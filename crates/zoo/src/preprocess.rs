//! Pixels, brought to the range a network was trained on.

use striate_tensor::{Error, Result, Tensor};

/// How the pixels of a picture (0 to 255, RGB) become a network's input.
///
/// Source: <https://keras.io/api/applications/>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preprocessing {
    /// Channels in the order BGR, less ImageNet's mean of each.
    Caffe,
    /// From −1 to 1.
    Symmetric,
}

/// ImageNet's means in the order BGR.
const MEANS: [f32; 3] = [103.939, 116.779, 123.68];

impl Preprocessing {
    /// Pictures (…, 3) as the network wants them.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there are three channels last.
    pub fn apply(self, pictures: &Tensor) -> Result<Tensor> {
        if pictures.rank() == 0 || pictures.shape().channels() != 3 {
            let received = pictures.shape().to_string();
            return Err(Error::shape("preprocess", "pictures must have three channels last", received, ""));
        }
        match self {
            Preprocessing::Symmetric => pictures.affine(1.0 / 127.5, -1.0),
            Preprocessing::Caffe => {
                let pixels = pictures.to_vec::<f32>()?;
                let (rgb, _) = pixels.as_chunks::<3>();
                let values = rgb.iter().flat_map(|[r, g, b]| [b - MEANS[0], g - MEANS[1], r - MEANS[2]]).collect();
                Tensor::from_vec(values, *pictures.shape(), pictures.device())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        let device = striate_testkit::reference::device();
        let pictures = Tensor::from_vec(vec![255.0f32, 127.5, 0.0], [1, 1, 1, 3], &device).unwrap();
        let symmetric = Preprocessing::Symmetric.apply(&pictures).unwrap().to_vec::<f32>().unwrap();
        assert!(
            symmetric.iter().zip([1.0, 0.0, -1.0]).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6),
            "{symmetric:?}"
        );
        let caffe = Preprocessing::Caffe.apply(&pictures).unwrap().to_vec::<f32>().unwrap();
        assert_eq!(caffe, [-103.939, 127.5 - 116.779, 255.0 - 123.68]);
        let gray = Tensor::zeros([2, 2, 1], &device).unwrap();
        assert!(Preprocessing::Caffe.apply(&gray).is_err());
    }
}
