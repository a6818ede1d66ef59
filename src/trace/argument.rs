//! The whole argument: one description that prover and verifier run (protocol notes, 13).

use ff::{BatchInverter, Field};
use halo2curves::pasta::PallasAffine;
use layerfold_gadgets::mle::eq_evals;
use rand_core::OsRng;
use tracing::info_span;

use super::{
    PublicVectors, RowKind, TraceError, TraceOutcome, TraceProof, TraceRun, TraceStatement,
    digest::{
        DIGEST_ROW_BITS, digest_of_points, frames_per_block, row_blind, rows_per_block, run_digest,
    },
    end::{self, Checks, Opened},
    equation::{Axes, Equation, Fingerprint, Functional, Pair, element, point_bits},
    fill::Registers,
    gates,
    key::{MessageKey, RowKey, value_generator},
    layout::{Layout, MOST_ROW_BITS},
    lower::{Instance, lower},
    message::{Channel, Combination},
    point::{self, LinearEquation, Vectors},
    products::{self, Claim, Products},
    system::{System, bits_for},
    transcript::Transcript,
    tree::{self, Tree},
    witness::{Witness, registers},
};
use crate::{
    backend::{CommitmentKey, E1, F, generators::BANK_LABEL},
    error::Error,
    program::{Emission, Program, Shape, WeightBank},
    statement::{InputVisibility, OutputVisibility},
    weights::{CommittedBank, ModelCommitment},
};

const PROTOCOL: &[u8] = b"layerfold/trace/1";

/// The statement as it is absorbed first.
#[derive(Clone)]
pub(crate) struct Header {
    bytes: Vec<u8>,
}

impl Header {
    /// Everything that the verifier does not compute from the rest; every list with its length.
    fn new(
        program_digest: &[u8; 32],
        model: &ModelCommitment,
        statement: &Stated<'_>,
        row_bits: usize,
        tail_bits: usize,
    ) -> Self {
        let mut bytes = Vec::new();
        bytes.extend(program_digest);
        bytes.extend(model.digest().as_bytes());
        bytes.extend(statement.frames.to_le_bytes());
        bytes.extend([
            row_bits as u8,
            tail_bits as u8,
            statement.own_rows.into(),
            statement.inputs.is_some().into(),
            statement.outputs.is_some().into(),
        ]);
        bytes.extend((statement.context.len() as u64).to_le_bytes());
        bytes.extend(statement.context);
        let lists = [
            Some(statement.parameters),
            statement.inputs,
            statement.outputs,
        ];
        for list in lists.into_iter().flatten() {
            bytes.extend((list.len() as u64).to_le_bytes());
            bytes.extend(list.iter().flat_map(|x| x.to_le_bytes()));
        }
        Self { bytes }
    }
}

/// The public side of a run.
#[derive(Clone, Copy)]
pub(crate) struct Stated<'a> {
    pub(crate) context: &'a [u8],
    pub(crate) parameters: &'a [i64],
    pub(crate) frames: u64,
    pub(crate) own_rows: bool,
    /// All frames, if they are public.
    pub(crate) inputs: Option<&'a [i64]>,
    /// All outputs, if they are public.
    pub(crate) outputs: Option<&'a [i64]>,
}

/// What both sides compute before anything is sent.
pub(crate) struct Prepared {
    pub(crate) system: System,
    pub(crate) layout: Layout,
    pub(crate) tail_bits: usize,
    header: Header,
}

impl Prepared {
    /// The system of a statement in a layout.
    pub(crate) fn new(
        program_digest: &[u8; 32],
        model: &ModelCommitment,
        stated: &Stated<'_>,
        system: System,
        row_bits: usize,
        tail_bits: usize,
    ) -> Result<Self, TraceError> {
        if tail_bits < 2 || tail_bits > row_bits {
            return Err(TraceError::Shape);
        }
        if !model.rows_are_parts() || (model.column_bits() as usize) > row_bits {
            return Err(TraceError::Shape);
        }
        let layout = Layout::new(&system, row_bits, stated.own_rows)?;
        let header = Header::new(program_digest, model, stated, row_bits, tail_bits);
        Ok(Self {
            system,
            layout,
            tail_bits,
            header,
        })
    }

    pub(crate) fn transcript(&self) -> Transcript {
        let mut transcript = Transcript::new(PROTOCOL);
        transcript.absorb("statement", &self.header.bytes);
        transcript
    }
}

fn system_of(program: &Program, stated: &Stated<'_>) -> Option<System> {
    let initial = program.initial_with(stated.parameters).ok()?;
    let frames = usize::try_from(stated.frames).ok()?;
    lower(
        program,
        Instance {
            frames,
            initial: &initial,
            inputs: stated.inputs,
            outputs: stated.outputs,
        },
    )
}

/// All that a prover commits to, besides messages.
pub(crate) struct Committed<'a> {
    pub(crate) bank: &'a CommittedBank,
    /// Integers that are multiplied: those of the bank, but for cheating provers.
    pub(crate) weights: &'a WeightBank,
    pub(crate) witness: Witness,
    /// The trace, multiplicities included.
    pub(crate) trace: Vec<i64>,
    /// Blinds of the present rows, in order.
    pub(crate) blinds: Vec<F>,
    /// Commitments to the present rows.
    pub(crate) rows: Vec<PallasAffine>,
}

/// The trace of a witness: registers, and how often every row of a table is looked up.
pub(crate) fn trace_of(prepared: &Prepared, witness: &Witness) -> Option<Vec<i64>> {
    let Prepared { system, layout, .. } = prepared;
    let mut trace = vec![0i64; 1 << layout.trace_bits];
    for (place, values) in layout.places.iter().zip(&witness.columns) {
        for (t, row) in values.chunks(place.size.len).enumerate() {
            for (i, x) in row.iter().enumerate() {
                trace[place.cell(t, i)] = *x;
            }
        }
    }
    let mut counts: Vec<Vec<i64>> = (system.tables.iter())
        .map(|t| vec![0; t.rows.len()])
        .collect();
    let mut real = 0;
    for (lookup, rows) in system.lookups.iter().zip(&witness.rows) {
        for row in rows {
            *counts[lookup.table].get_mut(*row as usize)? += 1;
        }
        real += rows.len();
    }
    counts[0][0] += (1i64 << layout.leaf_bits) - real as i64;
    for (place, counts) in layout.places[layout.registers..].iter().zip(counts) {
        for (i, count) in counts.into_iter().enumerate() {
            trace[place.cell(0, i)] = count;
        }
    }
    Some(trace)
}

/// Runs everything after the commitments, which a prover has; gives those of the rows.
pub(crate) fn run(
    prepared: &Prepared,
    model: &ModelCommitment,
    channel: &mut Channel<'_>,
    committed: Option<&Committed<'_>>,
    checks: &mut Checks,
) -> Result<Vec<PallasAffine>, TraceError> {
    let Prepared { system, layout, .. } = prepared;
    let messages = committed.map(|_| MessageKey::get());
    let rows = absorb_rows(prepared, channel, committed)?;

    let fingerprint = Fingerprint::new(channel.challenge("alpha"), channel.challenge("beta"));
    let mut denominators: Vec<Vec<F>> = (system.tables.iter().enumerate())
        .map(|(k, table)| {
            let of = |row| fingerprint.of_row(k, row);
            table.rows.iter().map(of).collect()
        })
        .collect();
    let mut gates = Vec::new();
    let leaves = info_span!("lookups").in_scope(|| {
        let leaves = committed.map(|c| leaves(prepared, &c.witness, &denominators));
        #[cfg(test)]
        let leaves = leaves.map(|mut leaves| {
            for (at, table, parts) in &channel.leaves {
                let id = F::from(*table as u64 + 1);
                leaves[*at] = (parts.iter().zip(&fingerprint.beta))
                    .fold(fingerprint.alpha - id, |q, (v, beta)| q - *v * beta);
            }
            leaves
        });
        let tree = leaves.map(Tree::new);
        tree::run(channel, layout.leaf_bits, tree, &mut gates)
    })?;

    let delta = channel.challenge("delta");
    let more = point_bits(system, layout) - layout.leaf_bits;
    let mut rho = channel.transcript.point("rho", more);
    rho.extend(&leaves.point);
    let mut axes = Axes::at(rho, system);
    let equation = info_span!("functional")
        .in_scope(|| Equation::new(system, layout, &mut axes, &fingerprint, delta));
    let sum = leaves.q.plus(&leaves.p, delta);
    let prover = committed.map(|c| Products {
        bank: c.weights,
        columns: &c.witness.columns,
        linear: info_span!("functional")
            .in_scope(|| value_of(&equation.linear, &axes, &c.witness.columns)),
    });
    let column_bits = model.dimensions().nu as usize;
    let (ends, bank_rows, equation) = info_span!("products").in_scope(|| {
        products::run(
            channel,
            system,
            &mut axes,
            equation,
            sum,
            column_bits,
            prover.as_ref(),
            &mut gates,
        )
    })?;
    let mut equations: Vec<LinearEquation> = info_span!("gates")
        .in_scope(|| gates::run(channel, gates))?
        .into_iter()
        .map(LinearEquation::from)
        .collect();

    // Σ_tables Σ_j m[j]/φ(row j) = S
    if denominators.iter().flatten().any(|d| *d == F::ZERO) {
        return Err(TraceError::Invalid);
    }
    let mut scratch = Vec::new();
    let once = axes.push(vec![F::ONE]);
    let mut fractions = Functional::default();
    for (k, mut inverses) in denominators.drain(..).enumerate() {
        scratch.resize(inverses.len(), F::ZERO);
        BatchInverter::invert_with_external_scratch(&mut inverses, &mut scratch[..]);
        let axis = axes.push(inverses);
        fractions
            .terms
            .insert((layout.registers + k, once, axis), F::ONE);
    }
    let mut claims = vec![Claim {
        functional: fractions,
        value: leaves.sum,
    }];
    claims.extend(ends.claims);

    let (hi, col) = ends
        .columns
        .split_at(column_bits - model.column_bits() as usize);
    let messages = messages.as_deref();
    let vectors = match (&bank_rows, committed, messages) {
        (Some(bank_rows), Some(committed), Some(messages)) => Some(Vectors {
            key: messages,
            trace: &committed.trace,
            bank: combined_bank_row(bank_rows, &ends.pairs, hi, 1 << model.column_bits()),
        }),
        _ => None,
    };
    let mut point = info_span!("point")
        .in_scope(|| point::run(channel, layout, &axes, &claims, &ends.bank, col, vectors))?;
    let last = std::mem::replace(
        &mut point.equation,
        LinearEquation::from(Combination::default()),
    );
    equations.push(last);
    info_span!("end").in_scope(|| end::equations(channel, equations, &point, messages, checks))?;
    let combine = |chi: F| {
        let mut points = Vec::with_capacity(rows.len() + model.row_count());
        let mut blind = F::ZERO;
        let eq_row = eq_evals(&point.row);
        for (k, ((row, _), commitment)) in layout.rows.iter().zip(&rows).enumerate() {
            let factor = eq_row[*row as usize];
            points.push((factor, *commitment));
            if let Some(committed) = committed {
                blind += factor * committed.blinds[k];
            }
        }
        let factors = bank_row_factors(&equation.pairs, &axes, &ends.pairs, model.maps().len());
        let eq_hi = eq_evals(hi);
        for (k, (map, i, part, commitment)) in model.parts().enumerate() {
            let factor = chi * factors[map].get(i).map_or(F::ZERO, |f| *f * eq_hi[part]);
            points.push((factor, *commitment));
            if let Some(committed) = committed {
                blind += factor * committed.bank.blinds()[k];
            }
        }
        let opened = point.secret.as_ref().zip(messages).map(|(secret, key)| {
            let [trace, bank] = &secret.rows;
            let vector = trace.iter().zip(bank).map(|(z, w)| *z + chi * w).collect();
            Opened { key, vector, blind }
        });
        (points, opened)
    };
    info_span!("opening").in_scope(|| {
        let tail_bits = prepared.tail_bits;
        let generators =
            committed.map_or(Vec::new(), |_| generators_of(layout).generators().to_vec());
        end::opening(channel, &generators, tail_bits, &point, combine, checks)
    })?;
    Ok(rows)
}

fn generators_of(layout: &Layout) -> CommitmentKey<E1> {
    CommitmentKey::of_label(BANK_LABEL, 1 << layout.row_bits)
}

/// Rows of digests, which belong to the statement, then the others; in the order of the layout.
fn absorb_rows(
    prepared: &Prepared,
    channel: &mut Channel<'_>,
    committed: Option<&Committed<'_>>,
) -> Result<Vec<PallasAffine>, TraceError> {
    let layout = &prepared.layout;
    let mut out = vec![None; layout.rows.len()];
    for (name, kind) in [
        ("inputs", Some(RowKind::Input)),
        ("outputs", Some(RowKind::Output)),
        ("Z", None),
    ] {
        let at: Vec<usize> = (layout.rows.iter().enumerate())
            .filter(|(_, (_, of))| *of == kind)
            .map(|(k, _)| k)
            .collect();
        let given = committed.map(|c| at.iter().map(|k| c.rows[*k]).collect());
        let points = channel.points(name, at.len(), given)?;
        for (k, point) in at.into_iter().zip(points) {
            out[k] = Some(point);
        }
    }
    out.into_iter()
        .collect::<Option<_>>()
        .ok_or(TraceError::Invalid)
}

/// Denominators of all leaves.
fn leaves(prepared: &Prepared, witness: &Witness, denominators: &[Vec<F>]) -> Vec<F> {
    let Prepared { system, layout, .. } = prepared;
    let mut out = vec![denominators[0][0]; 1 << layout.leaf_bits];
    for group in &layout.groups {
        let lookup = &system.lookups[group.lookup];
        let size = lookup.size();
        let of_table = &denominators[lookup.table];
        let stride = 1usize << size.len_bits();
        let rows = witness.rows[group.lookup].chunks(size.len);
        for (t, rows) in rows.enumerate() {
            let at = group.offset + t * stride;
            for (i, row) in rows.iter().enumerate() {
                out[at + size.padded(i)] = of_table[*row as usize];
            }
        }
    }
    out
}

/// `⟨functional, Z⟩` from the integers of the columns.
fn value_of(functional: &Functional, axes: &Axes, columns: &[Vec<i64>]) -> F {
    let mut terms: Vec<_> = functional.terms.iter().collect();
    terms.sort_unstable_by_key(|(key, _)| **key);
    let mut sum = F::ZERO;
    let mut entries: Vec<F> = Vec::new();
    let mut k = 0;
    while k < terms.len() {
        let (column, time, _) = *terms[k].0;
        let of = |at: usize| {
            terms
                .get(at)
                .is_some_and(|((c, t, _), _)| *c == column && *t == time)
        };
        entries.clear();
        while of(k) {
            let ((_, _, entry), factor) = terms[k];
            let vector = axes.vector(*entry);
            entries.resize(vector.len(), F::ZERO);
            for (sum, e) in entries.iter_mut().zip(vector) {
                *sum += *factor * e;
            }
            k += 1;
        }
        let rows = columns[column].chunks(entries.len());
        for (weight, row) in axes.vector(time).iter().zip(rows) {
            if *weight == F::ZERO {
                continue;
            }
            let inner: F = (row.iter().zip(&entries))
                .filter(|(x, _)| **x != 0)
                .map(|(x, e)| element(*x) * e)
                .sum();
            sum += inner * weight;
        }
    }
    sum
}

/// `u_W(a) = Σ_s eq(r_s, s)·Σ_hi eq(r_hi, hi)·Y(hi ‖ a, s)`.
fn combined_bank_row(rows: &[Vec<F>], pairs: &[F], hi: &[F], width: usize) -> Vec<F> {
    let (at_pair, at_hi) = (eq_evals(pairs), eq_evals(hi));
    let mut out = vec![F::ZERO; width];
    for (row, pair) in rows.iter().zip(&at_pair) {
        for (part, hi) in row.chunks(width).zip(&at_hi) {
            let factor = *pair * hi;
            for (out, y) in out.iter_mut().zip(part) {
                *out += factor * y;
            }
        }
    }
    out
}

/// For every map, `Σ_{s: l_s = l} eq(r_s, s)·rows_s(i)` by row.
fn bank_row_factors(pairs: &[Pair], axes: &Axes, at: &[F], maps: usize) -> Vec<Vec<F>> {
    let at_pair = eq_evals(at);
    let mut out = vec![Vec::new(); maps];
    for (pair, factor) in pairs.iter().zip(&at_pair) {
        let vector = axes.vector(pair.rows);
        let to: &mut Vec<F> = &mut out[pair.map];
        if to.len() < vector.len() {
            to.resize(vector.len(), F::ZERO);
        }
        for (to, e) in to.iter_mut().zip(vector) {
            *to += *factor * e;
        }
    }
    out
}

/// Blinds of the rows of a trace: of digests by their salts, all others fresh.
pub(crate) fn row_blinds(
    prepared: &Prepared,
    trace: &[i64],
    own_rows: bool,
    salt: &(dyn Fn(RowKind, u64) -> F + Sync),
) -> Vec<F> {
    let layout = &prepared.layout;
    let mut seen = [0usize; 2];
    (layout.rows.iter())
        .map(|(row, kind)| {
            let Some(kind) = kind else {
                return F::random(OsRng);
            };
            let Some(place) = layout.places.iter().find(|p| p.digest == Some(*kind)) else {
                return F::random(OsRng);
            };
            let size = place.size;
            let number = seen[*kind as usize];
            seen[*kind as usize] += 1;
            let per_block = frames_per_block(size.len, own_rows);
            let rows = rows_per_block(size.len);
            let (block, number) = (number / rows, number % rows);
            let first = block * per_block;
            let entries = entries_of_row(size.len, size.time - first, per_block, number);
            let start = (*row as usize) << layout.row_bits;
            let entries = &trace[start..start + entries];
            row_blind(&salt(*kind, first as u64), *kind, number, entries)
        })
        .collect()
}

/// How many entries a row of a block has that holds up to so many vectors.
fn entries_of_row(len: usize, vectors: usize, per_block: usize, number: usize) -> usize {
    let row = 1usize << DIGEST_ROW_BITS;
    if len > row / 2 {
        return (len - number * row).min(row);
    }
    let stride = 1usize << bits_for(len);
    vectors.min(per_block) * stride
}

/// The digest of the vectors of a kind, from the rows.
pub(crate) fn digest_of(
    prepared: &Prepared,
    shape: &Shape,
    kind: RowKind,
    own_rows: bool,
    rows: &[PallasAffine],
) -> Option<[u8; 32]> {
    let layout = &prepared.layout;
    let place = layout.places.iter().find(|p| p.digest == Some(kind))?;
    let of_kind: Vec<PallasAffine> = (layout.rows.iter().zip(rows))
        .filter(|((_, of), _)| *of == Some(kind))
        .map(|(_, point)| *point)
        .collect();
    let blocks: Vec<[u8; 32]> = of_kind
        .chunks(rows_per_block(place.size.len))
        .map(|points| digest_of_points(shape, own_rows, points))
        .collect();
    Some(run_digest(place.size.time as u64, &blocks))
}

/// Bits of rows, and of what is shown at the end, for a trace.
pub(crate) fn choose_bits(
    system: &System,
    own_rows: bool,
    least: usize,
    fast: bool,
) -> Result<(usize, usize), TraceError> {
    /// Bytes of a small proof that a microsecond more is worth.
    const MICROSECONDS_A_BYTE: usize = 8;
    let least = least.max(DIGEST_ROW_BITS as usize);
    let mut best = None;
    for row_bits in least..=MOST_ROW_BITS {
        let Ok(layout) = Layout::new(system, row_bits, own_rows) else {
            continue;
        };
        // In the clear, or folded to four entries; in microseconds of a processor without wide
        // multiplication, half of it with.
        for (tail_bits, per_entry) in [(row_bits, 10), (2, 40)] {
            if fast && row_bits <= 9 && tail_bits < row_bits {
                continue;
            }
            let bytes = 32 * layout.rows.len() + 64 * (row_bits - tail_bits) + (32 << tail_bits);
            let worth = if fast { 0 } else { MICROSECONDS_A_BYTE };
            let cost = (per_entry << row_bits) + worth * bytes;
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, (row_bits, tail_bits)));
            }
        }
    }
    best.map(|(_, bits)| bits).ok_or(TraceError::Shape)
}

/// Bits of the rows that short runs of a program are committed to in.
pub(crate) fn likely_row_bits(program: &Program) -> u32 {
    program.default_column_bits().max(DIGEST_ROW_BITS)
}

/// Proves a run.
pub(crate) fn prove(
    program: &Program,
    program_digest: &[u8; 32],
    run_of: &TraceRun<'_>,
) -> Result<TraceOutcome, Error> {
    if run_of.frames.is_empty() {
        return Err(Error::usage("a proof needs a frame"));
    }
    let model = run_of.bank.commitment();
    let weights = run_of.bank.bank();
    let initial = program.initial_with(run_of.parameters)?;
    let registers = info_span!("inference")
        .in_scope(|| registers(program, weights, &initial, run_of.frames))?;
    let inputs = run_of.frames.concat();
    let outputs = outputs_of(program, &registers, run_of.frames.len());
    let stated = Stated {
        context: run_of.context,
        parameters: run_of.parameters,
        frames: run_of.frames.len() as u64,
        own_rows: run_of.own_rows,
        inputs: (run_of.visibility.inputs == InputVisibility::Public).then_some(&inputs),
        outputs: (run_of.visibility.outputs == OutputVisibility::Public).then_some(&outputs),
    };
    let too_large = |_| Error::usage("the run is too large for a trace proof: prove it in parts");
    let system = info_span!("layout")
        .in_scope(|| system_of(program, &stated))
        .ok_or_else(|| Error::usage("the program has no trace proof: fold it"))?;
    let least = model.column_bits() as usize;
    let (row_bits, tail_bits) =
        choose_bits(&system, run_of.own_rows, least, run_of.fast).map_err(too_large)?;
    let prepared = Prepared::new(program_digest, model, &stated, system, row_bits, tail_bits)
        .map_err(too_large)?;
    let witness = info_span!("inference").in_scope(|| Witness::of(&prepared.system, &registers));
    drop(registers);
    let committed = info_span!("commit")
        .in_scope(|| commit(&prepared, run_of, witness))
        .ok_or_else(|| Error::usage("the weights are not those of the program"))?;
    let proof = prove_committed(&prepared, model, &committed)
        .map_err(|_| Error::proving("trace", "a challenge cannot be used: try again"))?;
    let digest =
        |kind, shape: &Shape| digest_of(&prepared, shape, kind, run_of.own_rows, &committed.rows);
    Ok(TraceOutcome {
        inputs: digest(RowKind::Input, &program.frame_shape()),
        outputs: digest(RowKind::Output, &program.output_shape()),
        proof,
    })
}

fn outputs_of(program: &Program, registers: &Registers, frames: usize) -> Vec<i64> {
    let output = program.output;
    let values = &registers.values[output.register];
    let len = registers.lens[output.register];
    let emitted = match program.emission {
        Emission::Each => frames,
        Emission::Last => 1,
    };
    let rows = values.chunks(len);
    let skip = rows.len() - emitted;
    rows.skip(skip)
        .flat_map(|row| row[..output.len as usize].to_vec())
        .collect()
}

/// Commits to the trace of a witness; `None` if a lookup has no row.
pub(crate) fn commit<'a>(
    prepared: &Prepared,
    run_of: &TraceRun<'a>,
    witness: Witness,
) -> Option<Committed<'a>> {
    let trace = trace_of(prepared, &witness)?;
    let blinds = row_blinds(prepared, &trace, run_of.own_rows, run_of.salt);
    let rows = commit_rows(prepared, &trace, &blinds);
    Some(Committed {
        bank: run_of.bank,
        weights: run_of.bank.bank(),
        witness,
        trace,
        blinds,
        rows,
    })
}

/// Commitments to the present rows of a trace.
pub(crate) fn commit_rows(prepared: &Prepared, trace: &[i64], blinds: &[F]) -> Vec<PallasAffine> {
    let layout = &prepared.layout;
    let width = 1usize << layout.row_bits;
    let rows: Vec<&[i64]> = (layout.rows.iter())
        .map(|(row, _)| &trace[*row as usize * width..(*row as usize + 1) * width])
        .collect();
    let key = RowKey::get(layout.row_bits as u32);
    key.commit(&MessageKey::get(), &rows, blinds)
}

/// Proves what is committed to.
pub(crate) fn prove_committed(
    prepared: &Prepared,
    model: &ModelCommitment,
    committed: &Committed<'_>,
) -> Result<TraceProof, TraceError> {
    let messages = MessageKey::get();
    let mut channel = Channel::prover(prepared.transcript(), &messages);
    run(
        prepared,
        model,
        &mut channel,
        Some(committed),
        &mut Checks::new(),
    )?;
    Ok(TraceProof {
        row_bits: prepared.layout.row_bits as u8,
        tail_bits: prepared.tail_bits as u8,
        body: channel.into_bytes(),
    })
}

/// Verifies a proof.
pub(crate) fn verify(
    program: &Program,
    program_digest: &[u8; 32],
    statement: &TraceStatement<'_>,
    proof: &TraceProof,
) -> Result<(), TraceError> {
    let entries = |vectors: PublicVectors<'_>| match vectors {
        PublicVectors::Digest(_) => None,
        PublicVectors::Entries(entries) => Some(entries.to_vec()),
    };
    let (inputs, outputs) = (entries(statement.inputs), entries(statement.outputs));
    let stated = Stated {
        context: statement.context,
        parameters: statement.parameters,
        frames: statement.frames,
        own_rows: statement.own_rows,
        inputs: inputs.as_deref(),
        outputs: outputs.as_deref(),
    };
    let frames = 1..=program.max_frames();
    if !statement.model.fits(program)
        || !frames.contains(&statement.frames)
        || memory_bytes(program, statement.frames) > MOST_MEMORY
    {
        return Err(TraceError::Shape);
    }
    let system = system_of(program, &stated).ok_or(TraceError::Shape)?;
    let prepared = Prepared::new(
        program_digest,
        statement.model,
        &stated,
        system,
        proof.row_bits.into(),
        proof.tail_bits.into(),
    )?;
    let mut channel = Channel::verifier(prepared.transcript(), &proof.body);
    let mut checks = Checks::new();
    let rows = run(&prepared, statement.model, &mut channel, None, &mut checks)?;
    if !channel.is_at_end() {
        return Err(TraceError::Shape);
    }
    for (kind, vectors, shape) in [
        (RowKind::Input, statement.inputs, program.frame_shape()),
        (RowKind::Output, statement.outputs, program.output_shape()),
    ] {
        if let PublicVectors::Digest(expected) = vectors {
            let got = digest_of(&prepared, &shape, kind, statement.own_rows, &rows);
            if got.as_ref() != Some(expected) {
                return Err(TraceError::Invalid);
            }
        }
    }
    // Only now: rows may be long.
    let key = generators_of(&prepared.layout);
    if checks.hold(&mut channel, &key, value_generator()) {
        Ok(())
    } else {
        Err(TraceError::Invalid)
    }
}

/// Most memory that a verifier spends on a statement.
const MOST_MEMORY: u64 = 1 << 34;

/// Bytes of memory that a proof of so many frames takes at its peak, about.
pub(crate) fn memory_bytes(program: &Program, frames: u64) -> u64 {
    /// Of a committed integer and of a lookup, with what is made of them.
    const BYTES: u64 = 320;
    /// Tables of multiples, messages, what there is without a frame.
    const FIXED: u64 = 32 << 20;
    let shapes = program.register_shapes();
    let body = shapes.values().len() - program.head().len();
    let entries: u64 = shapes.values()[..body].iter().map(|s| s.len as u64).sum();
    entries
        .saturating_mul(frames)
        .saturating_mul(2 * BYTES)
        .saturating_add(FIXED)
}
