//! Memory and layout: elements are moved, in any type.

use crate::context::{Context, Grid, address, f32s, stored};
use striate_tensor::{
    AlignedVec, DType, Element, Error, HostBuffer, HostData, MAX_RANK, PadGeometry, PadMode, Result, Shape, Storage,
    Tensor, bf16, f16,
};

const FILE: &str = "layout";

/// The bytes of host elements.
fn bytes_of<T: Element>(all: &[T]) -> &[u8] {
    // SAFETY: elements are plain numbers without padding, and every byte of memory is a valid u8.
    unsafe { std::slice::from_raw_parts(all.as_ptr().cast::<u8>(), size_of_val(all)) }
}

fn bytes_of_mut<T: Element>(all: &mut [T]) -> &mut [u8] {
    // SAFETY: as above; elements are integers and floats, for which all bits are valid.
    unsafe { std::slice::from_raw_parts_mut(all.as_mut_ptr().cast::<u8>(), size_of_val(all)) }
}

pub(crate) fn upload(cx: &Context, data: &HostBuffer) -> Result<Storage> {
    let bytes = match data.data() {
        HostData::F32(v) => bytes_of(v),
        HostData::F64(v) => bytes_of(v),
        HostData::F16(v) => bytes_of(v),
        HostData::Bf16(v) => bytes_of(v),
        HostData::U8(v) => bytes_of(v),
        HostData::I32(v) => bytes_of(v),
        HostData::I64(v) => bytes_of(v),
    };
    stored(cx.uploads.upload(&cx.pool, bytes, data.data().len(), data.data().dtype())?)
}

pub(crate) fn download(cx: &Context, x: &Tensor) -> Result<HostBuffer> {
    fn typed<T: Element>(cx: &Context, x: &Tensor) -> Result<HostBuffer> {
        let mut all = AlignedVec::<T>::zeros(x.elements())?;
        // SAFETY: the tensor has as many elements of the type from that address on.
        unsafe { cx.gpu.download(bytes_of_mut(&mut all), address(x)?)? };
        Ok(HostBuffer::new(T::into_host(all), None))
    }
    match x.dtype() {
        DType::F32 => typed::<f32>(cx, x),
        DType::F64 => typed::<f64>(cx, x),
        DType::F16 => typed::<f16>(cx, x),
        DType::Bf16 => typed::<bf16>(cx, x),
        DType::U8 => typed::<u8>(cx, x),
        DType::I32 => typed::<i32>(cx, x),
        DType::I64 => typed::<i64>(cx, x),
        other => Err(unknown(other)),
    }
}

fn unknown(dtype: DType) -> Error {
    Error::dtype("cuda", "the element type must be a known one", dtype.name(), "")
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Fill {
    y: u64,
    n: i64,
    bits: u64,
}

pub(crate) fn full(cx: &Context, len: usize, dtype: DType, value: f64) -> Result<Storage> {
    let bits = match dtype {
        DType::F32 => u64::from(f32::from_f64(value).to_bits()),
        DType::F64 => value.to_bits(),
        DType::F16 => u64::from(f16::from_f64(value).to_bits()),
        DType::Bf16 => u64::from(bf16::from_f64(value).to_bits()),
        DType::U8 => u64::from(u8::from_f64(value)),
        DType::I32 => u64::from(i32::from_f64(value) as u32),
        DType::I64 => i64::from_f64(value) as u64,
        other => return Err(unknown(other)),
    };
    let buffer = cx.take(len, dtype)?;
    let y = buffer.address();
    if dtype.size() < 8 {
        // SAFETY: the buffer has room for `len` elements of the size.
        unsafe { cx.gpu.set(y, dtype.size(), bits, len)? };
    } else if len > 0 {
        // SAFETY: Fill is the kernel's struct; the buffer has room for `len` elements of 8 bytes.
        unsafe { cx.launch("memory", "fill8", Grid::elements(len), &Fill { y, n: len as i64, bits })? };
    }
    stored(buffer)
}

pub(crate) fn copy(cx: &Context, x: &Tensor) -> Result<Storage> {
    let buffer = cx.take(x.elements(), x.dtype())?;
    // SAFETY: both have as many elements of the type, and the buffer is new.
    unsafe { cx.gpu.copy(buffer.address(), address(x)?, x.elements() * x.dtype().size())? };
    stored(buffer)
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Cast {
    x: u64,
    y: u64,
    n: i64,
    from: i32,
    to: i32,
}

/// The kernels' code of a type.
fn code(dtype: DType) -> Result<i32> {
    Ok(match dtype {
        DType::F32 => 0,
        DType::F64 => 1,
        DType::F16 => 2,
        DType::Bf16 => 3,
        DType::U8 => 4,
        DType::I32 => 5,
        DType::I64 => 6,
        other => return Err(unknown(other)),
    })
}

pub(crate) fn cast(cx: &Context, x: &Tensor, dtype: DType) -> Result<Storage> {
    let buffer = cx.take(x.elements(), dtype)?;
    if x.elements() > 0 {
        let arguments = Cast {
            x: address(x)?,
            y: buffer.address(),
            n: x.elements() as i64,
            from: code(x.dtype())?,
            to: code(dtype)?,
        };
        // SAFETY: Cast is the kernel's struct; both have n elements of their types.
        unsafe { cx.launch("memory", "cast", Grid::elements(x.elements()), &arguments)? };
    }
    stored(buffer)
}

/// A kernel's name for elements of this size.
fn sized(names: [&'static str; 4], dtype: DType) -> &'static str {
    match dtype.size() {
        1 => names[0],
        2 => names[1],
        4 => names[2],
        _ => names[3],
    }
}

fn wide(sizes: &[usize]) -> [i64; MAX_RANK] {
    let mut all = [0; MAX_RANK];
    all.iter_mut().zip(sizes).for_each(|(to, &from)| *to = from as i64);
    all
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Copy {
    x: u64,
    y: u64,
    n: i64,
    size: [i64; MAX_RANK],
    from: [i64; MAX_RANK],
    to: [i64; MAX_RANK],
    rank: i32,
    unused: i32,
}

/// Copies a box of `sizes` elements between strided places, which begin at these addresses.
///
/// # Safety
/// Every place that sizes and strides reach must lie in memory of the two.
unsafe fn copy_box(
    cx: &Context,
    dtype: DType,
    (x, from): (u64, &[usize]),
    (y, to): (u64, &[usize]),
    sizes: &[usize],
) -> Result<()> {
    let n: usize = sizes.iter().product();
    if n == 0 {
        return Ok(());
    }
    let arguments = Copy {
        x,
        y,
        n: n as i64,
        size: wide(sizes),
        from: wide(from),
        to: wide(to),
        rank: sizes.len() as i32,
        unused: 0,
    };
    let kernel = sized(["copy1", "copy2", "copy4", "copy8"], dtype);
    // SAFETY: Copy is the kernel's struct, the rest is the caller's promise.
    unsafe { cx.launch(FILE, kernel, Grid::elements(n), &arguments) }
}

/// How far apart neighbours along each axis are in row-major order.
pub(crate) fn strides(sizes: &[usize]) -> Vec<usize> {
    let mut all = vec![1; sizes.len()];
    for axis in (1..sizes.len()).rev() {
        all[axis - 1] = all[axis] * sizes[axis];
    }
    all
}

pub(crate) fn permute(cx: &Context, x: &Tensor, order: &[usize]) -> Result<Storage> {
    let buffer = cx.take(x.elements(), x.dtype())?;
    let of_x = strides(x.shape());
    let sizes: Vec<usize> = order.iter().map(|&axis| x.shape()[axis]).collect();
    let from: Vec<usize> = order.iter().map(|&axis| of_x[axis]).collect();
    // SAFETY: order names each axis once, so all places lie in x; the result has as many elements.
    unsafe { copy_box(cx, x.dtype(), (address(x)?, &from), (buffer.address(), &strides(&sizes)), &sizes)? };
    stored(buffer)
}

/// Writes a matrix of so many rows and columns of 32-bit elements with the two exchanged.
///
/// # Safety
/// Both addresses must have room for all elements.
pub(crate) unsafe fn turn(cx: &Context, x: u64, y: u64, [rows, columns]: [usize; 2]) -> Result<()> {
    // SAFETY: the caller's promise; the places are those of the elements.
    unsafe { copy_box(cx, DType::F32, (x, &[1, columns]), (y, &[rows, 1]), &[columns, rows]) }
}

pub(crate) fn crop(cx: &Context, x: &Tensor, start: &[usize], shape: &Shape) -> Result<Storage> {
    let buffer = cx.take(shape.elements(), x.dtype())?;
    let from = strides(x.shape());
    let first: usize = start.iter().zip(&from).map(|(start, stride)| start * stride).sum();
    let x_address = address(x)? + (first * x.dtype().size()) as u64;
    // SAFETY: the box lies inside x, as the tensor's method checked.
    unsafe { copy_box(cx, x.dtype(), (x_address, &from), (buffer.address(), &strides(shape)), shape)? };
    stored(buffer)
}

pub(crate) fn concat(cx: &Context, parts: &[&Tensor], axis: usize, shape: &Shape) -> Result<Storage> {
    let dtype = parts.first().map_or(DType::F32, |part| part.dtype());
    let buffer = cx.take(shape.elements(), dtype)?;
    let to = strides(shape);
    let mut at = 0;
    for part in parts {
        let y = buffer.address() + (at * to[axis] * dtype.size()) as u64;
        // SAFETY: the parts' sizes along the axis add up to the result's, and the others are equal.
        unsafe { copy_box(cx, dtype, (address(part)?, &strides(part.shape())), (y, &to), part.shape())? };
        at += part.shape()[axis];
    }
    stored(buffer)
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Gather {
    x: u64,
    y: u64,
    rows: u64,
    n: i64,
    row: i64,
}

pub(crate) fn gather(cx: &Context, x: &Tensor, rows: &[usize]) -> Result<Storage> {
    let row = x.shape().without_batch().elements();
    let n = rows.len() * row;
    let buffer = cx.take(n, x.dtype())?;
    if n > 0 {
        let order: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let on_device = cx.take(order.len(), DType::I64)?;
        // SAFETY: the buffer has room for the indices.
        unsafe { cx.gpu.upload(on_device.address(), bytes_of(&order))? };
        let arguments =
            Gather { x: address(x)?, y: buffer.address(), rows: on_device.address(), n: n as i64, row: row as i64 };
        let kernel = sized(["gather1", "gather2", "gather4", "gather8"], x.dtype());
        // SAFETY: Gather is the kernel's struct; each index is below the number of rows, as the tensor's method checked.
        unsafe { cx.launch(FILE, kernel, Grid::elements(n), &arguments)? };
    }
    stored(buffer)
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Pad {
    x: u64,
    y: u64,
    n: i64,
    fill: u64,
    size: [i64; MAX_RANK],
    before: [i64; MAX_RANK],
    after: [i64; MAX_RANK],
    rank: i32,
    mode: i32,
}

impl Pad {
    /// `shape` is that of the values without their border.
    fn new(x: u64, y: u64, n: usize, pad: &PadGeometry, dtype: DType, shape: &Shape) -> Result<Pad> {
        let (mode, fill) = match pad.mode {
            PadMode::Constant(value) => (0, value),
            PadMode::Replicate => (1, 0.0),
            PadMode::Reflect => (2, 0.0),
        };
        let value = f64::from(fill);
        let fill = match dtype {
            DType::F32 => u64::from(fill.to_bits()),
            DType::F64 => value.to_bits(),
            DType::F16 => u64::from(f16::from_f64(value).to_bits()),
            DType::Bf16 => u64::from(bf16::from_f64(value).to_bits()),
            DType::U8 => u64::from(u8::from_f64(value)),
            DType::I32 => u64::from(i32::from_f64(value) as u32),
            DType::I64 => i64::from_f64(value) as u64,
            other => return Err(unknown(other)),
        };
        let (before, after): (Vec<usize>, Vec<usize>) = pad.pads.iter().copied().unzip();
        Ok(Pad {
            x,
            y,
            n: n as i64,
            fill,
            size: wide(shape),
            before: wide(&before),
            after: wide(&after),
            rank: shape.rank() as i32,
            mode,
        })
    }
}

pub(crate) fn pad(cx: &Context, x: &Tensor, pad: &PadGeometry, shape: &Shape) -> Result<Storage> {
    let n = shape.elements();
    let buffer = cx.take(n, x.dtype())?;
    if n > 0 {
        let arguments = Pad::new(address(x)?, buffer.address(), n, pad, x.dtype(), x.shape())?;
        let kernel = sized(["pad1", "pad2", "pad4", "pad8"], x.dtype());
        // SAFETY: Pad is the kernel's struct; the result has the sizes and borders of the geometry.
        unsafe { cx.launch(FILE, kernel, Grid::elements(n), &arguments)? };
    }
    stored(buffer)
}

pub(crate) fn pad_backward(cx: &Context, dy: &Tensor, pad: &PadGeometry, shape: &Shape) -> Result<Storage> {
    let from = f32s("padding gradient", dy)?;
    let n = shape.elements();
    let buffer = cx.take(n, DType::F32)?;
    if n > 0 {
        let arguments = Pad::new(from, buffer.address(), n, pad, DType::F32, shape)?;
        // SAFETY: Pad is the kernel's struct; dy has the sizes of `shape` plus its borders.
        unsafe { cx.launch(FILE, "pad_backward", Grid::elements(n), &arguments)? };
    }
    stored(buffer)
}
