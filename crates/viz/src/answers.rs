//! What a classifier said of each sample of a data set.

use crate::reliability::Reliability;
use std::fmt::Write as _;
use std::path::Path;
use striate_data::Dataset;
use striate_tensor::{Error, Result, Tensor, replace_file};
use striate_train::metric::ConfusionMatrix;

/// The head of a table of answers.
const HEADER: &str = "sample,actual,predicted,probability,actual_probability";
/// The last column where samples have names.
const FILE: &str = ",file";

/// What a classifier said of one sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// The sample's number in its data set.
    pub sample: usize,
    /// Its class.
    pub actual: usize,
    /// The class that was found most probable.
    pub predicted: usize,
    /// The probability given to that class, 0 to 1.
    pub probability: f32,
    /// The probability given to the sample's own class.
    pub actual_probability: f32,
}

impl Answer {
    /// Whether the class was found.
    pub fn is_right(&self) -> bool {
        self.actual == self.predicted
    }
}

/// The answers of a classifier to all samples of a data set, in order: what confusion matrix, reliability diagram and the list of the
/// worst mistakes are made of.
///
/// ```
/// use striate_tensor::Tensor;
/// use striate_viz::Answers;
/// let device = striate_testkit::reference::device();
/// let output = Tensor::from_vec(vec![0.9f32, 0.1, 0.8, 0.2], [2, 2], &device)?;
/// let target = Tensor::from_vec(vec![1.0f32, 0.0, 0.0, 1.0], [2, 2], &device)?;
/// let mut answers = Answers::default();
/// answers.add(&output, &target)?;
/// assert_eq!((answers.accuracy(), answers.confusion()?.count(1, 0)), (0.5, 1));
/// assert_eq!(answers.worst(3)[0].sample, 1);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answers {
    all: Vec<Answer>,
    classes: usize,
}

impl Answers {
    /// Takes in the next samples: rows of probabilities and one-hot targets, (n, classes); or, of two classes, the second's probability
    /// and a target of 0 or 1, (n, 1).
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes, or for another number of classes than before.
    pub fn add(&mut self, output: &Tensor, target: &Tensor) -> Result<()> {
        let columns = output.shape().channels();
        let classes = columns.max(2);
        if output.rank() != 2 || output.shape() != target.shape() || (self.classes != 0 && self.classes != classes) {
            let rule = "outputs and targets must be rows of probabilities of the same classes, (n, classes)";
            let received = format!("{} and {}", output.shape(), target.shape());
            return Err(Error::shape("answers", rule, received, "only what tells classes apart has answers"));
        }
        self.classes = classes;
        let (output, target) = (output.to_vec::<f32>()?, target.to_vec::<f32>()?);
        for (row, target) in output.chunks_exact(columns.max(1)).zip(target.chunks_exact(columns.max(1))) {
            let answer = match (row, target) {
                (&[second], &[target]) => {
                    let (actual, predicted) = (usize::from(target > 0.5), usize::from(second > 0.5));
                    let of = |class: usize| if class == 1 { second } else { 1.0 - second };
                    (actual, predicted, of(predicted), of(actual))
                }
                _ => {
                    let (actual, predicted) = (largest(target), largest(row));
                    (actual, predicted, row[predicted], row[actual])
                }
            };
            let (actual, predicted, probability, actual_probability) = answer;
            self.all.push(Answer { sample: self.all.len(), actual, predicted, probability, actual_probability });
        }
        Ok(())
    }

    /// All of them.
    pub fn all(&self) -> &[Answer] {
        &self.all
    }

    /// How many classes there are; 0 before the first answer.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The part that is right, 0 to 1; 0 without answers.
    pub fn accuracy(&self) -> f64 {
        self.all.iter().filter(|answer| answer.is_right()).count() as f64 / self.all.len().max(1) as f64
    }

    /// Which class was taken for which.
    ///
    /// # Errors
    /// As [`ConfusionMatrix::new`].
    pub fn confusion(&self) -> Result<ConfusionMatrix> {
        let mut matrix = ConfusionMatrix::new(self.classes)?;
        self.all.iter().try_for_each(|answer| matrix.add(answer.actual, answer.predicted))?;
        Ok(matrix)
    }

    /// Whether the probabilities mean what they say.
    ///
    /// # Errors
    /// As [`Reliability::of`].
    pub fn reliability(&self) -> Result<Reliability> {
        Reliability::of(self.all.iter().map(|answer| (f64::from(answer.probability), answer.is_right())))
    }

    /// The wrong answers that gave the sample's own class the least, at most `count`, the worst first.
    pub fn worst(&self, count: usize) -> Vec<Answer> {
        let mut wrong: Vec<Answer> = self.all.iter().filter(|answer| !answer.is_right()).copied().collect();
        wrong.sort_by(|a, b| a.actual_probability.total_cmp(&b.actual_probability).then(a.sample.cmp(&b.sample)));
        wrong.truncate(count);
        wrong
    }

    /// So many of all answers, evenly spread: what the answers look like as a rule.
    pub fn spread(&self, count: usize) -> Vec<Answer> {
        let count = count.min(self.all.len());
        (0..count).map(|i| self.all[i * self.all.len() / count]).collect()
    }

    /// A table as CSV with a line for each sample: `sample,actual,predicted,probability,actual_probability`, classes by number.
    pub fn to_csv(&self) -> String {
        let mut csv = format!("{HEADER}\n");
        for Answer { sample, actual, predicted, probability, actual_probability } in &self.all {
            let _ = writeln!(csv, "{sample},{actual},{predicted},{probability},{actual_probability}");
        }
        csv
    }

    /// Writes [`Answers::to_csv`] to a file, all of it or nothing.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_csv(&self, path: impl AsRef<Path>) -> Result<()> {
        replace_file(path, self.to_csv().as_bytes())
    }

    /// As [`Answers::write_csv`], with the names of the samples of `data`, which the answers are about, as a last column `file`, if they
    /// have any.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_csv_of(&self, data: &dyn Dataset, path: impl AsRef<Path>) -> Result<()> {
        let names: Vec<Option<String>> = self.all.iter().map(|answer| data.sample_name(answer.sample)).collect();
        if names.iter().all(Option::is_none) {
            return self.write_csv(path);
        }
        let mut csv = format!("{HEADER}{FILE}\n");
        let lines = self.to_csv();
        for (line, name) in lines.lines().skip(1).zip(names) {
            let _ = writeln!(csv, "{line},{}", quoted(&name.unwrap_or_default()));
        }
        replace_file(path, csv.as_bytes())
    }

    /// Reads what [`Answers::write_csv`] or [`Answers::write_csv_of`] wrote; names are left out. `classes` is how many there are.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Data`] naming the line if it is no such table.
    pub fn read_csv(path: impl AsRef<Path>, classes: usize) -> Result<Answers> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, "reading", error))?;
        let refuse = |line: usize, received: &str| {
            let rule = format!("line {line} must be as in a table of answers: {HEADER}, classes below {classes}");
            Error::data(path.display().to_string(), rule, received, "")
        };
        let mut lines = text.lines();
        let header = lines.next().unwrap_or_default();
        let is_named = header.strip_prefix(HEADER) == Some(FILE);
        if header != HEADER && !is_named {
            return Err(refuse(1, header));
        }
        let answer = |line: &str| -> Option<Answer> {
            // A name is the last field, and may hold commas.
            let mut fields: Vec<&str> = line.splitn(if is_named { 6 } else { usize::MAX }, ',').collect();
            if is_named {
                fields.pop();
            }
            let &[sample, actual, predicted, probability, actual_probability] = &fields[..] else { return None };
            let answer = Answer {
                sample: sample.parse().ok()?,
                actual: actual.parse().ok()?,
                predicted: predicted.parse().ok()?,
                probability: probability.parse().ok()?,
                actual_probability: actual_probability.parse().ok()?,
            };
            (answer.actual < classes && answer.predicted < classes).then_some(answer)
        };
        let all = (2..).zip(lines).map(|(number, line)| answer(line).ok_or_else(|| refuse(number, line)));
        Ok(Answers { all: all.collect::<Result<_>>()?, classes })
    }
}

/// A field of a table on one line: in quotes if it must be (RFC 4180).
fn quoted(field: &str) -> String {
    let field: String = field.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if field.contains([',', '"']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
}

/// The place of the largest number, the first of several.
fn largest(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use striate_testkit::reference::device;

    fn tensor(values: &[f32], columns: usize) -> Tensor {
        Tensor::from_vec(values.to_vec(), [values.len() / columns, columns], &device()).unwrap()
    }

    #[test]
    fn a_single_probability_is_that_of_the_second_class() {
        let mut answers = Answers::default();
        answers.add(&tensor(&[0.25, 0.9, 0.75], 1), &tensor(&[0.0, 0.0, 1.0], 1)).unwrap();
        let seen: Vec<_> = answers.all().iter().map(|a| (a.actual, a.predicted, a.probability)).collect();
        assert_eq!(seen, [(0, 0, 0.75), (0, 1, 0.9), (1, 1, 0.75)]);
        assert!((answers.worst(5)[0].actual_probability - 0.1).abs() < 1e-6);
        assert_eq!((answers.confusion().unwrap().count(0, 1), answers.worst(5).len()), (1, 1));
        assert!(answers.add(&tensor(&[0.1, 0.2, 0.7], 3), &tensor(&[0.0, 0.0, 1.0], 3)).is_err());
        assert!(answers.add(&tensor(&[0.1], 1), &tensor(&[0.0, 1.0], 1)).is_err());
    }

    #[test]
    fn the_worst_come_first_and_a_table_reads_back() {
        let mut answers = Answers::default();
        let output = [0.1, 0.2, 0.7, 0.6, 0.3, 0.1, 0.05, 0.15, 0.8, 0.0, 1.0, 0.0];
        let target = [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        answers.add(&tensor(&output, 3), &tensor(&target, 3)).unwrap();
        assert_eq!(answers.worst(9).iter().map(|a| a.sample).collect::<Vec<_>>(), [2, 0]);
        assert_eq!(answers.spread(2).iter().map(|a| a.sample).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(answers.accuracy(), 0.5);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.csv");
        answers.write_csv(&path).unwrap();
        assert_eq!(Answers::read_csv(&path, 3).unwrap(), answers);
        let error = Answers::read_csv(&path, 2).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn names_are_a_last_column_and_are_passed_over_when_read() {
        #[derive(Clone)]
        struct Named;
        impl Dataset for Named {
            fn len(&self) -> usize {
                2
            }
            fn input_shapes(&self) -> Vec<striate_tensor::Shape> {
                Vec::new()
            }
            fn target_shapes(&self) -> Vec<striate_tensor::Shape> {
                Vec::new()
            }
            fn batch(&self, _: &[usize], _: &striate_data::BatchContext) -> Result<striate_data::Batch> {
                unreachable!("nobody looks at the samples")
            }
            fn sample_name(&self, sample: usize) -> Option<String> {
                Some(["cats/a.jpg", "dogs/one, \"two\"\n.jpg"][sample].into())
            }
        }
        let mut answers = Answers::default();
        answers.add(&tensor(&[0.25, 0.9], 1), &tensor(&[0.0, 1.0], 1)).unwrap();
        let path = std::env::temp_dir().join(format!("striate-answers-{}.csv", std::process::id()));
        answers.write_csv_of(&Named, &path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with(
                "sample,actual,predicted,probability,actual_probability,file\n0,0,0,0.75,0.75,cats/a.jpg\n"
            )
        );
        assert!(text.ends_with(",\"dogs/one, \"\"two\"\"\u{fffd}.jpg\"\n"), "{text}");
        assert_eq!(Answers::read_csv(&path, 2).unwrap(), answers);
        std::fs::remove_file(&path).unwrap();
    }
}
