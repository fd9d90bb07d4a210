//! Layers applied to symbols: the functional way of building a model.

use crate::layer::{Builder, Layer};
use crate::layers::InputLayer;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use striate_tensor::{Error, Result, Shape};

/// A layer as it stands in a model: shared, and perhaps named.
///
/// Using one instance twice uses its weights twice; making two of the same layer gives each its own.
#[derive(Clone, Debug)]
pub struct Instance {
    pub(crate) name: Option<String>,
    pub(crate) layer: Arc<dyn Layer>,
}

impl Instance {
    /// An instance of a layer that is shared already.
    pub fn from_arc(layer: Arc<dyn Layer>) -> Self {
        Instance { name: None, layer }
    }

    /// The instance under another name.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl<L: Layer> From<L> for Instance {
    fn from(layer: L) -> Self {
        // A model keeps its own name inside a larger one.
        let name = layer.as_graph().map(|graph| graph.name().to_string());
        Instance { name, layer: Arc::new(layer) }
    }
}

/// Symbols that a layer is applied to: one, or several.
pub trait Inputs {
    /// The symbols in order.
    fn symbols(&self) -> Vec<Symbol>;
}

impl Inputs for &Symbol {
    fn symbols(&self) -> Vec<Symbol> {
        vec![(*self).clone()]
    }
}

impl Inputs for &[Symbol] {
    fn symbols(&self) -> Vec<Symbol> {
        self.to_vec()
    }
}

impl<const N: usize> Inputs for [&Symbol; N] {
    fn symbols(&self) -> Vec<Symbol> {
        self.iter().map(|&symbol| symbol.clone()).collect()
    }
}

/// Applying layers to symbols, and naming them.
pub trait Call: Sized {
    /// The layer's output for one or several inputs.
    ///
    /// # Errors
    /// Those of [`Layer::build`]: shapes are checked here, before any work.
    fn call(self, inputs: impl Inputs) -> Result<Symbol>;
    /// The layer under a name of your own.
    fn named(self, name: impl Into<String>) -> Instance;
}

impl<L: Into<Instance>> Call for L {
    fn call(self, inputs: impl Inputs) -> Result<Symbol> {
        let instance = self.into();
        let name = instance.name.clone().unwrap_or_else(|| snake_case(instance.layer.class_name()));
        Symbol::apply(&instance, inputs.symbols(), &name)
    }

    fn named(self, name: impl Into<String>) -> Instance {
        self.into().with_name(name)
    }
}

pub(crate) struct SymbolNode {
    pub(crate) id: u64,
    /// The same for all results of one call.
    pub(crate) call: u64,
    /// Which result of the call it is.
    pub(crate) part: usize,
    pub(crate) instance: Instance,
    pub(crate) inputs: Vec<Symbol>,
    pub(crate) shape: Shape,
}

/// A value that a model will compute: a layer applied to other symbols, or an input.
#[derive(Clone)]
pub struct Symbol(pub(crate) Arc<SymbolNode>);

/// Orders symbols by their creation, which is a topological order. Only the order matters.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl Symbol {
    fn new(instance: Instance, inputs: Vec<Symbol>, shape: Shape) -> Symbol {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Symbol(Arc::new(SymbolNode { id, call: id, part: 0, instance, inputs, shape }))
    }

    /// All results of the call that made this symbol, its first: one of a layer, as many as a model has outputs.
    ///
    /// ```
    /// use striate_nn::{BuildOptions, Call, Model, Symbol, layers::*};
    /// let device = striate_testkit::reference::device();
    /// let image = Symbol::input([8, 8, 1])?;
    /// let low = Conv2D::new(2, 3).call(&image)?;
    /// let high = MaxPooling2D::new(2).call(&low)?;
    /// let encoder = Model::from_symbols("encoder", &[image], &[low, high], &BuildOptions::on(&device))?;
    ///
    /// let photo = Symbol::input([8, 8, 1])?;
    /// let [low, high] = &encoder.call(&photo)?.results()[..] else { unreachable!() };
    /// let joined = Add.call([&UpSampling2D::new(2).call(high)?, low])?;
    /// assert_eq!(joined.shape().to_string(), "(6, 6, 2)");
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn results(&self) -> Vec<Symbol> {
        let SymbolNode { call, instance, inputs, .. } = &*self.0;
        let shapes = instance.layer.as_graph().map(|graph| graph.output_shapes()).unwrap_or_default();
        if shapes.len() < 2 {
            return vec![self.clone()];
        }
        let result = |(part, &shape): (usize, &Shape)| {
            if part == self.0.part {
                return self.clone();
            }
            let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
            let (instance, inputs) = (instance.clone(), inputs.clone());
            Symbol(Arc::new(SymbolNode { id, call: *call, part, instance, inputs, shape }))
        };
        shapes.iter().enumerate().map(result).collect()
    }

    /// An input of the given shape, without the batch axis.
    ///
    /// # Errors
    /// [`Error::Shape`] if no batch axis can be added.
    pub fn input(shape: impl Into<Shape>) -> Result<Symbol> {
        Symbol::input_from(InputLayer::new(shape).into())
    }

    /// An input under a name of your own.
    ///
    /// # Errors
    /// As [`Symbol::input`].
    pub fn named_input(name: &str, shape: impl Into<Shape>) -> Result<Symbol> {
        Symbol::input_from(InputLayer::new(shape).named(name))
    }

    pub(crate) fn input_from(instance: Instance) -> Result<Symbol> {
        let shape = instance.layer.build(&Shape::SCALAR, &mut Builder::default())?;
        shape.with_batch(1)?;
        Ok(Symbol::new(instance, Vec::new(), shape))
    }

    /// `name` is what errors call the layer.
    pub(crate) fn apply(instance: &Instance, inputs: Vec<Symbol>, name: &str) -> Result<Symbol> {
        if inputs.is_empty() {
            return Err(Error::argument(name, "a layer needs at least one input", "none", ""));
        }
        let shapes: Vec<Shape> = inputs.iter().map(|symbol| symbol.0.shape).collect();
        let shape = instance.layer.build_many(&shapes, &mut Builder::default()).map_err(|error| error.at(name))?;
        shape.with_batch(1).map_err(|error| error.at(name))?;
        Ok(Symbol::new(instance.clone(), inputs, shape))
    }

    /// The shape, without the batch axis.
    pub fn shape(&self) -> &Shape {
        &self.0.shape
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Symbol({} {})", self.0.instance.layer.class_name(), self.0.shape)
    }
}

/// Keras's default name of a class: `MaxPooling2D` is `max_pooling2d`.
pub fn snake_case(class: &str) -> String {
    let chars: Vec<char> = class.chars().collect();
    let mut name = String::new();
    for (i, &c) in chars.iter().enumerate() {
        let starts_word = c.is_ascii_uppercase()
            && i > 0
            && (chars.get(i + 1).is_some_and(char::is_ascii_lowercase) || chars[i - 1].is_ascii_lowercase());
        if starts_word && !name.ends_with('_') {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn default_names_are_keras_names() {
        for (class, name) in [
            ("Conv2D", "conv2d"),
            ("MaxPooling2D", "max_pooling2d"),
            ("Conv2DTranspose", "conv2d_transpose"),
            ("BatchNormalization", "batch_normalization"),
            ("ReLU", "re_lu"),
            ("PReLU", "p_re_lu"),
            ("LeakyReLU", "leaky_re_lu"),
            ("GlobalAveragePooling1D", "global_average_pooling1d"),
            ("DepthwiseConv2D", "depthwise_conv2d"),
            ("Dense", "dense"),
        ] {
            assert_eq!(snake_case(class), name);
        }
    }
}
