//! Small programs, and a prover who may lie about anything.

use ff::Field;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_core::OsRng;

use crate::{
    backend::F,
    program::{
        Affine, AffineMap, ArgMax, Carried, Combine, Emission, Lookup, MapShape, Operation, Output,
        Program, Register, Relu, Requantize, Table, Term, VectorShape, WeightBank,
        interpreter::Interpreter,
    },
    tests::random_programs::random_frame,
    trace::{
        PublicVectors, RowKind, TraceError, TraceProof, TraceStatement,
        argument::{
            self, Committed, Prepared, Stated, commit_rows, digest_of, row_blinds, run, trace_of,
        },
        end::Checks,
        equation::from_i128,
        key::MessageKey,
        message::{Channel, Tamper, TamperPoints, TamperValues},
        system::{self, Source},
        tests::{lowering::Case, proofs::parameters},
        witness::Witness,
    },
    weights::{BlindingSeed, CommittedBank, ModelCommitment},
};

/// A program of these operations on frames of signed bytes; its last result is the output.
pub(crate) fn program(
    len: u32,
    maps: &[(u32, u32)],
    operations: Vec<Operation>,
    outputs: u32,
) -> Program {
    let maps = maps.iter().map(|(rows, columns)| MapShape {
        rows: *rows,
        columns: *columns,
    });
    Program {
        maps: maps.collect(),
        tables: vec![Table::of_bytes(
            (0..256).map(|x| (x * 7 + 3) % 256 - 128).collect(),
        )],
        frame: VectorShape { len, width: 8 },
        carried: vec![],
        output: Output {
            register: Register::result_of(operations.len() - 1),
            len: outputs,
        },
        operations,
        head: vec![],
        emission: Emission::Each,
        frame_limit: u64::MAX,
    }
}

/// A map of a register, whose sums have `bits` bits after rounding by `shift` of them.
pub(crate) fn affine(map: u32, input: Register, bits: u8, shift: u8) -> Operation {
    let reach = Affine::reach_of(bits, shift);
    let terms = vec![Term {
        map,
        input,
        window: None,
    }];
    Affine { terms, reach }.into()
}

/// The result of an operation, rounded after a shift to signed bytes.
pub(crate) fn requantize(input: usize, shift: u8) -> Operation {
    Requantize {
        input: Register::result_of(input),
        shift,
        drop: 0,
        width: 8,
    }
    .into()
}

/// One matrix, requantised.
pub(crate) fn layer(inputs: u32, outputs: u32) -> Program {
    let operations = vec![affine(0, Register::FRAME, 13, 4), requantize(0, 4)];
    program(inputs, &[(outputs, inputs)], operations, outputs)
}

/// Frames that do not fit a row of a digest.
pub(crate) fn wide() -> Program {
    let operations = vec![affine(0, Register::FRAME, 20, 7), requantize(0, 7)];
    program(140, &[(3, 140)], operations, 3)
}

/// Two matrices of different widths, with a ReLU between.
pub(crate) fn network() -> Program {
    let operations = vec![
        affine(0, Register::FRAME, 14, 4),
        requantize(0, 4),
        Operation::Relu(Relu {
            input: Register::result_of(1),
        }),
        affine(1, Register::result_of(2), 14, 4),
        requantize(3, 4),
    ];
    program(5, &[(3, 5), (2, 3)], operations, 2)
}

/// A state that is multiplied with what is made of the frame.
pub(crate) fn recurrent() -> Program {
    let input = Register::result_of(1);
    let monomials = [
        (3, Register::CARRIED, Some(input)),
        (40, input, None),
        (-2, Register::CARRIED, None),
    ];
    let operations = vec![
        affine(0, Register::FRAME, 13, 4),
        requantize(0, 4),
        Combine::new(5, &monomials).into(),
        requantize(2, 7),
    ];
    let mut program = program(2, &[(2, 2)], operations, 2);
    program.carried = vec![Carried {
        shape: VectorShape { len: 2, width: 8 },
        initial: vec![7, -9],
        next: Register::result_of(3),
        parameter: false,
    }];
    program
}

/// The one-hot vector of the greatest of three scores.
pub(crate) fn classifier() -> Program {
    let operations = vec![
        affine(0, Register::FRAME, 13, 4),
        requantize(0, 4),
        Operation::ArgMax(ArgMax {
            input: Register::result_of(1),
        }),
    ];
    program(2, &[(3, 2)], operations, 3)
}

/// One table lookup for each entry; a map that is of no effect.
pub(crate) fn lookup(len: u32) -> Program {
    let operations = vec![
        affine(0, Register::FRAME, 20, 0),
        Operation::Lookup(Lookup {
            input: Register::FRAME,
            table: 0,
        }),
    ];
    program(len, &[(1, len)], operations, len)
}

/// A sum: no lookup at all, if everything is public.
pub(crate) fn sum() -> Program {
    let operations = vec![
        affine(0, Register::FRAME, 20, 0),
        Combine::new(3, &[(2, Register::FRAME, None)]).into(),
    ];
    program(1, &[(1, 1)], operations, 1)
}

/// Small weights, by a formula, and biases that matter.
pub(crate) fn bank_of(program: &Program, seed: i64) -> WeightBank {
    let maps = program.maps().iter().enumerate().map(|(l, map)| {
        let entry = |k: i64| (k * 5 + 3 * seed + l as i64 * 7) % 11 - 5;
        let count = i64::from(map.rows * map.columns);
        let weights = (0..count).map(|k| entry(k) as i16).collect();
        let bias = (0..i64::from(map.rows)).map(|i| 37 * (i + 1) + seed);
        AffineMap::new(map.columns as usize, weights, bias.collect()).unwrap()
    });
    WeightBank::new(maps.collect()).unwrap()
}

/// Other weights and biases of the first map.
pub(crate) fn with_weights(
    bank: &WeightBank,
    change: impl Fn(&mut Vec<i16>, &mut Vec<i64>),
) -> WeightBank {
    let mut maps: Vec<AffineMap> = (bank.maps().iter())
        .map(|map| AffineMap::clone(map))
        .collect();
    let map = &maps[0];
    let mut weights: Vec<i16> = (0..map.rows())
        .flat_map(|i| map.dense_row(i).to_vec())
        .collect();
    let mut bias = map.bias().to_vec();
    change(&mut weights, &mut bias);
    maps[0] = AffineMap::new(map.columns(), weights, bias).unwrap();
    WeightBank::new(maps).unwrap()
}

/// A run of a program, with the integers of an honest prover.
pub(crate) fn case_of(program: &Program, bank: WeightBank, frames: Vec<Vec<i64>>) -> Case {
    case_with(program, bank, frames, &[])
}

/// A run with parameters.
pub(crate) fn case_with(
    program: &Program,
    bank: WeightBank,
    frames: Vec<Vec<i64>>,
    parameters: &[i64],
) -> Case {
    let program = Program::from_bytes(&program.to_bytes()).unwrap();
    let mut interpreter = Interpreter::with_parameters(&program, &bank, parameters).unwrap();
    let mut outputs = Vec::new();
    for frame in &frames {
        outputs.extend(interpreter.push(frame).unwrap());
    }
    Case {
        initial: program.initial_with(parameters).unwrap(),
        program,
        bank,
        frames,
        outputs,
    }
}

pub(crate) fn frames_of(program: &Program, count: usize) -> Vec<Vec<i64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    (0..count)
        .map(|_| random_frame(program, &mut rng))
        .collect()
}

/// A statement, and what is needed to prove it.
pub(crate) struct Bench {
    pub(crate) case: Case,
    pub(crate) bank: CommittedBank,
    pub(crate) shown: bool,
    pub(crate) own_rows: bool,
    pub(crate) bits: (usize, usize),
    pub(crate) parameters: Vec<i64>,
    pub(crate) salt: F,
}

/// What a prover says other than the protocol wants.
#[derive(Default)]
pub(crate) struct Lies<'a> {
    pub(crate) scalars: Option<Tamper<'a>>,
    pub(crate) points: Option<TamperPoints<'a>>,
    pub(crate) values: Option<TamperValues<'a>>,
    pub(crate) leaves: Vec<(usize, usize, [F; 3])>,
}

/// What a prover says of an entry whose tuple is no row of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRow {
    /// That it is the row that it ought to be.
    Claimed,
    /// The truth: its fraction has a denominator that no row has.
    Told,
}

impl Bench {
    /// Of frames of a program, with inputs and outputs public or neither.
    pub(crate) fn new(program: &Program, frames: usize, shown: bool) -> Self {
        let case = case_of(program, bank_of(program, 1), frames_of(program, frames));
        Self::of(case, shown)
    }

    pub(crate) fn of(case: Case, shown: bool) -> Self {
        let bank = CommittedBank::commit(case.bank.clone(), &case.program, BlindingSeed::random())
            .unwrap();
        Self {
            parameters: parameters(&case),
            case,
            bank,
            shown,
            own_rows: false,
            bits: (7, 2),
            salt: F::random(OsRng),
        }
    }

    pub(crate) fn prepared(&self) -> Prepared {
        let inputs = self.case.frames.concat();
        let stated = Stated {
            context: b"context",
            parameters: &self.parameters,
            frames: self.case.frames.len() as u64,
            own_rows: self.own_rows,
            inputs: self.shown.then_some(&inputs),
            outputs: self.shown.then_some(&self.case.outputs),
        };
        let system = self.case.system(self.shown).unwrap();
        let (digest, model) = (self.case.program.digest(), self.bank.commitment());
        Prepared::new(&digest, model, &stated, system, self.bits.0, self.bits.1).unwrap()
    }

    pub(crate) fn witness(&self, prepared: &Prepared) -> Witness {
        self.case.witness(&prepared.system)
    }

    /// Commits to a witness every lookup of which has a row.
    pub(crate) fn commit(&self, prepared: &Prepared, witness: Witness) -> Committed<'_> {
        let salt = |kind: RowKind, index| self.salt + F::from(2 * index + kind as u64);
        let trace = trace_of(prepared, &witness).unwrap();
        let blinds = row_blinds(prepared, &trace, self.own_rows, &salt);
        Committed {
            bank: &self.bank,
            weights: self.bank.bank(),
            rows: commit_rows(prepared, &trace, &blinds),
            witness,
            trace,
            blinds,
        }
    }

    /// Commits to other columns; every lookup says the row that its tuple is, if it is one. Gives
    /// the leaves of those that are none, and how many they are.
    pub(crate) fn commit_to(
        &self,
        prepared: &Prepared,
        columns: Vec<Vec<i64>>,
        no_row: NoRow,
    ) -> (Committed<'_>, Lies<'static>, usize) {
        let system = &prepared.system;
        let mut witness = self.witness(prepared);
        let mut lies = Lies::default();
        let mut count = 0;
        for group in &prepared.layout.groups {
            let lookup = &system.lookups[group.lookup];
            let (size, table) = (lookup.size(), &system.tables[lookup.table]);
            let tuples = system.tuples(&self.case.bank, &columns, group.lookup);
            for (cell, tuple) in tuples.iter().enumerate() {
                let fits = |row: &[i64; 3]| {
                    (tuple.iter().zip(row)).all(|((x, s), v)| *x == i128::from(*v) << s)
                };
                if let Some(row) = table.rows.iter().position(fits) {
                    witness.rows[group.lookup][cell] = row as u32;
                    continue;
                }
                count += 1;
                if no_row == NoRow::Told {
                    let (t, i) = (cell / size.len, cell % size.len);
                    let at = group.offset + (t << size.len_bits()) + i;
                    let half = F::from(2).invert().unwrap();
                    let parts = tuple.map(|(x, s)| from_i128(x) * half.pow([u64::from(s)]));
                    lies.leaves.push((at, lookup.table, parts));
                }
            }
        }
        witness.columns = columns;
        (self.commit(prepared, witness), lies, count)
    }

    pub(crate) fn prove(
        &self,
        prepared: &Prepared,
        committed: &Committed<'_>,
        lies: Lies<'_>,
    ) -> Result<TraceProof, TraceError> {
        self.prove_for(prepared, self.bank.commitment(), committed, lies)
    }

    /// Proves, for a model commitment that need not be the prover's.
    pub(crate) fn prove_for(
        &self,
        prepared: &Prepared,
        model: &ModelCommitment,
        committed: &Committed<'_>,
        lies: Lies<'_>,
    ) -> Result<TraceProof, TraceError> {
        let messages = MessageKey::get();
        let mut channel = Channel::prover(prepared.transcript(), &messages);
        channel.tamper = lies.scalars;
        channel.tamper_points = lies.points;
        channel.tamper_values = lies.values;
        channel.leaves = lies.leaves;
        let mut checks = Checks::new();
        run(prepared, model, &mut channel, Some(committed), &mut checks)?;
        Ok(TraceProof {
            row_bits: prepared.layout.row_bits as u8,
            tail_bits: prepared.tail_bits as u8,
            body: channel.into_bytes(),
        })
    }

    pub(crate) fn honest(&self, prepared: &Prepared) -> Committed<'_> {
        self.commit(prepared, self.witness(prepared))
    }

    /// The digests that these rows have.
    pub(crate) fn digests(
        &self,
        prepared: &Prepared,
        committed: &Committed<'_>,
    ) -> [Option<[u8; 32]>; 2] {
        let program = &self.case.program;
        let of = |kind, shape| digest_of(prepared, &shape, kind, self.own_rows, &committed.rows);
        [
            of(RowKind::Input, program.frame_shape()),
            of(RowKind::Output, program.output_shape()),
        ]
    }

    /// The statement, with these digests of what is hidden.
    pub(crate) fn statement<'a>(
        &'a self,
        digests: &'a [Option<[u8; 32]>; 2],
        inputs: &'a [i64],
    ) -> TraceStatement<'a> {
        let [of_inputs, of_outputs] = digests;
        TraceStatement {
            model: self.bank.commitment(),
            context: b"context",
            parameters: &self.parameters,
            frames: self.case.frames.len() as u64,
            own_rows: self.own_rows,
            inputs: (of_inputs.as_ref())
                .map_or(PublicVectors::Entries(inputs), PublicVectors::Digest),
            outputs: (of_outputs.as_ref()).map_or(
                PublicVectors::Entries(&self.case.outputs),
                PublicVectors::Digest,
            ),
        }
    }

    /// Verifies a proof of a statement.
    pub(crate) fn check(
        &self,
        statement: &TraceStatement<'_>,
        proof: &TraceProof,
    ) -> Result<(), TraceError> {
        let program = &self.case.program;
        argument::verify(program, &program.digest(), statement, proof)
    }

    /// Verifies a proof of the statement with the digests that the prover's rows have.
    pub(crate) fn verify(
        &self,
        prepared: &Prepared,
        committed: &Committed<'_>,
        proof: &TraceProof,
    ) -> Result<(), TraceError> {
        let inputs = self.case.frames.concat();
        let digests = self.digests(prepared, committed);
        self.check(&self.statement(&digests, &inputs), proof)
    }

    /// Whether a lie is believed.
    pub(crate) fn accepts(
        &self,
        prepared: &Prepared,
        committed: &Committed<'_>,
        lies: Lies<'_>,
    ) -> bool {
        let proof = self.prove(prepared, committed, lies);
        proof.is_ok_and(|proof| self.verify(prepared, committed, &proof).is_ok())
    }

    /// Whether a prover is believed who commits to other columns, whatever he says of lookups that
    /// have no row; `lookups` and `identities` do not hold then, and nothing else.
    pub(crate) fn accepts_columns(
        &self,
        prepared: &Prepared,
        change: impl FnOnce(&mut Vec<Vec<i64>>),
        lookups: usize,
        identities: usize,
    ) -> bool {
        let mut columns = self.witness(prepared).columns;
        change(&mut columns);
        let wrong = (prepared.system).violations_of_identities(&self.case.bank, &columns);
        assert_eq!(wrong.len(), identities, "identities that do not hold");
        [NoRow::Claimed, NoRow::Told].into_iter().any(|no_row| {
            let (committed, lies, count) = self.commit_to(prepared, columns.clone(), no_row);
            assert_eq!(count, lookups, "lookups without a row");
            self.accepts(prepared, &committed, lies)
        })
    }
}

/// Commits anew to a trace that was changed.
pub(crate) fn recommit(prepared: &Prepared, committed: &mut Committed<'_>) {
    committed.rows = commit_rows(prepared, &committed.trace, &committed.blinds);
}

/// The columns that a part of a lookup reads.
pub(crate) fn columns_of(lookup: &system::Lookup, part: usize) -> Vec<usize> {
    let views = &lookup.parts[part].form.linear.views;
    let columns = views.iter().filter_map(|view| match view.source {
        Source::Column(k) => Some(k),
        _ => None,
    });
    columns.collect()
}

/// The column that stands in rows of a digest.
pub(crate) fn digest_column(prepared: &Prepared, kind: RowKind) -> usize {
    let columns = &prepared.system.columns;
    columns.iter().position(|c| c.digest == Some(kind)).unwrap()
}
