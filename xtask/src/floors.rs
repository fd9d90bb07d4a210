//! The floors of the house: a crate may use those below it.

/// Crate, floor, and what its floor may use besides lower floors of the same line.
pub const FLOORS: &[(&str, u32)] = &[
    ("striate-tensor", 1),
    ("striate-cpu", 2),
    ("striate-cuda", 2),
    ("striate-npy", 3),
    ("striate-autograd", 3),
    ("striate-nn", 4),
    ("striate-optim", 5),
    ("striate-data", 5),
    ("striate-formats", 5),
    ("striate-train", 6),
    ("striate-zoo", 6),
    ("striate-viz", 7),
    ("striate", 8),
    ("striate-cli", 9),
];

/// Crates that only tests, benchmarks and tasks may use, and that may use everything.
pub const OUTSIDE: &[&str] = &["striate-testkit", "striate-benches", "striate-cuda-emu", "xtask"];

/// Crates that know a back end: nothing else may depend on one.
pub const KNOW_A_BACKEND: &[&str] = &["striate", "striate-cli"];

/// Most crates that may be compiled into each, itself included.
pub const BUDGETS: &[(&str, usize)] = &[("striate-tensor", 9), ("striate-cli", 149)];

/// Crates that may hold `unsafe` code.
pub const MAY_BE_UNSAFE: &[&str] = &["striate-cpu", "striate-cuda", "striate-cuda-emu"];
