//! How far the integers of a recurrent model have moved from the floats after many frames.

use std::fmt;

use ndarray::ArrayView2;
use serde::Serialize;

use super::{
    QuantizedSequence,
    sequence::{GRU_STATE, MEMORY, STATE, cell_shape},
};
use crate::{
    error::{Error, Reason},
    model::{SequenceModel, SequenceState},
    program::{CellKind, CellShape, ElmanActivation},
};

/// A quantised recurrent model run beside the float model over one long sequence, each from its own
/// states.
///
/// It is computed from weights and frames: as private as they are.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DriftReport {
    /// One entry for each length asked for, in that order.
    pub points: Vec<DriftPoint>,
}

/// The first so many frames of a [`DriftReport`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DriftPoint {
    /// How many.
    pub frames: usize,
    /// The cells, in order.
    pub cells: Vec<CellDrift>,
    /// Outputs after every frame, in real values, also if only the last one counts.
    pub outputs: Deviation,
    /// Share of entries of frames beyond the calibrated range, and cut to it.
    pub input_saturation: f64,
}

/// One cell of a [`DriftPoint`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CellDrift {
    /// Name of the cell's function.
    pub function: String,
    /// The state `h`, in real values.
    pub hidden: Deviation,
    /// The memory `c` of an LSTM, in real values.
    pub memory: Option<Deviation>,
    /// Share of entries of the state, memory included, at an end of what their bits can hold. Zero
    /// is no such end for a ReLU.
    pub saturation: f64,
}

/// Differences between integers and floats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Deviation {
    /// Largest absolute difference.
    pub max: f64,
    /// Root of the mean square of the differences.
    pub rms: f64,
    /// Largest absolute difference in the last tenth of the frames.
    pub recent_max: f64,
    /// Root of the mean square of the differences in the last tenth of the frames.
    pub recent_rms: f64,
}

/// The differences of one vector after one frame.
#[derive(Clone, Copy)]
struct Difference {
    max: f64,
    squares: f64,
    entries: usize,
}

impl Difference {
    /// Between integers in units of `unit` and floats.
    fn of(integers: &[i64], unit: f64, floats: &[f64]) -> Self {
        let mut difference = Self {
            max: 0.0,
            squares: 0.0,
            entries: floats.len(),
        };
        for (q, x) in integers.iter().zip(floats) {
            let error = (*q as f64 * unit - x).abs();
            difference.max = difference.max.max(error);
            difference.squares += error * error;
        }
        difference
    }
}

impl Deviation {
    /// Over at least one frame.
    fn over(frames: impl Iterator<Item = Difference>) -> Self {
        let frames: Vec<Difference> = frames.collect();
        let summary = |frames: &[Difference]| {
            let max = frames.iter().map(|d| d.max).fold(0.0, f64::max);
            let squares: f64 = frames.iter().map(|d| d.squares).sum();
            let entries: usize = frames.iter().map(|d| d.entries).sum();
            (max, (squares / entries.max(1) as f64).sqrt())
        };
        let (max, rms) = summary(&frames);
        let recent = frames.len() - frames.len().div_ceil(10);
        let (recent_max, recent_rms) = summary(&frames[recent..]);
        Self {
            max,
            rms,
            recent_max,
            recent_rms,
        }
    }
}

/// What was seen after one frame.
struct Frame {
    cells: Vec<CellFrame>,
    outputs: Difference,
    /// Entries of the frame that were cut.
    saturated: usize,
}

struct CellFrame {
    hidden: Difference,
    memory: Option<Difference>,
    /// Entries at an end of their range.
    saturated: usize,
}

/// Where the state of a cell is among the vectors of the interpreter's, and what it stands for.
struct Place {
    /// Index of `h`, of a GRU with all of its bits; the memory of an LSTM follows.
    hidden: usize,
    /// Real value of one unit of `h`.
    unit: f64,
    /// Ends of the entries of `h`.
    ends: Vec<i64>,
    memory: bool,
}

impl Place {
    fn compare(&self, cell: usize, integers: &[Vec<i64>], floats: &SequenceState) -> CellFrame {
        let at_end = |v: &[i64], ends: &[i64]| v.iter().filter(|q| ends.contains(q)).count();
        let hidden = &integers[self.hidden];
        let mut frame = CellFrame {
            hidden: Difference::of(hidden, self.unit, floats.hidden(cell)),
            memory: None,
            saturated: at_end(hidden, &self.ends),
        };
        if self.memory {
            let memory = &integers[self.hidden + 1];
            frame.memory = Some(Difference::of(memory, MEMORY, floats.memory(cell)));
            frame.saturated += at_end(memory, &ends(16));
        }
        frame
    }
}

/// Least and largest integer of a width.
fn ends(width: u8) -> [i64; 2] {
    let end = 1i64 << (width - 1);
    [-end, end - 1]
}

impl QuantizedSequence {
    /// Runs this model and the float model that it was made from side by side over `sequence`,
    /// `[frames, inputs]`, and compares states and outputs over the first `n` frames for each `n`
    /// in `at`.
    ///
    /// # Errors
    /// If the models have not the same shape, or this one has an Elman cell with ReLU and was
    /// handed in as integers, so that the scale of its state is not known; if a number in `at` is
    /// zero or more than there are frames; as [`SequenceModel::step`].
    pub fn drift(
        &self,
        model: &SequenceModel,
        sequence: ArrayView2<'_, f32>,
        at: &[usize],
    ) -> Result<DriftReport, Error> {
        let places = self.places(model)?;
        let outside = |n: &&usize| !(1..=sequence.nrows()).contains(*n);
        if let Some(n) = at.iter().find(outside) {
            return Err(Reason::Range {
                what: "number of frames",
                got: *n as i128,
                least: 1,
                most: sequence.nrows() as i128,
            }
            .into());
        }
        let mut interpreter = self.interpreter()?;
        let mut float = model.start();
        let longest = at.iter().max().copied().unwrap_or(0);
        let mut frames = Vec::with_capacity(longest);
        for frame in sequence.rows().into_iter().take(longest) {
            let outputs = model.forward(&mut float, frame, |_, _, _| {})?;
            let integers = interpreter.push(&self.quantize_input(frame)?)?;
            frames.push(Frame {
                cells: places
                    .iter()
                    .enumerate()
                    .map(|(cell, place)| place.compare(cell, interpreter.state(), &float))
                    .collect(),
                outputs: Difference::of(&integers, self.output_scale(), &outputs),
                saturated: self.end_scales().saturated_entries(frame),
            });
        }
        let points = at
            .iter()
            .map(|n| point(model, &places, &frames[..*n]))
            .collect();
        Ok(DriftReport { points })
    }

    /// Where the states of a float model's cells are, if it is of the shape of this one.
    fn places(&self, model: &SequenceModel) -> Result<Vec<Place>, Error> {
        let shape = self.shape();
        let cells: Vec<CellShape> = model
            .cells()
            .iter()
            .map(cell_shape)
            .collect::<Result<_, _>>()?;
        let head =
            shape.head.len() == model.head().len()
                && shape.head.iter().zip(model.head()).all(|(a, b)| {
                    a.inputs as usize == b.inputs() && a.outputs as usize == b.outputs()
                });
        if cells != shape.cells || !head || shape.inputs as usize != model.input_len() {
            return Err(Error::usage(
                "the float model has not the shape of the quantised one",
            ));
        }
        let mut next = 0;
        let place = |(index, cell): (usize, &CellShape)| {
            let hidden = next;
            let unknown = "the scale of a state is not known: the model was handed in as integers";
            let (vectors, unit, ends) = match cell.kind {
                CellKind::Elman(ElmanActivation::Relu) => {
                    let scale = self.state_scale(index);
                    let scale = scale.ok_or_else(|| Error::usage(unknown))?;
                    // Zero is no end of what a ReLU can give.
                    (1, scale, vec![ends(shape.width)[1]])
                }
                CellKind::Elman(ElmanActivation::Tanh) => (1, STATE, ends(8).to_vec()),
                CellKind::Gru | CellKind::GruResetBefore => (2, GRU_STATE, ends(16).to_vec()),
                CellKind::Lstm => (2, STATE, ends(8).to_vec()),
            };
            next += vectors;
            Ok(Place {
                hidden,
                unit,
                ends,
                memory: cell.kind == CellKind::Lstm,
            })
        };
        shape.cells.iter().enumerate().map(place).collect()
    }
}

/// What was seen in these frames, of which there is at least one.
fn point(model: &SequenceModel, places: &[Place], frames: &[Frame]) -> DriftPoint {
    let share = |count: usize, entries: usize| count as f64 / (frames.len() * entries) as f64;
    let cells = model.cells().iter().zip(places).enumerate();
    DriftPoint {
        frames: frames.len(),
        cells: cells
            .map(|(index, (cell, place))| CellDrift {
                function: cell.function().name().to_owned(),
                hidden: Deviation::over(frames.iter().map(|f| f.cells[index].hidden)),
                memory: place
                    .memory
                    .then(|| Deviation::over(frames.iter().filter_map(|f| f.cells[index].memory))),
                saturation: share(
                    frames.iter().map(|f| f.cells[index].saturated).sum(),
                    cell.hidden() * if place.memory { 2 } else { 1 },
                ),
            })
            .collect(),
        outputs: Deviation::over(frames.iter().map(|f| f.outputs)),
        input_saturation: share(frames.iter().map(|f| f.saturated).sum(), model.input_len()),
    }
}

impl fmt::Display for DriftReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<36}  {:>21}  {:>21}",
            "integers against floats", "difference", "in the last tenth"
        )?;
        write!(
            f,
            "{:>8}  {:<26}  {:>10} {:>10}  {:>10} {:>10}  {:>9}",
            "frames", "of", "largest", "rms", "largest", "rms", "saturated"
        )?;
        let row = |f: &mut fmt::Formatter<'_>, frames, of: &str, d: &Deviation| {
            write!(
                f,
                "\n{frames:>8}  {of:<26}  {:>10.3e} {:>10.3e}  {:>10.3e} {:>10.3e}",
                d.max, d.rms, d.recent_max, d.recent_rms
            )
        };
        for point in &self.points {
            let n = point.frames;
            write!(
                f,
                "\n{n:>8}  {:<26}  {:>21}  {:>21}  {:>7.3} %",
                "frame",
                "",
                "",
                100.0 * point.input_saturation
            )?;
            for (index, cell) in point.cells.iter().enumerate() {
                let name = format!("{index} {}", cell.function);
                row(f, n, &format!("{name} h"), &cell.hidden)?;
                write!(f, "  {:>7.3} %", 100.0 * cell.saturation)?;
                if let Some(memory) = &cell.memory {
                    row(f, n, &format!("{name} c"), memory)?;
                }
            }
            row(f, n, "output", &point.outputs)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use ndarray::{Array1, Array2, arr1, arr2};

    use super::*;
    use crate::{Precision, RecurrentWeights, RnnActivation, error::ErrorKind};

    /// `h' = max(x, 0)` and its double, unit 1, or 2 at the output.
    fn exact() -> (SequenceModel, QuantizedSequence) {
        let weights = RecurrentWeights {
            input: arr2(&[[1.0]]),
            hidden: arr2(&[[0.0]]),
            input_bias: arr1(&[0.0]),
            hidden_bias: arr1(&[0.0]),
        };
        let model = SequenceModel::builder(1)
            .rnn(weights, RnnActivation::Relu)
            .dense(arr2(&[[2.0]]), arr1(&[0.0]))
            .build()
            .unwrap();
        let quantized = model.quantize(&[arr2(&[[127.0]])], Precision::default());
        let quantized = quantized.unwrap();
        assert_eq!(quantized.input_scale(), 1.0);
        (model, quantized)
    }

    fn lstm() -> (SequenceModel, QuantizedSequence) {
        let weights = RecurrentWeights {
            input: Array2::zeros((8, 1)),
            hidden: Array2::zeros((8, 2)),
            input_bias: Array1::zeros(8),
            hidden_bias: Array1::zeros(8),
        };
        let model = SequenceModel::builder(1).lstm(weights).build().unwrap();
        let quantized = model.quantize(&[arr2(&[[1.0]])], Precision::default());
        let quantized = quantized.unwrap();
        (model, quantized)
    }

    #[test]
    fn differences_are_seen_where_they_are() {
        let (model, quantized) = exact();
        // Whole numbers, but for the frames 3 (cut by 73) and 19 (rounded by 1/4).
        let mut sequence = Array2::from_shape_fn((20, 1), |(t, _)| t as f32 - 5.0);
        sequence[[3, 0]] = 200.0;
        sequence[[19, 0]] = 10.25;
        let report = quantized
            .drift(&model, sequence.view(), &[3, 20, 10])
            .unwrap();
        let [three, twenty, ten] = report.points.as_slice() else {
            unreachable!()
        };
        let nothing = Deviation {
            max: 0.0,
            rms: 0.0,
            recent_max: 0.0,
            recent_rms: 0.0,
        };
        assert_eq!((three.frames, three.outputs), (3, nothing));
        assert_eq!(three.cells[0].hidden, nothing);
        assert_eq!(
            (three.input_saturation, three.cells[0].saturation),
            (0.0, 0.0)
        );

        assert_eq!(ten.cells[0].function, "rnn relu");
        assert_eq!((ten.input_saturation, ten.cells[0].saturation), (0.1, 0.1));
        assert_eq!(ten.cells[0].memory, None);
        assert_eq!(ten.cells[0].hidden.max, 73.0);
        assert_eq!(ten.cells[0].hidden.rms, (73f64 * 73.0 / 10.0).sqrt());
        // The last tenth is frame 9, which is exact.
        assert_eq!(ten.cells[0].hidden.recent_max, 0.0);
        assert_eq!(ten.outputs.max, 146.0);

        // The last tenth is frames 18 and 19.
        assert_eq!(twenty.cells[0].hidden.recent_max, 0.25);
        let rms = (0.25f64 * 0.25 / 2.0).sqrt();
        assert_eq!(twenty.cells[0].hidden.recent_rms, rms);
        assert_eq!(twenty.outputs.recent_max, 0.5);
    }

    #[test]
    fn a_memory_is_compared_as_well() {
        let (model, quantized) = lstm();
        let zeros = Array2::zeros((5, 1));
        let report = quantized.drift(&model, zeros.view(), &[5]).unwrap();
        let cell = &report.points[0].cells[0];
        assert_eq!((cell.function.as_str(), cell.saturation), ("lstm", 0.0));
        assert_eq!(cell.memory.unwrap().max, 0.0);
        assert!(cell.hidden.max < 1.0 / 64.0);
    }

    #[test]
    fn arguments_are_checked() {
        let (model, quantized) = exact();
        let sequence = Array2::zeros((4, 1));
        let fails = |result: Result<DriftReport, Error>, kind, message: &str| {
            let error = result.unwrap_err();
            assert_eq!(error.to_string(), message);
            assert_eq!(error.kind(), kind);
        };
        for (n, message) in [
            (0, "number of frames: 0 is outside 1..=4"),
            (5, "number of frames: 5 is outside 1..=4"),
        ] {
            let report = quantized.drift(&model, sequence.view(), &[1, n]);
            fails(report, ErrorKind::Input, message);
        }
        let none = quantized.drift(&model, sequence.view(), &[]).unwrap();
        assert!(none.points.is_empty());
        fails(
            quantized.drift(&model, arr2(&[[f32::NAN]]).view(), &[1]),
            ErrorKind::Input,
            "input is not a finite number (at index 0)",
        );
        let (other, _) = lstm();
        fails(
            quantized.drift(&other, sequence.view(), &[1]),
            ErrorKind::Usage,
            "the float model has not the shape of the quantised one",
        );
        let integers = QuantizedSequence::from_integers(
            quantized.shape().clone(),
            quantized.bank().clone(),
            quantized.input_scale(),
            quantized.output_scale(),
        );
        fails(
            integers.unwrap().drift(&model, sequence.view(), &[1]),
            ErrorKind::Usage,
            "the scale of a state is not known: the model was handed in as integers",
        );
        // Standard scales are known.
        let (model, quantized) = lstm();
        let (shape, bank) = (quantized.shape().clone(), quantized.bank().clone());
        let integers = QuantizedSequence::from_integers(shape, bank, 1.0, 1.0).unwrap();
        assert!(integers.drift(&model, sequence.view(), &[4]).is_ok());
    }

    #[test]
    fn text_and_json() {
        let (model, quantized) = exact();
        let sequence = arr2(&[[1.0], [200.0], [3.5], [4.0]]);
        let report = quantized.drift(&model, sequence.view(), &[1, 4]).unwrap();
        expect_test::expect![[r#"
            integers against floats                          difference      in the last tenth
              frames  of                             largest        rms     largest        rms  saturated
                   1  frame                                                                       0.000 %
                   1  0 rnn relu h                   0.000e0    0.000e0     0.000e0    0.000e0    0.000 %
                   1  output                         0.000e0    0.000e0     0.000e0    0.000e0
                   4  frame                                                                      25.000 %
                   4  0 rnn relu h                   7.300e1    3.650e1     0.000e0    0.000e0   25.000 %
                   4  output                         1.460e2    7.300e1     0.000e0    0.000e0"#]].assert_eq(&report.to_string());
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["points"][1]["frames"], 4);
        assert_eq!(json["points"][1]["cells"][0]["hidden"]["max"], 73.0);
    }
}
