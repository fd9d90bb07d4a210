//! Decoded pictures that are kept, up to a number of bytes.

use crate::image_file::Picture;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use striate_tensor::Result;

/// The first pictures that come are kept, as bytes at the target size. Which ones they are has no influence on any batch.
pub(crate) struct PictureCache {
    slots: Vec<OnceLock<Arc<Picture>>>,
    /// Bytes that may still be taken.
    free: AtomicUsize,
}

impl PictureCache {
    pub(crate) fn new(pictures: usize, bytes: usize) -> Self {
        PictureCache { slots: (0..pictures).map(|_| OnceLock::new()).collect(), free: AtomicUsize::new(bytes) }
    }

    /// The kept picture, or what `make` gives.
    pub(crate) fn get(&self, index: usize, make: impl FnOnce() -> Result<Picture>) -> Result<Arc<Picture>> {
        let slot = self.slots.get(index);
        if let Some(picture) = slot.and_then(OnceLock::get) {
            return Ok(Arc::clone(picture));
        }
        let picture = Arc::new(make()?);
        let size = picture.bytes().len();
        let take = |free: usize| free.checked_sub(size);
        if let Some(slot) = slot
            && self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
            && slot.set(Arc::clone(&picture)).is_err()
        {
            // Another thread made the same picture meanwhile.
            self.free.fetch_add(size, Ordering::Relaxed);
        }
        Ok(picture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_file::Colour;

    #[test]
    fn no_more_than_the_limit_is_kept() {
        let cache = PictureCache::new(3, 8);
        let mut made = 0;
        for index in [0, 1, 2, 0, 1, 2] {
            let picture = cache.get(index, || {
                made += 1;
                Picture::new(vec![index as u8; 4], 2, 2, Colour::Grey)
            });
            assert_eq!(picture.unwrap().bytes(), [index as u8; 4]);
        }
        assert_eq!(made, 4);
    }
}
