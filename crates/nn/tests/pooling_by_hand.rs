//! Pooling and borders on the matrices of the lecture.

use striate_nn::layers::*;
use striate_nn::{BuildOptions, Instance, Sequential};
use striate_tensor::{PadMode, Padding, Tensor};
use striate_testkit::reference;

/// The picture of one channel that layers make of another.
fn apply(layers: impl IntoIterator<Item = Instance>, rows: &[&[f32]]) -> Vec<Vec<f32>> {
    let device = reference::device();
    let (height, width) = (rows.len(), rows[0].len());
    let x = Tensor::from_vec(rows.concat(), [1, height, width, 1], &device).unwrap();
    let model = layers
        .into_iter()
        .fold(Sequential::new([height, width, 1]), Sequential::add)
        .build_on(&BuildOptions::on(&device))
        .unwrap();
    let y = model.predict_on(&[x]).unwrap().remove(0);
    y.to_vec::<f32>().unwrap().chunks(y.shape()[2]).map(<[f32]>::to_vec).collect()
}

const EDGE: [&[f32]; 4] = [&[0.0, 0.0, 0.6, 1.2], &[0.0, 0.6, 0.0, 1.2], &[0.0, 1.2, 0.0, 1.2], &[0.0, 1.2, 0.0, 0.6]];
const COUNT: [&[f32]; 4] = [&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0], &[7.0, 8.0, 9.0], &[10.0, 11.0, 12.0]];

#[test]
fn the_four_by_four_matrix_is_halved() {
    assert_eq!(apply([MaxPooling2D::new(2).into()], &EDGE), [[0.6, 1.2], [1.2, 1.2]]);
    let averages = apply([AveragePooling2D::new(2).into()], &EDGE).concat();
    for (got, want) in averages.iter().zip([0.15, 0.75, 0.6, 0.45]) {
        assert!((got - want).abs() < 1e-6, "{averages:?}");
    }
}

#[test]
fn windows_overlap_with_stride_one() {
    let want = [[0.6, 0.6, 1.2], [1.2, 1.2, 1.2], [1.2, 1.2, 1.2]];
    assert_eq!(apply([MaxPooling2D::new(2).strides(1).into()], &EDGE), want);
    let want = [[3.0, 4.0], [6.0, 7.0], [9.0, 10.0]];
    assert_eq!(apply([AveragePooling2D::new(2).strides(1).into()], &COUNT), want);
    assert_eq!(apply([MaxPooling2D::new(3).strides(1).into()], &EDGE), [[1.2, 1.2], [1.2, 1.2]]);
}

#[test]
fn valid_loses_the_last_column_of_the_four_by_three_matrix() {
    assert_eq!(apply([MaxPooling2D::new(2).into()], &COUNT), [[5.0], [11.0]]);
    assert_eq!(apply([AveragePooling2D::new(2).into()], &COUNT), [[3.0], [9.0]]);
}

#[test]
fn same_keeps_the_last_column() {
    assert_eq!(apply([MaxPooling2D::new(2).padding(Padding::Same).into()], &COUNT), [[5.0, 6.0], [11.0, 12.0]]);
    // As in Keras the border does not count: (3 + 6) / 2.
    assert_eq!(apply([AveragePooling2D::new(2).padding(Padding::Same).into()], &COUNT), [[3.0, 4.5], [9.0, 10.5]]);
}

#[test]
fn a_border_of_zeros_ones_or_the_extended_picture() {
    let negative: Vec<Vec<f32>> = COUNT.iter().map(|row| row.iter().map(|x| -x).collect()).collect();
    let negative: Vec<&[f32]> = negative.iter().map(Vec::as_slice).collect();
    let border = |mode| Instance::from(ZeroPadding2D::sides([(0, 0), (0, 1)]).mode(mode));
    for (mode, largest, averages, of_negative) in [
        (PadMode::Constant(0.0), [6.0, 12.0], [2.25, 5.25], [0.0, 0.0]),
        (PadMode::Constant(1.0), [6.0, 12.0], [2.75, 5.75], [1.0, 1.0]),
        (PadMode::Replicate, [6.0, 12.0], [4.5, 10.5], [-3.0, -9.0]),
    ] {
        let last = |layer: Instance, rows: &[&[f32]]| {
            apply([border(mode), layer], rows).iter().map(|row| row[1]).collect::<Vec<f32>>()
        };
        assert_eq!(last(MaxPooling2D::new(2).into(), &COUNT), largest, "{mode:?}");
        assert_eq!(last(AveragePooling2D::new(2).into(), &COUNT), averages, "{mode:?}");
        assert_eq!(last(MaxPooling2D::new(2).into(), &negative), of_negative, "{mode:?}");
    }
    // Padding `same` never is the maximum, whatever the sign.
    let same = apply([MaxPooling2D::new(2).padding(Padding::Same).into()], &negative);
    assert_eq!(same, [[-1.0, -3.0], [-7.0, -9.0]]);
}

#[test]
fn a_convolution_sees_the_border_it_is_given() {
    // A kernel of ones adds up the window: the corner of ((1, 2), (3, 4)) has five neighbours outside.
    let sum = |mode| {
        let layer = Conv2D::new(1, 3).padding(Padding::Same).fill(mode).use_bias(false);
        let layer = layer.kernel_initializer(striate_nn::Initializer::Ones);
        apply([layer.into()], &[&[1.0, 2.0], &[3.0, 4.0]])
    };
    assert_eq!(sum(PadMode::Constant(0.0)), [[10.0, 10.0], [10.0, 10.0]]);
    assert_eq!(sum(PadMode::Constant(1.0)), [[15.0, 15.0], [15.0, 15.0]]);
    // Rows 1 1 2 / 1 1 2 / 3 3 4 at the first corner.
    assert_eq!(sum(PadMode::Replicate), [[18.0, 21.0], [24.0, 27.0]]);
}
