//! Layers spread over the slots of several steps.
//!
//! All steps have the same slots, so a slot is as long as the longest thing it ever computes. A
//! layer that is longer than what the slots are made for is cut into blocks of rows, each in a slot
//! of its own; the layer that reads it then has a term for each block. What a step hands to the next
//! is its last slot, so that every step but the last ends with a whole layer there, and begins with
//! idle slots if its layers do not fill it. A layer may read any value of its own step, and the one
//! that the step began with; so a step ends only where nothing else is read afterwards.

use std::collections::BTreeMap;

use super::{
    Activation, Block, Carried, Emission, MapRef, MapShape, NetworkShape, Operation, Output,
    Program, Register, SlotUse, Spread, Term, VectorShape,
};

/// Rows of a layer in one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    layer: usize,
    row: u32,
    rows: u32,
}

/// What is where: for every step of an inference, for every slot, a part of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placement {
    phases: Vec<Vec<Option<Part>>>,
}

/// The most offsets at which layers are tried against the pattern of slots.
const OFFSETS: usize = 8;

impl Placement {
    /// A placement of layers in few steps and short slots, `None` if there is none with so many
    /// slots.
    pub(super) fn of(network: &NetworkShape, slots: usize) -> Option<Self> {
        let rows: Vec<u32> = network.layers.iter().map(|l| l.outputs).collect();
        // Slots as long as the layers that they have if every step is full, with and without the
        // ends of the network; and slots of one length.
        let mut patterns: Vec<Vec<u32>> = Vec::new();
        for (from, to) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let ordinary = from..rows.len().saturating_sub(to).max(from);
            let Some(longest) = rows[ordinary.clone()].iter().max() else {
                continue;
            };
            for offset in 0..slots.min(OFFSETS) {
                let at = |slot: usize| {
                    let layers = ordinary.clone().filter(|l| (l + offset) % slots == slot);
                    layers.map(|l| rows[l]).max()
                };
                // A slot that no ordinary layer would have is there for the others.
                patterns.push((0..slots).map(|s| at(s).unwrap_or(*longest)).collect());
            }
            patterns.push(vec![*longest; slots]);
        }
        patterns.sort_unstable();
        patterns.dedup();
        let placements = patterns.iter().filter_map(|p| Self::in_slots(network, p));
        placements.min_by_key(|p| {
            let (steps, entries) = p.size();
            // A step has a cost of its own, of some thousands of entries.
            steps * (entries + 1_000)
        })
    }

    /// Layer after layer into slots of these lengths, as many to a step as fit.
    pub(super) fn in_slots(network: &NetworkShape, lengths: &[u32]) -> Option<Self> {
        let rows: Vec<u32> = network.layers.iter().map(|l| l.outputs).collect();
        let may_end = network.may_end();
        let mut phases = Vec::new();
        let mut next = 0;
        while next < rows.len() {
            if let Some(last) = step(&rows, next..rows.len(), lengths, 0) {
                phases.push(last);
                break;
            }
            // All but the last step end with a layer that is whole, in the last slot.
            let most = lengths.len().min(rows.len() - next - 1);
            let mut ends = (1..=most).rev().filter(|count| may_end[next + count - 1]);
            let (count, phase) = ends.find_map(|count| {
                let phase = (0..=lengths.len() - count).rev().find_map(|start| {
                    let phase = step(&rows, next..next + count, lengths, start)?;
                    let last = phase[lengths.len() - 1]?;
                    (last.row == 0 && last.rows == rows[last.layer]).then_some(phase)
                })?;
                Some((count, phase))
            })?;
            phases.push(phase);
            next += count;
        }
        (phases.len() > 1).then_some(Self { phases })
    }

    /// Steps, and entries of all slots of one.
    pub(super) fn size(&self) -> (u64, u64) {
        let entries = self.lengths().iter().map(|n| u64::from(*n)).sum();
        (self.phases.len() as u64, entries)
    }

    /// The length of every slot.
    fn lengths(&self) -> Vec<u32> {
        (0..self.phases[0].len())
            .map(|slot| {
                let parts = self.phases.iter().filter_map(|phase| phase[slot]);
                parts.map(|p| p.rows).max().unwrap_or(1)
            })
            .collect()
    }

    /// The program of a network placed so.
    pub(super) fn program(&self, network: &NetworkShape) -> Program {
        let lengths = self.lengths();
        let slots = lengths.len();
        let mut maps = Vec::new();
        let mut blocks = Vec::new();
        // For every slot, the map by what is read and by phase.
        let mut routes: Vec<BTreeMap<Register, Vec<Option<u32>>>> = vec![BTreeMap::new(); slots];
        let end = |slot: usize| Register::result_of(3 + 3 * slot);
        let none = vec![None; self.phases.len()];
        // The index of each layer's first map in the network.
        let first_maps: Vec<usize> = (0..network.layers.len())
            .scan(0, |next, l| {
                let first = *next;
                *next += network.reads_of(l).count();
                Some(first)
            })
            .collect();
        for (p, phase) in self.phases.iter().enumerate() {
            // The value that the step begins with is the result of the layer before its first.
            let begun = phase.iter().flatten().map(|part| part.layer).min();
            for (slot, part) in phase.iter().enumerate() {
                let Some(part) = part else { continue };
                for (k, value) in network.reads_of(part.layer).enumerate() {
                    let parts = phase[..slot].iter().enumerate();
                    let parts = parts.filter_map(|(s, part)| Some((s, (*part)?)));
                    let sources: Vec<(Register, u32, u32)> = if Some(value) == begun {
                        vec![(Register::result_of(0), 0, network.value_len(value))]
                    } else {
                        parts
                            .filter(|(_, read)| read.layer + 1 == value)
                            .map(|(s, read)| (end(s), read.row, read.rows))
                            .collect()
                    };
                    for (source, column, columns) in sources {
                        let route = routes[slot].entry(source).or_insert_with(|| none.clone());
                        route[p] = Some(maps.len() as u32);
                        maps.push(MapShape {
                            rows: part.rows,
                            columns,
                        });
                        blocks.push(Block {
                            layer: (first_maps[part.layer] + k) as u32,
                            row: part.row,
                            column,
                        });
                    }
                }
            }
        }

        let mut operations = vec![Operation::Select {
            first: Register::FRAME,
            rest: Register::CARRIED,
        }];
        let mut tables = Vec::new();
        let mut count = 0;
        for (slot, routes) in routes.into_iter().enumerate() {
            let terms = routes.keys().map(|input| {
                count += 1;
                Term {
                    map: MapRef::Route(count - 1),
                    input: *input,
                }
            });
            operations.push(Operation::Affine {
                terms: terms.collect(),
                rows: lengths[slot],
                bits: network.bits,
                shift: network.shift,
            });
            tables.extend(routes.into_values());
            operations.push(Operation::Requantize {
                input: Register::result_of(1 + 3 * slot),
                drop: 0,
                width: network.width,
            });
            operations.push(Operation::Layer {
                input: Register::result_of(2 + 3 * slot),
                slot: slot as u32,
            });
        }
        let body = operations.len();
        let output = self.output(network, &mut operations);
        let last = network.layers.len() - 1;
        Program {
            maps,
            tables: network.tables.clone(),
            frame: network.frame(),
            carried: vec![Carried {
                shape: VectorShape {
                    len: lengths[slots - 1],
                    width: network.width,
                },
                initial: vec![0; lengths[slots - 1] as usize],
                next: Register::result_of(body - 1),
                parameter: false,
            }],
            spread: Spread::Layers {
                slots: self.uses(network, &lengths),
                routes: tables,
                blocks,
            },
            operations,
            head: Vec::new(),
            output: Output {
                register: output,
                len: network.layers[last].outputs,
            },
            emission: Emission::Each,
            frame_limit: u64::MAX,
        }
    }

    /// What every slot does in each phase. An idle one does what it does elsewhere, on zeros: that
    /// costs no choice.
    fn uses(&self, network: &NetworkShape, lengths: &[u32]) -> Vec<Vec<SlotUse>> {
        let of = |part: Part| SlotUse {
            rows: part.rows,
            activation: network.layers[part.layer].activation,
        };
        (0..lengths.len())
            .map(|slot| {
                let parts = self.phases.iter().filter_map(|phase| phase[slot]);
                let longest = parts.max_by_key(|p| p.rows).map(of);
                let idle = longest.unwrap_or(SlotUse {
                    rows: lengths[slot],
                    activation: Activation::Identity,
                });
                self.phases
                    .iter()
                    .map(|phase| phase[slot].map_or(idle, of))
                    .collect()
            })
            .collect()
    }

    /// Adds what puts the blocks of the last layer together, if there are several; gives the
    /// register of the output.
    fn output(&self, network: &NetworkShape, operations: &mut Vec<Operation>) -> Register {
        let last = network.layers.len() - 1;
        // Without an activation the output is the sums themselves.
        let of_slot = match network.layers[last].activation {
            Activation::Identity => |slot: usize| Register::result_of(1 + 3 * slot),
            _ => |slot: usize| Register::result_of(3 + 3 * slot),
        };
        let phase = self.phases.last().map_or(&[][..], Vec::as_slice);
        let parts: Vec<(usize, Part)> = phase
            .iter()
            .enumerate()
            .filter_map(|(slot, part)| Some((slot, (*part)?)))
            .filter(|(_, part)| part.layer == last)
            .collect();
        if let [(slot, _)] = parts[..] {
            return of_slot(slot);
        }
        let inputs = parts
            .iter()
            .map(|(slot, part)| {
                operations.push(Operation::Slice {
                    input: of_slot(*slot),
                    start: 0,
                    len: part.rows,
                });
                Register::result_of(operations.len() - 1)
            })
            .collect();
        operations.push(Operation::Concat { inputs });
        Register::result_of(operations.len() - 1)
    }
}

/// The given layers, one after the other from slot `start` on; `None` if there is no room.
fn step(
    rows: &[u32],
    layers: std::ops::Range<usize>,
    lengths: &[u32],
    start: usize,
) -> Option<Vec<Option<Part>>> {
    let mut phase = vec![None; lengths.len()];
    let mut slot = start;
    for layer in layers {
        let mut row = 0;
        while row < rows[layer] {
            let taken = (*lengths.get(slot)?).min(rows[layer] - row);
            phase[slot] = Some(Part {
                layer,
                row,
                rows: taken,
            });
            row += taken;
            slot += 1;
        }
    }
    Some(phase)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::program::LayerShape;

    fn chain(rows: &[u32]) -> NetworkShape {
        NetworkShape {
            layers: std::iter::once(&7)
                .chain(rows)
                .zip(rows)
                .map(|(inputs, outputs)| LayerShape {
                    inputs: *inputs,
                    outputs: *outputs,
                    activation: Activation::Relu,
                })
                .collect(),
            reads: Vec::new(),
            tables: Vec::new(),
            width: 8,
            bits: 20,
            shift: 9,
        }
    }

    #[test]
    fn wide_ends_take_several_slots() {
        let mut rows = vec![320];
        rows.extend([160; 10]);
        rows.push(480);
        let placement = Placement::of(&chain(&rows), 3).unwrap();
        assert_eq!(placement.lengths(), [160; 3]);
        // Two slots and one; three times three; and the last layer in a step of its own.
        assert_eq!(placement.phases.len(), 5);
    }

    #[test]
    fn alternating_widths_keep_their_slots() {
        let rows: Vec<u32> = [100, 200].into_iter().cycle().take(40).collect();
        assert_eq!(
            Placement::of(&chain(&rows), 4).unwrap().lengths(),
            [100, 200, 100, 200]
        );
        // An odd number of slots meets both.
        assert_eq!(Placement::of(&chain(&rows), 3).unwrap().lengths(), [200; 3]);
    }

    #[test]
    fn one_slot_has_no_room_for_blocks() {
        assert_eq!(Placement::of(&chain(&[5, 9, 3]), 1).unwrap().lengths(), [9]);
    }

    #[test]
    fn reads_that_do_not_fit_are_errors_everywhere() {
        use crate::{
            plan::Planner,
            program::{Claim, Predicate, Schedule, Threshold},
        };
        let claim = Claim::Holds(Predicate::AtLeast {
            entry: 0,
            threshold: Threshold::Constant(1),
        });
        assert!(chain(&[4; 3]).claim_program(claim, 1).is_ok());
        for reads in [
            vec![vec![0], vec![1], vec![9]],
            vec![vec![0], vec![2], vec![1]],
            vec![vec![0], vec![], vec![2]],
            vec![vec![0], vec![1, 1], vec![2]],
            vec![vec![0], vec![1, 0], vec![2]],
            // Inputs are not those of what is read.
            vec![vec![0], vec![0, 1], vec![2]],
            vec![vec![0]],
        ] {
            let mut network = chain(&[4; 3]);
            network.reads = reads;
            for schedule in [Schedule::WholeNetwork, Schedule::LayersPerStep(2)] {
                assert!(network.program(schedule).is_err());
            }
            assert!(network.claim_program(claim, 1).is_err());
            assert!(Planner::default().plan(&network, 1).is_err());
            assert!(Planner::default().plan_claim(&network, claim, 1).is_err());
        }
    }

    #[test]
    fn a_step_ends_only_where_one_value_is_left() {
        let mut network = chain(&[4; 6]);
        // Layers 1 and 3 add what the layer two before them read.
        network.reads = vec![vec![0], vec![0, 1], vec![2], vec![2, 3], vec![4], vec![5]];
        network.layers[1].inputs = 11;
        network.layers[3].inputs = 8;
        assert_eq!(network.may_end(), [false, true, false, true, true, true]);
        assert_eq!(Placement::of(&network, 1), None);
        // Two, two and two; three slots are not full in the first step.
        assert_eq!(Placement::of(&network, 2).unwrap().phases.len(), 3);
        assert_eq!(Placement::of(&network, 3).unwrap().phases.len(), 3);
        assert_eq!(Placement::of(&network, 4).unwrap().phases.len(), 2);
    }
}
