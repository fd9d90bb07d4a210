//! Class activation maps that weigh the channels of a layer by a class's gradient.

use super::score;
use crate::dream::no_layer;
use crate::plane::Plane;
use striate_autograd::Var;
use striate_nn::{LayerInfo, Model, Run};
use striate_tensor::{Error, Result, Tensor};

/// How channels A of a layer and the gradient G of the class's score become a map. Sums over i run over the places of the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CamMethod {
    /// relu(Σ_k mean(G_k) · A_k): Selvaraju et al. 2017, <https://arxiv.org/abs/1610.02391>.
    #[default]
    GradCam,
    /// As Grad-CAM with each place weighed by G²/(2G² + ΣA·G³) where G is positive: Chattopadhay et al. 2018,
    /// <https://arxiv.org/abs/1710.11063>.
    GradCamPlusPlus,
    /// relu(Σ_k G_k · A_k), place by place: Draelos and Carin 2020, <https://arxiv.org/abs/2011.08891>.
    HiResCam,
    /// relu(Σ_k relu(G_k) · A_k), place by place: Jiang et al. 2021, <https://doi.org/10.1109/TIP.2021.3089943>.
    LayerCam,
}

/// The layer that maps are taken of unless another is asked for: the last one that has places and is no pooling or the like.
///
/// # Errors
/// [`Error::Model`] for a model without such a layer.
pub fn default_cam_layer(model: &Model) -> Result<LayerInfo> {
    const NOT: [&str; 7] = ["Pooling", "Dropout", "Input", "Padding", "Cropping", "Sequential", "Functional"];
    let layers = model.graph().layers().into_iter();
    let fits = |layer: &LayerInfo| {
        layer.output.rank() == 3
            && layer.output[0] * layer.output[1] > 1
            && !NOT.iter().any(|part| layer.class.contains(part))
    };
    layers.rev().find(fits).ok_or_else(|| {
        Error::model(model.name(), "a heat map needs a layer with places, (height, width, channels)", "none", "")
    })
}

/// The map of a class at a layer's own resolution, at least 0, for an input (1, height, width, channels).
///
/// # Errors
/// [`Error::Argument`] for a class or layer that is not there, or a layer without places.
pub fn cam(model: &Model, input: &Tensor, class: usize, layer: &str, method: CamMethod) -> Result<Plane> {
    let (activation, gradient) = activation_and_gradient(model, input, class, layer)?;
    let &[1, height, width, channels] = activation.shape().as_slice() else {
        let received = activation.shape().to_string();
        return Err(Error::argument(layer, "the layer must have places, (1, height, width, channels)", received, ""));
    };
    let (a, g) = (activation.to_vec::<f32>()?, gradient.to_vec::<f32>()?);
    let places = height * width;
    let sum = |channel: usize, value: &dyn Fn(f32, f32) -> f32| -> f32 {
        (0..places).map(|p| value(a[p * channels + channel], g[p * channels + channel])).sum()
    };
    let weights: Vec<f32> = match method {
        CamMethod::GradCam => (0..channels).map(|c| sum(c, &|_, g| g) / places as f32).collect(),
        CamMethod::GradCamPlusPlus => {
            let weight = |c: usize| {
                let total = sum(c, &|a, _| a);
                sum(c, &|_, g| {
                    let below = 2.0 * g * g + total * g * g * g;
                    if below.abs() > 1e-12 { g * g / below * g.max(0.0) } else { 0.0 }
                })
            };
            (0..channels).map(weight).collect()
        }
        CamMethod::HiResCam | CamMethod::LayerCam => Vec::new(),
    };
    let at = |p: usize| -> f32 {
        let terms = (0..channels).map(|c| {
            let i = p * channels + c;
            match method {
                CamMethod::HiResCam => g[i] * a[i],
                CamMethod::LayerCam => g[i].max(0.0) * a[i],
                CamMethod::GradCam | CamMethod::GradCamPlusPlus => weights[c] * a[i],
            }
        });
        terms.sum::<f32>().max(0.0)
    };
    Plane::new(height, width, (0..places).map(at).collect())
}

/// A layer's output, and the gradient of the class's score with respect to it.
fn activation_and_gradient(model: &Model, input: &Tensor, class: usize, layer: &str) -> Result<(Tensor, Tensor)> {
    if model.graph().layer(layer).is_none() {
        return Err(no_layer(model, layer));
    }
    let (score, mut captured) = score(model, &Var::constant(input.clone()), class, Run::inference().cut([layer]))?;
    let missing = || Error::argument(layer, "the class's score must depend on the layer", "it does not", "");
    let activation = captured.remove(layer).ok_or_else(missing)?;
    let gradient = score.backward()?.take(&activation).ok_or_else(missing)?;
    Ok((activation.into_value(), gradient))
}
