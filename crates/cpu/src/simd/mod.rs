//! Instruction sets: which there are, how one is chosen, and the few vector operations that kernels are written in.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod denormals;
mod portable;

pub(crate) use denormals::FlushDenormals;
pub(crate) use portable::Portable;

use std::fmt;
use striate_tensor::{Error, Result};

/// An instruction set that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isa {
    /// x86-64 with AVX-512F, AVX2 and FMA: 16 floats a register, 32 registers.
    Avx512,
    /// x86-64 with AVX2 and FMA: 8 floats a register, 16 registers.
    Avx2,
    /// What the compiler makes of plain code for the target: SSE2 on x86-64, NEON on aarch64.
    Portable,
}

impl Isa {
    /// All of them, best first.
    pub const ALL: [Isa; 3] = [Isa::Avx512, Isa::Avx2, Isa::Portable];

    /// The name that `STRIATE_ISA` and [`striate_tensor::DeviceInfo`] use.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Avx512 => "avx512",
            Isa::Avx2 => "avx2",
            Isa::Portable => "portable",
        }
    }

    /// Whether this machine can run it.
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            match self {
                Isa::Avx512 => avx2 && is_x86_feature_detected!("avx512f"),
                Isa::Avx2 => avx2,
                Isa::Portable => true,
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Isa::Portable
        }
    }

    /// Those this machine can run, best first.
    pub fn available() -> Vec<Isa> {
        Isa::ALL.into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// The instruction set named by the environment variable `STRIATE_ISA`, else the best available one.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown name or an instruction set that this machine lacks.
    pub fn from_environment() -> Result<Isa> {
        match std::env::var("STRIATE_ISA") {
            Ok(name) if !name.is_empty() => Isa::from_name(&name),
            _ => Ok(Isa::ALL.into_iter().find(|isa| isa.is_available()).unwrap_or(Isa::Portable)),
        }
    }

    /// The instruction set of a name, checked.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown name or an instruction set that this machine lacks.
    pub fn from_name(name: &str) -> Result<Isa> {
        let known = Isa::ALL.into_iter().find(|isa| isa.name() == name);
        let isa = known.ok_or_else(|| {
            Error::argument("STRIATE_ISA", "must be avx512, avx2 or portable", format!("{name:?}"), "")
        })?;
        Level::new(isa).map(|level| level.isa())
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An instruction set that was found to be available: holding one is the proof that its kernels may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level(Isa);

impl Level {
    pub(crate) fn new(isa: Isa) -> Result<Level> {
        if isa.is_available() {
            return Ok(Level(isa));
        }
        let available: Vec<_> = Isa::available().iter().map(|isa| isa.name()).collect();
        Err(Error::argument(
            "instruction set",
            "this machine must have it",
            isa.name(),
            format!("available here: {}", available.join(", ")),
        ))
    }

    pub(crate) fn isa(self) -> Isa {
        self.0
    }

    /// Floats in a vector register of the kernels.
    pub(crate) fn lanes(self) -> usize {
        match self.0 {
            Isa::Avx512 => 16,
            Isa::Avx2 | Isa::Portable => 8,
        }
    }

    /// Runs a kernel compiled for this instruction set.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Level` of this value exists only if the features were detected.
            Isa::Avx512 => unsafe { avx512::run(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Level` of this value exists only if the features were detected.
            Isa::Avx2 => unsafe { avx2::run(kernel) },
            _ => kernel.run::<Portable>(),
        }
    }
}

/// Work that is compiled once for each instruction set.
///
/// `run` and all it calls must be `#[inline(always)]`, so that the code ends up inside the function that enables the
/// instructions.
pub(crate) trait Kernel {
    type Output;
    fn run<S: Simd>(self) -> Self::Output;
}

/// The vector operations of an instruction set.
///
/// # Safety
/// Every `unsafe` function may only be called where the instruction set is available, that is below [`Level::run`];
/// pointers must be valid for the elements that are read or written.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// A register of `LANES` floats.
    type V: Copy;
    const LANES: usize;
    /// The register tile that the registers have room for.
    const TILE: Tile;

    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(p: *const f32) -> Self::V;
    unsafe fn store(p: *mut f32, v: Self::V);
    /// Writes past the caches where the instruction set can; `p` must be aligned to a vector. Only after [`Simd::fence`] do other
    /// threads see it in order.
    unsafe fn stream(p: *mut f32, v: Self::V);
    /// Ends a row of [`Simd::stream`]s.
    unsafe fn fence();
    /// The first `n` < LANES elements; the others are zero.
    unsafe fn load_part(p: *const f32, n: usize) -> Self::V;
    /// Writes the first `n` < LANES elements only.
    unsafe fn store_part(p: *mut f32, v: Self::V, n: usize);
    /// Asks for the line at `p`, which need not be valid, to be near soon.
    unsafe fn prefetch(p: *const f32);
    /// The same for the second-level cache only.
    unsafe fn prefetch_second(p: *const f32);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// Lane by lane `yes` where a > b, else `no`.
    unsafe fn where_greater(a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// a·b + c.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// a·b + c of single numbers, fused where the instruction set has that.
    fn fma1(a: f32, b: f32, c: f32) -> f32;
}

/// Which register tile an instruction set has room for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tile {
    /// 12 rows of two vectors.
    TwelveByTwo,
    /// 6 rows of two vectors.
    SixByTwo,
    /// 6 rows of one vector.
    SixByOne,
}

impl Level {
    /// Rows of the register tile.
    pub(crate) fn tile_rows(self) -> usize {
        match self.0 {
            Isa::Avx512 => 12,
            Isa::Avx2 | Isa::Portable => 6,
        }
    }

    /// Columns of the register tile, in vectors.
    pub(crate) fn tile_vectors(self) -> usize {
        match self.0 {
            Isa::Avx512 | Isa::Avx2 => 2,
            Isa::Portable => 1,
        }
    }

    /// Columns of the register tile.
    pub(crate) fn tile_columns(self) -> usize {
        self.tile_vectors() * self.lanes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert_eq!(Isa::from_name("portable").unwrap(), Isa::Portable);
        assert!(matches!(Isa::from_name("sse9"), Err(Error::Argument(_))));
        for isa in Isa::ALL {
            assert_eq!(Isa::from_name(isa.name()).is_ok(), isa.is_available());
        }
    }
}
