//! Pictures that filters respond to: 40 steps of gradient ascent on the input.

use super::{Subject, Unit, measure, networks};
use crate::output::Output;
use striate::data::PixelValues;
use striate::prelude::*;
use striate::viz::filters::{Ascent, Filters};

/// One filter of block3_conv1 at 150×150.
pub fn pattern(repeat: usize, output: &Output) -> Result<()> {
    climb("filter_pattern", "block3_conv1", 150, 1, repeat, output)
}

/// All 64 filters of block1_conv1 at 64×64.
pub fn grid(repeat: usize, output: &Output) -> Result<()> {
    climb("filter_grid", "block1_conv1", 64, 64, repeat, output)
}

fn climb(name: &'static str, layer: &str, side: usize, count: usize, repeat: usize, output: &Output) -> Result<()> {
    let network = networks::vgg16_base(side, layer).build()?;
    let filters = Filters::new(&network, layer, None, PixelValues::Caffe)?;
    let chosen: Vec<usize> = (0..count).collect();
    measure(Subject::new(name, Unit::Seconds, 1.0), repeat, output, || {
        filters.climb(&chosen, &Ascent::default()).map(|_| ())
    })
}
