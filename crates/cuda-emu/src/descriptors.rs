//! cuDNN's descriptors, played: what a convolution is of.

use crate::convolution::Form;
use crate::export;
use cudarc::cudnn::sys::{
    self as real, cudnnConvolutionDescriptor_t, cudnnConvolutionMode_t as Mode, cudnnDataType_t as Type,
    cudnnFilterDescriptor_t, cudnnMathType_t as Math, cudnnStatus_t as Status, cudnnTensorDescriptor_t,
    cudnnTensorFormat_t as Format,
};
use std::ffi::c_int;

/// A tensor's sizes and how far apart neighbours lie, batch and channels first.
#[derive(Default)]
struct Tensor {
    sizes: Vec<c_int>,
    strides: Vec<c_int>,
}

#[derive(Default)]
struct Filter {
    sizes: Vec<c_int>,
}

struct How {
    pad: Vec<c_int>,
    stride: Vec<c_int>,
    dilation: Vec<c_int>,
    groups: c_int,
    math: Math,
}

pub(crate) fn refuse(what: &str) -> Status {
    eprintln!("cuda-emu: cuDNN: {what}");
    Status::CUDNN_STATUS_BAD_PARAM
}

/// # Safety
/// There must be as many numbers.
unsafe fn numbers(from: *const c_int, count: c_int) -> Vec<c_int> {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(from, count.max(0) as usize) }.to_vec()
}

/// The form that four descriptors agree on.
///
/// # Safety
/// The descriptors must be this library's, or null.
pub(crate) unsafe fn form(
    x: cudnnTensorDescriptor_t,
    kernel: cudnnFilterDescriptor_t,
    how: cudnnConvolutionDescriptor_t,
    y: cudnnTensorDescriptor_t,
) -> Result<(Form, Math), Status> {
    // SAFETY: the caller's promise.
    let found = unsafe {
        (
            x.cast::<Tensor>().as_ref(),
            kernel.cast::<Filter>().as_ref(),
            how.cast::<How>().as_ref(),
            y.cast::<Tensor>().as_ref(),
        )
    };
    let (Some(x), Some(kernel), Some(how), Some(y)) = found else { return Err(refuse("a descriptor is null")) };
    let rank = x.sizes.len();
    if rank < 4 || [kernel.sizes.len(), y.sizes.len(), how.pad.len() + 2] != [rank; 3] {
        return Err(refuse("descriptors are not set, or of different ranks"));
    }
    for tensor in [x, y] {
        let mut step = tensor.sizes[1];
        let is_packed = |axis: usize, step: c_int| tensor.strides[axis] == step || tensor.sizes[axis] == 1;
        let mut packed = is_packed(1, 1);
        for axis in (2..rank).rev() {
            packed &= is_packed(axis, step);
            step *= tensor.sizes[axis];
        }
        if !packed || !is_packed(0, step) {
            return Err(refuse("a tensor is not packed with its channels last"));
        }
    }
    let of = |all: &[c_int]| all.iter().map(|&size| size as usize).collect::<Vec<usize>>();
    let groups = how.groups as usize;
    let made = Form::new(
        [x.sizes[0] as usize, x.sizes[1] as usize, kernel.sizes[0] as usize, groups],
        [&of(&x.sizes[2..]), &of(&kernel.sizes[2..]), &of(&y.sizes[2..])],
        [&of(&how.stride), &of(&how.dilation), &of(&how.pad)],
    );
    let agree = x.sizes[1] == kernel.sizes[1] * how.groups
        && kernel.sizes[0] % how.groups == 0
        && y.sizes[..2] == [x.sizes[0], kernel.sizes[0]]
        && made.is_consistent();
    if agree { Ok((made, how.math)) } else { Err(refuse("the sizes of input, kernel and output do not agree")) }
}

/// # Safety
/// `made` must point to room for a pointer.
pub(crate) unsafe fn create<T, P>(made: *mut *mut P, value: T) -> Status {
    // SAFETY: the caller's promise.
    unsafe { *made = Box::into_raw(Box::new(value)).cast() };
    Status::CUDNN_STATUS_SUCCESS
}

/// # Safety
/// The pointer must come from [`create`] with this type, and be given up.
pub(crate) unsafe fn destroy<T, P>(gone: *mut P) -> Status {
    if gone.is_null() {
        return refuse("nothing is destroyed");
    }
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(gone.cast::<T>()) });
    Status::CUDNN_STATUS_SUCCESS
}

export! {
    fn cudnnCreateTensorDescriptor(made: *mut cudnnTensorDescriptor_t) -> Status { create(made, Tensor::default()) }

    fn cudnnDestroyTensorDescriptor(gone: cudnnTensorDescriptor_t) -> Status { destroy::<Tensor, _>(gone) }

    fn cudnnSetTensorNdDescriptor(
        of: cudnnTensorDescriptor_t,
        dtype: Type,
        rank: c_int,
        sizes: *const c_int,
        strides: *const c_int,
    ) -> Status {
        let Some(tensor) = of.cast::<Tensor>().as_mut() else { return refuse("a descriptor is null") };
        let (sizes, strides) = (numbers(sizes, rank), numbers(strides, rank));
        if dtype != Type::CUDNN_DATA_FLOAT || !(4..=5).contains(&rank) || sizes.iter().chain(&strides).any(|&n| n < 1) {
            return refuse("a tensor that is not of float32, or not of positive sizes and 4 or 5 axes");
        }
        *tensor = Tensor { sizes, strides };
        Status::CUDNN_STATUS_SUCCESS
    }

    fn cudnnCreateFilterDescriptor(made: *mut cudnnFilterDescriptor_t) -> Status { create(made, Filter::default()) }

    fn cudnnDestroyFilterDescriptor(gone: cudnnFilterDescriptor_t) -> Status { destroy::<Filter, _>(gone) }

    fn cudnnSetFilterNdDescriptor(
        of: cudnnFilterDescriptor_t,
        dtype: Type,
        format: Format,
        rank: c_int,
        sizes: *const c_int,
    ) -> Status {
        let Some(filter) = of.cast::<Filter>().as_mut() else { return refuse("a descriptor is null") };
        let sizes = numbers(sizes, rank);
        if dtype != Type::CUDNN_DATA_FLOAT || !(4..=5).contains(&rank) || sizes.iter().any(|&n| n < 1) {
            return refuse("a kernel that is not of float32, or not of positive sizes and 4 or 5 axes");
        }
        if format != Format::CUDNN_TENSOR_NHWC {
            return refuse("a kernel beside channels-last tensors has its channels last");
        }
        *filter = Filter { sizes };
        Status::CUDNN_STATUS_SUCCESS
    }

    fn cudnnCreateConvolutionDescriptor(made: *mut cudnnConvolutionDescriptor_t) -> Status {
        let none = Vec::new;
        // As with the real one the default mode allows TF32.
        create(made, How { pad: none(), stride: none(), dilation: none(), groups: 1, math: Math::CUDNN_DEFAULT_MATH })
    }

    fn cudnnDestroyConvolutionDescriptor(gone: cudnnConvolutionDescriptor_t) -> Status { destroy::<How, _>(gone) }

    fn cudnnSetConvolutionNdDescriptor(
        of: cudnnConvolutionDescriptor_t,
        axes: c_int,
        pad: *const c_int,
        stride: *const c_int,
        dilation: *const c_int,
        mode: Mode,
        dtype: Type,
    ) -> Status {
        let Some(how) = of.cast::<How>().as_mut() else { return refuse("a descriptor is null") };
        let (pad, stride, dilation) = (numbers(pad, axes), numbers(stride, axes), numbers(dilation, axes));
        if pad.iter().any(|&n| n < 0) || stride.iter().chain(&dilation).any(|&n| n < 1) {
            return refuse("padding below 0, or a stride or dilation below 1");
        }
        if mode != Mode::CUDNN_CROSS_CORRELATION || dtype != Type::CUDNN_DATA_FLOAT {
            return Status::CUDNN_STATUS_NOT_SUPPORTED;
        }
        (how.pad, how.stride, how.dilation) = (pad, stride, dilation);
        Status::CUDNN_STATUS_SUCCESS
    }

    fn cudnnSetConvolutionGroupCount(of: cudnnConvolutionDescriptor_t, groups: c_int) -> Status {
        let Some(how) = of.cast::<How>().as_mut() else { return refuse("a descriptor is null") };
        if groups < 1 {
            return refuse("no group");
        }
        how.groups = groups;
        Status::CUDNN_STATUS_SUCCESS
    }

    fn cudnnSetConvolutionMathType(of: cudnnConvolutionDescriptor_t, math: Math) -> Status {
        let Some(how) = of.cast::<How>().as_mut() else { return refuse("a descriptor is null") };
        how.math = math;
        Status::CUDNN_STATUS_SUCCESS
    }
}
