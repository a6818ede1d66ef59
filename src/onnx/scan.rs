//! Nodes with bodies: `If` of a constant, and `Scan`, unrolled or over the frames of a recurrent
//! network.

use std::collections::HashMap;

use super::{
    context::{Importer, Stamped, Term, initializers},
    error::{Failure, Outcome},
    file::{Body, Node, needed},
    tensor::{axis, entries, per_axis},
    time::{Time, counts},
};
use crate::network::SparseMatrix;

/// Steps that a `Scan` may have.
const MAX_STEPS: usize = 64;
/// Bodies that the walk may be in.
const MAX_SCOPES: usize = 16;

impl Importer<'_> {
    pub(super) fn body(
        &mut self,
        node: &Node,
        inputs: &[Option<Stamped>],
    ) -> Outcome<Vec<Stamped>> {
        if self.scopes.len() > MAX_SCOPES {
            return Err(Failure::too_large(
                "bodies within each other",
                self.scopes.len(),
                MAX_SCOPES,
            ));
        }
        if inputs.iter().flatten().any(|i| i.time == Time::Count) {
            return Err(counts());
        }
        if node.operator == "If" {
            self.choice(node, inputs)
        } else {
            self.scan(node, inputs)
        }
    }

    fn choice(&mut self, node: &Node, inputs: &[Option<Stamped>]) -> Outcome<Vec<Stamped>> {
        let condition = match inputs.first().cloned().flatten().map(|i| i.term) {
            Some(Term::Constant(condition)) => condition,
            Some(Term::Computed(_)) => {
                return Err(Failure::instead(
                    "its condition depends on the input of the network",
                    "export the branch that is taken",
                ));
            }
            Some(Term::Unknown | Term::Missing) => {
                return Ok(node.outputs.iter().map(|_| Term::Unknown.into()).collect());
            }
            None => return Err(Failure::malformed("input 0 is missing")),
        };
        let [is_true] = condition.bools()? else {
            return Err(Failure::malformed("its condition is not one boolean"));
        };
        let name = if *is_true {
            "then_branch"
        } else {
            "else_branch"
        };
        let body = self.graph_attribute(node, name)?;
        let outputs = self.run(body, Vec::new())?;
        if outputs.len() < node.outputs.len() {
            return Err(Failure::malformed(format!(
                "{} outputs of its branch for {}",
                outputs.len(),
                node.outputs.len()
            )));
        }
        Ok(outputs)
    }

    fn graph_attribute<'n>(&self, node: &'n Node, name: &str) -> Outcome<&'n Body> {
        node.graph(name)?
            .ok_or_else(|| Failure::malformed(format!("it has no attribute `{name}`")))
    }

    /// The outputs of a body whose inputs are these.
    fn run(&mut self, body: &Body, inputs: Vec<Stamped>) -> Outcome<Vec<Stamped>> {
        self.folding
            .visit(body.nodes.len().saturating_add(body.initializers.len()))?;
        let mut scope: HashMap<String, Stamped> = initializers(body);
        for (port, term) in body.inputs.iter().zip(inputs) {
            scope.insert(port.name.clone(), term);
        }
        let outputs: Vec<&str> = body.outputs.iter().map(String::as_str).collect();
        let needed = needed(&body.nodes, &outputs);
        self.scopes.push(scope);
        let walked = self.walk(&body.nodes, &needed);
        let outputs = walked.map_err(Failure::from).and_then(|()| {
            outputs
                .iter()
                .map(|name| self.lookup(name))
                .collect::<Outcome<Vec<_>>>()
        });
        self.scopes.pop();
        outputs
    }

    fn scan(&mut self, node: &Node, inputs: &[Option<Stamped>]) -> Outcome<Vec<Stamped>> {
        if self.opset < 9 {
            return Err(Failure::instead(
                "before operator set 9 it has a batch",
                "convert the model with `onnx.version_converter`",
            ));
        }
        let body = self.graph_attribute(node, "body")?;
        let scanned = usize::try_from(node.int("num_scan_inputs", 0)?).unwrap_or(0);
        let terms = inputs
            .iter()
            .enumerate()
            .map(|(k, input)| {
                let missing = || Failure::malformed(format!("input {k} is missing"));
                input.clone().ok_or_else(missing)
            })
            .collect::<Outcome<Vec<_>>>()?;
        let Some(state_count) = terms.len().checked_sub(scanned).filter(|_| scanned > 0) else {
            return Err(Failure::malformed(format!(
                "{scanned} of its {} inputs are scanned",
                terms.len()
            )));
        };
        let Some(result_count) = body.outputs.len().checked_sub(state_count) else {
            return Err(Failure::malformed("its body has fewer outputs than states"));
        };
        if body.inputs.len() != terms.len() || node.outputs.len() > body.outputs.len() {
            return Err(Failure::malformed(format!(
                "its body has {} inputs and {} outputs, the node {} and {}",
                body.inputs.len(),
                body.outputs.len(),
                terms.len(),
                node.outputs.len()
            )));
        }
        let (mut states, scanned_terms) = {
            let mut terms = terms;
            let scanned = terms.split_off(state_count);
            (terms, scanned)
        };
        let is_known = |t: &Stamped| !matches!(t.term, Term::Unknown | Term::Missing);
        let axes = list(node, "scan_input_axes", scanned)?;
        let reversed = directions(node, "scan_input_directions", scanned)?;
        let out_axes = list(node, "scan_output_axes", result_count)?;
        let out_reversed = directions(node, "scan_output_directions", result_count)?;

        let mut inputs = Vec::new();
        let mut steps = None;
        let (mut over_time, mut over_entries, mut constant) = (false, false, false);
        for ((term, at), reversed) in scanned_terms.into_iter().zip(axes).zip(reversed) {
            if !is_known(&term) {
                // One step, for what its body has to say.
                inputs.push((term, 0, 1, reversed));
                continue;
            }
            let shape = self.whole_shape(&term);
            let at = axis(at, shape.len())?;
            if term.time == Time::Axis(at) {
                over_time = true;
            } else if matches!(term.time, Time::Axis(_)) {
                over_entries = true;
            } else if matches!(term.term, Term::Constant(_)) {
                constant = true;
            }
            let size = shape.get(at).copied().unwrap_or(0);
            if steps.is_some_and(|s| s != size) {
                return Err(Failure::malformed(
                    "its inputs have different numbers of steps",
                ));
            }
            steps = Some(size);
            inputs.push((term, at, size, reversed));
        }
        let steps = steps.unwrap_or(1);
        if steps == 0 {
            return Err(Failure::unsupported("it has no step"));
        }
        if over_time {
            let reverse = inputs.iter().any(|i| i.3) || out_reversed.contains(&true);
            let problem = if reverse {
                "it runs over the frames in reverse"
            } else if over_entries || constant {
                "it runs over something else beside the frames"
            } else {
                let frames = inputs
                    .into_iter()
                    .map(|(term, at, ..)| (term, at))
                    .collect();
                return self.scan_frames(node, body, states, frames, &out_axes);
            };
            return Err(Failure::instead(
                problem,
                "a recurrent network runs forward over the frames",
            ));
        }
        if steps > MAX_STEPS {
            return Err(Failure::instead(
                format!("it has {steps} steps, up to {MAX_STEPS} are unrolled"),
                "write a recurrent network with `RNN`, `GRU` or `LSTM`",
            ));
        }
        let mut results: Vec<Vec<Stamped>> = vec![Vec::new(); result_count];
        for step in 0..steps {
            let before = self.unsupported.len();
            let mut step_inputs = states;
            for (term, at, _, reversed) in &inputs {
                let index = if *reversed { steps - 1 - step } else { step };
                step_inputs.push(if is_known(term) {
                    self.entry(term, *at, index)?
                } else {
                    Term::Unknown.into()
                });
            }
            let mut outputs = self.run(body, step_inputs)?;
            if self.unsupported.len() > before {
                return Ok(node.outputs.iter().map(|_| Term::Unknown.into()).collect());
            }
            let of_step = outputs.split_off(state_count);
            states = outputs;
            for (all, one) in results.iter_mut().zip(of_step) {
                all.push(one);
            }
        }
        for ((mut all, at), reversed) in results.into_iter().zip(out_axes).zip(out_reversed) {
            if reversed {
                all.reverse();
            }
            let stacked = if all.iter().all(is_known) {
                self.stack(&all, at)?
            } else {
                Term::Unknown.into()
            };
            states.push(stacked);
        }
        Ok(states)
    }

    /// A `Scan` over the frames: its states are the network's.
    fn scan_frames(
        &mut self,
        node: &Node,
        body: &Body,
        initial: Vec<Stamped>,
        scanned: Vec<(Stamped, usize)>,
        out_axes: &[i64],
    ) -> Outcome<Vec<Stamped>> {
        let mut states = Vec::new();
        let mut inputs = Vec::new();
        for term in &initial {
            let Term::Constant(tensor) = &term.term else {
                return Err(Failure::unsupported(
                    "its state before the first frame depends on the input",
                ));
            };
            let values = tensor.array()?;
            if values.iter().any(|v| *v != 0.0) {
                self.note(format!(
                    "`{}` ({}): its state before the first frame is public",
                    node.name, node.operator
                ));
            }
            let state = self.builder.state_from(values.view())?;
            states.push(state);
            inputs.push(Stamped {
                term: state.into(),
                time: Time::Frame,
            });
        }
        for (term, at) in scanned {
            let mut shape = self.shape(&term.term);
            shape.remove(at);
            let value = self.value(&term.term)?;
            inputs.push(Stamped {
                term: self.builder.reshape(value, &shape)?.into(),
                time: Time::Frame,
            });
        }
        let before = self.unsupported.len();
        let mut outputs = self.run(body, inputs)?;
        if self.unsupported.len() > before {
            return Ok(node.outputs.iter().map(|_| Term::Unknown.into()).collect());
        }
        let of_frame = outputs.split_off(states.len());
        let mut results = Vec::new();
        for (state, next) in states.into_iter().zip(outputs) {
            let next = self.value(&next.term)?;
            self.builder.carry(state, next)?;
            results.push(Stamped {
                term: next.into(),
                time: Time::Last,
            });
        }
        for (value, at) in of_frame.into_iter().zip(out_axes) {
            let mut shape = self.shape(&value.term);
            let at = axis(*at, shape.len() + 1)?;
            shape.insert(at, 1);
            let value = self.value(&value.term)?;
            results.push(Stamped {
                term: self.builder.reshape(value, &shape)?.into(),
                time: Time::Axis(at),
            });
        }
        Ok(results)
    }

    /// The entry of this index along an axis, which goes.
    fn entry(&mut self, value: &Stamped, at: usize, index: usize) -> Outcome<Stamped> {
        let Stamped { term, time } = value;
        let time = match *time {
            Time::Axis(own) if own > at => Time::Axis(own - 1),
            other => other,
        };
        let shape = self.shape(term);
        entries(&shape)?;
        let lists: Vec<Vec<usize>> = shape
            .iter()
            .enumerate()
            .map(|(k, size)| {
                if k == at {
                    vec![index]
                } else {
                    (0..*size).collect()
                }
            })
            .collect();
        let indices = per_axis(&shape, &lists)?;
        let mut left = shape.clone();
        left.remove(at);
        if let Term::Constant(tensor) = term {
            let term = tensor.select(left, &indices).into();
            return Ok(Stamped { term, time });
        }
        if left.is_empty() {
            return Err(Failure::unsupported(
                "a step is a number without a dimension",
            ));
        }
        let x = self.value(term)?;
        let matrix = SparseMatrix::selection(shape.iter().product(), &indices)?;
        let term = self.builder.linear(x, matrix, None, &left)?.into();
        Ok(Stamped { term, time })
    }

    /// Values of one shape along a new axis.
    fn stack(&mut self, terms: &[Stamped], at: i64) -> Outcome<Stamped> {
        let Some(first) = terms.first() else {
            return Err(Failure::malformed("it has no step"));
        };
        let shape = self.shape(&first.term);
        let at = axis(at, shape.len() + 1)?;
        let mut expanded = shape.clone();
        expanded.insert(at, 1);
        let mut values = Vec::new();
        for value in terms {
            if self.shape(&value.term) != shape || value.time != first.time {
                return Err(Failure::malformed(
                    "an output changes its shape from step to step",
                ));
            }
            let value = self.value(&value.term)?;
            values.push(self.builder.reshape(value, &expanded)?);
        }
        let time = match first.time {
            Time::Axis(own) if own >= at => Time::Axis(own + 1),
            other => other,
        };
        Ok(Stamped {
            term: self.builder.concat(&values, at)?.into(),
            time,
        })
    }
}

fn list(node: &Node, name: &str, count: usize) -> Outcome<Vec<i64>> {
    match node.ints(name)? {
        None => Ok(vec![0; count]),
        Some(list) if list.len() == count => Ok(list.clone()),
        Some(list) => Err(Failure::malformed(format!(
            "attribute `{name}` has {} entries, expected {count}",
            list.len()
        ))),
    }
}

fn directions(node: &Node, name: &str, count: usize) -> Outcome<Vec<bool>> {
    list(node, name, count)?
        .into_iter()
        .map(|d| match d {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Failure::malformed(format!(
                "attribute `{name}` names the direction {other}"
            ))),
        })
        .collect()
}
