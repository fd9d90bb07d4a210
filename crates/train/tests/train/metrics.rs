//! Each metric against numbers worked out by hand.

use crate::runs::{bars, close, cpu, model_on, quiet, tensor};
use striate_optim::Adam;
use striate_tensor::{Error, Key, Tensor};
use striate_train::loss::CategoricalCrossentropy;
use striate_train::metric::{
    Accuracy, Auc, Average, ConfusionMatrix, F1, Precision, Recall, SparseCategoricalAccuracy, TopKCategoricalAccuracy,
};
use striate_train::{Compile, Metric};

fn value(metric: impl Into<Box<dyn Metric>>, batches: &[(&Tensor, &Tensor)]) -> f64 {
    let mut metric = metric.into();
    assert!(metric.value().is_nan(), "{} without any batch", metric.name());
    // What came before a reset does not count.
    metric.update(batches[0].1, batches[0].1).unwrap();
    metric.reset();
    batches.iter().for_each(|(p, t)| metric.update(p, t).unwrap());
    metric.value()
}

/// Five samples of three classes; the most probable classes are 0, 1, 0, 2, 2, the right ones 0, 1, 1, 2, 0.
fn three() -> (Tensor, Tensor) {
    let p = [0.7, 0.2, 0.1, 0.1, 0.6, 0.3, 0.5, 0.4, 0.1, 0.2, 0.2, 0.6, 0.3, 0.1, 0.6];
    let t = [1., 0., 0., 0., 1., 0., 0., 1., 0., 0., 0., 1., 1., 0., 0.];
    (tensor(&p, &[5, 3]), tensor(&t, &[5, 3]))
}

/// Four single probabilities: right, wrong, right, right.
fn single() -> (Tensor, Tensor) {
    (tensor(&[0.9, 0.6, 0.5, 0.2], &[4, 1]), tensor(&[1.0, 0.0, 0.0, 0.0], &[4, 1]))
}

#[test]
fn accuracy_counts_right_answers_over_batches() {
    let (p, t) = three();
    close(&[value(Accuracy, &[(&p, &t)])], &[0.6], 1e-12);
    let part = |range: std::ops::Range<usize>| (p.rows(range.clone()).unwrap(), t.rows(range).unwrap());
    let (a, b) = (part(0..2), part(2..5));
    close(&[value(Accuracy, &[(&a.0, &a.1), (&b.0, &b.1)])], &[0.6], 1e-12);
    let (p, t) = single();
    // One half is not above one half.
    close(&[value(Accuracy, &[(&p, &t)])], &[0.75], 1e-12);
}

#[test]
fn labels_count_as_their_one_hot_rows() {
    let (p, _) = three();
    for shape in [&[5][..], &[5, 1]] {
        let labels = tensor(&[0.0, 1.0, 1.0, 2.0, 0.0], shape);
        for metric in [SparseCategoricalAccuracy.into(), Accuracy.into()] {
            let mut metric: Box<dyn Metric> = metric;
            metric.update(&p, &labels).unwrap();
            close(&[metric.value()], &[0.6], 1e-12);
        }
    }
    let mut metric: Box<dyn Metric> = SparseCategoricalAccuracy.into();
    let text = metric.update(&p, &tensor(&[0.0, 1.0, 1.0, 3.0, 0.0], &[5])).unwrap_err().to_string();
    assert!(text.contains("sparse_categorical_accuracy") && text.contains("label 3 at place 3"), "{text}");
}

#[test]
fn a_soft_target_counts_as_its_larger_part() {
    let prediction = tensor(&[0.6, 0.4, 0.6, 0.4], &[2, 2]);
    let target = tensor(&[0.7, 0.3, 0.2, 0.8], &[2, 2]);
    close(&[value(Accuracy, &[(&prediction, &target)])], &[0.5], 0.0);
    let (prediction, target) = (tensor(&[0.6, 0.6, 0.2], &[3, 1]), tensor(&[0.7, 0.3, 0.1], &[3, 1]));
    close(&[value(Accuracy, &[(&prediction, &target)])], &[2.0 / 3.0], 1e-12);
    close(&[value(Precision::new(), &[(&prediction, &target)])], &[0.5], 0.0);
}

#[test]
fn precision_and_recall_count_positives() {
    let (p, t) = single();
    close(&[value(Precision::new(), &[(&p, &t)]), value(Recall::new(), &[(&p, &t)])], &[0.5, 1.0], 1e-12);
    close(&[value(Precision::new().threshold(0.1), &[(&p, &t)])], &[0.25], 1e-12);
    // Nothing predicted, nothing there.
    let none = tensor(&[0.0; 4], &[4, 1]);
    assert_eq!(value(Precision::new().threshold(0.95), &[(&p, &t)]), 0.0);
    assert_eq!(value(Recall::new(), &[(&p, &none)]), 0.0);
    let (p, t) = three();
    // Above one half: 0.7, 0.6 (class 1), 0.6 (class 2, right), 0.6 (class 2, wrong).
    close(&[value(Precision::new(), &[(&p, &t)]), value(Recall::new(), &[(&p, &t)])], &[0.75, 0.6], 1e-12);
    close(
        &[value(Precision::new().class(2), &[(&p, &t)]), value(Recall::new().class(0), &[(&p, &t)])],
        &[0.5, 0.5],
        1e-12,
    );
}

#[test]
fn f1_is_averaged_over_classes() {
    let (p, t) = three();
    // Right, predicted, actual: class 0: 1, 2, 2; class 1: 1, 1, 2; class 2: 1, 2, 1.
    let [a, b, c] = [0.5, 2.0 / 3.0, 2.0 / 3.0];
    close(&[value(F1::new(), &[(&p, &t)])], &[(a + b + c) / 3.0], 1e-12);
    close(&[value(F1::new().average(Average::Weighted), &[(&p, &t)])], &[(2.0 * a + 2.0 * b + c) / 5.0], 1e-12);
    close(&[value(F1::new().average(Average::Micro), &[(&p, &t)])], &[0.6], 1e-12);
    // Above 0.5: class 0: 1, 1, 2; class 1: 1, 1, 2; class 2: 1, 2, 1.
    close(&[value(F1::new().threshold(0.5), &[(&p, &t)])], &[2.0 / 3.0], 1e-12);
    let (p, t) = single();
    close(&[value(F1::new(), &[(&p, &t)])], &[2.0 / 3.0], 1e-12);
    // A class that never comes scores 0.
    let (p, t) = (tensor(&[0.9, 0.1], &[1, 2]), tensor(&[1.0, 0.0], &[1, 2]));
    close(&[value(F1::new(), &[(&p, &t)])], &[0.5], 1e-12);
}

#[test]
fn top_k_counts_ties_as_in() {
    let (p, t) = three();
    // The right class comes first, first, second, first, second.
    let top = |k| value(TopKCategoricalAccuracy::new(k), &[(&p, &t)]);
    close(&[top(1), top(2), top(3)], &[0.6, 1.0, 1.0], 1e-12);
    let (even, last) = (tensor(&[0.25; 4], &[1, 4]), tensor(&[0.0, 0.0, 0.0, 1.0], &[1, 4]));
    assert_eq!(value(TopKCategoricalAccuracy::new(1), &[(&even, &last)]), 1.0);
    assert_eq!(value(TopKCategoricalAccuracy::default(), &[(&p, &t)]), 1.0);
    let mut none: Box<dyn Metric> = TopKCategoricalAccuracy::new(0).into();
    assert!(matches!(none.update(&p, &t), Err(Error::Argument(_))));
}

#[test]
fn auc_is_the_share_of_pairs_in_order() {
    // Keras's own example: https://keras.io/api/metrics/classification_metrics/#auc-class.
    let (p, t) = (tensor(&[0.0, 0.5, 0.3, 0.9], &[4]), tensor(&[0.0, 0.0, 1.0, 1.0], &[4]));
    assert_eq!(value(Auc::new(), &[(&p, &t)]), 0.75);
    let auc = |scores: &[f32], truth: &[f32]| {
        let shape = [scores.len(), 1];
        value(Auc::new(), &[(&tensor(scores, &shape), &tensor(truth, &shape))])
    };
    assert_eq!(auc(&[0.1, 0.2, 0.8, 0.9], &[0.0, 0.0, 1.0, 1.0]), 1.0);
    assert_eq!(auc(&[0.1, 0.2, 0.8, 0.9], &[1.0, 1.0, 0.0, 0.0]), 0.0);
    assert_eq!(auc(&[0.5, 0.5, 0.5], &[1.0, 0.0, 0.0]), 0.5);
    assert!(auc(&[0.1, 0.2], &[1.0, 1.0]).is_nan(), "no negatives");
    // Every pair by hand, with ties.
    let mut stream = Key::new(4).stream();
    let scores: Vec<f32> = (0..200).map(|_| stream.below(20) as f32 / 20.0).collect();
    let truth: Vec<f32> = (0..200).map(|_| stream.below(2) as f32).collect();
    let (mut sum, mut pairs) = (0.0, 0.0);
    for (i, j) in (0..200).flat_map(|i| (0..200).map(move |j| (i, j))).filter(|&(i, j)| truth[i] > truth[j]) {
        sum += if scores[i] > scores[j] {
            1.0
        } else if scores[i] == scores[j] {
            0.5
        } else {
            0.0
        };
        pairs += 1.0;
    }
    close(&[auc(&scores, &truth)], &[sum / pairs], 1e-12);
    let mut metric = Auc::new();
    assert!(matches!(metric.update(&tensor(&[f32::NAN], &[1]), &tensor(&[1.0], &[1])), Err(Error::NonFinite(_))));
}

#[test]
fn confusion_counts_pairs() {
    let (p, t) = three();
    let mut matrix = ConfusionMatrix::new(3).unwrap();
    matrix.update(&p, &t).unwrap();
    assert_eq!(matrix.rows().collect::<Vec<_>>(), [&[1u64, 0, 1][..], &[1, 1, 0], &[0, 0, 1]]);
    assert_eq!((matrix.count(1, 0), matrix.count(7, 0), matrix.classes()), (1, 0, 3));
    let (p, t) = single();
    assert!(matches!(matrix.update(&p, &t), Err(Error::Shape(_))));
    let mut two = ConfusionMatrix::new(2).unwrap();
    two.update(&p, &t).unwrap();
    assert_eq!(two.rows().collect::<Vec<_>>(), [&[2u64, 1][..], &[0, 1]]);
    for classes in [0, 1, usize::MAX] {
        assert!(matches!(ConfusionMatrix::new(classes), Err(Error::Argument(_))));
    }
}

#[test]
fn a_run_reports_metrics_of_all_kinds() {
    let (data, mut model) = (bars(48, 1), model_on(&cpu(), 0));
    let metrics = (Accuracy, Precision::new(), Recall::new(), F1::new(), TopKCategoricalAccuracy::new(2), Auc::new());
    let mut training = model.compile(Adam::new(0.01), CategoricalCrossentropy, metrics).unwrap();
    let history = training.fit(&data, quiet(8)).unwrap();
    let names = ["loss", "accuracy", "precision", "recall", "f1_score", "top_k_categorical_accuracy", "auc"];
    assert_eq!(history.names(), names);
    let evaluation = training.evaluate(&data).unwrap();
    for name in &names[1..] {
        assert!(evaluation.get(name).unwrap() > 0.9, "{evaluation}");
    }
    let matrix = training.confusion_matrix(&data).unwrap();
    let diagonal: u64 = (0..3).map(|class| matrix.count(class, class)).sum();
    close(&[diagonal as f64 / 48.0], &[evaluation.get("accuracy").unwrap()], 1e-12);
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let (p, _) = three();
    let (_, t) = single();
    let metrics: [Box<dyn Metric>; 6] = [
        Accuracy.into(),
        Precision::new().into(),
        Recall::new().into(),
        F1::new().into(),
        TopKCategoricalAccuracy::default().into(),
        Auc::new().into(),
    ];
    for mut metric in metrics {
        let text = metric.update(&p, &t).unwrap_err().to_string();
        let start = format!("{}: prediction and target must have the same shape", metric.name());
        assert!(text.starts_with(&start) && text.contains("prediction (5, 3), target (4, 1)"), "{text}");
    }
    let text = Precision::new().class(3).update(&p, &p).unwrap_err().to_string();
    assert!(text.contains("the class must be below 3; received class 3"), "{text}");
}
