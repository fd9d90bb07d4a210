//! Convolution and its gradients.

use super::property::{Draw, LEVEL, Lab, activation, agree, holds, holds_for, level_draw, once, twice};
use super::tolerance;
use proptest::prelude::*;
use striate_tensor::{
    Activation, ConvAlgorithm, ConvSpec, Device, Error, Padding, PoolKind, PoolSpec, Result, Shape, Tensor, UnaryOp,
};

/// A convolution whose parts fit each other.
#[derive(Debug, Clone)]
pub(super) struct Convolution {
    input: Vec<usize>,
    kernel: Vec<usize>,
    pub(super) spec: ConvSpec,
}

/// Products in one drawn case at most: each case is computed several times by plain loops.
const BUDGET: usize = 400_000;

/// What gives way first where a drawn case is too large.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cut {
    Channels,
    Space,
}

impl Convolution {
    /// Makes the input large enough for the kernel, and the whole small enough for the budget.
    fn fitted(
        batch: usize,
        mut space: Vec<usize>,
        window: Vec<usize>,
        mut channels: [usize; 2],
        spec: ConvSpec,
        cut: Cut,
    ) -> Self {
        let least: Vec<usize> = (0..space.len())
            .map(|axis| {
                let extent = (window[axis] - 1) * spec.dilations[axis] + 1;
                let padded = match spec.padding {
                    Padding::Valid => 0,
                    Padding::Explicit(pads) => pads[axis].0 + pads[axis].1,
                    Padding::Same | Padding::Causal => extent,
                };
                extent.saturating_sub(padded).max(1)
            })
            .collect();
        space.iter_mut().zip(&least).for_each(|(size, least)| *size = (*size).max(*least));
        let products = |space: &[usize], channels: &[usize; 2]| -> usize {
            let positions = space.iter().zip(&spec.strides).map(|(size, stride)| size.div_ceil(*stride));
            positions.chain(window.iter().copied()).product::<usize>() * spec.groups * channels[0] * channels[1]
        };
        while products(&space, &channels) > BUDGET {
            let axis = (0..space.len()).filter(|&axis| space[axis] > least[axis]).max_by_key(|&axis| space[axis]);
            match axis {
                Some(axis) if cut == Cut::Space || channels == [1, 1] => {
                    space[axis] = (space[axis] * 3 / 4).max(least[axis]);
                }
                None if channels == [1, 1] => break,
                _ => {
                    let larger = usize::from(channels[1] > channels[0]);
                    channels[larger] = channels[larger].div_ceil(2);
                }
            }
        }
        let batch = batch.min((BUDGET / products(&space, &channels)).max(1));
        let mut input = vec![batch];
        input.extend(&space);
        input.push(channels[0] * spec.groups);
        let mut kernel = window;
        kernel.extend([channels[0], channels[1] * spec.groups]);
        Convolution { input, kernel, spec }
    }

    pub(super) fn shapes(&self) -> Result<(Shape, Shape, Shape)> {
        let (input, kernel) = (Shape::new(&self.input)?, Shape::new(&self.kernel)?);
        Ok((input, kernel, self.spec.output_shape(&input, &kernel)?))
    }
}

/// Any convolution: 1 to 3 axes, all kinds of padding, strides, dilations, groups.
fn any_convolution() -> impl Strategy<Value = Convolution> {
    (1usize..4).prop_flat_map(|axes| {
        let (space, window) = [(41usize, 9usize), (21, 6), (8, 4)][axes - 1];
        let pads = prop::array::uniform3((0usize..5, 0usize..5));
        let padding = prop_oneof![
            Just(Padding::Valid),
            Just(Padding::Same),
            pads.prop_map(Padding::Explicit),
            Just(if axes == 1 { Padding::Causal } else { Padding::Same }),
        ];
        let steps = || prop_oneof![3 => Just([1usize; 3]), 2 => prop::array::uniform3(1usize..4)];
        let algorithm = prop_oneof![
            2 => Just(ConvAlgorithm::Auto),
            1 => Just(ConvAlgorithm::Direct),
            1 => Just(ConvAlgorithm::Winograd),
        ];
        let spec = (steps(), steps(), padding, algorithm);
        (
            prop_oneof![1 => Just(0usize), 9 => 1usize..4],
            prop::collection::vec(1usize..space, axes),
            prop::collection::vec(1usize..window, axes),
            channels(),
            spec,
        )
            .prop_map(
                |(batch, space, window, (groups, channels), (strides, dilations, padding, algorithm))| {
                    let spec = ConvSpec { strides, dilations, padding, groups, algorithm };
                    Convolution::fitted(batch, space, window, channels, spec, Cut::Channels)
                },
            )
    })
}

/// Groups, and channels in and out of each.
fn channels() -> impl Strategy<Value = (usize, [usize; 2])> {
    let few = || prop_oneof![3 => 1usize..6, 2 => 6usize..18, 1 => 18usize..71];
    prop_oneof![
        4 => [few(), few()].prop_map(|channels| (1, channels)),
        1 => (2usize..5, [1usize..9, 1usize..18]),
        1 => (1usize..71, 1usize..4).prop_map(|(channels, multiplier)| (channels, [1, multiplier])),
    ]
}

/// What networks are made of, and where fast algorithms are: 3×3 and 1×1, stride 1, more channels than a register holds.
fn usual_convolution() -> impl Strategy<Value = Convolution> {
    let padding = prop_oneof![Just(Padding::Valid), Just(Padding::Same)];
    let window = prop_oneof![3 => Just(vec![3usize, 3]), 1 => Just(vec![1, 1])];
    let channels = [prop_oneof![1usize..5, 5usize..71], prop_oneof![1usize..5, 5usize..71]];
    let algorithm = prop_oneof![Just(ConvAlgorithm::Auto), Just(ConvAlgorithm::Winograd)];
    let cut = prop_oneof![Just(Cut::Space), Just(Cut::Channels)];
    (1usize..3, prop::collection::vec(1usize..16, 2), window, channels, (padding, algorithm), cut).prop_map(
        |(batch, space, window, channels, (padding, algorithm), cut)| {
            let spec = ConvSpec { padding, algorithm, ..ConvSpec::default() };
            Convolution::fitted(batch, space, window, channels, spec, cut)
        },
    )
}

/// The kernel covers the input: one position for each axis.
fn covering_convolution() -> impl Strategy<Value = Convolution> {
    (1usize..4).prop_flat_map(|axes| {
        (1usize..4, prop::collection::vec(1usize..8, axes), [1usize..34, 1usize..34]).prop_map(
            |(batch, space, channels)| {
                Convolution::fitted(batch, space.clone(), space, channels, ConvSpec::default(), Cut::Channels)
            },
        )
    })
}

/// Convolutions of every kind.
pub(super) fn convolution() -> impl Strategy<Value = Convolution> {
    prop_oneof![
        5 => any_convolution().boxed(),
        2 => usual_convolution().boxed(),
        1 => covering_convolution().boxed(),
    ]
}

/// Layers as networks have them, large enough to be worth several threads and cut into blocks.
pub(super) fn layers() -> Vec<Convolution> {
    let same = ConvSpec { padding: Padding::Same, ..ConvSpec::default() };
    let layer = |input: &[usize], kernel: &[usize], spec: ConvSpec| Convolution {
        input: input.to_vec(),
        kernel: kernel.to_vec(),
        spec,
    };
    vec![
        layer(&[8, 28, 28, 1], &[3, 3, 1, 32], ConvSpec::default()),
        layer(&[2, 13, 13, 32], &[3, 3, 32, 64], ConvSpec::default()),
        layer(&[1, 16, 16, 64], &[3, 3, 64, 64], same),
        layer(&[1, 2, 2, 192], &[3, 3, 192, 136], same),
        layer(&[1, 14, 14, 160], &[1, 1, 160, 96], ConvSpec::default()),
        layer(&[1, 56, 56, 3], &[7, 7, 3, 24], ConvSpec { strides: [2; 3], ..same }),
        layer(&[1, 40, 40, 72], &[3, 3, 1, 72], ConvSpec { groups: 72, ..same }),
        layer(&[1, 600, 24], &[5, 24, 40], ConvSpec { padding: Padding::Causal, dilations: [4; 3], ..same }),
        layer(&[1, 8, 16, 16, 6], &[3, 3, 3, 6, 20], same),
    ]
}

/// The convolution with bias and every activation.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn conv_forward(device: &Device, cases: u32) -> Result<(), String> {
    let lab = Lab::new(device);
    let case = (level_draw(), convolution(), any::<bool>(), activation());
    let property = |(draw, case, with_bias, activation): (Draw, Convolution, bool, Activation)| {
        let (input, kernel, output) = case.shapes()?;
        let (x, k) = (lab.operand(&draw, 0, input)?, lab.operand(&draw, 1, kernel)?);
        let bias = if with_bias { Some(lab.operand(&draw, 2, output.channels())?) } else { None };
        let got = once(draw.dtype, || {
            x.tested.conv(&k.tested, bias.as_ref().map(|bias| &bias.tested), &case.spec, activation)
        })?;
        let sums = x.exact.conv(&k.exact, bias.as_ref().map(|bias| &bias.exact), &case.spec, Activation::Linear)?;
        let want = sums.activate(activation)?;
        let bias_magnitude = bias.as_ref().map(|bias| bias.magnitude()).transpose()?;
        let magnitude = x
            .magnitude()?
            .conv(&k.magnitude()?, bias_magnitude.as_ref(), &case.spec, Activation::Linear)?
            .to_f64_vec()?;
        let sums = sums.to_f64_vec()?;
        agree("y", &got, &want, draw.dtype, |i| tolerance::activated(activation, draw.dtype, sums[i], magnitude[i]))
    };
    holds("conv_forward", cases, case, property)?;
    holds_for("conv_forward", layers().into_iter().map(|layer| (LEVEL, layer, true, Activation::Relu)), property)
}

/// The gradient of the convolution's input.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn conv_backward_input(device: &Device, cases: u32) -> Result<(), String> {
    let lab = Lab::new(device);
    let property = |(draw, case): (Draw, Convolution)| {
        let (input, kernel, output) = case.shapes()?;
        let (dy, k) = (lab.operand(&draw, 0, output)?, lab.operand(&draw, 1, kernel)?);
        let got = once(draw.dtype, || dy.tested.conv_backward_input(&k.tested, &input, &case.spec))?;
        let want = dy.exact.conv_backward_input(&k.exact, &input, &case.spec)?;
        let magnitude = dy.magnitude()?.conv_backward_input(&k.magnitude()?, &input, &case.spec)?.to_f64_vec()?;
        agree("dx", &got, &want, draw.dtype, |i| tolerance::sum(draw.dtype, magnitude[i]))
    };
    holds("conv_backward_input", cases, (level_draw(), convolution()), property)?;
    holds_for("conv_backward_input", layers().into_iter().map(|layer| (LEVEL, layer)), property)
}

/// The gradients of the convolution's kernel and bias.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn conv_backward_kernel(device: &Device, cases: u32) -> Result<(), String> {
    let lab = Lab::new(device);
    let case = (level_draw(), convolution(), any::<bool>());
    let property = |(draw, case, with_bias): (Draw, Convolution, bool)| {
        let (input, kernel, output) = case.shapes()?;
        let (x, dy) = (lab.operand(&draw, 0, input)?, lab.operand(&draw, 1, output)?);
        let got = twice(draw.dtype, || {
            let (dkernel, dbias) = dy.tested.conv_backward_kernel(&x.tested, &kernel, &case.spec, with_bias)?;
            Ok([Some(dkernel), dbias].into_iter().flatten().collect())
        })?;
        prop_assert_eq!(got.len(), 1 + usize::from(with_bias), "the bias's gradient must be there if asked for");
        let (dkernel, dbias) = dy.exact.conv_backward_kernel(&x.exact, &kernel, &case.spec, true)?;
        let (kernel_magnitude, bias_magnitude) =
            dy.magnitude()?.conv_backward_kernel(&x.magnitude()?, &kernel, &case.spec, true)?;
        let pairs = [Some((dkernel, kernel_magnitude)), dbias.zip(bias_magnitude)];
        for ((what, got), (want, magnitude)) in ["dkernel", "dbias"].iter().zip(&got).zip(pairs.into_iter().flatten()) {
            let magnitude = magnitude.to_f64_vec()?;
            agree(what, got, &want, draw.dtype, |i| tolerance::sum(draw.dtype, magnitude[i]))?;
        }
        Ok(())
    };
    holds("conv_backward_kernel", cases, case, property)?;
    holds_for("conv_backward_kernel", layers().into_iter().map(|layer| (LEVEL, layer, true)), property)
}

/// All gradients of a convolution in one go: perhaps through a maximum pooling, perhaps to below a ReLU, with the input's own memory
/// to write to or not.
///
/// # Errors
/// A text with the smallest case that fails.
pub fn conv_backward(device: &Device, cases: u32) -> Result<(), String> {
    let lab = Lab::new(device);
    let flags = || (any::<[bool; 3]>(), any::<[bool; 3]>());
    let property = |(draw, case, (wanted, [masked, pooled, owned])): (Draw, Convolution, ([bool; 3], [bool; 3]))| {
        let (input, kernel, output) = case.shapes()?;
        let (x, k) = (lab.operand(&draw, 0, input)?, lab.operand(&draw, 1, kernel)?);
        let spec = PoolSpec { kind: PoolKind::Max, window: [2; 3], strides: [2; 3], padding: Padding::Valid };
        let pool = Some(&spec).filter(|_| pooled && output[1..output.rank() - 1].iter().all(|&size| size >= 2));
        let (dy, winners) = match pool {
            Some(pool) => {
                let winners = lab.operand(&draw, 2, output)?.exact.pool(pool, true)?.1;
                let tested = winners.as_ref().map(|winners| winners.to_device(device)).transpose()?;
                (lab.operand(&draw, 3, pool.output_shape(&output)?)?, tested.zip(winners))
            }
            None => (lab.operand(&draw, 3, output)?, None),
        };
        let tested = pool.zip(winners.as_ref().map(|(tested, _)| tested));
        let got = twice(draw.dtype, || {
            let own = || Tensor::from_storage(device.copy(&x.tested)?, input, device);
            let x = if owned { own()? } else { x.tested.clone() };
            let made = dy.tested.conv_backward(x, &k.tested, &case.spec, tested, wanted, masked)?;
            Ok([made.input, made.kernel, made.bias].into_iter().flatten().collect())
        })?;
        prop_assert_eq!(
            got.len(),
            wanted.iter().filter(|&&is| is).count(),
            "what is wanted must be there, and no more"
        );
        let all = |dy: &Tensor, x: &Tensor, k: &Tensor| {
            let pool = pool.zip(winners.as_ref().map(|(_, exact)| exact));
            let dz = pool.map(|(pool, winners)| dy.pool_backward(&output, Some(winners), pool)).transpose()?;
            let dz = dz.as_ref().unwrap_or(dy);
            let (dkernel, dbias) = dz.conv_backward_kernel(x, &kernel, &case.spec, true)?;
            Ok::<_, Error>([Some(dz.conv_backward_input(k, &input, &case.spec)?), Some(dkernel), dbias])
        };
        let mut want = all(&dy.exact, &x.exact, &k.exact)?;
        if masked {
            let relu = UnaryOp::Activation(Activation::Relu);
            want[0] = want[0].take().map(|dx| dx.unary_backward(relu, &x.exact)).transpose()?;
        }
        let magnitudes = all(&dy.magnitude()?, &x.magnitude()?, &k.magnitude()?)?;
        let pairs = want.into_iter().flatten().zip(magnitudes.into_iter().flatten());
        let pairs = ["dx", "dkernel", "dbias"].iter().zip(pairs).zip(wanted).filter(|(_, is)| *is);
        for ((what, (want, magnitude)), got) in pairs.map(|(pair, _)| pair).zip(&got) {
            let magnitude = magnitude.to_f64_vec()?;
            agree(what, got, &want, draw.dtype, |i| tolerance::sum(draw.dtype, magnitude[i]))?;
        }
        Ok(())
    };
    holds("conv_backward", cases, (level_draw(), convolution(), flags()), property)?;
    let flags = ([true; 3], [true; 3]);
    holds_for("conv_backward", layers().into_iter().map(|layer| (LEVEL, layer, flags)), property)
}
