//! Differentiable ops, one a file: the forward pass as a method of [`crate::Var`], and the rule of its backward pass.

mod arithmetic;
mod concat;
pub(crate) mod conv;
mod conv_transpose;
mod crop;
mod crossentropy;
mod dropout;
mod matmul;
mod pad;
mod permute;
mod pool;
mod reduce;
mod repeat;
mod reshape;
mod softmax;
mod take_rows;
mod unary;
