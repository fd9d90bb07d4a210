//! Kernels of other programs, put in the order of axes that this one has.

use std::fmt;

/// What has to be done to a tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The new axes, by the old one that each of them is.
    Permute(Vec<usize>),
    /// The first so many axes turned round: a kernel by 180°.
    Flip(usize),
    /// An axis of size 1 left out.
    Squeeze(usize),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Permute(axes) => write!(f, "axes {axes:?}"),
            Step::Flip(_) => write!(f, "turned by 180°"),
            Step::Squeeze(axis) => write!(f, "without axis {axis}"),
        }
    }
}

impl Step {
    /// The shape afterwards.
    pub(crate) fn shape(&self, shape: &[usize]) -> Vec<usize> {
        match self {
            Step::Permute(axes) => axes.iter().filter_map(|&axis| shape.get(axis).copied()).collect(),
            Step::Flip(_) => shape.to_vec(),
            Step::Squeeze(axis) => shape.iter().enumerate().filter(|(i, _)| i != axis).map(|(_, &n)| n).collect(),
        }
    }

    /// The elements afterwards.
    pub(crate) fn apply(&self, values: Vec<f32>, shape: &[usize]) -> Vec<f32> {
        match self {
            Step::Permute(axes) => permute(&values, shape, axes),
            Step::Flip(spatial) => {
                // Turning all leading axes round is reading their positions backwards.
                let inner: usize = shape[*spatial..].iter().product();
                values.chunks_exact(inner.max(1)).rev().flatten().copied().collect()
            }
            Step::Squeeze(_) => values,
        }
    }
}

fn permute(values: &[f32], shape: &[usize], axes: &[usize]) -> Vec<f32> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let sizes: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
    let steps: Vec<usize> = axes.iter().map(|&axis| strides[axis]).collect();
    let mut index = vec![0; sizes.len()];
    let mut at = 0;
    let mut out = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        out.push(values[at]);
        for axis in (0..sizes.len()).rev() {
            index[axis] += 1;
            at += steps[axis];
            if index[axis] < sizes[axis] {
                break;
            }
            at -= steps[axis] * sizes[axis];
            index[axis] = 0;
        }
    }
    out
}

/// The steps that bring a PyTorch `weight` to the shape of a layer's kernel; none for a vector.
pub(crate) fn from_torch(class: &str, rank: usize) -> Vec<Step> {
    let order: Vec<usize> = match (class, rank) {
        ("Dense", 2) => vec![1, 0],
        // (in, out, spatial…) → (spatial…, out, in).
        (class, rank) if class.ends_with("Transpose") && rank > 2 => (2..rank).chain([1, 0]).collect(),
        // (channels · multiplier, 1, spatial…) → (spatial…, channels, multiplier), for one filter a channel.
        (class, rank) if class.starts_with("Depthwise") && rank > 2 => (2..rank).chain([0, 1]).collect(),
        // (out, in, spatial…) → (spatial…, in, out).
        (class, rank) if class.starts_with("Conv") && rank > 2 => (2..rank).chain([1, 0]).collect(),
        _ => return Vec::new(),
    };
    vec![Step::Permute(order)]
}

/// The steps that bring a kernel of Keras 1 to today's shape. `is_theano_order` says that its filters come first.
pub(crate) fn from_keras_1(class: &str, shape: &[usize], wanted: &[usize], is_theano_order: Option<bool>) -> Vec<Step> {
    let fits = |steps: &[Step]| steps.iter().fold(shape.to_vec(), |shape, step| step.shape(&shape)) == wanted;
    let candidates: Vec<Vec<Step>> = match (class, shape.len()) {
        ("Conv1D", 4) => vec![vec![Step::Squeeze(1)], vec![Step::Permute(vec![2, 3, 1, 0]), Step::Squeeze(1)]],
        ("Conv2D", 4) => vec![vec![], vec![Step::Permute(vec![2, 3, 1, 0])]],
        ("Conv2DTranspose", 4) => vec![vec![Step::Permute(vec![0, 1, 3, 2])], vec![Step::Permute(vec![2, 3, 0, 1])]],
        ("Conv3D", 5) => vec![vec![], vec![Step::Permute(vec![2, 3, 4, 1, 0])]],
        _ => return Vec::new(),
    };
    let preferred = usize::from(is_theano_order == Some(true));
    [preferred, 1 - preferred]
        .into_iter()
        .map(|i| &candidates[i])
        .find(|steps| fits(steps))
        .cloned()
        .unwrap_or_default()
}

/// The step that makes a kernel which Theano used for a true convolution one for TensorFlow's correlation.
pub(crate) fn from_theano(class: &str, rank: usize) -> Vec<Step> {
    let is_turned = matches!(class, "Conv1D" | "Conv2D" | "Conv3D" | "Conv2DTranspose") && rank > 2;
    if is_turned { vec![Step::Flip(rank - 2)] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize) -> Vec<f32> {
        (0..n).map(|i| i as f32).collect()
    }

    #[test]
    fn axes_change_places() {
        let step = Step::Permute(vec![2, 0, 1]);
        assert_eq!(step.shape(&[2, 3, 4]), [4, 2, 3]);
        let out = step.apply(numbers(24), &[2, 3, 4]);
        // out[k, i, j] = in[i, j, k].
        for (k, i, j) in [(0, 0, 0), (1, 0, 2), (3, 1, 1), (2, 1, 2)] {
            assert_eq!(out[(k * 2 + i) * 3 + j], ((i * 3 + j) * 4 + k) as f32);
        }
    }

    #[test]
    fn a_kernel_is_turned_in_its_spatial_axes_only() {
        let out = Step::Flip(2).apply(numbers(12), &[2, 3, 1, 2]);
        assert_eq!(out, [10.0, 11.0, 8.0, 9.0, 6.0, 7.0, 4.0, 5.0, 2.0, 3.0, 0.0, 1.0]);
        assert_eq!(from_theano("Conv2D", 4), [Step::Flip(2)]);
        assert!(from_theano("Dense", 2).is_empty() && from_theano("Conv2D", 1).is_empty());
    }

    #[test]
    fn keras_1_orders() {
        assert!(from_keras_1("Conv2D", &[3, 3, 2, 4], &[3, 3, 2, 4], None).is_empty());
        assert_eq!(from_keras_1("Conv2D", &[4, 2, 3, 3], &[3, 3, 2, 4], None), [Step::Permute(vec![2, 3, 1, 0])]);
        assert_eq!(from_keras_1("Conv2D", &[3; 4], &[3; 4], Some(true)), [Step::Permute(vec![2, 3, 1, 0])]);
        assert!(from_keras_1("Conv2D", &[3; 4], &[3; 4], Some(false)).is_empty());
        assert_eq!(from_keras_1("Conv1D", &[5, 1, 2, 4], &[5, 2, 4], None), [Step::Squeeze(1)]);
        let steps = from_keras_1("Conv1D", &[4, 2, 5, 1], &[5, 2, 4], None);
        assert_eq!(steps, [Step::Permute(vec![2, 3, 1, 0]), Step::Squeeze(1)]);
    }

    #[test]
    fn torch_orders() {
        let shape = |class: &str, shape: &[usize]| {
            from_torch(class, shape.len()).iter().fold(shape.to_vec(), |shape, step| step.shape(&shape))
        };
        assert_eq!(shape("Conv2D", &[8, 3, 5, 7]), [5, 7, 3, 8]);
        assert_eq!(shape("Conv1D", &[8, 3, 5]), [5, 3, 8]);
        assert_eq!(shape("Conv2DTranspose", &[3, 8, 5, 7]), [5, 7, 8, 3]);
        assert_eq!(shape("DepthwiseConv2D", &[6, 1, 3, 3]), [3, 3, 6, 1]);
        assert_eq!(shape("Dense", &[10, 4]), [4, 10]);
        assert_eq!(shape("BatchNormalization", &[4]), [4]);
    }
}
