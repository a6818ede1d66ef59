//! Operators that work entry by entry.

use ndarray::{Array, ArrayD};

use super::{
    context::{Computed, Importer, Term},
    error::{Failure, Outcome},
    file::Node,
    fold::{CastTo, cast_to, single},
    tensor::{Data, Tensor, broadcast},
    unary::Unary,
};
use crate::network::{Function, Value};

/// Whether the operator is one of those below.
pub(super) fn is_known(operator: &str) -> bool {
    matches!(
        operator,
        "Neg"
            | "Relu"
            | "LeakyRelu"
            | "PRelu"
            | "Clip"
            | "Sigmoid"
            | "HardSigmoid"
            | "HardSwish"
            | "Swish"
            | "Tanh"
            | "Gelu"
            | "Erf"
            | "Elu"
            | "Celu"
            | "Selu"
            | "Softplus"
            | "Softsign"
            | "Mish"
            | "Exp"
            | "Sqrt"
            | "Abs"
            | "Sin"
            | "Cos"
            | "Atan"
            | "Reciprocal"
            | "Pow"
            | "Add"
            | "Sub"
            | "Mul"
            | "Div"
            | "Sum"
            | "Mean"
            | "Max"
            | "Min"
            | "Cast"
            | "CastLike"
    )
}

fn number(x: f64) -> ArrayD<f32> {
    Array::from_elem(Vec::new(), single(x))
}

impl Importer<'_> {
    /// The output of a node, `None` if it does not work entry by entry.
    pub(super) fn elementwise(
        &mut self,
        node: &Node,
        inputs: &[Option<Term>],
    ) -> Outcome<Option<Term>> {
        let term = match node.operator.as_str() {
            "Add" | "Sub" | "Mul" | "Div" => {
                let (a, b) = (self.required(inputs, 0)?, self.required(inputs, 1)?);
                self.two(&node.operator, &a, &b)?
            }
            "Sum" | "Mean" => self.sum(node, inputs)?,
            "Max" | "Min" => self.extreme(&node.operator, inputs)?,
            "PRelu" => {
                let x = self.required(inputs, 0)?;
                let slope = self.required_constant(inputs, 1, "slope")?;
                let x = self.value(&x)?;
                self.builder.prelu(x, slope.array()?.view())?.into()
            }
            "Pow" => self.power(inputs)?,
            "Cast" => {
                let x = self.required(inputs, 0)?;
                self.cast(x, cast_to(node.int("to", 0)?)?)?
            }
            "CastLike" => {
                let x = self.required(inputs, 0)?;
                let to = match self.required(inputs, 1)? {
                    Term::Constant(t) => match t.data() {
                        Data::Floats(_) => CastTo::Floats,
                        Data::Ints(_) => CastTo::Ints,
                        _ => CastTo::Bools,
                    },
                    _ => CastTo::Floats,
                };
                self.cast(x, to)?
            }
            _ => match self.function(node, inputs)? {
                Some(term) => term,
                None => return Ok(None),
            },
        };
        Ok(Some(term))
    }

    /// A term as a function of a value.
    fn computed_of(&mut self, term: &Term) -> Outcome<Computed> {
        match term {
            Term::Computed(c) if !c.function.is_large() => Ok(c.clone()),
            other => Ok(Computed {
                base: self.value(other)?,
                function: Unary::input(),
            }),
        }
    }

    /// `scale·x + shift`.
    pub(super) fn affine(&mut self, x: Value, scale: f64, shift: f64) -> Outcome<Value> {
        Ok(self
            .builder
            .scale_shift(x, number(scale).view(), number(shift).view())?)
    }

    /// Functions of one value.
    fn function(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Option<Term>> {
        let attribute = |name: &str, default: f32| node.float(name, default).map(f64::from);
        let function = match node.operator.as_str() {
            "Relu" => Function::Relu,
            "LeakyRelu" => Function::LeakyRelu(attribute("alpha", 0.01)?),
            "Sigmoid" => Function::Sigmoid,
            "HardSigmoid" => Function::HardSigmoid {
                alpha: attribute("alpha", 0.2)?,
                beta: attribute("beta", 0.5)?,
            },
            "HardSwish" => Function::HardSwish,
            "Tanh" => Function::Tanh,
            "Gelu" => match node.text("approximate")?.map_or("none", String::as_str) {
                "none" => Function::Gelu,
                "tanh" => Function::GeluTanh,
                other => {
                    return Err(Failure::malformed(format!(
                        "its approximation is `{other}`"
                    )));
                }
            },
            "Erf" => Function::Erf,
            "Elu" => Function::Elu(attribute("alpha", 1.0)?),
            "Softplus" => Function::Softplus,
            "Softsign" => Function::Softsign,
            "Mish" => Function::Mish,
            "Exp" => Function::Exp,
            "Sqrt" => Function::Sqrt,
            "Abs" => Function::Abs,
            "Sin" => Function::custom("sin", f64::sin),
            "Cos" => Function::custom("cos", f64::cos),
            "Atan" => Function::custom("atan", f64::atan),
            "Clip" => match self.clip(node, inputs)? {
                Some(clip) => clip,
                None => return self.required(inputs, 0).map(Some),
            },
            "Neg" | "Celu" | "Selu" | "Swish" | "Reciprocal" => {
                let x = self.required(inputs, 0)?;
                let x = self.computed_of(&x)?;
                let f = &x.function;
                let function = match node.operator.as_str() {
                    "Neg" => f.affine(-1.0, 0.0),
                    "Celu" => {
                        let alpha = attribute("alpha", 1.0)?;
                        if alpha <= 0.0 {
                            return Err(Failure::unsupported("its `alpha` is not positive"));
                        }
                        let scaled = f.affine(1.0 / alpha, 0.0);
                        scaled.apply(Function::Elu(1.0)).affine(alpha, 0.0)
                    }
                    "Selu" => match (node.attribute("alpha"), node.attribute("gamma")) {
                        (None, None) => f.apply(Function::Selu),
                        _ => {
                            let alpha = attribute("alpha", 1.673_263_2)?;
                            let gamma = attribute("gamma", 1.050_701)?;
                            f.apply(Function::Elu(alpha)).affine(gamma, 0.0)
                        }
                    },
                    "Swish" => {
                        let scaled = f.affine(attribute("alpha", 1.0)?, 0.0);
                        f.product(&scaled.apply(Function::Sigmoid))
                    }
                    _ => without_pole(f.power(-1))?,
                };
                return Ok(Some(Term::Computed(Computed {
                    base: x.base,
                    function,
                })));
            }
            _ => return Ok(None),
        };
        let x = self.required(inputs, 0)?;
        self.apply(&x, function).map(Some)
    }

    fn apply(&mut self, x: &Term, function: Function) -> Outcome<Term> {
        let x = self.computed_of(x)?;
        Ok(Term::Computed(Computed {
            base: x.base,
            function: x.function.apply(function),
        }))
    }

    /// The function of a `Clip`, `None` if it changes nothing.
    fn clip(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Option<Function>> {
        let end = |index: usize, name: &str, default: f64| -> Outcome<f64> {
            let end = match self.constant(inputs, index, name)? {
                Some(tensor) => f64::from(tensor.float()?),
                None => node
                    .float_attribute(name)?
                    .map_or(default, |f| f64::from(*f)),
            };
            // Exporters write the largest number there is.
            Ok(if end.abs() >= f64::from(f32::MAX) {
                f64::INFINITY.copysign(end)
            } else {
                end
            })
        };
        let least = end(1, "min", f64::NEG_INFINITY)?;
        let most = end(2, "max", f64::INFINITY)?;
        Ok(match (least, most) {
            (f64::NEG_INFINITY, f64::INFINITY) => None,
            (0.0, f64::INFINITY) => Some(Function::Relu),
            _ => Some(Function::Clip { least, most }),
        })
    }

    fn cast(&mut self, x: Term, to: CastTo) -> Outcome<Term> {
        match to {
            CastTo::Floats => Ok(x),
            CastTo::Ints => match &x {
                Term::Computed(c) if self.indices.contains(&c.base) => Ok(x),
                _ => Err(Failure::unsupported(
                    "a cast of computed floats to integers",
                )),
            },
            CastTo::Bools => Err(Failure::unsupported(
                "a cast of computed floats to booleans",
            )),
        }
    }

    /// `a ∘ b` for one of the four operations.
    fn two(&mut self, operator: &str, a: &Term, b: &Term) -> Outcome<Term> {
        match (a, b) {
            (Term::Constant(c), x) if !matches!(x, Term::Constant(_)) => {
                self.with_constant(operator, x, c, true)
            }
            (x, Term::Constant(c)) => self.with_constant(operator, x, c, false),
            _ => self.with_value(operator, a, b),
        }
    }

    /// `x ∘ c`, or `c ∘ x` if the constant is first.
    fn with_constant(
        &mut self,
        operator: &str,
        x: &Term,
        constant: &Tensor,
        first: bool,
    ) -> Outcome<Term> {
        let shape = self.shape(x);
        let fits = broadcast(&shape, constant.shape())? == shape;
        if constant.floats()?.iter().any(|f| !f.is_finite()) {
            return Err(Failure::unsupported("a constant is not finite"));
        }
        if let (Some(c), true) = (constant.uniform().map(f64::from), fits) {
            let x = self.computed_of(x)?;
            let f = &x.function;
            let function = match (operator, first) {
                ("Add", _) => f.affine(1.0, c),
                ("Sub", false) => f.affine(1.0, -c),
                ("Sub", true) => f.affine(-1.0, c),
                ("Mul", _) => f.affine(c, 0.0),
                (_, false) if c == 0.0 => return Err(Failure::malformed("a division by zero")),
                (_, false) => f.affine(1.0 / c, 0.0),
                (_, true) => without_pole(f.power(-1))?.affine(c, 0.0),
            };
            return Ok(Term::Computed(Computed {
                base: x.base,
                function,
            }));
        }
        let mut c = constant.array()?;
        let x = self.value(x)?;
        let (scale, shift) = match (operator, first) {
            ("Add", _) => (number(1.0), c.view()),
            ("Sub", _) => {
                if !first {
                    c.mapv_inplace(|c| -c);
                }
                (number(if first { -1.0 } else { 1.0 }), c.view())
            }
            (_, true) if operator == "Div" => return Err(divisor()),
            _ => {
                if operator == "Div" {
                    if c.iter().any(|c| *c == 0.0) {
                        return Err(Failure::malformed("a division by zero"));
                    }
                    c.mapv_inplace(|c| single(1.0 / f64::from(c)));
                }
                let zero = number(0.0);
                let value = self.builder.scale_shift(x, c.view(), zero.view())?;
                return Ok(value.into());
            }
        };
        Ok(self.builder.scale_shift(x, scale.view(), shift)?.into())
    }

    fn with_value(&mut self, operator: &str, a: &Term, b: &Term) -> Outcome<Term> {
        broadcast(&self.shape(a), &self.shape(b))?;
        let (x, y) = (self.computed_of(a)?, self.computed_of(b)?);
        if x.base == y.base {
            let (f, g) = (&x.function, &y.function);
            let function = match operator {
                "Add" => f.sum(1.0, g),
                "Sub" => f.sum(-1.0, g),
                "Mul" => f.product(g),
                _ => without_pole(f.quotient(g))?,
            };
            return Ok(Term::Computed(Computed {
                base: x.base,
                function,
            }));
        }
        if operator == "Div" {
            return Err(divisor());
        }
        let (a, b) = (self.value(a)?, self.value(b)?);
        let value = match operator {
            "Add" => self.builder.add(a, b)?,
            "Sub" => self.builder.sub(a, b)?,
            _ => self.builder.mul(a, b)?,
        };
        Ok(value.into())
    }

    fn sum(&mut self, node: &Node, inputs: &[Option<Term>]) -> Outcome<Term> {
        let mut sum = self.required(inputs, 0)?;
        for k in 1..inputs.len() {
            let term = self.required(inputs, k)?;
            sum = self.two("Add", &sum, &term)?;
        }
        if node.operator == "Mean" {
            #[expect(clippy::cast_precision_loss, reason = "few inputs")]
            let share = 1.0 / inputs.len() as f64;
            let x = self.computed_of(&sum)?;
            sum = Term::Computed(Computed {
                base: x.base,
                function: x.function.affine(share, 0.0),
            });
        }
        Ok(sum)
    }

    fn extreme(&mut self, operator: &str, inputs: &[Option<Term>]) -> Outcome<Term> {
        let is_max = operator == "Max";
        let mut found = self.required(inputs, 0)?;
        for k in 1..inputs.len() {
            let next = self.required(inputs, k)?;
            let shape = broadcast(&self.shape(&found), &self.shape(&next))?;
            let clip = |term: &Term| match term {
                Term::Constant(c) => c.uniform().map(f64::from),
                _ => None,
            };
            let (x, end) = match (clip(&found), clip(&next)) {
                (Some(end), None) => (next.clone(), Some(end)),
                (None, end) => (found.clone(), end),
                (Some(_), Some(_)) => (found.clone(), None),
            };
            found = match end {
                Some(end) if end.is_finite() && self.shape(&x) == shape => {
                    let function = match (is_max, end) {
                        (true, 0.0) => Function::Relu,
                        (true, end) => Function::Clip {
                            least: end,
                            most: f64::INFINITY,
                        },
                        (false, end) => Function::Clip {
                            least: f64::NEG_INFINITY,
                            most: end,
                        },
                    };
                    self.apply(&x, function)?
                }
                _ => {
                    let (a, b) = (self.value(&found)?, self.value(&next)?);
                    if is_max {
                        self.builder.maximum(a, b)?.into()
                    } else {
                        self.builder.minimum(a, b)?.into()
                    }
                }
            };
        }
        Ok(found)
    }

    fn power(&mut self, inputs: &[Option<Term>]) -> Outcome<Term> {
        let x = self.required(inputs, 0)?;
        let exponent = self.required_constant(inputs, 1, "exponent")?;
        let uniform = match exponent.data() {
            Data::Ints(ints) => match ints.split_first() {
                Some((first, rest)) if rest.iter().all(|i| i == first) => {
                    i16::try_from(*first).ok().map(f64::from)
                }
                _ => None,
            },
            _ => exponent.uniform().map(f64::from),
        };
        let shape = self.shape(&x);
        if broadcast(&shape, exponent.shape())? != shape {
            return Err(Failure::unsupported(
                "its exponent has more entries than the base",
            ));
        }
        let Some(exponent) = uniform else {
            return Err(Failure::unsupported("its exponents differ"));
        };
        if exponent == 0.5 {
            return self.apply(&x, Function::Sqrt);
        }
        if exponent.fract() != 0.0 || exponent.abs() > 16.0 {
            return Err(Failure::instead(
                format!("its exponent is {exponent}"),
                "whole numbers of up to 16 and 0.5 are possible",
            ));
        }
        let x = self.computed_of(&x)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a whole number, at most 16"
        )]
        let function = without_pole(x.function.power(exponent as i32))?;
        Ok(Term::Computed(Computed {
            base: x.base,
            function,
        }))
    }
}

fn divisor() -> Failure {
    Failure::instead(
        "it divides by a value that depends on the input of the network",
        "divide by a constant",
    )
}

/// The function, unless it is infinite somewhere.
fn without_pole(function: Unary) -> Outcome<Unary> {
    match function.pole() {
        None => Ok(function),
        Some(x) => Err(Failure::instead(
            format!("it divides by a value that depends on the input: {function} has none at {x}"),
            "divide by a constant, or by a function that is nowhere zero",
        )),
    }
}
