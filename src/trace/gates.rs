//! All gates at once (protocol notes, 13.8).

use ff::Field;
use layerfold_gadgets::mle::eq_evals;
use rand_core::OsRng;

use super::{
    TraceError,
    message::{Channel, Combination, Gate},
    system::bits_for,
    tree::bind,
};
use crate::backend::F;

/// Shows that every gate holds; gives the linear equations that are left, each zero.
pub(crate) fn run(
    channel: &mut Channel<'_>,
    mut gates: Vec<Gate>,
) -> Result<Vec<Combination>, TraceError> {
    // Two products of random numbers, so that what is shown at the end is random.
    let dummies = channel.secrets().is_some().then(|| {
        let mut values = Vec::with_capacity(6);
        for _ in 0..2 {
            let (x, y) = (F::random(OsRng), F::random(OsRng));
            values.extend([x, y, x * y]);
        }
        values
    });
    let sent = channel.send(6, dummies)?;
    for dummy in sent.chunks(3) {
        if let [left, right, result] = dummy {
            gates.push(Gate {
                left: left.clone(),
                right: right.clone(),
                result: result.clone(),
            });
        }
    }
    let bits = bits_for(gates.len());
    let tau = channel.transcript.point("tau", bits);
    let mut values = channel.secrets().map(|(w, _)| {
        let table = |of: fn(&Gate) -> &Combination| {
            let mut table: Vec<F> = gates.iter().map(|g| of(g).value(w)).collect();
            table.resize(1 << bits, F::ZERO);
            table
        };
        [
            table(|g| &g.left),
            table(|g| &g.right),
            table(|g| &g.result),
        ]
    });
    let mut weights = eq_evals(tau.get(1..).unwrap_or_default());
    let mut claim = Combination::default();
    let mut point = Vec::with_capacity(bits);
    for t in &tau {
        let message = values.as_ref().map(|[a, b, c]| {
            let half = a.len() / 2;
            let mut at_1 = F::ZERO;
            let mut at_0 = F::ZERO;
            let mut leading = F::ZERO;
            for (low, weight) in weights.iter().enumerate().take(half) {
                let high = low + half;
                at_0 += *weight * (a[low] * b[low] - c[low]);
                at_1 += *weight * (a[high] * b[high] - c[high]);
                leading += *weight * (a[high] - a[low]) * (b[high] - b[low]);
            }
            vec![at_1 - at_0 - leading, leading]
        });
        let sent = channel.send(2, message)?;
        let r = channel.challenge("round");
        let mut power = F::ONE;
        for h in &sent {
            power *= r;
            claim.add(h, power - t);
        }
        for table in values.iter_mut().flatten() {
            bind(table, r);
        }
        let half = weights.len() / 2;
        if half > 0 {
            let (low, high) = weights.split_at_mut(half);
            low.iter_mut().zip(&*high).for_each(|(l, h)| *l += h);
            weights.truncate(half);
        }
        point.push(r);
    }
    let shown = channel.shown(3, values.map(|tables| tables.map(|t| t[0]).to_vec()))?;
    let [a, b, c] = shown.as_slice() else {
        return Err(TraceError::Invalid);
    };
    let at = eq_evals(&point);
    // The last two gates hide what is shown.
    let dummies = at.get(gates.len() - 2..gates.len()).unwrap_or_default();
    if channel.secrets().is_some() && dummies.contains(&F::ZERO) {
        return Err(TraceError::Invalid);
    }
    let sum = |of: fn(&Gate) -> &Combination, value: &F| {
        (gates.iter().zip(&at)).fold(Combination::constant(-*value), |sum, (gate, w)| {
            sum.plus(of(gate), *w)
        })
    };
    Ok(vec![
        sum(|g| &g.left, a),
        sum(|g| &g.right, b),
        sum(|g| &g.result, c),
        claim.plus(&Combination::constant(*c - *a * b), F::ONE),
    ])
}
