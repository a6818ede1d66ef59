//! What a cheating prover does after a lie: the sumcheck's verifier on plain field elements, and
//! the value that makes the last check of a step hold.

use ff::Field;
use layerfold_gadgets::{
    mle::{eq_index_native, eq_native, evaluate_native, horner_native, power_native},
    sumcheck::reduce_native,
    transcript::Transcript,
};

use super::fixtures::signed;
use crate::{
    backend::F,
    program::Register,
    recursive::{
        StepTrace, Unrolled,
        prover::{PreparedStep, Run},
        state::{registers_digest, seed},
    },
    weights::{SplitPoint, WeightClaim},
};

/// The claim after the last round, the bracket it must be `v` times of, and the final point.
pub(super) struct LastCheck {
    pub(super) sigma: F,
    pub(super) bracket: F,
    pub(super) point: Vec<F>,
}

/// Verifies the rounds of a step.
pub(super) fn last_check(
    unrolled: &Unrolled,
    run: &Run,
    trace: &StepTrace,
    step: &PreparedStep,
) -> LastCheck {
    let d = unrolled.dimensions;
    let next = &step.next.state;
    let registers = registers_digest(unrolled, trace, &step.witness.frame_salts);
    let seed = seed(
        unrolled,
        step.witness.tau,
        run.z,
        next.frames,
        next.inputs,
        registers,
    );
    let (mut transcript, rho) = Transcript::new(d.rounds() as u32, seed);
    let block = rho.pow_vartime([1 << d.mu]);
    let mut sigma = run.state.claim.value;
    let mut c = rho;
    for (i, _) in unrolled.affine_nodes() {
        let y = trace.register(Register::result_of(i));
        let y: Vec<F> = y.iter().map(|y| signed(*y)).collect();
        sigma += c * horner_native(&y, rho);
        c *= block;
    }
    let mut challenges = Vec::new();
    for message in &step.witness.messages {
        let r = transcript.challenge(message.a, message.c);
        sigma = reduce_native(sigma, *message, r);
        challenges.push(r);
    }
    // Drawn in the order j, l, i, t.
    let (j, rows) = challenges.split_at(d.nu as usize);
    let (rows, t) = rows.split_at((d.lambda + d.mu) as usize);
    let point = [t, rows, j].concat();
    let r = SplitPoint::new(&point, &d).unwrap();
    let mut products = F::ZERO;
    let mut c = rho;
    for (_, terms) in unrolled.affine_nodes() {
        for (l, input, with_bias) in Unrolled::products(terms, run.state.phase) {
            let mut x = vec![F::from(u64::from(with_bias))];
            let entries = trace.register(input).iter().take((1 << d.nu) - 1);
            x.extend(entries.map(|x| signed(*x)));
            products += c * eq_index_native(l as u64, r.l) * evaluate_native(&x, r.j);
        }
        c *= block;
    }
    let bracket = eq_native(&run.state.claim.point, &point)
        + (F::ONE - r.t) * power_native(r.i, rho) * products;
    LastCheck {
        sigma,
        bracket,
        point,
    }
}

/// Makes a step hold whatever its registers and messages say: `v := σ / bracket` at the point that
/// the messages lead to, and the next state with it.
pub(super) fn make_consistent(
    unrolled: &Unrolled,
    run: &Run,
    trace: &StepTrace,
    step: &mut PreparedStep,
) {
    let last = last_check(unrolled, run, trace, step);
    let v = last.sigma * last.bracket.invert().unwrap();
    step.witness.value = v;
    step.next.state.claim = WeightClaim {
        point: last.point,
        value: v,
    };
    step.next.z[1] = step.next.state.digest();
}
