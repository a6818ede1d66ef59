//! Claims about outputs: instead of the outputs, a statement shows whether something holds of them,
//! frame by frame or summed up over all frames. The claim is a part of the program.

use super::{
    Carried, Emission, Monomial, NetworkShape, Operation, Output, Program, ProgramError, Register,
    Spread, VectorShape,
};

/// Bits of counters.
const COUNT: u8 = 32;
/// Bits of sums over frames.
const SUM: u8 = 48;
/// Bits of a threshold that is a parameter.
const PARAMETER: u8 = 40;

/// What an output is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// A constant of the program, in units of the output.
    Constant(i64),
    /// A parameter of the statement: another one for every run, under the same keys.
    Parameter,
}

/// The class that an output is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// A constant of the program.
    Constant(u32),
    /// An entry of the frame, after the inputs of the network; a value that is no class equals none.
    Frame,
}

/// What may hold of the outputs for one frame; 1 if it does, 0 if not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Predicate {
    /// Output `entry` is at least the threshold.
    AtLeast {
        /// Its index.
        entry: u32,
        /// The threshold.
        threshold: Threshold,
    },
    /// Output `entry` lies between two constants, both included.
    Within {
        /// Its index.
        entry: u32,
        /// The least value.
        least: i64,
        /// The largest value.
        most: i64,
    },
    /// The largest output, of equal ones the first, is that of the label.
    IsLabel(Label),
    /// The output of the label is among the `k` largest; of equal ones the first is the larger.
    AmongLargest {
        /// How many.
        k: u32,
        /// The label.
        label: Label,
    },
}

/// What a statement shows of the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claim {
    /// The index of the largest output, of equal ones the first; for each frame.
    ArgMax,
    /// Whether a predicate holds, 1 or 0; for each frame.
    Holds(Predicate),
    /// Of how many frames a predicate holds.
    Count(Predicate),
    /// The same by the group that an entry of the frame says, its last one: how many it holds of in
    /// each group, then how many there are in each group. A value that is no group is in none.
    CountByGroup {
        /// The predicate.
        predicate: Predicate,
        /// Number of groups.
        groups: u32,
    },
    /// How often each class of the label, an entry of the frame, was taken for each class: rows are
    /// labels. A frame whose label is no class is in no cell: compare the total with the number of
    /// frames.
    Confusion,
    /// The sum of an output over all frames.
    Sum {
        /// Its index.
        entry: u32,
    },
    /// The least value of an output over all frames.
    Least {
        /// Its index.
        entry: u32,
    },
    /// The largest value of an output over all frames.
    Most {
        /// Its index.
        entry: u32,
    },
}

impl Predicate {
    fn label(self) -> Option<Label> {
        match self {
            Self::IsLabel(label) | Self::AmongLargest { label, .. } => Some(label),
            Self::AtLeast { .. } | Self::Within { .. } => None,
        }
    }

    fn in_words(self, parameters: &[i64]) -> String {
        let class = |label| match label {
            Label::Constant(class) => format!("class {class}"),
            Label::Frame => "the label".to_owned(),
        };
        match self {
            Self::AtLeast { entry, threshold } => match (threshold, parameters.first()) {
                (Threshold::Constant(t), _) | (Threshold::Parameter, Some(&t)) => {
                    format!("output {entry} ≥ {t}")
                }
                (Threshold::Parameter, None) => format!("output {entry} ≥ the threshold"),
            },
            Self::Within { entry, least, most } => format!("{least} ≤ output {entry} ≤ {most}"),
            Self::IsLabel(label) => format!("the largest output is that of {}", class(label)),
            Self::AmongLargest { k, label } => {
                format!("the output of {} is among the {k} largest", class(label))
            }
        }
    }

    fn has_parameter(self) -> bool {
        matches!(
            self,
            Self::AtLeast {
                threshold: Threshold::Parameter,
                ..
            }
        )
    }
}

impl Claim {
    fn predicate(self) -> Option<Predicate> {
        match self {
            Self::Holds(p) | Self::Count(p) | Self::CountByGroup { predicate: p, .. } => Some(p),
            _ => None,
        }
    }

    /// A result in words; `parameters` are those of the statement.
    pub(crate) fn in_words(self, result: &[i64], parameters: &[i64]) -> String {
        let first = result.first().copied().unwrap_or_default();
        let list = |values: &[i64]| {
            let values: Vec<String> = values.iter().map(i64::to_string).collect();
            values.join(", ")
        };
        match self {
            Self::ArgMax => format!("the largest output is number {first}"),
            Self::Holds(p) => format!("{} is {}", p.in_words(parameters), first == 1),
            Self::Count(p) => format!("{} for {first} of them", p.in_words(parameters)),
            Self::CountByGroup { predicate, groups } => {
                let (holds, all) = result.split_at(result.len().min(groups as usize));
                let pairs = holds.iter().zip(all).enumerate();
                let groups: Vec<String> = pairs
                    .map(|(group, (n, of))| format!("{n} of {of} in group {group}"))
                    .collect();
                format!(
                    "{} for {}",
                    predicate.in_words(parameters),
                    groups.join(", ")
                )
            }
            Self::Confusion => {
                let classes = (1..).find(|c| c * c >= result.len()).unwrap_or(1);
                let rows: Vec<String> = result
                    .chunks(classes)
                    .enumerate()
                    .map(|(label, row)| format!("label {label} taken for {}", list(row)))
                    .collect();
                rows.join("; ")
            }
            Self::Sum { entry } => format!("the sum of output {entry} is {first}"),
            Self::Least { entry } => format!("the least output {entry} is {first}"),
            Self::Most { entry } => format!("the largest output {entry} is {first}"),
        }
    }

    /// Whether frames have a label after the inputs.
    #[must_use]
    pub fn takes_label(self) -> bool {
        self == Self::Confusion || self.predicate().and_then(Predicate::label) == Some(Label::Frame)
    }

    /// Whether frames have a group at their end.
    #[must_use]
    pub fn takes_group(self) -> bool {
        matches!(self, Self::CountByGroup { .. })
    }

    /// Integers that follow the inputs of the network in a frame.
    #[must_use]
    pub fn extra_entries(self) -> u32 {
        u32::from(self.takes_label()) + u32::from(self.takes_group())
    }

    /// Whether there is one result for all frames, rather than one for each.
    #[must_use]
    pub fn is_aggregate(self) -> bool {
        !matches!(self, Self::ArgMax | Self::Holds(_))
    }
}

/// A part of the carried vector that a claim needs.
struct Part {
    len: u32,
    width: u8,
    initial: i32,
    parameter: bool,
}

struct Builder<'a> {
    shape: &'a NetworkShape,
    claim: Claim,
    operations: Vec<Operation>,
    /// The outputs.
    y: Register,
    classes: u32,
    /// Bits of an output, and whether it is an accumulator.
    bits: u8,
    frame_limit: u64,
}

impl Builder<'_> {
    fn push(&mut self, operation: Operation) -> Register {
        self.operations.push(operation);
        Register::result_of(self.operations.len() - 1)
    }

    fn slice(&mut self, input: Register, start: u32, len: u32) -> Register {
        self.push(Operation::Slice { input, start, len })
    }

    /// One register so many times.
    fn repeat(&mut self, input: Register, times: u32) -> Register {
        self.push(Operation::Concat {
            inputs: vec![input; times as usize],
        })
    }

    fn monomials(terms: &[(i32, Register, Option<Register>)]) -> Vec<Monomial> {
        let monomial = |(coefficient, left, right): &(i32, Register, Option<Register>)| Monomial {
            coefficient: *coefficient,
            left: *left,
            right: *right,
        };
        terms.iter().map(monomial).collect()
    }

    /// `[constant + Σ ≥ 0]`, of sums below `2^(bits − 1)`.
    fn nonnegative(
        &mut self,
        constant: i64,
        terms: &[(i32, Register, Option<Register>)],
        bits: u8,
    ) -> Register {
        let sum = self.push(Operation::Combine {
            constant,
            monomials: Self::monomials(terms),
            bits,
            shift: 0,
        });
        self.push(Operation::Sign { input: sum })
    }

    /// The product of two registers of bits.
    fn both(&mut self, a: Register, b: Register) -> Register {
        self.push(Operation::Polynomial {
            constant: 0,
            monomials: Self::monomials(&[(1, a, Some(b))]),
            width: 1,
            offset: 0,
        })
    }

    /// `Σ c_i·b_i` of bits, `c_i ≥ 0`.
    fn weighted(&mut self, bits: Register, coefficients: Vec<i32>) -> Register {
        let most: u64 = coefficients
            .iter()
            .map(|c| u64::from(c.unsigned_abs()))
            .sum();
        self.push(Operation::Dot {
            input: bits,
            coefficients,
            width: bits_of(most),
            offset: 0,
        })
    }

    fn entry(&mut self, entry: u32) -> Register {
        self.slice(self.y, entry, 1)
    }

    /// The one-hot vector of the label in the frame.
    fn frame_label(&mut self) -> Register {
        let inputs = self.shape.layers[0].inputs;
        let label = self.slice(Register::FRAME, inputs, 1);
        let len = self.classes;
        self.push(Operation::Indicators { input: label, len })
    }

    fn ones(&self) -> Vec<i32> {
        vec![1; self.classes as usize]
    }

    fn predicate(&mut self, predicate: Predicate) -> Register {
        match predicate {
            Predicate::AtLeast { entry, threshold } => {
                let y = self.entry(entry);
                match threshold {
                    Threshold::Constant(t) => {
                        let bits = self.bits.max(bits_of(t.unsigned_abs()).saturating_add(1));
                        self.nonnegative(t.saturating_neg(), &[(1, y, None)], bits + 2)
                    }
                    Threshold::Parameter => {
                        let terms = [(1, y, None), (-1, Register::CARRIED, None)];
                        self.nonnegative(0, &terms, self.bits.max(PARAMETER) + 2)
                    }
                }
            }
            Predicate::Within { entry, least, most } => {
                let y = self.entry(entry);
                let widest = least.unsigned_abs().max(most.unsigned_abs());
                let bits = self.bits.max(bits_of(widest).saturating_add(1)) + 2;
                let above = self.nonnegative(least.saturating_neg(), &[(1, y, None)], bits);
                let below = self.nonnegative(most, &[(-1, y, None)], bits);
                self.both(above, below)
            }
            Predicate::IsLabel(label) => {
                let hot = self.push(Operation::ArgMax { input: self.y });
                match label {
                    Label::Constant(class) => self.slice(hot, class, 1),
                    Label::Frame => {
                        let label = self.frame_label();
                        let same = self.both(hot, label);
                        self.one_of(same)
                    }
                }
            }
            Predicate::AmongLargest { k, label } => self.among_largest(k, label),
        }
    }

    /// The sum of bits of which at most one is set: not all of them together, so that it is a bit.
    fn one_of(&mut self, bits: Register) -> Register {
        let sum = self.weighted(bits, self.ones());
        // Σ − 1 ≥ 0
        self.nonnegative(-1, &[(1, sum, None)], bits_of(self.classes.into()) + 2)
    }

    fn among_largest(&mut self, k: u32, label: Label) -> Register {
        let (y, classes, bits) = (self.y, self.classes, self.bits + 3);
        let (larger, valid) = match label {
            Label::Constant(class) => {
                // Entries before the label are larger if they are as large.
                let own = self.slice(y, class, 1);
                let mut larger = Vec::new();
                for (start, len, tie) in [(0, class, 0), (class, classes - class, -1)] {
                    if len > 0 {
                        let others = self.slice(y, start, len);
                        let own = self.repeat(own, len);
                        let terms = [(1, others, None), (-1, own, None)];
                        larger.push(self.nonnegative(tie, &terms, bits));
                    }
                }
                (self.push(Operation::Concat { inputs: larger }), None)
            }
            Label::Frame => {
                let label = self.frame_label();
                // The output of the label, and whether the label is at or before each class.
                let own = self.push(Operation::Polynomial {
                    constant: 0,
                    monomials: Self::monomials(&[(1, label, Some(y))]),
                    width: self.bits + 1,
                    offset: 1 << self.bits,
                });
                // Only one product is not zero, but the range of the sum is that of all.
                let log = bits_of(classes.into());
                let own = self.push(Operation::Dot {
                    input: own,
                    coefficients: self.ones(),
                    width: self.bits + 1 + log,
                    offset: 1 << (self.bits + log),
                });
                let own = self.repeat(own, classes);
                let reached: Vec<Register> = (0..classes)
                    .map(|class| {
                        let upto = (0..classes).map(|c| i32::from(c <= class)).collect();
                        let most = bits_of(classes.into());
                        self.push(Operation::Dot {
                            input: label,
                            coefficients: upto,
                            width: most,
                            offset: 0,
                        })
                    })
                    .collect();
                let reached = self.push(Operation::Concat { inputs: reached });
                let terms = [(1, y, None), (-1, own, None), (-1, reached, None)];
                let larger = self.nonnegative(0, &terms, self.bits + log + 4);
                let valid = self.one_of(label);
                (larger, Some(valid))
            }
        };
        let rank = self.weighted(larger, self.ones());
        let k = i64::from(k);
        let bits = bits_of(u64::from(classes).max(k.unsigned_abs())) + 2;
        let among = self.nonnegative(k - 1, &[(-1, rank, None)], bits);
        match valid {
            Some(valid) => self.both(among, valid),
            None => among,
        }
    }

    /// Adds a register to a counter; `each` is the most that one frame adds.
    fn accumulate(&mut self, part: u32, input: Register, width: u8, each: u64) -> Register {
        let room = (1u64 << (width - 1)) - 1;
        // One frame less: a slot without a frame adds too, to what nobody sees.
        let most = (room / each.max(1)).saturating_sub(1);
        self.frame_limit = self.frame_limit.min(most).max(1);
        self.push(Operation::Accumulate { part, input })
    }
}

/// Bits of an integer, at least 1.
fn bits_of(n: u64) -> u8 {
    (64 - n.leading_zeros()).max(1) as u8
}

impl NetworkShape {
    /// The program of this network that shows a claim about its outputs instead of them, with up to
    /// so many frames to a step; the whole network in every step.
    ///
    /// A frame is the inputs, followed by the label and the group if the claim takes them. Outputs
    /// are the integers that [`program`](Self::program) has. The threshold of a claim with a
    /// parameter is the statement's only parameter.
    ///
    /// # Errors
    /// [`ProgramError`] as [`program`](Self::program); if an entry, class or group of the claim does
    /// not exist, or outputs are too wide for it.
    pub fn claim_program(
        &self,
        claim: Claim,
        frames_per_step: u32,
    ) -> Result<Program, ProgramError> {
        self.check_reads()?;
        let Some(last) = self.layers.last() else {
            return Err(ProgramError::Structure("the network has no layer"));
        };
        let raw = last.activation == super::Activation::Identity;
        let bits = match last.activation {
            super::Activation::Identity => self.bits,
            super::Activation::Relu => self.width,
            super::Activation::Table(t) => {
                self.tables
                    .get(t as usize)
                    .ok_or(ProgramError::Structure("an activation names no table"))?
                    .width
            }
        };
        let classes = last.outputs;
        self.check_claim(claim, bits, classes)?;
        let has_parameter = claim.predicate().is_some_and(Predicate::has_parameter);
        let parts = parts(claim, bits, classes, has_parameter);
        let first_sum = u32::from(has_parameter);

        let mut operations: Vec<Operation> = (1..parts.len() as u32)
            .map(|part| Operation::Carried { part })
            .collect();
        let mut x = Register::FRAME;
        if claim.extra_entries() > 0 {
            operations.push(Operation::Slice {
                input: Register::FRAME,
                start: 0,
                len: self.layers[0].inputs,
            });
            x = Register::result_of(operations.len() - 1);
        }
        let y = self.push_layers(&mut operations, x);
        let mut builder = Builder {
            shape: self,
            claim,
            operations,
            y,
            classes,
            bits,
            frame_limit: u64::MAX,
        };
        debug_assert!(raw || bits <= 16);
        let mut sums = Vec::new();
        let mut head = Vec::new();
        let mut output = builder.show(first_sum, &mut sums, &mut head);
        let carried: Vec<Carried> = parts
            .into_iter()
            .enumerate()
            .map(|(part, p)| Carried {
                shape: VectorShape {
                    len: p.len,
                    width: p.width,
                },
                initial: vec![p.initial; p.len as usize],
                next: match part.checked_sub(first_sum as usize) {
                    Some(at) => sums.get(at).copied().unwrap_or(Register::CARRIED),
                    None => Program::carried_register(part),
                },
                parameter: p.parameter,
            })
            .collect();
        if !head.is_empty() {
            output.register = Register::result_of(builder.operations.len());
        }
        let program = Program {
            maps: self.maps(),
            tables: self.tables.clone(),
            frame: VectorShape {
                len: self.layers[0].inputs.saturating_add(claim.extra_entries()),
                width: self.width,
            },
            carried,
            spread: Spread::Frames {
                per_step: frames_per_step,
            },
            operations: builder.operations,
            head,
            output,
            emission: if claim.is_aggregate() {
                Emission::Last
            } else {
                Emission::Each
            },
            frame_limit: builder.frame_limit,
        };
        program.validate()?;
        Ok(program)
    }

    fn check_claim(&self, claim: Claim, bits: u8, classes: u32) -> Result<(), ProgramError> {
        let structure = |problem| Err(ProgramError::Structure(problem));
        super::validate::width("width of a frame", self.width)?;
        if !(2..=31).contains(&bits) {
            return structure("the outputs are too wide for a claim: 2 to 31 bits");
        }
        let entry = match claim {
            Claim::Sum { entry } | Claim::Least { entry } | Claim::Most { entry } => Some(entry),
            _ => match claim.predicate() {
                Some(Predicate::AtLeast { entry, .. } | Predicate::Within { entry, .. }) => {
                    Some(entry)
                }
                _ => None,
            },
        };
        if entry.is_some_and(|entry| entry >= classes) {
            return structure("the claim is about an output that does not exist");
        }
        if let Some(Label::Constant(class)) = claim.predicate().and_then(Predicate::label)
            && class >= classes
        {
            return structure("the claim is about a class that does not exist");
        }
        if let Some(Predicate::AmongLargest { k, .. }) = claim.predicate()
            && !(1..=classes).contains(&k)
        {
            return structure("the claim is about more of the largest outputs than there are");
        }
        if let Claim::CountByGroup { groups, .. } = claim
            && !(1..=64).contains(&groups)
        {
            return structure("a claim has 1 to 64 groups");
        }
        if claim == Claim::Confusion && classes > 16 {
            return structure("a table of confusions has at most 16 classes");
        }
        if claim.takes_label() && u64::from(classes) > 1 << (self.width - 1) {
            return structure("a label has no place in an entry of the frame");
        }
        Ok(())
    }
}

/// The parts of the carried vector, a parameter first.
fn parts(claim: Claim, bits: u8, classes: u32, has_parameter: bool) -> Vec<Part> {
    let sum = |len, width| Part {
        len,
        width,
        initial: 0,
        parameter: false,
    };
    let end = |initial| Part {
        len: 1,
        width: bits,
        initial,
        parameter: false,
    };
    let mut parts = Vec::new();
    if has_parameter {
        parts.push(Part {
            len: 1,
            width: PARAMETER,
            initial: 0,
            parameter: true,
        });
    }
    match claim {
        Claim::ArgMax | Claim::Holds(_) => {}
        Claim::Count(_) => parts.push(sum(1, COUNT)),
        Claim::CountByGroup { groups, .. } => {
            parts.extend([sum(groups, COUNT), sum(groups, COUNT)]);
        }
        Claim::Confusion => parts.push(sum(classes * classes, COUNT)),
        Claim::Sum { .. } => parts.push(sum(1, SUM)),
        Claim::Least { .. } => parts.push(end(i32::MAX >> (32 - bits))),
        Claim::Most { .. } => parts.push(end(i32::MIN >> (32 - bits))),
    }
    parts
}

impl Builder<'_> {
    /// The operations of the claim; `sums` are the next values of the parts from `first` on, in
    /// order, and `head` what puts several of them together.
    fn show(&mut self, first: u32, sums: &mut Vec<Register>, head: &mut Vec<Operation>) -> Output {
        let one = |register| Output { register, len: 1 };
        match self.claim {
            Claim::ArgMax => {
                let hot = self.push(Operation::ArgMax { input: self.y });
                let coefficients = (0..self.classes as i32).collect();
                one(self.weighted(hot, coefficients))
            }
            Claim::Holds(predicate) => one(self.predicate(predicate)),
            Claim::Count(predicate) => {
                let holds = self.predicate(predicate);
                sums.push(self.accumulate(first, holds, COUNT, 1));
                one(sums[0])
            }
            Claim::CountByGroup { predicate, groups } => {
                let holds = self.predicate(predicate);
                let at = self.shape.layers[0].inputs + u32::from(self.claim.takes_label());
                let group = self.slice(Register::FRAME, at, 1);
                let group = self.push(Operation::Indicators {
                    input: group,
                    len: groups,
                });
                let holds = self.repeat(holds, groups);
                let by_group = self.both(holds, group);
                sums.push(self.accumulate(first, by_group, COUNT, 1));
                sums.push(self.accumulate(first + 1, group, COUNT, 1));
                head.push(Operation::Concat {
                    inputs: sums.clone(),
                });
                Output {
                    register: Register::FRAME,
                    len: 2 * groups,
                }
            }
            Claim::Confusion => {
                let classes = self.classes;
                let hot = self.push(Operation::ArgMax { input: self.y });
                let label = self.frame_label();
                let rows: Vec<Register> = (0..classes)
                    .map(|class| {
                        let is = self.slice(label, class, 1);
                        self.repeat(is, classes)
                    })
                    .collect();
                let rows = self.push(Operation::Concat { inputs: rows });
                let columns = self.repeat(hot, classes);
                let pairs = self.both(rows, columns);
                sums.push(self.accumulate(first, pairs, COUNT, 1));
                Output {
                    register: sums[0],
                    len: classes * classes,
                }
            }
            Claim::Sum { entry } => {
                let y = self.entry(entry);
                sums.push(self.accumulate(first, y, SUM, 1 << (self.bits - 1)));
                one(sums[0])
            }
            Claim::Least { entry } => one(self.extreme(entry, -1, sums)),
            Claim::Most { entry } => one(self.extreme(entry, 1, sums)),
        }
    }

    /// The larger of an output and what was carried, or the smaller with sign −1.
    fn extreme(&mut self, entry: u32, sign: i32, sums: &mut Vec<Register>) -> Register {
        let y = self.entry(entry);
        let so_far = Register::CARRIED;
        let terms = [(sign, y, None), (-sign, so_far, None)];
        let takes = self.nonnegative(0, &terms, self.bits + 2);
        let next = self.push(Operation::Polynomial {
            constant: 0,
            monomials: Self::monomials(&[
                (1, so_far, None),
                (1, takes, Some(y)),
                (-1, takes, Some(so_far)),
            ]),
            width: self.bits,
            offset: 1 << (self.bits - 1),
        });
        sums.push(next);
        next
    }
}
