//! Some samples of another data set.

use crate::dataset::{Batch, BatchContext, Dataset};
use crate::fingerprint::Fingerprint;
use std::ops::Range;
use std::sync::Arc;
use striate_tensor::{Error, Result, Shape};

/// Some samples of another data set, in an order of their own; a view, which copies nothing.
#[derive(Clone)]
pub struct Subset {
    all: Arc<dyn Dataset>,
    chosen: Chosen,
}

#[derive(Clone)]
enum Chosen {
    Range(Range<usize>),
    List(Arc<[usize]>),
}

impl Subset {
    /// The samples with these indices, in this order; one may come several times.
    ///
    /// # Errors
    /// [`Error::Shape`] for an index beyond the data set.
    pub fn new(all: &dyn Dataset, samples: &[usize]) -> Result<Self> {
        if let Some(sample) = samples.iter().find(|&&sample| sample >= all.len()) {
            return Err(Error::shape(
                "Subset",
                format!("sample indices must be below {}", all.len()),
                sample.to_string(),
                "",
            ));
        }
        Ok(Subset { all: all.share(), chosen: Chosen::List(samples.into()) })
    }

    /// A range that lies within the data set.
    pub(crate) fn range(all: Arc<dyn Dataset>, range: Range<usize>) -> Self {
        Subset { all, chosen: Chosen::Range(range) }
    }

    fn original(&self, sample: usize) -> Option<usize> {
        match &self.chosen {
            Chosen::Range(range) => range.start.checked_add(sample).filter(|&i| i < range.end),
            Chosen::List(list) => list.get(sample).copied(),
        }
    }
}

impl Dataset for Subset {
    fn len(&self) -> usize {
        match &self.chosen {
            Chosen::Range(range) => range.len(),
            Chosen::List(list) => list.len(),
        }
    }

    fn input_shapes(&self) -> Vec<Shape> {
        self.all.input_shapes()
    }

    fn target_shapes(&self) -> Vec<Shape> {
        self.all.target_shapes()
    }

    fn batch(&self, samples: &[usize], context: &BatchContext) -> Result<Batch> {
        let originals: Result<Vec<usize>> = samples
            .iter()
            .map(|&sample| {
                self.original(sample).ok_or_else(|| {
                    let rule = format!("sample indices must be below {}", self.len());
                    Error::shape("Subset", rule, sample.to_string(), "")
                })
            })
            .collect();
        self.all.batch(&originals?, context)
    }

    fn sample_name(&self, sample: usize) -> Option<String> {
        self.all.sample_name(self.original(sample)?)
    }

    fn fingerprint(&self) -> u64 {
        let print = Fingerprint::new().number(self.all.fingerprint());
        match &self.chosen {
            Chosen::Range(range) => print.number(range.start as u64).number(range.end as u64),
            Chosen::List(list) => list.iter().fold(print, |print, &sample| print.number(sample as u64)),
        }
        .value()
    }

    fn class_names(&self) -> &[String] {
        self.all.class_names()
    }
}

impl std::fmt::Debug for Subset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Subset({} of {} samples)", self.len(), self.all.len())
    }
}
