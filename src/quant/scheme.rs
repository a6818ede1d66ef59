//! Scales and integers of every layer.

use super::{
    Precision, QuantizedModel, Samples,
    calibration::Ranges,
    fit::{Fit, Grid, LayerScale, exp2, scale_of},
    precision::Formats,
    table::{ScaledTable, TABLE_BITS, tabulate},
};
use crate::{
    error::{Error, Reason},
    model::{ActivationFunction, Layer, Model},
    program::{Activation, AffineMap, LayerShape, NetworkShape, Table, WeightBank},
};

/// Shapes and tables of dense layers.
pub(super) struct Plan {
    formats: Formats,
    pub(super) layers: Vec<LayerShape>,
    pub(super) tables: Vec<Table>,
    /// Of each layer.
    scaled: Vec<Option<ScaledTable>>,
    /// Index of the first layer, in errors.
    first: usize,
}

impl Plan {
    /// The plan of layers that follow `first` others.
    pub(super) fn new(layers: &[Layer], first: usize, formats: Formats) -> Result<Self, Error> {
        let mut plan = Self {
            formats,
            layers: Vec::new(),
            tables: Vec::new(),
            scaled: Vec::new(),
            first,
        };
        for (index, layer) in layers.iter().enumerate() {
            let scaled = tabulate(layer.activation());
            let activation = match (&scaled, layer.activation()) {
                (Some(_), _) if formats.width != TABLE_BITS => {
                    return Err(Reason::Layer {
                        layer: first + index,
                        problem: "its activation is a table, which needs 8 activation bits",
                    }
                    .into());
                }
                (Some(scaled), _) => Activation::Table(plan.intern(&scaled.table)),
                (None, ActivationFunction::Relu) => Activation::Relu,
                (None, _) => Activation::Identity,
            };
            plan.scaled.push(scaled);
            plan.layers.push(LayerShape {
                inputs: dimension(layer.inputs())?,
                outputs: dimension(layer.outputs())?,
                activation,
            });
        }
        Ok(plan)
    }

    /// Index of a table; equal ones are stored once.
    fn intern(&mut self, table: &Table) -> u32 {
        let index = self.tables.iter().position(|t| t == table);
        let index = index.unwrap_or_else(|| {
            self.tables.push(table.clone());
            self.tables.len() - 1
        });
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// Adds the maps of the layers, whose inputs are on the grid `input`, to `maps`; `sums` and
    /// `results` are the largest absolute values of each layer's.
    pub(super) fn fit(
        &self,
        layers: &[Layer],
        sums: &[f64],
        results: &[f64],
        mut input: Grid,
        maps: &mut Vec<AffineMap>,
    ) -> Result<FittedLayers, Error> {
        let full = self.formats.reach() - 1.0;
        let mut scales = Vec::with_capacity(layers.len());
        for (index, layer) in layers.iter().enumerate() {
            let fit = Fit::new(self.first + index, self.formats, layer.outputs())
                .columns(layer.weight(), input)
                .bias(layer.bias());
            let scale = match &self.scaled[index] {
                Some(table) => {
                    input = Grid::nearest(table.output_scale);
                    fit.at_fixed_scale(table.input_scale)?
                }
                None => {
                    // A ReLU that never fired has no range of its own: that of its sums is safe.
                    let calibrated = scale_of(&[results[index], sums[index]], full);
                    let scale = fit.enlarging(calibrated)?;
                    input = Grid::nearest(scale.scale);
                    scale
                }
            };
            maps.push(fit.map(scale.scale)?);
            scales.push(scale);
        }
        let raw = self
            .layers
            .last()
            .is_some_and(|l| l.activation == Activation::Identity);
        let output_scale = if raw {
            input.unit / exp2(self.formats.shift)
        } else {
            input.unit
        };
        Ok(FittedLayers {
            scales,
            output_scale,
        })
    }
}

/// What is known of dense layers once they are integers.
pub(super) struct FittedLayers {
    pub(super) scales: Vec<LayerScale>,
    /// Real value of one unit of the last layer's results; of the inputs if there is no layer.
    pub(super) output_scale: f64,
}

pub(super) fn dimension(n: usize) -> Result<u32, Error> {
    u32::try_from(n).map_err(|_| {
        Reason::Range {
            what: "width of a layer",
            got: n as i128,
            least: 1,
            most: u32::MAX.into(),
        }
        .into()
    })
}

fn plan(model: &Model, precision: Precision) -> Result<Plan, Error> {
    let inputs = model.layers().iter().map(Layer::inputs).max().unwrap_or(1);
    let tables = model.layers().iter().any(|l| {
        !matches!(
            l.activation(),
            ActivationFunction::Identity | ActivationFunction::Relu
        )
    });
    Plan::new(model.layers(), 0, precision.formats(inputs, tables)?)
}

fn network(plan: Plan) -> NetworkShape {
    NetworkShape {
        reads: Vec::new(),
        layers: plan.layers,
        tables: plan.tables,
        width: plan.formats.width,
        bits: plan.formats.bits,
        shift: plan.formats.shift,
    }
}

pub(super) fn shape(model: &Model, precision: Precision) -> Result<NetworkShape, Error> {
    Ok(network(plan(model, precision)?))
}

pub(super) fn quantize<S: Samples + ?Sized>(
    model: &Model,
    calibration: &S,
    precision: Precision,
) -> Result<QuantizedModel, Error> {
    let plan = plan(model, precision)?;
    let ranges = Ranges::measure(model, calibration)?;
    let input_scale = scale_of(&[ranges.input], plan.formats.reach() - 1.0);
    let mut maps = Vec::with_capacity(plan.layers.len());
    let fitted = plan.fit(
        model.layers(),
        &ranges.sums,
        &ranges.results,
        Grid::nearest(input_scale),
        &mut maps,
    )?;
    QuantizedModel::new(
        network(plan),
        WeightBank::new(maps)?,
        input_scale,
        fitted.output_scale,
        Some(fitted.scales),
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use ndarray::{Array1, Array2, arr1, arr2};

    use super::*;
    use crate::{error::ErrorKind, model::ModelBuilder};

    fn fails<T>(result: Result<T, Error>, kind: ErrorKind, message: &str) {
        let error = result.map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.kind(), kind);
    }

    /// One dense layer that maps `x` to `weight·x`, without bias.
    fn one(weight: Array2<f32>) -> ModelBuilder {
        let outputs = weight.nrows();
        Model::builder([weight.ncols()]).dense(weight, Array1::zeros(outputs))
    }

    #[test]
    fn integers_by_hand() {
        // Input scale 1, hidden range 254, so scale 2; output range 127, so scale 1; s = 4.
        let model = Model::builder([2])
            .dense(arr2(&[[2.0, 0.0], [0.0, -1.0]]), arr1(&[0.0, 100.0]))
            .relu()
            .dense(arr2(&[[0.5, -0.25]]), arr1(&[0.0]))
            .build()
            .unwrap();
        let calibration = arr2(&[[127.0, 100.0]]);
        let precision = Precision::default().shift(4).headroom(4);
        let q = model.quantize(&calibration, precision).unwrap();
        assert_eq!(
            (q.shape().width, q.shape().shift, q.shape().bits),
            (8, 4, 16)
        );
        let maps = q.bank().maps();
        // 2·(1/2)·16 = 16, 1·(1/2)·16 = 8, 100/2·16 = 800
        assert_eq!(
            (&*maps[0].dense_row(0), &*maps[0].dense_row(1)),
            (&[16, 0][..], &[0, -8][..])
        );
        assert_eq!(maps[0].bias(), [0, 800]);
        // 0.5·(2/1)·16 = 16, 0.25·(2/1)·16 = 8
        assert_eq!(*maps[1].dense_row(0), [16, -8]);
        assert_eq!((q.input_scale(), q.output_scale()), (1.0, 1.0 / 16.0));
        // Hidden (16·127/16, 800/16 - 100/2) = (127, 0); output 16·127.
        let y = q.infer(arr1(&[127.0, 100.0]).view()).unwrap();
        assert_eq!(y, arr1(&[127.0]));
    }

    #[test]
    fn hidden_identity_layers_have_the_range_of_their_sums() {
        let model = Model::builder([1])
            .dense(arr2(&[[-2.0]]), arr1(&[0.0]))
            .dense(arr2(&[[1.0]]), arr1(&[0.0]))
            .build()
            .unwrap();
        let q = model
            .quantize(&arr2(&[[127.0]]), Precision::default())
            .unwrap();
        assert_eq!(q.scales().unwrap()[0].scale, 2.0);
        assert_eq!(q.infer(arr1(&[127.0]).view()).unwrap(), arr1(&[-254.0]));
    }

    #[test]
    fn nothing_is_divided_by_zero() {
        let zeros = Model::builder([3])
            .dense(Array2::zeros((2, 3)), Array1::zeros(2))
            .relu()
            .dense(Array2::zeros((1, 2)), Array1::zeros(1))
            .build()
            .unwrap();
        let q = zeros
            .quantize(&Array2::zeros((1, 3)), Precision::default())
            .unwrap();
        assert_eq!(q.input_scale(), 1.0);
        assert!(q.scales().unwrap().iter().all(|s| s.scale == 1.0));
        let y = q.infer(arr1(&[1.0, -1.0, 1e30]).view()).unwrap();
        assert_eq!(y, arr1(&[0.0]));
    }

    #[test]
    fn a_relu_that_never_fired_has_the_range_of_its_sums() {
        let model = one(arr2(&[[-2.0]])).relu().build().unwrap();
        let q = model
            .quantize(&arr2(&[[127.0]]), Precision::default())
            .unwrap();
        assert_eq!(q.scales().unwrap()[0].scale, 2.0);
        assert_eq!(q.infer(arr1(&[-100.0]).view()).unwrap(), arr1(&[200.0]));
    }

    #[test]
    fn an_activation_at_the_end_gives_activations() {
        let model = one(arr2(&[[1.0]])).relu().build().unwrap();
        let q = model
            .quantize(&arr2(&[[254.0]]), Precision::default())
            .unwrap();
        assert_eq!(q.output_scale(), 2.0);
        assert_eq!(q.infer(arr1(&[100.0]).view()).unwrap(), arr1(&[100.0]));
        let model = one(arr2(&[[1.0]])).sigmoid().build().unwrap();
        let q = model
            .quantize(&arr2(&[[8.0]]), Precision::default())
            .unwrap();
        assert_eq!(q.output_scale(), 1.0 / 128.0);
        assert_eq!(q.infer(arr1(&[0.0]).view()).unwrap(), arr1(&[0.5]));
    }

    #[test]
    fn scales_are_enlarged_until_the_sums_fit() {
        // The terms cancel in calibration, but need not elsewhere.
        let model = one(arr2(&[[10.0, -10.0]])).build().unwrap();
        let samples = arr2(&[[1.0, 0.9]]);
        let q = model
            .quantize(&samples, Precision::default().shift(7).headroom(1))
            .unwrap();
        let scale = q.scales().unwrap()[0];
        assert!(scale.enlarged > 1.0);
        assert!((scale.scale / (1.0 / 127.0) - scale.enlarged).abs() < 1e-4);
        let limit = q.bank().maps()[0].reach(0, true, 128);
        // As large as possible, up to one step of the integers.
        assert!(limit < 1 << 15 && limit + 4 * 128 > 1 << 15, "{limit}");
        // Not the sums of the model are changed, only their resolution.
        let y = q.infer(arr1(&[1.0, -1.0]).view()).unwrap()[0];
        assert!((y - 20.0).abs() < 0.4, "{y}");
    }

    #[test]
    fn scales_are_enlarged_until_weights_have_16_bits() {
        let model = one(arr2(&[[1.0, 0.001]])).build().unwrap();
        let precision = Precision::default().shift(6).accumulator_bits(40);
        // The first input is 0 in calibration: the second, a thousand times smaller, sets the scale.
        let q = model.quantize(&arr2(&[[0.0, 1.0]]), precision).unwrap();
        assert!(q.scales().unwrap()[0].enlarged > 1.9);
        let largest = q.bank().maps()[0].dense_row(0)[0];
        assert!((32_600..=32_767).contains(&largest), "{largest}");
    }

    #[test]
    fn an_accumulator_that_is_far_too_small() {
        let model = one(arr2(&[[1.0, -1.0]])).build().unwrap();
        let precision = Precision::default().shift(1).accumulator_bits(3);
        fails(
            model.quantize(&arr2(&[[1.0, 0.0]]), precision),
            ErrorKind::Unsupported,
            "layer 0: its sums fit the accumulator only if all weights are rounded to zero: ask for more bits with `Precision::accumulator_bits`",
        );
    }

    #[test]
    fn values_too_small_to_be_scaled() {
        let tiny = f32::from_bits(1);
        let mut builder = Model::builder([1]);
        for _ in 0..6 {
            builder = builder.dense(arr2(&[[1e38]]), arr1(&[0.0]));
        }
        // The scale of the inputs is about 1e264, that of the sums 1e-47.
        let model = builder
            .dense(arr2(&[[0.0]]), arr1(&[tiny]))
            .dense(arr2(&[[tiny]]), arr1(&[0.0]))
            .build()
            .unwrap();
        let result = model.quantize(&arr2(&[[1e38]]), Precision::default());
        fails(
            result,
            ErrorKind::Unsupported,
            "layer 6: its values in calibration are too small to be scaled",
        );
    }

    #[test]
    fn standard_scales_do_not_depend_on_the_model() {
        let shape = |factor: f32| {
            let model = Model::builder([2])
                .dense(arr2(&[[factor, 1.0], [-1.0, 0.5]]), arr1(&[0.0, factor]))
                .sigmoid()
                .dense(arr2(&[[1.0, factor]]), arr1(&[0.0]))
                .tanh()
                .dense(arr2(&[[factor]]), arr1(&[0.0]))
                .sigmoid()
                .build()
                .unwrap();
            let samples = arr2(&[[factor, 1.0]]);
            let q = model.quantize(&samples, Precision::default()).unwrap();
            assert_eq!(
                *q.shape(),
                model.network_shape(Precision::default()).unwrap()
            );
            q.program().unwrap()
        };
        assert_eq!(shape(0.1).digest(), shape(3.0).digest());
        let tables = shape(1.0).to_bytes();
        // Two tables of 256 values, not three.
        assert!((512..1200).contains(&tables.len()), "{}", tables.len());
    }

    #[test]
    fn a_table_layer_that_does_not_fit_says_what_it_needs() {
        let model = one(Array2::from_elem((1, 16), 10.0))
            .sigmoid()
            .build()
            .unwrap();
        let samples = Array2::from_elem((1, 16), 1.0);
        let precision = Precision::default().shift(8);
        fails(
            model.quantize(&samples, precision.headroom(4)),
            ErrorKind::Unsupported,
            "layer 0: its sums need an accumulator of 21 bits at the fixed scale of its activation, it has 20: ask for more with `Precision::accumulator_bits`",
        );
        for bits in 20..24 {
            let precision = precision.accumulator_bits(bits);
            assert_eq!(model.quantize(&samples, precision).is_ok(), bits >= 21);
        }
        let model = one(arr2(&[[1e5]])).tanh().build().unwrap();
        fails(
            model.quantize(&arr2(&[[1.0]]), Precision::default()),
            ErrorKind::Unsupported,
            "layer 0: a weight leaves 16 bits at the fixed scale of its activation: ask for a smaller `Precision::shift`",
        );
    }

    #[test]
    fn tables_need_8_bits() {
        let model = one(arr2(&[[1.0]])).relu();
        let model = model
            .dense(arr2(&[[1.0]]), arr1(&[0.0]))
            .tanh()
            .build()
            .unwrap();
        for bits in [7, 9] {
            let precision = Precision::default().activation_bits(bits);
            fails(
                model.quantize(&arr2(&[[1.0]]), precision),
                ErrorKind::Unsupported,
                "layer 1: its activation is a table, which needs 8 activation bits",
            );
            assert!(model.network_shape(precision).is_err());
        }
    }

    #[test]
    fn samples_and_precision_are_checked() {
        let model = one(arr2(&[[1.0, 1.0]])).build().unwrap();
        fails(
            model.quantize(&Array2::<f32>::zeros((0, 2)), Precision::default()),
            ErrorKind::Input,
            "set of samples is empty",
        );
        fails(
            model.quantize(&arr2(&[[1.0, 1.0]]), Precision::default().shift(0)),
            ErrorKind::Input,
            "shift: 0 is outside 1..=38",
        );
    }
}
