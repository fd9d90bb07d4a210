//! Brightness and channel shifts, on values of 0..255.

fn extremes(values: &[f32]) -> (f32, f32) {
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)))
}

/// Adds the same to all values and keeps them within the picture's own extremes: Keras's `apply_channel_shift`.
pub(super) fn shift(values: &mut [f32], intensity: f32) {
    let (low, high) = extremes(values);
    values.iter_mut().for_each(|v| *v = (*v + intensity).max(low).min(high));
}

/// Multiplies all values by a factor in 8-bit arithmetic, rounded down: Keras's `apply_brightness_shift`. A picture that
/// exceeds 0..255 is brought into that range before and back afterwards.
pub(super) fn brighten(values: &mut [f32], factor: f32) {
    let (low, high) = extremes(values);
    let span = high - low;
    let exceeds = low < 0.0 || high > 255.0;
    for v in values {
        let byte = if exceeds && span != 0.0 { (*v - low) / span * 255.0 } else { *v };
        // A conversion to u8 cuts fractions off and saturates.
        let bright = f32::from((f32::from(byte as u8) * factor) as u8);
        *v = if exceeds { bright / 255.0 * span + low } else { bright };
    }
}
