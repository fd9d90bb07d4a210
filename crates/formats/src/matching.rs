//! Which tensor of a file belongs to which weight of a model.

use crate::arrange::{self, Step};
use crate::keras::options::layer_name;
use crate::keras::vars_weights::group_names;
use crate::layer_tree::{LayerNode, Weight};
use crate::load_weights::LoadOptions;
use crate::stored::StoredTensor;
use crate::weights_file::{Format, StoredLayer, WeightsFile, full_name};
use crate::words::{is_torch, means, parts, words_for};
use std::collections::{BTreeMap, HashMap, HashSet};
use striate_nn::snake_case;

/// One weight with the tensor for it and what has to be done to that.
#[derive(Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) weight: &'a Weight,
    pub(crate) tensor: &'a StoredTensor,
    pub(crate) full_name: String,
    pub(crate) steps: Vec<Step>,
}

/// All pairs, and why the rest could not be paired where that is more than a missing name.
#[derive(Debug, Default)]
pub(crate) struct Pairing<'a> {
    pub(crate) pairs: Vec<Pair<'a>>,
    /// Layers that have other numbers of tensors in file and model.
    pub(crate) conflicts: Vec<String>,
}

/// Finds the tensors of a file for the weights of a model.
pub(crate) fn pair<'a>(tree: &'a LayerNode, file: &'a WeightsFile, options: &LoadOptions) -> Pairing<'a> {
    let mut pairing = match file.format {
        Format::KerasH5 => by_lists(tree, file, options),
        Format::KerasVars | Format::KerasArchive if file.layers.iter().all(|layer| layer.path.is_some()) => {
            by_groups(tree, file, options)
        }
        Format::KerasVars | Format::KerasArchive => by_lists(tree, file, options),
        Format::Safetensors | Format::Npz | Format::Hdf5 => by_names(tree, file, options),
    };
    let mut classes = HashMap::new();
    collect_classes(tree, &mut classes);
    let theano = theano_layers(file);
    let is_theano = options.theano_kernels.unwrap_or(file.backend.as_deref() == Some("theano"));
    for pair in &mut pairing.pairs {
        let class = classes.get(pair.weight.path.as_str()).copied().unwrap_or_default();
        pair.steps = steps(pair, class, file, is_theano, theano.as_deref());
    }
    pairing
}

/// The class of the layer of each weight.
fn collect_classes<'a>(node: &'a LayerNode, classes: &mut HashMap<&'a str, &'a str>) {
    classes.extend(node.weights.iter().map(|weight| (weight.path.as_str(), node.class.as_str())));
    node.children.iter().for_each(|child| collect_classes(child, classes));
}

/// The layers that Keras 1 kept in Theano's order, if the file says which.
fn theano_layers(file: &WeightsFile) -> Option<Vec<String>> {
    let config = file.config.as_ref()?;
    let mut names = Vec::new();
    crate::keras::dialect::layers_in_theano_order(config, &mut names);
    Some(names)
}

fn steps(pair: &Pair<'_>, class: &str, file: &WeightsFile, is_theano: bool, theano: Option<&[String]>) -> Vec<Step> {
    let (shape, wanted) = (pair.tensor.shape(), pair.weight.shape.to_vec());
    let mut steps = Vec::new();
    if parts(pair.tensor.name()).last().is_some_and(|word| is_torch(word)) {
        return arrange::from_torch(class, shape.len());
    }
    if file.is_keras_1() {
        let layer = pair.weight.path.rsplit_once('/').map_or("", |(layer, _)| layer);
        let layer = layer.rsplit('/').next().unwrap_or(layer);
        let is_theano_order = theano.map(|names| names.iter().any(|name| name == layer));
        steps.extend(arrange::from_keras_1(class, shape, &wanted, is_theano_order));
    }
    if is_theano {
        steps.extend(arrange::from_theano(class, wanted.len()));
    }
    steps
}

fn plain<'a>(weight: &'a Weight, tensor: &'a StoredTensor, layer: &StoredLayer) -> Pair<'a> {
    Pair { weight, tensor, full_name: full_name(layer, tensor), steps: Vec::new() }
}

/// Files of named tensors: a weight's path is the tensor's name, in this program's words or another's.
fn by_names<'a>(tree: &'a LayerNode, file: &'a WeightsFile, options: &LoadOptions) -> Pairing<'a> {
    let mut known: HashMap<String, (&StoredLayer, &StoredTensor)> = HashMap::new();
    for layer in &file.layers {
        for tensor in &layer.tensors {
            let name = options.renaming.apply(&full_name(layer, tensor));
            known.entry(parts(&name).join("/")).or_insert((layer, tensor));
        }
    }
    let mut pairing = Pairing::default();
    for weight in tree.all_weights() {
        let (layer, word) = weight.path.rsplit_once('/').unwrap_or(("", &weight.path));
        let prefix = if layer.is_empty() { String::new() } else { format!("{layer}/") };
        let found = known
            .get(&weight.path)
            .or_else(|| words_for(word).into_iter().find_map(|word| known.get(&format!("{prefix}{word}"))));
        if let Some((layer, tensor)) = found {
            pairing.pairs.push(plain(weight, tensor, layer));
        }
    }
    pairing
}

/// Keras's lists of layers: by name where the names are the model's, else in order, as Keras does.
fn by_lists<'a>(tree: &'a LayerNode, file: &'a WeightsFile, options: &LoadOptions) -> Pairing<'a> {
    let layers: Vec<&LayerNode> = tree.children.iter().filter(|layer| !layer.all_weights().is_empty()).collect();
    let by_name: HashMap<String, &StoredLayer> =
        file.layers.iter().map(|layer| (layer_name(&options.renaming.apply(&layer.name)), layer)).collect();
    let has_all_names = layers.iter().all(|layer| by_name.contains_key(&layer.name));
    let mut pairing = Pairing::default();
    if options.by_name || has_all_names {
        for node in layers {
            if let Some(layer) = by_name.get(&node.name) {
                pair_layer(node, layer, &mut pairing);
            }
        }
        return pairing;
    }
    if layers.len() != file.layers.len() {
        pairing.conflicts.push(format!(
            "the model has {} layers with weights, the file {}; their names differ too",
            layers.len(),
            file.layers.len()
        ));
        return pairing;
    }
    for (node, layer) in layers.iter().zip(&file.layers) {
        pair_layer(node, layer, &mut pairing);
    }
    pairing
}

/// Pairs the weights of one layer, or of one nested model: by their names if those say enough, else in order.
fn pair_layer<'a>(node: &'a LayerNode, layer: &'a StoredLayer, pairing: &mut Pairing<'a>) {
    let weights = node.trained_first();
    if weights.len() != layer.tensors.len() {
        let (mine, theirs) = (weights.len(), layer.tensors.len());
        pairing.conflicts.push(format!("{} has {mine} weights in the model and {theirs} in the file", node.path));
        return;
    }
    let mut by_words: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let split: Vec<Vec<&str>> = layer.tensors.iter().map(|tensor| parts(tensor.name())).collect();
    for (index, parts) in split.iter().enumerate() {
        by_words.entry(parts.last().copied().unwrap_or_default().to_string()).or_default().push(index);
    }
    let named: Option<Vec<usize>> = weights.iter().map(|weight| find(node, weight, &split)).collect();
    let is_one_to_one = |indices: &Vec<usize>| indices.iter().collect::<HashSet<_>>().len() == indices.len();
    let order = named.filter(is_one_to_one).unwrap_or_else(|| (0..weights.len()).collect());
    for (weight, index) in weights.into_iter().zip(order) {
        pairing.pairs.push(plain(weight, &layer.tensors[index], layer));
    }
}

/// The one tensor whose name ends as a weight's path does: with the most of it that any name has.
fn find(node: &LayerNode, weight: &Weight, names: &[Vec<&str>]) -> Option<usize> {
    let inner = weight.path.strip_prefix(&node.path).unwrap_or(&weight.path).trim_start_matches('/');
    let path: Vec<&str> = inner.split('/').collect();
    let (word, above) = path.split_last()?;
    for word in words_for(word) {
        for depth in (0..=above.len()).rev() {
            let suffix = &above[above.len() - depth..];
            // Inside a nested model the word alone says nothing.
            if depth == 0 && !above.is_empty() {
                break;
            }
            let fits = |name: &Vec<&str>| {
                name.split_last().is_some_and(|(last, rest)| means(last, word) && rest.ends_with(suffix))
            };
            let mut found = names.iter().enumerate().filter(|(_, name)| fits(name));
            match (found.next(), found.next()) {
                (Some((index, _)), None) => return Some(index),
                (Some(_), Some(_)) => break,
                (None, _) => {}
            }
        }
    }
    None
}

/// Keras 3's groups: by class and number, so that the names of the layers play no part; or by the names that newer files keep
/// beside them.
fn by_groups<'a>(tree: &'a LayerNode, file: &'a WeightsFile, options: &LoadOptions) -> Pairing<'a> {
    let mut pairing = Pairing::default();
    if options.by_name {
        let path = |layer: &'a StoredLayer| Some((options.renaming.apply(layer.path.as_deref()?), layer));
        let known: HashMap<String, &StoredLayer> = file.layers.iter().filter_map(path).collect();
        pair_paths(tree, &known, &mut pairing);
    } else {
        let known = file.layers.iter().map(|layer| (layer.name.as_str(), layer)).collect();
        pair_container(tree, "layers", &known, &mut pairing);
    }
    pairing
}

fn pair_paths<'a>(node: &'a LayerNode, known: &HashMap<String, &'a StoredLayer>, pairing: &mut Pairing<'a>) {
    if let Some(layer) = known.get(&node.path).filter(|_| !node.weights.is_empty()) {
        pair_variables(node, layer, pairing);
    }
    node.children.iter().for_each(|child| pair_paths(child, known, pairing));
}

/// Pairs the weights of one layer with numbered variables.
fn pair_variables<'a>(node: &'a LayerNode, layer: &'a StoredLayer, pairing: &mut Pairing<'a>) {
    let weights = node.own_trainable_first();
    if weights.len() == layer.tensors.len() {
        pairing.pairs.extend(weights.into_iter().zip(&layer.tensors).map(|(w, t)| plain(w, t, layer)));
    } else {
        let (mine, theirs) = (weights.len(), layer.tensors.len());
        pairing.conflicts.push(format!("{} has {mine} weights in the model and {theirs} in the file", node.path));
    }
}

fn pair_container<'a>(
    parent: &'a LayerNode,
    path: &str,
    known: &HashMap<&str, &'a StoredLayer>,
    pairing: &mut Pairing<'a>,
) {
    let exact = group_names(&parent.children);
    let is_exact = |(node, name): (&LayerNode, &String)| {
        node.weights.is_empty() || known.contains_key(format!("{path}/{name}").as_str())
    };
    // Keras 2.13 counted layers with weights twice, so that there its numbers have gaps: then the order counts.
    let names = if parent.children.iter().zip(&exact).all(is_exact) {
        exact
    } else {
        names_in_order(&parent.children, path, known).unwrap_or(exact)
    };
    for (node, name) in parent.children.iter().zip(names) {
        let path = format!("{path}/{name}");
        if let Some(layer) = known.get(path.as_str()) {
            pair_variables(node, layer, pairing);
        }
        if !node.children.is_empty() {
            let inner = if node.is_wrapped { "layer/layers" } else { "layers" };
            pair_container(node, &format!("{path}/{inner}"), known, pairing);
        }
    }
}

/// For each layer the group that has its class and its place among the groups of that class with tensors.
fn names_in_order(layers: &[LayerNode], path: &str, known: &HashMap<&str, &StoredLayer>) -> Option<Vec<String>> {
    let mut groups: HashMap<String, Vec<(u32, String)>> = HashMap::new();
    let classes: HashSet<String> = layers.iter().map(|layer| snake_case(&layer.class)).collect();
    let mut seen = HashSet::new();
    for full in known.keys() {
        let Some(rest) = full.strip_prefix(path).and_then(|rest| rest.strip_prefix('/')) else { continue };
        let name = rest.split('/').next().unwrap_or_default();
        if !seen.insert(name) {
            continue;
        }
        let numbered = name.rsplit_once('_').and_then(|(class, number)| Some((class, number.parse::<u32>().ok()?)));
        let (class, number) = match numbered {
            Some((class, number)) if classes.contains(class) => (class, number),
            _ => (name, 0),
        };
        groups.entry(class.to_string()).or_default().push((number, name.to_string()));
    }
    groups.values_mut().for_each(|list| list.sort_unstable());
    let mut used: HashMap<String, usize> = HashMap::new();
    layers
        .iter()
        .map(|layer| {
            if layer.all_weights().is_empty() {
                return Some(String::new());
            }
            let class = snake_case(&layer.class);
            let at = used.entry(class.clone()).or_default();
            *at += 1;
            groups.get(&class)?.get(*at - 1).map(|(_, name)| name.clone())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::{Bytes, Number};
    use std::sync::Arc;
    use striate_nn::layers::Dense;
    use striate_nn::{BuildOptions, Model, Sequential};

    fn stored(name: &str, shape: &[usize], value: f32) -> StoredTensor {
        let bytes = value.to_le_bytes().repeat(shape.iter().product());
        StoredTensor::new(name, shape.to_vec(), Number::F32, false, Bytes::Owned(Arc::new(bytes)))
    }

    /// A file of two dense layers in groups of the given names.
    fn file(groups: [&str; 2]) -> WeightsFile {
        let mut file = WeightsFile::empty("f", Format::KerasVars);
        for (group, value) in groups.into_iter().zip([1.0, 2.0]) {
            let tensors = vec![stored("0", &[2, 2], value), stored("1", &[2], value)];
            let mut layer = StoredLayer::new(format!("layers/{group}"), tensors);
            layer.path = Some(group.to_string());
            file.layers.push(layer);
        }
        file
    }

    fn model() -> Model {
        let stack = Sequential::new([2]).add(Dense::new(2)).add(Dense::new(2));
        stack.build_on(&BuildOptions::on(&striate_testkit::reference::device())).unwrap()
    }

    #[test]
    fn numbers_of_groups_may_have_gaps() {
        // 2.13 counted layers with weights twice.
        for groups in [["dense", "dense_1"], ["dense", "dense_2"], ["dense_2", "dense_10"]] {
            let mut model = model();
            let report = file(groups).load_into(&mut model, &LoadOptions::default()).unwrap();
            assert!(report.is_complete(), "{groups:?}: {report}");
            for (path, value) in [("dense/bias", 1.0), ("dense_1/bias", 2.0)] {
                assert_eq!(model.weight(path).unwrap().to_vec::<f32>().unwrap(), [value; 2], "{groups:?}");
            }
        }
    }
}
