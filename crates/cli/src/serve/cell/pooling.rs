//! A pooling's cell: the window it looks at.

use super::{Question, position, window_start};
use crate::serve::layout::Cell;
use serde_json::{Value, json};

impl Question<'_> {
    /// The largest or the mean of a window; none for layers of three axes.
    pub(super) fn pooling(&self, is_max: bool) -> Option<Value> {
        let source = self.source()?;
        if source.shape.rank() > 4 {
            return None;
        }
        let [height, width] = self.pair("pool_size", 1);
        let strides = if self.node.config.get("strides").is_some() { "strides" } else { "pool_size" };
        let ([stride_y, stride_x], padding) = (self.pair(strides, 1), self.text("padding"));
        let top = window_start(self.cell.y, source.layout.height, height, stride_y, 1, padding);
        let left = window_start(self.cell.x, source.layout.width, width, stride_x, 1, padding);
        let ys: Vec<isize> = (top..top + height as isize).collect();
        let xs: Vec<isize> = (left..left + width as isize).collect();
        let value = |y: isize, x: isize| {
            let cell = Cell { y: usize::try_from(y).ok()?, x: usize::try_from(x).ok()?, channel: self.cell.channel };
            source.layout.index(cell).map(|index| source.values[index])
        };
        let window: Vec<Option<f32>> =
            ys.iter().flat_map(|&y| xs.iter().map(move |&x| (y, x))).map(|(y, x)| value(y, x)).collect();
        let there = || window.iter().flatten().copied();
        let after = match is_max {
            true => there().fold(f32::NEG_INFINITY, f32::max),
            false => (there().map(f64::from).sum::<f64>() / there().count().max(1) as f64) as f32,
        };
        let winner = is_max.then(|| window.iter().position(|value| *value == Some(after))).flatten();
        Some(json!({
            "kind": if is_max { "maximum" } else { "mean" },
            "source": source.layer,
            "ys": ys,
            "xs": xs,
            "channel": self.cell.channel,
            "window": window,
            "winner": winner,
            "after": after,
        }))
    }

    /// The largest or the mean of a whole map.
    pub(super) fn global_pooling(&self, is_max: bool) -> Option<Value> {
        let source = self.source()?;
        let (channel, channels) = (self.index % source.layout.channels, source.layout.channels);
        let map = || source.values.iter().skip(channel).step_by(channels).copied();
        let after = match is_max {
            true => map().fold(f32::NEG_INFINITY, f32::max),
            false => (map().map(f64::from).sum::<f64>() / map().count().max(1) as f64) as f32,
        };
        let winner = map().position(|value| is_max && value == after);
        Some(json!({
            "kind": if is_max { "global maximum" } else { "global mean" },
            "source": source.layer,
            "channel": channel,
            "count": map().count(),
            "winner": winner.map(|at| position(source.layout.cell(at * channels + channel))),
            "after": after,
        }))
    }
}
