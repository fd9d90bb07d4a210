//! The layer contract against layers that break one promise each.

use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use striate_autograd::Var;
use striate_nn::{Builder, Config, Context, Initializer, Layer, Registry};
use striate_tensor::{Error, ReduceOp, Result, Shape};
use striate_testkit::layer_contract::LayerContract;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Gives another shape than it says.
    Shape,
    /// Declares a weight of another name.
    Weight,
    /// Forgets an option when it is written.
    Config,
    /// Does not read what it has written.
    Key,
    /// Gives another result each time.
    Unsteady,
    /// Drops elements in training.
    Training,
    /// Loses the input's gradient.
    InputGradient,
    /// Has a wrong gradient of the weight.
    WeightGradient,
    /// Mixes samples.
    Batch,
    /// Takes any rank.
    Rank,
    /// Refuses a rank with an error of another kind.
    Kind,
}

/// y = factor·scale·x for vectors, but for the fault.
#[derive(Debug)]
struct Scale {
    factor: f32,
    fault: Fault,
}

static CALLS: AtomicUsize = AtomicUsize::new(0);

fn make<const FAULT: usize>(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
    let fault = FAULTS[FAULT].0;
    let factor = match fault {
        Fault::Key => 2.0 * config.f32("factor", None)?,
        Fault::Config => config.f32("factor", Some(1.0))?,
        _ => config.f32("factor", None)?,
    };
    Ok(Arc::new(Scale { factor, fault }))
}

impl Layer for Scale {
    fn class_name(&self) -> &'static str {
        "Scale"
    }

    fn config(&self) -> Map<String, Value> {
        if self.fault == Fault::Config {
            return Map::new();
        }
        Map::from_iter([("factor".into(), json!(self.factor))])
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        if input.rank() != 1 && self.fault != Fault::Rank {
            let received = input.to_string();
            return Err(match self.fault {
                Fault::Kind => Error::argument("Scale", "the input must be (n, features)", received, ""),
                _ => Error::shape("Scale", "the input must be (n, features)", received, ""),
            });
        }
        let name = if self.fault == Fault::Weight { "weight" } else { "scale" };
        builder.weight(name, input.channels(), Initializer::Ones);
        Ok(if self.fault == Fault::Shape { Shape::from([input.channels() + 1]) } else { *input })
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        let scale = ctx.weight(if self.fault == Fault::Weight { "weight" } else { "scale" })?;
        let y = (&x.affine(self.factor, 0.0)? * scale)?;
        match self.fault {
            Fault::Unsteady => y.affine(1.0, CALLS.fetch_add(1, Ordering::Relaxed) as f32),
            Fault::Training if ctx.is_training() => y.dropout(0.5, ctx.key()),
            Fault::InputGradient => &y + &x.detach(),
            Fault::WeightGradient => &y + &scale.detach().square()?,
            Fault::Batch => &y - &y.reduce(ReduceOp::Mean, &[0], true)?,
            _ => Ok(y),
        }
    }
}

/// Each fault with what the contract says of it.
const FAULTS: [(Fault, &str); 12] = [
    (Fault::None, ""),
    (Fault::Shape, "the shape without batch is"),
    (Fault::Weight, "the weights are"),
    (Fault::Config, "the config does not have the required key `factor`"),
    (Fault::Key, "the config changes on its way through the registry"),
    (Fault::Unsteady, "the same input twice"),
    (Fault::Training, "training against inference: Random"),
    (Fault::InputGradient, "the gradient of input 0"),
    (Fault::WeightGradient, "the gradient of input 1"),
    (Fault::Batch, "sample 0 alone"),
    (Fault::Rank, "must be refused"),
    (Fault::Kind, "must be a shape error that names the layer"),
];

fn outcome<const FAULT: usize>() -> std::result::Result<(), String> {
    let mut registry = Registry::default();
    registry.register("Scale", make::<FAULT>);
    LayerContract::of(Scale { factor: 1.5, fault: FAULTS[FAULT].0 })
        .input([3])
        .output([3])
        .weights(&[("scale", &[3])])
        .required(&["factor"])
        .refuses([3, 1])
        .registry(registry)
        .verify()
}

#[test]
fn a_layer_without_fault_passes() {
    outcome::<0>().unwrap();
}

#[test]
fn each_fault_is_named() {
    let outcomes = [
        outcome::<1>(),
        outcome::<2>(),
        outcome::<3>(),
        outcome::<4>(),
        outcome::<5>(),
        outcome::<6>(),
        outcome::<7>(),
        outcome::<8>(),
        outcome::<9>(),
        outcome::<10>(),
        outcome::<11>(),
    ];
    for ((fault, told), outcome) in FAULTS[1..].iter().zip(outcomes) {
        let failure = outcome.expect_err(&format!("{fault:?} must be caught"));
        assert!(failure.starts_with("Scale: ") && failure.contains(told), "{fault:?}: {failure}");
    }
}

#[test]
fn a_layer_that_takes_one_rank_must_say_so() {
    let mut registry = Registry::default();
    registry.register("Scale", make::<0>);
    let contract = LayerContract::of(Scale { factor: 1.5, fault: Fault::None })
        .input([3])
        .output([3])
        .weights(&[("scale", &[3])])
        .required(&["factor"])
        .registry(registry);
    assert!(contract.verify().unwrap_err().contains("another rank is refused"));
}
