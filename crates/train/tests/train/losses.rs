//! Each loss against numbers worked out by hand, central differences and extreme inputs.

use crate::runs::{close, cpu, double, tensor};
use striate_autograd::Var;
use striate_tensor::{Activation, Error, Result, Tensor};
use striate_testkit::gradcheck::check_var;
use striate_train::Loss;
use striate_train::loss::{
    BinaryCrossentropy, CategoricalCrossentropy, MeanAbsoluteError, MeanSquaredError, SparseCategoricalCrossentropy,
};

fn value(loss: &dyn Loss, prediction: &Tensor, target: &Tensor) -> Vec<f64> {
    loss.per_sample(&Var::constant(prediction.clone()), target).unwrap().value().to_f64_vec().unwrap()
}

#[test]
fn categorical_crossentropy_is_minus_the_logarithm_of_the_right_probability() {
    let target = double(&[1.0, 0.0, 0.0, 0.0, 0.0, 1.0], &[2, 3]);
    let p = double(&[0.7, 0.2, 0.1, 0.25, 0.25, 0.5], &[2, 3]);
    let wanted = [-(0.7f64.ln()), -(0.5f64.ln())];
    close(&value(&CategoricalCrossentropy, &p, &target), &wanted, 1e-9);
    // Rows are normalised first, as Keras does.
    close(&value(&CategoricalCrossentropy, &p.affine(2.0, 0.0).unwrap(), &target), &wanted, 1e-9);
    // Smoothing 0.3 over 3 classes: 0.8, 0.1, 0.1.
    let smooth = CategoricalCrossentropy.label_smoothing(0.3);
    let wanted = [
        -(0.8 * 0.7f64.ln() + 0.1 * 0.2f64.ln() + 0.1 * 0.1f64.ln()),
        -(0.1 * 0.25f64.ln() + 0.1 * 0.25f64.ln() + 0.8 * 0.5f64.ln()),
    ];
    close(&value(&smooth, &p, &target), &wanted, 1e-7);
    // From logits, whose softmax are the probabilities above.
    let logits = double(&[0.7, 0.2, 0.1, 0.25, 0.25, 0.5].map(f64::ln), &[2, 3]);
    let from_logits = CategoricalCrossentropy.from_logits();
    close(&value(&from_logits, &logits, &target), &[-(0.7f64.ln()), -(0.5f64.ln())], 1e-9);
    close(&value(&from_logits.label_smoothing(0.3), &logits, &target), &wanted, 1e-7);
    // A map of classes: the mean over its places.
    let maps = p.reshape([1, 1, 2, 3]).unwrap();
    let of_map = value(&CategoricalCrossentropy, &maps, &target.reshape([1, 1, 2, 3]).unwrap());
    close(&of_map, &[-(0.35f64.ln()) / 2.0], 1e-9);
    // A probability of zero counts as 10⁻⁷.
    let certain = value(&CategoricalCrossentropy, &double(&[1.0, 0.0], &[1, 2]), &double(&[0.0, 1.0], &[1, 2]));
    close(&certain, &[-(1e-7f64.ln())], 1e-4);
}

#[test]
fn labels_give_what_their_one_hot_rows_give() {
    let p = double(&[0.7, 0.2, 0.1, 0.25, 0.25, 0.5], &[2, 3]);
    let wanted = [-(0.7f64.ln()), -(0.5f64.ln())];
    for shape in [&[2][..], &[2, 1]] {
        close(&value(&SparseCategoricalCrossentropy, &p, &double(&[0.0, 2.0], shape)), &wanted, 1e-9);
    }
    let integers = Tensor::from_vec(vec![0i32, 2], [2], &crate::runs::reference()).unwrap();
    close(&value(&SparseCategoricalCrossentropy, &p, &integers), &wanted, 1e-9);
    let logits = double(&[0.7, 0.2, 0.1, 0.25, 0.25, 0.5].map(f64::ln), &[2, 3]);
    close(&value(&SparseCategoricalCrossentropy.from_logits(), &logits, &integers), &wanted, 1e-9);
    // A map of classes.
    let map = p.reshape([1, 1, 2, 3]).unwrap();
    let of_map = value(&SparseCategoricalCrossentropy, &map, &integers.reshape([1, 1, 2]).unwrap());
    close(&of_map, &[-(0.35f64.ln()) / 2.0], 1e-9);

    let error = |p: &Tensor, t: &Tensor| {
        SparseCategoricalCrossentropy.per_sample(&Var::constant(p.clone()), t).unwrap_err().to_string()
    };
    for (label, word) in [(3.0, "label 3 at place 1"), (-1.0, "label -1"), (0.5, "label 0.5"), (f64::NAN, "label NaN")]
    {
        let text = error(&p, &double(&[0.0, label], &[2]));
        assert!(text.contains("whole numbers from 0 to 2") && text.contains(word), "{text}");
    }
    assert!(error(&p, &p).contains("one label for each prediction"), "{}", error(&p, &p));
    let single = double(&[0.5, 0.5], &[2, 1]);
    assert!(error(&single, &single).contains("at least two classes"), "{}", error(&single, &single));
}

#[test]
fn binary_crossentropy_averages_over_outputs() {
    let p = double(&[0.8, 0.3], &[1, 2]);
    let target = double(&[1.0, 0.0], &[1, 2]);
    close(&value(&BinaryCrossentropy, &p, &target), &[-(0.8f64.ln() + 0.7f64.ln()) / 2.0], 1e-9);
    // Smoothing 0.2: 0.9 and 0.1.
    let wanted = -(0.9 * 0.8f64.ln() + 0.1 * 0.2f64.ln() + 0.1 * 0.3f64.ln() + 0.9 * 0.7f64.ln()) / 2.0;
    close(&value(&BinaryCrossentropy.label_smoothing(0.2), &p, &target), &[wanted], 1e-7);
    let logits = double(&[(0.8f64 / 0.2).ln(), (0.3f64 / 0.7).ln()], &[1, 2]);
    close(&value(&BinaryCrossentropy.from_logits().label_smoothing(0.2), &logits, &target), &[wanted], 1e-7);
    let zero = value(&BinaryCrossentropy, &double(&[0.0], &[1, 1]), &double(&[1.0], &[1, 1]));
    close(&zero, &[-(1e-7f64.ln())], 1e-4);
}

#[test]
fn soft_targets_give_the_same_mixture_of_losses() {
    let rows = tensor(&[0.7, 0.2, 0.1], &[1, 3]);
    let of = |target: &[f32]| value(&CategoricalCrossentropy, &rows, &tensor(target, &[1, 3]))[0];
    let mixed = 0.3 * of(&[1.0, 0.0, 0.0]) + 0.7 * of(&[0.0, 0.0, 1.0]);
    close(&[of(&[0.3, 0.0, 0.7])], &[mixed], 1e-6);
    let single = tensor(&[0.8], &[1, 1]);
    let of = |target: f32| value(&BinaryCrossentropy, &single, &tensor(&[target], &[1, 1]))[0];
    close(&[of(0.4)], &[0.4 * of(1.0) + 0.6 * of(0.0)], 1e-6);
    // Smoothing by 0.2 is a mixture too.
    let smooth = value(&BinaryCrossentropy.label_smoothing(0.2), &single, &tensor(&[1.0], &[1, 1]))[0];
    close(&[smooth], &[of(0.9)], 1e-6);
}

#[test]
fn regression_losses_are_means_over_a_sample() {
    let prediction = double(&[1.0, 4.0, -2.0, 0.0], &[2, 2]);
    let target = double(&[2.0, 1.0, -2.0, 0.5], &[2, 2]);
    close(&value(&MeanSquaredError, &prediction, &target), &[5.0, 0.125], 1e-12);
    close(&value(&MeanAbsoluteError, &prediction, &target), &[2.0, 0.25], 1e-12);
    // One number a sample.
    let (flat, other) = (prediction.reshape([4]).unwrap(), target.reshape([4]).unwrap());
    close(&value(&MeanSquaredError, &flat, &other), &[1.0, 9.0, 0.0, 0.25], 1e-12);
}

#[test]
fn gradients_are_central_differences() {
    let one_hot = double(&[0.0, 1.0, 0.0, 1.0, 0.0, 0.0], &[2, 3]);
    let soft = double(&[0.2, 0.5, 0.3, 0.1, 0.9, 0.4], &[2, 3]);
    let scores = double(&[0.3, -1.2, 2.0, 0.9, -0.4, 0.1], &[2, 3]);
    let probabilities = double(&[0.5, 0.2, 0.3, 0.15, 0.6, 0.4], &[2, 3]);
    type Head = fn(&Var) -> Result<Var>;
    let (softmax, sigmoid, plain): (Head, Head, Head) =
        (Var::softmax, |x| x.activate(Activation::Sigmoid), |x| Ok(x.clone()));
    let cases: Vec<(&str, Box<dyn Loss>, Head, &Tensor)> = vec![
        ("categorical on softmax", Box::new(CategoricalCrossentropy), softmax, &scores),
        ("categorical on probabilities", Box::new(CategoricalCrossentropy), plain, &probabilities),
        ("categorical on logits", Box::new(CategoricalCrossentropy.from_logits()), plain, &scores),
        ("smoothed categorical", Box::new(CategoricalCrossentropy.label_smoothing(0.1)), softmax, &scores),
        ("binary on sigmoid", Box::new(BinaryCrossentropy), sigmoid, &scores),
        ("binary on probabilities", Box::new(BinaryCrossentropy), plain, &probabilities),
        ("binary on logits", Box::new(BinaryCrossentropy.from_logits()), plain, &scores),
        ("smoothed binary", Box::new(BinaryCrossentropy.label_smoothing(0.1)), sigmoid, &scores),
        ("squared error", Box::new(MeanSquaredError), plain, &scores),
        ("absolute error", Box::new(MeanAbsoluteError), plain, &scores),
    ];
    let labels = double(&[1.0, 0.0], &[2]);
    let sparse: Vec<(&str, Box<dyn Loss>, Head, &Tensor)> = vec![
        ("sparse on softmax", Box::new(SparseCategoricalCrossentropy), softmax, &scores),
        ("sparse on probabilities", Box::new(SparseCategoricalCrossentropy), plain, &probabilities),
        ("sparse on logits", Box::new(SparseCategoricalCrossentropy.from_logits()), plain, &scores),
    ];
    for (name, loss, head, input) in &sparse {
        check_var(name, &[(*input).clone()], |x| loss.per_sample(&head(&x[0])?, &labels)).unwrap();
    }
    for (name, loss, head, input) in &cases {
        for target in [&one_hot, &soft] {
            check_var(name, &[(*input).clone()], |x| loss.per_sample(&head(&x[0])?, target)).unwrap();
        }
    }
}

#[test]
fn logits_of_a_thousand_give_a_finite_loss_and_gradient() {
    for device in [crate::runs::reference(), cpu()] {
        let leaf = |values: Vec<f32>, shape: [usize; 2]| Var::leaf(Tensor::from_vec(values, shape, &device).unwrap());
        let target = |values: Vec<f32>, shape: [usize; 2]| Tensor::from_vec(values, shape, &device).unwrap();
        let x = leaf(vec![1000.0, -1000.0, 0.0], [1, 3]);
        let right = target(vec![0.0, 1.0, 0.0], [1, 3]);
        let loss = CategoricalCrossentropy.per_sample(&x.softmax().unwrap(), &right).unwrap();
        assert_eq!(loss.value().to_f64_vec().unwrap(), [2000.0]);
        assert_eq!(loss.backward().unwrap().of(&x).unwrap().to_f64_vec().unwrap(), [1.0, -1.0, 0.0]);

        let z = leaf(vec![1000.0, -1000.0, 1000.0, -1000.0], [4, 1]);
        let truth = target(vec![0.0, 1.0, 1.0, 0.0], [4, 1]);
        let loss = BinaryCrossentropy.per_sample(&z.sigmoid().unwrap(), &truth).unwrap();
        assert_eq!(loss.value().to_f64_vec().unwrap(), [1000.0, 1000.0, 0.0, 0.0]);
        let gradients = loss.sum().unwrap().backward().unwrap();
        assert_eq!(gradients.of(&z).unwrap().to_f64_vec().unwrap(), [1.0, -1.0, 0.0, 0.0]);

        // Probabilities of exactly 0 and 1, where no logits are known.
        let p = leaf(vec![0.0, 1.0], [1, 2]);
        let loss = CategoricalCrossentropy.per_sample(&p, &target(vec![1.0, 0.0], [1, 2])).unwrap();
        assert!(loss.value().item().unwrap().is_finite());
        assert!(loss.backward().unwrap().of(&p).unwrap().is_finite().unwrap());
    }
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let error = |loss: &dyn Loss, p: &Tensor, t: &Tensor| loss.per_sample(&Var::constant(p.clone()), t).unwrap_err();
    let (p, t) = (tensor(&[0.5; 6], &[2, 3]), tensor(&[0.0, 1.0], &[2]));
    for loss in [&CategoricalCrossentropy as &dyn Loss, &BinaryCrossentropy, &MeanSquaredError, &MeanAbsoluteError] {
        let found = error(loss, &p, &t);
        assert!(matches!(found, Error::Shape(_)));
        assert_eq!(
            found.to_string(),
            format!(
                "{}: prediction and target must have the same shape (n, …); received prediction (2, 3), target (2,) \
                 (hint: class indices become one-hot rows with one_hot)",
                loss.name()
            )
        );
    }
    let single = tensor(&[0.5, 0.5], &[2, 1]);
    let text = error(&CategoricalCrossentropy, &single, &single).to_string();
    assert!(text.contains("at least two classes") && text.contains("binary_crossentropy"), "{text}");
    for loss in [&CategoricalCrossentropy.label_smoothing(1.5) as &dyn Loss, &BinaryCrossentropy.label_smoothing(-0.1)]
    {
        let found = error(loss, &p, &p);
        assert!(matches!(found, Error::Argument(_)) && found.to_string().contains("[0, 1]"), "{found}");
    }
}
