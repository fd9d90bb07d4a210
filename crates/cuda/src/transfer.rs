//! Uploads that run beside computing: through pinned host memory, in a stream of their own.
//!
//! What is uploaded is copied into pinned memory first, so the caller's memory is free again when the call returns, and the copy to the device
//! goes on by itself. Two things are put in order by events: the computing stream waits for a copy at the first use of what it brings
//! ([`CudaBuffer::ready`]), and a copy waits for the work that used its memory before ([`Fences`]).

use crate::driver::{Event, Gpu, Pinned, Which};
use crate::memory::{CudaBuffer, Pool};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use striate_tensor::{DType, Result};

/// Less than this the driver copies at once into memory of its own: a stream of its own would gain nothing.
const SMALLEST: usize = 32 << 10;
/// Bytes of each piece of pinned memory. More than this is copied in turns, so that pinned memory stays small.
const PIECE: usize = 4 << 20;
const PIECES: usize = 3;
/// Fences that are remembered.
const FENCES: usize = 8;

/// A piece of pinned memory.
#[derive(Debug)]
struct Piece {
    memory: Pinned,
    /// When the last copy out of it is done.
    read: Event,
}

/// Marks in the computing stream, one at each upload, by number: memory given back before a mark is free for copies after it.
#[derive(Debug, Default)]
pub(crate) struct Fences {
    marks: VecDeque<Event>,
    /// How many there were.
    made: u64,
}

impl Fences {
    /// How many marks there were.
    pub(crate) fn made(&self) -> u64 {
        self.made
    }

    /// Sets a mark.
    fn set(&mut self, gpu: &Arc<Gpu>) -> Result<()> {
        let mark = if self.marks.len() < FENCES { None } else { self.marks.pop_front() };
        let mark = mark.map_or_else(|| gpu.event(), Ok)?;
        gpu.record(&mark, Which::Compute)?;
        self.marks.push_back(mark);
        self.made += 1;
        Ok(())
    }

    /// The first mark still known that was set after `made` of them; none if there was none.
    fn after(&self, made: u64) -> Option<&Event> {
        let first = self.made - self.marks.len() as u64;
        self.marks.get(made.saturating_sub(first) as usize)
    }
}

/// Pinned memory, made at the first upload.
#[derive(Debug, Default)]
struct Ring {
    pieces: Vec<Piece>,
    next: usize,
    is_made: bool,
}

/// The uploads of a device.
#[derive(Debug)]
pub(crate) struct Uploads {
    gpu: Arc<Gpu>,
    ring: Mutex<Ring>,
}

impl Uploads {
    pub(crate) fn new(gpu: Arc<Gpu>) -> Uploads {
        Uploads { gpu, ring: Mutex::default() }
    }

    /// New device memory that gets these bytes.
    pub(crate) fn upload(&self, pool: &Arc<Pool>, bytes: &[u8], len: usize, dtype: DType) -> Result<CudaBuffer> {
        // What is recorded takes no data from the host, which the driver's door says.
        if bytes.len() >= SMALLEST && !self.gpu.captures_here() {
            let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
            if ring.is_ready(&self.gpu)? {
                return self.beside(&mut ring, pool, bytes, len, dtype);
            }
        }
        let buffer = pool.take(len, dtype)?;
        // SAFETY: the buffer has room for as many elements of the type.
        unsafe { self.gpu.upload(buffer.address(), bytes)? };
        Ok(buffer)
    }

    fn beside(&self, ring: &mut Ring, pool: &Arc<Pool>, bytes: &[u8], len: usize, dtype: DType) -> Result<CudaBuffer> {
        let (mut buffer, freed) = pool.take_for_copy(len, dtype)?;
        pool.fences(|fences| {
            fences.set(&self.gpu)?;
            match freed.and_then(|freed| fences.after(freed)) {
                Some(mark) => self.gpu.wait(Which::Copies, mark),
                None => Ok(()),
            }
        })?;
        match self.copy(ring, bytes, buffer.address()) {
            Ok(arrived) => buffer.arrives(arrived),
            Err(error) => {
                // Part of it may be on its way; the memory goes back when it is not.
                let _ = self.gpu.synchronize_all();
                return Err(error);
            }
        }
        Ok(buffer)
    }

    /// Copies by way of the pieces; the event after the last copy.
    fn copy(&self, ring: &mut Ring, bytes: &[u8], mut to: u64) -> Result<Event> {
        for chunk in bytes.chunks(PIECE) {
            let piece = ring.turn();
            // Never recorded, it is no hindrance.
            piece.read.synchronize()?;
            piece.memory.fill(chunk);
            // SAFETY: there is room for all bytes, and nobody else uses it before the event that is given back; the piece is written again
            // only after its own event.
            unsafe { self.gpu.pull(to, &piece.memory, chunk.len())? };
            self.gpu.record(&piece.read, Which::Copies)?;
            to += chunk.len() as u64;
        }
        let arrived = self.gpu.event()?;
        self.gpu.record(&arrived, Which::Copies)?;
        Ok(arrived)
    }
}

impl Ring {
    /// Whether there is pinned memory; a machine that has none to give does without.
    fn is_ready(&mut self, gpu: &Arc<Gpu>) -> Result<bool> {
        if !self.is_made {
            self.is_made = true;
            for _ in 0..PIECES {
                let Some(memory) = gpu.pinned(PIECE)? else {
                    self.pieces.clear();
                    break;
                };
                self.pieces.push(Piece { memory, read: gpu.event()? });
            }
        }
        Ok(!self.pieces.is_empty())
    }

    /// The piece whose turn it is.
    fn turn(&mut self) -> &mut Piece {
        self.next = (self.next + 1) % self.pieces.len();
        &mut self.pieces[self.next]
    }
}

#[cfg(test)]
mod tests {
    use crate::{CudaBackend, CudaOptions};
    use std::sync::Arc;
    use striate_tensor::{Device, Tensor};

    /// A device; none, said aloud, where there is none and none is required.
    fn device(pooling: bool) -> Option<(Arc<CudaBackend>, Device)> {
        match CudaBackend::new(CudaOptions { pooling, ..CudaOptions::default() }) {
            Ok(backend) => {
                let backend = Arc::new(backend);
                Some((backend.clone(), Device::from(backend)))
            }
            Err(missing) if std::env::var_os("STRIATE_REQUIRE_CUDA").is_some() => {
                panic!("a device is required: {missing}")
            }
            Err(missing) => {
                use std::io::Write;
                let _ = writeln!(std::io::stderr(), "skipped, not passed: no CUDA device ({missing})");
                None
            }
        }
    }

    fn values(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7 + seed * 31) % 1009) as f32).collect()
    }

    /// Sizes around every limit, each used at once, twice, late, or never: the bytes arrive before the first use, and memory that
    /// comes back is not written while it is still used.
    #[test]
    fn uploads_arrive_before_their_first_use_and_never_into_memory_in_use() {
        for pooling in [true, false] {
            let Some((_, device)) = device(pooling) else { return };
            let sizes =
                [1, (super::SMALLEST / 4) - 1, super::SMALLEST / 4, 20_000, super::PIECE / 4, 2 * super::PIECE / 4 + 5];
            let mut waiting = Vec::new();
            for round in 0..5 {
                for (i, &count) in sizes.iter().enumerate() {
                    let expected = values(count, round * 10 + i);
                    let x = Tensor::from_vec(expected.clone(), [count], &device).unwrap();
                    let doubled = x.affine(2.0, 1.0).unwrap();
                    match (round + i) % 4 {
                        0 => drop(x),
                        1 => assert_eq!(x.to_vec::<f32>().unwrap(), expected),
                        2 => assert_eq!(x.sub(&x).unwrap().to_vec::<f32>().unwrap(), vec![0.0; count]),
                        _ => waiting.push((x, expected.clone())),
                    }
                    // Never used: whoever gets its memory is not overwritten.
                    drop(Tensor::from_vec(values(count, 3), [count], &device).unwrap());
                    let next = doubled.affine(1.0, 0.0).unwrap();
                    let wanted: Vec<f32> = expected.iter().map(|v| 2.0 * v + 1.0).collect();
                    assert_eq!(next.to_vec::<f32>().unwrap(), wanted, "{count} elements, round {round}");
                }
            }
            for (x, expected) in waiting {
                assert_eq!(x.to_vec::<f32>().unwrap(), expected);
            }
        }
    }

    /// Batches that are uploaded, used and dropped one after another take two blocks in turn, not one more each time.
    #[test]
    fn a_stream_of_batches_takes_two_blocks_in_turn() {
        let Some((_, device)) = device(true) else { return };
        let mut held = Vec::new();
        for step in 0..6 {
            let batch = Tensor::from_vec(values(20_000, step), [20_000], &device).unwrap();
            batch.sum_all().unwrap();
            drop(batch);
            held.push(device.memory().live + device.memory().cached);
        }
        assert!(held[1] > held[0] && held[2..].iter().all(|&now| now == held[1]), "{held:?}");
    }

    /// Threads that prepare batches upload beside the one that computes.
    #[test]
    fn uploads_from_other_threads_arrive() {
        let Some((_, device)) = device(true) else { return };
        let (sender, receiver) = std::sync::mpsc::sync_channel(2);
        std::thread::scope(|scope| {
            let device = &device;
            scope.spawn(move || {
                for step in 0..12 {
                    let batch = Tensor::from_vec(values(10_000, step), [10_000], device).unwrap();
                    sender.send((step, batch)).unwrap();
                }
            });
            for (step, batch) in receiver {
                let result = batch.affine(3.0, 0.0).unwrap().to_vec::<f32>().unwrap();
                assert!(result.iter().zip(values(10_000, step)).all(|(&found, v)| found == 3.0 * v), "batch {step}");
            }
        });
    }
}
