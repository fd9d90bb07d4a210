//! What small kernels make of a picture: the lecture's gallery, the signed response, ReLU and pooling.

mod sliding;

pub use sliding::{lecture_a, sliding_frames};

use crate::colours::ColourMap;
use crate::number_grid::NumberGrid;
use crate::picture::put;
use crate::plane::Plane;
use crate::sheet::{Cell, Sheet};
use image::{Rgb, RgbImage};
use striate_tensor::{ConvSpec, Device, Error, PadMode, Padding, PoolKind, PoolSpec, Result, Tensor};

/// A kernel of 3×3 with a name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NamedKernel {
    /// `sharpen`.
    pub name: &'static str,
    /// The weights, row by row.
    pub weights: [f32; 9],
    /// What the sum of products is divided by.
    pub divisor: f32,
}

/// The lecture's kernels, which are those of GIMP's manual: <https://docs.gimp.org/2.10/en/gimp-filter-convolution-matrix.html>.
pub const KERNELS: [NamedKernel; 5] = [
    NamedKernel { name: "sharpen", weights: [0.0, -1.0, 0.0, -1.0, 5.0, -1.0, 0.0, -1.0, 0.0], divisor: 1.0 },
    NamedKernel { name: "blur", weights: [1.0; 9], divisor: 9.0 },
    NamedKernel { name: "edge enhance", weights: [0.0, 0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, 0.0], divisor: 1.0 },
    NamedKernel { name: "edge detect", weights: [0.0, 1.0, 0.0, 1.0, -4.0, 1.0, 0.0, 1.0, 0.0], divisor: 1.0 },
    NamedKernel { name: "emboss", weights: [-2.0, -1.0, 0.0, -1.0, 1.0, 1.0, 0.0, 1.0, 2.0], divisor: 1.0 },
];

/// The lecture's kernel for upright edges.
pub const UPRIGHT_EDGES: NamedKernel =
    NamedKernel { name: "upright edges", weights: [1.0, 0.0, -1.0, 2.0, 0.0, -2.0, 1.0, 0.0, -1.0], divisor: 1.0 };

impl NamedKernel {
    /// The response of each channel of an image: the kernel laid on each pixel as it is written, without a turn, the border extended by its own
    /// pixels. Values are in the image's units, 0 to 255, and may be negative or larger.
    ///
    /// # Errors
    /// What the device reports.
    ///
    /// ```
    /// use image::{Rgb, RgbImage};
    /// use striate_viz::kernels::KERNELS;
    /// let device = striate_testkit::reference::device();
    /// // A step from 10 to 60: edge enhance has it at one pixel.
    /// let image = RgbImage::from_fn(4, 3, |x, _| Rgb([if x < 2 { 10 } else { 60 }; 3]));
    /// let [red, _, _] = KERNELS[2].respond(&image, &device)?;
    /// assert_eq!(&red.values()[..4], [0.0, 0.0, 50.0, 0.0]);
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn respond(&self, image: &RgbImage, device: &Device) -> Result<[Plane; 3]> {
        let response = self.convolve(&channels(image, device)?)?;
        let plane = |channel: usize| Plane::of_channel(&response.rows(channel..channel + 1)?, 0);
        Ok([plane(0)?, plane(1)?, plane(2)?])
    }

    /// The response of an image's brightness.
    ///
    /// # Errors
    /// What the device reports.
    pub fn respond_to_grey(&self, image: &RgbImage, device: &Device) -> Result<Plane> {
        let grey = image::imageops::grayscale(image);
        let (height, width) = (image.height() as usize, image.width() as usize);
        let values: Vec<f32> = grey.as_raw().iter().map(|&byte| f32::from(byte)).collect();
        Plane::of_channel(&self.convolve(&Tensor::from_vec(values, [1, height, width, 1], device)?)?, 0)
    }

    fn convolve(&self, x: &Tensor) -> Result<Tensor> {
        let weights = self.weights.iter().map(|weight| weight / self.divisor).collect();
        let kernel = Tensor::from_vec(weights, [3, 3, 1, 1], x.device())?;
        let padded = x.pad(&[(0, 0), (1, 1), (1, 1), (0, 0)], PadMode::Replicate)?;
        let spec = ConvSpec { padding: Padding::Valid, ..ConvSpec::default() };
        padded.conv(&kernel, None, &spec, striate_tensor::Activation::Linear)
    }

    /// The image that the kernel makes, cut off at 0 and 255.
    ///
    /// # Errors
    /// What the device reports.
    pub fn apply(&self, image: &RgbImage, device: &Device) -> Result<RgbImage> {
        let [red, green, blue] = self.respond(image, device)?;
        Ok(RgbImage::from_fn(image.width(), image.height(), |x, y| {
            let byte = |plane: &Plane| (plane.at(y as usize, x as usize) + 0.5) as u8;
            Rgb([byte(&red), byte(&green), byte(&blue)])
        }))
    }

    fn plane(&self) -> Plane {
        // Nine numbers are 3 × 3.
        Plane::new(3, 3, self.weights.to_vec()).unwrap_or_else(|_| unreachable!())
    }
}

/// The channels as three samples, (3, height, width, 1).
fn channels(image: &RgbImage, device: &Device) -> Result<Tensor> {
    let channel = |c: usize| image.as_raw().iter().skip(c).step_by(3).map(|&byte| f32::from(byte));
    let values = channel(0).chain(channel(1)).chain(channel(2)).collect();
    Tensor::from_vec(values, [3, image.height() as usize, image.width() as usize, 1], device)
}

/// A signed response in grey: black is negative, white positive, 0 in the middle, the same length to both sides.
pub fn signed_image(response: &Plane) -> RgbImage {
    let (low, high) = response.range();
    let most = low.abs().max(high.abs());
    response.image(ColourMap::Grey, (-most, most), 1)
}

/// The response after ReLU, 0 black, the largest white.
pub fn relu_image(response: &Plane) -> RgbImage {
    response.map(|value| value.max(0.0)).image(ColourMap::Grey, (0.0, response.range().1), 1)
}

/// An image pooled in windows of `size`×`size` that do not overlap, each value drawn as large as its window.
///
/// # Errors
/// [`Error::Argument`] for a window of 0 or larger than the image.
pub fn pooled_image(image: &RgbImage, kind: PoolKind, size: usize, device: &Device) -> Result<RgbImage> {
    if size == 0 || size > image.width().min(image.height()) as usize {
        let rule = "the window must be at least 1 and no larger than the picture";
        return Err(Error::argument("pooling", rule, size.to_string(), ""));
    }
    let spec = PoolSpec { kind, window: [size; 3], strides: [size; 3], padding: Padding::Valid };
    let (pooled, _) = channels(image, device)?.pool(&spec, false)?;
    let plane = |channel: usize| Plane::of_channel(&pooled.rows(channel..channel + 1)?, 0);
    let planes = [plane(0)?, plane(1)?, plane(2)?];
    let (rows, columns) = (planes[0].height() as u32, planes[0].width() as u32);
    let size = size as u32;
    Ok(RgbImage::from_fn(columns * size, rows * size, |x, y| {
        Rgb([0, 1, 2].map(|c: usize| (planes[c].at((y / size) as usize, (x / size) as usize) + 0.5) as u8))
    }))
}

/// The picture as it is and after each of the lecture's kernels, with the kernels' numbers.
///
/// # Errors
/// What the device reports.
pub fn gallery(image: &RgbImage, device: &Device) -> Result<RgbImage> {
    let mut cells = vec![Cell::new(image.clone(), "as it is")];
    for kernel in &KERNELS {
        let name = match kernel.divisor {
            1.0 => kernel.name.to_string(),
            divisor => format!("{}, divided by {divisor}", kernel.name),
        };
        cells.push(Cell::new(beside(&kernel.apply(image, device)?, &numbers(kernel, image)), name));
    }
    Sheet::new(cells).columns(3).title("What kernels of 3 × 3 make of a picture").image()
}

/// For three kernels, the signed response and what ReLU leaves of it.
///
/// # Errors
/// What the device reports.
pub fn relu_sheet(image: &RgbImage, device: &Device) -> Result<RgbImage> {
    let mut cells = Vec::new();
    for kernel in [&UPRIGHT_EDGES, &KERNELS[3], &KERNELS[4]] {
        let response = kernel.respond_to_grey(image, device)?;
        let signed = beside(&signed_image(&response), &numbers(kernel, image));
        cells.push(Cell::new(signed, kernel.name).line("black negative, white positive"));
    }
    for kernel in [&UPRIGHT_EDGES, &KERNELS[3], &KERNELS[4]] {
        let response = kernel.respond_to_grey(image, device)?;
        cells.push(Cell::new(relu_image(&response), "after ReLU").line("only what is not negative"));
    }
    Sheet::new(cells).columns(3).title("Convolution, then ReLU").image()
}

/// The picture, its maxima and its averages in windows of `size`×`size`.
///
/// # Errors
/// As [`pooled_image`].
pub fn pooling_sheet(image: &RgbImage, size: usize, device: &Device) -> Result<RgbImage> {
    let pooled = |kind| pooled_image(image, kind, size, device);
    let (max, average) = (pooled(PoolKind::Max)?, pooled(PoolKind::Average)?);
    let small = format!("{} × {} values", image.height() as usize / size, image.width() as usize / size);
    let cells = vec![
        Cell::new(image.clone(), "as it is").line(format!("{} × {}", image.height(), image.width())),
        Cell::new(max, format!("maximum of {size} × {size}")).line(small.clone()),
        Cell::new(average, format!("average of {size} × {size}")).line(small),
    ];
    Sheet::new(cells).columns(3).title("Pooling").image()
}

/// The kernel's numbers, in cells that suit the picture.
fn numbers(kernel: &NamedKernel, image: &RgbImage) -> RgbImage {
    let cell = (image.width() / 12).clamp(20, 30);
    let plane = kernel.plane();
    NumberGrid { plane: &plane, cell, range: (-4.0, 5.0), filled: 9, window: None }.image()
}

/// One image, and another to the right of it.
fn beside(image: &RgbImage, small: &RgbImage) -> RgbImage {
    let size = (image.width() + 8 + small.width(), image.height().max(small.height()));
    let mut canvas = RgbImage::from_pixel(size.0, size.1, Rgb([255; 3]));
    put(&mut canvas, image, 0, 0);
    put(&mut canvas, small, image.width() + 8, 0);
    canvas
}
