//! Randomness as a function: counter-based, without hidden state.

use std::cell::RefCell;
use std::collections::HashMap;

/// A key from which any number of independent random streams can be derived.
///
/// A draw is a function of the seed and of what it is for, not of what was drawn before. `Key::new(seed)` is folded with
/// the epoch, the sample, the layer…, and yields the same numbers on any device, for any number of threads, and
/// in a run that was resumed. The function is Philox-4x32-10 (Salmon et al., "Parallel random numbers: as easy as
/// 1, 2, 3", SC 2011, <https://doi.org/10.1145/2063384.2063405>).
///
/// ```
/// use striate_tensor::Key;
/// let epoch = |n| Key::new(42).fold_str("shuffle").fold(n).permutation(1000);
/// assert_eq!(epoch(3), epoch(3));
/// assert_ne!(epoch(3), epoch(4));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u32; 2]);

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
/// Marks counters that derive keys, so that they never meet those that draw numbers.
const FOLD: u32 = 0x464F_4C44;

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
        let b = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
        counter = [(b >> 32) as u32 ^ counter[1] ^ key[0], b as u32, (a >> 32) as u32 ^ counter[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

impl Key {
    /// The key of a seed.
    pub fn new(seed: u64) -> Key {
        Key([seed as u32, (seed >> 32) as u32])
    }

    /// The two words, for back ends that draw on their own device.
    pub fn words(self) -> [u32; 2] {
        self.0
    }

    /// A key of its own for each `tag`.
    pub fn fold(self, tag: u64) -> Key {
        let [a, b, ..] = philox([tag as u32, (tag >> 32) as u32, 0, FOLD], self.0);
        let folded = Key([a, b]);
        TRAIL.with_borrow_mut(|trail| {
            if let Some(trail) = trail {
                trail.0.insert(folded, (self, tag));
            }
        });
        folded
    }

    /// A key of its own for each text, such as a layer's path.
    pub fn fold_str(self, tag: &str) -> Key {
        // FNV-1a over 64 bits.
        let hash = tag.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        self.fold(hash)
    }

    /// What `work` gives, and which keys it folded on this thread.
    pub fn traced<T>(work: impl FnOnce() -> T) -> (T, Trail) {
        let before = TRAIL.replace(Some(Trail::default()));
        let result = work();
        (result, TRAIL.replace(before).unwrap_or_default())
    }

    /// The four random words at counter `index`.
    pub fn block(self, index: u64) -> [u32; 4] {
        philox([index as u32, (index >> 32) as u32, 0, 0], self.0)
    }

    /// The random word of element `index`: word `index % 4` of block `index / 4`.
    pub fn word(self, index: u64) -> u32 {
        self.block(index / 4)[(index % 4) as usize]
    }

    /// The numbers of this key one after another.
    pub fn stream(self) -> Stream {
        Stream { key: self, next: 0, block: [0; 4] }
    }

    /// `0..n` in random order, all orders equally likely (Fisher and Yates).
    pub fn permutation(self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        let mut stream = self.stream();
        for i in (1..n).rev() {
            order.swap(i, stream.below(i as u64 + 1) as usize);
        }
        order
    }
}

thread_local! {
    static TRAIL: RefCell<Option<Trail>> = const { RefCell::new(None) };
}

/// Which keys were folded from which: see [`Key::traced`].
///
/// ```
/// use striate_tensor::Key;
/// let draw = |step: Key| step.fold_str("dropout").fold(1);
/// let (key, trail) = Key::traced(|| draw(Key::new(3)));
/// let folds = trail.folds(Key::new(3), key).unwrap();
/// assert_eq!(folds.iter().fold(Key::new(4), |key, &tag| key.fold(tag)), draw(Key::new(4)));
/// ```
#[derive(Debug, Default)]
pub struct Trail(HashMap<Key, (Key, u64)>);

impl Trail {
    /// What `root` was folded with, one after another, to give `key`; none if it was not.
    pub fn folds(&self, root: Key, key: Key) -> Option<Vec<u64>> {
        let (mut folds, mut at) = (Vec::new(), key);
        while at != root {
            let &(parent, tag) = self.0.get(&at)?;
            folds.push(tag);
            // A key is its own ancestor only if two folds met, which 64 bits make all but impossible.
            if folds.len() > self.0.len() {
                return None;
            }
            at = parent;
        }
        folds.reverse();
        Some(folds)
    }
}

/// The numbers of a [`Key`] one after another.
#[derive(Debug, Clone)]
pub struct Stream {
    key: Key,
    next: u64,
    block: [u32; 4],
}

impl Stream {
    /// 32 random bits.
    pub fn word(&mut self) -> u32 {
        if self.next.is_multiple_of(4) {
            self.block = self.key.block(self.next / 4);
        }
        self.next += 1;
        self.block[((self.next - 1) % 4) as usize]
    }

    /// 64 random bits.
    pub fn word64(&mut self) -> u64 {
        u64::from(self.word()) << 32 | u64::from(self.word())
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.word64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in [low, high).
    pub fn uniform_in(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform among 0..n without bias (Lemire's multiplication with rejection); 0 for n = 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        let threshold = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.word64()) * u128::from(n);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// Normal with mean 0 and standard deviation 1 (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (2.0 * std::f64::consts::PI * self.uniform()).cos()
    }

    /// Normal, drawn again while beyond two standard deviations, as Keras's initializers do.
    pub fn truncated_normal(&mut self) -> f64 {
        loop {
            let z = self.normal();
            if z.abs() <= 2.0 {
                return z;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_published_vectors() {
        // Known answers that come with the authors' Random123 library.
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn streams_have_the_moments_of_their_distributions() {
        let n = 100_000;
        let mut s = Key::new(1).stream();
        let moments = |draw: &mut dyn FnMut() -> f64| {
            let v: Vec<f64> = (0..n).map(|_| draw()).collect();
            let mean = v.iter().sum::<f64>() / n as f64;
            (mean, v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64)
        };
        let (mean, variance) = moments(&mut || s.uniform());
        assert!((mean - 0.5).abs() < 0.005 && (variance - 1.0 / 12.0).abs() < 0.001, "{mean} {variance}");
        let (mean, variance) = moments(&mut || s.normal());
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
        let (mean, variance) = moments(&mut || s.truncated_normal());
        assert!(mean.abs() < 0.01 && (variance - 0.7737).abs() < 0.01, "{mean} {variance}");
    }

    #[test]
    fn permutations_hold_every_index_once_and_differ() {
        let key = Key::new(9);
        let mut sorted = key.permutation(1000);
        assert_ne!(sorted, key.fold(1).permutation(1000));
        sorted.sort_unstable();
        assert!(sorted.iter().enumerate().all(|(i, &v)| i == v));
        assert!(key.permutation(0).is_empty());
    }

    #[test]
    fn words_by_index_equal_the_stream() {
        let key = Key::new(3).fold_str("dropout");
        let mut stream = key.stream();
        for i in 0..11 {
            assert_eq!(key.word(i), stream.word());
        }
    }
}
