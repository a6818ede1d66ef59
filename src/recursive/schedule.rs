//! Which frames, or which layers, share a step.

use std::collections::BTreeMap;

use super::encoding::{Encoding, table_width};
use crate::program::{Emission, Operation, Program, ProgramError, Range, Register, Window};

/// How frames or layers are spread over the steps of a recursive proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Schedule {
    /// Every step is a whole inference, of one frame.
    WholeNetwork,
    /// Every step is whole inferences of up to this many frames, one after the other.
    FramesPerStep(u32),
    /// Every step has this many slots, each of a layer, padded to the longest that it ever has. As
    /// many slots as the network has layers, or more, are the same as
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

impl Schedule {
    /// The most frames that share a step.
    #[must_use]
    pub fn frames_per_step(self) -> u32 {
        match self {
            Self::FramesPerStep(frames) => frames,
            Self::WholeNetwork | Self::LayersPerStep(_) => 1,
        }
    }
}

/// What is applied to the requantised sums of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Activation {
    /// The requantised value itself.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// Lookup in the table of this index.
    Table(u32),
}

/// A sum of maps of values before it, requantised, and a function of that.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// Maps, and the values that they read: value 0 is the frame, value `l` the result of layer
    /// `l − 1`. No value is read twice.
    pub(crate) terms: Vec<(u32, usize, Option<Window>)>,
    /// Entries of the result.
    pub(crate) rows: u32,
    pub(crate) activation: Activation,
}

/// A program that is made of layers of one format, which steps can share.
#[derive(Clone, Debug)]
pub(crate) struct Layers {
    pub(crate) layers: Vec<Layer>,
    /// Whether the output is the sums of the last layer, before they are requantised.
    pub(crate) ends_in_sums: bool,
    /// Of the sums of all layers; of length 0.
    pub(crate) sums: Encoding,
    pub(crate) shift: u8,
    pub(crate) width: u8,
    frame: u32,
}

impl Layers {
    /// The layers of a program.
    ///
    /// # Errors
    /// If it has a state, or does something other than layers.
    pub(crate) fn of(program: &Program) -> Result<Self, ProgramError> {
        let refuse = |problem| Err(ProgramError::Structure(problem));
        const OTHER: &str = "only a network whose values are all functions of sums, of one width and one shift, can be spread over several steps";
        if !program.carried.is_empty() || program.emission != Emission::Each {
            return refuse("a network with a state has whole frames in every step");
        }
        let width = program.frame.width;
        let shapes = program.register_shapes();
        let mut values = vec![Register::Frame];
        let mut layers = Vec::new();
        let mut shift = None;
        let mut reach = 0;
        let mut ends_in_sums = false;
        let mut operations = program.operations.iter().enumerate().peekable();
        while let Some((at, operation)) = operations.next() {
            let Operation::Affine(affine) = operation else {
                return refuse(OTHER);
            };
            let value = |r: Register| values.iter().position(|v| *v == r);
            let terms = affine
                .terms
                .iter()
                .map(|t| Some((t.map, value(t.input)?, t.window.clone())));
            let Some(terms) = terms.collect::<Option<Vec<_>>>() else {
                return refuse(OTHER);
            };
            let rows = shapes[Register::result_of(at)].len as u32;
            // The bias is that of the first map, and of the first that is there in a phase.
            if !terms.is_sorted_by(|a, b| a.1 < b.1) {
                return refuse(OTHER);
            }
            reach = reach.max(affine.reach);
            let sums = Register::result_of(at);
            let mut layer = Layer {
                terms,
                rows,
                activation: Activation::Identity,
            };
            let mut end = sums;
            match operations.next() {
                None => ends_in_sums = true,
                Some((at, Operation::Requantize(r)))
                    if (r.input, r.drop, r.width) == (sums, 0, width)
                        && r.shift == *shift.get_or_insert(r.shift) =>
                {
                    end = Register::result_of(at);
                }
                Some(_) => return refuse(OTHER),
            }
            let next = operations.peek().map(|(at, o)| (*at, *o));
            let activation = match next {
                Some((_, Operation::Relu(r))) if r.input == end => Some(Activation::Relu),
                Some((_, Operation::Lookup(l))) if l.input == end => {
                    let table = &program.tables[l.table as usize];
                    if width != 8 || table_width(table).is_none_or(|w| w > 8) {
                        return refuse("tables of layers that steps share map 8 bits to 8 bits");
                    }
                    Some(Activation::Table(l.table))
                }
                _ => None,
            };
            if let (Some(activation), Some((at, _))) =
                (activation, operations.next_if(|_| activation.is_some()))
            {
                layer.activation = activation;
                end = Register::result_of(at);
            }
            layers.push(layer);
            values.push(end);
        }
        let is_output = values.last() == Some(&program.output.register)
            && layers.last().is_some_and(|l| l.rows == program.output.len);
        let Some(shift) = shift.filter(|_| is_output) else {
            return refuse(OTHER);
        };
        match Encoding::accumulator(0, Range::within(reach), shift) {
            Some(sums) => Ok(Self {
                layers,
                ends_in_sums,
                sums,
                shift,
                width,
                frame: program.frame.len,
            }),
            None => refuse("sums are too wide for a circuit"),
        }
    }

    /// Entries of a value.
    pub(crate) fn value_len(&self, value: usize) -> u32 {
        match value.checked_sub(1) {
            None => self.frame,
            Some(layer) => self.layers[layer].rows,
        }
    }

    /// For every layer, whether what comes after it reads nothing that was before its result: only
    /// there can a step end.
    fn may_end(&self) -> Vec<bool> {
        let mut least = usize::MAX;
        let mut ends: Vec<bool> = self
            .layers
            .iter()
            .enumerate()
            .rev()
            .map(|(layer, own)| {
                let ends = least > layer;
                least = own.terms.iter().map(|t| t.1).fold(least, usize::min);
                ends
            })
            .collect();
        ends.reverse();
        ends
    }
}

/// What a slot reads, each with the map for it in each phase.
pub(super) type Routes = BTreeMap<(Register, Option<Window>), Vec<Option<u32>>>;

/// What is where: for every step of an inference, its phases, the layer in every slot.
///
/// All steps have the same slots, so a slot is as long as the longest layer that it ever has. What a
/// step hands to the next is its last slot, so every step but the last ends with a layer there, and
/// begins with idle slots if its layers do not fill it. A layer may read any value of its own step,
/// and the one that the step began with; so a step ends only where nothing else is read afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) phases: Vec<Vec<Option<usize>>>,
    /// The length of every slot.
    pub(crate) lengths: Vec<u32>,
}

impl Placement {
    /// The cheapest placement of layers in this many slots, `None` if there is none of several steps.
    pub(crate) fn of(network: &Layers, slots: usize) -> Option<Self> {
        // Full steps, or an offset at which layers of like lengths share slots.
        let first = [slots].into_iter().chain((1..slots).rev().take(8));
        let placements = first.filter_map(|first| Self::beginning_with(network, slots, first));
        placements.min_by_key(|p| {
            let (steps, entries) = p.size();
            // A step has a cost of its own, of some thousands of entries.
            steps * (entries + 1_000)
        })
    }

    /// The placement whose first step has at most `first` layers.
    fn beginning_with(network: &Layers, slots: usize, first: usize) -> Option<Self> {
        let layers = network.layers.len();
        let may_end = network.may_end();
        let mut phases: Vec<Vec<Option<usize>>> = Vec::new();
        let mut next = 0;
        while next < layers {
            let left = layers - next;
            let most = if phases.is_empty() { first } else { slots };
            let mut phase = vec![None; slots];
            if left <= most {
                for (slot, layer) in phase.iter_mut().zip(next..layers) {
                    *slot = Some(layer);
                }
                next = layers;
            } else {
                let count = (1..=most.min(left - 1))
                    .rev()
                    .find(|n| may_end[next + n - 1])?;
                for (slot, layer) in phase[slots - count..].iter_mut().zip(next..next + count) {
                    *slot = Some(layer);
                }
                next += count;
            }
            phases.push(phase);
        }
        if phases.len() < 2 {
            return None;
        }
        let longest = |slot: usize| {
            let rows = phases.iter().filter_map(|p| p[slot]);
            rows.map(|l| network.layers[l].rows).max().unwrap_or(1)
        };
        let lengths = (0..slots).map(longest).collect();
        Some(Self { phases, lengths })
    }

    /// Steps, and entries of all slots of one.
    pub(crate) fn size(&self) -> (u64, u64) {
        let entries = self.lengths.iter().map(|n| u64::from(*n)).sum();
        (self.phases.len() as u64, entries)
    }

    /// For every slot, the registers that its layers read, each with the map for it in each phase;
    /// `selected` is what the step begins with, `end` the result of a slot.
    pub(crate) fn routes(
        &self,
        network: &Layers,
        selected: Register,
        end: impl Fn(usize) -> Register,
    ) -> Option<Vec<Routes>> {
        let none = vec![None; self.phases.len()];
        let mut routes = vec![BTreeMap::new(); self.lengths.len()];
        for (p, phase) in self.phases.iter().enumerate() {
            // The value that the step begins with is the result of the layer before its first.
            let begun = phase.iter().flatten().min()?;
            for (slot, layer) in phase.iter().enumerate() {
                let Some(layer) = layer else { continue };
                for (map, value, window) in &network.layers[*layer].terms {
                    let source = if value == begun {
                        selected
                    } else {
                        {
                            let layer = Some(value.checked_sub(1)?);
                            end(phase.iter().position(|l| *l == layer)?)
                        }
                    };
                    let route: &mut Vec<Option<u32>> = routes[slot]
                        .entry((source, window.clone()))
                        .or_insert_with(|| none.clone());
                    route[p] = Some(*map);
                }
            }
        }
        Some(routes)
    }
}
