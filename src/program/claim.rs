//! Claims about outputs: instead of the outputs, a statement shows whether something holds of them,
//! frame by frame or summed up over all frames. The claim is a part of the program.

use super::{
    Accumulate, ArgMax, Builder, Dot, Emission, Indicators, Program, ProgramError, Range, Register,
    Sign,
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

type Result<T> = std::result::Result<T, ProgramError>;

/// Puts a claim behind a network.
struct Claiming {
    builder: Builder,
    /// The threshold, if it is a parameter.
    threshold: Option<Register>,
    /// The parts of the carried vector that the claim adds.
    sums: Vec<Register>,
    /// Entries of the frame that are the network's.
    inputs: u32,
    /// The outputs.
    y: Register,
    classes: u32,
}

impl Claiming {
    /// One register `times` times.
    fn repeat(&mut self, input: Register, times: u32) -> Result<Register> {
        self.builder.concat(vec![input; times as usize])
    }

    /// `[constant + Σ ≥ 0]`.
    fn nonnegative(
        &mut self,
        constant: i64,
        terms: &[(i32, Register, Option<Register>)],
    ) -> Result<Register> {
        let input = self.builder.combine(constant, terms)?;
        self.builder.push(Sign { input })
    }

    /// The product of two registers of bits.
    fn both(&mut self, a: Register, b: Register) -> Result<Register> {
        self.builder.combine(0, &[(1, a, Some(b))])
    }

    fn weighted(&mut self, input: Register, coefficients: Vec<i32>) -> Result<Register> {
        self.builder.push(Dot {
            input,
            coefficients,
        })
    }

    fn entry(&mut self, entry: u32) -> Result<Register> {
        self.builder.slice(self.y, entry, 1)
    }

    fn largest(&mut self) -> Result<Register> {
        self.builder.push(ArgMax { input: self.y })
    }

    /// The one-hot vector of an entry of the frame, the first that is not the network's or the
    /// second.
    fn indicators(&mut self, after: u32, len: u32) -> Result<Register> {
        let input = self
            .builder
            .slice(Register::Frame, self.inputs + after, 1)?;
        self.builder.push(Indicators { input, len })
    }

    /// The one-hot vector of the label in the frame.
    fn frame_label(&mut self) -> Result<Register> {
        self.indicators(0, self.classes)
    }

    fn ones(&self) -> Vec<i32> {
        vec![1; self.classes as usize]
    }

    fn predicate(&mut self, predicate: Predicate) -> Result<Register> {
        match predicate {
            Predicate::AtLeast { entry, threshold } => {
                let y = self.entry(entry)?;
                match (threshold, self.threshold) {
                    (Threshold::Parameter, Some(t)) => {
                        self.nonnegative(0, &[(1, y, None), (-1, t, None)])
                    }
                    (Threshold::Constant(t), _) => {
                        self.nonnegative(t.saturating_neg(), &[(1, y, None)])
                    }
                    (Threshold::Parameter, None) => {
                        Err(ProgramError::Structure("the threshold is no parameter"))
                    }
                }
            }
            Predicate::Within { entry, least, most } => {
                let y = self.entry(entry)?;
                let above = self.nonnegative(least.saturating_neg(), &[(1, y, None)])?;
                let below = self.nonnegative(most, &[(-1, y, None)])?;
                self.both(above, below)
            }
            Predicate::IsLabel(label) => {
                let hot = self.largest()?;
                match label {
                    Label::Constant(class) => self.builder.slice(hot, class, 1),
                    Label::Frame => {
                        let label = self.frame_label()?;
                        let same = self.both(hot, label)?;
                        self.one_of(same)
                    }
                }
            }
            Predicate::AmongLargest { k, label } => self.among_largest(k, label),
        }
    }

    /// The sum of bits of which at most one is set: not all of them together, so that it is a bit.
    fn one_of(&mut self, bits: Register) -> Result<Register> {
        let sum = self.weighted(bits, self.ones())?;
        // Σ − 1 ≥ 0
        self.nonnegative(-1, &[(1, sum, None)])
    }

    fn among_largest(&mut self, k: u32, label: Label) -> Result<Register> {
        let (y, classes) = (self.y, self.classes);
        let (larger, valid) = match label {
            Label::Constant(class) => {
                // Entries before the label are larger if they are as large.
                let own = self.entry(class)?;
                let mut larger = Vec::new();
                for (start, len, tie) in [(0, class, 0), (class, classes - class, -1)] {
                    if len > 0 {
                        let others = self.builder.slice(y, start, len)?;
                        let own = self.repeat(own, len)?;
                        larger.push(self.nonnegative(tie, &[(1, others, None), (-1, own, None)])?);
                    }
                }
                (self.builder.concat(larger)?, None)
            }
            Label::Frame => {
                let label = self.frame_label()?;
                // The output of the label, and whether the label is at or before each class.
                let own = self.both(label, y)?;
                let own = self.weighted(own, self.ones())?;
                let own = self.repeat(own, classes)?;
                let mut reached = Vec::new();
                for class in 0..classes {
                    let upto = (0..classes).map(|c| i32::from(c <= class)).collect();
                    reached.push(self.weighted(label, upto)?);
                }
                let reached = self.builder.concat(reached)?;
                let terms = [(1, y, None), (-1, own, None), (-1, reached, None)];
                (self.nonnegative(0, &terms)?, Some(self.one_of(label)?))
            }
        };
        let rank = self.weighted(larger, self.ones())?;
        let among = self.nonnegative(i64::from(k) - 1, &[(-1, rank, None)])?;
        match valid {
            Some(valid) => self.both(among, valid),
            None => Ok(among),
        }
    }

    /// Adds a register to a sum over frames, part `sum` of those that the claim adds; `each` is the
    /// most that one frame adds.
    fn accumulate(
        &mut self,
        sum: usize,
        input: Register,
        width: u8,
        each: u64,
    ) -> Result<Register> {
        let Some(Register::Carried(part)) = self.sums.get(sum).copied() else {
            return Err(ProgramError::Structure("the claim has no sum"));
        };
        let room = (1u64 << (width - 1)) - 1;
        // Sums are held in whole bits. One frame less: a slot of a step without a frame adds too, to
        // what nobody sees.
        let most = (room / each.max(1).next_power_of_two()).saturating_sub(1);
        self.builder.limit_frames(most);
        self.builder.push(Accumulate { part, input })
    }

    /// The operations of the claim; gives what it shows.
    fn show(&mut self, claim: Claim) -> Result<Register> {
        match claim {
            Claim::ArgMax => {
                let hot = self.largest()?;
                self.weighted(hot, (0..self.classes as i32).collect())
            }
            Claim::Holds(predicate) => self.predicate(predicate),
            Claim::Count(predicate) => {
                let holds = self.predicate(predicate)?;
                self.accumulate(0, holds, COUNT, 1)
            }
            Claim::CountByGroup { predicate, groups } => {
                let holds = self.predicate(predicate)?;
                let group = self.indicators(u32::from(claim.takes_label()), groups)?;
                let holds = self.repeat(holds, groups)?;
                let by_group = self.both(holds, group)?;
                let sums = vec![
                    self.accumulate(0, by_group, COUNT, 1)?,
                    self.accumulate(1, group, COUNT, 1)?,
                ];
                self.builder.begin_head();
                self.builder.concat(sums)
            }
            Claim::Confusion => {
                let classes = self.classes;
                let hot = self.largest()?;
                let label = self.frame_label()?;
                let mut rows = Vec::new();
                for class in 0..classes {
                    let is = self.builder.slice(label, class, 1)?;
                    rows.push(self.repeat(is, classes)?);
                }
                let rows = self.builder.concat(rows)?;
                let columns = self.repeat(hot, classes)?;
                let pairs = self.both(rows, columns)?;
                self.accumulate(0, pairs, COUNT, 1)
            }
            Claim::Sum { entry } => {
                let y = self.entry(entry)?;
                let each = self.builder.shape(y).range.reach();
                self.accumulate(0, y, SUM, each)
            }
            Claim::Least { entry } => self.extreme(entry, -1),
            Claim::Most { entry } => self.extreme(entry, 1),
        }
    }

    /// The larger of an output and what was carried, or the smaller with sign −1.
    fn extreme(&mut self, entry: u32, sign: i32) -> Result<Register> {
        let y = self.entry(entry)?;
        let so_far = self.sums[0];
        let takes = self.nonnegative(0, &[(sign, y, None), (-sign, so_far, None)])?;
        let terms = [
            (1, so_far, None),
            (1, takes, Some(y)),
            (-1, takes, Some(so_far)),
        ];
        let next = self.builder.combine(0, &terms)?;
        self.builder.carry(so_far, next);
        Ok(next)
    }
}

impl Program {
    /// The program that shows a claim about the outputs instead of them.
    ///
    /// A frame is the inputs, followed by the label and the group if the claim takes them. The
    /// threshold of a claim with a parameter comes before all other parameters of the statement. A
    /// program with one output for all frames has claims about that one.
    ///
    /// # Errors
    /// If an entry, class or group of the claim does not exist, or outputs are too wide for it; if a
    /// program with one output for all frames is asked for a claim about several, or about a label.
    pub fn with_claim(&self, claim: Claim) -> Result<Self> {
        let output = self.output_shape();
        let classes = output.len as u32;
        let bits = self.check_claim(claim, output.range, classes)?;
        let frame_len = self.frame.len.saturating_add(claim.extra_entries());
        let mut builder = Builder::new(frame_len, self.frame.width);
        let has_parameter = claim.predicate().is_some_and(Predicate::has_parameter);
        let threshold = match has_parameter {
            true => Some(builder.parameter(1, PARAMETER)?),
            false => None,
        };
        let mut own = Vec::new();
        for c in &self.carried {
            own.push(match c.parameter {
                true => builder.parameter(c.shape.len, c.shape.width)?,
                false => builder.state(c.initial.clone(), c.shape.width)?,
            });
        }
        let mut sums = Vec::new();
        for (len, width, initial) in parts(claim, bits, classes) {
            sums.push(builder.state(vec![initial; len as usize], width)?);
        }
        let x = match claim.extra_entries() {
            0 => Register::Frame,
            _ => builder.slice(Register::Frame, 0, self.frame.len)?,
        };
        let mut at = builder.extend(self, x, &own)?;
        let last = self.emission == Emission::Last;
        if last {
            builder.begin_head();
            for operation in &self.head {
                let register = builder.push_extended(self, operation, &at)?;
                at.push(register);
            }
        }
        let mut y = at[self.output.register];
        if builder.shape(y).len != output.len {
            y = builder.slice(y, 0, classes)?;
        }
        let mut claiming = Claiming {
            builder,
            threshold,
            sums,
            inputs: self.frame.len,
            y,
            classes,
        };
        let shown = claiming.show(claim)?;
        if last || claim.is_aggregate() {
            claiming.builder.finish_last(shown)
        } else {
            claiming.builder.finish(shown)
        }
    }

    /// Checks that a claim is about what there is; gives the bits of an output.
    fn check_claim(&self, claim: Claim, range: Range, classes: u32) -> Result<u8> {
        let structure = |problem| Err(ProgramError::Structure(problem));
        let bits = range.signed_bits().max(2) as u8;
        if bits > 31 {
            return structure("the outputs are too wide for a claim: 2 to 31 bits");
        }
        if self.emission == Emission::Last && (claim.is_aggregate() || claim.takes_label()) {
            return structure(
                "a claim about several outputs or labels needs an output for each frame",
            );
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
        if let Some(Predicate::Within { least, most, .. }) = claim.predicate()
            && least > most
        {
            return structure("the ends of the interval of a claim are not in order");
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
        if claim.takes_label() && u64::from(classes) > 1 << (self.frame.width - 1) {
            return structure("a label has no place in an entry of the frame");
        }
        Ok(bits)
    }
}

/// Length, width and initial value of the parts of the carried vector that a claim adds.
fn parts(claim: Claim, bits: u8, classes: u32) -> Vec<(u32, u8, i32)> {
    match claim {
        Claim::ArgMax | Claim::Holds(_) => Vec::new(),
        Claim::Count(_) => vec![(1, COUNT, 0)],
        Claim::CountByGroup { groups, .. } => vec![(groups, COUNT, 0); 2],
        Claim::Confusion => vec![(classes * classes, COUNT, 0)],
        Claim::Sum { .. } => vec![(1, SUM, 0)],
        Claim::Least { .. } => vec![(1, bits, i32::MAX >> (32 - bits))],
        Claim::Most { .. } => vec![(1, bits, i32::MIN >> (32 - bits))],
    }
}
