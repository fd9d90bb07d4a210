//! Optimizer steps.

use crate::context::{Context, Grid, address_mut, f32s, float32, int};
use striate_tensor::{DType, Error, Parameter, Result, UpdateRule};

/// Elements that a block takes from one parameter at a time; the kernels' CHUNK.
const CHUNK: usize = 1024;

/// A row of the table of parameters, which lies in device memory.
#[repr(C)]
#[derive(Clone, Copy)]
struct Row {
    weight: u64,
    gradient: u64,
    slot: [u64; 3],
    n: i64,
    /// The number of the first of its chunks.
    chunk: i64,
}

/// A rule's numbers, which lie in device memory in front of the table: a recorded step reads other ones each time.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Constants {
    rate: f32,
    a: f32,
    b: f32,
    c: f32,
    epsilon: f32,
    flag: i32,
    /// What weights are multiplied by before.
    kept: f32,
    unused: i32,
}

impl Constants {
    /// As they lie in memory.
    pub(crate) fn bytes(all: &Constants) -> &[u8] {
        // SAFETY: eight numbers of four bytes without padding, and every byte of memory is a valid u8.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(all).cast::<u8>(), size_of::<Constants>()) }
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Update {
    constants: u64,
    table: u64,
    chunks: i64,
    count: i32,
    unused: i32,
}

/// A rule's kernel and its constants, for weights decayed so.
pub(crate) fn constants(rule: &UpdateRule, kept: f32) -> Result<(&'static str, Constants)> {
    let none = Constants { kept, ..Constants::default() };
    Ok(match *rule {
        UpdateRule::Sgd { learning_rate: rate, momentum: a, nesterov } => {
            ("sgd", Constants { rate, a, flag: i32::from(nesterov), ..none })
        }
        UpdateRule::RmsProp { learning_rate: rate, rho: a, momentum: c, epsilon, centered } => {
            let b = (1.0 - f64::from(a)) as f32;
            ("rms_prop", Constants { rate, a, b, c, epsilon, flag: i32::from(centered), ..none })
        }
        UpdateRule::Adam { learning_rate, beta_1, beta_2, epsilon, step } => {
            let (b1, b2, t) = (f64::from(beta_1), f64::from(beta_2), step as f64);
            let rate = (f64::from(learning_rate) * (1.0 - b2.powf(t)).sqrt() / (1.0 - b1.powf(t))) as f32;
            ("adam", Constants { rate, a: (1.0 - b1) as f32, b: (1.0 - b2) as f32, epsilon, ..none })
        }
        ref other => {
            return Err(Error::argument("cuda", "the rule must be a known one", format!("{other:?}"), ""));
        }
    })
}

/// The table, and the chunks of all parameters together.
fn table(parameters: &mut [Parameter<'_>]) -> Result<(Vec<Row>, usize)> {
    let op = "optimizer step";
    // Nothing changes unless all can.
    for one in parameters.iter() {
        let mut all = [&*one.weight, one.gradient].into_iter().chain(one.slots.iter());
        // A single weight comes without its path.
        let at = |error: Error| if one.path.is_empty() { error } else { error.at(one.path) };
        all.try_for_each(|tensor| float32(op, tensor)).map_err(at)?;
    }
    let (mut rows, mut chunks) = (Vec::with_capacity(parameters.len()), 0);
    for one in parameters.iter_mut().filter(|one| one.weight.elements() > 0) {
        let n = one.weight.elements();
        let mut slot = [0; 3];
        for (to, tensor) in slot.iter_mut().zip(one.slots.iter_mut()) {
            *to = address_mut(tensor)?;
        }
        let (weight, gradient) = (address_mut(one.weight)?, f32s(op, one.gradient)?);
        rows.push(Row { weight, gradient, slot, n: n as i64, chunk: chunks as i64 });
        chunks += n.div_ceil(CHUNK);
    }
    Ok((rows, chunks))
}

pub(crate) fn update_all(cx: &Context, rule: &UpdateRule, parameters: &mut [Parameter<'_>]) -> Result<()> {
    // One launch has one decay; a model's weights have the same.
    for same in parameters.chunk_by_mut(|a, b| a.kept == b.kept) {
        update_same(cx, rule, same)?;
    }
    Ok(())
}

fn update_same(cx: &Context, rule: &UpdateRule, parameters: &mut [Parameter<'_>]) -> Result<()> {
    let (kernel, constants) = constants(rule, parameters[0].kept)?;
    let (rows, chunks) = table(parameters)?;
    if rows.is_empty() {
        return Ok(());
    }
    // SAFETY: rows are eight-byte integers without padding, and every byte of memory is a valid u8.
    let of_rows = unsafe { std::slice::from_raw_parts(rows.as_ptr().cast::<u8>(), size_of_val(rows.as_slice())) };
    let bytes = [Constants::bytes(&constants), of_rows].concat();
    let memory = cx.take(bytes.len(), DType::U8)?;
    let at = memory.address();
    let count = int("optimizer step", rows.len())?;
    let table = at + size_of::<Constants>() as u64;
    let arguments = Update { constants: at, table, chunks: chunks as i64, count, unused: 0 };
    let held = cx.bring_table(kernel, memory, bytes)?;
    // SAFETY: Update, Constants and Row are the kernels' structs; weights, gradients and as many slots as the rule has are of n elements,
    // weights and slots are held by nobody else, and all of them live until their memory is lent again in this stream's order. The table
    // is held here, or by the recording.
    unsafe { cx.launch("update", kernel, Grid::elements(chunks * 256), &arguments)? };
    drop(held);
    Ok(())
}
