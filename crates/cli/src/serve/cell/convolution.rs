//! A convolution's cell: the window times the kernel, channel by channel.

use super::{Question, Source, window_start};
use crate::serve::layout::Cell;
use serde_json::{Value, json};
use striate::tensor::Shape;

/// Channels whose window and kernel are shown in full; the others are in the sum of the rest.
const MOST_PARTS: usize = 12;

/// Rows, columns, and the two last axes of a kernel of one or two spatial axes.
fn sides(shape: &Shape) -> Option<(usize, usize, usize, usize)> {
    match *shape.as_slice() {
        [width, a, b] => Some((1, width, a, b)),
        [height, width, a, b] => Some((height, width, a, b)),
        _ => None,
    }
}

impl Question<'_> {
    /// The sum over taps and channels; none for layers of three axes, and where the border is filled in a way of our own.
    pub(super) fn convolution(&self, is_depthwise: bool) -> Option<Value> {
        let source = self.source()?;
        let shape = self.network.weight_shape(self.node, "kernel")?;
        let kernel = self.network.weight(self.node, "kernel")?;
        let (height, width, third, fourth) = sides(&shape)?;
        // A depthwise kernel (…, channels, multiplier) has its numbers in the order of one with as many groups as channels.
        let (in_group, filters) = if is_depthwise { (1, third * fourth) } else { (third, fourth) };
        let groups = source.layout.channels / in_group.max(1);
        let filter = self.cell.channel;
        let first = filter / (filters / groups.max(1)).max(1) * in_group;
        let (ys, xs) = self.covered(&source, height, width)?;
        let tap = |y: usize, x: usize, c: usize| kernel[((y * width + x) * in_group + c) * filters + filter];
        Some(self.windowed(&source, (ys, xs), first..first + in_group, tap))
    }

    /// A depthwise convolution and a 1×1 one after it are one convolution, whose kernel is the product of theirs.
    pub(super) fn separable_convolution(&self) -> Option<Value> {
        let source = self.source()?;
        let (height, width, channels, multiplier) = sides(&self.network.weight_shape(self.node, "depthwise_kernel")?)?;
        let depthwise = self.network.weight(self.node, "depthwise_kernel")?;
        let pointwise = self.network.weight(self.node, "pointwise_kernel")?;
        let filters = self.network.weight_shape(self.node, "pointwise_kernel")?.last().copied()?;
        let (ys, xs) = self.covered(&source, height, width)?;
        let tap = |y: usize, x: usize, c: usize| {
            let each = (0..multiplier).map(|m| {
                let of_channel = depthwise[((y * width + x) * channels + c) * multiplier + m];
                f64::from(of_channel) * f64::from(pointwise[(c * multiplier + m) * filters + self.cell.channel])
            });
            each.sum::<f64>() as f32
        };
        Some(self.windowed(&source, (ys, xs), 0..channels, tap))
    }

    /// A convolution run backwards: the input positions whose copy of the kernel covers the cell, each times the weight that lies there.
    pub(super) fn transposed_convolution(&self) -> Option<Value> {
        let source = self.source()?;
        if source.shape.rank() > 4 {
            return None;
        }
        let (height, width, filters, channels) = sides(&self.network.weight_shape(self.node, "kernel")?)?;
        let kernel = self.network.weight(self.node, "kernel")?;
        let ([stride_y, stride_x], [dilation_y, dilation_x]) = (self.pair("strides", 1), self.pair("dilation_rate", 1));
        let own = crate::serve::layout::Layout::of(&self.node.shape);
        let padding = self.text("padding");
        // (input position, tap) pairs along an axis, in the order of the input.
        let covering = |at: usize, length: usize, input: usize, window: usize, stride: usize, dilation: usize| {
            let before = -window_start(0, length, window, stride, dilation, padding);
            let reached = (0..window).rev().filter_map(|tap| {
                let from = at as isize + before - (tap * dilation) as isize;
                let is_there = from >= 0 && from % stride as isize == 0 && from / (stride as isize) < input as isize;
                is_there.then_some((from / stride as isize, tap))
            });
            reached.collect::<Vec<_>>()
        };
        let rows = covering(self.cell.y, own.height, source.layout.height, height, stride_y, dilation_y);
        let columns = covering(self.cell.x, own.width, source.layout.width, width, stride_x, dilation_x);
        let tap = |y: usize, x: usize, c: usize| {
            kernel[((rows[y].1 * width + columns[x].1) * filters + self.cell.channel) * channels + c]
        };
        let positions = |pairs: &[(isize, usize)]| pairs.iter().map(|pair| pair.0).collect::<Vec<_>>();
        Some(self.windowed(&source, (positions(&rows), positions(&columns)), 0..channels, tap))
    }

    /// The rows and columns of the input under the window of the cell.
    fn covered(&self, source: &Source, height: usize, width: usize) -> Option<(Vec<isize>, Vec<isize>)> {
        if source.shape.rank() > 4 || self.node.config.get("fill").is_some() {
            return None;
        }
        let ([stride_y, stride_x], [dilation_y, dilation_x]) = (self.pair("strides", 1), self.pair("dilation_rate", 1));
        let padding = self.text("padding");
        let top = window_start(self.cell.y, source.layout.height, height, stride_y, dilation_y, padding);
        let left = window_start(self.cell.x, source.layout.width, width, stride_x, dilation_x, padding);
        let ys = (0..height).map(|tap| top + (tap * dilation_y) as isize).collect();
        Some((ys, (0..width).map(|tap| left + (tap * dilation_x) as isize).collect()))
    }

    /// The answer: values at rows × columns of some channels, each times `tap` of its place in them and of the channel, counted from the
    /// first of them.
    fn windowed(
        &self,
        source: &Source,
        (ys, xs): (Vec<isize>, Vec<isize>),
        channels: std::ops::Range<usize>,
        tap: impl Fn(usize, usize, usize) -> f32,
    ) -> Value {
        let places: Vec<(usize, usize)> = (0..ys.len()).flat_map(|y| (0..xs.len()).map(move |x| (y, x))).collect();
        let mut parts = Vec::with_capacity(channels.len());
        for (c, channel) in channels.clone().enumerate() {
            let value = |&(y, x): &(usize, usize)| {
                let cell = Cell { y: usize::try_from(ys[y]).ok()?, x: usize::try_from(xs[x]).ok()?, channel };
                source.layout.index(cell).map(|index| source.values[index])
            };
            let window: Vec<Option<f32>> = places.iter().map(value).collect();
            let taps: Vec<f32> = places.iter().map(|&(y, x)| tap(y, x, c)).collect();
            let products =
                window.iter().zip(&taps).map(|(value, tap)| f64::from(value.unwrap_or(0.0)) * f64::from(*tap));
            parts.push((channel, products.sum::<f64>(), window, taps));
        }
        let sum: f64 = parts.iter().map(|part| part.1).sum();
        parts.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        let shown: Vec<Value> = parts
            .iter()
            .take(MOST_PARTS)
            .map(|(channel, sum, window, taps)| json!({ "channel": channel, "sum": sum, "window": window, "kernel": taps }))
            .collect();
        let bias = self.network.weight(self.node, "bias").map(|bias| f64::from(bias[self.cell.channel]));
        let mut answer = json!({
            "kind": "convolution",
            "source": source.layer,
            "ys": ys,
            "xs": xs,
            "channels": channels.len(),
            "parts": shown,
            "rest": parts.iter().skip(MOST_PARTS).map(|part| part.1).sum::<f64>(),
            "rest_count": channels.len().saturating_sub(MOST_PARTS),
        });
        self.finish(&mut answer, sum, bias, None);
        answer
    }
}
