//! What the engine keeps and refuses.

use serde_json::json;
use striate_optim::{Adam, AdamW, Engine, OptimizerState, RmsProp, Schedule, Settings, Sgd, from_config};
use striate_tensor::{Device, Error, Tensor};

fn device() -> Device {
    striate_testkit::reference::device()
}

fn tensor(values: &[f32], device: &Device) -> Tensor {
    Tensor::from_vec(values.to_vec(), [values.len()], device).unwrap()
}

/// Steps on |w|²/2 for two weights of different sizes.
fn run(engine: &mut Engine, weights: &mut [Tensor; 2], steps: usize) {
    for _ in 0..steps {
        let gradients = weights.clone();
        let [a, b] = weights;
        engine.step(&mut [("conv/kernel", a), ("conv/bias", b)], &gradients).unwrap();
    }
}

#[test]
fn a_restored_engine_goes_on_as_if_never_stopped() {
    let device = device();
    let start = || [tensor(&[1.0, -2.0, 3.0], &device), tensor(&[0.5], &device)];
    let engine = || Engine::new(RmsProp::new(Schedule::from(0.05)).momentum(0.9)).unwrap();
    let (mut whole, mut weights) = (engine(), start());
    run(&mut whole, &mut weights, 4);
    whole.set_learning_rate_factor(0.5).unwrap();
    run(&mut whole, &mut weights, 6);

    let (mut first, mut parted) = (engine(), start());
    run(&mut first, &mut parted, 4);
    first.set_learning_rate_factor(0.5).unwrap();
    run(&mut first, &mut parted, 1);
    let state = first.export_state();
    let names: Vec<&str> = state.slots.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "rmsprop/velocity/conv/bias",
            "rmsprop/momentum/conv/bias",
            "rmsprop/velocity/conv/kernel",
            "rmsprop/momentum/conv/kernel"
        ]
    );
    let mut second = engine();
    second.import_state(state).unwrap();
    run(&mut second, &mut parted, 5);
    assert_eq!((second.iterations(), second.learning_rate()), (10, 0.025));
    for (a, b) in weights.iter().zip(&parted) {
        assert_eq!(a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap());
    }
}

#[test]
fn exported_slots_do_not_change_with_the_next_step() {
    let device = device();
    let (mut engine, mut weights) =
        (Engine::new(Adam::default()).unwrap(), [tensor(&[1.0], &device), tensor(&[2.0], &device)]);
    run(&mut engine, &mut weights, 1);
    let state = engine.export_state();
    let before: Vec<f64> = state.slots.iter().map(|(_, tensor)| tensor.item().unwrap()).collect();
    run(&mut engine, &mut weights, 3);
    let after: Vec<f64> = state.slots.iter().map(|(_, tensor)| tensor.item().unwrap()).collect();
    assert_eq!(before, after);
}

#[test]
fn schedules_count_steps_from_zero_and_the_factor_multiplies() {
    let device = device();
    let schedule = Schedule::PiecewiseConstantDecay { boundaries: vec![0, 1], values: vec![0.5, 0.25, 0.0] };
    let mut engine = Engine::new(Sgd::new(schedule)).unwrap();
    let mut w = tensor(&[0.0], &device);
    let mut seen = Vec::new();
    for _ in 0..3 {
        engine.step(&mut [("w", &mut w)], &[tensor(&[-1.0], &device)]).unwrap();
        seen.push(w.item().unwrap());
    }
    assert_eq!(seen, [0.5, 0.75, 0.75]);
    assert!(matches!(engine.set_learning_rate_factor(-1.0), Err(Error::Argument(_))));
}

#[test]
fn misfits_are_refused_at_their_path_and_nothing_changes() {
    let device = device();
    let mut engine = Engine::new(Sgd::new(0.1).momentum(0.9)).unwrap();
    let (mut a, mut b) = (tensor(&[1.0, 2.0], &device), tensor(&[3.0], &device));
    let good = tensor(&[1.0, 1.0], &device);
    let error = engine.step(&mut [("a", &mut a), ("b", &mut b)], &[good.clone(), good.clone()]).unwrap_err();
    assert!(matches!(error.root(), Error::Shape(_)) && error.to_string().starts_with("b: "), "{error}");
    assert_eq!((a.to_vec::<f32>().unwrap(), engine.iterations()), (vec![1.0, 2.0], 0));
    assert!(matches!(engine.step(&mut [("a", &mut a)], &[]), Err(Error::Shape(_))));

    engine.step(&mut [("a", &mut a)], &[good]).unwrap();
    let mut other = tensor(&[0.0; 3], &device);
    let error = engine.step(&mut [("a", &mut other)], &[tensor(&[1.0; 3], &device)]).unwrap_err();
    assert!(error.to_string().contains("momentum") && error.to_string().contains("(3,)"), "{error}");
}

#[test]
fn foreign_state_is_refused() {
    let device = device();
    let slot = |name: &str| (name.to_string(), tensor(&[0.0], &device));
    let state = |slots| OptimizerState { iterations: 3, learning_rate_factor: 1.0, slots };
    let mut engine = Engine::new(Adam::default()).unwrap();
    for names in [&["rmsprop/velocity/w"][..], &["adam/speed/w"], &["adam"], &["adam/velocity/w"]] {
        let error = engine.import_state(state(names.iter().map(|name| slot(name)).collect())).unwrap_err();
        assert!(matches!(error, Error::Model(_)), "{error}");
    }
    assert_eq!(engine.iterations(), 0);
    engine.import_state(state(vec![slot("adam/velocity/a/b"), slot("adam/momentum/a/b")])).unwrap();
    assert_eq!(engine.export_state().slots.len(), 2);
}

#[test]
fn hyperparameters_outside_their_ranges_are_named() {
    let refused = |result: Result<Engine, Error>, name: &str| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Argument(_)) && error.to_string().starts_with(name), "{error}");
    };
    refused(Engine::new(Sgd::new(-0.1)), "learning_rate");
    refused(Engine::new(Sgd::new(0.1).momentum(1.0)), "momentum");
    refused(Engine::new(RmsProp::default().rho(1.5)), "rho");
    refused(Engine::new(RmsProp::default().epsilon(0.0)), "epsilon");
    refused(Engine::new(Adam::default().beta_2(f64::NAN)), "beta_2");
    refused(Engine::new(AdamW::default().weight_decay(-1.0)), "weight_decay");
    refused(Engine::new(Adam::default().clipnorm(0.0)), "clipnorm");
}

#[test]
fn configs_that_ask_for_more_are_refused() {
    let model = |class: &str, config| matches!(from_config(class, &config), Err(Error::Model(_)));
    assert!(model("Ftrl", json!({})));
    assert!(model("Adam", json!({"amsgrad": true})));
    assert!(model("SGD", json!({"use_ema": true})));
    assert!(model("SGD", json!({"momentum": "much"})));
    assert!(model("SGD", json!({"clipnorm": 1.0, "clipvalue": 1.0})));
    assert!(model("SGD", json!({"learning_rate": {"class_name": "Magic", "config": {}}})));
    assert!(matches!(from_config("SGD", &json!({"momentum": 2.0})), Err(Error::Argument(_))));
    let sgd = from_config("sgd", &json!({})).unwrap();
    assert_eq!(sgd.settings(), &Settings::new(0.01));
}
