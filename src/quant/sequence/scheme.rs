//! Scales and integers of every cell.

use super::{QuantizedSequence, Ranges, SequenceSamples};
use crate::{
    error::{Error, Reason},
    model::{RecurrentCell, RecurrentFunction, RnnActivation, SequenceModel},
    program::{
        AffineMap, CellKind, CellShape, ElmanActivation, Emission, SequenceShape, WeightBank,
    },
    quant::{
        Precision,
        fit::{Fit, Grid, LayerScale, scale_of},
        precision::Formats,
        scheme::{Plan, dimension},
        table::TABLE_BITS,
    },
};

/// Real value of one unit of the sums of a gate that is a sigmoid.
const GATE: f64 = 1.0 / 16.0;
/// Real value of one unit of sums that go through the hyperbolic tangent.
const CANDIDATE: f64 = 1.0 / 32.0;
/// Real value of one unit of a state of 8 bits, but for an Elman cell with ReLU.
pub(in crate::quant) const STATE: f64 = 1.0 / 128.0;
/// Real value of one unit of the state of 16 bits of a GRU.
pub(in crate::quant) const GRU_STATE: f64 = 1.0 / 32768.0;
/// Real value of one unit of the memory of an LSTM.
pub(in crate::quant) const MEMORY: f64 = 1.0 / 2048.0;

/// Whether a cell has no table, and with it no standard scale.
fn is_linear(function: RecurrentFunction) -> bool {
    function == RecurrentFunction::Rnn(RnnActivation::Relu)
}

fn formats(model: &SequenceModel, precision: Precision) -> Result<Formats, Error> {
    let cells = model.cells().iter().map(|c| c.inputs() + c.hidden());
    let head = model.head().iter().map(|l| l.inputs());
    let widest = cells.chain(head).max().unwrap_or(1);
    let gated = model.cells().iter().any(|c| !is_linear(c.function()));
    let formats = precision.sequence_formats(widest, gated)?;
    for (layer, cell) in model.cells().iter().enumerate() {
        if !is_linear(cell.function()) && formats.width != TABLE_BITS {
            return Err(Reason::Layer {
                layer,
                problem: "its cell works on tables, which need 8 activation bits",
            }
            .into());
        }
    }
    Ok(formats)
}

fn head(model: &SequenceModel, formats: Formats) -> Result<Plan, Error> {
    Plan::new(model.head(), model.cells().len(), formats)
}

/// The integer shape of a cell.
pub(in crate::quant) fn cell_shape(cell: &RecurrentCell) -> Result<CellShape, Error> {
    let kind = match cell.function() {
        RecurrentFunction::Rnn(RnnActivation::Relu) => CellKind::Elman(ElmanActivation::Relu),
        RecurrentFunction::Rnn(RnnActivation::Tanh) => CellKind::Elman(ElmanActivation::Tanh),
        RecurrentFunction::Gru => CellKind::Gru,
        RecurrentFunction::GruResetBefore => CellKind::GruResetBefore,
        RecurrentFunction::Lstm => CellKind::Lstm,
    };
    Ok(CellShape {
        kind,
        hidden: dimension(cell.hidden())?,
    })
}

fn sequence(model: &SequenceModel, formats: Formats, head: Plan) -> Result<SequenceShape, Error> {
    Ok(SequenceShape {
        inputs: dimension(model.input_len())?,
        cells: model
            .cells()
            .iter()
            .map(cell_shape)
            .collect::<Result<_, _>>()?,
        head: head.layers,
        tables: head.tables,
        emission: if model.has_last_output_only() {
            Emission::Last
        } else {
            Emission::Each
        },
        width: formats.width,
        shift: formats.shift,
        bits: formats.bits,
    })
}

pub(super) fn shape(model: &SequenceModel, precision: Precision) -> Result<SequenceShape, Error> {
    let formats = formats(model, precision)?;
    sequence(model, formats, head(model, formats)?)
}

pub(super) fn quantize<S: SequenceSamples + ?Sized>(
    model: &SequenceModel,
    calibration: &S,
    precision: Precision,
) -> Result<QuantizedSequence, Error> {
    let formats = formats(model, precision)?;
    let head = head(model, formats)?;
    let ranges = Ranges::measure(model, calibration)?;
    let full = formats.reach() - 1.0;

    let input_scale = scale_of(&[ranges.frame], full);
    let mut input = Grid::nearest(input_scale);
    let mut maps = Vec::new();
    let mut scales = Vec::with_capacity(model.cells().len());
    for (layer, cell) in model.cells().iter().enumerate() {
        let fit = CellFit {
            layer,
            cell,
            formats,
            input,
        };
        let scale = fit.maps(scale_of(&[ranges.states[layer]], full), &mut maps)?;
        scales.push(scale);
        input = state(cell.function(), scale);
    }
    let fitted = head.fit(
        model.head(),
        &ranges.sums,
        &ranges.results,
        input,
        &mut maps,
    )?;
    let gru = matches!(
        model.cells().last().map(RecurrentCell::function),
        Some(RecurrentFunction::Gru | RecurrentFunction::GruResetBefore)
    );
    let output_scale = if gru && model.head().is_empty() {
        // All 16 bits are the output.
        GRU_STATE
    } else {
        fitted.output_scale
    };
    QuantizedSequence::new(
        sequence(model, formats, head)?,
        WeightBank::new(maps)?,
        input_scale,
        output_scale,
        Some(scales),
    )
}

/// The grid on which a state is read; `scale` is that of an Elman cell with ReLU.
fn state(function: RecurrentFunction, scale: LayerScale) -> Grid {
    match function {
        RecurrentFunction::Rnn(RnnActivation::Relu) => Grid::nearest(scale.scale),
        // The products read the upper 8 of 16 bits.
        RecurrentFunction::Gru | RecurrentFunction::GruResetBefore => Grid::floor(STATE),
        RecurrentFunction::Rnn(RnnActivation::Tanh) | RecurrentFunction::Lstm => {
            Grid::nearest(STATE)
        }
    }
}

/// A cell that is to be turned into integers.
struct CellFit<'a> {
    layer: usize,
    cell: &'a RecurrentCell,
    formats: Formats,
    /// The grid of its inputs.
    input: Grid,
}

impl<'a> CellFit<'a> {
    /// Adds the maps of the cell, and gives the scale of its state as it is read; `calibrated` is
    /// that of an Elman cell with ReLU before it was enlarged.
    fn maps(&self, calibrated: f64, maps: &mut Vec<AffineMap>) -> Result<LayerScale, Error> {
        let function = self.cell.function();
        let standard = LayerScale {
            scale: STATE,
            enlarged: 1.0,
        };
        let own = state(function, standard);
        match function {
            RecurrentFunction::Rnn(RnnActivation::Relu) => {
                let (input, input_bias) = self.cell.weights().input_gates(0..1);
                let (hidden, hidden_bias) = self.cell.weights().hidden_gates(0..1);
                let fit = self
                    .rows(self.cell.hidden())
                    .columns(input, self.input)
                    .state(hidden)
                    .bias(input_bias)
                    .bias(hidden_bias);
                let scale = fit.enlarging(calibrated)?;
                maps.push(fit.map(scale.scale)?);
                return Ok(scale);
            }
            RecurrentFunction::Rnn(RnnActivation::Tanh) => {
                maps.push(stacked(&[(&self.gates(0..1, own), CANDIDATE)])?);
            }
            RecurrentFunction::Gru => {
                let (weights, bias) = self.cell.weights().hidden_gates(2..3);
                let from_state = self
                    .rows(self.cell.hidden())
                    .zeros(self.cell.inputs())
                    .columns(weights, own)
                    .bias(bias);
                maps.push(stacked(&[
                    (&self.gates(0..2, own), GATE),
                    (&self.candidate(), CANDIDATE),
                    (&from_state, CANDIDATE),
                ])?);
            }
            RecurrentFunction::GruResetBefore => {
                let (weights, bias) = self.cell.weights().hidden_gates(2..3);
                // The product of reset gate and state is rounded to the nearest.
                let reset = Grid::nearest(STATE);
                let gates = self.gates(0..2, own);
                let from_input = self.candidate().bias(bias);
                let from_state = self.rows(self.cell.hidden()).columns(weights, reset);
                // The two are added before they are requantised.
                let (input, input_bias) = self.cell.weights().input_gates(2..3);
                let sum = self
                    .rows(self.cell.hidden())
                    .columns(input, self.input)
                    .columns(weights, reset)
                    .bias(input_bias)
                    .bias(bias);
                Fit::at_fixed_scales(&[(&gates, GATE), (&sum, CANDIDATE)])?;
                maps.push(stacked(&[(&gates, GATE), (&from_input, CANDIDATE)])?);
                maps.push(stacked(&[(&from_state, CANDIDATE)])?);
            }
            RecurrentFunction::Lstm => {
                maps.push(stacked(&[
                    (&self.gates(0..2, own), GATE),
                    (&self.gates(2..3, own), CANDIDATE),
                    (&self.gates(3..4, own), GATE),
                ])?);
            }
        }
        Ok(standard)
    }

    fn rows(&self, rows: usize) -> Fit<'a> {
        Fit::new(self.layer, self.formats, rows)
    }

    /// The rows of gates that read input and state.
    fn gates(&self, gates: std::ops::Range<usize>, state: Grid) -> Fit<'a> {
        let (input, input_bias) = self.cell.weights().input_gates(gates.clone());
        let (hidden, hidden_bias) = self.cell.weights().hidden_gates(gates);
        self.rows(input.nrows())
            .columns(input, self.input)
            .columns(hidden, state)
            .bias(input_bias)
            .bias(hidden_bias)
    }

    /// The rows of a GRU's candidate that read the input.
    fn candidate(&self) -> Fit<'a> {
        let (weights, bias) = self.cell.weights().input_gates(2..3);
        self.rows(self.cell.hidden())
            .columns(weights, self.input)
            .zeros(self.cell.hidden())
            .bias(bias)
    }
}

/// One map of rows with standard scales, which are checked.
fn stacked(parts: &[(&Fit<'_>, f64)]) -> Result<AffineMap, Error> {
    Fit::at_fixed_scales(parts)?;
    Fit::stacked(parts)
}
