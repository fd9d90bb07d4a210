//! A batch's tensor, written sample by sample.

use striate_tensor::{DType, Device, Result, Shape, Tensor};

/// A float32 tensor (n, …) whose rows `write` fills.
pub(crate) fn rows(
    n: usize,
    sample: &Shape,
    device: &Device,
    mut write: impl FnMut(usize, &mut [f32]) -> Result<()>,
) -> Result<Tensor> {
    let shape = sample.with_batch(n)?;
    let mut fill = |values: &mut [f32]| {
        let mut rows = values.chunks_exact_mut(sample.elements().max(1)).enumerate();
        rows.try_for_each(|(i, row)| write(i, row))
    };
    let mut storage = device.full(shape.elements(), DType::F32, 0.0)?;
    // Host memory from the device's own pool is written in place; other devices get an upload.
    if let Some(values) = storage.as_host_mut().and_then(|host| host.as_mut_slice::<f32>()) {
        fill(values)?;
        return Tensor::from_storage(storage, shape, device);
    }
    let mut values = vec![0.0; shape.elements()];
    fill(&mut values)?;
    Tensor::from_vec(values, shape, device)
}
