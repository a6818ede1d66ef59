//! What a step is made of.

use std::{collections::BTreeSet, ops::Range};

use super::{
    encoding::Encoding,
    schedule::{Activation, Schedule},
};
use crate::program::{
    BankDimensions, Emission, Operation, Order, Program, ProgramError, Register, Registers, Table,
    Window,
};

/// What defines a register of a step.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// The frame of a slot after the first.
    Frame,
    /// An operation on registers of the step that is no affine one.
    Operation(Operation),
    /// `Σ A·x`, of maps that depend on the phase.
    Affine(Vec<Route>),
    /// `on_slot ? new : old`: a frame that is not there changes nothing.
    Keep {
        /// The slot.
        slot: usize,
        /// The register after the slot's operations.
        new: Register,
        /// The register before them.
        old: Register,
    },
    /// The frame in phase 0, the carried vector in all others, the shorter one filled with zeros.
    Select,
    /// The end of a slot that layers share: `[i < rows]·act(q)[i]`, rows and activation being those
    /// of the slot in the phase of the step.
    Layer {
        /// The requantised sums `q`.
        input: Register,
        /// For every phase.
        uses: Vec<SlotUse>,
    },
}

/// A term of an affine node.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// The register that maps are applied to, zero beyond its length.
    pub(crate) input: Register,
    /// What of it, if not all of it, once.
    pub(crate) window: Option<Window>,
    /// For every phase the map, if there is one then.
    pub(crate) maps: Vec<Option<u32>>,
}

/// What a slot does in one phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotUse {
    /// Rows of the layer that it computes; the others are zero.
    pub(crate) rows: u32,
    /// What is applied to them.
    pub(crate) activation: Activation,
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

/// A step of a program under a schedule, all its frames or layers in one list of nodes. Its registers
/// are the first frame, the parts of the carried vector, and the results of nodes.
#[derive(Clone, Debug)]
pub(crate) struct Unrolled {
    pub(crate) schedule: Schedule,
    pub(crate) tables: Vec<Table>,
    pub(crate) dimensions: BankDimensions,
    /// Steps of one inference, `S`.
    pub(crate) phases: u64,
    pub(crate) nodes: Vec<Node>,
    /// Of all registers.
    pub(crate) encodings: Registers<Encoding>,
    /// What is carried to the first step; parameters of the program as it has them.
    pub(crate) initial: Vec<Vec<i64>>,
    pub(crate) slots: Vec<Slot>,
    /// Nodes of the head.
    pub(crate) head: Range<usize>,
    pub(crate) emission: Emission,
    /// The register that the output of the last frame is taken from, if only that one has one.
    pub(crate) output: Register,
    /// Entries of the output.
    pub(crate) output_len: usize,
    /// See [`Unrolled::bound`].
    pub(super) bound: Vec<Register>,
    /// See [`Unrolled::sole_reader`].
    pub(super) sole_readers: Vec<Option<usize>>,
    /// Rows of every map.
    pub(super) map_rows: Vec<u32>,
}

impl Unrolled {
    /// Parts of the carried vector before the first slot.
    pub(crate) fn opened(&self) -> Vec<Register> {
        (0..self.initial.len() as u32)
            .map(Register::Carried)
            .collect()
    }

    /// How the parts of the carried vector are held.
    pub(crate) fn carried_encodings(&self) -> Vec<Encoding> {
        self.opened().iter().map(|r| self.encodings[*r]).collect()
    }

    /// How the output is held.
    pub(crate) fn output_encoding(&self) -> Encoding {
        let register = match self.emission {
            Emission::Each => self.slots.first().map_or(self.output, |s| s.output),
            Emission::Last => self.output,
        };
        Encoding {
            len: self.output_len,
            ..self.encodings[register]
        }
    }

    /// The most frames that a step takes, `F`.
    pub(crate) fn frames(&self) -> usize {
        self.slots.len()
    }

    /// The vector carried to the first step, with the parameters of the program in it.
    pub(crate) fn initial_with(
        &self,
        program: &Program,
        parameters: &[i64],
    ) -> Result<Vec<Vec<i64>>, crate::error::Error> {
        // Layers that share steps carry a vector that the program does not know of.
        let own = program.initial_with(parameters)?;
        Ok(if self.phases > 1 {
            self.initial.clone()
        } else {
            own
        })
    }

    /// The node that defines a register.
    pub(crate) fn node(&self, register: Register) -> Option<&Node> {
        register.operation().and_then(|at| self.nodes.get(at))
    }

    /// The affine nodes of the step, in order, with their index.
    pub(crate) fn affine_nodes(&self) -> impl Iterator<Item = (usize, &[Route])> {
        self.nodes
            .iter()
            .enumerate()
            .filter_map(|(i, node)| match node {
                Node::Affine(terms) => Some((i, terms.as_slice())),
                _ => None,
            })
    }

    /// The products of an affine node in a phase: for each term that is not left out, its map and
    /// whether the bias is taken from it, which is so for the first of them.
    pub(crate) fn products(
        terms: &[Route],
        phase: u64,
    ) -> impl Iterator<Item = (usize, &Route, bool)> {
        let there = terms.iter().filter_map(move |t| {
            let map = *t.maps.get(phase as usize)?;
            Some((map? as usize, t))
        });
        there.enumerate().map(|(k, (map, t))| (map, t, k == 0))
    }

    /// If the results of an affine node stand position by position, the rows of its maps; `Err` if
    /// they do so in some phases alone, or with several numbers of rows.
    pub(crate) fn block(&self, terms: &[Route]) -> Result<Option<usize>, ProgramError> {
        let mut blocks = terms.iter().flat_map(|route| {
            let by_position = (route.window.as_ref()).is_some_and(|w| w.order == Order::Positions);
            let maps = route.maps.iter().flatten();
            maps.map(move |map| by_position.then(|| self.map_rows[*map as usize] as usize))
        });
        let first = blocks.next().flatten();
        match blocks.all(|block| block == first) {
            true => Ok(first),
            false => Err(ProgramError::Structure(
                "layers that share a slot have results in one order, and as many rows if that is position by position",
            )),
        }
    }

    /// `s`: the results of an affine node have `2^s` places, those of rows that the polynomial of the
    /// weights has beyond its maps included.
    pub(crate) fn separation(&self) -> u32 {
        let windows = self.affine_nodes().flat_map(|(_, terms)| terms);
        let positions = windows.flat_map(|t| &t.window).map(Window::positions);
        let most = positions.max().unwrap_or(1);
        self.dimensions.mu + most.next_power_of_two().trailing_zeros()
    }

    /// The registers that the challenge must be bound to as data: all that an affine operation
    /// reads, through slices, concatenations and choices by the phase, but the vector carried to
    /// the step, and a frame that is absorbed into `inputs` whenever it is read; once each, frames
    /// first, then in order of definition. Where a slot may have no frame, all frames are among them,
    /// read or not; what is hashed of them is their digest.
    pub(crate) fn bound(&self) -> &[Register] {
        &self.bound
    }

    pub(super) fn bound_registers(&self) -> Vec<Register> {
        let frames: BTreeSet<Register> = self.slots.iter().map(|s| s.frame).collect();
        // What is read, and through slices and concatenations what that is made of.
        let mut read = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut left: Vec<Register> = self
            .affine_nodes()
            .flat_map(|(_, terms)| terms.iter().map(|t| t.input))
            .collect();
        while let Some(register) = left.pop() {
            if !seen.insert(register) {
                continue;
            }
            match self.node(register) {
                Some(Node::Operation(Operation::Slice(slice))) => left.push(slice.input),
                Some(Node::Operation(Operation::Concat(concat))) => left.extend(&concat.inputs),
                // The phase is part of the state, which is hashed.
                Some(Node::Select) => left.extend([Register::Frame, Register::CARRIED]),
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
                .filter(|r| !frames.contains(r) && !matches!(r, Register::Carried(_))),
        );
        bound
    }

    /// The accumulator that `register` is, or is a slice of, and where the slice begins.
    pub(crate) fn accumulator(&self, register: Register) -> (Register, usize) {
        let (mut register, mut at) = (register, 0);
        while let Some(Node::Operation(Operation::Slice(slice))) = self.node(register) {
            register = slice.input;
            at += slice.start as usize;
        }
        (register, at)
    }

    /// The register of a part of the carried vector that the slot of a node finds.
    pub(crate) fn carried_before(&self, node: usize, part: usize) -> Register {
        let slot = self.slots.partition_point(|s| s.nodes.end <= node);
        match slot {
            0 => Register::Carried(part as u32),
            _ => self.slots[slot - 1].carried[part],
        }
    }

    /// How a register is held.
    pub(crate) fn encoding(&self, register: Register) -> &Encoding {
        &self.encodings[register]
    }

    /// Whether nothing but affine operations reads a register, in a layered schedule.
    pub(crate) fn only_multiplied(&self, register: Register) -> bool {
        let other = |node: &Node| {
            let multiplies = matches!(node, Node::Affine(_));
            !multiplies && self.reads(node).contains(&register)
        };
        let kept = self
            .slots
            .iter()
            .flat_map(|s| s.carried.iter().chain([&s.output]));
        !self.nodes.iter().any(other) && !kept.chain([&self.output]).any(|r| *r == register)
    }

    /// The registers that a node reads; of a sum over frames, without what it adds to.
    fn reads(&self, node: &Node) -> Vec<Register> {
        match node {
            Node::Frame => Vec::new(),
            Node::Operation(operation) => operation.reads(),
            Node::Affine(terms) => terms.iter().map(|t| t.input).collect(),
            Node::Keep { new, old, .. } => vec![*new, *old],
            Node::Select => vec![Register::Frame, Register::CARRIED],
            Node::Layer { input, .. } => vec![*input],
        }
    }

    /// The only node that reads a register, `None` if there are several or none, or if the register
    /// is an output or carried on.
    pub(crate) fn sole_reader(&self, register: Register) -> Option<&Node> {
        let at = self.place(register);
        let reader = self.sole_readers.get(at).copied().flatten();
        reader.map(|at| &self.nodes[at])
    }

    /// Position of a register in a list of all.
    fn place(&self, register: Register) -> usize {
        match register {
            Register::Frame => 0,
            Register::Carried(part) => 1 + part as usize,
            Register::Result(node) => 1 + self.initial.len() + node as usize,
        }
    }

    pub(super) fn find_sole_readers(&self) -> Vec<Option<usize>> {
        let all = self.encodings.values().len();
        let mut count = vec![0usize; all];
        let mut last = vec![None; all];
        for (at, node) in self.nodes.iter().enumerate() {
            let mut reads = self.reads(node);
            if let Node::Operation(Operation::Accumulate(sum)) = node {
                reads.push(self.carried_before(at, sum.part as usize));
            }
            reads.sort_unstable();
            reads.dedup();
            for register in reads {
                let place = self.place(register);
                count[place] += 1;
                last[place] = Some(at);
            }
        }
        let mut leaves: Vec<Register> = self.slots.iter().flat_map(|s| s.carried.clone()).collect();
        match self.emission {
            Emission::Each => leaves.extend(self.slots.iter().map(|s| s.output)),
            Emission::Last => leaves.push(self.output),
        }
        for register in leaves {
            count[self.place(register)] += 1;
        }
        let sole = last.into_iter().zip(count);
        sole.map(|(at, count)| at.filter(|_| count == 1)).collect()
    }
}
