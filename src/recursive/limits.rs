//! Bounds on what a program can ask of a circuit.

use super::{
    encoding::Encoding,
    nodes::{Node, Unrolled},
    schedule::{Layers, Placement},
};
use crate::program::{Operation, Program, ProgramError, Register, Registers, Window, within};

/// Largest number of bits of all registers of a step: each is a constraint or more.
const MAX_STEP_BITS: u64 = 1 << 20;
/// Largest number of constraints of a step, estimated from above.
const MAX_CONSTRAINTS: u64 = 1 << 22;
/// Largest number of terms in these constraints, estimated from above.
const MAX_TERMS: u64 = 1 << 25;
/// Largest number of terms that the operations of a step have, as programs write them.
const MAX_HELD: u64 = 1 << 22;
/// Largest number of phases times entries of a step.
const MAX_WORK: u64 = 1 << 28;
/// Largest number of slots and routes times phases.
const MAX_ROUTES: u64 = 1 << 24;
/// Largest number of affine nodes of a step.
const MAX_AFFINE: u64 = 1 << 12;
/// Largest number of frames in a step.
const MAX_FRAMES: u64 = 1 << 12;

pub(super) fn check_frames(frames: u32) -> Result<(), ProgramError> {
    within("frames per step", frames.into(), 1, MAX_FRAMES)
}

fn bits<'a>(encodings: impl Iterator<Item = &'a Encoding>) -> u64 {
    encodings
        .map(|e| e.len as u64 * u64::from(e.width))
        .fold(0, u64::saturating_add)
}

/// Before the frames of a step are written out.
pub(super) fn check_work(
    program: &Program,
    encodings: &Registers<Encoding>,
    frames: u32,
) -> Result<(), ProgramError> {
    let frames = u64::from(frames);
    let all = bits(encodings.values().iter()).saturating_mul(frames);
    within("bits of all registers", all, 1, MAX_STEP_BITS)?;
    let operations = (program.operations.len() as u64).saturating_mul(frames);
    within("operations of a step", operations, 0, MAX_STEP_BITS)?;
    // Every frame has its own copy of what an operation holds.
    let held = program.operations.iter().map(|operation| match operation {
        Operation::Dot(dot) => 1 + dot.coefficients.len() as u64,
        Operation::Affine(affine) => {
            let axes = affine.terms.iter().flat_map(|t| &t.window);
            let axes: usize = axes.map(|w| w.axes.len()).sum();
            1 + (affine.terms.len() + axes) as u64
        }
        other => 1 + other.reads().len() as u64,
    });
    let held = held.fold(0, u64::saturating_add).saturating_mul(frames);
    within("terms of the operations of a step", held, 0, MAX_HELD)
}

/// Before the slots of a step are written out.
pub(super) fn check_placement(network: &Layers, placement: &Placement) -> Result<(), ProgramError> {
    let (phases, entries) = placement.size();
    let most = network
        .layers
        .iter()
        .map(|l| l.terms.len())
        .max()
        .unwrap_or(1);
    let routes = (placement.lengths.len() as u64).saturating_mul(1 + most as u64);
    let routes = routes.saturating_mul(phases);
    within("slots and routes times steps", routes, 1, MAX_ROUTES)?;
    within(
        "phases times entries",
        entries.saturating_mul(phases),
        1,
        MAX_WORK,
    )
}

/// The circuit of a step.
pub(super) fn check(step: &Unrolled) -> Result<(), ProgramError> {
    let all = bits(step.encodings.values().iter());
    within("bits of all registers", all, 1, MAX_STEP_BITS)?;
    let of_nodes = step.nodes.iter().zip(step.encodings.results());
    let constraints = of_nodes.map(|(node, encoding)| most_constraints(step, node, encoding));
    let constraints = constraints.fold(all, u64::saturating_add);
    within("constraints of a step", constraints, 1, MAX_CONSTRAINTS)?;
    within(
        "terms of all constraints of a step",
        most_terms(step),
        1,
        MAX_TERMS,
    )?;
    let affine = step.affine_nodes().count() as u64;
    within("affine operations of a step", affine, 1, MAX_AFFINE)?;
    // The powers of ρ that separate the accumulators.
    for (_, terms) in step.affine_nodes() {
        step.block(terms)?;
    }
    within(
        "affine operations times the places of their results",
        affine << step.separation(),
        1,
        (1 << 40) - 1,
    )
}

/// At least as many constraints as a node has beyond the bits of its result.
fn most_constraints(step: &Unrolled, node: &Node, encoding: &Encoding) -> u64 {
    let len = encoding.len as u64;
    let each = match node {
        Node::Affine(terms) => {
            let read = terms.iter().map(|t| {
                let own = step.encodings[t.input].len as u64;
                // What is selected is two vectors.
                let times = match step.node(t.input) {
                    Some(Node::Select) => 2,
                    _ => 1,
                };
                let under = t.window.as_ref().map_or(0, most_under);
                own.saturating_add(under.saturating_mul(times))
            });
            return read.fold(len, u64::saturating_add);
        }
        Node::Layer { .. } => 48 + 16 * step.tables.len() as u64,
        Node::Operation(Operation::Combine(sum)) => sum.monomials.len() as u64 + 1,
        Node::Operation(Operation::Dot(dot)) => return dot.coefficients.len() as u64,
        Node::Operation(Operation::ArgMax(a)) => u64::from(step.encodings[a.input].width) + 4,
        Node::Operation(Operation::Lookup(_)) => 35,
        _ => 4,
    };
    len.saturating_mul(each)
}

/// At least as many constraints as a window needs: sums over its axes, one after the other, and weights
/// of their entries.
fn most_under(window: &Window) -> u64 {
    let axes = window.axes.iter().map(|axis| {
        let (positions, offsets) = (u64::from(axis.positions), u64::from(axis.offsets));
        let own = positions.saturating_mul(offsets) + positions + 2 * offsets;
        own + u64::from(axis.size) + 128
    });
    // An axis of one entry leaves as many as there were.
    let sums = (window.len() as u64).saturating_mul(window.axes.len() as u64);
    axes.fold(sums, u64::saturating_add)
}

/// At least as many terms as the nodes of a step read: sums that are not range-checked are linear
/// combinations, as long as what they are made of.
fn most_terms(step: &Unrolled) -> u64 {
    let mut terms = step.encodings.map(|e| u64::from(e.width));
    let mut total = 0u64;
    for (at, node) in step.nodes.iter().enumerate() {
        let result = Register::result_of(at);
        let of = |r: &Register| terms[*r];
        let len = |r: &Register| step.encodings[*r].len as u64;
        let reads = match node {
            Node::Operation(operation) => operation.reads(),
            Node::Affine(routes) => routes.iter().map(|r| r.input).collect(),
            Node::Keep { new, old, .. } => vec![*new, *old],
            Node::Layer { input, .. } => vec![*input],
            Node::Select => vec![Register::Frame, Register::CARRIED],
            Node::Frame => Vec::new(),
        };
        let read = reads.iter().fold(0, |sum: u64, r| {
            sum.saturating_add(len(r).saturating_mul(of(r)))
        });
        let own = step.encodings[result].len as u64;
        let (times, gates) = match node {
            Node::Operation(Operation::Indicators(i)) => (u64::from(i.len), 0),
            // Sums of all indicators, and of those from an entry on, for each entry.
            Node::Operation(Operation::ArgMax(a)) => (
                4,
                len(&a.input)
                    .saturating_mul(len(&a.input))
                    .saturating_mul(2),
            ),
            // Bits of each route's map index, a selector of every phase in it.
            Node::Affine(routes) => {
                let bits = match step.phases {
                    1 => 0,
                    phases => (u64::from(step.dimensions.lambda) + 2).saturating_mul(phases),
                };
                // Weights of a point are sums, of as many terms as they have coordinates.
                let under = routes.iter().flat_map(|r| &r.window).map(most_under);
                let under = under.fold(0, u64::saturating_add).saturating_mul(32);
                (
                    2,
                    bits.saturating_mul(routes.len() as u64)
                        .saturating_add(under),
                )
            }
            // A gate for each kind of activation, a selector of every phase in it.
            Node::Layer { .. } => {
                let gates = (2 + step.tables.len() as u64).saturating_mul(step.phases);
                (2, gates.saturating_mul(own))
            }
            _ => (2, 0),
        };
        total = total
            .saturating_add(read.saturating_mul(times))
            .saturating_add(gates);
        terms[result] = match node {
            Node::Operation(Operation::Combine(sum))
                if step.encodings[result].accumulator.is_none() =>
            {
                sum.monomials.iter().fold(1, |sum: u64, m| {
                    sum.saturating_add(if m.right.is_some() { 1 } else { of(&m.left) })
                })
            }
            Node::Operation(Operation::Dot(dot)) => of(&dot.input).saturating_mul(len(&dot.input)),
            Node::Operation(Operation::Accumulate(sum)) => {
                let before = step.carried_before(at, sum.part as usize);
                of(&sum.input).saturating_add(of(&before))
            }
            Node::Operation(Operation::Slice(slice)) => of(&slice.input),
            Node::Operation(Operation::Concat(concat)) => {
                concat.inputs.iter().map(of).max().unwrap_or(0)
            }
            // A choice cuts what stands before it.
            Node::Keep { .. } => 2,
            // Bits of an accumulator, or the end of a tree of choices.
            _ => u64::from(step.encodings[result].width).max(64),
        };
    }
    total
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use crate::{
        program::{Affine, Builder, Dot, Order, ProgramError, Register, Term, Window, WindowAxis},
        recursive::{Schedule, Unrolled, count::step_constraints},
    };

    /// A window costs a circuit its register and its columns, not the product of both.
    #[test]
    fn windows_cost_what_is_counted() {
        let constraints = |n: u32| {
            let mut builder = Builder::new(n, 2);
            let map = builder.map(1, n - 1);
            let entry = WindowAxis {
                size: 1,
                offsets: n - 1,
                ..WindowAxis::summed(1)
            };
            let window = Window {
                axes: vec![WindowAxis::kept(n), entry],
                order: Order::Rows,
            };
            let terms = vec![Term {
                map,
                input: Register::Frame,
                window: Some(window),
            }];
            let sums = builder.push(Affine { terms, reach: 1 }).unwrap();
            let program = builder.finish(sums).unwrap();
            step_constraints(&Unrolled::new(&program, Schedule::WholeNetwork).unwrap())
        };
        let more = constraints(256) - constraints(64);
        assert!(more < 50 * 192, "{more}");
    }

    /// A schedule, which a proof names, does not multiply what a program's bytes hold beyond bounds.
    #[test]
    fn frames_of_a_step_share_a_bound_on_their_terms() {
        let refused = |builder: Builder, frames| {
            let program = builder.finish(Register::Frame).unwrap();
            let step = Unrolled::new(&program, Schedule::FramesPerStep(frames));
            matches!(step, Err(ProgramError::Dimension { what, .. }) if what.starts_with("terms of the"))
        };
        let mut maps = Builder::new(1, 2);
        let map = maps.map(1, 1);
        for _ in 0..1 << 7 {
            let terms = vec![
                Term {
                    map,
                    input: Register::Frame,
                    window: None,
                };
                1 << 10
            ];
            maps.push(Affine { terms, reach: 1 }).unwrap();
        }
        assert!(refused(maps, 127));
        let mut dots = Builder::new(1 << 11, 2);
        dots.map(1, 1 << 11);
        for _ in 0..1 << 7 {
            let coefficients = vec![0; 1 << 11];
            dots.push(Dot {
                input: Register::Frame,
                coefficients,
            })
            .unwrap();
        }
        assert!(refused(dots, 17));
    }
}
