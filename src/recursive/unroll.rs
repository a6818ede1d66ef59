//! A step as one straight list: the operations of a frame repeated for every frame of the step,
//! with the choice between old and new state after each, and the head at the end; or the layers of a
//! network in the slots of a step.

use super::{
    encoding::{Encoding, encode},
    limits,
    nodes::{Node, Route, Slot, SlotUse, Unrolled},
    schedule::{Activation, Layers, Placement, Schedule},
};
use crate::program::{Concat, Emission, Operation, Program, ProgramError, Register, Registers};

impl Unrolled {
    /// The step of a valid program under a schedule.
    ///
    /// # Errors
    /// If the program does something that no circuit does, the schedule does not fit it, or the step
    /// would be too large.
    pub(crate) fn new(program: &Program, schedule: Schedule) -> Result<Self, ProgramError> {
        let whole = match schedule {
            Schedule::LayersPerStep(0) => {
                return Err(ProgramError::Structure("a step has at least one layer"));
            }
            Schedule::LayersPerStep(slots) => Self::of_layers(program, slots)?,
            Schedule::WholeNetwork | Schedule::FramesPerStep(_) => None,
        };
        // One name for schedules that are the same.
        let (mut step, schedule) = match (whole, schedule.frames_per_step()) {
            (Some(step), _) => (step, schedule),
            (None, 1) => (Self::of_frames(program, 1)?, Schedule::WholeNetwork),
            (None, frames) => (Self::of_frames(program, frames)?, schedule),
        };
        step.schedule = schedule;
        step.bound = step.bound_registers();
        step.sole_readers = step.find_sole_readers();
        limits::check(&step)?;
        Ok(step)
    }

    /// The step of a valid program if no schedule was asked for: a whole inference, or, if that is too
    /// large, as many layers as are not.
    pub(crate) fn unasked(program: &Program) -> Result<Self, ProgramError> {
        let whole = Self::new(program, Schedule::WholeNetwork);
        let Ok(network) = Layers::of(program) else {
            return whole;
        };
        let mut layers = network.layers.len();
        while whole.is_err() && layers > 1 {
            layers = layers.div_ceil(2);
            let step = Self::new(program, Schedule::LayersPerStep(layers as u32));
            if step.is_ok() {
                return step;
            }
        }
        whole
    }

    fn empty(program: &Program, encodings: Registers<Encoding>) -> Self {
        Self {
            schedule: Schedule::WholeNetwork,
            tables: program.tables.clone(),
            dimensions: program.bank(),
            phases: 1,
            nodes: Vec::new(),
            encodings,
            initial: program.initial_carried(),
            slots: Vec::new(),
            head: 0..0,
            emission: program.emission,
            output: program.output.register,
            output_len: program.output.len as usize,
            bound: Vec::new(),
            sole_readers: Vec::new(),
            map_rows: program.maps.iter().map(|m| m.rows).collect(),
        }
    }

    fn push(&mut self, node: Node, encoding: Encoding) -> Register {
        self.nodes.push(node);
        self.encodings.push(encoding)
    }

    /// Several frames to a step.
    fn of_frames(program: &Program, frames: u32) -> Result<Self, ProgramError> {
        limits::check_frames(frames)?;
        let encodings = encode(program)?;
        limits::check_work(program, &encodings, frames)?;
        let carried = program.carried.iter().map(|c| Encoding::of(c.shape));
        let inputs = Registers::new(Encoding::of(program.frame), carried);
        let mut step = Self::empty(program, inputs);
        for slot in 0..frames as usize {
            step.push_slot(program, &encodings, slot);
        }
        step.push_head(program, &encodings);
        Ok(step)
    }

    /// An operation of the program on registers of the step.
    fn push_operation(
        &mut self,
        operation: &Operation,
        encoding: Encoding,
        at: &Registers<Register>,
    ) -> Register {
        let node = match operation.clone().map_registers(|r| at[r]) {
            Operation::Affine(affine) => {
                let terms = affine.terms.into_iter().map(|t| Route {
                    input: t.input,
                    window: t.window,
                    maps: vec![Some(t.map)],
                });
                Node::Affine(terms.collect())
            }
            operation => Node::Operation(operation),
        };
        self.push(node, encoding)
    }

    fn push_slot(&mut self, program: &Program, encodings: &Registers<Encoding>, slot: usize) {
        let first = self.nodes.len();
        let frame = match slot {
            0 => Register::Frame,
            _ => self.push(Node::Frame, encodings[Register::Frame]),
        };
        let before: Vec<Register> = match self.slots.last() {
            Some(last) => last.carried.clone(),
            None => self.opened(),
        };
        // Where the registers of the program are in the step.
        let mut at = Registers::new(frame, before.iter().copied());
        for (k, operation) in program.operations.iter().enumerate() {
            let encoding = encodings[Register::result_of(k)];
            let register = self.push_operation(operation, encoding, &at);
            at.push(register);
        }
        let mut carried = Vec::with_capacity(program.carried.len());
        for c in &program.carried {
            let (next, held) = (at[c.next], Encoding::of(c.shape));
            let is_held = self.encodings[next] == held;
            carried.push(match is_held {
                true => next,
                // The same values with the bits that they are carried on with.
                false => {
                    let inputs = vec![next];
                    self.push(Node::Operation(Concat { inputs }.into()), held)
                }
            });
        }
        // The first slot is never off.
        if slot > 0 {
            for (new, old) in carried.iter_mut().zip(&before) {
                let encoding = self.encodings[*old];
                let keep = Node::Keep {
                    slot,
                    new: *new,
                    old: *old,
                };
                *new = self.push(keep, encoding);
            }
        }
        let output = match program.emission {
            Emission::Each => at[program.output.register],
            Emission::Last => Register::Frame,
        };
        self.slots.push(Slot {
            frame,
            nodes: first..self.nodes.len(),
            output,
            carried,
        });
    }

    /// The head reads what is carried on, and its own results.
    fn push_head(&mut self, program: &Program, encodings: &Registers<Encoding>) {
        let first = self.nodes.len();
        let mut at = Registers::new(
            Register::Frame,
            program.carried.iter().map(|_| Register::Frame),
        );
        for _ in &program.operations {
            at.push(Register::Frame);
        }
        if let Some(last) = self.slots.last() {
            for (carried, register) in program.carried.iter().zip(&last.carried) {
                at[carried.next] = *register;
            }
        }
        let body = program.operations.len();
        for (k, operation) in program.head.iter().enumerate() {
            let encoding = encodings[Register::result_of(body + k)];
            let register = self.push_operation(operation, encoding, &at);
            at.push(register);
        }
        if program.emission == Emission::Last {
            self.output = at[program.output.register];
        }
        self.head = first..self.nodes.len();
    }

    /// Some layers to a step; `None` if all of them fit one.
    fn of_layers(program: &Program, slots: u32) -> Result<Option<Self>, ProgramError> {
        let network = Layers::of(program)?;
        let slots = slots as usize;
        if slots >= network.layers.len() {
            return Ok(None);
        }
        const NONE: ProgramError = ProgramError::Structure(
            "what stands between two ends of steps does not fit a step: more layers to a step are needed",
        );
        let placement = Placement::of(&network, slots).ok_or(NONE)?;
        limits::check_placement(&network, &placement)?;
        let vector = |len: u32| Encoding::signed(len as usize, network.width);
        let carried = vector(placement.lengths[slots - 1]);
        let inputs = Registers::new(vector(network.value_len(0)), [carried]);
        let mut step = Self::empty(program, inputs);
        step.phases = placement.phases.len() as u64;
        step.initial = vec![vec![0; carried.len]];
        let longest = carried.len.max(network.value_len(0) as usize);
        let selected = step.push(Node::Select, vector(longest as u32));
        // The three nodes of every slot follow.
        let end = |slot: usize| Register::result_of(3 + 3 * slot);
        let routes = placement.routes(&network, selected, end).ok_or(NONE)?;
        for (slot, routes) in routes.into_iter().enumerate() {
            let len = placement.lengths[slot];
            let terms = routes.into_iter().map(|((input, window), maps)| Route {
                input,
                window,
                maps,
            });
            let sums = Encoding {
                len: len as usize,
                ..network.sums
            };
            step.push(Node::Affine(terms.collect()), sums);
            let requantize = crate::program::Requantize {
                input: Register::result_of(1 + 3 * slot),
                shift: network.shift,
                drop: 0,
                width: network.width,
            };
            step.push(Node::Operation(requantize.into()), vector(len));
            let layer = Node::Layer {
                input: Register::result_of(2 + 3 * slot),
                uses: uses(&network, &placement, slot),
            };
            step.push(layer, vector(len));
        }
        let last = placement.phases.last().map_or(&[][..], Vec::as_slice);
        let place = last.iter().rposition(Option::is_some).unwrap_or(0);
        let output = match network.ends_in_sums {
            true => Register::result_of(1 + 3 * place),
            false => end(place),
        };
        step.slots.push(Slot {
            frame: Register::Frame,
            nodes: 0..step.nodes.len(),
            output,
            carried: vec![end(slots - 1)],
        });
        step.head = step.nodes.len()..step.nodes.len();
        Ok(Some(step))
    }
}

/// What a slot does in each phase. An idle one does what it does elsewhere, on zeros: that costs no
/// choice.
fn uses(network: &Layers, placement: &Placement, slot: usize) -> Vec<SlotUse> {
    let of = |layer: usize| SlotUse {
        rows: network.layers[layer].rows,
        activation: network.layers[layer].activation,
    };
    let phases = placement.phases.iter();
    let longest = phases
        .clone()
        .filter_map(|phase| phase[slot])
        .max_by_key(|l| network.layers[*l].rows)
        .map(of);
    let idle = longest.unwrap_or(SlotUse {
        rows: placement.lengths[slot],
        activation: Activation::Identity,
    });
    phases.map(|phase| phase[slot].map_or(idle, of)).collect()
}
