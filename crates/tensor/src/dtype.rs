//! Element types.

use crate::buffer::{AlignedVec, HostData};
use half::{bf16, f16};
use std::fmt;

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DType {
    /// 32-bit float: what networks compute in.
    F32,
    /// 64-bit float: gradient checks on the reference back end.
    F64,
    /// IEEE 16-bit float.
    F16,
    /// bfloat16.
    Bf16,
    /// Bytes: images as read, pooling indices.
    U8,
    /// 32-bit signed integer: class indices.
    I32,
    /// 64-bit signed integer.
    I64,
}

impl DType {
    /// Bytes an element takes.
    pub fn size(self) -> usize {
        match self {
            DType::U8 => 1,
            DType::F16 | DType::Bf16 => 2,
            DType::F32 | DType::I32 => 4,
            DType::F64 | DType::I64 => 8,
        }
    }

    /// Whether it is one of the floating-point types.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64 | DType::F16 | DType::Bf16)
    }

    /// Keras's name: `float32`, `uint8`, …
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "float32",
            DType::F64 => "float64",
            DType::F16 => "float16",
            DType::Bf16 => "bfloat16",
            DType::U8 => "uint8",
            DType::I32 => "int32",
            DType::I64 => "int64",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A Rust type that can be a tensor's element.
pub trait Element: Copy + Default + PartialOrd + fmt::Debug + Send + Sync + 'static {
    /// The run-time name of the type.
    const DTYPE: DType;
    /// Wraps elements into the sum of all element types.
    fn into_host(data: AlignedVec<Self>) -> HostData;
    /// The elements, if `data` holds this type.
    fn of_host(data: &HostData) -> Option<&AlignedVec<Self>>;
    /// The elements for writing, if `data` holds this type.
    fn of_host_mut(data: &mut HostData) -> Option<&mut AlignedVec<Self>>;
    /// The value as a 64-bit float.
    fn to_f64(self) -> f64;
    /// The nearest value of this type (integers saturate, as Rust's `as`).
    fn from_f64(value: f64) -> Self;
}

macro_rules! element {
    ($($type:ty => $variant:ident, $to:expr, $from:expr;)*) => {
        $(impl Element for $type {
            const DTYPE: DType = DType::$variant;
            fn into_host(data: AlignedVec<Self>) -> HostData {
                HostData::$variant(data)
            }
            fn of_host(data: &HostData) -> Option<&AlignedVec<Self>> {
                if let HostData::$variant(data) = data { Some(data) } else { None }
            }
            fn of_host_mut(data: &mut HostData) -> Option<&mut AlignedVec<Self>> {
                if let HostData::$variant(data) = data { Some(data) } else { None }
            }
            fn to_f64(self) -> f64 {
                let to: fn(Self) -> f64 = $to;
                to(self)
            }
            fn from_f64(value: f64) -> Self {
                let from: fn(f64) -> Self = $from;
                from(value)
            }
        })*
    };
}

element! {
    f32 => F32, f64::from, |v| v as f32;
    f64 => F64, |v| v, |v| v;
    f16 => F16, f16::to_f64, f16::from_f64;
    bf16 => Bf16, bf16::to_f64, bf16::from_f64;
    u8 => U8, f64::from, |v| v as u8;
    i32 => I32, f64::from, |v| v as i32;
    i64 => I64, |v| v as f64, |v| v as i64;
}
