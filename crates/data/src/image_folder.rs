//! Pictures in folders, one folder for each class.

use crate::augment::PictureSource;
use crate::csv_index::columns;
use crate::dataset::{Batch, BatchContext, Dataset};
use crate::featurewise::Featurewise;
use crate::fingerprint::Fingerprint;
use crate::folder_scan::{BadFile, bad_files, class_names, loose_pictures, picture_files, refuse};
use crate::image_batch::rows;
use crate::image_file::{Colour, Picture, read};
use crate::picture_cache::PictureCache;
use crate::resize::{Filter, Fit, check_size, resize};
use crate::standardize::Standardize;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use striate_tensor::{Device, Error, Result, Shape, Tensor, known_names};

/// What the targets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ClassMode {
    /// A row with a single 1 for each picture: (classes).
    #[default]
    Categorical,
    /// 0 for the first class, 1 for the second: (1).
    Binary,
    /// The class's index: (1).
    Sparse,
    /// The picture itself, as an autoencoder wants it.
    Input,
    /// No targets.
    None,
}

impl ClassMode {
    fn has_classes(self) -> bool {
        matches!(self, ClassMode::Categorical | ClassMode::Binary | ClassMode::Sparse)
    }
}

/// How a folder's pictures are read; named as in Keras's `flow_from_directory` where that has it.
#[derive(Debug, Clone)]
pub struct FolderOptions {
    /// (height, width) in pixels; (256, 256) unless set.
    pub target_size: (usize, usize),
    /// Grey or RGB; RGB unless set.
    pub colour: Colour,
    /// How pixels are resampled; nearest unless set, as in Keras.
    pub filter: Filter,
    /// What happens to other proportions; stretched unless set, as in Keras.
    pub fit: Fit,
    /// What the targets are; categorical unless set.
    pub class_mode: ClassMode,
    /// The classes' folders in the order of their indices; all folders sorted by name if it is empty.
    pub classes: Vec<String>,
    /// Leave out folders of other classes than [`FolderOptions::classes`] instead of refusing them, as Keras does.
    pub skip_other: bool,
    /// What is done to the values; nothing unless set, so that they are 0..255.
    pub standardize: Standardize,
    /// So many bytes of decoded pictures, at the target size, are kept; 2²⁹ unless set.
    pub cache_bytes: usize,
    /// Leave bad files out instead of refusing the folder; [`ImageFolder::skipped`] lists them.
    pub skip_bad: bool,
}

impl Default for FolderOptions {
    fn default() -> Self {
        FolderOptions {
            target_size: (256, 256),
            colour: Colour::Rgb,
            filter: Filter::Nearest,
            fit: Fit::Stretch,
            class_mode: ClassMode::Categorical,
            classes: Vec::new(),
            skip_other: false,
            standardize: Standardize::default(),
            cache_bytes: 1 << 29,
            skip_bad: false,
        }
    }
}

/// Pictures in folders, one folder for each class, decoded when they are asked for.
///
/// A class's pictures are all files in its folder, and in those within, that end in png, jpg, jpeg, bmp, gif or webp; order
/// and indices are those of Keras's `flow_from_directory`. Order within an epoch comes from [`crate::Batching`].
///
/// ```
/// use striate_data::image_file::Colour;
/// use striate_data::{ClassMode, Dataset, FolderOptions, ImageFolder, Standardize};
/// # let folder = tempfile::tempdir().unwrap();
/// # for (class, shade) in [("cats", 50), ("dogs", 200)] {
/// #     std::fs::create_dir(folder.path().join(class)).unwrap();
/// #     for i in 0..4 {
/// #         let path = folder.path().join(class).join(format!("{i}.png"));
/// #         image::GrayImage::from_pixel(9, 7, image::Luma([shade])).save(path).unwrap();
/// #     }
/// # }
/// # let folder = folder.path();
/// let options = FolderOptions {
///     target_size: (150, 150),
///     class_mode: ClassMode::Binary,
///     standardize: Standardize { rescale: 1.0 / 255.0, ..Standardize::default() },
///     ..FolderOptions::default()
/// };
/// let pictures = ImageFolder::open(folder, options)?;
/// assert_eq!(pictures.class_names(), ["cats", "dogs"]);
/// let (train, validation) = pictures.validation_split(0.25)?;
/// assert_eq!((train.len(), validation.len()), (6, 2));
/// # Ok::<(), striate_tensor::Error>(())
/// ```
#[derive(Clone)]
pub struct ImageFolder {
    all: Arc<Contents>,
    /// Indices into all files.
    chosen: Arc<[usize]>,
    standardize: Standardize,
}

struct Contents {
    options: FolderOptions,
    files: Vec<PathBuf>,
    labels: Vec<u32>,
    class_names: Vec<String>,
    skipped: Vec<BadFile>,
    cache: PictureCache,
}

impl ImageFolder {
    /// Lists the folder and looks at every file's header and end; pixels are decoded later.
    ///
    /// For [`ClassMode::None`] and [`ClassMode::Input`] the pictures may lie in the folder itself.
    ///
    /// # Errors
    /// [`Error::Data`] if the folder is missing, has no classes, only one or (binary) more than two, if a class has no
    /// pictures, if there are folders of other classes than those given, or if files are bad, which are all named; [`Error::Argument`] for senseless options; [`Error::Io`].
    pub fn open(folder: impl AsRef<Path>, options: FolderOptions) -> Result<Self> {
        let folder = folder.as_ref();
        check_size(options.target_size)?;
        options.standardize.check()?;
        let class_names = chosen_classes(folder, &options)?;
        let (mut files, mut labels) = (Vec::new(), Vec::new());
        let mut counts = Vec::new();
        let class_folders = class_names.iter().map(|name| folder.join(name));
        let class_folders: Vec<PathBuf> =
            if class_names.is_empty() { vec![folder.to_path_buf()] } else { class_folders.collect() };
        for (label, class) in class_folders.iter().enumerate() {
            let found = picture_files(class)?;
            counts.push(found.len());
            labels.resize(labels.len() + found.len(), label as u32);
            files.extend(found);
        }
        check_counts(&class_folders, &counts, "none")?;
        ImageFolder::of(folder, &class_folders, files, labels, class_names, options)
    }

    /// The pictures that a table lists, as Keras's `flow_from_dataframe`: a CSV file whose first line names its columns. `file_column`
    /// holds paths, relative to `folder`; `label_column` holds the classes, which are sorted by name unless
    /// [`FolderOptions::classes`] gives their order. Modes without classes need no label column.
    ///
    /// # Errors
    /// As [`ImageFolder::open`]; [`Error::Data`] also if the table is damaged, lacks a column or has a class that is not listed.
    ///
    /// ```
    /// use striate_data::{Dataset, FolderOptions, ImageFolder};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let folder = folder.path();
    /// # for name in ["a.png", "b.png"] {
    /// #     image::GrayImage::from_pixel(9, 7, image::Luma([50])).save(folder.join(name)).unwrap();
    /// # }
    /// std::fs::write(folder.join("index.csv"), "file,animal\na.png,dog\nb.png,cat\n").unwrap();
    /// let pictures = ImageFolder::from_csv(folder.join("index.csv"), folder, "file", "animal", FolderOptions::default())?;
    /// assert_eq!((pictures.class_names().join(" "), pictures.label(0)), ("cat dog".into(), Some(1)));
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn from_csv(
        table: impl AsRef<Path>,
        folder: impl AsRef<Path>,
        file_column: &str,
        label_column: &str,
        options: FolderOptions,
    ) -> Result<Self> {
        let (table, folder) = (table.as_ref(), folder.as_ref());
        check_size(options.target_size)?;
        options.standardize.check()?;
        if !options.class_mode.has_classes() {
            let rows = columns(table, &[file_column])?;
            let files: Vec<PathBuf> = rows.iter().map(|row| folder.join(&row[0])).collect();
            let labels = vec![0; files.len()];
            check_counts(&[table.to_path_buf()], &[files.len()], "an empty table")?;
            return ImageFolder::of(table, &[table.to_path_buf()], files, labels, Vec::new(), options);
        }
        let rows = columns(table, &[file_column, label_column])?;
        let found: BTreeSet<&str> = rows.iter().map(|row| row[1].as_str()).collect();
        let found: Vec<String> = found.into_iter().map(str::to_string).collect();
        let class_names = check_classes(table, &options, found, 0)?;
        let (mut files, mut labels) = (Vec::new(), Vec::new());
        for row in &rows {
            // Keras leaves out the rows of classes that are not asked for.
            if let Some(label) = class_names.iter().position(|name| *name == row[1]) {
                files.push(folder.join(&row[0]));
                labels.push(label as u32);
            }
        }
        let places: Vec<PathBuf> = class_names.iter().map(|name| table.join(name)).collect();
        ImageFolder::of(table, &places, files, labels, class_names, options)
    }

    /// Looks at the files; `places` are the classes' names for messages.
    fn of(
        subject: &Path,
        places: &[PathBuf],
        mut files: Vec<PathBuf>,
        mut labels: Vec<u32>,
        class_names: Vec<String>,
        options: FolderOptions,
    ) -> Result<Self> {
        let skipped = bad_files(&files);
        if !skipped.is_empty() {
            if !options.skip_bad {
                return Err(refuse(subject, &skipped, files.len()));
            }
            let bad: HashSet<&Path> = skipped.iter().map(|file| file.path.as_path()).collect();
            let good = files.iter().zip(&labels).filter(|(path, _)| !bad.contains(path.as_path()));
            (files, labels) = good.map(|(path, label)| (path.clone(), *label)).unzip();
            let mut counts = vec![0; places.len()];
            labels.iter().for_each(|&label| counts[label as usize] += 1);
            check_counts(places, &counts, "bad files only")?;
        }
        let cache = PictureCache::new(files.len(), options.cache_bytes);
        let chosen = (0..files.len()).collect();
        let standardize = options.standardize.clone();
        let all = Arc::new(Contents { options, files, labels, class_names, skipped, cache });
        Ok(ImageFolder { all, chosen, standardize })
    }

    /// Parts the pictures as Keras's `validation_split` does for folders: of each class's files in order the first
    /// `fraction`, rounded down, goes to the second part. Both share what is decoded.
    ///
    /// # Errors
    /// [`Error::Argument`] unless 0 < fraction < 1; [`Error::Data`] if a part would be empty.
    pub fn validation_split(&self, fraction: f64) -> Result<(ImageFolder, ImageFolder)> {
        if !(fraction > 0.0 && fraction < 1.0) {
            let received = fraction.to_string();
            return Err(Error::argument("validation_split", "the fraction must be in (0, 1)", received, ""));
        }
        let mut counts = vec![0usize; self.all.class_names.len().max(1)];
        self.chosen.iter().for_each(|&i| counts[self.all.labels[i] as usize] += 1);
        let mut left: Vec<usize> = counts.iter().map(|&n| (n as f64 * fraction) as usize).collect();
        let (mut train, mut validation) = (Vec::new(), Vec::new());
        for &i in self.chosen.iter() {
            let left = &mut left[self.all.labels[i] as usize];
            if *left > 0 {
                *left -= 1;
                validation.push(i);
            } else {
                train.push(i);
            }
        }
        if train.is_empty() || validation.is_empty() {
            let received = format!("{} pictures, fraction {fraction}", self.chosen.len());
            return Err(Error::data("validation_split", "both parts must have pictures", received, ""));
        }
        let part = |chosen: Vec<usize>| ImageFolder { chosen: chosen.into(), ..self.clone() };
        Ok((part(train), part(validation)))
    }

    /// These pictures, standardized by numbers about a whole set, the training set as a rule; decoded pictures are shared.
    ///
    /// # Errors
    /// [`Error::Shape`] if the numbers come from pictures of another shape.
    pub fn with_featurewise(&self, numbers: Featurewise) -> Result<ImageFolder> {
        numbers.check(&self.input_shape())?;
        let standardize = Standardize { featurewise: Some(Arc::new(numbers)), ..self.standardize.clone() };
        Ok(ImageFolder { standardize, ..self.clone() })
    }

    /// A sample's file.
    pub fn path(&self, sample: usize) -> Option<&Path> {
        self.chosen.get(sample).map(|&i| self.all.files[i].as_path())
    }

    /// A sample's class, counted from 0.
    pub fn label(&self, sample: usize) -> Option<usize> {
        self.chosen.get(sample).map(|&i| self.all.labels[i] as usize)
    }

    /// The files that were left out because of [`FolderOptions::skip_bad`].
    pub fn skipped(&self) -> &[BadFile] {
        &self.all.skipped
    }

    /// How the pictures are read.
    pub fn options(&self) -> &FolderOptions {
        &self.all.options
    }

    fn index(&self, sample: usize) -> Result<usize> {
        self.chosen.get(sample).copied().ok_or_else(|| {
            let rule = format!("sample indices must be below {}", self.chosen.len());
            Error::shape("ImageFolder", rule, sample.to_string(), "")
        })
    }

    fn input_shape(&self) -> Shape {
        let (height, width) = self.all.options.target_size;
        Shape::from([height, width, self.all.options.colour.channels()])
    }
}

/// The names of the classes' folders; none if the pictures lie in the folder itself.
fn chosen_classes(folder: &Path, options: &FolderOptions) -> Result<Vec<String>> {
    let found = class_names(folder)?;
    let names = check_classes(folder, options, found.clone(), loose_pictures(folder)?)?;
    if options.skip_other {
        return Ok(names);
    }
    let mut others = Vec::new();
    for name in found.into_iter().filter(|name| !names.contains(name)) {
        let pictures = picture_files(&folder.join(&name))?.len();
        if pictures > 0 {
            others.push(format!("{name} with {}", counted(pictures)));
        }
    }
    if others.is_empty() {
        return Ok(names);
    }
    Err(Error::data(
        folder.display().to_string(),
        format!("every folder must be one of the classes {}", names.join(", ")),
        others.join(", "),
        "move other folders away, or set skip_other",
    ))
}

/// `1 picture`, `2 pictures`.
fn counted(pictures: usize) -> String {
    if pictures == 1 { "1 picture".into() } else { format!("{pictures} pictures") }
}

/// The names of the classes in their order, of those that were found; `loose` pictures are in no class's folder.
fn check_classes(folder: &Path, options: &FolderOptions, found: Vec<String>, loose: usize) -> Result<Vec<String>> {
    let names = if options.classes.is_empty() { found.clone() } else { options.classes.clone() };
    let refuse =
        |rule: &str, received: String, hint: &str| Err(Error::data(folder.display().to_string(), rule, received, hint));
    if let Some(missing) = names.iter().find(|name| !found.contains(name)) {
        let hint = match (found.is_empty(), loose) {
            (true, 1..) => format!("{} in the folder itself; there must be one folder for each class", counted(loose)),
            _ => known_names("classes found", missing, &found),
        };
        return refuse("every class must be there", format!("none named {missing}"), &hint);
    }
    if let Some(twice) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        return refuse("a class may be listed once", twice.1.clone(), "");
    }
    let layout = "there is one folder for each class, and the pictures are in those; or a table has a column of them";
    match (options.class_mode, names.len()) {
        (mode, 0 | 1) if mode.has_classes() => {
            let mut received = names.first().map_or_else(|| "none".into(), |name| format!("only {name}"));
            if loose > 0 {
                received.push_str(&format!("; {} in the folder itself", counted(loose)));
            }
            refuse("there must be at least two classes", received, layout)
        }
        (ClassMode::Binary, n) if n > 2 => {
            refuse("binary labels need exactly two classes", format!("{n}: {}", names.join(", ")), "use categorical")
        }
        _ => Ok(names),
    }
}

fn check_counts(folders: &[PathBuf], counts: &[usize], received: &str) -> Result<()> {
    match folders.iter().zip(counts).find(|(_, count)| **count == 0) {
        Some((folder, _)) => Err(Error::data(
            folder.display().to_string(),
            "there must be pictures in the folder (png, jpg, jpeg, bmp, gif, webp)",
            received,
            "add some, or remove the folder",
        )),
        None => Ok(()),
    }
}

impl PictureSource for ImageFolder {
    fn picture(&self, sample: usize) -> Result<Arc<Picture>> {
        let (index, options) = (self.index(sample)?, &self.all.options);
        self.all.cache.get(index, || {
            let picture = read(&self.all.files[index], options.colour)?;
            resize(&picture, options.target_size, options.filter, options.fit)
        })
    }

    fn targets(&self, samples: &[usize], input: &Tensor, device: &Device) -> Result<Vec<Tensor>> {
        let shape = match self.all.options.class_mode {
            ClassMode::None => return Ok(vec![]),
            ClassMode::Input => return Ok(vec![input.clone()]),
            mode => self.class_shape(mode),
        };
        let target = rows(samples.len(), &shape, device, |i, row| {
            let label = self.all.labels[self.index(samples[i])?];
            match self.all.options.class_mode {
                ClassMode::Categorical => row[label as usize] = 1.0,
                _ => row[0] = label as f32,
            }
            Ok(())
        })?;
        Ok(vec![target])
    }

    fn standardize(&self) -> &Standardize {
        &self.standardize
    }
}

impl ImageFolder {
    fn class_shape(&self, mode: ClassMode) -> Shape {
        Shape::from([if mode == ClassMode::Categorical { self.all.class_names.len() } else { 1 }])
    }
}

impl Dataset for ImageFolder {
    fn len(&self) -> usize {
        self.chosen.len()
    }

    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.input_shape()]
    }

    fn target_shapes(&self) -> Vec<Shape> {
        match self.all.options.class_mode {
            ClassMode::None => vec![],
            ClassMode::Input => vec![self.input_shape()],
            mode => vec![self.class_shape(mode)],
        }
    }

    fn batch(&self, samples: &[usize], context: &BatchContext) -> Result<Batch> {
        let shape = self.input_shape();
        let input = rows(samples.len(), &shape, &context.device, |i, row| {
            let picture = self.picture(samples[i])?;
            row.iter_mut().zip(picture.bytes()).for_each(|(value, &byte)| *value = f32::from(byte));
            self.standardize().apply(row, &shape);
            Ok(())
        })?;
        let targets = self.targets(samples, &input, &context.device)?;
        Batch::new(vec![input], targets, samples.len())
    }

    fn class_names(&self) -> &[String] {
        &self.all.class_names
    }

    fn sample_name(&self, sample: usize) -> Option<String> {
        let path = self.path(sample)?;
        let last = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        Some([path.parent().and_then(last)?, last(path)?].join("/"))
    }

    fn fingerprint(&self) -> u64 {
        let Contents { options, files, labels, class_names, .. } = &*self.all;
        let reading = format!("{:?} {:?} {:?} {:?}", options.target_size, options.colour, options.filter, options.fit);
        let mut print = Fingerprint::new().text(&reading);
        print = class_names.iter().fold(print, |print, name| print.text(name));
        // Where the folder lies makes no difference; how large a file is does.
        for &file in self.chosen.iter() {
            let name = files[file].file_name().unwrap_or_default().to_string_lossy();
            let bytes = std::fs::metadata(&files[file]).map_or(0, |about| about.len());
            print = print.text(&name).number(u64::from(labels.get(file).copied().unwrap_or_default())).number(bytes);
        }
        // What becomes of a pixel, by trying it.
        let shape = self.input_shape();
        let mut probe = vec![100.0; shape.elements()];
        self.standardize().apply(&mut probe, &shape);
        probe.iter().take(4).fold(print, |print, value| print.number(u64::from(value.to_bits()))).value()
    }
}

impl fmt::Debug for ImageFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageFolder({} pictures, {} classes)", self.len(), self.all.class_names.len())
    }
}
