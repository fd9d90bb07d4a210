//! Work that a device does again without being told again.

use crate::error::Result;
use crate::random::Key;
use crate::tensor::Tensor;
use crate::update::UpdateRule;
use std::fmt;

/// What becomes of work inside a [`Recording`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Take {
    /// It is done at once, with the recording's memory: what the same work needs afterwards is there then.
    Rehearsal,
    /// It is not done but becomes the recording's next part.
    Record,
}

/// Work of a device that was recorded once and is done again with other data in the same memory: a CUDA graph. [`crate::Backend::record`]
/// makes one.
///
/// Whoever records has to see to it that the memory that the work read and wrote is still the same tensors' when it is done again
/// ([`Recording::place`]), and that no other tensor looks at what is written.
pub trait Recording: Send + Sync + fmt::Debug {
    /// Does `work`, which works on this thread, as `take` says. What it allocates comes from memory that is the recording's own and goes
    /// back there.
    ///
    /// # Errors
    /// Those of `work`; [`crate::Error::Device`] for work that cannot be recorded: whatever waits for the device, allocates more than the
    /// rehearsal did, or brings data from or to the host.
    fn within(&self, take: Take, work: &mut dyn FnMut() -> Result<()>) -> Result<()>;

    /// The keys that recorded dropout drew from, in its order.
    fn keys(&self) -> Vec<Key>;

    /// Copies the elements of a tensor over those of another one of its shape and type, in the other's own memory.
    ///
    /// # Errors
    /// [`crate::Error::Device`] if another tensor looks at the memory that is written.
    fn assign(&self, to: &mut Tensor, from: &Tensor) -> Result<()>;

    /// Where a tensor's elements are: equal as long as the recorded work finds them.
    ///
    /// # Errors
    /// [`crate::Error::Device`] for a tensor of another device.
    fn place(&self, x: &Tensor) -> Result<u64>;

    /// Does a recorded part, counted from 0, once more: dropout with these keys, as many as [`Recording::keys`] gives, an optimizer's
    /// step by this rule on weights decayed as [`Parameter::kept`](crate::Parameter::kept) says.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for a part that there is not, other numbers of keys or another kind of rule.
    fn replay(&self, part: usize, keys: &[Key], step: Option<(&UpdateRule, f32)>) -> Result<()>;
}
