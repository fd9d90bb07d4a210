//! A fingerprint of a model's weights.

use sha2::{Digest, Sha256};
use striate_nn::Model;
use striate_tensor::{DType, Result};

/// SHA-256 over all weights in order: path, shape and the bits of every element as little-endian float32.
///
/// Two runs with the same bits have the same fingerprint, whatever the number of threads or the device's name.
///
/// # Errors
/// What the device reports.
pub fn weights_sha256(model: &Model) -> Result<String> {
    let mut hash = Sha256::new();
    for (spec, value) in model.weights() {
        hash.update(spec.path.as_bytes());
        hash.update(spec.shape.to_string().as_bytes());
        for number in value.cast(DType::F32)?.to_vec::<f32>()? {
            hash.update(number.to_le_bytes());
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
