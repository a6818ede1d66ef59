//! Functions of one number that are spread over several nodes.
//!
//! Exporters write GELU as `x/2·(1 + erf(x/√2))`, SiLU as `x·σ(x)`, and so on. Taken node by node
//! that is a table and a product of two values. While importing, a value is therefore kept as a
//! function of another value, entry by entry, until something other than such a function reads it:
//! however many nodes it took, it is then one function.

use std::{fmt, sync::Arc};

use crate::network::Function;

/// Nodes of a function, counted with repetition; more become values in between.
const MAX_SIZE: u32 = 64;

/// A function of one number.
#[derive(Clone)]
pub(super) struct Unary(Arc<Inner>);

struct Inner {
    kind: Kind,
    size: u32,
}

pub(super) enum Kind {
    /// The number itself.
    Input,
    /// `scale·f + shift`.
    Affine(f64, f64, Unary),
    Apply(Function, Unary),
    /// `f + sign·g`.
    Sum(Unary, f64, Unary),
    Product(Unary, Unary),
    Quotient(Unary, Unary),
    /// `f` to a power that is a whole number.
    Power(Unary, i32),
}

impl Unary {
    pub(super) fn input() -> Self {
        Self::new(Kind::Input)
    }

    fn new(kind: Kind) -> Self {
        let parts = match &kind {
            Kind::Input => 0,
            Kind::Affine(_, _, f) | Kind::Apply(_, f) | Kind::Power(f, _) => f.0.size,
            Kind::Sum(f, _, g) | Kind::Product(f, g) | Kind::Quotient(f, g) => {
                f.0.size.saturating_add(g.0.size)
            }
        };
        Self(Arc::new(Inner {
            kind,
            size: parts.saturating_add(1),
        }))
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// What tells functions apart that are not the same object.
    pub(super) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Whether it is so large that it should become a value of its own.
    pub(super) fn is_large(&self) -> bool {
        self.0.size > MAX_SIZE
    }

    /// `scale·f + shift`.
    pub(super) fn affine(&self, scale: f64, shift: f64) -> Self {
        match self.kind() {
            Kind::Affine(a, b, f) => {
                Self::new(Kind::Affine(scale * a, scale * b + shift, f.clone()))
            }
            _ => Self::new(Kind::Affine(scale, shift, self.clone())),
        }
    }

    pub(super) fn apply(&self, function: Function) -> Self {
        Self::new(Kind::Apply(function, self.clone()))
    }

    pub(super) fn sum(&self, sign: f64, other: &Self) -> Self {
        Self::new(Kind::Sum(self.clone(), sign, other.clone()))
    }

    pub(super) fn product(&self, other: &Self) -> Self {
        Self::new(Kind::Product(self.clone(), other.clone()))
    }

    pub(super) fn quotient(&self, other: &Self) -> Self {
        Self::new(Kind::Quotient(self.clone(), other.clone()))
    }

    pub(super) fn power(&self, exponent: i32) -> Self {
        Self::new(Kind::Power(self.clone(), exponent))
    }

    /// The value at `x`.
    pub(super) fn at(&self, x: f64) -> f64 {
        match self.kind() {
            Kind::Input => x,
            Kind::Affine(scale, shift, f) => scale * f.at(x) + shift,
            Kind::Apply(function, f) => function.apply(f.at(x)),
            Kind::Sum(f, sign, g) => f.at(x) + sign * g.at(x),
            Kind::Product(f, g) => f.at(x) * g.at(x),
            Kind::Quotient(f, g) => f.at(x) / g.at(x),
            Kind::Power(f, n) => f.at(x).powi(*n),
        }
    }

    /// `(scale, shift)` if it is `scale·x + shift`.
    pub(super) fn as_affine(&self) -> Option<(f64, f64)> {
        match self.kind() {
            Kind::Input => Some((1.0, 0.0)),
            Kind::Affine(scale, shift, f) => {
                let (a, b) = f.as_affine()?;
                Some((scale * a, scale * b + shift))
            }
            Kind::Sum(f, sign, g) => {
                let ((a, b), (c, d)) = (f.as_affine()?, g.as_affine()?);
                Some((a + sign * c, b + sign * d))
            }
            _ => None,
        }
    }

    /// A number at which it has no value, or an infinite one: some hundreds between -16 and 16 are
    /// tried.
    pub(super) fn pole(&self) -> Option<f64> {
        (-256..=256)
            .map(|i| f64::from(i) / 16.0)
            .find(|x| !self.at(*x).is_finite())
    }

    /// The function of this name, or the whole as one.
    pub(super) fn function(&self) -> Function {
        if let Some(known) = self.recognise() {
            return known;
        }
        let name = self.to_string();
        let name = if name.chars().count() <= 48 {
            name
        } else {
            "function".to_owned()
        };
        let function = self.clone();
        Function::custom(name, move |x| function.at(x))
    }

    /// The function with a name of its own that has the same values.
    ///
    /// Both are analytic, but for at most one clip, which is part of a polynomial then: values that
    /// agree at all the points below, to what is left of constants in single precision, are no
    /// coincidence.
    pub(super) fn recognise(&self) -> Option<Function> {
        let candidates: &[Function] = match self.parts() {
            Parts {
                smooth: 1..,
                clips: 0,
                combined: true,
            } => &[
                Function::Gelu,
                Function::GeluTanh,
                Function::Silu,
                Function::Mish,
            ],
            Parts {
                smooth: 0,
                clips: 1,
                combined: true,
            } => &[Function::HardSwish, Function::Softsign],
            _ => return None,
        };
        let points = (-160..=160).map(|i| f64::from(i) / 16.0);
        let points: Vec<f64> = points
            .chain(
                [2.99, 3.01, 20.0, 100.0, 1e4]
                    .into_iter()
                    .flat_map(|x| [x, -x]),
            )
            .collect();
        candidates
            .iter()
            .find(|f| {
                points
                    .iter()
                    .all(|x| (f.apply(*x) - self.at(*x)).abs() <= 3e-7 * x.abs().max(1.0))
            })
            .cloned()
    }

    fn parts(&self) -> Parts {
        let mut parts = Parts::default();
        self.count(&mut parts);
        parts
    }

    fn count(&self, parts: &mut Parts) {
        match self.kind() {
            Kind::Input => {}
            Kind::Affine(_, _, f) | Kind::Power(f, _) => f.count(parts),
            Kind::Apply(function, f) => {
                match function {
                    Function::Sigmoid
                    | Function::Tanh
                    | Function::Erf
                    | Function::Exp
                    | Function::Softplus => parts.smooth += 1,
                    Function::Clip { .. } | Function::HardSigmoid { .. } | Function::Abs => {
                        parts.clips += 1;
                    }
                    // More than any of the patterns has.
                    _ => parts.clips += 2,
                }
                f.count(parts);
            }
            Kind::Sum(f, _, g) | Kind::Product(f, g) | Kind::Quotient(f, g) => {
                parts.combined = true;
                f.count(parts);
                g.count(parts);
            }
        }
    }
}

#[derive(Default)]
struct Parts {
    smooth: u32,
    clips: u32,
    /// Whether two functions are combined.
    combined: bool,
}

impl fmt::Display for Unary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            Kind::Input => f.write_str("x"),
            Kind::Affine(scale, 0.0, g) => write!(f, "{scale}·{g}"),
            Kind::Affine(1.0, shift, g) => write!(f, "({g} + {shift})"),
            Kind::Affine(scale, shift, g) => write!(f, "({scale}·{g} + {shift})"),
            Kind::Apply(function, g) => write!(f, "{}({g})", function.name()),
            Kind::Sum(g, sign, h) => {
                let sign = if *sign < 0.0 { '−' } else { '+' };
                write!(f, "({g} {sign} {h})")
            }
            Kind::Product(g, h) => write!(f, "{g}·{h}"),
            Kind::Quotient(g, h) => write!(f, "{g}/({h})"),
            Kind::Power(g, n) => write!(f, "{g}^{n}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(f: &Unary) -> String {
        f.function().name().to_owned()
    }

    #[test]
    fn patterns() {
        let x = Unary::input();
        let erf = x
            .affine(f64::from(0.707_106_77_f32), 0.0)
            .apply(Function::Erf);
        assert_eq!(
            name(&x.product(&erf.affine(1.0, 1.0)).affine(0.5, 0.0)),
            "gelu"
        );
        assert_eq!(
            name(&x.affine(0.5, 0.0).product(&erf.affine(1.0, 1.0))),
            "gelu"
        );
        let half = x.affine(0.5, 0.0);
        assert_eq!(name(&half.sum(1.0, &half.product(&erf))), "gelu");
        assert_eq!(name(&x.product(&x.apply(Function::Sigmoid))), "silu");
        let exp = x.affine(-1.0, 0.0).apply(Function::Exp).affine(1.0, 1.0);
        assert_eq!(name(&x.quotient(&exp)), "silu");
        let clip = Function::Clip {
            least: 0.0,
            most: 6.0,
        };
        let hard = x
            .product(&x.affine(1.0, 3.0).apply(clip))
            .affine(1.0 / 6.0, 0.0);
        assert_eq!(name(&hard), "hard swish");
        let sign = x.quotient(&x.apply(Function::Abs).affine(1.0, 1.0));
        assert_eq!(name(&sign), "softsign");
        let mish = x.product(&x.apply(Function::Softplus).apply(Function::Tanh));
        assert_eq!(name(&mish), "mish");
        let inner = x.sum(1.0, &x.power(3).affine(0.044_715, 0.0));
        let inner = inner.affine(0.797_884_560_802_865_4, 0.0);
        let tanh = inner.apply(Function::Tanh).affine(1.0, 1.0);
        assert_eq!(name(&x.product(&tanh).affine(0.5, 0.0)), "gelu tanh");
    }

    #[test]
    fn others_keep_their_values() {
        let x = Unary::input();
        let quick = x.product(&x.affine(1.702, 0.0).apply(Function::Sigmoid));
        let function = quick.function();
        assert_eq!(function.name(), "x·sigmoid(1.702·x)");
        assert!((function.apply(1.0) - 1.0 / (1.0 + (-1.702f64).exp())).abs() < 1e-12);
        assert_eq!(quick.pole(), None);
        assert_eq!(x.power(-1).pole(), Some(0.0));
    }

    #[test]
    fn affine_functions() {
        let x = Unary::input().affine(2.0, 1.0);
        assert_eq!(x.sum(-1.0, &Unary::input()).as_affine(), Some((1.0, 1.0)));
        assert_eq!(x.apply(Function::Relu).as_affine(), None);
    }
}
