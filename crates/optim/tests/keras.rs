//! The optimizers and schedules against what real Keras answered (`golden/make.py`).

use serde_json::Value;
use striate_optim::{Engine, Optimizer, Schedule, from_config};
use striate_tensor::{Device, Shape, Tensor};

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/keras.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn tensors(arrays: &Value, device: &Device) -> Vec<Tensor> {
    let tensor = |array: &Value| {
        let shape: Vec<usize> = numbers(&array["shape"]).into_iter().map(|size| size as usize).collect();
        let values = numbers(&array["values"]).into_iter().map(|v| v as f32).collect();
        Tensor::from_vec(values, Shape::new(&shape).unwrap(), device).unwrap()
    };
    arrays.as_array().unwrap().iter().map(tensor).collect()
}

#[test]
fn optimizers_take_keras_steps() {
    let (golden, device) = (golden(), striate_testkit::reference::device());
    let (a, b) = (tensors(&golden["a"], &device), tensors(&golden["b"], &device));
    for case in golden["optimizers"].as_array().unwrap() {
        let name = format!("{} {}", case["class_name"], case["config"]);
        let optimizer = from_config(case["class_name"].as_str().unwrap(), &case["config"]).unwrap();
        // Keras takes 1 − β₂ᵗ in float32, whose relative error is 2⁻²⁴ / 0.001t from rounding the difference and 1.3e-5 from
        // rounding β₂ itself. The root halves both; over 25 steps of about lr they add up to 3e-4·lr.
        let correction = if name.contains("beta_2") { 3e-4 * optimizer.settings().learning_rate.at(0) } else { 0.0 };
        let tolerance = 2e-6 + f64::from(correction);
        let mut engine = Engine::new(optimizer).unwrap();
        let mut weights = tensors(&golden["start"], &device);
        let mut moved = 0.0f64;
        for (step, expected) in case["weights"].as_array().unwrap().iter().enumerate() {
            let gradients: Vec<Tensor> = (0..2).map(|i| a[i].mul(&weights[i].sub(&b[i]).unwrap()).unwrap()).collect();
            let [kernel, bias] = &mut weights[..] else { panic!("two weights") };
            engine.step(&mut [("kernel", kernel), ("bias", bias)], &gradients).unwrap();
            let got: Vec<f64> = weights.iter().flat_map(|w| w.to_f64_vec().unwrap()).collect();
            for (got, expected) in got.iter().zip(numbers(expected)) {
                let apart = (got - expected).abs();
                assert!(apart < tolerance * expected.abs().max(1.0), "{name}, step {step}: {got} for {expected}");
            }
            moved = moved.max(got[0] - 0.5);
        }
        assert!(moved > 1e-3, "{name}: {moved}");
    }
}

#[test]
fn schedules_give_keras_rates() {
    for case in golden()["schedules"].as_array().unwrap() {
        let schedule = Schedule::from_config(&case["schedule"]).unwrap();
        for (step, expected) in numbers(&case["steps"]).into_iter().zip(numbers(&case["rates"])) {
            let got = f64::from(schedule.at(step as u64));
            assert!((got - expected).abs() < 2e-8, "{schedule:?} at {step}: {got} for {expected}");
        }
    }
}

#[test]
fn configs_are_keras_configs() {
    for case in golden()["optimizers"].as_array().unwrap() {
        let class_name = case["class_name"].as_str().unwrap();
        let optimizer = from_config(class_name, &case["config"]).unwrap();
        assert_eq!(optimizer.class_name(), class_name);
        let (config, keras) = (optimizer.config(), &case["config"]);
        for (key, value) in keras.as_object().unwrap() {
            // Keras numbers names within a process, and names schedules as it likes.
            if key != "name" && key != "learning_rate" {
                assert_eq!(&config[key], value, "{class_name} {key}");
            }
        }
        assert_eq!(config.as_object().unwrap().len(), keras.as_object().unwrap().len(), "{class_name}");
        assert_eq!(from_config(class_name, &config).unwrap().config(), config);
    }
    for case in golden()["schedules"].as_array().unwrap() {
        let schedule = Schedule::from_config(&case["schedule"]).unwrap();
        let config = schedule.config();
        assert_eq!(Schedule::from_config(&config).unwrap(), schedule);
        for (key, value) in case["schedule"]["config"].as_object().unwrap() {
            if key != "name" {
                assert_eq!(&config["config"][key], value, "{schedule:?} {key}");
            }
        }
    }
}
