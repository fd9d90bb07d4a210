//! Models as graphs: several inputs and outputs, models inside models, shared layers, files.

use serde_json::json;
use striate_autograd::Var;
use striate_nn::layers::*;
use striate_nn::{BuildOptions, Call, Instance, Model, PartEnd, Registry, Run, Sequential, Symbol};
use striate_tensor::Activation::Relu;
use striate_tensor::{Device, Error, Key, Shape, Tensor};
use striate_testkit::reference;

fn random(shape: impl Into<Shape>, seed: u64, device: &Device) -> Tensor {
    let shape = shape.into();
    let mut stream = Key::new(seed).stream();
    let values: Vec<f32> = (0..shape.elements()).map(|_| stream.uniform_in(-1.0, 1.0) as f32).collect();
    Tensor::from_vec(values, shape, device).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.to_vec().unwrap()
}

/// A picture and a few numbers in, a class and a number out.
fn two_by_two(device: &Device) -> Model {
    let image = Symbol::named_input("image", [6, 6, 1]).unwrap();
    let facts = Symbol::named_input("facts", [3]).unwrap();
    let maps = Conv2D::new(2, 3).activation(Relu).named("maps").call(&image).unwrap();
    let flat = Flatten.call(&maps).unwrap();
    let both = Concatenate::default().named("both").call([&flat, &facts]).unwrap();
    let class = Dense::new(4).activation(Softmax).named("class").call(&both).unwrap();
    let number = Dense::new(1).named("number").call(&both).unwrap();
    Model::from_symbols("two_by_two", &[image, facts], &[class, number], &BuildOptions::on(device)).unwrap()
}

#[test]
fn several_inputs_and_outputs() {
    let device = reference::device();
    let model = two_by_two(&device);
    assert_eq!(model.graph().input_shapes(), [Shape::from([6, 6, 1]), Shape::from([3])]);
    assert_eq!(model.graph().output_shapes(), [Shape::from([4]), Shape::from([1])]);
    assert_eq!(model.parameter_count(), 20 + (32 + 3) * 4 + 4 + 35 + 1);
    let (image, facts) = (random([5, 6, 6, 1], 1, &device), random([5, 3], 2, &device));
    let outputs = model.predict_on(&[image.clone(), facts.clone()]).unwrap();
    assert_eq!(outputs.len(), 2);
    assert_eq!((*outputs[0].shape(), *outputs[1].shape()), (Shape::from([5, 4]), Shape::from([5, 1])));
    for row in values(&outputs[0]).chunks(4) {
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{row:?}");
    }
    // Each output depends on both inputs.
    let other = random([5, 3], 3, &device);
    let changed = model.predict_on(&[image.clone(), other]).unwrap();
    assert!(values(&changed[0]) != values(&outputs[0]) && values(&changed[1]) != values(&outputs[1]));
    let error = model.predict_on(&[facts, image.clone()]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "image: the input must have shape (None, 6, 6, 1); received (5, 3) (hint: the first axis counts samples; images \
         are channels-last)"
    );
    assert!(matches!(model.predict_on(&[image]), Err(Error::Shape(_))));
}

#[test]
fn inner_outputs_can_be_seen() {
    let device = reference::device();
    let model = two_by_two(&device);
    let inputs = [random([2, 6, 6, 1], 1, &device), random([2, 3], 2, &device)];
    let seen = model.activations(&inputs, &["maps", "class", "image"]).unwrap();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen["maps"].shape(), &Shape::from([2, 4, 4, 2]));
    assert_eq!(values(&seen["class"]), values(&model.predict_on(&inputs).unwrap()[0]));
    assert_eq!(values(&seen["image"]), values(&inputs[0]));
    let error = model.activations(&inputs, &["mops"]).unwrap_err().to_string();
    assert!(error.contains("`mops`") && error.contains("maps, flatten, both, class, number"), "{error}");
}

fn inner(device: &Device) -> Model {
    Sequential::new([5, 5, 1])
        .named("inner")
        .add(Conv2D::new(2, 3).activation(Relu))
        .add(Conv2D::new(3, 2))
        .build_on(&BuildOptions { seed: 7, ..BuildOptions::on(device) })
        .unwrap()
}

#[test]
fn a_model_inside_a_model_brings_its_weights_along() {
    let device = reference::device();
    let inner = inner(&device);
    let mut outer = Sequential::new([5, 5, 1])
        .named("outer")
        .add(inner.clone())
        .add(Flatten)
        .add(Dense::new(2))
        .build_on(&BuildOptions::on(&device))
        .unwrap();
    let paths: Vec<&str> = outer.weights().map(|(spec, _)| spec.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "inner/conv2d/kernel",
            "inner/conv2d/bias",
            "inner/conv2d_1/kernel",
            "inner/conv2d_1/bias",
            "dense/kernel",
            "dense/bias"
        ]
    );
    for (spec, value) in inner.weights() {
        assert_eq!(values(value), values(outer.weight(&format!("inner/{}", spec.path)).unwrap()), "{}", spec.path);
    }
    assert_eq!(
        outer.layer_paths(),
        ["input_layer", "inner", "inner/input_layer", "inner/conv2d", "inner/conv2d_1", "flatten", "dense"]
    );
    let x = random([2, 5, 5, 1], 1, &device);
    let seen = outer.activations(std::slice::from_ref(&x), &["inner", "inner/conv2d", "dense"]).unwrap();
    assert_eq!(values(&seen["inner"]), values(&inner.predict_on(std::slice::from_ref(&x)).unwrap()[0]));
    let alone = inner.activations(std::slice::from_ref(&x), &["conv2d"]).unwrap();
    assert_eq!(values(&seen["inner/conv2d"]), values(&alone["conv2d"]));
    // From here on the two have weights of their own.
    outer
        .set_weight("inner/conv2d/bias", &Tensor::full([2], 1.0, striate_tensor::DType::F32, &device).unwrap())
        .unwrap();
    assert_eq!(values(inner.weight("conv2d/bias").unwrap()), [0.0, 0.0]);
}

#[test]
fn freezing_by_path_reaches_into_nested_models() {
    let device = reference::device();
    let build = || {
        let middle = Sequential::new([5, 5, 1]).named("middle").add(inner(&device)).add(Flatten);
        let middle = middle.build_on(&BuildOptions::on(&device)).unwrap();
        Sequential::new([5, 5, 1]).add(middle).add(Dense::new(2)).build_on(&BuildOptions::on(&device)).unwrap()
    };
    let trainable = |model: &mut Model| -> Vec<String> {
        model.trainable_mut().into_iter().map(|(_, path, _)| path.to_string()).collect()
    };
    let mut model = build();
    model.set_trainable("middle/inner/conv2d", false).unwrap();
    assert_eq!(
        trainable(&mut model),
        ["middle/inner/conv2d_1/kernel", "middle/inner/conv2d_1/bias", "dense/kernel", "dense/bias"]
    );
    assert_eq!(model.summary().trainable, model.parameter_count() - 20);
    model.set_trainable("middle", false).unwrap();
    assert_eq!(trainable(&mut model), ["dense/kernel", "dense/bias"]);
    model.set_trainable("middle/inner/conv2d_1", true).unwrap();
    assert_eq!(trainable(&mut model).len(), 4);
    model.set_all_trainable(false);
    assert!(trainable(&mut model).is_empty());
    let error = model.set_trainable("middle/inner/conv", false).unwrap_err();
    assert!(matches!(error, Error::Argument(_)) && error.to_string().contains("middle/inner/conv2d_1"), "{error}");

    // Frozen weights get no gradient, those behind them do.
    let mut model = build();
    model.set_trainable("middle/inner", false).unwrap();
    let variables = model.variables();
    let x = Var::constant(random([2, 5, 5, 1], 1, &device));
    let y = model.run(&[x], &variables, &Run::training(Key::new(1))).unwrap().remove(0);
    let gradients = y.sum().unwrap().backward().unwrap();
    for ((spec, _), variable) in model.weights().zip(&variables) {
        assert_eq!(gradients.of(variable).is_some(), spec.path.starts_with("dense/"), "{}", spec.path);
    }
}

#[test]
fn a_nested_model_takes_the_input_it_was_built_for() {
    let device = reference::device();
    let error = Sequential::new([6, 6, 1]).add(inner(&device)).graph().unwrap_err().to_string();
    assert!(error.starts_with("inner: inner: a nested model takes the inputs it was built for"), "{error}");
}

#[test]
fn a_nested_model_may_have_several_outputs() {
    let device = reference::device();
    let inner = two_by_two(&device);
    let (image, facts) = (Symbol::input([6, 6, 1]).unwrap(), Symbol::input([3]).unwrap());
    let results = inner.clone().call([&image, &facts]).unwrap().results();
    let [class, number] = &results[..] else { panic!("{results:?}") };
    assert_eq!((class.shape().as_slice(), number.shape().as_slice()), (&[4][..], &[1][..]));
    // The second first, and the first twice.
    let sum = Add.call([number, class]).unwrap();
    let outer =
        Model::from_symbols("outer", &[image, facts], &[sum.clone(), class.clone()], &BuildOptions::on(&device))
            .unwrap();
    assert_eq!(outer.parameter_count(), inner.parameter_count());
    assert_eq!(outer.graph().total_multiply_adds(), inner.graph().total_multiply_adds(), "computed once");
    let x = [random([2, 6, 6, 1], 1, &device), random([2, 3], 2, &device)];
    let inside = inner.predict_on(&x).unwrap();
    let outside = outer.predict_on(&x).unwrap();
    assert_eq!(values(&outside[1]), values(&inside[0]));
    assert_eq!(values(&outside[0]), values(&inside[1].add(&inside[0]).unwrap()));
    // The JSON says which result is meant, and a part that ends with one of them has it.
    let json = outer.graph().to_json();
    let graph = Registry::default().graph_from_json(&json).unwrap();
    assert_eq!(graph.to_json(), json);
    let mut again = Model::from_graph(graph, &BuildOptions::on(&device)).unwrap();
    for (spec, value) in outer.weights() {
        again.set_weight(&spec.path, value).unwrap();
    }
    assert_eq!(values(&again.predict_on(&x).unwrap()[0]), values(&outside[0]));
    let captured = outer.activations(&x, &["two_by_two", "two_by_two/number"]).unwrap();
    assert_eq!(values(&captured["two_by_two"]), values(&inside[0]));
    assert_eq!(values(&captured["two_by_two/number"]), values(&inside[1]));
    let part = outer.part("add", PartEnd::Output, &[]).unwrap();
    assert_eq!(values(&part.predict_on(&x).unwrap()[0]), values(&outside[0]));
}

#[test]
fn a_nested_model_may_have_several_inputs() {
    let device = reference::device();
    let (a, b) = (Symbol::input([3]).unwrap(), Symbol::input([3]).unwrap());
    let difference = Subtract.call([&a, &b]).unwrap();
    let inner = Model::from_symbols("difference", &[a, b], &[difference], &BuildOptions::on(&device)).unwrap();
    let (p, q) = (Symbol::input([3]).unwrap(), Symbol::input([3]).unwrap());
    // The other way round.
    let y = inner.call([&q, &p]).unwrap();
    let outer = Model::from_symbols("outer", &[p, q], &[y], &BuildOptions::on(&device)).unwrap();
    let (p, q) = (random([2, 3], 1, &device), random([2, 3], 2, &device));
    let y = outer.predict_on(&[p.clone(), q.clone()]).unwrap();
    assert_eq!(values(&y[0]), values(&q.sub(&p).unwrap()));
}

#[test]
fn a_shared_layer_has_one_set_of_weights() {
    let device = reference::device();
    let shared = Instance::from(Dense::new(3)).with_name("shared");
    let (a, b) = (Symbol::input([4]).unwrap(), Symbol::input([4]).unwrap());
    let (ya, yb) = (shared.clone().call(&a).unwrap(), shared.clone().call(&b).unwrap());
    let sum = Add.call([&ya, &yb]).unwrap();
    let model = Model::from_symbols("twins", &[a, b], &[sum], &BuildOptions::on(&device)).unwrap();
    assert_eq!(model.parameter_count(), 15);
    assert_eq!(model.summary().rows.iter().filter(|row| row.name == "shared").count(), 1);
    let (a, b) = (random([2, 4], 1, &device), random([2, 4], 2, &device));
    let y = model.predict_on(&[a.clone(), b.clone()]).unwrap().remove(0);
    let kernel = model.weight("shared/kernel").unwrap();
    let want = a.add(&b).unwrap().matmul(kernel).unwrap();
    for (y, want) in values(&y).iter().zip(values(&want)) {
        assert!((y - want).abs() < 1e-6, "{y} {want}");
    }
    // The gradient of the kernel is that of both uses: Σ over samples of a + b.
    let variables = model.variables();
    let outputs = model.run(&[Var::constant(a.clone()), Var::constant(b.clone())], &variables, &Run::inference());
    let gradients = outputs.unwrap()[0].sum().unwrap().backward().unwrap();
    let got = values(gradients.of(&variables[0]).unwrap());
    let both = values(&a.add(&b).unwrap());
    for (i, g) in got.iter().enumerate() {
        let want = both[i / 3] + both[4 + i / 3];
        assert!((g - want).abs() < 1e-5, "{g} {want}");
    }
}

#[test]
fn a_shared_layer_must_fit_both_inputs() {
    let shared = Instance::from(Dense::new(3)).with_name("shared");
    let (a, b) = (Symbol::input([4]).unwrap(), Symbol::input([5]).unwrap());
    let (ya, yb) = (shared.clone().call(&a).unwrap(), shared.call(&b).unwrap());
    let sum = Add.call([&ya, &yb]).unwrap();
    let error = Model::from_symbols("twins", &[a, b], &[sum], &BuildOptions::on(&reference::device())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "shared: a layer used twice must fit both inputs with the same weights; received inputs [(5,)] (hint: make two \
         layers of it)"
    );
}

#[test]
fn graphs_survive_json() {
    let device = reference::device();
    // Everything at once: two inputs and outputs, a layer used twice, a model inside.
    let shared = Instance::from(Dense::new(6).activation(Relu)).with_name("shared");
    let image = Symbol::named_input("image", [5, 5, 1]).unwrap();
    let facts = Symbol::named_input("facts", [27]).unwrap();
    let maps = inner(&device).call(&image).unwrap();
    let flat = Flatten.call(&maps).unwrap();
    assert_eq!(flat.shape(), &Shape::from([12]));
    let widened = Dense::new(27).call(&flat).unwrap();
    let (one, two) = (shared.clone().call(&widened).unwrap(), shared.call(&facts).unwrap());
    let joint = Add.call([&one, &two]).unwrap();
    let class = Dense::new(2).activation(Softmax).call(&joint).unwrap();
    let model = Model::from_symbols("all", &[image, facts], &[class, two], &BuildOptions::on(&device)).unwrap();

    let text = model.graph().to_json().to_string();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["class_name"], "Functional");
    let graph = Registry::default().graph_from_json(&json).unwrap();
    assert_eq!(graph.to_json(), json);
    assert_eq!(graph.layer_paths(), model.layer_paths());
    let mut read = Model::from_graph(graph, &BuildOptions { seed: 99, ..BuildOptions::on(&device) }).unwrap();
    for (spec, value) in model.weights() {
        read.set_weight(&spec.path, value).unwrap();
    }
    let inputs = [random([3, 5, 5, 1], 1, &device), random([3, 27], 2, &device)];
    let (before, after) = (model.predict_on(&inputs).unwrap(), read.predict_on(&inputs).unwrap());
    assert_eq!(before.iter().map(values).collect::<Vec<_>>(), after.iter().map(values).collect::<Vec<_>>());

    // Layers may be listed in any order.
    let mut shuffled = json;
    shuffled["config"]["layers"].as_array_mut().unwrap().reverse();
    let graph = Registry::default().graph_from_json(&shuffled).unwrap();
    assert_eq!(graph.parameter_count(), model.parameter_count());
}

#[test]
fn unknown_classes_are_named_all_at_once() {
    let device = reference::device();
    let outer = Sequential::new([5, 5, 1]).add(inner(&device)).add(Flatten).add(Dense::new(2)).graph().unwrap();
    let text = outer.to_json().to_string().replace("\"Conv2D\"", "\"Conv9D\"").replace("\"Dense\"", "\"Densest\"");
    let error = Registry::default().graph_from_json(&serde_json::from_str(&text).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Model(_)));
    assert_eq!(
        error.to_string(),
        "model: every layer's class must be known; received unknown: Conv9D, Densest (hint: register a constructor for a \
         layer of your own)"
    );
}

#[test]
fn broken_files_are_model_errors() {
    let device = reference::device();
    let good = two_by_two(&device).graph().to_json();
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut json = good.clone();
        change(&mut json);
        Registry::default().graph_from_json(&json).unwrap_err()
    };
    let circle = with(&|json| {
        for entry in json["config"]["layers"].as_array_mut().unwrap() {
            if entry["name"] == "maps" {
                entry["inbound_nodes"] = json!([[["maps", 0, 0, {}]]]);
            }
        }
    });
    let told = circle.to_string();
    assert!(matches!(circle, Error::Model(_)) && told.contains("without a circle") && told.contains("maps"), "{told}");
    for change in [
        (&|json: &mut serde_json::Value| json["config"] = json!(3)) as &dyn Fn(&mut serde_json::Value),
        &|json| json["config"]["layers"] = json!(null),
        &|json| json["config"]["output_layers"] = json!([["nobody", 0, 0]]),
        &|json| json["config"]["output_layers"] = json!("nobody"),
        &|json| json["config"]["layers"][0]["config"]["batch_shape"] = json!([null, "wide"]),
        &|json| json["config"]["layers"][2]["config"]["filters"] = json!(-1),
        &|json| json["config"]["layers"][2]["config"]["activation"] = json!("rely"),
        &|json| json["config"]["layers"][2]["config"]["data_format"] = json!("channels_first"),
    ] {
        let error = with(change);
        assert!(matches!(error.root(), Error::Model(_)), "{error}");
    }
}
