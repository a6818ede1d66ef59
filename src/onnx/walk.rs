//! The walk over the nodes of a file.

use std::{collections::HashSet, sync::Arc};

use super::{
    context::{Importer, Stamped, Term},
    error::{Failure, OnnxError, Outcome, UnsupportedNode, malformed, settle},
    file::Node,
    fold::{shape_of, size_of},
    movement::{Context, Entries, movement, moves},
    obstacles::{has_more_outputs, lost, unknown_operator},
    recurrent::is_recurrent,
    tensor::{Data, Tensor},
    time::{OPEN_FRAMES, Time, counts},
};

/// Inputs of a node.
const MAX_ARITY: usize = 1 << 12;

impl Importer<'_> {
    /// Walks the nodes of these indices.
    pub(super) fn walk(
        &mut self,
        nodes: &[Node],
        needed: &HashSet<usize>,
    ) -> Result<(), OnnxError> {
        for (_, node) in nodes.iter().enumerate().filter(|(k, _)| needed.contains(k)) {
            self.folding.visit(1)?;
            let inputs = match self.inputs(node) {
                Ok(inputs) => inputs,
                Err(e) => return Err(settle(e, &node.operator, &node.name)),
            };
            match self.node(node, &inputs) {
                Ok(outputs) => {
                    let mut outputs = outputs.into_iter();
                    for name in &node.outputs {
                        match outputs.next() {
                            Some(value) => self.define(name, value),
                            None if name.is_empty() => {}
                            // A mask, statistics, indices: of no use here, and rarely read.
                            None if has_more_outputs(&node.operator) => {
                                self.define(name, Term::Unknown.into());
                            }
                            None => {
                                return Err(malformed(format!(
                                    "`{}` ({}): it has no output `{name}`",
                                    node.name, node.operator
                                )));
                            }
                        }
                    }
                }
                Err(Failure::Unsupported { reason, instead }) => {
                    let what = UnsupportedNode {
                        name: node.name.clone(),
                        operator: node.qualified_operator(),
                        reason,
                        instead,
                    };
                    if self.reported.insert(what.clone()) {
                        self.unsupported.push(what);
                    }
                    self.go_on(node, &inputs);
                }
                // It may be so only because of what stands in for something that is not supported.
                Err(Failure::Malformed(_) | Failure::Model(_)) if !self.unsupported.is_empty() => {
                    let lost = lost(&inputs);
                    for name in &node.outputs {
                        self.define(name, lost.clone().into());
                    }
                }
                Err(other) => return Err(settle(other, &node.operator, &node.name)),
            }
        }
        Ok(())
    }

    fn inputs(&self, node: &Node) -> Outcome<Vec<Option<Stamped>>> {
        if node.inputs.len() > MAX_ARITY {
            return Err(Failure::too_large(
                "inputs of a node",
                node.inputs.len(),
                MAX_ARITY,
            ));
        }
        node.inputs
            .iter()
            .map(|name| match name.as_str() {
                "" => Ok(None),
                name => self.lookup(name).map(Some),
            })
            .collect()
    }

    fn node(&mut self, node: &Node, stamped: &[Option<Stamped>]) -> Outcome<Vec<Stamped>> {
        let inputs: Vec<Option<Term>> = stamped
            .iter()
            .map(|input| input.as_ref().map(|i| i.term.clone()))
            .collect();
        let read = inputs.iter().flatten().map(|t| self.size(t)).sum();
        self.folding.handle(read)?;
        if !node.domain.is_empty() {
            return Err(Failure::instead(
                format!("operators of the domain `{}` are not known", node.domain),
                "export the model with ONNX's own operators",
            ));
        }
        if node.operator == "If" || node.operator == "Scan" {
            return self.body(node, stamped);
        }
        let constants: Option<Vec<Option<Arc<Tensor>>>> = inputs
            .iter()
            .map(|input| match input {
                None => Some(None),
                Some(Term::Constant(tensor)) => Some(Some(tensor.clone())),
                Some(_) => None,
            })
            .collect();
        if let Some(constants) = &constants
            && let Some(outputs) = self.folding.fold(node, self.opset, constants)?
        {
            self.report.folded += 1;
            let folded = outputs.into_iter().map(|tensor| Stamped {
                time: folded_time(node, stamped, &tensor),
                term: tensor.into(),
            });
            return Ok(folded.collect());
        }
        if is_recurrent(&node.operator) {
            return self.recurrent(node, stamped);
        }
        if inputs
            .iter()
            .any(|i| matches!(i, Some(Term::Unknown | Term::Missing)))
        {
            return self.behind(node, stamped);
        }
        let (outputs, time) = match node.operator.as_str() {
            "Shape" | "Size" => {
                let Some(x) = stamped.first().and_then(Option::as_ref) else {
                    return Err(Failure::malformed("input 0 is missing"));
                };
                self.report.folded += 1;
                return Ok(vec![self.sizes_of(node, x)?]);
            }
            operator if moves(operator) => {
                let outputs = self.moved(node, stamped)?;
                let written = outputs.iter().map(|o| self.size(&o.term)).sum();
                self.folding.handle(written)?;
                return Ok(outputs);
            }
            _ => {
                let time = self.carried(node, stamped)?;
                (self.computed(node, &inputs)?, time)
            }
        };
        let written = outputs.iter().map(|t| self.size(t)).sum();
        self.folding.handle(written)?;
        if constants.is_none() {
            let stamp = |term| Stamped { term, time };
            return Ok(outputs.into_iter().map(stamp).collect());
        }
        // What is made of constants is one.
        let mut folded = Vec::with_capacity(outputs.len());
        for term in outputs {
            let value = self.value(&term)?;
            let shape = self.builder.shape(value).to_vec();
            let term = match self.builder.constant_value(value) {
                Some(entries) => Tensor::of_floats(entries.to_vec()).reshaped(shape).into(),
                None => term,
            };
            folded.push(term.into());
        }
        self.report.folded += 1;
        Ok(folded)
    }

    /// What `Shape` or `Size` makes of a value.
    fn sizes_of(&self, node: &Node, x: &Stamped) -> Outcome<Stamped> {
        let shape = self.whole_shape(x);
        let is_shape = node.operator == "Shape";
        let tensor = if is_shape {
            shape_of(node, &shape)?
        } else {
            size_of(&shape)
        };
        let time = match (self.frames, x.time) {
            (Some(frames), Time::Axis(_)) if is_shape => frames.among(tensor.ints()?),
            (Some(frames), Time::Axis(_)) if frames.open => Time::Count,
            _ => Time::None,
        };
        Ok(Stamped {
            term: tensor.into(),
            time,
        })
    }

    /// The outputs of a node of which some input depends on the network's.
    fn computed(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Vec<Term>> {
        let operator = node.operator.as_str();
        if let Some(term) = self.elementwise(node, inputs)? {
            return Ok(vec![term]);
        }
        if let Some(term) = self.layer(node, inputs)? {
            return Ok(vec![term]);
        }
        Err(unknown_operator(operator))
    }

    /// An operator that only moves entries of its first input.
    fn moved(&mut self, node: &Node, inputs: &[Option<Stamped>]) -> Outcome<Vec<Stamped>> {
        let Some(x) = inputs.first().cloned().flatten() else {
            return Err(Failure::malformed("input 0 is missing"));
        };
        if let Term::Computed(c) = &x.term
            && self.indices.contains(&c.base)
            && matches!(
                node.operator.as_str(),
                "Identity" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze"
            )
        {
            return Ok(vec![x]);
        }
        let mut rest = Vec::new();
        let mut counted = false;
        for input in inputs.iter().skip(1) {
            rest.push(match input {
                None => None,
                Some(Stamped {
                    term: Term::Constant(tensor),
                    time,
                }) => {
                    counted |= *time == Time::Count;
                    Some(tensor.as_ref())
                }
                Some(_) => {
                    return Err(Failure::unsupported(
                        "where entries go depends on the input of the network",
                    ));
                }
            });
        }
        if let Time::Axis(at) = x.time {
            return self.moved_in_time(node, (&x.term, at), &rest);
        }
        let shape = self.shape(&x.term);
        let moved = movement(&Context {
            node,
            opset: self.opset,
            shape: &shape,
            rest: &rest,
        })?;
        moved
            .into_iter()
            .map(|moved| {
                if counted && !matches!(moved.entries, Entries::Same) {
                    return Err(counts());
                }
                Ok(Stamped {
                    term: self.place(&x.term, &shape, moved)?,
                    time: x.time,
                })
            })
            .collect()
    }
}

/// Whether a constant that is computed depends on how many frames there are: what is only moved does
/// not, if that number is not among it.
fn folded_time(node: &Node, inputs: &[Option<Stamped>], output: &Tensor) -> Time {
    let counted = inputs.iter().flatten().any(|i| i.time == Time::Count);
    let moved = moves(&node.operator) || node.operator == "Concat";
    let open = i64::try_from(OPEN_FRAMES).unwrap_or(i64::MAX);
    match output.data() {
        _ if !counted => Time::None,
        Data::Ints(ints) if moved && !ints.contains(&open) => Time::None,
        _ => Time::Count,
    }
}
