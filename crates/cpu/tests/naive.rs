//! Products, convolutions and pooling against the plainest loops, for every instruction set and several thread counts.

use striate_cpu::{CpuBackend, CpuOptions, Isa};
use striate_tensor::{
    Activation, ConvGeometry, ConvSpec, Device, Key, Padding, PoolGeometry, PoolKind, PoolSpec, Shape, Tensor,
};

fn devices() -> Vec<Device> {
    let mut all = Vec::new();
    for isa in Isa::available() {
        for threads in [1, 2, 3] {
            let options = CpuOptions { threads: Some(threads), isa: Some(isa), ..CpuOptions::default() };
            all.push(Device::new(CpuBackend::new(options).unwrap()));
        }
    }
    all
}

fn random(seed: u64, n: usize) -> Vec<f32> {
    let mut stream = Key::new(seed).stream();
    (0..n).map(|_| stream.uniform_in(-1.0, 1.0) as f32).collect()
}

fn assert_close(got: &[f32], want: &[f64], scale: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let bound = 2e-6 * (scale + want.abs());
        assert!((f64::from(got) - want).abs() <= bound, "{what}: element {i}: {got} instead of {want}");
    }
}

/// Every (output element, input element, kernel element) that a convolution multiplies.
fn meet(g: &ConvGeometry, mut f: impl FnMut(usize, usize, usize)) {
    let (ipg, opg) = (g.in_per_group(), g.out_per_group());
    let inside = |o: usize, t: usize, a: usize| {
        (o * g.strides[a] + t * g.dilations[a]).checked_sub(g.pad_before[a]).filter(|&i| i < g.input[a])
    };
    for n in 0..g.batch {
        for od in 0..g.output[0] {
            for oh in 0..g.output[1] {
                for ow in 0..g.output[2] {
                    for td in 0..g.kernel[0] {
                        for th in 0..g.kernel[1] {
                            for tw in 0..g.kernel[2] {
                                let (Some(d), Some(h), Some(w)) =
                                    (inside(od, td, 0), inside(oh, th, 1), inside(ow, tw, 2))
                                else {
                                    continue;
                                };
                                let y = ((n * g.output[0] + od) * g.output[1] + oh) * g.output[2] + ow;
                                let x = ((n * g.input[0] + d) * g.input[1] + h) * g.input[2] + w;
                                let k = (td * g.kernel[1] + th) * g.kernel[2] + tw;
                                for co in 0..g.out_channels {
                                    for ci in 0..ipg {
                                        f(
                                            y * g.out_channels + co,
                                            x * g.in_channels + co / opg * ipg + ci,
                                            (k * ipg + ci) * g.out_channels + co,
                                        );
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn check_conv(x: &[usize], k: &[usize], spec: ConvSpec) {
    let (x, k) = (Shape::new(x).unwrap(), Shape::new(k).unwrap());
    let g = spec.geometry(&x, &k).unwrap();
    let y = spec.output_shape(&x, &k).unwrap();
    let what = format!("{x} {k} {spec:?}");
    let (xs, ks, dys) = (random(1, x.elements()), random(2, k.elements()), random(3, y.elements()));
    let bias = random(4, g.out_channels);
    let mut want_y: Vec<f64> = (0..y.elements()).map(|i| f64::from(bias[i % g.out_channels])).collect();
    let (mut want_dx, mut want_dk) = (vec![0.0; x.elements()], vec![0.0; k.elements()]);
    meet(&g, |yi, xi, ki| {
        want_y[yi] += f64::from(xs[xi]) * f64::from(ks[ki]);
        want_dx[xi] += f64::from(dys[yi]) * f64::from(ks[ki]);
        want_dk[ki] += f64::from(dys[yi]) * f64::from(xs[xi]);
    });
    let mut want_db = vec![0.0; g.out_channels];
    dys.iter().enumerate().for_each(|(i, &v)| want_db[i % g.out_channels] += f64::from(v));
    let want_tanh: Vec<f64> = want_y.iter().map(|v| v.tanh()).collect();
    want_y.iter_mut().for_each(|v| *v = v.max(0.0));
    let depth = (g.taps() * g.in_per_group()) as f64;
    let mut bits: Vec<(String, Vec<u32>)> = Vec::new();
    for device in devices() {
        let tensor = |v: &[f32], s: &Shape| Tensor::from_vec(v.to_vec(), *s, &device).unwrap();
        let (xt, kt, dyt) = (tensor(&xs, &x), tensor(&ks, &k), tensor(&dys, &y));
        let bt = tensor(&bias, &Shape::from([g.out_channels]));
        let what = format!("{what} {:?}", device.info());
        let got_y = xt.conv(&kt, Some(&bt), &spec, Activation::Relu).unwrap();
        assert_close(got_y.as_slice().unwrap(), &want_y, depth, &format!("forward {what}"));
        let got_tanh = xt.conv(&kt, Some(&bt), &spec, Activation::Tanh).unwrap();
        assert_close(got_tanh.as_slice().unwrap(), &want_tanh, depth, &format!("forward tanh {what}"));
        let got_dx = dyt.conv_backward_input(&kt, &x, &spec).unwrap();
        assert_close(got_dx.as_slice().unwrap(), &want_dx, depth, &format!("input gradient {what}"));
        let (got_dk, got_db) = dyt.conv_backward_kernel(&xt, &k, &spec, true).unwrap();
        let sum = (g.batch * g.positions()) as f64;
        assert_close(got_dk.as_slice().unwrap(), &want_dk, sum, &format!("kernel gradient {what}"));
        let got_db = got_db.unwrap();
        assert_close(got_db.as_slice().unwrap(), &want_db, sum, &format!("bias gradient {what}"));
        let all = [&got_y, &got_tanh, &got_dx, &got_dk, &got_db];
        let now: Vec<u32> = all.iter().flat_map(|t| t.as_slice::<f32>().unwrap()).map(|v| v.to_bits()).collect();
        let isa = device.info().isa;
        match bits.iter().find(|(name, _)| *name == isa) {
            Some((_, first)) => assert!(*first == now, "bits differ by thread count: {what}"),
            None => bits.push((isa, now)),
        }
    }
}

fn spec(stride: usize, dilation: usize, groups: usize, padding: Padding) -> ConvSpec {
    ConvSpec { strides: [stride; 3], dilations: [dilation; 3], groups, padding, ..ConvSpec::default() }
}

#[test]
fn convolutions_of_the_lectures_layers() {
    check_conv(&[3, 28, 28, 1], &[3, 3, 1, 32], spec(1, 1, 1, Padding::Valid));
    check_conv(&[3, 13, 13, 32], &[3, 3, 32, 64], spec(1, 1, 1, Padding::Valid));
    check_conv(&[20, 5, 5, 64], &[3, 3, 64, 64], spec(1, 1, 1, Padding::Valid));
    check_conv(&[2, 21, 19, 3], &[3, 3, 3, 32], spec(1, 1, 1, Padding::Same));
    check_conv(&[2, 11, 13, 48], &[3, 3, 48, 40], spec(1, 1, 1, Padding::Same));
    check_conv(&[1, 9, 9, 160], &[3, 3, 160, 136], spec(1, 1, 1, Padding::Same));
}

#[test]
fn convolutions_of_every_kind() {
    let explicit = Padding::Explicit([(3, 1), (0, 4), (2, 2)]);
    for padding in [Padding::Valid, Padding::Same, explicit] {
        for stride in 1..=3 {
            for dilation in 1..=2 {
                for (c, f, groups) in [(5, 7, 1), (6, 9, 3), (4, 4, 4), (19, 19, 19), (3, 6, 3)] {
                    let spec = spec(stride, dilation, groups, padding);
                    check_conv(&[2, 9, 8, c], &[3, 2, c / groups, f], spec);
                }
            }
        }
        check_conv(&[2, 17, 5], &[4, 5, 6], spec(2, 1, 1, padding));
        check_conv(&[2, 4, 6, 5, 3], &[2, 3, 2, 3, 5], spec(1, 1, 1, padding));
        check_conv(&[1, 5, 6, 7, 4], &[2, 3, 3, 2, 4], spec(2, 1, 2, padding));
    }
    check_conv(&[2, 12, 3], &[3, 3, 4], spec(1, 2, 1, Padding::Causal));
    check_conv(&[2, 7, 7, 24], &[1, 1, 24, 33], spec(1, 1, 1, Padding::Valid));
    check_conv(&[2, 7, 7, 8], &[1, 1, 8, 8], spec(2, 1, 1, Padding::Valid));
    check_conv(&[1, 3000, 2], &[5, 2, 3], spec(1, 1, 1, Padding::Same));
    check_conv(&[1, 6, 6, 2], &[5, 5, 2, 3], spec(1, 1, 1, Padding::Explicit([(7, 7); 3])));
    check_conv(&[0, 6, 6, 2], &[3, 3, 2, 3], spec(1, 1, 1, Padding::Same));
}

#[test]
fn matrix_products() {
    for (batch, m, k, n) in [
        (1, 1, 1, 1),
        (1, 1, 70, 40),
        (1, 7, 13, 17),
        (1, 64, 576, 64),
        (3, 20, 9, 33),
        (1, 130, 1100, 24),
        (1, 5, 0, 6),
        (1, 3, 2050, 2060),
    ] {
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            let (xs, ys, bias) = (random(1, batch * m * k), random(2, batch * k * n), random(3, n));
            let mut want = vec![0.0; batch * m * n];
            for b in 0..batch {
                for i in 0..m {
                    for j in 0..n {
                        let sum: f64 = (0..k)
                            .map(|p| {
                                let a = xs[b * m * k + if ta { p * m + i } else { i * k + p }];
                                let y = ys[b * k * n + if tb { j * k + p } else { p * n + j }];
                                f64::from(a) * f64::from(y)
                            })
                            .sum();
                        want[(b * m + i) * n + j] = (sum + f64::from(bias[j])).max(0.0);
                    }
                }
            }
            for device in devices() {
                let shape = |r: usize, c: usize, t: bool| {
                    let (r, c) = if t { (c, r) } else { (r, c) };
                    if batch == 1 { Shape::from([r, c]) } else { Shape::from([batch, r, c]) }
                };
                let a = Tensor::from_vec(xs.clone(), shape(m, k, ta), &device).unwrap();
                let b = Tensor::from_vec(ys.clone(), shape(k, n, tb), &device).unwrap();
                let bias = Tensor::from_vec(bias.clone(), [n], &device).unwrap();
                let c = a.matmul_with(ta, &b, tb, Some(&bias), Activation::Relu).unwrap();
                let what = format!("{batch} {m} {k} {n} {ta} {tb} {:?}", device.info());
                assert_close(c.as_slice().unwrap(), &want, k as f64 / 2.0, &what);
            }
        }
    }
}

/// For each output element its window's (tap, input element), those inside the input only.
fn windows(g: &PoolGeometry) -> Vec<Vec<(usize, usize)>> {
    let mut all = Vec::new();
    let inside =
        |o: usize, t: usize, a: usize| (o * g.strides[a] + t).checked_sub(g.pad_before[a]).filter(|&i| i < g.input[a]);
    for n in 0..g.batch {
        for od in 0..g.output[0] {
            for oh in 0..g.output[1] {
                for ow in 0..g.output[2] {
                    for c in 0..g.channels {
                        let mut window = Vec::new();
                        for td in 0..g.window[0] {
                            for th in 0..g.window[1] {
                                for tw in 0..g.window[2] {
                                    if let (Some(d), Some(h), Some(w)) =
                                        (inside(od, td, 0), inside(oh, th, 1), inside(ow, tw, 2))
                                    {
                                        let x =
                                            (((n * g.input[0] + d) * g.input[1] + h) * g.input[2] + w) * g.channels + c;
                                        window.push(((td * g.window[1] + th) * g.window[2] + tw, x));
                                    }
                                }
                            }
                        }
                        all.push(window);
                    }
                }
            }
        }
    }
    all
}

#[test]
fn pooling_of_every_kind() {
    for kind in [PoolKind::Max, PoolKind::Average] {
        for padding in [Padding::Valid, Padding::Same] {
            for (window, stride) in [(2, 2), (3, 1), (3, 2), (2, 3), (1, 1)] {
                for shape in [Shape::from([2, 8, 7, 20]), Shape::from([2, 9, 3]), Shape::from([1, 4, 5, 6, 2])] {
                    let spec = PoolSpec { kind, window: [window; 3], strides: [stride; 3], padding };
                    let g = spec.geometry(&shape).unwrap();
                    let y = spec.output_shape(&shape).unwrap();
                    let (xs, dys) = (random(5, shape.elements()), random(6, y.elements()));
                    let (mut want_y, mut want_dx, mut want_index) = (Vec::new(), vec![0.0; xs.len()], Vec::new());
                    for (window, &dy) in windows(&g).iter().zip(&dys) {
                        if kind == PoolKind::Max {
                            let mut best = window[0];
                            for &(tap, x) in window {
                                if xs[x] > xs[best.1] {
                                    best = (tap, x);
                                }
                            }
                            want_y.push(f64::from(xs[best.1]));
                            want_dx[best.1] += f64::from(dy);
                            want_index.push(best.0 as u8);
                        } else {
                            let n = window.len() as f64;
                            want_y.push(window.iter().map(|&(_, x)| f64::from(xs[x])).sum::<f64>() / n);
                            window.iter().for_each(|&(_, x)| want_dx[x] += f64::from(dy) / n);
                        }
                    }
                    for device in devices() {
                        let x = Tensor::from_vec(xs.clone(), shape, &device).unwrap();
                        let dy = Tensor::from_vec(dys.clone(), y, &device).unwrap();
                        let (got, indices) = x.pool(&spec, true).unwrap();
                        let what = format!("{shape} {spec:?}");
                        assert_close(got.as_slice().unwrap(), &want_y, 1.0, &what);
                        if kind == PoolKind::Max {
                            assert_eq!(indices.as_ref().unwrap().as_slice::<u8>().unwrap(), want_index, "{what}");
                        }
                        let dx = dy.pool_backward(&shape, indices.as_ref(), &spec).unwrap();
                        assert_close(dx.as_slice().unwrap(), &want_dx, 1.0, &format!("gradient {what}"));
                    }
                }
            }
        }
    }
}
