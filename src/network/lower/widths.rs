//! How many bits each register has, by what reads it.

use crate::network::{
    Function, Network, Precision,
    form::{Form, Kind},
};

/// What reads a register.
#[derive(Clone, Copy, Default)]
struct Reads {
    /// A linear map, a ReLU or a maximum.
    linear: bool,
    /// A product, or a sum that has one.
    factor: bool,
    /// A sum that has a product adds it.
    addend: bool,
}

/// Bits of one register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Width {
    /// Of the value itself.
    pub(super) full: u8,
    /// Of what linear maps read instead, if that is less: the upper bits of the value.
    pub(super) view: Option<u8>,
    /// Whether products read it.
    pub(super) factor: bool,
}

impl Width {
    /// Bits that linear maps read.
    pub(super) fn linear(self) -> u8 {
        self.view.unwrap_or(self.full)
    }
}

/// Whether a function is a table, and not exact on integers.
pub(super) fn is_table(function: &Function) -> bool {
    !matches!(function, Function::Relu | Function::Clip { .. })
}

fn reads(network: &Network) -> Vec<Reads> {
    let mut reads = vec![Reads::default(); network.register_of(network.stages.len())];
    let mut sum = |form: &Form, is_direct: bool| {
        if form.products.is_empty() {
            // A table or the output reads a register as it stands.
            if !(is_direct && form.as_register().is_some()) {
                form.terms.iter().for_each(|t| reads[t.0].linear = true);
            }
            return;
        }
        let is_sum = form.addends().is_some();
        for (register, _) in &form.terms {
            reads[*register].linear |= !is_sum;
            reads[*register].factor |= is_sum;
            reads[*register].addend |= is_sum;
        }
        for product in &form.products {
            let is_sum = product.right.addends().is_some();
            product
                .left
                .terms
                .iter()
                .for_each(|t| reads[t.0].factor = true);
            for (register, _) in &product.right.terms {
                reads[*register].linear |= !is_sum;
                reads[*register].factor |= is_sum;
            }
        }
    };
    for stage in &network.stages {
        let is_direct = matches!(&stage.kind, Kind::Function(f) if is_table(f));
        stage.arguments.iter().for_each(|form| sum(form, is_direct));
    }
    sum(&network.output, !network.argmax);
    // A state and what it becomes are one.
    for (index, state) in network.states.iter().enumerate() {
        let (a, b) = (reads[1 + index], reads[state.next]);
        let both = Reads {
            linear: a.linear || b.linear,
            factor: a.factor || b.factor,
            addend: a.addend || b.addend,
        };
        reads[1 + index] = both;
        reads[state.next] = both;
    }
    reads
}

/// The bits of all registers.
pub(super) fn widths(network: &Network, precision: &Precision) -> Vec<Width> {
    let reads = reads(network);
    let is_state = |register: usize| network.states.iter().any(|s| s.next == register);
    let of = |register: usize| {
        let own = reads[register];
        let Some(stage) = network.stage_of(register) else {
            return precision.width(0);
        };
        let w = precision.width(stage + 1);
        let product = w.max(precision.product_bits());
        let form = network.stages[stage].arguments.first();
        match &network.stages[stage].kind {
            _ if is_state(register) => match own.factor {
                true => product,
                false => w,
            },
            Kind::Identity if own.factor && form.is_some_and(|f| !f.products.is_empty()) => product,
            Kind::Function(f) if is_table(f) && own.factor && !own.linear => match own.addend {
                true => product,
                false => precision.factor_bits(w, f.is_gate()),
            },
            _ => w,
        }
    };
    (0..reads.len())
        .map(|register| {
            let source = match network.state_of(register) {
                Some(state) => network.states[state].next,
                None => register,
            };
            let full = of(source);
            let w = match network.stage_of(source) {
                Some(stage) => precision.width(stage + 1),
                None => full,
            };
            Width {
                full,
                view: (full > w && reads[register].linear).then_some(w),
                factor: reads[register].factor,
            }
        })
        .collect()
}
