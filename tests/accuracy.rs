//! Integers against floats: widths that follow from a stage's own sums, standard programs, recurrent
//! layers, files.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use layerfold::{
    Network, NetworkBuilder, Precision, Quantized,
    network::{Conv, Function, GruReset, RecurrentWeights, RnnActivation, Samples, Sequential},
};
use ndarray::{Array, Array1, Array2, ArrayD, ArrayView1, IxDyn, arr1, arr2};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Draws from the standard normal distribution.
struct Normal(ChaCha8Rng);

impl Normal {
    fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    fn draw(&mut self) -> f32 {
        let (u, v): (f64, f64) = (self.0.gen_range(1e-12..1.0), self.0.gen_range(0.0..1.0));
        ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
    }

    fn matrix(&mut self, rows: usize, columns: usize) -> Array2<f32> {
        // He's deviation.
        let deviation = (2.0 / columns as f32).sqrt();
        Array2::from_shape_fn((rows, columns), |_| deviation * self.draw())
    }

    fn samples(&mut self, count: usize, len: usize) -> Array2<f32> {
        Array2::from_shape_fn((count, len), |_| self.draw())
    }
}

/// The largest difference of outputs, relative to their range.
fn error<S: Samples + ?Sized>(network: &Network, quantized: &Quantized, samples: &S) -> f64 {
    let report = quantized.report(network, samples).unwrap();
    report.relative_max_error().unwrap()
}

/// Rounded to 8 bits by the largest absolute value of a tensor.
fn rounded(values: &mut [f32]) {
    let unit = values.iter().fold(0f32, |m, v| m.max(v.abs())) / 127.0;
    values
        .iter_mut()
        .for_each(|v| *v = (*v / unit).round() * unit);
}

/// Weights of both layers, an input, and the units of input and hidden values.
type Layers<'a> = dyn Fn(&[f32], &[f32], ArrayView1<'_, f32>, f32, f32) -> Array1<f32> + 'a;

/// Two layers as an 8-bit library would have them: weights rounded by tensor, inputs and hidden values by
/// their largest in calibration, exact sums.
fn naive(
    layers: &Layers<'_>,
    weights: (&[f32], &[f32]),
    samples: &Array2<f32>,
    hidden: f32,
) -> Vec<Array1<f32>> {
    let (mut first, mut second) = (weights.0.to_vec(), weights.1.to_vec());
    rounded(&mut first);
    rounded(&mut second);
    let input = samples.iter().fold(0f32, |m, v| m.max(v.abs())) / 127.0;
    let rows = samples.rows().into_iter();
    rows.map(|x| layers(&first, &second, x, input, hidden / 127.0))
        .collect()
}

/// Both networks had an output layer that was crushed by the widths of the hidden one.
#[test]
fn wide_output_layers_are_as_good_as_naive_8_bits() {
    for seed in 0..2 {
        let mut normal = Normal::new(seed);
        let (a, b) = (normal.matrix(2000, 4), normal.matrix(10, 2000));
        let network = Network::sequential([4])
            .dense(&a, Array1::zeros(2000))
            .relu()
            .dense(&b, Array1::zeros(10))
            .build()
            .unwrap();
        let samples = normal.samples(200, 4);
        let quantized = network.quantize(&samples, &Precision::default()).unwrap();
        let ours = error(&network, &quantized, &samples);
        let hidden = samples.dot(&a.t()).iter().fold(0f32, |m, v| m.max(*v));
        let round = |x: &f32, unit: f32| (x / unit).round().clamp(-128.0, 127.0) * unit;
        let layers = |first: &[f32], second: &[f32], x: ArrayView1<'_, f32>, input, hidden| {
            let x = x.map(|v| round(v, input));
            let first = Array2::from_shape_vec((2000, 4), first.to_vec()).unwrap();
            let second = Array2::from_shape_vec((10, 2000), second.to_vec()).unwrap();
            second.dot(&first.dot(&x).map(|v| round(&v.max(0.0), hidden)))
        };
        let weights = (a.as_slice().unwrap(), b.as_slice().unwrap());
        let theirs = naive(&layers, weights, &samples, hidden);
        let (mut most, mut least, mut far) = (f32::MIN, f32::MAX, 0f32);
        for (x, y) in samples.rows().into_iter().zip(&theirs) {
            let float = network.infer(x).unwrap();
            for (f, y) in float.iter().zip(y) {
                (most, least, far) = (most.max(*f), least.min(*f), far.max((f - y).abs()));
            }
        }
        let theirs = f64::from(far / (most - least));
        assert!(ours < theirs + 0.01, "{ours} {theirs}");
        assert!(ours < 0.01, "{ours}");
    }
    // A convolution, and 1568 values to 100.
    let mut normal = Normal::new(7);
    let kernel = Array::from_shape_fn(IxDyn(&[8, 1, 3, 3]), |_| 0.5 * normal.draw());
    let conv = Conv {
        pads: vec![(1, 1); 2],
        strides: vec![2, 2],
        ..Conv::default()
    };
    let network = Network::sequential([1, 28, 28])
        .conv(kernel.view(), Array1::zeros(8), &conv)
        .relu()
        .dense(normal.matrix(100, 1568), Array1::zeros(100))
        .build()
        .unwrap();
    let samples = normal.samples(30, 784);
    let quantized = network.quantize(&samples, &Precision::default()).unwrap();
    let report = quantized.report(&network, &samples).unwrap();
    assert!(report.relative_max_error().unwrap() < 0.014, "{report}");
    let output = report.stages.last().unwrap();
    assert_eq!(output.operation, "output");
    // Its weights have their levels.
    assert!(output.max_weight.unwrap() > 200, "{report}");
}

#[derive(Clone, Copy, Debug)]
enum Layer {
    Rnn(RnnActivation),
    Gru(GruReset),
    Lstm,
}

const LAYERS: [Layer; 5] = [
    Layer::Rnn(RnnActivation::Relu),
    Layer::Rnn(RnnActivation::Tanh),
    Layer::Gru(GruReset::After),
    Layer::Gru(GruReset::Before),
    Layer::Lstm,
];

impl Layer {
    fn add(self, chain: Sequential, rng: &mut ChaCha8Rng, inputs: usize, n: usize) -> Sequential {
        let (gates, bound) = match self {
            Self::Rnn(_) => (1, 0.15),
            Self::Gru(_) => (3, 0.35),
            Self::Lstm => (4, 0.35),
        };
        let mut random = |rows: usize, columns: usize| {
            Array2::from_shape_fn((rows, columns), |_| rng.gen_range(-bound..bound))
        };
        let weights = RecurrentWeights {
            input: random(gates * n, inputs),
            hidden: random(gates * n, n),
            input_bias: random(1, gates * n).row(0).to_owned(),
            hidden_bias: random(1, gates * n).row(0).to_owned(),
        };
        match self {
            Self::Rnn(activation) => chain.rnn(&weights, activation),
            Self::Gru(reset) => chain.gru(&weights, reset),
            Self::Lstm => chain.lstm(&weights),
        }
    }
}

fn sequences(rng: &mut ChaCha8Rng, count: usize, frames: usize) -> Vec<Array2<f32>> {
    let mut wave =
        |t: usize, i: usize| (t as f32 * 0.07 * (i + 1) as f32).sin() + rng.gen_range(-0.5..0.5f32);
    (0..count)
        .map(|_| Array2::from_shape_fn((frames, 6), |(t, i)| wave(t, i)))
        .collect()
}

/// Two layers of 16 and 8 units, and a dense one.
fn stacked(layer: Layer, seed: u64) -> (Network, Vec<Array2<f32>>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let chain = layer.add(Network::sequential([6]), &mut rng, 6, 16);
    let chain = layer.add(chain, &mut rng, 16, 8);
    let head = Array2::from_shape_fn((3, 8), |_| rng.gen_range(-0.5..0.5));
    let network = chain.dense(head, Array1::zeros(3)).build().unwrap();
    (network, sequences(&mut rng, 6, 80))
}

#[test]
fn recurrent_layers_stay_close_over_long_sequences() {
    for layer in LAYERS {
        let (network, calibration) = stacked(layer, 3);
        // Much longer than those of calibration.
        let long = sequences(&mut ChaCha8Rng::seed_from_u64(9), 2, 600);
        let of = |precision: Precision| {
            let quantized = network.quantize(&calibration, &precision).unwrap();
            let report = quantized.report(&network, &long).unwrap();
            (report.relative_max_error().unwrap(), report)
        };
        let (coarse, report) = of(Precision::default());
        assert!(coarse < 0.06, "{layer:?}: {report}");
        // Errors of states do not grow.
        for state in &report.states {
            let (_, last) = state.after[state.after.len() - 1];
            assert!(last < 0.03 * state.range, "{layer:?}: {report}");
        }
        let (standard, report) = of(Precision::standard());
        assert!(standard < 0.12, "{layer:?}: {report}");
        let (fine, report) = of(Precision::default().activation_bits(12));
        assert!(fine < 0.01 && fine < coarse, "{layer:?}: {report}");
        let (reached, _) = of(Precision::default().target_error(0.01));
        assert!(reached < 0.02, "{layer:?}: {reached}");
    }
}

#[test]
fn many_to_one_is_the_last_of_many_to_many() {
    for layer in LAYERS {
        let build = |last: bool| {
            let mut rng = ChaCha8Rng::seed_from_u64(5);
            let chain = layer.add(Network::sequential([6]), &mut rng, 6, 5);
            let head = Array2::from_shape_fn((2, 5), |_| rng.gen_range(-0.5..0.5));
            let chain = chain.dense(head, Array1::zeros(2)).sigmoid();
            match last {
                true => chain.build_last().unwrap(),
                false => chain.build().unwrap(),
            }
        };
        let samples = sequences(&mut ChaCha8Rng::seed_from_u64(6), 4, 30);
        let [all, last] = [false, true].map(build).map(|network| {
            let quantized = network.quantize(&samples, &Precision::default()).unwrap();
            // The dense layer is done once.
            let head = quantized.program().head().len();
            assert_eq!(head > 0, network.has_last_output_only());
            let restored = Quantized::from_bytes(&quantized.to_bytes().unwrap()).unwrap();
            assert_eq!(restored.program(), quantized.program());
            let y = restored.infer_sequence(samples[0].view()).unwrap();
            assert_eq!(y, quantized.infer_sequence(samples[0].view()).unwrap());
            y
        });
        assert_eq!((all.nrows(), last.nrows()), (30, 1));
        assert_eq!(all.row(29), last.row(0), "{layer:?}");
    }
    // What the head reads of the last frame is carried there.
    let mut g = NetworkBuilder::new([2]);
    let x = g.input();
    let sum = g.state_from(arr1(&[1.0, -1.0]).into_dyn().view()).unwrap();
    let next = g.add(sum, x).unwrap();
    g.carry(sum, next).unwrap();
    let difference = g.sub(next, x).unwrap();
    let y = g.function(difference, Function::Relu).unwrap();
    let network = g.build_last(y).unwrap();
    let samples = vec![arr2(&[[1.0, 2.0], [0.5, 3.0], [1.0, -2.0]])];
    let quantized = network.quantize(&samples, &Precision::default()).unwrap();
    let y = quantized.infer_sequence(samples[0].view()).unwrap();
    assert!(
        (y[[0, 0]] - 2.5).abs() < 0.1 && (y[[0, 1]] - 4.0).abs() < 0.1,
        "{y}"
    );
}

/// The programs of networks of one shape with weights of a seed and a size.
fn programs_are_equal<S: Samples>(build: impl Fn(u64, f32) -> (Network, S)) {
    let of = |seed, size| {
        let (network, samples) = build(seed, size);
        let quantized = network.quantize(&samples, &Precision::standard());
        let quantized = quantized.unwrap_or_else(|e| panic!("{network:?} {seed} {size}: {e}"));
        quantized.program().clone()
    };
    let first = of(1, 0.3);
    for (seed, size) in [(2, 0.3), (3, 1.0), (4, 0.01), (5, 0.0)] {
        assert_eq!(of(seed, size), first, "{seed} {size}");
    }
}

#[test]
fn standard_programs_follow_from_the_shape() {
    let dense = |function: Function| {
        move |seed, size: f32| {
            let mut normal = Normal::new(seed);
            let mut chain = Network::sequential([5]);
            for (rows, columns) in [(7, 5), (7, 7), (3, 7)] {
                let bias = Array1::from_shape_fn(rows, |_| size * normal.draw());
                chain = chain.dense(normal.matrix(rows, columns) * size, bias);
                if rows == 7 {
                    chain = chain.function(function.clone());
                }
            }
            (chain.build().unwrap(), normal.samples(10, 5))
        }
    };
    for function in [
        Function::Relu,
        Function::Sigmoid,
        Function::Tanh,
        Function::Gelu,
        Function::LeakyRelu(0.1),
        Function::Clip {
            least: 0.0,
            most: 6.0,
        },
    ] {
        programs_are_equal(dense(function));
    }
    for layer in LAYERS {
        programs_are_equal(|seed, size| {
            let (network, mut samples) = stacked(layer, seed);
            samples.iter_mut().for_each(|s| *s *= size.max(0.01));
            (network, samples)
        });
    }
    // A convolution of weights that are all zero, or the identity, is a convolution.
    programs_are_equal(|seed, size| {
        let mut normal = Normal::new(seed);
        let kernel = ArrayD::from_shape_fn(IxDyn(&[2, 2, 1, 1]), |i| match seed {
            5 => f32::from(u8::from(i[0] == i[1])),
            _ => size * normal.draw(),
        });
        let chain = Network::sequential([2, 3, 3]);
        let chain = chain.conv(kernel.view(), Array1::zeros(2), &Conv::default());
        let chain = chain.relu().dense(normal.matrix(2, 18), Array1::zeros(2));
        (chain.build().unwrap(), normal.samples(4, 18))
    });
    // Weights that do not fit a table's scale are an error, and no other program.
    let chain = Network::sequential([1]).dense(arr2(&[[1e4]]), Array1::zeros(1));
    let network = chain.sigmoid().build().unwrap();
    assert!(
        network
            .quantize(&arr2(&[[1.0]]), &Precision::standard())
            .is_err()
    );
    assert!(
        network
            .quantize(&arr2(&[[1.0]]), &Precision::default())
            .is_ok()
    );
}

#[test]
fn the_report_says_what_loses_most() {
    let mut normal = Normal::new(3);
    let network = Network::sequential([16])
        .dense(normal.matrix(32, 16), Array1::zeros(32))
        .relu()
        .dense(normal.matrix(32, 32), Array1::zeros(32))
        .relu()
        .dense(normal.matrix(4, 32), Array1::zeros(4))
        .build()
        .unwrap();
    let samples = normal.samples(50, 16);
    let precision = Precision::default().activation_bits(12).stage_bits(1, 4);
    let quantized = network.quantize(&samples, &precision).unwrap();
    assert_eq!(quantized.stage_bits(), [12, 4]);
    let report = quantized.report(&network, &samples).unwrap();
    let worst = &report.stages[report.worst.unwrap()];
    assert_eq!((worst.stage, worst.bits), (Some(1), 4));
    assert!(report.to_string().contains("stage 1 (relu) loses most"));
    let in_calibration = quantized.calibration_error().unwrap();
    assert!((in_calibration - report.relative_max_error().unwrap()).abs() < 1e-6);
}

#[test]
fn bytes_that_are_no_network() {
    let network = Network::sequential([2])
        .dense(arr2(&[[1.0, -0.5]]), Array1::zeros(1))
        .tanh()
        .build()
        .unwrap();
    let samples = arr2(&[[1.0, 1.0], [-1.0, 0.5]]);
    let quantized = network.quantize(&samples, &Precision::default()).unwrap();
    let bytes = quantized.to_bytes().unwrap();
    let restored = Quantized::from_bytes(&bytes).unwrap();
    assert_eq!(
        restored.report(&network, &samples).unwrap(),
        quantized.report(&network, &samples).unwrap()
    );
    assert_eq!(*restored.to_bytes().unwrap(), *bytes);
    for len in 0..bytes.len() {
        assert!(Quantized::from_bytes(&bytes[..len]).is_err(), "{len}");
    }
    // No change makes anything panic.
    for at in 0..bytes.len() {
        for flip in [1u8, 0x80, 0xff] {
            let mut other = bytes.to_vec();
            other[at] ^= flip;
            if let Ok(other) = Quantized::from_bytes(&other) {
                let _ = other.infer(samples.row(0));
                let _ = other.report(&network, &samples);
            }
        }
    }
}
