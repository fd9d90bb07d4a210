//! Layers that want their channels first, in a house that keeps them last.
//!
//! Such a layer becomes one with its channels last between two [`Permute`](striate_nn::layers::Permute)s. The model's inputs
//! and outputs, and what lies between layers, keep the order that the file gives them; permutes that would undo each other are left out.

use super::dialect::{Entry, Reference, is_model};
use serde_json::json;
use std::collections::{HashMap, HashSet};

/// The number of spatial axes of a class that has a `data_format` and does the same in either order.
fn spatial_axes(class: &str) -> Option<usize> {
    if matches!(class, "Resizing" | "CenterCrop") {
        return Some(2);
    }
    let families =
        ["Conv", "Pooling", "UpSampling", "ZeroPadding", "Cropping", "SpatialDropout", "Depthwise", "Separable"];
    let is_spatial = families.iter().any(|family| class.contains(family));
    let digit = class.find("1D").map(|_| 1).or(class.find("2D").map(|_| 2)).or(class.find("3D").map(|_| 3));
    digit.filter(|_| is_spatial)
}

/// What works on each element by itself, whatever the order.
fn is_elementwise(entry: &Entry) -> bool {
    match entry.class.as_str() {
        "ReLU" | "LeakyReLU" | "ELU" | "Dropout" | "GaussianNoise" | "GaussianDropout" | "Rescaling" => true,
        "Activation" => entry.options["activation"].as_str().is_some_and(|name| name != "softmax"),
        _ => false,
    }
}

/// How an entry has to be changed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    None,
    /// Works on so many spatial axes with the channels first, and gives them back so.
    Both(usize),
    /// The same, but its result has no spatial axes.
    Before(usize),
}

/// Finds out what an entry needs, for an input of `rank` axes beside the batch axis, and rewrites its options.
fn change(entry: &mut Entry, rank: Option<usize>) -> Change {
    let is_first = entry.options["data_format"] == "channels_first";
    let axis = &entry.options["axis"];
    let axis = axis.as_i64().or_else(|| axis.as_array().filter(|list| list.len() == 1)?[0].as_i64());
    if entry.class == "BatchNormalization" {
        let Some(rank) = rank.filter(|&rank| rank > 1 && axis == Some(1)) else { return Change::None };
        entry.options["axis"] = json!(-1);
        return Change::Both(rank - 1);
    }
    if !is_first {
        return Change::None;
    }
    if entry.class == "Flatten" {
        entry.options["data_format"] = json!("channels_last");
        return rank.filter(|&rank| rank > 1).map_or(Change::None, |rank| Change::Before(rank - 1));
    }
    let axes = spatial_axes(&entry.class);
    if axes.is_some() {
        entry.options["data_format"] = json!("channels_last");
    }
    match axes {
        // Left as it is, for the layer to refuse.
        None => Change::None,
        Some(axes) if entry.class.starts_with("Global") && entry.options["keepdims"] != true => Change::Before(axes),
        Some(axes) => Change::Both(axes),
    }
}

/// Axes beside the batch axis that an entry's result has.
fn rank_after(entry: &Entry, rank: Option<usize>) -> Option<usize> {
    match entry.class.as_str() {
        "InputLayer" => entry.options["batch_shape"].as_array().map(|list| list.len().saturating_sub(1)),
        "Flatten" => Some(1),
        "Reshape" => entry.options["target_shape"].as_array().map(Vec::len),
        "RepeatVector" => Some(2),
        class if class.starts_with("Global") && entry.options["keepdims"] != true => Some(1),
        class if is_model(class) => None,
        class => spatial_axes(class).map(|axes| axes + 1).or(rank),
    }
}

fn permute(name: String, axes: usize, to_last: bool) -> Entry {
    let order: Vec<usize> =
        if to_last { (2..axes + 2).chain([1]).collect() } else { [axes + 1].into_iter().chain(1..=axes).collect() };
    let options = json!({ "name": name, "dims": order });
    Entry { class: "Permute".into(), name, options, calls: Vec::new() }
}

/// A stack with its channels last.
pub(super) fn sequential(entries: Vec<Entry>) -> Vec<Entry> {
    let mut out: Vec<Entry> = Vec::with_capacity(entries.len());
    let mut rank = None;
    // The permute that the layers so far owe, with the name of the one that owes it.
    let mut owed: Option<(usize, String)> = None;
    for mut entry in entries {
        let change = change(&mut entry, rank);
        rank = rank_after(&entry, rank);
        match change {
            Change::Both(axes) | Change::Before(axes) => {
                if let Some((other, name)) = owed.take_if(|(other, _)| *other != axes) {
                    out.push(permute(format!("{name}_channels_first"), other, false));
                }
                if owed.is_none() {
                    out.push(permute(format!("{}_channels_last", entry.name), axes, true));
                }
                owed = matches!(change, Change::Both(_)).then(|| (axes, entry.name.clone()));
            }
            Change::None if owed.is_some() && is_elementwise(&entry) => {}
            Change::None => {
                if let Some((axes, name)) = owed.take() {
                    out.push(permute(format!("{name}_channels_first"), axes, false));
                }
            }
        }
        out.push(entry);
    }
    if let Some((axes, name)) = owed {
        out.push(permute(format!("{name}_channels_first"), axes, false));
    }
    out
}

/// A graph with its channels last: entries and outputs.
pub(super) fn functional(entries: Vec<Entry>, outputs: Vec<Reference>) -> (Vec<Entry>, Vec<Reference>) {
    let mut rewriting = Rewriting::default();
    let is_needed = entries.iter().any(|e| {
        e.options["data_format"] == "channels_first" || e.options["axis"] == 1 || e.options["axis"] == json!([1])
    });
    if !is_needed {
        return (entries, outputs);
    }
    for mut entry in sorted(entries) {
        let first_input = entry.calls.first().and_then(|call| call.first());
        let rank = first_input.and_then(|(name, ..)| rewriting.ranks.get(name).copied().flatten());
        let change = change(&mut entry, rank);
        rewriting.ranks.insert(entry.name.clone(), rank_after(&entry, rank));
        let name = entry.name.clone();
        let mut calls = std::mem::take(&mut entry.calls);
        for (index, call) in calls.iter_mut().enumerate() {
            let own: Reference = (name.clone(), index, 0);
            let forms: Vec<Option<usize>> = call.iter().map(|r| rewriting.last.get(r).copied()).collect();
            match change {
                Change::Both(axes) | Change::Before(axes) => {
                    call.iter_mut().for_each(|input| *input = rewriting.last_form(input, axes));
                    if change == Change::Both(axes) {
                        rewriting.last.insert(own, axes);
                    }
                }
                Change::None => match forms[..] {
                    [Some(axes)] if is_elementwise(&entry) => _ = rewriting.last.insert(own, axes),
                    _ => call.iter_mut().for_each(|input| *input = rewriting.first_form(input)),
                },
            }
        }
        entry.calls = calls;
        rewriting.out.push(entry);
    }
    let outputs = outputs.iter().map(|output| rewriting.first_form(output)).collect();
    (rewriting.out, outputs)
}

#[derive(Default)]
struct Rewriting {
    out: Vec<Entry>,
    ranks: HashMap<String, Option<usize>>,
    /// Results that have their channels last though the file has them first, with their spatial axes.
    last: HashMap<Reference, usize>,
    /// Permutes made, by what they permute and whether to channels last.
    made: HashMap<(Reference, bool), Reference>,
}

impl Rewriting {
    fn permuted(&mut self, input: &Reference, axes: usize, to_last: bool) -> Reference {
        if let Some(made) = self.made.get(&(input.clone(), to_last)) {
            return made.clone();
        }
        let (name, index, part) = input;
        let order = if to_last { "last" } else { "first" };
        let number = match (index, part) {
            (0, 0) => String::new(),
            (index, 0) => format!("_{index}"),
            (index, part) => format!("_{index}_{part}"),
        };
        let mut entry = permute(format!("{name}_channels_{order}{number}"), axes, to_last);
        entry.calls = vec![vec![input.clone()]];
        let made = (entry.name.clone(), 0, 0);
        self.out.push(entry);
        self.made.insert((input.clone(), to_last), made.clone());
        made
    }

    /// A value with its channels last.
    fn last_form(&mut self, input: &Reference, axes: usize) -> Reference {
        match self.last.get(input) {
            Some(&own) if own == axes => input.clone(),
            Some(_) => {
                let first = self.first_form(input);
                self.permuted(&first, axes, true)
            }
            None => self.permuted(input, axes, true),
        }
    }

    /// A value in the order that the file gives it.
    fn first_form(&mut self, input: &Reference) -> Reference {
        match self.last.get(input).copied() {
            Some(axes) => self.permuted(input, axes, false),
            None => input.clone(),
        }
    }
}

/// Entries in an order in which inputs come before what uses them; what cannot be ordered stays as listed.
fn sorted(entries: Vec<Entry>) -> Vec<Entry> {
    let mut done: Vec<Entry> = Vec::with_capacity(entries.len());
    let mut names: HashSet<String> = HashSet::new();
    let mut waiting = entries;
    loop {
        let before = waiting.len();
        let mut still = Vec::new();
        for entry in waiting {
            if entry.calls.iter().flatten().all(|(name, ..)| names.contains(name)) {
                names.insert(entry.name.clone());
                done.push(entry);
            } else {
                still.push(entry);
            }
        }
        if still.len() == before {
            done.extend(still);
            return done;
        }
        waiting = still;
    }
}
