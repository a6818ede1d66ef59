//! Numbers of bits.

use std::collections::BTreeMap;

use crate::error::{Error, Reason};

/// Widths of inputs and values.
const ACTIVATION_BITS: std::ops::RangeInclusive<u8> = 2..=16;
/// Largest number of accumulator bits.
pub(super) const MAX_ACCUMULATOR_BITS: u8 = 40;
/// Bits that an accumulator may have beyond `w + s` before scales are enlarged instead.
const HEADROOM: u8 = 8;

/// Bits that sums of a standard network have beyond `w + s`; and if their unit cannot give way.
const STANDARD_HEADROOM: (u8, u8) = (3, 5);
/// Bits of the results of tables that only products read: of functions with values from 0 to 1, others.
const FACTOR_BITS: (u8, u8) = (13, 12);
/// Bits of values that products read and that other values are added to.
const PRODUCT_BITS: u8 = 16;

/// What the numbers of bits and the scales of a network follow from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    Calibrated,
    Standard,
}

/// How many bits the integers of a network have.
///
/// A value of `w` bits that is requantised has `w` bits in all: 2^(w-1) steps on each side of zero.
/// Sums have `s` fractional bits more than what they are rounded to, and as many bits as they need
/// for any inputs, which costs a constraint for each bit. `s` is `5 + ⌈log2(n)/2⌉`, at least 8, for
/// sums of `n` products, and as much more as inputs have more than 8 bits; all stages have the largest
/// of these, but where a weight would leave 16 bits.
///
/// Functions that are neither exact on integers nor saturation have tables of 256 values at 8 bits.
/// With more they are linear between 256 values of 16 bits, which are `h = 2^(w-8)` units of the
/// argument apart: that is off by `h²·max|f''|/8`, half a unit of those values and half a unit of the
/// result, beside what the rounding of the argument to `w` bits does.
///
/// What only products read has more bits: 13 for results of tables between 0 and 1 (gates), 12 for
/// other tables, 16 for sums of products and for the states that these become. Of 16 bits linear maps
/// read the upper `w`.
///
/// Scales come from calibration. With [`standard`](Self::standard) precision everything that a program
/// holds follows from the shape of the network alone.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Precision {
    policy: Policy,
    activation_bits: u8,
    input_bits: Option<u8>,
    stage_bits: BTreeMap<usize, u8>,
    shift: Option<u8>,
    headroom: Option<u8>,
    accumulator_bits: Option<u8>,
    pub(super) target_error: Option<f64>,
}

impl Default for Precision {
    fn default() -> Self {
        Self {
            policy: Policy::Calibrated,
            activation_bits: 8,
            input_bits: None,
            stage_bits: BTreeMap::new(),
            shift: None,
            headroom: None,
            accumulator_bits: None,
            target_error: None,
        }
    }
}

impl Precision {
    /// Numbers of bits, shifts, tables, and the scales of tables and products, from the shape of the
    /// network alone: all networks of a shape then have the same program, whatever their weights and
    /// their calibration, and one set of keys serves them all. Tables have fixed scales: sums that do
    /// not fit them are an error.
    pub fn standard() -> Self {
        Self {
            policy: Policy::Standard,
            ..Self::default()
        }
    }

    pub(super) fn is_standard(&self) -> bool {
        self.policy == Policy::Standard
    }

    /// Bits `w` of all inputs and values, 2 to 16. Functions other than ReLU and saturation need 8 or
    /// more.
    pub fn activation_bits(mut self, bits: u8) -> Self {
        self.activation_bits = bits;
        self
    }

    /// Bits of the inputs, if others.
    pub fn input_bits(mut self, bits: u8) -> Self {
        self.input_bits = Some(bits);
        self
    }

    /// Bits of the result of one stage (counted from 0, as reports do), if others.
    pub fn stage_bits(mut self, stage: usize, bits: u8) -> Self {
        self.stage_bits.insert(stage, bits);
        self
    }

    /// The shift `s` of all sums.
    pub fn shift(mut self, shift: u8) -> Self {
        self.shift = Some(shift);
        self
    }

    /// Accumulators of exactly `w + s + headroom` bits, whatever the weights. Scales are enlarged
    /// where sums need more.
    pub fn headroom(mut self, headroom: u8) -> Self {
        self.headroom = Some(headroom);
        self
    }

    /// The most bits of an accumulator, up to 40. Scales are enlarged where sums need more.
    pub fn accumulator_bits(mut self, bits: u8) -> Self {
        self.accumulator_bits = Some(bits);
        self
    }

    /// Gives values more bits, those first whose rounding the output feels most, until no output of
    /// the calibration set is further than this from the float network's, relative to the largest
    /// minus the least output. If that is out of reach, the widths that came closest are taken, and
    /// [`Quantized::missed_target`](super::Quantized::missed_target) says how close.
    pub fn target_error(mut self, error: f64) -> Self {
        self.target_error = Some(error);
        self
    }

    /// Bits of a register: 0 is the input, `1 + k` the result of stage `k`.
    pub(super) fn width(&self, register: usize) -> u8 {
        let own = match register.checked_sub(1) {
            None => self.input_bits,
            Some(stage) => self.stage_bits.get(&stage).copied(),
        };
        own.unwrap_or(self.activation_bits)
    }

    pub(super) fn set_width(&mut self, register: usize, bits: u8) {
        match register.checked_sub(1) {
            None => self.input_bits = Some(bits),
            Some(stage) => {
                self.stage_bits.insert(stage, bits);
            }
        }
    }

    /// Bits of a function's results that only products read, as `w` are the others'.
    pub(super) fn factor_bits(&self, w: u8, is_gate: bool) -> u8 {
        w.max(if is_gate {
            FACTOR_BITS.0
        } else {
            FACTOR_BITS.1
        })
    }

    /// Bits of sums that products read.
    pub(super) fn product_bits(&self) -> u8 {
        PRODUCT_BITS
    }

    /// The most bits of an accumulator.
    pub(super) fn most_bits(&self) -> u8 {
        self.accumulator_bits.unwrap_or(MAX_ACCUMULATOR_BITS)
    }

    /// The shift of sums that would have `standard`.
    pub(super) fn shift_of(&self, standard: u8) -> u8 {
        self.shift.unwrap_or(standard)
    }

    /// Whether the shift may be less than that.
    pub(super) fn has_fixed_shift(&self) -> bool {
        self.shift.is_some() || self.is_standard()
    }

    /// The most accumulator bits of sums that are rounded to `width` bits after a shift, and whether
    /// they have exactly that many; `fixed` if their unit cannot give way.
    pub(super) fn accumulator(&self, width: u8, shift: u8, fixed: bool) -> (u8, bool) {
        let most = self.most_bits();
        let standard = match fixed {
            false => STANDARD_HEADROOM.0,
            true => STANDARD_HEADROOM.1,
        };
        let (headroom, exactly) = match (self.headroom, self.policy) {
            (Some(headroom), _) => (headroom, true),
            (None, Policy::Standard) => (standard, true),
            (None, Policy::Calibrated) => (HEADROOM, false),
        };
        let bits = width.saturating_add(shift).saturating_add(headroom);
        (bits.min(most), exactly)
    }

    /// Checks all numbers of bits, for a network of `stages` stages.
    pub(super) fn check(&self, stages: usize) -> Result<(), Error> {
        let within = |what, got: u8, range: &std::ops::RangeInclusive<u8>| {
            if range.contains(&got) {
                return Ok(());
            }
            Err(Error::from(Reason::Range {
                what,
                got: got.into(),
                least: (*range.start()).into(),
                most: (*range.end()).into(),
            }))
        };
        within("activation bits", self.activation_bits, &ACTIVATION_BITS)?;
        for bits in self.input_bits.iter().chain(self.stage_bits.values()) {
            within("activation bits", *bits, &ACTIVATION_BITS)?;
        }
        if let Some(shift) = self.shift {
            within("shift", shift, &(1..=24))?;
        }
        if let Some(bits) = self.accumulator_bits {
            within("accumulator bits", bits, &(10..=MAX_ACCUMULATOR_BITS))?;
        }
        if let Some((stage, _)) = self.stage_bits.last_key_value()
            && *stage >= stages
        {
            return Err(Reason::Range {
                what: "stage",
                got: *stage as i128,
                least: 0,
                most: stages as i128 - 1,
            }
            .into());
        }
        if self
            .target_error
            .is_some_and(|e| !(e > 0.0 && e.is_finite()))
        {
            return Err(Error::usage("a target error must be a positive number"));
        }
        Ok(())
    }
}
