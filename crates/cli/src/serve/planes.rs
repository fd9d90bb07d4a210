//! Maps for drawing: each channel in 256 steps between its own lowest and highest value.

use super::http::Refusal;
use super::layout::Layout;
use super::network::Network;
use super::snapshots::Snapshot;
use serde_json::{Value, json};

/// Bytes of maps in one response.
const MOST_BYTES: usize = 8 << 20;

/// Some maps of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    layer: usize,
    from: usize,
    count: usize,
}

/// Reads `layer:from:count,…`; what lies beyond a layer's channels is cut off.
///
/// # Errors
/// 400 if it is written otherwise, names a layer that is not there, or asks for too much.
pub fn wanted(text: &str, network: &Network) -> Result<Vec<Wanted>, Refusal> {
    let mut all = Vec::new();
    let mut bytes = 0usize;
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let refuse = || Refusal::new(400, format!("`want` must be layer:from:count; received `{part}`"));
        let numbers: Vec<usize> = part.split(':').map(str::parse).collect::<Result<_, _>>().map_err(|_| refuse())?;
        let &[layer, from, count] = &numbers[..] else { return Err(refuse()) };
        let node = network.nodes.get(layer).ok_or_else(refuse)?;
        let layout = Layout::of(&node.shape);
        let from = from.min(layout.channels);
        let count = count.min(layout.channels - from);
        bytes = bytes.saturating_add(count * layout.height * layout.width);
        if bytes > MOST_BYTES || all.len() >= 4096 {
            return Err(Refusal::new(413, "so many maps at once are not sent; ask for fewer"));
        }
        all.push(Wanted { layer, from, count });
    }
    Ok(all)
}

/// The length of a JSON head as 4 bytes, little-endian, the head, then the maps one after another. The head is `head` with `planes`: for
/// each part the layer, the first channel, and each channel's lowest and highest value, which bytes 0 and 255 stand for.
///
/// # Errors
/// What the device reports.
pub fn pack(mut head: Value, wanted: &[Wanted], network: &Network, snapshot: &Snapshot) -> Result<Vec<u8>, Refusal> {
    let mut maps = Vec::new();
    let mut parts = Vec::new();
    for &Wanted { layer, from, count } in wanted {
        let Some(value) = snapshot.values.get(&network.nodes[layer].path) else { continue };
        let layout = Layout::of(value.shape());
        let values = value.to_vec::<f32>()?;
        let (mut lows, mut highs) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for channel in from..from + count {
            let map = || values.iter().skip(channel).step_by(layout.channels).copied();
            let (low, high) = range(map());
            let step = if high > low { 255.0 / (high - low) } else { 0.0 };
            // A conversion to u8 saturates, and makes NaN 0.
            maps.extend(map().map(|value| ((value - low) * step + 0.5) as u8));
            lows.push(low);
            highs.push(high);
        }
        parts.push(json!({ "layer": layer, "from": from, "low": lows, "high": highs }));
    }
    head["planes"] = Value::Array(parts);
    let head = head.to_string().into_bytes();
    let mut packed = Vec::with_capacity(4 + head.len() + maps.len());
    packed.extend((head.len() as u32).to_le_bytes());
    packed.extend(head);
    packed.extend(maps);
    Ok(packed)
}

/// The lowest and highest finite value; 0 and 0 if there is none.
fn range(values: impl Iterator<Item = f32>) -> (f32, f32) {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low <= high { (low, high) } else { (0.0, 0.0) }
}
