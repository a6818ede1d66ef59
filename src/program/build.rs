//! From the shape of a fully connected network to its program, for a schedule.

use super::{
    Activation, Emission, MapRef, MapShape, Operation, Output, Program, ProgramError, Register,
    Spread, Table, Term, VectorShape, layered::Placement,
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

/// The integer shape of a network of layers: everything but the weights.
///
/// A layer is a sum of affine maps, one for each value that it reads, and an activation. In a chain
/// of layers each reads the one before; residual networks have layers that read more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkShape {
    /// The layers, in order.
    pub layers: Vec<LayerShape>,
    /// The values that each layer reads, in ascending order: value 0 is the input of the network,
    /// value `l` the result of layer `l - 1`. The inputs of a layer are the entries of all of them.
    /// Empty if every layer reads the one before it and nothing else.
    pub reads: Vec<Vec<u32>>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub enum Schedule {
    /// Every step is a whole inference, of one frame.
    WholeNetwork,
    /// Every step is whole inferences of up to this many frames, one after the other.
    FramesPerStep(u32),
    /// Every step has this many slots, each of a layer, padded to a common shape. Layers at the
    /// ends that are wider than the others take several slots of one step, rather than making the
    /// slots of all steps wider. As many slots as the network has layers, or more, are the same as
    /// [`WholeNetwork`](Self::WholeNetwork).
    LayersPerStep(u32),
}

impl std::fmt::Display for Schedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::WholeNetwork => f.pad("whole network"),
            Self::FramesPerStep(n) => write!(f, "{n} frames per step"),
            Self::LayersPerStep(n) => write!(f, "{n} layers per step"),
        }
    }
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
        self.check_reads()?;
        let program = match schedule {
            Schedule::LayersPerStep(k) if (k as usize) < self.layers.len() => self.layered(k)?,
            Schedule::FramesPerStep(frames) => self.whole(frames),
            _ => self.whole(1),
        };
        program.validate()?;
        Ok(program)
    }

    /// Steps of an inference with so many layers to a step, and entries of the slots of one.
    pub(crate) fn slots(&self, layers_per_step: u32) -> Option<(u64, u64)> {
        Placement::of(self, layers_per_step as usize).map(|p| p.size())
    }

    /// A layered program with slots of given lengths.
    #[cfg(test)]
    pub(crate) fn in_slots(&self, lengths: &[u32]) -> Option<Program> {
        let program = Placement::in_slots(self, lengths)?.program(self);
        program.validate().is_ok().then_some(program)
    }

    /// The whole network as one list, for the interpreter: it may be too large for a circuit.
    pub(crate) fn inference_program(&self) -> Result<Program, ProgramError> {
        self.check_reads()?;
        let program = self.whole(1);
        program.validate_language()?;
        Ok(program)
    }

    /// Checks that every layer has as many inputs as it reads entries.
    pub(super) fn check_reads(&self) -> Result<(), ProgramError> {
        if self.layers.is_empty() {
            return Err(ProgramError::Structure("the network has no layer"));
        }
        if !self.reads.is_empty() && self.reads.len() != self.layers.len() {
            return Err(ProgramError::Structure(
                "what is read must be said of every layer or of none",
            ));
        }
        let ordered = |(layer, read): (usize, &Vec<u32>)| {
            let ascending = read.windows(2).all(|w| w[0] < w[1]);
            let within = read.last().is_some_and(|last| *last as usize <= layer);
            ascending && within
        };
        if !self.reads.iter().enumerate().all(ordered) {
            return Err(ProgramError::Structure(
                "a layer reads values before it, each once, in ascending order",
            ));
        }
        let inputs = |layer: usize| {
            let lens = self.reads_of(layer).map(|v| u64::from(self.value_len(v)));
            lens.sum::<u64>()
        };
        let mut layers = self.layers.iter().enumerate();
        if layers.any(|(l, layer)| inputs(l) != u64::from(layer.inputs)) {
            return Err(ProgramError::Structure(
                "a layer has not as many inputs as the values it reads have entries",
            ));
        }
        Ok(())
    }

    /// The values that a layer reads: 0 is the input, `l` the result of layer `l - 1`.
    pub(super) fn reads_of(&self, layer: usize) -> impl Iterator<Item = usize> + Clone + '_ {
        let own = self.reads.get(layer).map(Vec::as_slice);
        let chain = own.is_none().then_some(layer);
        own.unwrap_or_default()
            .iter()
            .map(|v| *v as usize)
            .chain(chain)
    }

    /// Entries of a value.
    pub(super) fn value_len(&self, value: usize) -> u32 {
        match value.checked_sub(1) {
            None => self.layers[0].inputs,
            Some(layer) => self.layers[layer].outputs,
        }
    }

    /// For every layer, whether what comes after it reads nothing that was before its result: only
    /// there can a step end.
    pub(super) fn may_end(&self) -> Vec<bool> {
        let mut least = usize::MAX;
        let mut ends: Vec<bool> = (0..self.layers.len())
            .rev()
            .map(|layer| {
                let ends = least > layer;
                least = self.reads_of(layer).fold(least, usize::min);
                ends
            })
            .collect();
        ends.reverse();
        ends
    }

    /// One map for each value that each layer reads; the first of a layer has its bias.
    pub(super) fn maps(&self) -> Vec<MapShape> {
        let layers = self.layers.iter().enumerate();
        layers
            .flat_map(|(l, layer)| {
                self.reads_of(l).map(|value| MapShape {
                    rows: layer.outputs,
                    columns: self.value_len(value),
                })
            })
            .collect()
    }

    pub(super) fn frame(&self) -> VectorShape {
        VectorShape {
            len: self.layers[0].inputs,
            width: self.width,
        }
    }

    /// The operations of all layers on `x`; gives the register of the output.
    pub(super) fn push_layers(&self, operations: &mut Vec<Operation>, x: Register) -> Register {
        let mut values = vec![x];
        let mut maps = 0;
        let last = self.layers.len() - 1;
        for (l, layer) in self.layers.iter().enumerate() {
            let raw_output = l == last && layer.activation == Activation::Identity;
            let mut push = |operation| {
                operations.push(operation);
                Register::result_of(operations.len() - 1)
            };
            let terms = self.reads_of(l).map(|value| {
                maps += 1;
                Term {
                    map: MapRef::Fixed(maps - 1),
                    input: values[value],
                }
            });
            let mut x = push(Operation::Affine {
                terms: terms.collect(),
                rows: layer.outputs,
                bits: self.bits,
                shift: if raw_output { 0 } else { self.shift },
            });
            if !raw_output {
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
            values.push(x);
        }
        values[self.layers.len()]
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

    fn layered(&self, slots: u32) -> Result<Program, ProgramError> {
        if slots == 0 {
            return Err(ProgramError::Dimension {
                what: "layers per step",
                got: 0,
                least: 1,
                most: self.layers.len() as u64,
            });
        }
        let placement = Placement::of(self, slots as usize).ok_or(ProgramError::Structure(
            "a layer, or what stands between two ends of steps, does not fit a step: more layers to a step are needed",
        ))?;
        Ok(placement.program(self))
    }
}
