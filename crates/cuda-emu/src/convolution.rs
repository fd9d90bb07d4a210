//! A convolution as cuDNN does it, in plain loops: tensors with their channels last, kernels (out, spatial…, in of one group).

use crate::cublas::to_tf32;
use crate::state::Range;
use std::sync::atomic::{AtomicU32, Ordering};

/// Which of the three products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    Forward,
    Input,
    Kernel,
}

/// All sizes, with three spatial axes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    batch: usize,
    ins: usize,
    outs: usize,
    groups: usize,
    input: [usize; 3],
    kernel: [usize; 3],
    output: [usize; 3],
    stride: [usize; 3],
    dilation: [usize; 3],
    pad: [usize; 3],
}

/// With three axes: missing ones come first.
fn three(sizes: &[usize], missing: usize) -> [usize; 3] {
    let mut all = [missing; 3];
    all[3 - sizes.len()..].copy_from_slice(sizes);
    all
}

impl Form {
    /// From numbers of samples, channels in, channels out and groups; input, kernel and output; strides, dilations and padding.
    pub(crate) fn new(
        [batch, ins, outs, groups]: [usize; 4],
        [input, kernel, output]: [&[usize]; 3],
        [stride, dilation, pad]: [&[usize]; 3],
    ) -> Form {
        let (input, kernel, output) = (three(input, 1), three(kernel, 1), three(output, 1));
        let (stride, dilation, pad) = (three(stride, 1), three(dilation, 1), three(pad, 0));
        Form { batch, ins, outs, groups, input, kernel, output, stride, dilation, pad }
    }

    /// Whether the outputs are as many as cuDNN makes.
    pub(crate) fn is_consistent(&self) -> bool {
        (0..3).all(|axis| {
            let reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1;
            let room = (self.input[axis] + 2 * self.pad[axis]).checked_sub(reach);
            room.is_some_and(|room| room / self.stride[axis] + 1 == self.output[axis])
        })
    }

    pub(crate) fn kernel_elements(&self) -> usize {
        self.outs * self.row()
    }

    /// Elements of one filter.
    fn row(&self) -> usize {
        self.kernel.iter().product::<usize>() * self.ins / self.groups
    }

    fn x_elements(&self) -> usize {
        self.batch * self.input.iter().product::<usize>() * self.ins
    }

    fn y_elements(&self) -> usize {
        self.batch * self.output.iter().product::<usize>() * self.outs
    }

    /// For each tap under an output position of a sample, where the input's channels begin; none on padding.
    fn taps(&self, sample: usize, position: [usize; 3]) -> Vec<Option<usize>> {
        let place = |axis: usize, tap: usize| {
            let at = position[axis] * self.stride[axis] + tap * self.dilation[axis];
            at.checked_sub(self.pad[axis]).filter(|&at| at < self.input[axis])
        };
        let mut all = Vec::new();
        for d in 0..self.kernel[0] {
            for h in 0..self.kernel[1] {
                for w in 0..self.kernel[2] {
                    all.push((|| {
                        let (d, h, w) = (place(0, d)?, place(1, h)?, place(2, w)?);
                        let [_, height, width] = self.input;
                        let depth = sample * self.input[0] + d;
                        Some(((depth * height + h) * width + w) * self.ins)
                    })());
                }
            }
        }
        all
    }
}

/// Where the three tensors begin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operands {
    pub(crate) x: u64,
    pub(crate) kernel: u64,
    pub(crate) y: u64,
}

impl Operands {
    pub(crate) fn all(&self) -> [u64; 3] {
        [self.x, self.kernel, self.y]
    }
}

/// A pass of a convolution, waiting in a stream.
#[derive(Debug, Clone)]
pub(crate) struct Convolution {
    pub(crate) pass: Pass,
    pub(crate) form: Form,
    pub(crate) operands: Operands,
    pub(crate) workspace: Option<Range>,
    pub(crate) tf32: bool,
    /// Whether its sums come out otherwise each time.
    pub(crate) is_changing: bool,
}

impl Convolution {
    /// Input, kernel and output, and which of them is the result.
    fn ranges(&self) -> ([Range; 3], usize) {
        let range = |address, elements: usize| Range { address, bytes: 4 * elements };
        let all = [
            range(self.operands.x, self.form.x_elements()),
            range(self.operands.kernel, self.form.kernel_elements()),
            range(self.operands.y, self.form.y_elements()),
        ];
        let result = match self.pass {
            Pass::Forward => 2,
            Pass::Input => 0,
            Pass::Kernel => 1,
        };
        (all, result)
    }

    /// What it reads.
    pub(crate) fn reads(&self) -> Vec<Range> {
        let (all, result) = self.ranges();
        all.into_iter().enumerate().filter(|&(i, _)| i != result).map(|(_, range)| range).collect()
    }

    /// What it writes: the result first.
    pub(crate) fn writes(&self) -> Vec<Range> {
        let (all, result) = self.ranges();
        std::iter::once(all[result]).chain(self.workspace).collect()
    }

    /// Does it.
    ///
    /// # Safety
    /// The ranges of `reads` and `writes` must lie in memory, and no range written may overlap another.
    pub(crate) unsafe fn run(&self) {
        let (all, result) = self.ranges();
        let read = |range: Range| -> Vec<f32> {
            let from = std::ptr::with_exposed_provenance::<f32>(range.address as usize);
            // SAFETY: the caller's promise.
            let floats = unsafe { std::slice::from_raw_parts(from, range.bytes / 4) };
            floats.iter().map(|&v| if self.tf32 { to_tf32(v) } else { v }).collect()
        };
        let of = |i: usize| if i == result { vec![0f32; all[i].bytes / 4] } else { read(all[i]) };
        let (mut x, mut kernel, mut y) = (of(0), of(1), of(2));
        self.convolve(&mut x, &mut kernel, &mut y);
        let mut made = vec![x, kernel, y].swap_remove(result);
        if self.is_changing {
            static TIMES: AtomicU32 = AtomicU32::new(0);
            let factor = 1.0 + TIMES.fetch_add(1, Ordering::Relaxed) as f32 / 64.0;
            made.iter_mut().for_each(|v| *v *= factor);
        }
        let to = std::ptr::with_exposed_provenance_mut::<f32>(all[result].address as usize);
        // SAFETY: the caller's promise.
        unsafe {
            std::ptr::copy_nonoverlapping(made.as_ptr(), to, made.len());
            if let Some(used) = self.workspace {
                std::ptr::write_bytes(used.address as *mut u8, 0xff, used.bytes);
            }
        }
    }

    /// One of the three from the two others.
    fn convolve(&self, x: &mut [f32], kernel: &mut [f32], y: &mut [f32]) {
        let f = &self.form;
        let (ins, outs) = (f.ins / f.groups, f.outs / f.groups);
        let positions = f.output.iter().product::<usize>();
        for at in 0..f.batch * positions {
            let (sample, p) = (at / positions, at % positions);
            let [_, height, width] = f.output;
            let taps = f.taps(sample, [p / (height * width), p / width % height, p % width]);
            for out in 0..f.outs {
                let group = out / outs * ins;
                let value = &mut y[at * f.outs + out];
                for (tap, from) in taps.iter().enumerate() {
                    let Some(from) = from else { continue };
                    let x = &mut x[from + group..][..ins];
                    let kernel = &mut kernel[out * f.row() + tap * ins..][..ins];
                    match self.pass {
                        Pass::Forward => *value += x.iter().zip(kernel).map(|(x, k)| x * *k).sum::<f32>(),
                        Pass::Input => x.iter_mut().zip(kernel).for_each(|(x, k)| *x += *value * *k),
                        Pass::Kernel => kernel.iter_mut().zip(x).for_each(|(k, x)| *k += *value * *x),
                    }
                }
            }
        }
    }
}
