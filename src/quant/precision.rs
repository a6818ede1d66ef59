//! Numbers of bits.

use std::ops::RangeInclusive;

use crate::error::{Error, Reason};

const ACTIVATION_BITS: RangeInclusive<u8> = 2..=16;
const MAX_ACCUMULATOR_BITS: u8 = 40;
/// Bits of an accumulator beyond `w + s` in a network over sequences.
const SEQUENCE_HEADROOM: u8 = 4;

/// Numbers of bits of a quantised model.
///
/// By default they follow from the shape of the network alone: activations have `w = 8` bits; with
/// `n` the largest number of inputs of a layer, the shift is `s = 5 + ⌈log2(n)/2⌉`, but at least 8,
/// and accumulators have `B = w + s + headroom` bits, headroom 3, or 5 if a layer has a table,
/// whose scales cannot give way. Each accumulator bit costs one constraint per neuron.
///
/// In a network over sequences the entries of its state are among the inputs of a cell. Its
/// headroom is 4, and `s` is one more if some cell is anything but an Elman cell with ReLU: the
/// weights of such cells have fixed, small units.
///
/// ```
/// use layerfold::Precision;
///
/// let precision = Precision::default().accumulator_bits(28);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Precision {
    activation_bits: u8,
    headroom: Option<u8>,
    shift: Option<u8>,
    accumulator_bits: Option<u8>,
}

impl Default for Precision {
    fn default() -> Self {
        Self {
            activation_bits: 8,
            headroom: None,
            shift: None,
            accumulator_bits: None,
        }
    }
}

/// The numbers of bits for one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Formats {
    /// `w`.
    pub(super) width: u8,
    /// `s`, at least 1.
    pub(super) shift: u8,
    /// `B`, at least `s + 2`.
    pub(super) bits: u8,
}

impl Formats {
    /// `2^(w-1)`, the largest absolute value of an activation.
    pub(super) fn reach(self) -> f64 {
        f64::from(1u32 << (self.width - 1))
    }

    /// The largest absolute value that an accumulator may take.
    pub(super) fn limit(self) -> f64 {
        ((1i64 << (self.bits - 1)) - (1i64 << (self.shift - 1)) - 1) as f64
    }
}

impl Precision {
    /// Bits `w` of inputs and activations, 2 to 16. Layers with a table need 8.
    pub fn activation_bits(mut self, bits: u8) -> Self {
        self.activation_bits = bits;
        self
    }

    /// The shift `s` of every layer: fractional bits that sums have beyond activations.
    pub fn shift(mut self, shift: u8) -> Self {
        self.shift = Some(shift);
        self
    }

    /// Bits of an accumulator beyond `w + s`, unless [`accumulator_bits`](Self::accumulator_bits)
    /// is given.
    pub fn headroom(mut self, headroom: u8) -> Self {
        self.headroom = Some(headroom);
        self
    }

    /// Bits `B` of every accumulator, at least `s + 2` and at most 40.
    pub fn accumulator_bits(mut self, bits: u8) -> Self {
        self.accumulator_bits = Some(bits);
        self
    }

    /// The numbers of bits of a network whose widest layer has `inputs` inputs.
    pub(super) fn formats(self, inputs: usize, tables: bool) -> Result<Formats, Error> {
        self.resolved(standard_shift(inputs), if tables { 5 } else { 3 })
    }

    /// The numbers of bits of a network over sequences whose widest cell or layer has `inputs`
    /// inputs, the state counted; `gated` if some cell works on tables.
    pub(super) fn sequence_formats(self, inputs: usize, gated: bool) -> Result<Formats, Error> {
        self.resolved(standard_shift(inputs) + u8::from(gated), SEQUENCE_HEADROOM)
    }

    fn resolved(self, standard_shift: u8, standard_headroom: u8) -> Result<Formats, Error> {
        let width = within(
            "activation bits",
            self.activation_bits.into(),
            ACTIVATION_BITS,
        )?;
        let shift = self.shift.unwrap_or(standard_shift);
        let shift = within("shift", shift.into(), 1..=MAX_ACCUMULATOR_BITS - 2)?;
        let bits = match self.accumulator_bits {
            Some(bits) => u16::from(bits),
            None => {
                let headroom = self.headroom.unwrap_or(standard_headroom);
                u16::from(width) + u16::from(shift) + u16::from(headroom)
            }
        };
        let bits = within("accumulator bits", bits, shift + 2..=MAX_ACCUMULATOR_BITS)?;
        Ok(Formats { width, shift, bits })
    }
}

/// `5 + ⌈log2(n)/2⌉`, at least 8.
pub(crate) fn standard_shift(inputs: usize) -> u8 {
    // ⌈log2(n)/2⌉ is the least h with 4^h ≥ n; less than 32 for 64 bits.
    let log2 = usize::BITS - inputs.saturating_sub(1).leading_zeros();
    (5 + u8::try_from(log2.div_ceil(2)).unwrap_or(u8::MAX - 5)).max(8)
}

fn within(what: &'static str, got: u16, range: RangeInclusive<u8>) -> Result<u8, Error> {
    match u8::try_from(got) {
        Ok(got) if range.contains(&got) => Ok(got),
        _ => Err(Reason::Range {
            what,
            got: got.into(),
            least: (*range.start()).into(),
            most: (*range.end()).into(),
        }
        .into()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn formats(precision: Precision, inputs: usize) -> (u8, u8, u8) {
        let f = precision.formats(inputs, false).unwrap();
        (f.width, f.shift, f.bits)
    }

    #[test]
    fn standard_shifts() {
        for inputs in 1..5000usize {
            let expected = (5 + ((inputs as f64).log2() / 2.0).ceil() as u8).max(8);
            assert_eq!(standard_shift(inputs), expected, "{inputs}");
        }
        assert_eq!(standard_shift(1 << 24), 17);
        assert_eq!(standard_shift((1 << 24) - 1), 17);
    }

    #[test]
    fn defaults() {
        let default = Precision::default();
        assert_eq!(formats(default, 784), (8, 10, 21));
        assert_eq!(default.formats(784, true).unwrap().bits, 23);
        assert_eq!(formats(default, 1), (8, 8, 19));
        assert_eq!(formats(default.activation_bits(16), 1 << 24), (16, 17, 36));
    }

    #[test]
    fn sequences() {
        let f = |gated| Precision::default().sequence_formats(80, gated).unwrap();
        assert_eq!((f(false).width, f(false).shift, f(false).bits), (8, 9, 21));
        assert_eq!((f(true).width, f(true).shift, f(true).bits), (8, 10, 22));
        let p = Precision::default().shift(11).headroom(6);
        let f = p.sequence_formats(80, true).unwrap();
        assert_eq!((f.width, f.shift, f.bits), (8, 11, 25));
    }

    #[test]
    fn overrides() {
        let p = Precision::default()
            .activation_bits(10)
            .shift(9)
            .headroom(5);
        assert_eq!(formats(p, 784), (10, 9, 24));
        assert_eq!(formats(p.accumulator_bits(30), 784), (10, 9, 30));
    }

    #[test]
    fn limits() {
        let f = Precision::default()
            .shift(3)
            .accumulator_bits(5)
            .formats(1, false)
            .unwrap();
        assert_eq!((f.reach(), f.limit()), (128.0, 11.0));
    }

    #[test]
    fn out_of_range() {
        let default = Precision::default();
        for (precision, message) in [
            (
                default.activation_bits(1),
                "activation bits: 1 is outside 2..=16",
            ),
            (
                default.activation_bits(17),
                "activation bits: 17 is outside 2..=16",
            ),
            (default.shift(0), "shift: 0 is outside 1..=38"),
            (default.shift(39), "shift: 39 is outside 1..=38"),
            (default.shift(30), "accumulator bits: 41 is outside 32..=40"),
            (
                default.shift(10).accumulator_bits(11),
                "accumulator bits: 11 is outside 12..=40",
            ),
            (
                default.headroom(255),
                "accumulator bits: 273 is outside 12..=40",
            ),
        ] {
            let error = precision.formats(784, false).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
