//! Activation functions that a back end can fuse into a convolution or a matrix product.

/// An elementwise activation.
///
/// Formulas and names are Keras's (<https://keras.io/api/layers/activations/>). Softmax is no elementwise function and
/// has its own primitive.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum Activation {
    /// y = x.
    #[default]
    Linear,
    /// y = max(x, 0).
    Relu,
    /// y = min(max(x, 0), 6).
    Relu6,
    /// y = x for x > 0, else `slope`·x.
    LeakyRelu(f32),
    /// y = x for x > 0, else `alpha`·(eˣ − 1).
    Elu(f32),
    /// Elu with alpha 1.67326324, scaled by 1.05070098.
    Selu,
    /// y = 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// y = min(max(x/6 + 1/2, 0), 1).
    HardSigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// y = eˣ.
    Exponential,
    /// y = x / (1 + |x|).
    Softsign,
    /// y = ln(1 + eˣ).
    Softplus,
    /// y = x·sigmoid(x), also called swish.
    Silu,
    /// y = x·Φ(x), with the error function.
    Gelu,
    /// y = x/2·(1 + tanh(√(2/π)·(x + 0.044715 x³))).
    GeluTanh,
}

/// Selu's constants (Klambauer et al. 2017, <https://arxiv.org/abs/1706.02515>).
pub(crate) const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
pub(crate) const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

impl Activation {
    /// Whether the slope is known from the output alone, so that the input need not be kept for backward.
    pub fn slope_from_output(self) -> bool {
        use Activation::*;
        match self {
            Linear | Relu | Relu6 | Selu | Sigmoid | HardSigmoid | Tanh | Exponential | Softsign | Softplus => true,
            // With a negative slope the output's sign no longer tells the input's.
            LeakyRelu(slope) => slope >= 0.0,
            Elu(alpha) => alpha >= 0.0,
            Silu | Gelu | GeluTanh => false,
        }
    }

    /// f(x) in double precision: what every back end is held to.
    pub fn apply(self, x: f64) -> f64 {
        use Activation::*;
        match self {
            Linear => x,
            Relu => x.max(0.0),
            Relu6 => x.clamp(0.0, 6.0),
            LeakyRelu(slope) => {
                if x > 0.0 {
                    x
                } else {
                    f64::from(slope) * x
                }
            }
            Elu(alpha) => {
                if x > 0.0 {
                    x
                } else {
                    f64::from(alpha) * x.exp_m1()
                }
            }
            Selu => SELU_SCALE * if x > 0.0 { x } else { SELU_ALPHA * x.exp_m1() },
            Sigmoid => sigmoid(x),
            HardSigmoid => (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Tanh => x.tanh(),
            Exponential => x.exp(),
            Softsign => x / (1.0 + x.abs()),
            Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Silu => x * sigmoid(x),
            Gelu => x * normal_cdf(x),
            GeluTanh => 0.5 * x * (1.0 + gelu_inner(x).tanh()),
        }
    }

    /// f′ in double precision, from the output `y` where [`Activation::slope_from_output`] says so, else from the
    /// input `x`.
    pub fn slope(self, value: f64) -> f64 {
        use Activation::*;
        match self {
            Linear => 1.0,
            Relu => f64::from(value > 0.0),
            Relu6 => f64::from(value > 0.0 && value < 6.0),
            LeakyRelu(slope) => {
                if value > 0.0 {
                    1.0
                } else {
                    f64::from(slope)
                }
            }
            Elu(alpha) if alpha >= 0.0 => {
                if value > 0.0 {
                    1.0
                } else {
                    value + f64::from(alpha)
                }
            }
            Elu(alpha) => {
                if value > 0.0 {
                    1.0
                } else {
                    f64::from(alpha) * value.exp()
                }
            }
            Selu => {
                if value > 0.0 {
                    SELU_SCALE
                } else {
                    value + SELU_SCALE * SELU_ALPHA
                }
            }
            Sigmoid => value * (1.0 - value),
            HardSigmoid => {
                if value > 0.0 && value < 1.0 {
                    1.0 / 6.0
                } else {
                    0.0
                }
            }
            Tanh => 1.0 - value * value,
            Exponential => value,
            Softsign => (1.0 - value.abs()).powi(2),
            Softplus => -(-value).exp_m1(),
            Silu => {
                let s = sigmoid(value);
                s * (1.0 + value * (1.0 - s))
            }
            Gelu => normal_cdf(value) + value * (-0.5 * value * value).exp() / (2.0 * std::f64::consts::PI).sqrt(),
            GeluTanh => {
                let t = gelu_inner(value).tanh();
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (1.0 + 3.0 * 0.044715 * value * value);
                0.5 * (1.0 + t) + 0.5 * value * (1.0 - t * t) * inner
            }
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

fn gelu_inner(x: f64) -> f64 {
    (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)
}

/// Φ(x) by the series of erf near zero and its continued fraction further out.
fn normal_cdf(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let erf = if z < 3.0 {
        let mut term = z;
        let mut sum = z;
        for n in 1..100 {
            term *= -z * z / n as f64;
            let add = term / (2 * n + 1) as f64;
            sum += add;
            if add.abs() < 1e-17 {
                break;
            }
        }
        2.0 / std::f64::consts::PI.sqrt() * sum
    } else {
        let mut fraction = z;
        for n in (1..60).rev() {
            fraction = z + n as f64 / 2.0 / fraction;
        }
        1.0 - (-z * z).exp() / (std::f64::consts::PI.sqrt() * fraction)
    };
    0.5 * (1.0 + erf.copysign(x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Activation::*;

    const ALL: [Activation; 17] = [
        Linear,
        Relu,
        Relu6,
        LeakyRelu(0.2),
        LeakyRelu(-0.3),
        Elu(1.0),
        Elu(-0.5),
        Selu,
        Sigmoid,
        HardSigmoid,
        Tanh,
        Exponential,
        Softsign,
        Softplus,
        Silu,
        Gelu,
        GeluTanh,
    ];

    #[test]
    fn slopes_agree_with_central_differences() {
        for activation in ALL {
            for x in [-7.3, -3.5, -1.1, -0.3, 0.4, 1.7, 2.9, 5.5, 7.2] {
                let h = 1e-5;
                let numeric = (activation.apply(x + h) - activation.apply(x - h)) / (2.0 * h);
                let from = if activation.slope_from_output() { activation.apply(x) } else { x };
                let slope = activation.slope(from);
                assert!(
                    (numeric - slope).abs() < 1e-6 * (1.0 + slope.abs()),
                    "{activation:?} at {x}: {numeric} {slope}"
                );
            }
        }
    }

    #[test]
    fn gelu_has_the_published_values() {
        for (x, y) in [(-3.0, -0.00404969), (-1.0, -0.15865525), (0.5, 0.34573123), (2.0, 1.9544997)] {
            assert!((Gelu.apply(x) - y).abs() < 1e-7, "gelu({x}) = {}", Gelu.apply(x));
        }
    }
}
