//! Activations as tables with standard scales.

use layerfold_gadgets::table;

use crate::{model::ActivationFunction, program::Table};

/// Bits of the inputs and outputs of a table.
pub(super) const TABLE_BITS: u8 = 8;
/// The largest of them.
const LARGEST: f64 = 127.0;

/// A table with the real values of one unit of its inputs and outputs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ScaledTable {
    pub(super) table: Table,
    pub(super) input_scale: f64,
    pub(super) output_scale: f64,
}

/// The table of an activation, `None` if it needs none.
pub(super) fn tabulate(activation: &ActivationFunction) -> Option<ScaledTable> {
    let (input_scale, output_scale, domain) = match activation {
        ActivationFunction::Identity | ActivationFunction::Relu => return None,
        ActivationFunction::Sigmoid => (1.0 / 16.0, 1.0 / 128.0, f64::MIN..=f64::MAX),
        ActivationFunction::Tanh => (1.0 / 32.0, 1.0 / 128.0, f64::MIN..=f64::MAX),
        ActivationFunction::Table(function) => {
            let scale = |(start, end): (f64, f64)| start.abs().max(end.abs()) / LARGEST;
            (
                scale(function.input_range().into_inner()),
                scale(function.output_range().into_inner()),
                function.input_range(),
            )
        }
    };
    let (start, end) = domain.into_inner();
    let function = |x: f64| activation.apply(x.clamp(start, end));
    let width = TABLE_BITS.into();
    let table = table::Table::from_fn(function, input_scale, output_scale, width);
    Some(ScaledTable {
        table: Table {
            values: table.values().to_vec(),
            least: -128,
        },
        input_scale,
        output_scale,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::model::TableFunction;

    fn at(t: &ScaledTable, x: i32) -> i32 {
        t.table.values[(x + 128) as usize]
    }

    #[test]
    fn no_table() {
        assert_eq!(tabulate(&ActivationFunction::Identity), None);
        assert_eq!(tabulate(&ActivationFunction::Relu), None);
    }

    #[test]
    fn sigmoid() {
        let t = tabulate(&ActivationFunction::Sigmoid).unwrap();
        assert_eq!((t.input_scale, t.output_scale), (0.0625, 0.007_812_5));
        assert_eq!(t.table.values.len(), 256);
        assert_eq!(at(&t, 0), 64);
        // 128·σ(1) = 93.57
        assert_eq!(at(&t, 16), 94);
        assert_eq!(at(&t, -16), 34);
        // 128·σ(7.94) = 127.95 saturates
        assert_eq!(at(&t, 127), 127);
        assert_eq!(at(&t, -128), 0);
    }

    #[test]
    fn tanh() {
        let t = tabulate(&ActivationFunction::Tanh).unwrap();
        assert_eq!((t.input_scale, t.output_scale), (0.03125, 0.007_812_5));
        assert_eq!(at(&t, 0), 0);
        // 128·tanh(1) = 97.48
        assert_eq!(at(&t, 32), 97);
        assert_eq!(at(&t, -32), -97);
        assert_eq!(at(&t, 127), 127);
        assert_eq!(at(&t, -128), -128);
    }

    #[test]
    fn ranges_give_the_scales() {
        let f = TableFunction::new("relu6", |x| x.clamp(0.0, 6.0), -2.0..=12.7, 0.0..=6.35);
        let t = tabulate(&ActivationFunction::Table(f)).unwrap();
        assert!((t.input_scale - 0.1).abs() < 1e-12 && (t.output_scale - 0.05).abs() < 1e-12);
        assert_eq!(at(&t, 30), 60);
        assert_eq!(at(&t, 127), 120);
        assert_eq!(at(&t, -128), 0);
    }

    #[test]
    fn inputs_beyond_the_range_have_the_value_at_its_end() {
        let f = TableFunction::new("sqrt", f64::sqrt, 1.0..=4.0, 0.0..=2.0);
        let t = tabulate(&ActivationFunction::Table(f)).unwrap();
        assert_eq!(at(&t, 127), 127);
        assert_eq!(at(&t, 0), 64);
        assert_eq!(at(&t, -100), 64);
    }

    #[test]
    fn halves_round_away_from_zero_and_values_saturate() {
        let f = TableFunction::new("x/2", |x| x / 2.0, -127.0..=127.0, -127.0..=127.0);
        let t = tabulate(&ActivationFunction::Table(f)).unwrap();
        assert_eq!(
            (at(&t, 1), at(&t, -1), at(&t, 3), at(&t, -3)),
            (1, -1, 2, -2)
        );
        let f = TableFunction::new("big", |x| x * f64::MAX, -127.0..=127.0, -127.0..=127.0);
        let t = tabulate(&ActivationFunction::Table(f)).unwrap();
        assert_eq!((at(&t, 100), at(&t, -100), at(&t, 0)), (127, -128, 0));
    }

    /// Elementary functions may differ between platforms in the last place, the standard tables,
    /// and with them programs and keys, must not.
    #[test]
    fn standard_tables_are_far_from_ties() {
        for activation in [ActivationFunction::Sigmoid, ActivationFunction::Tanh] {
            let t = tabulate(&activation).unwrap();
            for x in -128..128 {
                let y = activation.apply(f64::from(x) * t.input_scale) / t.output_scale;
                assert!(
                    ((y.abs().fract()) - 0.5).abs() > 1e-4,
                    "{activation:?} at {x}"
                );
            }
        }
    }
}
