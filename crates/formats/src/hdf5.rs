//! HDF5: the one door to the crate that reads and writes it.
//!
//! What it gives is not trusted: the walk is bounded in depth and number, and every size is checked against the file's own before
//! the crate is asked to read.

use crate::content::Content;
use crate::limits::Budget;
use crate::stored::{Bytes, Number, Source, StoredTensor};
use hdf5_pure::{
    AttrValue, Datatype, DatatypeByteOrder, FileBuilder, FinishedGroup, FormatError, GroupBuilder, Layout,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use striate_tensor::{Error, Result};

/// Groups inside groups.
const MAX_DEPTH: usize = 64;
/// The fewest bytes that an object takes in a file.
const LEAST_OBJECT: usize = 16;
/// Attributes of one group above this size do not fit its header (Keras's own limit).
const MAX_ATTRIBUTE: usize = 64512;

/// How an HDF5 file starts.
const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";

/// Whether bytes start as an HDF5 file does.
pub(crate) fn is_hdf5(bytes: &[u8]) -> bool {
    bytes.starts_with(SIGNATURE)
}

/// The value of an attribute, as far as Keras uses them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Attribute {
    Text(String),
    List(Vec<String>),
    /// Another type, or one that the crate cannot read.
    Other,
}

/// A group of an HDF5 file: everything but the numbers of its tensors, which are read when they are asked for.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) attributes: BTreeMap<String, Attribute>,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) tensors: BTreeMap<String, StoredTensor>,
}

impl Group {
    /// The text of an attribute.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.attributes.get(name)? {
            Attribute::Text(text) => Some(text),
            // A list of one name and a text look the same when they are read.
            Attribute::List(list) if list.len() == 1 => list.first().map(String::as_str),
            _ => None,
        }
    }

    /// A list of names; one that was too long for an attribute is in `name0`, `name1`, ….
    pub(crate) fn list(&self, name: &str) -> Option<Vec<String>> {
        let list = |name: &str| match self.attributes.get(name)? {
            Attribute::List(list) => Some(list.clone()),
            _ => None,
        };
        list(name).or_else(|| {
            let parts: Vec<Vec<String>> = (0..).map_while(|i| list(&format!("{name}{i}"))).collect();
            (!parts.is_empty()).then(|| parts.concat())
        })
    }

    /// The group at a path of names with slashes between them.
    pub(crate) fn group(&self, path: &str) -> Option<&Group> {
        path.split('/').filter(|part| !part.is_empty()).try_fold(self, |group, part| group.groups.get(part))
    }

    /// The tensor at a path.
    pub(crate) fn tensor(&self, path: &str) -> Option<&StoredTensor> {
        match path.rsplit_once('/') {
            Some((group, name)) => self.group(group)?.tensors.get(name),
            None => self.tensors.get(path),
        }
    }

    /// All tensors with their paths, sorted.
    pub(crate) fn all_tensors(&self) -> Vec<(String, &StoredTensor)> {
        let mut all: Vec<(String, &StoredTensor)> = self.tensors.iter().map(|(n, t)| (n.clone(), t)).collect();
        for (name, group) in &self.groups {
            all.extend(group.all_tensors().into_iter().map(|(path, tensor)| (format!("{name}/{path}"), tensor)));
        }
        all
    }
}

struct Container {
    name: String,
    // The crate's handles remember chunks; one reader at a time is enough.
    file: Mutex<hdf5_pure::File>,
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Container({})", self.name)
    }
}

fn damaged(name: &str, error: impl fmt::Display) -> Error {
    Error::data(name, "the file must be a whole HDF5 file", error.to_string(), "it may be truncated or damaged")
}

impl Source for Container {
    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.dataset(path).and_then(|dataset| dataset.read_raw()).map_err(|error| damaged(&self.name, error))
    }
}

/// A file's bytes as the crate wants them.
struct Bounded(Arc<Content>);

impl hdf5_pure::Source for Bounded {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FormatError> {
        if !self.0.holds(offset, buffer.len() as u64) {
            let available = self.0.len().saturating_sub(usize::try_from(offset).unwrap_or(usize::MAX));
            return Err(FormatError::UnexpectedEof { expected: buffer.len(), available });
        }
        self.0.read_at(offset, buffer).map_err(|error| FormatError::Source(error.to_string()))
    }
}

/// The tree of an HDF5 file. Of its tensors nothing is read yet.
///
/// # Errors
/// [`Error::Data`] if it is damaged or asks for more than its size allows.
pub(crate) fn parse(name: &str, content: Content) -> Result<Group> {
    let content = Arc::new(content);
    let source = Bounded(content.clone());
    let mut walk = Walk {
        name,
        budget: Budget::of_file(name, content.len()),
        objects: content.len() / LEAST_OBJECT,
        container: Arc::new(Container {
            name: name.to_string(),
            file: Mutex::new(hdf5_pure::File::from_source(source).map_err(|error| damaged(name, error))?),
        }),
        content,
    };
    let container = walk.container.clone();
    let root = container.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner).root();
    walk.group(&root, "", 0)
}

struct Walk<'a> {
    name: &'a str,
    budget: Budget,
    /// Objects that the file may still have.
    objects: usize,
    container: Arc<Container>,
    content: Arc<Content>,
}

impl Walk<'_> {
    fn count(&mut self) -> Result<()> {
        self.objects = self.objects.checked_sub(1).ok_or_else(|| {
            Error::data(self.name, "a file must not have more objects than fit into it", "more", "a group holds itself")
        })?;
        Ok(())
    }

    fn group(&mut self, group: &hdf5_pure::Group, path: &str, depth: usize) -> Result<Group> {
        self.count()?;
        if depth > MAX_DEPTH {
            let rule = format!("groups must not be nested more than {MAX_DEPTH} deep");
            return Err(Error::data(self.name, rule, path, "a group holds itself"));
        }
        let failed = |error: hdf5_pure::Error| damaged(self.name, error);
        let mut tree = Group { attributes: attributes(group).map_err(failed)?, ..Group::default() };
        let (datasets, groups) = (group.datasets().map_err(failed)?, group.groups().map_err(failed)?);
        for name in datasets {
            self.count()?;
            let dataset = group.dataset(&name).map_err(|error| damaged(self.name, error))?;
            let inner = format!("{path}/{name}");
            // Tensors of other types (texts, references) are none of ours.
            if let Some(tensor) = self.dataset(&dataset, &name, &inner)? {
                tree.tensors.insert(name, tensor);
            }
        }
        for name in groups {
            let inner = group.group(&name).map_err(|error| damaged(self.name, error))?;
            let read = self.group(&inner, &format!("{path}/{name}"), depth + 1)?;
            tree.groups.insert(name, read);
        }
        Ok(tree)
    }

    fn dataset(&mut self, dataset: &hdf5_pure::Dataset, name: &str, path: &str) -> Result<Option<StoredTensor>> {
        let failed = |error: hdf5_pure::Error| damaged(self.name, error);
        let datatype = dataset.datatype().map_err(failed)?;
        let Some((number, is_big_endian)) = number(&datatype, dataset) else { return Ok(None) };
        let sizes = dataset.shape().map_err(failed)?;
        let layout = dataset.layout().map_err(failed)?;
        let chunk = match &layout {
            Layout::Contiguous { .. } | Layout::Compact { .. } => None,
            _ => dataset.chunk_shape().map_err(failed)?,
        };
        self.budget.take_tensor(path, &sizes, number.size())?;
        if let Some(chunk) = chunk {
            // A chunk is unpacked as a whole, however little of it is used.
            Budget::of_file(self.name, self.budget.limit() / 16).take_tensor(path, &chunk, number.size())?;
        }
        let shape = sizes.iter().map(|&n| n as usize).collect();
        let wanted = shape_bytes(&sizes, number);
        let bytes = match layout {
            // One run of bytes: read without the crate, straight into the tensor.
            Layout::Contiguous { address: Some(address), size }
                if size == wanted && self.content.holds(address, size) =>
            {
                Bytes::Region(self.content.clone(), address)
            }
            _ => Bytes::Lazy(self.container.clone(), path.to_string()),
        };
        Ok(Some(StoredTensor::new(name, shape, number, is_big_endian, bytes)))
    }
}

/// Bytes of a tensor whose sizes were found to be possible.
fn shape_bytes(sizes: &[u64], number: Number) -> u64 {
    sizes.iter().product::<u64>() * number.size() as u64
}

fn attributes(group: &hdf5_pure::Group) -> Result<BTreeMap<String, Attribute>, hdf5_pure::Error> {
    // What `attrs` cannot read it leaves out without a word.
    let mut all: BTreeMap<String, Attribute> =
        group.attr_datatypes()?.into_keys().map(|name| (name, Attribute::Other)).collect();
    for (name, value) in group.attrs()? {
        let value = match (value.as_strings(), value.to_f64s()) {
            (Some(list), _) => Attribute::List(list.to_vec()),
            // Keras writes an empty list as numbers.
            (_, Some(numbers)) if numbers.is_empty() => Attribute::List(Vec::new()),
            _ => Attribute::Other,
        };
        all.insert(name, value);
    }
    Ok(all)
}

/// The number that a type stands for, and whether its bytes are in big-endian order.
fn number(datatype: &Datatype, dataset: &hdf5_pure::Dataset) -> Option<(Number, bool)> {
    let is_big = |order: &DatatypeByteOrder| match order {
        DatatypeByteOrder::LittleEndian => Some(false),
        DatatypeByteOrder::BigEndian => Some(true),
        _ => None,
    };
    match datatype {
        Datatype::FloatingPoint { size, byte_order, layout } => {
            let number = match (size, layout.exponent_size) {
                (2, 5) => Number::F16,
                (2, 8) => Number::Bf16,
                (4, 8) => Number::F32,
                (8, 11) => Number::F64,
                _ => return None,
            };
            Some((number, is_big(byte_order)?))
        }
        Datatype::FixedPoint { size: size @ (1 | 2 | 4 | 8), byte_order, layout } => {
            let number = if layout.signed { Number::Signed(*size as u8) } else { Number::Unsigned(*size as u8) };
            Some((number, is_big(byte_order)?))
        }
        // Keras marks bfloat16, for which h5py has no type, by an attribute.
        Datatype::Opaque { size: 2, .. } => {
            let attributes = dataset.attrs().ok()?;
            // In `.h5` files the attribute is missing.
            let is_bfloat = attributes.get("dtype").is_none_or(|dtype| dtype.as_str() == Some("bfloat16"));
            is_bfloat.then_some((Number::Bf16, false))
        }
        _ => None,
    }
}

/// A group to be written. Members come out in the order of their names.
#[derive(Debug, Default)]
pub(crate) struct GroupWriter {
    attributes: Vec<(String, Attribute)>,
    groups: BTreeMap<String, GroupWriter>,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    counts: BTreeMap<String, i64>,
}

impl GroupWriter {
    /// Sets a text.
    pub(crate) fn set_text(&mut self, name: &str, text: &str) {
        self.attributes.push((name.to_string(), Attribute::Text(text.to_string())));
    }

    /// Sets a list of names, as `name0`, `name1`, … if it is too long for one attribute, as Keras does.
    pub(crate) fn set_list(&mut self, name: &str, list: &[String]) {
        let width = list.iter().map(String::len).max().unwrap_or(1).max(1);
        let fitting = (MAX_ATTRIBUTE / width).max(1);
        if list.len() <= fitting {
            self.attributes.push((name.to_string(), Attribute::List(list.to_vec())));
            return;
        }
        for (i, part) in list.chunks(fitting).enumerate() {
            self.attributes.push((format!("{name}{i}"), Attribute::List(part.to_vec())));
        }
    }

    /// The group at a path, made if it is not there.
    pub(crate) fn group(&mut self, path: &str) -> &mut GroupWriter {
        path.split('/')
            .filter(|part| !part.is_empty())
            .fold(self, |group, part| group.groups.entry(part.to_string()).or_default())
    }

    /// Adds a float32 tensor at a path.
    pub(crate) fn set_tensor(&mut self, path: &str, shape: &[usize], values: Vec<f32>) {
        let (group, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.group(group).tensors.insert(name.to_string(), (shape.to_vec(), values));
    }

    /// Adds an integer of 64 bits at a path.
    pub(crate) fn set_count(&mut self, path: &str, count: i64) {
        let (group, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.group(group).counts.insert(name.to_string(), count);
    }

    /// The file whose root this group is.
    ///
    /// # Errors
    /// [`Error::Data`] if it does not fit the format.
    pub(crate) fn finish(self) -> Result<Vec<u8>> {
        let failed =
            |error: hdf5_pure::Error| Error::data("HDF5", "the file must fit the format", error.to_string(), "");
        let mut file = FileBuilder::new();
        for (name, value) in self.attributes {
            file.set_attr(&name, value_of(value));
        }
        for (name, (shape, values)) in self.tensors {
            file.create_dataset(&name).with_f32_data(&values).with_shape(&sizes(&shape));
        }
        for (name, count) in self.counts {
            file.create_dataset(&name).with_i64_data(&[count]).with_shape(&[]);
        }
        for (name, group) in self.groups {
            let builder = file.create_group(&name);
            file.add_group(group.build(builder));
        }
        file.finish().map_err(failed)
    }

    fn build(self, mut builder: GroupBuilder) -> FinishedGroup {
        for (name, value) in self.attributes {
            builder.set_attr(&name, value_of(value));
        }
        for (name, (shape, values)) in self.tensors {
            builder.create_dataset(&name).with_f32_data(&values).with_shape(&sizes(&shape));
        }
        for (name, count) in self.counts {
            builder.create_dataset(&name).with_i64_data(&[count]).with_shape(&[]);
        }
        for (name, group) in self.groups {
            let inner = builder.create_group(&name);
            builder.add_group(group.build(inner));
        }
        builder.finish()
    }
}

fn sizes(shape: &[usize]) -> Vec<u64> {
    shape.iter().map(|&n| n as u64).collect()
}

/// A value in the form in which Keras finds it.
fn value_of(value: Attribute) -> AttrValue {
    match value {
        Attribute::Text(text) => AttrValue::VarLenString(text),
        Attribute::List(list) if list.is_empty() => AttrValue::F64Array(Vec::new()),
        Attribute::List(list) if list.iter().all(|name| name.is_ascii()) => AttrValue::AsciiStringArray(list),
        Attribute::List(list) => AttrValue::StringArray(list),
        Attribute::Other => AttrValue::I64(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> GroupWriter {
        let mut root = GroupWriter::default();
        root.set_text("model_config", &"{}".repeat(50_000));
        let weights = root.group("model_weights");
        weights.set_list("layer_names", &["a".to_string(), "b/c".to_string()]);
        weights.group("a").set_list("weight_names", &[]);
        weights.group("b/c").set_list("weight_names", &["b/c/kernel:0".to_string()]);
        weights.set_tensor("b/c/b/c/kernel:0", &[2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        weights.set_tensor("b/c/scalar", &[], vec![7.0]);
        root
    }

    #[test]
    fn a_tree_comes_back() {
        let bytes = sample().finish().unwrap();
        assert!(is_hdf5(&bytes));
        assert_eq!(bytes, sample().finish().unwrap(), "the same tree gives the same bytes");
        let root = parse("f", Content::in_memory(bytes)).unwrap();
        assert_eq!(root.text("model_config").unwrap().len(), 100_000);
        let weights = root.group("model_weights").unwrap();
        assert_eq!(weights.list("layer_names").unwrap(), ["a", "b/c"]);
        assert_eq!(weights.group("a").unwrap().list("weight_names").unwrap(), Vec::<String>::new());
        let kernel = weights.tensor("b/c/b/c/kernel:0").unwrap();
        assert_eq!((kernel.shape(), kernel.number()), (&[2, 3][..], Number::F32));
        assert_eq!(kernel.to_f32().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(weights.tensor("b/c/scalar").unwrap().to_f32().unwrap(), [7.0]);
        let paths: Vec<String> = root.all_tensors().into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["model_weights/b/c/scalar", "model_weights/b/c/b/c/kernel:0"]);
    }

    #[test]
    fn a_list_too_long_for_one_attribute_is_split_and_joined() {
        let names: Vec<String> = (0..5000).map(|i| format!("a_layer_with_a_long_name_{i:05}")).collect();
        let mut root = GroupWriter::default();
        root.set_list("layer_names", &names);
        let root = parse("f", Content::in_memory(root.finish().unwrap())).unwrap();
        assert!(root.attributes.contains_key("layer_names2") && !root.attributes.contains_key("layer_names"));
        assert_eq!(root.list("layer_names").unwrap(), names);
    }

    #[test]
    fn names_beyond_ascii_come_back() {
        let mut root = GroupWriter::default();
        root.set_list("layer_names", &["größe".to_string(), "x".to_string()]);
        assert_eq!(
            parse("f", Content::in_memory(root.finish().unwrap())).unwrap().list("layer_names").unwrap(),
            ["größe", "x"]
        );
    }

    #[test]
    fn truncated_and_damaged_bytes_are_errors_or_answers_but_no_panic() {
        let mut root = GroupWriter::default();
        root.set_list("layer_names", &["a".to_string()]);
        root.set_tensor("a/kernel", &[4, 4], vec![0.5; 16]);
        let whole = root.finish().unwrap();
        let read = |bytes: Vec<u8>| -> Result<()> {
            let root = parse("f", Content::in_memory(bytes))?;
            root.all_tensors().iter().try_for_each(|(_, tensor)| tensor.to_f32().map(|_| ()))
        };
        for cut in 0..whole.len() {
            let _ = read(whole[..cut].to_vec());
        }
        assert!(read(whole[..whole.len() / 2].to_vec()).is_err());
        for at in 0..whole.len() {
            for mask in [0xff, 0x01, 0x80] {
                let mut bytes = whole.clone();
                bytes[at] ^= mask;
                let _ = read(bytes);
            }
        }
    }
}
