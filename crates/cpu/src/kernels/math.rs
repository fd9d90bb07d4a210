//! Elementary functions without branches, which the compiler turns into vector code.
//!
//! Each is held to 2 units in the last place, or 1e-6 relative where said so, over the whole range; NaN passes through.

use crate::simd::Simd;

/// Rounds to the nearest integer: adding it moves a float's fraction bits out.
const ROUND: f32 = 12_582_912.0;
const LN2_HIGH: f32 = 0.693_145_75;
const LN2_LOW: f32 = 1.428_606_8e-6;

/// 2ⁿ for an integer −127 ≤ n ≤ 127; −127 gives zero.
#[inline(always)]
fn power(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23) as u32)
}

#[inline(always)]
fn clamp(x: f32, low: f32, high: f32) -> f32 {
    // Unlike `f32::clamp` and `max` these comparisons let NaN through, and become one instruction each.
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// x = n·ln 2 + r with |r| ≤ ln 2 / 2.
#[inline(always)]
fn reduce<S: Simd>(x: f32) -> (i32, f32) {
    let shifted = S::fma1(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = S::fma1(n, -LN2_LOW, S::fma1(n, -LN2_HIGH, x));
    (shifted.to_bits() as i32 - ROUND.to_bits() as i32, r)
}

/// (eʳ − 1 − r) / r² for |r| ≤ 0.35.
#[inline(always)]
fn tail<S: Simd>(r: f32) -> f32 {
    let p = S::fma1(r, 1.987_569_1e-4, 1.398_199_9e-3);
    let p = S::fma1(r, p, 8.333_452e-3);
    let p = S::fma1(r, p, 4.166_579_6e-2);
    let p = S::fma1(r, p, 1.666_666_5e-1);
    S::fma1(r, p, 0.5)
}

/// eˣ.
#[inline(always)]
pub(crate) fn exp<S: Simd>(x: f32) -> f32 {
    let (n, r) = reduce::<S>(clamp(x, -104.0, 89.0));
    let e = S::fma1(r * r, tail::<S>(r), r) + 1.0;
    // In two steps: 2¹²⁸ and the powers below the normal range are no floats.
    let half = n >> 1;
    let e = e * power(half) * power(n - half);
    if x.is_nan() { x } else { e }
}

/// eˣ − 1.
#[inline(always)]
pub(crate) fn exp_m1<S: Simd>(x: f32) -> f32 {
    let (n, r) = reduce::<S>(clamp(x, -104.0, 88.3));
    let e = S::fma1(r * r, tail::<S>(r), r);
    let half = n >> 1;
    let (first, second) = (power(half), power(n - half));
    let whole = first * second;
    let y = S::fma1(e * first, second, whole - 1.0);
    if x.is_nan() { x } else { y }
}

/// ln x.
#[inline(always)]
pub(crate) fn ln<S: Simd>(x: f32) -> f32 {
    // x = m·2ᵉ with m in [√½, √2).
    let bits = x.to_bits() as i32;
    let shifted = bits.wrapping_sub(0x3f35_04f3);
    let e = (shifted >> 23) as f32;
    let m = f32::from_bits(bits.wrapping_sub(shifted & !0x007f_ffff) as u32);
    let f = m - 1.0;
    let z = f * f;
    let p = S::fma1(f, 7.037_683_6e-2, -1.151_461e-1);
    let p = S::fma1(f, p, 1.167_699_9e-1);
    let p = S::fma1(f, p, -1.242_014_1e-1);
    let p = S::fma1(f, p, 1.424_932_3e-1);
    let p = S::fma1(f, p, -1.666_805_8e-1);
    let p = S::fma1(f, p, 2.000_071_5e-1);
    let p = S::fma1(f, p, -2.499_999_4e-1);
    let p = S::fma1(f, p, 3.333_333e-1);
    let y = S::fma1(f * z, p, S::fma1(e, -2.121_944_4e-4, -0.5 * z));
    let y = S::fma1(e, 0.693_359_4, f + y);
    let y = if x == f32::INFINITY { x } else { y };
    // Denormals count as zero, as everywhere in the kernels.
    let y = if x < f32::MIN_POSITIVE { f32::NEG_INFINITY } else { y };
    let y = if x <= -f32::MIN_POSITIVE { f32::NAN } else { y };
    if x.is_nan() { x } else { y }
}

/// ln(1 + x) for 0 ≤ x ≤ 1.
#[inline(always)]
fn ln_1p<S: Simd>(x: f32) -> f32 {
    let u = 1.0 + x;
    // The part of x that the sum lost, to first order.
    ln::<S>(u) + (x - (u - 1.0)) / u
}

/// Hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(x: f32) -> f32 {
    let a = x.abs();
    let z = x * x;
    let p = S::fma1(z, -5.704_988_7e-3, 2.063_908_6e-2);
    let p = S::fma1(z, p, -5.373_971_6e-2);
    let p = S::fma1(z, p, 1.333_144_2e-1);
    let p = S::fma1(z, p, -3.333_328e-1);
    let near = S::fma1(x * z, p, x);
    let far = (1.0 - 2.0 / (exp::<S>(2.0 * a) + 1.0)).copysign(x);
    if a < 0.625 { near } else { far }
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<S>(-x))
}

/// ln(1 + eˣ).
#[inline(always)]
pub(crate) fn softplus<S: Simd>(x: f32) -> f32 {
    let positive = if x > 0.0 { x } else { 0.0 };
    let y = positive + ln_1p::<S>(exp::<S>(-x.abs()));
    if x.is_nan() { x } else { y }
}

/// Φ(x), the normal distribution's cumulative, to 1e-6: Chebyshev's fit of erfc (Numerical Recipes, section 6.2).
#[inline(always)]
pub(crate) fn normal_cdf<S: Simd>(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / S::fma1(0.5, z, 1.0);
    let p = S::fma1(t, 0.170_872_77, -0.822_152_23);
    let p = S::fma1(t, p, 1.488_515_9);
    let p = S::fma1(t, p, -1.135_204);
    let p = S::fma1(t, p, 0.278_868_07);
    let p = S::fma1(t, p, -0.186_288_06);
    let p = S::fma1(t, p, 0.096_784_18);
    let p = S::fma1(t, p, 0.374_091_96);
    let p = S::fma1(t, p, 1.000_023_7);
    let p = S::fma1(t, p, -1.265_512_2);
    let tail = 0.5 * t * exp::<S>(S::fma1(-z, z, p));
    if x < 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Portable as P;

    fn relative(got: f32, want: f64) -> f64 {
        if f64::from(got) == want || (got.is_infinite() && want > f64::from(f32::MAX)) {
            return 0.0;
        }
        (f64::from(got) - want).abs() / want.abs().max(1e-37)
    }

    fn worst(range: (f32, f32), got: fn(f32) -> f32, want: fn(f64) -> f64) -> f64 {
        let n = 400_000;
        (0..=n)
            .map(|i| {
                let x = range.0 + (range.1 - range.0) * (i as f32 / n as f32);
                relative(got(x), want(f64::from(x)))
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn functions_are_accurate() {
        let ulp = f64::from(f32::EPSILON);
        for (name, bound, error) in [
            ("exp", 2.0 * ulp, worst((-87.0, 88.7), exp::<P>, f64::exp)),
            ("exp_m1", 3.0 * ulp, worst((-20.0, 20.0), exp_m1::<P>, f64::exp_m1)),
            ("exp_m1 near 0", 3.0 * ulp, worst((-1e-3, 1e-3), exp_m1::<P>, f64::exp_m1)),
            ("ln", 2.0 * ulp, worst((0.01, 3.0), ln::<P>, f64::ln)),
            ("ln of large", 2.0 * ulp, worst((3.0, 3e38), ln::<P>, f64::ln)),
            ("tanh", 3.0 * ulp, worst((-10.0, 10.0), tanh::<P>, f64::tanh)),
            ("tanh near 0", 3.0 * ulp, worst((-0.01, 0.01), tanh::<P>, f64::tanh)),
            ("sigmoid", 3.0 * ulp, worst((-80.0, 30.0), sigmoid::<P>, |x| 1.0 / (1.0 + (-x).exp()))),
            ("softplus", 3.0 * ulp, worst((-80.0, 40.0), softplus::<P>, |x| x.max(0.0) + (-x.abs()).exp().ln_1p())),
        ] {
            assert!(error <= bound, "{name}: {:.2} units in the last place", error / ulp);
        }
    }

    #[test]
    fn limits_and_nan_pass() {
        assert_eq!((exp::<P>(200.0), exp::<P>(-200.0)), (f32::INFINITY, 0.0));
        assert_eq!((exp_m1::<P>(-200.0), tanh::<P>(50.0), tanh::<P>(-50.0)), (-1.0, 1.0, -1.0));
        assert_eq!((ln::<P>(0.0), ln::<P>(f32::INFINITY)), (f32::NEG_INFINITY, f32::INFINITY));
        assert!(ln::<P>(-1.0).is_nan());
        for f in [exp::<P>, exp_m1::<P>, ln::<P>, tanh::<P>, sigmoid::<P>, softplus::<P>, normal_cdf::<P>] {
            assert!(f(f32::NAN).is_nan());
        }
        assert!((normal_cdf::<P>(0.0) - 0.5).abs() < 1e-6 && (normal_cdf::<P>(-3.0) - 0.001_349_898).abs() < 1e-8);
    }
}
