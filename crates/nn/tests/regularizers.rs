//! Penalties as Keras defines them: no half before the squares, activities averaged over the batch.

use serde_json::json;
use striate_autograd::Var;
use striate_nn::layers::*;
use striate_nn::{BuildOptions, Instance, Model, Regularizer, Run, Sequential};
use striate_tensor::{DType, Device, Key, Shape, Tensor};
use striate_testkit::gradcheck::check_var;
use striate_testkit::reference;

fn build(input: impl Into<Shape>, layer: impl Into<Instance>, device: &Device) -> Model {
    let options = BuildOptions { dtype: DType::F64, ..BuildOptions::on(device) };
    Sequential::new(input).add(layer.into().with_name("layer")).build_on(&options).unwrap()
}

fn set(model: &mut Model, path: &str, values: &[f64]) {
    let shape = *model.weight(path).unwrap().shape();
    model.set_weight(path, &Tensor::from_vec(values.to_vec(), shape, model.device()).unwrap()).unwrap();
}

fn penalty(model: &Model) -> f64 {
    model.penalty(&model.constants()).unwrap().map_or(0.0, |penalty| penalty.value().item().unwrap())
}

#[track_caller]
fn near(got: f64, want: f64) {
    assert!((got - want).abs() < 1e-6, "{got} instead of {want}");
}

#[test]
fn kernels_and_biases() {
    let device = reference::device();
    // Σ|w| = 10, Σw² = 30 for the kernel; 3 and 5 for the bias.
    for (kernel, bias, want) in [
        (Some(Regularizer::l1(0.1)), None, 1.0),
        (Some(Regularizer::l2(0.1)), None, 3.0),
        (Some(Regularizer::l1_l2(0.1, 0.01)), None, 1.3),
        (None, Some(Regularizer::l1(0.5)), 1.5),
        (None, Some(Regularizer::l2(0.5)), 2.5),
        (Some(Regularizer::l2(0.1)), Some(Regularizer::l1_l2(0.5, 0.5)), 7.0),
        (Some(Regularizer::l1_l2(0.0, 0.0)), None, 0.0),
        (None, None, 0.0),
    ] {
        let mut dense = Dense::new(2);
        let mut conv = Conv1D::new(2, 2);
        if let Some(kernel) = kernel {
            (dense, conv) = (dense.kernel_regularizer(kernel), conv.kernel_regularizer(kernel));
        }
        if let Some(bias) = bias {
            (dense, conv) = (dense.bias_regularizer(bias), conv.bias_regularizer(bias));
        }
        for mut model in [build([2], dense, &device), build([3, 1], conv, &device)] {
            set(&mut model, "layer/kernel", &[1.0, -2.0, 3.0, -4.0]);
            set(&mut model, "layer/bias", &[-1.0, 2.0]);
            near(penalty(&model), want);
        }
    }
}

#[test]
fn frozen_weights_are_penalised_but_not_trained() {
    let device = reference::device();
    let mut model = build([2], Dense::new(2).kernel_regularizer(Regularizer::l2(0.1)), &device);
    set(&mut model, "layer/kernel", &[1.0, -2.0, 3.0, -4.0]);
    model.set_trainable("layer", false).unwrap();
    near(penalty(&model), 3.0);
    assert!(!model.penalty(&model.variables()).unwrap().unwrap().needs_gradient());
}

#[test]
fn activities_are_averaged_over_the_batch_and_only_in_training() {
    let device = reference::device();
    let mut model = build([1], Dense::new(2).activity_regularizer(Regularizer::l1_l2(0.5, 0.25)), &device);
    set(&mut model, "layer/kernel", &[1.0, -2.0]);
    let x = Var::constant(Tensor::from_vec(vec![1.0f64, 2.0], [2, 1], &device).unwrap());
    let losses = |run: Run| {
        model.run(std::slice::from_ref(&x), &model.constants(), &run).unwrap();
        run.take_losses().iter().map(|loss| loss.value().item().unwrap()).collect::<Vec<f64>>()
    };
    // Outputs 1, −2, 2, −4: Σ|y| = 9, Σy² = 25, two samples.
    let found = losses(Run::training(Key::new(1)));
    assert_eq!(found.len(), 1);
    near(found[0], (0.5 * 9.0 + 0.25 * 25.0) / 2.0);
    assert!(losses(Run::inference()).is_empty());
}

#[test]
fn penalties_have_the_right_gradients() {
    let device = reference::device();
    let w = Tensor::from_vec(vec![0.5f64, -1.5, 2.0, -0.25], [2, 2], &device).unwrap();
    for regularizer in [Regularizer::l1(0.1), Regularizer::l2(0.1), Regularizer::l1_l2(0.1, 0.2)] {
        check_var(&format!("{regularizer:?}"), std::slice::from_ref(&w), |w: &[Var]| {
            regularizer.penalty(&w[0]).map(|penalty| penalty.unwrap())
        })
        .unwrap();
    }
}

#[test]
fn every_layer_with_a_penalty_writes_and_reads_it() {
    let l2 = Regularizer::l2(0.01);
    let layers: Vec<Instance> = vec![
        Conv2D::new(1, 1).kernel_regularizer(l2).bias_regularizer(l2).activity_regularizer(l2).into(),
        Conv2DTranspose::new(1, 1).kernel_regularizer(l2).bias_regularizer(l2).activity_regularizer(l2).into(),
        DepthwiseConv2D::new(1).depthwise_regularizer(l2).bias_regularizer(l2).activity_regularizer(l2).into(),
        SeparableConv2D::new(1, 1).depthwise_regularizer(l2).pointwise_regularizer(l2).bias_regularizer(l2).into(),
        BatchNormalization::new().gamma_regularizer(l2).beta_regularizer(l2).into(),
        LayerNormalization::new().gamma_regularizer(l2).beta_regularizer(l2).into(),
        PReLU::new().alpha_regularizer(l2).into(),
        Dense::new(1).kernel_regularizer(l2).bias_regularizer(l2).activity_regularizer(l2).into(),
    ];
    let graph = layers.into_iter().fold(Sequential::new([2, 2, 1]), Sequential::add).graph().unwrap();
    let json = graph.to_json();
    let again = striate_nn::Registry::default().graph_from_json(&json).unwrap();
    assert_eq!(again.to_json(), json);
    let penalised = json.to_string().matches("\"class_name\":\"L2\"").count();
    assert_eq!(penalised, 3 + 3 + 3 + 3 + 2 + 2 + 1 + 3);
    let model = Model::from_graph(again, &BuildOptions::on(&reference::device())).unwrap();
    let regularized = model.weights().filter(|(spec, _)| spec.regularizer == Some(l2)).count();
    assert_eq!(regularized, 2 + 2 + 2 + 3 + 2 + 2 + 1 + 2);
}

#[test]
fn keras_forms_are_read() {
    for (value, want) in [
        (json!("l2"), Regularizer::l2(0.01)),
        (json!({"class_name": "L1", "config": {"l1": 0.5}}), Regularizer::l1(0.5)),
        (json!({"class_name": "L1L2", "config": {"l1": 0.5, "l2": 0.25}}), Regularizer::l1_l2(0.5, 0.25)),
    ] {
        assert_eq!(Regularizer::from_json(&value).unwrap(), Some(want));
        assert_eq!(Regularizer::from_json(&want.to_json()).unwrap(), Some(want));
    }
    assert_eq!(Regularizer::from_json(&json!(null)).unwrap(), None);
    assert!(Regularizer::from_json(&json!("l3")).is_err());
}
