#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod compiler;
mod convolution;
mod cublas;
mod cudnn;
mod descriptors;
mod driver;
mod module;
mod settings;
mod state;

/// Exports functions under C's names, each with the signature that cudarc expects, which is checked here.
macro_rules! export {
    ($($(#[$meta:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $result:ty { $($body:tt)* })*) => {$(
        const _: unsafe fn($($type),*) -> $result = real::$name;
        $(#[$meta])*
        #[allow(unused_unsafe, clippy::too_many_arguments)] // some bodies have no unsafe operation; the lists are NVIDIA's
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            // SAFETY: the caller keeps to the contract of NVIDIA's function of this name: pointers are null or point to room for what is read
            // or written there, and handles are those that functions of this library gave.
            unsafe { $($body)* }
        }
    )*};
}
pub(crate) use export;

#[cfg(test)]
mod tests;
