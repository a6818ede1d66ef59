//! The only place where `bellpepper_core::ConstraintSystem` meets nova's own trait of that name.

use bellpepper_core as bp;
use ff::PrimeField;
use nova_snark::frontend::{self as nova, ConstraintSystem as _};

/// A `bellpepper_core` constraint system that writes into a nova one.
///
/// It is its own root. Values are computed eagerly: nova's shape pass never calls a value closure,
/// and the gadgets need values (of a dummy witness) to be there.
pub(super) struct Bridge<'a, CS> {
    inner: &'a mut CS,
}

impl<'a, CS> Bridge<'a, CS> {
    pub(super) fn new(inner: &'a mut CS) -> Self {
        Self { inner }
    }
}

pub(super) fn variable_in(v: nova::Variable) -> bp::Variable {
    bp::Variable(match v.0 {
        nova::Index::Input(i) => bp::Index::Input(i),
        nova::Index::Aux(i) => bp::Index::Aux(i),
    })
}

pub(super) fn variable_out(v: bp::Variable) -> nova::Variable {
    nova::Variable(match v.0 {
        bp::Index::Input(i) => nova::Index::Input(i),
        bp::Index::Aux(i) => nova::Index::Aux(i),
    })
}

pub(super) fn error_out(e: bp::SynthesisError) -> nova::SynthesisError {
    match e {
        bp::SynthesisError::AssignmentMissing => nova::SynthesisError::AssignmentMissing,
        bp::SynthesisError::DivisionByZero => nova::SynthesisError::DivisionByZero,
        bp::SynthesisError::IncompatibleLengthVector(what) => {
            nova::SynthesisError::IncompatibleLengthVector(what)
        }
        other => nova::SynthesisError::Unsatisfiable(other.to_string()),
    }
}

fn error_in(e: nova::SynthesisError) -> bp::SynthesisError {
    match e {
        nova::SynthesisError::AssignmentMissing => bp::SynthesisError::AssignmentMissing,
        nova::SynthesisError::IncompatibleLengthVector(what) => {
            bp::SynthesisError::IncompatibleLengthVector(what)
        }
        _ => bp::SynthesisError::Unsatisfiable,
    }
}

fn combination<F: PrimeField>(lc: &bp::LinearCombination<F>) -> nova::LinearCombination<F> {
    lc.iter()
        .fold(nova::LinearCombination::zero(), |sum, (v, c)| {
            sum + (*c, variable_out(v))
        })
}

impl<F: PrimeField, CS: nova::ConstraintSystem<F>> bp::ConstraintSystem<F> for Bridge<'_, CS> {
    type Root = Self;

    fn alloc<Fn_, A, AR>(
        &mut self,
        annotation: A,
        f: Fn_,
    ) -> Result<bp::Variable, bp::SynthesisError>
    where
        Fn_: FnOnce() -> Result<F, bp::SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        let value = f();
        self.inner
            .alloc(annotation, || value.map_err(error_out))
            .map(variable_in)
            .map_err(error_in)
    }

    fn alloc_input<Fn_, A, AR>(
        &mut self,
        annotation: A,
        f: Fn_,
    ) -> Result<bp::Variable, bp::SynthesisError>
    where
        Fn_: FnOnce() -> Result<F, bp::SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        let value = f();
        self.inner
            .alloc_input(annotation, || value.map_err(error_out))
            .map(variable_in)
            .map_err(error_in)
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, annotation: A, a: LA, b: LB, c: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(bp::LinearCombination<F>) -> bp::LinearCombination<F>,
        LB: FnOnce(bp::LinearCombination<F>) -> bp::LinearCombination<F>,
        LC: FnOnce(bp::LinearCombination<F>) -> bp::LinearCombination<F>,
    {
        let zero = bp::LinearCombination::zero;
        self.inner.enforce(
            annotation,
            |_| combination(&a(zero())),
            |_| combination(&b(zero())),
            |_| combination(&c(zero())),
        );
    }

    fn push_namespace<NR, N>(&mut self, name_fn: N)
    where
        NR: Into<String>,
        N: FnOnce() -> NR,
    {
        // A nova `Namespace` panics here; its root does not.
        self.inner.get_root().push_namespace(name_fn);
    }

    fn pop_namespace(&mut self) {
        self.inner.get_root().pop_namespace();
    }

    fn get_root(&mut self) -> &mut Self::Root {
        self
    }

    fn is_witness_generator(&self) -> bool {
        self.inner.is_witness_generator()
    }

    fn extend_inputs(&mut self, new_inputs: &[F]) {
        self.inner.extend_inputs(new_inputs);
    }

    fn extend_aux(&mut self, new_aux: &[F]) {
        self.inner.extend_aux(new_aux);
    }

    fn allocate_empty(&mut self, aux_n: usize, inputs_n: usize) -> (&mut [F], &mut [F]) {
        self.inner.allocate_empty(aux_n, inputs_n)
    }

    fn inputs_slice(&self) -> &[F] {
        self.inner.inputs_slice()
    }

    fn aux_slice(&self) -> &[F] {
        self.inner.aux_slice()
    }
}
