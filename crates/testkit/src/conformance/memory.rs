//! Memory: to the device and back, constants, copies, conversions, counters.

use super::property::{Draw, Fill, bits, equal, holds, once, required};
use proptest::prelude::*;
use striate_tensor::{DType, Device, Element, Error, HostBuffer, Key, Result, Shape, Tensor, bf16, f16};

/// Every element type.
pub(super) const DTYPES: [DType; 7] =
    [DType::F32, DType::F64, DType::F16, DType::Bf16, DType::U8, DType::I32, DType::I64];

/// Elements of random bits, at an offset, on the device and on the reference.
pub(super) fn raw(
    device: &Device,
    reference: &Device,
    dtype: DType,
    seed: u64,
    shift: usize,
    shape: &Shape,
) -> Result<(Tensor, Tensor)> {
    let len = shift + shape.elements();
    let make = |device: &Device| -> Result<Tensor> {
        let mut stream = Key::new(seed).stream();
        let mut words = (0..len).map(|_| stream.word64());
        let data: HostBuffer = match dtype {
            DType::F64 => words.map(f64::from_bits).collect::<Vec<_>>().into(),
            DType::F16 => words.map(|word| f16::from_bits(word as u16)).collect::<Vec<_>>().into(),
            DType::Bf16 => words.map(|word| bf16::from_bits(word as u16)).collect::<Vec<_>>().into(),
            DType::U8 => words.map(|word| word as u8).collect::<Vec<_>>().into(),
            DType::I32 => words.map(|word| word as i32).collect::<Vec<_>>().into(),
            DType::I64 => words.map(|word| word as i64).collect::<Vec<_>>().into(),
            _ => words.by_ref().map(|word| f32::from_bits(word as u32)).collect::<Vec<_>>().into(),
        };
        Tensor::from_host(data, len, device)?.rows(shift..len)?.reshape(shape)
    };
    Ok((make(device)?, make(reference)?))
}

/// Elements of any type come back from the device as they went there, also from the middle of a buffer; copies are equal
/// and apart.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn upload_download_copy(device: &Device, cases: u32) -> Result<(), String> {
    let reference = crate::reference::device();
    let case = (prop::sample::select(&DTYPES[..]), any::<u64>().no_shrink(), 0usize..9, 0usize..200);
    holds("upload, download, copy", cases, case, |(dtype, seed, shift, len)| {
        let made = raw(device, &reference, dtype, seed, shift, &Shape::from([len]));
        if let (Err(Error::DType(_)), false) = (&made, required(dtype)) {
            return Err(TestCaseError::reject("the device does not take this element type"));
        }
        let (tested, exact) = made?;
        equal("download", &tested, &exact)?;
        let copy = Tensor::from_storage(device.copy(&tested)?, [len], device)?;
        equal("copy", &copy, &exact)
    })
}

/// Constant tensors of every type and length.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn full(device: &Device, cases: u32) -> Result<(), String> {
    let reference = crate::reference::device();
    let value = prop_oneof![Just(0.0), Just(1.0), Just(-1.5), Just(300.7), -10.0f64..10.0];
    let case = (prop::sample::select(&DTYPES[..]), value, 0usize..3000);
    holds("full", cases, case, |(dtype, value, len)| {
        let got = once(dtype, || Tensor::full([len], value, dtype, device))?;
        equal("full", &got, &Tensor::full([len], value, dtype, &reference)?)
    })
}

/// Conversions between all types: to the nearest float, to integers by cutting off and saturating.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn cast(device: &Device, cases: u32) -> Result<(), String> {
    fn typed<T: Element>(values: &[f64], shift: usize, device: &Device) -> Result<Tensor> {
        let elements: Vec<T> = values.iter().map(|&value| T::from_f64(value)).collect();
        Tensor::from_vec(elements, values.len(), device)?.rows(shift..values.len())
    }
    let of_type = |values: &[f64], shift, dtype, device: &Device| match dtype {
        DType::F64 => typed::<f64>(values, shift, device),
        DType::F16 => typed::<f16>(values, shift, device),
        DType::Bf16 => typed::<bf16>(values, shift, device),
        DType::U8 => typed::<u8>(values, shift, device),
        DType::I32 => typed::<i32>(values, shift, device),
        DType::I64 => typed::<i64>(values, shift, device),
        _ => typed::<f32>(values, shift, device),
    };
    let reference = crate::reference::device();
    let types = || prop::sample::select(&DTYPES[..]);
    let fill = prop_oneof![Just(Fill::Smooth), Just(Fill::Steps), Just(Fill::Wide)];
    let case = (types(), types(), fill, any::<u64>().no_shrink(), 0usize..9, 0usize..200);
    holds("cast", cases, case, |(from, to, fill, seed, shift, len)| {
        let draw = Draw { dtype: DType::F32, fill, seed, shift };
        let mut values = draw.values(0, shift + len);
        if seed % 4 == 0 {
            values.iter_mut().for_each(|value| *value *= 1e7);
        }
        let both = if required(from) { to } else { from };
        let got = once(both, || of_type(&values, shift, from, device)?.cast(to))?;
        equal("cast", &got, &of_type(&values, shift, from, &reference)?.cast(to)?)
    })
}

/// The counters see a large tensor come and go. `cases` has no meaning here.
///
/// # Errors
/// A text saying which counter is wrong.
pub fn memory(device: &Device, cases: u32) -> Result<(), String> {
    const BYTES: usize = 64 << 20;
    // Other tests may hold tensors on the same device meanwhile, but small ones.
    const OTHERS: usize = 24 << 20;
    holds("memory", cases.min(1), Just(BYTES / 4), |elements| {
        let before = device.memory();
        let large = Tensor::full([elements], 0.5, DType::F32, device)?;
        let with = device.memory();
        prop_assert!(with.live + OTHERS >= before.live + BYTES, "live must count a new tensor: {before:?}, {with:?}");
        prop_assert!(with.peak >= BYTES, "peak must count a new tensor: {before:?}, {with:?}");
        drop(large);
        let after = device.memory();
        prop_assert!(
            after.live + BYTES <= with.live + OTHERS,
            "live must forget a dropped tensor: {with:?}, {after:?}"
        );
        prop_assert!(after.peak >= with.peak, "the peak must stay: {with:?}, {after:?}");
        prop_assert!(bits(&Tensor::zeros([3], device)?)? == [0; 3], "reused memory must be cleared");
        Ok(())
    })
}
