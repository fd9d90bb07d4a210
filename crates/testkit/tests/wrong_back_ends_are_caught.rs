//! The conformance suite can fail: the reference with one small fault each is caught, by the function for that primitive.

mod faulty;

use faulty::{Fault, Wrong};
use striate_tensor::Device;
use striate_testkit::conformance::{self, CASES};

type Property = fn(&Device, u32) -> Result<(), String>;

/// Every fault with the property that must find it, and a word of what it must say.
const FAULTS: [(Fault, Property, &str); 44] = {
    use Fault::*;
    use conformance as c;
    [
        (CopyIgnoresOffset, c::upload_download_copy, "copy: element"),
        (FullIsOneShort, c::full, "full: element"),
        (CastRounds, c::cast, "cast: element"),
        (MemoryForgetsNothing, c::memory, "forget"),
        (PermuteSwapsBack, c::permute, "permute"),
        (PadRepeatsTheBorder, c::pad, "Reflect"),
        (PadBackwardDropsTheBorder, c::pad_backward, "dx: element"),
        (CropStartsAtZero, c::crop, "result: element"),
        (ConcatTurnsParts, c::concat, "result: element"),
        (GatherSortsRows, c::gather, "result: element"),
        (TanhIsSlightlyOff, c::unary, "Tanh"),
        (GeluIsApproximated, c::unary, "Gelu"),
        (EmptyInputsPanic, c::unary, "an empty tensor"),
        (ReluPassesAtZero, c::unary_backward, "Relu"),
        (ScalingByZeroGivesZero, c::is_finite, "is_finite"),
        (BinaryTurnsOperands, c::binary, "binary"),
        (DropoutIsOneElementLate, c::dropout, "dropout: element"),
        (DropoutDoesNotScale, c::dropout, "y: element"),
        (MeanCountsOneMore, c::reduce, "reduce Mean"),
        (ArgmaxTakesTheLast, c::argmax, "index: element"),
        (MatmulForgetsTheTail, c::matmul, "c: element"),
        (MatmulForgetsTheBias, c::matmul, "bias: true"),
        (MatmulIsOfHalfPrecision, c::matmul, "c: element"),
        (MatmulIsNotDeterministic, c::matmul, "second call has other bits"),
        (ConvIsOneOff, c::conv_forward, "y: element"),
        (ConvIgnoresDilation, c::conv_forward, "y: element"),
        (ConvIgnoresGroups, c::conv_forward, "groups"),
        (ConvActivatesBeforeBias, c::conv_forward, "y: element"),
        (ConvMissesTheLastChannel, c::conv_forward, "17,"),
        (ConvMissesABlock, c::conv_forward, "y: element"),
        (InputGradientIgnoresStride, c::conv_backward_input, "dx: element"),
        (KernelGradientDropsASample, c::conv_backward_kernel, "dkernel: element"),
        (BiasGradientIsMissing, c::conv_backward_kernel, "bias's gradient"),
        (MaxTakesTheLast, c::pool_forward, "indices: element"),
        (AverageCountsPadding, c::pool_forward, "Average"),
        (PoolBackwardOverwrites, c::pool_backward, "dx: element"),
        (LargeIndicesWrap, c::pool_forward, "indices: element"),
        (SoftmaxOverflows, c::softmax, "Wide"),
        (SoftmaxBackwardForgetsTheSum, c::softmax_backward, "dx: element"),
        (CrossentropyIsOfTheLargest, c::softmax_crossentropy, "loss: element"),
        (AdamDoesNotCorrect, c::update, "Adam"),
        (MomentumIsLost, c::update, "slot 0: element"),
        (LastWeightIsForgotten, c::update_all, "after step"),
        (DecayIsForgotten, c::update_all, "after step"),
    ]
};

#[test]
fn each_fault_is_found_by_the_property_of_its_primitive() {
    let mut missed = Vec::new();
    for (fault, property, word) in FAULTS {
        match property(&Wrong::device(fault), CASES) {
            Ok(()) => missed.push(format!("{fault:?} was not found")),
            Err(failure) if !failure.contains(word) => missed.push(format!("{fault:?}: no \"{word}\" in {failure}")),
            Err(failure) if !failure.contains("that fails: ") => {
                missed.push(format!("{fault:?}: no case in {failure}"))
            }
            Err(_) => {}
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn without_a_fault_the_same_back_end_passes() {
    let mut held: Vec<Property> = Vec::new();
    for (_, property, _) in FAULTS {
        if held.iter().any(|&other| std::ptr::fn_addr_eq(other, property)) {
            continue;
        }
        held.push(property);
        if let Err(failure) = property(&Wrong::device(Fault::None), 24) {
            panic!("{failure}");
        }
    }
}

#[test]
fn devices_with_other_bits_are_told_apart() {
    let device = Wrong::device(Fault::None);
    conformance::equal_bits(&device, &Wrong::device(Fault::None), 8).unwrap();
    for fault in [Fault::MatmulIsNotDeterministic, Fault::ConvIsOneOff, Fault::MeanCountsOneMore] {
        assert!(conformance::equal_bits(&device, &Wrong::device(fault), 8).is_err(), "{fault:?}");
    }
}
