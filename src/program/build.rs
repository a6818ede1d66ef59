//! From the shape of a fully connected network to its program, for a schedule.

use super::{
    Activation, Carried, Emission, MapRef, MapShape, Operation, Output, Program, ProgramError,
    Register, Spread, Table, Term, VectorShape,
};

/// One dense layer and its activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerShape {
    /// Number of inputs.
    pub inputs: u32,
    /// Number of neurons.
    pub outputs: u32,
    /// What is applied to the requantised sums.
    pub activation: Activation,
}

/// The integer shape of a fully connected network: everything but the weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkShape {
    /// The layers, in order.
    pub layers: Vec<LayerShape>,
    /// Tables that activations refer to.
    pub tables: Vec<Table>,
    /// Width of inputs and activations.
    pub width: u8,
    /// Accumulator bits `B` of every layer.
    pub bits: u8,
    /// Requantising shift `s` of every layer.
    pub shift: u8,
}

/// How layers are spread over the steps of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Schedule {
    /// Every step is a whole inference, of one frame.
    WholeNetwork,
    /// Every step is whole inferences of up to this many frames, one after the other.
    FramesPerStep(u32),
    /// Every step is this many consecutive layers, padded to a common shape. As many layers as the
    /// network has, or more, is the same as [`WholeNetwork`](Self::WholeNetwork).
    LayersPerStep(u32),
}

impl NetworkShape {
    /// The program of this network under a schedule.
    ///
    /// If the last layer has no activation, the output is its accumulator: the exact sums, before
    /// any rounding. Otherwise the output is the activation.
    ///
    /// # Errors
    /// [`ProgramError`] if a dimension is zero or too large, layers do not fit each other, or an
    /// activation names a table that does not exist.
    pub fn program(&self, schedule: Schedule) -> Result<Program, ProgramError> {
        if self.layers.is_empty() {
            return Err(ProgramError::Structure("the network has no layer"));
        }
        if self.layers.windows(2).any(|w| w[0].outputs != w[1].inputs) {
            return Err(ProgramError::Structure(
                "a layer has not as many inputs as the one before has neurons",
            ));
        }
        let program = match schedule {
            Schedule::LayersPerStep(k) if (k as usize) < self.layers.len() => self.layered(k)?,
            Schedule::FramesPerStep(frames) => self.whole(frames),
            _ => self.whole(1),
        };
        program.validate()?;
        Ok(program)
    }

    pub(super) fn maps(&self) -> Vec<MapShape> {
        self.layers
            .iter()
            .map(|l| MapShape {
                rows: l.outputs,
                columns: l.inputs,
            })
            .collect()
    }

    fn frame(&self) -> VectorShape {
        VectorShape {
            len: self.layers[0].inputs,
            width: self.width,
        }
    }

    /// The operations of all layers on `x`; gives the register of the output.
    pub(super) fn push_layers(&self, operations: &mut Vec<Operation>, x: Register) -> Register {
        let mut x = x;
        let last = self.layers.len() - 1;
        for (l, layer) in self.layers.iter().enumerate() {
            let raw_output = l == last && layer.activation == Activation::Identity;
            let mut push = |operation| {
                operations.push(operation);
                Register::result_of(operations.len() - 1)
            };
            x = push(Operation::Affine {
                terms: vec![Term {
                    map: MapRef::Fixed(l as u32),
                    input: x,
                }],
                rows: layer.outputs,
                bits: self.bits,
                shift: if raw_output { 0 } else { self.shift },
            });
            if raw_output {
                break;
            }
            x = push(Operation::Requantize {
                input: x,
                drop: 0,
                width: self.width,
            });
            match layer.activation {
                Activation::Identity => {}
                Activation::Relu => x = push(Operation::Relu { input: x }),
                Activation::Table(table) => x = push(Operation::Table { input: x, table }),
            }
        }
        x
    }

    fn whole(&self, frames_per_step: u32) -> Program {
        let mut operations = Vec::new();
        let x = self.push_layers(&mut operations, Register::FRAME);
        let last = self.layers.len() - 1;
        Program {
            maps: self.maps(),
            tables: self.tables.clone(),
            frame: self.frame(),
            carried: Vec::new(),
            spread: Spread::Frames {
                per_step: frames_per_step,
            },
            operations,
            head: Vec::new(),
            output: Output {
                register: x,
                len: self.layers[last].outputs,
            },
            emission: Emission::Each,
            frame_limit: u64::MAX,
        }
    }

    fn layered(&self, layers_per_step: u32) -> Result<Program, ProgramError> {
        if layers_per_step == 0 {
            return Err(ProgramError::Dimension {
                what: "layers per step",
                got: 0,
                least: 1,
                most: self.layers.len() as u64,
            });
        }
        let slots = layers_per_step as usize;
        let mut operations = vec![Operation::Select {
            first: Register::FRAME,
            rest: Register::CARRIED,
        }];
        let mut x = Register::result_of(0);
        for slot in 0..slots {
            let rows = self.layers.iter().skip(slot).step_by(slots);
            operations.push(Operation::Affine {
                terms: vec![Term {
                    map: MapRef::Slot(slot as u32),
                    input: x,
                }],
                rows: rows.map(|l| l.outputs).max().unwrap_or(1),
                bits: self.bits,
                shift: self.shift,
            });
            operations.push(Operation::Requantize {
                input: Register::result_of(1 + 3 * slot),
                drop: 0,
                width: self.width,
            });
            operations.push(Operation::Layer {
                input: Register::result_of(2 + 3 * slot),
                passed: x,
                slot: slot as u32,
            });
            x = Register::result_of(3 + 3 * slot);
        }
        let last = self.layers.len() - 1;
        let last_slot = last % slots;
        let output = match self.layers[last].activation {
            Activation::Identity => Register::result_of(1 + 3 * last_slot),
            _ => Register::result_of(3 + 3 * last_slot),
        };
        let mut program = Program {
            maps: self.maps(),
            tables: self.tables.clone(),
            frame: self.frame(),
            carried: Vec::new(),
            spread: Spread::Layers {
                layers_per_step,
                activations: self.layers.iter().map(|l| l.activation).collect(),
            },
            operations,
            head: Vec::new(),
            output: Output {
                register: output,
                len: self.layers[last].outputs,
            },
            emission: Emission::Each,
            frame_limit: u64::MAX,
        };
        // The carried vector is as long as the result of the last slot, which depends on the
        // length of the first register (a slot may pass its input on) only through slot 0, and
        // slot 0 never passes: some layer is left in every step.
        let carried_len = {
            let mut len = 0u32;
            for slot in 0..slots {
                let rows = self.layers.iter().skip(slot).step_by(slots);
                let rows = rows.map(|l| l.outputs).max().unwrap_or(1);
                len = if program.slot_may_pass(slot as u32) {
                    rows.max(len)
                } else {
                    rows
                };
            }
            len
        };
        program.carried.push(Carried {
            shape: VectorShape {
                len: carried_len,
                width: self.width,
            },
            initial: vec![0; carried_len as usize],
            next: x,
            parameter: false,
        });
        Ok(program)
    }
}
