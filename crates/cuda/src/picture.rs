//! Pictures seen through matrices.

use crate::context::{Context, Grid, address, int, stored};
use striate_tensor::{DType, PictureBorder, PictureView, Resampling, Result, Storage, Tensor};

#[repr(C)]
#[derive(Clone, Copy)]
struct View {
    x: [f64; 3],
    y: [f64; 3],
    flip_horizontal: i32,
    flip_vertical: i32,
}

impl View {
    fn new(view: &PictureView) -> View {
        let PictureView { matrix: [x, y], flip_horizontal, flip_vertical } = *view;
        View { x, y, flip_horizontal: i32::from(flip_horizontal), flip_vertical: i32::from(flip_vertical) }
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Resample {
    pictures: u64,
    views: u64,
    y: u64,
    n: i64,
    height: i32,
    width: i32,
    channels: i32,
    border: i32,
    constant: f32,
    scale: f32,
}

pub(crate) fn resample(cx: &Context, pictures: &Tensor, how: &Resampling<'_>) -> Result<Storage> {
    let op = "resampling";
    let y = cx.take(pictures.elements(), DType::F32)?;
    let &[batch, height, width, channels] = pictures.shape().as_slice() else { return stored(y) };
    if pictures.elements() == 0 {
        return stored(y);
    }
    let views: Vec<View> = how.views.iter().map(View::new).collect();
    // SAFETY: views are numbers of eight and four bytes without padding, and every byte of memory is a valid u8.
    let bytes = unsafe { std::slice::from_raw_parts(views.as_ptr().cast::<u8>(), size_of_val(views.as_slice())) };
    let on_device = cx.uploads.upload(&cx.pool, bytes, bytes.len(), DType::U8)?;
    let (border, constant) = match how.border {
        PictureBorder::Nearest => (0, 0.0),
        PictureBorder::Constant(value) => (1, value),
        PictureBorder::Reflect => (2, 0.0),
        PictureBorder::Wrap => (3, 0.0),
    };
    let arguments = Resample {
        pictures: address(pictures)?,
        views: on_device.ready()?,
        y: y.address(),
        n: (batch * height * width) as i64,
        height: int(op, height)?,
        width: int(op, width)?,
        channels: int(op, width * channels).and_then(|_| int(op, channels))?,
        border,
        constant,
        scale: how.scale,
    };
    // SAFETY: Resample and View are the kernel's structs; there is a view for each picture and a result for each byte, as the tensor's method
    // checked; the views live until their memory is lent again in this stream's order.
    unsafe { cx.launch("picture", "resample", Grid::elements(batch * height * width), &arguments)? };
    stored(y)
}
