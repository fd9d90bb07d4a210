//! What lies beyond a picture's border.

use striate_tensor::PictureBorder;

/// What lies beyond a picture's border, as `scipy.ndimage` has it
/// (<https://docs.scipy.org/doc/scipy/reference/generated/scipy.ndimage.affine_transform.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FillMode {
    /// The border's own pixels, on and on: aaaa|abcd|dddd.
    #[default]
    Nearest,
    /// One value: kkkk|abcd|kkkk.
    Constant,
    /// The picture mirrored at its edge: dcba|abcd|dcba.
    Reflect,
    /// The picture from its other side, first and last pixel taken as one: period n - 1.
    Wrap,
}

impl FillMode {
    /// As devices know it.
    pub(super) fn border(self, constant: f32) -> PictureBorder {
        match self {
            FillMode::Nearest => PictureBorder::Nearest,
            FillMode::Constant => PictureBorder::Constant(constant),
            FillMode::Reflect => PictureBorder::Reflect,
            FillMode::Wrap => PictureBorder::Wrap,
        }
    }

    /// The position in -1 < p <= n that stands for `at` on a side of n pixels; none where the constant does.
    pub(super) fn map(self, at: f64, n: usize) -> Option<f64> {
        let last = (n - 1) as f64;
        if at >= 0.0 && at <= last {
            return Some(at);
        }
        match self {
            FillMode::Constant => None,
            FillMode::Nearest => Some(if at < 0.0 { 0.0 } else { last }),
            _ if n == 1 => Some(0.0),
            FillMode::Reflect => Some(reflect(at, n as f64)),
            FillMode::Wrap if at < 0.0 => Some(at + last * ((-at / last).trunc() + 1.0)),
            FillMode::Wrap => Some(at - last * (at / last).trunc()),
        }
    }
}

/// Mirrors at -0.5 and n - 0.5.
fn reflect(at: f64, n: f64) -> f64 {
    let period = 2.0 * n;
    if at < 0.0 {
        let at = if at < -period { at + period * (-at / period).trunc() } else { at };
        return if at < -n { at + period } else { -at - 1.0 };
    }
    let at = at - period * (at / period).trunc();
    if at >= n { period - at - 1.0 } else { at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_positions_follow_the_patterns() {
        let line = |mode: FillMode| -> String {
            let letter = |i: i32| mode.map(f64::from(i), 4).map_or('k', |p| b"abcd"[p as usize] as char);
            (-5..9).map(letter).collect()
        };
        assert_eq!(line(FillMode::Nearest), "aaaaaabcdddddd");
        assert_eq!(line(FillMode::Constant), "kkkkkabcdkkkkk");
        assert_eq!(line(FillMode::Reflect), "ddcbaabcddcbaa");
        assert_eq!(FillMode::Wrap.map(-0.5, 4), Some(2.5));
        assert_eq!(FillMode::Wrap.map(3.5, 4), Some(0.5));
        for mode in [FillMode::Nearest, FillMode::Reflect, FillMode::Wrap] {
            assert_eq!(mode.map(17.3, 1), Some(0.0));
            for i in -400..400 {
                let p = mode.map(f64::from(i) * 0.37, 7).unwrap();
                assert!(p > -1.0 && p < 7.0, "{mode:?} {i}: {p}");
            }
        }
    }
}
