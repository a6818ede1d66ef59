//! Other integers than those of the program: columns, multiplicities, weights.

use std::collections::HashSet;

use ff::Field;
use halo2curves::pasta::PallasAffine;
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::prover::*;
use crate::{
    backend::F,
    program::{Affine, Builder, Register, Table, WeightBank},
    trace::{
        RowKind,
        argument::Prepared,
        equation::Fingerprint,
        system::{Linear, Lookup, Source, System},
        tests::lowering::case,
        witness::{Witness, registers},
    },
    weights::{BlindingSeed, CommittedBank, from_i64},
};

/// Columns and lookups of a [`layer`] whose inputs and outputs are hidden.
struct Parts {
    prepared: Prepared,
    remainder: usize,
    result: usize,
    output: usize,
    /// The lookups of remainder and quotient.
    low: usize,
    key: usize,
}

fn parts(bench: &Bench) -> Parts {
    let prepared = bench.prepared();
    let lookups = &prepared.system.lookups;
    let key = lookups.iter().position(|l| l.parts[0].shift == 4).unwrap();
    let remainder = columns_of(&lookups[key], 0)[0];
    let low = (lookups.iter())
        .position(|l| l.parts.len() == 1 && columns_of(l, 0) == [remainder])
        .unwrap();
    Parts {
        remainder,
        result: columns_of(&lookups[key], 1)[0],
        output: digest_column(&prepared, RowKind::Output),
        low,
        key,
        prepared,
    }
}

/// The leaf of entry `i` of frame 0 of a lookup.
fn leaf(prepared: &Prepared, lookup: usize, i: usize) -> usize {
    let group = prepared.layout.groups.iter().find(|g| g.lookup == lookup);
    group.unwrap().offset + i
}

/// The cell of the trace that counts a row of a table.
fn count_of(prepared: &Prepared, table: usize, row: usize) -> usize {
    let places = &prepared.layout.places[prepared.layout.registers..];
    places[table].cell(0, row)
}

/// `α` and `β` of rows.
fn challenges(prepared: &Prepared, rows: &[PallasAffine]) -> (F, F) {
    let mut transcript = prepared.transcript();
    for (name, kind) in [
        ("inputs", Some(RowKind::Input)),
        ("outputs", Some(RowKind::Output)),
        ("Z", None),
    ] {
        let of_kind: Vec<_> = (prepared.layout.rows.iter().zip(rows))
            .filter(|((_, of), _)| *of == kind)
            .map(|(_, point)| *point)
            .collect();
        transcript.absorb_points(name, &of_kind);
    }
    (transcript.challenge("alpha"), transcript.challenge("beta"))
}

/// `Σ_tables Σ_j m[j]/φ(row j)` of the multiplicities in a trace.
fn sum_of_tables(prepared: &Prepared, trace: &[i64], (alpha, beta): (F, F)) -> F {
    let fingerprint = Fingerprint::new(alpha, beta);
    let mut sum = F::ZERO;
    for (k, table) in prepared.system.tables.iter().enumerate() {
        for (j, row) in table.rows.iter().enumerate() {
            let inverse = fingerprint.of_row(k, row).invert().unwrap();
            sum += from_i64(trace[count_of(prepared, k, j)]) * inverse;
        }
    }
    sum
}

#[test]
fn honest_proofs_of_every_program_verify() {
    let programs = [
        layer(2, 2),
        network(),
        recurrent(),
        classifier(),
        lookup(1),
        sum(),
    ];
    for program in programs {
        for (frames, shown) in [(1, true), (3, false)] {
            let bench = Bench::new(&program, frames, shown);
            let prepared = bench.prepared();
            let committed = bench.honest(&prepared);
            assert!(bench.accepts(&prepared, &committed, Lies::default()));
        }
    }
}

#[test]
fn a_remainder_is_in_range() {
    let bench = Bench::new(&layer(2, 2), 1, false);
    let p = parts(&bench);
    let lookup = &p.prepared.system.lookups[p.key];
    let rows = &p.prepared.system.tables[lookup.table].rows;
    let believed = bench.accepts_columns(
        &p.prepared,
        |columns| {
            let row = bench.witness(&p.prepared).rows[p.key][0] as usize;
            columns[p.remainder][0] += 16;
            columns[p.result][0] = rows[row - 1][1];
            columns[p.output][0] = rows[row - 1][1];
        },
        1,
        0,
    );
    assert!(!believed);
}

#[test]
fn an_activation_is_that_of_the_table() {
    let bench = Bench::new(&layer(2, 2), 1, false);
    let p = parts(&bench);
    let believed = bench.accepts_columns(
        &p.prepared,
        |columns| {
            columns[p.result][1] += 1;
            columns[p.output][1] += 1;
        },
        1,
        0,
    );
    assert!(!believed);
}

/// A table of values of 13 bits that were committed to before, and one of the frame: neither has another
/// value than its own.
#[test]
fn an_activation_of_what_is_committed_is_that_of_the_table() {
    let mut builder = Builder::new(2, 8);
    let map = builder.map(2, 2);
    let frame = builder.frame();
    let sums = builder
        .affine(&[(map, frame)], Affine::reach_of(16, 2))
        .unwrap();
    let wide = builder.requantize(sums, 2, 13).unwrap();
    let values = (-4096..4096).map(|x: i32| (x * 3) % 100).collect();
    let least = -4096;
    let output = builder.look_up(wide, Table { least, values }).unwrap();
    for program in [builder.finish(output).unwrap(), lookup(2)] {
        let bench = Bench::new(&program, 1, false);
        let prepared = bench.prepared();
        let system = &prepared.system;
        // The table has pairs of all inputs, as they are, and values.
        let least = i64::from(program.tables()[0].least);
        let of_table =
            |l: &Lookup| l.parts.len() == 2 && system.tables[l.table].rows[0][0] == least;
        let at = system.lookups.iter().position(of_table).unwrap();
        let result = columns_of(&system.lookups[at], 1)[0];
        let output = digest_column(&prepared, RowKind::Output);
        let believed = bench.accepts_columns(
            &prepared,
            |columns| {
                columns[result][1] += 1;
                columns[output][1] += 1;
            },
            1,
            0,
        );
        assert!(!believed);
    }
}

/// Inputs that a table has no value for have no proof, whatever is said of the value.
#[test]
fn what_a_table_lacks_has_no_proof() {
    let bench = Bench::new(&lookup(2), 1, false);
    let prepared = bench.prepared();
    let mut wider = bench.case.program.clone();
    wider.frame.width = 10;
    // The same values, and 0 at all other inputs.
    let values = &wider.tables[0];
    let values = (-512..512).map(|x| values.at(x) as i32).collect();
    wider.tables[0] = Table {
        least: -512,
        values,
    };
    let other = registers(&wider, &bench.case.bank, &[], &[vec![130, 3]]).unwrap();
    let columns = Witness::of(&prepared.system, &other).columns;
    // The range of the input is the other lookup that does not hold.
    let believed = bench.accepts_columns(&prepared, |c| *c = columns, 2, 0);
    assert!(!believed);
}

#[test]
fn a_row_of_another_table_is_none_of_this() {
    // The remainder 16 is a row of the bytes' range; so is the key of a negative quotient, with 0.
    let program = layer(2, 2);
    let bench = Bench::of(
        case_of(&program, bank_of(&program, 1), vec![vec![100, -100]]),
        false,
    );
    let p = parts(&bench);
    let system = &p.prepared.system;
    let bytes = system.tables.iter().position(|t| t.rows.len() == 256);
    let bytes = bytes.unwrap();
    let honest = bench.witness(&p.prepared);
    let quotients = &system.tables[system.lookups[p.key].table].rows;
    let negative = (0..2).find(|i| honest.rows[p.key][*i] < 256).unwrap();
    for of_key in [false, true] {
        let mut columns = honest.columns.clone();
        let (lookup, i, tuple) = if of_key {
            columns[p.result][negative] = 0;
            columns[p.output][negative] = 0;
            let key = honest.rows[p.key][negative];
            (p.key, negative, [F::from(u64::from(key)), F::ZERO, F::ZERO])
        } else {
            let row = honest.rows[p.key][0] as usize;
            columns[p.remainder][0] += 16;
            columns[p.result][0] = quotients[row - 1][1];
            columns[p.output][0] = quotients[row - 1][1];
            let remainder = from_i64(columns[p.remainder][0]);
            (p.low, 0, [remainder, F::ZERO, F::ZERO])
        };
        let (mut committed, mut lies, count) =
            bench.commit_to(&p.prepared, columns, NoRow::Claimed);
        assert_eq!(count, 1);
        lies.leaves = vec![(leaf(&p.prepared, lookup, i), bytes, tuple)];
        // Counted where it is a row.
        let of = system.lookups[lookup].table;
        let claimed = committed.witness.rows[lookup][i] as usize;
        let row = (0..256).find(|r| F::from(*r) == tuple[0]).unwrap() as usize;
        committed.trace[count_of(&p.prepared, of, claimed)] -= 1;
        committed.trace[count_of(&p.prepared, bytes, row)] += 1;
        recommit(&p.prepared, &mut committed);
        assert!(!bench.accepts(&p.prepared, &committed, lies));
    }
}

#[test]
fn multiplicities_are_how_often_rows_are_looked_up() {
    let bench = Bench::new(&layer(2, 2), 1, false);
    let prepared = bench.prepared();
    let first = count_of(&prepared, 0, 0);
    let second = count_of(&prepared, 0, 5);
    for (a, b) in [(1, 0), (1, -1), (-1, 1), (-100, 100)] {
        for adapted in [false, true] {
            let mut committed = bench.honest(&prepared);
            committed.trace[first] += a;
            committed.trace[second] += b;
            recommit(&prepared, &mut committed);
            let mut lies = Lies::default();
            if adapted {
                // S as the tables have it: then it is not the root's.
                let at = challenges(&prepared, &committed.rows);
                let sum = sum_of_tables(&prepared, &committed.trace, at);
                lies.scalars = Some(Box::new(move |before, values: &mut Vec<F>| {
                    if before == 0 {
                        *values.last_mut().unwrap() = sum;
                    }
                }));
            }
            assert!(!bench.accepts(&prepared, &committed, lies), "{a} {b}");
        }
    }
}

#[test]
fn the_sum_of_tables_is_as_the_test_has_it() {
    // Else the test before would say nothing.
    let bench = Bench::new(&layer(2, 2), 1, false);
    let prepared = bench.prepared();
    let committed = bench.honest(&prepared);
    let at = challenges(&prepared, &committed.rows);
    let sum = sum_of_tables(&prepared, &committed.trace, at);
    let lies = Lies {
        scalars: Some(Box::new(move |before, values: &mut Vec<F>| {
            if before == 0 {
                assert_eq!(values.last(), Some(&sum));
            }
        })),
        ..Lies::default()
    };
    assert!(bench.accepts(&prepared, &committed, lies));
}

#[test]
fn alpha_follows_from_every_cell() {
    let bench = Bench::new(&layer(2, 2), 1, false);
    let prepared = bench.prepared();
    let mut committed = bench.honest(&prepared);
    let before = challenges(&prepared, &committed.rows).0;
    for place in prepared.layout.places.clone() {
        committed.trace[place.cell(0, 0)] += 1;
        recommit(&prepared, &mut committed);
        assert_ne!(challenges(&prepared, &committed.rows).0, before);
        committed.trace[place.cell(0, 0)] -= 1;
    }
}

/// Every column of every program: one entry more or less, and everything that follows from the
/// columns as it is.
#[test]
fn no_cell_is_free() {
    for (program, frames) in [(network(), 3), (recurrent(), 3), (classifier(), 2)] {
        let bench = Bench::new(&program, frames, false);
        let prepared = bench.prepared();
        let honest = bench.witness(&prepared).columns;
        for k in 0..honest.len() {
            let cell = (7 * k) % honest[k].len();
            for (change, no_row) in [(1, NoRow::Claimed), (-1, NoRow::Told)] {
                let mut columns = honest.clone();
                columns[k][cell] += change;
                let (committed, lies, _) = bench.commit_to(&prepared, columns.clone(), no_row);
                let rows = &committed.witness.rows;
                let wrong = prepared.system.violations(&bench.case.bank, &columns, rows);
                assert!(!wrong.is_empty(), "column {k} is free");
                assert!(!bench.accepts(&prepared, &committed, lies), "{wrong:?}");
            }
        }
    }
}

/// Whether columns are what a prover may commit to: every tuple a row, every identity zero.
struct Judge<'a> {
    system: &'a System,
    bank: &'a WeightBank,
    rows: Vec<HashSet<[i64; 3]>>,
}

impl Judge<'_> {
    fn holds(&self, columns: &[Vec<i64>]) -> bool {
        let system = self.system;
        (0..system.lookups.len()).all(|k| {
            let rows = &self.rows[system.lookups[k].table];
            let tuples = system.tuples(self.bank, columns, k);
            tuples.iter().all(|tuple| {
                let whole = tuple.map(|(x, s)| (x & ((1 << s) - 1) == 0).then_some(x >> s));
                let whole = whole.map(|x| x.and_then(|x| i64::try_from(x).ok()));
                matches!(whole, [Some(a), Some(b), Some(c)] if rows.contains(&[a, b, c]))
            })
        }) && system
            .violations_of_identities(self.bank, columns)
            .is_empty()
    }
}

/// Random programs whose inputs and outputs are public leave a prover no choice: one cell changed, or
/// two that might make up for each other, and something does not hold.
#[test]
fn random_programs_leave_no_choice() {
    let (mut programs, mut tried) = (0, 0);
    for seed in 0..4000 {
        let Some(case) = case(seed, 3) else { continue };
        let Some(system) = case.system(true) else {
            continue;
        };
        let honest = case.witness(&system).columns;
        let judge = Judge {
            rows: (system.tables.iter())
                .map(|t| t.rows.iter().copied().collect())
                .collect(),
            system: &system,
            bank: &case.bank,
        };
        assert!(judge.holds(&honest), "seed {seed}");
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let steps = [1, -1, 2, 4, 16, 128, 256, -256, 1024, 4096];
        for k in 0..honest.len() {
            for _ in 0..4 {
                let mut columns = honest.clone();
                let cell = rng.gen_range(0..columns[k].len());
                columns[k][cell] += *steps.choose(&mut rng).unwrap();
                assert!(!judge.holds(&columns), "seed {seed}, column {k}");
                // With the same entry of a column that comes soon after.
                let other = (k + rng.gen_range(1..4)) % honest.len();
                if let Some(x) = columns[other].get_mut(cell).filter(|_| other != k) {
                    *x += *steps.choose(&mut rng).unwrap();
                    assert!(!judge.holds(&columns), "seed {seed}, columns {k}, {other}");
                }
                tried += 1;
            }
        }
        programs += 1;
        if programs == 200 {
            break;
        }
    }
    assert!(programs == 200 && tried > 2000, "{programs} {tried}");
}

#[test]
fn two_values_of_one_row_are_not_opened() {
    let bench = Bench::new(&recurrent(), 3, false);
    let prepared = bench.prepared();
    for k in 0..bench.witness(&prepared).columns.len() {
        // What is multiplied is not what is opened.
        let mut committed = bench.honest(&prepared);
        committed.witness.columns[k][1] += 1;
        assert!(!bench.accepts(&prepared, &committed, Lies::default()));
    }
}

#[test]
fn weights_are_the_committed_ones() {
    let bench = Bench::new(&network(), 3, false);
    for other in [
        bank_of(&network(), 2),
        // Two rows exchanged, and two errors that cancel in the sum of all weights.
        with_weights(&bench.case.bank, |w, b| {
            w.swap(0, 5);
            w.swap(1, 6);
            b.swap(0, 1);
        }),
        with_weights(&bench.case.bank, |w, _| {
            w[0] += 1;
            w[1] -= 1;
        }),
        with_weights(&bench.case.bank, |_, b| b[2] += 1),
    ] {
        // All integers are those of the other bank.
        let mut lying = Bench::new(&network(), 3, false);
        lying.case = case_of(&network(), other.clone(), bench.case.frames.clone());
        lying.bank = CommittedBank::commit(
            bench.case.bank.clone(),
            &bench.case.program,
            BlindingSeed::random(),
        )
        .unwrap();
        let prepared = lying.prepared();
        let mut committed = lying.honest(&prepared);
        committed.weights = &other;
        assert!(!lying.accepts(&prepared, &committed, Lies::default()));
    }
}

#[test]
fn maps_are_not_exchanged() {
    // Two maps of one shape; the program applies one after the other.
    let operations = vec![
        affine(0, Register::FRAME, 13, 4),
        requantize(0, 4),
        affine(1, Register::result_of(1), 13, 4),
        requantize(2, 4),
    ];
    let program = program(2, &[(2, 2), (2, 2)], operations, 2);
    let bench = Bench::new(&program, 2, false);
    let maps = bench.case.bank.maps();
    let other = WeightBank::new(vec![maps[1].clone(), maps[0].clone()]).unwrap();
    let mut lying = Bench::new(&program, 2, false);
    lying.case = case_of(&program, other.clone(), bench.case.frames.clone());
    let prepared = lying.prepared();
    let mut committed = lying.honest(&prepared);
    committed.weights = &other;
    assert!(!lying.accepts(&prepared, &committed, Lies::default()));
}

#[test]
fn errors_of_identities_do_not_cancel() {
    // Two hot bits and a maximum that is one more than their sum: the two identities are 1 and −1.
    let bench = Bench::new(&classifier(), 1, false);
    let prepared = bench.prepared();
    let system = &prepared.system;
    let product = &system.products[0];
    let column = |linear: &Linear| match linear.views[0].source {
        Source::Column(k) => k,
        _ => panic!("a column"),
    };
    let (hot, scores) = (column(&product.left), column(&product.right));
    let greatest = (system.columns.iter())
        .position(|c| c.size.len == 1)
        .unwrap();
    let output = digest_column(&prepared, RowKind::Output);
    let mut columns = bench.witness(&prepared).columns;
    let first = columns[hot].iter().position(|x| *x == 1).unwrap();
    let second = (first + 1) % 3;
    let x = columns[scores].clone();
    columns[hot][second] = 1;
    columns[output][second] = 1;
    columns[greatest][0] = x[first] + x[second] + 1;
    let wrong = system.violations_of_identities(&bench.case.bank, &columns);
    assert_eq!(wrong.len(), 2);
    for no_row in [NoRow::Claimed, NoRow::Told] {
        let (committed, lies, _) = bench.commit_to(&prepared, columns.clone(), no_row);
        assert!(!bench.accepts(&prepared, &committed, lies));
    }
}

#[test]
fn the_maximum_is_an_entry_and_the_first() {
    // Equal scores: the second of them is not the answer, nor one above all.
    let program = classifier();
    let bank = with_weights(&bank_of(&program, 1), |w, b| {
        w.fill(1);
        b.fill(0);
    });
    let bench = Bench::of(case_of(&program, bank, vec![vec![20, 30]]), false);
    let prepared = bench.prepared();
    let hot = match prepared.system.products[0].left.views[0].source {
        Source::Column(k) => k,
        _ => panic!("a column"),
    };
    let output = digest_column(&prepared, RowKind::Output);
    let believed = bench.accepts_columns(
        &prepared,
        |columns| {
            columns[hot] = vec![0, 1, 0];
            columns[output] = vec![0, 1, 0];
        },
        1,
        0,
    );
    assert!(!believed);
    let greatest = (prepared.system.columns.iter()).position(|c| c.size.len == 1);
    let believed = bench.accepts_columns(
        &prepared,
        |columns| columns[greatest.unwrap()][0] += 1,
        0,
        1,
    );
    assert!(!believed);
}

#[test]
fn a_hidden_input_is_in_range() {
    for entry in [128, -129, 300] {
        let bench = Bench::new(&layer(2, 2), 1, false);
        let p = parts(&bench);
        // A program that differs in the range alone computes everything after it.
        let mut wider = bench.case.program.clone();
        wider.frame.width = 10;
        let frames = [vec![entry, 3]];
        let other = registers(&wider, &bench.case.bank, &[], &frames).unwrap();
        let columns = Witness::of(&p.prepared.system, &other).columns;
        let believed = bench.accepts_columns(&p.prepared, |c| *c = columns, 1, 0);
        assert!(!believed);
    }
}

#[test]
fn the_state_is_that_of_the_frame_before() {
    let bench = Bench::new(&recurrent(), 3, false);
    let prepared = bench.prepared();
    // Another initial vector, and everything after it as it follows.
    let other = registers(
        &bench.case.program,
        &bench.case.bank,
        &[vec![8, -9]],
        &bench.case.frames,
    );
    let columns = Witness::of(&prepared.system, &other.unwrap()).columns;
    for no_row in [NoRow::Claimed, NoRow::Told] {
        let (committed, lies, count) = bench.commit_to(&prepared, columns.clone(), no_row);
        assert!(count > 0);
        assert!(!bench.accepts(&prepared, &committed, lies));
    }
    // A state put in the place of the last: frames after it begin anew.
    let columns = bench.witness(&prepared).columns;
    let alone = |frame: &[i64]| {
        let initial = [vec![7, -9]];
        let frames = [frame.to_vec()];
        registers(&bench.case.program, &bench.case.bank, &initial, &frames).unwrap()
    };
    let single = Bench::of(
        case_of(
            &recurrent(),
            bench.case.bank.clone(),
            vec![bench.case.frames[1].clone()],
        ),
        false,
    );
    let of_single = Witness::of(&single.prepared().system, &alone(&bench.case.frames[1]));
    let mut columns = columns;
    for (to, from) in columns.iter_mut().zip(&of_single.columns) {
        let len = from.len();
        to[len..2 * len].copy_from_slice(from);
    }
    let (committed, lies, count) = bench.commit_to(&prepared, columns, NoRow::Told);
    assert!(count > 0);
    assert!(!bench.accepts(&prepared, &committed, lies));
}
