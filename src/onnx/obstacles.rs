//! What is not supported, and how the walk goes on behind it, so that all of it is found.

use super::{
    context::{Importer, Stamped, Term},
    elementwise,
    error::{Failure, Outcome},
    file::Node,
    layers,
    matmul::two_values,
    movement::moves,
    tensor::broadcast,
};

impl Importer<'_> {
    /// Defines the outputs of a node that is not supported, so that what is behind it can be looked
    /// at: the first as a value of its shape, if that is known.
    pub(super) fn go_on(&mut self, node: &Node, inputs: &[Option<Stamped>]) {
        let lost = lost(inputs);
        let mut stand_in = match lost {
            Term::Unknown => self.stand_in(node, inputs),
            _ => None,
        };
        for name in &node.outputs {
            let value = stand_in.take().unwrap_or_else(|| lost.clone().into());
            self.define(name, value);
        }
    }

    fn stand_in(&mut self, node: &Node, inputs: &[Option<Stamped>]) -> Option<Stamped> {
        let shapes = inputs.iter().flatten().map(|i| match i.term {
            Term::Constant(_) | Term::Computed(_) => Some(self.shape(&i.term)),
            _ => None,
        });
        let shapes: Vec<Vec<usize>> = shapes.collect::<Option<_>>()?;
        let (shape, time) = match node.operator.as_str() {
            "Softmax"
            | "LogSoftmax"
            | "Hardmax"
            | "LayerNormalization"
            | "RMSNormalization"
            | "InstanceNormalization"
            | "GroupNormalization"
            | "LpNormalization"
            | "MeanVarianceNormalization"
            | "SimplifiedLayerNormalization"
            | "QuantizeLinear"
            | "DequantizeLinear"
            | "Floor"
            | "Ceil"
            | "Round"
            | "Sign"
            | "Log"
            | "Tan"
            | "Not"
            | "CumSum"
            | "Trilu"
            | "ThresholdedRelu"
            | "Shrink" => (shapes.first()?.clone(), self.aligned(inputs, 1).ok()?),
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "Max" | "Min" | "Sum" | "Mean"
            | "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "And" | "Or"
            | "Xor" | "Where" | "Reciprocal" => {
                let mut shapes = shapes.iter();
                let first = shapes.next()?.clone();
                let shape = shapes.try_fold(first, |a, b| broadcast(&a, b)).ok()?;
                (shape, self.aligned(inputs, inputs.len()).ok()?)
            }
            "MatMul" => {
                let [a, b] = shapes.as_slice() else {
                    return None;
                };
                let ([more @ .., rows, _], [others @ .., _, columns]) =
                    (a.as_slice(), b.as_slice())
                else {
                    return None;
                };
                let mut shape = broadcast(more, others).ok()?;
                shape.extend([rows, columns]);
                (shape, self.carried(node, inputs).ok()?)
            }
            _ => return None,
        };
        let value = self.builder.state(&shape).ok()?;
        Some(Stamped {
            term: value.into(),
            time,
        })
    }

    /// The outputs of a node behind one that is not supported, or whose constants are not read: an
    /// error if it is not supported either, whatever it reads.
    pub(super) fn behind(
        &mut self,
        node: &Node,
        inputs: &[Option<Stamped>],
    ) -> Outcome<Vec<Stamped>> {
        let is_computed = |k: usize| {
            let input = inputs.get(k).and_then(Option::as_ref);
            input.is_some_and(|i| matches!(i.term, Term::Computed(_) | Term::Unknown))
        };
        match node.operator.as_str() {
            "MatMul" | "Gemm" if is_computed(0) && is_computed(1) => {
                return Err(two_values());
            }
            "Softmax" | "LogSoftmax" => {
                self.softmax_end(node)?;
            }
            operator if !is_known(operator) => return Err(unknown_operator(operator)),
            _ => {}
        }
        let lost = lost(inputs);
        Ok(node.outputs.iter().map(|_| lost.clone().into()).collect())
    }
}

/// What the outputs are of a node that cannot be computed: constants, if it reads nothing else.
pub(super) fn lost(inputs: &[Option<Stamped>]) -> Term {
    let is_constant = |i: &Stamped| matches!(i.term, Term::Constant(_) | Term::Missing);
    if inputs.iter().flatten().all(is_constant) {
        Term::Missing
    } else {
        Term::Unknown
    }
}

pub(super) fn unknown_operator(operator: &str) -> Failure {
    match operator {
        "Softmax" | "LogSoftmax" => Failure::unsupported("it is not at the end of the network"),
        "QuantizeLinear"
        | "DequantizeLinear"
        | "DynamicQuantizeLinear"
        | "QLinearConv"
        | "QLinearMatMul"
        | "ConvInteger"
        | "MatMulInteger" => Failure::instead(
            "the model is quantised",
            "export it in floats: the integers are chosen here",
        ),
        "InstanceNormalization"
        | "LayerNormalization"
        | "GroupNormalization"
        | "LpNormalization"
        | "RMSNormalization"
        | "MeanVarianceNormalization" => Failure::instead(
            "it divides by a number that depends on the input",
            "use batch normalisation",
        ),
        "Loop" => Failure::instead(
            "loops are not unrolled",
            "export it as a `Scan`, or unrolled",
        ),
        "Attention" | "Einsum" => Failure::instead(
            "products of two computed matrices are not supported",
            "use `MatMul` with a constant",
        ),
        _ => Failure::unsupported("the operator is not supported"),
    }
}

/// Whether there is something to say about an operator only once its inputs are known.
fn is_known(operator: &str) -> bool {
    moves(operator)
        || elementwise::is_known(operator)
        || layers::is_known(operator)
        || matches!(
            operator,
            "Shape" | "Size" | "Range" | "ConstantOfShape" | "Where" | "Equal"
        )
}

/// Whether the operator has outputs after the first one that are not imported.
pub(super) fn has_more_outputs(operator: &str) -> bool {
    matches!(operator, "Dropout" | "MaxPool" | "BatchNormalization")
}
