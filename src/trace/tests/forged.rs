//! A prover who says another output, and computes everything else honestly from it.

use crate::{
    program::{Emission, Program},
    trace::{
        TraceProof, TraceRun,
        argument::{Prepared, Stated, commit, prove_committed},
        lower::{Instance, lower},
        witness::{Witness, registers},
    },
};

/// What comes of a lie.
pub(crate) struct Forged {
    /// Whether the system of the lie does not hold, neither for the honest run nor for one whose
    /// output register says the lie.
    pub(crate) violated: bool,
    /// A proof, if there is one that the prover can finish.
    pub(crate) proof: Option<TraceProof>,
}

/// A proof that a run has these outputs, which are public; its frames are public too.
pub(crate) fn forged(program: &Program, run: &TraceRun<'_>, outputs: &[i64]) -> Forged {
    let weights = run.bank.bank();
    let initial = program.initial_with(run.parameters).unwrap();
    let inputs = run.frames.concat();
    let stated = Stated {
        context: run.context,
        parameters: run.parameters,
        frames: run.frames.len() as u64,
        own_rows: run.own_rows,
        inputs: Some(&inputs),
        outputs: Some(outputs),
    };
    let system = lower(
        program,
        Instance {
            frames: run.frames.len(),
            initial: &initial,
            inputs: stated.inputs,
            outputs: stated.outputs,
        },
    )
    .unwrap();
    let mut of_run = registers(program, weights, &initial, run.frames).unwrap();
    let honest = Witness::of(&system, &of_run);
    let mut violated = !system
        .violations(weights, &honest.columns, &honest.rows)
        .is_empty();

    // The output register says what is stated.
    let output = program.output;
    let len = of_run.lens[output.register];
    let values = &mut of_run.values[output.register];
    let emitted = match program.emission {
        Emission::Each => run.frames.len(),
        Emission::Last => 1,
    };
    let skip = values.len() - emitted * len;
    let rows = values[skip..].chunks_mut(len);
    for (row, stated) in rows.zip(outputs.chunks(output.len as usize)) {
        row[..stated.len()].copy_from_slice(stated);
    }
    let lying = Witness::of(&system, &of_run);
    violated &= !system
        .violations(weights, &lying.columns, &lying.rows)
        .is_empty();

    let model = run.bank.commitment();
    let digest = program.digest();
    let prepared = (9..=14).find_map(|row_bits| {
        let system = system.clone();
        Prepared::new(&digest, model, &stated, system, row_bits, 2).ok()
    });
    let proof = prepared.and_then(|prepared| {
        let committed = commit(&prepared, run, lying)?;
        prove_committed(&prepared, model, &committed).ok()
    });
    Forged { violated, proof }
}
