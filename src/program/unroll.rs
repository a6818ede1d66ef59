//! A step as one straight list: the operations of a frame repeated for every frame of the step,
//! with the choice between old and new state after each, and the head at the end.
//!
//! With one frame to a step the list is the program's own, and registers keep their indexes.

use std::{collections::BTreeSet, ops::Range};

use super::{Emission, Operation, Program, Register, RegisterShape, Term};

/// What defines a register of a step.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// The frame of a slot after the first.
    Frame,
    /// A part of the carried vector, after the first, as it comes from the step before.
    Carried,
    /// An operation on registers of the step.
    Operation(Operation),
    /// `on_slot ? new : old`: a frame that is not there changes nothing.
    Keep {
        /// The slot.
        slot: usize,
        /// The register after the slot's operations.
        new: Register,
        /// The register before them.
        old: Register,
    },
}

/// The part of a step that belongs to one frame.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// Its frame.
    pub(crate) frame: Register,
    /// Its nodes.
    pub(crate) nodes: Range<usize>,
    /// The register that its output is taken from, if every frame has one.
    pub(crate) output: Register,
    /// Parts of the carried vector after it.
    pub(crate) carried: Vec<Register>,
}

/// A step of a program, all its frames in one list of nodes; node `i` defines register `2 + i`.
#[derive(Clone, Debug)]
pub(crate) struct Unrolled {
    pub(crate) program: Program,
    pub(crate) nodes: Vec<Node>,
    /// Of all registers, by index.
    pub(crate) shapes: Vec<RegisterShape>,
    /// Parts of the carried vector before the first slot.
    pub(crate) opened: Vec<Register>,
    pub(crate) slots: Vec<Slot>,
    /// Nodes of the head.
    pub(crate) head: Range<usize>,
    /// The register that the output of the last frame is taken from, if only that one has one.
    pub(crate) output: Register,
    /// See [`Unrolled::bound`].
    bound: Vec<Register>,
    /// See [`Unrolled::sole_reader`].
    sole_readers: Vec<Option<usize>>,
}

impl Unrolled {
    /// The step of a valid program.
    pub(crate) fn new(program: &Program) -> Self {
        let frames = program.frames_per_step() as usize;
        let mut step = Self {
            program: program.clone(),
            nodes: Vec::new(),
            shapes: program.register_shapes()[..2].to_vec(),
            opened: Vec::new(),
            slots: Vec::with_capacity(frames),
            head: 0..0,
            output: program.output.register,
            bound: Vec::new(),
            sole_readers: Vec::new(),
        };
        for slot in 0..frames {
            step.push_slot(slot);
        }
        step.push_head();
        step.bound = step.bound_registers();
        step.sole_readers = step.find_sole_readers();
        step
    }

    /// The step of the same program with one frame to a step.
    pub(crate) fn of_one_frame(program: &Program) -> Self {
        let mut program = program.clone();
        if let super::Spread::Frames { per_step } = &mut program.spread {
            *per_step = 1;
        }
        Self::new(&program)
    }

    fn push(&mut self, node: Node, shape: RegisterShape) -> Register {
        self.nodes.push(node);
        self.shapes.push(shape);
        Register::result_of(self.nodes.len() - 1)
    }

    fn push_operation(&mut self, operation: Operation) -> Register {
        let shape = self.program.result_shape(&operation, &self.shapes);
        self.push(Node::Operation(operation), shape)
    }

    fn push_slot(&mut self, slot: usize) {
        let first = self.nodes.len();
        let frame = match slot {
            0 => Register::FRAME,
            _ => self.push(Node::Frame, self.program.frame_shape()),
        };
        let before: Vec<Register> = match self.slots.last() {
            Some(last) => last.carried.clone(),
            None => Vec::new(),
        };
        // Where the registers of the program are in the step.
        let mut at = vec![frame, before.first().copied().unwrap_or(Register::CARRIED)];
        if slot == 0 && !self.program.carried.is_empty() {
            self.opened.push(Register::CARRIED);
        }
        for operation in self.program.operations.clone() {
            let register = match operation {
                Operation::Carried { part } => {
                    let part = part as usize;
                    if slot == 0 {
                        let shape = self.program.carried_shapes()[part];
                        let register = self.push(Node::Carried, shape);
                        self.opened.push(register);
                        register
                    } else {
                        before[part]
                    }
                }
                operation => self.push_operation(operation.map_registers(|r| at[r.index()])),
            };
            at.push(register);
        }
        let mut carried: Vec<Register> = self
            .program
            .carried
            .iter()
            .map(|c| at[c.next.index()])
            .collect();
        // The first slot is never off.
        if slot > 0 {
            carried = carried
                .into_iter()
                .zip(&before)
                .map(|(new, old)| {
                    let old = *old;
                    let shape = self.shapes[old.index()];
                    self.push(Node::Keep { slot, new, old }, shape)
                })
                .collect();
        }
        let output = match self.program.emission {
            Emission::Each => at[self.program.output.register.index()],
            Emission::Last => Register::FRAME,
        };
        self.slots.push(Slot {
            frame,
            nodes: first..self.nodes.len(),
            output,
            carried,
        });
    }

    /// The head reads what is carried on, and its own results.
    fn push_head(&mut self) {
        let first = self.nodes.len();
        let body = 2 + self.program.operations.len();
        let mut at: Vec<Register> = vec![Register::FRAME; body];
        if let Some(last) = self.slots.last() {
            for (carried, register) in self.program.carried.iter().zip(&last.carried) {
                at[carried.next.index()] = *register;
            }
        }
        for operation in self.program.head.clone() {
            let register = self.push_operation(operation.map_registers(|r| at[r.index()]));
            at.push(register);
        }
        self.output = at[self.program.output.register.index()];
        self.head = first..self.nodes.len();
    }

    /// The affine operations of the step, in order, with their node.
    pub(crate) fn affine_operations(&self) -> impl Iterator<Item = (usize, &[Term])> {
        self.nodes
            .iter()
            .enumerate()
            .filter_map(|(i, node)| match node {
                Node::Operation(Operation::Affine { terms, .. }) => Some((i, terms.as_slice())),
                _ => None,
            })
    }

    /// The registers that the challenge must be bound to as data: all that an affine operation
    /// reads, through slices, concatenations and choices by the phase, but the vector carried to
    /// the step, and a frame that is absorbed into `inputs` whenever it is read; once each, frames
    /// first, then in order of definition. Where a slot may have no frame, all frames are among them,
    /// read or not; what is hashed of them is their digest.
    pub(crate) fn bound(&self) -> &[Register] {
        &self.bound
    }

    fn bound_registers(&self) -> Vec<Register> {
        let frames: BTreeSet<Register> = self.slots.iter().map(|s| s.frame).collect();
        // What is read, and through slices and concatenations what that is made of.
        let mut read = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut left: Vec<Register> = self
            .affine_operations()
            .flat_map(|(_, terms)| terms.iter().map(|t| t.input))
            .collect();
        while let Some(register) = left.pop() {
            if !seen.insert(register) {
                continue;
            }
            let node = register.index().checked_sub(2).map(|i| &self.nodes[i]);
            match node {
                Some(Node::Operation(Operation::Slice { input, .. })) => left.push(*input),
                Some(Node::Operation(Operation::Concat { inputs })) => left.extend(inputs),
                // The phase is part of the state, which is hashed.
                Some(Node::Operation(Operation::Select { first, rest })) => {
                    left.extend([*first, *rest]);
                }
                _ => {
                    read.insert(register);
                }
            }
        }
        // A step of a layered schedule reads a frame in phase 0 only, and absorbs it there.
        let mut bound: Vec<Register> = if self.slots.len() == 1 {
            Vec::new()
        } else {
            frames.iter().copied().collect()
        };
        bound.extend(
            read.into_iter()
                .filter(|r| !frames.contains(r) && !self.opened.contains(r)),
        );
        bound
    }

    /// The accumulator that `register` is, or is a slice of, and where the slice begins.
    pub(crate) fn accumulator(&self, register: Register) -> (Register, usize) {
        let (mut register, mut at) = (register, 0);
        while let Some(Node::Operation(Operation::Slice { input, start, .. })) =
            register.index().checked_sub(2).map(|i| &self.nodes[i])
        {
            register = *input;
            at += *start as usize;
        }
        (register, at)
    }

    /// The register of a part of the carried vector that the slot of a node finds.
    pub(crate) fn carried_before(&self, node: usize, part: usize) -> Register {
        let slot = self.slots.partition_point(|s| s.nodes.end <= node);
        match slot {
            0 => self.opened[part],
            _ => self.slots[slot - 1].carried[part],
        }
    }

    /// The shift `s` of an accumulator.
    pub(crate) fn shift(&self, accumulator: Register) -> u8 {
        let (source, _) = self.accumulator(accumulator);
        match source.index().checked_sub(2).map(|i| &self.nodes[i]) {
            Some(Node::Operation(
                Operation::Affine { shift, .. } | Operation::Combine { shift, .. },
            )) => *shift,
            _ => 0,
        }
    }

    /// Shape of a register.
    pub(crate) fn shape(&self, register: Register) -> &RegisterShape {
        &self.shapes[register.index()]
    }

    /// The two registers that a register is selected from.
    pub(crate) fn selected(&self, register: Register) -> Option<(Register, Register)> {
        match register.index().checked_sub(2).map(|i| &self.nodes[i]) {
            Some(Node::Operation(Operation::Select { first, rest })) => Some((*first, *rest)),
            _ => None,
        }
    }

    /// Whether nothing but affine operations reads a register, in a layered schedule.
    pub(crate) fn only_multiplied(&self, register: Register) -> bool {
        let other = |node: &Node| match node {
            Node::Operation(Operation::Affine { .. }) | Node::Frame | Node::Carried => false,
            Node::Operation(operation) => operation.reads().contains(&register),
            Node::Keep { new, old, .. } => register == *new || register == *old,
        };
        let kept = self
            .slots
            .iter()
            .flat_map(|s| s.carried.iter().chain([&s.output]));
        !self.nodes.iter().any(other) && !kept.chain([&self.output]).any(|r| *r == register)
    }

    /// The only node that reads a register, `None` if there are several or none, or if the register
    /// is an output or carried on.
    pub(crate) fn sole_reader(&self, register: Register) -> Option<&Node> {
        let reader = self.sole_readers.get(register.index()).copied().flatten();
        reader.map(|at| &self.nodes[at])
    }

    fn find_sole_readers(&self) -> Vec<Option<usize>> {
        let mut count = vec![0usize; self.shapes.len()];
        let mut last = vec![None; self.shapes.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            let mut reads = match node {
                Node::Operation(operation @ Operation::Accumulate { part, .. }) => {
                    let mut reads = operation.reads();
                    reads.push(self.carried_before(at, *part as usize));
                    reads
                }
                Node::Operation(operation) => operation.reads(),
                Node::Keep { new, old, .. } => vec![*new, *old],
                Node::Frame | Node::Carried => Vec::new(),
            };
            reads.sort_unstable();
            reads.dedup();
            for register in reads {
                count[register.index()] += 1;
                last[register.index()] = Some(at);
            }
        }
        let mut leaves: Vec<Register> = self.slots.iter().flat_map(|s| s.carried.clone()).collect();
        match self.program.emission {
            Emission::Each => leaves.extend(self.slots.iter().map(|s| s.output)),
            Emission::Last => leaves.push(self.output),
        }
        for register in leaves {
            count[register.index()] += 1;
        }
        let sole = last.into_iter().zip(count);
        sole.map(|(at, count)| at.filter(|_| count == 1)).collect()
    }
}
