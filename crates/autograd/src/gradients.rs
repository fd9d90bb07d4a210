//! The backward pass.

use crate::var::{Backward, Node, Var};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};
use striate_tensor::{Error, Result, Tensor};

/// The gradients of one scalar with respect to leaves.
#[derive(Debug, Default)]
pub struct Gradients {
    of_leaf: HashMap<u64, Tensor>,
}

impl Gradients {
    /// The gradient with respect to a leaf; `None` if the scalar does not depend on it.
    pub fn of(&self, leaf: &Var) -> Option<&Tensor> {
        leaf.node.as_ref().and_then(|node| self.of_leaf.get(&node.id))
    }

    /// As [`Gradients::of`], handing the gradient over.
    pub fn take(&mut self, leaf: &Var) -> Option<Tensor> {
        leaf.node.as_ref().and_then(|node| self.of_leaf.remove(&node.id))
    }
}

/// What an op's output has received so far.
struct Pending {
    node: Arc<Node>,
    dy: Tensor,
    /// All that was received is zero wherever the output, a ReLU's, is not positive.
    masked: bool,
}

impl Var {
    /// The gradients of this scalar with respect to every leaf it was computed from.
    ///
    /// The tape is used up: what the ops saved is freed as the pass goes on, and a second call through the same
    /// ops is an error.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is exactly one element; [`Error::Argument`] if the tape was used before.
    pub fn backward(&self) -> Result<Gradients> {
        if self.value().elements() != 1 {
            return Err(Error::shape(
                "backward",
                "the variable must have exactly one element",
                self.shape().to_string(),
                "sum or average it first, or use backward_from with its gradient",
            ));
        }
        self.backward_from(Tensor::full(*self.shape(), 1.0, self.value().dtype(), self.device())?)
    }

    /// The gradients of Σ `dy`·self with respect to every leaf; as [`Var::backward`] for any shape.
    ///
    /// # Errors
    /// [`Error::Shape`] if `dy` does not have the variable's shape; [`Error::Argument`] if the tape was used before.
    pub fn backward_from(&self, dy: Tensor) -> Result<Gradients> {
        dy.has_shape("backward", self.shape())?;
        let mut gradients = Gradients::default();
        let Some(root) = &self.node else { return Ok(gradients) };
        // Inputs have smaller ids than outputs, so the largest pending id has received all its gradients.
        let mut pending: BTreeMap<u64, Pending> = BTreeMap::new();
        pending.insert(root.id, Pending { node: root.clone(), dy, masked: false });
        while let Some((id, Pending { node, dy, masked })) = pending.pop_last() {
            if node.is_leaf {
                gradients.of_leaf.insert(id, dy);
                continue;
            }
            let rule = node.rule.lock().unwrap_or_else(PoisonError::into_inner).take();
            let mut rule = rule.ok_or_else(|| {
                Error::argument(
                    "backward",
                    "a tape can be used once",
                    "a second backward pass through the same op",
                    "compute the forward pass again",
                )
            })?;
            mask_for_only_reader(&mut *rule, &node);
            let needed: Vec<bool> = node.inputs.iter().map(Option::is_some).collect();
            let input_gradients = {
                let _span = node.span.enter();
                let all = if masked { rule.backward_masked(&dy, &needed) } else { rule.backward(&dy, &needed) };
                all.map_err(|error| error.at(rule.name()))?
            };
            let masked = rule.gives_masked();
            drop((rule, dy));
            for (input, gradient) in node.inputs.iter().zip(input_gradients) {
                let (Some(input), Some(gradient)) = (input, gradient) else { continue };
                match pending.get_mut(&input.id) {
                    Some(sum) => {
                        sum.dy = sum.dy.add(&gradient)?;
                        sum.masked &= masked;
                    }
                    None => {
                        pending.insert(input.id, Pending { node: input.clone(), dy: gradient, masked });
                    }
                }
            }
        }
        Ok(gradients)
    }
}

/// If nothing but this op read a ReLU's output, the op gives the gradient of what the ReLU was applied to: the ReLU spares a pass
/// then, and the op may write over the output.
fn mask_for_only_reader(rule: &mut dyn Backward, node: &Node) {
    let Some(Some(input)) = node.inputs.first() else { return };
    // Every reader, and every variable that a later one could read, holds the node.
    if !rule.can_mask() || Arc::strong_count(input) > 1 {
        return;
    }
    if let Some(relu) = input.rule.lock().unwrap_or_else(PoisonError::into_inner).as_mut().filter(|r| r.is_relu()) {
        relu.release_output();
        rule.mask();
    }
}
