//! Pictures made by gradients do what they are made for, on small networks: filters respond more, dreams excite, styles come nearer.

use striate_data::PixelValues;
use striate_nn::layers::*;
use striate_nn::{BuildOptions, Call, Model, Sequential};
use striate_tensor::Activation::Relu;
use striate_tensor::{Error, Key, Tensor};
use striate_testkit::reference;
use striate_viz::filters::{Ascent, Filters, filter_grid, kernel_images};
use striate_viz::{Dream, Style, StyleLoss, dream, dream_layers, transfer_style};

fn network() -> Model {
    Sequential::new([16, 16, 3])
        .add(Conv2D::new(4, 3).activation(Relu).named("one"))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(5, 3).activation(Relu).named("two"))
        .build_on(&BuildOptions { seed: 2, ..BuildOptions::on(&reference::device()) })
        .unwrap()
}

fn noise(model: &Model, side: usize, seed: u64) -> Tensor {
    let mut stream = Key::new(seed).stream();
    let values: Vec<f32> = (0..side * side * 3).map(|_| 255.0 * stream.uniform() as f32).collect();
    Tensor::from_vec(values, [1, side, side, 3], model.device()).unwrap()
}

/// The mean response of a channel of a layer.
fn response(model: &Model, layer: &str, channel: usize, input: &Tensor) -> f32 {
    let output = model.activations(std::slice::from_ref(input), &[layer]).unwrap().remove(layer).unwrap();
    let values = output.to_vec::<f32>().unwrap();
    let channels = output.shape().channels();
    values.iter().skip(channel).step_by(channels).sum::<f32>() / (values.len() / channels) as f32
}

#[test]
fn an_ascent_raises_the_filter_that_it_is_for() {
    let model = network();
    for layer in ["one", "two", "max_pooling2d"] {
        let filters = Filters::new(&model, layer, None, PixelValues::Caffe).unwrap();
        for ascent in [
            Ascent { steps: 12, ..Ascent::default() },
            Ascent { steps: 12, ..Ascent::clear() },
            Ascent { steps: 12, ..Ascent::decorrelated() },
        ] {
            let all: Vec<usize> = (0..filters.count()).collect();
            let start = filters.climb(&all, &Ascent { steps: 0, ..ascent.clone() }).unwrap();
            let single = filters.climb(&all, &ascent).unwrap();
            let batch = filters.climb(&all, &Ascent { batch: 3, ..ascent.clone() }).unwrap();
            for filter in all {
                let (before, after) =
                    (response(&model, layer, filter, &start[filter]), response(&model, layer, filter, &single[filter]));
                assert!(after > before || before == 0.0, "{layer} {filter}: {before} {after}");
                let pairs =
                    single[filter].to_vec::<f32>().unwrap().into_iter().zip(batch[filter].to_vec::<f32>().unwrap());
                assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 0.05), "{layer} {filter}");
            }
        }
    }
    let large = Filters::new(&model, "two", Some((24, 20)), PixelValues::Caffe).unwrap();
    let images = large.images(&[0, 1, 2], &Ascent { steps: 1, ..Ascent::default() }).unwrap();
    assert_eq!(images[0].dimensions(), (20, 24));
    assert_eq!(filter_grid(&images, 2, 5).unwrap().dimensions(), (45, 53));
    assert!(matches!(large.climb(&[5], &Ascent::default()), Err(Error::Argument(_))));
    assert!(Filters::new(&model, "three", None, PixelValues::Caffe).is_err());
}

#[test]
fn raw_kernels_have_grey_for_nothing_and_their_channels_in_order() {
    let mut model = network();
    let mut values = vec![0f32; 3 * 3 * 3 * 4];
    values[0] = 2.0; // first row, first column, first channel, filter 0
    model.set_weight("one/kernel", &Tensor::from_vec(values, [3, 3, 3, 4], model.device()).unwrap()).unwrap();
    let rgb = kernel_images(&model, "one", 2, false).unwrap();
    assert_eq!((rgb.len(), rgb[0].dimensions()), (4, (6, 6)));
    assert_eq!((rgb[0].get_pixel(1, 1).0, rgb[0].get_pixel(2, 1).0), ([255, 127, 127], [127; 3]));
    assert_eq!(kernel_images(&model, "one", 1, true).unwrap()[0].get_pixel(0, 0).0, [127, 127, 255]);
    assert!(kernel_images(&model, "two", 1, false).is_err());
}

#[test]
fn a_dream_excites_its_layers_and_stays_in_the_range() {
    let model = network();
    let input = noise(&model, 20, 1);
    let options = Dream { octaves: 2, steps: 4, jitter: 3, ..Dream::new(["two"]) };
    let dreamt = dream(&model, &input, &[(0.0, 255.0); 3], &options).unwrap();
    assert_eq!(dreamt.shape(), input.shape());
    assert!(dreamt.to_vec::<f32>().unwrap().iter().all(|value| (0.0..=255.0).contains(value)));
    let strength = |input: &Tensor| -> f32 {
        let part = model.part("two", striate_nn::PartEnd::Output, &[input.shape().without_batch()]).unwrap();
        part.predict_on(std::slice::from_ref(input)).unwrap()[0].to_vec::<f32>().unwrap().iter().map(|v| v * v).sum()
    };
    assert!(strength(&dreamt) > strength(&input));
    assert!(dream(&model, &input, &[(0.0, 255.0); 3], &Dream::new(["nobody"])).is_err());
    assert!(dream(&model, &input, &[], &options).is_err());
    assert_eq!(dream_layers(&model).unwrap(), ["two"]);
    let text = |options: Dream| dream(&model, &input, &[(0.0, 255.0); 3], &options).unwrap_err().to_string();
    let refused = text(Dream { octaves: 0, ..options.clone() });
    assert_eq!(refused, "dream: octaves must be 1 to 10; received 0 (hint: 4 is usual)");
    let refused = text(Dream { scale: f32::NAN, ..options.clone() });
    assert!(refused.contains("the scale") && refused.contains("received NaN"), "{refused}");
    let refused = text(Dream { layers: vec![("two".into(), f32::INFINITY)], ..options });
    assert!(refused.contains("received inf for two"), "{refused}");
}

#[test]
fn a_picture_comes_nearer_to_the_style() {
    let model = network();
    let options = Style {
        content_layer: "two".into(),
        style_layers: vec!["one".into(), "two".into()],
        steps: 15,
        ..Style::default()
    };
    let style = noise(&model, 16, 3).affine(0.3, 20.0).unwrap();
    let mut losses: Vec<StyleLoss> = Vec::new();
    let painted = transfer_style(&model, &noise(&model, 20, 4), &style, &[(0.0, 255.0); 3], &options, |_, loss| {
        losses.push(loss)
    })
    .unwrap();
    assert_eq!(painted.shape().as_slice(), [1, 20, 20, 3]);
    assert_eq!((losses.len(), losses[0].content), (15, 0.0));
    assert!(losses[14].style < 0.5 * losses[0].style, "{losses:?}");
}
