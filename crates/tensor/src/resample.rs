//! Pictures seen through matrices: what a back end may do for augmentation.

/// How one picture is seen: where each pixel of the result comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PictureView {
    /// Takes (x, y, 1) of the result, before it is mirrored, to (x, y) in the source; x counts columns.
    pub matrix: [[f64; 3]; 2],
    /// The result is mirrored left to right.
    pub flip_horizontal: bool,
    /// The result is mirrored top to bottom.
    pub flip_vertical: bool,
}

/// What lies beyond a picture's border: scipy.ndimage's modes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum PictureBorder {
    /// The border's own pixels, on and on.
    #[default]
    Nearest,
    /// One value.
    Constant(f32),
    /// The picture mirrored at its edge.
    Reflect,
    /// The picture from its other side, first and last pixel taken as one.
    Wrap,
}

/// How a batch of pictures is seen: bilinearly, positions in 30 binary places.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resampling<'a> {
    /// One view a picture.
    pub views: &'a [PictureView],
    /// What lies beyond the border.
    pub border: PictureBorder,
    /// What every value is multiplied with at the end.
    pub scale: f32,
}
