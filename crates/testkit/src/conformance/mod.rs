//! The conformance suite: what a device must do to be one.
//!
//! For each primitive there is one function that draws random cases, computes them on the device and, in double
//! precision, on the [reference](crate::reference), and compares. Cases cover 1 to 3 spatial axes, all kinds of
//! padding, strides, dilations and groups, empty and single-element axes, channel counts that no vector register
//! divides, views into the middle of a buffer, ties, zeros, and large and small numbers. Every case is computed twice and
//! must give the same bits. The cases of one function are the same in every run.
//!
//! A device must take float32, uint8 and int32; other types it may refuse with [`striate_tensor::Error::DType`]. What it
//! does take is held to bounds in proportion to the magnitudes that were added up: 10⁻⁵ of that for float32 sums, 2·10⁻⁶
//! for functions of single elements, 10⁻¹² for float64; layout, comparisons, extremes, indices and which elements dropout
//! drops are exact.
//!
//! [`conformance_suite!`](crate::conformance_suite) makes a test of each function, but not of [`equal_bits`], which compares
//! two devices.

mod conv;
mod elementwise;
mod layout;
mod matmul;
mod memory;
mod pool;
mod property;
mod reduce;
mod softmax;
mod threads;
mod tolerance;
mod update;

pub use conv::{conv_backward, conv_backward_input, conv_backward_kernel, conv_forward};
pub use elementwise::{binary, dropout, is_finite, unary, unary_backward};
pub use layout::{concat, crop, gather, pad, pad_backward, permute};
pub use matmul::matmul;
pub use memory::{cast, full, memory, upload_download_copy};
pub use pool::{pool_backward, pool_forward};
pub use reduce::{argmax, reduce};
pub use softmax::{softmax, softmax_backward, softmax_crossentropy};
pub use threads::equal_bits;
pub use update::{update, update_all};

/// The number of cases that [`conformance_suite!`](crate::conformance_suite) asks for.
pub const CASES: u32 = 256;

/// One `#[test]` for each primitive, for the device that the expression makes.
///
/// The expression is evaluated in each test. Where several devices are tested in one file, each needs a module of its own.
///
/// ```
/// striate_testkit::conformance_suite!(striate_testkit::reference::device());
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! conformance_suite {
    ($device:expr) => {
        $crate::conformance_suite!(
            @tests $device;
            upload_download_copy full cast memory
            permute pad pad_backward crop concat gather
            unary unary_backward binary dropout is_finite reduce argmax
            matmul conv_forward conv_backward conv_backward_input conv_backward_kernel
            pool_forward pool_backward
            softmax softmax_backward softmax_crossentropy
            update update_all
        );
    };
    (@tests $device:expr; $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                if let Err(failure) = $crate::conformance::$name(&$device, $crate::conformance::CASES) {
                    panic!("{failure}");
                }
            }
        )*
    };
}
