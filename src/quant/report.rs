//! How close the integers are to the floats.

use std::fmt;

use ndarray::ArrayView1;
use serde::Serialize;

use super::{QuantizedModel, Samples, calibration};
use crate::{
    error::{Error, Reason},
    model::Model,
    program::{Activation, Operation, Register, Registers},
};

/// A quantised model compared with the float model on samples.
///
/// It is computed from weights and samples: as private as they are.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct QuantizationReport {
    /// Number of samples.
    pub samples: usize,
    /// Share of samples whose largest output is the same one (of equal ones, the first).
    pub top1_agreement: f64,
    /// Largest absolute difference of an output.
    pub max_error: f64,
    /// Mean absolute difference of the outputs.
    pub mean_error: f64,
    /// Largest minus least output of the float model: what errors are relative to.
    pub output_range: f64,
    /// Share of input entries beyond the calibrated range, and cut to it.
    pub input_saturation: f64,
    /// Bits `w` of inputs and activations.
    pub activation_bits: u8,
    /// The shift `s` of every layer.
    pub shift: u8,
    /// Bits `B` of every accumulator.
    pub accumulator_bits: u8,
    /// The layers, in order.
    pub layers: Vec<LayerReport>,
}

/// One layer of a [`QuantizationReport`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LayerReport {
    /// Number of inputs.
    pub inputs: usize,
    /// Number of neurons.
    pub outputs: usize,
    /// Name of the activation.
    pub activation: String,
    /// Real value of one unit of the sums after the shift; `None` if the model was handed in as
    /// integers.
    pub scale: Option<f64>,
    /// How many times the calibrated scale that is: 1, or more if the integers did not fit.
    pub enlarged: f64,
    /// Largest absolute value of an integer weight.
    pub max_weight: u16,
    /// Bits that an accumulator needs for the sums of any inputs.
    pub sum_bits: u32,
    /// Share of results that saturation has changed; 0 for sums that are output as they are.
    pub saturation: f64,
}

/// Top-1 accuracy on labelled samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Accuracy {
    /// Share of samples that the float model gets right.
    pub float: f64,
    /// Share of samples that the quantised model gets right.
    pub integer: f64,
    /// Number of samples.
    pub samples: usize,
}

impl QuantizationReport {
    /// Largest error divided by the output range; `None` if that is zero.
    #[must_use]
    pub fn relative_max_error(&self) -> Option<f64> {
        (self.output_range > 0.0).then(|| self.max_error / self.output_range)
    }

    /// Mean error divided by the output range; `None` if that is zero.
    #[must_use]
    pub fn relative_mean_error(&self) -> Option<f64> {
        (self.output_range > 0.0).then(|| self.mean_error / self.output_range)
    }
}

impl QuantizedModel {
    /// Compares this model with the float model that it was made from, on samples.
    ///
    /// # Errors
    /// If the models have not the same shape; if there is no sample, or one has the wrong length
    /// or an entry that is not finite.
    pub fn report<S: Samples + ?Sized>(
        &self,
        model: &Model,
        samples: &S,
    ) -> Result<QuantizationReport, Error> {
        self.check_shape(model)?;
        calibration::check(samples, model.input_len())?;
        let output = self.whole().output_shape().len;
        let mut saturation = vec![0usize; self.shape().layers.len()];
        let mut input_saturation = 0usize;
        let (mut agreed, mut max_error, mut total_error) = (0usize, 0f64, 0f64);
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        let count = samples.count();
        for index in 0..count {
            let sample = samples.sample(index);
            let float = model.infer(sample)?;
            let trace = self.trace(sample)?;
            let integer = self.whole().output_of(&trace);
            agreed += usize::from(top1(float.iter()) == top1(integer.iter()));
            for (f, y) in float.iter().zip(&integer) {
                let f = f64::from(*f);
                let error = (f - *y as f64 * self.output_scale()).abs();
                max_error = max_error.max(error);
                total_error += error;
                least = least.min(f);
                most = most.max(f);
            }
            input_saturation += self.end_scales().saturated_entries(sample);
            self.count_saturated(&trace, &mut saturation);
        }
        let share = |n: usize, of: usize| n as f64 / (count * of) as f64;
        let layers = (0..saturation.len())
            .map(|l| {
                let outputs = model.layers()[l].outputs();
                self.layer_report(model, l, share(saturation[l], outputs))
            })
            .collect();
        Ok(QuantizationReport {
            samples: count,
            top1_agreement: share(agreed, 1),
            max_error,
            mean_error: total_error / (count * output) as f64,
            output_range: most - least,
            input_saturation: share(input_saturation, model.input_len()),
            activation_bits: self.shape().width,
            shift: self.shape().shift,
            accumulator_bits: self.shape().bits,
            layers,
        })
    }

    /// Top-1 accuracy of the float model and of this one; `labels` are indices of outputs, one for
    /// each sample.
    ///
    /// # Errors
    /// As [`report`](Self::report); if there is not one label for each sample, or a label is not
    /// the index of an output.
    pub fn accuracy<S, L>(
        &self,
        model: &Model,
        samples: &S,
        labels: &[L],
    ) -> Result<Accuracy, Error>
    where
        S: Samples + ?Sized,
        L: Copy + Into<usize>,
    {
        self.check_shape(model)?;
        calibration::check(samples, model.input_len())?;
        let float = |sample| Ok(top1(model.infer(sample)?.iter()));
        let integer = |sample| {
            let output = self.whole().output_of(&self.trace(sample)?);
            Ok(top1(output.iter()))
        };
        count_right(samples, labels, model.output_len(), float, integer)
    }

    fn check_shape(&self, model: &Model) -> Result<(), Error> {
        let ours = &self.shape().layers;
        let same = ours.len() == model.layers().len()
            && ours
                .iter()
                .zip(model.layers())
                .all(|(a, b)| a.inputs as usize == b.inputs() && a.outputs as usize == b.outputs());
        if same {
            Ok(())
        } else {
            Err(Error::usage(
                "the float model has not the shape of the quantised one",
            ))
        }
    }

    /// Adds the number of results that saturation has changed, layer by layer.
    fn count_saturated(&self, trace: &Registers<Vec<i64>>, counts: &mut [usize]) {
        // One affine operation to a layer, which is requantised, or is the output of the last.
        let requantised = self.whole().operations().iter().enumerate();
        let requantised = requantised.filter_map(|(at, operation)| match operation {
            Operation::Requantize(r) => Some((Register::result_of(at), r.input)),
            _ => None,
        });
        for ((layer, count), (q, y)) in self.shape().layers.iter().zip(counts).zip(requantised) {
            let (shift, rounding) = (self.shape().shift, self.rounding());
            let relu = layer.activation == Activation::Relu;
            *count += trace[y]
                .iter()
                .zip(&trace[q])
                .filter(|(y, q)| {
                    let exact = (i128::from(**y) + rounding) >> shift;
                    // A ReLU turns what was cut at the lower end to zero in any case.
                    exact != i128::from(**q) && !(relu && exact < 0)
                })
                .count();
        }
    }

    /// What is added to a sum before it is shifted.
    fn rounding(&self) -> i128 {
        match self.shape().shift {
            0 => 0,
            shift => 1 << (shift - 1),
        }
    }

    fn layer_report(&self, model: &Model, index: usize, saturation: f64) -> LayerReport {
        let layer = &model.layers()[index];
        let map = &self.bank().maps()[index];
        let reach = 1i128 << (self.shape().width - 1);
        let sum = (0..map.rows())
            .map(|i| map.reach(i, true, reach))
            .max()
            .unwrap_or(0)
            + self.rounding();
        let weights = (0..map.rows()).flat_map(|i| map.row(i).weights());
        let scale = self.scales().map(|s| s[index]);
        LayerReport {
            inputs: layer.inputs(),
            outputs: layer.outputs(),
            activation: layer.activation().name().to_owned(),
            scale: scale.map(|s| s.scale),
            enlarged: scale.map_or(1.0, |s| s.enlarged),
            max_weight: weights.map(|w| w.unsigned_abs()).max().unwrap_or(0),
            // The least B with sum < 2^(B-1).
            sum_bits: 1 + (i128::BITS - sum.leading_zeros()),
            saturation,
        }
    }
}

/// Shares of samples for which two networks give the label, one of so many.
pub(crate) fn count_right<'a, S, L>(
    samples: &'a S,
    labels: &[L],
    classes: usize,
    float: impl Fn(ArrayView1<'a, f32>) -> Result<usize, Error>,
    integer: impl Fn(ArrayView1<'a, f32>) -> Result<usize, Error>,
) -> Result<Accuracy, Error>
where
    S: Samples + ?Sized,
    L: Copy + Into<usize>,
{
    let count = samples.count();
    if labels.len() != count {
        return Err(Reason::Shape {
            what: "number of labels",
            expected: count,
            got: labels.len(),
        }
        .into());
    }
    let mut right = [0usize; 2];
    for (index, label) in labels.iter().enumerate() {
        let label: usize = (*label).into();
        if label >= classes {
            return Err(Reason::Range {
                what: "label",
                got: label as i128,
                least: 0,
                most: classes as i128 - 1,
            }
            .into());
        }
        let sample = samples.sample(index);
        right[0] += usize::from(float(sample)? == label);
        right[1] += usize::from(integer(sample)? == label);
    }
    let [float, integer] = right.map(|n| n as f64 / count as f64);
    Ok(Accuracy {
        float,
        integer,
        samples: count,
    })
}

/// Index of the largest value, of equal ones the first.
pub(crate) fn top1<T: PartialOrd + Copy>(values: impl Iterator<Item = T>) -> usize {
    let mut best: Option<(usize, T)> = None;
    for (index, value) in values.enumerate() {
        if best.is_none_or(|(_, b)| value > b) {
            best = Some((index, value));
        }
    }
    best.map_or(0, |(index, _)| index)
}

impl fmt::Display for QuantizationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |x: Option<f64>| {
            x.map_or_else(
                || "the output is constant".to_owned(),
                |x| format!("{:.3} % of the range", 100.0 * x),
            )
        };
        writeln!(
            f,
            "{} samples, top-1 agreement {:.2} %",
            self.samples,
            100.0 * self.top1_agreement
        )?;
        writeln!(
            f,
            "output error: largest {:.4e} ({}), mean {:.4e} ({})",
            self.max_error,
            percent(self.relative_max_error()),
            self.mean_error,
            percent(self.relative_mean_error()),
        )?;
        writeln!(
            f,
            "{}-bit activations, shift {}, {}-bit accumulators; inputs saturated {:.3} %",
            self.activation_bits,
            self.shift,
            self.accumulator_bits,
            100.0 * self.input_saturation
        )?;
        write!(
            f,
            "{:>5}  {:>15}  {:<10}  {:>10}  {:>8}  {:>8}  {:>8}  {:>9}",
            "layer",
            "shape",
            "activation",
            "scale",
            "enlarged",
            "|weight|",
            "sum bits",
            "saturated"
        )?;
        for (index, layer) in self.layers.iter().enumerate() {
            let shape = format!("{} → {}", layer.inputs, layer.outputs);
            let scale = layer
                .scale
                .map_or_else(|| "-".to_owned(), |s| format!("{s:.3e}"));
            let enlarged = if layer.enlarged > 1.0 {
                format!("×{:.2}", layer.enlarged)
            } else {
                "-".to_owned()
            };
            write!(
                f,
                "\n{index:>5}  {shape:>15}  {:<10}  {scale:>10}  {enlarged:>8}  {:>8}  {:>8}  {:>7.3} %",
                layer.activation,
                layer.max_weight,
                layer.sum_bits,
                100.0 * layer.saturation
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use ndarray::{Array1, Array2, arr1, arr2};

    use super::*;
    use crate::{
        error::ErrorKind,
        program::{AffineMap, LayerShape, NetworkShape, WeightBank},
        quant::Precision,
    };

    /// `(x, y) ↦ (relu(x), relu(y))`, scale 1 throughout.
    fn relus() -> (Model, QuantizedModel) {
        let model = Model::builder([2])
            .dense(Array2::eye(2), Array1::zeros(2))
            .relu()
            .dense(Array2::eye(2), Array1::zeros(2))
            .build()
            .unwrap();
        let samples = arr2(&[[127.0, 127.0]]);
        let quantized = model
            .quantize(&samples, Precision::default().shift(8))
            .unwrap();
        (model, quantized)
    }

    #[test]
    fn largest_is_the_first() {
        assert_eq!(top1([1, 3, 3, 2].iter()), 1);
        assert_eq!(top1([-1.0, -2.0].iter()), 0);
        assert_eq!(top1([5].iter()), 0);
    }

    #[test]
    fn exact_integers() {
        let (model, quantized) = relus();
        let samples = arr2(&[[100.0, 3.0], [-5.0, 7.0]]);
        let report = quantized.report(&model, &samples).unwrap();
        assert_eq!(report.samples, 2);
        assert_eq!(report.top1_agreement, 1.0);
        assert_eq!((report.max_error, report.mean_error), (0.0, 0.0));
        assert_eq!(report.output_range, 100.0);
        assert_eq!(report.relative_max_error(), Some(0.0));
        assert_eq!(report.input_saturation, 0.0);
        let layer = &report.layers[0];
        assert_eq!((layer.inputs, layer.outputs), (2, 2));
        assert_eq!(layer.activation, "relu");
        assert_eq!((layer.scale, layer.enlarged), (Some(1.0), 1.0));
        // 256·128 = 2^15, and the rounding 2^7: 17 bits with the sign.
        assert_eq!((layer.max_weight, layer.sum_bits), (256, 17));
        assert_eq!(layer.saturation, 0.0);
    }

    #[test]
    fn errors_and_saturation() {
        let (model, quantized) = relus();
        // Inputs cut at 127 and -128, the first of which shows.
        let samples = [arr1(&[227.0, -300.0]), arr1(&[1.25, 2.0])];
        let report = quantized.report(&model, &samples).unwrap();
        assert_eq!(report.input_saturation, 0.5);
        assert_eq!(report.max_error, 100.0);
        assert_eq!(report.mean_error, 100.25 / 4.0);
        assert_eq!(report.relative_max_error(), Some(100.0 / 227.0));
        assert_eq!(report.top1_agreement, 1.0);
    }

    #[test]
    fn hidden_saturation_is_counted_where_it_shows() {
        // Twice the input, with a range measured on half of what inputs can be.
        let hidden = |relu: bool| {
            let builder = Model::builder([1]).dense(arr2(&[[2.0]]), arr1(&[0.0]));
            let builder = if relu { builder.relu() } else { builder };
            let model = builder.dense(arr2(&[[1.0]]), arr1(&[0.0])).build().unwrap();
            let shape = model.network_shape(Precision::default()).unwrap();
            let one = 1 << shape.shift;
            let bank = WeightBank::new(vec![
                AffineMap::new(1, vec![2 * one], vec![0]).unwrap(),
                AffineMap::new(1, vec![one], vec![0]).unwrap(),
            ])
            .unwrap();
            let scale = f64::from(one).recip();
            let quantized = QuantizedModel::from_integers(shape, bank, 1.0, scale).unwrap();
            let samples = arr2(&[[63.0], [64.0], [-64.0], [-65.0]]);
            let report = quantized.report(&model, &samples).unwrap();
            assert_eq!(report.layers[0].scale, None);
            assert_eq!(report.layers[1].saturation, 0.0);
            (report.layers[0].saturation, report.max_error)
        };
        assert_eq!(hidden(true), (0.25, 1.0));
        assert_eq!(hidden(false), (0.5, 2.0));
    }

    #[test]
    fn integers_without_a_shift() {
        let layer = LayerShape {
            inputs: 1,
            outputs: 1,
            activation: Activation::Relu,
        };
        let shape = NetworkShape {
            reads: Vec::new(),
            layers: vec![layer],
            tables: vec![],
            width: 8,
            bits: 12,
            shift: 0,
        };
        let bank = WeightBank::new(vec![AffineMap::new(1, vec![2], vec![0]).unwrap()]).unwrap();
        let quantized = QuantizedModel::from_integers(shape, bank, 1.0, 1.0).unwrap();
        let model = Model::builder([1]).dense(arr2(&[[2.0]]), arr1(&[0.0]));
        let model = model.relu().build().unwrap();
        let report = quantized.report(&model, &arr2(&[[10.0], [100.0]])).unwrap();
        assert_eq!(report.layers[0].sum_bits, 10);
        assert_eq!((report.max_error, report.layers[0].saturation), (73.0, 0.5));
    }

    #[test]
    fn accuracy() {
        let (model, quantized) = relus();
        // Equal once rounded, and the first of equal ones counts.
        let samples = arr2(&[[10.0, 1.0], [1.1, 1.2], [3.0, 5.0]]);
        let accuracy = quantized.accuracy(&model, &samples, &[0u8, 1, 0]).unwrap();
        assert_eq!(accuracy.samples, 3);
        assert_eq!(accuracy.float, 2.0 / 3.0);
        assert_eq!(accuracy.integer, 1.0 / 3.0);
        let report = quantized.report(&model, &samples).unwrap();
        assert_eq!(report.top1_agreement, 2.0 / 3.0);
    }

    #[test]
    fn arguments_are_checked() {
        let (model, quantized) = relus();
        let samples = arr2(&[[1.0, 2.0]]);
        let fails = |result: Result<(), Error>, kind, message| {
            let error = result.unwrap_err();
            assert_eq!(error.to_string(), message);
            assert_eq!(error.kind(), kind);
        };
        let accuracy = |labels: &[usize]| quantized.accuracy(&model, &samples, labels).map(|_| ());
        fails(
            accuracy(&[]),
            ErrorKind::Input,
            "number of labels: expected 1, got 0",
        );
        fails(
            accuracy(&[2]),
            ErrorKind::Input,
            "label: 2 is outside 0..=1",
        );
        let none = Array2::<f32>::zeros((0, 2));
        let bad = arr2(&[[0.0, 0.0], [f32::NAN, 0.0]]);
        for (samples, message) in [
            (none, "set of samples is empty"),
            (
                bad,
                "an entry of a sample is not a finite number (at index 1)",
            ),
            (
                Array2::zeros((1, 3)),
                "length of a sample: expected 2, got 3",
            ),
        ] {
            let labels = vec![0usize; samples.nrows()];
            let result = quantized.report(&model, &samples).map(|_| ());
            fails(result, ErrorKind::Input, message);
            let result = quantized.accuracy(&model, &samples, &labels).map(|_| ());
            fails(result, ErrorKind::Input, message);
        }
        let other = Model::builder([2]).dense(Array2::eye(2), Array1::zeros(2));
        let other = other.build().unwrap();
        let message = "the float model has not the shape of the quantised one";
        let result = quantized.report(&other, &samples).map(|_| ());
        fails(result, ErrorKind::Usage, message);
        let result = quantized.accuracy(&other, &samples, &[0usize]).map(|_| ());
        fails(result, ErrorKind::Usage, message);
    }

    #[test]
    fn text_and_json() {
        let (model, quantized) = relus();
        let samples = arr2(&[[127.0, 0.0], [0.25, 127.0]]);
        let report = quantized.report(&model, &samples).unwrap();
        expect_test::expect![[r#"
            2 samples, top-1 agreement 100.00 %
            output error: largest 2.5000e-1 (0.197 % of the range), mean 6.2500e-2 (0.049 % of the range)
            8-bit activations, shift 8, 19-bit accumulators; inputs saturated 0.000 %
            layer            shape  activation       scale  enlarged  |weight|  sum bits  saturated
                0            2 → 2  relu           1.000e0         -       256        17    0.000 %
                1            2 → 2  identity       1.000e0         -       256        17    0.000 %"#]]
        .assert_eq(&report.to_string());
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["samples"], 2);
        assert_eq!(json["layers"][0]["activation"], "relu");
        assert_eq!(json["layers"][1]["sum_bits"], 17);
        let constant = quantized.report(&model, &arr2(&[[0.0, 0.0]])).unwrap();
        assert_eq!(constant.relative_max_error(), None);
        assert!(constant.to_string().contains("the output is constant"));
    }
}
