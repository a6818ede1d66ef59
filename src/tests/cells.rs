//! Programs of recurrent networks, from their shapes.
//!
//! # Integers
//!
//! Units are real values of one unit; `s` and `B` are the shift and the accumulator bits of all
//! affine operations. `⌊·⌉` rounds to the nearest, halves up; every rounded value saturates at its
//! width.
//!
//! | cell | |
//! |---|---|
//! | Elman, ReLU | `h = max(0, ⌊a / 2^s⌉)`, unit of the model's choice |
//! | Elman, tanh | `h = tanh[⌊a / 2^s⌉]`, unit 2⁻⁷; pre-activations 1/32 |
//! | GRU | `r, z = σ[⌊a / 2^s⌉]`; `n = tanh[⌊(2^12·a_x + r·a_h) / 2^(s+12)⌉]`; `h' = ⌊(2^12·n + z·(h − n)) / 2^12⌉` |
//! | GRU, reset before | the same, but `a_h = W_hn·⌊r·h / 2^20⌉` and `n = tanh[⌊(a_x + a_h) / 2^s⌉]` |
//! | LSTM | `i, f, o = σ[⌊a / 2^s⌉]`, `g = tanh[⌊a / 2^s⌉]`; `c' = ⌊(f·c + i·g) / 2^12⌉`; `h = ⌊o·tanh_½[⌊⌊(f·c + i·g) / 2^12⌉ / 2^6⌋] / 2^16⌉` |
//!
//! Gates `σ` have pre-activations in units of 1/16 and 13 bits in units of 2⁻¹², other
//! pre-activations units of 1/32. A GRU's state has 16 bits in units of 2⁻¹⁵, so that small updates
//! are not lost; products read its upper 8 bits, `⌊h / 2^8⌋`. An LSTM's `g` and `tanh(c)` have 12
//! bits in units of 2⁻¹¹, its `c` 16 bits in units of 2⁻¹¹, its `h` 8 bits in units of 2⁻⁷;
//! `tanh_½` is read at the middle of what was cut off.

use layerfold_gadgets::Table as Values;

use crate::program::{
    Activation, Affine, Builder, Emission, LayerShape, Program, ProgramError, Register, Requantize,
    Table,
};

/// Fractional bits of gates.
const GATE: u8 = 12;
/// Bits of a gate, sign included.
const GATE_WIDTH: u8 = GATE + 1;
/// Bits that products read.
const VIEW: u8 = 8;
/// Bits of a GRU's state and of an LSTM's cell state.
const STATE: u8 = 16;
/// Bits of an LSTM's candidate and of the tanh of its cell state.
const CANDIDATE: u8 = 12;

/// The activation of an Elman cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ElmanActivation {
    /// `max(x, 0)`.
    Relu,
    /// The hyperbolic tangent.
    Tanh,
}

/// The equations of a recurrent cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CellKind {
    /// `h' = act(W_ih·x + W_hh·h + b)` (Elman 1990).
    Elman(ElmanActivation),
    /// Gated recurrent unit (Cho et al. 2014) with the reset gate after the product, as PyTorch
    /// has it and ONNX with `linear_before_reset = 1`.
    Gru,
    /// Gated recurrent unit with the reset gate before the product, as ONNX has it by default.
    GruResetBefore,
    /// Long short-term memory (Hochreiter and Schmidhuber 1997) with a forget gate and no
    /// peepholes.
    Lstm,
}

/// A recurrent cell and the length of its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CellShape {
    /// Its equations.
    pub(crate) kind: CellKind,
    /// Entries of its state.
    pub(crate) hidden: u32,
}

/// The integer shape of a recurrent network: everything but the weights.
///
/// Maps of the bank, in order: of each cell, then of each layer of the head. The columns of a
/// cell's map are those of its input, then those of its state; its rows are
///
/// - Elman: `h`;
/// - GRU: `r`, `z`, `n` of the input, `n` of the state;
/// - GRU, reset before: `r`, `z`, `n` of the input; and in a map of its own `n` of the state;
/// - LSTM: `i`, `f`, `g`, `o`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SequenceShape {
    /// Entries of a frame.
    pub(crate) inputs: u32,
    /// The cells, each reading the state of the one before; at least one.
    pub(crate) cells: Vec<CellShape>,
    /// Dense layers on the state of the last cell.
    pub(crate) head: Vec<LayerShape>,
    /// Tables that activations of the head refer to.
    pub(crate) tables: Vec<Table>,
    /// Whether every frame has an output, or only the last.
    pub(crate) emission: Emission,
    /// Width of frames, and of all states but those of the table above.
    pub(crate) width: u8,
    /// Requantising shift `s` of every affine operation.
    pub(crate) shift: u8,
    /// Accumulator bits `B` of every affine operation.
    pub(crate) bits: u8,
}

fn table(values: &Values) -> Table {
    Table::of_bytes(values.values().to_vec())
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The standard tables of cells.
#[derive(Clone, Copy)]
enum Standard {
    /// 13 bits.
    Gate,
    /// 8, 12 or 16 bits.
    Tanh(u8),
    /// 12 bits, at the middle between two inputs.
    TanhBetween,
}

impl Standard {
    fn table(self) -> Table {
        let unit = |fractional: u8| f64::from(fractional).exp2().recip();
        table(&match self {
            Self::Gate => Values::from_fn(sigmoid, 1.0 / 16.0, unit(GATE), GATE_WIDTH.into()),
            Self::Tanh(width) => {
                Values::from_fn(f64::tanh, 1.0 / 32.0, unit(width - 1), width.into())
            }
            Self::TanhBetween => {
                let between = |x: f64| (x + 1.0 / 64.0).tanh();
                let unit = unit(CANDIDATE - 1);
                Values::from_fn(between, 1.0 / 32.0, unit, CANDIDATE.into())
            }
        })
    }
}

/// Puts cells and layers into a program.
struct Cells<'a> {
    shape: &'a SequenceShape,
    builder: Builder,
    /// Register of each part of the carried vector, before the frame.
    before: Vec<Register>,
}

type Result<T> = std::result::Result<T, ProgramError>;

/// The registers that stand for a cell's result.
#[derive(Clone, Copy)]
struct Top {
    /// What products read.
    view: Register,
    /// The state as an output.
    state: Register,
    len: u32,
}

impl Cells<'_> {
    fn affine(&mut self, rows: u32, columns: u32, input: Register) -> Result<Register> {
        let map = self.builder.map(rows, columns);
        let reach = Affine::reach_of(self.shape.bits, self.shape.shift);
        self.builder.affine(&[(map, input)], reach)
    }

    fn slice(&mut self, input: Register, part: u32, len: u32) -> Result<Register> {
        self.builder.slice(input, part * len, len)
    }

    fn requantize(&mut self, input: Register, shift: u8, drop: u8, width: u8) -> Result<Register> {
        self.builder.push(Requantize {
            input,
            shift,
            drop,
            width,
        })
    }

    fn look_up(&mut self, input: Register, standard: Standard) -> Result<Register> {
        self.builder.look_up(input, standard.table())
    }

    /// Registers the parts of every cell's state. They are opened before anything else is done.
    fn open(&mut self) -> Result<()> {
        let mut parts = Vec::new();
        for cell in &self.shape.cells {
            match cell.kind {
                CellKind::Elman(ElmanActivation::Relu) => {
                    parts.push((cell.hidden, self.shape.width));
                }
                CellKind::Elman(ElmanActivation::Tanh) => parts.push((cell.hidden, VIEW)),
                CellKind::Gru | CellKind::GruResetBefore => {
                    parts.extend([(cell.hidden, STATE), (cell.hidden, VIEW)]);
                }
                CellKind::Lstm => parts.extend([(cell.hidden, VIEW), (cell.hidden, STATE)]),
            }
        }
        for (len, width) in parts {
            let register = self.builder.state(vec![0; len as usize], width)?;
            self.before.push(register);
        }
        Ok(())
    }

    /// One cell; `part` is the first of its parts.
    fn cell(&mut self, cell: CellShape, part: usize, x: Register, inputs: u32) -> Result<Top> {
        let (h, shift) = (cell.hidden, self.shape.shift);
        let columns = inputs.saturating_add(h);
        let view = match cell.kind {
            CellKind::Gru | CellKind::GruResetBefore => self.before[part + 1],
            CellKind::Elman(_) | CellKind::Lstm => self.before[part],
        };
        let read = self.builder.concat(vec![x, view])?;
        let next: Vec<Register> = match cell.kind {
            CellKind::Elman(activation) => {
                let a = self.affine(h, columns, read)?;
                let next = match activation {
                    ElmanActivation::Relu => {
                        let q = self.requantize(a, shift, 0, self.shape.width)?;
                        self.builder.relu(q)?
                    }
                    ElmanActivation::Tanh => {
                        let q = self.requantize(a, shift, 0, VIEW)?;
                        self.look_up(q, Standard::Tanh(VIEW))?
                    }
                };
                vec![next]
            }
            CellKind::Gru => {
                let a = self.affine(h.saturating_mul(4), columns, read)?;
                let (r, z) = self.reset_and_update(a, h)?;
                let a_x = self.slice(a, 2, h)?;
                let a_h = self.slice(a, 3, h)?;
                let terms = [(1 << GATE, a_x, None), (1, r, Some(a_h))];
                let n = self.builder.combine(0, &terms)?;
                self.update((n, shift.saturating_add(GATE)), z, self.before[part])?
            }
            CellKind::GruResetBefore => {
                let a = self.affine(h.saturating_mul(3), columns, read)?;
                let (r, z) = self.reset_and_update(a, h)?;
                let a_x = self.slice(a, 2, h)?;
                let gated = self
                    .builder
                    .combine(0, &[(1, r, Some(self.before[part]))])?;
                let gated = self.requantize(gated, 20, 0, VIEW)?;
                let a_h = self.affine(h, h, gated)?;
                let n = self.builder.combine(0, &[(1, a_x, None), (1, a_h, None)])?;
                self.update((n, shift), z, self.before[part])?
            }
            CellKind::Lstm => {
                let a = self.affine(h.saturating_mul(4), columns, read)?;
                let mut gate = |part, standard| {
                    let a = self.slice(a, part, h)?;
                    let q = self.requantize(a, shift, 0, VIEW)?;
                    self.look_up(q, standard)
                };
                let i = gate(0, Standard::Gate)?;
                let f = gate(1, Standard::Gate)?;
                let g = gate(2, Standard::Tanh(CANDIDATE))?;
                let o = gate(3, Standard::Gate)?;
                let c = self.before[part + 1];
                let sum = self
                    .builder
                    .combine(0, &[(1, f, Some(c)), (1, i, Some(g))])?;
                let c = self.requantize(sum, GATE, 0, STATE)?;
                // From units of 2^-11 to units of 1/32.
                let t = self.requantize(sum, GATE, CANDIDATE - 1 - 5, VIEW)?;
                let t = self.look_up(t, Standard::TanhBetween)?;
                // From units of 2^-23 to units of 2^-7.
                let out = self.builder.combine(0, &[(1, o, Some(t))])?;
                let out = self.requantize(out, 16, 0, VIEW)?;
                vec![out, c]
            }
        };
        for (k, register) in next.iter().enumerate() {
            self.builder.carry(self.before[part + k], *register);
        }
        let view = match cell.kind {
            CellKind::Gru | CellKind::GruResetBefore => next[1],
            CellKind::Elman(_) | CellKind::Lstm => next[0],
        };
        Ok(Top {
            view,
            state: next[0],
            len: h,
        })
    }

    /// The gates `r` and `z` of a GRU.
    fn reset_and_update(&mut self, a: Register, h: u32) -> Result<(Register, Register)> {
        let both = self.builder.slice(a, 0, h.saturating_mul(2))?;
        let q = self.requantize(both, self.shape.shift, 0, VIEW)?;
        let gates = self.look_up(q, Standard::Gate)?;
        Ok((self.slice(gates, 0, h)?, self.slice(gates, 1, h)?))
    }

    /// `(1 − z)·n + z·h` of a GRU, in full and as products read it; `n` is given before its
    /// activation, with the shift that it is to be rounded with.
    fn update(&mut self, n: (Register, u8), z: Register, h: Register) -> Result<Vec<Register>> {
        let n = self.requantize(n.0, n.1, 0, VIEW)?;
        let n = self.look_up(n, Standard::Tanh(STATE))?;
        // Between n and h, times 2^12.
        let blend = [(1 << GATE, n, None), (1, z, Some(h)), (-1, z, Some(n))];
        let blend = self.builder.combine(0, &blend)?;
        Ok(vec![
            self.requantize(blend, GATE, 0, STATE)?,
            self.requantize(blend, GATE, STATE - VIEW, VIEW)?,
        ])
    }

    /// The dense layers on the last state; gives the output.
    fn head(&mut self, top: Top) -> Result<Register> {
        let layers = &self.shape.head;
        let Some(last) = layers.len().checked_sub(1) else {
            return Ok(top.state);
        };
        let mut x = top.view;
        for (l, layer) in layers.iter().enumerate() {
            x = self.affine(layer.outputs, layer.inputs, x)?;
            if l < last || layer.activation != Activation::Identity {
                x = self.requantize(x, self.shape.shift, 0, self.shape.width)?;
            }
            x = match layer.activation {
                Activation::Identity => x,
                Activation::Relu => self.builder.relu(x)?,
                Activation::Table(t) => match self.shape.tables.get(t as usize) {
                    Some(table) => self.builder.look_up(x, table.clone())?,
                    None => return Err(ProgramError::Structure("an activation names no table")),
                },
            };
        }
        Ok(x)
    }
}

impl SequenceShape {
    /// The program of this network.
    ///
    /// # Errors
    /// [`ProgramError`] if a dimension is zero or too large, layers do not fit each other, or an
    /// activation names a table that does not exist.
    pub(crate) fn program(&self) -> Result<Program> {
        let mut cells = Cells {
            shape: self,
            builder: Builder::new(self.inputs, self.width),
            before: Vec::new(),
        };
        for table in &self.tables {
            cells.builder.table(table.clone());
        }
        cells.open()?;
        let mut x = Register::Frame;
        let mut inputs = self.inputs;
        let mut part = 0;
        let mut top = None;
        for cell in &self.cells {
            let result = cells.cell(*cell, part, x, inputs)?;
            part += match cell.kind {
                CellKind::Elman(_) => 1,
                CellKind::Gru | CellKind::GruResetBefore | CellKind::Lstm => 2,
            };
            (x, inputs) = (result.view, result.len);
            top = Some(result);
        }
        let Some(top) = top else {
            return Err(ProgramError::Structure("the network has no cell"));
        };
        let fits = self.head.first().is_none_or(|l| l.inputs == top.len)
            && self.head.windows(2).all(|w| w[0].outputs == w[1].inputs);
        if !fits {
            return Err(ProgramError::Structure(
                "a layer has not as many inputs as the one before has neurons",
            ));
        }
        match self.emission {
            Emission::Each => {
                let output = cells.head(top)?;
                cells.builder.finish(output)
            }
            // One output for the run: the head is needed once, not for each frame.
            Emission::Last => {
                cells.builder.begin_head();
                let output = cells.head(top)?;
                cells.builder.finish_last(output)
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::program::interpreter::Interpreter;
    use crate::program::{AffineMap, WeightBank};

    fn shape(kind: CellKind, emission: Emission) -> SequenceShape {
        SequenceShape {
            inputs: 2,
            cells: vec![CellShape { kind, hidden: 3 }, CellShape { kind, hidden: 2 }],
            head: vec![LayerShape {
                inputs: 2,
                outputs: 1,
                activation: Activation::Identity,
            }],
            tables: vec![],
            emission,
            width: 8,
            shift: 9,
            bits: 22,
        }
    }

    const KINDS: [CellKind; 5] = [
        CellKind::Elman(ElmanActivation::Relu),
        CellKind::Elman(ElmanActivation::Tanh),
        CellKind::Gru,
        CellKind::GruResetBefore,
        CellKind::Lstm,
    ];

    #[test]
    fn every_cell_has_a_program() {
        for kind in KINDS {
            for emission in [Emission::Each, Emission::Last] {
                let program = shape(kind, emission).program().unwrap();
                let again = Program::from_bytes(&program.to_bytes()).unwrap();
                assert_eq!(again, program);
            }
        }
    }

    /// Elementary functions may differ between platforms in the last place; the standard tables,
    /// and with them programs and keys, must not.
    #[test]
    fn standard_tables_are_far_from_ties() {
        type Case = (Standard, fn(f64) -> f64, f64, f64);
        let all: [Case; 5] = [
            (Standard::Gate, sigmoid, 1.0 / 16.0, 4096.0),
            (Standard::Tanh(8), f64::tanh, 1.0 / 32.0, 128.0),
            (Standard::Tanh(12), f64::tanh, 1.0 / 32.0, 2048.0),
            (Standard::Tanh(16), f64::tanh, 1.0 / 32.0, 32_768.0),
            (
                Standard::TanhBetween,
                |x| (x + 1.0 / 64.0).tanh(),
                1.0 / 32.0,
                2048.0,
            ),
        ];
        for (standard, f, unit, scale) in all {
            let table = standard.table();
            for (x, value) in (-128..128).zip(&table.values) {
                let y = f(f64::from(x) * unit) * scale;
                assert!((y.abs().fract() - 0.5).abs() > 1e-6, "{x}");
                assert!((y - f64::from(*value)).abs() <= 1.0);
            }
        }
    }

    #[test]
    fn a_gru_by_hand() {
        // One unit, one input. The gates are at σ(0) = 1/2, n = tanh(x/32·…).
        let shape = SequenceShape {
            inputs: 1,
            cells: vec![CellShape {
                kind: CellKind::Gru,
                hidden: 1,
            }],
            head: vec![],
            tables: vec![],
            emission: Emission::Each,
            width: 8,
            shift: 9,
            bits: 22,
        };
        // Rows r, z, n of x, n of h; n of x is x itself in units of 1/32, n of h is 0.
        let map = AffineMap::new(2, vec![0, 0, 0, 0, 512, 0, 0, 0], vec![0; 4]).unwrap();
        let bank = WeightBank::new(vec![map]).unwrap();
        let program = shape.program().unwrap();
        let mut run = Interpreter::new(&program, &bank).unwrap();
        // tanh(1) = 0.76159 → 24956; half of it, 12478; upper bits ⌊12478 / 256⌋ = 48.
        assert_eq!(run.push(&[32]).unwrap(), [12_478]);
        assert_eq!(run.state(), [[12_478], [48]]);
        // (24956 + 12478) / 2
        assert_eq!(run.push(&[32]).unwrap(), [18_717]);
        // Towards tanh(−1): (−24956 + 18717) / 2 = −3119.5, rounded up.
        assert_eq!(run.push(&[-32]).unwrap(), [-3119]);
        assert_eq!(run.state(), [[-3119], [-13]]);
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let good = shape(CellKind::Lstm, Emission::Each);
        let lies: [fn(&mut SequenceShape); 5] = [
            |s| s.cells.clear(),
            |s| s.cells[0].hidden = 0,
            |s| s.inputs = 0,
            |s| s.head[0].inputs = 3,
            |s| s.bits = 60,
        ];
        for (k, lie) in lies.into_iter().enumerate() {
            let mut other = good.clone();
            lie(&mut other);
            // 60 bits are enough for an LSTM, whose sums are not multiplied.
            assert_eq!(other.program().is_err(), k < 4, "{k}");
        }
        let mut gru = shape(CellKind::Gru, Emission::Each);
        gru.bits = 60;
        assert!(gru.program().is_err());
    }
}
