//! Functions of one real number.

use std::{fmt, sync::Arc};

/// A function that a network applies to every entry of a value.
///
/// [`Relu`](Self::Relu) is exact on integers, and so are functions made of it and of sums. Others
/// are tables of 256 values; see [`Precision`](super::Precision) for more bits.
#[derive(Clone)]
#[non_exhaustive]
pub enum Function {
    /// `max(x, 0)`.
    Relu,
    /// `x` where it is positive, `alpha·x` elsewhere.
    LeakyRelu(f64),
    /// `min(max(x, least), most)`; an end may be infinite.
    Clip {
        /// The least value.
        least: f64,
        /// The largest value.
        most: f64,
    },
    /// `|x|`.
    Abs,
    /// `1 / (1 + e^(-x))`.
    Sigmoid,
    /// `min(max(alpha·x + beta, 0), 1)`.
    HardSigmoid {
        /// The slope.
        alpha: f64,
        /// The value at 0.
        beta: f64,
    },
    /// `x·min(max(x/6 + 1/2, 0), 1)`.
    HardSwish,
    /// The hyperbolic tangent.
    Tanh,
    /// `x·Φ(x)`, `Φ` the normal distribution function.
    Gelu,
    /// The approximation `x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))` of [`Gelu`](Self::Gelu).
    GeluTanh,
    /// `x·sigmoid(x)`.
    Silu,
    /// `x` where it is positive, `alpha·(e^x − 1)` elsewhere.
    Elu(f64),
    /// The scaled ELU of Klambauer et al., 2017.
    Selu,
    /// `ln(1 + e^x)`.
    Softplus,
    /// `x / (1 + |x|)`.
    Softsign,
    /// `x·tanh(ln(1 + e^x))`.
    Mish,
    /// `e^x`.
    Exp,
    /// The error function.
    Erf,
    /// `√x`; 0 for negative numbers.
    Sqrt,
    /// `1/x`; 0 at 0.
    Reciprocal,
    /// Any other function.
    Custom {
        /// Its name, in reports.
        name: Arc<str>,
        /// Its values; they must be finite wherever the network evaluates it.
        function: Arc<dyn Fn(f64) -> f64 + Send + Sync>,
    },
}

/// Of Klambauer et al., 2017.
const SELU: (f64, f64) = (1.050_700_987_355_480_5, 1.673_263_242_354_377_2);

impl Function {
    /// A function given by its values.
    pub fn custom(
        name: impl Into<String>,
        function: impl Fn(f64) -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self::Custom {
            name: Arc::from(name.into()),
            function: Arc::new(function),
        }
    }

    /// The value at `x`.
    #[must_use]
    pub fn apply(&self, x: f64) -> f64 {
        match self {
            Self::Relu => x.max(0.0),
            Self::LeakyRelu(alpha) => {
                if x > 0.0 {
                    x
                } else {
                    alpha * x
                }
            }
            Self::Clip { least, most } => x.max(*least).min(*most),
            Self::Abs => x.abs(),
            Self::Sigmoid => sigmoid(x),
            Self::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
            Self::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Self::Tanh => x.tanh(),
            Self::Gelu => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            Self::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
                0.5 * x * (1.0 + inner.tanh())
            }
            Self::Silu => x * sigmoid(x),
            Self::Elu(alpha) => {
                if x > 0.0 {
                    x
                } else {
                    alpha * x.exp_m1()
                }
            }
            Self::Selu => {
                let (scale, alpha) = SELU;
                scale * if x > 0.0 { x } else { alpha * x.exp_m1() }
            }
            Self::Softplus => softplus(x),
            Self::Softsign => x / (1.0 + x.abs()),
            Self::Mish => x * softplus(x).tanh(),
            Self::Exp => x.exp(),
            Self::Erf => erf(x),
            Self::Sqrt => x.max(0.0).sqrt(),
            Self::Reciprocal => {
                if x == 0.0 {
                    0.0
                } else {
                    x.recip()
                }
            }
            Self::Custom { function, .. } => function(x),
        }
    }

    /// The name of the function.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Relu => "relu",
            Self::LeakyRelu(_) => "leaky relu",
            Self::Clip { .. } => "clip",
            Self::Abs => "abs",
            Self::Sigmoid => "sigmoid",
            Self::HardSigmoid { .. } => "hard sigmoid",
            Self::HardSwish => "hard swish",
            Self::Tanh => "tanh",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu tanh",
            Self::Silu => "silu",
            Self::Elu(_) => "elu",
            Self::Selu => "selu",
            Self::Softplus => "softplus",
            Self::Softsign => "softsign",
            Self::Mish => "mish",
            Self::Exp => "exp",
            Self::Erf => "erf",
            Self::Sqrt => "sqrt",
            Self::Reciprocal => "reciprocal",
            Self::Custom { name, .. } => name,
        }
    }

    /// Beyond ±this the function is constant but for less than 2^-9 of its range.
    pub(super) fn settles_at(&self) -> Option<f64> {
        match self {
            Self::Sigmoid => Some(8.0),
            Self::Tanh => Some(4.0),
            Self::Erf => Some(2.5),
            _ => None,
        }
    }

    /// Whether all values lie between 0 and 1.
    pub(super) fn is_gate(&self) -> bool {
        matches!(self, Self::Sigmoid | Self::HardSigmoid { .. })
    }

    /// What keeps the function from being used, if anything.
    pub(super) fn problem(&self) -> Option<&'static str> {
        let finite = match self {
            Self::LeakyRelu(alpha) | Self::Elu(alpha) => alpha.is_finite(),
            Self::HardSigmoid { alpha, beta } => alpha.is_finite() && beta.is_finite(),
            Self::Clip { least, most } => {
                if least.is_nan() || most.is_nan() || least > most {
                    return Some("the ends of a clip are not in order");
                }
                *least < f64::INFINITY && *most > f64::NEG_INFINITY
            }
            _ => true,
        };
        (!finite).then_some("a parameter is not finite")
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The error function: its Maclaurin series up to 3, the continued fraction of its complement
/// (Abramowitz and Stegun, 7.1.5 and 7.1.14) beyond. Errors are below 1e-13.
fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a.is_nan() {
        return x;
    }
    if a < 3.0 {
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term.abs() > 1e-17 * sum.abs() {
            n += 1.0;
            term *= -a * a / n;
            sum += term / (2.0 * n + 1.0);
        }
        return (std::f64::consts::FRAC_2_SQRT_PI * sum).copysign(x);
    }
    if a > 6.5 {
        return 1f64.copysign(x);
    }
    let mut fraction = a;
    for k in (1..=60).rev() {
        fraction = a + f64::from(k) / 2.0 / fraction;
    }
    let complement = (-a * a).exp() / (fraction * std::f64::consts::PI.sqrt());
    (1.0 - complement).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_function() {
        for (x, y) in [
            (0.0, 0.0),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (2.0, 0.995_322_265_018_952_7),
            (3.5, 0.999_999_256_901_627_7),
            (5.0, 0.999_999_999_998_462_5),
            (100.0, 1.0),
        ] {
            assert!((erf(x) - y).abs() < 1e-12, "{x}");
            assert!((erf(-x) + y).abs() < 1e-12, "{x}");
        }
        // Both ways of computing it meet.
        assert!((erf(3.0 - 1e-9) - erf(3.0)).abs() < 1e-11);
    }

    #[test]
    fn values() {
        let at = |f: Function, x: f64, y: f64| {
            assert!(
                (f.apply(x) - y).abs() < 1e-6,
                "{f:?} at {x}: {}",
                f.apply(x)
            );
        };
        at(Function::LeakyRelu(0.1), -2.0, -0.2);
        at(
            Function::Clip {
                least: 0.0,
                most: 6.0,
            },
            9.0,
            6.0,
        );
        at(Function::Abs, -2.0, 2.0);
        at(
            Function::HardSigmoid {
                alpha: 0.2,
                beta: 0.5,
            },
            1.0,
            0.7,
        );
        at(Function::HardSwish, 1.0, 2.0 / 3.0);
        at(Function::Gelu, 1.0, 0.841_344_7);
        at(Function::GeluTanh, 1.0, 0.841_192);
        at(Function::Silu, 1.0, 0.731_058_6);
        at(Function::Elu(1.0), -1.0, -0.632_120_6);
        at(Function::Selu, -1.0, -1.111_330_7);
        at(Function::Softplus, 0.0, std::f64::consts::LN_2);
        at(Function::Softsign, 1.0, 0.5);
        at(Function::Mish, 1.0, 0.865_098_4);
        at(Function::Sqrt, -1.0, 0.0);
        at(Function::Reciprocal, 0.0, 0.0);
        at(Function::custom("square", |x| x * x), 3.0, 9.0);
    }
}
