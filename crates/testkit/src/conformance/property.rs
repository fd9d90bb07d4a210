//! Running a property over random cases, and comparing a device's results with the reference's.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestError, TestRng, TestRunner};
use std::fmt::Debug;
use striate_tensor::{DType, Device, Error, HostData, Key, Result, Shape, Tensor};

/// Tries `property` on `cases` random cases, always the same ones for one `name`. The error shows the smallest case found that
/// fails, and how.
pub(super) fn holds<S: Strategy>(
    name: &str,
    cases: u32,
    strategy: S,
    property: impl Fn(S::Value) -> TestCaseResult,
) -> Result<(), String> {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 300, ..Config::default() };
    let mut words = Key::new(0).fold_str(name).stream();
    let seed: Vec<u8> = (0..8).flat_map(|_| words.word().to_le_bytes()).collect();
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    runner.run(&strategy, property).map_err(|error| match error {
        TestError::Fail(reason, case) => format!("{name}: {reason}\nsmallest case that fails: {case:#?}"),
        TestError::Abort(reason) => format!("{name}: too many cases were refused: {reason}"),
    })
}

/// Tries `property` on given cases: sizes that are too slow to draw many of.
pub(super) fn holds_for<C: Debug + Clone>(
    name: &str,
    cases: impl IntoIterator<Item = C>,
    property: impl Fn(C) -> TestCaseResult,
) -> Result<(), String> {
    cases.into_iter().try_for_each(|case| match property(case.clone()) {
        Err(TestCaseError::Fail(reason)) => Err(format!("{name}: {reason}\ncase that fails: {case:#?}")),
        // What a device refuses it need not compute.
        Ok(()) | Err(TestCaseError::Reject(_)) => Ok(()),
    })
}

/// What numbers an operand is made of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fill {
    /// Uniform in [−1, 1).
    Smooth,
    /// Halves from −3 to 3: zeros, equal numbers, whole numbers.
    Steps,
    /// Either sign, magnitudes from 0.001 to 1000.
    Wide,
}

/// How operands are made: everything about them that a case says besides their shapes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draw {
    pub(super) dtype: DType,
    pub(super) fill: Fill,
    /// Of the numbers.
    pub(super) seed: u64,
    /// Elements before the operand's first one in its memory, so that it is a view.
    pub(super) shift: usize,
}

/// Floating-point operands of every kind.
pub(super) fn draw() -> impl Strategy<Value = Draw> {
    let fill = prop_oneof![Just(Fill::Smooth), Just(Fill::Steps), Just(Fill::Wide)];
    any_draw(fill)
}

/// As [`draw`], with numbers of about one magnitude only: an algorithm that transforms tiles has errors relative to the whole tile.
pub(super) fn level_draw() -> impl Strategy<Value = Draw> {
    any_draw(prop_oneof![3 => Just(Fill::Smooth), 1 => Just(Fill::Steps)])
}

fn any_draw(fill: impl Strategy<Value = Fill>) -> impl Strategy<Value = Draw> {
    let dtype = prop_oneof![3 => Just(DType::F32), 1 => Just(DType::F64)];
    (dtype, fill, any::<u64>().no_shrink(), prop_oneof![2 => Just(0usize), 1 => 1usize..9])
        .prop_map(|(dtype, fill, seed, shift)| Draw { dtype, fill, seed, shift })
}

/// float32 operands of one magnitude, in the middle of a buffer.
pub(super) const LEVEL: Draw = Draw { dtype: DType::F32, fill: Fill::Smooth, seed: 1, shift: 3 };

impl Draw {
    /// Numbers that float32 holds exactly; `tag` tells the operands of one case apart.
    pub(super) fn values(&self, tag: u64, len: usize) -> Vec<f64> {
        let mut stream = Key::new(self.seed).fold(tag).stream();
        let mut value = || match self.fill {
            Fill::Smooth => stream.uniform_in(-1.0, 1.0),
            Fill::Steps => stream.below(13) as f64 / 2.0 - 3.0,
            Fill::Wide => {
                let magnitude = 10f64.powf(stream.uniform_in(-3.0, 3.0));
                if stream.below(2) == 0 { magnitude } else { -magnitude }
            }
        };
        (0..len).map(|_| f64::from(value() as f32)).collect()
    }
}

/// One operand, on the device under test and in double precision on the reference.
pub(super) struct Operand {
    pub(super) tested: Tensor,
    pub(super) exact: Tensor,
}

impl Operand {
    /// The elements' magnitudes, for bounds on sums.
    pub(super) fn magnitude(&self) -> Result<Tensor> {
        self.exact.unary(striate_tensor::UnaryOp::Abs)
    }
}

/// The device under test beside the reference.
pub(super) struct Lab<'a> {
    pub(super) device: &'a Device,
    pub(super) reference: Device,
}

impl<'a> Lab<'a> {
    pub(super) fn new(device: &'a Device) -> Self {
        Lab { device, reference: crate::reference::device() }
    }

    /// An operand of random numbers.
    pub(super) fn operand(&self, draw: &Draw, tag: u64, shape: impl Into<Shape>) -> Result<Operand> {
        let shape = shape.into();
        self.given(draw, draw.values(tag, shape.elements()), shape)
    }

    /// An operand of given numbers.
    pub(super) fn given(&self, draw: &Draw, values: Vec<f64>, shape: impl Into<Shape>) -> Result<Operand> {
        let shape = shape.into();
        let mut shifted = vec![f64::NAN; draw.shift];
        shifted.extend_from_slice(&values);
        let whole = match draw.dtype {
            DType::F64 => Tensor::from_vec(shifted, draw.shift + values.len(), self.device)?,
            _ => {
                let shifted: Vec<f32> = shifted.into_iter().map(|value| value as f32).collect();
                Tensor::from_vec(shifted, draw.shift + values.len(), self.device)?
            }
        };
        let tested = whole.rows(draw.shift..draw.shift + values.len())?.reshape(shape)?;
        Ok(Operand { tested, exact: Tensor::from_vec(values, shape, &self.reference)? })
    }
}

/// The results of work that is done twice and must give the same bits. A device may refuse another type than `dtype` allows, and
/// then the case is drawn again.
pub(super) fn twice(dtype: DType, work: impl Fn() -> Result<Vec<Tensor>>) -> Result<Vec<Tensor>, TestCaseError> {
    let first = match work() {
        Err(Error::DType(_)) if !required(dtype) => {
            return Err(TestCaseError::reject("the device does not take this element type"));
        }
        other => other?,
    };
    for (i, (first, second)) in first.iter().zip(work()?).enumerate() {
        prop_assert!(bits(first)? == bits(&second)?, "result {i} of a second call has other bits");
    }
    Ok(first)
}

/// The element types that every device takes wherever they make sense.
pub(super) fn required(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::U8 | DType::I32)
}

/// The only result of work as in [`twice`].
pub(super) fn once(dtype: DType, work: impl Fn() -> Result<Tensor>) -> Result<Tensor, TestCaseError> {
    let mut results = twice(dtype, || Ok(vec![work()?]))?;
    results.pop().ok_or_else(|| TestCaseError::fail("no result"))
}

/// The elements bit by bit.
pub(super) fn bits(x: &Tensor) -> Result<Vec<u64>> {
    let host = x.device().download(x)?;
    Ok(match host.data() {
        HostData::F32(v) => v.iter().map(|v| u64::from(v.to_bits())).collect(),
        HostData::F64(v) => v.iter().map(|v| v.to_bits()).collect(),
        HostData::F16(v) => v.iter().map(|v| u64::from(v.to_bits())).collect(),
        HostData::Bf16(v) => v.iter().map(|v| u64::from(v.to_bits())).collect(),
        HostData::U8(v) => v.iter().map(|&v| u64::from(v)).collect(),
        HostData::I32(v) => v.iter().map(|&v| u64::from(v as u32)).collect(),
        HostData::I64(v) => v.iter().map(|&v| v as u64).collect(),
    })
}

/// Holds `got` to `want`, which is exact: element i may be off by `bound(i)`.
pub(super) fn agree(
    what: &str,
    got: &Tensor,
    want: &Tensor,
    dtype: DType,
    bound: impl Fn(usize) -> f64,
) -> TestCaseResult {
    prop_assert_eq!(got.dtype(), dtype, "{} has the wrong element type", what);
    prop_assert_eq!(got.shape(), want.shape(), "{} has the wrong shape", what);
    let (got, exact) = (got.to_f64_vec()?, want.to_f64_vec()?);
    let rounded = want.cast(dtype)?.to_f64_vec()?;
    for (i, (&got, &want)) in got.iter().zip(&rounded).enumerate() {
        let same = got == want || (got.is_nan() && want.is_nan());
        let bound = bound(i);
        prop_assert!(
            same || (got - want).abs() <= bound,
            "{}: element {} is {:e}, the reference gives {:e} ({:e} rounded); off by {:e}, allowed {:e}",
            what,
            i,
            got,
            exact[i],
            want,
            (got - want).abs(),
            bound
        );
    }
    Ok(())
}

/// Holds `got` to the very bits of `want`.
pub(super) fn equal(what: &str, got: &Tensor, want: &Tensor) -> TestCaseResult {
    prop_assert_eq!(got.dtype(), want.dtype(), "{} has the wrong element type", what);
    prop_assert_eq!(got.shape(), want.shape(), "{} has the wrong shape", what);
    let (got, want) = (bits(got)?, bits(want)?);
    if let Some(i) = (0..got.len()).find(|&i| got[i] != want[i]) {
        prop_assert!(false, "{}: element {} has bits {:#x}, the reference {:#x}", what, i, got[i], want[i]);
    }
    Ok(())
}

/// A shape whose rank and sizes lie in the given ranges.
pub(super) fn shape(ranks: std::ops::Range<usize>, sizes: std::ops::Range<usize>) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(sizes, ranks)
}

/// Every activation, those with a parameter several times.
pub(super) const ACTIVATIONS: [striate_tensor::Activation; 17] = {
    use striate_tensor::Activation::*;
    [
        Linear,
        Relu,
        Relu6,
        LeakyRelu(0.2),
        LeakyRelu(-0.3),
        Elu(1.0),
        Elu(-0.5),
        Selu,
        Sigmoid,
        HardSigmoid,
        Tanh,
        Exponential,
        Softsign,
        Softplus,
        Silu,
        Gelu,
        GeluTanh,
    ]
};

/// Any activation, most often none.
pub(super) fn activation() -> impl Strategy<Value = striate_tensor::Activation> {
    prop_oneof![1 => Just(striate_tensor::Activation::Linear), 2 => prop::sample::select(&ACTIVATIONS[..])]
}
