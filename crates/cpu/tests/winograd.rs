//! Winograd's algorithm against the direct one and against the reference, for every pass and awkward sizes.

use striate_cpu::{CpuBackend, CpuOptions, Isa};
use striate_tensor::{Activation, ConvAlgorithm, ConvSpec, Device, Key, Padding, PoolKind, PoolSpec, Shape, Tensor};

fn random(shape: &[usize], key: Key, device: &Device) -> Tensor {
    let shape = Shape::new(shape).unwrap();
    let mut stream = key.stream();
    let values: Vec<f32> = (0..shape.elements()).map(|_| stream.normal() as f32).collect();
    Tensor::from_vec(values, shape, device).unwrap()
}

/// ‖a − b‖ / ‖b‖.
fn relative_l2(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (a.to_f64_vec().unwrap(), b.to_f64_vec().unwrap());
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(&b).map(|(x, y)| x - y)) / norm(&mut b.iter().copied()).max(1e-30)
}

/// Height, width, channels in, channels out, batch, padding.
type Case = (usize, usize, usize, usize, usize, Padding);

fn three_passes(device: &Device, case: Case, algorithm: ConvAlgorithm) -> [Tensor; 4] {
    let (h, w, c, k, n, padding) = case;
    let spec = ConvSpec { padding, algorithm, ..ConvSpec::default() };
    let key = Key::new(5).fold((h * 41 + w) as u64).fold((c * 71 + k) as u64);
    let x = random(&[n, h, w, c], key.fold(1), device);
    let kernel = random(&[3, 3, c, k], key.fold(2), device);
    let bias = random(&[k], key.fold(3), device);
    let y = x.conv(&kernel, Some(&bias), &spec, Activation::Relu).unwrap();
    let dy = random(y.shape(), key.fold(4), device);
    let dx = dy.conv_backward_input(&kernel, x.shape(), &spec).unwrap();
    let (dw, db) = dy.conv_backward_kernel(&x, kernel.shape(), &spec, true).unwrap();
    [y, dx, dw, db.unwrap()]
}

fn cases() -> Vec<Case> {
    let mut cases = vec![
        (3, 3, 1, 1, 1, Padding::Valid),
        (40, 1, 3, 5, 2, Padding::Same),
        (1, 40, 70, 2, 1, Padding::Same),
        (18, 18, 64, 70, 2, Padding::Same),
        (37, 11, 33, 17, 3, Padding::Valid),
        (9, 9, 200, 40, 4, Padding::Same),
        (6, 7, 5, 9, 3, Padding::Explicit([(2, 0), (1, 2), (0, 0)])),
        (2, 2, 4, 4, 2, Padding::Explicit([(2, 2), (2, 2), (0, 0)])),
    ];
    let mut stream = Key::new(77).stream();
    let mut draw = |low: u64, high: u64| (low + stream.below(high - low + 1)) as usize;
    for _ in 0..24 {
        let padding = [Padding::Valid, Padding::Same][draw(0, 1)];
        cases.push((draw(3, 40), draw(3, 40), draw(1, 70), draw(1, 70), draw(1, 3), padding));
    }
    cases
}

#[test]
fn all_passes_agree_with_the_reference_under_every_instruction_set() {
    let reference = striate_testkit::reference::device();
    for case in cases() {
        let wanted = three_passes(&reference, case, ConvAlgorithm::Winograd);
        for isa in Isa::available() {
            let options = CpuOptions { isa: Some(isa), ..CpuOptions::default() };
            let device = Device::new(CpuBackend::new(options).unwrap());
            let found = three_passes(&device, case, ConvAlgorithm::Winograd);
            for (name, (found, wanted)) in ["y", "dx", "dw", "db"].iter().zip(found.iter().zip(&wanted)) {
                let error = relative_l2(found, wanted);
                assert!(error <= 5e-6, "{isa} {case:?} {name}: relative error {error:.2e}");
            }
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let device =
        |threads| Device::new(CpuBackend::new(CpuOptions { threads: Some(threads), ..CpuOptions::default() }).unwrap());
    for case in
        [(37, 35, 48, 40, 3, Padding::Same), (9, 9, 200, 130, 5, Padding::Same), (13, 13, 70, 64, 11, Padding::Valid)]
    {
        let one = three_passes(&device(1), case, ConvAlgorithm::Winograd);
        for threads in [2, 3] {
            let many = three_passes(&device(threads), case, ConvAlgorithm::Winograd);
            for (a, b) in one.iter().zip(&many) {
                assert_eq!(a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap(), "{threads} threads, {case:?}");
            }
        }
    }
}

#[test]
fn the_devices_algorithm_is_what_auto_means_and_both_agree() {
    let device = |algorithm| Device::new(CpuBackend::new(CpuOptions { algorithm, ..CpuOptions::default() }).unwrap());
    let [auto, direct, winograd] = [ConvAlgorithm::Auto, ConvAlgorithm::Direct, ConvAlgorithm::Winograd].map(device);
    // Small images, whose input gradient starts from the output's tiles, and one that reaches over the border.
    let cases =
        [(13, 13, 32, 64, 8, Padding::Valid), (5, 5, 40, 33, 24, Padding::Valid), (20, 17, 32, 48, 2, Padding::Same)];
    for case in cases {
        let by = |device: &Device, algorithm| three_passes(device, case, algorithm).map(|t| t.to_vec::<f32>().unwrap());
        assert_eq!(by(&direct, ConvAlgorithm::Auto), by(&auto, ConvAlgorithm::Direct), "{case:?}");
        assert_eq!(by(&winograd, ConvAlgorithm::Auto), by(&auto, ConvAlgorithm::Winograd), "{case:?}");
        assert_ne!(by(&direct, ConvAlgorithm::Auto), by(&winograd, ConvAlgorithm::Auto), "{case:?}");
        let (a, b) =
            (three_passes(&direct, case, ConvAlgorithm::Auto), three_passes(&winograd, case, ConvAlgorithm::Auto));
        for (name, (a, b)) in ["y", "dx", "dw", "db"].iter().zip(a.iter().zip(&b)) {
            let error = relative_l2(b, a);
            assert!(error <= 5e-6, "{case:?} {name}: relative difference {error:.2e}");
        }
    }
}

#[test]
fn pooling_in_the_same_pass_gives_the_same_bits() {
    for isa in Isa::available() {
        let options = CpuOptions { isa: Some(isa), ..CpuOptions::default() };
        let device = Device::new(CpuBackend::new(options).unwrap());
        for (h, w, c, k, n) in
            [(8, 8, 16, 16, 2), (37, 22, 20, 33, 2), (15, 15, 40, 19, 3), (4, 9, 3, 70, 5), (2, 2, 8, 8, 4)]
        {
            let key = Key::new(9).fold((h * 41 + w) as u64);
            let x = random(&[n, h, w, c], key.fold(1), &device);
            let kernel = random(&[3, 3, c, k], key.fold(2), &device);
            let bias = random(&[k], key.fold(3), &device);
            let pool = PoolSpec { kind: PoolKind::Max, window: [2; 3], strides: [2; 3], padding: Padding::Valid };
            for algorithm in [ConvAlgorithm::Winograd, ConvAlgorithm::Direct] {
                let spec = ConvSpec { padding: Padding::Same, algorithm, ..ConvSpec::default() };
                for activation in [Activation::Relu, Activation::Linear] {
                    let between = x.conv(&kernel, Some(&bias), &spec, activation).unwrap();
                    let (apart, winners) = between.pool(&pool, true).unwrap();
                    let fuse = |with| x.conv_max_pool(&kernel, Some(&bias), &spec, activation, &pool, with).unwrap();
                    let (fused, none) = fuse(false);
                    assert!(none.is_none());
                    let (with, indices) = fuse(true);
                    assert_eq!(with.to_vec::<f32>().unwrap(), fused.to_vec::<f32>().unwrap());
                    // Among equal values any may win, which here only a ReLU's zeros are.
                    let zeros = fused.to_vec::<f32>().unwrap().into_iter().map(|value| value == 0.0);
                    let [indices, winners] = [indices, winners].map(|t| t.unwrap().to_vec::<u8>().unwrap());
                    let agree = indices.iter().zip(&winners).zip(zeros).all(|((a, b), zero)| zero || a == b);
                    assert!(agree, "{isa} {h}×{w} {algorithm:?}");
                    assert_eq!(fused.shape(), apart.shape());
                    assert_eq!(
                        fused.to_vec::<f32>().unwrap(),
                        apart.to_vec::<f32>().unwrap(),
                        "{isa} {h}×{w} {algorithm:?}"
                    );
                }
            }
        }
    }
}
