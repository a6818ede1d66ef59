//! Functions applied to the sums of a dense layer.

use std::{fmt, ops::RangeInclusive, sync::Arc};

/// What a dense layer applies to each of its sums.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum ActivationFunction {
    /// The sum itself.
    #[default]
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `1 / (1 + e^(-x))`.
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// Any other function, given by its values.
    Table(TableFunction),
}

impl ActivationFunction {
    /// The value at `x`.
    #[must_use]
    pub fn apply(&self, x: f64) -> f64 {
        match self {
            Self::Identity => x,
            Self::Relu => x.max(0.0),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Tanh => x.tanh(),
            Self::Table(table) => table.apply(x),
        }
    }

    /// The name of the function.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Identity => "identity",
            Self::Relu => "relu",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::Table(table) => table.name(),
        }
    }

    /// What keeps the function from being used, if anything.
    pub(super) fn problem(&self) -> Option<&'static str> {
        match self {
            Self::Table(table) => table.problem(),
            _ => None,
        }
    }
}

impl fmt::Debug for ActivationFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A function of one real number that is only ever used through a table of 256 values.
///
/// The ranges fix the scales of the table, and with them the program: two models that use the same
/// function with the same ranges share their keys. The table is public.
#[derive(Clone)]
pub struct TableFunction {
    name: Arc<str>,
    function: Arc<dyn Fn(f64) -> f64 + Send + Sync>,
    input: (f64, f64),
    output: (f64, f64),
}

impl TableFunction {
    /// `function`, to be tabulated for inputs in `input_range`, with values in `output_range`.
    ///
    /// Both ranges are covered by a symmetric grid of step `max(|start|, |end|) / 127`. An input
    /// beyond its range has the value at the nearest end; a value beyond its range is moved to the
    /// nearest value of the grid.
    pub fn new(
        name: impl Into<String>,
        function: impl Fn(f64) -> f64 + Send + Sync + 'static,
        input_range: RangeInclusive<f64>,
        output_range: RangeInclusive<f64>,
    ) -> Self {
        Self {
            name: Arc::from(name.into()),
            function: Arc::new(function),
            input: input_range.into_inner(),
            output: output_range.into_inner(),
        }
    }

    /// The name given to the function.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The inputs that the table covers.
    #[must_use]
    pub fn input_range(&self) -> RangeInclusive<f64> {
        self.input.0..=self.input.1
    }

    /// The values that the table can express.
    #[must_use]
    pub fn output_range(&self) -> RangeInclusive<f64> {
        self.output.0..=self.output.1
    }

    /// The value at `x`.
    #[must_use]
    pub fn apply(&self, x: f64) -> f64 {
        (self.function)(x)
    }

    fn problem(&self) -> Option<&'static str> {
        let usable = |(start, end): (f64, f64)| {
            let reach = start.abs().max(end.abs());
            start.is_finite() && end.is_finite() && start <= end && (1e-30..=1e30).contains(&reach)
        };
        if !usable(self.input) {
            return Some("the input range of its activation is empty, zero or out of proportion");
        }
        if !usable(self.output) {
            return Some("the output range of its activation is empty, zero or out of proportion");
        }
        // The points of the table, up to rounding.
        let (start, end) = self.input;
        let step = start.abs().max(end.abs()) / 127.0;
        (-128..=127)
            .any(|i| self.apply((f64::from(i) * step).clamp(start, end)).is_nan())
            .then_some("its activation is not a number somewhere in the input range")
    }
}

impl fmt::Debug for TableFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableFunction")
            .field("name", &self.name)
            .field("input_range", &self.input_range())
            .field("output_range", &self.output_range())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        assert_eq!(ActivationFunction::Identity.apply(-1.5), -1.5);
        assert_eq!(ActivationFunction::Relu.apply(-1.5), 0.0);
        assert_eq!(ActivationFunction::Relu.apply(1.5), 1.5);
        assert_eq!(ActivationFunction::Sigmoid.apply(0.0), 0.5);
        assert_eq!(ActivationFunction::Sigmoid.apply(-1e4), 0.0);
        assert_eq!(ActivationFunction::Sigmoid.apply(1e4), 1.0);
        assert_eq!(ActivationFunction::Tanh.apply(0.0), 0.0);
        let square = TableFunction::new("square", |x| x * x, -2.0..=2.0, 0.0..=4.0);
        assert_eq!(ActivationFunction::Table(square).apply(3.0), 9.0);
    }

    #[test]
    fn debug_names_the_function() {
        let square = TableFunction::new("square", |x| x * x, -2.0..=2.0, 0.0..=4.0);
        assert_eq!(
            format!("{square:?}"),
            r#"TableFunction { name: "square", input_range: -2.0..=2.0, output_range: 0.0..=4.0, .. }"#
        );
        assert_eq!(format!("{:?}", ActivationFunction::Table(square)), "square");
    }

    #[test]
    fn ranges_are_checked() {
        let with = |input, output| TableFunction::new("f", |x| x, input, output).problem();
        assert_eq!(with(-1.0..=1.0, -1.0..=1.0), None);
        assert_eq!(with(0.0..=6.0, 0.0..=6.0), None);
        let reversed = 1.0..=-1.0;
        for bad in [
            0.0..=0.0,
            reversed,
            f64::NAN..=1.0,
            -1.0..=f64::INFINITY,
            0.0..=1e300,
            0.0..=1e-300,
        ] {
            assert!(with(bad.clone(), 0.0..=1.0).is_some_and(|p| p.contains("input")));
            assert!(with(0.0..=1.0, bad).is_some_and(|p| p.contains("output")));
        }
    }

    #[test]
    fn a_function_must_have_a_value_in_its_range() {
        let root = |range| TableFunction::new("sqrt", f64::sqrt, range, 0.0..=2.0).problem();
        assert_eq!(root(0.0..=4.0), None);
        assert!(root(-4.0..=4.0).is_some_and(|p| p.contains("not a number")));
    }
}
