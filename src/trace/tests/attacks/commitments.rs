//! What is committed to: rows of the trace, messages, values; what is never read.

use ff::Field;
use halo2curves::{group::Curve, pasta::PallasAffine};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_core::OsRng;

use super::prover::*;
use crate::{
    backend::{CommitmentKey, E1, F, generators::BANK_LABEL},
    trace::{argument::Prepared, key::value_generator, message::TamperPoints},
};

/// `G_a`.
fn generator(a: usize) -> PallasAffine {
    CommitmentKey::<E1>::of_label(BANK_LABEL, a + 1).generators()[a]
}

fn blinding() -> PallasAffine {
    *CommitmentKey::<E1>::of_label(BANK_LABEL, 1).blinding_generator()
}

fn add(point: &mut PallasAffine, other: PallasAffine) {
    *point = (*point + other).to_affine();
}

/// Adds a point to the first of this name after so many messages.
fn shifted(
    name: &'static str,
    at: usize,
    before: usize,
    by: PallasAffine,
) -> TamperPoints<'static> {
    Box::new(move |got, rows, points| {
        if got == name && rows == before {
            add(&mut points[at], by);
        }
    })
}

/// Cells of the trace that are none of a column: of cubes outside their boxes, and after the last.
fn padding(prepared: &Prepared) -> Vec<usize> {
    let layout = &prepared.layout;
    let mut real = vec![false; 1 << layout.trace_bits];
    for place in &layout.places {
        for t in 0..place.size.time {
            for i in 0..place.size.len {
                real[place.cell(t, i)] = true;
            }
        }
    }
    let present = |cell: &usize| {
        let row = (cell >> layout.row_bits) as u32;
        layout.rows.iter().any(|(r, _)| *r == row)
    };
    let cells = (0..real.len()).filter(|cell| !real[*cell]);
    cells.filter(present).collect()
}

#[test]
fn junk_in_padding_is_not_read() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for (program, frames) in [(network(), 3), (recurrent(), 3), (classifier(), 5)] {
        for own_rows in [false, true] {
            let mut bench = Bench::new(&program, frames, false);
            bench.own_rows = own_rows;
            let prepared = bench.prepared();
            let cells = padding(&prepared);
            assert!(cells.len() > 10);
            let mut committed = bench.honest(&prepared);
            let reach = prepared.layout.reach();
            for cell in cells {
                // An honest prover's tables end with the last cube.
                if cell < reach {
                    committed.trace[cell] = rng.gen_range(-1000..1000);
                }
            }
            recommit(&prepared, &mut committed);
            assert!(bench.accepts(&prepared, &committed, Lies::default()));
        }
    }
}

#[test]
fn rows_of_the_trace_have_no_generator_beyond_their_length() {
    let bench = Bench::new(&network(), 3, true);
    let prepared = bench.prepared();
    let committed = bench.honest(&prepared);
    for by in [
        generator(128),
        generator(5000),
        value_generator(),
        blinding(),
        generator(3),
    ] {
        let lies = Lies {
            points: Some(shifted("Z", 1, 0, by)),
            ..Lies::default()
        };
        assert!(!bench.accepts(&prepared, &committed, lies));
    }
}

#[test]
fn messages_have_the_generators_of_messages_alone() {
    let bench = Bench::new(&recurrent(), 3, true);
    let prepared = bench.prepared();
    let committed = bench.honest(&prepared);
    let mut messages = Vec::new();
    let recording = Lies {
        scalars: Some(Box::new(|before, _: &mut Vec<F>| messages.push(before))),
        ..Lies::default()
    };
    assert!(bench.accepts(&prepared, &committed, recording));
    let last = messages[messages.len() - 1];
    for before in [0, messages[2], messages[messages.len() / 2], last] {
        for by in [generator(16), value_generator(), blinding(), generator(15)] {
            let lies = Lies {
                points: Some(shifted("message", 0, before, by)),
                ..Lies::default()
            };
            assert!(!bench.accepts(&prepared, &committed, lies), "{before}");
        }
    }
}

#[test]
fn points_of_the_end_are_what_they_are_said_to_be() {
    let bench = Bench::new(&recurrent(), 3, true);
    let prepared = bench.prepared();
    let committed = bench.honest(&prepared);
    for (name, count) in [
        ("values", 2),
        ("fold", 2),
        ("masks", 2),
        ("cross", 2),
        ("mask", 1),
    ] {
        for at in 0..count {
            for by in [generator(0), generator(200), value_generator(), blinding()] {
                let lies = Lies {
                    points: Some(Box::new(move |got, _, points: &mut Vec<PallasAffine>| {
                        if got == name {
                            add(&mut points[at], by);
                        }
                    })),
                    ..Lies::default()
                };
                assert!(!bench.accepts(&prepared, &committed, lies), "{name} {at}");
            }
        }
    }
}

#[test]
fn values_of_trace_and_bank_are_not_exchanged_or_shifted() {
    let bench = Bench::new(&network(), 3, true);
    let prepared = bench.prepared();
    let committed = bench.honest(&prepared);
    // Exchanged.
    let lies = Lies {
        points: Some(Box::new(|name, _, points: &mut Vec<PallasAffine>| {
            if name == "values" {
                points.swap(0, 1);
            }
        })),
        ..Lies::default()
    };
    assert!(!bench.accepts(&prepared, &committed, lies));
    // Shifted against each other, so that the sum of both is right: the equation finds it.
    let lies = Lies {
        values: Some(Box::new(|_, values: &mut [F; 2]| {
            values[0] += F::ONE;
            values[1] -= F::ONE;
        })),
        ..Lies::default()
    };
    assert!(!bench.accepts(&prepared, &committed, lies));
    // So that their equation holds: the opening finds it.
    let lies = Lies {
        values: Some(Box::new(|[of_trace, of_bank], values: &mut [F; 2]| {
            values[0] += of_bank;
            values[1] -= of_trace;
        })),
        ..Lies::default()
    };
    assert!(!bench.accepts(&prepared, &committed, lies));
}

#[test]
fn rows_are_not_replaced_after_alpha() {
    // The rows are honest; what is proved and opened is of other integers.
    let bench = Bench::new(&network(), 3, true);
    let prepared = bench.prepared();
    let honest = bench.honest(&prepared);
    let count = prepared.layout.places[prepared.layout.registers];
    let mut committed = bench.honest(&prepared);
    committed.rows = honest.rows.clone();
    committed.blinds = honest.blinds.clone();
    assert!(bench.accepts(&prepared, &committed, Lies::default()));
    for cell in [count.cell(0, 0), prepared.layout.places[0].cell(0, 0)] {
        committed.trace[cell] += 1;
        assert!(!bench.accepts(&prepared, &committed, Lies::default()));
        committed.trace[cell] -= 1;
    }
}

#[test]
fn blinds_are_those_of_the_rows() {
    let bench = Bench::new(&network(), 3, true);
    let prepared = bench.prepared();
    let mut committed = bench.honest(&prepared);
    committed.blinds[0] += F::random(OsRng);
    assert!(!bench.accepts(&prepared, &committed, Lies::default()));
}
