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
    circuit::state::{registers_digest, seed},
    ivc::step::{PreparedStep, Run},
    program::{MapRef, Program, Register, interpreter::StepTrace},
    weights::SplitPoint,
};

/// The claim after the last round, and the bracket it must be `v` times of.
pub(super) fn last_check(
    program: &Program,
    run: &Run,
    trace: &StepTrace,
    step: &PreparedStep,
) -> (F, F) {
    let d = program.bank();
    let next = &step.next.state;
    let registers = registers_digest(program, trace);
    let seed = seed(
        program,
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
    for (i, _) in program.affine_operations() {
        let y = trace.register(Register::result_of(i));
        let y: Vec<F> = y.iter().map(|y| signed(*y)).collect();
        sigma += c * horner_native(&y, rho);
        c *= block;
    }
    for message in &step.witness.messages {
        let r = transcript.challenge(message.a, message.c);
        sigma = reduce_native(sigma, *message, r);
    }
    let r = SplitPoint::new(&next.claim.point, &d).unwrap();
    let mut products = F::ZERO;
    let mut c = rho;
    let slots = u64::from(program.layers_per_step().unwrap_or(1));
    for (_, terms) in program.affine_operations() {
        for (b, term) in terms.iter().enumerate() {
            let mut x = vec![F::from(u64::from(b == 0))];
            x.extend(trace.register(term.input).iter().map(|x| signed(*x)));
            let l = match term.map {
                MapRef::Fixed(l) => u64::from(l),
                MapRef::Slot(k) => run.state.phase * slots + u64::from(k),
            };
            products += c * eq_index_native(l, r.l) * evaluate_native(&x, r.j);
        }
        c *= block;
    }
    let bracket = eq_native(&run.state.claim.point, &next.claim.point)
        + (F::ONE - r.t) * power_native(r.i, rho) * products;
    (sigma, bracket)
}

/// Makes a step hold whatever its registers say: `v := σ / bracket`, and the next state with it.
pub(super) fn make_consistent(
    program: &Program,
    run: &Run,
    trace: &StepTrace,
    step: &mut PreparedStep,
) {
    let (sigma, bracket) = last_check(program, run, trace, step);
    let v = sigma * bracket.invert().unwrap();
    step.witness.value = v;
    step.next.state.claim.value = v;
    step.next.z[1] = step.next.state.digest();
}
