//! What happened in each epoch.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use striate_tensor::{Error, Result, replace_file};

/// One epoch's numbers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Name and value in order: `loss`, metrics, then the same with `val_`. Training values are running means over
    /// the epoch, while the weights change, as in Keras.
    pub values: Vec<(String, f64)>,
    /// Seconds for training, validation excluded.
    pub seconds: f64,
    /// Training samples a second.
    pub images_per_second: f64,
    /// The part of `seconds` in which training waited for a batch, 0..1.
    pub data_wait_share: f64,
}

impl EpochRecord {
    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// What happened in each epoch of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// The epochs in order.
    pub epochs: Vec<EpochRecord>,
}

impl History {
    /// The values of one name, one for each epoch that has it.
    pub fn series(&self, name: &str) -> Vec<f64> {
        self.epochs.iter().filter_map(|epoch| epoch.get(name)).collect()
    }

    /// The last value of one name.
    pub fn last(&self, name: &str) -> Option<f64> {
        self.epochs.last().and_then(|epoch| epoch.get(name))
    }

    /// The names of all values, in the order of their first appearance.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in self.epochs.iter().flat_map(|epoch| &epoch.values) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }

    /// The history with every value replaced by a moving average that keeps the share `factor` of itself at each epoch and
    /// starts with the first value: the lecture's smoothed curves, with 0.8 there. A value that is not finite stays one.
    pub fn smoothed(&self, factor: f64) -> History {
        let mut averages: HashMap<&str, f64> = HashMap::new();
        let mut smooth = |name, value: f64| {
            let average = averages.get(name).map_or(value, |average| factor * average + (1.0 - factor) * value);
            if average.is_finite() {
                averages.insert(name, average);
            }
            average
        };
        let epochs = self.epochs.iter().map(|epoch| EpochRecord {
            values: epoch.values.iter().map(|(name, value)| (name.clone(), smooth(name.as_str(), *value))).collect(),
            ..epoch.clone()
        });
        History { epochs: epochs.collect() }
    }

    /// The table as CSV: `epoch`, the values, `seconds`, `images_per_second`.
    pub fn to_csv(&self) -> String {
        let names = self.names();
        let mut csv = String::from("epoch");
        names.iter().for_each(|name| csv.extend([",", name]));
        csv.push_str(",seconds,images_per_second\n");
        for record in &self.epochs {
            let _ = write!(csv, "{}", record.epoch);
            for name in &names {
                let _ = match record.get(name) {
                    Some(value) => write!(csv, ",{value}"),
                    None => write!(csv, ","),
                };
            }
            let _ = writeln!(csv, ",{:.3},{:.1}", record.seconds, record.images_per_second);
        }
        csv
    }

    /// Writes [`History::to_csv`] to a file, all of it or nothing.
    ///
    /// # Errors
    /// [`striate_tensor::Error::Io`].
    pub fn write_csv(&self, path: impl AsRef<Path>) -> Result<()> {
        replace_file(path, self.to_csv().as_bytes())
    }

    /// Reads what [`History::write_csv`] wrote.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Data`] naming the line if it is no such table.
    pub fn read_csv(path: impl AsRef<Path>) -> Result<History> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, "reading", error))?;
        let refuse = |line: usize, received: &str| {
            let rule =
                format!("line {line} must be as in a history of a run: epoch, values, seconds, images_per_second");
            Error::data(path.display().to_string(), rule, received, "")
        };
        let mut lines = text.lines();
        let header = lines.next().unwrap_or_default();
        let names: Vec<&str> = header.split(',').collect();
        if names.first() != Some(&"epoch") {
            return Err(refuse(1, header));
        }
        let record = |(number, line): (usize, &str)| {
            let fields: Vec<&str> = line.split(',').collect();
            let epoch = fields.first().and_then(|field| field.parse().ok());
            let (Some(epoch), true) = (epoch, fields.len() == names.len()) else { return Err(refuse(number, line)) };
            let mut record = EpochRecord { epoch, ..EpochRecord::default() };
            for (name, field) in names.iter().zip(&fields).skip(1).filter(|(_, field)| !field.is_empty()) {
                let value: f64 = field.parse().map_err(|_| refuse(number, line))?;
                match *name {
                    "seconds" => record.seconds = value,
                    "images_per_second" => record.images_per_second = value,
                    name => record.values.push((name.to_string(), value)),
                }
            }
            Ok(record)
        };
        Ok(History { epochs: (2..).zip(lines).map(record).collect::<Result<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_has_a_column_for_every_name() {
        let record = |epoch, values: &[(&str, f64)]| EpochRecord {
            epoch,
            values: values.iter().map(|(n, v)| (n.to_string(), *v)).collect(),
            seconds: 2.0,
            images_per_second: 30.0,
            data_wait_share: 0.0,
        };
        let history =
            History { epochs: vec![record(1, &[("loss", 0.5)]), record(2, &[("loss", 0.25), ("val_loss", 0.375)])] };
        assert_eq!(
            history.to_csv(),
            "epoch,loss,val_loss,seconds,images_per_second\n1,0.5,,2.000,30.0\n2,0.25,0.375,2.000,30.0\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        history.write_csv(&path).unwrap();
        assert_eq!(History::read_csv(&path).unwrap(), history);
        std::fs::write(&path, "epoch,loss\n1,0.5\n2\n").unwrap();
        assert!(History::read_csv(&path).unwrap_err().to_string().contains("line 3"));
        assert_eq!(history.series("loss"), [0.5, 0.25]);
        assert_eq!(history.last("val_loss"), Some(0.375));
        let smoothed = history.smoothed(0.8);
        let near = |name: &str, values: &[f64]| {
            let series = smoothed.series(name);
            series.len() == values.len() && series.iter().zip(values).all(|(a, b)| (a - b).abs() < 1e-12)
        };
        assert!(near("loss", &[0.5, 0.45]) && near("val_loss", &[0.375]), "{smoothed:?}");
    }
}
