//! `RNN`, `GRU` and `LSTM`, over the frames of the network's input.

use ndarray::{Array1, ArrayD, Ix1, Ix2, IxDyn};

use super::{
    context::{Importer, Stamped, Term},
    error::{Failure, Outcome},
    file::Node,
    tensor::{Tensor, Wiped},
    time::Time,
};
use crate::network::{GruReset, LSTM_MEMORY, RecurrentWeights, RnnActivation, Value};

/// What a node computes.
enum Cell {
    Rnn(RnnActivation),
    Gru(GruReset),
    Lstm,
}

impl Importer<'_> {
    /// The outputs `Y`, `Y_h` and, of an LSTM, `Y_c`.
    pub(super) fn recurrent(
        &mut self,
        node: &Node,
        inputs: &[Option<Stamped>],
    ) -> Outcome<Vec<Stamped>> {
        let direction = node.text("direction")?.map_or("forward", String::as_str);
        if direction != "forward" {
            return Err(Failure::instead(
                format!("its direction is `{direction}`"),
                "a recurrent network runs forward over the frames",
            ));
        }
        if node.attribute("clip").is_some() {
            return Err(Failure::unsupported("it clips its sums"));
        }
        if node.flag("input_forget", false)? {
            return Err(Failure::unsupported("it couples input and forget gates"));
        }
        let Some(x) = inputs.first().and_then(Option::as_ref) else {
            return Err(Failure::malformed("input 0 is missing"));
        };
        if inputs
            .iter()
            .flatten()
            .any(|i| matches!(i.term, Term::Unknown | Term::Missing))
        {
            return Ok(node.outputs.iter().map(|_| Term::Unknown.into()).collect());
        }
        let batch_first = node.flag("layout", false)?;
        let x = self.frame_of(x, batch_first)?;
        let [entries] = *self.builder.shape(x) else {
            return Err(Failure::malformed("its input is no sequence of vectors"));
        };
        let (cell, weights) = self.cell(node, inputs, entries)?;
        let hidden = weights.hidden.ncols();
        self.check_lengths(inputs)?;
        if let Some(peepholes) = constant_of(inputs, 7, "peepholes")?
            && peepholes.floats()?.iter().any(|v| *v != 0.0)
        {
            return Err(Failure::unsupported("it has peepholes"));
        }
        let initial = |index: usize, what: &str| -> Outcome<Wiped<IxDyn>> {
            match constant_of(inputs, index, what)? {
                None => Ok(Wiped(ArrayD::zeros(vec![hidden]))),
                Some(tensor) if tensor.len() == hidden => tensor.in_shape(IxDyn(&[hidden])),
                Some(tensor) => Err(Failure::malformed(format!(
                    "its {what} has the shape {:?} for {hidden} units",
                    tensor.shape()
                ))),
            }
        };
        let h = initial(5, "initial state")?;
        let c = match cell {
            Cell::Lstm => Some(initial(6, "initial memory")?),
            _ => None,
        };
        let public = [Some(&h), c.as_ref()];
        if public.iter().flatten().any(|v| v.iter().any(|v| *v != 0.0)) {
            self.note(format!(
                "`{}` ({}): its state before the first frame is public",
                node.name, node.operator
            ));
        }
        let builder = &mut self.builder;
        let state = match cell {
            Cell::Rnn(RnnActivation::Relu) => builder.state_from(h.view())?,
            _ => builder.state_within(h.view(), 1.0)?,
        };
        let (next, memory) = match cell {
            Cell::Rnn(activation) => (builder.rnn_step(x, state, &weights, activation)?, None),
            Cell::Gru(reset) => (builder.gru_step(x, state, &weights, reset)?, None),
            Cell::Lstm => {
                let c = c.map_or_else(|| ArrayD::zeros(vec![hidden]), |c| c.clone());
                let c = builder.state_within(c.view(), LSTM_MEMORY)?;
                let (next, memory) = builder.lstm_step(x, state, c, &weights)?;
                builder.carry(c, memory)?;
                (next, Some(memory))
            }
        };
        builder.carry(state, next)?;
        let mut output = |value: Value, shape: &[usize], time: Time| -> Outcome<Stamped> {
            let value = self.builder.reshape(value, shape)?;
            Ok(Stamped {
                term: value.into(),
                time,
            })
        };
        let all = Time::Axis(usize::from(batch_first));
        let last = [1, 1, hidden];
        let mut outputs = vec![
            output(next, &[1, 1, 1, hidden], all)?,
            output(next, &last, Time::Last)?,
        ];
        if let Some(memory) = memory {
            outputs.push(output(memory, &last, Time::Last)?);
        }
        Ok(outputs)
    }

    /// The vector of one frame, of an input that has time and batch before its entries.
    fn frame_of(&mut self, x: &Stamped, batch_first: bool) -> Outcome<Value> {
        let (time, batch) = if batch_first { (1, 0) } else { (0, 1) };
        let shape = self.whole_shape(x);
        let [_, _, entries] = *shape.as_slice() else {
            return Err(Failure::malformed(format!(
                "its input has the shape {shape:?}, expected three dimensions"
            )));
        };
        let batch = shape.get(batch).copied().unwrap_or(0);
        let is_time = match x.time {
            Time::Axis(at) => at == time || (self.frame_count() == 1 && at != 2),
            Time::Last => {
                return Err(Failure::unsupported(
                    "it reads what there is after the last frame",
                ));
            }
            _ => false,
        };
        if !is_time {
            self.misplaced = true;
            return Err(Failure::unsupported(
                "its input is not the frames in the order of time",
            ));
        }
        if batch != 1 {
            return Err(Failure::instead(
                format!("the batch has {batch} sequences"),
                "export the network with a batch of one, or leave it open",
            ));
        }
        let value = self.value(&x.term)?;
        Ok(self.builder.reshape(value, &[entries])?)
    }

    /// Checks that the lengths of sequences, if they are given, are the number of frames.
    fn check_lengths(&self, inputs: &[Option<Stamped>]) -> Outcome<()> {
        let Some(lengths) = constant_of(inputs, 4, "list of lengths")? else {
            return Ok(());
        };
        let whole = i64::try_from(self.frame_count()).unwrap_or(i64::MAX);
        let counted = inputs
            .get(4)
            .and_then(Option::as_ref)
            .is_some_and(|i| i.time == Time::Count);
        let open = self.frames.is_some_and(|f| f.open);
        if lengths.ints()?.iter().any(|l| *l != whole) || (open && !counted) {
            return Err(Failure::unsupported("it is given lengths of sequences"));
        }
        Ok(())
    }

    fn cell(
        &self,
        node: &Node,
        inputs: &[Option<Stamped>],
        entries: usize,
    ) -> Outcome<(Cell, RecurrentWeights)> {
        let (gates, usual): (usize, &[&str]) = match node.operator.as_str() {
            "RNN" => (1, &["tanh"]),
            "GRU" => (3, &["sigmoid", "tanh"]),
            _ => (4, &["sigmoid", "tanh", "tanh"]),
        };
        let named = node
            .texts("activations")?
            .map(|texts| texts.iter().map(|t| t.to_lowercase()).collect::<Vec<_>>());
        let is_relu = match &named {
            Some(named) if node.operator == "RNN" && *named == ["relu"] => true,
            Some(named) if *named != usual => {
                return Err(Failure::unsupported(format!(
                    "its activations are `{}`",
                    named.join("`, `")
                )));
            }
            _ => false,
        };
        let w = matrix(inputs, 1, "tensor W")?;
        let r = matrix(inputs, 2, "tensor R")?;
        if w.ncols() != entries {
            return Err(Failure::malformed(format!(
                "its tensor W is for {} inputs, it is given {entries}",
                w.ncols()
            )));
        }
        let b = match constant_of(inputs, 3, "tensor B")? {
            Some(tensor) => tensor.in_shape(Ix1(tensor.len()))?,
            None => Wiped(Array1::zeros(r.nrows().saturating_mul(2))),
        };
        if let Some(size) = node.int_attribute("hidden_size")?
            && usize::try_from(*size) != Ok(r.ncols())
        {
            return Err(Failure::malformed(format!(
                "attribute `hidden_size` is {size}, its tensor R is for {}",
                r.ncols()
            )));
        }
        if r.ncols().checked_mul(gates) != Some(r.nrows()) {
            return Err(Failure::malformed(format!(
                "its tensor R has {} rows and {} columns for {gates} gates",
                r.nrows(),
                r.ncols()
            )));
        }
        let (w, r, b) = (w.view(), r.view(), b.view());
        Ok(match node.operator.as_str() {
            "RNN" => (
                Cell::Rnn(if is_relu {
                    RnnActivation::Relu
                } else {
                    RnnActivation::Tanh
                }),
                RecurrentWeights::from_onnx_rnn(w, r, b)?,
            ),
            "GRU" => (
                Cell::Gru(if node.flag("linear_before_reset", false)? {
                    GruReset::After
                } else {
                    GruReset::Before
                }),
                RecurrentWeights::from_onnx_gru(w, r, b)?,
            ),
            _ => (Cell::Lstm, RecurrentWeights::from_onnx_lstm(w, r, b)?),
        })
    }
}

/// A constant input, if it is there.
fn constant_of<'i>(
    inputs: &'i [Option<Stamped>],
    index: usize,
    what: &str,
) -> Outcome<Option<&'i Tensor>> {
    match inputs.get(index).and_then(Option::as_ref).map(|i| &i.term) {
        None => Ok(None),
        Some(Term::Constant(tensor)) => Ok(Some(tensor)),
        Some(_) => Err(Failure::unsupported(format!(
            "its {what} depends on the frames"
        ))),
    }
}

/// A matrix for each of the directions, of which there is one.
fn matrix(inputs: &[Option<Stamped>], index: usize, what: &str) -> Outcome<Wiped<Ix2>> {
    let tensor = constant_of(inputs, index, what)?
        .ok_or_else(|| Failure::malformed(format!("its {what} is missing")))?;
    match tensor.shape() {
        [1, rows, columns] => tensor.in_shape(Ix2(*rows, *columns)),
        [_, _, _] => Err(Failure::malformed(format!(
            "its {what} has the shape {:?}, not of one direction",
            tensor.shape()
        ))),
        _ => Err(Failure::malformed(format!("its {what} is no matrix"))),
    }
}

/// Whether the operator is a recurrent cell.
pub(super) fn is_recurrent(operator: &str) -> bool {
    matches!(operator, "RNN" | "GRU" | "LSTM")
}
