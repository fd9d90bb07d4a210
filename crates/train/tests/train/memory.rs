//! Memory that tensors take over a long run.

use crate::runs::{bars, cpu_with, model_on, quiet};
use std::sync::{Arc, Mutex};
use striate_optim::Adam;
use striate_tensor::{MemoryStats, Result};
use striate_train::callback::{Flow, Moment};
use striate_train::loss::CategoricalCrossentropy;
use striate_train::metric::Accuracy;
use striate_train::{Callback, Compile, Fit};

struct Gauge(Arc<Mutex<Vec<MemoryStats>>>);

impl Callback for Gauge {
    fn on_epoch_end(&mut self, moment: &mut Moment<'_>) -> Result<Flow> {
        self.0.lock().unwrap().push(moment.model.device().memory());
        Ok(Flow::Continue)
    }
}

#[test]
fn peak_memory_is_flat_over_300_steps() {
    let device = cpu_with(2);
    let mut model = model_on(&device, 0);
    let mut training = model.compile(Adam::default(), CategoricalCrossentropy, [Accuracy]).unwrap();
    let readings = Arc::new(Mutex::new(Vec::new()));
    let options = Fit {
        steps_per_epoch: Some(20),
        // Batches that are made ahead would be counted or not, as threads happen to run.
        prefetch: 0,
        callbacks: vec![Box::new(Gauge(readings.clone()))],
        ..quiet(15)
    };
    training.fit(&bars(160, 1), options).unwrap();
    let readings = readings.lock().unwrap();
    let (first, last) = (&readings[0], &readings[14]);
    assert!(first.live > 0 && first.peak >= first.live);
    assert_eq!((first.live, first.peak), (last.live, last.peak));
}
