//! Recurrent models on integers.
//!
//! # Scheme
//!
//! Frames have a calibrated scale, head layers those of [`quant`](super). The states of all cells
//! but Elman's with ReLU lie between fixed ends, so they have standard scales, and so have all
//! sums: every table is the same for every model.
//!
//! | | unit | bits |
//! |---|---|---|
//! | sums of `r`, `z` of a GRU, `i`, `f`, `o` of an LSTM | 1/16 | 8 |
//! | sums of `n` of a GRU, `g` of an LSTM, of an Elman cell with tanh | 1/32 | 8 |
//! | state of an Elman cell with tanh, of an LSTM | 2^-7 | 8 |
//! | state of a GRU | 2^-15 | 16 |
//! | memory of an LSTM | 2^-11 | 16 |
//!
//! * The columns of `x` and of `h` of a row are multiplied with different factors, `u_in / u_out ·
//!   2^s`, where `u` are units.
//! * The products read only the upper 8 bits of a GRU's state, rounded down: an integer `h8` stands
//!   for `(h8 + ½)·2^-7`. The halves are a constant, which is added to the biases of all rows that
//!   read it.
//! * The state of an Elman cell with ReLU has the largest absolute value seen in calibration
//!   divided by `2^(w-1) - 1` as its scale, enlarged as that of a dense layer. Enlarging changes
//!   nothing of `W_hh`, which both reads and gives the state; if that alone does not fit, it is an
//!   error.

mod calibration;
mod scheme;

use std::fmt;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

pub use calibration::SequenceSamples;

pub(super) use self::scheme::{GRU_STATE, MEMORY, STATE, cell_shape};

use self::calibration::Ranges;
use super::{Precision, Scales, fit::LayerScale};
use crate::{
    error::Error,
    model::{SequenceModel, over_frames},
    program::{Emission, Program, SequenceShape, WeightBank, interpreter::Interpreter},
};

impl SequenceModel {
    /// The integer shape of this model: what its program, and with it the keys, are made of. It
    /// depends on sizes, cells, activations and precision, not on weights or calibration.
    ///
    /// # Errors
    /// If the precision is out of range, or a cell or a layer has a table and activations have not
    /// 8 bits.
    pub fn sequence_shape(&self, precision: Precision) -> Result<SequenceShape, Error> {
        scheme::shape(self, precision)
    }

    /// The model on integers, with scales that fit `calibration`: typical sequences, as long as it
    /// takes for states to settle.
    ///
    /// `calibration` is a slice or vector of matrices `[frames, inputs]`. Head layers are
    /// calibrated on their sums after every frame, also if only the last output counts.
    ///
    /// ```
    /// use layerfold::{Precision, RecurrentWeights, SequenceModel};
    /// use ndarray::{Array1, Array2, arr2};
    ///
    /// // A GRU of one unit that moves towards tanh(2x), quickly when the second entry is 1.
    /// let model = SequenceModel::builder(2)
    ///     .gru(RecurrentWeights {
    ///         input: arr2(&[[0.0, 0.0], [0.0, -6.0], [2.0, 0.0]]),
    ///         hidden: Array2::zeros((3, 1)),
    ///         input_bias: Array1::from(vec![0.0, 3.0, 0.0]),
    ///         hidden_bias: Array1::zeros(3),
    ///     })
    ///     .build()?;
    /// let sequence = arr2(&[[0.5, 1.0], [0.0, 0.0], [-1.0, 1.0], [0.0, 0.0]]);
    /// let quantized = model.quantize(&[sequence.view()], Precision::default())?;
    ///
    /// let float = model.infer(sequence.view())?;
    /// let integer = quantized.infer(sequence.view())?;
    /// assert!((&float - &integer).iter().all(|e| e.abs() < 0.02));
    /// // How far apart states and outputs are after 1 and after 4 frames.
    /// println!("{}", quantized.drift(&model, sequence.view(), &[1, 4])?);
    /// # Ok::<(), layerfold::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there is no sequence, or one has no frame, frames of the wrong length or an entry that is
    /// not finite; as [`sequence_shape`](Self::sequence_shape); if a cell or a layer with a table
    /// does not fit the accumulator or 16-bit weights at its standard scale; if the recurrent
    /// weights of an Elman cell with ReLU do not fit them; if a layer fits its accumulator only
    /// with all weights rounded to zero.
    pub fn quantize<S: SequenceSamples + ?Sized>(
        &self,
        calibration: &S,
        precision: Precision,
    ) -> Result<QuantizedSequence, Error> {
        scheme::quantize(self, calibration, precision)
    }
}

/// A recurrent network on integers, with the scales that connect them to real values.
///
/// Secret material: `Debug` shows shape and scales of input and output only, and the weights are
/// zeroised on drop.
#[derive(Clone)]
pub struct QuantizedSequence {
    shape: SequenceShape,
    bank: WeightBank,
    /// One frame in one step.
    program: Program,
    ends: Scales,
    /// Of the state of each cell; unknown if the model was handed in as integers.
    scales: Option<Vec<LayerScale>>,
}

impl QuantizedSequence {
    /// A model that is integers from the start. An entry of a frame or output is an integer times
    /// `input_scale` or `output_scale`; 1 if the integers are all that matters.
    ///
    /// # Errors
    /// If the shape has no program, the maps of the bank do not have its dimensions, a sum could
    /// leave its accumulator, or a scale is not a positive number.
    pub fn from_integers(
        shape: SequenceShape,
        bank: WeightBank,
        input_scale: f64,
        output_scale: f64,
    ) -> Result<Self, Error> {
        Self::new(shape, bank, input_scale, output_scale, None)
    }

    fn new(
        shape: SequenceShape,
        bank: WeightBank,
        input_scale: f64,
        output_scale: f64,
        scales: Option<Vec<LayerScale>>,
    ) -> Result<Self, Error> {
        let program = shape.program()?;
        bank.check(&program)?;
        let ends = Scales::new(input_scale, output_scale, program.frame())?;
        Ok(Self {
            shape,
            bank,
            program,
            ends,
            scales,
        })
    }

    /// The integer shape: what the program is made of.
    #[must_use]
    pub fn shape(&self) -> &SequenceShape {
        &self.shape
    }

    /// The integer weights.
    #[must_use]
    pub fn bank(&self) -> &WeightBank {
        &self.bank
    }

    /// The program of the network.
    ///
    /// # Errors
    /// If it is too large.
    pub fn program(&self) -> Result<Program, Error> {
        self.program.validate()?;
        Ok(self.program.clone())
    }

    /// Real value of one unit of an entry of a frame.
    #[must_use]
    pub fn input_scale(&self) -> f64 {
        self.ends.input
    }

    /// Real value of one unit of an output.
    #[must_use]
    pub fn output_scale(&self) -> f64 {
        self.ends.output
    }

    /// The scales at both ends.
    #[must_use]
    pub fn end_scales(&self) -> Scales {
        self.ends
    }

    /// A frame as integers: rounded to the nearest (halves away from zero), and saturated at the
    /// ends of its width.
    ///
    /// # Errors
    /// If the frame has the wrong length or an entry that is not finite.
    pub fn quantize_input(&self, frame: ArrayView1<'_, f32>) -> Result<Vec<i64>, Error> {
        self.ends.quantize_input(frame)
    }

    /// An output as real values.
    #[must_use]
    pub fn dequantize_output(&self, output: &[i64]) -> Array1<f32> {
        self.ends.dequantize_output(output)
    }

    /// The outputs for a sequence, `[frames, inputs]`, from the zero state on, through the integer
    /// interpreter: what a proof will say. They are `[frames, outputs]`, or `[1, outputs]` if only
    /// the last one counts.
    ///
    /// # Errors
    /// If there is no frame, and as [`quantize_input`](Self::quantize_input).
    pub fn infer(&self, sequence: ArrayView2<'_, f32>) -> Result<Array2<f32>, Error> {
        let mut interpreter = self.interpreter()?;
        let outputs = self.program.output_shape().len;
        let last_output = self.shape.emission == Emission::Last;
        over_frames(sequence, outputs, last_output, |frame| {
            let output = interpreter.push(&self.quantize_input(frame)?)?;
            Ok(self.dequantize_output(&output))
        })
    }

    /// The integers, ready for the first frame.
    pub(super) fn interpreter(&self) -> Result<Interpreter<'_>, Error> {
        Interpreter::new(&self.program, &self.bank)
    }

    /// Real value of one unit of the state of a cell as the products read it; `None` if the model
    /// was handed in as integers.
    pub(super) fn state_scale(&self, cell: usize) -> Option<f64> {
        self.scales.as_ref()?.get(cell).map(|s| s.scale)
    }
}

impl fmt::Debug for QuantizedSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuantizedSequence")
            .field("inputs", &self.shape.inputs)
            .field("cells", &self.shape.cells)
            .field("head", &self.shape.head)
            .field("emission", &self.shape.emission)
            .field("width", &self.shape.width)
            .field("bits", &self.shape.bits)
            .field("shift", &self.shape.shift)
            .field("input_scale", &self.ends.input)
            .field("output_scale", &self.ends.output)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
