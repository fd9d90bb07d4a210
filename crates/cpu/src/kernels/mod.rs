//! The inner loops, compiled once for each instruction set.

mod math;
mod narrow;
mod pack;
mod shared;
mod streaming;
mod sweep;
mod thin;

pub(crate) use math::*;
pub(crate) use narrow::{Dots, Narrow};
pub(crate) use pack::{PackSource, Packed, TileLayout, pack_panel};
pub(crate) use shared::Shared;
pub(crate) use streaming::{Fence, is_streamed};
pub(crate) use sweep::{RowTable, Segment, Sweep, Write};
pub(crate) use thin::{Run, Thin};
