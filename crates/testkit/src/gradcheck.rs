//! Gradients held to central differences, in double precision.

use striate_autograd::Var;
use striate_tensor::{DType, Key, Result, Tensor};

/// The step of the difference, relative to max(1, |x|).
const STEP: f64 = 1e-5;
/// What a gradient may be off by, relative to itself.
const RELATIVE: f64 = 1e-6;
/// What a gradient may be off by in any case, from the difference's own curvature…
const ABSOLUTE: f64 = 1e-8;
/// …and from the rounding of the sum it is taken of, relative to that sum's magnitude.
const ROUNDING: f64 = 1e-10;

/// Holds `backward` to the central differences of `forward`.
///
/// `forward` computes one tensor of any shape from the inputs; `backward` gives each input's gradient from the inputs
/// and the gradient `dy` of that tensor. All are float64, as on the [reference](crate::reference) device. Every element of
/// every input is moved a little to both sides, and the change of Σ dy·y, for one random `dy`, is compared. Keep inputs small, and
/// away from kinks (by more than 10⁻⁵) and ties.
///
/// # Errors
/// A text naming the input, the element and both values where they differ by more than 10⁻⁶ of the larger one; or what
/// is wrong with the arguments; or the error of one of the functions.
///
/// ```
/// use striate_tensor::Tensor;
/// let device = striate_testkit::reference::device();
/// let x = Tensor::from_vec(vec![0.3f64, -1.2, 2.0], [3], &device)?;
/// let square = |x: &[Tensor]| x[0].mul(&x[0]);
/// let right = |x: &[Tensor], dy: &Tensor| Ok(vec![x[0].affine(2.0, 0.0)?.mul(dy)?]);
/// assert!(striate_testkit::gradcheck::check("square", &[x.clone()], square, right).is_ok());
/// let wrong = |x: &[Tensor], dy: &Tensor| Ok(vec![x[0].mul(dy)?]);
/// assert!(striate_testkit::gradcheck::check("square", &[x], square, wrong).is_err());
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub fn check(
    name: &str,
    inputs: &[Tensor],
    forward: impl Fn(&[Tensor]) -> Result<Tensor>,
    backward: impl Fn(&[Tensor], &Tensor) -> Result<Vec<Tensor>>,
) -> Result<(), String> {
    let told = |error: striate_tensor::Error| format!("{name}: {error}");
    if let Some(i) = inputs.iter().position(|input| input.dtype() != DType::F64 || input.elements() == 0) {
        return Err(format!("{name}: input {i} must be float64 and not empty, and is {:?}", inputs[i]));
    }
    let y = forward(inputs).map_err(told)?;
    let dy = weights(name, &y).map_err(told)?;
    let gradients = backward(inputs, &dy).map_err(told)?;
    if gradients.len() != inputs.len() {
        return Err(format!("{name}: {} gradients for {} inputs", gradients.len(), inputs.len()));
    }
    let weights = dy.to_f64_vec().map_err(told)?;
    let weighted = |inputs: &[Tensor]| -> Result<Vec<f64>> {
        Ok(forward(inputs)?.to_f64_vec()?.into_iter().zip(&weights).map(|(y, dy)| y * dy).collect())
    };
    let rounding = ROUNDING * weighted(inputs).map_err(told)?.iter().map(|summand| summand.abs()).sum::<f64>();
    for (i, (input, gradient)) in inputs.iter().zip(&gradients).enumerate() {
        if gradient.shape() != input.shape() {
            return Err(format!("{name}: gradient {i} has shape {}, its input {}", gradient.shape(), input.shape()));
        }
        let gradient = gradient.to_f64_vec().map_err(told)?;
        for (element, &analytic) in gradient.iter().enumerate() {
            let numeric = difference(inputs, i, element, &weighted).map_err(told)?;
            let allowed = RELATIVE * analytic.abs().max(numeric.abs()) + ABSOLUTE + rounding;
            // A NaN on either side is a difference too.
            let close = (analytic - numeric).abs() <= allowed;
            if !close {
                return Err(format!(
                    "{name}: the gradient of input {i} {} at element {element} is {analytic:e}, the central difference \
                     {numeric:e}",
                    input.shape()
                ));
            }
        }
    }
    Ok(())
}

/// Holds the tape's gradients of `f` with respect to every input to central differences; as [`check`].
///
/// # Errors
/// As [`check`].
///
/// ```
/// use striate_autograd::Var;
/// use striate_tensor::Tensor;
/// let device = striate_testkit::reference::device();
/// let x = Tensor::from_vec(vec![0.3f64, -1.2, 2.0], [3], &device)?;
/// striate_testkit::gradcheck::check_var("softmax", &[x], |x: &[Var]| x[0].softmax()).unwrap();
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub fn check_var(name: &str, inputs: &[Tensor], f: impl Fn(&[Var]) -> Result<Var>) -> Result<(), String> {
    let forward = |inputs: &[Tensor]| {
        let constants: Vec<Var> = inputs.iter().cloned().map(Var::constant).collect();
        Ok(f(&constants)?.into_value())
    };
    let backward = |inputs: &[Tensor], dy: &Tensor| {
        let leaves: Vec<Var> = inputs.iter().cloned().map(Var::leaf).collect();
        let mut gradients = f(&leaves)?.backward_from(dy.clone())?;
        let of_leaf = |leaf: &Var| match gradients.take(leaf) {
            Some(gradient) => Ok(gradient),
            // The tape says that the result does not depend on this input.
            None => Tensor::full(*leaf.shape(), 0.0, DType::F64, leaf.device()),
        };
        leaves.iter().map(of_leaf).collect()
    };
    check(name, inputs, forward, backward)
}

/// A random gradient of the output, without elements near zero.
fn weights(name: &str, y: &Tensor) -> Result<Tensor> {
    let mut stream = Key::new(0).fold_str(name).stream();
    let values = (0..y.elements()).map(|_| {
        let magnitude = stream.uniform_in(0.5, 1.5);
        if stream.below(2) == 0 { magnitude } else { -magnitude }
    });
    Tensor::from_vec(values.collect::<Vec<f64>>(), *y.shape(), y.device())
}

/// (f(x + h) − f(x − h)) / 2h, where f is the sum of `summands` and x one element of one input.
fn difference(
    inputs: &[Tensor],
    input: usize,
    element: usize,
    summands: &impl Fn(&[Tensor]) -> Result<Vec<f64>>,
) -> Result<f64> {
    let mut moved = inputs.to_vec();
    let x = moved[input].to_f64_vec()?[element];
    let (above, below) = (x + STEP * x.abs().max(1.0), x - STEP * x.abs().max(1.0));
    moved[input].make_mut::<f64>()?[element] = above;
    let high = summands(&moved)?;
    moved[input].make_mut::<f64>()?[element] = below;
    let low = summands(&moved)?;
    // Summand by summand: those that did not change cancel exactly.
    Ok(high.iter().zip(&low).map(|(high, low)| high - low).sum::<f64>() / (above - below))
}
