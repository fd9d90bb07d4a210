//! A convolution's cell: the window times the kernel, channel by channel.

use super::{Question, window_start};
use crate::serve::layout::Cell;
use serde_json::{Value, json};

/// Channels whose window and kernel are shown in full; the others are in the sum of the rest.
const MOST_PARTS: usize = 12;

impl Question<'_> {
    /// The sum over taps and channels; none for layers of three axes, and where the border is filled in a way of our own.
    pub(super) fn convolution(&self, is_depthwise: bool) -> Option<Value> {
        let source = self.source()?;
        let shape = self.network.weight_shape(self.node, "kernel")?;
        let kernel = self.network.weight(self.node, "kernel")?;
        if source.shape.rank() > 4 || self.node.config.get("fill").is_some() {
            return None;
        }
        // A depthwise kernel (…, channels, multiplier) has its numbers in the order of one with as many groups as channels.
        let (height, width) = if shape.rank() == 4 { (shape[0], shape[1]) } else { (1, shape[0]) };
        let (in_group, filters) = match (is_depthwise, shape.as_slice()) {
            (true, [.., channels, multiplier]) => (1, channels * multiplier),
            (false, [.., in_group, filters]) => (*in_group, *filters),
            _ => return None,
        };
        let groups = source.layout.channels / in_group.max(1);
        let ([stride_y, stride_x], [dilation_y, dilation_x]) = (self.pair("strides", 1), self.pair("dilation_rate", 1));
        let padding = self.text("padding");
        let top = window_start(self.cell.y, source.layout.height, height, stride_y, dilation_y, padding);
        let left = window_start(self.cell.x, source.layout.width, width, stride_x, dilation_x, padding);
        let ys: Vec<isize> = (0..height).map(|tap| top + (tap * dilation_y) as isize).collect();
        let xs: Vec<isize> = (0..width).map(|tap| left + (tap * dilation_x) as isize).collect();
        let filter = self.cell.channel;
        let first = filter / (filters / groups.max(1)).max(1) * in_group;

        let mut parts = Vec::with_capacity(in_group);
        for c in 0..in_group {
            let value = |y: isize, x: isize| {
                let cell = Cell { y: usize::try_from(y).ok()?, x: usize::try_from(x).ok()?, channel: first + c };
                source.layout.index(cell).map(|index| source.values[index])
            };
            let window: Vec<Option<f32>> =
                ys.iter().flat_map(|&y| xs.iter().map(move |&x| (y, x))).map(|(y, x)| value(y, x)).collect();
            let taps: Vec<f32> =
                (0..height * width).map(|tap| kernel[(tap * in_group + c) * filters + filter]).collect();
            let products =
                window.iter().zip(&taps).map(|(value, tap)| f64::from(value.unwrap_or(0.0)) * f64::from(*tap));
            parts.push((first + c, products.sum::<f64>(), window, taps));
        }
        let sum: f64 = parts.iter().map(|part| part.1).sum();
        parts.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        let shown: Vec<Value> = parts
            .iter()
            .take(MOST_PARTS)
            .map(|(channel, sum, window, taps)| json!({ "channel": channel, "sum": sum, "window": window, "kernel": taps }))
            .collect();
        let bias = self.network.weight(self.node, "bias").map(|bias| f64::from(bias[filter]));
        let mut answer = json!({
            "kind": "convolution",
            "source": source.layer,
            "ys": ys,
            "xs": xs,
            "channels": in_group,
            "parts": shown,
            "rest": parts.iter().skip(MOST_PARTS).map(|part| part.1).sum::<f64>(),
            "rest_count": in_group.saturating_sub(MOST_PARTS),
        });
        self.finish(&mut answer, sum, bias, None);
        Some(answer)
    }
}
