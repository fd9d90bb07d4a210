//! The variable and the node of the tape behind it.

use crate::ops::conv::Recipe;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use striate_tensor::{Device, Result, Shape, Tensor};
use tracing::Span;

/// The backward rule of one op, holding what it saved of the forward pass.
pub trait Backward: Send + Sync {
    /// The op's name, for errors and profiles.
    fn name(&self) -> &'static str;
    /// The gradients of the op's inputs from its output's; `None` where `needed` is false or there is none.
    ///
    /// # Errors
    /// Those of the primitives.
    fn backward(&mut self, dy: &Tensor, needed: &[bool]) -> Result<Vec<Option<Tensor>>>;

    /// Whether the output is a ReLU's: its gradient counts only where the output is positive.
    fn is_relu(&self) -> bool {
        false
    }

    /// Whether the gradients that this rule gives are zero already wherever an input that is a ReLU's is not positive.
    fn gives_masked(&self) -> bool {
        false
    }

    /// Whether this rule can give the gradient of its first input, a ReLU's output, with zeros wherever that is not positive.
    fn can_mask(&self) -> bool {
        false
    }

    /// Asks for that from now on; [`Backward::gives_masked`] is true then.
    fn mask(&mut self) {}

    /// Says that every gradient to come is masked already: a ReLU need not keep its output.
    fn release_output(&mut self) {}

    /// As [`Backward::backward`], for a gradient that is zero already wherever the output is not positive: a ReLU spares
    /// the pass over its output.
    ///
    /// # Errors
    /// Those of the primitives.
    fn backward_masked(&mut self, dy: &Tensor, needed: &[bool]) -> Result<Vec<Option<Tensor>>> {
        self.backward(dy, needed)
    }
}

/// One computed value on the tape. A node's inputs always have smaller ids than itself.
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) inputs: Vec<Option<Arc<Node>>>,
    /// `None` for a leaf, and after the rule was used: what it saved is freed as the backward pass goes on.
    pub(crate) rule: Mutex<Option<Box<dyn Backward>>>,
    pub(crate) is_leaf: bool,
    /// Where the op was recorded, a layer's span for instance: its backward pass is accounted there too.
    pub(crate) span: Span,
}

/// Orders nodes by their creation. Only the order matters, not the numbers.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl Node {
    fn new(inputs: Vec<Option<Arc<Node>>>, rule: Option<Box<dyn Backward>>) -> Arc<Node> {
        let is_leaf = rule.is_none();
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Arc::new(Node { id, inputs, rule: Mutex::new(rule), is_leaf, span: Span::current() })
    }
}

/// A tensor that remembers how it was computed.
///
/// Cloning is cheap and gives the same variable. A constant has no memory: ops on constants alone record nothing and
/// keep nothing alive.
#[derive(Clone)]
pub struct Var {
    value: Tensor,
    pub(crate) node: Option<Arc<Node>>,
    /// What softmax or sigmoid was applied to, so that a loss can be computed stably from it.
    logits: Option<Arc<Var>>,
    /// How to compute the value again, where keeping it costs more.
    recipe: Option<Arc<Recipe>>,
}

impl Var {
    /// A variable whose gradient is wanted.
    pub fn leaf(value: Tensor) -> Var {
        Var { value, node: Some(Node::new(Vec::new(), None)), logits: None, recipe: None }
    }

    /// A value whose gradient is not wanted.
    pub fn constant(value: Tensor) -> Var {
        Var { value, node: None, logits: None, recipe: None }
    }

    /// The result of an op on `inputs`; `rule` is made only if a gradient may be asked for.
    ///
    /// This is how ops are written: compute `value` with the primitives, and give the rule what backward needs.
    pub fn from_op<R: Backward + 'static>(value: Tensor, inputs: &[&Var], rule: impl FnOnce() -> R) -> Var {
        if inputs.iter().all(|input| input.node.is_none()) {
            return Var::constant(value);
        }
        let nodes = inputs.iter().map(|input| input.node.clone()).collect();
        Var { value, node: Some(Node::new(nodes, Some(Box::new(rule())))), logits: None, recipe: None }
    }

    /// The tensor.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// The tensor, given up by the variable.
    pub fn into_value(self) -> Tensor {
        self.value
    }

    /// The shape of the value.
    pub fn shape(&self) -> &Shape {
        self.value.shape()
    }

    /// Whether the value was computed by a ReLU, or an op that ends in one.
    pub(crate) fn is_relu(&self) -> bool {
        let Some(node) = &self.node else { return false };
        node.rule.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|rule| rule.is_relu())
    }

    /// Where the value lives.
    pub fn device(&self) -> &Device {
        self.value.device()
    }

    /// Whether a gradient flows to this variable.
    pub fn needs_gradient(&self) -> bool {
        self.node.is_some()
    }

    /// The same value, cut off from how it was computed.
    pub fn detach(&self) -> Var {
        Var::constant(self.value.clone())
    }

    /// What softmax or sigmoid was applied to, if this variable is the result of one.
    pub fn logits(&self) -> Option<&Var> {
        self.logits.as_deref()
    }

    pub(crate) fn recipe(&self) -> Option<&Arc<Recipe>> {
        self.recipe.as_ref()
    }

    pub(crate) fn with_recipe(mut self, recipe: Arc<Recipe>) -> Var {
        self.recipe = Some(recipe);
        self
    }

    pub(crate) fn with_logits(mut self, logits: &Var) -> Var {
        self.logits = Some(Arc::new(logits.clone()));
        self
    }
}

impl fmt::Debug for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.node {
            None => "constant",
            Some(node) if node.is_leaf => "leaf",
            Some(_) => "computed",
        };
        write!(f, "Var({kind}, {:?})", self.value)
    }
}
