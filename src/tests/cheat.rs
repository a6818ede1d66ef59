//! What a cheating prover does after a lie: the sumcheck's verifier on plain field elements, and
//! the value that makes the last check of a step hold.

use ff::Field;
use layerfold_gadgets::{
    mle::{eq_index_native, eq_native, evaluate_native, power_native},
    sumcheck::reduce_native,
    transcript::Transcript,
};

use super::fixtures::signed;
use crate::{
    backend::F,
    program::{Order, Register, Window},
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
    let block = rho.pow_vartime([1u64 << unrolled.separation()]);
    let mut sigma = run.state.claim.value;
    let mut c = rho;
    for (i, terms) in unrolled.affine_nodes() {
        let y = trace.register(Register::result_of(i)).iter().enumerate();
        // Position by position every row of the polynomial has a place.
        let place = |n: usize| match unrolled.block(terms).unwrap() {
            None => n,
            Some(rows) => ((n / rows) << d.mu) + n % rows,
        };
        let weighted = y.map(|(n, y)| signed(*y) * rho.pow_vartime([place(n) as u64]));
        sigma += c * weighted.sum::<F>();
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
        for (l, term, with_bias) in Unrolled::products(terms, run.state.phase) {
            let x = trace.register(term.input);
            let front = F::from(u64::from(with_bias));
            // Position by position, and for each what is under the window column by column.
            let positions = term.window.as_ref().map_or(1, Window::positions);
            let mut sum = F::ZERO;
            let (mut row_stride, mut position_stride) = (1, 0);
            for p in 0..positions {
                let mut columns = vec![front];
                match &term.window {
                    None => columns.extend(x.iter().take((1 << d.nu) - 1).map(|x| signed(*x))),
                    Some(window) => {
                        columns.resize(1 << d.nu, F::ZERO);
                        for (column, entry) in window.at(p) {
                            let x = entry.and_then(|at| x.get(at)).copied();
                            columns[1 + column] = signed(x.unwrap_or(0));
                        }
                        (row_stride, position_stride) = match window.order {
                            Order::Rows => (positions as u64, 1),
                            Order::Positions => (1, 1u64 << d.mu),
                        };
                    }
                }
                let weight = rho.pow_vartime([p as u64 * position_stride]);
                sum += weight * evaluate_native(&columns, r.j);
            }
            let rows = power_native(r.i, rho.pow_vartime([row_stride]));
            products += c * eq_index_native(l as u64, r.l) * rows * sum;
        }
        c *= block;
    }
    let bracket = eq_native(&run.state.claim.point, &point) + (F::ONE - r.t) * products;
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
