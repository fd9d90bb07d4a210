//! Winograd's minimal filtering F(m×m, 3×3) for m = 2, 3 and 4 (Lavin and Gray 2015, <https://arxiv.org/abs/1509.09308>).
//!
//! A tile of 4×4 outputs sees 6×6 inputs. Both sides of the convolution are transformed to 36 numbers, multiplied channel by channel,
//! and transformed back: 36 products instead of 144. Over the channels these are 36 matrix products, which run on the same
//! register tile as everything else. The gradient of the input is the same computation on the turned kernel; the gradient of
//! the kernel is the transposed one, with 36 products instead of 144 too. A tile of 3×3 outputs takes 25 products for 81, one of 2×2
//! takes 16 for 36: the size that needs fewest for the whole image is chosen, because a tile that reaches beyond it is paid in full.

mod forward;
mod kernel_gradient;
mod kernel_transform;
mod transforms;

use forward::scatter;
pub(crate) use forward::{run, run_pooled};
pub(crate) use kernel_gradient::run as kernel_gradient;
pub(crate) use kernel_transform::TransformedKernel;

use crate::backend::Context;
use striate_tensor::{ConvAlgorithm, ConvGeometry, Result, Tensor};

/// Outputs along a side of a tile, the preferred size first.
const SIDES: [usize; 3] = [4, 3, 2];
/// Numbers of the largest transformed tile.
const MAX_POINTS: usize = 36;

/// Elements of a transformed kernel that stays in the second-level cache.
const SMALL_KERNEL: usize = 96 << 10;

/// Which pass of a convolution is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    Forward,
    InputGradient,
    KernelGradient,
}

/// Whether this algorithm is used: decided by the shapes alone.
pub(crate) fn is_chosen(cx: &Context, g: &ConvGeometry, pass: Pass) -> bool {
    let asked = if g.algorithm == ConvAlgorithm::Auto { cx.algorithm } else { g.algorithm };
    if asked == ConvAlgorithm::Direct || !is_possible(g) {
        return false;
    }
    if asked == ConvAlgorithm::Winograd {
        return true;
    }
    let tiles = if scatters(g, pass) { Tiles::new(g, Pass::Forward) } else { Tiles::new(g, pass) };
    // The transforms must be paid for by enough channels, the matrix products have enough rows, and the tiles must not
    // reach too far beyond the image. The direct algorithm multiplies each tap with each output of the convolution, in
    // every pass.
    let channels = g.in_channels.min(g.out_channels);
    let direct = 9 * g.positions();
    let points = tiles.points();
    // A transformed kernel is four times as large: a few tiles pay only for one that stays in the second-level cache.
    let small = points * g.in_channels * g.out_channels <= SMALL_KERNEL;
    let enough = if small && pass == Pass::Forward { 6 } else { 24 };
    channels >= 16 && tiles.count() >= enough && 3 * points * tiles.rows * tiles.columns <= 2 * direct
}

/// Whether the input gradient starts from tiles of the output, because they are clearly fewer than tiles of the input.
fn scatters(g: &ConvGeometry, pass: Pass) -> bool {
    let [from_output, from_input] = [Pass::Forward, Pass::InputGradient].map(|pass| Tiles::new(g, pass));
    let per_image = from_output.rows * from_output.columns;
    let products = |tiles: &Tiles| tiles.points() * tiles.count();
    pass == Pass::InputGradient && per_image <= 32 && 5 * products(&from_output) <= 4 * products(&from_input)
}

/// Computes the gradient of the input from that of the output. `weights` is what `kernel` holds.
pub(crate) fn input_gradient(
    cx: &Context,
    g: &ConvGeometry,
    kernel: &Tensor,
    weights: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> Result<()> {
    let scattered = scatters(g, Pass::InputGradient);
    let tiles = Tiles::new(g, if scattered { Pass::Forward } else { Pass::InputGradient });
    let key = super::direct::key(g, u64::MAX - 8 - (2 * tiles.side + usize::from(scattered)) as u64);
    let transformed =
        kernel.prepared(key, || TransformedKernel::new(cx, weights, g, &tiles, Pass::InputGradient, scattered))?;
    if scattered {
        return scatter(cx, &tiles, &transformed, dy, dx);
    }
    run(cx, &tiles, &transformed, dy, None, false, dx)
}

fn is_possible(g: &ConvGeometry) -> bool {
    g.groups == 1
        && g.kernel == [1, 3, 3]
        && g.strides == [1; 3]
        && g.dilations == [1; 3]
        && g.input[0] == 1
        && g.output[0] == 1
        && g.pad_before[1..].iter().chain(&g.pad_after[1..]).all(|&pad| pad <= 2)
        && g.batch * g.positions() > 0
        && g.in_channels > 0
}

/// The tiles of a pass: a grid over each image, of the whole batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tiles {
    /// Outputs along a side of a tile: 2, 3 or 4.
    side: usize,
    batch: usize,
    /// Height and width of what is read, and its channels.
    input: [usize; 2],
    in_channels: usize,
    /// Height and width of what is written, and its channels.
    output: [usize; 2],
    out_channels: usize,
    /// Zeros above and left of what is read.
    pad: [usize; 2],
    rows: usize,
    columns: usize,
    /// Whether only the maximum of each 2×2 outputs is written.
    pools: bool,
}

impl Tiles {
    pub(crate) fn new(g: &ConvGeometry, pass: Pass) -> Tiles {
        let [input, output] = [[g.input[1], g.input[2]], [g.output[1], g.output[2]]];
        let pad = [g.pad_before[1], g.pad_before[2]];
        let (input, in_channels, output, out_channels, pad) = match pass {
            Pass::InputGradient => (output, g.out_channels, input, g.in_channels, pad.map(|pad| 2 - pad.min(2))),
            Pass::Forward | Pass::KernelGradient => (input, g.in_channels, output, g.out_channels, pad),
        };
        let products = |side: &usize| (side + 2).pow(2) * output[0].div_ceil(*side) * output[1].div_ceil(*side);
        let side = SIDES.into_iter().min_by_key(products).unwrap_or(SIDES[0]);
        let [rows, columns] = output.map(|size| size.div_ceil(side));
        Tiles { side, batch: g.batch, input, in_channels, output, out_channels, pad, rows, columns, pools: false }
    }

    /// Outputs along a side of a tile.
    pub(crate) fn side(&self) -> usize {
        self.side
    }

    /// The same tiles, of which only the maximum of each 2×2 outputs is written.
    pub(crate) fn pooled(self) -> Tiles {
        Tiles { pools: true, ..self }
    }

    /// Numbers of a transformed tile.
    fn points(&self) -> usize {
        (self.side + 2).pow(2)
    }

    /// Tiles of all images.
    pub(crate) fn count(&self) -> usize {
        self.batch * self.rows * self.columns
    }

    /// The image of a tile, and its first output.
    fn place(&self, tile: usize) -> (usize, [usize; 2]) {
        let (image, rest) = (tile / (self.rows * self.columns), tile % (self.rows * self.columns));
        (image, [rest / self.columns * self.side, rest % self.columns * self.side])
    }

    /// Where each of a tile's inputs starts in memory; none outside the image.
    fn inputs(&self, tile: usize) -> [Option<usize>; MAX_POINTS] {
        let (image, first) = self.place(tile);
        grid(self.side + 2, image, first, self.pad, self.input, self.in_channels)
    }

    /// Where each of a tile's outputs starts in memory, or each of their maxima; none outside the image.
    fn outputs(&self, tile: usize) -> [Option<usize>; MAX_POINTS] {
        let (image, first) = self.place(tile);
        if self.pools {
            let [first, output] = [first, self.output].map(|pair| pair.map(|n| n / 2));
            return grid(self.side / 2, image, first, [0; 2], output, self.out_channels);
        }
        grid(self.side, image, first, [0; 2], self.output, self.out_channels)
    }
}

/// Where the pixels of a square start: its corner lies at `first` − `pad` of an image of `size`.
fn grid(
    side: usize,
    image: usize,
    first: [usize; 2],
    pad: [usize; 2],
    size: [usize; 2],
    channels: usize,
) -> [Option<usize>; MAX_POINTS] {
    // Plain loops: for arrays this long `from_fn` and `map` are calls for each element.
    let mut starts = [None; MAX_POINTS];
    for row in 0..side {
        let Some(y) = (first[0] + row).checked_sub(pad[0]).filter(|&y| y < size[0]) else { continue };
        let line = (image * size[0] + y) * size[1];
        for column in 0..side {
            let x = (first[1] + column).wrapping_sub(pad[1]);
            if x < size[1] {
                starts[row * side + column] = Some((line + x) * channels);
            }
        }
    }
    starts
}

/// The distance between the planes of a transformed block: not a multiple of a page, so that the planes of one tile do
/// not fight for the same lines of the cache.
fn plane(elements: usize) -> usize {
    elements.div_ceil(32) * 32 + 16
}
