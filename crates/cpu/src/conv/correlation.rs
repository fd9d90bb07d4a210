//! How a convolution, or the gradient of its input, is laid over memory.

use crate::kernels::{RowTable, Segment};
use striate_tensor::ConvGeometry;

/// One kernel tap along one axis: where it looks, relative to the position's own input, and its index in the kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tap {
    pub(crate) offset: isize,
    pub(crate) index: usize,
}

/// Sums over taps and channels of an input, at a grid of positions: position o and tap t meet at input o·step + offset(t);
/// outside the input there is zero.
#[derive(Debug)]
pub(crate) struct Correlation {
    pub(crate) batch: usize,
    /// Sizes of what is read.
    pub(crate) input: [usize; 3],
    pub(crate) in_channels: usize,
    /// How many positions there are.
    pub(crate) grid: [usize; 3],
    pub(crate) step: [usize; 3],
    /// In order of offset.
    pub(crate) taps: [Vec<Tap>; 3],
    pub(crate) groups: usize,
    pub(crate) out_channels: usize,
    /// Elements between samples and between neighbouring positions of the result, and where the first one lies.
    pub(crate) out_sample: usize,
    pub(crate) out_steps: [usize; 3],
    pub(crate) out_start: usize,
    /// Channels of what is read that a group has.
    pub(crate) in_per_group: usize,
    /// Taps along each axis that the packed kernel has, and how many of them come before the first one here.
    pub(crate) packed_taps: [usize; 3],
    pub(crate) skipped_taps: [usize; 3],
}

fn row_major(sizes: [usize; 3], channels: usize) -> [usize; 3] {
    [sizes[1] * sizes[2] * channels, sizes[2] * channels, channels]
}

impl Correlation {
    /// The convolution itself.
    pub(crate) fn forward(g: &ConvGeometry) -> Correlation {
        let taps = [0, 1, 2].map(|axis| {
            let tap =
                |t: usize| Tap { offset: (t * g.dilations[axis]) as isize - g.pad_before[axis] as isize, index: t };
            (0..g.kernel[axis]).map(tap).collect()
        });
        Correlation {
            batch: g.batch,
            input: g.input,
            in_channels: g.in_channels,
            grid: g.output,
            step: g.strides,
            taps,
            groups: g.groups,
            out_channels: g.out_channels,
            out_sample: g.positions() * g.out_channels,
            out_steps: row_major(g.output, g.out_channels),
            out_start: 0,
            in_per_group: g.in_per_group(),
            packed_taps: g.kernel,
            skipped_taps: [0; 3],
        }
    }

    /// The gradient of the input: one correlation for each class of inputs that have the same remainder on division by the
    /// strides, and so meet the same taps.
    pub(crate) fn input_gradient(g: &ConvGeometry) -> Vec<Correlation> {
        let full_steps = row_major(g.input, g.in_channels);
        let mut all = Vec::new();
        // A remainder beyond the input's size has no members.
        let classes = [0, 1, 2].map(|axis| g.strides[axis].min(g.input[axis]));
        for d in 0..classes[0] {
            for h in 0..classes[1] {
                for w in 0..classes[2] {
                    let class = [d, h, w];
                    let taps = [0, 1, 2].map(|axis| {
                        let stride = g.strides[axis] as isize;
                        let shifted = class[axis] as isize + g.pad_before[axis] as isize;
                        let mut taps: Vec<Tap> = (0..g.kernel[axis])
                            .map(|t| (t, shifted - (t * g.dilations[axis]) as isize))
                            .filter(|(_, distance)| distance.rem_euclid(stride) == 0)
                            .map(|(index, distance)| Tap { offset: distance.div_euclid(stride), index })
                            .collect();
                        taps.reverse();
                        taps
                    });
                    all.push(Correlation {
                        packed_taps: [0, 1, 2].map(|axis| taps[axis].len()),
                        skipped_taps: [0; 3],
                        batch: g.batch,
                        input: g.output,
                        in_channels: g.out_channels,
                        grid: [0, 1, 2].map(|axis| (g.input[axis] - class[axis]).div_ceil(g.strides[axis])),
                        step: [1; 3],
                        taps,
                        groups: g.groups,
                        out_channels: g.in_channels,
                        out_sample: g.input_positions() * g.in_channels,
                        out_steps: [0, 1, 2].map(|axis| full_steps[axis] * g.strides[axis]),
                        out_start: (0..3).map(|axis| class[axis] * full_steps[axis]).sum(),
                        in_per_group: g.out_per_group(),
                    });
                }
            }
        }
        all
    }

    pub(crate) fn out_per_group(&self) -> usize {
        self.out_channels / self.groups
    }

    pub(crate) fn tap_count(&self) -> usize {
        self.taps.iter().map(Vec::len).product()
    }

    pub(crate) fn positions(&self) -> usize {
        self.grid.iter().product()
    }

    pub(crate) fn multiply_adds(&self) -> u64 {
        [self.batch, self.positions(), self.tap_count(), self.in_per_group, self.out_channels]
            .iter()
            .fold(1, |product: u64, &n| product.saturating_mul(n as u64))
    }

    /// Every tap in row-major order of the three axes.
    pub(crate) fn all_taps(&self) -> impl Iterator<Item = [Tap; 3]> + '_ {
        let [d, h, w] = &self.taps;
        d.iter().flat_map(move |&d| h.iter().flat_map(move |&h| w.iter().map(move |&w| [d, h, w])))
    }

    /// Whether neighbouring taps of a kernel row read neighbouring pixels, all channels of which are wanted: then a kernel
    /// row is one contiguous run.
    fn rows_are_runs(&self, strip: &Strip) -> bool {
        strip.channels == self.in_per_group && self.taps[2].windows(2).all(|pair| pair[1].offset == pair[0].offset + 1)
    }

    /// Elements of a run of k that is contiguous in the input.
    pub(crate) fn run(&self, strip: &Strip) -> usize {
        if self.rows_are_runs(strip) { self.taps[2].len() * self.in_per_group } else { self.in_per_group }
    }

    /// Smallest and largest offset along an axis.
    fn reach(&self, axis: usize) -> (isize, isize) {
        match self.taps[axis].as_slice() {
            [] => (0, 0),
            taps => (taps[0].offset, taps[taps.len() - 1].offset),
        }
    }

    /// Whether no position looks outside the input.
    fn stays_inside(&self) -> bool {
        (0..3).all(|axis| {
            let (low, high) = self.reach(axis);
            let last = (self.grid[axis].max(1) - 1) * self.step[axis];
            low >= 0 && last as isize + high < self.input[axis] as isize
        })
    }

    /// Cuts the grid into boxes of about `target` positions: part of a row, or whole rows, planes and samples.
    pub(crate) fn boxes(&self, target: usize) -> Boxes {
        let mut left = target.max(1);
        let mut size = [1; 4];
        let whole = [self.batch, self.grid[0], self.grid[1], self.grid[2]];
        for axis in (0..4).rev() {
            let n = whole[axis];
            let parts = n.div_ceil(left.clamp(1, n.max(1)));
            size[axis] = n.div_ceil(parts.max(1)).max(1);
            if size[axis] < n {
                break;
            }
            left /= n.max(1);
        }
        let counts = [0, 1, 2, 3].map(|axis| whole[axis].div_ceil(size[axis]));
        Boxes { whole, size, counts }
    }

    /// How a box sees its input: directly if no position looks outside, else through a copy.
    pub(crate) fn strip(&self, size: [usize; 4]) -> Strip {
        if self.stays_inside() {
            return Strip { copied: false, samples: size[0], sizes: self.input, channels: self.in_channels };
        }
        self.copied_strip(size)
    }

    /// A strip that holds what a box sees of a group's channels and nothing else.
    pub(crate) fn copied_strip(&self, size: [usize; 4]) -> Strip {
        let sizes = [0, 1, 2].map(|axis| {
            let (low, high) = self.reach(axis);
            (size[axis + 1].max(1) - 1) * self.step[axis] + (high - low) as usize + 1
        });
        Strip { copied: true, samples: size[0], sizes, channels: self.in_per_group }
    }

    /// Where a tap lies in a strip, relative to its position.
    pub(crate) fn tap_offset(&self, strip: &Strip, taps: [Tap; 3]) -> usize {
        let steps = row_major(strip.sizes, strip.channels);
        (0..3).map(|axis| (taps[axis].offset - self.reach(axis).0) as usize * steps[axis]).sum()
    }

    /// Where each contiguous run of k starts in the input and in a packed panel.
    pub(crate) fn segments(&self, strip: &Strip) -> Vec<Segment> {
        let per_row = if self.rows_are_runs(strip) { self.taps[2].len().max(1) } else { 1 };
        let [_, h_taps, w_taps] = self.packed_taps;
        let numbers = (0..self.taps[0].len())
            .flat_map(|d| (0..self.taps[1].len()).flat_map(move |h| (0..self.taps[2].len()).map(move |w| [d, h, w])));
        let all = self.all_taps().zip(numbers).step_by(per_row);
        all.map(|(taps, number)| {
            let [d, h, w] = [0, 1, 2].map(|axis| number[axis] + self.skipped_taps[axis]);
            Segment { a: self.tap_offset(strip, taps), b: ((d * h_taps + h) * w_taps + w) * self.in_per_group }
        })
        .collect()
    }

    /// Along an axis, the runs of positions that see the same taps inside the input: (first position, how many, first
    /// tap, how many).
    fn classes(&self, axis: usize) -> Vec<[usize; 4]> {
        let mut classes: Vec<[usize; 4]> = Vec::new();
        for o in 0..self.grid[axis] {
            let inside =
                |tap: &Tap| (0..self.input[axis] as isize).contains(&((o * self.step[axis]) as isize + tap.offset));
            let first = self.taps[axis].iter().position(inside).unwrap_or(0);
            let count = self.taps[axis].iter().filter(|tap| inside(tap)).count();
            match classes.last_mut() {
                Some(last) if last[2..] == [first, count] => last[1] += 1,
                _ => classes.push([o, 1, first, count]),
            }
        }
        classes
    }

    /// Whether [`Correlation::regions`] gives more than one.
    pub(crate) fn cuts_off_borders(&self) -> bool {
        // Small images only: the border of large ones is a small share, and their classes cost more to find.
        if self.positions() > 4096 || self.stays_inside() {
            return false;
        }
        self.share_of_work_left(&[0, 1, 2].map(|axis| self.classes(axis))) <= 0.96
    }

    /// What the regions of these classes cost, as a share of the whole: rows of register tiles times taps, where each region fills its
    /// last tile up.
    fn share_of_work_left(&self, classes: &[Vec<[usize; 4]>; 3]) -> f64 {
        /// Rows of a tile.
        const TILE: usize = 12;
        let cost = |positions: usize, taps: usize| ((self.batch * positions).next_multiple_of(TILE) * taps) as f64;
        let mut left = 0.0;
        for d in &classes[0] {
            for h in &classes[1] {
                for w in &classes[2] {
                    left += cost(d[1] * h[1] * w[1], d[3] * h[3] * w[3]);
                }
            }
        }
        left / cost(self.positions(), self.tap_count()).max(1.0)
    }

    /// Whether what taps with these offsets along the first two axes see from a position there can lie inside the input.
    pub(crate) fn exists(&self, position: [Option<isize>; 2], offsets: Option<[isize; 2]>) -> bool {
        let Some(offsets) = offsets else { return true };
        (0..2)
            .all(|axis| position[axis].is_none_or(|at| (0..self.input[axis] as isize).contains(&(at + offsets[axis]))))
    }

    /// The share of positions that see something inside the input at these offsets along the first two axes.
    pub(crate) fn share_inside(&self, offsets: [isize; 2]) -> f64 {
        let along = |axis: usize| {
            let at = |o: usize| (o * self.step[axis]) as isize + offsets[axis];
            let inside = (0..self.grid[axis]).filter(|&o| (0..self.input[axis] as isize).contains(&at(o))).count();
            inside as f64 / self.grid[axis].max(1) as f64
        };
        along(0) * along(1)
    }

    /// Cuts off the border where that spares many products with zeros, even though small regions fill no whole register tiles; otherwise
    /// the whole.
    pub(crate) fn regions(self) -> Vec<Correlation> {
        if !self.cuts_off_borders() {
            return vec![self];
        }
        let classes = [0, 1, 2].map(|axis| self.classes(axis));
        let mut regions = Vec::new();
        for d in &classes[0] {
            for h in &classes[1] {
                for w in &classes[2] {
                    let class = [d, h, w];
                    let taps = [0, 1, 2].map(|axis| {
                        let &[start, _, first, count] = class[axis];
                        let shift = (start * self.step[axis]) as isize;
                        let met = self.taps[axis][first..first + count].iter();
                        met.map(|tap| Tap { offset: tap.offset + shift, index: tap.index }).collect()
                    });
                    regions.push(Correlation {
                        grid: class.map(|class| class[1]),
                        taps,
                        out_start: (0..3).fold(self.out_start, |at, axis| at + class[axis][0] * self.out_steps[axis]),
                        skipped_taps: [0, 1, 2].map(|axis| self.skipped_taps[axis] + class[axis][2]),
                        ..self
                    });
                }
            }
        }
        regions
    }

    /// Elements between positions of a strip.
    pub(crate) fn strip_steps(&self, strip: &Strip) -> [usize; 4] {
        let steps = row_major(strip.sizes, strip.channels);
        [strip.sizes[0] * steps[0], steps[0] * self.step[0], steps[1] * self.step[1], steps[2] * self.step[2]]
    }

    /// The positions of a box in order: where each looks in its strip, and where its result goes relative to the box's
    /// first.
    pub(crate) fn table(&self, strip: &Strip, size: [usize; 4]) -> RowTable {
        let a = self.strip_steps(strip);
        let c = [self.out_sample, self.out_steps[0], self.out_steps[1], self.out_steps[2]];
        let mut table = RowTable::with_capacity(size.iter().product());
        for n in 0..size[0] {
            for d in 0..size[1] {
                for h in 0..size[2] {
                    let at = |steps: [usize; 4]| n * steps[0] + d * steps[1] + h * steps[2];
                    for w in 0..size[3] {
                        table.push(at(a) + w * a[3], at(c) + w * c[3]);
                    }
                }
            }
        }
        table
    }

    /// Where the result of a box's first position goes.
    pub(crate) fn out_offset(&self, start: [usize; 4]) -> usize {
        let along: usize = (0..3).map(|axis| start[axis + 1] * self.out_steps[axis]).sum();
        self.out_start + start[0] * self.out_sample + along
    }

    /// What a box sees of a group's channels: the input from its first position's first tap on, or a copy of it in `scratch` with zeros
    /// around.
    pub(crate) fn view<'a>(
        &self,
        strip: &Strip,
        start: [usize; 4],
        group: usize,
        input: &'a [f32],
        scratch: &'a mut [f32],
    ) -> &'a [f32] {
        let steps = row_major(self.input, self.in_channels);
        let sample = self.input.iter().product::<usize>() * self.in_channels;
        let origin = [0, 1, 2].map(|axis| (start[axis + 1] * self.step[axis]) as isize + self.reach(axis).0);
        if !strip.copied {
            let along: usize = (0..3).map(|axis| origin[axis] as usize * steps[axis]).sum();
            return &input[start[0] * sample + along + group * self.in_per_group..];
        }
        let (channels, first) = (strip.channels, group * self.in_per_group);
        self.each_row(strip, start, input, |row, width, before, inside| {
            let out = &mut scratch[row * width * channels..(row + 1) * width * channels];
            let (left, out) = out.split_at_mut(before * channels);
            let (middle, right) = out.split_at_mut(inside.len() / self.in_channels * channels);
            left.fill(0.0);
            if channels == self.in_channels {
                middle.copy_from_slice(inside);
            } else {
                let pixels = middle.chunks_exact_mut(channels).zip(inside.chunks_exact(self.in_channels));
                pixels.for_each(|(to, from)| to.copy_from_slice(&from[first..first + channels]));
            }
            right.fill(0.0);
        });
        scratch
    }

    /// Calls `row(index, pixels, pixels before the first that exists, those that exist)` for each row of a copied strip.
    pub(crate) fn each_row(
        &self,
        strip: &Strip,
        start: [usize; 4],
        input: &[f32],
        mut row: impl FnMut(usize, usize, usize, &[f32]),
    ) {
        let steps = row_major(self.input, self.in_channels);
        let sample = self.input.iter().product::<usize>() * self.in_channels;
        let origin = [0, 1, 2].map(|axis| (start[axis + 1] * self.step[axis]) as isize + self.reach(axis).0);
        let [planes, rows, width] = strip.sizes;
        let before = (-origin[2]).clamp(0, width as isize) as usize;
        let first = origin[2].max(0) as usize;
        let inside = self.input[2].saturating_sub(first).min(width - before);
        let mut index = 0;
        for n in start[0]..start[0] + strip.samples {
            for d in (origin[0]..).take(planes) {
                for h in (origin[1]..).take(rows) {
                    let exists = (0..self.input[0] as isize).contains(&d)
                        && (0..self.input[1] as isize).contains(&h)
                        && n < self.batch
                        && inside > 0;
                    if exists {
                        let from = n * sample + d as usize * steps[0] + h as usize * steps[1] + first * steps[2];
                        row(index, width, before, &input[from..from + inside * steps[2]]);
                    } else {
                        row(index, width, before, &[]);
                    }
                    index += 1;
                }
            }
        }
    }
}

/// The part of the input that a box sees.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strip {
    /// A copy with zeros around it, or the input itself.
    pub(crate) copied: bool,
    samples: usize,
    sizes: [usize; 3],
    /// Channels of a pixel: all of the input's, or in a copy a group's.
    pub(crate) channels: usize,
}

impl Strip {
    /// Pixels of a sample's part, over the axes, and of how many samples.
    pub(crate) fn pixels(&self) -> usize {
        self.samples * self.sizes.iter().product::<usize>()
    }

    /// Elements of the copy.
    pub(crate) fn len(&self) -> usize {
        self.pixels() * self.channels
    }
}

/// A grid of positions cut into boxes over (sample, depth, height, width).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Boxes {
    whole: [usize; 4],
    /// The size of all but the last boxes of an axis.
    pub(crate) size: [usize; 4],
    counts: [usize; 4],
}

impl Boxes {
    pub(crate) fn count(&self) -> usize {
        self.counts.iter().product()
    }

    /// Start and size of a box.
    pub(crate) fn get(&self, mut index: usize) -> ([usize; 4], [usize; 4]) {
        let mut at = [0; 4];
        for axis in (0..4).rev() {
            at[axis] = index % self.counts[axis];
            index /= self.counts[axis];
        }
        let start = [0, 1, 2, 3].map(|axis| at[axis] * self.size[axis]);
        (start, [0, 1, 2, 3].map(|axis| self.size[axis].min(self.whole[axis] - start[axis])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use striate_tensor::{ConvSpec, Padding, Shape};

    fn geometry(x: [usize; 4], k: [usize; 4], stride: usize, padding: Padding) -> ConvGeometry {
        let spec = ConvSpec { strides: [stride; 3], padding, ..ConvSpec::default() };
        spec.geometry(&Shape::from(x), &Shape::from(k)).unwrap()
    }

    #[test]
    fn boxes_cover_the_grid_once() {
        let c = Correlation::forward(&geometry([5, 13, 11, 3], [3, 3, 3, 4], 1, Padding::Same));
        for target in [1, 4, 11, 30, 143, 200, 10_000] {
            let boxes = c.boxes(target);
            let mut seen = vec![0; c.batch * c.positions()];
            for i in 0..boxes.count() {
                let (start, size) = boxes.get(i);
                let table = c.table(&c.strip(size), size);
                let at = c.out_offset(start);
                assert!(table.results().len() <= target.max(1));
                table.results().iter().for_each(|r| seen[(at + r) / 4] += 1);
            }
            assert!(seen.iter().all(|&n| n == 1), "{target}");
        }
    }

    #[test]
    fn strided_gradient_classes_share_out_taps_and_inputs() {
        let g = geometry([1, 9, 8, 2], [3, 3, 2, 4], 2, Padding::Same);
        let classes = Correlation::input_gradient(&g);
        assert_eq!(classes.iter().map(Correlation::positions).sum::<usize>(), 72);
        assert_eq!(classes.iter().map(Correlation::tap_count).sum::<usize>(), 9);
    }
}
