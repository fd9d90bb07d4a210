//! Shifts, zooms, and the matrix that turning, moving, shearing and zooming make together.

use striate_tensor::Stream;

/// How far a picture moves along an axis, as Keras tells the cases apart.
#[derive(Debug, Clone, PartialEq)]
pub enum Shift {
    /// Uniform in ±value: a fraction of the side if it is below 1, else pixels. Keras's float.
    Uniform(f64),
    /// A whole number of pixels, less than this, to either side. Keras's int.
    Pixels(u32),
    /// One of these, to either side: fractions of the side if all are below 1, else pixels. Keras's list.
    Choices(Vec<f64>),
}

impl Default for Shift {
    fn default() -> Self {
        Shift::Uniform(0.0)
    }
}

impl From<f64> for Shift {
    fn from(range: f64) -> Self {
        Shift::Uniform(range)
    }
}

impl From<Vec<f64>> for Shift {
    fn from(choices: Vec<f64>) -> Self {
        Shift::Choices(choices)
    }
}

impl Shift {
    /// A shift in pixels along a side of `size` pixels.
    pub(super) fn draw(&self, stream: &mut Stream, size: usize) -> f64 {
        let unit = |largest: f64| if largest < 1.0 { size as f64 } else { 1.0 };
        match self {
            Shift::Uniform(0.0) => 0.0,
            Shift::Uniform(range) => stream.uniform_in(-range, *range) * unit(*range),
            Shift::Pixels(n) => sign(stream) * stream.below(u64::from(*n)) as f64,
            Shift::Choices(choices) => {
                let chosen = choices.get(stream.below(choices.len() as u64) as usize).copied().unwrap_or(0.0);
                sign(stream) * chosen * unit(choices.iter().copied().fold(f64::NEG_INFINITY, f64::max))
            }
        }
    }

    /// The number that breaks the rules, or none.
    pub(super) fn flaw(&self) -> Option<String> {
        match self {
            Shift::Uniform(range) => (!(range.is_finite() && *range >= 0.0)).then(|| range.to_string()),
            Shift::Pixels(_) => None,
            Shift::Choices(choices) if choices.is_empty() => Some("an empty list".into()),
            Shift::Choices(choices) => choices.iter().find(|choice| !choice.is_finite()).map(f64::to_string),
        }
    }
}

fn sign(stream: &mut Stream) -> f64 {
    if stream.below(2) == 0 { -1.0 } else { 1.0 }
}

/// The lowest and the highest factor of a zoom; a number z makes (1 - z, 1 + z).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Zoom(pub f64, pub f64);

impl Default for Zoom {
    fn default() -> Self {
        Zoom(1.0, 1.0)
    }
}

impl From<f64> for Zoom {
    fn from(range: f64) -> Self {
        Zoom(1.0 - range, 1.0 + range)
    }
}

impl From<(f64, f64)> for Zoom {
    fn from((low, high): (f64, f64)) -> Self {
        Zoom(low, high)
    }
}

impl Zoom {
    pub(super) fn draw(self, stream: &mut Stream) -> (f64, f64) {
        if self == Zoom(1.0, 1.0) {
            return (1.0, 1.0);
        }
        (stream.uniform_in(self.0, self.1), stream.uniform_in(self.0, self.1))
    }
}

/// Rows of a 3 × 3 matrix that takes (x, y, 1) of the result to (x, y, 1) of the source.
pub(super) type Matrix = [[f64; 3]; 3];

pub(super) const IDENTITY: Matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

pub(super) fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let mut c = [[0.0; 3]; 3];
    for (row, from) in c.iter_mut().zip(a) {
        for (j, value) in row.iter_mut().enumerate() {
            *value = (0..3).map(|k| from[k] * b[k][j]).sum();
        }
    }
    c
}

/// A turn by `theta` degrees.
pub(super) fn rotation(theta: f64) -> Matrix {
    let (sin, cos) = theta.to_radians().sin_cos();
    [[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]]
}

/// A move by so many pixels.
pub(super) fn translation(x: f64, y: f64) -> Matrix {
    [[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]]
}

/// Keras's shear: the y axis leans by `angle` degrees and keeps its length.
pub(super) fn shear(angle: f64) -> Matrix {
    let (sin, cos) = angle.to_radians().sin_cos();
    [[1.0, -sin, 0.0], [0.0, cos, 0.0], [0.0, 0.0, 1.0]]
}

/// Factors along the axes.
pub(super) fn zoom(x: f64, y: f64) -> Matrix {
    [[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]]
}

/// The matrix with its fixed point moved from the corner to the middle of a picture.
pub(super) fn about_centre(matrix: &Matrix, height: usize, width: usize) -> Matrix {
    let (x, y) = (width as f64 / 2.0 - 0.5, height as f64 / 2.0 - 0.5);
    product(&product(&translation(x, y), matrix), &translation(-x, -y))
}
